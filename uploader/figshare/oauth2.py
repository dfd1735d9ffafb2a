"""OAuth 2: the address at which the owner consents, the token endpoint, and a token that is refreshed.

Sources: RFC 6749; docs.figshare.com, "OAuth"; observed: there is no PKCE, and it is unknown whether a refresh replaces
the refresh token. So a refresh is sent once: its intent is stored before, and an answer that was lost means that the
user has to sign in again.
"""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import anyio
import msgspec

from uploader.clock import Clock
from uploader.concurrency import in_thread
from uploader.disk import Disk, open_lock_file, try_flock
from uploader.errors import (
    Facts,
    NotFigshare,
    NoToken,
    ServerFailing,
    SignInFailed,
    TlsFailure,
    TokenRejected,
    Unreachable,
    UsageError,
)
from uploader.figshare import auth
from uploader.figshare.auth import Token
from uploader.figshare.decode import NotJson, parse_json
from uploader.figshare.grants import OAuth2Grant, parse_grant
from uploader.figshare.middleware import traced
from uploader.figshare.network import Network
from uploader.figshare.responses import server_message
from uploader.figshare.retry import poll
from uploader.figshare.settings import Settings
from uploader.figshare.transport import ExchangeFailed, Request, Response, Send, exchange_on
from uploader.figshare.urls import host_of, is_loopback
from uploader.redaction import add_secret

if TYPE_CHECKING:
    from oauthlib.oauth2 import WebApplicationClient

log = logging.getLogger("uploader.figshare.oauth2")

SCOPE: Final = "all"
_UNREAD: Final = (408, 425, 429, 503)
"""Statuses with which a server turns a request away without acting on it."""
_LOCK_FILE, _LOCK_POLL = "refresh.lock", 0.1
_PAGE_TIME_LIMIT: Final = 5.0
"""Seconds to look at the page of consent before the user does."""
_RIVAL: Final = 5.0
"""Seconds in which a process that refreshed the sign-in a moment before has stored it."""
_LONGEST: Final = 60.0
"""Seconds for one request to the token endpoint, which a cancellation does not cut short."""


# --- asking the owner -------------------------------------------------------------------------------------------------


class Consent:
    """One request for the owner's consent; `address` is the page to open. Raises UsageError without oauthlib."""

    def __init__(self, endpoint: str, client_id: str, redirect: str) -> None:
        self.client_id = client_id
        self.redirect = redirect
        self._state = secrets.token_urlsafe(24)
        page = urlsplit(f"{site_of(endpoint)}/account/applications/authorize")
        address = _client(client_id).prepare_request_uri(
            page._replace(scheme="https").geturl(), redirect_uri=redirect, scope=[SCOPE], state=self._state
        )
        self.address = urlsplit(address)._replace(scheme=page.scheme).geturl()

    def code_in(self, address: str) -> str:
        """Return the code in the address that the browser was sent to. Raises SignInFailed, UsageError."""
        from oauthlib.oauth2 import MismatchingStateError, MissingCodeError, OAuth2Error

        try:
            came, sent = urlsplit(address.strip()), urlsplit(self.redirect)
            fits = (came.scheme, came.netloc, came.path or "/") == (sent.scheme, sent.netloc, sent.path or "/")
        except ValueError:
            fits = False
        if not fits:
            raise UsageError(
                f"this is not the address that the browser was sent to, which begins with {self.redirect}",
                hint="Copy it whole from the browser's address bar, after consenting.",
            )
        try:
            # oauthlib takes https only; that the address of this machine may be http was checked before.
            found = _client(self.client_id).parse_request_uri_response(
                came._replace(scheme="https").geturl(), state=self._state
            )
        except MismatchingStateError:
            raise SignInFailed("the answer does not belong to this sign-in: its state differs") from None
        except MissingCodeError:
            raise SignInFailed("the answer holds no code") from None
        except OAuth2Error as error:
            if error.error == "access_denied":
                raise SignInFailed("the owner of the account refused consent", hint="") from None
            raise SignInFailed(f"Figshare refused: {_words(error)}") from None
        return str(found["code"])


