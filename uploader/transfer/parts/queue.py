"""The queue of parts of all files that wait for a connection.

Small files go first, so that the API requests of each file are made while big files keep the connections busy;
otherwise files are served in the order in which they were offered.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Awaitable, Callable, Container, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import TypeAlias

import anyio

from uploader.concurrency import Stopped
from uploader.errors import FigupError
from uploader.figshare.models import Part
from uploader.figshare.outcomes import UploadGone
from uploader.sources.digest import DETACH, Digest
from uploader.sources.source import Readable
from uploader.transfer.journal.lifecycle import Transfer
from uploader.transfer.run.progress import FileProgress

SMALL = 16 << 20
"""Maximum size of a small file, in bytes."""
_MAX_HELD_UP = 2
"""Parts of one file that may be in backoff, or wait long for the source, before the file yields its connections."""
_LOOK_AHEAD = 16
"""Number of parts to search for one that need not wait for the digest."""
_SETTLE_LIMIT = 5.0
"""Seconds that cancelled parts may take to release the source."""

Content: TypeAlias = "tuple[Readable, Digest | None]"
"""An open source, and its MD5 while that is computed; None if another process computes it."""


class FileSend:
    """One file while its parts are being sent. `error` is the first error of any of them."""

    def __init__(
        self,
        transfer: Transfer,
        meter: FileProgress,
        upload_url: str,
        content: Callable[[], Awaitable[Content]],
        parts: Sequence[Part],
    ) -> None:
        """`content` opens the source; it is called when the first part is sent here, and must not wait for others."""
        self.transfer = transfer
        self.meter = meter
        self.upload_url = upload_url
        self.error: FigupError | UploadGone | None = None
        self.md5: str | None = None
        """The MD5 of the whole source, if another process computed it."""
        self.contested = False
        """True if another process may still be sending parts: ask before sending one."""
        self.stopped = False
        """True once no more parts are handed out."""
        self._open_content = content
        self._content: Content | None = None
        self._opening = anyio.Lock()
        self._waiting = deque(parts)
        self._taken = anyio.Event()
        """Set when a part is taken."""
        self._runs = _contiguous_runs(parts)
        self._elsewhere: dict[int, Part] = {}
        """Parts handed to other processes, by number."""
        self._in_flight_count = 0
        self._held_up = 0
        self._changed = anyio.Event()
        self._in_flight: set[anyio.CancelScope] = set()

    async def content(self) -> Content:
        """Open the source, once. Raises SourceChanged, SourceNotFound, SourceUnreadable, Stopped."""
        async with self._opening:
            if self._content is None:
                self._content = await self._open_content()
        return self._content

    @property
    def opened(self) -> bool:
        """True if the source was opened here."""
        return self._content is not None

    def run_start(self, offset: int) -> int:
        """Start of the contiguous run of pending parts containing `offset`."""
        return self._runs[bisect_right(self._runs, offset) - 1]

    def take(self) -> Part | None:
        """Take the next part, which is in flight until `done`; None if none can be sent now."""
        index = self._first_readable() if self._held_up < _MAX_HELD_UP else None
        if index is None:
            return None
        part = self._waiting[index]
        del self._waiting[index]
        self._in_flight_count += 1
        self._taken.set()
        return part

    @property
    def left(self) -> int:
        """Parts that are waiting."""
        return len(self._waiting)

    @property
    def settled(self) -> bool:
        """True if no part is waiting, here or, as long as it may come back, elsewhere."""
        return not self._waiting and not self._elsewhere

    @property
    def waiting(self) -> Sequence[Part]:
        """The waiting parts that may be handed out, in the order in which they are taken here. Empty for an archive,
        whose parts depend on CRCs that the local digest learns.
        """
        return tuple(self._waiting) if self.transfer.archive is None else ()

    def hand_out(self, numbers: Container[int]) -> list[Part]:
        """Take these parts, as far as they are waiting, for another process: `received` or `take_back` ends each."""
        taken = [part for part in self._waiting if part.no in numbers]
        self._waiting = deque(part for part in self._waiting if part.no not in numbers)
        self._elsewhere.update({part.no: part for part in taken})
        if taken and self._content is not None and (digest := self._content[1]) is not None:
            # Other processes do not read the source in the digest's order: it need not wait for them.
            digest.advance(max(part.end for part in taken) + 1)
        return taken

    def received(self, no: int) -> Part | None:
        """End a part that another process sent; None if it was not handed out."""
        part = self._elsewhere.pop(no, None)
        self._changed.set()
        return part

    def take_back(self, parts: Sequence[Part]) -> None:
        """Let parts that were handed out wait again. `parts` are as the upload service has them now."""
        for part in parts:
            if self._elsewhere.pop(part.no, None) is not None and not self.stopped:
                self._waiting.append(part)
        self._changed.set()

    def fail(self, error: FigupError | UploadGone) -> None:
        """Fail the file with an error from another process."""
        self.error = self.error or error
        self.abort()

    @property
    def ready(self) -> bool:
        """True if a part may be taken now: not while too many parts of this file are held up."""
        return self._held_up < _MAX_HELD_UP and self._first_readable() is not None

    def _first_readable(self) -> int | None:
        """Find the first waiting part that need not wait for the digest; None if there is none.

        A part of an archive may depend on earlier bytes, and waits until the digest has read them. A part far ahead of
        the digest, as after an interruption, does not wait: the bytes are read for it separately.
        """
        near = enumerate(islice(self._waiting, _LOOK_AHEAD))
        return next((index for index, part in near if self._missing(part) <= 0), None)

    def _missing(self, part: Part) -> int:
        """Return the number of bytes that the digest has to read before a part can be; 0 or less for none."""
        source, digest = self._content or (None, None)
        if self.transfer.archive is None or source is None or digest is None:
            return 0
        missing = source.depends_on(part.start, part.end + 1) - digest.position
        return 0 if missing > DETACH and source.reads_ahead(part.start, part.end + 1) else missing

    async def read_ahead(self, queue: PartQueue) -> None:
        """Let the digest read the bytes on which waiting parts of an archive depend, whenever no other part is left.

        Call it once the source was opened.
        """
        _, digest = self._content or (None, None)
        while self._waiting and digest is not None:
            self._taken = anyio.Event()
            if self._first_readable() is not None:
                await self._taken.wait()
                continue
            position = digest.position + self._missing(self._waiting[0])
            digest.advance(position)
            await digest.wait_for_position(position)
            if digest.position < position:
                return  # it has failed
            queue.wake(self.left)

    @property
    def next_size(self) -> int:
        """Size of the part that is taken next, in bytes; 0 if none waits."""
        return self._waiting[0].size if self._waiting else 0

    @contextmanager
    def held_up(self) -> Iterator[None]:
        """Mark one part as being in backoff, or as waiting for a source that does not answer."""
        self._held_up += 1
        try:
            yield
        finally:
            self._held_up -= 1

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
                self.fail(error)
            except Stopped:
                pass
            finally:
                self._in_flight.discard(scope)

    def stop(self) -> None:
        """Stop handing out parts, and do not wait for those that other processes have."""
        self.stopped = True
        self._waiting.clear()
        self._taken.set()
        self._elsewhere.clear()
        self._changed.set()

    async def drain(self) -> None:
        """Wait until no part is waiting or in flight."""
        while self._waiting or self._in_flight_count or self._elsewhere:
            self._changed = anyio.Event()
            await self._changed.wait()

    async def cancel(self) -> None:
        """Cancel parts in flight and wait until they released the source."""
        self.abort()
        with anyio.move_on_after(_SETTLE_LIMIT, shield=True):
            await self.drain()
        self._content = None  # the queue and its workers forget a file later

    def abort(self) -> None:
        """Cancel parts in flight, and hand out no more."""
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
    """Parts that drivers offer and workers take.

    `shared`: other processes take parts, too. `may_take`: False while this process may not begin a part. `may_begin`:
    False if no part of this size, in bytes, may begin now. `must_ask`: True while other processes may be sending any of
    the parts, so ask before sending one. `reserved`: the number of parts left to other processes.
    """

    def __init__(
        self,
        *,
        shared: bool = False,
        may_take: Callable[[], bool] = lambda: True,
        must_ask: Callable[[], bool] = lambda: False,
    ) -> None:
        self.shared = shared
        self.must_ask = must_ask
        self.may_begin: Callable[[int], bool] = lambda _: True
        self.reserved = 0
        self._may_take = may_take
        self.used = anyio.Event()
        """Set once there was a part to send."""
        self._small: list[FileSend] = []
        self._large: list[FileSend] = []
        self._waiters: deque[anyio.Event] = deque()

    @property
    def empty(self) -> bool:
        """True if no part can be taken."""
        return not (self._may_take_any() and any(s.ready and self.may_begin(s.next_size) for s in self.files()))

    @property
    def is_out_of_time(self) -> bool:
        """True if parts wait, and none of them may begin because of its size."""
        sizes = [sending.next_size for sending in self.files() if sending.left]
        return bool(sizes) and not any(map(self.may_begin, sizes))

    def files(self) -> Iterator[FileSend]:
        """Yield the files with parts, in the order in which they are served."""
        yield from self._small
        yield from self._large

    @property
    def left(self) -> int:
        """Parts that are waiting."""
        return sum(sending.left for sending in self.files())

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
        if not self._may_take_any():
            return None
        self._small = [sending for sending in self._small if not sending.settled]
        self._large = [sending for sending in self._large if not sending.settled]
        for sending in self.files():
            if self.may_begin(sending.next_size) and (part := sending.take()) is not None:
                return sending, part
        return None

    @property
    def is_open(self) -> bool:
        """False while this process may not begin a part."""
        return self._may_take()

    def _may_take_any(self) -> bool:
        return self.is_open and (not self.reserved or self.left > self.reserved)

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
