"""Malformed, unusual or useless responses, derived from honest ones, grouped by the expected outcome of an upload."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from collections.abc import Callable, Mapping
from typing import TypeAlias

from tests.support.hostile import Answer, answer

Change: TypeAlias = Callable[[bytes], Answer]
"""Takes an honest answer."""


def _split(honest: bytes) -> tuple[bytes, bytes]:
    head, _, body = honest.partition(b"\r\n\r\n")
    return head, body


def _headers(*lines: bytes) -> Change:
    """Add header lines."""

    def change(honest: bytes) -> bytes:
        head, body = _split(honest)
        return b"\r\n".join([head, *lines]) + b"\r\n\r\n" + body

    return change


def _body(encode: Callable[[bytes], bytes], *lines: bytes) -> Change:
    """Encode the body and declare that in header lines; its length is correct."""

    def change(honest: bytes) -> bytes:
        head, body = _split(honest)
        coded = encode(body)
        first = head.split(b"\r\n")[0]
        return b"\r\n".join([first, *lines, b"Content-Length: %d" % len(coded)]) + b"\r\n\r\n" + coded

    return change


def _raw(text: bytes) -> Change:
    return lambda _: text


def _status(line: bytes) -> Change:
    return lambda honest: line + honest[honest.index(b"\r\n") :]


def _chunked(coded: Callable[[bytes], bytes]) -> Change:
    def change(honest: bytes) -> bytes:
        head, body = _split(honest)
        return head.split(b"\r\n")[0] + b"\r\nTransfer-Encoding: chunked\r\n\r\n" + coded(body)

    return change


def _chunks(body: bytes) -> bytes:
    return b"".join(b"%x;a=b\r\n%s\r\n" % (1, body[i : i + 1]) for i in range(len(body)))


def _until_the_end(honest: bytes) -> Answer:
    head, body = _split(honest)

    async def write(writer: asyncio.StreamWriter) -> None:
        writer.write(head.split(b"\r\n")[0].replace(b"1.1", b"1.0") + b"\r\n\r\n" + body)
        await writer.drain()
        writer.close()

    return write


def _dripping(honest: bytes) -> Answer:
    async def write(writer: asyncio.StreamWriter) -> None:
        for byte in honest:
            writer.write(bytes([byte]))
            await asyncio.sleep(0)

    return write


def _cut(share: float) -> Change:
    def change(honest: bytes) -> Answer:
        async def write(writer: asyncio.StreamWriter) -> None:
            writer.write(honest[: max(1, int(len(honest) * share) - 1)])
            await writer.drain()
            writer.close()

        return write

    return change


FINE: dict[str, Change] = {
    "as it is": lambda honest: honest,
    "a length twice": lambda honest: honest.replace(b"Content-Length", b"content-length: %d\r\nContent-Length" % len(
        _split(honest)[1])),
    "300 header lines": _headers(*(b"X-%d: y" % number for number in range(300))),
    "a header of 20 kB": _headers(b"X: " + b"y" * 20_000),
    "headers of other bytes": _headers(b"X: \x80\xff\x01", b"Set-Cookie: =;;\x81", b"Link: <http://[>", b"Date: never"),
    "a folded header": _headers(b"X: a", b"  b"),
    "a wrong content type": _headers(b"Content-Type: ;;;"),
    "no connection": _headers(b"Connection: close"),
    "gzip": _body(gzip.compress, b"Content-Encoding: gzip"),
    "deflate": _body(zlib.compress, b"Content-Encoding: deflate"),
    "chunks": _chunked(lambda body: _chunks(body) + b"0\r\nTrailer: x\r\n\r\n"),
    "HTTP/1.0 until the end": _until_the_end,
    "no reason": lambda honest: honest.replace(b" Word", b"", 1),
    "early hints": lambda honest: b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + honest,
    "byte by byte": _dripping,
    "blanks around JSON": _body(lambda body: b" \n" + body + b"\n " if body[:1] in (b"{", b"[") else body),
}  # fmt: skip
"""Valid HTTP: these must not matter."""

PASSING: dict[str, Change] = {
    "closed": lambda _: None,
    "half a head": _cut(0.2),
    "half a body": _cut(1.0),
    "no HTTP": _raw(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"),
    "TLS": _raw(b"\x15\x03\x01\x00\x02\x02\x46"),
    "status 42": _status(b"HTTP/1.1 42 Word"),
    "a negative length": _raw(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n{}"),
    "two lengths": _raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}"),
    "length and chunks": _raw(
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    ),
    "a chunk that is none": _raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n"),
    "endless headers": _raw(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 5000 + b"\r\n"),
    "408": _raw(answer(408)),
    "425": _raw(answer(425)),
    "429": _raw(answer(429, {"message": "slow down"})),
    "500 with a page": _raw(answer(500, "<html>oops")),
    "502": _raw(answer(502)),
    "503": _raw(answer(503, Retry_After="0")),
    "599": _raw(answer(599)),
    "999": _raw(answer(999)),
}  # fmt: skip
"""These must not matter if they occur once."""

_WORDS: tuple[object, ...] = ({"message": "no such thing"}, b"", "<html>no", {"message": {"a": 1}}, ["no"], b"\xff\xfe")
LASTING: dict[str, Change] = {
    **{
        f"{status} {json.dumps(body, default=repr)}": _raw(answer(status, body))
        for status in (*range(400, 408), 409, 410, 411, 413, 414, 416, 418, 421, 422, 426, 428, 451)
        for body in _WORDS
    },
    **{
        f"{status} {place}": _raw(answer(status, b"", Location=place))
        for status in (300, 301, 302, 303, 304, 305, 307, 308, 399)
        for place in ("https://elsewhere.example/", "/", "", "http://[", "//", "javascript:alert(1)")
    },
    **{
        f"200 {json.dumps(body, default=repr)[:40]}": _raw(answer(200, body))
        for body in (
            b"", "<html>", b"\x00", b"\xff", b"nul", b"null", b"1e999", b"[1]", b"[null]", b"{}", b'"x"', b"[" * 99_999,
            b'{"id":-1,"entity_id":-1,"size":-1,"parts":-1,"name":-1,"status":-1,"upload_url":-1,"location":-1}',
            b'{"id":1e99,"entity_id":[],"size":{},"parts":{},"name":[],"status":{},"upload_url":[],"location":{}}',
            b'{"id":"x","size":"x","parts":["x"],"upload_url":"x","location":"x","computed_md5":"x","status":"x"}',
            b'[{"id":-1,"name":null,"size":"x","created_date":"never","status":7}]',
        )
    },
    "a coding that is unknown": _body(lambda body: body, b"Content-Encoding: br"),
    "a coding that is wrong": _body(lambda body: body, b"Content-Encoding: gzip"),
    "101": _raw(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
    "204": _raw(b"HTTP/1.1 204 No Content\r\n\r\n"),
    "202 of a firewall": _raw(answer(202, b"", x_amzn_waf_action="challenge")),
    "206": _status(b"HTTP/1.1 206 Partial"),
}  # fmt: skip
"""Some of these cannot be handled; the error says what happened."""

ALL: Mapping[str, Change] = {**FINE, **PASSING, **LASTING}
