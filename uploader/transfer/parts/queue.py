"""The queue: parts of all files that wait for a connection. Small files go first, so that the requests that each file
needs are made while the big ones keep the connections busy; otherwise the file that was offered first."""

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
"""Bytes up to which a file is a small one."""
_MAX_RETRYING = 2
"""Parts of a file that may wait to be tried again before its others wait too: a sick file leaves the rest to go on."""
_SETTLE_LIMIT = 5.0
"""Seconds that parts which are ended may take to let go of the source."""


class FileSend:
    """One file while its parts are being sent. `error` is the first thing that went wrong with any of them."""

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
        self._under_way = 0
        self._retrying = 0
        self._changed = anyio.Event()
        self._in_flight: set[anyio.CancelScope] = set()

    def run_start(self, offset: int) -> int:
        """Where the stretch of parts begins that are sent without a gap up to this offset."""
        return self._runs[bisect_right(self._runs, offset) - 1]

    def take(self) -> Part | None:
        """The next part, which counts as under way until `landed`; None when there is none to be sent now."""
        if not self.ready:
            return None
        self._under_way += 1
        return self._waiting.popleft()

    @property
    def left(self) -> int:
        """Parts that wait to be taken."""
        return len(self._waiting)

    @property
    def ready(self) -> bool:
        """True when a part may be taken now: not while several others of this file wait to be tried again."""
        return bool(self._waiting) and self._retrying < _MAX_RETRYING

    @contextmanager
    def retrying(self) -> Iterator[None]:
        """One of the parts waits to be tried again."""
        self._retrying += 1
        try:
            yield
        finally:
            self._retrying -= 1

    def done(self) -> None:
        """A part that was taken is over, sent or not."""
        self._under_way -= 1
        self._changed.set()

    @contextmanager
    def in_flight(self) -> Iterator[None]:
        """One part under way: its failure becomes the file's, and ends the others."""
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
        """Let no further part be taken."""
        self._waiting.clear()
        self._changed.set()

    async def drain(self) -> None:
        """Wait until every part is sent, or those under way are over and no further one is to be taken."""
        while self._waiting or self._under_way:
            self._changed = anyio.Event()
            await self._changed.wait()

    async def cancel(self) -> None:
        """End the parts under way, and wait until they have let go of the source."""
        self._cancel_in_flight()
        with anyio.move_on_after(_SETTLE_LIMIT, shield=True):
            await self.drain()

    def _cancel_in_flight(self) -> None:
        self.stop()
        for flight in tuple(self._in_flight):
            flight.cancel()


def _contiguous_runs(parts: Sequence[Part]) -> list[int]:
    """The offsets at which parts begin that do not follow another one."""
    starts: list[int] = []
    end = None
    for part in sorted(parts, key=lambda part: part.start):
        if part.start != end:
            starts.append(part.start)
        end = part.end + 1
    return starts


class PartQueue:
    """What the drivers offer and the workers take."""

    def __init__(self) -> None:
        self.used = anyio.Event()
        """Set once there were parts to be sent."""
        self._small: list[FileSend] = []
        self._big: list[FileSend] = []
        self._waiters: deque[anyio.Event] = deque()

    @property
    def empty(self) -> bool:
        """True when no part waits to be taken."""
        return not any(sending.ready for sending in (*self._small, *self._big))

    @property
    def left(self) -> int:
        """Parts that wait to be taken."""
        return sum(sending.left for sending in (*self._small, *self._big))

    def offer(self, sending: FileSend) -> None:
        """Have the parts of a file sent."""
        (self._small if sending.transfer.size <= SMALL else self._big).append(sending)
        self.used.set()
        self.wake(sending.left)

    def wake(self, count: int) -> None:
        """So many workers may find something to take."""
        for _ in range(min(count, len(self._waiters))):
            self._waiters.popleft().set()

    def take(self) -> tuple[FileSend, Part] | None:
        """The part to be sent next; None when there is none."""
        self._small = [sending for sending in self._small if sending.left]
        self._big = [sending for sending in self._big if sending.left]
        for sending in (*self._small, *self._big):
            if (part := sending.take()) is not None:
                return sending, part
        return None

    async def wait(self) -> None:
        """Until there may be something to take."""
        while self.empty:
            waiter = anyio.Event()
            self._waiters.append(waiter)
            try:
                await waiter.wait()
            finally:
                if waiter in self._waiters:
                    self._waiters.remove(waiter)
