"""The queue of parts of all files that wait for a connection.

Small files go first, so that the API requests of each file are made while big files keep the connections busy;
otherwise files are served in the order in which they were offered.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import anyio

from uploader.concurrency import Stopped
from uploader.errors import FigupError
from uploader.figshare.models import Part
from uploader.figshare.outcomes import UploadGone
from uploader.sources.digest import Digest
from uploader.sources.source import Source
from uploader.transfer.journal.lifecycle import Transfer
from uploader.transfer.run.progress import FileProgress

SMALL = 16 << 20
"""Maximum size of a small file, in bytes."""
_MAX_RETRYING = 2
"""Parts of one file that may be in backoff before the file yields its connections."""
_SETTLE_LIMIT = 5.0
"""Seconds that cancelled parts may take to release the source."""


class FileSend:
    """One file while its parts are being sent. `error` is the first error of any of them."""

    def __init__(
        self,
        transfer: Transfer,
        meter: FileProgress,
        upload_url: str,
        source: Source,
        digest: Digest,
        parts: Sequence[Part],
    ) -> None:
        self.transfer = transfer
        self.meter = meter
        self.upload_url = upload_url
        self.source = source
        self.digest = digest
        self.error: FigupError | UploadGone | None = None
        self._waiting = deque(parts)
        self._runs = _contiguous_runs(parts)
        self._in_flight_count = 0
        self._retrying = 0
        self._changed = anyio.Event()
        self._in_flight: set[anyio.CancelScope] = set()

    def run_start(self, offset: int) -> int:
        """Start of the contiguous run of pending parts containing `offset`."""
        return self._runs[bisect_right(self._runs, offset) - 1]

    def take(self) -> Part | None:
        """Take the next part, which is in flight until `done`; None if none can be sent now."""
        if not self.ready:
            return None
        self._in_flight_count += 1
        return self._waiting.popleft()

    @property
    def left(self) -> int:
        """Parts that are waiting."""
        return len(self._waiting)

    @property
    def ready(self) -> bool:
        """True if a part may be taken now: not while too many parts of this file are in backoff."""
        return bool(self._waiting) and self._retrying < _MAX_RETRYING

    @contextmanager
    def retrying(self) -> Iterator[None]:
        """Mark one part as being in backoff."""
        self._retrying += 1
        try:
            yield
        finally:
            self._retrying -= 1

    def done(self) -> None:
        """End a part that was taken, sent or not."""
        self._in_flight_count -= 1
        self._changed.set()

    @contextmanager
    def in_flight(self) -> Iterator[None]:
        """Run one part; its failure becomes the file's and cancels the others."""
        with anyio.CancelScope() as scope:
            self._in_flight.add(scope)
            try:
                yield
            except (FigupError, UploadGone) as error:
                self.error = self.error or error
                self._cancel_in_flight()
            except Stopped:
                pass
            finally:
                self._in_flight.discard(scope)

    def stop(self) -> None:
        """Stop handing out parts."""
        self._waiting.clear()
        self._changed.set()

    async def drain(self) -> None:
        """Wait until no part is waiting or in flight."""
        while self._waiting or self._in_flight_count:
            self._changed = anyio.Event()
            await self._changed.wait()

    async def cancel(self) -> None:
        """Cancel parts in flight and wait until they released the source."""
        self._cancel_in_flight()
        with anyio.move_on_after(_SETTLE_LIMIT, shield=True):
            await self.drain()

    def _cancel_in_flight(self) -> None:
        self.stop()
        for flight in tuple(self._in_flight):
            flight.cancel()


def _contiguous_runs(parts: Sequence[Part]) -> list[int]:
    """Offsets at which contiguous runs of parts begin."""
    starts: list[int] = []
    end = None
    for part in sorted(parts, key=lambda part: part.start):
        if part.start != end:
            starts.append(part.start)
        end = part.end + 1
    return starts


class PartQueue:
    """Parts that drivers offer and workers take."""

    def __init__(self) -> None:
        self.used = anyio.Event()
        """Set once there was a part to send."""
        self._small: list[FileSend] = []
        self._large: list[FileSend] = []
        self._waiters: deque[anyio.Event] = deque()

    @property
    def empty(self) -> bool:
        """True if no part can be taken."""
        return not any(sending.ready for sending in (*self._small, *self._large))

    @property
    def left(self) -> int:
        """Parts that are waiting."""
        return sum(sending.left for sending in (*self._small, *self._large))

    def offer(self, sending: FileSend) -> None:
        """Offer the parts of a file."""
        (self._small if sending.transfer.size <= SMALL else self._large).append(sending)
        self.used.set()
        self.wake(sending.left)

    def wake(self, count: int) -> None:
        """Wake up to `count` idle workers."""
        for _ in range(min(count, len(self._waiters))):
            self._waiters.popleft().set()

    def take(self) -> tuple[FileSend, Part] | None:
        """Take the next part to send, or None."""
        self._small = [sending for sending in self._small if sending.left]
        self._large = [sending for sending in self._large if sending.left]
        for sending in (*self._small, *self._large):
            if (part := sending.take()) is not None:
                return sending, part
        return None

    async def wait(self) -> None:
        """Wait until a part may be available."""
        while self.empty:
            waiter = anyio.Event()
            self._waiters.append(waiter)
            try:
                await waiter.wait()
            finally:
                if waiter in self._waiters:
                    self._waiters.remove(waiter)
