"""The digest: one thread per source that computes its MD5 while the parts go out, from the same pages.

It reads the file in order, never far ahead of what is being sent (so that it does not read from storage what the
senders would read again), and the senders never run far ahead of it (so that the pages are still in memory when it
comes).
On the way it compares the parts that an earlier run sent with their recorded xxh3.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass

import anyio
import anyio.from_thread
import anyio.to_thread
import xxhash

from uploader.errors import SourceChanged
from uploader.transfer.source import Source, shown

READ = 1 << 20
"""Bytes read and hashed at a time."""
AHEAD = 64 << 20
"""Bytes that the digest may be ahead of the furthest sender."""
BEHIND = 1 << 30
"""Bytes that a sender may be ahead of the digest."""


@dataclass(frozen=True)
class Recorded:
    """A part that an earlier run sent: bytes `start` to `end` (exclusive) had this xxh3."""

    no: int
    start: int
    end: int
    xxh3: int


class _Stop(Exception):
    """The digest was told to end."""


class Digest:
    """The MD5 of a source, in the making."""

    def __init__(self, source: Source, *, recorded: Sequence[Recorded] = (), paced: bool = True) -> None:
        """`recorded` must be in the order of `start`. Not `paced`: as fast as it goes, without waiting for senders."""
        self._source = source
        self._size = source.snapshot.size
        self._recorded = recorded
        self._front = 0 if paced else self._size
        self._position = 0
        self._stopped = False
        self._turn = threading.Condition()
        self._moved = anyio.Event()
        self._waiting = False

    async def run(self) -> str:
        """Compute and return the MD5 in hex. Raises SourceChanged when a recorded part is not what it was."""
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._stop_on_cancel)
                md5 = await anyio.to_thread.run_sync(self._hash, limiter=anyio.CapacityLimiter(1))
                tasks.cancel_scope.cancel()
        finally:
            self._stop()
            self._tell_moved()
        return md5

    def sending(self, offset: int) -> None:
        """A sender has come to `offset`."""
        if offset > self._front:
            with self._turn:
                self._front = max(self._front, offset)
                self._turn.notify()

    def all_sent(self) -> None:
        """No sender will come any more: hash the rest."""
        self.sending(self._size)

    async def room(self, offset: int) -> None:
        """Wait until the digest is near enough to `offset` for its pages to be still in memory when it gets there."""
        while offset - self._position > BEHIND and not self._stopped:
            self._waiting = True
            await self._moved.wait()

    async def _stop_on_cancel(self) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            self._stop()

    def _stop(self) -> None:
        with self._turn:
            self._stopped = True
            self._turn.notify()

    def _tell_moved(self) -> None:
        moved, self._moved, self._waiting = self._moved, anyio.Event(), False
        moved.set()

    def _hash(self) -> str:
        md5 = hashlib.md5(usedforsecurity=False)
        boundaries = iter(self._recorded)
        part = next(boundaries, None)
        checked = xxhash.xxh3_64()
        while self._position < self._size:
            limit = part.start if part and part.start > self._position else part.end if part else self._size
            data = self._source.read(self._position, min(READ, limit - self._position))
            md5.update(data)
            if part and self._position >= part.start:
                checked.update(data)
            self._advance(len(data))
            if part and self._position == part.end:
                self._compare(part, checked.intdigest())
                checked.reset()
                part = next(boundaries, None)
        return md5.hexdigest()

    def _compare(self, part: Recorded, xxh3: int) -> None:
        if xxh3 != part.xxh3:
            raise SourceChanged(
                f"{shown(self._source.path)}: changed since part {part.no} of it was sent",
                hint="Add --restart-changed to send the file again as it is now, or put the old file back.",
                path=self._source.path,
            )

    def _advance(self, count: int) -> None:
        with self._turn:
            self._position += count
            while self._position >= self._front + AHEAD and not self._stopped:
                self._turn.wait()
            if self._stopped:
                raise _Stop
        if self._waiting:
            anyio.from_thread.run_sync(self._tell_moved)
