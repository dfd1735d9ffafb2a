"""What each call sends, and how its responses are interpreted."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from tests.unit.figshare.conftest import Connect
from tests.unit.figshare.service import TOKEN, FakeClock, Service, reply
from uploader._version import __version__
from uploader.errors import (
    FigupError,
    ItemNotFound,
    NotFigshare,
    PermissionDenied,
    ProtocolViolation,
    RequestRejected,
    ServerFailing,
    TokenRejected,
)
from uploader.figshare import pipeline
from uploader.figshare.client import Figshare
from uploader.figshare.outcomes import AmbiguousAnswer, FileGone, UploadGone

ACCOUNT = reply(200, {"id": 1})
HTML_202 = reply(202, "<html><body><h1>202 Accepted</h1></body></html>")
FILE = {"id": 9, "name": "x", "size": 3, "status": "created"}
PAGE = "<!DOCTYPE html><html>nginx</html>"

Call = Callable[[Figshare], Awaitable[Any]]


async def met(service: Service, figshare: Figshare) -> Figshare:
    """A session that has received a valid response."""
    service.answers.append(ACCOUNT)
    await figshare.account()
    service.asked.clear()
    return figshare


async def test_headers_of_every_api_request(service: Service, connect: Connect) -> None:
    service.answers = [ACCOUNT]
    await connect().account()
    [asked] = service.asked
    assert (asked.method, asked.path) == ("GET", "/v2/account")
    assert asked.headers["Authorization"] == f"token {TOKEN}"
    assert asked.headers["Accept-Encoding"] == "identity"
    assert asked.headers["User-Agent"] == f"figup/{__version__}"
    assert "Cookie" not in asked.headers


async def test_cookies_are_not_kept(service: Service, connect: Connect) -> None:
    service.answers = [reply(200, {"id": 1}, {"Set-Cookie": "a=b; Path=/"}), ACCOUNT]
    figshare = connect()
    await figshare.account()
    await figshare.account()
    assert "Cookie" not in service.asked[1].headers


async def test_netrc_is_not_read(
    service: Service, connect: Connect, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    service.answers = [reply(200, {"parts": [], "size": 0})]
    await connect().upload(service.upload_url)
    assert "Authorization" not in service.asked[0].headers


async def test_requests_are_counted(service: Service, connect: Connect) -> None:
    service.answers = [reply(503), ACCOUNT, ACCOUNT]
    figshare = connect()
    await figshare.account()
    await figshare.account()
    assert figshare.requests == 3


async def test_the_request_budget(service: Service, connect: Connect, clock: FakeClock) -> None:
    service.script = lambda _: ACCOUNT
    figshare = connect(api_rate=1.0, api_burst=2)
    for _ in range(5):
        await figshare.account()
    assert sum(clock.sleeps) == pytest.approx(3, abs=0.05)


async def test_the_servers_clock(service: Service, connect: Connect, clock: FakeClock) -> None:
    figshare = connect()
    assert figshare.server_now() == clock.now()
    service.answers = [reply(200, {"id": 1}, {"Date": "Thu, 01 Jan 2026 03:00:00 GMT"})]
    await figshare.account()
    clock.time += 60
    assert figshare.server_now().isoformat() == "2026-01-01T03:01:00+00:00"
    service.answers = [reply(200, {"id": 1}, {"Date": "Fri, 31 Dec 9999 23:59:59 GMT"})]
    await figshare.account()
    clock.time += 60
    assert figshare.server_now().isoformat() == "2026-01-01T03:02:00+00:00"


async def test_items(service: Service, connect: Connect) -> None:
    service.answers = [
        reply(201, {"entity_id": 30801242, "location": "https://api.figshare.com/v2/account/articles/1"}),
        reply(200, {"id": 30801242, "title": "T", "status": "draft"}),
        reply(204),
        reply(404, {"message": "gone"}),
    ]
    figshare = connect()
    assert await figshare.items.create({"title": "Größe"}) == 30801242
    assert (await figshare.item(30801242)).title == "T"
    await figshare.delete_item(30801242)
    await figshare.delete_item(30801242)
    assert [(asked.method, asked.path) for asked in service.asked] == [
        ("POST", "/v2/account/articles"),
        ("GET", "/v2/account/articles/30801242"),
        ("DELETE", "/v2/account/articles/30801242"),
        ("DELETE", "/v2/account/articles/30801242"),
    ]
    assert service.asked[0].json() == {"title": "Größe"}
    assert service.asked[0].headers["Content-Type"] == "application/json"


async def test_an_initiate_sends_only_known_fields(service: Service, connect: Connect) -> None:
    created = reply(201, {"location": "https://api.figshare.com/v2/account/articles/5/files/60137825"})
    service.answers = [created, created]
    figshare = connect()
    assert await figshare.initiate(5, name="a.csv", size=0) == 60137825
    await figshare.initiate(5, name="a.csv", size=7, md5="cc", folder="/x/y")
    assert service.asked[0].json() == {"name": "a.csv", "size": 0}
    assert service.asked[1].json() == {"name": "a.csv", "size": 7, "md5": "cc", "folder_path": "/x/y"}
    assert service.asked[0].path == "/v2/account/articles/5/files"


@pytest.mark.parametrize(
    "answer",
    [
        reply(201, '{"location": "/v2/account/articles/5/files/7"}'),
        reply(201, b"", {"Location": "/v2/account/articles/5/files/7"}),
        reply(201, "<html>", {"Location": "https://a.b/files/7"}),
        reply(200, {"entity_id": 7}),
    ],
)
async def test_the_id_of_a_new_file_is_found_in_body_or_header(
    service: Service, connect: Connect, answer: bytes
) -> None:
    service.answers = [answer]
    assert await connect().initiate(5, name="a", size=1) == 7


@pytest.mark.parametrize("answer", [reply(201, b""), reply(201, {"location": "/files/0"}), reply(200, PAGE)])
async def test_a_create_without_an_id_is_ambiguous(service: Service, connect: Connect, answer: bytes) -> None:
    service.answers = [answer]
    with pytest.raises(AmbiguousAnswer, match="without an id"):
        await connect().initiate(5, name="a", size=1)


async def test_a_new_file_that_is_not_visible_is_retried(service: Service, connect: Connect, clock: FakeClock) -> None:
    waits: list[tuple[str, float]] = []
    service.answers = [reply(404), reply(404), reply(200, FILE)]
    figshare = connect(on_retry=lambda reason, delay: waits.append((reason, delay)))
    assert (await figshare.file(5, 9, fresh=True)).id == 9
    assert clock.sleeps == [0.25, 0.5]
    assert waits == [("the new file is not visible yet", 0.25), ("the new file is not visible yet", 0.5)]


async def test_a_new_file_that_never_appears_is_gone(service: Service, connect: Connect, clock: FakeClock) -> None:
    service.script = lambda _: reply(404)
    with pytest.raises(FileGone):
        await connect(visibility_timeout=10.0).file(5, 9, fresh=True)
    assert 5 <= sum(clock.sleeps) <= 10


async def test_an_older_missing_file_is_gone_at_once(service: Service, connect: Connect) -> None:
    service.answers = [reply(404, {"message": "File not found"})]
    with pytest.raises(FileGone):
        await connect().file(5, 9)
    assert len(service.asked) == 1


@pytest.mark.parametrize("answer", [HTML_202, reply(202), reply(200, {}), reply(204)])
async def test_completing(service: Service, connect: Connect, answer: bytes) -> None:
    service.answers = [answer]
    await connect().complete(5, 9)
    [asked] = service.asked
    assert (asked.method, asked.path, asked.body) == ("POST", "/v2/account/articles/5/files/9", b"")
    assert asked.headers["Content-Length"] == "0"


async def test_a_202_of_a_firewall_is_not_a_completion(service: Service, connect: Connect, clock: FakeClock) -> None:
    waits: list[str] = []
    figshare = await met(service, connect(on_retry=lambda reason, _: waits.append(reason)))
    service.answers = [reply(202, b"", {"x-amzn-waf-action": "challenge"}), HTML_202]
    await figshare.complete(5, 9)
    assert len(service.asked) == 2
    assert "a firewall in front of Figshare" in waits[0]


async def test_deleting_files(service: Service, connect: Connect) -> None:
    service.answers = [reply(204), reply(404)]
    figshare = connect()
    await figshare.delete_file(5, 9)
    await figshare.delete_file(5, 9)
    assert service.asked[0].path == "/v2/account/articles/5/files/9"


async def test_listings_continue_until_a_short_page(service: Service, connect: Connect) -> None:
    def page(asked: Any) -> bytes:
        number = int(asked.path.partition("page=")[2].partition("&")[0])
        first = (number - 1) * 1000 + 1
        return reply(200, [{"id": n} for n in range(first, min(first + 1000, 2501))])

    service.script = page
    figshare = connect()
    assert [row.id async for row in figshare.own_items()] == list(range(1, 2501))
    assert [asked.path for asked in service.asked] == [
        f"/v2/account/articles?page={n}&page_size=1000" for n in (1, 2, 3)
    ]
    assert [file.id async for file in figshare.files(5)] == list(range(1, 2501))
    assert service.asked[3].path == "/v2/account/articles/5/files?page=1&page_size=1000"


async def test_a_full_last_page_is_followed_by_an_empty_one(
    service: Service, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "PAGE", 2)
    service.answers = [reply(200, [{"id": 1}, {"id": 2}]), reply(200, [])]
    assert [row.id async for row in connect().own_items()] == [1, 2]


async def test_a_shifting_listing_yields_each_row_once(
    service: Service, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "PAGE", 2)
    service.answers = [reply(200, [{"id": 4}, {"id": 3}]), reply(200, [{"id": 3}, {"id": 2}]), reply(200, [{"id": 1}])]
    assert [row.id async for row in connect().own_items()] == [4, 3, 2, 1]


@pytest.mark.parametrize("listing", ["items", "files", "projects", "collection"])
async def test_a_server_that_ignores_paging_does_not_loop_forever(
    service: Service, connect: Connect, monkeypatch: pytest.MonkeyPatch, listing: str
) -> None:
    monkeypatch.setattr(pipeline, "PAGE", 2)
    service.script = lambda _: reply(200, [{"id": 1}, {"id": 2}])
    api = connect()
    rows: dict[str, Callable[[], AsyncIterator[object]]] = {
        "items": api.own_items,
        "files": lambda: api.files(7),
        "projects": lambda: api.items.containers("projects"),
        "collection": lambda: api.items.collection_items(7),
    }
    with pytest.raises(ProtocolViolation, match="repeats"):
        [row async for row in rows[listing]()]
    assert len(service.asked) == 2


async def test_a_listing_that_the_server_ends_early_is_an_error(
    service: Service, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "PAGE", 1)
    service.answers = [reply(200, [{"id": 1}]), reply(400, {"message": "Max page reached."})]
    with pytest.raises(RequestRejected, match="Max page reached"):
        [row async for row in connect().own_items()]


# --- the upload service -----------------------------------------------------------------------------------------


async def test_the_upload_service_gets_no_token(service: Service, connect: Connect) -> None:
    row = {"partNo": 1, "startOffset": 0, "endOffset": 2, "status": "PENDING", "locked": False}
    service.answers = [
        reply(200, {"token": "t", "size": 3, "status": "PENDING", "parts": [row]}),
        reply(200, row),
    ]
    figshare = connect()
    [part] = (await figshare.upload(service.upload_url)).parts
    assert await figshare.part(service.upload_url, 1) == part
    base = service.upload_url.removeprefix(service.origin)
    assert [(asked.method, asked.path) for asked in service.asked] == [
        ("GET", base),
        ("GET", f"{base}/1"),
    ]
    assert not any("Authorization" in asked.headers for asked in service.asked)
    assert figshare.requests == 0


@pytest.mark.parametrize("call", [lambda f, u: f.upload(u), lambda f, u: f.part(u, 1)])
async def test_an_upload_that_is_gone(service: Service, connect: Connect, call: Any) -> None:
    service.answers = [reply(404)]
    with pytest.raises(UploadGone):
        await call(connect(), service.upload_url)


@pytest.mark.parametrize("url", ["https://127.0.0.1.evil/x y", "file:///x", "http://fup.figshare.com/upload/x"])
async def test_upload_addresses_are_checked_before_use(service: Service, connect: Connect, url: str) -> None:
    with pytest.raises(ProtocolViolation):
        await connect().upload(url)


# --- answers that are none --------------------------------------------------------------------------------------

FIRST: list[tuple[str, bytes, type[FigupError], str]] = [
    ("wrong token", reply(403, {"message": "Invalid token"}), TokenRejected, "Invalid token"),
    ("documented wrong token", reply(401, {"message": "no"}), TokenRejected, "401: no"),
    ("no message", reply(403), TokenRejected, "403"),
    ("another server", reply(200, PAGE), NotFigshare, "a web page"),
    ("another server's 404", reply(404, PAGE), NotFigshare, "404"),
    ("no such path", reply(404, {"message": "x"}), NotFigshare, "404"),
    ("other JSON", reply(200, {"hello": "world"}), NotFigshare, "id"),
    ("text", reply(200, "hello"), NotFigshare, "no JSON"),
    ("redirect", reply(302, b"", {"Location": "https://login.example.org/x?s=1"}), NotFigshare, "login.example.org"),
    ("firewall page", reply(403, PAGE), ServerFailing, "firewall in front of Figshare"),
    ("firewall", reply(202, b"", {"X-Amzn-Waf-Action": "challenge"}), ServerFailing, "firewall"),
    ("refused", reply(422, {"message": "Bad\nlong trace"}), RequestRejected, "127.0.0.1 answered 422: Bad"),
]
LATER: list[tuple[str, bytes, type[FigupError], str]] = [
    ("not allowed", reply(403, {"message": "Insufficient permissions"}), PermissionDenied, "Insufficient permissions"),
    ("token revoked", reply(401), TokenRejected, "401"),
    ("other JSON", reply(200, [1]), ProtocolViolation, "for item 5"),
    ("redirect", reply(307, b"", {"Location": "//b.org/"}), ProtocolViolation, "b.org"),
    ("redirect to nowhere", reply(301), ProtocolViolation, "301"),
    ("missing", reply(404, {"message": "Entity not found"}), ItemNotFound, "no item 5.*: Entity not found$"),
    ("refused", reply(428, {"message": "Over quota"}), RequestRejected, "Over quota"),
]


@pytest.mark.parametrize(("answer", "kind", "words"), [row[1:] for row in FIRST], ids=[row[0] for row in FIRST])
async def test_responses_at_first_contact(
    service: Service, connect: Connect, answer: bytes, kind: type[FigupError], words: str
) -> None:
    service.answers = [answer]
    with pytest.raises(kind, match=words) as caught:
        await connect().account()
    assert type(caught.value) is kind
    assert "\n" not in str(caught.value)
    assert len(service.asked) == 1


@pytest.mark.parametrize(("answer", "kind", "words"), [row[1:] for row in LATER], ids=[row[0] for row in LATER])
async def test_responses_after_first_contact(
    service: Service, connect: Connect, answer: bytes, kind: type[FigupError], words: str
) -> None:
    figshare = await met(service, connect())
    service.answers = [answer]
    with pytest.raises(kind, match=words) as caught:
        await figshare.item(5)
    assert type(caught.value) is kind
    assert len(service.asked) == 1


async def test_a_rejected_token_is_recognized_later(service: Service, connect: Connect) -> None:
    figshare = await met(service, connect())
    service.answers = [reply(403, {"message": "x"})]
    with pytest.raises(TokenRejected):
        await figshare.account()


@pytest.mark.parametrize("status", [400, 403, 413, 422])
async def test_the_quota_message_reaches_the_user(service: Service, connect: Connect, status: int) -> None:
    figshare = await met(service, connect())
    service.answers = [reply(status, {"message": "Quota exceeded", "code": "X"})]
    with pytest.raises(FigupError, match="Quota exceeded") as caught:
        await figshare.initiate(5, name="a", size=1)
    assert isinstance(caught.value, PermissionDenied if status == 403 else RequestRejected)


@pytest.mark.parametrize("call", [lambda f: f.initiate(5, name="a", size=1), lambda f: anext(aiter(f.files(5)))])
async def test_an_item_that_is_missing(service: Service, connect: Connect, call: Call) -> None:
    service.script = lambda _: reply(404, {"message": "x"})
    with pytest.raises(ItemNotFound, match="no item 5"):
        await call(connect())


PARTS: dict[str, Call] = {
    "the files": lambda f: anext(aiter(f.files(5))),
    "the authors": lambda f: f.items.authors(5),
    "the private links": lambda f: f.items.private_links(5),
    "the DOI": lambda f: f.items.reserve_doi(5),
}


@pytest.mark.parametrize(("part", "call"), PARTS.items(), ids=PARTS)
async def test_something_of_an_item_is_missing_and_not_the_item(
    service: Service, connect: Connect, part: str, call: Call
) -> None:
    service.answers = [reply(404, {"message": "Entity not found"}), reply(200, {"id": 5})]
    with pytest.raises(
        RequestRejected, match=f"has item 5, but does not find {part} of it: Entity not found"
    ) as caught:
        await call(connect())
    assert caught.value.facts.situation == "refused-unexplained"
    service.script = lambda _: reply(404)
    with pytest.raises(ItemNotFound, match="no item 5"):
        await call(connect())


async def test_a_gateways_404_page_is_not_a_deletion(service: Service, connect: Connect) -> None:
    figshare = await met(service, connect())
    service.answers = [reply(404, PAGE), reply(200, PAGE), reply(204)]
    await figshare.delete_file(5, 9)
    assert len(service.asked) == 3


async def test_each_request_is_traced(service: Service, connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="uploader.figshare")
    service.answers = [reply(500, {"message": "boom"}), ACCOUNT]
    await connect().account()
    lines = [record.getMessage() for record in caplog.records]
    assert [line.partition(",")[0] for line in lines] == [
        "GET /v2/account: 500",
        "127.0.0.1 answered 500: boom; next attempt in 0.5 s",
        "GET /v2/account: 200",
    ]
    assert lines[2].endswith("attempt 2")
    assert [record.levelname for record in caplog.records] == ["DEBUG", "INFO", "DEBUG"]
