"""What `figup doctor` finds on hosts of many kinds."""

from __future__ import annotations

import errno
import os
import resource
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from uploader.cluster import node
from uploader.cluster.node import Finding
from uploader.system import mount_options_of

SLURM = {"SLURM_JOB_ID": "70"}
CONFIG = "JobRequeue              = {requeue}\nKillWait = 30 sec\nRequeueExit = 75\n"


def found(findings: Any) -> dict[str, Finding]:
    return {finding.check: finding for finding in findings}


def refuse(number: int) -> Callable[..., None]:
    def refused(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return refused


# --- the state directory ---------------------------------------------------------------------------------------------


def test_how_the_file_system_is_mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert {"ro", "rw"} & set(mount_options_of(tmp_path.stat().st_dev))
    monkeypatch.setattr(node, "file_system_of", lambda _: "lustre")
    monkeypatch.setattr(node, "mount_options_of", lambda _: ("rw", "relatime", "localflock"))
    assert "(lustre localflock, " in found(node.state_findings(tmp_path))["state"].text


@pytest.mark.parametrize(
    ("broken", "check", "status", "text"),
    [
        ("try_flock", "flock", "note", "file locking fails: ENOSYS; figup works without it"),
        ("_link", "link", "note", "ENOSYS"),
        ("_must_fail", "exclusive", "problem", "exclusive creation fails: ENOSYS"),
    ],
)
def test_what_a_file_system_cannot_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str, check: str, status: str, text: str
) -> None:
    monkeypatch.setattr(node, broken, refuse(errno.ENOSYS))
    finding = found(node.state_findings(tmp_path))[check]
    assert finding.status == status
    assert text in finding.text
    assert list(tmp_path.iterdir()) == []


def test_a_quota_that_is_used_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "write_bytes", refuse(errno.EDQUOT))
    finding = found(node.state_findings(tmp_path))["write"]
    assert (finding.status, "EDQUOT" in finding.text) == ("problem", True)


def test_folders_that_cannot_be_synced_are_not_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sync = os.fsync

    def fsync(fd: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{fd}"):  # noqa: PTH112 - a link to the open folder
            raise OSError(errno.EINVAL, "Invalid argument")
        sync(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    checks = found(node.state_findings(tmp_path))
    assert (checks["sync"].status, checks["sync-folder"].status) == ("ok", "note")


@pytest.mark.parametrize(("blocks", "inodes"), [(10, 10**6), (10**9, 5)])
def test_no_space_or_no_inodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, blocks: int, inodes: int) -> None:
    status = os.statvfs_result((4096, 4096, 10**9, blocks, blocks, 10**7, inodes, inodes, 0, 255))
    monkeypatch.setattr(os, "statvfs", lambda _: status)
    finding = found(node.state_findings(tmp_path))["space"]
    assert finding.status == "problem"
    assert finding.hint is not None


# --- limits ----------------------------------------------------------------------------------------------------------


def test_the_limits_of_a_login_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = {resource.RLIMIT_NOFILE: 64, resource.RLIMIT_CPU: 1200}
    monkeypatch.setattr(resource, "getrlimit", lambda which: (limits[which], limits[which]))
    monkeypatch.setattr(node, "_cgroup", {"cpu.max": "400000 100000", "memory.max": "8000000000"}.__getitem__)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    status = os.statvfs_result((4096, 4096, 1, 1, 1, 1, 1, 1, os.ST_NOEXEC, 255))
    monkeypatch.setattr(os, "statvfs", lambda _: status)
    checks = found(node.limit_findings())
    assert {check: finding.status for check, finding in checks.items()} == {
        "open-files": "note",
        "cpu-time": "note",
        "cpu": "ok",
        "memory": "ok",
        "noexec": "note",
    }
    assert "after 20" in checks["cpu-time"].text
    assert checks["cpu"].text.startswith("4 CPUs by the cgroup")
    assert "FIGUP_UNPACK" in (checks["noexec"].hint or "")


def test_all_places_for_unpacking_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    environ = {"SLURM_TMPDIR": "/scratch/7", "TMPDIR": "/local", "HOME": "/users/me"}
    places = [str(place) for place in node._unpacking_places(environ)]
    assert places == ["/scratch/7", "/local", "/tmp", "/users/me/.cache"]  # noqa: S108 - only named
    assert "/var/cache/me" in map(str, node._unpacking_places({"XDG_CACHE_HOME": "/var/cache/me"}))
    monkeypatch.setenv("TMPDIR", "/local")
    monkeypatch.setattr(node, "_is_noexec", lambda place: place == Path("/local"))
    assert found(node.limit_findings())["noexec"].text == "programs in /local cannot be run (noexec)"


def test_the_limits_of_a_cgroup_may_be_those_of_its_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = Path("/proc/self/cgroup").read_text().strip().rpartition("::")[2].lstrip("/")
    (tmp_path / own).mkdir(parents=True, exist_ok=True)
    (tmp_path / own / "memory.max").write_text("max\n")
    if own:
        (tmp_path / "memory.max").write_text("1000\n")
    monkeypatch.setattr(node, "_CGROUP", tmp_path)
    assert node._cgroup("memory.max") == ("1000" if own else "")


# --- the scheduler ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["squeue", "qsub", "bsub", None])
def test_a_login_node_is_guessed_by_the_commands_it_has(monkeypatch: pytest.MonkeyPatch, command: str | None) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: name if name == command else None)
    finding = found(node.scheduler_findings({}))["scheduler"]
    assert (finding.status, "login node" in finding.text) == (("note", True) if command else ("ok", False))


@pytest.mark.parametrize(("requeue", "status"), [("1", "ok"), ("0", "note")])
def test_whether_a_job_may_be_requeued(monkeypatch: pytest.MonkeyPatch, requeue: str, status: str) -> None:
    monkeypatch.setattr(node, "answer_of", lambda *_: CONFIG.format(requeue=requeue))
    monkeypatch.setattr(node, "job_end", lambda _: None)
    checks = found(node.scheduler_findings(SLURM))
    assert checks["requeue"].status == status
    assert "KillWait 30 sec, RequeueExit 75" in checks["requeue"].text
    assert checks["deadline"].status == "note"


def test_a_container_without_scontrol(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node, "answer_of", lambda *_: None)
    monkeypatch.setattr(node, "job_end", lambda _: None)
    assert "cannot requeue itself" in found(node.scheduler_findings(SLURM))["requeue"].text


def test_the_end_of_a_job_of_another_scheduler() -> None:
    checks = found(node.scheduler_findings({"PBS_JOBID": "12.server", "PBS_WALLTIME": "3600"}))
    assert checks["scheduler"].text == "PBS job 12.server"
    assert checks["deadline"].text.endswith("(PBS_WALLTIME)")
    assert "requeue" not in checks
