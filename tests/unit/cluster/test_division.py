"""Who gets what: everything once, in contiguous runs, in proportion to speed, and never more than the limits."""

from __future__ import annotations

import itertools
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from uploader.cluster.division import (
    Amount,
    Division,
    Load,
    RateMeter,
    Waiting,
    amount_for,
    late_takers,
    shares_of,
)
from uploader.cluster.limits import AccountLimits, Allotment, equal_shares, rate_shares
from uploader.cluster.roster import MemberView
from uploader.figshare.models import Part

NAMES = ("a", "b", "c", "d")


def parts_of(sizes: list[int]) -> list[Part]:
    ends = list(itertools.accumulate(sizes))
    return [Part(no=n, start=end - size, end=end - 1) for n, (end, size) in enumerate(zip(ends, sizes, strict=True), 1)]


class Rest:
    """Files of which parts are taken, as the queue of a leader has them."""

    def __init__(self, files: list[tuple[list[int], bool]]) -> None:
        self.parts = {key: parts_of(sizes) for key, (sizes, _) in enumerate(files)}
        self.whole = {key: whole for key, (_, whole) in enumerate(files)}

    @property
    def files(self) -> list[Waiting]:
        return [Waiting(key=k, parts=parts, whole=self.whole[k]) for k, parts in self.parts.items() if parts]

    def take(self, chosen: list[tuple[int, list[Part]]]) -> None:
        for key, taken in chosen:
            assert taken
            assert all(part in self.parts[key] for part in taken)
            self.parts[key] = [part for part in self.parts[key] if part not in taken]


files = st.lists(
    st.tuples(st.lists(st.integers(1, 100), min_size=1, max_size=40), st.booleans()), min_size=1, max_size=8
)
amounts = st.builds(lambda parts, size: Amount(parts=parts, size=size), st.integers(0, 9), st.integers(0, 500))
shares = st.one_of(st.none(), st.integers(1, 6).flatmap(lambda n: st.tuples(st.integers(0, n - 1), st.just(n))))


@pytest.mark.search
@given(files, st.lists(st.tuples(st.sampled_from(NAMES), amounts, shares), max_size=60))
def test_every_part_is_given_once_and_no_more_than_asked_for(
    files: list[tuple[list[int], bool]], requests: list[tuple[str, Amount, tuple[int, int] | None]]
) -> None:
    rest, division = Rest(files), Division()
    for taker, amount, share in requests:
        chosen = division.take(taker, rest.files, amount, share)
        rest.take(chosen)
        left = sum(len(file.parts) for file in rest.files)
        given_parts = sum(len(taken) for _, taken in chosen)
        given_size = sum(part.size for _, taken in chosen for part in taken)
        assert left == 0 or given_parts >= min(amount.parts, 64) or any(rest.whole[key] for key, _ in chosen)
        for key, _ in chosen:
            assert not rest.whole[key] or not rest.parts[key], "a small file is given as a whole"
        # The last part, or file, may exceed what was asked for.
        last = sum(part.size for part in chosen[-1][1]) if chosen else 0
        assert given_size - last < max(amount.size, 1) or given_parts - len(chosen[-1][1]) < max(amount.parts, 1)


def test_a_taker_continues_where_it_is_and_others_begin_in_the_middle_of_the_largest_rest() -> None:
    rest, division = Rest([([10] * 100, False)]), Division()
    first = division.take("a", rest.files, Amount(parts=5, size=0))
    rest.take(first)
    # The caller itself takes from the front, so that a begins in the middle.
    assert [part.no for part in first[0][1]] == [51, 52, 53, 54, 55]
    second = division.take("b", rest.files, Amount(parts=2, size=0))
    rest.take(second)
    assert [part.no for part in second[0][1]] == [26, 27]
    again = division.take("a", rest.files, Amount(parts=3, size=0))
    assert [part.no for part in again[0][1]] == [56, 57, 58]


def test_a_share_says_where_a_taker_begins() -> None:
    for share, first in (((0, 4), 1), ((1, 4), 26), ((3, 4), 76)):
        ((_, taken),) = Division().take("a", Rest([([10] * 100, False)]).files, Amount(parts=1, size=0), share)
        assert taken[0].no == first


