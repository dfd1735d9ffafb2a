"""The definitions of the reports, in one table, and the lists that a report reads."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

import msgspec

from uploader.catalog.checks import Filter, RowChecks, equals
from uploader.catalog.query import Query
from uploader.catalog.report.columns import Columns
from uploader.catalog.report.known_columns import ACCOUNTS, AUTHOR, EMBARGOES, PUBLISHED, QUOTAS, RECORDS, REVIEWS
from uploader.catalog.report.values import PUBLISHED_STATES
from uploader.figshare.ids import Kind
from uploader.figshare.records import (
    INSTITUTION_ACCOUNTS,
    INSTITUTION_GROUPS,
    INSTITUTION_ITEMS,
    Listing,
    RowKind,
    own_list,
    search_of,
)
from uploader.figshare.records import REVIEWS as REVIEW_LIST

ReportName: TypeAlias = Literal["public", "own", "author", "published", "embargoes", "accounts", "quotas", "reviews"]
REPORTS: tuple[ReportName, ...] = get_args(ReportName)
Detail: TypeAlias = Literal["public", "private", "review", "usage"]
_EMBARGOED = frozenset({"embargoed-file", "embargoed-item"})


@dataclass(frozen=True, kw_only=True)
class Definition:
    """The definition of one report. `listing` has its rows; None: lists of items, collections and projects, public ones
    or (`detail` "private") own. `detail`: how a row is read in full, None for rows that have everything. `lookups` are
    lists that give names. `states` are those of the records in the table, None for all; others are counted. `takes` are
    the parts of a request that limit or extend it. `catalog`: the report whose catalog this one reads and writes.
    """

    columns: Columns
    detail: Detail | None
    takes: frozenset[str] = frozenset()
    listing: Listing | None = None
    lookups: tuple[Listing, ...] = ()
    states: frozenset[str] | None = None
    catalog: ReportName | None = None

    @property
    def private(self) -> bool:
        """Whether it has unpublished data, and needs a token."""
        return self.detail != "public"


_NAMES = (INSTITUTION_ACCOUNTS, INSTITUTION_GROUPS)
_RECORD_OPTIONS = frozenset({"kinds", "versions", "tables", "stats", "scope", "stats_since"})
_LIMITS = frozenset({"group", "type"})
DEFINITIONS: Mapping[ReportName, Definition] = {
    "public": Definition(
        columns=RECORDS, detail="public", takes=_RECORD_OPTIONS | _LIMITS | {"institution", "states"}
    ),
    "own": Definition(columns=RECORDS, detail="private", takes=_RECORD_OPTIONS | {"states"}),
    "author": Definition(
        columns=AUTHOR, detail="public",
        takes=_RECORD_OPTIONS | {"author", "orcid", "author_ids", "strict", "institution"},
    ),
    "published": Definition(
        columns=PUBLISHED, detail="private", listing=INSTITUTION_ITEMS, lookups=_NAMES, states=PUBLISHED_STATES,
        takes=(_RECORD_OPTIONS - {"kinds"}) | _LIMITS | {"states", "emails"},
    ),
    "embargoes": Definition(
        columns=EMBARGOES, detail="private", listing=INSTITUTION_ITEMS, lookups=_NAMES, states=_EMBARGOED,
        takes=_LIMITS | {"emails"}, catalog="published",
    ),
    "accounts": Definition(columns=ACCOUNTS, detail=None, listing=INSTITUTION_ACCOUNTS, takes=frozenset({"emails"})),
    "quotas": Definition(
        columns=QUOTAS, detail="usage", listing=INSTITUTION_ACCOUNTS, lookups=(INSTITUTION_GROUPS,),
        takes=frozenset({"emails"}),
    ),
    "reviews": Definition(
        columns=REVIEWS, detail="review", listing=REVIEW_LIST, lookups=_NAMES,
        takes=frozenset({"group", "status", "emails"}),
    ),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class RowList:
    """A list that a report reads: its name in the catalog, what to ask, and tests of its rows."""

    name: str
    listing: Listing
    criteria: Mapping[str, str | int] = field(default_factory=dict)
    tests: tuple[Filter, ...] = ()

    def checks(self, known: int = 0) -> RowChecks:
        """Return the tests of whether rows fit the filters that show in them; for `known` see `RowChecks`."""
        return RowChecks(self.tests, known=known)


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """The selection that a report reads. Ids are Figshare's; None for no limit.

    `author` and `orcid` are for "author" (one suffices), `status` is for "reviews".
    """

    report: ReportName
    kinds: tuple[Kind, ...] = ("item",)
    institution: int | None = None
    group: int | None = None
    type_id: int | None = None
    author: str | None = None
    orcid: str | None = None
    status: str | None = None

    @property
    def definition(self) -> Definition:
        """The definition of this report."""
        return DEFINITIONS[self.report]

    @property
    def rows(self) -> tuple[RowKind, ...]:
        """The kinds of records in the rows of the table."""
        listing = self.definition.listing
        return self.kinds if listing is None else (listing.kind,)

    def lists(self) -> list[RowList]:
        """Return the lists that have the report's rows."""
        return [
            RowList(
                name=listing.kind if query is None else f"{listing.kind} by {query}",
                listing=listing,
                criteria=self._criteria(listing.kind) | ({} if text is None else {"search_for": text}),
                tests=tuple(self._tests(listing.kind)),
            )
            for listing in self._listings()
            for query, text in self._queries()
        ]

    def lookups(self) -> list[RowList]:
        """Return the lists that give names."""
        return [RowList(name=one.kind, listing=one) for one in self.definition.lookups]

    def _listings(self) -> list[Listing]:
        definition = self.definition
        if definition.listing is not None:
            return [definition.listing]
        return [own_list(kind) if definition.private else search_of(kind) for kind in self.kinds]

    def _queries(self) -> Iterator[tuple[str | None, str | None]]:
        """Yield the searches, each with a name: many records of an author lack the ORCID iD."""
        if self.report != "author":
            yield None, None
        if self.orcid is not None:
            yield "orcid", Query(orcid=(self.orcid,)).text()
        if self.author is not None:
            yield "name", Query(author=(self.author,)).text()

    def _criteria(self, kind: RowKind) -> dict[str, str | int]:
        """Return the filters of a list."""
        group = "group_id" if kind == "review" else "group"
        wanted: dict[str, str | int | None] = {
            "institution": self.institution,
            group: self.group,
            "status": self.status,
        }
        wanted |= {"item_type": self.type_id} if kind == "item" else {}
        return {name: value for name, value in wanted.items() if value is not None}

    def _tests(self, kind: RowKind) -> Iterator[Filter]:
        if self.group is not None:
            yield equals("group_id", self.group)
        if self.type_id is not None and kind == "item":
            yield equals("type_id", self.type_id)
        if self.status is not None:
            yield Filter(name="status", fits=lambda row: row.raw.get("status") == self.status)

    @property
    def limits(self) -> dict[str, str | int]:
        """The limits of the report, by name, for people."""
        values = {
            "institution": self.institution, "group": self.group, "type": self.type_id, "author": self.author,
            "ORCID iD": self.orcid, "status": self.status,
        }  # fmt: skip
        return {name: value for name, value in values.items() if value is not None}

    def catalog_name(self, endpoint: str, account: int | None) -> str:
        """Return the name of the catalog's file: one for each endpoint, account, and what is read."""
        shared = msgspec.structs.replace(self, report=self.definition.catalog or self.report)
        about = msgspec.json.encode([endpoint, account, shared])
        return f"{shared.report}-{hashlib.blake2b(about, digest_size=8).hexdigest()}.sqlite"
