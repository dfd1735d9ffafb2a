"""Lines that the processes of a team share: each has one of its own, on which all its parts in flight are equal."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable

from tests.fakes.clock import VirtualClock

_STEP = 0.1


class Lines:
    """`carry` replaces that of a `TeamFigshare`. Each process sends about `rate` bytes per second."""

    def __init__(self, clock: VirtualClock, rate: float, choice: random.Random) -> None:
        self.began = self.ended = 0.0
        """When the first part began, and when the last one ended."""
        self._clock = clock
        self._rate = rate
        self._choice = choice
        self._rates: dict[tuple[str, int], float] = {}
        self._slowed: dict[str, float] = {}
        self._in_flight: defaultdict[str, int] = defaultdict(int)

    async def carry(self, who: str, size: int, on_accepted: Callable[[int], None] | None) -> bool:
        """Let a part of this size pass; its bytes are accepted one after the other."""
        self.began = self.began or self._clock.monotonic()
        await self._clock.sleep(self._choice.uniform(0.01, 0.05))
        self._in_flight[who] += 1
        sent, reported = 0.0, 0
        while reported < size:
            await self._clock.sleep(_STEP)
            sent += _STEP * self._rate_of(who) / self._in_flight[who]
            count = min(int(sent), size) - reported
            reported += count
            if on_accepted is not None:
                on_accepted(count)
        self._in_flight[who] -= 1
        self.ended = self._clock.monotonic()
        return True

    def slow_down(self, who: str, factor: float) -> None:
        """Let the line of a process carry only this fraction of its rate from now on."""
        self._slowed[who] = factor

    def _rate_of(self, who: str) -> float:
        """Return the rate of a process, which changes by up to a tenth every few seconds."""
        key = (who, int(self._clock.monotonic() / 3))
        if key not in self._rates:
            self._rates[key] = self._rate * self._choice.uniform(0.9, 1.1)
        return self._rates[key] * self._slowed.get(who, 1.0)
