"""A search from its filters to its rows, and what is known of the result: how many, whether all, what was checked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Literal, Protocol, TypeAlias, get_args

import msgspec

from uploader.catalog.checks import Filter, RowChecks, equals, has_doi, has_resource_doi, since, until
from uploader.catalog.names import Institutions, Names, NamesService, check_institution, find_type
from uploader.catalog.pager import Gap
from uploader.catalog.query import Query, days_later
from uploader.catalog.reading import ListService, Reading
from uploader.figshare.ids import Kind
from uploader.figshare.models import PAGE
from uploader.figshare.records import Record, search_of

Order: TypeAlias = Literal["published", "modified", "created", "views", "downloads", "shares", "cites"]
ORDERS: tuple[Order, ...] = get_args(Order)


@dataclass(frozen=True, kw_only=True)
class Search:
    """The conditions of a search, and its limits. Days are inclusive; ids are Figshare's.

    `groups` are searched one after the other. `limit` None: everything, oldest first, regardless of its length, unless
    another `order` is chosen, in which Figshare lists at most 9,000 records. With a limit the greatest come first;
    `reverse` reverses that.
    """

    kind: Kind = "item"
    own: bool = False
    query: Query = field(default_factory=Query)
    type_id: int | None = None
    institution: int | None = None
    groups: tuple[int, ...] = ()
    since: date | None = None
    modified_since: date | None = None
    doi: str | None = None
    resource_doi: str | None = None
    order: Order = "published"
    reverse: bool = False
    limit: int | None = 20


async def resolve(
    api: NamesService,
    search: Search,
    *,
    categories: Sequence[str] = (),
    licences: Sequence[str] = (),
    type_name: str | None = None,
    institution: str | None = None,
    group: str | None = None,
    subgroups: bool = False,
) -> Search:
    """Return the search with further conditions, given as people name them. Raises what the methods of `Names` raise.

    `subgroups`: the groups below the group as well.
    """
    names = Names(api)
    query = replace(
        search.query,
        category=tuple([await names.category(one) for one in categories]),
        licence=tuple([await names.licence(one) for one in licences]),
    )
    return replace(
        search,
        query=query,
        type_id=find_type(type_name) if type_name is not None else None,
        institution=await names.institution(institution) if institution is not None else None,
        groups=await names.groups(group, subgroups=subgroups) if group is not None else (),
    )


@dataclass(kw_only=True)
class Conclusion:
    """The conclusion about a result. `more`: there are more rows than the limit. `gaps`: rows that may be missing.

    `checked` are the filters that were compared with the rows, `left_out` the number of rows that did not fit.
    """

    found: int = 0
    more: bool = False
    gaps: tuple[Gap, ...] = ()
    checked: Sequence[str] = ()
    left_out: int = 0

    @property
    def complete(self) -> bool:
        """Whether the rows are all that was asked for."""
        return not self.gaps


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A request that a search sends first, for people who want to see it."""

    method: str
    path: str
    body: dict[str, str | int]


class SearchService(ListService, Institutions, Protocol):
    """The requests that a search needs; `uploader.figshare.records_api.Records` has them."""


