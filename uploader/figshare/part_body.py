"""The request body of one part: written with backpressure, measured by acknowledged bytes, abortable."""

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
"""Event loop iterations from a readable socket to the task that waits for the response: poll, read, wake, run."""


class PartBody(aiohttp.Payload):
    """Streams `size` bytes from `chunks()` as an aiohttp request body with an exact Content-Length.

    `complete`: all bytes were written to the transport. `failure`: the error raised by `chunks`. `abort_reason`: why
    the body was aborted, else None. `on_accepted` gets the number of newly acknowledged bytes.
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
        raise TypeError("a part is streamed and has no text")

    async def write(self, writer: AbstractStreamWriter) -> None:
        await self.write_with_length(writer, None)

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        """Write the body, in aiohttp's writer task. Returns normally only once every byte is written."""
        self._started = True
        self._transport = writer.transport
        source = self._chunks()
        try:
            while (chunk := await self._next(source)) is not None:
                await self._yield_to_early_response()
                # Count first: `measure` is called while this waits for the transport.
                self._written += _length(chunk)
                await writer.write(chunk)
                # Release the chunk, so that its buffer can be reused.
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
        """Return the next chunk, None at the end; an error of `chunks` is kept for the caller."""
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
        """Let the loop read an early response before further writing breaks the connection and loses it.

        A server that rejects a part responds and closes; the next write then causes a reset, and asyncio drops the
        connection with the response unread.
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
        """Stop writing: the response has arrived."""
        self._paused = True

    def measure(self) -> tuple[int, int, bool]:
        """Return (acknowledged bytes, bytes in flight, whether all were written), and report progress.

        In flight are the bytes in asyncio's buffer and unacknowledged in the kernel's. Both include headers and TLS
        records, so acknowledged bytes are underestimated until nothing is in flight.
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
        """Record that the server has confirmed the whole part."""
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

        Otherwise the kernel would continue to send its buffer.
        """
        transport = self._transport
        if transport is None:
            return
        handle = transport.get_extra_info("socket")
        if handle is not None:
            # uvloop creates a socket from the descriptor -1 of a closed transport, which is a ValueError.
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
    """Return the unacknowledged bytes in the kernel's send queue; 0 if the system cannot tell."""
    if sys.platform != "linux" or handle < 0:
        return 0
    try:
        count = fcntl.ioctl(handle, termios.TIOCOUTQ, _NO_COUNT)
    except OSError:
        return 0
    return int.from_bytes(count, sys.byteorder)
