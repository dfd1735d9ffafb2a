"""Two machines on one shared folder, whose file system carries no locks between them: the real command, twice."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

from tests.support.command import Figup
from tests.support.environment import plugged
from tests.support.invariants import check_exactly_once
from tests.support.sandbox import Sandbox
from tests.support.waiting import until

BEAT = 0.7
MACHINE = f"""
import fcntl, os
import uploader.transfer.store.lease as machine
import uploader.transfer.store.lease as lease
fcntl.flock = lambda fd, how: None
machine.machine_id = lease.machine_id = lambda folder: os.environ["MACHINE"]
lease.HEARTBEAT = {BEAT}
"""


def test_a_second_process_names_the_holder_and_takes_over_a_dead_one(
    figup: Figup, start_sandbox: Callable[..., Sandbox]
) -> None:
    sandbox = start_sandbox("--part-size", "20KiB")
    figup.env["FIGSHARE_ENDPOINT"] = sandbox.url
    path = figup.cwd / "data.bin"
    path.write_bytes(os.urandom(600_000))
    figup.env["PYTHONPATH"] = plugged(figup.cwd / "plug", MACHINE)
    figup.env["MACHINE"] = "one"
    first = figup.start("upload", "data.bin", "--json", "--limit-rate", "20k", "--connections", "1")
    first.wait_for_event("progress")

    figup.env["MACHINE"] = "two"
    refused = figup.run("upload", "data.bin", "--json").expect(8)
    assert refused.events[0]["code"] == "job-busy"
    assert f"process {first.process.pid} on {socket.gethostname()}, since 20" in refused.events[0]["message"]
    assert first.process.returncode is None

    until(lambda: sandbox.requests(kind="put-part", status=200))
    first.send_signal(signal.SIGKILL)
    first.wait()
    done = figup.run("upload", "data.bin", "--json").expect(0)
    assert done.summary["files"][0]["parts_found"] > 0
    check_exactly_once(sandbox, path)


def test_a_host_that_lost_a_new_job_leaves_the_folder_to_the_host_that_works_on_it(
    figup: Figup, start_sandbox: Callable[..., Sandbox]
) -> None:
    sandbox = start_sandbox("--part-size", "20KiB", "--control")
    figup.env["FIGSHARE_ENDPOINT"] = sandbox.url
    path = figup.cwd / "data.bin"
    path.write_bytes(os.urandom(600_000))
    # The first host is suspended at its first request, after it created the job and before it started anything.
    still = """
import signal, uploader.figshare.client as client
real = client.Figshare.account
async def account(self):
    if os.environ["MACHINE"] == "one":
        os.kill(os.getpid(), signal.SIGSTOP)
    return await real(self)
client.Figshare.account = account
"""
    figup.env["PYTHONPATH"] = plugged(figup.cwd / "plug", MACHINE + still)
    figup.env["MACHINE"] = "one"
    first = figup.start("upload", "data.bin", "--json")
    wait_until_stopped(first.process.pid)
    figup.env["MACHINE"] = "two"
    second = figup.start("upload", "data.bin", "--json", "--limit-rate", "100k")
    second.wait_for_event("file")
    first.send_signal(signal.SIGCONT)
    first.wait().expect(8)
    second.wait().expect(0)
    assert len(list((figup.state_dir / "jobs").glob("*/journal"))) == 1
    figup.run("upload", "data.bin", "--json").expect(0)
    check_exactly_once(sandbox, path)


def wait_until_stopped(pid: int) -> None:
    """Return when the process was stopped by a signal."""
    deadline = time.monotonic() + 30
    while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_same_command_started_many_times_at_once_is_one_job(figup: Figup, sandbox: Sandbox) -> None:
    path = figup.cwd / "data.bin"
    path.write_bytes(os.urandom(60_000))
    for _ in range(3):
        runs = [figup.start("upload", "data.bin", "--json") for _ in range(6)]
        assert {run.wait().returncode for run in runs} <= {0, 8}
    figup.run("upload", "data.bin").expect(0)
    assert len(list((figup.state_dir / "jobs").glob("*/journal"))) == 1
    check_exactly_once(sandbox, path)
