"""Signing in with OAuth 2: what the browser brings, the token endpoint, and refreshing, once."""

from __future__ import annotations

import errno
import functools
import json
import logging
import re
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import anyio
import anyio.lowlevel
import msgspec
import pytest

from tests.unit.figshare.service import HANG, Asked, FakeClock, Service, reply
from uploader.concurrency import in_thread
from uploader.errors import (
    FigupError,
    NotFigshare,
    PermissionDenied,
    ServerFailing,
    SignInFailed,
    StateUnusable,
    TokenRejected,
    Unreachable,
    UsageError,
)
from uploader.figshare import auth, oauth2
from uploader.figshare.auth import Token, find_token, read_stored
from uploader.figshare.client import Figshare
from uploader.figshare.grants import OAuth1Grant, OAuth2Grant, parse_grant
from uploader.figshare.oauth1 import FirstApi
from uploader.figshare.oauth2 import Consent, check_page, is_local_http, redeem, site_of
from uploader.figshare.refresh import RenewableToken
from uploader.figshare.settings import Settings
from uploader.figshare.transport import ExchangeFailed, Request, Response

ENDPOINT = "https://api.figshare.com/v2"
REDIRECT = "http://127.0.0.1:8765/"
GRANT = OAuth2Grant(
    client_id="app", client_secret="app-s3cret", access_token="first-t0ken", refresh_token="first-refresh"
)
NEW = {"access_token": "second-t0ken", "token_type": "bearer", "expires_in": 3600, "refresh_token": "second-refresh"}


@pytest.fixture(autouse=True)
def no_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "_keyring", lambda: None)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


class Endpoint:
    """The token endpoint: answers in order, each a Response or an exception."""

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers)
        self.forms: list[dict[str, list[str]]] = []
        self.before: Callable[[], Any] | None = None

    async def __call__(self, request: Request) -> Response:
        assert (request.method, request.url) == ("POST", f"{ENDPOINT}/token")
        self.forms.append(parse_qs((request.body or b"").decode()))
        if self.before is not None:
            await self.before()
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        assert isinstance(answer, Response)
        return answer


def response(status: int, body: object) -> Response:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(status=status, headers={}, body=raw)


LOST = ExchangeFailed("no response in time", sent=True)
UNSENT = ExchangeFailed("no connection: refused", sent=False)
HTML = b"<html>welcome to the hotel</html>"


async def keep(folder: Path, text: str = GRANT.dump(), endpoint: str = ENDPOINT) -> None:
    await in_thread(lambda: auth.store_text(text, endpoint=endpoint, config_dir=folder))


async def kept(folder: Path) -> OAuth2Grant:
    stored = await in_thread(lambda: read_stored(endpoint=ENDPOINT, config_dir=folder))
    assert stored is not None
    grant = parse_grant(stored[0])
    assert isinstance(grant, OAuth2Grant)
    return grant


def session(folder: Path, clock: FakeClock, grant: OAuth2Grant = GRANT) -> RenewableToken:
    return RenewableToken(grant, endpoint=ENDPOINT, config_dir=folder, clock=clock)


def expired(clock: FakeClock, **changes: Any) -> OAuth2Grant:
    return msgspec.structs.replace(GRANT, until=clock.now() - timedelta(seconds=1), **changes)


# --- asking the owner -------------------------------------------------------------------------------------------------


def test_the_page_of_consent_is_on_the_site_of_the_api() -> None:
    page = urlsplit(Consent(ENDPOINT, "app", REDIRECT).address)
    assert page._replace(query="").geturl() == "https://figshare.com/account/applications/authorize"
    query = parse_qs(page.query)
    assert query.keys() == {"client_id", "response_type", "redirect_uri", "scope", "state"}
    assert (query["redirect_uri"], query["scope"], len(query["state"][0]) > 20) == ([REDIRECT], ["all"], True)
    assert site_of("http://127.0.0.1:80/v2") == "http://127.0.0.1:80"
    assert Consent("http://127.0.0.1:80/v2", "app", REDIRECT).address.startswith("http://127.0.0.1:80/account/")


