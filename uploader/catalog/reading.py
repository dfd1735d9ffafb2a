"""Read a list to its end: request the pages that the pager chooses."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final, Protocol

from uploader.catalog.pager import Gap, PageRequest, Plan, Position, Walk, joined, unusable_rows
from uploader.errors import ProtocolViolation
from uploader.figshare.models import PAGE
from uploader.figshare.outcomes import PageLimitReached
from uploader.figshare.records import Listing, Page, Record
from uploader.metadata.vocabulary import ITEM_TYPE_IDS

_ROUNDS: Final = 2
"""How often a list whose pages may shift is read again at most, while it shows rows that are new."""
UNDATED: Final = "NOT :published_after: 1800-01-01"
"""A search for records without a date of publication."""


class ListService(Protocol):
    """The requests needed to read lists; `uploader.figshare.records_api.Records` has them."""

    async def page(self, listing: Listing, criteria: Mapping[str, str | int], *, page: int, size: int = PAGE) -> Page:
        """Return one page. Raises PageLimitReached."""


class Reading:
    """One list, read once: its rows, and then whether it is complete.

    `criteria` are filters as the API names them. A list that can be read in slices is read by date, oldest first,
    regardless of its length; `in_slices` False reads it in Figshare's order, up to Figshare's limit. `since` is a lower
    bound by the list's date; rows of the day before it may come as well. `position` and `seen` are those of an earlier
    reading that ended early.
    """

    def __init__(
        self,
        source: ListService,
        listing: Listing,
        criteria: Mapping[str, str | int] | None = None,
        *,
        in_slices: bool = True,
        since: datetime | None = None,
        size: int = PAGE,
        position: Position | None = None,
        seen: Iterable[int] = (),
    ) -> None:
        self._source = source
        self._listing = listing
        self._criteria = dict(criteria or {})
        self._key = listing.key if in_slices else None
        self._size = size
        self._since = since
        self._continued = position is not None
        self._known = set(seen)
        self._walk = Walk(self._plan(since), position, self._known)

    def _plan(self, since: datetime | None) -> Plan:
        splits = [("item_type", tuple(ITEM_TYPE_IDS.values()))] if self._listing.kind == "item" and self._key else []
        return Plan(
            key=self._key,
            # It is unknown whether a filter includes its bound, and whether it is finer than days.
            since=since - timedelta(days=1) if since is not None else None,
            undated=since is None and self._key == "published",
            splits=[split for split in splits if split[0] not in self._criteria],
            size=self._size,
        )

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """The gaps known so far."""
        return self._walk.gaps

    @property
    def position(self) -> Position:
        """The current position, to be stored together with the rows so far."""
        return self._walk.position

    @property
    def first_request(self) -> dict[str, str | int]:
        """The filters, the order, and the page that are requested first."""
        asked = self._walk.next_page()
        return {} if asked is None else {**self._criteria_of(asked), "page": asked.page, "page_size": asked.size}

    async def pages(self) -> AsyncIterator[list[Record]]:
        """Yield the new rows of each page, as it arrives. Raises what `Records.page` raises but PageLimitReached."""
        while (asked := self._walk.next_page()) is not None:
            try:
                page = await self._source.page(
                    self._listing, self._criteria_of(asked), page=asked.page, size=asked.size
                )
            except PageLimitReached:
                self._walk.refuse()
                continue
            yield self._walk.take(page.rows, page.unusable)

    async def settled_pages(self) -> AsyncIterator[list[Record]]:
        """Yield pages as `pages` does, and read a list that may have shifted meanwhile again until nothing is new.

        The same rows then come again.
        """
        shifts = self._key is None and self._listing.is_paged
        for again in range(_ROUNDS + 1):
            count, before = 0, len(self._known)
            async for page in self.pages():
                count += 1
                if shifts:
                    self._known.update(row.id for row in page)
                yield page
            if not shifts or (count <= 1 and not self._continued) or (again and len(self._known) == before):
                return
            self._walk = Walk(self._plan(self._since))

    async def rows(self) -> AsyncIterator[Record]:
        """Yield each row once."""
        seen = set(self._known)
        async for page in self.settled_pages():
            for row in page:
                if row.id not in seen:
                    seen.add(row.id)
                    yield row

    def _criteria_of(self, asked: PageRequest) -> dict[str, str | int]:
        criteria = self._criteria | dict(asked.narrowed)
        if self._key is not None:
            criteria |= {"order": f"{self._key}_date", "order_direction": "asc"}
        if asked.since is not None:
            criteria[f"{self._listing.key or 'published'}_since"] = f"{asked.since:%Y-%m-%dT%H:%M:%SZ}"
        if asked.undated:
            wanted = criteria.get("search_for")
            criteria["search_for"] = f"({wanted}) AND {UNDATED}" if wanted else UNDATED
        return criteria


class ReadingById:
    """A list in the order of ids, read beyond Figshare's limit: each page begins after the last id of the one before.

    `position` and `seen`, the ids of its rows, are those of an earlier reading that ended early.
    """

    def __init__(
        self,
        source: ListService,
        listing: Listing,
        criteria: Mapping[str, str | int],
        *,
        position: Position | None = None,
        seen: Iterable[int] = (),
    ) -> None:
        self._source, self._listing, self._criteria = source, listing, criteria
        self._first = max(seen, default=-1) + 1
        self._unusable = position.unusable if position is not None else ()

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """The gaps known so far."""
        return unusable_rows(self._unusable)

    @property
    def position(self) -> Position:
        """The gaps so far; where the reading is follows from the ids of the rows."""
        return Position(pending=(), gaps=self.gaps, unusable=self._unusable)

    async def pages(self) -> AsyncIterator[list[Record]]:
        """Yield the rows of each page, as it arrives. Raises what `Records.page` raises."""
        while True:
            page = await self._source.page(self._listing, {**self._criteria, "id_gte": self._first}, page=1)
            rows = page.rows
            self._unusable = joined(self._unusable, page.unusable)
            if any(row.id < self._first for row in rows):
                raise ProtocolViolation(f"Figshare ignores the page number in {self._listing.resource}")
            if len(page) == PAGE and any(later.id <= one.id for one, later in itertools.pairwise(rows)):
                raise ProtocolViolation(f"Figshare does not sort {self._listing.resource} by id")
            yield rows
            if len(page) < PAGE:
                return
            if not rows:
                raise ProtocolViolation(f"a whole page of {self._listing.resource} has no valid id")
            self._first = rows[-1].id + 1
