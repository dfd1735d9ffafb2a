"""The recipes in scripts/hpc on a real Slurm: whatever ends a run, the item is complete and verified in the end."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.command import write_program
from tests.support.environment import clean_environment
from tests.support.hosts import PLUG
from tests.support.invariants import files_at_rest, items, md5_of
from tests.support.sandbox import Sandbox
from tests.support.slurm import JobInfo, Slurm
from tests.support.waiting import until

ROOT = Path(__file__).parents[2]
SIZE = 1_200_000
SLOWLY = ("-v", "--limit-rate", "36k", "--connections", "2", "--grace", "2s")
"""An upload takes 33 s: longer than the 30 s within which Slurm warns of a time limit."""


pytestmark = pytest.mark.timeout(1200)


@dataclass
class Recipe:
    """A recipe in a shared folder, with a file in a folder of its own, where the logs are, too."""

    slurm: Slurm
    folder: Path
    env: dict[str, str]
    source: str = "data.bin"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def submit(self, script: str, *options: str) -> str:
        """Submit a recipe with options for sbatch; return the job's id."""
        words: list[str | Path] = [self.folder / script, self.source, "--title", self.folder.name, *SLOWLY]
        return self.slurm.run("sbatch", "--parsable", *options, *words, cwd=self.data, env=self.env).strip()

    def chain(self, jobs: int, minutes: int) -> list[str]:
        """Submit a chain with a limit for each job; return the jobs' ids."""
        env = self.env | {"FIGUP_CHAIN": self.folder.name, "SBATCH_TIMELIMIT": str(minutes), "SBATCH_SIGNAL": "TERM@30"}
        words: list[str | Path] = [
            self.folder / "slurm-chain.sh",
            str(jobs),
            self.source,
            "--title",
            self.folder.name,
            *SLOWLY,
        ]
        return self.slurm.run(*words, cwd=self.data, env=env).split()

    def log(self) -> str:
        """What all runs wrote."""
        return "".join(path.read_text("utf-8") for path in sorted(self.data.glob("figup-*.log")))

    def has_begun(self) -> bool:
        """True once a run works on the job."""
        return "job " in self.log()

    def item(self, sandbox: Sandbox) -> int | None:
        """The id of the recipe's item."""
        found = [item["id"] for item in items(sandbox) if self.folder.name in item["title"]]
        assert len(found) <= 1, found
        return found[0] if found else None

    def check(self, sandbox: Sandbox) -> None:
        """Check that the item has the file once, complete and verified."""
        item = self.item(sandbox)
        assert item is not None, self.log()
        stored = files_at_rest(sandbox, item)
        assert [(f["name"], f["computed_md5"], f["status"]) for f in stored] == [
            ("data.bin", md5_of(self.data / "data.bin"), "available")
        ], self.log()


@pytest.fixture
def slow_sandbox(start_sandbox: Callable[..., Sandbox]) -> Sandbox:
    return start_sandbox("--part-size", "40KiB", "--md5-delay", "0.1")


@pytest.fixture
def recipe(slurm: Slurm, slow_sandbox: Sandbox, tmp_path: Path) -> Iterator[Callable[..., Recipe]]:
    """Makes recipes with names of their own, all in one shared folder."""
    base = slurm.shared / f"recipes-{os.getpid()}-{tmp_path.name}"
    tools = base / "bin"
    write_program(tools)
    (tools / "sitecustomize.py").write_text(PLUG)
    env = clean_environment(base) | {
        "PATH": f"{tools}:{os.environ['PATH']}",
        "PYTHONPATH": f"{tools}:{ROOT}",
        "FIGSHARE_ENDPOINT": slow_sandbox.url,
        "FIGSHARE_TOKEN": slow_sandbox.token,
        "FIGUP_STATE_DIR": str(base / "state"),
    }

    def make(name: str, *, source: str = "data.bin") -> Recipe:
        folder = base / name
        shutil.copytree(ROOT / "scripts" / "hpc", folder)
        made = Recipe(slurm, folder, env, source)
        made.data.mkdir()
        (made.data / "data.bin").write_bytes(os.urandom(SIZE))
        return made

    yield make
    slurm.run("scancel", "--user", "root")


def ended(slurm: Slurm, *jobs: str) -> list[JobInfo]:
    return [slurm.wait(job) for job in jobs]


