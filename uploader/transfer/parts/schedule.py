"""The order in which files are started. Pure: tracks what is started, sent and finished.

Big files start first, since the last to start is the last to end. Once they saturate the network, small files start
beside them: those cost API requests rather than bandwidth, and requests have a separate budget.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from uploader.transfer.journal.lifecycle import Transfer
from uploader.transfer.parts.queue import SMALL

MAX_FILES = 512
"""Maximum number of files processed at the same time; most of them wait for an answer."""
MIN_FILES = 4
"""Minimum number of files in progress, of any size, so that the end of one leaves no connection idle."""
AHEAD = 1 << 30
"""Bytes waiting to be sent above which no further file is started."""


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
        """Note that all bytes of the file were sent."""
        self._ahead -= self._unsent.pop(transfer.index, 0)

    def finish(self, transfer: Transfer) -> None:
        """Note that the file's driver ended."""
        self.sent(transfer)
        self._begun.discard(transfer.index)

    @property
    def left(self) -> bool:
        """True while files wait to be started."""
        return bool(self._waiting)

    def _begin(self, transfer: Transfer) -> Transfer:
        self._begun.add(transfer.index)
        self._unsent[transfer.index] = transfer.size
        self._ahead += transfer.size
        return transfer
