"""The statistics for programs: a session with the service, opened at the first request."""

from __future__ import annotations

import dataclasses
import os
from datetime import UTC, date, datetime
from typing import TypeAlias, get_args

from uploader.catalog.statistics import logins
from uploader.catalog.statistics.counting import Counting, Country, Totals
from uploader.catalog.statistics.periods import EARLIEST, Period
from uploader.concurrency import in_thread
from uploader.errors import Facts, UsageError
from uploader.figshare import urls
from uploader.figshare.auth import default_config_dir
from uploader.figshare.ids import parse_portal
from uploader.figshare.settings import Settings
from uploader.figshare.statistics_api import COUNTERS, PUBLIC_ENDPOINT, Counter, Granularity, StatisticsApi, StatsKind
from uploader.transfer.arguments import as_day, check_choice, check_number, wrong_type

VARIABLE = "FIGSHARE_STATS_ENDPOINT"
Day: TypeAlias = date | str | None


def endpoint_for(api_endpoint: str, given: str | None, *, insecure_http: bool = False) -> str:
    """Return the address of the statistics service that belongs to an API.

    Raises UsageError if it is not given and the API is not Figshare's own, and for an invalid one.
    """
    if given is None and api_endpoint != urls.PUBLIC_ENDPOINT:
        raise UsageError(f"no statistics service is known for {api_endpoint}", facts=Facts("no-statistics-endpoint"))
    return urls.check_endpoint(PUBLIC_ENDPOINT if given is None else given, insecure_http=insecure_http)


class Statistics:
    """Numbers of records, everywhere or in an institution's portal, while its client is open. Days are dates or strings
    such as 2024-05-17.

    Any request may raise PermissionDenied, NameNotFound (unknown institution), RequestRejected, TypeError, UsageError,
    and what all requests raise.
    """

    def __init__(self, api_endpoint: str, settings: Settings, scope: str | None = None) -> None:
        self._api_endpoint = api_endpoint
        self._settings = dataclasses.replace(settings, impersonate=None)
        self._scope = scope
        self._open: tuple[StatisticsApi, Counting] | None = None
        self._closed = False
        self._portals: dict[str, Statistics] = {}

    def portal(self, institution: str) -> Statistics:
        """Return the numbers of an institution's portal, by its word, as X in X.figshare.com."""
        if not isinstance(institution, str):
            raise wrong_type("institution", institution, "its word (str), as X in X.figshare.com")
        try:
            scope = parse_portal(institution)
        except ValueError as error:
            raise UsageError(str(error)) from None
        if scope not in self._portals:
            self._portals[scope] = Statistics(self._api_endpoint, self._settings, scope)
        return self._portals[scope]

    async def close(self) -> None:
        self._closed = True
        for portal in self._portals.values():
            await portal.close()
        if self._open is not None:
            await self._open[0].close()
            self._open = None

    async def totals(self, number: int, kind: StatsKind = "article", *, since: Day = None, until: Day = None) -> Totals:
        """Return the events of a record, of all time or from `since` to `until`, both included."""
        _check_record(number, kind)
        period = _period_or_all(since, until)
        return await (await self.open())[1].totals(kind, number, period)

    async def timeline(
        self, number: int, kind: StatsKind = "article", *, counter: Counter = "views", by: Granularity = "month",
        since: Day = None, until: Day = None,
    ) -> dict[str, int]:  # fmt: skip
        """Return the events by day, month or year, in order; without entries for none."""
        _check_record(number, kind)
        check_choice("counter", counter, COUNTERS)
        check_choice("by", by, get_args(Granularity))
        period = _period(since, until)
        return await (await self.open())[1].timeline(counter, kind, number, period, by)

    async def places(
        self, number: int, kind: StatsKind = "article", *, counter: Counter = "views", since: Day = None,
        until: Day = None,
    ) -> list[Country]:  # fmt: skip
        """Return the events by country, the most first."""
        _check_record(number, kind)
        check_choice("counter", counter, COUNTERS)
        period = _period(since, until)
        return await (await self.open())[1].places(counter, kind, number, period)

    async def top(
        self, kind: StatsKind = "article", *, counter: Counter = "views", count: int = 10, group: int | None = None,
        since: Day = None, until: Day = None,
    ) -> list[tuple[int, int]]:  # fmt: skip
        """Return the ids with the most events, and how many, greatest first."""
        check_choice("kind", kind, get_args(StatsKind))
        check_choice("counter", counter, COUNTERS)
        check_number("count", count, "a number of records", optional=False)
        check_number("group", group, "the id of a group")
        period = _period_or_all(since, until)
        api, _ = await self.open()
        dates = None if period is None else (period.first, period.last)
        return await api.top(counter, kind, count, period=dates, group=group, scope=self._scope)

    async def count(self, *groups: int) -> dict[int, int]:
        """Return the number of public items in each group."""
        for group in groups:
            check_number("group", group, "the id of a group", optional=False)
        return await (await self.open())[0].count(groups, self._scope)

    async def open(self) -> tuple[StatisticsApi, Counting]:
        """Return the session with the service, and what counts with it; opened once. Raises UsageError."""
        if self._open is None:
            endpoint = endpoint_for(
                self._api_endpoint, os.environ.get(VARIABLE) or None, insecure_http=self._settings.insecure_http
            )
            found = await in_thread(
                lambda: logins.find(endpoint, self._scope, environ=os.environ, config_dir=default_config_dir())
            )
            if self._closed:
                raise RuntimeError("the statistics of a Client must be used inside `async with`")
            if self._open is None:  # another call may have opened it meanwhile
                api = StatisticsApi(endpoint, self._settings, found)
                self._open = api, Counting(api, self._scope)
        return self._open


def _check_record(number: object, kind: object) -> None:
    check_number("number", number, "the id of a record", optional=False)
    check_choice("kind", kind, get_args(StatsKind))


def _period_or_all(since: Day, until: Day) -> Period | None:
    return None if since is None and until is None else _period(since, until)


def _period(since: Day, until: Day) -> Period:
    return Period(as_day("since", since) or EARLIEST, as_day("until", until) or datetime.now(UTC).date())
