"""The columns of a table, and the cells of each record. Pure.

A table has one row a record. Lists share a cell, joined by " | "; a "|" inside a value becomes "¦". Columns of custom
fields are called `custom:NAME`: names are free text, and some equal those of other columns.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from uploader.catalog.report import values as v
from uploader.catalog.report.values import Cell, Raw, Values
from uploader.errors import UsageError
from uploader.figshare.ids import Kind
from uploader.text import did_you_mean

ColumnKind: TypeAlias = Literal["text", "number", "time", "flag"]
CUSTOM = "custom:"
"""Prefix of the names of columns of custom fields."""
JOIN, PIPE = " | ", "¦"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One record of a report: its row in Figshare's list, and the record in full, None if it could not be read.

    `missing` says why it could not, "" if it was read.
    """

    kind: Kind
    row: Raw
    full: Raw | None
    missing: str = ""

    @property
    def raw(self) -> Raw:
        """Everything that is known of it."""
        return {**self.row, **self.full} if self.full is not None else self.row


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column. A "time" is ISO 8601 text as Figshare sent it; `meaning` is one line for people."""

    name: str
    meaning: str
    read: Callable[[Entry, Raw], Cell | Values]
    kind: ColumnKind = "text"


def _column(name: str, meaning: str, read: Callable[[Raw], Cell | Values], kind: ColumnKind = "text") -> Column:
    return Column(name=name, meaning=meaning, read=lambda _, raw: read(raw), kind=kind)


def _text(name: str, key: str, meaning: str) -> Column:
    return _column(name, meaning, lambda raw: v.text(raw.get(key)))


def _time(name: str, key: str, meaning: str) -> Column:
    return _column(name, meaning, lambda raw: v.text(raw.get(key)), "time")


def _number(name: str, key: str, meaning: str) -> Column:
    return _column(name, meaning, lambda raw: v.number(raw.get(key)), "number")


def _flag(name: str, key: str, meaning: str) -> Column:
    return _column(name, meaning, lambda raw: v.flag(raw.get(key)), "flag")


def _timeline(name: str, key: str, meaning: str) -> Column:
    return _column(name, f"{meaning}; no time zone is stated", lambda raw: v.text(v.part(raw, "timeline", key)), "time")


_ADDRESSES = ("url_public_html", "figshare_url", "url_private_html", "url")
_DEFAULT: tuple[Column, ...] = (
    Column(name="record_type", meaning="item, collection or project", read=lambda entry, _: entry.kind),
    _number("id", "id", "Figshare's number"),
    _number("version", "version", "the version that the row describes"),
    Column(name="state", meaning="public, embargoed-file, embargoed-item, metadata-only, linked, draft or unpublished",
           read=lambda entry, raw: v.state(raw) if entry.full is not None else None),
    _text("title", "title", "title, as it was entered"),
    _text("doi", "doi", "DOI of the version"),
    _text("handle", "handle", "handle, if it has one"),
    _column("url", "address of the page", lambda raw: next(filter(None, map(v.text, map(raw.get, _ADDRESSES))), None)),
    _text("type", "defined_type_name", "type, such as dataset"),
    _time("published_date", "published_date", "publication; withdrawn records keep it"),
    _time("created_date", "created_date", "creation"),
    _time("modified_date", "modified_date", "last change"),
    _timeline("posted", "posted", "posted"),
    _timeline("first_online", "firstOnline", "first online"),
    _timeline("publisher_publication", "publisherPublication", "published by the publisher"),
    _timeline("publisher_acceptance", "publisherAcceptance", "accepted by the publisher"),
    _timeline("revision", "revision", "revised"),
    _timeline("submission", "submission", "submitted"),
    _column("authors", "authors in their order, with ORCID iDs", v.authors),
    _column("orcids", "ORCID iDs of authors", lambda raw: v.texts(raw, "authors", "orcid_id")),
    _column("author_ids", "Figshare's numbers of authors", lambda raw: v.texts(raw, "authors", "id")),
    _column("categories", "titles of categories", lambda raw: v.texts(raw, "categories", "title")),
    _column("keywords", "keywords", lambda raw: v.texts(raw, "tags") or v.texts(raw, "keywords")),
    _column("licence", "name of the licence", lambda raw: v.text(v.part(raw, "license", "name"))),
    _column("licence_url", "address of the licence", lambda raw: v.text(v.part(raw, "license", "url"))),
    _column("description", "description as plain text", lambda raw: v.plain_text(raw.get("description")) or None),
    _column("funding", "titles of grants", lambda raw: v.texts(raw, "funding_list", "title")),
    _column("funders", "names of funders", lambda raw: v.texts(raw, "funding_list", "funder_name")),
    _column("grant_codes", "codes of grants", lambda raw: v.texts(raw, "funding_list", "grant_code")),
    _column("references", "addresses that it refers to", lambda raw: v.texts(raw, "references")),
    _column("related_materials", "related materials, with their relation", v.related),
    _text("resource_title", "resource_title", "title of the publication that it belongs to"),
    _text("resource_doi", "resource_doi", "DOI of that publication"),
    _number("group_id", "group_id", "number of its group"),
    _number("owner_id", "account_id", "number of the owner's account; only shown to the owner and administrators"),
    _column("files", "names of files", lambda raw: v.texts(raw, "files", "name")),
    _column("size_bytes", "bytes of all files", v.size, "number"),
    _flag("linked_file", "has_linked_file", "whether its file is a link"),
    _flag("is_metadata_record", "is_metadata_record", "whether it has metadata alone"),
    _text("metadata_reason", "metadata_reason", "why it has metadata alone"),
    _time("embargo_date", "embargo_date", "end of the embargo"),
    _text("embargo_type", "embargo_type", "file or article, if under embargo"),
    _text("embargo_reason", "embargo_reason", "reason of the embargo"),
    _flag("is_confidential", "is_confidential", "whether its files are confidential"),
    _text("citation", "citation", "citation"),
)  # fmt: skip
_MISSING = Column(name="missing", meaning="why a record could not be read in full", read=lambda e, _: e.missing or None)
_FURTHER = (_text("description_html", "description", "description as HTML"),)
_NOTEBOOK: tuple[Column, ...] = (
    _number("id", "id", "number"),
    *(_text(name, name, name) for name in ("title", "doi", "handle", "url")),
    _time("published_date", "published_date", "publication"),
    _text("thumb", "thumb", "address of a picture"),
    _number("defined_type", "defined_type", "number of the type"),
    _text("defined_type_name", "defined_type_name", "type"),
    _number("group_id", "group_id", "group"),
    *(_text(name, name, name) for name in ("url_private_api", "url_public_api", "url_private_html", "url_public_html")),
    *(_text(name, name, name) for name in ("resource_title", "resource_doi")),
    *(_timeline(name, name, name) for name in (
        "posted", "firstOnline", "publisherPublication", "publisherAcceptance", "revision", "submission")),
)  # fmt: skip
"""What the rows of Figshare's lists have, under their names and in their order, as the official notebooks keep them."""
KNOWN: dict[str, Column] = {one.name: one for one in (*_DEFAULT, *_FURTHER, _MISSING)}
"""All columns but those of custom fields."""


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The columns of a table, in order; `all_custom`: those of all custom fields come before the last one."""

    columns: tuple[Column, ...]
    all_custom: bool = False


def parse_columns(text: str) -> Selection:
    """Parse "default", "notebook", or names joined by commas; "custom" is all custom fields. Raises ValueError."""
    if text == "default":
        return Selection(columns=(*_DEFAULT, _MISSING), all_custom=True)
    if text == "notebook":
        return Selection(columns=_NOTEBOOK)
    names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    for name in names:
        if name not in KNOWN and name != "custom" and not name.startswith(CUSTOM):
            hint = did_you_mean(name, list(KNOWN))
            raise ValueError(f"unknown column {name!r}" + (f"; {hint[0].lower()}{hint[1:]}" if hint else ""))
    if not names:
        raise ValueError("no column is named")
    columns = tuple(KNOWN.get(name) or custom_column(name.removeprefix(CUSTOM)) for name in names if name != "custom")
    return Selection(columns=columns, all_custom="custom" in names)


def custom_column(name: str) -> Column:
    """Return the column of the custom field of this name."""
    return Column(
        name=f"{CUSTOM}{name}",
        meaning="a custom field of a group",
        read=lambda _, raw: v.custom_fields(raw).get(name, ()),
    )


@dataclass(kw_only=True)
class Layout:
    """The columns of one table with its custom fields. `replaced` counts the values in which a "|" was replaced."""

    columns: Sequence[Column]
    _custom: dict[str, int] = field(default_factory=dict)
    replaced: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._in_bulk = frozenset(self._custom.values())

    @classmethod
    def of(cls, selection: Selection, custom_names: Iterable[str]) -> Layout:
        """Return the layout for a selection; `custom_names` are all custom fields of the records, in any order."""
        chosen = {one.name for one in selection.columns}
        names = sorted(name for name in custom_names if f"{CUSTOM}{name}" not in chosen) if selection.all_custom else []
        if len(selection.columns) + len(names) > MAX_COLUMNS:
            raise UsageError(f"{len(names)} custom fields are more columns than a sheet can have; name some columns")
        custom = [custom_column(name) for name in names]
        at = len(selection.columns) - (selection.columns[-1:] == (_MISSING,))
        columns = [*selection.columns[:at], *custom, *selection.columns[at:]]
        return cls(columns=columns, _custom={name: at + number for number, name in enumerate(names)})

    @property
    def header(self) -> list[str]:
        """The names of the columns."""
        return [one.name for one in self.columns]

    def cells(self, entry: Entry) -> list[Cell]:
        """Return the cells of one record."""
        raw = entry.raw
        found: list[Cell] = [
            None if at in self._in_bulk else self._cell(column.read(entry, raw), column)
            for at, column in enumerate(self.columns)
        ]
        for name, values in v.custom_fields(raw).items() if self._custom else ():
            if (at := self._custom.get(name)) is not None:
                found[at] = self._cell(values, self.columns[at])
        return found

    def _cell(self, value: Cell | Values, column: Column) -> Cell:
        if not isinstance(value, tuple):
            return value
        self.replaced[column.name] += sum("|" in one for one in value)
        return JOIN.join(one.replace("|", PIPE) for one in value) or None


MAX_COLUMNS = 16_384
"""Columns of a sheet (Excel's published limit)."""
