"""The lock: one holder, on one machine and between machines that do not see each other's kernel locks."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from uploader.errors import JobBusy
from uploader.transfer.disk import Disk
from uploader.transfer.lock import STILL_BEATS, JobLock

pytestmark = pytest.mark.anyio
BEAT = 0.05


@pytest.fixture
def without_kernel_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system, as some clusters have them, whose locks do not reach other machines."""
    monkeypatch.setattr(fcntl, "flock", lambda fd, how: None)


def lock_of(folder: Path, machine: str = "here") -> JobLock:
    return JobLock(folder, Disk(), machine=machine, beat=BEAT)


async def test_the_second_is_told_who_holds_it(tmp_path: Path) -> None:
    first, second = lock_of(tmp_path), lock_of(tmp_path)
    await first.acquire()
    with pytest.raises(JobBusy, match=r"process \d+ on .*, since 20"):
        await second.acquire()
    await first.release()
    await second.acquire()
    await second.release()
    assert not (tmp_path / "lease").exists()


async def test_a_lock_left_by_a_crash_on_this_machine_is_taken_at_once(tmp_path: Path) -> None:
    holder = (
        "import sys, anyio; from pathlib import Path; from uploader.transfer.lock import *\n"
        "async def main():\n"
        "    lock = JobLock(Path(sys.argv[1]), Disk()); await lock.acquire(); print('held', flush=True)\n"
        "    await anyio.sleep(60)\n"
        "anyio.run(main)\n"
    )
    with subprocess.Popen([sys.executable, "-c", holder, str(tmp_path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert await anyio.to_thread.run_sync(process.stdout.readline) == b"held\n"
        mine = JobLock(tmp_path, Disk())
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
        tasks.start_soon(first.keep)
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
    assert anyio.current_time() - started >= BEAT * STILL_BEATS * 0.9
    await mine.release()


@pytest.mark.usefixtures("without_kernel_locks")
async def test_who_stood_still_too_long_notices_that_it_was_taken_over(tmp_path: Path) -> None:
    asleep, other = lock_of(tmp_path, "one"), lock_of(tmp_path, "two")
    await asleep.acquire()
    await other.acquire()
    with anyio.fail_after(5):
        await asleep.keep()
    assert asleep.lost
    await asleep.release()
    assert (tmp_path / "lease").exists(), "the lease of the other is not ours to remove"
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
    (tmp_path / "lease").write_bytes(b"\x00\xff{")
    mine = lock_of(tmp_path)
    await mine.acquire()
    await mine.release()


async def test_without_any_locks_one_of_those_that_begin_together_holds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(fd: int, how: int) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", refused)
    locks = [lock_of(tmp_path, machine) for machine in ("one", "one", "two")]
    held: list[JobLock] = []

    async def begin(lock: JobLock) -> None:
        try:
            await lock.acquire()
        except JobBusy:
            return
        held.append(lock)

    async with anyio.create_task_group() as tasks:
        for lock in locks:
            tasks.start_soon(begin, lock)
    assert len(held) == 1
    await held[0].release()
