"""Questions to the statistics service about one record, in as many requests as its limits need."""

from __future__ import annotations

from collections import Counter as Sum
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import anyio

from uploader.catalog.statistics.periods import Period
from uploader.figshare.statistics_api import COUNTERS, Counter, EventQuery, Granularity, Places, StatsKind

_WHILE_ASKED: Final = 5
"""Events that may happen between two requests about the same record."""
_ALL: Final = ("views", "downloads", "shares", "cites")
_UNKNOWN: Final = frozenset({"Unkown", "Unknown", ""})
"""Names of unknown places; the service spells them in both ways (observed)."""


class TotalsService(Protocol):
    """The requests about all time; `uploader.figshare.statistics_api.StatisticsApi` has them."""

    async def total(self, counter: Counter, kind: StatsKind, number: int, scope: str | None = None) -> int: ...

    async def totals(self, kind: StatsKind, number: int, scope: str | None = None) -> dict[str, int] | None: ...


class CountingService(TotalsService, Protocol):
    """All requests needed."""

    async def timeline(self, query: EventQuery) -> dict[str, int]: ...

    async def places(self, query: EventQuery) -> dict[str, Places]: ...


@dataclass(frozen=True, kw_only=True)
class Totals:
    """Events of a record. None: not counted; citations are only known for all time, and not by every service."""

    views: int | None = None
    downloads: int | None = None
    shares: int | None = None
    cites: int | None = None


@dataclass(frozen=True, kw_only=True)
class Country:
    """Events from a country, and from its cities: at most ten of them, so that they may be fewer."""

    name: str
    total: int
    cities: dict[str, int] = field(default_factory=dict)


class AllTime:
    """Counts the events of all time in one scope: an institution's, or (None) everywhere."""

    def __init__(self, source: TotalsService, scope: str | None = None) -> None:
        self._source = source
        self._scope = scope
        self._combined: dict[StatsKind, bool] = {}
        """Whether the single request for all counters is reliable, by kind, once it was tried."""
        self._trying = anyio.Lock()

    async def totals(self, kind: StatsKind, number: int) -> Totals:
        """Return the events of a record.

        One request gives all counters where its first answer with events agrees with the documented requests; else
        there is one request for each counter.
        """
        if kind in self._combined:
            return await self._totals(kind, number)
        async with self._trying:
            return await self._totals(kind, number)

    async def _totals(self, kind: StatsKind, number: int) -> Totals:
        found = None
        if self._combined.get(kind, True):
            found = await self._source.totals(kind, number, self._scope)
            if found is None:
                self._combined[kind] = False
            elif self._combined.get(kind):
                return Totals(**{name: found.get(name) for name in _ALL})
        single = {name: await self._source.total(name, kind, number, self._scope) for name in COUNTERS}
        if found is None:
            return Totals(**single)
        agree = all(0 <= events - found.get(name, 0) <= _WHILE_ASKED for name, events in single.items())
        if any(single.values()):
            self._combined[kind] = agree
        return Totals(**single, cites=found.get("cites") if agree else None)


class Counting:
    """Counts events in one scope: an institution's, or (None) everywhere."""

    def __init__(self, source: CountingService, scope: str | None = None) -> None:
        self._source = source
        self._scope = scope
        self._all_time = AllTime(source, scope)

    async def totals(self, kind: StatsKind, number: int, period: Period | None = None) -> Totals:
        """Return the events of a record, in a period or (None) of all time."""
        if period is None:
            return await self._all_time.totals(kind, number)
        return Totals(**{name: await self._sum(name, kind, number, period) for name in COUNTERS})

    async def timeline(
        self, counter: Counter, kind: StatsKind, number: int, period: Period, granularity: Granularity
    ) -> dict[str, int]:
        """Return the events by day, month or year, in order; without entries for none."""
        sums: Sum[str] = Sum()
        for part in period.slices(granularity):
            found = await self._source.timeline(self._query(granularity, counter, kind, number, part))
            sums.update(part.within(found, granularity))
        return {name: sums[name] for name in sorted(sums) if sums[name]}

    async def places(self, counter: Counter, kind: StatsKind, number: int, period: Period) -> list[Country]:
        """Return the events by country, the most first."""
        countries: dict[str, Sum[str]] = {}
        for part in period.slices("total"):
            found = await self._source.places(self._query("total", counter, kind, number, part))
            for places in found.values():
                add_places(countries, places)
        return ranked(countries)

    def _query(
        self, granularity: Granularity, counter: Counter, kind: StatsKind, number: int, period: Period
    ) -> EventQuery:
        return EventQuery(
            granularity=granularity, counter=counter, kind=kind, number=number, first=period.first, last=period.last,
            scope=self._scope,
        )  # fmt: skip

    async def _sum(self, counter: Counter, kind: StatsKind, number: int, period: Period) -> int:
        return sum((await self.timeline(counter, kind, number, period, "year")).values())


def add_places(countries: dict[str, Sum[str]], places: Places) -> None:
    """Add events by country and city to sums; places of unknown name are one."""
    for country, cities in places.items():
        sums = countries.setdefault("Unknown" if country in _UNKNOWN else country, Sum())
        for city, events in cities.items():
            sums["Unknown" if city in _UNKNOWN else city] += events


def ranked(countries: dict[str, Sum[str]]) -> list[Country]:
    """Return the countries, and the cities of each, the most events first."""
    found = []
    for name, sums in countries.items():
        cities = {city: events for city, events in _descending(sums) if city != "total" and events}
        total = sums["total"] if "total" in sums else sum(cities.values())
        found.append(Country(name=name, total=total, cities=cities))
    return sorted(found, key=lambda one: (-one.total, one.name))


def _descending(sums: Sum[str]) -> Sequence[tuple[str, int]]:
    return sorted(sums.items(), key=lambda pair: (-pair[1], pair[0]))
