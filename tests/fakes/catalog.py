"""Lists and records in memory, as a report reads them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Literal

from tests.fakes.clock import VirtualClock
from uploader.errors import ItemNotFound
from uploader.figshare.decode import decode
from uploader.figshare.ids import Kind
from uploader.figshare.models import PAGE
from uploader.figshare.records import Institution, Listing, Page, Record, VersionRecord

COUNT = 130


class Figshare:
    """Items by id with their titles, and further rows and records by kind.

    `broken` are errors that reading an item always raises, `unlisted` items that no list shows, `changed` those
    that Figshare lists as modified. `members` are items of collections. A record takes `delay` seconds, a page
    `page_delay`; `on_page` is called when it is read.
    """

    def __init__(self) -> None:
        self.titles = {number: f"Item {number}" for number in range(1, COUNT + 1)}
        self.others: dict[str, list[dict[str, Any]]] = {}
        self.members: dict[int, list[int]] = {}
        self.unlisted: set[int] = set()
        self.broken: dict[int, Exception] = {}
        self.asked: list[int] = []
        self.pages: list[str] = []
        self.clock = VirtualClock()
        self.changed: set[int] = set()
        self.later = 0.0
        self.of_versions: dict[str, Any] = {}
        self.delay = self.page_delay = 0.0
        self.on_page: Callable[[], None] = lambda: None

    def _raw(self, number: int) -> dict[str, Any]:
        published = f"2024-01-01T{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}Z"
        return {"id": number, "title": self.titles[number], "published_date": published}

    async def page(self, listing: Listing, criteria: Mapping[str, str | int], *, page: int, size: int = PAGE) -> Page:
        self.pages.append("changes" if "modified_since" in criteria else listing.path)
        await self.clock.sleep(self.page_delay)
        self.on_page()
        rows = self._rows(listing, criteria)
        return Page(rows=[decode(Record, row, "a row") for row in rows][(page - 1) * size : page * size])

    def _rows(self, listing: Listing, criteria: Mapping[str, str | int]) -> list[dict[str, Any]]:
        if listing.kind != "item":
            first = int(criteria.get("id_gte", 0))
            return [one for one in self.others.get(listing.kind, []) if one["id"] >= first]
        if listing.path.endswith("/articles") and "/collections/" in listing.path:
            return [self._raw(number) for number in self.members[int(listing.path.split("/")[-2])]]
        if "search_for" in criteria:
            return []
        shown = self.changed if "modified_since" in criteria else self.titles.keys() - self.unlisted
        rows = [self._raw(number) for number in sorted(shown)]
        since = str(criteria.get("published_since", ""))
        return [one for one in rows if one["published_date"] > since]

    async def record(self, kind: Kind, number: int, *, public: bool, version: int | None = None) -> Record:
        self.asked.append(number)
        await self.clock.sleep(self.delay)
        if kind != "item":
            return decode(Record, next(one for one in self.others[kind] if one["id"] == number), "a record")
        if number in self.broken:
            raise self.broken[number]
        if number not in self.titles:
            raise ItemNotFound(f"Figshare has no public item {number}")
        found = self._raw(number) | {"is_public": True, "group_id": 7, "account_id": 70}
        return decode(Record, found | (self.of_versions if version is not None else {}), "a record")

    async def versions(self, kind: Literal["item", "collection"], number: int) -> list[VersionRecord]:
        return [VersionRecord(version=one) for one in (1, 2, 3)]

    async def review(self, number: int) -> Record:
        raise NotImplementedError

    async def usage(self, account: int, *, own: bool) -> Record:
        raise NotImplementedError

    async def account(self, number: int) -> Record:
        raise NotImplementedError

    async def institutions(self) -> AsyncIterator[Institution]:
        yield Institution(id=1)
