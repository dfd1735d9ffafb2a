"""A Dask pool as the team of a job: its workers send parts, may be killed, and show no address of an upload."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.command import Figup, events_in, write_program
from tests.support.environment import clean_environment, plugged
from tests.support.invariants import check_exactly_once, check_token_stayed_home
from tests.support.processes import Process
from tests.support.sandbox import Sandbox
from tests.support.slurm import Slurm
from tests.support.waiting import until
from uploader.cluster.pool import is_open_to_others

CHECKOUT = Path(__file__).parents[2]
SOON = "import uploader.cluster.leader as leader\nleader.POLL = 0.3\n"


class Pool:
    """A scheduler and two workers on this machine, at an address that might be another host's."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._file = folder / "scheduler.json"
        self._env = clean_environment(folder) | {"PYTHONPATH": str(CHECKOUT)}
        self._folder = folder
        self.scheduler = self._start("scheduler", "--host", "127.0.0.2", "--port", "0")
        until(lambda: self._file.exists() and self._file.stat().st_size > 0)
        self.address = json.loads(self._file.read_text("utf-8"))["address"]
        self.workers = [self._start("worker", "--nthreads", "1", "--no-nanny") for _ in range(2)]
        for worker in self.workers:
            assert worker.stderr.wait_for(lambda line: "Registered to" in line, 60) is not None, worker.stderr.text

    def _start(self, what: str, *args: str) -> Process:
        shared = ("--no-dashboard", "--scheduler-file", str(self._file))
        command = [sys.executable, "-m", f"distributed.cli.dask_{what}", *shared, *args]
        return Process(command, env=self._env, cwd=self._folder)

    def end(self) -> None:
        for process in (*self.workers, self.scheduler):
            process.end()


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[Pool]:
    started = Pool(tmp_path / "pool")
    yield started
    started.end()


@pytest.mark.timeout(1200)
def test_the_workers_of_a_pool_send_parts_and_one_is_killed(
    pool: Pool, bare_figup: Figup, start_sandbox: Callable[..., Sandbox]
) -> None:
    sandbox = start_sandbox("--part-size", "50KiB", "--md5-delay", "0.1")
    bare_figup.env["PYTHONPATH"] = plugged(bare_figup.cwd / "plug", SOON)
    bare_figup.env |= {"FIGSHARE_ENDPOINT": sandbox.url, "FIGSHARE_TOKEN": sandbox.token}
    sources = [bare_figup.cwd / name for name in ("big.bin", "a", "b", "c")]
    for source in sources:
        source.write_bytes(os.urandom(13_000_000 if source.name == "big.bin" else 60_000))
    names = [source.name for source in sources]
    limits = ("--limit-rate", "1100k", "--connections", "6", "--api-rate", "1000")
    run = bare_figup.start("upload", *names, "--title", "pool", "--dask", pool.address, "--json", *limits)
    until(lambda: len(sandbox.requests(kind="put-part", status=200)) > 120)
    pool.workers[0].kill()
    result = run.wait().expect(0)
    progress = [event for event in result.events if event["event"] == "progress"]
    assert sum(member["bytes_sent"] for member in progress[-1]["members"]) > 0
    assert progress[-1]["members"][0]["host"]
    check_exactly_once(sandbox, *sources)
    check_token_stayed_home(sandbox)
    for process in (*pool.workers, pool.scheduler):
        assert "/upload/" not in process.stderr.text
        assert sandbox.upload_url not in process.stderr.text
    (warning,) = [event["message"] for event in result.events if event["event"] == "warning"]
    assert warning.startswith(f"{pool.address} is not encrypted: anyone who reaches it can run programs as you")
    again = bare_figup.run("upload", *names, "--title", "pool", "--dask", pool.address, "--json").expect(0)
    assert again.summary["bytes_sent"] == 0


def test_a_pool_that_cannot_be_reached(bare_figup: Figup, start_sandbox: Callable[..., Sandbox]) -> None:
    sandbox = start_sandbox("--part-size", "50KiB")
    bare_figup.env |= {"FIGSHARE_ENDPOINT": sandbox.url, "FIGSHARE_TOKEN": sandbox.token}
    (bare_figup.cwd / "a").write_bytes(bytes(3_000_000))
    slowly = ("--title", "pool", "--limit-rate", "100k")
    refused = bare_figup.run("upload", "a", "--dask", "nonsense://x", *slowly).expect(2)
    assert "cannot reach a Dask scheduler at nonsense://x" in refused.stderr
    assert "--dask" in refused.stderr
    assert "Traceback" not in refused.stderr
    bare_figup.env["PATH"] = str(bare_figup.cwd)
    refused = bare_figup.run("upload", "a", "--dask", "slurm:2", *slowly).expect(2)
    assert "sbatch fails" in refused.stderr
    assert "--dask" in refused.stderr
    assert "distributed" not in refused.stderr
    assert not list(bare_figup.cwd.glob("**/pool/key"))
    assert "--dask" in bare_figup.run("upload", "a", "--dask", "x:1", "--join").expect(2).stderr


