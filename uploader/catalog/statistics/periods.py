"""Periods of days, and the slices that one request to the statistics service may ask for. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from uploader.catalog.query import days_later
from uploader.errors import ProtocolViolation, UsageError
from uploader.figshare.statistics_api import Granularity

EARLIEST: Final = date(2011, 1, 1)
"""Where a period begins by default: Figshare counts since about then."""
_YEARS: Final[dict[Granularity, int]] = {"day": 1, "month": 2, "year": 5, "total": 1}
"""The longest period of one request, in years from its first day (documented); what exceeds it is cut silently."""
_LENGTHS: Final[dict[Granularity, int]] = {"day": 10, "month": 7, "year": 4, "total": 0}
"""Characters of the names of days, months and years: 2024-05-17, 2024-05, 2024."""
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Period:
    """Days from `first` to `last`, both included. Raises UsageError if they are the wrong way round."""

    first: date
    last: date

    def __post_init__(self) -> None:
        if self.first > self.last:
            raise UsageError(f"the period ends before it begins: {self.first} to {self.last}")

    def __str__(self) -> str:
        return f"{self.first} to {self.last}"

    def steps(self, granularity: Granularity) -> Iterator[str]:
        """Return the name of each day, month or year in it, as the service names them."""
        length, name = _LENGTHS[granularity], ""
        for day in range(self.first.toordinal(), self.last.toordinal() + 1):
            if (found := date.fromordinal(day).isoformat()[:length]) != name:
                yield (name := found)

    def within(self, events: Mapping[str, int], granularity: Granularity) -> dict[str, int]:
        """Return the events of this period alone, by day, month or year.

        If the service disregards a date, events are not counted once for each slice. Raises ProtocolViolation for names
        of other units.
        """
        if granularity == "total":
            return dict(events)
        steps = set(self.steps(granularity))
        for name in events.keys() - steps:
            if not _is_step(name, granularity):
                raise ProtocolViolation(
                    f"unexpected response from the statistics service: {name!r} is not a {granularity}"
                )
        return {name: count for name, count in events.items() if name in steps}

    def slices(self, granularity: Granularity) -> Iterator[Period]:
        """Cut into adjoining periods that overlap nowhere and leave no day out.

        Slices of months and years begin with one, so that no month or year is in two of them.
        """
        begin = self.first
        while begin <= self.last:
            end = min(_last_day(begin, granularity), self.last)
            yield Period(begin, end)
            if end == self.last:
                return
            begin = end + _DAY


def _is_step(name: str, granularity: Granularity) -> bool:
    try:
        date.fromisoformat(name + "0000-01-01"[len(name) :])
    except ValueError:
        return False
    return len(name) == _LENGTHS[granularity]


def _last_day(begin: date, granularity: Granularity) -> date:
    """Return the last day that a request from `begin` covers, at the end of a month or year where those are counted."""
    years = begin.year + _YEARS[granularity]
    if years > date.max.year:
        return date.max
    if granularity == "year":
        return date(years, 1, 1) - _DAY
    if granularity == "month":
        return date(years, begin.month, 1) - _DAY
    # Of February 29th, the year ends with February 28th.
    return (date(years, 3, 1) if (begin.month, begin.day) == (2, 29) else begin.replace(year=years)) - _DAY


def days_before(day: date, count: int) -> date:
    """Return the first of `count` days that end with this one."""
    return days_later(day, 1 - count)
