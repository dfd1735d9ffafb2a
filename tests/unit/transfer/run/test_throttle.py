"""The throttle: the requested rate on average, no second far above it, and changes by time of day."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import anyio
import pytest

from tests.unit.figshare.service import FakeClock
from uploader.transfer.options import Timetable
from uploader.transfer.run.throttle import CHUNK, Throttle

pytestmark = pytest.mark.anyio
OFFICE = Timetable(((8 * 3600, 20e6), (19 * 3600, None)))


@pytest.mark.parametrize(
    ("hour", "minute", "rate"),
    [(0, 0, None), (7, 59, None), (8, 0, 20e6), (18, 59, 20e6), (19, 0, None), (23, 59, None)],
)
def test_a_timetable_continues_over_midnight(hour: int, minute: int, rate: float | None) -> None:
    assert OFFICE.at(datetime(2026, 1, 1, hour, minute, tzinfo=UTC)) == rate


async def seconds_of(throttle: Throttle, clock: FakeClock, seconds: int, connections: int = 5) -> list[int]:
    """Bytes that went out in each second."""
    begin, went = clock.time, Counter[int]()

    async def connection() -> None:
        while clock.time - begin < seconds:
            count = throttle.chunk_size
            await throttle.take(count)
            went[int(clock.time - begin)] += count

    async with anyio.create_task_group() as tasks:
        for _ in range(connections):
            tasks.start_soon(connection)
    return [went[second] for second in range(seconds)]


@pytest.mark.search
@pytest.mark.parametrize("rate", [50e3, 1e6, 7.3e6, 50e6, 1e9])
async def test_the_rate_is_kept_on_average_and_in_every_second(rate: float) -> None:
    clock = FakeClock()
    went = await seconds_of(Throttle(rate, clock), clock, 10)
    assert sum(went) / 10 == pytest.approx(rate, rel=0.03)
    assert max(went) <= 1.2 * rate


async def test_it_is_lifted_and_put_in_force_again() -> None:
    clock = FakeClock()
    throttle = Throttle(1e6, clock)
    assert throttle.chunk_size < CHUNK
    throttle.toggle()
    assert throttle.refresh()
    assert (throttle.rate, throttle.chunk_size, throttle.refresh()) == (None, CHUNK, False)
    await throttle.take(1 << 40)
    assert clock.sleeps == []
    throttle.toggle()
    assert throttle.refresh()
    went = await seconds_of(throttle, clock, 5)
    assert sum(went) / 5 == pytest.approx(1e6, rel=0.05)


async def test_the_time_of_day_is_that_of_this_place(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock()
    local = clock.now().astimezone()
    second = local.hour * 3600 + local.minute * 60
    throttle = Throttle(Timetable(((second, 1e6), (second + 60, 2e6))), clock)
    assert throttle.rate == 1e6
    clock.time += 61
    assert throttle.refresh()
    assert throttle.rate == 2e6
