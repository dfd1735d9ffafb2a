"""The query language of `search_for`. Pure.

Words, `"phrases"` (or `'phrases'`) and `:field:` prefixes, combined with AND, OR, NOT and parentheses; a space means
OR. A prefix applies until the next operator or prefix; what follows `:tag:` until then is one tag. Words match inside
other words, ignoring case; the real service stems them instead.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from uploader.sandbox import categories
from uploader.sandbox.answers import invalid
from uploader.sandbox.checks import moment_of
from uploader.sandbox.filters import dois
from uploader.sandbox.items.store import Item
from uploader.sandbox.reference_data import licenses

Document = dict[str, list[str]]
"""Field → its texts in lower case; "" has those searched without a prefix."""
Query = Callable[[Document], bool]

_TOKEN = re.compile(r"""["]([^"]*)["]|'([^']*)'(?=[\s()]|$)|([()])|:(\w+):|([^\s()"]+)""")
_MAX_DEPTH = 50
_EXACT = frozenset({"tag", "doi", "orcid", "item_type", "extension", "institution"})
_ALIASES = {"search_term": "", "keyword": "tag"}
_PREFIXED = frozenset({"extension", "institution"})
"""Fields that are searched only with their prefix."""


def document(
    item: Item, authors: Sequence[dict[str, Any]], files: Iterable[str] = (), institution: str = ""
) -> Document:
    """Return the searchable texts of an item.

    `authors` are objects as the API shows them, `files` are names, `institution` is its string id.
    """
    meta = item.metadata
    fields: dict[str, Iterable[str]] = {
        "title": [meta["title"]],
        "description": [meta["description"]],
        "tag": meta["tags"],
        "category": [categories.title(number) for number in meta["categories"]],
        "author": [author["full_name"] for author in authors],
        "orcid": [author["orcid_id"] for author in authors],
        "item_type": [meta["defined_type"]],
        "references": meta["references"],
        "doi": dois(meta["doi"], item.version),
        "resource_doi": [meta["resource_doi"] or ""],
        "resource_title": [meta["resource_title"] or ""],
        "licence": [licenses(institution=True)[meta["license"]]["name"]],
        "project": [str(item.project_id or "")],
        "custom fields": values_of(meta["custom_fields"]),
        "extension": {name.rpartition(".")[2] for name in files if "." in name},
        "institution": [institution],
    }
    return searchable(fields, item.published)


def searchable(fields: Mapping[str, Iterable[str]], published: float | None) -> Document:
    """Return the texts of something for a search. `published` is in seconds since the epoch."""
    found = {name: [text.lower() for text in texts if text] for name, texts in fields.items()}
    words = [text for name, texts in found.items() if name not in _PREFIXED for text in texts]
    return {**found, "published": [] if published is None else [str(published)], "": words}


def values_of(custom: dict[str, Any]) -> list[str]:
    """Return the texts in the values of custom fields."""
    every = [one for value in custom.values() for one in (value if isinstance(value, list) else [value])]
    return [one for one in every if isinstance(one, str)]


def query_of(text: str) -> Query:
    """Parse a search. Surplus closing parentheses are ignored; an empty search matches everything.

    ApiError 422 if nested too deeply.
    """
    return _Parser(text).read()


class _Parser:
    """Recursive-descent parser. OR and a space bind less tightly than AND."""

    def __init__(self, text: str) -> None:
        self._tokens = [match.groups() for match in _TOKEN.finditer(text)]
        if sum(mark == "(" or word == "NOT" for _, _, mark, _, word in self._tokens) > _MAX_DEPTH:
            raise invalid("search_for is nested too deep", "search_for")
        self._index = 0
        self._field = ""

    def read(self) -> Query:
        found = self._parse_or(inside=False)
        return found if self._tokens else lambda _: True

    def _peek(self) -> str | None:
        """Return the bare word or parenthesis that comes next; None for the end, a phrase or a prefix."""
        if self._index >= len(self._tokens):
            return None
        _, _, mark, _, word = self._tokens[self._index]
        return mark or word

    def _parse_or(self, *, inside: bool) -> Query:
        parts: list[Query] = []
        while self._index < len(self._tokens):
            if self._peek() == ")":
                self._index += 1
                if inside:
                    break
            elif self._peek() == "OR":
                self._index, self._field = self._index + 1, ""
            else:
                parts.append(self._parse_and())
        return lambda found: any(part(found) for part in parts)

    def _parse_and(self) -> Query:
        parts = [self._parse_term()]
        while self._peek() == "AND":
            self._index, self._field = self._index + 1, ""
            parts.append(self._parse_term())
        return lambda found: all(part(found) for part in parts)

    def _parse_term(self) -> Query:
        if self._index >= len(self._tokens):
            return lambda _: True
        double, single, mark, field, word = self._tokens[self._index]
        phrase = double if double is not None else single
        self._index += 1
        if mark == "(":
            return self._parse_or(inside=True)
        if word == "NOT":
            self._field = ""
            negated = self._parse_term()
            return lambda found: not negated(found)
        if field is not None:
            self._field = _ALIASES.get(field, field)
            return self._parse_term()
        text = phrase if phrase is not None else self._words(word or "")
        return _contains(self._field, text.lower())

    def _words(self, first: str) -> str:
        """Return the text of a bare word; for a tag, also the words that follow, up to an operator or a prefix."""
        words = [first]
        while self._field == "tag" and (word := self._peek()) and word not in {"AND", "OR", "NOT", "(", ")"}:
            words.append(word)
            self._index += 1
        return " ".join(words)


def _contains(field: str, sought: str) -> Query:
    if field in {"published_before", "published_after"}:
        return _published(sought, before=field == "published_before")
    if field in _EXACT:
        return lambda found: sought in found.get(field, ())
    return lambda found: any(sought in text for text in found.get(field, ()))


def _published(sought: str, *, before: bool) -> Query:
    """Compare the time of publication; a date means its start, and anything else matches nothing."""
    limit = moment_of(sought.upper())

    def fits(found: Document) -> bool:
        times = [float(one) for one in found.get("published", ())]
        return limit is not None and any((one < limit) if before else (one >= limit) for one in times)

    return fits
