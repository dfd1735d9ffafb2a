"""The wire of files: what is torn, not visible yet or damaged is no news, and nothing shows a secret."""

from __future__ import annotations

import errno
import shutil
import stat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from blockbuster import BlockBuster
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.clock import VirtualClock
from uploader.cluster.files import FOLDER, LeaderFiles, MemberFiles, ReportReader, encode_entries, read_hellos
from uploader.cluster.messages import (
    Entry,
    FileHashed,
    Hello,
    LimitsApplied,
    Order,
    OrderFailed,
    OrderOver,
    Orders,
    PartDone,
    Secret,
)
from uploader.cluster.team import JoinedTeam
from uploader.concurrency import in_thread
from uploader.disk import Disk, map_os_errors
from uploader.errors import StateLost
from uploader.transfer.store.lease import Leases
from uploader.transfer.store.lock import JobLock

pytestmark = pytest.mark.anyio
HELLO = Hello(host="n1", machine="m", pid=7, version="1")
numbers = st.integers(0, 1 << 40)
entries: st.SearchStrategy[list[Entry]] = st.lists(
    st.one_of(
        st.builds(
            PartDone, term=numbers, order=numbers, file_id=numbers, no=numbers, xxh3=st.one_of(st.none(), numbers)
        ),
        st.builds(FileHashed, term=numbers, order=numbers, md5=st.text()),
        st.builds(OrderFailed, term=numbers, order=numbers, code=st.text(), message=st.text()),
        st.builds(OrderOver, term=numbers, order=numbers),
        st.builds(LimitsApplied, term=numbers, seq=numbers),
    )
)


@pytest.mark.search
@given(st.lists(entries, max_size=4), st.lists(st.integers(0, 2000), max_size=6))
def test_a_report_is_read_whole_however_much_of_it_is_visible_when(batches: list[list[Entry]], cuts: list[int]) -> None:
    data, seed = b"", 0
    for batch in batches:
        more, seed = encode_entries(batch, seed)
        data += more
    reader, found = ReportReader(), []
    for cut in [*sorted(cuts), len(data)]:
        found += reader.read(data[reader.length : max(cut, reader.length)])
    assert found == [entry for batch in batches for entry in batch]
    assert reader.length == len(data)


@given(entries.filter(bool), st.integers(0, 1 << 20), st.integers(1, 255))
def test_nothing_behind_a_damaged_line_is_believed(batch: list[Entry], place: int, change: int) -> None:
    data, _ = encode_entries(batch, 0)
    damaged = bytearray(data)
    damaged[place % len(data)] ^= change
    found = ReportReader().read(bytes(damaged))
    assert found == batch[: len(found)]
    assert len(found) < len(batch)


async def test_orders_that_a_member_reads(tmp_path: Path) -> None:
    job, disk = tmp_path / "job", Disk()
    member = MemberFiles(job, disk, host="n1/../x", pid=7)
    assert await member.orders() is None
    await member.hello(HELLO)
    assert list((await in_thread(read_hellos, job, disk)).values()) == [HELLO]
    earlier, later = LeaderFiles(job, disk, 3), LeaderFiles(job, disk, 4)
    order = Order(
        id=1, file_id=5, path="/a", size=9, mtime_ns=1, upload=Secret("https://up/s3cret"), parts=((1, 0, 8),)
    )
    assert not await earlier.has_earlier_orders()
    await later.give(member.name, Orders(seq=1, orders=(order,), connections=4))
    await earlier.give(member.name, Orders(seq=9))
    assert await later.has_earlier_orders()
    assert await member.orders() == (4, Orders(seq=1, orders=(order,), connections=4))
    assert "s3cret" not in repr(order)
    written = job / "team" / member.name / "orders-4"
    assert stat.S_IMODE(written.stat().st_mode) == 0o600
    await later.close(())
    assert await member.orders() == (4, Orders(seq=1, orders=(order,), connections=4))
    assert not (job / "team" / member.name / "orders-3").exists()


