"""Bounds on what a server can make figup spend: bytes, time and memory, whatever it responds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import msgspec
import pytest

from tests.unit.figshare.conftest import Connect
from tests.unit.figshare.service import SECRET, TOKEN, Service, listening, read_request, reply
from uploader.errors import FigupError, ProtocolViolation, RequestRejected
from uploader.figshare import parts
from uploader.figshare.models import Part
from uploader.figshare.outcomes import PartFailed
from uploader.figshare.responses import server_message
from uploader.figshare.settings import RetryPolicy
from uploader.figshare.transport import ERROR_LIMIT

ENDLESS = {
    "informational answers": (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
    "a chunk's extension": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;", b"x" * 4096),
    "trailers": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"a: b\r\n" * 1000),
    "headers": (b"HTTP/1.1 200 OK\r\n", b"a: b\r\n" * 1000),
    "one header": (b"HTTP/1.1 200 OK\r\na: ", b"x" * 4096),
    "a status line": (b"HTTP/1.1 200 ", b"x" * 4096),
    "an error's body": (b"HTTP/1.1 500 No\r\n\r\n", b"x" * 4096),
}


@pytest.mark.search
@pytest.mark.parametrize(("head", "block"), ENDLESS.values(), ids=ENDLESS)
async def test_an_endless_response_is_ended(connect: Connect, head: bytes, block: bytes) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(head)
        while True:
            writer.write(block)
            await writer.drain()

    async with listening(talk) as port:
        figshare = connect(
            endpoint=f"http://127.0.0.1:{port}/v2",
            connect_timeout=0.2,
            answer_timeout=0.05,
            retry=RetryPolicy(elapsed_cap=0),
        )
        with anyio.fail_after(20), pytest.raises(FigupError):
            await figshare.account()


async def test_the_response_to_a_part_is_limited(service: Service, connect: Connect) -> None:
    """Many parts are sent at once, and each of their responses is held in memory."""

    async def one_byte() -> AsyncIterator[bytes]:
        yield b"x"

    service.answers = [reply(200, b"O" * (ERROR_LIMIT + 1)), reply(200, b"OK")]
    with pytest.raises(PartFailed, match="longer than") as caught:
        await connect().send_part(service.upload_url, Part(no=1, start=0, end=0), one_byte)
    assert not caught.value.transient
    await connect().send_part(service.upload_url, Part(no=1, start=0, end=0), one_byte)


async def test_a_part_url_is_requested_exactly_as_given(service: Service, connect: Connect) -> None:
    """The signer of a URL decides its quoting."""

    async def one_byte() -> AsyncIterator[bytes]:
        yield b"x"

    service.script = lambda _: reply(200, b"OK")
    url = f"{service.origin}/upload/%7Ea%2fb?c=%41"
    await connect().send_part(url, Part(no=3, start=0, end=0), one_byte)
    assert [asked.path for asked in service.asked] == ["/upload/%7Ea%2fb/3?c=%41"]


@pytest.mark.parametrize("no", [parts.MAX_PART_NO + 1, 2**62, 2**63, 10**30, -1])
def test_an_excessive_part_number_is_rejected(no: int) -> None:
    row = {"partNo": no, "startOffset": 0, "endOffset": 9}
    with pytest.raises(ProtocolViolation):
        parts.parse_upload(_json({"size": 10, "status": "PENDING", "parts": [row]}))
    with pytest.raises(ProtocolViolation):
        parts.parse_part(_json(row))


async def test_an_endless_listing_is_an_error(
    service: Service, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("uploader.figshare.pipeline.MAX_ROWS", 3500)
    starts = iter(range(1, 100_000, 1000))
    service.script = lambda _: reply(200, [{"id": row} for row in _thousand_from(next(starts))])
    with pytest.raises(ProtocolViolation, match="more than 3500"):
        _ = [row async for row in connect().files(7)]
    assert len(service.asked) == 4


def _thousand_from(start: int) -> range:
    return range(start, start + 1000)


@pytest.mark.parametrize("place", ["https://evil\x1b[31m.org/x", "http://[::1", "//", "x" * 3000, "https://a..b/"])
async def test_any_location_of_a_redirect_is_an_error(service: Service, connect: Connect, place: str) -> None:
    service.script = lambda _: reply(302, b"", {"Location": place})
    with pytest.raises(FigupError, match="redirects are not followed"):
        await connect().account()
    assert len(service.asked) == 1


ECHOES: dict[str, Callable[[], dict[str, Any]]] = {
    "message": lambda: {"message": f"no {TOKEN} of https://u:p@x.org/upload/{SECRET}/1?sig={SECRET}", "code": TOKEN},
    "code": lambda: {"code": TOKEN},
}


@pytest.mark.parametrize("body", ECHOES.values(), ids=ECHOES)
async def test_the_token_is_redacted_in_server_messages(
    service: Service, connect: Connect, body: Callable[[], dict[str, Any]]
) -> None:
    service.script = lambda _: reply(422, body())
    with pytest.raises(RequestRejected) as caught:
        await connect().delete_file(1, 2)
    assert TOKEN not in caught.value.message
    assert SECRET not in caught.value.message
    service.script = lambda _: reply(302, b"", {"Location": f"https://{TOKEN}.org/"})
    with pytest.raises(FigupError) as moved:
        await connect().account()
    assert TOKEN not in moved.value.message


def test_urls_in_server_messages_are_redacted() -> None:
    words = "see https://docs.figshare.com/#upload or https://s3.example/b/k?X-Amz-Signature=00ff and /upload/abc-1/3"
    assert server_message(_json({"message": words})) == (
        "see https://docs.figshare.com/?... or https://s3.example/b/k?... and /upload/.../3"
    )


def _json(value: object) -> bytes:
    return msgspec.json.encode(value)
