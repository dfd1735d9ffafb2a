"""The request for a report, checked: what it reads, and the rows and columns of its table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import date
from typing import get_args

from uploader.catalog.names import Names, NamesService, find_type
from uploader.catalog.query import is_searchable
from uploader.catalog.report.annotate import Choice
from uploader.catalog.report.columns import Selection, parse_columns
from uploader.catalog.report.side_tables import (
    ACCOUNTS_TABLE,
    COLLECTION_ITEMS,
    GROUPS,
    SIDE_TABLES,
    TIMESERIES,
    VIEWS_BY_COUNTRY,
    SideTable,
)
from uploader.catalog.report.spec import DEFINITIONS, REPORTS, ReportName, Spec
from uploader.catalog.report.values import STATES
from uploader.errors import Facts, UsageError
from uploader.figshare.ids import Kind
from uploader.metadata import identifiers

STATUSES = ("pending", "approved", "rejected", "closed")
"""The states of a review."""
_OF_PERIOD = (VIEWS_BY_COUNTRY, TIMESERIES)
_NEEDS = {COLLECTION_ITEMS: ("collections",)} | dict.fromkeys(_OF_PERIOD, ("stats", "stats_since"))
"""Options that a separate table needs besides `tables`."""


def tables_of(report: ReportName) -> tuple[SideTable, ...]:
    """Return all separate tables that a report can have."""
    definition = DEFINITIONS[report]
    if "tables" not in definition.takes:
        return ()
    found = [*SIDE_TABLES, *([COLLECTION_ITEMS] if "kinds" in definition.takes else []), *_OF_PERIOD]
    named = {one.kind for one in definition.lookups}
    return (*found, *(one for one in (GROUPS, ACCOUNTS_TABLE) if one.lookup in named))


def needs_of(table: SideTable) -> tuple[str, ...]:
    """Return the options that a request must have for a separate table."""
    return ("tables", *_NEEDS.get(table, ()))


@dataclass(frozen=True, kw_only=True)
class ReportRequest:
    """A request for a report. Raises UsageError for what is invalid, or not for this report.

    `institution` and `type` are as people name them, `author` and `orcid` whose records they are; `author_ids` are more
    precise than the name, `strict` leaves out records that only the name matches. `states` are those of records,
    `status` that of reviews. `versions`: a row for each; `tables`: separate ones, too; `stats`: numbers, in a `scope`,
    of all time or from `stats_since` to today.
    """

    report: ReportName
    columns: str = "default"
    kinds: Sequence[Kind] = ("item",)
    institution: str | None = None
    group: int | None = None
    type: str | None = None
    author: str | None = None
    orcid: str | None = None
    author_ids: Sequence[int] = ()
    strict: bool = False
    states: Sequence[str] = ()
    status: str | None = None
    versions: bool = False
    tables: bool = False
    emails: bool = True
    stats: bool = False
    scope: str | None = None
    stats_since: date | None = None

    def __post_init__(self) -> None:
        if self.report not in REPORTS:
            raise UsageError(f"unknown report {self.report!r}; known: {', '.join(REPORTS)}")
        takes = DEFINITIONS[self.report].takes | {"report", "columns"}
        for one in fields(self):
            if getattr(self, one.name) != one.default and one.name not in takes:
                raise UsageError(f"the report {self.report!r} has no {one.name.replace('_', ' ')}")
        self._check_choices()
        if self.report == "public" and self.institution is None:
            raise UsageError("a report on public records needs an institution")
        if self.report == "author" and not (self.author or self.orcid):
            raise UsageError("a report on an author needs a name or an ORCID iD")
        if self.author is not None and not is_searchable(self.author):
            raise UsageError(f"invalid author: nothing to search for in {self.author!r}")
        if self.scope is not None and not self.stats:
            raise UsageError("scope needs stats", facts=Facts("no-numbers"))
        if self.stats_since is not None and not self.stats:
            raise UsageError("stats_since needs stats", facts=Facts("no-numbers"))
        _ = self.selection, self._orcid  # raise

    def _check_choices(self) -> None:
        given = [("kinds", self.kinds, get_args(Kind)), ("states", self.states, STATES)]
        given += [("status", (self.status,), STATUSES)] if self.status is not None else []
        for name, values, known in given:
            if isinstance(values, str) or any(one not in known for one in values):
                raise UsageError(f"invalid {name} {values!r}; expected {', '.join(map(str, known))}")
        if not self.kinds:
            raise UsageError("kinds must not be empty")

    @property
    def _orcid(self) -> str | None:
        try:
            return identifiers.orcid(self.orcid) if self.orcid is not None else None
        except ValueError as error:
            raise UsageError(str(error)) from None

    @property
    def selection(self) -> Selection:
        """The columns of the table."""
        try:
            return parse_columns(self.columns, DEFINITIONS[self.report].columns)
        except ValueError as error:
            raise UsageError(str(error)) from None

    @property
    def sides(self) -> Sequence[SideTable]:
        """The separate tables."""
        given = {
            "tables": self.tables, "collections": "collection" in self.kinds, "stats": self.stats,
            "stats_since": self.stats_since is not None,
        }  # fmt: skip
        return [one for one in tables_of(self.report) if all(given[name] for name in needs_of(one))]

    @property
    def choice(self) -> Choice:
        """Which records and facts the table has."""
        return Choice(
            states=frozenset(self.states) or DEFINITIONS[self.report].states, versions=self.versions,
            emails=self.emails, author=self.author, orcid=self._orcid, author_ids=frozenset(self.author_ids),
            strict=self.strict, scope=self.scope,
        )  # fmt: skip

    async def spec(self, api: NamesService) -> Spec:
        """Return the selection that the report reads. Raises NameNotFound, UsageError."""
        institution = await Names(api).institution(self.institution) if self.institution is not None else None
        return Spec(
            report=self.report, kinds=tuple(self.kinds), institution=institution, group=self.group,
            type_id=find_type(self.type) if self.type is not None else None, author=self.author, orcid=self._orcid,
            status=self.status,
        )  # fmt: skip
