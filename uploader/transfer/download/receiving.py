"""One file that is being downloaded: its ranges are written as they arrive, and hashed and recorded at intervals."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
import anyio.to_thread

from uploader.clock import Clock
from uploader.errors import FigupError
from uploader.transfer.download.partial import PartialFile
from uploader.transfer.download.plan import FileToFetch

SEGMENT = 32 << 20
"""Bytes requested at a time."""
_BLOCK = 1 << 20
"""Bytes that are written at a time."""
_HASH_FROM = 16 << 20
"""Bytes that are hashed at a time, while they are still in memory."""
_SAVE_INTERVAL = 1.0
"""Seconds between two writes of a file's ranges."""


class Receiving:
    """A file that is being downloaded; `open_ranges` is the number of ranges not fetched yet. `unranged`: the server
    ignores Range headers. `error` is the first one of this file.
    """

    def __init__(self, wanted: FileToFetch, partial: PartialFile) -> None:
        self.wanted = wanted
        self.partial = partial
        self.open_ranges = 0
        self.unranged = False
        self.error: FigupError | None = None
        self._hashing = anyio.Lock()
        self._saving = anyio.Lock()
        self._saved = 0.0

    def segments(self) -> list[tuple[int, int]]:
        """Return the missing ranges, none larger than a segment."""
        pieces = []
        for start, end in self.partial.ranges.missing(0, self.wanted.size):
            pieces += [(at, min(at + SEGMENT, end)) for at in range(start, end, SEGMENT)]
        return pieces

    async def write(self, start: int, data: bytes, now: float) -> None:
        """Write bytes that have arrived; `now` is in monotonic seconds. Raises TargetFull, TargetUnusable."""
        partial = self.partial
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(partial.write, start, data)
        partial.ranges.add(start, start + len(data))
        if partial.to_hash >= _HASH_FROM and not self._hashing.locked():
            async with self._hashing:
                await anyio.to_thread.run_sync(partial.hash_front)
        if now - self._saved >= _SAVE_INTERVAL and not self._saving.locked():
            self._saved = now
            async with self._saving:
                await anyio.to_thread.run_sync(partial.save)

    async def digest(self) -> str:
        """Return the MD5 of the whole file in hex, after the last byte was written."""
        async with self._hashing:
            return await anyio.to_thread.run_sync(self.partial.digest)

    async def close(self) -> None:
        """Close the file once it is no longer hashed or recorded."""
        async with self._hashing, self._saving:
            await anyio.to_thread.run_sync(self.partial.close)


class RangeWriter:
    """Collects the bytes of one range and writes them in blocks. `position` is the offset of the next bytes."""

    def __init__(
        self, file: Receiving, start: int, on_received: Callable[[int], Awaitable[None]], clock: Clock
    ) -> None:
        """`on_received` is awaited with the number of bytes received, and may throttle the connection."""
        self._file = file
        self._on_received = on_received
        self._clock = clock
        self._buffer = bytearray()
        self.position = start

    async def take(self, offset: int, data: bytes) -> None:
        """Append the bytes at `offset`, which follows the last ones."""
        await self._on_received(len(data))
        self._buffer += data
        self.position = offset + len(data)
        if len(self._buffer) >= _BLOCK:
            await self.flush()

    async def flush(self) -> None:
        """Write everything collected."""
        if self._buffer:
            data, self._buffer = bytes(self._buffer), bytearray()
            await self._file.write(self.position - len(data), data, self._clock.monotonic())
