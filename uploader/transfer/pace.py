"""How many parts are sent at the same time. Pure: it is told what was observed and answers with a number."""

from __future__ import annotations

CEILING = 32
"""Connections at most: more in flight has brought 429 answers to others (observed)."""
START = 8
"""Connections to begin with where nothing is remembered: enough for most lines, too many for none."""
_GAIN = 1.05
_HOLD = 10
_SETTLE = 2


class ConnectionPace:
    """Climbs while throughput climbs, goes back when it does not, and halves on trouble.

    `limit` is the number of connections allowed now. A `fixed` number (None: find it) only ever yields to trouble.
    """

    def __init__(self, fixed: int | None = None, remembered: int | None = None) -> None:
        """`remembered` is what `worked` was the last time, None where that is not known."""
        self._fixed = fixed
        self.limit = fixed or min(CEILING, max(1, remembered or START))
        self.worked: int | None = None
        """The number that was found to be good here; None while too little was seen."""
        self._best = (0.0, self.limit)
        self._rates: list[float] = []
        self._hold = 0
        self._troubled = False

    def observe(self, rate: float, busy: int) -> None:
        """`rate` bytes a second went out since the last call, over at most `busy` connections."""
        self._troubled = False
        if self._hold > 0:
            self._hold -= 1
            if self._hold == 0:
                self._best = (rate, self.limit)
                self._climb()
            return
        if self._fixed is not None or busy < self.limit:
            return
        self._rates.append(rate)
        if len(self._rates) <= _SETTLE:
            return
        settled = sum(self._rates[1:]) / (len(self._rates) - 1)
        if settled > self._best[0] * _GAIN:
            self._best = (settled, self.limit)
            self._climb()
        else:
            self.limit = self._best[1]
            self._rest()
        self.worked = self._best[1]

    def trouble(self) -> None:
        """The server asked for less (429, 503), or a connection stood still. Many at the same time count as one."""
        if self._troubled:
            return
        self._troubled = True
        self.limit = max(1, self.limit // 2)
        self.worked = self.limit
        self._rest()

    def _climb(self) -> None:
        self._rates.clear()
        self.limit = self._fixed or min(CEILING, self.limit + max(1, self.limit // 2))

    def _rest(self) -> None:
        self._rates.clear()
        self._hold = _HOLD
