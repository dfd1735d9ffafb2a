"""Read files of records: detect the format, and read each entry of the file with it."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, BinaryIO

from uploader.errors import SourceNotFound
from uploader.metadata.importers.extract import Extracted
from uploader.metadata.importers.tracking import tracked, unread_keys
from uploader.metadata.load import Loaded, load
from uploader.metadata.problems import Problem, invalid, raise_problem
from uploader.metadata.schema import Validator
from uploader.records import columns, crossref, datacite, dimensions
from uploader.records.build import Builder
from uploader.records.entries import Entry, entries_of
from uploader.records.mapping import Map, load_map
from uploader.records.model import ItemKey, Record
from uploader.records.packed import Packed
from uploader.system import path_error

__all__ = ["ItemKey", "RecordFile", "read_records"]

Extract = Callable[[dict[str, Any], date], Extracted]
_SERVICES: dict[str, Extract] = {
    "dimensions": dimensions.extract, "crossref": crossref.extract, "datacite": datacite.extract,
}  # fmt: skip
MAX_SIZE = 2 * 1024**3
"""Maximum bytes of a file."""


@dataclass(frozen=True, kw_only=True)
class RecordFile:
    """The content of a file. `records` have the fields of `defaults` that they lack.

    `kind` is csv, xlsx, jsonl, dimensions, crossref or datacite. `unit` is what `Record.line` counts: line, row or
    record. `unused` has the names of fields that are not used, with the number of records that have them. `remarks` are
    lines for the user.
    """

    path: Path
    kind: str
    unit: str
    records: Packed[Record]
    problems: list[Problem]
    unused: dict[str, int]
    remarks: list[str]
    defaults: Loaded | None = None

    @property
    def is_harvested(self) -> bool:
        """Whether the records are from a service: the user cannot correct them."""
        return self.kind in _SERVICES

    @property
    def default_license(self) -> str | int | None:
        """The licence of the defaults."""
        return self.defaults.metadata.license if self.defaults is not None else None

    def raise_problems(self) -> None:
        """Raise MetadataInvalid with all problems, if there are any."""
        if self.problems:
            raise invalid(str(self.path), self.problems, situation="records-format")


def read_records(
    path: Path,
    *,
    map_file: Path | None = None,
    defaults: Path | None = None,
    today: date,
    metadata_only: bool = False,
    key: ItemKey | None = None,
) -> RecordFile:
    """Read a file of records. Their problems are returned, not raised.

    `map_file` says where fields are in another shape. `metadata_only`: the items get no link. `key`: the records are
    about items that exist, which they name by this, so that no other field is required. Raises SourceNotFound,
    SourceUnreadable, UsageError and MetadataInvalid for a file that cannot be read as a whole, and for an invalid
    map or defaults.
    """
    mapped = load_map(map_file) if map_file is not None else None
    common = load(defaults, today) if defaults is not None else None
    reader: _Reader | None = None
    with _opened(path) as content:
        unit, entries = entries_of(path, content, mapped.records if mapped is not None else None)
        builder = Builder(unit=unit, defaults=common, metadata_only=metadata_only, key=key)
        for entry in entries:
            builder.entries += 1
            builder.fail(entry.line, (Problem(message=text) for text in entry.problems))
            builder.remark(entry.line, entry.remarks)
            if not entry.problems:
                reader = reader or _reader(path, unit, entry, mapped, today, titled=key is None)
                reader.add(builder, entry)
    if reader is None and not builder.problems:
        raise_problem(str(path), "contains no record")
    return RecordFile(
        path=path, kind=reader.kind if reader is not None else "", unit=unit, records=builder.records,
        problems=builder.reported(), unused=dict(builder.unused), defaults=common,
        remarks=[*(common.remarks if common is not None else ()), *builder.remarks()],
    )  # fmt: skip


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """Open a file; one that cannot be read twice, such as a pipe, is read at once."""
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size > MAX_SIZE:
                raise_problem(str(path), "is larger than 2 GiB; split it")
            yield file if file.seekable() else io.BytesIO(file.read())
    except FileNotFoundError:
        raise SourceNotFound(f"{path}: file of records not found", path=str(path)) from None
    except OSError as error:
        raise path_error(error, str(path)) from None


@dataclass(frozen=True, kw_only=True)
class _Reader:
    """Reads the entries of one format. `extract` None: they have the fields of metadata files, or those of the map."""

    kind: str
    extract: Extract | None
    mapped: Map | None
    today: date

    @property
    def validator(self) -> Validator:
        """Only figup's own formats have Markdown, and names that may be written as `Doe, Jane`."""
        own = self.kind not in _SERVICES
        return Validator(self.today, whole_names=not own, markdown=own and self.mapped is None)

    def add(self, builder: Builder, entry: Entry) -> None:
        """Add the record of an entry, or its problems."""
        if self.extract is None and self.mapped is None:
            builder.add(entry.line, entry.value, self.validator)
            return
        record = tracked(entry.value)
        found = self.extract(record, self.today) if self.extract is not None else Extracted(fields={})
        builder.remark(entry.line, (*found.remarks, *filter(None, [found.access_restriction])))
        fields = found.fields
        if self.mapped is not None:
            fields = self.mapped.apply(record, fields, is_row=bool(entry.header))
        if found.lost_authors:
            builder.fail(entry.line, [Problem(message="no author has a name", field="authors")])
        builder.add(entry.line, fields, self.validator, harvested=self.kind in _SERVICES)
        builder.unused.update(unread_keys(record))


def _reader(path: Path, unit: str, entry: Entry, mapped: Map | None, today: date, *, titled: bool) -> _Reader:
    """Return the reader for the format of an entry. `titled`: raises MetadataInvalid for a table without titles."""
    if dimensions.is_export(entry.header):
        return _Reader(kind="dimensions", extract=dimensions.extract_row, mapped=mapped, today=today)
    if entry.header:
        has_title = columns.has_title(entry.header) or (mapped is not None and "title" in mapped.fields)
        if titled and not has_title:
            known = ", ".join(columns.COLUMNS)
            raise_problem(str(path), "has no column for the title", hint=f"Columns are {known} and custom:NAME.")
        kind = "xlsx" if unit == "row" else "csv"
        return _Reader(kind=kind, extract=columns.extract, mapped=mapped, today=today)
    kind = _kind_of(entry.value)
    return _Reader(kind=kind, extract=_SERVICES.get(kind), mapped=mapped, today=today)


def _kind_of(value: dict[str, Any]) -> str:
    """Return the format of a JSON object."""
    if "DOI" in crossref.work(value) or ("indexed" in value and "deposited" in value):
        return "crossref"
    if isinstance(value.get("attributes"), dict) or "titles" in value or "creators" in value:
        return "datacite"
    if isinstance(value.get("data"), dict) and "attributes" in value["data"]:
        return "datacite"
    return "dimensions" if str(value.get("id", "")).startswith("pub.") else "jsonl"