def site_of(endpoint: str) -> str:
    """Return the address of the web site that belongs to an API: https://figshare.com for https://api.figshare.com/v2."""
    parts = urlsplit(endpoint)
    return f"{parts.scheme}://{parts.netloc.removeprefix('api.')}"


def is_local_http(redirect: str) -> bool:
    """Return whether a browser of this machine can be sent there without a certificate."""
    parts = urlsplit(redirect)
    return parts.scheme == "http" and is_loopback(parts.hostname or "")


async def check_page(consent: Consent, settings: Settings, clock: Clock | None = None) -> None:
    """Raise SignInFailed if the page of consent is an error: it does not send the browser back (RFC 6749, 4.1.2.1).

    Any other answer, or none in a few seconds, says nothing: the page is for browsers.
    """
    network = Network(settings)
    send = _sender(network, settings, clock or Clock())
    request = Request(method="GET", url=consent.address, redacted_url=urlsplit(consent.address).path)
    try:
        with anyio.move_on_after(_PAGE_TIME_LIMIT):
            answer = await send(request)
            if answer.status == 400:
                words = server_message(answer.body) if not answer.is_html else ""
                raise SignInFailed(
                    f"Figshare refuses the application {consent.client_id!r} with the redirect address "
                    f"{consent.redirect}{f': {words}' if words else ''}",
                    hint="Compare both with your applications on Figshare.",
                    facts=Facts("wrong-application"),
                )
    except (ExchangeFailed, TlsFailure) as failure:
        log.info("the page of consent was not checked: %s", failure)
    finally:
        await network.close()


async def redeem(
    consent: Consent, code: str, client_secret: str, settings: Settings, clock: Clock | None = None
) -> OAuth2Grant:
    """Exchange the code for tokens. Raises SignInFailed, Unreachable, ServerFailing, NotFigshare, TlsFailure."""
    add_secret(code)
    body = _client(consent.client_id).prepare_request_body(
        code=code, redirect_uri=consent.redirect, client_secret=client_secret
    )
    empty = OAuth2Grant(client_id=consent.client_id, client_secret=client_secret, access_token="")
    network, clock = Network(settings), clock or Clock()
    send = _sender(network, settings, clock)
    try:
        return await _request_tokens(body, empty, settings.endpoint, send, clock)
    except ExchangeFailed as failure:
        raise Unreachable(f"{host_of(settings.endpoint)}: {failure.reason}") from None
    except _Refused as refusal:
        raise SignInFailed(f"Figshare refused the sign-in: {refusal}") from None
    except _Unclear as fault:
        kind = ServerFailing if fault.status >= 500 else NotFigshare
        raise kind(f"{fault} instead of a token") from None
    finally:
        await network.close()


def _sender(network: Network, settings: Settings, clock: Clock) -> Send:
    times = {"connect_timeout": settings.connect_timeout, "answer_timeout": settings.answer_timeout}
    return traced(exchange_on(network, network.api, **times), clock)


# --- the token endpoint -----------------------------------------------------------------------------------------------


class _Refused(Exception):
    """The token endpoint answered with an error of OAuth, which had no effect."""


class _Unclear(Exception):
    """The answer of the token endpoint is not one; the request may have had its effect."""

    def __init__(self, words: str, status: int) -> None:
        super().__init__(words)
        self.status = status


async def _request_tokens(body: str, grant: OAuth2Grant, endpoint: str, send: Send, clock: Clock) -> OAuth2Grant:
    """Make one request; return the grant with what came. Raises ExchangeFailed, _Refused, _Unclear, TlsFailure."""
    request = Request(
        method="POST",
        url=f"{endpoint}/token",
        redacted_url=f"{urlsplit(endpoint).path}/token",
        body=body.encode(),
        headers={"Content-Type": "application/x-www-form-urlencoded"},
        fresh=True,  # on an idle connection that was cut, a refresh would count as lost
    )
    with anyio.move_on_after(_LONGEST, shield=True):
        return _read_tokens(await send(request), grant, host_of(endpoint), clock)
    raise ExchangeFailed("no answer in time", sent=True)


