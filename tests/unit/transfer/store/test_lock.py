"""The lock: one holder, on one machine and between machines that do not see each other's kernel locks."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from uploader import disk
from uploader.clock import Clock
from uploader.cluster.files import MemberFiles
from uploader.disk import Disk
from uploader.errors import Facts, JobBusy, StateLost
from uploader.system import process_namespace
from uploader.transfer.store import lease as leases
from uploader.transfer.store.lease import (
    STALE_BEATS,
    Leases,
    current_holder,
    current_holders,
    is_network_folder,
    machine_id,
)
from uploader.transfer.store.lock import JobLock

pytestmark = pytest.mark.anyio
BEAT = 0.05


@pytest.fixture
def without_kernel_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system whose locks do not reach other machines, as on some clusters."""
    monkeypatch.setattr(fcntl, "flock", lambda fd, how: None)


def lock_of(folder: Path, machine: str = "here") -> JobLock:
    return JobLock(folder, Disk(), Clock(), machine=machine, beat=BEAT)


async def holder_of(folder: Path) -> str | None:
    return await anyio.to_thread.run_sync(current_holder, folder, Disk())


async def test_the_second_learns_the_holder(tmp_path: Path) -> None:
    first, second = lock_of(tmp_path), lock_of(tmp_path)
    await first.acquire()
    with pytest.raises(JobBusy, match=r"process \d+ on .*, since 20") as caught:
        await second.acquire()
    assert caught.value.facts == Facts("job-busy", job=tmp_path.name)
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