def test_a_time_limit(slurm: Slurm, recipe: Callable[..., Recipe], slow_sandbox: Sandbox) -> None:
    """Slurm looks at limits every 30 s, so the warning comes 0 to 30 s after the start."""
    requeued, array, chain = recipe("requeue"), recipe("array"), recipe("chain")
    limit = ("--time=1", "--signal=B:TERM@30")
    job, tasks = requeued.submit("slurm-requeue.sh", *limit), array.submit("slurm-array.sh", *limit, "--array=1-2")
    links = chain.chain(5, minutes=1)
    for info in ended(slurm, job, f"{tasks}_1", f"{tasks}_2"):
        assert (info.state, info.exit_status) == ("COMPLETED", 0)
    statuses = [info.exit_status for info in ended(slurm, *links)]
    # The warning may come before Python handles signals.
    assert set(statuses) <= {0, 75, 143}
    assert 0 in statuses
    for each in (requeued, array, chain):
        each.check(slow_sandbox)
        # This Slurm does not tell jobs when they end; later ones do.
        assert "(squeue)" in each.log() or "(SLURM_JOB_END_TIME)" in each.log()
    assert re.search(r"Slurm:\d+_1 figup: ended: exit_status=0 job=", array.log())
    assert "ended: exit_status=75" in requeued.log() + array.log() + chain.log()


def test_signals_and_a_requeue(slurm: Slurm, recipe: Callable[..., Recipe], slow_sandbox: Sandbox) -> None:
    """The array and the chain send the folder in which the logs of all tasks and jobs are."""
    signalled, again = recipe("signalled"), recipe("again")
    array, chain = recipe("array", source="."), recipe("chain", source=".")
    job, tasks = signalled.submit("slurm-requeue.sh"), array.submit("slurm-array.sh", "--array=3,7")
    other, links = again.submit("slurm-requeue.sh"), chain.chain(2, minutes=5)
    for each in (signalled, array, again, chain):
        until(each.has_begun, 60, every=0.2)
    until(lambda: len(slow_sandbox.requests(kind="put-part", status=200)) > 8, 60, every=0.2)
    slurm.run("scancel", "--signal=TERM", "--batch", job)
    slurm.run("scancel", "--signal=TERM", "--batch", f"{tasks}_7")
    slurm.run("scontrol", "requeue", other)
    slurm.run("scancel", "--signal=TERM", links[0])
    infos = ended(slurm, job, other, f"{tasks}_3", f"{tasks}_7")
    assert [info.exit_status for info in infos] == [0, 0, 0, 0]
    assert [info.restarts for info in infos] == [1, 1, 0, 1]
    assert [info.exit_status for info in ended(slurm, *links)] == [75, 0]
    for each in (signalled, array, again, chain):
        each.check(slow_sandbox)


def test_a_cancelled_job_stays_ended(slurm: Slurm, recipe: Callable[..., Recipe], slow_sandbox: Sandbox) -> None:
    alone, array = recipe("alone"), recipe("array")
    job, tasks = alone.submit("slurm-requeue.sh"), array.submit("slurm-array.sh", "--array=1-2")
    for each in (alone, array):
        until(each.has_begun, 60, every=0.2)
    until(lambda: len(slow_sandbox.requests(kind="put-part", status=200)) > 8, 60, every=0.2)
    slurm.run("scancel", job, f"{tasks}_1")
    for info in ended(slurm, job, f"{tasks}_1"):
        assert (info.state, info.restarts) == ("CANCELLED", 0)
    assert "ended: exit_status=75" in alone.log()
    (info,) = ended(slurm, f"{tasks}_2")
    assert (info.state, info.exit_status, info.restarts) == ("COMPLETED", 0, 0)
    array.check(slow_sandbox)
    assert [slurm.info(each).restarts for each in (job, f"{tasks}_1")] == [0, 0]


def test_a_dead_node(slurm: Slurm, recipe: Callable[..., Recipe], slow_sandbox: Sandbox) -> None:
    alone, array, chain = recipe("alone"), recipe("array"), recipe("chain")
    job = alone.submit("slurm-requeue.sh", "--exclude=n1,n2")
    tasks = array.submit("slurm-array.sh", "--array=1-2", "--cpus-per-task=16", "--exclude=n4")
    links = chain.chain(2, minutes=5)
    until(chain.has_begun, 60, every=0.2)
    until(lambda: len(slow_sandbox.requests(kind="put-part", status=200)) > 8, 60, every=0.2)
    dead = {slurm.info(each).node for each in (job, f"{tasks}_1", links[0])}
    assert slurm.info(job).node != slurm.info(f"{tasks}_1").node
    for node in dead:
        slurm.kill_node(node)
    try:
        until(lambda: slurm.info(job).restarts == slurm.info(f"{tasks}_1").restarts == 1, 90, every=0.5)
    finally:
        for node in dead:
            slurm.start_node(node)
    infos = ended(slurm, job, f"{tasks}_1", f"{tasks}_2")
    assert [info.exit_status for info in infos] == [0, 0, 0]
    assert [info.restarts for info in infos[:2]] == [1, 1]
    first, second = ended(slurm, *links)
    assert (first.state, second.state, second.exit_status) == ("NODE_FAIL", "COMPLETED", 0)
    for each in (alone, array, chain):
        each.check(slow_sandbox)
