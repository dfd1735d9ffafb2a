"""Requests to the statistics service, a separate host with its own budget and credentials.

Source: docs.figshare.com, "Stats"; where clients observed otherwise, the method says so. The API's token is never sent
here. An unknown id has no events: it is not an error.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any, Final, Literal, NoReturn, TypeVar, get_args
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from uploader.clock import Clock
from uploader.errors import Facts, NameNotFound, NotFigshare, PermissionDenied, ProtocolViolation, RequestRejected
from uploader.figshare.auth import Token
from uploader.figshare.decode import parse_json
from uploader.figshare.middleware import RateLimited, Retrier, ServerClock, traced
from uploader.figshare.network import Network
from uploader.figshare.ratelimit import TokenBucket
from uploader.figshare.responses import Peer, ResponseSpec
from uploader.figshare.settings import Settings
from uploader.figshare.transport import Request, Response, exchange_on
from uploader.figshare.urls import host_of, is_on_this_host
from uploader.redaction import add_secret
from uploader.text import printable

PUBLIC_ENDPOINT: Final = "https://stats.figshare.com"
Counter = Literal["views", "downloads", "shares"]
StatsKind = Literal["article", "collection", "project", "author", "group"]
Granularity = Literal["day", "month", "year", "total"]
COUNTERS: Final[tuple[Counter, ...]] = get_args(Counter)

Places = dict[str, dict[str, int]]
"""Events by country and city; a country's own sum is under "total"."""
_BURST, _IN_FLIGHT = 5, 4
"""Requests that may be saved up, and maximum number of concurrent ones."""

T = TypeVar("T")


class EventQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A question for the events of a record from `first` to `last`, both included.

    `scope`: those of an institution's portal; None: everywhere.
    """

    granularity: Granularity
    counter: Counter
    kind: StatsKind
    number: int
    first: date
    last: date
    scope: str | None = None

    def __str__(self) -> str:
        """Return its values in one line, by which caches know it."""
        return " ".join(map(str, msgspec.structs.astuple(self)))


def credential(user: str, password: str) -> Token:
    """Return name and password as they are sent (Basic), as a secret."""
    add_secret(password)
    return Token(base64.b64encode(f"{user}:{password}".encode()).decode(), origin="the password")


class StatisticsApi:
    """One session with a statistics service. `credentials` are by institution (its string id).

    Every request may raise PermissionDenied (no or wrong credentials), NameNotFound (unknown institution),
    RequestRejected, and what all requests raise.
    """

    def __init__(
        self,
        endpoint: str,
        settings: Settings,
        credentials: Mapping[str, Token],
        *,
        clock: Clock | None = None,
        on_retry: Callable[[str, float], None] | None = None,
    ) -> None:
        clock = clock or Clock()
        self.endpoint = endpoint
        self._credentials = dict(credentials)
        self._identified = False
        self._network = Network(settings)
        # A sandbox asks for no restraint.
        rate = None if is_on_this_host(endpoint) else settings.api_rate
        self.request_rate = rate
        """Requests a second that the budget allows; None for no limit."""
        self.request_burst = _BURST
        """Requests that it allows at once, before its rate applies."""
        bucket = TokenBucket(rate, _BURST, clock)
        times = {"connect_timeout": settings.connect_timeout, "answer_timeout": settings.answer_timeout}
        server_clock = ServerClock(clock)
        send = server_clock.recording(traced(exchange_on(self._network, self._network.api, **times), clock))
        self._budget = RateLimited(send, bucket, _IN_FLIGHT)
        self._retrier = Retrier(
            self._budget, settings.retry, clock, server_clock.now, on_retry=on_retry, on_throttled=bucket.throttle,
            throttled=settings.throttled,
        )  # fmt: skip

    @property
    def requests(self) -> int:
        """Requests so far."""
        return self._budget.requests

    async def close(self) -> None:
        await self._network.close()

    async def total(self, counter: Counter, kind: StatsKind, number: int, scope: str | None = None) -> int:
        """Return all events of one counter."""
        return await self._of_record(kind, number, f"total/{counter}", {}, "totals", _count, scope)

    async def totals(self, kind: StatsKind, number: int, scope: str | None = None) -> dict[str, int] | None:
        """Return the events of all counters, citations included; None if the service does not offer this.

        Undocumented, and used by several programs for articles.
        """
        try:
            return await self._ask(f"/total/{kind}/{number}", scope, {}, _counts, f"{kind} {number}")
        except NameNotFound:
            return None  # an institution that is unknown is so to the documented requests, too
        except RequestRejected as refusal:
            if refusal.status in (400, 404):
                return None
            raise

    async def timeline(self, query: EventQuery) -> dict[str, int]:
        """Return the events by day ("2024-02-01"), month, year, or under "total"; without entries for none."""
        return await self._events(query, "timeline", _counts)

    async def places(self, query: EventQuery) -> dict[str, Places]:
        """Return the events by period, then by country and city. Cities are at most ten a country (documented)."""
        return await self._events(query, "breakdown", _places)

    async def top(
        self, counter: Counter, kind: StatsKind, count: int, *, period: tuple[date, date] | None = None,
        group: int | None = None, scope: str | None = None,
    ) -> list[tuple[int, int]]:  # fmt: skip
        """Return the ids with the most events, and how many, greatest first. `period` None: of all time."""
        query = {"count": str(count), **({} if period is None else _dates(*period))}
        if group is not None:
            query["item_id"] = str(group)

        def parse(value: Any) -> list[tuple[int, int]]:
            # Some answers lack the wrapper (documented examples); the object is unordered.
            counts = _counts(value["top"] if isinstance(value, Mapping) and "top" in value else value)
            if not all(name.isascii() and name.isdigit() for name in counts):
                raise _unexpected()
            return sorted(((int(name), events) for name, events in counts.items()), key=lambda one: (-one[1], one[0]))

        return await self._ask(f"/top/{counter}/{kind}", scope, query, parse, f"the top {kind}s")

    async def count(self, groups: Sequence[int], scope: str | None = None) -> dict[int, int]:
        """Return the number of public items in each group."""
        body = msgspec.json.encode({"groups": [{"id": one} for one in groups]})

        def parse(value: Any) -> dict[int, int]:
            counts = _counts(value)
            return {one: counts.get(str(one), 0) for one in groups}

        return await self._ask("/count/articles", scope, {}, parse, "the groups", body=body)

    async def _events(self, query: EventQuery, field: str, read: Callable[[Any], T]) -> T:
        asked, dates = f"{field}/{query.granularity}/{query.counter}", _dates(query.first, query.last)
        return await self._of_record(query.kind, query.number, asked, dates, field, read, query.scope)

    async def _of_record(
        self,
        kind: StatsKind,
        number: int,
        asked: str,
        query: Mapping[str, str],
        field: str,
        read: Callable[[Any], T],
        scope: str | None,
    ) -> T:
        """Return a field of the answer about one record, parsed by `read`."""
        path, what = f"/{asked}/{kind}/{number}", f"{kind} {number}"
        return await self._ask(path, scope, query, lambda value: read(_field(value, field)), what)

    async def _ask(
        self,
        path: str,
        scope: str | None,
        query: Mapping[str, str],
        parse: Callable[[Any], T],
        what: str,
        body: bytes | None = None,
    ) -> T:
        """Send a request, by POST if it has a body, and return its value."""
        if scope is not None:
            path = f"/{quote(scope, safe='')}{path}"
        path += f"?{urlencode(query)}" if query else ""
        headers = {"Content-Type": "application/json"} if body is not None else {}
        login = None if scope is None else self._credentials.get(scope)
        if login is not None:
            headers["Authorization"] = f"Basic {login.reveal()}"

        def read(answer: Response) -> T:
            value = parse_json(answer.body)
            try:
                return parse(value)
            except (TypeError, ValueError):
                raise _unexpected(what) from None

        spec = ResponseSpec(resource=f"the statistics of {what}", parse=read, public=True, on_not_found=_unknown(scope))
        request = Request(
            method="GET" if body is None else "POST",
            url=self.endpoint + path,
            redacted_url=urlsplit(self.endpoint).path + path,
            body=body,
            headers=headers,
        )
        try:
            value = await self._retrier.call(request, spec, self._peer)
        except RequestRejected as refusal:
            if refusal.status in (401, 403) and scope is not None:
                raise _needs_login(scope, given=login is not None) from None
            raise
        except NotFigshare as fault:
            raise NotFigshare(
                f"not a response of a statistics service: {fault.message}",
                hint="Check the address of the statistics service.",
                facts=Facts("not-statistics"),
            ) from None
        self._identified = True
        return value

    def _peer(self) -> Peer:
        host = host_of(self.endpoint)
        return Peer(host=host, name="Figshare's statistics service", is_api=False, identified=self._identified)


def _needs_login(scope: str, *, given: bool) -> PermissionDenied:
    shown = printable(scope)
    if given:
        text = f"the statistics service does not accept the name and password for {shown!r}"
    else:
        text = f"the statistics of {shown!r} need a name and a password"
    return PermissionDenied(
        text, hint="Figshare's support gives them to institutions.", facts=Facts("statistics-login")
    )


def _unknown(scope: str | None) -> Callable[[], NoReturn]:
    def missing() -> NoReturn:
        if scope is None:
            raise RequestRejected("the statistics service does not know this request", status=404)
        raise NameNotFound(
            f"the statistics service does not know the institution {printable(scope)!r}",
            hint="It is the first word of the address, as X in X.figshare.com, or a word that support knows.",
            facts=Facts("unknown-scope"),
        )

    return missing


def _dates(first: date, last: date) -> dict[str, str]:
    """Return both dates: without them the service takes this month."""
    return {"start_date": first.isoformat(), "end_date": last.isoformat()}


def _field(value: Any, name: str) -> Any:
    """Return a field of an answer; an empty object has no events, as null (observed of timelines)."""
    if value == {}:
        return None
    if not isinstance(value, Mapping) or name not in value:
        raise ValueError(name)
    return value[name]


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        raise ValueError("not a count")
    return value


def _entries(value: Any) -> list[tuple[str, Any]]:
    """Return the names and values of an object; null has none (observed of timelines)."""
    if value is None:
        return []
    if not isinstance(value, Mapping):
        raise TypeError("not an object")
    return [(str(name), inner) for name, inner in value.items()]


def _counts(value: Any) -> dict[str, int]:
    return {name: _count(events) for name, events in _entries(value) if events is not None}


def _places(value: Any) -> dict[str, Places]:
    return {
        period: {country: _counts(cities) for country, cities in _entries(countries)}
        for period, countries in _entries(value)
        if countries is not None
    }


def _unexpected(what: str = "") -> ProtocolViolation:
    return ProtocolViolation(f"unexpected response from the statistics service{f' for {what}' if what else ''}")