def state_of(consent: Consent) -> str:
    return parse_qs(urlsplit(consent.address).query)["state"][0]


@pytest.mark.parametrize("redirect", [REDIRECT, "https://localhost:8765", "https://example.org/back?x=1"])
def test_the_code_is_read_from_the_address(redirect: str) -> None:
    consent = Consent(ENDPOINT, "app", redirect)
    base = urlsplit(redirect)._replace(query="").geturl()
    assert consent.code_in(f" {base}?x=1&code=c0de&state={state_of(consent)}\n") == "c0de"


@pytest.mark.parametrize(("redirect", "shown"), [("https://Localhost:443/", "https://localhost/"),
                                                 ("http://127.0.0.1:80", "http://127.0.0.1/")])  # fmt: skip
def test_a_browser_leaves_the_usual_port_out(redirect: str, shown: str) -> None:
    consent = Consent(ENDPOINT, "app", redirect)
    assert consent.code_in(f"{shown}?code=c0de&state={state_of(consent)}") == "c0de"
    for other in ("https://localhost:444/", "https://localhost:x/", "http://localhost/"):
        with pytest.raises(UsageError, match="not the address"):
            consent.code_in(f"{other}?code=c0de&state={state_of(consent)}")


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("code=c0de&state=another", "its state differs"),
        ("code=c0de", "its state differs"),
        ("error=access_denied&error_description=no&state={state}", "the owner of the account refused consent"),
        ("error=invalid_scope&error_description=what&state={state}", "Figshare refused: invalid_scope: what"),
        ("state={state}", "contains no code"),
    ],
)
def test_an_answer_without_a_valid_code_ends_the_sign_in(query: str, words: str) -> None:
    consent = Consent(ENDPOINT, "app", REDIRECT)
    with pytest.raises(SignInFailed, match=words) as caught:
        consent.code_in(f"{REDIRECT}?{query.format(state=state_of(consent))}")
    assert caught.value.exit_status == 3


@pytest.mark.parametrize("text", ["", "c0de", "https://figshare.com/account", "http://127.0.0.1:1/?code=x", "http://["])
def test_an_address_that_is_not_the_redirect_is_an_error(text: str) -> None:
    with pytest.raises(UsageError, match=f"which begins with {REDIRECT}"):
        Consent(ENDPOINT, "app", REDIRECT).code_in(text)


def test_a_browser_comes_to_http_addresses_of_this_machine_only() -> None:
    assert [is_local_http(one) for one in (REDIRECT, "http://localhost/", "https://localhost/", "http://a.org/")] == [
        True, True, False, False,
    ]  # fmt: skip


async def test_the_code_is_exchanged(service: Service, clock: FakeClock) -> None:
    service.answers = [reply(200, NEW)]
    consent = Consent(service.endpoint, "app", REDIRECT)
    grant = await redeem(consent, "c0de", "app-s3cret", Settings(service.endpoint), clock)
    assert (grant.access_token, grant.refresh_token) == ("second-t0ken", "second-refresh")
    assert grant.until == clock.now() + timedelta(hours=1)
    [asked] = service.asked
    assert (asked.method, asked.path) == ("POST", "/v2/token")
    assert parse_qs(asked.body.decode()) == {
        "grant_type": ["authorization_code"], "code": ["c0de"], "redirect_uri": [REDIRECT], "client_id": ["app"],
        "client_secret": ["app-s3cret"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (reply(400, {"error": "invalid_client", "error_description": "wrong"}), SignInFailed, "invalid_client: wrong"),
        (reply(400, {"error": "invalid_grant"}), SignInFailed, "refused the sign-in: invalid_grant"),
        (reply(400, {"message": "Bad code", "code": "x"}), SignInFailed, "refused the sign-in: Bad code"),
        (reply(200, HTML), NotFigshare, "127.0.0.1 answered 200 with a web page instead of a token"),
        (reply(404, HTML), NotFigshare, "404"),
        (reply(200, {"token_type": "bearer"}), NotFigshare, "with no token"),
        (reply(200, {**NEW, "access_token": "two words"}), NotFigshare, "with no token"),
        (reply(200, {**NEW, "expires_in": 10**30}), NotFigshare, "with no token"),
        (reply(502, HTML), ServerFailing, "502"),
        (reply(503), Unreachable, "answered 503"),
        (None, Unreachable, "closed without a response"),
    ],
)
async def test_a_failed_exchange_is_one_clear_error(
    service: Service, clock: FakeClock, answer: object, kind: type[FigupError], words: str
) -> None:
    service.answers = [answer]
    with pytest.raises(kind, match=words) as caught:
        await redeem(
            Consent(service.endpoint, "app", REDIRECT), "c0de", "app-s3cret", Settings(service.endpoint), clock
        )
    assert len(service.asked) == 1, "a code is never sent twice"
    assert "app-s3cret" not in str(caught.value)


