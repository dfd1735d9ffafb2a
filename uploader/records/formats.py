"""Read files of records: detect the format, read each entry, and collect every problem with its place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import msgspec

from uploader.errors import SourceNotFound, UsageError
from uploader.metadata import identifiers
from uploader.metadata.cursor import Context
from uploader.metadata.load import Loaded, load
from uploader.metadata.model import Metadata
from uploader.metadata.parse import Document, load_json
from uploader.metadata.problems import Problem, invalid
from uploader.metadata.schema import Validator
from uploader.records.model import Record
from uploader.records.tables import fields_of_row
from uploader.sources.lists import as_utf8, decoded
from uploader.sources.tables import read_rows
from uploader.system import PATH_FAULTS, path_error


@dataclass(frozen=True, kw_only=True)
class RecordFile:
    """The content of a file. `records` have the fields of `defaults` that they lack.

    `kind` is csv, xlsx, jsonl, dimensions, crossref, datacite or mapped. `unit` is what `Record.line` counts: line, row
    or record. `unused` counts the records that have a field which is not used, by its name. `remarks` are lines for the
    user.
    """

    path: Path
    kind: str
    unit: str
    records: list[Record]
    problems: list[Problem]
    unused: dict[str, int]
    remarks: list[str]
    defaults: Loaded | None = None

    def raise_problems(self) -> None:
        """Raise MetadataInvalid with all problems, if there are any."""
        if self.problems:
            raise invalid(str(self.path), self.problems)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One record: the fields of metadata files, and `id` and `link`. `problems` are those of its reading."""

    line: int
    fields: dict[str, Any]
    problems: tuple[Problem, ...] = ()
    remarks: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()


def read_records(
    path: Path, *, map_file: Path | None = None, defaults: Path | None = None, today: date, metadata_only: bool = False
) -> RecordFile:
    """Read a file of records. Problems of records are returned, not raised.

    `metadata_only`: the items get no link. Raises SourceNotFound, SourceUnreadable and MetadataInvalid for a file that
    cannot be read as a whole, and for an invalid map or defaults.
    """
    loaded = load(defaults, today) if defaults is not None else None
    data = _content(path)
    kind, unit, entries = _entries(path, data)
    builder = _Builder(Validator(today), loaded, unit, metadata_only=metadata_only)
    for entry in entries:
        builder.add(entry)
    return RecordFile(
        path=path, kind=kind, unit=unit, records=builder.records, problems=builder.problems,
        unused=dict(builder.unused), remarks=builder.remarks(), defaults=loaded,
    )  # fmt: skip


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise SourceNotFound(f"{path}: file of records not found", path=str(path)) from None
    except PATH_FAULTS as error:
        raise path_error(error, str(path)) from None


def _entries(path: Path, data: bytes) -> tuple[str, str, Iterator[Entry]]:
    if path.suffix.lower() in (".jsonl", ".ndjson"):
        return "jsonl", "line", _json_lines(path, data)
    return "csv", "line", _csv(path, data)


def _json_lines(path: Path, data: bytes) -> Iterator[Entry]:
    text = decoded(as_utf8(data, str(path)), str(path), "Save it as UTF-8.")
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            value = load_json(line)
        except ValueError as error:
            yield Entry(line=number, fields={}, problems=(Problem(message=f"invalid JSON: {error}"),))
            continue
        if isinstance(value, dict):
            yield Entry(line=number, fields=value)
        else:
            yield Entry(line=number, fields={}, problems=(Problem(message="expected the fields of a record"),))


def _csv(path: Path, data: bytes) -> Iterator[Entry]:
    header: list[str] = []
    for line, cells in read_rows(data, str(path)):
        if isinstance(cells, UsageError):
            yield Entry(line=line, fields={}, problems=(Problem(message=cells.message),))
        elif not header:
            header = [cell.strip() for cell in cells]
        else:
            fields, unused = fields_of_row(header, cells)
            yield Entry(line=line, fields=fields, unused=tuple(unused))


