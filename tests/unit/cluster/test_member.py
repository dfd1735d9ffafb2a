"""A member alone: when it looks for orders, and which parts it sends while it cannot."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import cast
from unittest.mock import Mock

import anyio.to_thread
import pytest
from blockbuster import BlockBuster

from tests.fakes.clock import VirtualClock, run_inline
from uploader.cluster.assignment import Assignment
from uploader.cluster.member import KNOWN, POLL, POLL_SOON, SOON, MemberRole
from uploader.cluster.messages import End, Entry, Hello, Order, Orders, Secret
from uploader.cluster.wire import SETTLE, LeaderSign, MemberWire
from uploader.errors import StateUnusable
from uploader.figshare.models import Part, Upload
from uploader.figshare.settings import RetryPolicy
from uploader.sources.source import Source
from uploader.transfer.parts import senders
from uploader.transfer.run.service import PartService
from uploader.transfer.run.stop import Stop

pytestmark = pytest.mark.anyio

SIZE, PARTS, DURATION = 10, 8, 2.0


class Uploads:
    """An upload service with one upload, each part of which takes DURATION seconds."""

    answered = 0.0

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self.complete: set[int] = set()
        self.asked: list[int] = []
        self.sent: list[int] = []
        self.resent: list[int] = []

    def _part(self, no: int) -> Part:
        return Part(no=no, start=(no - 1) * SIZE, end=no * SIZE - 1, complete=no in self.complete)

    async def upload(self, _: str) -> Upload:
        parts = tuple(self._part(no + 1) for no in range(PARTS))
        return Upload(token="t", status="pending", size=PARTS * SIZE, parts=parts)

    async def part(self, _: str, no: int) -> Part:
        self.asked.append(no)
        return self._part(no)

    async def send_part(
        self,
        _: str,
        part: Part,
        chunks: Callable[[], AsyncIterator[bytes | memoryview]],
        *,
        on_accepted: Callable[[int], None],
        fresh_connection: bool = False,
    ) -> None:
        (self.resent if part.no in self.complete else self.sent).append(part.no)
        async for chunk in chunks():
            on_accepted(len(chunk))
        await self._clock.sleep(DURATION)
        self.complete.add(part.no)


class Wire:
    """A wire with these orders of the leader of term 1. The one of `term` lives. `broken`: nothing can be read."""

    name = "m"

    def __init__(self, clock: VirtualClock, orders: Orders) -> None:
        self._clock = clock
        self.current = orders
        self.broken = False
        self.term = 1

    async def hello(self, _: Hello) -> None: ...
    async def report(self, _: list[Entry]) -> None: ...

    async def orders(self) -> tuple[int, Orders]:
        if self.broken:
            raise StateUnusable("Stale file handle")
        return 1, self.current

    async def leader(self) -> LeaderSign:
        return LeaderSign(term=self.term, content=str(self._clock.monotonic() // 5).encode(), ended=False)


class Case:
    """A member with an order for all parts of a file, and one connection. Its source opens once it `answers`."""

    def __init__(self, folder: Path) -> None:
        self.answers = anyio.Event()
        source = folder / "source"
        source.write_bytes(os.urandom(PARTS * SIZE))
        found = source.stat()
        order = Order(
            id=1,
            file_id=5,
            path=str(source),
            size=found.st_size,
            mtime_ns=found.st_mtime_ns,
            upload=Secret("u"),
            parts=tuple((no, (no - 1) * SIZE, no * SIZE - 1) for no in range(1, PARTS + 1)),
        )
        self.clock = VirtualClock()
        self.uploads = Uploads(self.clock)
        self.wire = Wire(self.clock, Orders(seq=1, orders=(order,), connections=1))
        self.role = MemberRole(
            cast("MemberWire", self.wire),
            Hello(host="n1", machine="m", pid=7, version="1"),
            api=cast("PartService", self.uploads),
            stop=Stop(),
            clock=self.clock,
            retry=RetryPolicy(),
            notify=lambda _: None,
            grace=1.0,
        )


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_blocking_calls: BlockBuster) -> Case:
    no_blocking_calls.deactivate()
    found = Case(tmp_path)

    async def run(call: Callable[..., object], *args: object, **_: object) -> object:
        if call is Source:
            await found.answers.wait()
        return await run_inline(call, *args)

    monkeypatch.setattr(anyio.to_thread, "run_sync", run)
    monkeypatch.setattr(senders, "WORKERS", 4)
    return found


async def test_a_member_that_cannot_read_its_orders_asks_before_it_sends_a_part(case: Case) -> None:
    """The next leader sends some of its parts meanwhile."""
    case.answers.set()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(case.role.work)
        await case.clock.sleep(1.5 * DURATION)
        assert case.uploads.sent
        assert not case.uploads.asked
        case.wire.broken = True
        await case.clock.sleep(POLL + SETTLE)
        case.uploads.complete |= {6, 7, 8}
        await case.clock.sleep(KNOWN)
        tasks.cancel_scope.cancel()
    assert {6, 7, 8} <= set(case.uploads.asked)
    assert not case.uploads.resent


@pytest.mark.parametrize("is_withdrawn", [True, False])
async def test_a_part_taken_before_the_storage_hung_is_asked_for(case: Case, is_withdrawn: bool) -> None:
    """Source and state directory do not answer until the leader has sent the part itself."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(case.role.work)
        await case.clock.sleep(POLL)
        case.wire.broken = True
        await case.clock.sleep(2 * KNOWN)
        case.uploads.complete.add(1)
        case.answers.set()
        await case.clock.sleep(DURATION)
        assert (case.uploads.sent, case.uploads.asked) == ([], [])
        case.wire.broken = False
        if is_withdrawn:
            case.wire.current = Orders(seq=2, connections=1)
        await case.clock.sleep(PARTS * DURATION + 2 * POLL)
        tasks.cancel_scope.cancel()
    assert case.uploads.sent == ([] if is_withdrawn else [2, 3, 4, 5, 6, 7, 8])
    assert not case.uploads.resent