async def test_a_token_endpoint_that_is_down_is_unreachable(refusing: str, clock: FakeClock) -> None:
    with pytest.raises(Unreachable, match="refused") as caught:
        await redeem(Consent(refusing, "app", REDIRECT), "c0de", "app-s3cret", Settings(refusing), clock)
    assert caught.value.exit_status == 75


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (reply(400, {"message": "Unknown application: client_id"}), ": Unknown application: client_id"),
        (reply(400, "<html>no</html>"), ""),
        (reply(200, "<html>consent</html>"), None),
        (reply(302, b"", {"Location": "https://figshare.com/login"}), None),
        (reply(403, "<html>no robots</html>"), None),
        (reply(404), None),
        (reply(503), None),
        (b"SSH-2.0\r\n\r\n", None),
        (None, None),
    ],
)
async def test_a_page_of_consent_that_is_an_error_is_seen_before_the_browser_waits(
    service: Service, answer: bytes | None, words: str | None
) -> None:
    service.answers = [answer] * 3
    asking = check_page(Consent(service.endpoint, "app", REDIRECT), Settings(service.endpoint))
    if words is None:
        await asking
    else:
        expected = f"Figshare refuses the application 'app' with the redirect address {REDIRECT}{words}"
        with pytest.raises(SignInFailed, match=f"^{re.escape(expected)}$"):
            await asking
    assert service.asked[0].path.startswith("/account/applications/authorize?response_type=code&client_id=app")
    assert "Authorization" not in service.asked[0].headers


async def test_a_page_of_consent_that_does_not_answer_is_left_to_the_browser(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oauth2, "_PAGE_TIME_LIMIT", 0.05)
    service.answers = [HANG]
    await check_page(Consent(service.endpoint, "app", REDIRECT), Settings(service.endpoint))


# --- refreshing -------------------------------------------------------------------------------------------------------


async def test_an_expired_token_is_refreshed_before_it_is_used(tmp_path: Path, clock: FakeClock) -> None:
    await keep(tmp_path, expired(clock).dump())
    token, send = session(tmp_path, clock, expired(clock)), Endpoint(response(200, NEW))
    assert (await token.current(send)).reveal() == "second-t0ken"
    assert (await token.current(send)).reveal() == "second-t0ken"
    assert send.forms == [
        {
            "grant_type": ["refresh_token"], "refresh_token": ["first-refresh"], "client_id": ["app"],
            "client_secret": ["app-s3cret"],
        }
    ]  # fmt: skip
    assert (await kept(tmp_path)).access_token == "second-t0ken"
    assert (await kept(tmp_path)).refreshing is False


async def test_a_token_without_an_end_is_used_until_it_is_rejected(tmp_path: Path, clock: FakeClock) -> None:
    await keep(tmp_path)
    token, send = session(tmp_path, clock), Endpoint(response(200, {"access_token": "second-t0ken"}))
    first = await token.current(send)
    assert (first.reveal(), send.forms) == ("first-t0ken", [])
    assert (await token.renewed(first, send)).reveal() == "second-t0ken"
    assert (await token.renewed(first, send)).reveal() == "second-t0ken", "the newer token was not rejected"
    assert len(send.forms) == 1
    assert ((await kept(tmp_path)).refresh_token, (await kept(tmp_path)).until) == ("first-refresh", None)


