"""A token bucket: the API's request budget, and bytes per second for the layer above. Knows no HTTP."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable

import anyio

from uploader.clock import Clock

OnTurn = Callable[[], Awaitable[None]]
"""Called when the budget lets a request go out, before it is sent. What it raises keeps the request from being sent."""

_MAX_SLEEP = 1.0
_MIN_SLEEP = 0.001


class TokenBucket:
    """`rate` tokens a second (None: unlimited), at most `burst` saved up; starts full.

    Callers are served in the order they came. A caller that is cancelled takes no token and blocks nobody.
    """

    def __init__(self, rate: float | None, burst: float, clock: Clock | None = None) -> None:
        if not (burst > 0 and math.isfinite(burst)):
            raise ValueError("the burst of a token bucket must be a positive number")
        self._clock = clock or Clock()
        self._burst = float(burst)
        self._tokens = float(burst)
        self._refilled_at = self._clock.monotonic()
        self._resume_at = -math.inf
        self._queue = anyio.Lock()
        self.waiting = 0
        """Callers that wait."""
        self._rate = _checked(rate)

    def change(self, rate: float | None, burst: float) -> None:
        """Another rate and burst from now on, also for those who wait."""
        checked = _checked(rate)
        self._refill()
        self._rate, self._burst = checked, float(burst)
        self._tokens = min(self._tokens, self._burst)

    @property
    def rate(self) -> float | None:
        """Tokens per second; None for no limit."""
        return self._rate

    @property
    def idle(self) -> bool:
        """True when a token could be had at once, and nobody waits for one."""
        return not self._queue.locked() and self._wait_time(1) <= 0

    def pause(self, seconds: float) -> None:
        """Hand out nothing for `seconds` from now; a pause in force is only ever lengthened."""
        self._resume_at = max(self._resume_at, self._clock.monotonic() + max(seconds, 0.0))

    async def acquire(self, n: float = 1) -> None:
        """Wait for `n` tokens and take them. More than `burst` at once is taken on debt that later callers wait off."""
        if n <= 0:
            return
        if not self._queue.locked() and self._wait_time(n) <= 0:
            self._take(n)
            return
        self.waiting += 1
        try:
            async with self._queue:
                while (wait := self._wait_time(n)) > 0:
                    # Short naps, so that a changed rate or a new pause is seen soon.
                    await self._clock.sleep(min(max(wait, _MIN_SLEEP), _MAX_SLEEP))
                self._take(n)
        finally:
            self.waiting -= 1

    def _wait_time(self, n: float) -> float:
        """Seconds until `n` may be taken as things stand; 0 for now."""
        pause = self._resume_at - self._clock.monotonic()
        if self._rate is None:
            return max(pause, 0.0)
        self._refill()
        requested = min(float(n), self._burst)
        deficit = requested - self._tokens
        if deficit <= requested * 1e-9:
            deficit = 0.0
        return max(pause, deficit / self._rate, 0.0)

    def _take(self, n: float) -> None:
        if self._rate is not None:
            self._tokens -= n

    def _refill(self) -> None:
        now = self._clock.monotonic()
        if self._rate is not None:
            self._tokens = min(self._burst, self._tokens + (now - self._refilled_at) * self._rate)
        self._refilled_at = now


def _checked(rate: float | None) -> float | None:
    if rate is not None and not (rate > 0 and math.isfinite(rate)):
        raise ValueError("the rate of a token bucket must be a positive number or None")
    return rate
