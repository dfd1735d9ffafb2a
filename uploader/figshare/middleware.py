"""Wrappers around the raw exchange: authorization, rate limit, tracing, server clock, retries."""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Callable
from datetime import MAXYEAR, datetime, timedelta
from typing import Protocol, TypeVar
from urllib.parse import urlsplit

import anyio

from uploader.clock import Clock
from uploader.errors import ServerFailing, Throttled, Unreachable
from uploader.figshare.auth import Token
from uploader.figshare.outcomes import AmbiguousAnswer
from uploader.figshare.ratelimit import TokenBucket
from uploader.figshare.responses import Peer, ResponseSpec, TransientFailure, classify, no_response
from uploader.figshare.retry import Backoff, parse_http_date
from uploader.figshare.settings import THROTTLED, RetryPolicy
from uploader.figshare.transport import ExchangeFailed, Request, Response, Send

log = logging.getLogger("uploader.figshare.http")

T = TypeVar("T")


class Renewable(Protocol):
    """A token that can be refreshed: see `refresh.RenewableToken`."""

    async def current(self, send: Send) -> Token: ...

    async def renewed(self, rejected: Token, send: Send) -> Token: ...


AnyToken = Token | Renewable


def authorized(send: Send, token: AnyToken, endpoint: str) -> Send:
    """Add the token, only for the endpoint's own URLs. A renewable one is renewed once if it is rejected."""

    async def attempt(request: Request, used: Token) -> Response:
        if not request.url.startswith(endpoint + "/"):
            raise ValueError("the token is sent to the endpoint only")
        headers = {**request.headers, "Authorization": f"token {used.reveal()}"}
        return await send(dataclasses.replace(request, headers=headers))

    async def is_rejected(answer: Response, used: Token) -> bool:
        """Figshare answers 403 both to a bad token and to missing permissions (observed): a request for the account
        distinguishes them.
        """
        if answer.status != 403 or answer.is_html:
            return answer.status == 401
        url = f"{endpoint}/account"
        own = await attempt(Request(method="GET", url=url, redacted_url=urlsplit(url).path), used)
        return own.status in (401, 403) and not own.is_html

    async def authorized_send(request: Request) -> Response:
        if isinstance(token, Token):
            return await attempt(request, token)
        used = await token.current(send)
        answer = await attempt(request, used)
        if await is_rejected(answer, used):
            answer = await attempt(request, await token.renewed(used, send))
        return answer

    return authorized_send


def announced(send: Send) -> Send:
    """Call `on_turn` directly before each request that is sent: after the rate limit and after a new token, which take
    time, and again before a request that is repeated with a new token.
    """

    async def announced_send(request: Request) -> Response:
        if request.on_turn is not None:
            await request.on_turn()
        return await send(request)

    return announced_send


class RateLimited:
    """Delay requests until the bucket allows them, and count them; at most `in_flight` at a time."""

    def __init__(self, send: Send, bucket: TokenBucket, in_flight: int) -> None:
        self._send = send
        self._bucket = bucket
        self._room = anyio.Semaphore(in_flight)
        self.requests = 0

    async def __call__(self, request: Request) -> Response:
        async with self._room:
            await self._bucket.acquire()
            self.requests += 1
            return await self._send(request)

    @property
    def idle(self) -> bool:
        """True if a request could be sent at once and none is waiting."""
        return self._bucket.idle and self._room.value > 0

    @property
    def rate(self) -> float | None:
        """Requests per second; None for no limit."""
        return self._bucket.rate

    @property
    def waiting(self) -> int:
        """Requests waiting to be sent."""
        return self._bucket.waiting + self._room.statistics().tasks_waiting


def limited(send: Send, in_flight: int) -> Send:
    """Limit the number of concurrent requests."""
    room = anyio.Semaphore(in_flight)

    async def limited_send(request: Request) -> Response:
        async with room:
            return await send(request)

    return limited_send


