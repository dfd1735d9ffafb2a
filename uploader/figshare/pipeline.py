"""Compose the exchange and its middleware: one chain for the API, one for the upload service."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import datetime
from typing import NoReturn, Protocol, TypeVar
from urllib.parse import urlsplit

import msgspec

from uploader.clock import Clock
from uploader.errors import (
    AccountNotFound,
    Facts,
    FigupError,
    ItemNotFound,
    NotFigshare,
    PermissionDenied,
    ProtocolViolation,
    RequestRejected,
    TokenRejected,
)
from uploader.figshare import models
from uploader.figshare.auth import Token
from uploader.figshare.middleware import (
    AnyToken,
    RateLimited,
    Retrier,
    ServerClock,
    announced,
    authorized,
    limited,
    traced,
)
from uploader.figshare.models import PAGE
from uploader.figshare.network import Network
from uploader.figshare.ratelimit import OnTurn, TokenBucket
from uploader.figshare.responses import Peer, ResponseSpec, about_item, object_spec
from uploader.figshare.settings import Settings
from uploader.figshare.transport import Request, exchange_on
from uploader.figshare.urls import host_of
from uploader.system import descriptor_share

T = TypeVar("T")

_MAY_CONCERN_ACCOUNT = (TokenRejected, PermissionDenied, NotFigshare, ItemNotFound, RequestRejected)
"""Errors that may be about the impersonated account."""

_API_IN_FLIGHT, _UPLOAD_IN_FLIGHT = 100, 64
"""Maximum number of concurrent small requests, each on its own connection."""
_API_SHARE, _UPLOAD_SHARE = 0.2, 0.15
"""Fraction of the free descriptors that their connections may use."""

_ACCOUNT = object_spec(models.Account, "the account", checks_token=True)


class Pipeline:
    """Small requests to the API and the upload service; parts are sent by `part_upload`."""

    def __init__(
        self,
        endpoint: str,
        settings: Settings,
        token: AnyToken | None,
        network: Network,
        clock: Clock,
        on_retry: Callable[[str, float], None] | None,
    ) -> None:
        self._endpoint = endpoint
        self._account = settings.impersonate
        self._impersonation_verified = self._account is None
        """True once the token is known to be allowed to impersonate the account."""
        self._identified = False
        self._server_clock = ServerClock(clock)
        times = {"connect_timeout": settings.connect_timeout, "answer_timeout": settings.answer_timeout}
        self.burst = settings.api_burst
        """API requests that the budget saves up."""
        bucket = TokenBucket(settings.api_rate, self.burst, clock)
        raw_api = announced(traced(exchange_on(network, network.api, **times), clock))
        # Inside the rate limit, so that the traced time excludes waiting for it.
        self._budget = RateLimited(
            self._server_clock.recording(raw_api if token is None else authorized(raw_api, token, endpoint)),
            bucket,
            descriptor_share(_API_IN_FLIGHT, _API_SHARE),
        )
        self._api = Retrier(
            self._budget,
            settings.retry,
            clock,
            self._server_clock.now,
            on_retry=on_retry,
            on_throttled=bucket.throttle,
            throttled=settings.throttled,
        )
        raw_upload = limited(
            exchange_on(network, network.upload, **times), descriptor_share(_UPLOAD_IN_FLIGHT, _UPLOAD_SHARE)
        )
        self._upload = Retrier(
            traced(raw_upload, clock), settings.retry, clock, self._server_clock.now, on_retry=on_retry
        )
        self.wait = self._api.wait
        self._token, self._raw_api = token, raw_api

    @property
    def requests(self) -> int:
        """API requests so far."""
        return self._budget.requests

    @property
    def idle(self) -> bool:
        """True if an API request could be sent at once and none is waiting."""
        return self._budget.idle

    @property
    def rate(self) -> float | None:
        """API requests per second that the budget allows; None for no limit."""
        return self._budget.rate

    @property
    def waiting(self) -> int:
        """API requests waiting for the budget."""
        return self._budget.waiting

    @property
    def answered(self) -> float:
        """When the API last responded properly (monotonic seconds)."""
        return self._api.answered

    async def token(self) -> Token | None:
        """Return the token to use now, None for none. Raises as a call does."""
        if self._token is None or isinstance(self._token, Token):
            return self._token
        return await self._token.current(self._raw_api)

    async def renewed(self, used: Token) -> Token | None:
        """Return the token in place of one with which a download was refused; None if that one is still valid.

        Raises TokenRejected if the user has to sign in again.
        """
        if await self.token() is used and not isinstance(self._token, Token):
            await self._verify_token()  # which renews it
        now = await self.token()
        return now if now is not used else None

    def server_now(self) -> datetime:
        return self._server_clock.now()

    async def api(
        self,
        method: str,
        path: str,
        reader: ResponseSpec[T],
        *,
        body: Mapping[str, object] | None = None,
        creating: bool = False,
        on_turn: OnTurn | None = None,
    ) -> T:
        """Make one API call; `path` starts after the endpoint, `body` is sent as JSON.

        `on_turn` is called directly before each attempt, when the budget allows it; an exception from it ends the call.

        `impersonate` is sent in the query of GET and DELETE, else in the body (documented).
        """
        if self._account is not None and method in ("GET", "DELETE"):
            path += f"{'&' if '?' in path else '?'}impersonate={self._account}"
        elif self._account is not None:
            body = {**(body or {}), "impersonate": self._account}
        try:
            return await self._ask(method, path, reader, body=body, creating=creating, on_turn=on_turn)
        except _MAY_CONCERN_ACCOUNT as refusal:
            if isinstance(refusal, PermissionDenied) and not self._identified:
                await self._verify_token()
            if not self._impersonation_verified:
                await self._verify_impersonation()
            raise

    async def part_of_item(
        self,
        method: str,
        item_id: int,
        path: str,
        reader: ResponseSpec[T],
        *,
        body: Mapping[str, object] | None = None,
        creating: bool = False,
        on_turn: OnTurn | None = None,
    ) -> T:
        """Make an API call about something of an item; `path` starts after the item, `reader` is `about_part_of_item`.

        Raises ItemNotFound for a 404 only if the item itself is missing.
        """
        item = f"/account/articles/{item_id}"
        try:
            return await self.api(method, f"{item}{path}", reader, body=body, creating=creating, on_turn=on_turn)
        except RequestRejected as refusal:
            if refusal.status == 404:
                await self.api("GET", item, ResponseSpec(parse=lambda _: None, **about_item(item_id)))
            raise

    async def _verify_token(self) -> None:
        """Raise TokenRejected if a refusal was about the token, not the request.

        Observed: Figshare responds 403 both to a bad token and to missing permissions.
        """
        try:
            await self._ask("GET", "/account", _ACCOUNT)
        except TokenRejected:
            raise
        except FigupError:
            return  # the error stands

    async def _verify_impersonation(self) -> None:
        """Raise AccountNotFound or PermissionDenied if the token is valid but cannot impersonate the account.

        Figshare's response in that case is unknown, so after any rejection it is asked about the account.
        """

        def missing() -> NoReturn:
            raise AccountNotFound(f"Figshare has no account {self._account} that this token can impersonate")

        if not self._identified:
            try:
                await self._ask("GET", "/account", _ACCOUNT)
            except FigupError:
                return  # it is about the token or the service itself, as the first response said
        theirs = object_spec(models.Account, f"account {self._account}", on_not_found=missing)
        try:
            await self._ask("GET", f"/account?impersonate={self._account}", theirs)
        except (PermissionDenied, TokenRejected, RequestRejected):
            raise PermissionDenied(
                f"this token may not impersonate account {self._account}",
                hint="An administrator of the account's institution may.",
                facts=Facts("may-not-impersonate"),
            ) from None
        self._impersonation_verified = True

    async def _ask(
        self,
        method: str,
        path: str,
        reader: ResponseSpec[T],
        *,
        body: Mapping[str, object] | None = None,
        creating: bool = False,
        on_turn: OnTurn | None = None,
    ) -> T:
        request = Request(
            method=method,
            url=self._endpoint + path,
            redacted_url=urlsplit(self._endpoint).path + path,
            body=None if body is None else msgspec.json.encode(body),
            headers={} if body is None else {"Content-Type": "application/json"},
            on_turn=on_turn,
        )
        value = await self._api.call(request, reader, self._api_peer, creating=creating)
        self._identified = True
        return value

    async def upload(self, method: str, url: str, redacted_url: str, reader: ResponseSpec[T]) -> T:
        """Call the upload service; `redacted_url` is used in messages."""
        peer = Peer(host=host_of(url), name="the upload service", is_api=False, identified=True)
        return await self._upload.call(Request(method=method, url=url, redacted_url=redacted_url), reader, lambda: peer)

    def _api_peer(self) -> Peer:
        return Peer(host=host_of(self._endpoint), name="Figshare", is_api=True, identified=self._identified)


MAX_ROWS = 500_000
"""Maximum rows of one list; a server that sends more is broken."""


class _HasId(Protocol):
    @property
    def id(self) -> int: ...


Row = TypeVar("Row", bound=_HasId)


async def read_pages(fetch: Callable[[str], Awaitable[list[Row]]], resource: str) -> AsyncIterator[Row]:
    """Yield all rows up to a short page; a row that a shifting list shows twice is yielded once.

    `fetch` takes the query of a page; `resource` is for messages. Raises ProtocolViolation for an endless list.
    """
    seen: set[int] = set()
    page = 1
    while True:
        rows = await fetch(f"page={page}&page_size={PAGE}")
        new = [row for row in rows if row.id not in seen]
        if len(rows) >= PAGE and not new:
            raise ProtocolViolation(f"page {page} of {resource} repeats earlier ones")
        seen.update(row.id for row in new)
        if len(seen) > MAX_ROWS:
            raise ProtocolViolation(f"{resource} has more than {MAX_ROWS} rows")
        for row in new:
            yield row
        if len(rows) < PAGE:
            return
        page += 1