@pytest.fixture
def hanging_locks(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """A network file system whose lock daemon is gone. Yields the descriptors of the calls."""
    calls: list[int] = []
    daemon_is_back = threading.Event()

    def hang(fd: int, how: int) -> None:
        calls.append(fd)
        daemon_is_back.wait()

    monkeypatch.setattr(fcntl, "flock", hang)
    monkeypatch.setattr(disk, "LOCK_TIME_LIMIT", 0.01)
    monkeypatch.setattr(disk, "_silent_devices", set())
    yield calls
    daemon_is_back.set()


async def test_where_kernel_locks_hang_the_lease_alone_decides(
    tmp_path: Path, hanging_locks: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    first, second, third = (lock_of(tmp_path) for _ in range(3))
    await first.acquire()
    assert "file locks do not respond; continuing without them" in caplog.text
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(first.renew_regularly)
        with pytest.raises(JobBusy, match="another process works on this job"):
            await second.acquire()
        tasks.cancel_scope.cancel()
    await first.release()
    await third.acquire()
    await third.release()
    assert len(hanging_locks) == 1, "the limit is waited for once"


@pytest.mark.usefixtures("without_kernel_locks")
async def test_another_machine_that_died_loses_it_without_a_person(tmp_path: Path) -> None:
    dead, mine = lock_of(tmp_path, "one"), lock_of(tmp_path, "two")
    await dead.acquire()
    started = anyio.current_time()
    await mine.acquire()
    assert anyio.current_time() - started >= BEAT * STALE_BEATS * 0.9
    await mine.release()


@pytest.mark.usefixtures("without_kernel_locks")
async def test_a_process_suspended_too_long_notices_the_takeover(tmp_path: Path) -> None:
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
    with pytest.raises(JobBusy, match="releasing this job"):
        await lock_of(tmp_path).acquire()


async def test_garbage_in_the_lease_is_not_a_holder(tmp_path: Path) -> None:
    (tmp_path / "lease-7").write_bytes(b"\x00\xff{")
    (tmp_path / "lease-x").write_bytes(b"")
    assert await holder_of(tmp_path) is None
    mine = lock_of(tmp_path)
    await mine.acquire()
    assert await holder_of(tmp_path) is not None
    await mine.release()


@pytest.mark.search
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
            # Each job is held by exactly one of them: new jobs, ended ones, and those left by a crash.
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
    # One machine read the first lease, and acts after two others have held the job.
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


@pytest.mark.usefixtures("without_kernel_locks")
async def test_takeover_from_a_holder_that_may_still_run_is_known(tmp_path: Path) -> None:
    first, second, third = lock_of(tmp_path, "one"), lock_of(tmp_path, "two"), lock_of(tmp_path, "three")
    await first.acquire()
    assert not first.took_over
    await second.acquire()
    assert second.took_over
    await second.release()
    await third.acquire()
    assert not third.took_over
    await third.release()


@pytest.mark.usefixtures("without_kernel_locks")
async def test_confirming_a_lease_that_another_machine_took_leaves_the_other_alone(tmp_path: Path) -> None:
    frozen, other = lock_of(tmp_path, "one"), lock_of(tmp_path, "two")
    await frozen.acquire()
    await other.acquire()
    with pytest.raises(JobBusy, match="took over"):
        await frozen.confirm()
    assert frozen.lost
    await other.confirm()
    assert [path.name for path in tmp_path.glob("lease*")] == ["lease-2"]
    await other.release()


async def test_an_old_listing_does_not_let_an_old_holder_keep_its_lease(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = Leases(tmp_path, Disk()), Leases(tmp_path, Disk())
    holder = lock_of(tmp_path, "one")
    await holder.acquire()
    lease = holder._lease
    assert await anyio.to_thread.run_sync(new.claim, 2, lease)
    real, listings = old._numbers, [[1]]
    monkeypatch.setattr(old, "_numbers", lambda: listings.pop() if listings else real())
    assert not await anyio.to_thread.run_sync(old.write, 1, lease)
    assert [path.name for path in tmp_path.glob("lease*")] == ["lease-2"]


async def test_a_holder_in_another_container_of_this_machine_is_not_taken_for_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    holder = JobLock(tmp_path, Disk(), Clock(), beat=BEAT)
    await holder.acquire()
    member = MemberFiles(tmp_path, Disk(), host="n1", pid=7)
    # Neither has this process id in the other container.
    monkeypatch.setattr(leases, "process_exists", lambda _: False)
    seen = []
    for namespace in (await anyio.to_thread.run_sync(process_namespace), "another"):
        monkeypatch.setattr(leases, "process_namespace", lambda namespace=namespace: namespace)
        sign = await member.leader()
        assert sign is not None
        seen.append((sign.ended, await holder_of(tmp_path) is not None))
    assert seen == [(True, False), (False, True)]
    monkeypatch.undo()
    await holder.release()


def test_a_machine_is_more_than_its_boot_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = machine_id(tmp_path)
    assert here == machine_id(tmp_path)
    monkeypatch.setattr(socket, "gethostname", lambda: "a-clone")
    assert machine_id(tmp_path) != here
    monkeypatch.undo()
    assert machine_id(Path("/proc/self")) != here


def test_network_file_systems_are_recognized(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not is_network_folder(tmp_path)
    device = tmp_path.stat().st_dev
    numbers = f"{os.major(device)}:{os.minor(device)}"
    for kind, expected in (("ext4", False), ("nfs4", True), ("lustre", True), ("fuse.sshfs", True), ("tmpfs", False)):
        line = f"36 25 {numbers} / /data rw,noatime shared:1 - {kind} server:/data rw"
        monkeypatch.setattr(Path, "read_text", lambda *_, line=line: f"1 1 0:1 / / rw - proc proc rw\n{line}\n")
        assert is_network_folder(tmp_path) == expected, kind


def test_the_lost_answer_of_a_link_is_decided_by_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.link

    def lost(source: str, target: str) -> None:
        if not Path(target).exists():
            real(source, target)
        raise FileExistsError(errno.EEXIST, "File exists")

    monkeypatch.setattr(os, "link", lost)
    assert Disk().create(tmp_path / "lease-1", b"mine")
    assert not Disk().create(tmp_path / "lease-1", b"other")
    assert (tmp_path / "lease-1").read_bytes() == b"mine"


@pytest.mark.parametrize(("number", "refused"), [(errno.EINVAL, False), (errno.EIO, True)])
def test_a_file_system_that_cannot_sync_folders_is_not_an_error(
    number: int, refused: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    if refused:
        with pytest.raises(StateLost):
            Disk().sync_folder(tmp_path)
    else:
        Disk().sync_folder(tmp_path)


@pytest.mark.usefixtures("without_kernel_locks")
async def test_another_machines_clock_does_not_decide_whether_it_is_alive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "HEARTBEAT", BEAT)
    lock = lock_of(tmp_path, "one")
    await lock.acquire()
    path = tmp_path / "lease-1"
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lock.renew_regularly)
        holder = None
        for _ in range(20):
            # The holder's clock is two minutes behind: its lease looks old.
            await anyio.to_thread.run_sync(lambda: os.utime(path, (time.time() - 120,) * 2))
            holder = holder or await holder_of(tmp_path)
        tasks.cancel_scope.cancel()
    assert holder is not None
    os.utime(path, (time.time() - 120,) * 2)
    assert await holder_of(tmp_path) is None
    await lock.release()


async def test_a_heartbeat_tells_that_holders_with_wrong_clocks_are_alive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [tmp_path / name for name in ("alive", "dead", "released")]
    locks = [lock_of(folder, "there") for folder in folders]
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        assert locks[0].still_held()
        locks[2]._end_lease()

    for folder, lock in zip(folders, locks, strict=True):
        folder.mkdir()
        await lock.acquire()
        hours_ago = time.time() - 7200
        os.utime(folder / "lease-1", (hours_ago, hours_ago))
    monkeypatch.setattr(leases, "is_local_folder", lambda _: False)
    monkeypatch.setattr("uploader.transfer.store.lease.time.sleep", pause)
    holders = await anyio.to_thread.run_sync(current_holders, folders, Disk())
    assert [holders[folder] is not None for folder in folders] == [True, False, False]
    assert len(pauses) == 1
    for lock in locks:
        lock._drop_kernel_lock()
