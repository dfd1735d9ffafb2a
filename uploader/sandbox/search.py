"""The query language of `search_for`, turned into SQL on the table of documents. Pure.

Words, `"phrases"` (or `'phrases'`) and `:field:` prefixes, combined with parentheses, NOT, AND and OR, which bind in
this order; a space means OR. A prefix applies until the next operator or prefix; what follows `:tag:` until then is one
tag. Words are found within words, upper and lower case being the same; with stems, their stems are compared instead, as
in the real service.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from uploader.sandbox.answers import invalid
from uploader.sandbox.checks import moment_of
from uploader.sandbox.sql import NEVER, Sql, all_of, any_of

_TOKEN = re.compile(r"""["]([^"]*)["]|'([^']*)'(?=[\s()]|$)|([()])|:(\w+):|([^\s()"]+)""")
_MAX_DEPTH = 50

_CONTAINING: Final = {
    "title": "title", "description": "description", "category": "categories", "author": "authors",
    "references": "links", "resource_doi": "resource_doi", "resource_title": "resource_title",
    "resource_link": "resource_link", "licence": "licence",
}  # fmt: skip
"""Fields that match by a part → their columns in the table of documents."""
_EXACT: Final = {"tag": "tags", "doi": "dois", "orcid": "orcids", "item_type": "type", "institution": "institution"}
"""Fields that are lists and match by one whole entry."""
_ALIASES: Final = {"search_term": "", "keyword": "tag"}
STEMMED: Final = ("words", "title", "description", "categories", "authors", "resource_title")
"""Columns that are compared by stems, if at all: running text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How terms are compared. `published` is the column of the time of publication.

    `extension` tests whether a document has a file of a kind: SQL with one parameter, "%.ext"; None if it has no files.
    """

    published: str
    extension: str | None
    stems: bool


def query_of(text: str, dialect: Dialect) -> Sql:
    """Parse a search. Surplus closing parentheses are ignored; an empty search matches everything.

    ApiError 422 if nested too deeply.
    """
    return _Parser(text, dialect).read()


class _Parser:
    """Recursive-descent parser. OR and a space bind less tightly than AND."""

    def __init__(self, text: str, dialect: Dialect) -> None:
        self._tokens = [match.groups() for match in _TOKEN.finditer(text)]
        if sum(mark == "(" or word == "NOT" for _, _, mark, _, word in self._tokens) > _MAX_DEPTH:
            raise invalid("search_for is nested too deep", "search_for")
        self._dialect = dialect
        self._index = 0
        self._field = ""

    def read(self) -> Sql:
        return self._parse_or(inside=False) if self._tokens else all_of([])

    def _peek(self) -> str | None:
        """Return the bare word or parenthesis that comes next; None for the end, a phrase or a prefix."""
        if self._index >= len(self._tokens):
            return None
        _, _, mark, _, word = self._tokens[self._index]
        return mark or word

    def _parse_or(self, *, inside: bool) -> Sql:
        parts: list[Sql] = []
        while self._index < len(self._tokens):
            if self._peek() == ")":
                self._index += 1
                if inside:
                    break
            elif self._peek() == "OR":
                self._index, self._field = self._index + 1, ""
            else:
                parts.append(self._parse_and())
        return any_of(parts)

    def _parse_and(self) -> Sql:
        parts = [self._parse_term()]
        while self._peek() == "AND":
            self._index, self._field = self._index + 1, ""
            parts.append(self._parse_term())
        return all_of(parts)

    def _parse_term(self) -> Sql:
        if self._index >= len(self._tokens):
            return all_of([])
        double, single, mark, field, word = self._tokens[self._index]
        phrase = double if double is not None else single
        self._index += 1
        if mark == "(":
            return self._parse_or(inside=True)
        if word == "NOT":
            self._field = ""
            negated = self._parse_term()
            return Sql(f"NOT ({negated.text})", negated.values)
        if field is not None:
            self._field = _ALIASES.get(field, field)
            return self._parse_term()
        text = phrase if phrase is not None else self._words(word or "")
        return _term(self._field, text.lower(), self._dialect)

    def _words(self, first: str) -> str:
        """Return the text of a bare word: of a tag also the words that follow, up to an operator or a prefix."""
        words = [first]
        while self._field == "tag" and (word := self._peek()) and word not in {"AND", "OR", "NOT", "(", ")"}:
            words.append(word)
            self._index += 1
        return " ".join(words)


def _term(field: str, sought: str, dialect: Dialect) -> Sql:
    """Return the condition of one word or phrase in a field; "" is any field."""
    if field in {"published_before", "published_after"}:
        return _published(sought, dialect.published, before=field == "published_before")
    if field in _EXACT:
        return _contains(_EXACT[field], f"\n{sought}\n")
    if field == "project":
        is_id = sought.isascii() and sought.isdigit() and len(sought) < 19
        return Sql("d.project_id IS ?", (int(sought),)) if is_id else NEVER
    if field == "extension":
        return NEVER if dialect.extension is None else Sql(dialect.extension, (f"%.{_unpatterned(sought)}",))
    column = "words" if field == "" else _CONTAINING.get(field)
    if column is None:
        return NEVER
    return _has_stems(column, sought) if dialect.stems and column in STEMMED else _contains(column, sought)


def _contains(column: str, sought: str) -> Sql:
    return Sql(f"instr(d.{column}, ?)", (sought,))


def _has_stems(column: str, sought: str) -> Sql:
    """Return the condition that a column has the stems of these words, in this order."""
    words = " ".join(re.findall(r"\w+", sought))
    if not words:
        return NEVER
    return Sql("d.rowid IN (SELECT rowid FROM stems WHERE stems MATCH ?)", (f'{column} : "{words}"',))


def _published(sought: str, column: str, *, before: bool) -> Sql:
    """Compare the time of publication; a date means its first moment, and anything else fits nothing.

    Like every condition it is never NULL, which NOT would leave NULL.
    """
    limit = moment_of(sought.upper())
    if limit is None:
        return NEVER
    return Sql(f"({column} IS NOT NULL AND {column} > 0 AND {column} {'<' if before else '>='} ?)", (limit,))


def _unpatterned(text: str) -> str:
    """Return a text as LIKE takes it literally, with the escape character `!`."""
    return re.sub(r"([!%_])", r"!\1", text)
