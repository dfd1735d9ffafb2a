"""Read the statistics service for a report: numbers of each record, and countries of its views."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from uploader.catalog.report.parts import Part, PartToRead
from uploader.catalog.report.values import Raw
from uploader.catalog.statistics.counting import Counting, CountingService
from uploader.catalog.statistics.periods import Period
from uploader.figshare.records import RowKind
from uploader.figshare.statistics_api import COUNTERS, Counter, EventQuery, Places, StatsKind

_COUNTED: Final[Mapping[RowKind, StatsKind]] = {"item": "article", "collection": "collection", "project": "project"}


@dataclass(frozen=True, kw_only=True)
class EventSelection:
    """Which events are counted: in an institution's portal (None: everywhere), in a period (None: of all time)."""

    scope: str | None = None
    period: Period | None = None

    @property
    def since(self) -> str | None:
        """The first day, None for all time."""
        return None if self.period is None else str(self.period.first)

    def __str__(self) -> str:
        place = "everywhere" if self.scope is None else f"in the portal of {self.scope}"
        # Not to which day: that is the day of reading, and a report may be continued on another one.
        return f"{place}, " + ("of all time" if self.since is None else f"since {self.since}")

    @property
    def mark(self) -> str:
        """The key of these numbers in the catalog, distinct from other numbers of the same record."""
        return f"{self.scope or 'everywhere'} since {self.since or 'ever'}"

    def requests(self, part: Part) -> int:
        """Return how many requests the numbers or places of a record cost; of all time more may be needed."""
        if self.period is None:
            return 1
        months, years = (len(list(self.period.slices(one))) for one in ("month", "total"))
        return len(COUNTERS) * months if part == "numbers" else years


class NumbersReader:
    """Reads the numbers of records. `begin` is called before each request, and may raise."""

    def __init__(self, source: CountingService, asked: EventSelection, begin: Callable[[], None]) -> None:
        self._period = asked.period
        self._since = asked.since
        self._counting = Counting(_CountedRequests(source, begin), asked.scope)

    async def numbers(self, wanted: PartToRead) -> Raw:
        """Return the events by counter; those of a period with its first day, and also by month."""
        kind, number = _COUNTED[wanted.kind], wanted.id
        if self._period is None:
            totals: Raw = msgspec.to_builtins(await self._counting.totals(kind, number))
            return totals
        months: dict[str, dict[str, int]] = {}
        for counter in COUNTERS:
            found = await self._counting.timeline(counter, kind, number, self._period, "month")
            for month, events in found.items():
                months.setdefault(month, dict.fromkeys(COUNTERS, 0))[counter] = events
        sums: dict[str, int] = {counter: sum(one[counter] for one in months.values()) for counter in COUNTERS}
        return {**sums, "since": self._since, "months": {name: months[name] for name in sorted(months)}}

    async def places(self, wanted: PartToRead) -> Raw:
        """Return the views of the period by country, under "countries"."""
        if self._period is None:
            return {"countries": {}}
        found = await self._counting.places("views", _COUNTED[wanted.kind], wanted.id, self._period)
        return {"countries": {one.name: one.total for one in found if one.total}}


class _CountedRequests:
    """Requests to the statistics service; `begin` is called before each."""

    def __init__(self, source: CountingService, begin: Callable[[], None]) -> None:
        self._source, self._begin = source, begin

    async def total(self, counter: Counter, kind: StatsKind, number: int, scope: str | None = None) -> int:
        self._begin()
        return await self._source.total(counter, kind, number, scope)

    async def totals(self, kind: StatsKind, number: int, scope: str | None = None) -> dict[str, int] | None:
        self._begin()
        return await self._source.totals(kind, number, scope)

    async def timeline(self, query: EventQuery) -> dict[str, int]:
        self._begin()
        return await self._source.timeline(query)

    async def places(self, query: EventQuery) -> dict[str, Places]:
        self._begin()
        return await self._source.places(query)
