"""A token bucket, for API requests and for bytes per second. Knows no HTTP."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable

import anyio

from uploader.clock import Clock

OnTurn = Callable[[], Awaitable[None]]
"""Called before each attempt of a request, when the budget allows it. If it raises, the request is not sent."""

_MIN_RATE = 1 / 16
"""Share of the rate that repeated throttling leaves."""
_RECOVERY = 0.1 / 60
"""Share of the rate that is regained each second: a tenth a minute."""
_MAX_SLEEP = 1.0
_MIN_SLEEP = 0.001


class TokenBucket:
    """`rate` tokens per second (None: unlimited), at most `burst` saved; starts full.

    Callers are served in the order they came. A cancelled caller takes no token and blocks no one.
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
        """Number of waiting callers."""
        self._rate = _checked(rate)
        self._share = 1.0
        """Share of the rate that is in use after throttling."""

    def change(self, rate: float | None, burst: float) -> None:
        """Change rate and burst, also for waiting callers."""
        checked = _checked(rate)
        self._refill()
        self._rate, self._burst = checked, float(burst)
        self._tokens = min(self._tokens, self._burst)

    @property
    def rate(self) -> float | None:
        """Tokens per second at present; None for no limit."""
        return None if self._rate is None else self._rate * self._share

    @property
    def idle(self) -> bool:
        """True if a token is available and no caller is waiting."""
        return not self._queue.locked() and self._wait_time(1) <= 0

    def pause(self, seconds: float) -> None:
        """Hand out no tokens for `seconds`; a current pause is only extended."""
        self._resume_at = max(self._resume_at, self._clock.monotonic() + max(seconds, 0.0))

    def throttle(self, seconds: float, fewer: bool) -> None:
        """Pause; for `fewer` tokens, also halve the rate, which then recovers slowly, unless paused already."""
        if fewer and self._resume_at <= self._clock.monotonic() and self._rate is not None:
            self._refill()
            self._tokens = min(self._tokens, 0.0)
            self._share = max(self._share / 2, _MIN_RATE)
        self.pause(seconds)

    async def acquire(self, n: float = 1) -> None:
        """Wait for `n` tokens and take them. More than `burst` at once puts the bucket into debt."""
        if n <= 0:
            return
        if not self._queue.locked() and self._wait_time(n) <= 0:
            self._take(n)
            return
        self.waiting += 1
        try:
            async with self._queue:
                while (wait := self._wait_time(n)) > 0:
                    # Sleep briefly, so that a changed rate or a new pause takes effect soon.
                    await self._clock.sleep(min(max(wait, _MIN_SLEEP), _MAX_SLEEP))
                self._take(n)
        finally:
            self.waiting -= 1

    def _wait_time(self, n: float) -> float:
        """Return the seconds until `n` tokens are available; 0: now."""
        pause = self._resume_at - self._clock.monotonic()
        if self._rate is None:
            return max(pause, 0.0)
        self._refill()
        requested = min(float(n), self._burst)
        deficit = requested - self._tokens
        if deficit <= requested * 1e-9:
            deficit = 0.0
        return max(pause, deficit / (self._rate * self._share), 0.0)

    def _take(self, n: float) -> None:
        if self._rate is not None:
            self._tokens -= n

    def _refill(self) -> None:
        now = self._clock.monotonic()
        # Nothing is saved during a pause, so that no burst follows it.
        elapsed = max(now - max(self._refilled_at, self._resume_at), 0.0)
        if self._rate is not None:
            self._tokens = min(self._burst, self._tokens + elapsed * self._rate * self._share)
            self._share = min(self._share + elapsed * _RECOVERY, 1.0)
        self._refilled_at = now


def _checked(rate: float | None) -> float | None:
    if rate is not None and not (rate > 0 and math.isfinite(rate)):
        raise ValueError("the rate of a token bucket must be a positive number or None")
    return rate
