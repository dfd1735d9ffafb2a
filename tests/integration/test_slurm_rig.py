"""The Slurm of the tests: its nodes share no locks, host name or boot id."""

from __future__ import annotations

from pathlib import Path

from tests.support.slurm import Slurm
from tests.support.waiting import until

LOCK = 'hostname; cat /proc/sys/kernel/random/boot_id; flock --nonblock lock sh -c ": >held-$SLURM_JOB_ID; sleep 60"\n'


def script(slurm: Slurm, name: str, text: str) -> Path:
    """A batch script in its own shared folder."""
    path = slurm.shared / name / "job.sh"
    path.parent.mkdir()
    path.write_text(f"#!/bin/bash\n{text}", "utf-8")
    return path


def test_nodes_share_a_folder_but_no_locks(slurm: Slurm) -> None:
    job = script(slurm, "strangers", LOCK)
    running = [slurm.submit(job, f"--nodelist={node}", f"--output={node}", env={}) for node in ("n1", "n2")]
    for holder in running:
        until((job.parent / f"held-{holder}").exists)
        slurm.run("scancel", holder)
    one, two = ((job.parent / name).read_text("utf-8").splitlines()[:2] for name in ("n1", "n2"))
    assert (one[0], two[0]) == ("n1", "n2")
    assert one[1] != two[1]
    for ended in running:
        assert slurm.wait(ended).state == "CANCELLED"
