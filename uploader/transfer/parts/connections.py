"""Connections: how many parts are sent at the same time, and which of them wait for sources that do not answer."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import anyio

from uploader.concurrency import PATIENCE


@dataclass(eq=False, kw_only=True)
class SourceWait:
    """A part that waits for its source. `lend` is called once nothing has come for `PATIENCE` seconds since `since`."""

    since: float
    lend: Callable[[], None]
    progress: Callable[[], int]
    """Returns a number that changes while the source answers, however slowly."""
    seen: int


class Connections:
    """Limits the number of parts sent at the same time.

    A part that waits long for its source lends its connection to others. Before it continues, it waits for a connection
    again, and is served before parts that have not begun.
    """

    def __init__(self, most: int) -> None:
        self.in_use = 0
        """Connections that send a part, or are about to."""
        self.lent = 0
        """Parts in flight whose sources do not answer: none of these is in use."""
        self.waits: set[SourceWait] = set()
        self._most = most
        self._continuing: deque[anyio.Event] = deque()
        self._beginning: deque[anyio.Event] = deque()

    def allow(self, most: int) -> None:
        """Use at most this many from now on; parts that are being sent continue."""
        self._most = most
        self._serve()

    async def take(self, *, begun: bool = False) -> None:
        """Wait for a connection; first if a part has `begun`."""
        line, turn = self._continuing if begun else self._beginning, anyio.Event()
        line.append(turn)
        self._serve()
        try:
            await turn.wait()
        except BaseException:
            if turn.is_set():
                self.release()
            else:
                line.remove(turn)
            raise

    def release(self) -> None:
        """Release a connection."""
        self.in_use -= 1
        self._serve()

    def lend(self, now: float) -> None:
        """Lend the connections of parts whose sources do not answer. Call it regularly; `now` is monotonic."""
        for wait in tuple(self.waits):
            if (progress := wait.progress()) != wait.seen:
                wait.seen, wait.since = progress, now
            elif now - wait.since >= PATIENCE:
                self.waits.discard(wait)
                wait.lend()

    def _serve(self) -> None:
        while self.in_use < self._most and (line := self._continuing or self._beginning):
            self.in_use += 1
            line.popleft().set()