class SearchRun:
    """One search being made. `conclusion` is final once all rows were taken."""

    def __init__(self, source: SearchService, search: Search) -> None:
        self._source = source
        self._search = search
        self._checks = RowChecks(_filters(search), search.query.title)
        self._in_slices = search.order == "published" and (search.limit is None or search.reverse)
        self.conclusion = Conclusion()

    def requests(self) -> list[Request]:
        """Return the first request of each list that is searched."""
        listing = search_of(self._search.kind, own=self._search.own)
        bodies = [self._reading(group).first_request for group in self._groups()]
        return [Request(method=listing.method, path=listing.path, body=body) for body in bodies]

    async def rows(self) -> AsyncIterator[Record]:
        """Yield the rows. Raises FilterIgnored, NameNotFound for an institution that does not exist, and what all
        requests raise.
        """
        limit = self._search.limit
        readings = [self._reading(group) for group in self._groups()]
        rows = self._merged(readings) if limit is not None and len(readings) > 1 else self._each(readings)
        async for row in rows:
            if self.conclusion.found == limit:
                self.conclusion.more = True
                break
            self.conclusion.found += 1
            yield row
        self._conclude(readings)
        if not self.conclusion.found and self._search.institution is not None:
            await check_institution(self._source, self._search.institution)

    def _conclude(self, readings: Sequence[Reading]) -> None:
        self.conclusion.left_out, self.conclusion.checked = self._checks.left_out, self._checks.names
        gaps = dict.fromkeys(gap for one in readings for gap in one.gaps)
        # The rows that were asked for are there; of those beyond the limit nothing is claimed.
        self.conclusion.gaps = () if self.conclusion.more else tuple(gaps)

    def _groups(self) -> Sequence[int | None]:
        return self._search.groups or (None,)

    def _reading(self, group: int | None) -> Reading:
        search = self._search
        start = days_later(search.since, 0) if self._in_slices and search.since is not None else None
        return Reading(
            self._source,
            search_of(search.kind, own=search.own),
            self._criteria(group),
            in_slices=self._in_slices,
            since=datetime(start.year, start.month, start.day, tzinfo=UTC) if start is not None else None,
            size=PAGE if search.limit is None else min(search.limit + 1, PAGE),
        )

    async def _each(self, readings: Sequence[Reading]) -> AsyncIterator[Record]:
        """Yield the fitting rows of one reading after the other, each once."""
        seen: set[int] = set()
        for reading in readings:
            async for page in reading.settled_pages():
                for row in self._checks.fitting(page):
                    if row.id not in seen:
                        seen.add(row.id)
                        yield row

    async def _merged(self, readings: Sequence[Reading]) -> AsyncIterator[Record]:
        """Yield the first rows of several readings in one order, by date; other orders do not show in the rows."""
        wanted = (self._search.limit or 0) + 1
        rows: dict[int, Record] = {}
        for reading in readings:
            count = 0
            async for row in self._each([reading]):
                rows[row.id] = row
                count += 1
                if count == wanted:
                    break
        oldest = datetime.min.replace(tzinfo=UTC)
        found = list(rows.values())
        if self._search.order in ("published", "modified", "created"):
            found.sort(key=lambda row: getattr(row, self._search.order) or oldest, reverse=not self._search.reverse)
        for row in found:
            yield row

    def _criteria(self, group: int | None) -> dict[str, str | int]:
        search = self._search
        day = _day_before(search.since) if search.since is not None and not self._in_slices else None
        changed = _day_before(search.modified_since) if search.modified_since is not None else None
        order = search.order if search.order in ("views", "downloads", "shares", "cites") else f"{search.order}_date"
        criteria: dict[str, str | int | None] = {
            "search_for": search.query.text() or None,
            "item_type": search.type_id,
            "institution": search.institution,
            "group": group,
            "published_since": day,
            "modified_since": changed,
            "doi": search.doi,
            "resource_doi": search.resource_doi,
            "order": order,
            "order_direction": "asc" if search.reverse or self._in_slices else "desc",
        }
        return {name: value for name, value in criteria.items() if value is not None}


def _day_before(day: date) -> str:
    # Whether a filter includes its own moment is unknown; the rows are compared with the day.
    return days_later(day, -1).isoformat()


def _filters(search: Search) -> list[Filter]:
    """Return the filters that show in the rows."""
    found = [equals("type_id", search.type_id)] if search.type_id is not None else []
    if search.groups:
        found.append(equals("group_id", search.groups[0]) if len(search.groups) == 1 else _in_groups(search.groups))
    found += [has_doi(search.doi)] if search.doi is not None else []
    found += [has_resource_doi(search.resource_doi)] if search.resource_doi is not None else []
    found += [since("since", "published", search.since)] if search.since is not None else []
    found += [until("until", "published", search.query.until)] if search.query.until is not None else []
    found += [since("modified-since", "modified", search.modified_since)] if search.modified_since is not None else []
    return found


def _in_groups(groups: tuple[int, ...]) -> Filter:
    return Filter(name="group", fits=lambda row: None if row.group_id is None else row.group_id in groups)
