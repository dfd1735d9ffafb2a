"""The language of `search_for`, and what it is applied to. Pure.

Words, `"phrases"` and `:field:` prefixes, put together with AND, OR, NOT and parentheses; a blank means OR. A prefix
counts until the next operator or prefix. Words are found within words, upper and lower case being the same; the real
service stems them instead.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from uploader.sandbox import categories
from uploader.sandbox.answers import invalid
from uploader.sandbox.items.store import Item
from uploader.sandbox.reference_data import licenses

Document = dict[str, list[str]]
"""Field → its texts in lower case; "" has all of them."""
Query = Callable[[Document], bool]

_TOKEN = re.compile(r'"([^"]*)"|([()])|:(\w+):|([^\s()"]+)')
_DEEPEST = 50
_EXACT = frozenset({"tag", "doi", "orcid", "item_type"})


def document(item: Item, authors: Sequence[dict[str, Any]]) -> Document:
    """Return the searchable texts of an item; `authors` are objects as the API shows them."""
    meta = item.metadata
    fields = {
        "title": [meta["title"]],
        "description": [meta["description"]],
        "tag": meta["tags"],
        "category": [categories.title(number) for number in meta["categories"]],
        "author": [author["full_name"] for author in authors],
        "orcid": [author["orcid_id"] for author in authors],
        "item_type": [meta["defined_type"]],
        "references": meta["references"],
        "doi": [meta["doi"]],
        "resource_doi": [meta["resource_doi"] or ""],
        "resource_title": [meta["resource_title"] or ""],
        "licence": [licenses(institution=True)[meta["license"]]["name"]],
        "project": [str(item.project_id or "")],
    }
    found = {name: [text.lower() for text in texts if text] for name, texts in fields.items()}
    return {**found, "": [text for texts in found.values() for text in texts]}


def query_of(text: str) -> Query:
    """Parse a search. Surplus closing parentheses are ignored; an empty search matches everything.

    ApiError 422 if nested too deeply.
    """
    return _Reader(text).read()


class _Reader:
    """Reads the tokens once from left to right. OR and a blank bind less than AND."""

    def __init__(self, text: str) -> None:
        self._tokens = [match.groups() for match in _TOKEN.finditer(text)]
        if sum(mark == "(" or word == "NOT" for _, mark, _, word in self._tokens) > _DEEPEST:
            raise invalid("search_for is nested too deep", "search_for")
        self._at = 0
        self._field = ""

    def read(self) -> Query:
        found = self._either(inside=False)
        return found if self._tokens else lambda _: True

    def _word(self) -> str | None:
        """Return the bare word or parenthesis that comes next; None for the end, a phrase or a prefix."""
        if self._at >= len(self._tokens):
            return None
        _, mark, _, word = self._tokens[self._at]
        return mark or word

    def _either(self, *, inside: bool) -> Query:
        parts: list[Query] = []
        while self._at < len(self._tokens):
            if self._word() == ")":
                self._at += 1
                if inside:
                    break
            elif self._word() == "OR":
                self._at, self._field = self._at + 1, ""
            else:
                parts.append(self._both())
        return lambda found: any(part(found) for part in parts)

    def _both(self) -> Query:
        parts = [self._one()]
        while self._word() == "AND":
            self._at, self._field = self._at + 1, ""
            parts.append(self._one())
        return lambda found: all(part(found) for part in parts)

    def _one(self) -> Query:
        if self._at >= len(self._tokens):
            return lambda _: True
        phrase, mark, field, word = self._tokens[self._at]
        self._at += 1
        if mark == "(":
            return self._either(inside=True)
        if word == "NOT":
            self._field = ""
            negated = self._one()
            return lambda found: not negated(found)
        if field is not None:
            self._field = "" if field == "search_term" else field
            return self._one()
        return _contains(self._field, (phrase if phrase is not None else word or "").lower())


def _contains(field: str, sought: str) -> Query:
    if field in _EXACT:
        return lambda found: sought in found.get(field, ())
    return lambda found: any(sought in text for text in found.get(field, ()))
