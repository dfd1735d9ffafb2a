"""Write the body of a part from a connection to the disk: in bounded memory, one batch ahead of the writes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import Executor

from aiohttp import ClientPayloadError, StreamReader
from aiohttp.http_exceptions import HttpProcessingError

from uploader.sandbox.blobs import PartFile

BATCH = 2**20
"""Bytes gathered for one write; at most two such batches are in memory for each connection."""
_MAX_CHUNKS = 1024
"""Maximum chunks in a batch, since a list of tiny chunks takes memory, too."""


class BodyStalled(Exception):
    """No data arrived within the time limit."""


class BodyBroken(Exception):
    """The connection broke, or the body's framing is wrong."""


class BodyTooLong(Exception):
    """The body is longer than the part."""


async def chunks(content: StreamReader, *, idle: float, rate: int) -> AsyncIterator[bytes]:
    """Yield the body's chunks as they arrive. BodyStalled after `idle` seconds without any, BodyBroken if it breaks.

    `rate` is bytes per second, 0 for no limit.
    """
    loop = asyncio.get_running_loop()
    due = loop.time()
    while True:
        try:
            async with asyncio.timeout(idle):
                chunk = await content.readany()
        except TimeoutError as error:
            raise BodyStalled from error
        except (OSError, ClientPayloadError, HttpProcessingError) as error:
            raise BodyBroken from error
        if not chunk:
            return
        yield chunk
        if rate:
            due = max(due, loop.time() - 0.1) + len(chunk) / rate
            await asyncio.sleep(max(0.0, due - loop.time()))


class Receiver:
    """Writes pieces of a body to a part. `received` counts the bytes taken in."""

    def __init__(self, target: PartFile, length: int, disk: Executor) -> None:
        self._target = target
        self._length = length
        self._disk = disk
        self._batch: list[bytes] = []
        self._pending = 0
        self._writing: asyncio.Future[None] | None = None
        self.received = 0

    async def take(self, chunk: bytes) -> None:
        """Add a chunk. BodyTooLong if it exceeds the part, OSError if an earlier write failed."""
        self.received += len(chunk)
        if self.received > self._length:
            raise BodyTooLong
        self._batch.append(chunk)
        self._pending += len(chunk)
        if self._pending >= BATCH or len(self._batch) >= _MAX_CHUNKS:
            await self._write()

    async def finish(self) -> None:
        """Write the rest. Raises OSError."""
        if self._batch:
            await self._write()
        await self._settle()

    async def abandon(self) -> None:
        """Wait for the current write, so that nothing is written to the part afterwards."""
        if self._writing is not None:
            await asyncio.gather(self._writing, return_exceptions=True)

    async def _write(self) -> None:
        await self._settle()
        batch, self._batch, self._pending = self._batch, [], 0
        self._writing = asyncio.get_running_loop().run_in_executor(self._disk, self._target.write, batch)

    async def _settle(self) -> None:
        if self._writing is not None:
            writing, self._writing = self._writing, None
            await writing
