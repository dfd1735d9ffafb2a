"""The digest: one thread per source computes its MD5 while the parts are sent, from the same pages.

It reads the file in order, never far ahead of the senders, which would otherwise read the same bytes from storage
again, and the senders never run far ahead of it, so that the pages are still in memory. It also compares the parts sent
by an earlier run with their recorded xxh3.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable, Sequence

import anyio
import anyio.to_thread
import msgspec
import xxhash

from uploader.concurrency import until_cancelled
from uploader.errors import SourceChanged
from uploader.sources.md5 import Checkpoint, Md5, SavableMd5, new_md5
from uploader.sources.source import InOrder
from uploader.system import system_errors

READ = 1 << 20
"""Bytes read and hashed at a time."""
MAX_LEAD = 64 << 20
"""Bytes that the digest may be ahead of the furthest sender."""
MAX_LAG = 64 << 20
"""Bytes that a sender may be ahead of the digest before it waits, so that storage is read once and little remains to
hash after the last part.
"""
DETACH = 1 << 30
"""Distance in bytes at which a sender no longer waits, since it would wait too long."""
_FIRST_NOTICE, _NOTICE_INTERVAL = 2.0, 10.0
"""Seconds until the first progress report of reading, and the maximum between two."""
SAVE_BYTES, SAVE_SECONDS = 64 << 20, 0.25
"""Minimum bytes and seconds between two checkpoints."""
_STOP_TIMEOUT = 5.0
"""Seconds allowed for the thread to release the source when stopped."""


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """A part that an earlier run sent: bytes `start` to `end` (exclusive) had this xxh3."""

    no: int
    start: int
    end: int
    xxh3: int


class _Stop(Exception):
    """The digest was stopped."""


class Digest:
    """The MD5 of a source while it is computed."""

    def __init__(
        self,
        source: InOrder,
        *,
        recorded: Sequence[Recorded] = (),
        paced: bool = True,
        on_read: Callable[[int, int], None] | None = None,
        checkpoint: Checkpoint | None = None,
        on_checkpoint: Callable[[Checkpoint], None] | None = None,
    ) -> None:
        """Take `recorded` in the order of `start`. Unless `paced`, read at full speed, without waiting for senders.

        `on_read` is called occasionally, on the event loop, with the bytes read and the total. `checkpoint` is from an
        earlier digest of the same content, and `source` continues there; the bytes before it are not read, and their
        parts not compared.
        `on_checkpoint` gets new checkpoints occasionally, on the event loop, and a last one when the digest is stopped.
        """
        self._on_read = on_read
        self._md5: Md5 = SavableMd5(checkpoint.state) if checkpoint is not None else new_md5()
        self._on_checkpoint = on_checkpoint if isinstance(self._md5, SavableMd5) else None
        self._kept = checkpoint.position if checkpoint is not None else 0
        self._kept_at = time.monotonic()
        self._source = source
        self._size = source.snapshot.size
        self._recorded = [part for part in recorded if part.start >= self._kept]
        self._send_position = 0 if paced else self._size
        self._position = self._kept
        self._started = False
        self._stopped = False
        self._cond = threading.Condition()
        self._waiters: list[tuple[int, anyio.Event]] = []
        """Waiters by hash position; `_wake_position` is the first of these."""
        self._wake_position = math.inf
        self._detached = False
        self._ended = threading.Event()
        self._loop: asyncio.AbstractEventLoop
        self._timer: asyncio.TimerHandle | None = None

    async def run(self) -> str:
        """Compute and return the MD5 in hex. Raises SourceChanged if a recorded part differs."""
        self._loop = asyncio.get_running_loop()
        if self._on_read is not None:
            self._timer = self._loop.call_later(_FIRST_NOTICE, self._report_read, self._on_read, _FIRST_NOTICE)
        try:
            with system_errors():
                md5 = await until_cancelled(self._hash)
            del self._source  # an archive may have a million members
            return md5
        finally:
            if self._timer is not None:
                self._timer.cancel()
            # A thread that has not started checks `_stopped` before it reads.
            if self._stop():
                with anyio.CancelScope(shield=True):
                    await anyio.to_thread.run_sync(self._ended.wait, _STOP_TIMEOUT)
            self._notify_position(ended=True)

    def _report_read(self, on_read: Callable[[int, int], None], pause: float) -> None:
        on_read(self._position, self._size)
        pause = min(2 * pause, _NOTICE_INTERVAL)
        self._timer = self._loop.call_later(pause, self._report_read, on_read, pause)

    def advance(self, offset: int) -> None:
        """Record that a sender has reached `offset`."""
        if offset > self._send_position:
            self._send_position = offset
            # Read after the send position is set, and set by the thread before it reads that: no wake-up is lost.
            if self._detached:
                with self._cond:
                    self._cond.notify()

    def all_sent(self) -> None:
        """Hash the rest: all parts are sent."""
        self.advance(self._size)

    async def wait_recorded(self) -> None:
        """Wait until all recorded parts have been compared with the source."""
        if self._recorded:
            self.advance(self._recorded[-1].end)
            await self.wait_for_position(self._recorded[-1].end)

    def awaited(self, offset: int, since: int = 0) -> int:
        """Return the position to wait for before `offset` is sent, so that its pages are still in memory when the
        digest gets there; 0 for none.

        Everything from `since` to `offset` is sent in this run. If the digest has not reached `since` or is far behind,
        it must read these pages again in any case, so do not wait.
        """
        self.advance(offset)
        if MAX_LAG < offset - self._position <= DETACH and self._position >= since - MAX_LAG:
            return offset - MAX_LAG // 2  # much closer, so that not every chunk has to wait
        return 0

    @property
    def position(self) -> int:
        """How many bytes are hashed."""
        return self._position

    async def wait_for_position(self, position: int) -> None:
        """Wait until the bytes up to `position` are hashed, or the digest has ended."""
        while self._position < position and not self._stopped:
            moved = anyio.Event()
            self._waiters.append((position, moved))
            self._wake_position = min(self._wake_position, position)
            # Check again: the thread may have advanced before it could see the waiter.
            if self._position >= position:
                return
            await moved.wait()

    def _stop(self) -> bool:
        """Stop the thread; True if it had started."""
        with self._cond:
            self._stopped = True
            self._cond.notify()
            return self._started

    def _notify_position(self, *, ended: bool = False) -> None:
        """Wake waiters whose position is reached."""
        while True:
            here = math.inf if ended else self._position
            for position, moved in self._waiters:
                if position <= here:
                    moved.set()
            self._waiters = [waiter for waiter in self._waiters if waiter[0] > here]
            self._wake_position = min((position for position, _ in self._waiters), default=math.inf)
            # Check again: the thread may have advanced before it could see the next waiter.
            if self._position < self._wake_position:
                return

    def _hash(self) -> str:
        with self._cond:
            if self._stopped:
                raise _Stop
            self._started = True
        try:
            return self._hash_all()
        except _Stop:
            if self._position > self._kept:
                self._keep(self._position)
            raise
        finally:
            self._ended.set()

    def _hash_all(self) -> str:
        md5 = self._md5
        boundaries = iter(self._recorded)
        part = next(boundaries, None)
        checked = xxhash.xxh3_64()
        while self._position < self._size:
            limit = part.start if part and part.start > self._position else part.end if part else self._size
            data = self._source.read(self._position, min(READ, limit - self._position))
            md5.update(data)
            if part and self._position >= part.start:
                checked.update(data)
            if part and self._position + len(data) == part.end:
                self._compare(part, checked.intdigest())
                checked.reset()
                part = next(boundaries, None)
            if not self._stopped:  # a late thread must not write
                self._save_if_due(len(data))
            self._release_waiters(len(data))
        return md5.hexdigest()

    def _save_if_due(self, count: int) -> None:
        """Save the state if a checkpoint is due; it includes `count` bytes beyond the position."""
        if self._on_checkpoint is None or self._position + count - self._kept < SAVE_BYTES:
            return
        if time.monotonic() - self._kept_at >= SAVE_SECONDS or self._position + count == self._size:
            self._keep(self._position + count)

    def _keep(self, position: int) -> None:
        if self._on_checkpoint is None or not isinstance(self._md5, SavableMd5):
            return
        self._kept, self._kept_at = position, time.monotonic()
        if (reader := self._source.save()) is not None:
            kept = Checkpoint(position=self._kept, state=self._md5.save(), reader=reader)
            self._loop.call_soon_threadsafe(self._on_checkpoint, kept)

    def _compare(self, part: Recorded, xxh3: int) -> None:
        if xxh3 != part.xxh3:
            raise SourceChanged(
                f"{self._source.part_label(part.start, part.end)}: changed since part {part.no} of it was sent",
                path=self._source.path,
            )

    def _release_waiters(self, count: int) -> None:
        self._position += count
        if self._position >= self._wake_position:
            self._wake_position = math.inf
            self._loop.call_soon_threadsafe(self._notify_position)
        if self._position >= self._send_position + MAX_LEAD:
            self._wait()
        if self._stopped:
            raise _Stop

    def _wait(self) -> None:
        """Wait until the senders have caught up."""
        with self._cond:
            self._detached = True
            while self._position >= self._send_position + MAX_LEAD and not self._stopped:
                self._cond.wait()
            self._detached = False
