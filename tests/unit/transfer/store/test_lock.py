"""The lock: one holder, on one machine and between machines that do not see each other's kernel locks."""

from __future__ import annotations

import fcntl
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import anyio
import pytest

from uploader.clock import Clock
from uploader.disk import Disk
from uploader.errors import JobBusy
from uploader.transfer.store.lease import STALE_BEATS, Leases, current_holder
from uploader.transfer.store.lock import JobLock

pytestmark = pytest.mark.anyio
BEAT = 0.05


@pytest.fixture
def without_kernel_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system, as some clusters have them, whose locks do not reach other machines."""
    monkeypatch.setattr(fcntl, "flock", lambda fd, how: None)


def lock_of(folder: Path, machine: str = "here") -> JobLock:
    return JobLock(folder, Disk(), Clock(), machine=machine, beat=BEAT)


async def holder_of(folder: Path) -> str | None:
    return await anyio.to_thread.run_sync(current_holder, folder, Disk())


async def test_the_second_is_told_who_holds_it(tmp_path: Path) -> None:
    first, second = lock_of(tmp_path), lock_of(tmp_path)
    await first.acquire()
    with pytest.raises(JobBusy, match=r"process \d+ on .*, since 20") as caught:
        await second.acquire()
    assert f"`figup status {tmp_path.name} --watch` follows it" in (caught.value.hint or "")
    await first.release()
    assert await holder_of(tmp_path) is None
    await second.acquire()
    assert await holder_of(tmp_path) == f"process {os.getpid()} on {socket.gethostname()}, since {second._lease.since}"
    await second.release()
    assert [path.name for path in tmp_path.glob("lease*")] == ["lease-2"]


async def test_a_lock_left_by_a_crash_on_this_machine_is_taken_at_once(tmp_path: Path) -> None:
    holder = (
        "import sys, anyio; from pathlib import Path; from uploader.transfer.store.lock import *\n"
        "async def main():\n"
        "    lock = JobLock(Path(sys.argv[1]), Disk(), Clock()); await lock.acquire(); print('held', flush=True)\n"
        "    await anyio.sleep(60)\n"
        "anyio.run(main)\n"
    )
    with subprocess.Popen([sys.executable, "-c", holder, str(tmp_path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert await anyio.to_thread.run_sync(process.stdout.readline) == b"held\n"
        mine = JobLock(tmp_path, Disk(), Clock())
        with pytest.raises(JobBusy, match=f"process {process.pid} "):
            await mine.acquire()
        process.kill()
        await anyio.to_thread.run_sync(process.wait)
    with anyio.fail_after(BEAT * 1000):
        await mine.acquire()
    await mine.release()


@pytest.mark.usefixtures("without_kernel_locks")
async def test_another_machine_that_is_alive_keeps_it(tmp_path: Path) -> None:
    first, second = lock_of(tmp_path, "one"), lock_of(tmp_path, "two")
    await first.acquire()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(first.renew_regularly)
        with pytest.raises(JobBusy, match="another process works on this job"):
            await second.acquire()
        tasks.cancel_scope.cancel()
    assert not first.lost
    await first.release()


@pytest.mark.usefixtures("without_kernel_locks")
async def test_another_machine_that_died_loses_it_without_a_person(tmp_path: Path) -> None:
    dead, mine = lock_of(tmp_path, "one"), lock_of(tmp_path, "two")
    await dead.acquire()
    started = anyio.current_time()
    await mine.acquire()
    assert anyio.current_time() - started >= BEAT * STALE_BEATS * 0.9
    await mine.release()


@pytest.mark.usefixtures("without_kernel_locks")
async def test_who_stood_still_too_long_notices_that_it_was_taken_over(tmp_path: Path) -> None:
    asleep, other = lock_of(tmp_path, "one"), lock_of(tmp_path, "two")
    await asleep.acquire()
    await other.acquire()
    with anyio.fail_after(60), pytest.raises(JobBusy, match="took over"):
        await asleep.held_while(anyio.sleep_forever)
    assert asleep.lost
    await asleep.release()
    assert await holder_of(tmp_path) is not None, "the lease of the other is not ours to end"
    await other.release()
    assert await holder_of(tmp_path) is None


@pytest.mark.usefixtures("without_kernel_locks")
async def test_who_wakes_up_puts_nothing_on_record_before_it_looks_whose_the_job_is(tmp_path: Path) -> None:
    asleep, other = lock_of(tmp_path, "one"), lock_of(tmp_path, "two")
    await asleep.acquire()
    await asleep.check()
    await other.acquire()
    with pytest.raises(JobBusy, match="took over"):
        await asleep.check()
    assert asleep.lost
    await other.release()


async def test_a_folder_that_was_just_removed_is_not_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = fcntl.flock

    def remove_meanwhile(fd: int, how: int) -> None:
        (tmp_path / "lock").unlink()
        real(fd, how)

    monkeypatch.setattr(fcntl, "flock", remove_meanwhile)
    with pytest.raises(JobBusy, match="giving this job up"):
        await lock_of(tmp_path).acquire()


async def test_rubbish_in_the_lease_is_no_holder(tmp_path: Path) -> None:
    (tmp_path / "lease-7").write_bytes(b"\x00\xff{")
    (tmp_path / "lease-x").write_bytes(b"")
    assert await holder_of(tmp_path) is None
    mine = lock_of(tmp_path)
    await mine.acquire()
    assert await holder_of(tmp_path) is not None
    await mine.release()


@pytest.mark.parametrize("links", [True, False])
def test_of_several_machines_that_begin_at_the_same_moment_one_holds_the_job(links: bool, tmp_path: Path) -> None:
    jobs, rounds, machines = 12, 8, ("one", "two", "three")
    for number in range(jobs):
        (tmp_path / str(number)).mkdir()
    command = [sys.executable, "-m", "tests.support.rivals"]
    rivals = [
        subprocess.Popen(
            [*command, machine, tmp_path, str(jobs), "links" if links else "no-links"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        for machine in machines
    ]
    try:
        for turn in range(rounds):
            begin = time.monotonic() + 0.05
            for rival in rivals:
                tell(rival, str(begin))
            held = [read_numbers(rival) for rival in rivals]
            # Each job by exactly one of them: new ones, ended ones, and those left behind by a crash.
            assert sorted(number for numbers in held for number in numbers) == list(range(jobs)), (turn, held)
            for rival in rivals:
                tell(rival, "die" if turn % 4 == 1 else "end")
    finally:
        for rival in rivals:
            rival.communicate()


def tell(rival: subprocess.Popen[str], word: str) -> None:
    assert rival.stdin is not None
    rival.stdin.write(word + "\n")
    rival.stdin.flush()


def read_numbers(rival: subprocess.Popen[str]) -> list[int]:
    assert rival.stdout is not None
    return [int(word) for word in rival.stdout.readline().split()]


@pytest.mark.usefixtures("without_kernel_locks")
async def test_who_is_late_by_a_whole_life_of_a_lease_does_not_get_an_old_number(tmp_path: Path) -> None:
    # One machine looked when the first lease was there, and acts when two others have come and gone.
    old = lock_of(tmp_path, "one")
    await old.acquire()
    await old.release()
    for machine in ("two", "three"):
        later = lock_of(tmp_path, machine)
        await later.acquire()
        await later.release()
    last = lock_of(tmp_path, "four")
    await last.acquire()
    assert not await anyio.to_thread.run_sync(Leases(tmp_path, Disk()).claim, 2, old._lease)
    assert [path.name for path in tmp_path.glob("lease*")] == ["lease-4"]
    await last.release()
