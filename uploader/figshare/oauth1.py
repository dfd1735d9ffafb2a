"""The first API: signing in by OAuth 1.0a, and its signed calls.

Sources: the first API's introduction, RFC 5849, and programs that used it until 2016 (ten rows a page; own items could
not be paged). New applications can no longer be registered, and no answer of it has been seen since.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final, Literal, TypeVar
from urllib.parse import parse_qs, urlencode, urlsplit

import msgspec

from uploader.clock import Clock
from uploader.errors import Facts, NotFigshare, ProtocolViolation, SignInFailed, TokenRejected, UsageError
from uploader.figshare.decode import NotJson, decode, parse_json
from uploader.figshare.grants import OAuth1Grant
from uploader.figshare.middleware import RateLimited, Retrier, ServerClock, traced
from uploader.figshare.network import Network
from uploader.figshare.outcomes import AmbiguousAnswer
from uploader.figshare.ratelimit import TokenBucket
from uploader.figshare.records import Record
from uploader.figshare.responses import Peer, ResponseSpec, server_message
from uploader.figshare.retry import parse_http_date
from uploader.figshare.settings import Settings
from uploader.figshare.transport import Request, Response, Send, exchange_on
from uploader.figshare.urls import host_of
from uploader.redaction import add_secret, redact, redact_values
from uploader.text import printable, shorten
from uploader.units import format_duration

MAX_SKEW: Final = 300
"""Seconds by which a timestamp may differ from the server's clock (documented)."""
PAGE: Final = 10
_IN_FLIGHT = 4
Method = Literal["GET", "POST"]
T = TypeVar("T")


def first_endpoint(endpoint: str) -> str:
    """Return the address of the first API beside today's. Raises UsageError."""
    site, version, rest = endpoint.rpartition("/v2")
    if not version or rest:
        raise UsageError("the first API's address is known only for an endpoint that ends in /v2")
    return f"{site}/v1"


class RequestToken(msgspec.Struct, frozen=True, kw_only=True):
    """A temporary token; `page` is where the owner consents. Its repr shows no secret."""

    token: str
    secret: str
    page: str

    def __repr__(self) -> str:
        return "RequestToken(…)"


