"""Format a query in Figshare's search language. Pure.

Sources: the official pages on searching. A blank is OR there, a field's value reaches to the next operator or field,
and parentheses bind most, then NOT, AND and OR. Here every condition must hold; each value is quoted once, by `quoted`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

_SIMPLE = re.compile(r"[^\W_][\w.-]+[^\W_]")
_OPERATORS = frozenset({"AND", "OR", "NOT"})
_SPECIAL = re.compile(r"[\"\\\x00-\x1f\x7f]+")
"""Characters that a phrase cannot contain: no escape is documented, and searches do not index them."""

_FIRST = date(1900, 1, 1)
"""Before everything on Figshare."""
_UNSPACED = frozenset({"orcid", "extension"})
"""Fields whose value follows without a blank (observed)."""


@dataclass(frozen=True, kw_only=True)
class Query:
    """The conditions of a search. All values of each field must be found; a value with spaces is a phrase.

    `any_word`: one of the `words` suffices. `extension` may begin with its dot. `until` is the last day of publication.
    `raw` is in the search language already; the rest is added to it.
    """

    words: tuple[str, ...] = ()
    any_word: bool = False
    title: tuple[str, ...] = ()
    description: tuple[str, ...] = ()
    author: tuple[str, ...] = ()
    orcid: tuple[str, ...] = ()
    tag: tuple[str, ...] = ()
    category: tuple[str, ...] = ()
    extension: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    licence: tuple[tuple[str, ...], ...] = ()
    """For each licence, the spellings that may find it."""
    until: date | None = None
    raw: str | None = None

    def text(self) -> str:
        """Return the query in Figshare's search language, "" if nothing is searched for."""
        conditions = [f"({self.raw})"] if self.raw else []
        words = [quoted(word) for word in self.words]
        conditions += [_either(words)] if self.any_word and words else words
        for field in ("title", "description", "author", "orcid", "tag", "category", "extension", "references"):
            conditions += [_of(field, value) for value in getattr(self, field)]
        conditions += [_either(_of("licence", name) for name in names) for names in self.licence]
        if self.until is not None:
            # Whether it includes the day itself is unknown; the rows are compared with the day.
            conditions.append(f":published_before: {days_later(self.until, 2)}")
        text = " AND ".join(conditions)
        return self.raw if self.raw and len(conditions) == 1 else text


def quoted(value: str) -> str:
    """Return a value as one term: a plain word as it is, anything else as a phrase."""
    if _SIMPLE.fullmatch(value) and value.upper() not in _OPERATORS:
        return value
    return f'"{" ".join(_SPECIAL.sub(" ", value).split())}"'


def days_later(day: date, count: int) -> date:
    """Return the day `count` days later, or before it if that is negative, within the years 1900 to 9999."""
    return date.fromordinal(min(max(day.toordinal() + count, _FIRST.toordinal()), date.max.toordinal()))


def is_searchable(value: str) -> bool:
    """Return whether anything of a value can be searched for: it has a letter or a digit."""
    return re.search(r"[^\W_]", value) is not None


def _of(field: str, value: str) -> str:
    value = value.lstrip(".") if field == "extension" else value
    return f":{field}:{'' if field in _UNSPACED else ' '}{quoted(value)}"


def _either(terms: Iterable[str]) -> str:
    every = list(dict.fromkeys(terms))
    return every[0] if len(every) == 1 else f"({' OR '.join(every)})"