def traced(send: Send, clock: Clock) -> Send:
    """Log one DEBUG line per exchange: method, redacted address, outcome, seconds, attempt."""

    async def traced_send(request: Request) -> Response:
        started = clock.monotonic()
        outcome: object = "cancelled"
        try:
            answer = await send(request)
        except Exception as fault:
            outcome = fault
            raise
        else:
            outcome = answer.status
            return answer
        finally:
            seconds = clock.monotonic() - started
            log.debug(
                "%s %s: %s, %.3f s, attempt %d", request.method, request.redacted_url, outcome, seconds, request.attempt
            )

    return traced_send


class ServerClock:
    """The server's clock, from the Date headers of its responses; before the first, the local clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ahead = timedelta()

    def recording(self, send: Send) -> Send:
        async def recording_send(request: Request) -> Response:
            answer = await send(request)
            date = parse_http_date(answer.headers.get("Date"))
            if date is not None and date.year < MAXYEAR:  # arithmetic with a later time would overflow
                self._ahead = date - self._clock.now()
            return answer

        return recording_send

    def now(self) -> datetime:
        """Return the aware UTC time, accurate to about a second."""
        return self._clock.now() + self._ahead


class Retrier:
    """Send until there is a value, a permanent error, or the retry time is used up.

    `on_throttled` gets the seconds for which all requests should pause, and whether there should be fewer from then on:
    if the server asked for that, and is not only busy. `throttled` is the policy for requests that are blocked (see
    TransientFailure).
    """

    def __init__(
        self,
        send: Send,
        policy: RetryPolicy,
        clock: Clock,
        now: Callable[[], datetime],
        *,
        on_retry: Callable[[str, float], None] | None,
        on_throttled: Callable[[float, bool], None] | None = None,
        throttled: RetryPolicy = THROTTLED,
    ) -> None:
        self._send = send
        self._policy = policy
        self._clock = clock
        self._now = now
        self._on_retry = on_retry
        self._on_throttled = on_throttled
        self._throttled = throttled
        self.answered = -math.inf
        """When a call last succeeded (monotonic seconds)."""

    async def call(
        self, request: Request, reader: ResponseSpec[T], peer: Callable[[], Peer], *, creating: bool = False
    ) -> T:
        """Return the value. Raises AmbiguousAnswer for a creating request that may have had its effect."""
        backoff = Backoff(self._policy, self._clock.random)
        patience = Backoff(self._throttled, self._clock.random)
        while True:
            outcome = await self._once(request, reader, peer(), creating=creating)
            if not isinstance(outcome, TransientFailure):
                self.answered = self._clock.monotonic()
                return outcome
            if creating and not outcome.no_effect:
                raise AmbiguousAnswer(outcome.reason)
            if outcome.stale and not request.fresh:
                log.info("%s; trying a new connection", outcome.reason)
                request = dataclasses.replace(request, attempt=request.attempt + 1, fresh=True)
                continue
            waits = patience if outcome.blocked else backoff
            delay = waits.next_delay(outcome.retry_after, self._clock.monotonic())
            if delay is None:
                kind = Unreachable if outcome.network else Throttled if outcome.blocked else ServerFailing
                raise kind(
                    f"{outcome.reason} (given up after {request.attempt} attempts)",
                    isolated=waits.since is not None and self.answered > waits.since,
                )
            if outcome.throttled and self._on_throttled is not None:
                self._on_throttled(delay, outcome.no_effect)
            await self.wait(outcome.reason, delay)
            request = dataclasses.replace(request, attempt=request.attempt + 1, fresh=outcome.network)

    async def wait(self, reason: str, delay: float) -> None:
        """Report the reason and the delay (seconds), then wait."""
        log.info("%s; next attempt in %.1f s", reason, delay)
        if self._on_retry is not None:
            self._on_retry(reason, delay)
        await self._clock.sleep(delay)

    async def _once(
        self, request: Request, reader: ResponseSpec[T], peer: Peer, *, creating: bool
    ) -> T | TransientFailure:
        try:
            answer = await self._send(request)
        except ExchangeFailed as failure:
            return no_response(failure, peer, creating=creating)
        return classify(answer, reader, peer, request.url, self._now())
