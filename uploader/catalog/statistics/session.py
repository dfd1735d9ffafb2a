"""The statistics for programs: a session with the service, opened at the first request."""

from __future__ import annotations

import dataclasses
import os
from datetime import UTC, date, datetime
from typing import get_args

from uploader.catalog.statistics import logins
from uploader.catalog.statistics.counting import Counting, Country, Totals
from uploader.catalog.statistics.periods import EARLIEST, Period
from uploader.concurrency import in_thread
from uploader.errors import Facts, UsageError
from uploader.figshare import urls
from uploader.figshare.auth import default_config_dir
from uploader.figshare.settings import Settings
from uploader.figshare.statistics_api import PUBLIC_ENDPOINT, Counter, Granularity, StatisticsApi, StatsKind
from uploader.transfer.arguments import check_choice

VARIABLE = "FIGSHARE_STATS_ENDPOINT"


def endpoint_for(api_endpoint: str, given: str | None, *, insecure_http: bool = False) -> str:
    """Return the address of the statistics service that belongs to an API.

    Raises UsageError if it is not given, and the API is not Figshare's own.
    """
    if given is None and api_endpoint != urls.PUBLIC_ENDPOINT:
        raise UsageError(f"no statistics service is known for {api_endpoint}", facts=Facts("no-statistics-endpoint"))
    return urls.check_endpoint(given or PUBLIC_ENDPOINT, insecure_http=insecure_http)


class Statistics:
    """Numbers of records, everywhere or in an institution's portal. Any request may raise PermissionDenied,
    NameNotFound (unknown institution), RequestRejected, and what all requests raise.
    """

    def __init__(self, api_endpoint: str, settings: Settings, scope: str | None = None) -> None:
        self._api_endpoint = api_endpoint
        self._settings = dataclasses.replace(settings, impersonate=None)
        self._scope = scope
        self._open: StatisticsApi | None = None
        self._counting: Counting | None = None
        self._portals: dict[str, Statistics] = {}

    def portal(self, institution: str) -> Statistics:
        """Return the numbers of an institution's portal, by its word, as X in X.figshare.com."""
        if institution not in self._portals:
            self._portals[institution] = Statistics(self._api_endpoint, self._settings, institution)
        return self._portals[institution]

    async def close(self) -> None:
        for portal in self._portals.values():
            await portal.close()
        if self._open is not None:
            await self._open.close()
            self._open = self._counting = None

    async def totals(
        self, number: int, kind: StatsKind = "article", *, since: date | None = None, until: date | None = None
    ) -> Totals:
        """Return the events of a record, of all time or from `since` to `until`, both included."""
        period = _period(since, until) if since or until else None
        return await (await self.open())[1].totals(kind, number, period)

    async def timeline(
        self, number: int, kind: StatsKind = "article", *, counter: Counter = "views", by: Granularity = "month",
        since: date | None = None, until: date | None = None,
    ) -> dict[str, int]:  # fmt: skip
        """Return the events by day, month or year, in order; without entries for none."""
        check_choice("by", by, get_args(Granularity))
        return await (await self.open())[1].timeline(counter, kind, number, _period(since, until), by)

    async def places(
        self, number: int, kind: StatsKind = "article", *, counter: Counter = "views", since: date | None = None,
        until: date | None = None,
    ) -> list[Country]:  # fmt: skip
        """Return the events by country, the most first."""
        return await (await self.open())[1].places(counter, kind, number, _period(since, until))

    async def top(
        self, kind: StatsKind = "article", *, counter: Counter = "views", count: int = 10, group: int | None = None,
        since: date | None = None, until: date | None = None,
    ) -> list[tuple[int, int]]:  # fmt: skip
        """Return the ids with the most events, and how many, greatest first."""
        api, _ = await self.open()
        period = _period(since, until) if since or until else None
        dates = None if period is None else (period.first, period.last)
        return await api.top(counter, kind, count, period=dates, group=group, scope=self._scope)

    async def count(self, *groups: int) -> dict[int, int]:
        """Return the number of public items in each group."""
        return await (await self.open())[0].count(groups, self._scope)

    async def open(self) -> tuple[StatisticsApi, Counting]:
        """Return the session with the service, and what counts with it; opened once. Raises UsageError."""
        if self._open is None or self._counting is None:
            endpoint = endpoint_for(
                self._api_endpoint, os.environ.get(VARIABLE), insecure_http=self._settings.insecure_http
            )
            found = await in_thread(
                lambda: logins.find(endpoint, self._scope, environ=os.environ, config_dir=default_config_dir())
            )
            self._open = StatisticsApi(endpoint, self._settings, found)
            self._counting = Counting(self._open, self._scope)
        return self._open, self._counting


def _period(since: date | None, until: date | None) -> Period:
    return Period(since or EARLIEST, until or datetime.now(UTC).date())
