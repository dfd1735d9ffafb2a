"""The numbers of the statistics: how often a record was viewed, downloaded, shared and cited until a day. Pure.

They follow from kind, id and day alone, by a formula for the sum since the publication: so totals, timelines, places
and rankings agree with one another, for any period, and a test can compute them independently.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Final

KINDS: Final = {"articles": "article", "collections": "collection", "projects": "project"}
"""Kinds of records → their names in the statistics."""
COUNTERS: Final = ("views", "downloads", "shares", "cites")
_DAILY: Final = {"views": 4.0, "downloads": 1.5, "shares": 0.02, "cites": 0.002}
"""The highest rate of each counter, per day."""
_QUIET: Final = 20
"""One of this many records has no events at all."""
_WORD: Final = 2**64

_COUNTRIES: Final = (
    "United States", "United Kingdom", "Australia", "Germany", "China", "Brazil", "South Africa", "Norway", "Japan",
    "Unknown",
)  # fmt: skip
_CITIES: Final = ("Unknown", "Unkown", "Springfield")
"""Cities of a country; the real service spells the first in both ways."""
_SHARES: Final = (0, 0, 0, 0, 0, 1, 1, 1, 2, 3)
"""The country of each of ten consecutive events, counted from the record's own."""
CYCLE: Final = len(_SHARES) * len(_CITIES)
"""After this many events, places repeat."""


def mixed(*values: int) -> int:
    """Return 64 bits that look random, and depend on all values (splitmix64)."""
    state = 0
    for value in values:
        state = (state ^ value) + 0x9E3779B97F4A7C15 & _WORD - 1
        state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & _WORD - 1
        state = (state ^ state >> 27) * 0x94D049BB133111EB & _WORD - 1
        state ^= state >> 31
    return state


def total(counter: str, kind: str, number: int, published: int, day: int) -> int:
    """Return how many events there were until the end of `day`; none before that of publication. Days are ordinals.

    The n-th day brings the sum to (n + f) times the record's rate, rounded down; f, below 1, depends on record and day.
    """
    days = day - published + 1
    if days < 1:
        return 0
    key = COUNTERS.index(counter), *kind.encode()[:1], number
    spread = mixed(*key)
    if spread % _QUIET == 0:
        return 0
    rate = _DAILY[counter] * (spread >> 32) / 2**32
    return int((days + mixed(*key, days) / _WORD) * rate)


def place(kind: str, number: int, event: int) -> tuple[str, str]:
    """Return country and city of a record's n-th event, counted from 1, of any counter."""
    first = mixed(*kind.encode()[:1], number) % len(_COUNTRIES)
    country = _COUNTRIES[(first + _SHARES[event % len(_SHARES)]) % len(_COUNTRIES)]
    return country, _CITIES[event // len(_SHARES) % len(_CITIES)]


def places(kind: str, number: int, before: int, until: int) -> Iterator[tuple[str, str, int]]:
    """Return the places of the events after `before` up to `until`, as totals, with how many there were at each."""
    for rest in range(CYCLE):
        count = (until - rest) // CYCLE - (before - rest) // CYCLE
        if count:
            yield *place(kind, number, rest), count


def figures(counter: str, kind: str, number: int, published: float | None, now: float) -> int:
    """Return a record's total as of now, as listings are ordered by it. Times are seconds since the epoch."""
    if not published:
        return 0
    return total(counter, kind, number, day_of(published).toordinal(), day_of(now).toordinal())


def day_of(moment: float) -> date:
    """Return the day of a moment in seconds since the epoch."""
    return datetime.fromtimestamp(moment, UTC).date()
