"""Which file is taken up next. Pure: it is told what is begun, sent and over.

Big files first, since the last one to begin is the last one to end. They soon fill the line; then small ones are taken
up beside them, since those cost requests rather than bytes, and requests have a budget of their own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from uploader.transfer.journal.lifecycle import Transfer
from uploader.transfer.parts.queue import SMALL

MAX_FILES = 512
"""Files that are led through their lives at the same time; most of them wait for an answer."""
MIN_FILES = 4
"""Files that are under way, whatever their size, so that the end of one never leaves connections idle."""
AHEAD = 1 << 30
"""Bytes that may wait to be sent; more are not taken up."""


class Schedule:
    """The files of one pass over a job."""

    def __init__(self, transfers: Iterable[Transfer]) -> None:
        self._waiting = deque(sorted(transfers, key=lambda t: t.size, reverse=True))
        self._unsent: dict[int, int] = {}
        self._ahead = 0
        self._begun: set[int] = set()

    def next(self) -> Transfer | None:
        """Choose the next file and mark it started; None while enough is in progress, or nothing is left."""
        if not self._waiting or len(self._begun) >= MAX_FILES:
            return None
        if self._ahead < AHEAD or len(self._unsent) < MIN_FILES:
            return self._begin(self._waiting.popleft())
        if self._waiting[-1].size <= SMALL:
            return self._begin(self._waiting.pop())
        return None

    def sent(self, transfer: Transfer) -> None:
        """No byte of it waits to be sent any more."""
        self._ahead -= self._unsent.pop(transfer.index, 0)

    def finish(self, transfer: Transfer) -> None:
        """Nobody leads it any more."""
        self.sent(transfer)
        self._begun.discard(transfer.index)

    @property
    def left(self) -> bool:
        """True while files wait to be taken up."""
        return bool(self._waiting)

    def _begin(self, transfer: Transfer) -> Transfer:
        self._begun.add(transfer.index)
        self._unsent[transfer.index] = transfer.size
        self._ahead += transfer.size
        return transfer