def _read_tokens(answer: Response, grant: OAuth2Grant, host: str, clock: Clock) -> OAuth2Grant:
    from oauthlib.oauth2 import OAuth2Error

    if answer.status in _UNREAD:
        raise ExchangeFailed(f"answered {answer.status}", sent=False)
    kind = "a web page" if answer.is_html else "no token"
    unclear = _Unclear(f"{host} answered {answer.status} with {kind}", answer.status)
    value: object = None
    try:
        value = parse_json(answer.body)
        if not isinstance(value, dict) or answer.status not in (200, 400, 401):
            raise unclear
        found = _client(grant.client_id).parse_request_body_response(answer.body.decode("utf-8", "replace"))
        return msgspec.structs.replace(
            grant,
            access_token=Token(_text(found["access_token"])).reveal(),
            refresh_token=_text(found.get("refresh_token") or grant.refresh_token),
            until=clock.now() + timedelta(seconds=int(found["expires_in"])) if found.get("expires_in") else None,
            refreshing=False,
        )
    except OAuth2Error as error:
        if answer.status == 200:
            raise unclear from None
        words = _words(error) if isinstance(value, dict) and value.get("error") else server_message(answer.body)
        raise _Refused(words or f"status {answer.status}") from None
    except (NotJson, ValueError, TypeError, AttributeError, OverflowError, NoToken, UsageError):
        raise unclear from None


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value


def _words(error: object) -> str:
    """Return code and description of an error of OAuth."""
    code, description = getattr(error, "error", ""), getattr(error, "description", "")
    return f"{code}: {description}" if description else str(code)


def _client(client_id: str) -> WebApplicationClient:
    try:
        from oauthlib.oauth2 import WebApplicationClient
    except ImportError:
        raise UsageError("signing in with OAuth needs the package oauthlib", facts=Facts("no-oauth")) from None
    return WebApplicationClient(client_id)


# --- refreshing -------------------------------------------------------------------------------------------------------


