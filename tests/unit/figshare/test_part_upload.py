"""Sending one part: every way of ending, against servers that misbehave byte by byte."""

from __future__ import annotations

import array
import asyncio
import contextlib
import fcntl
import functools
import socket
import struct
import sys
import termios
import threading
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import anyio
import pytest

from tests.unit.figshare.conftest import Connect
from tests.unit.figshare.service import HANG, SECRET, Service, listening, read_request, reply
from uploader.figshare.models import Part
from uploader.figshare.outcomes import Outcome, PartFailed, PartLocked, UploadGone

OK = reply(200, "OK")
CHUNK = 256 * 1024
BIG = 64 * CHUNK
"""More than the socket buffers of both sides hold, as the tests set them."""

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]


class Source:
    """Chunks of a part; records how far it was read and whether it was closed."""

    def __init__(self, size: int, *, chunk: int = CHUNK) -> None:
        self.size = size
        self.chunk = chunk
        self.given = 0
        self.closed = 0
        self.opened = 0

    async def __call__(self) -> AsyncIterator[bytes | memoryview]:
        self.opened += 1
        try:
            left = self.size
            while left:
                piece = bytes([left % 251]) * min(self.chunk, left)
                left -= len(piece)
                self.given += len(piece)
                yield memoryview(piece) if left % 2 else piece
                await asyncio.sleep(0)
        finally:
            self.closed += 1


def part_of(size: int, no: int = 1) -> Part:
    return Part(no=no, start=0, end=size - 1)


def url_of(port: int) -> str:
    return f"http://127.0.0.1:{port}/upload/{SECRET}"


@pytest.fixture(params=["asyncio", ("asyncio", {"use_uvloop": True})], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    """Both event loops, which differ in how a connection ends and what it reports."""
    return request.param


def small_window(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)


def stop_reading(writer: asyncio.StreamWriter) -> None:
    cast(asyncio.Transport, writer.transport).pause_reading()


def reset(writer: asyncio.StreamWriter) -> None:
    """Ends the connection with an RST."""
    handle = writer.transport.get_extra_info("socket")
    handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


# --- the good way -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, 5 * CHUNK + 3])
async def test_a_part_is_sent_and_counted(service: Service, connect: Connect, size: int) -> None:
    service.answers = [OK]
    source, accepted = Source(size), list[int]()
    await connect().send_part(service.upload_url, part_of(size, 7), source, on_accepted=accepted.append)
    [asked] = service.asked
    assert (asked.method, asked.path) == ("PUT", f"/upload/{SECRET}/7")
    assert asked.headers["Content-Length"] == str(size)
    assert "Transfer-Encoding" not in asked.headers
    assert "Expect" not in asked.headers
    assert "Authorization" not in asked.headers
    expected = b"".join([bytes(piece) async for piece in Source(size)()])
    assert asked.body == expected
    assert sum(accepted) == size
    assert all(n > 0 for n in accepted)
    assert source.opened == source.closed == 1


async def test_part_connections_are_reused(service: Service, connect: Connect) -> None:
    service.script = lambda _: OK
    figshare = connect()
    for no in range(1, 4):
        await figshare.send_part(service.upload_url, part_of(1000, no), Source(1000))
    assert service.connections == 1


async def test_parts_are_sent_concurrently_without_a_limit(connect: Connect) -> None:
    arrived = 0
    everyone = anyio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal arrived
        await read_request(reader)
        arrived += 1
        if arrived == 150:
            everyone.set()
        await everyone.wait()
        writer.write(OK)
        await writer.drain()

    async with listening(handle, backlog=200) as port:
        figshare = connect()
        with anyio.fail_after(10):
            async with anyio.create_task_group() as group:
                for no in range(150):
                    group.start_soon(figshare.send_part, url_of(port), part_of(10, no), Source(10))


# --- refusals ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "kind"), [(reply(409), PartLocked), (reply(404), UploadGone), (reply(404, "<html>"), UploadGone)]
)
async def test_a_locked_part_and_a_lost_upload(
    service: Service, connect: Connect, answer: bytes, kind: type[Outcome]
) -> None:
    service.answers = [answer]
    with pytest.raises(kind):
        await connect().send_part(service.upload_url, part_of(10), Source(10))


