"""Adaptive number of connections. Pure: observations in, number out."""

from __future__ import annotations

from uploader.transfer.options import MAX_CONNECTIONS

START = 8
"""Initial connections without a remembered number: enough for most networks, not too many for any."""
_SETTLE = 2
"""Observations after a change that are ignored."""
_PROBE = 6
"""Observations averaged to measure the throughput of a number."""
_SHORT_PROBE = 2
"""Observations that suffice if the difference is clear."""
_LARGE_CHANGE = 1.2
_GAIN = 1.05
"""Relative gain in throughput for which more connections are kept."""
_SAME = 0.98
"""Relative loss in throughput up to which fewer connections are kept."""
_MIN_HOLD, _MAX_HOLD = 16, 512
"""Observations until another number is tried; doubled after each try without an improvement."""
_MAX_CONGESTION = 2
"""Parts with trouble within `_MEMORY` observations that indicate a general problem, not that of one part."""
_MEMORY = 4


class AdaptiveConcurrency:
    """Grows while throughput grows, keeps the smallest number that reaches it, and halves on trouble.

    `limit` is the number of connections allowed now. A `fixed` number (None: adapt) is only reduced on trouble.
    """

    def __init__(self, fixed: int | None = None, remembered: int | None = None, *, most: int = MAX_CONNECTIONS) -> None:
        """`remembered` is `best` of the last run, None if unknown; `most` is what this process can have."""
        self._fixed = min(fixed, most) if fixed is not None else None
        self._most = most
        self.limit = self._fixed or min(most, max(1, remembered or START))
        self.best: int | None = None
        """The best number of connections so far; None until enough was observed."""
        self._rates: list[float] = []
        self._reference: tuple[float, int] | None = None
        """Throughput and number of connections before the current probe; None outside a probe."""
        self._starting = self._increasing = True
        self._hold = 0
        self._hold_time = _MIN_HOLD
        self._congested = False
        """True once the limit was halved."""
        self._congestion: list[int] = []
        self._since_backoff = _MEMORY
        """Observations since the limit was halved."""

    def limit_for(self, waiting: int) -> int:
        """Return the connections allowed while that many parts wait: the limit, and a few more for the last parts.

        A single remaining part usually cannot saturate the network.
        """
        if self._fixed is not None or self._congested or waiting > self.limit // 2:
            return self.limit
        return min(self._most, self.limit + waiting)

    def observe(self, rate: float, busy: int) -> None:
        """Observe `rate` bytes per second since the last call, over `busy` connections. Call it twice a second."""
        self._congestion = [age + 1 for age in self._congestion if age + 1 < _MEMORY]
        self._since_backoff += 1
        if self._hold > 0:
            self._hold -= 1
            return
        if self._fixed is not None:
            self.limit = self._fixed
            return
        if busy < self.limit:
            return
        self._rates.append(rate)
        samples = self._rates[_SETTLE:]
        if len(samples) < _SHORT_PROBE:
            return
        mean = sum(samples) / len(samples)
        if len(samples) < _PROBE and not self._is_conclusive(mean):
            return
        self._rates.clear()
        if self._reference is None:
            self.best = self.limit
            self._probe(mean)
        else:
            self._evaluate(mean, *self._reference)

    def _is_conclusive(self, mean: float) -> bool:
        """Return True if a short probe is enough: at the beginning, while more connections bring much more."""
        if not self._starting:
            return False
        if self._reference is None:
            return True
        return self.limit > self._reference[1] and mean > self._reference[0] * _LARGE_CHANGE

    def on_congestion(self) -> None:
        """React to congestion: the server asked for less (429, 503), or a connection stalled."""
        self._congestion.append(0)
        if len(self._congestion) < _MAX_CONGESTION and self.limit > _MAX_CONGESTION:
            return
        self._congestion.clear()
        if self._since_backoff < _MEMORY:
            return  # many parts, one cause
        self._since_backoff, self._congested = 0, True
        self.limit = self.best = max(1, self.limit // 2)
        self._reference, self._increasing = None, True
        self._hold_for(_MIN_HOLD)

    def _probe(self, rate: float) -> None:
        self._reference = (rate, self.limit)
        step = max(1, self.limit // 2) if self._increasing else -max(1, self.limit // 3)
        self.limit = min(self._most, max(1, self.limit + step))
        if self.limit == self._reference[1]:
            self._stop_probing()

    def _evaluate(self, rate: float, before: float, number: int) -> None:
        """Keep the probed number if it is better than the one before; else return to that."""
        if rate > before * _GAIN if self.limit > number else rate >= before * _SAME:
            self.best, self._hold_time = self.limit, _MIN_HOLD
            self._probe(rate)
        else:
            self.limit = self.best = number
            self._stop_probing()

    def _stop_probing(self) -> None:
        """Keep the current number for a while; then probe in the other direction."""
        self._reference, self._starting, self._increasing = None, False, not self._increasing
        self._hold_for(self._hold_time)
        self._hold_time = min(_MAX_HOLD, 2 * self._hold_time)

    def _hold_for(self, observations: int) -> None:
        self._rates.clear()
        self._hold = observations
