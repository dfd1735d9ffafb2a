"""What the leader knows of its members: who is gone, whom it forgets, and who is too slow for its orders."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from unittest.mock import Mock

import msgspec
import pytest

from tests.fakes.clock import VirtualClock
from uploader._version import __version__
from uploader.cluster.messages import Hello, Orders, Speed
from uploader.cluster.roster import SILENT, UNREADABLE, MemberView, Roster
from uploader.figshare.models import Part

TERM = 3


@pytest.fixture
def seen() -> MemberView:
    """A member with four connections that got ten parts of 100 bytes at the time 0."""
    found = MemberView(hello=Hello(host="n1", machine="m", pid=7, version="1"), changed=0.0, alive=True, read=0.0)
    found.connections = 4
    parts = [Part(no=n, start=100 * n, end=100 * n + 99) for n in range(10)]
    sending = Mock(contested=False, upload_url="u", transfer=Mock(path="/a", size=1000, mtime_ns=1))
    found.give(1, sending, 5, parts, whole=False, now=0.0)
    found.orders = found.next_orders()
    return found


def test_a_speed_that_falls_counts_after_some_time_only(seen: MemberView) -> None:
    seen.note_speed(Speed(term=TERM, rate=50.0, in_flight=0), 10.0)
    seen.note_speed(Speed(term=TERM, rate=1.0, in_flight=0), 20.0)
    assert seen.load_at_peak_rate(25.0).rate == 50.0
    assert seen.load_at_peak_rate(31.0).rate == 1.0


def test_a_member_that_is_not_heard_of_has_not_sent_everything(seen: MemberView) -> None:
    seen.note_speed(Speed(term=TERM, rate=50.0, in_flight=0), 10.0)
    rate = seen.load_at_peak_rate(10.0 + 20.0 + 60.0).rate
    assert rate is not None
    assert rate <= 10.0
    assert MemberView(hello=seen.hello, changed=0.0, alive=True, read=0.0).load_at_peak_rate(900.0).rate is None


@pytest.mark.parametrize(("now", "withdrawn", "abort"), [(4.0, False, False), (10.0, True, False), (70.0, True, True)])
def test_what_it_got_only_now_is_not_withdrawn(seen: MemberView, now: float, withdrawn: bool, abort: bool) -> None:
    seen.withdraw(abort=True, now=now)
    orders = seen.next_orders()
    assert orders == Orders(
        seq=1 + withdrawn, orders=() if withdrawn else seen.orders.orders, connections=4, abort=abort
    )


def test_what_is_in_flight_is_aborted_for_withdrawn_orders_only(seen: MemberView) -> None:
    seen.withdraw(abort=True, now=70.0)
    seen.orders = seen.next_orders()
    assert seen.orders.abort
    seen.given.clear()
    assert not seen.next_orders().abort


def test_an_order_that_was_withdrawn_before_it_was_read(seen: MemberView) -> None:
    (given,) = seen.given.values()
    assert not seen.missed(given, TERM)
    seen.withdraw(abort=False, now=10.0)
    seen.orders = seen.next_orders()
    for term, seq, missed in ((TERM, 0, False), (TERM, 1, False), (TERM - 1, 2, False), (TERM, 2, True)):
        seen.hello = msgspec.structs.replace(seen.hello, term=term, seq=seq)
        assert seen.missed(given, TERM) == missed
    given.returned = True
    assert not seen.missed(given, TERM)


class Wire:
    """A member, and how much of its report can be read."""

    def __init__(self) -> None:
        self.hello = Hello(host="n1", machine="m", pid=7, version=__version__)
        self.read = 0
        self.forgotten = False

    async def members(self) -> Mapping[str, Hello]:
        return {} if self.forgotten else {"a": self.hello}

    def reported(self, member: str) -> int:
        return self.read

    async def forget(self, member: str) -> None:
        self.forgotten = True

    def change(self, **changes: Any) -> None:
        self.hello = msgspec.structs.replace(self.hello, beat=self.hello.beat + 1, **changes)


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def roster(wire: Wire, clock: VirtualClock) -> Roster:
    return Roster(wire, TERM, clock)  # type: ignore[arg-type]


async def look(roster: Roster) -> tuple[bool, bool]:
    """Look; return whether the member may get orders, and whether it is gone."""
    await roster.look(Mock())
    gone = roster.is_gone("a")
    return "a" in roster.active(), gone


@pytest.mark.anyio
async def test_a_member_is_gone_once_its_report_was_read_to_the_end_or_it_is_silent(
    roster: Roster, wire: Wire, clock: VirtualClock
) -> None:
    await look(roster)
    wire.change()
    assert await look(roster) == (True, False)
    clock.suspend(SILENT + 1)
    assert await look(roster) == (False, True)
    wire.change(ended=True, reported=10)
    assert await look(roster) == (False, False)
    wire.read = 10
    assert await look(roster) == (False, True)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("pid", "version", "text"),
    [
        (7, "0.9", f"process 7 on n1 runs figup 0.9, not {__version__}"),
        (
            0,
            "in an unknown version, or not at all",
            f"a worker on n1 runs figup in an unknown version, or not at all, not {__version__}",
        ),
        (0, "", "a worker on n1 cannot be asked for its version of figup"),
    ],
)
async def test_a_member_of_another_version_is_named(
    roster: Roster, wire: Wire, pid: int, version: str, text: str
) -> None:
    wire.change(pid=pid, version=version)
    run = Mock()
    await roster.look(run)
    (warned,) = (call.args[0] for call in run.notify.call_args_list)
    assert warned.message == f"{text}: it gets nothing to send"


@pytest.mark.anyio
async def test_a_look_that_takes_long_makes_no_member_silent(clock: VirtualClock) -> None:
    """Such as one that waits for a worker which cannot be reached."""

    class SlowWire(Wire):
        async def members(self) -> Mapping[str, Hello]:
            clock.suspend(SILENT + 1)
            return await super().members()

    slow = SlowWire()
    roster = Roster(slow, TERM, clock)  # type: ignore[arg-type]
    await look(roster)
    slow.change()
    assert await look(roster) == (True, False)


@pytest.mark.anyio
async def test_after_a_suspension_of_the_leader_members_that_work_are_not_gone(
    roster: Roster, wire: Wire, clock: VirtualClock
) -> None:
    for _ in range(3):
        clock.suspend(10 * UNREADABLE)
        wire.change()
        state = await look(roster)
    assert state == (True, False)


@pytest.mark.anyio
@pytest.mark.parametrize("needed", [False, True])
async def test_members_that_have_ended_are_forgotten(
    roster: Roster, wire: Wire, clock: VirtualClock, needed: bool
) -> None:
    await look(roster)
    wire.change(ended=True, reported=10)
    await look(roster)
    assert await roster.forget_ended() == []
    wire.read = 10
    roster.needed |= {"a"} if needed else set()
    assert await roster.forget_ended() == ([] if needed else ["a"])
    assert wire.forgotten != needed


@pytest.mark.anyio
async def test_a_member_that_showed_no_sign_of_life_since_the_leader_began_is_forgotten(
    roster: Roster, wire: Wire, clock: VirtualClock
) -> None:
    await look(roster)
    clock.suspend(UNREADABLE + 1)
    assert await look(roster) == (False, False)
    assert await roster.forget_ended() == ["a"]


@pytest.mark.anyio
async def test_a_member_with_a_damaged_report_begins_anew_once_it_knows_that_it_has_no_orders(
    roster: Roster, wire: Wire, clock: VirtualClock
) -> None:
    await look(roster)
    wire.change(reported=10)
    await look(roster)
    roster.seen["a"].orders = Orders(seq=5)
    for _ in range(3):
        clock.suspend(UNREADABLE / 3 + 1)
        wire.change(term=TERM, seq=4)
        state = await look(roster)
        assert await roster.forget_ended() == []
    assert state == (False, True)
    wire.change(seq=5)
    await look(roster)
    assert await roster.forget_ended() == ["a"]
    wire.forgotten = False
    wire.change(reported=0)
    assert await look(roster) == (True, False)
    assert roster.seen["a"].orders.seq == 5, "else it would take the next orders for those that it knows"