async def test_the_intent_is_stored_before_the_request(tmp_path: Path, clock: FakeClock) -> None:
    await keep(tmp_path)
    send = Endpoint(response(200, NEW))

    async def look() -> None:
        assert (await kept(tmp_path)).refreshing is True

    send.before = look
    await session(tmp_path, clock).renewed(Token("x"), send)  # another token than its own: nothing to do
    assert send.forms == []
    token = session(tmp_path, clock)
    await token.renewed(await token.current(send), send)
    assert len(send.forms) == 1


@pytest.mark.parametrize(
    "answer",
    [
        LOST,
        response(500, b""),
        response(200, HTML),
        response(200, {"x": 1}),
        response(200, {"error": "invalid_grant"}),
        response(200, {**NEW, "access_token": ""}),
        response(200, {**NEW, "access_token": None}),
        response(200, {**NEW, "scope": 5}),
    ],
)
async def test_a_lost_answer_is_reported_and_never_requested_again(
    tmp_path: Path, clock: FakeClock, answer: object
) -> None:
    await keep(tmp_path)
    send = Endpoint(answer)
    for words in ("the response to a refresh of the sign-in was lost", "the response to the last refresh"):
        token = session(tmp_path, clock)
        with pytest.raises(TokenRejected, match=words) as caught:
            await token.renewed(await token.current(send), send)
        assert caught.value.facts.situation == "sign-in-again"
    assert len(send.forms) == 1
    assert (await kept(tmp_path)).refreshing is True


@pytest.mark.parametrize("answer", [UNSENT, response(503, b""), response(429, b"")])
async def test_a_refresh_that_had_no_effect_may_be_tried_again(
    tmp_path: Path, clock: FakeClock, answer: object
) -> None:
    await keep(tmp_path)
    token, send = session(tmp_path, clock), Endpoint(answer, response(200, NEW))
    first = await token.current(send)
    with pytest.raises(ExchangeFailed) as caught:
        await token.renewed(first, send)
    assert caught.value.sent is False
    assert await kept(tmp_path) == GRANT
    assert (await token.renewed(first, send)).reveal() == "second-t0ken"


async def test_a_revoked_refresh_token_needs_a_new_sign_in(tmp_path: Path, clock: FakeClock) -> None:
    await keep(tmp_path)
    token, send = (
        session(tmp_path, clock),
        Endpoint(response(400, {"error": "invalid_grant", "error_description": "x"})),
    )
    with pytest.raises(TokenRejected, match="does not refresh the sign-in: invalid_grant: x"):
        await token.renewed(await token.current(send), send)
    assert await kept(tmp_path) == GRANT


async def test_a_sign_in_without_refresh_token_ends(tmp_path: Path, clock: FakeClock) -> None:
    old = expired(clock, refresh_token="")
    await keep(tmp_path, old.dump())
    with pytest.raises(TokenRejected, match="has expired, and cannot be refreshed") as caught:
        await session(tmp_path, clock, old).current(Endpoint())
    assert (caught.value.exit_status, caught.value.facts.situation) == (3, "sign-in-again")


@pytest.mark.parametrize("text", [None, "a-personal-token"])
async def test_after_a_logout_elsewhere_nothing_is_refreshed(
    tmp_path: Path, clock: FakeClock, text: str | None
) -> None:
    if text is not None:
        await keep(tmp_path, text)
    with pytest.raises(TokenRejected, match="was removed from this machine"):
        await session(tmp_path, clock, expired(clock)).current(Endpoint())


@pytest.mark.parametrize("later", [None, msgspec.structs.replace(GRANT, access_token="an0ther-t0ken")])
async def test_a_refresh_does_not_undo_what_the_user_did_meanwhile(
    tmp_path: Path, clock: FakeClock, later: OAuth2Grant | None
) -> None:
    await keep(tmp_path)

    async def meanwhile() -> None:
        if later is not None:
            await keep(tmp_path, later.dump())
        else:
            await in_thread(lambda: auth.forget_token(endpoint=ENDPOINT, config_dir=tmp_path))

    token, send = session(tmp_path, clock), Endpoint(response(200, NEW))
    send.before = meanwhile
    await token.renewed(await token.current(send), send)
    stored = await in_thread(lambda: read_stored(endpoint=ENDPOINT, config_dir=tmp_path))
    assert (stored and stored[0]) == (later and later.dump())


