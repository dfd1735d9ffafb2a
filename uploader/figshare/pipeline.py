"""Where the exchange and its layers are put together: one chain for the API, one for the upload service."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import NoReturn, TypeVar
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
    RequestRejected,
    TokenRejected,
)
from uploader.figshare import models
from uploader.figshare.auth import Token
from uploader.figshare.middleware import RateLimited, Retrier, ServerClock, authorized, limited, traced
from uploader.figshare.network import Network
from uploader.figshare.ratelimit import OnTurn, TokenBucket
from uploader.figshare.responses import Peer, ResponseSpec, about_item, object_spec
from uploader.figshare.settings import Settings
from uploader.figshare.transport import Request, exchange_on
from uploader.figshare.urls import host_of
from uploader.system import descriptor_share

T = TypeVar("T")

_MAY_CONCERN_ACCOUNT = (TokenRejected, PermissionDenied, NotFigshare, ItemNotFound, RequestRejected)
"""Errors that may be about the account that is to be acted for."""

_API_IN_FLIGHT, _UPLOAD_IN_FLIGHT = 100, 64
"""Small requests on their way at a time, each on a connection of its own."""
_API_SHARE, _UPLOAD_SHARE = 0.25, 0.15
"""Parts of the free descriptors that their connections may take."""

_ACCOUNT = object_spec(models.Account, "the account", checks_token=True)


class Pipeline:
    """Small requests to the API and to the upload service; parts go their own way (`sending`)."""

    def __init__(
        self,
        endpoint: str,
        settings: Settings,
        token: Token | None,
        network: Network,
        clock: Clock,
        on_retry: Callable[[str, float], None] | None,
    ) -> None:
        self._endpoint = endpoint
        self._account = settings.impersonate
        self._impersonation_verified = self._account is None
        """True once it is known that the token may act for the account."""
        self._identified = False
        self._server_clock = ServerClock(clock)
        times = {"connect_timeout": settings.connect_timeout, "answer_timeout": settings.answer_timeout}
        bucket = TokenBucket(settings.api_rate, settings.api_burst, clock)
        raw_api = exchange_on(network, network.api, **times)
        # The trace stays inside the budget, so that its seconds are Figshare's and not the waiting for a turn.
        self._budget = RateLimited(
            self._server_clock.recording(
                traced(raw_api if token is None else authorized(raw_api, token, endpoint), clock)
            ),
            bucket,
            descriptor_share(_API_IN_FLIGHT, _API_SHARE),
        )
        self._api = Retrier(
            self._budget,
            settings.retry,
            clock,
            self._server_clock.now,
            on_retry=on_retry,
            on_throttled=bucket.pause,
        )
        raw_upload = limited(
            exchange_on(network, network.upload, **times), descriptor_share(_UPLOAD_IN_FLIGHT, _UPLOAD_SHARE)
        )
        self._upload = Retrier(
            traced(raw_upload, clock), settings.retry, clock, self._server_clock.now, on_retry=on_retry
        )
        self.wait = self._api.wait

    @property
    def requests(self) -> int:
        """API requests so far."""
        return self._budget.requests

    @property
    def idle(self) -> bool:
        """True when an API request could go out at once, and none waits to."""
        return self._budget.idle

    @property
    def rate(self) -> float | None:
        """API requests per second that the budget allows; None for no limit."""
        return self._budget.rate

    @property
    def waiting(self) -> int:
        """API requests that wait for the budget."""
        return self._budget.waiting

    @property
    def answered(self) -> float:
        """When the API last answered as it should (monotonic seconds)."""
        return self._api.answered

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

        `on_turn` is called once, when the budget lets the first attempt go out; what it raises ends the call.

        An account to act for is named in the query of GET and DELETE, in the body of all others (documented).
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
    ) -> T:
        """Make an API call about something of an item; `path` starts after the item, `reader` is `about_part_of_item`.

        Raises ItemNotFound for a 404 only if the item itself is missing.
        """
        item = f"/account/articles/{item_id}"
        try:
            return await self.api(method, f"{item}{path}", reader, body=body, creating=creating)
        except RequestRejected as refusal:
            if refusal.status == 404:
                await self.api("GET", item, ResponseSpec(parse=lambda _: None, **about_item(item_id)))
            raise

    async def _verify_token(self) -> None:
        """Raise TokenRejected where a 403, the first answer of all, was about the token and not about the request.

        Observed: Figshare answers 403 to a bad token, as it does to what an account may not do.
        """
        try:
            await self._ask("GET", "/account", _ACCOUNT)
        except TokenRejected:
            raise
        except FigupError:
            return  # the refusal stands

    async def _verify_impersonation(self) -> None:
        """Raise AccountNotFound or PermissionDenied where the token is good, but not for the account that it is to
        act for.

        How Figshare says so is not known: any refusal may be about the account, and Figshare is asked about it.
        """

        def missing() -> NoReturn:
            raise AccountNotFound(f"Figshare has no account {self._account} that this token could act for")

        if not self._identified:
            try:
                await self._ask("GET", "/account", _ACCOUNT)
            except FigupError:
                return  # it is about the token or the service as such, as the first answer said
        theirs = object_spec(models.Account, f"account {self._account}", on_not_found=missing)
        try:
            await self._ask("GET", f"/account?impersonate={self._account}", theirs)
        except (PermissionDenied, TokenRejected, RequestRejected):
            raise PermissionDenied(
                f"this token may not act for account {self._account}",
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
        """One call to the upload service; `shown` is how the address may be shown."""
        peer = Peer(host=host_of(url), name="the upload service", is_api=False, identified=True)
        return await self._upload.call(Request(method=method, url=url, redacted_url=redacted_url), reader, lambda: peer)

    def _api_peer(self) -> Peer:
        return Peer(host=host_of(self._endpoint), name="Figshare", is_api=True, identified=self._identified)
