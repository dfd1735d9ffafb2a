"""A statistics service in memory."""

from __future__ import annotations

from datetime import date, timedelta

from uploader.figshare.statistics_api import Counter, Granularity, Places, StatsKind

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

    async def timeline(
        self, granularity: Granularity, counter: Counter, kind: StatsKind, number: int, first: date, last: date,
        scope: str | None = None,
    ) -> dict[str, int]:  # fmt: skip
        self._ask(f"{first}..{last}", scope)
        if self.whole is not None:
            return self.whole
        sums: dict[str, int] = {}
        for place in range(min((last - first).days + 1, LIMITS[granularity])):
            if (day := first + timedelta(days=place)) >= date(2020, 1, 1):
                name = day.isoformat()[: LENGTHS[granularity]] or "total"
                sums[name] = sums.get(name, 0) + 1
        return sums

    async def places(
        self, granularity: Granularity, counter: Counter, kind: StatsKind, number: int, first: date, last: date,
        scope: str | None = None,
    ) -> dict[str, Places]:  # fmt: skip
        self._ask(f"{first}..{last}", scope)
        return {"total": {"Norway": {"Unknown": 1, "Unkown": 2, "Oslo": 5, "total": 9}, "Unkown": {"total": 4}}}