@pytest.mark.parametrize(
    ("answer", "passing", "retry_after", "words"),
    [
        (reply(500), True, None, "answered 500"),
        (reply(504, "<html>Gateway Time-out"), True, None, "answered 504"),
        (reply(429, b"", {"Retry-After": "7"}), True, 7, "answered 429"),
        (reply(503, {"message": "busy"}), True, None, "503: busy"),
        (reply(400, {"message": "no"}), False, None, "400: no"),
        (reply(413, {"message": "too big"}), False, None, "413: too big"),
        (reply(302, b"", {"Location": "https://evil.org/"}), False, None, "302"),
        (reply(403, {"message": "no"}), False, None, "403: no"),
        (reply(403, "<html>blocked"), True, None, "firewall"),
        (reply(202, b"", {"x-amzn-waf-action": "challenge"}), True, None, "firewall"),
        (reply(202), True, None, "answered 202"),
        (reply(200, "<html>Welcome to this network"), True, None, "answered 200"),
        (b"garbage\r\n\r\n", True, None, "not HTTP"),
        (reply(200, "O", length=2), True, None, "cut off|broke|closed"),
        (None, True, None, "closed without a response"),
    ],
)
async def test_a_rejected_part_fails(
    service: Service, connect: Connect, answer: object, passing: bool, retry_after: float | None, words: str
) -> None:
    def then_close(_: object) -> object:
        return answer

    service.answers = [then_close, None]
    figshare = connect()
    if answer == reply(200, "O", length=2):
        service.answers = []

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await read_request(reader)
            writer.write(reply(200, "O", length=2))
            await writer.drain()

        async with listening(handle) as port:
            with pytest.raises(PartFailed, match=words) as caught:
                await figshare.send_part(url_of(port), part_of(10), Source(10))
    else:
        with pytest.raises(PartFailed, match=words) as caught:
            await figshare.send_part(service.upload_url, part_of(10), Source(10))
        assert len(service.asked) == 1
    assert caught.value.transient is passing
    assert caught.value.retry_after == retry_after
    assert caught.value.congested is words.startswith(("answered 429", "503"))


@pytest.mark.parametrize(
    ("answer", "situation", "reason"),
    [
        (reply(307, b"", {"Location": "https://login.example/x?s=1"}), "redirected", "points to login.example"),
        (reply(403, {"message": "Request has expired"}), "upload-refused", "403: Request has expired"),
        (reply(401), "upload-refused", "401"),
        (reply(422), "refused-unexplained", "422"),
        (reply(422, {"message": "too short"}), None, "422: too short"),
    ],
)
async def test_what_helps_where_a_part_is_refused(
    service: Service, connect: Connect, answer: bytes, situation: str | None, reason: str
) -> None:
    service.answers = [answer]
    with pytest.raises(PartFailed, match=reason) as caught:
        await connect().send_part(service.upload_url, part_of(10), Source(10))
    assert not caught.value.transient
    assert (caught.value.advice or (None, None))[1] == situation


async def test_an_unreachable_server_is_an_error(refusing: str, connect: Connect) -> None:
    url = refusing.replace("/v2", f"/upload/{SECRET}")
    source = Source(10)
    with pytest.raises(PartFailed, match="no connection") as caught:
        await connect().send_part(url, part_of(10), source)
    assert caught.value.transient
    assert source.opened == 0


# --- answers that come early ------------------------------------------------------------------------------------

EARLY: list[Any] = [
    pytest.param(reply(409), PartLocked, "409", id="409"),
    pytest.param(reply(413, {"message": "quota exceeded"}), PartFailed, "413: quota exceeded", id="413"),
    pytest.param(reply(429, b"", {"Retry-After": "3"}), PartFailed, "429", id="429"),
    pytest.param(reply(502, "<html>" + "x" * 20000), PartFailed, "502", id="html"),
    pytest.param(reply(404), UploadGone, "404", id="404"),
    pytest.param(OK, PartFailed, "before it had the whole part", id="200"),
]


@pytest.mark.parametrize("ending", ["stays", "closes", "resets"])
@pytest.mark.parametrize(("answer", "kind", "words"), EARLY)
async def test_an_early_response_is_reported_not_the_broken_pipe(
    connect: Connect, answer: bytes, kind: type[Outcome], words: str, ending: str
) -> None:
    hold = anyio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader, body=False)
        writer.write(answer)
        await writer.drain()
        if ending == "stays":
            await hold.wait()
        elif ending == "resets":
            # The kernel does this when a socket with unread bytes is closed; here it is forced.
            await asyncio.sleep(0.02)
            writer.close()

    source = Source(BIG)
    async with listening(handle) as port:
        figshare = connect()
        with anyio.fail_after(10), pytest.raises(kind, match=words):
            await figshare.send_part(url_of(port), part_of(BIG), source)
        assert source.opened == source.closed == 1
        hold.set()


