"""The bytes of one part, read from its source while they are sent."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

import anyio
import anyio.to_thread
import xxhash

from uploader.figshare.models import Part
from uploader.figshare.part_body import Chunk
from uploader.sources.digest import Digest
from uploader.sources.source import Readable
from uploader.transfer.run.throttle import Throttle

READ_AHEAD = 1 << 20
"""Bytes that a thread reads at once: each switch to one and back costs as much as sending some 100 kB."""


class ReusableBuffer:
    """Memory for successive chunks, reused once no view of it is held, since allocation costs time."""

    def __init__(self) -> None:
        self._memory = bytearray()

    def view(self, length: int) -> memoryview:
        """Return a writable view of this many bytes; memory is not reused while a view of it is held."""
        if len(self._memory) < length or not self._is_free():
            self._memory = bytearray(length)
        return memoryview(self._memory)[:length]

    def _is_free(self) -> bool:
        try:
            # Python refuses to resize memory with views; transports may hold views longer than documented.
            self._memory.append(0)
        except BufferError:
            return False
        del self._memory[-1]
        return True


class PartReader:
    """Streams one part of the source; `xxh3` is the hash of all its bytes, None until the last was read."""

    def __init__(
        self,
        source: Readable,
        digest: Digest | None,
        part: Part,
        throttle: Throttle,
        *,
        run_start: int,
        waiting: Callable[..., AbstractAsyncContextManager[None]],
    ) -> None:
        """All parts from the offset `run_start` to this one are sent in this run. See `Slot.waiting`."""
        self._source = source
        self._digest = digest
        self._run_start = run_start
        self._part = part
        self._throttle = throttle
        self._waiting = waiting
        self._thread = anyio.CapacityLimiter(1)  # of its own: storage that hangs must not keep others from threads
        self._hasher = xxhash.xxh3_64()
        self._memory = ReusableBuffer()
        self._read_ahead = memoryview(b"")
        """Bytes that were read from storage and are to be sent next."""
        self.xxh3: int | None = None

    async def chunks(self) -> AsyncIterator[Chunk]:
        """Yield the part's bytes. Raises SourceChanged or SourceUnreadable."""
        offset, end = self._part.start, self._part.end + 1
        digest = self._digest
        while offset < end:
            if digest is not None and (position := digest.awaited(offset, self._run_start)):
                async with self._waiting(lambda: digest.position):
                    await digest.wait_for_position(position)
            block = await self._read(offset, min(self._throttle.chunk_size, end - offset))
            self._hasher.update(block)
            offset += len(block)
            if digest is not None:
                digest.advance(offset)
            await self._throttle.take(len(block))
            yield block
            del block
        self.xxh3 = self._hasher.intdigest()

    async def _read(self, offset: int, length: int) -> Chunk:
        """Read from the page cache if possible: the digest has usually read these bytes before.

        Where that cannot be done without blocking, a thread reads several chunks at a time.
        """
        if not self._read_ahead:
            buffer = self._memory.view(length)
            if count := self._source.read_into(offset, buffer):
                return buffer[:count]
            del buffer
            block = self._memory.view(min(READ_AHEAD, self._part.end + 1 - offset))
            async with self._waiting():
                await anyio.to_thread.run_sync(self._source.fill, offset, block, limiter=self._thread)
            self._read_ahead = block
        chunk, self._read_ahead = self._read_ahead[:length], self._read_ahead[length:]
        return chunk
