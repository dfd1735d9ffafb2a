"""Which file is started next, and which part is sent next."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from uploader.errors import RequestRejected
from uploader.figshare.models import Part
from uploader.sources.digest import DETACH
from uploader.transfer.journal.events import Archive
from uploader.transfer.journal.lifecycle import Transfer
from uploader.transfer.parts.queue import SMALL, FileSend, PartQueue, _contiguous_runs
from uploader.transfer.parts.schedule import AHEAD, MAX_FILES, MIN_FILES, Schedule

pytestmark = pytest.mark.anyio
ANY: Any = None


def transfer(index: int, size: int) -> Transfer:
    return Transfer(index=index, source=f"/{index}", name=str(index), size=size, mtime_ns=1, inode=1)


def taken(schedule: Schedule) -> list[Transfer]:
    found = []
    while (one := schedule.next()) is not None:
        found.append(one)
    return found


def test_big_files_come_first() -> None:
    sizes = [5, 100, 20, 70]
    assert [t.size for t in taken(Schedule(transfer(i, s) for i, s in enumerate(sizes)))] == [100, 70, 20, 5]


def test_small_files_start_beside_big_ones_that_fill_the_line() -> None:
    big = [transfer(i, AHEAD) for i in range(20)]
    small = [transfer(100 + i, 1000 + i) for i in range(10)]
    schedule = Schedule([*big, *small])
    first = taken(schedule)
    assert [t.size for t in first] == [AHEAD] * MIN_FILES + [t.size for t in small]
    assert taken(schedule) == []
    schedule.sent(first[0])
    assert [t.size for t in taken(schedule)] == []
    for one in first:
        schedule.sent(one)
    assert [t.size for t in taken(schedule)] == [AHEAD] * MIN_FILES


def test_files_that_are_not_small_wait_until_the_line_is_free() -> None:
    schedule = Schedule(transfer(i, SMALL + 1) for i in range(1000))
    first = taken(schedule)
    assert len(first) == AHEAD // (SMALL + 1) + 1
    schedule.finish(first[0])
    assert len(taken(schedule)) == 1


def test_files_are_run_with_limited_concurrency() -> None:
    schedule = Schedule(transfer(i, 1) for i in range(3 * MAX_FILES))
    seen: set[int] = set()
    while batch := taken(schedule):
        assert len(batch) <= MAX_FILES
        seen |= {t.index for t in batch}
        for one in batch:
            schedule.sent(one)
        assert schedule.next() is None or len(batch) < MAX_FILES
        for one in batch:
            schedule.finish(one)
    assert len(seen) == 3 * MAX_FILES
    assert not schedule.left


def sending(index: int, size: int, parts: int) -> FileSend:
    return FileSend(
        transfer(index, size),
        ANY,
        "",
        ANY,
        [Part(no=n, start=n, end=n, complete=False, locked=False) for n in range(1, parts + 1)],
    )


async def next_part(queue: PartQueue) -> tuple[FileSend, Part]:
    while (taken := queue.take()) is None:
        await queue.wait()
    return taken


async def test_small_files_go_before_big_ones_and_otherwise_in_turn() -> None:
    queue = PartQueue()
    for one in (sending(0, SMALL + 1, 2), sending(1, SMALL + 1, 1), sending(2, 1, 1)):
        queue.offer(one)
    order = []
    for _ in range(4):
        file, part = await next_part(queue)
        order.append((file.transfer.index, part.no))
    assert order == [(2, 1), (0, 1), (0, 2), (1, 1)]


async def test_a_worker_waits_for_a_part_and_a_driver_until_all_are_over() -> None:
    queue, file = PartQueue(), sending(0, 1, 2)
    done: list[str] = []

    async def work() -> None:
        for _ in range(2):
            taken_from, part = await next_part(queue)
            done.append(f"part {part.no}")
            await anyio.lowlevel.checkpoint()
            taken_from.done()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(work)
        await anyio.wait_all_tasks_blocked()
        queue.offer(file)
        await file.drain()
        done.append("settled")
    assert done == ["part 1", "part 2", "settled"]


async def test_a_failure_ends_the_other_parts_and_keeps_back_the_rest() -> None:
    queue, file = PartQueue(), sending(0, 1, 3)
    queue.offer(file)
    ended: list[int] = []

    async def work(fails: bool) -> None:
        taken_from, part = await next_part(queue)
        with taken_from.in_flight():
            try:
                if fails:
                    raise RequestRejected("no")
                await anyio.sleep_forever()
            finally:
                ended.append(part.no)
        taken_from.done()

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(work, False)
            await anyio.wait_all_tasks_blocked()
            tasks.start_soon(work, True)
            await file.drain()
    assert sorted(ended) == [1, 2]
    assert isinstance(file.error, RequestRejected)
    assert file.take() is None


def test_contiguous_runs_are_identified_by_their_start() -> None:
    def part(no: int) -> Part:
        return Part(no=no, start=10 * (no - 1), end=10 * no - 1, complete=False, locked=False)

    assert _contiguous_runs([part(7), part(2), part(3), part(6)]) == [10, 50]
    assert _contiguous_runs([part(1)]) == [0]


class Digest:
    """A digest that reads when the test says so."""

    def __init__(self) -> None:
        self.position = self.advanced = 0
        self._moved = anyio.Event()

    def advance(self, offset: int) -> None:
        self.advanced = offset

    def read_to(self, position: int) -> None:
        self.position = position
        self._moved.set()

    async def wait_for_position(self, position: int) -> None:
        while self.position < position:
            self._moved = anyio.Event()
            await self._moved.wait()


async def test_parts_of_an_archive_wait_for_what_they_depend_on() -> None:
    digest: Any = Digest()
    source: Any = SimpleNamespace(
        depends_on=lambda start, stop: {0: 0, 1: 1, 2: 3, 3: 0, 4: 2 * DETACH, 5: 2 * DETACH}[start],
        reads_ahead=lambda start, stop: start == 5,
    )

    async def content() -> tuple[Any, Any]:
        return source, digest

    archive = transfer(1, 6)
    archive.archive = Archive(id="a", format="zip", members=9)
    parts = [Part(no=n + 1, start=n, end=n, complete=False, locked=False) for n in range(6)]
    packed = FileSend(archive, ANY, "", content, parts)
    await packed.content()
    queue = PartQueue()
    queue.offer(packed)
    assert packed.waiting == ()  # none is handed to other processes

    def take() -> int | None:
        taken = queue.take()
        return taken[1].no if taken is not None else None

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(packed.read_ahead, queue)
        await anyio.wait_all_tasks_blocked()
        assert digest.advanced == 0  # parts are left that need not wait
        assert [take(), take(), take(), take()] == [1, 4, 6, None]
        await anyio.wait_all_tasks_blocked()
        assert (digest.advanced, queue.empty) == (1, True)
        digest.read_to(1)
        await anyio.wait_all_tasks_blocked()
        assert [take(), take()] == [2, None]
        await anyio.wait_all_tasks_blocked()
        assert digest.advanced == 3
        digest.read_to(2 * DETACH)
        assert [take(), take(), take()] == [3, 5, None]
