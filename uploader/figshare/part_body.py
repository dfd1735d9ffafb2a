"""The body of one part on its way: written with backpressure, measured truly, cut off at once when need be."""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
import struct
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable

import aiohttp
from aiohttp.abc import AbstractStreamWriter

if sys.platform == "linux":
    import fcntl
    import termios

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_NO_COUNT = bytes(struct.calcsize("i"))

Chunk = bytes | memoryview
Chunks = Callable[[], AsyncIterator[Chunk]]

_READABLE = select.POLLIN | select.POLLHUP | select.POLLERR if hasattr(select, "poll") else 0
_LOOP_ROUNDS = 4
"""Rounds of the event loop from a readable socket to the task that waits for the answer: poll, read, wake, run."""


class PartBody(aiohttp.Payload):
    """Streams `size` bytes from `chunks()` as an aiohttp request body with an exact Content-Length.

    `complete`: all bytes were handed to the transport. `failure`: what `chunks` raised. `cut_reason`: why the body
    was cut off, None if it was not. `on_accepted` gets the bytes newly taken over by the other side.
    """

    def __init__(self, size: int, chunks: Chunks, on_accepted: Callable[[int], None] | None) -> None:
        super().__init__(None, content_type="application/octet-stream")
        self._size = self._total = size
        self._chunks = chunks
        self._on_accepted = on_accepted
        self._transport: asyncio.WriteTransport | None = None
        self._poll: select.poll | None = None
        self._written = 0
        self._reported = 0
        self._paused = False
        self._started = False
        self._finished = asyncio.Event()
        self.complete = False
        self.failure: Exception | None = None
        self.abort_reason: str | None = None

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        raise TypeError("a part is streamed, never held as text")

    async def write(self, writer: AbstractStreamWriter) -> None:
        await self.write_with_length(writer, None)

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        """Write the body, in aiohttp's writer task. Returns normally only once every byte was handed over."""
        self._started = True
        self._transport = writer.transport
        source = self._chunks()
        try:
            while (chunk := await self._next(source)) is not None:
                await self._yield_to_early_response()
                # Counted first: the measure is taken while this waits for room.
                self._written += _length(chunk)
                await writer.write(chunk)
                # Whoever made it may use its memory again once nobody holds it.
                del chunk
                await writer.drain()
                self.measure()
            self.complete = True
        finally:
            try:
                if isinstance(source, AsyncGenerator):
                    await source.aclose()
            finally:
                self._finished.set()

    async def _next(self, source: AsyncIterator[Chunk]) -> Chunk | None:
        """Return the next chunk, None at the end; an error here is the caller's own and is kept for it."""
        try:
            chunk = await anext(source, None)
            self._check_length(chunk)
        except Exception as fault:
            self.failure = fault
            raise
        return chunk

    def _check_length(self, chunk: Chunk | None) -> None:
        after = self._written + (0 if chunk is None else _length(chunk))
        if after > self._total or (chunk is None and after < self._total):
            raise ValueError(f"a part of {self._total} bytes got chunks of {after} bytes")

    async def _yield_to_early_response(self) -> None:
        """Lets the loop read what the server says early, before writing on breaks the connection and loses it.

        A server that refuses a part answers and closes; the next write then meets a reset, upon which asyncio drops
        the connection with the answer still unread.
        """
        if self._readable():
            for _ in range(_LOOP_ROUNDS):
                await asyncio.sleep(0)
        if self._paused:
            await asyncio.get_running_loop().create_future()

    def _readable(self) -> bool:
        handle = self._handle()
        if handle < 0 or not _READABLE:
            return False
        if self._poll is None:
            self._poll = select.poll()
            self._poll.register(handle, _READABLE)
        return bool(self._poll.poll(0))

    def pause(self) -> None:
        """Hands over nothing more: the answer is there already."""
        self._paused = True

    def measure(self) -> tuple[int, int, bool]:
        """(bytes taken over by the other side, bytes on their way, whether all were handed over); reports progress.

        On their way is what asyncio holds and what the kernel holds unacknowledged. Both count a little more than
        the body (headers, TLS records), so the measure errs to the low side until nothing is underway.
        """
        in_flight = self._bytes_in_flight()
        accepted = max(self._reported, self._written - in_flight)
        if accepted > self._reported:
            newly_accepted, self._reported = accepted - self._reported, accepted
            if self._on_accepted is not None:
                self._on_accepted(newly_accepted)
        return accepted, in_flight, self.complete

    def _bytes_in_flight(self) -> int:
        transport = self._transport
        if transport is None or transport.is_closing():
            return max(self._written - self._reported, 0)
        return transport.get_write_buffer_size() + _unacknowledged(self._handle())

    def _handle(self) -> int:
        if self._transport is None or self._transport.is_closing():
            return -1
        handle = self._transport.get_extra_info("socket")
        return -1 if handle is None else int(handle.fileno())

    def mark_complete(self) -> None:
        """Note that the server has confirmed all of it."""
        self._written = self._total
        self._transport = None
        if self._reported < self._total and self._on_accepted is not None:
            self._on_accepted(self._total - self._reported)
        self._reported = self._total

    def abort(self, reason: str) -> None:
        """Break the connection now and discard its buffers; an orderly close would wait for them."""
        self.abort_reason = reason
        self._drop_connection()

    def _drop_connection(self) -> None:
        """Reset the connection, so that the server releases the part's lock at once.

        Without it the kernel would go on sending what it holds, to whoever has stopped reading.
        """
        transport = self._transport
        if transport is None:
            return
        handle = transport.get_extra_info("socket")
        if handle is not None:
            # uvloop makes a socket of a closed transport's number, -1, which is a ValueError.
            with contextlib.suppress(OSError, ValueError):
                handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        transport.abort()

    async def closed(self) -> None:
        """Wait until `chunks` is closed; the writer task must have been cancelled or ended."""
        if self._started:
            await self._finished.wait()


def _length(chunk: Chunk) -> int:
    return chunk.nbytes if isinstance(chunk, memoryview) else len(chunk)


def _unacknowledged(handle: int) -> int:
    """Bytes in the kernel's send queue that the peer has not acknowledged; 0 where that cannot be asked."""
    if sys.platform != "linux" or handle < 0:
        return 0
    try:
        count = fcntl.ioctl(handle, termios.TIOCOUTQ, _NO_COUNT)
    except OSError:
        return 0
    return int.from_bytes(count, sys.byteorder)