def order(number: int, *, digest: bool = True) -> Order:
    parts = ((1, 0, 0),)
    return Order(
        id=number, file_id=number, path="f", size=1, mtime_ns=1, upload=Secret("u"), parts=parts, digest=digest
    )


@pytest.mark.parametrize("term", [1, 2])
async def test_the_end_of_a_job_is_believed_only_if_its_leader_was_not_replaced(case: Case, term: int) -> None:
    end = End(exit_status=1, code="refused", message="no")
    case.answers.set()
    ended: list[End | None] = []

    async def work() -> None:
        ended.append(await case.role.work())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(work)
        await case.clock.sleep(POLL)
        case.wire.current, case.wire.term = Orders(seq=2, end=end), term
        await case.clock.sleep(PARTS * DURATION + 2 * POLL)
        tasks.cancel_scope.cancel()
    assert ended == ([end] if term == 1 else [])
    if term == 2:
        assert case.uploads.complete == set(range(1, PARTS + 1)), "its orders are followed to their end"


async def test_orders_are_looked_for_often_only_where_more_parts_may_come_soon(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def carry_out(_: Assignment) -> list[Entry]:
        return []

    monkeypatch.setattr(Assignment, "carry_out", carry_out)
    clock = VirtualClock()
    role = MemberRole(
        Mock(),
        Hello(host="n1", machine="m", pid=7, version="1"),
        api=Mock(),
        stop=Stop(),
        clock=clock,
        retry=RetryPolicy(),
        notify=lambda _: None,
        grace=1.0,
    )
    async with anyio.create_task_group() as tasks:
        assert role._pause() == POLL_SOON
        await clock.sleep(SOON)
        assert role._pause() == POLL
        role._follow(tasks, 1, Orders(seq=1, orders=(order(1),)))
        assert role._pause() == POLL
        role._follow(tasks, 1, Orders(seq=2, orders=(order(1), order(2), order(3))))
        assert role._pause() == POLL_SOON
        await clock.sleep(SOON)
        assert role._pause() == POLL
        role._follow(tasks, 1, Orders(seq=3, orders=(order(4, digest=False),)))
        assert role._pause() == POLL_SOON, "one part of a big file"