@pytest.mark.search
async def test_an_early_response_survives_a_following_reset(connect: Connect) -> None:
    """The loop is busy meanwhile, so that response and reset are both pending, unread, at the next write."""

    async def slow() -> AsyncIterator[bytes]:
        yield b"x" * CHUNK
        busy_until = time.monotonic() + 0.05
        while time.monotonic() < busy_until:
            pass
        yield b"x" * CHUNK

    async with listening_elsewhere(reply(413, {"message": "quota exceeded"})) as port:
        for _ in range(5):
            with pytest.raises(PartFailed, match="quota exceeded"):
                await connect().send_part(url_of(port), part_of(2 * CHUNK), slow)


@contextlib.asynccontextmanager
async def listening_elsewhere(answer: bytes) -> AsyncIterator[int]:
    """A server in another thread: it responds and closes while this loop is busy."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                connection.recv(1000)
                connection.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield server.getsockname()[1]
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        await asyncio.to_thread(thread.join)


async def test_after_an_early_response_the_connection_is_not_reused(connect: Connect) -> None:
    requests: list[str] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await read_request(reader, body=False)
        requests.append(asked.path)
        if len(requests) == 1:
            writer.write(reply(429))
            await writer.drain()
            await reader.read()
        else:
            await reader.readexactly(int(asked.headers["Content-Length"]))
            writer.write(OK)
            await writer.drain()

    async with listening(handle) as port:
        figshare = connect()
        with pytest.raises(PartFailed):
            await figshare.send_part(url_of(port), part_of(BIG), Source(BIG))
        await figshare.send_part(url_of(port), part_of(CHUNK, 2), Source(CHUNK))
    assert len(requests) == 2


async def test_a_reset_while_sending_is_transient(connect: Connect) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader, body=False)
        await reader.readexactly(CHUNK)
        reset(writer)

    source = Source(BIG)
    async with listening(handle) as port:
        with pytest.raises(PartFailed) as caught:
            await connect().send_part(url_of(port), part_of(BIG), source)
    assert caught.value.transient
    assert source.closed == 1


# --- stalls -----------------------------------------------------------------------------------------------------


async def test_a_server_that_stops_reading_is_aborted(connect: Connect) -> None:
    lost = anyio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        stop_reading(writer)
        await read_until_lost(writer)
        lost.set()

    source = Source(BIG)
    async with listening(handle) as port:
        figshare = connect(stall_timeout=0.3)
        with anyio.fail_after(5), pytest.raises(PartFailed, match=r"took no byte for 0\.3 s") as caught:
            await figshare.send_part(url_of(port), part_of(BIG), source)
        assert caught.value.transient
        assert source.closed == 1
        with anyio.fail_after(5):
            await lost.wait()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what the other side has acknowledged")
async def test_only_acknowledged_bytes_count_as_accepted(connect: Connect) -> None:
    accepted: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        async with anyio.create_task_group() as group:
            figshare = connect(stall_timeout=1.2)
            send = functools.partial(figshare.send_part, on_accepted=accepted.append)
            group.start_soon(send, url_of(server.getsockname()[1]), part_of(BIG), Source(BIG))
            connection, _ = await asyncio.get_running_loop().sock_accept(server)
            # Longer than the stall detector's period, so that everything was counted.
            await anyio.sleep(0.7)
            held = array.array("i", [0])
            fcntl.ioctl(connection, termios.FIONREAD, held)
            group.cancel_scope.cancel()
        connection.close()
    assert held[0] - CHUNK < sum(accepted) <= held[0]


async def read_until_lost(writer: asyncio.StreamWriter) -> None:
    """Reads nothing, and still notices the end: the kernel reports a reset."""
    handle = writer.transport.get_extra_info("socket")
    while handle.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0 and tcp_open(handle):
        await asyncio.sleep(0.01)


def tcp_open(handle: Any) -> bool:
    """The first byte of the kernel's record of a connection is its state; 1 is established."""
    return bool(handle.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == 1)


@pytest.mark.parametrize("chunk", [CHUNK, BIG])
async def test_a_slow_server_is_not_a_stall(connect: Connect, chunk: int) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        small_window(reader, writer)
        asked = await read_request(reader, body=False)
        left = int(asked.headers["Content-Length"])
        while left:
            left -= len(await reader.read(min(left, 512 * 1024)))
            await asyncio.sleep(0.01)
        writer.write(OK)
        await writer.drain()

    accepted: list[int] = []
    async with listening(handle, limit=64 * 1024) as port:
        started = anyio.current_time()
        await connect(stall_timeout=0.2).send_part(
            url_of(port), part_of(BIG), Source(BIG, chunk=chunk), on_accepted=accepted.append
        )
    assert anyio.current_time() - started > 0.3
    assert sum(accepted) == BIG


async def test_a_slow_source_is_not_a_stall(service: Service, connect: Connect) -> None:
    service.answers = [OK]

    async def slow() -> AsyncIterator[bytes]:
        for _ in range(3):
            await asyncio.sleep(0.25)
            yield b"x"

    await connect(stall_timeout=0.1).send_part(service.upload_url, part_of(3), slow)
    assert service.asked[0].body == b"xxx"


