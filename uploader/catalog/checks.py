"""Compare rows with the filters of a search, as far as they show them. Pure.

Figshare ignores parameters that it does not know, and answers with everything it has (observed for years by one
harvester). If more than a tenth of the rows do not fit a filter, it had no effect: FilterIgnored. Single rows that
do not fit are left out and counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date

from uploader.catalog.query import days_later
from uploader.errors import FilterIgnored
from uploader.figshare.ids import same_doi
from uploader.figshare.records import Record
from uploader.text import words

_TOLERATED = 0.1
"""Share of a page's rows that may not fit: an index lags behind what it lists."""
_NEAR = 3
"""How many days outside a range of dates rows may be: requested ranges are wider, and may have a resolution of days."""
_STEM = 3
"""Number of initial letters that all forms of a word are assumed to share."""


@dataclass(frozen=True, kw_only=True)
class Filter:
    """One filter. `fits` returns None if the row lacks the field; `near`: rows that do not fit are tolerated."""

    name: str
    fits: Callable[[Record], bool | None]
    near: Callable[[Record], bool] = lambda _: False


class RowChecks:
    """The filters of a search that show in its rows. `title_words` are only checked to have had some effect."""

    def __init__(self, tests: Sequence[Filter], title_words: Sequence[str] = (), *, known: int = 0) -> None:
        """`known` rows of the list fitted in an earlier reading that is continued."""
        self._tests = tests
        self._stems = [stem for word in title_words for stem in _stems(word)]
        self._rows = known
        self._shown, self._odd = Counter[str](), Counter[str]()
        """Rows that show a filter, and those that do not fit it, by its name."""
        self._left_out = set[int]()

    @property
    def left_out(self) -> int:
        """The number of rows that did not fit."""
        return len(self._left_out)

    @property
    def names(self) -> list[str]:
        """The filters that some row has shown."""
        return [name for name in (*(test.name for test in self._tests), "title") if self._shown[name]]

    def fitting(self, rows: Sequence[Record]) -> list[Record]:
        """Return the rows of a page that fit all filters. Raises FilterIgnored, by all pages so far."""
        self._rows += len(rows)
        for test in self._tests:
            found = [test.fits(row) for row in rows]
            odd = [row for row, fits in zip(rows, found, strict=True) if fits is False and not test.near(row)]
            self._shown[test.name] += sum(fits is not None for fits in found)
            self._odd[test.name] += len(odd)
            if odd and self._odd[test.name] > _TOLERATED * self._rows:
                raise FilterIgnored(
                    f"Figshare ignored the filter {test.name!r}: {self._odd[test.name]} of {self._rows} records do not "
                    f"fit it, such as {odd[0].id}"
                )
            self._left_out.update(row.id for row in odd)
        self._shown["title"] += any(stem in word for row in rows for word in words(row.title) for stem in self._stems)
        if rows and self._stems and not self._shown["title"]:
            raise FilterIgnored(
                f"Figshare ignored the filter 'title': none of {self._rows} titles has any of its words"
            )
        return [row for row in rows if all(test.fits(row) is not False for test in self._tests)]


def equals(name: str, wanted: int) -> Filter:
    """Return a check of the number that rows have under this name; it returns None for rows without it."""

    def fits(row: Record) -> bool | None:
        value: int | None = getattr(row, name)
        return None if value is None else value == wanted

    return Filter(name={"type_id": "type", "group_id": "group"}.get(name, name), fits=fits)


def has_doi(doi: str) -> Filter:
    """Return the test of a DOI, of any version."""
    return Filter(name="doi", fits=lambda row: same_doi(row.doi, doi) if row.doi else None)


def has_resource_doi(doi: str) -> Filter:
    """Return the test of the DOI of the publication that a record belongs to."""
    return Filter(name="resource-doi", fits=lambda row: same_doi(row.resource_doi, doi) if row.resource_doi else None)


def since(name: str, key: str, day: date) -> Filter:
    """Return the test of a first day, by the date `key` of a row."""
    return _dated(name, key, lambda found: found >= day, lambda found: found >= days_later(day, -_NEAR))


def until(name: str, key: str, day: date) -> Filter:
    """Return the test of a last day, by the date `key` of a row."""
    return _dated(name, key, lambda found: found <= day, lambda found: found <= days_later(day, _NEAR))


def _dated(name: str, key: str, fits: Callable[[date], bool], near: Callable[[date], bool]) -> Filter:
    def day_of(row: Record) -> date | None:
        found = getattr(row, key)
        return None if found is None else found.date()

    def fits_row(row: Record) -> bool | None:
        day = day_of(row)
        return None if day is None else fits(day)

    def near_row(row: Record) -> bool:
        day = day_of(row)
        return day is None or near(day)

    return Filter(name=name, fits=fits_row, near=near_row)


def _stems(text: str) -> list[str]:
    return [word[:_STEM] for word in words(text)]
