"""Extract values from loosely structured data: anything unexpected counts as absent. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from uploader.metadata import identifiers
from uploader.metadata.importers.tracking import mark_read
from uploader.metadata.people import first_and_last, people
from uploader.metadata.vocabulary import DEFAULT_RELATION
from uploader.text import plain

_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f]")
"""Control characters other than white space, which Figshare's database may reject."""


@dataclass(frozen=True, kw_only=True)
class Extracted:
    """The content of a foreign file as figup's own `fields`.

    `implied` are defaults of the format for fields that the file does not have; they apply to the folder, not to a
    single file beside it. `remarks` are lines for the user. `access_restriction` says why access is restricted if that
    cannot be expressed as an embargo, else None. `lost_authors` is the number of authors if none of them can be used.
    """

    fields: dict[str, Any]
    implied: Mapping[str, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    access_restriction: str | None = None
    lost_authors: int = 0


class Findings:
    """The usable content of a file, with a remark for everything else."""

    def __init__(self) -> None:
        self._remarks: list[str] = []
        self._lost_authors = 0

    def remark(self, message: str) -> None:
        """Add a remark for the user."""
        self._remarks.append(message)

    def contributors(self, values: Sequence[Any]) -> None:
        """Add a remark that contributors are ignored."""
        values = [one for one in values if one not in (None, "", {}, [])]
        if values:
            mark_read(values)
            self.remark(f"contributors: {len(values)} ignored; Figshare has authors only")

    def ignored(self, field: str, values: Sequence[Any], why: str) -> None:
        """Add a remark that these values are ignored, if there are any."""
        if values:
            self.remark(f"{field}: {', '.join(map(_short, values))} ignored; {why}")

    def unknown_relation(self, relation: str, identifier: str) -> None:
        """Add a remark that a material gets the default relation."""
        self.remark(f"unknown relation {relation!r}: {identifier!r} is related by {DEFAULT_RELATION} instead")

    def texts(self, field: str, values: Iterable[Any], read: Callable[[Any], str | None]) -> list[str]:
        """Return the texts of a list of values."""
        found = []
        for number, value in enumerate(values, start=1):
            word = read(value)
            if word:
                found.append(word)
            elif value not in ("", {}, []):
                mark_read(value)
                self.remark(f"{field}[{number}]: {_short(value)} is not text; ignored")
        return found

    def keywords(self, values: Sequence[Any], read: Callable[[Any], str | None]) -> list[str]:
        """Return keywords. A single text is split at commas and semicolons, each of several at semicolons."""
        words = self.texts("keywords", values, read)
        separators = r"[;\n]" if len(values) > 1 or any(";" in word for word in words) else r"[,;\n]"
        pieces = (piece.strip() for word in words for piece in re.split(separators, word))
        return list(dict.fromkeys(piece for piece in pieces if piece))

    def text(self, value: object, *keys: str) -> str | None:
        """Return the first of these fields that has a text."""
        found = text(value, *keys)
        if found is None and isinstance(value, dict):
            for key in (key for key in keys if value.get(key) not in (None, "", [], {})):
                mark_read(value[key])
                self.remark(f"{key}: {_short(value[key])} is not text; ignored")
        return found

    def kind(self, field: str, name: str | None, kinds: Mapping[str, str]) -> str | None:
        """Return the item type for a type name of the format."""
        found = kinds.get(plain(name or ""))
        if name is not None and found is None:
            self.remark(f"{field}: Figshare has no type {name!r}; ignored")
        return found

    def only(self, field: str, values: Iterable[Any], read: Callable[[Any], str | None]) -> str | None:
        """Return the first of several texts, for a field in which Figshare accepts one."""
        first, *others = dict.fromkeys(self.texts(field, values, read)) or (None,)
        if others:
            self.remark(f"{field}: Figshare takes one; {first!r} is used, not {', '.join(map(repr, others))}")
        return first

    def authors(
        self,
        values: Sequence[Any],
        read: Callable[[Any], dict[str, Any] | str | None],
        *,
        is_organization: Callable[[Any], bool] = lambda _: False,
    ) -> list[Any]:
        """Return authors in figup's fields. One entry may have several people, but no organization is split."""
        found: list[dict[str, Any] | str] = []
        for number, value in enumerate(values, start=1):
            author = read(value)
            if author is None:
                mark_read(value)
                self.remark(f"authors[{number}]: {_short(value)} has no name; ignored")
            elif isinstance(author, str) or "orcid" in author or is_organization(value):
                found.append(author)
            else:
                found += self._single(author, number)
        affiliations = [value.get("affiliation") for value in values if isinstance(value, dict)]
        if any(affiliations):
            mark_read(affiliations)
            self.remark("authors: affiliations ignored; Figshare's authors have none")
        self._lost_authors = len(values) if not found else 0
        return found

    def _single(self, author: dict[str, Any], number: int) -> list[dict[str, Any] | str]:
        """Return the authors in one entry: `Doe, Jane and Roe, Richard` are two."""
        several = ";" in author.get("name", "") or "," in author.get("first_name", "")
        names = people(author.get("name") or f"{author['last_name']}, {author['first_name']}") if several else []
        if len(names) < 2:
            return [author]
        self.remark(f"authors[{number}]: read as {len(names)} authors: {'; '.join(names)}")
        return list(names)

    def extracted(
        self,
        fields: dict[str, Any],
        *,
        implied: Mapping[str, str] | None = None,
        access_restriction: str | None = None,
    ) -> Extracted:
        """Return the fields with all remarks."""
        return Extracted(
            fields=fields,
            implied=implied or {},
            remarks=tuple(self._remarks),
            access_restriction=access_restriction,
            lost_authors=self._lost_authors,
        )


def _short(value: object) -> str:
    shown = json.dumps(value, ensure_ascii=False, default=str)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."


def text(value: object, *keys: str) -> str | None:
    """Return a text on one line: the value itself, or the first of `keys` of a mapping that has one.

    A key whose value is something else is not asked for, so that it is named as not used.
    """
    if keys:
        found = (key for key in keys if isinstance(value, dict) and text(dict.get(value, key)))
        key = next(found, None)
        return text(value.get(key)) if key is not None and isinstance(value, dict) else None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    return " ".join(_CONTROL.sub("", str(value)).split()) or None


def as_list(value: object, key: str) -> list[Any]:
    """Return the elements of a mapping's field; a single value is a list of one."""
    found = value.get(key) if isinstance(value, dict) else None
    if found is None:
        return []
    return found if isinstance(found, list) else [found]


def compact(**fields: Any) -> dict[str, Any]:
    """Return the fields that have a value."""
    return {name: value for name, value in fields.items() if value not in (None, "", [], {})}


def unique(values: Iterable[dict[str, Any] | None], key: str) -> list[dict[str, Any]]:
    """Return the values that are not None; of several with the same `key`, the first."""
    found: dict[str, dict[str, Any]] = {}
    for value in values:
        if value:
            found.setdefault(str(value.get(key)).lower(), value)
    return list(found.values())


def full_name(first: str | None, last: str | None, name: str | None, *, organization: bool = False) -> dict[str, str]:
    """Return an author's name in figup's fields; empty without a name.

    First and last name if both are given, or if a person's `name` is written as `Doe, Jane`; else one name.
    """
    if not (first and last) and name and not organization:
        first, last = first_and_last(name)
    if first and last:
        return {"first_name": first, "last_name": last}
    single = name or last or first
    return {"name": single} if single else {}


def embargo(available: str | None, today: date) -> dict[str, str] | None:
    """Return an embargo until the given opening, None if it is in the past.

    A range counts from its start. A month or year that is not over is kept as it is; the validator reports it.
    """
    begin = (available or "").partition("/")[0].strip()
    try:
        over = identifiers.day(begin) <= today.isoformat()
    except ValueError:
        over = not begin or (begin.replace("-", "").isdecimal() and begin < today.isoformat()[: len(begin)])
    return None if over else {"until": begin}