async def test_a_slow_response_is_accepted_up_to_the_timeout(service: Service, connect: Connect) -> None:
    service.answers = [HANG]
    started = anyio.current_time()
    with anyio.fail_after(5), pytest.raises(PartFailed, match=r"no response for 0\.4 s") as caught:
        await connect(stall_timeout=0.1, answer_timeout=0.4).send_part(service.upload_url, part_of(10), Source(10))
    assert caught.value.transient
    assert anyio.current_time() - started >= 0.39
    with anyio.fail_after(5):
        await service.lost.wait()


async def test_a_dripping_response_is_aborted(connect: Connect) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(b"O")
                await writer.drain()
                await asyncio.sleep(0.01)

    async with listening(handle) as port:
        with anyio.fail_after(5), pytest.raises(PartFailed):
            await connect(stall_timeout=0.1, answer_timeout=0.3).send_part(url_of(port), part_of(10), Source(10))


# --- the source, and cancellation -------------------------------------------------------------------------------


class Trouble(OSError):
    """The error of a disk."""


@pytest.mark.parametrize("before", [0, 1, 3])
@pytest.mark.parametrize("kind", [Trouble, RuntimeError, KeyError, TimeoutError, PartFailed])
async def test_errors_of_the_source_are_raised_unchanged(
    service: Service, connect: Connect, before: int, kind: type[Exception]
) -> None:
    trouble = kind("disk gone")

    async def failing() -> AsyncIterator[bytes]:
        for _ in range(before):
            yield b"x" * CHUNK
        raise trouble

    service.answers = [OK, OK]
    figshare = connect()
    with pytest.raises(kind) as caught:
        await figshare.send_part(service.upload_url, part_of(BIG), failing)
    assert caught.value is trouble
    await figshare.send_part(service.upload_url, part_of(10, 2), Source(10))
    assert [asked.path for asked in service.asked] == [f"/upload/{SECRET}/2"]


@pytest.mark.parametrize("given", [9, 11, 0])
async def test_chunks_of_the_wrong_length_are_an_error(service: Service, connect: Connect, given: int) -> None:
    service.answers = [OK]
    with pytest.raises(ValueError, match="a part of 10 bytes"):
        await connect().send_part(service.upload_url, part_of(10), Source(given))
    assert service.asked == []


@pytest.mark.parametrize("when", ["sending", "answering"])
async def test_a_cancelled_part_closes_its_connection_and_its_source(connect: Connect, when: str) -> None:
    lost = anyio.Event()
    there = anyio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if when == "sending":
            stop_reading(writer)
            there.set()
            await read_until_lost(writer)
        else:
            await read_request(reader)
            there.set()
            with contextlib.suppress(ConnectionError):
                await reader.read()
        lost.set()

    size = BIG if when == "sending" else 1000
    source = Source(size)
    async with listening(handle) as port:
        figshare = connect()
        async with anyio.create_task_group() as group:
            group.start_soon(figshare.send_part, url_of(port), part_of(size), source)
            await there.wait()
            await anyio.sleep(0.05)
            group.cancel_scope.cancel()
        assert source.opened == source.closed == 1
        with anyio.fail_after(5):
            await lost.wait()


async def test_a_source_that_does_not_close_does_not_block(
    service: Service, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("uploader.figshare.part_upload._CLOSING", 0.1)
    release = asyncio.Event()

    async def clinging() -> AsyncIterator[bytes]:
        try:
            yield b"x"
            await asyncio.sleep(60)
        finally:
            await release.wait()

    service.answers = [HANG]
    with anyio.fail_after(5), anyio.move_on_after(0.05):
        await connect().send_part(service.upload_url, part_of(10), clinging)
    release.set()
    await asyncio.sleep(0.01)


async def test_parts_are_sent_without_the_kernels_count(
    service: Service, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(25, "Inappropriate ioctl for device")

    monkeypatch.setattr("fcntl.ioctl", fail)
    service.answers = [OK]
    accepted: list[int] = []
    await connect().send_part(service.upload_url, part_of(BIG), Source(BIG), on_accepted=accepted.append)
    assert sum(accepted) == BIG


async def test_memory_is_independent_of_the_part_size(connect: Connect) -> None:
    """A server that does not read stops the reading of the source."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        stop_reading(writer)
        await asyncio.sleep(60)

    source = Source(1 << 40)
    async with listening(handle) as port:
        with anyio.move_on_after(0.3):
            await connect().send_part(url_of(port), part_of(1 << 40), source)
    assert source.given < 64 << 20