async def test_what_a_member_reports(tmp_path: Path) -> None:
    job, disk = tmp_path / "job", Disk()
    member, leader = MemberFiles(job, disk, host="n1", pid=7), LeaderFiles(job, disk, 1)
    await member.hello(HELLO)
    first: list[Entry] = [OrderOver(term=1, order=2)]
    assert await leader.reports() == []
    await member.report(first)
    assert await leader.reports() == [(member.name, first[0])]
    await member.hello(HELLO)
    assert leader.reported(member.name) == (await leader.members())[member.name].reported > 0
    await member.report([LimitsApplied(term=1, seq=3)])
    assert await leader.reports() == [(member.name, LimitsApplied(term=1, seq=3))]
    assert await leader.reports() == []


async def test_a_member_that_was_assumed_dead_continues(tmp_path: Path) -> None:
    job, disk = tmp_path / "job", Disk()
    member, leader = MemberFiles(job, disk, host="n1", pid=7), LeaderFiles(job, disk, 1)
    await member.hello(HELLO)
    await leader.close([member.name])
    assert await in_thread(read_hellos, job, disk) == {}
    await member.report([OrderOver(term=1, order=2)])
    await leader.give(member.name, Orders(seq=1))
    assert await member.orders() is None
    await member.hello(HELLO)
    assert list(await in_thread(read_hellos, job, disk)) == [member.name]
    # Its report begins anew, so that the next leader can read it.
    later, entry = LeaderFiles(job, disk, 2), OrderOver(term=2, order=1)
    await member.report([entry])
    assert await later.reports() == [(member.name, entry)]
    await member.hello(HELLO)
    assert later.reported(member.name) == (await later.members())[member.name].reported > 0
    await member.close()
    assert await in_thread(read_hellos, job, disk) == {}


class LostDisk(Disk):
    """A disk whose mount becomes read-only."""

    lost = False

    def put(self, path: Path, data: bytes) -> None:
        self._check(path)
        super().put(path, data)

    def append(self, path: Path, data: bytes) -> None:
        self._check(path)
        super().append(path, data)

    def _check(self, path: Path) -> None:
        with map_os_errors(path):
            if self.lost:
                raise OSError(errno.EROFS, "Read-only file system")


async def test_folders_that_members_remove_while_the_leader_clears_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    member, leader = MemberFiles(tmp_path, Disk(), host="n1", pid=7), LeaderFiles(tmp_path, Disk(), 2)
    await member.hello(HELLO)
    await leader.give(member.name, Orders(seq=1))
    folder, exists = tmp_path / FOLDER / member.name, Path.exists

    def vanish(path: Path) -> bool:
        found = exists(path)
        if path == folder:
            shutil.rmtree(folder, ignore_errors=True)
        return found

    monkeypatch.setattr(Path, "exists", vanish)
    await leader.close([])
    monkeypatch.undo()
    await member.close()
    assert not await leader.has_earlier_orders()
    await leader.give(member.name, Orders(seq=2))


async def test_a_folder_that_a_leader_removes_while_its_member_writes(tmp_path: Path) -> None:
    class Late(Disk):
        """A disk on which the folder vanishes just before a write, once."""

        def put(self, path: Path, data: bytes) -> None:
            remove_once(path)
            super().put(path, data)

        def append(self, path: Path, data: bytes) -> None:
            remove_once(path)
            super().append(path, data)

    def remove_once(path: Path) -> None:
        if path.name in pending:
            pending.remove(path.name)
            shutil.rmtree(path.parent)

    pending: set[str] = set()
    member = MemberFiles(tmp_path, Late(), host="n1", pid=7)
    leader = LeaderFiles(tmp_path, Disk(), 1)
    await member.hello(HELLO)
    pending |= {"hello", "report"}
    await member.hello(HELLO)
    assert await leader.members() == {member.name: HELLO}
    await member.report([OrderOver(term=1, order=1)])
    await member.hello(HELLO)
    await member.report([OrderOver(term=1, order=2)])
    assert await leader.reports() == [(member.name, OrderOver(term=1, order=2))]
    assert not pending