class FirstApi:
    """A session with the first API, in the name of `grant`, which may lack its tokens while signing in.

    Every request may raise TokenRejected (a wrong signature, a clock that is wrong), RequestRejected, and what all
    requests raise. Raises UsageError without oauthlib.
    """

    def __init__(
        self,
        grant: OAuth1Grant,
        settings: Settings,
        *,
        clock: Clock | None = None,
        on_retry: Callable[[str, float], None] | None = None,
    ) -> None:
        try:
            from oauthlib.oauth1 import Client
        except ImportError:
            raise UsageError("signing in with OAuth needs the package oauthlib", facts=Facts("no-oauth")) from None
        self._signer = Client
        self._grant = grant
        self._clock = clock or Clock()
        self.endpoint = first_endpoint(settings.endpoint)
        self._network = Network(settings)
        times = {"connect_timeout": settings.connect_timeout, "answer_timeout": settings.answer_timeout}
        bucket = TokenBucket(settings.api_rate, settings.api_burst, self._clock)
        server = ServerClock(self._clock)
        send = server.recording(traced(exchange_on(self._network, self._network.api, **times), self._clock))
        self._budget = RateLimited(send, bucket, _IN_FLIGHT)
        self._settings, self._server, self._on_retry, self._bucket = settings, server, on_retry, bucket
        self._identified = False

    async def close(self) -> None:
        await self._network.close()

    @property
    def requests(self) -> int:
        """Requests so far."""
        return self._budget.requests

    # --- signing in ---------------------------------------------------------------------------------------------------

    async def request_token(self, callback: str) -> RequestToken:
        """Return a temporary token. `callback` is where the owner's browser is sent, "oob" for a PIN.

        Raises SignInFailed.
        """
        fields = await self._form("GET", "/pbl/oauth/request_token", callback_uri=callback)
        token, secret = fields["oauth_token"], fields["oauth_token_secret"]
        add_secret(secret)
        page = f"{self.endpoint}/pbl/oauth/authorize?{urlencode({'oauth_token': token})}"
        return RequestToken(token=token, secret=secret, page=page)

    async def access(self, temporary: RequestToken, verifier: str) -> OAuth1Grant:
        """Exchange the temporary token for one that stays. Raises SignInFailed."""
        add_secret(verifier, min_length=6)
        fields = await self._form(
            "POST", "/pbl/oauth/access_token",
            resource_owner_key=temporary.token, resource_owner_secret=temporary.secret, verifier=verifier,
        )  # fmt: skip
        return msgspec.structs.replace(
            self._grant,
            token=fields["oauth_token"],
            token_secret=fields["oauth_token_secret"],
            account=printable(fields.get("xoauth_figshare_id", "")),
        )

    async def _form(self, method: Method, path: str, **keys: str) -> dict[str, str]:
        """Make a call that is answered by a form, regardless of its content type (documented)."""

        def read(answer: Response) -> dict[str, str]:
            fields = {name: one[0] for name, one in parse_qs(answer.body.decode("utf-8", "replace")).items()}
            if answer.is_html or not {"oauth_token", "oauth_token_secret"} <= fields.keys():
                kind = "a web page" if answer.is_html else "no token"
                raise NotFigshare(f"{host_of(self.endpoint)} answered {answer.status} with {kind} instead of a token")
            return fields

        spec = ResponseSpec(resource="the sign-in", parse=read, accepts="anything")
        try:
            return await self._call(method, path, spec, keys, creating=True)
        except AmbiguousAnswer as lost:
            raise SignInFailed(f"the response was lost: {lost.reason}") from None
        except TokenRejected as refusal:
            if refusal.facts.situation == "clock-wrong":
                raise
            raise SignInFailed(refusal.message) from None

    # --- signed calls -------------------------------------------------------------------------------------------------

    async def own(self) -> tuple[list[Record], int]:
        """Return the account's own items (the first API shows ten), and their total number as stated."""
        return await self._list("/my_data/articles", {})

    async def search(self, query: Mapping[str, str], page: int) -> tuple[list[Record], int]:
        """Return a page of public items, ten at most, and how many there are in all."""
        return await self._list("/articles/search", {**query, "page": str(page)})

    async def _list(self, path: str, query: Mapping[str, str]) -> tuple[list[Record], int]:
        def read(answer: Response) -> tuple[list[Record], int]:
            value = parse_json(answer.body)
            rows = value.get("items") if isinstance(value, dict) else None
            if not isinstance(rows, list) or not all(isinstance(row, dict) and "article_id" in row for row in rows):
                raise ProtocolViolation("unexpected response from the first API: no list of items")
            count = value.get("items_found", value.get("count"))
            found = [_record(row) for row in rows]
            return found, count if type(count) is int and count >= len(found) else len(found)

        keys = {"resource_owner_key": self._grant.token, "resource_owner_secret": self._grant.token_secret}
        full = f"{path}?{urlencode(query)}" if query else path
        return await self._call("GET", full, ResponseSpec(resource="the list of items", parse=read), keys)

    async def _call(
        self, method: Method, path: str, spec: ResponseSpec[T], keys: Mapping[str, str], *, creating: bool = False
    ) -> T:
        request = Request(
            method=method, url=self.endpoint + path, redacted_url=urlsplit(self.endpoint).path + path.partition("?")[0]
        )
        retrier = Retrier(
            self._signed(self._budget, keys), self._settings.retry, self._clock, self._server.now,
            on_retry=self._on_retry, on_throttled=self._bucket.throttle, throttled=self._settings.throttled,
        )  # fmt: skip
        value = await retrier.call(request, spec, self._peer, creating=creating)
        self._identified = True
        return value

    def _signed(self, send: Send, keys: Mapping[str, str]) -> Send:
        """Sign each attempt again: a nonce is accepted once."""

        async def signed_send(request: Request) -> Response:
            signer = self._signer(
                self._grant.consumer, self._grant.consumer_secret,
                timestamp=str(int(self._clock.now().timestamp())), **keys,
            )  # fmt: skip
            method: Method = "POST" if request.method == "POST" else "GET"
            _, headers, _ = signer.sign(request.url, http_method=method)
            answer = await send(dataclasses.replace(request, headers={**request.headers, **headers}))
            if answer.status == 401:
                raise self._rejected(answer)
            return answer

        return signed_send

    def _rejected(self, answer: Response) -> TokenRejected:
        """Return the error for a rejected signature. The clocks are compared, for a wrong one is a usual reason."""
        theirs = parse_http_date(answer.headers.get("Date"))
        wrong = (self._clock.now() - theirs).total_seconds() if theirs is not None else 0.0
        if abs(wrong) > MAX_SKEW:
            way = "fast" if wrong > 0 else "slow"
            return TokenRejected(
                f"the clock of this computer is {format_duration(abs(wrong))} {way}: signatures are valid for "
                f"{format_duration(MAX_SKEW)}",
                hint="Set the clock.",
                facts=Facts("clock-wrong"),
            )
        return TokenRejected(
            f"the first API does not accept the signature: {_message(answer)}",
            hint="Sign in again with OAuth 1.",
            facts=Facts("sign-in-again-v1"),
        )

    def _peer(self) -> Peer:
        return Peer(host=host_of(self.endpoint), name="Figshare's first API", is_api=False, identified=self._identified)


def _record(row: dict[str, Any]) -> Record:
    """Return a row of the first API as a record; its JSON stays as received."""
    known = {**row, "id": row["article_id"], "defined_type_name": row.get("defined_type"), "defined_type": None}
    return msgspec.structs.replace(decode(Record, known, "an item"), raw=redact_values(row))


def _message(answer: Response) -> str:
    """Return the server's message, which the first API puts into an object."""
    value: Any = None
    with suppress(NotJson):
        value = parse_json(answer.body)
    inner = value.get("error") if isinstance(value, dict) else None
    words = inner.get("error") if isinstance(inner, dict) else None
    text = shorten(printable(redact(words)), 300) if isinstance(words, str) else server_message(answer.body)
    return text or f"status {answer.status}"