class RenewableToken:
    """The token of a stored sign-in, refreshed when it has expired or is rejected.

    One refresh is made for all calls of this process and, by a lock beside the store, for all processes; the others
    read what it stored.
    """

    def __init__(self, grant: OAuth2Grant, *, endpoint: str, config_dir: Path, clock: Clock | None = None) -> None:
        self._grant = grant
        self._endpoint = endpoint
        self._config_dir = config_dir
        self._clock = clock or Clock()
        self._turn = anyio.Lock()
        self._token = Token(grant.access_token)

    def __repr__(self) -> str:
        return "RenewableToken(…)"

    async def current(self, send: Send) -> Token:
        """Return the token to use, refreshed if its end has passed. Raises what `renewed` raises."""
        if self._grant.expired(self._clock.now()):
            return await self.renewed(self._token, send)
        return self._token

    async def renewed(self, rejected: Token, send: Send) -> Token:
        """Return a token in place of a rejected or expired one.

        Raises TokenRejected if the user has to sign in again; ExchangeFailed if nothing was sent, or turned away, so
        that a later attempt may succeed; TlsFailure, StateUnusable, StateDiskFull.
        """
        async with self._turn:
            if self._token is rejected:
                async with _locked(self._config_dir, self._clock) as alone:
                    self._adopt(await self._refreshed(rejected.reveal(), send, alone=alone))
            return self._token

    def _adopt(self, grant: OAuth2Grant) -> None:
        self._grant, self._token = grant, Token(grant.access_token)

    async def _refreshed(self, rejected: str, send: Send, *, alone: bool) -> OAuth2Grant:
        """Refresh the sign-in, or return what another process made of it.

        `alone`: no other process can refresh it now. Without file locks one may; its mark in the store shows that.
        """
        stored = await in_thread(self._read)
        if stored.refreshing and not alone:
            stored = await self._changed(stored, _LONGEST) or stored
        if stored.access_token != rejected and not stored.expired(self._clock.now()):
            log.info("another process has refreshed the sign-in")
            return stored
        if stored.refreshing:
            raise _sign_in_again("the answer to the last refresh of the sign-in was lost")
        if not stored.refresh_token:
            raise _sign_in_again("the sign-in has expired, and cannot be refreshed")
        try:
            return await self._renew(stored, send)
        except _Refused as refusal:
            changed = await self._changed(stored, 0.0 if alone else _RIVAL)
            if changed is None:
                raise _sign_in_again(f"Figshare does not refresh the sign-in: {refusal}") from None
            return changed

    async def _renew(self, stored: OAuth2Grant, send: Send) -> OAuth2Grant:
        """Make one request, marked in the store before it is sent. Raises _Refused, and what `renewed` raises."""
        body = await in_thread(_refresh_body, stored)
        settled = stored
        try:
            await in_thread(self._replace, stored, msgspec.structs.replace(stored, refreshing=True))
            settled = await _request_tokens(body, stored, self._endpoint, send, self._clock)
        except ExchangeFailed as failure:
            if not failure.sent:
                raise
            settled = msgspec.structs.replace(stored, refreshing=True)
            raise _lost(f"{host_of(self._endpoint)}: {failure.reason}") from None
        except _Unclear as fault:
            settled = msgspec.structs.replace(stored, refreshing=True)
            raise _lost(str(fault)) from None
        finally:
            with anyio.CancelScope(shield=True):
                await in_thread(self._replace, stored, settled)
        log.info("refreshed the sign-in")
        return settled

    async def _changed(self, stored: OAuth2Grant, time_limit: float) -> OAuth2Grant | None:
        """Return the sign-in that another process stores in place of this one, None if it does not in time."""

        async def check() -> OAuth2Grant | None:
            now = await in_thread(self._read)
            return now if now.access_token != stored.access_token else None

        return await poll(check, time_limit, self._clock, max_pause=1.0)

    def _read(self) -> OAuth2Grant:
        """Return what is stored now. Raises TokenRejected if the sign-in is gone."""
        stored = auth.read_stored(endpoint=self._endpoint, config_dir=self._config_dir)
        grant = parse_grant(stored[0]) if stored is not None else None
        if not isinstance(grant, OAuth2Grant):
            raise _sign_in_again("the sign-in has ended, and was removed from this machine")
        return grant

    def _replace(self, begun: OAuth2Grant, by: OAuth2Grant) -> None:
        """Store the new state of a sign-in, unless the user has signed in again or out meanwhile."""

        def is_due(text: str) -> bool:
            now, tokens = parse_grant(text), (begun.access_token, begun.refresh_token)
            return isinstance(now, OAuth2Grant) and (now.access_token, now.refresh_token) == tokens

        auth.replace_text(by.dump(), endpoint=self._endpoint, config_dir=self._config_dir, is_due=is_due)


def _refresh_body(grant: OAuth2Grant) -> str:
    body: str = _client(grant.client_id).prepare_refresh_body(
        refresh_token=grant.refresh_token, client_id=grant.client_id, client_secret=grant.client_secret
    )
    return body


def _lost(reason: str) -> TokenRejected:
    return _sign_in_again(f"the answer to a refresh of the sign-in was lost ({reason})")


def _sign_in_again(message: str) -> TokenRejected:
    return TokenRejected(message, hint="Sign in again with OAuth 2.", facts=Facts("sign-in-again"))


@asynccontextmanager
async def _locked(folder: Path, clock: Clock) -> AsyncIterator[bool]:
    """Hold the lock of refreshes; wait until other processes release it. Yield False where there are no file locks.

    Raises StateUnusable if the folder cannot be written to: then a refreshed token could not be kept.
    """
    await in_thread(Disk().make_folder, folder)
    fd = await in_thread(open_lock_file, folder / _LOCK_FILE)
    try:
        while (taken := await in_thread(_take, fd)) is False:
            await clock.sleep(_LOCK_POLL)
        yield taken is not None
    finally:
        os.close(fd)


def _take(fd: int) -> bool | None:
    """Return whether the lock was taken, None if the file system has no locks."""
    try:
        return try_flock(fd)
    except OSError:
        return None
