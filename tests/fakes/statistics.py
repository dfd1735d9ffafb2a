"""A statistics service in memory."""

from __future__ import annotations

from datetime import date, timedelta

from uploader.figshare.statistics_api import Counter, EventQuery, Granularity, Places, StatsKind

LIMITS: dict[Granularity, int] = {"day": 366, "month": 2 * 366, "year": 5 * 366, "total": 366}
LENGTHS: dict[Granularity, int] = {"day": 10, "month": 7, "year": 4, "total": 0}


class Service:
    """A statistics service with one event a day of each counter since 2020; it cuts periods silently.

    `combined` and `single` are its totals. If they are set, `broken` is raised, and `whole` is every timeline. `scopes`
    are those that were asked for.
    """

    def __init__(self, combined: dict[str, int] | None, single: dict[str, int]) -> None:
        self.combined, self.single = combined, single
        self.requests: list[str] = []
        self.scopes: set[str | None] = set()
        self.broken: Exception | None = None
        self.whole: dict[str, int] | None = None

    def _ask(self, request: str, scope: str | None) -> None:
        self.requests.append(request)
        self.scopes.add(scope)
        if self.broken is not None:
            raise self.broken

    async def total(self, counter: Counter, kind: StatsKind, number: int, scope: str | None = None) -> int:
        self._ask(counter, scope)
        return self.single[counter]

    async def totals(self, kind: StatsKind, number: int, scope: str | None = None) -> dict[str, int] | None:
        self._ask("all", scope)
        return self.combined

    async def timeline(self, query: EventQuery) -> dict[str, int]:
        self._ask(f"{query.first}..{query.last}", query.scope)
        if self.whole is not None:
            return self.whole
        sums: dict[str, int] = {}
        for place in range(min((query.last - query.first).days + 1, LIMITS[query.granularity])):
            if (day := query.first + timedelta(days=place)) >= date(2020, 1, 1):
                name = day.isoformat()[: LENGTHS[query.granularity]] or "total"
                sums[name] = sums.get(name, 0) + 1
        return sums

    async def places(self, query: EventQuery) -> dict[str, Places]:
        self._ask(f"{query.first}..{query.last}", query.scope)
        return {"total": {"Norway": {"Unknown": 1, "Unkown": 2, "Oslo": 5, "total": 9}, "Unkown": {"total": 4}}}