async def test_calls_and_processes_make_one_refresh(tmp_path: Path, clock: FakeClock) -> None:
    """Each session stands for a process: it has its own descriptor of the lock."""
    await keep(tmp_path)
    send = Endpoint(response(200, NEW))
    send.before = lambda: anyio.sleep(0.01)
    sessions = [session(tmp_path, clock) for _ in range(3)]
    got: list[str] = []

    async def call(token: RenewableToken) -> None:
        got.append((await token.renewed(await token.current(send), send)).reveal())

    async with anyio.create_task_group() as tasks:
        for token in sessions * 3:
            tasks.start_soon(call, token)
    assert got == ["second-t0ken"] * 9
    assert len(send.forms) == 1


@pytest.fixture
def no_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", fail)


class YieldingClock(FakeClock):
    """Time passes in sleeps, during which others run."""

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(0.005)
        await super().sleep(seconds)


@pytest.mark.usefixtures("no_locks")
async def test_without_file_locks_the_mark_in_the_store_makes_others_wait(tmp_path: Path, clock: FakeClock) -> None:
    await keep(tmp_path)
    send, rival = Endpoint(response(200, NEW)), Endpoint()
    got: list[str] = []

    async def other() -> None:
        token = session(tmp_path, YieldingClock())
        got.append((await token.renewed(await token.current(rival), rival)).reveal())

    async with anyio.create_task_group() as tasks:

        async def meanwhile() -> None:
            tasks.start_soon(other)
            await anyio.sleep(0.01)

        send.before = meanwhile
        token = session(tmp_path, clock)
        await token.renewed(await token.current(send), send)
    assert got == ["second-t0ken"]
    assert (await kept(tmp_path)).access_token == "second-t0ken"


@pytest.mark.usefixtures("no_locks")
async def test_without_file_locks_a_refresh_that_another_process_gave_up_is_made(
    tmp_path: Path, clock: FakeClock
) -> None:
    """The token endpoint was busy: the other process stored the sign-in as it was."""
    await keep(tmp_path, msgspec.structs.replace(GRANT, refreshing=True).dump())

    class Meanwhile(FakeClock):
        async def sleep(self, seconds: float) -> None:
            await keep(tmp_path)
            await super().sleep(seconds)

    waiting, send = Meanwhile(), Endpoint(response(200, NEW))
    token = session(tmp_path, waiting)
    assert (await token.renewed(await token.current(send), send)).reveal() == "second-t0ken"
    assert len(waiting.sleeps) == 1


