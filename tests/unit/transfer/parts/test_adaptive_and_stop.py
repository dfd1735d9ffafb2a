"""How many connections, and how a run is stopped."""

from __future__ import annotations

import random
from collections.abc import Callable

import anyio
import pytest

from uploader.clock import Clock
from uploader.concurrency import Stopped
from uploader.transfer.options import MAX_CONNECTIONS
from uploader.transfer.parts.adaptive import START, AdaptiveConcurrency
from uploader.transfer.run.stop import Stop


def settle(pace: AdaptiveConcurrency, rate_at: Callable[[int], float], ticks: int = 60) -> int:
    """Return the number of connections after this many observations of a line with `rate_at(connections)`."""
    for _ in range(ticks):
        pace.observe(rate_at(pace.limit), pace.limit)
    return pace.limit


def test_it_climbs_to_the_ceiling_while_that_helps() -> None:
    assert settle(AdaptiveConcurrency(), lambda n: 1e6 * n, ticks=30) == MAX_CONNECTIONS


@pytest.mark.parametrize("enough", [1, 2, 4, 8, 12, 20])
@pytest.mark.parametrize("noise", [0.0, 0.05, 0.1])
def test_it_fills_the_line_and_stays_near_the_fewest_that_do(enough: int, noise: float) -> None:
    chance = random.Random(enough)
    pace = AdaptiveConcurrency()
    filled = 0.0
    for _ in range(600):
        filled += min(1.0, pace.limit / enough) / 600
        pace.observe(1e6 * min(pace.limit, enough) * (1 + chance.gauss(0, noise)), pace.limit)
    assert filled > 0.97
    assert (pace.best or 0) >= enough * 0.7
    if noise <= 0.05:
        assert (pace.best or 0) <= enough * 2 + 4


def test_the_last_parts_go_beside_the_others_and_not_after_them() -> None:
    pace = AdaptiveConcurrency(remembered=8)
    assert [pace.limit_for(waiting) for waiting in (0, 1, 4, 5, 100)] == [8, 9, 12, 8, 8]
    assert AdaptiveConcurrency(remembered=30).limit_for(9) == MAX_CONNECTIONS
    assert AdaptiveConcurrency(8).limit_for(1) == 8, "a number that was asked for is kept"
    pace.on_congestion()
    pace.on_congestion()
    assert pace.limit == 4
    assert pace.limit_for(1) == 4, "whoever asked for less gets less"


def test_it_halves_on_trouble_and_comes_back() -> None:
    pace = AdaptiveConcurrency()
    assert settle(pace, lambda n: 1e6 * n, ticks=30) == MAX_CONNECTIONS
    pace.on_congestion()
    assert pace.limit == MAX_CONNECTIONS
    pace.on_congestion()
    assert pace.limit == MAX_CONNECTIONS // 2
    assert settle(pace, lambda n: 1e6 * n, ticks=100) == MAX_CONNECTIONS


def test_trouble_on_many_connections_at_once_counts_once() -> None:
    pace = AdaptiveConcurrency()
    settle(pace, lambda n: 1e6 * n, ticks=30)
    for _ in range(MAX_CONNECTIONS):
        pace.on_congestion()
    assert pace.limit == MAX_CONNECTIONS // 2


def test_one_part_that_keeps_failing_does_not_delay_the_others() -> None:
    pace = AdaptiveConcurrency()
    for tick in range(200):
        pace.observe(1e6 * pace.limit, pace.limit)
        if tick % 10 == 0:
            pace.on_congestion()
    assert pace.limit == MAX_CONNECTIONS


def test_congestion_counts_however_long_ago_the_last_probe_was() -> None:
    pace = AdaptiveConcurrency()
    settle(pace, lambda n: 1e6 * min(n, 8), ticks=2000)
    before = pace.limit
    pace.on_congestion()
    pace.on_congestion()
    assert pace.limit == before // 2


def test_it_begins_with_what_worked() -> None:
    pace = AdaptiveConcurrency()
    settle(pace, lambda n: 1e6 * min(n, 20))
    assert pace.best is not None
    assert AdaptiveConcurrency(remembered=pace.best).limit == pace.best
    assert AdaptiveConcurrency(remembered=10**9).limit == MAX_CONNECTIONS
    assert AdaptiveConcurrency(remembered=-5).limit == 1


def test_congestion_never_reduces_the_limit_to_zero() -> None:
    pace = AdaptiveConcurrency(1)
    for _ in range(50):
        pace.on_congestion()
        pace.observe(1.0, 1)
    assert pace.limit == 1


def test_a_fixed_number_is_kept() -> None:
    pace = AdaptiveConcurrency(6)
    assert settle(pace, lambda n: 1e6 * n) == 6
    pace.on_congestion()
    pace.on_congestion()
    assert pace.limit == 3
    assert settle(pace, lambda n: 1e6 * n) == 6


def test_idle_connections_say_nothing_about_the_line() -> None:
    pace = AdaptiveConcurrency()
    for _ in range(50):
        pace.observe(0.0, 1)
    assert pace.limit == START
    assert pace.best is None


@pytest.mark.anyio
async def test_a_stop_request_ends_current_and_later_waits() -> None:
    stop = Stop()
    ended: list[str] = []

    async def wait() -> None:
        try:
            with stop.interruptible():
                await anyio.sleep_forever()
        except Stopped:
            ended.append("wait")

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            stop.request()
        with pytest.raises(Stopped), stop.interruptible():
            await anyio.sleep_forever()
    assert ended == ["wait"]


@pytest.mark.anyio
async def test_cancellation_by_the_host_is_not_a_stop_request() -> None:
    stop = Stop()
    with anyio.move_on_after(0) as scope, stop.interruptible():
        await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert not stop.requested


@pytest.mark.anyio
async def test_the_grace_period_ends_after_its_time_or_when_forced() -> None:
    stop = Stop()
    with anyio.fail_after(5):
        stop.request()
        await stop.expired(0.01, Clock())
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stop.expired, 3600, Clock())
            await anyio.wait_all_tasks_blocked()
            stop.force()
