"""Rows of a metadata report as records in the form of Figshare's API. Pure.

Two kinds of files go by that name: those of the administration pages, with their own columns and JSON in cells, and
the API's objects as programs write them, with its fields as columns and Python literals in cells. Columns that neither
has are custom fields.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Final

from uploader.catalog.batch.cells import Dates, flag, structure, whole_number
from uploader.catalog.report.columns import Entry
from uploader.catalog.report.values import custom_fields
from uploader.errors import UsageError
from uploader.metadata.problems import Problem, invalid
from uploader.metadata.vocabulary import license_at
from uploader.sources.tables import read_rows
from uploader.text import printable

_MAX_CELL: Final = 2**24
"""Characters of a cell."""
_PLAIN: Final = {
    "account_id": "account_id", "group_id": "group_id", "status": "status", "title": "title",
    "item_type": "defined_type_name", "description": "description", "doi": "doi", "handle": "handle",
    "private_link": "private_link", "embargo_type": "embargo_type", "embargo_title": "embargo_title",
    "embargo_reason": "embargo_reason", "embargo_request_access_message": "embargo_request_access_message",
    "resource_title": "resource_title", "resource_doi": "resource_doi",
    "metadata_record_only_reason": "metadata_reason", "linked_file": "linked_file",
}  # fmt: skip
"""Columns of the administration pages → fields of the API; the same in the next three."""
_FLAGS: Final = {
    "is_embargoed": "is_embargoed", "embargo_request_access": "embargo_request_access",
    "metadata_record_only": "is_metadata_record",
}  # fmt: skip
_LISTS: Final = {
    "authors": "authors", "categories": "categories", "keywords": "tags", "funding": "funding_list",
    "references": "references", "embargo_allowed_administrators": "embargo_allowed_administrators",
    "embargo_allowed_groups": "embargo_allowed_groups", "embargo_allowed_ip_ranges": "embargo_allowed_ip_ranges",
}  # fmt: skip
_TIMELINE: Final = {
    "first_online_date": "firstOnline", "acceptance_date": "publisherAcceptance",
    "publication_date": "publisherPublication",
}  # fmt: skip
_BATCH: Final = frozenset({"article_id", "licence", "embargo_date", *_PLAIN, *_FLAGS, *_LISTS, *_TIMELINE})
_API: Final = frozenset({
    "id", "title", "doi", "handle", "url", "thumb", "published_date", "created_date", "modified_date", "status",
    "defined_type", "defined_type_name", "group_id", "group_resource_id", "project_id", "account_id", "version", "size",
    "url_private_api", "url_public_api", "url_private_html", "url_public_html", "figshare_url", "citation", "timeline",
    "resource_title", "resource_doi", "resource_id", "description", "funding", "funding_list", "authors", "files",
    "tags", "keywords", "categories", "references", "related_materials", "license", "custom_fields", "is_active",
    "is_public", "is_confidential", "confidential_reason", "is_metadata_record", "metadata_reason", "has_linked_file",
    "is_embargoed", "embargo_date", "embargo_type", "embargo_title", "embargo_reason", "embargo_options",
    "download_disabled", "folder_structure", "curation_status",
})  # fmt: skip
_API_DATES: Final = frozenset({"published_date", "created_date", "modified_date", "embargo_date"})
_API_FLAGS: Final = frozenset({
    "is_active", "is_public", "is_confidential", "is_metadata_record", "has_linked_file", "is_embargoed",
    "download_disabled",
})  # fmt: skip
_API_LISTS: Final = frozenset({
    "timeline", "funding_list", "authors", "files", "tags", "keywords", "categories", "references", "related_materials",
    "license", "custom_fields", "embargo_options", "folder_structure",
})  # fmt: skip
_API_NUMBERS: Final = frozenset({"defined_type", "group_id", "project_id", "account_id", "version", "size"})
_NOTHING: Final = frozenset({"null", "none", "nan"})
"""An absent list in JSON, in Python and as pandas writes it."""
_MOMENTS: Final = frozenset({
    "posted", "firstOnline", "publisherPublication", "publisherAcceptance", "revision", "submission"})  # fmt: skip
"""Fields of the timeline, which some programs write as columns."""


@dataclass(kw_only=True)
class Found:
    """Findings in a file: number of records, repeated ids, unreadable cells, dates."""

    records: int = 0
    repeated: int = 0
    unread: Counter[str] = field(default_factory=Counter)
    dates: Dates = field(default_factory=Dates)


class Batch:
    """One file: all of it is checked first, then its records are read one by one."""

    def __init__(self, content: BinaryIO, name: str) -> None:
        """Check all rows of the CSV, which is read again for each pass.

        Raises MetadataInvalid with every row that is not one, UsageError.
        """
        csv.field_size_limit(_MAX_CELL)
        self._content, self._name = content, printable(name)
        self.found = Found()
        self._header = self._read_header()
        self._own = "article_id" in self._header
        self._dates = {"embargo_date", *_TIMELINE} if self._own else _API_DATES | _MOMENTS
        self._check()

    def custom_names(self) -> set[str]:
        """Return the names of the custom fields, which are columns, or in a column of the API's objects."""
        names = {name for place, name in enumerate(self._header) if name and self._is_custom(place)}
        if not self._own and "custom_fields" in self._header:
            names |= {name for entry in self.entries() for name in custom_fields(entry.raw)}
        return names

    def entries(self) -> Iterator[Entry]:
        """Yield the records in the order of the file. `found` is complete at the end."""
        self.found.unread.clear()
        self.found.dates.rewritten = self.found.dates.unclear = 0
        for _, cells in self._rows():
            if not isinstance(cells, UsageError):
                yield self._entry(cells)

    def _rows(self) -> Iterator[tuple[int, Sequence[str] | UsageError]]:
        """Return the rows after the header."""
        rows = read_rows(self._content, self._name)
        next(rows)
        return rows

    def _read_header(self) -> list[str]:
        _, cells = next(read_rows(self._content, self._name), (0, ()))
        if isinstance(cells, UsageError):
            raise cells
        if not cells:
            raise UsageError(f"{self._name}: has no records")
        # Names of custom fields may differ in blanks alone.
        known = _BATCH | _API
        header = [cell.strip() if cell.strip() in known else cell for cell in cells]
        while header and not header[-1].strip():
            header.pop()
        if "article_id" not in header and not {"id", "title"} <= set(header):
            raise UsageError(
                f"{self._name}: has no column 'article_id'",
                hint="It must be a metadata report of Figshare's administration pages.",
            )
        return header

    def _check(self) -> None:
        problems: list[Problem] = []
        seen: set[int] = set()
        width, id_at = len(self._header), self._header.index("article_id" if self._own else "id")
        dates = [place for place, name in enumerate(self._header) if name in self._dates]
        for line, cells in self._rows():
            if isinstance(cells, UsageError):
                text = str(cells).removeprefix(f"{self._name}: ").removeprefix(f"line {line}: ")
                problems.append(Problem(message=text, line=line))
            elif len(cells) < width or any(cell.strip() for cell in cells[width:]):
                problems.append(Problem(message=f"{len(cells)} cells instead of {width}", line=line))
            elif (number := whole_number(cells[id_at].strip())) is None:
                text = printable(cells[id_at])[:40]
                problems.append(Problem(message=f"invalid number {text!r}", field=self._header[id_at], line=line))
            else:
                self.found.records += 1
                self.found.repeated += number in seen
                seen.add(number)
                for place in dates:
                    self.found.dates.learn(cells[place].strip())
        if problems:
            raise invalid(self._name, problems, situation="batch-format")
        if not seen:
            raise UsageError(f"{self._name}: has no records")

    def _is_custom(self, place: int) -> bool:
        name = self._header[place]
        known = name in _BATCH if self._own else name in _API or name in _MOMENTS or name.startswith("Unnamed: ")
        # A custom field may have the name of another column; it comes after it.
        return not known or name in self._header[:place]

    def _entry(self, cells: Sequence[str]) -> Entry:
        record: dict[str, Any] = {}
        custom: list[dict[str, Any]] = []
        unread: list[str] = []
        for place, name in enumerate(self._header):
            cell = cells[place].strip()
            if name and self._is_custom(place):
                custom.append({"name": name, "value": _custom_value(cell)})
            elif name and cell:
                try:
                    self._put(record, name, cell)
                except ValueError as fault:
                    unread.append(f"{name}: {fault}")
                    self.found.unread[name] += 1
                    record[name] = cell
        if custom:
            record["custom_fields"] = [*_listed(record.get("custom_fields")), *custom]
        return Entry(kind="item", row={}, full=record, missing="; ".join(unread))

    def _put(self, record: dict[str, Any], name: str, cell: str) -> None:
        """Put a cell into the record. Raises ValueError."""
        if cell.lower() in _NOTHING and name in (_LISTS if self._own else _API_LISTS):
            return
        if name in self._dates:
            cell = self.found.dates.iso(cell)
        if name in _MOMENTS or name in _TIMELINE:
            timeline = record.get("timeline")
            # That of the API's objects may be a cell that is no object.
            record["timeline"] = {**(timeline if isinstance(timeline, dict) else {}), _TIMELINE.get(name, name): cell}
        elif self._own:
            _put_own(record, name, cell)
        elif name in _API_LISTS:
            record[name] = structure(cell)
        elif name in _API_FLAGS:
            record[name] = flag(cell)
        else:
            number = whole_number(cell) if name in _API_NUMBERS or name == "id" else None
            record[name] = cell if number is None else number