@dataclass(kw_only=False)
class _Builder:
    """Turns entries into records."""

    validator: Validator
    defaults: Loaded | None
    unit: str
    metadata_only: bool = field(kw_only=True)
    records: list[Record] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    unused: Counter[str] = field(default_factory=Counter)
    _lines: dict[str, int] = field(default_factory=dict)
    _remarks: dict[str, list[int]] = field(default_factory=dict)

    def add(self, entry: Entry) -> None:
        """Add the record of an entry, or its problems."""
        self.unused.update(entry.unused)
        for remark in entry.remarks:
            self._remarks.setdefault(remark, []).append(entry.line)
        problems = list(entry.problems)
        if not problems:
            record = self._record(entry, problems)
            if record is not None and not problems:
                self.records.append(record)
        self.problems += [msgspec.structs.replace(one, line=entry.line, unit=self.unit) for one in problems]

    def _record(self, entry: Entry, problems: list[Problem]) -> Record | None:
        fields = dict(entry.fields)
        source_id, link = fields.pop("id", None), fields.pop("link", None)
        context = Context(document=Document(source="", value=fields))
        own = self.validator.metadata(context)
        metadata = self._with_defaults(own)
        problems += context.problems
        if metadata.title is None and not any(one.field == "title" for one in problems):
            problems.append(Problem(message="a record needs a title", field="title"))
        address = self._address(link, problems)
        metadata = self._without_files(metadata, own.metadata_only, address, problems)
        key = self._key(source_id, metadata, entry.line, problems)
        if key is None:
            return None
        link = None if metadata.metadata_only is not None else address
        return Record(key=key, line=entry.line, metadata=metadata, link=link)

    def _with_defaults(self, own: Metadata) -> Metadata:
        if self.defaults is None:
            return own
        common = self.defaults.metadata
        merged = own.overriding(common)
        return msgspec.structs.replace(merged, custom_fields={**common.custom_fields, **own.custom_fields})

    def _address(self, link: object, problems: list[Problem]) -> str | None:
        text = str(link).strip() if link is not None else ""
        try:
            return identifiers.address(text) if text else None
        except ValueError as error:
            problems.append(Problem(message=str(error), field="link"))
            return None

    def _without_files(
        self, metadata: Metadata, own_reason: str | None, link: str | None, problems: list[Problem]
    ) -> Metadata:
        """Return the metadata with the reason why the item has no files, if it is to have none."""
        if self.metadata_only:
            reason = metadata.metadata_only or (f"Available at {link}" if link else "The files are kept elsewhere")
            return msgspec.structs.replace(metadata, metadata_only=reason)
        if link is not None and own_reason is not None:
            problems.append(Problem(message="has a link, so it cannot be metadata-only", field="metadata_only"))
        if link is not None:
            return msgspec.structs.replace(metadata, metadata_only=None)
        if metadata.metadata_only is None and not any(one.field == "link" for one in problems):
            message = "a record needs the address of its file (link), or the reason why it has none (metadata_only)"
            problems.append(Problem(message=message))
        return metadata

    def _key(self, source_id: object, metadata: Metadata, line: int, problems: list[Problem]) -> str | None:
        text = " ".join(str(source_id).split()) if source_id is not None else ""
        key = metadata.doi.lower() if metadata.doi else text
        if not key:
            if not any(one.field == "doi" for one in problems):
                problems.append(Problem(message="a record needs a doi or an id, by which it is found again"))
            return None
        first = self._lines.setdefault(key, line)
        if first != line:
            problems.append(Problem(message=f"{key} is in {self.unit} {first} already"))
        return key

    def remarks(self) -> list[str]:
        """Return each remark once, with the number of records it is about."""
        return [f"{text} ({_places(lines, self.unit)})" for text, lines in self._remarks.items()]


def _places(lines: list[int], unit: str) -> str:
    return f"{unit} {lines[0]}" if len(lines) == 1 else f"{len(lines)} records, the first in {unit} {lines[0]}"
