"""Two hosts on one shared folder without shared locks: a freeze, a death, the same command on both at once."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.command import Figup
from tests.support.hosts import BEAT, Host, require_hosts, two_hosts
from tests.support.invariants import check_exactly_once
from tests.support.sandbox import Sandbox
from tests.support.waiting import until

SLOWLY = ("--limit-rate", "40k", "--connections", "1")


@pytest.fixture
def md5_delay() -> str:
    """Seconds until the sandbox knows the MD5 of a file."""
    return "0.1"


@pytest.fixture
def slow_sandbox(start_sandbox: Callable[..., Sandbox], md5_delay: str) -> Sandbox:
    return start_sandbox("--part-size", "20KiB", "--md5-delay", md5_delay)


@pytest.fixture
def hosts(tmp_path: Path, bare_figup: Figup, slow_sandbox: Sandbox) -> Iterator[tuple[Host, Host]]:
    """Two hosts. Skips if they cannot be created; fails in CI."""
    require_hosts("two hosts")
    bare_figup.env["FIGSHARE_ENDPOINT"] = slow_sandbox.url
    bare_figup.env["FIGSHARE_TOKEN"] = slow_sandbox.token
    with two_hosts(tmp_path, bare_figup) as both:
        yield both


@pytest.fixture
def source(bare_figup: Figup) -> Path:
    path = bare_figup.cwd / "data.bin"
    path.write_bytes(os.urandom(400_000))
    return path


def test_the_two_machines_share_only_the_folder(hosts: tuple[Host, Host]) -> None:
    one, two = hosts
    lock = (
        "import fcntl, os, sys, time; from uploader.transfer.store.lease import *; from pathlib import Path\n"
        f"folder = Path({str(one.shared)!r})\n"
        "fd = os.open(folder / 'lock', os.O_RDWR | os.O_CREAT); fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
        "print(machine_id(folder), is_network_folder(folder), flush=True); time.sleep(float(sys.argv[1]))\n"
    )
    holding = one.begin(sys.executable, "-c", lock, "60")
    first = holding.stdout.wait_for(lambda _: True, 30)
    assert first is not None, holding.stderr.text
    second = two.output(sys.executable, "-c", lock, "0").strip()
    assert first != second
    for line, name in ((first, "one"), (second, "two")):
        assert line.startswith(f"00000000-0000-0000-0000-{name}/{name}/")
        assert line.endswith("True")
    with pytest.raises(AssertionError, match="BlockingIOError"):
        one.output(sys.executable, "-c", lock, "0")


@pytest.mark.parametrize("md5_delay", ["8"])
def test_a_host_frozen_until_the_other_finished_exits_with_8(
    hosts: tuple[Host, Host], slow_sandbox: Sandbox, source: Path
) -> None:
    one, two = hosts
    frozen = one.start("upload", "data.bin", "--json")
    frozen.wait_for_event("sent")
    frozen.send_signal(signal.SIGSTOP)
    two.start("upload", "data.bin", "--json").wait().expect(0)
    frozen.send_signal(signal.SIGCONT)
    frozen.wait().expect(8)
    assert slow_sandbox.requests(kind="delete-file") == []
    for host in hosts:
        host.start("upload", "data.bin", "--json").wait().expect(0)
    check_exactly_once(slow_sandbox, source)


def test_a_host_that_wakes_up_leaves_the_job_to_the_other(
    hosts: tuple[Host, Host], slow_sandbox: Sandbox, source: Path
) -> None:
    one, two = hosts
    frozen = one.start("upload", "data.bin", "--json", *SLOWLY)
    frozen.wait_for_event("progress")
    frozen.send_signal(signal.SIGSTOP)
    other = two.start("upload", "data.bin", "--json", *SLOWLY)
    other.wait_for_event("file")
    frozen.send_signal(signal.SIGCONT)
    frozen.wait().expect(8)
    other.wait().expect(0)
    check_exactly_once(slow_sandbox, source)


def test_a_short_freeze_has_no_effect(hosts: tuple[Host, Host], slow_sandbox: Sandbox, source: Path) -> None:
    one, two = hosts
    frozen = one.start("upload", "data.bin", "--json", *SLOWLY)
    frozen.wait_for_event("progress")
    frozen.send_signal(signal.SIGSTOP)
    other = two.start("upload", "data.bin", "--json")
    time.sleep(4 * BEAT)
    frozen.send_signal(signal.SIGCONT)
    other.wait().expect(8)
    frozen.wait().expect(0)
    check_exactly_once(slow_sandbox, source)


def test_a_job_of_a_dead_host_is_continued_by_the_other(
    hosts: tuple[Host, Host], slow_sandbox: Sandbox, source: Path
) -> None:
    one, two = hosts
    dead = one.start("upload", "data.bin", "--json", *SLOWLY)
    until(lambda: len(slow_sandbox.requests(kind="put-part", status=200)) > 0)
    dead.kill()
    done = two.start("upload", "data.bin", "--json").wait().expect(0)
    assert done.summary["files"][0]["parts_found"] > 0
    check_exactly_once(slow_sandbox, source)


def test_the_same_command_on_two_hosts_is_one_job(
    hosts: tuple[Host, Host], slow_sandbox: Sandbox, source: Path
) -> None:
    for _ in range(3):
        runs = [host.start("upload", "data.bin", "--json") for host in hosts]
        assert sorted(run.wait().returncode for run in runs) in ([0, 0], [0, 8])
    assert len(list((hosts[0].mount / "state" / "jobs").glob("*/journal"))) == 1
    check_exactly_once(slow_sandbox, source)