def _simulate(speeds: list[float], parts: int, size: int) -> tuple[float, float]:
    """Send one file by takers of these speeds that are looked at every 2 s; seconds taken, and seconds at best."""
    rest, division = Rest([([size] * parts, False)]), Division()
    meters = {str(number): RateMeter() for number in range(len(speeds))}
    queues: dict[str, list[Part]] = {name: [] for name in meters}
    done, sent = dict.fromkeys(meters, 0.0), dict.fromkeys(meters, 0)
    now, ended = 0.0, 0.0
    while rest.files or any(queues.values()):
        now += 2.0
        for (name, queue), speed in zip(queues.items(), speeds, strict=True):
            meters[name].observe(sent[name], now - 2.0, busy=bool(queue))
            done[name] += 2.0 * speed if queue else 0.0
            while queue and done[name] >= queue[0].size:
                part = queue.pop(0)
                done[name] -= part.size
                sent[name] += part.size
                ended = now
            done[name] = done[name] if queue else 0.0
        loads = {
            name: Load(connections=2, rate=meters[name].rate, parts=len(queue), size=sum(p.size for p in queue))
            for name, queue in queues.items()
        }
        planned, _ = shares_of(rest.files, loads)
        for name, load in loads.items():
            amount = amount_for(load, planned[name])
            if rest.files and (amount.parts or amount.size):
                chosen = division.take(name, rest.files, amount)
                rest.take(chosen)
                queues[name] += [part for _, taken in chosen for part in taken]
    return ended, parts * size / sum(speeds)


@pytest.mark.search
@settings(max_examples=15)
@given(st.lists(st.integers(5, 60), min_size=1, max_size=6))
def test_takers_of_any_speeds_end_at_about_the_same_time(speeds: list[int]) -> None:
    took, best = _simulate([float(speed) for speed in speeds], parts=1500, size=20)
    # The slowest one has two parts at the end, and everything is seen every 2 s.
    assert took <= best * 1.05 + 2 * 20 / min(speeds) + 8


@given(
    st.floats(1, 1000),
    st.lists(
        st.one_of(
            st.tuples(st.just("divide"), st.dictionaries(st.sampled_from(NAMES), st.floats(0.01, 1), min_size=1)),
            st.tuples(st.sampled_from(["confirm", "drop"]), st.sampled_from(NAMES)),
        ),
        max_size=40,
    ),
)
def test_no_more_than_the_whole_limit_is_ever_in_use(total: float, steps: list[tuple[str, object]]) -> None:
    allotment, used = Allotment(total), dict.fromkeys(NAMES, 0.0)
    given_now: dict[str, float] = {}
    for step, what in steps:
        if step == "divide":
            assert isinstance(what, dict)
            wanted = {name: total * share / sum(what.values()) for name, share in what.items()}
            given_now.update(allotment.divide(wanted))
            # A member may still use what it had; the new share at most from now on.
            used = {name: max(used[name], given_now.get(name, 0.0)) for name in NAMES}
        elif step == "confirm":
            allotment.confirm(str(what))
            used[str(what)] = given_now.get(str(what), 0.0)
        else:
            allotment.drop(str(what))
            given_now.pop(str(what), None)
            used[str(what)] = 0.0
        assert sum(used.values()) <= total * 1.000001


def test_a_lowered_share_is_given_to_others_once_it_is_confirmed() -> None:
    allotment = Allotment(32)
    assert allotment.divide({"a": 32}) == {"a": 32}
    assert allotment.divide({"a": 16, "b": 16}) == {"a": 16, "b": 0}
    allotment.confirm("a")
    assert allotment.divide({"a": 16, "b": 16}) == {"a": 16, "b": 16}


def test_what_a_taker_with_a_lowered_share_does_not_use_is_given_to_others_at_once() -> None:
    allotment = Allotment(32)
    allotment.divide({"a": 32})
    allotment.divide({"a": 16, "b": 16})
    allotment.uses("a", 20)
    assert allotment.divide({"a": 16, "b": 16}) == {"a": 16, "b": 12}
    allotment.uses("a", 3)
    assert allotment.divide({"a": 16, "b": 16}) == {"a": 16, "b": 16}


@given(st.integers(1, 32), st.integers(1, 50))
def test_connections_are_divided_equally(total: int, takers: int) -> None:
    found = equal_shares(total, [str(number) for number in range(takers)])
    assert sum(found.values()) == total
    assert max(found.values()) - min(found.values()) <= 1


@given(st.floats(1, 1e9), st.dictionaries(st.sampled_from(NAMES), st.one_of(st.none(), st.floats(0, 1e9)), min_size=1))
def test_the_whole_rate_is_divided(total: float, rates: dict[str, float | None]) -> None:
    found = rate_shares(total, rates)
    assert found.keys() == rates.keys()
    assert abs(sum(found.values()) - total) <= total * 1e-6
    assert min(found.values()) > 0


def test_what_a_slow_taker_does_not_need_goes_to_the_others() -> None:
    found = rate_shares(100.0, {"slow": 10.0, "fast": 50.0, "new": None})
    assert found["slow"] == 100 / 6
    assert found["fast"] == found["new"] == (100 - 100 / 6) / 2


