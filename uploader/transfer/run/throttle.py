"""The throttle: how many bytes a second may go out over all connections together, by the time of day if wanted."""

from __future__ import annotations

from uploader.clock import Clock
from uploader.figshare.ratelimit import TokenBucket
from uploader.transfer.options import Limit, Timetable

CHUNK = 256 << 10
"""Bytes read from the source, and handed to the connection, at a time; a part under way holds few of them.

More of them cost more: they leave the processor's cache on the way, and their memory is made anew each time (measured).
"""
_SMALLEST = 512
_BURST = 0.15
"""Seconds' worth of bytes that may be made up for at once: no second sees more than 115 % of the rate."""
_CHUNK_SECONDS = 0.05
"""Seconds' worth of bytes that are handed over at a time where that is less than a chunk."""


class Throttle:
    """Lets bytes go out at no more than a rate. `rate` is what is in force, None for no limit."""

    def __init__(self, limit: Limit | None, clock: Clock) -> None:
        self._limit = limit
        self._clock = clock
        self._lifted = False
        self.rate = self._wanted()
        self._bucket = TokenBucket(self.rate, _burst(self.rate), clock)

    async def take(self, count: int) -> None:
        """Wait until `count` bytes may go out. To be cancelled at will."""
        await self._bucket.acquire(count)

    @property
    def chunk_size(self) -> int:
        """Bytes to hand over at a time, so that a slow line is a steady one."""
        return CHUNK if self.rate is None else min(CHUNK, max(_SMALLEST, int(self.rate * _CHUNK_SECONDS)))

    def toggle(self) -> None:
        """Lift the limit, or put it in force again."""
        self._lifted = not self._lifted

    def refresh(self) -> bool:
        """Put the rate in force that is to be now; True when it is another one than before."""
        wanted = self._wanted()
        if wanted == self.rate:
            return False
        self.rate = wanted
        self._bucket.change(wanted, _burst(wanted))
        return True

    def _wanted(self) -> float | None:
        if self._lifted or self._limit is None:
            return None
        return self._limit.at(self._clock.now().astimezone()) if isinstance(self._limit, Timetable) else self._limit


def _burst(rate: float | None) -> float:
    return max(rate * _BURST if rate else 0.0, _SMALLEST)
