"""The throttle: limits bytes per second over all connections, optionally by time of day."""

from __future__ import annotations

from uploader.clock import Clock
from uploader.figshare.ratelimit import TokenBucket
from uploader.transfer.options import Limit, Timetable

CHUNK = 256 << 10
"""Bytes read from the source, and handed to the connection, at a time; a part under way holds few of them.

More of them cost more: they leave the processor's cache on the way, and their memory is allocated again each time
(measured).
"""
_MIN_CHUNK = 512
_BURST = 0.15
"""Burst in seconds' worth of bytes: no second exceeds 115 % of the rate."""
_CHUNK_SECONDS = 0.05
"""Chunk in seconds' worth of bytes, if that is less than CHUNK."""


class Throttle:
    """Limits the rate of outgoing bytes. `rate` is the current limit, None for none.

    `share` is the part of it that this process may use, in bytes per second; None for all.
    """

    def __init__(self, limit: Limit | None, clock: Clock) -> None:
        self._limit = limit
        self._clock = clock
        self._lifted = False
        self.share: float | None = None
        self.rate = self._target_rate()
        self._own = self.rate
        self._bucket = TokenBucket(self.rate, _burst(self.rate), clock)

    async def take(self, count: int) -> None:
        """Wait until `count` bytes may go out. Safe to cancel."""
        await self._bucket.acquire(count)

    @property
    def chunk_size(self) -> int:
        """Chunk size in bytes; small at low rates to keep traffic smooth."""
        return CHUNK if self._own is None else min(CHUNK, max(_MIN_CHUNK, int(self._own * _CHUNK_SECONDS)))

    def toggle(self) -> None:
        """Suspend the limit, or restore it."""
        self._lifted = not self._lifted

    def refresh(self) -> bool:
        """Apply the rate that is due now, and the share of it; True if the rate changed."""
        before, self.rate = self.rate, self._target_rate()
        own = min((rate for rate in (self.rate, self.share) if rate is not None), default=None)
        if own != self._own:
            self._own = own
            self._bucket.change(own, _burst(own))
        return self.rate != before

    def _target_rate(self) -> float | None:
        if self._lifted or self._limit is None:
            return None
        return self._limit.at(self._clock.now().astimezone()) if isinstance(self._limit, Timetable) else self._limit


def _burst(rate: float | None) -> float:
    return max(rate * _BURST if rate else 0.0, _MIN_CHUNK)