async def test_without_its_library_nothing_is_sent_or_marked(
    tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    send, token = Endpoint(), session(tmp_path, clock)
    await keep(tmp_path)
    for name in ("oauthlib.oauth1", "oauthlib.oauth2"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UsageError, match="needs the package oauthlib"):
        await token.renewed(await token.current(send), send)
    assert await kept(tmp_path) == GRANT
    with pytest.raises(UsageError, match="needs the package oauthlib"):
        Consent(ENDPOINT, "app", REDIRECT)
    with pytest.raises(UsageError, match="needs the package oauthlib"):
        FirstApi(OAuth1Grant(consumer="app", consumer_secret="app-s3cret"), Settings(endpoint=ENDPOINT))


async def test_a_sign_in_that_no_store_takes_is_not_refreshed(
    tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    class FullRing:
        name = "the keyring"

        def read(self, endpoint: str) -> str:
            return GRANT.dump()

        get = read

        def set(self, endpoint: str, text: str) -> bool:
            return False

    monkeypatch.setattr(auth, "_keyring", FullRing)
    (tmp_path / "tokens.json").mkdir()
    monkeypatch.setattr(auth, "_read_store", lambda path, **_: {})
    send = Endpoint(response(200, NEW))
    token = session(tmp_path, clock)
    with pytest.raises(StateUnusable):
        await token.renewed(await token.current(send), send)
    assert not send.forms


@pytest.mark.usefixtures("no_locks")
async def test_without_file_locks_a_refresh_that_another_process_won_is_adopted(
    tmp_path: Path, clock: FakeClock
) -> None:
    """Both read the store before either marked it; the refresh token of the second one is used up."""
    await keep(tmp_path)
    won = msgspec.structs.replace(GRANT, access_token="second-t0ken", refresh_token="second-refresh")
    send = Endpoint(response(400, {"error": "invalid_grant"}))
    send.before = lambda: keep(tmp_path, won.dump())
    token = session(tmp_path, clock)
    assert (await token.renewed(await token.current(send), send)).reveal() == "second-t0ken"
    assert await kept(tmp_path) == won


async def test_a_sign_in_that_cannot_be_kept_is_not_refreshed(tmp_path: Path, clock: FakeClock) -> None:
    await keep(tmp_path)
    (tmp_path / "refresh.lock").symlink_to("elsewhere")
    send = Endpoint(response(200, NEW))
    token = session(tmp_path, clock)
    with pytest.raises(StateUnusable, match=r"refresh\.lock"):
        await token.renewed(await token.current(send), send)
    assert not send.forms
    assert await kept(tmp_path) == GRANT


async def test_a_cancelled_refresh_keeps_its_answer(tmp_path: Path, clock: FakeClock) -> None:
    await keep(tmp_path)
    token, send = session(tmp_path, clock), Endpoint(response(200, NEW))
    with anyio.CancelScope() as scope:

        async def interrupt() -> None:
            scope.cancel()
            await anyio.lowlevel.checkpoint()

        send.before = interrupt
        await token.renewed(await token.current(send), send)
    assert (await kept(tmp_path)).access_token == "second-t0ken"
    assert (await kept(tmp_path)).refreshing is False


# --- in a session -----------------------------------------------------------------------------------------------------

ACCOUNT = {"id": 1, "first_name": "A", "last_name": "B", "email": "a@b.org"}


async def signed_in(service: Service, folder: Path, clock: FakeClock) -> Figshare:
    await keep(folder, endpoint=service.endpoint)
    token = RenewableToken(GRANT, endpoint=service.endpoint, config_dir=folder, clock=clock)
    return Figshare(Settings(service.endpoint, api_rate=None), token, clock=clock)


def used(service: Service) -> list[tuple[str, str]]:
    return [(one.path, one.headers.get("Authorization", "")) for one in service.asked]


@pytest.mark.parametrize("status", [401, 403])
async def test_a_rejected_call_is_repeated_after_one_refresh(
    service: Service, tmp_path: Path, clock: FakeClock, status: int
) -> None:
    rejected = reply(status, {"message": "no"})
    service.answers = [rejected, *([rejected] if status == 403 else []), reply(200, NEW), reply(200, ACCOUNT)]
    async with await signed_in(service, tmp_path, clock) as figshare:
        assert (await figshare.account()).id == 1
    assert used(service)[-2:] == [("/v2/token", ""), ("/v2/account", "token second-t0ken")]


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_download_is_repeated_after_one_refresh(
    service: Service, tmp_path: Path, clock: FakeClock, status: int
) -> None:
    valid = "token second-t0ken"

    def script(asked: Asked) -> bytes:
        if asked.path == "/v2/token":
            return reply(200, NEW)
        if asked.headers.get("Authorization") != valid:
            return reply(status, {"message": "no"})
        if asked.path == "/v2/account":
            return reply(200, ACCOUNT)
        return reply(206, b"ab", {"Content-Range": "bytes 0-1/2"})

    service.script = script
    got = bytearray()

    async def sink(_: int, data: bytes) -> None:
        got.extend(data)

    async with await signed_in(service, tmp_path, clock) as figshare, anyio.create_task_group() as tasks:
        for _ in range(3):
            fetch = functools.partial(figshare.downloads.fetch, start=0, end=2, size=2, sink=sink, authorized=True)
            tasks.start_soon(fetch, f"{service.origin}/files/1")
    assert got == b"ab" * 3
    assert [path for path, _ in used(service)].count("/v2/token") == 1


async def test_a_download_that_is_not_permitted_refreshes_nothing(
    service: Service, tmp_path: Path, clock: FakeClock
) -> None:
    service.script = lambda asked: reply(200, ACCOUNT) if asked.path == "/v2/account" else reply(403, {"message": "no"})

    async def sink(_: int, data: bytes) -> None:
        raise AssertionError(data)

    async with await signed_in(service, tmp_path, clock) as figshare:
        with pytest.raises(PermissionDenied):
            await figshare.downloads.fetch(
                f"{service.origin}/files/1", start=0, end=2, size=2, sink=sink, authorized=True
            )
    assert "/v2/token" not in [path for path, _ in used(service)]


async def test_a_second_rejection_is_final(service: Service, tmp_path: Path, clock: FakeClock) -> None:
    service.answers = [reply(401), reply(200, NEW), reply(401)]
    async with await signed_in(service, tmp_path, clock) as figshare:
        with pytest.raises(TokenRejected):
            await figshare.account()
    assert [path for path, _ in used(service)] == ["/v2/account", "/v2/token", "/v2/account"]


async def test_a_missing_permission_refreshes_nothing(service: Service, tmp_path: Path, clock: FakeClock) -> None:
    """Figshare answers 403 to it, too; that the account can be read shows that the token is good."""
    service.script = lambda asked: reply(200, ACCOUNT) if asked.path == "/v2/account" else reply(403, {"message": "no"})
    async with await signed_in(service, tmp_path, clock) as figshare:
        with pytest.raises(PermissionDenied):
            await figshare.item(1)
    assert "/v2/token" not in [path for path, _ in used(service)]


async def test_a_token_endpoint_that_is_busy_delays_the_call(
    service: Service, tmp_path: Path, clock: FakeClock
) -> None:
    service.answers = [reply(401), reply(503), reply(401), reply(200, NEW), reply(200, ACCOUNT)]
    async with await signed_in(service, tmp_path, clock) as figshare:
        assert (await figshare.account()).id == 1
    assert clock.sleeps


async def test_the_right_to_send_is_confirmed_after_every_wait_for_a_token(
    service: Service, tmp_path: Path, clock: FakeClock
) -> None:
    """A refresh takes time, in which another process may have taken over the job."""
    service.answers = [reply(401), reply(200, NEW), reply(201, {"location": "/files/7"})]
    asked: list[int] = []

    async def on_turn() -> None:
        asked.append(len(service.asked))

    async with await signed_in(service, tmp_path, clock) as figshare:
        assert await figshare.initiate(5, name="a", size=1, on_turn=on_turn) == 7
    assert asked == [0, 2]


# --- secrets ----------------------------------------------------------------------------------------------------------


def test_a_stored_sign_in_is_found_as_a_token(tmp_path: Path) -> None:
    auth.store_text(GRANT.dump(), endpoint=ENDPOINT, config_dir=tmp_path)
    found = find_token(token_file=None, endpoint=ENDPOINT, environ={}, config_dir=tmp_path)
    assert (found.token.reveal(), found.grant) == ("first-t0ken", GRANT)
    assert not {"app-s3cret", "first-t0ken", "first-refresh"} & set(repr(found).replace("'", " ").split())
    assert "s3cret" not in f"{GRANT} {GRANT!r}"


@pytest.mark.parametrize("text", ["{", '{"client_id": 1}', "{}"])
def test_a_damaged_sign_in_is_reported(tmp_path: Path, text: str) -> None:
    auth.store_text(text, endpoint=ENDPOINT, config_dir=tmp_path)
    with pytest.raises(UsageError, match="is damaged"):
        find_token(token_file=None, endpoint=ENDPOINT, environ={}, config_dir=tmp_path)


async def test_an_echoed_secret_is_not_shown(
    tmp_path: Path, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    await keep(tmp_path)
    caplog.set_level(logging.DEBUG)
    echo = {"error": "invalid_grant", "error_description": "bad first-refresh of app-s3cret"}
    token, send = session(tmp_path, clock), Endpoint(response(400, echo))
    with pytest.raises(TokenRejected) as caught:
        await token.renewed(await token.current(send), send)
    for text in (str(caught.value), caplog.text):
        assert "first-refresh" not in text
        assert "app-s3cret" not in text
