"""Unusual but valid HTTP responses: unrequested compression, long heads, duplicate lengths."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from tests.unit.figshare.conftest import Connect
from tests.unit.figshare.service import FakeClock, Service, listening, read_request, reply
from uploader.errors import PermissionDenied, ServerFailing
from uploader.figshare.answer_head import merge_lengths
from uploader.figshare.content_coding import decompress
from uploader.figshare.models import Part
from uploader.figshare.outcomes import AmbiguousAnswer
from uploader.figshare.settings import RetryPolicy

BODY = b'{"id": 7, "email": "a@example.org"}'
OK = b"HTTP/1.1 200 OK\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(BODY)


def raw_deflate(body: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(body) + stream.flush()


HEADS = {
    "a length twice": OK + LENGTH + LENGTH,
    "a length twice, far apart": OK + LENGTH + b"A: b\r\n" + LENGTH.lower(),
    "a length in a list": OK + LENGTH.replace(b"\r\n", b", %d\r\n" % len(BODY)),
    "300 lines": OK + LENGTH + b"".join(b"X-%d: y\r\n" % number for number in range(300)),
    "a line of 20 kB": OK + LENGTH + b"X: " + b"y" * 20_000 + b"\r\n",
    "a reason of 20 kB": b"HTTP/1.1 200 " + b"y" * 20_000 + b"\r\n" + LENGTH,
    "after informational ones": b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK + LENGTH + LENGTH,
    "plain line ends": (OK + LENGTH + LENGTH).replace(b"\r\n", b"\n"),
}


@pytest.mark.search
@pytest.mark.parametrize("cut", [None, 1, 700], ids=["at once", "byte by byte", "in pieces"])
@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
async def test_a_head_that_is_http(connect: Connect, head: bytes, cut: int | None) -> None:
    end = b"\n" if head.endswith(b"\n") and not head.endswith(b"\r\n") else b"\r\n"
    text = head + end + BODY

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_request(reader)
            for start in range(0, len(text), cut or len(text)):
                writer.write(text[start : start + (cut or len(text))])
                await writer.drain()
                if cut:
                    await asyncio.sleep(0)

    async with listening(talk) as port:
        figshare = connect(endpoint=f"http://127.0.0.1:{port}/v2", retry=RetryPolicy(elapsed_cap=0))
        for _ in range(2):
            assert (await figshare.account()).id == 7


@pytest.mark.parametrize(
    "head",
    [
        OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
        OK + b"Content-Length: +2\r\nContent-Length: +2\r\n\r\n",
        OK + b"Content-Length: 2\r\n\r\n",
        OK + b"X-Content-Length: 2\r\nX-Content-Length: 2\r\n\r\n",
        OK + b"A: b\r\n\r\n",
    ],
)
def test_other_heads_stay_as_they_are(head: bytes) -> None:
    assert merge_lengths(head) == head


async def test_an_invalid_chunk_ends_the_answer_at_once(connect: Connect) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(OK + b"Transfer-Encoding: chunked\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.write(b"f" * 19 + b"\r\n")
        await reader.read()

    async with listening(talk) as port:
        figshare = connect(endpoint=f"http://127.0.0.1:{port}/v2", retry=RetryPolicy(elapsed_cap=0))
        with anyio.fail_after(5), pytest.raises(Exception, match="cut off"):
            await figshare.account()


CODINGS = [
    ("gzip", gzip.compress(BODY, mtime=0)),
    ("X-GZip", gzip.compress(BODY, mtime=0)),
    ("deflate", zlib.compress(BODY)),
    ("deflate", raw_deflate(BODY)),
    ("gzip, identity", gzip.compress(BODY[:5], mtime=0) + gzip.compress(BODY[5:], mtime=0)),
    ("deflate, gzip", gzip.compress(zlib.compress(BODY), mtime=0)),
]


@pytest.mark.parametrize(("coding", "body"), CODINGS)
async def test_a_compressed_answer_is_read(service: Service, connect: Connect, coding: str, body: bytes) -> None:
    service.answers = [reply(200, body, {"Content-Encoding": coding})]
    assert (await connect().account()).id == 7


async def test_the_words_of_a_compressed_refusal_are_read(service: Service, connect: Connect) -> None:
    words = gzip.compress(b'{"message": "Insufficient rights"}', mtime=0)
    service.answers = [reply(200, {"id": 7}), reply(403, words, {"Content-Encoding": "gzip"})]
    figshare = connect()
    await figshare.account()
    with pytest.raises(PermissionDenied, match="Insufficient rights"):
        await figshare.item(5)


UNREADABLE = {"br": b"\x0b\x02\x80{}\x03", "gzip": gzip.compress(BODY, mtime=0)[:-9], "gzip, zstd": b"?"}


@pytest.mark.parametrize(("coding", "body"), UNREADABLE.items(), ids=UNREADABLE)
async def test_what_cannot_be_decompressed(
    service: Service, connect: Connect, clock: FakeClock, coding: str, body: bytes
) -> None:
    """It may be a proxy's temporary mistake; if the status is sufficient, the body is not needed."""
    odd = reply(200, body, {"Content-Encoding": coding})
    service.answers = [reply(200, {"id": 7}), odd, reply(200, {"id": 5})]
    figshare = connect(retry=RetryPolicy(elapsed_cap=5))
    await figshare.account()
    assert (await figshare.item(5)).id == 5
    service.script = lambda _: odd
    with pytest.raises(ServerFailing, match=f"compressed as {coding}"):
        await figshare.item(5)
    await figshare.complete(5, 9)
    await figshare.delete_file(5, 9)
    await figshare.send_part(service.upload_url, Part(no=1, start=0, end=0), one_byte)
    with pytest.raises(AmbiguousAnswer):
        await figshare.initiate(5, name="a", size=1)
    head = {"Content-Encoding": coding, "Location": f"{service.endpoint}/account/articles/5/files/9"}
    service.script = lambda _: reply(201, body, head)
    assert await figshare.initiate(5, name="a", size=1) == 9


async def one_byte() -> AsyncIterator[bytes]:
    yield b"x"


@pytest.mark.parametrize("codings", [["gzip"], ["gzip", "gzip"], ["deflate", "gzip"]])
def test_decompression_is_bounded(codings: list[str]) -> None:
    body: Any = bytes(50_000_000)
    for coding in codings:
        body = gzip.compress(body, 1, mtime=0) if coding == "gzip" else zlib.compress(body, 1)
    found = decompress(body, codings, 1000)
    assert found is None or len(found) <= 1001
    assert decompress(gzip.compress(b"x" * 1000, mtime=0) * 3, ["gzip"], 1500) == b"x" * 1501
    assert decompress(b"", ["gzip"], 10) == b""
    assert decompress(BODY, ["gzip"], 10) is None