def test_time_without_work_is_not_measured() -> None:
    meter = RateMeter()
    meter.observe(0, 0.0, busy=True)
    meter.observe(100, 10.0, busy=True)
    meter.observe(100, 11.0, busy=False)
    meter.observe(100, 500.0, busy=True)
    meter.observe(200, 510.0, busy=True)
    assert meter.rate == 10.0


sizes = st.lists(st.integers(1, 100), min_size=1, max_size=12)
loads = st.dictionaries(
    st.sampled_from(NAMES),
    st.builds(
        lambda rate, size: Load(connections=2, rate=rate, size=size),
        st.one_of(st.none(), st.floats(5, 100)),
        st.floats(0, 300),
    ),
    min_size=1,
)


@given(st.lists(st.tuples(sizes, st.booleans()), max_size=4), loads)
def test_all_that_waits_is_planned_and_nobody_would_have_sent_it_earlier(
    files: list[tuple[list[int], bool]], loads: dict[str, Load]
) -> None:
    waiting = Rest(files).files
    planned, exact = shares_of(waiting, loads)
    if not exact:
        rates = [load.rate or 0.0 for load in loads.values()]
        assert any(rates)
        assert sum(file.size for file in waiting) > 20 * sum(rates)
        return
    assert sum(amount.size for amount in planned.values()) == sum(file.size for file in waiting)
    assert sum(amount.parts for amount in planned.values()) == sum(len(file.parts) for file in waiting)
    known = [load.rate for load in loads.values() if load.rate]
    rates_of = {name: load.rate or (sum(known) / len(known) if known else 1.0) for name, load in loads.items()}
    most = max((file.size if file.whole else max(part.size for part in file.parts) for file in waiting), default=0)
    for name, amount in planned.items():
        for other in planned if amount.parts else ():
            end, earlier = ((loads[n].size + planned[n].size) / rates_of[n] for n in (name, other))
            assert end <= earlier + most / rates_of[other] + 1e-6, "its last part would have ended earlier elsewhere"


def test_the_last_parts_are_given_late() -> None:
    rest = Amount(parts=3, size=30.0)
    busy = Load(connections=4, rate=10.0, parts=4, size=40.0)
    assert amount_for(busy, rest) == Amount(parts=0, size=0.0), "it has four seconds of work"
    assert amount_for(Load(connections=4, rate=10.0, parts=2, size=15.0), rest) == Amount(parts=2, size=7.5)
    assert amount_for(Load(connections=4, rate=10.0), Amount(parts=0, size=0)) == Amount(parts=0, size=0)


def test_a_taker_of_unknown_speed_gets_parts_that_wait_for_its_connections() -> None:
    rest = Amount(parts=9, size=90.0)
    assert amount_for(Load(connections=2), rest) == Amount(parts=4, size=0)
    assert amount_for(Load(connections=2, parts=3, size=30.0), rest) == Amount(parts=1, size=0)


def test_members_begin_with_few_connections_while_others_may_come() -> None:
    limits, senders = AccountLimits(), Mock(in_use=8)
    run: Any = SimpleNamespace(options=SimpleNamespace(connections=None), throttle=SimpleNamespace(rate=None))
    members = {name: MemberView(hello=Mock(), changed=0.0, alive=True, read=0.0) for name in "ab"}

    def connections(*, growing: bool) -> list[int]:
        limits.divide(run, senders, members, None, growing=growing)
        return [seen.connections for seen in members.values()]

    assert connections(growing=True) == [2, 2]
    assert connections(growing=False) == [11, 10]
    members["c"] = MemberView(hello=Mock(), changed=0.0, alive=True, read=0.0)
    assert connections(growing=True) == [8, 8, 2], "no share is lowered for those who may come"


def test_a_taker_that_uses_less_keeps_what_it_is_given() -> None:
    allotment = Allotment(32)
    allotment.divide({"a": 16, "b": 16})
    allotment.uses("a", 3)
    assert allotment.divide({"b": 29, "a": 16}) == {"b": 16, "a": 16}


def test_takers_that_are_too_slow_for_what_they_have() -> None:
    waiting = [Waiting(key=1, parts=parts_of([100] * 10), whole=False)]
    fast = Load(connections=4, rate=100.0, parts=4, size=400)
    assert late_takers(waiting, {"a": fast, "b": fast}) == {}
    for rate, late in ((40.0, {}), (15.0, {"b": False}), (1.0, {"b": True})):
        assert late_takers(waiting, {"a": fast, "b": replace(fast, rate=rate)}) == late
    assert late_takers(waiting * 50, {"a": fast, "b": replace(fast, rate=4.0)}) == {}, "there is time"
    assert late_takers(waiting, {"a": fast, "b": replace(fast, rate=None)}) == {}