async def test_a_member_that_loses_the_state_directory_can_be_started_again(tmp_path: Path) -> None:
    disk = LostDisk()
    member = MemberFiles(tmp_path, disk, host="n1", pid=7)
    await member.hello(HELLO)
    disk.lost = True
    with pytest.raises(StateLost):
        await member.hello(HELLO)
    with pytest.raises(StateLost):
        await member.report([OrderOver(term=1, order=2)])


async def test_a_member_ends_with_the_folder_of_its_job(tmp_path: Path) -> None:
    job = tmp_path / "jobs" / "results"
    job.mkdir(parents=True)
    member = MemberFiles(job, Disk(), host="n1", pid=7)
    await member.hello(HELLO)
    shutil.rmtree(job)
    await member.report([OrderOver(term=1, order=2)])
    with pytest.raises(StateLost, match=r"the folder of this job is gone: .*/jobs/results"):
        await member.hello(HELLO)
    assert not job.exists()


async def test_a_hello_that_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    member = MemberFiles(tmp_path, Disk(), host="n1", pid=7)
    await member.hello(HELLO)
    (tmp_path / "team" / "odd").mkdir()
    (tmp_path / "team" / "odd" / "hello").write_bytes(b"{")
    (tmp_path / "team" / "file").write_bytes(b"")
    assert list(await in_thread(read_hellos, tmp_path, Disk())) == [member.name]


@pytest.mark.parametrize("held", [False, True])
async def test_only_the_leader_removes_what_a_member_left(tmp_path: Path, held: bool) -> None:
    member = MemberFiles(tmp_path, Disk(), host="n1", pid=7)
    await member.hello(HELLO)
    await LeaderFiles(tmp_path, Disk(), 1, lambda: held).forget(member.name)
    assert (tmp_path / FOLDER / member.name).exists() != held


async def test_a_report_that_cannot_be_read_now_hides_no_other_one(tmp_path: Path) -> None:
    class Stale(Disk):
        def read_from(self, path: Path, offset: int) -> bytes:
            with map_os_errors(path):
                if stale and path.parent.name == members[0].name:
                    raise OSError(errno.ESTALE, "Stale file handle")
            return super().read_from(path, offset)

    stale, disk = True, Disk()
    members = [MemberFiles(tmp_path, disk, host="n1", pid=pid) for pid in (7, 8)]
    leader, entry = LeaderFiles(tmp_path, Stale(), 1), OrderOver(term=1, order=1)
    for member in members:
        await member.hello(HELLO)
        await member.report([entry])
    assert await leader.reports() == [(members[1].name, entry)]
    stale = False
    assert await leader.reports() == [(members[0].name, entry)]


@pytest.mark.parametrize("lost", [False, True])
async def test_a_leader_that_was_suspended_removes_nothing_of_the_next_one(
    tmp_path: Path, no_blocking_calls: BlockBuster, lost: bool
) -> None:
    no_blocking_calls.deactivate()
    clock, disk = VirtualClock(), Disk()
    lock = JobLock(tmp_path, disk, clock)
    await lock.acquire()
    member = MemberFiles(tmp_path, disk, host="n1", pid=7)
    await member.hello(msgspec.structs.replace(HELLO, ended=True))
    other = MemberFiles(tmp_path, disk, host="n2", pid=8)
    await other.hello(HELLO)
    job: Any = SimpleNamespace(folder=tmp_path, disk=disk, lock=lock, clock=clock)
    async with JoinedTeam(may_lead=True).leading(job):
        if lost:
            leases = Leases(tmp_path, disk)
            found = leases.newest()
            assert found is not None
            assert found.lease is not None
            leases.claim(lock.term + 1, found.lease)
            await clock.sleep(60)
    assert (tmp_path / FOLDER / member.name).exists() == lost
    orders = await other.orders()
    assert (orders is None) == lost, "the job of the next leader has not ended"
