"""Time: clock, sleep and randomness in one object that tests replace, and rates over a window of time."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime

import anyio


class Clock:
    """The real clock; tests pass an object with the same methods."""

    def monotonic(self) -> float:
        """Return monotonic seconds; only differences are meaningful."""
        return time.monotonic()

    def uptime(self) -> float:
        """Return seconds since boot, including sleep; only differences are meaningful."""
        return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))

    def now(self) -> datetime:
        """Return the wall-clock time, aware, UTC."""
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)

    def call_later(self, seconds: float, call: Callable[[], object]) -> Callable[[], None]:
        """Make a call on the event loop after `seconds`; return what cancels it."""
        return asyncio.get_running_loop().call_later(seconds, call).cancel

    async def wait_for(self, event: anyio.Event, timeout: float) -> None:  # noqa: ASYNC109 - by this clock, not anyio's
        """Return when `event` is set, at the latest after `timeout` seconds."""
        async with anyio.create_task_group() as tasks:

            async def expire() -> None:
                await self.sleep(timeout)
                tasks.cancel_scope.cancel()

            tasks.start_soon(expire)
            await event.wait()
            tasks.cancel_scope.cancel()

    def random(self) -> float:
        """Return a random number from [0, 1)."""
        return random.random()  # noqa: S311 - spreads retries, hides nothing


class RecentRate:
    """The recent rate per second of something that is counted, averaged over `window` seconds."""

    def __init__(self, window: float = 10.0) -> None:
        self._window = window
        self._samples: deque[tuple[float, int]] = deque()

    def sample(self, now: float, count: int) -> float | None:
        """Add the count at `now` (monotonic seconds) and return the rate; None if unknown.

        Call it regularly. A decrease of `count` resets the rate.
        """
        if self._samples and count < self._samples[-1][1]:
            self._samples.clear()
        self._samples.append((now, count))
        while len(self._samples) > 2 and now - self._samples[0][0] > self._window:
            self._samples.popleft()
        start, start_count = self._samples[0]
        return (count - start_count) / (now - start) if now > start else None
