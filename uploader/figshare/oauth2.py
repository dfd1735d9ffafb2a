"""OAuth 2: the address at which the owner consents, and the token endpoint.

Sources: RFC 6749; docs.figshare.com, "OAuth"; observed: PKCE is not supported.
"""

from __future__ import annotations

import logging
import secrets
from datetime import timedelta
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, urlsplit

import anyio
import msgspec

from uploader.clock import Clock
from uploader.errors import (
    Facts,
    NotFigshare,
    NoToken,
    ServerFailing,
    SignInFailed,
    TlsFailure,
    Unreachable,
    UsageError,
)
from uploader.figshare.auth import Token
from uploader.figshare.decode import NotJson, parse_json
from uploader.figshare.grants import OAuth2Grant
from uploader.figshare.middleware import traced
from uploader.figshare.network import Network
from uploader.figshare.responses import server_message
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
_PAGE_TIME_LIMIT: Final = 5.0
"""Seconds to request the consent page, before the user opens it."""
REQUEST_TIMEOUT: Final = 60.0
"""Seconds for one request to the token endpoint, which a cancellation does not cut short."""


# --- asking the owner -------------------------------------------------------------------------------------------------


class Consent:
    """One request for the owner's consent; `address` is the page to open. Raises UsageError without oauthlib."""

    def __init__(self, endpoint: str, client_id: str, redirect: str) -> None:
        self.client_id = client_id
        self.redirect = redirect
        self._state = secrets.token_urlsafe(24)
        page = urlsplit(f"{site_of(endpoint)}/account/applications/authorize")
        address = client_of(client_id).prepare_request_uri(
            page._replace(scheme="https").geturl(), redirect_uri=redirect, scope=[SCOPE], state=self._state
        )
        self.address = urlsplit(address)._replace(scheme=page.scheme).geturl()

    def code_in(self, address: str) -> str:
        """Return the code in the address that the browser was sent to. Raises SignInFailed, UsageError."""
        from oauthlib.oauth2 import MismatchingStateError, MissingCodeError, OAuth2Error

        try:
            came = urlsplit(address.strip())
            fits = _place(came) == _place(urlsplit(self.redirect))
        except ValueError:
            fits = False
        if not fits:
            raise UsageError(
                f"this is not the address that the browser was sent to, which begins with {self.redirect}",
                hint="Copy the whole address from the browser's address bar, after consenting.",
            )
        try:
            # oauthlib takes https only; that the address of this machine may be http was checked before.
            found = client_of(self.client_id).parse_request_uri_response(
                came._replace(scheme="https").geturl(), state=self._state
            )
        except MismatchingStateError:
            raise SignInFailed("the response does not belong to this sign-in: its state differs") from None
        except MissingCodeError:
            raise SignInFailed("the response contains no code") from None
        except OAuth2Error as error:
            if error.error == "access_denied":
                raise SignInFailed("the owner of the account refused consent", hint="") from None
            raise SignInFailed(f"Figshare refused: {_words(error)}") from None
        return str(found["code"])


def _place(address: SplitResult) -> tuple[str, str | None, int | None, str]:
    """Return an address without its query, as browsers write it: without a port that is the usual one."""
    usual = {"http": 80, "https": 443}.get(address.scheme)
    return address.scheme, address.hostname, address.port or usual, address.path or "/"


def site_of(endpoint: str) -> str:
    """Return the address of the web site that belongs to an API: https://figshare.com for https://api.figshare.com/v2."""
    parts = urlsplit(endpoint)
    return f"{parts.scheme}://{parts.netloc.removeprefix('api.')}"


def is_local_http(redirect: str) -> bool:
    """Return whether a browser on this machine can be redirected there without a certificate."""
    parts = urlsplit(redirect)
    return parts.scheme == "http" and is_loopback(parts.hostname or "")


async def check_page(consent: Consent, settings: Settings, clock: Clock | None = None) -> None:
    """Raise SignInFailed if the page of consent is an error: it does not send the browser back (RFC 6749, 4.1.2.1).

    Any other response, or none within a few seconds, is inconclusive: the page is for browsers.
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
    body = client_of(consent.client_id).prepare_request_body(
        code=code, redirect_uri=consent.redirect, client_secret=client_secret
    )
    empty = OAuth2Grant(client_id=consent.client_id, client_secret=client_secret, access_token="")
    network, clock = Network(settings), clock or Clock()
    send = _sender(network, settings, clock)
    try:
        return await request_tokens(body, empty, settings.endpoint, send, clock)
    except ExchangeFailed as failure:
        raise Unreachable(f"{host_of(settings.endpoint)}: {failure.reason}") from None
    except Refused as refusal:
        raise SignInFailed(f"Figshare refused the sign-in: {refusal}") from None
    except Unclear as fault:
        kind = ServerFailing if fault.status >= 500 else NotFigshare
        raise kind(f"{fault} instead of a token") from None
    finally:
        await network.close()


def _sender(network: Network, settings: Settings, clock: Clock) -> Send:
    times = {"connect_timeout": settings.connect_timeout, "answer_timeout": settings.answer_timeout}
    return traced(exchange_on(network, network.api, **times), clock)


# --- the token endpoint -----------------------------------------------------------------------------------------------


class Refused(Exception):
    """The token endpoint answered with an error of OAuth, which had no effect."""


class Unclear(Exception):
    """The token endpoint's answer is unusable; the request may have had its effect."""

    def __init__(self, words: str, status: int) -> None:
        super().__init__(words)
        self.status = status


async def request_tokens(body: str, grant: OAuth2Grant, endpoint: str, send: Send, clock: Clock) -> OAuth2Grant:
    """Make one request; return the grant updated with the response. Raises ExchangeFailed, Refused, Unclear,
    TlsFailure.
    """
    request = Request(
        method="POST",
        url=f"{endpoint}/token",
        redacted_url=f"{urlsplit(endpoint).path}/token",
        body=body.encode(),
        headers={"Content-Type": "application/x-www-form-urlencoded"},
        fresh=True,  # on an idle connection that was cut, a refresh would count as lost
    )
    with anyio.move_on_after(REQUEST_TIMEOUT, shield=True):
        return _read_tokens(await send(request), grant, host_of(endpoint), clock)
    raise ExchangeFailed("no response in time", sent=True)


def _read_tokens(answer: Response, grant: OAuth2Grant, host: str, clock: Clock) -> OAuth2Grant:
    from oauthlib.oauth2 import OAuth2Error

    if answer.status in _UNREAD:
        raise ExchangeFailed(f"answered {answer.status}", sent=False)
    kind = "a web page" if answer.is_html else "no token"
    unclear = Unclear(f"{host} answered {answer.status} with {kind}", answer.status)
    value: object = None
    try:
        value = parse_json(answer.body)
        if not isinstance(value, dict) or answer.status not in (200, 400, 401):
            raise unclear
        found = client_of(grant.client_id).parse_request_body_response(answer.body.decode("utf-8", "replace"))
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
        raise Refused(words or f"status {answer.status}") from None
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


def client_of(client_id: str) -> WebApplicationClient:
    try:
        from oauthlib.oauth2 import WebApplicationClient
    except ImportError:
        raise UsageError("signing in with OAuth needs the package oauthlib", facts=Facts("no-oauth")) from None
    return WebApplicationClient(client_id)
