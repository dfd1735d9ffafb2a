"""Answers of the statistics service that are kept for the next run of a command."""

from __future__ import annotations

from uploader.catalog.kept import ResponseCache
from uploader.catalog.statistics.counting import CountingService
from uploader.figshare.statistics_api import Counter, EventQuery, Places, StatsKind


class CachedService:
    """A source that answers from the cache, and asks `source` for the rest."""

    def __init__(self, source: CountingService, kept: ResponseCache) -> None:
        self._source, self._kept = source, kept

    async def total(self, counter: Counter, kind: StatsKind, number: int, scope: str | None = None) -> int:
        return await self._kept.get(self._source.total, counter, kind, number, scope)

    async def totals(self, kind: StatsKind, number: int, scope: str | None = None) -> dict[str, int] | None:
        return await self._kept.get(self._source.totals, kind, number, scope)

    async def timeline(self, query: EventQuery) -> dict[str, int]:
        return await self._kept.get(self._source.timeline, query)

    async def places(self, query: EventQuery) -> dict[str, Places]:
        return await self._kept.get(self._source.places, query)
