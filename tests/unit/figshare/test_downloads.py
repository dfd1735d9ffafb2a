"""Fetching ranges of a file: possible responses, and which hosts get the token."""

from __future__ import annotations

import gzip

import pytest

from tests.unit.figshare.conftest import Connect
from tests.unit.figshare.service import TOKEN, Service, listening, reply
from uploader.errors import FigupError, FileNotHeld, PermissionDenied, ProtocolViolation, TokenRejected
from uploader.figshare.auth import Token
from uploader.figshare.client import Figshare
from uploader.figshare.outcomes import FetchFailed, Outcome, RangeIgnored
from uploader.figshare.settings import Settings

pytestmark = pytest.mark.anyio
CONTENT = b"0123456789" * 10


def part(start: int, end: int, *, total: int = len(CONTENT), body: bytes | None = None) -> bytes:
    data = CONTENT[start:end] if body is None else body
    return reply(206, data, {"Content-Range": f"bytes {start}-{end - 1}/{total}"}, length=end - start)


class Got:
    """The bytes that were delivered."""

    def __init__(self) -> None:
        self.pieces: dict[int, bytes] = {}

    async def __call__(self, offset: int, data: bytes) -> None:
        self.pieces[offset] = data

    @property
    def data(self) -> bytes:
        return b"".join(self.pieces[offset] for offset in sorted(self.pieces))


async def fetched(
    connect: Connect, service: Service, *, start: int = 10, end: int = 30, authorized: bool = False
) -> bytes:
    got = Got()
    url = service.endpoint.removesuffix("/v2") + "/files/7"
    session = connect(answer_timeout=0.3)
    await session.downloads.fetch(url, start=start, end=end, size=len(CONTENT), sink=got, authorized=authorized)
    return got.data


async def test_a_range_is_asked_for_and_delivered(connect: Connect, service: Service) -> None:
    service.answers += [part(10, 30)]
    assert await fetched(connect, service) == CONTENT[10:30]
    assert service.asked[0].headers["Range"] == "bytes=10-29"
    assert "Authorization" not in service.asked[0].headers


async def test_a_server_without_ranges_delivers_everything_from_the_beginning(
    connect: Connect, service: Service
) -> None:
    service.answers += [reply(200, CONTENT)]
    assert await fetched(connect, service, start=0) == CONTENT
    service.answers += [reply(200, CONTENT)]
    with pytest.raises(RangeIgnored):
        await fetched(connect, service)


@pytest.mark.parametrize("pieces", [1, 2])
async def test_a_file_that_is_compressed_unasked_is_asked_for_whole(
    connect: Connect, service: Service, pieces: int
) -> None:
    cut = len(CONTENT) // pieces
    packed = b"".join(gzip.compress(CONTENT[start : start + cut]) for start in range(0, len(CONTENT), cut))
    coded = {"Content-Encoding": "gzip"}
    service.answers += [
        reply(206, packed[:30], {"Content-Range": f"bytes 0-29/{len(packed)}"} | coded),
        reply(200, packed, coded),
    ]
    assert await fetched(connect, service, start=0) == CONTENT
    assert ["Range" in asked.headers for asked in service.asked] == [True, False]
    assert {asked.headers["Accept-Encoding"] for asked in service.asked} == {"identity"}