def _put_own(record: dict[str, Any], name: str, cell: str) -> None:
    """Put a cell of the administration pages into the record, in the form of the API."""
    if name == "article_id":
        record["id"] = whole_number(cell)
    elif name in _LISTS:
        as_api = _AS_API.get(name)
        values = structure(cell)
        if not isinstance(values, list):
            raise ValueError("not a list")
        record[_LISTS[name]] = values if as_api is None else list(map(as_api, values))
    elif name in _FLAGS:
        record[_FLAGS[name]] = flag(cell)
    elif name == "licence":
        record["license"] = {"name": license_at(cell), "url": cell}
    elif name == "embargo_date":
        record[name] = cell
    else:
        number = whole_number(cell) if name in _API_NUMBERS else None
        record[_PLAIN[name]] = cell if number is None else number
        if name == "status":
            record["is_public"] = cell == "public"
        elif name == "linked_file":
            record["has_linked_file"] = True


def _author(one: object) -> object:
    if not isinstance(one, Mapping):
        return one
    names = (str(one.get(key) or "").strip() for key in ("first_name", "last_name"))
    return {**one, "full_name": " ".join(filter(None, names))}


def _category(one: object) -> object:
    return {"title": one} if isinstance(one, str) else one


def _grant(one: object) -> object:
    return {**one, "grant_code": one.get("code")} if isinstance(one, Mapping) else one


_AS_API: Final[Mapping[str, Callable[[object], object]]] = {
    "authors": _author, "categories": _category, "funding": _grant,
}  # fmt: skip
"""Entries of lists of the administration pages in the form of the API."""


def _custom_value(cell: str) -> Any:
    """Return the value of a custom field: a list if the cell has one."""
    if cell.startswith("["):
        try:
            return _listed(structure(cell))
        except ValueError:
            pass
    return cell


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
