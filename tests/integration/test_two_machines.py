"""Two machines on one shared folder, whose file system carries no locks between them: the real command, twice."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

from tests.support.command import Figup
from tests.support.invariants import check_exactly_once
from tests.support.sandbox import Sandbox

BEAT = 0.7
MACHINE = f"""
import fcntl, os
import uploader.transfer.store.lease as machine
import uploader.transfer.store.lease as lease
fcntl.flock = lambda fd, how: None
machine.machine_id = lease.machine_id = lambda: os.environ["MACHINE"]
lease.BEAT = {BEAT}
"""


def test_the_second_is_told_who_holds_the_job_and_takes_it_over_when_the_first_is_dead(
    figup: Figup, start_sandbox: Callable[..., Sandbox]
) -> None:
    sandbox = start_sandbox("--part-size", "20KiB")
    figup.env["FIGSHARE_ENDPOINT"] = sandbox.url
    path = figup.cwd / "data.bin"
    path.write_bytes(os.urandom(600_000))
    plug = figup.cwd / "plug"
    plug.mkdir()
    (plug / "sitecustomize.py").write_text(MACHINE, "utf-8")
    figup.env["PYTHONPATH"] = os.pathsep.join([str(plug), str(Path(__file__).parents[2])])
    figup.env["MACHINE"] = "one"
    first = figup.start("upload", "data.bin", "--json", "--limit-rate", "20k", "--connections", "1")
    first.wait_for_event("progress")

    figup.env["MACHINE"] = "two"
    refused = figup.run("upload", "data.bin", "--json").expect(8)
    assert refused.events[0]["code"] == "job-busy"
    assert f"process {first.process.pid} on {socket.gethostname()}, since 20" in refused.events[0]["message"]
    assert first.process.returncode is None

    first.send_signal(signal.SIGKILL)
    first.wait()
    done = figup.run("upload", "data.bin", "--json").expect(0)
    assert done.summary["files"][0]["parts_found"] > 0
    check_exactly_once(sandbox, path)