@pytest.mark.parametrize(
    ("coding", "packed", "expected"),
    [
        ("gzip", gzip.compress(CONTENT)[:-20], FetchFailed),
        ("gzip", CONTENT, FetchFailed),
        ("gzip", gzip.compress(CONTENT + b"x"), ProtocolViolation),
        ("br", CONTENT, ProtocolViolation),
    ],
    ids=["cut off", "damaged", "longer", "unknown"],
)
async def test_compressed_bytes_that_are_not_the_file_are_not_taken(
    connect: Connect, service: Service, coding: str, packed: bytes, expected: type[Exception]
) -> None:
    service.answers += [reply(200, packed, {"Content-Encoding": coding})] * 2
    with pytest.raises(expected):
        await fetched(connect, service, start=0)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (part(11, 31), ProtocolViolation),
        (part(10, 30, total=99), ProtocolViolation),
        (reply(206, CONTENT[10:30]), ProtocolViolation),
        (reply(206, CONTENT[10:40], {"Content-Range": "bytes 10-29/100"}), ProtocolViolation),
        (part(10, 30, body=CONTENT[10:20]), FetchFailed),
        (
            reply(206, CONTENT[10:30], {"Content-Range": "bytes 10-29/100", "Content-Encoding": "gzip"}),
            RangeIgnored,
        ),
        (reply(202, b"", {"x-amzn-waf-action": "challenge"}), FetchFailed),
        (reply(403, b"<html>"), FetchFailed),
        (reply(202, b""), FetchFailed),
        (reply(503, b""), FetchFailed),
        (reply(429, b""), FetchFailed),
        (None, FetchFailed),
        (b"SSH-2.0\r\n\r\n", FetchFailed),
        (reply(401, {"message": "no"}), TokenRejected),
        (reply(403, {"message": "no"}), PermissionDenied),
        (reply(404, {"message": "no"}), FileNotHeld),
        (reply(302, b"", {"Location": "http://example.org/x"}), ProtocolViolation),
        (reply(302, b"", {"Location": "/files/7"}), ProtocolViolation),
        (reply(302, b"", {"Location": "file:///etc/passwd"}), ProtocolViolation),
        (reply(302, b""), ProtocolViolation),
        (reply(302, b"", {"Location": "https://[bad/x"}), ProtocolViolation),
    ],
)
async def test_what_an_answer_means(
    connect: Connect, service: Service, answer: bytes | None, expected: type[FigupError | Outcome]
) -> None:
    service.answers += [*[answer] * 8]
    with pytest.raises(expected) as error:
        await fetched(connect, service, authorized=True)
    assert TOKEN not in str(error.value)


async def test_retry_after_is_passed_on(connect: Connect, service: Service) -> None:
    service.answers += [reply(503, b"", {"Retry-After": "7"})]
    with pytest.raises(FetchFailed) as error:
        await fetched(connect, service)
    assert error.value.retry_after == 7


async def test_the_token_is_not_sent_to_where_a_redirect_leads(connect: Connect, service: Service) -> None:
    storage = Service()
    async with listening(storage.handle) as storage.port:
        storage.answers += [part(10, 30)]
        service.answers += [reply(302, b"", {"Location": f"http://127.0.0.1:{storage.port}/bucket/7?signature=x"})]
        assert await fetched(connect, service, authorized=True) == CONTENT[10:30]
    assert service.asked[0].headers["Authorization"] == f"token {TOKEN}"
    assert "Authorization" not in storage.asked[0].headers
    assert storage.asked[0].headers["Range"] == "bytes=10-29"


async def test_the_token_is_not_sent_after_a_redirect_to_the_same_host(connect: Connect, service: Service) -> None:
    service.answers += [reply(302, b"", {"Location": f"{service.origin}/elsewhere"}), part(10, 30)]
    assert await fetched(connect, service, authorized=True) == CONTENT[10:30]
    assert "Authorization" not in service.asked[1].headers


async def test_a_portals_page_may_pass(connect: Connect, service: Service) -> None:
    service.answers += [reply(200, "<html>log in</html>")]
    with pytest.raises(FetchFailed, match="web page"):
        await fetched(connect, service, start=0)


@pytest.mark.parametrize(
    ("endpoint", "url", "sent"),
    [
        ("https://api.figshare.com/v2", "https://api.figshare.com/v2/file/download/1", True),
        ("https://api.figshare.com/v2", "https://ndownloader.figshare.com/files/1", True),
        ("https://api.figshare.com/v2", "http://ndownloader.figshare.com/files/1", False),
        ("https://api.figshare.com/v2", "https://ndownloader.figshare.com.evil.org/files/1", False),
        ("https://api.figshare.com/v2", "https://evilfigshare.com/files/1", False),
        ("https://api.figshare.com/v2", "https://s3-eu-west-1.amazonaws.com/files/1", False),
        ("https://figshare.com/v2", "https://example.com/files/1", False),
        ("https://figshare.com/v2", "https://ndownloader.figshare.com/files/1", True),
        ("https://api.figshare.ac.uk/v2", "https://evil.ac.uk/files/1", False),
        ("https://api.figshare.com/v2", "https://ndownloader.figshare.com:8443/files/1", False),
        ("https://api.figshare.com/v2", "https://other.figshare.com/files/1", False),
        ("https://10.1.2.3/v2", "https://9.1.2.3/files/1", False),
        ("http://127.0.0.1:80/v2", "http://127.0.0.1:81/files/1", False),
        ("http://127.0.0.1:80/v2", "http://127.0.0.1:80/files/1", True),
    ],
)
async def test_who_gets_the_token(endpoint: str, url: str, sent: bool) -> None:
    session = Figshare(Settings(endpoint), Token(TOKEN))
    try:
        assert session.downloads._may_have_token(url) is sent
    finally:
        await session.close()
