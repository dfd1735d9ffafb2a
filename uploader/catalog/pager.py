"""Read a list of any length, each row once: choose the next page to request, given the pages so far. Pure.

Figshare limits the length of lists (observed: 9,000 rows; documented: 1,000 or 5,000), gives no totals, and pages shift
while rows are added and removed. A list that is sorted by a date is therefore read in slices: after each full page the
next one is the first page of "everything since the last row's date", with an overlap that shows that nothing was left
out. Only where a page is full of one moment, later pages of the slice are asked for, up to Figshare's limit; beyond it
the slice is split by item type. What cannot be read is a `Gap`: a list is complete, or says that it is not. Lists
without a date to go by are read page by page.

`Walk` asks for nothing itself: `next_page()` names a page, `take(rows)` or `refuse()` reports its outcome. `position`
is a value that can be stored; a walk that is made with it continues there.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, Protocol, TypeAlias, TypeVar

import msgspec

from uploader.errors import Facts, RecordsMissing
from uploader.figshare.models import PAGE
from uploader.text import named_few
from uploader.units import format_count

MAX_PAGES = 9
"""Pages of a list that Figshare is known to serve (observed: 9 × 1000 rows); an earlier refusal is accepted."""
_SECOND = timedelta(seconds=1)
_DAY = timedelta(days=1)
_WIDE = 2 * _DAY
"""Overlap of slices if the server's filter has a resolution of days."""

_FIRST_YEAR, _LAST_YEAR = 1000, 9999
"""Years of placeholder dates, at which slices cannot overlap."""

_MAX_NAMED = 3
"""Rows without an id that a message names."""

GapCode: TypeAlias = Literal[
    "page-limit", "one-moment", "unsorted", "unfiltered", "no-overlap", "undated", "no-id", "no-state"
]


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """Rows that may be missing from a list. `message` says which and why, for people."""

    code: GapCode
    message: str


def check_complete(gaps: Sequence[Gap]) -> None:
    """Raise RecordsMissing for a list with gaps."""
    if not gaps:
        return
    message = f"the list may not be complete: {'; '.join(gap.message for gap in gaps)}"
    codes = {gap.code for gap in gaps}
    if not codes <= {"no-id", "no-state"}:
        raise RecordsMissing(message)
    damaged = "All others are there; Figshare's support can repair these."
    hint = "All others were checked; try again later." if "no-state" in codes else damaged
    raise RecordsMissing(message, hint=hint, facts=Facts("rows-unread"))


def joined(known: Sequence[str], found: Sequence[str]) -> tuple[str, ...]:
    """Merge the row descriptions of two pages, which may overlap."""
    return tuple((Counter(known) | Counter(found)).elements()) if found else tuple(known)


def unusable_rows(described: Sequence[str]) -> tuple[Gap, ...]:
    """Return the gap of rows without a valid id, if there are any."""
    if not described:
        return ()
    named = named_few([*map(repr, described)], _MAX_NAMED)
    message = f"{format_count(len(described), 'row')} without a valid id, which cannot be read: {named}"
    return (Gap(code="no-id", message=message),)


class Slice(msgspec.Struct, frozen=True, kw_only=True):
    """A range of a list that is requested separately.

    `since` is the date that is sent as `…_since`, None for none. Up to `floor` the list has been read; `overlaps`: the
    slice must show some of that again. `narrowed` are further filters, by which a slice was split. `undated`: the rows
    without a date. `last` is the latest date of its pages so far.
    """

    since: datetime | None = None
    floor: datetime | None = None
    overlaps: bool = False
    narrowed: tuple[tuple[str, int], ...] = ()
    page: int = 1
    last: datetime | None = None
    undated: bool = False


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """The position of a walk: the slices to read, the next one last, and the gaps found.

    `unusable` describes the rows without a valid id, of which `gaps` has a gap, too.
    """

    pending: tuple[Slice, ...]
    gaps: tuple[Gap, ...] = ()
    unusable: tuple[str, ...] = ()
    sliced: bool = False


