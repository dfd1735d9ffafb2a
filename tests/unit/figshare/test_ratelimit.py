"""The token bucket: rate, order, debt, pauses, cancellation."""

from __future__ import annotations

import math

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.figshare.service import FakeClock, GatedClock
from uploader.figshare.ratelimit import TokenBucket


async def test_after_the_burst_the_rate_applies(clock: FakeClock) -> None:
    bucket = TokenBucket(2.0, 3, clock)
    start = clock.time
    for _ in range(3):
        await bucket.acquire()
    assert clock.time == start
    for _ in range(4):
        await bucket.acquire()
    assert clock.time - start == pytest.approx(2.0, abs=0.01)


async def test_saved_tokens_never_exceed_the_burst(clock: FakeClock) -> None:
    bucket = TokenBucket(1.0, 2, clock)
    clock.time += 1000
    start = clock.time
    for _ in range(3):
        await bucket.acquire()
    assert clock.time - start == pytest.approx(1.0, abs=0.01)


async def test_more_than_the_burst_delays_later_callers(clock: FakeClock) -> None:
    bucket = TokenBucket(10.0, 10, clock)
    start = clock.time
    await bucket.acquire(50)
    assert clock.time == start
    await bucket.acquire(1)
    assert clock.time - start == pytest.approx(4.1, abs=0.01)


async def test_unlimited_never_waits(clock: FakeClock) -> None:
    bucket = TokenBucket(None, 1, clock)
    for _ in range(100):
        await bucket.acquire(1 << 30)
    assert clock.sleeps == []


async def test_a_pause_holds_everyone_even_without_a_limit(clock: FakeClock) -> None:
    bucket = TokenBucket(None, 1, clock)
    start = clock.time
    bucket.pause(30)
    bucket.pause(5)
    await bucket.acquire()
    assert clock.time - start == pytest.approx(30, abs=0.01)


async def test_callers_are_served_in_order(clock: FakeClock) -> None:
    bucket = TokenBucket(1.0, 10, clock)
    await bucket.acquire(10)
    served: list[int] = []

    async def ask(number: int, n: float) -> None:
        await bucket.acquire(n)
        served.append(number)

    async with anyio.create_task_group() as group:
        for number, n in enumerate((10, 5, 0.1, 1)):
            group.start_soon(ask, number, n)
    assert served == [0, 1, 2, 3]


async def test_a_cancelled_caller_takes_no_token_and_blocks_no_one() -> None:
    clock = GatedClock()
    bucket = TokenBucket(1.0, 1, clock)
    await bucket.acquire()
    served: list[str] = []

    async def ask(name: str) -> None:
        await bucket.acquire()
        served.append(name)

    async with anyio.create_task_group() as group:
        scopes = [anyio.CancelScope() for _ in range(2)]

        async def asks_in(scope: anyio.CancelScope) -> None:
            with scope:
                await ask("cancelled")

        for scope in scopes:
            group.start_soon(asks_in, scope)
        await anyio.wait_all_tasks_blocked()
        group.start_soon(ask, "last")
        await anyio.wait_all_tasks_blocked()
        for scope in scopes:
            scope.cancel()
        await anyio.wait_all_tasks_blocked()
        start = clock.time
        clock.gate.set()
    assert served == ["last"]
    assert clock.time - start == pytest.approx(1.0, abs=0.01)


async def test_a_new_rate_applies_to_waiting_callers(clock: FakeClock) -> None:
    bucket = TokenBucket(0.001, 1, clock)
    await bucket.acquire()
    start = clock.time

    async def waiter() -> None:
        await bucket.acquire()

    async with anyio.create_task_group() as group:
        group.start_soon(waiter)
        await anyio.lowlevel.checkpoint()
        await anyio.lowlevel.checkpoint()
        bucket.change(None, 1)
    assert clock.time - start < 10


@pytest.mark.parametrize("rate", [0, -1, math.nan, math.inf])
def test_a_rate_is_a_positive_number(rate: float) -> None:
    with pytest.raises(ValueError, match="rate"):
        TokenBucket(rate, 1)


async def test_throttling_halves_the_rate_which_recovers_slowly(clock: FakeClock) -> None:
    bucket = TokenBucket(2.0, 20, clock)
    bucket.throttle(0, False)
    assert bucket.rate == 2.0, "a busy server asks for no restraint"
    bucket.throttle(60, True)
    bucket.throttle(30, True)  # by an answer to a request that was under way
    assert bucket.rate == 1.0
    start = clock.time
    await bucket.acquire()
    assert clock.time - start == pytest.approx(61, abs=0.1)
    for _ in range(10):
        await bucket.acquire()
    assert clock.time - start == pytest.approx(71, abs=0.3)
    clock.time += 400
    await bucket.acquire()
    assert bucket.rate == 2.0
    for _ in range(9):
        bucket.throttle(0, True)
        clock.time += 0.01
    assert bucket.rate == pytest.approx(2 / 16, rel=0.01)
    free = TokenBucket(None, 20, clock)
    free.throttle(5, True)
    assert free.rate is None


@pytest.mark.parametrize("burst", [0, -1, math.nan, math.inf])
def test_a_burst_is_a_positive_number(burst: float) -> None:
    with pytest.raises(ValueError, match="burst"):
        TokenBucket(1, burst)


@given(
    st.floats(0.01, 1e9),
    st.integers(1, 1000),
    st.lists(st.tuples(st.floats(0, 100), st.floats(0.001, 5000)), max_size=30),
)
def test_no_interval_exceeds_the_rate(rate: float, burst: int, asks: list[tuple[float, float]]) -> None:
    clock = FakeClock()

    async def run() -> float:
        bucket = TokenBucket(rate, burst, clock)
        before_last = 0.0
        for idle, n in asks:
            clock.time += idle
            await bucket.acquire(n)
            elapsed = clock.time - start
            # Everything granted before is within the limit; the newest grant may go into debt.
            allowed = burst + elapsed * rate
            assert before_last + min(n, burst) <= allowed * (1 + 1e-6) + 1e-6
            before_last += n
        return before_last

    start = clock.time
    # Slow rates with large requests would sleep for hours of simulated time, a second each.
    if sum(n for _, n in asks) / rate < 2000:
        anyio.run(run)