@pytest.mark.parametrize(
    ("sbatch", "warning"),
    [
        ("echo 'sbatch: error: invalid partition' >&2; exit 1", "sbatch fails: sbatch: error: invalid partition: no "),
        ("echo Submitted batch job 17", "no worker has joined within a minute: see `squeue`, and "),
    ],
    ids=["refused", "waiting"],
)
def test_the_upload_is_done_without_the_workers_that_do_not_come(
    sbatch: str, warning: str, bare_figup: Figup, start_sandbox: Callable[..., Sandbox]
) -> None:
    sandbox = start_sandbox("--part-size", "50KiB", "--md5-delay", "0.1")
    soon = "import uploader.cluster.roster as roster\nroster.SILENT = 1.0\n"
    bare_figup.env["PYTHONPATH"] = plugged(bare_figup.cwd / "plug", SOON + soon)
    bare_figup.env |= {"FIGSHARE_ENDPOINT": sandbox.url, "FIGSHARE_TOKEN": sandbox.token}
    bare_figup.env["PATH"] = f"{bare_figup.cwd / 'bin'}:{os.environ['PATH']}"
    write_program(bare_figup.cwd / "bin", "sbatch", sbatch)
    write_program(bare_figup.cwd / "bin", "scancel", 'echo "$@" >>cancelled')
    source = bare_figup.cwd / "a"
    source.write_bytes(os.urandom(1_000_000))
    words = ("upload", "a", "--title", "pool", "--dask", "slurm:2", "--limit-rate", "150k", "--json")
    result = bare_figup.run(*words).expect(0)
    (shown,) = [event["message"] for event in result.events if event["event"] == "warning"]
    assert shown.startswith(warning)
    assert (bare_figup.cwd / "cancelled").exists() == ("17" in sbatch)
    assert not list(bare_figup.cwd.glob("**/pool/key"))
    check_exactly_once(sandbox, source)


@pytest.mark.timeout(1200)
def test_slurm_starts_the_workers(slurm: Slurm, bare_figup: Figup, start_sandbox: Callable[..., Sandbox]) -> None:
    sandbox = start_sandbox("--part-size", "50KiB", "--md5-delay", "0.1")
    folder = slurm.shared / "pool"
    folder.mkdir()
    source = folder / "big.bin"
    source.write_bytes(os.urandom(13_000_000))
    env = {"FIGSHARE_ENDPOINT": sandbox.url, "FIGSHARE_TOKEN": sandbox.token} | {
        k: v for k, v in slurm.env.items() if k != "PATH"
    }
    words = ["upload", str(source), "--title", "pool", "--limit-rate", "500k", "--connections", "6", "--json"]
    words += ["--state-dir", str(folder / "state")]
    script = folder / "job.sh"
    script.write_text(bare_figup.run("slurm", "script", "--dask", "2", "--time", "5", *words).expect(0).stdout, "utf-8")
    write_program(folder / "bin")
    env |= bare_figup.env | {"PYTHONPATH": plugged(folder / "plug", SOON)}
    env["PATH"] = f"{folder / 'bin'}:{os.environ['PATH']}"
    job = slurm.submit(script, f"--output={folder / 'out'}", f"--error={folder / 'err'}", env=env)
    until(lambda: "figup-pool 5:00" in slurm.run("squeue", "-h", "-o", "%j %l"), 60)
    until(lambda: len(sandbox.requests(kind="put-part", status=200)) > 20, 60, every=0.2)
    (worker,) = folder.glob("state/jobs/*/pool/worker.sh")
    assert " tls://" in worker.read_text("utf-8")
    slurm.run("scancel", "--signal=TERM", "--batch", job)
    info = slurm.wait(job)
    assert (info.exit_status, info.restarts) == (0, 1), (folder / "err").read_text("utf-8")
    events = events_in((folder / "out").read_text("utf-8"))
    members = [member for event in events if event["event"] == "progress" for member in event["members"]]
    assert any(member["bytes_sent"] > 0 for member in members)
    assert all(member["task"].startswith("Slurm ") for member in members)
    check_exactly_once(sandbox, source)
    assert not list(folder.glob("state/jobs/*/pool")), "the keys are gone"
    until(lambda: slurm.run("squeue", "-h").strip() == "")


@pytest.mark.parametrize(
    ("address", "is_open"),
    [
        ("tcp://n1:8786", True),
        ("n1:8786", True),
        ("tls://n1:8786", False),
        ("tcp://127.0.0.1:8786", False),
        ("localhost:8786", False),
    ],
)
def test_what_others_can_read_is_warned_about(address: str, is_open: bool) -> None:
    assert is_open_to_others(address) == is_open