class Row(Protocol):
    """The attributes of a row that the pager uses."""

    @property
    def id(self) -> int: ...


R = TypeVar("R", bound=Row)


@dataclass(frozen=True, kw_only=True)
class PageRequest:
    """One page to request: filters beyond those of the list, and the page's number from 1 and size."""

    since: datetime | None
    narrowed: tuple[tuple[str, int], ...]
    page: int
    size: int
    undated: bool


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a list is read.

    `key` is the name of the row's date that the list is sorted by, ascending; None: read it page by page. `since`: the
    caller's lower bound, which need not be exact. `undated`: also find rows without the date. `splits` are filters by
    which a slice can be split, with all their values.
    """

    key: Literal["published", "modified"] | None
    since: datetime | None = None
    undated: bool = False
    splits: Sequence[tuple[str, Sequence[int]]] = ()
    size: int = PAGE
    max_pages: int = MAX_PAGES


class Walk:
    """The state of reading one list."""

    def __init__(self, plan: Plan, position: Position | None = None, seen: Iterable[int] = ()) -> None:
        """Start at `position`, None for the beginning; `seen` are the ids of the rows that were read before it."""
        self._plan = plan
        start = position or Position(pending=(Slice(since=plan.since),))
        self._pending = [_restarted(one) for one in start.pending]
        self._gaps = [gap for gap in start.gaps if gap.code != "no-id"]
        self._unusable = start.unusable
        self._sliced = start.sliced
        self._seen = set(seen)
        self._max_pages = plan.max_pages

    @property
    def position(self) -> Position:
        """The current position: a later walk that starts there, with the ids so far, reads the rest."""
        return Position(pending=tuple(self._pending), gaps=self.gaps, unusable=self._unusable, sliced=self._sliced)

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """The known gaps; empty for a list that is complete so far."""
        return (*self._gaps, *unusable_rows(self._unusable))

    def next_page(self) -> PageRequest | None:
        """Return the next page to request, None if the list has been read."""
        if not self._pending:
            return None
        now = self._pending[-1]
        return PageRequest(
            since=now.since, narrowed=now.narrowed, page=now.page, size=self._plan.size, undated=now.undated
        )

    def take(self, rows: Sequence[R], unusable: Sequence[str] = ()) -> list[R]:
        """Process the rows of the requested page; return the new ones. `unusable` describes rows without a valid id."""
        self._unusable = joined(self._unusable, unusable)
        count = len(rows) + len(unusable)
        now = self._pending.pop()
        if now.overlaps and now.floor is not None and now.page == 1 and not any(row.id in self._seen for row in rows):
            if now.since is not None and now.since > now.floor - _WIDE:
                # The filter may have a resolution of days, and exclude the rest of this day.
                self._slice_from(now, now.floor, _WIDE)
                return []
            self._gap("no-overlap", f"records since {_text(now.floor)} may be missing")
        new = list({row.id: row for row in rows if row.id not in self._seen}.values())
        self._seen.update(row.id for row in new)
        dates = [date for row in rows if (date := self._date(row)) is not None]
        if self._plan.key is None or now.undated:
            self._after_page(now, count, len(new), dates)
        else:
            self._after_slice(now, count, dates)
        self._look_for_undated(now)
        return new

    def refuse(self) -> None:
        """Record that Figshare's limit is below the requested page."""
        now = self._pending.pop()
        self._max_pages = min(self._max_pages, now.page - 1)
        self._past_limit(now)
        self._look_for_undated(now)

    # --- what follows a page -----------------------------------------------------------------------------------------

    def _after_page(self, now: Slice, count: int, new: int, dates: Sequence[datetime]) -> None:
        """Continue with the next page of a list without a date."""
        if now.undated and dates:
            self._gap("undated", "records without a date may be missing: Figshare cannot list them by themselves")
        elif count < self._plan.size:
            if count == 0 and now.page == MAX_PAGES + 1:
                self._past_limit(now)  # observed: lists of accounts end there without an error
        elif not new and now.page > 1:
            self._gap("unsorted", f"page {now.page} repeats earlier pages")
        else:
            self._pending.append(msgspec.structs.replace(now, page=now.page + 1))

    def _after_slice(self, now: Slice, count: int, dates: Sequence[datetime]) -> None:
        """Continue with the slice that begins where this page ends, or with the next page if all rows have the same
        date.
        """
        last = max([*dates, *([now.last] if now.last is not None else [])], default=None)
        here = msgspec.structs.replace(now, last=last)
        progress = last is not None and (now.floor is None or last > now.floor)
        if now.since is not None and any(date < now.since - _WIDE for date in dates):
            self._gap("unfiltered", f"Figshare ignores the filter for records since {_text(now.since)}")
        elif count < self._plan.size:
            if now.page > 1 and progress and last is not None:
                self._slice_from(now, last)  # a list that is cut off at a limit looks the same
        elif any(later < earlier for earlier, later in itertools.pairwise(dates)):
            self._gap("unsorted", "Figshare does not sort the list by date")
        elif progress and last is not None and (now.page == 1 or now.page >= self._max_pages):
            self._slice_from(now, last)
        elif now.page < self._max_pages:
            self._pending.append(msgspec.structs.replace(here, page=now.page + 1))
        else:
            self._past_limit(here)

    def _slice_from(self, now: Slice, last: datetime, overlap: timedelta = _SECOND) -> None:
        # Whether `…_since` includes its own moment is unknown; a second earlier is right in both readings.
        self._sliced = True
        self._pending.append(Slice(since=last - overlap, floor=last, overlaps=True, narrowed=now.narrowed))

    def _past_limit(self, now: Slice) -> None:
        """Split a slice that is too long for Figshare's limit, or record that its rest cannot be read."""
        rows = self._max_pages * self._plan.size
        if now.floor is not None and now.last is not None and now.last > now.floor:
            self._slice_from(now, now.last)
            return
        names = [name for name, _ in now.narrowed]
        split = next(((name, values) for name, values in self._plan.splits if name not in names), None)
        if split is not None and not now.undated:
            whole = Slice(since=now.since, narrowed=now.narrowed)
            self._pending += [
                msgspec.structs.replace(whole, narrowed=(*now.narrowed, (split[0], value)))
                for value in reversed(split[1])
            ]
        elif (moment := max(filter(None, (now.last, now.floor)), default=None)) is None:
            self._gap("page-limit", f"Figshare lists only the first {rows} records this way")
        else:
            self._gap("one-moment", f"more than {rows} records are dated about {_text(moment)}: some may be missing")
            # A second later, or a day if the filter has a resolution of days.
            later = next((one for one in (_SECOND, _DAY) if now.since is None or moment + one > now.since), None)
            if later is not None:
                self._pending.append(Slice(since=moment + later, floor=moment, narrowed=now.narrowed))

    def _look_for_undated(self, now: Slice) -> None:
        """Request rows without a date at the end, which are in no slice."""
        if not self._pending and self._sliced and self._plan.undated and not now.undated:
            self._pending.append(Slice(undated=True))

    def _gap(self, code: GapCode, message: str) -> None:
        gap = Gap(code=code, message=message)
        if gap not in self._gaps:
            self._gaps.append(gap)

    def _date(self, row: Row) -> datetime | None:
        """Return the date of a row; a placeholder, such as one of the year 1, is none."""
        date: datetime | None = getattr(row, self._plan.key) if self._plan.key is not None else None
        return date if date is not None and _FIRST_YEAR <= date.year < _LAST_YEAR else None


def _restarted(one: Slice) -> Slice:
    """Return the slice to continue with after an interruption: its later pages may have shifted."""
    return msgspec.structs.replace(one, page=1, last=None)


def _text(date: datetime) -> str:
    return f"{date:%Y-%m-%dT%H:%M:%SZ}"
