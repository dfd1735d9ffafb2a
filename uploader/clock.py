"""Clock, sleep and randomness, in one object that tests replace."""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime

import anyio


class Clock:
    """The real thing; a test gives its own object with these methods."""

    def monotonic(self) -> float:
        """Seconds on a clock that is never set back; only differences mean something."""
        return time.monotonic()

    def now(self) -> datetime:
        """The wall clock, aware, UTC."""
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)

    def random(self) -> float:
        """Evenly from [0, 1)."""
        return random.random()  # noqa: S311 - spreads retries, hides nothing
