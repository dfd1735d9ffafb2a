"""What the leader knows of a member that has become too slow for its orders."""

from __future__ import annotations

from unittest.mock import Mock

import msgspec
import pytest

from uploader.cluster.messages import Hello, Orders, Speed
from uploader.cluster.roster import MemberView
from uploader.figshare.models import Part

TERM = 3


@pytest.fixture
def seen() -> MemberView:
    """A member with four connections that got ten parts of 100 bytes at the time 0."""
    found = MemberView(hello=Hello(host="n1", machine="m", pid=7, version="1"), changed=0.0, alive=True)
    found.connections = 4
    parts = [Part(no=n, start=100 * n, end=100 * n + 99) for n in range(10)]
    sending = Mock(contested=False, upload_url="u", transfer=Mock(path="/a", size=1000, mtime_ns=1))
    found.give(1, sending, 5, parts, whole=False, now=0.0)
    found.orders = found.next_orders()
    return found


def test_a_speed_that_falls_counts_after_some_time_only(seen: MemberView) -> None:
    seen.note_speed(Speed(term=TERM, rate=50.0, in_flight=0), 10.0)
    seen.note_speed(Speed(term=TERM, rate=1.0, in_flight=0), 20.0)
    assert seen.load_at_best(25.0).rate == 50.0
    assert seen.load_at_best(31.0).rate == 1.0


def test_a_member_that_is_not_heard_of_has_not_sent_everything(seen: MemberView) -> None:
    seen.note_speed(Speed(term=TERM, rate=50.0, in_flight=0), 10.0)
    rate = seen.load_at_best(10.0 + 20.0 + 60.0).rate
    assert rate is not None
    assert rate <= 10.0
    assert MemberView(hello=seen.hello, changed=0.0, alive=True).load_at_best(900.0).rate is None


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
