"""Answers of the statistics service that are kept for the next run of a command."""

from __future__ import annotations

from datetime import date

from uploader.catalog.kept import Kept
from uploader.catalog.statistics.counting import CountingService
from uploader.figshare.statistics_api import Counter, Granularity, Places, StatsKind


class KeptAnswers:
    """A source that answers from the cache, and asks `source` for the rest."""

    def __init__(self, source: CountingService, kept: Kept) -> None:
        self._source, self._kept = source, kept

    async def total(self, counter: Counter, kind: StatsKind, number: int, scope: str | None = None) -> int:
        return await self._kept.get(self._source.total, counter, kind, number, scope)

    async def totals(self, kind: StatsKind, number: int, scope: str | None = None) -> dict[str, int] | None:
        return await self._kept.get(self._source.totals, kind, number, scope)

    async def timeline(
        self, granularity: Granularity, counter: Counter, kind: StatsKind, number: int, first: date, last: date,
        scope: str | None = None,
    ) -> dict[str, int]:  # fmt: skip
        return await self._kept.get(self._source.timeline, granularity, counter, kind, number, first, last, scope)

    async def places(
        self, granularity: Granularity, counter: Counter, kind: StatsKind, number: int, first: date, last: date,
        scope: str | None = None,
    ) -> dict[str, Places]:  # fmt: skip
        return await self._kept.get(self._source.places, granularity, counter, kind, number, first, last, scope)
