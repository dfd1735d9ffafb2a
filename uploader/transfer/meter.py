"""Counting: how far each file of a run is, and how fast it goes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from uploader.transfer.lifecycle import State, Transfer
from uploader.transfer.notices import ActiveFile, Progress

_WINDOW = 10.0
"""Seconds over which the rate is averaged."""


class FileMeter:
    """One file in this run. Counts bytes; `found` is what Figshare had when it was first asked."""

    def __init__(self) -> None:
        self.there = 0
        self.in_flight = 0
        self.parts_found = 0
        self.parts_sent = 0
        self.bytes_sent = 0
        self.active = False
        self.waiting = False
        self.inspected = False

    def restart(self) -> None:
        """The file starts again from nothing."""
        self.there = self.in_flight = 0
        self.waiting = False


class Meter:
    """All files of a run."""

    def __init__(self, transfers: Iterable[Transfer]) -> None:
        self._transfers = list(transfers)
        self.files = [FileMeter() for _ in self._transfers]
        self.accepted = 0
        """Bytes handed to the network in this run, repeated ones included."""
        self.busy = 0
        """Connections that are sending a part."""
        self._samples: deque[tuple[float, int]] = deque()

    @property
    def bytes_sent(self) -> int:
        """Bytes that this run sent and Figshare took."""
        return sum(f.bytes_sent for f in self.files)

    @property
    def bytes_total(self) -> int:
        """Bytes of all sources."""
        return sum(t.size for t in self._transfers)

    def sample(self, now: float) -> float | None:
        """Bytes a second, lately; None before anything was sent. To be called regularly; `now` is monotonic."""
        self._samples.append((now, self.accepted))
        while len(self._samples) > 2 and now - self._samples[0][0] > _WINDOW:
            self._samples.popleft()
        (then, before), (_, accepted) = self._samples[0], self._samples[-1]
        return (accepted - before) / (now - then) if accepted and now > then else None

    def progress(self, now: float) -> Progress:
        """How far the job is."""
        pairs = list(zip(self._transfers, self.files, strict=True))
        done = sum(t.size if t.state is State.VERIFIED else _done(t, f) for t, f in pairs)
        return Progress(
            bytes_done=done,
            bytes_total=self.bytes_total,
            files_done=sum(t.state is State.VERIFIED for t in self._transfers),
            files_total=len(self._transfers),
            rate=self.sample(now),
            connections=self.busy,
            active=tuple(ActiveFile(t.path, t.name, t.size, _done(t, f), f.waiting) for t, f in pairs if f.active),
        )


def _done(transfer: Transfer, meter: FileMeter) -> int:
    return min(transfer.size, meter.there + meter.in_flight)
