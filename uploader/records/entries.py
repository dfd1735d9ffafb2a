"""The entries of a file of records, without interpretation: rows of a table, elements of a JSON list, JSON Lines."""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from uploader.metadata.parse import load_json
from uploader.metadata.problems import raise_problem
from uploader.records.tables import XLSX_MAGIC, Row, csv_rows, xlsx_rows
from uploader.sources.lists import as_utf8

_CSV = frozenset({".csv", ".tsv", ".txt"})
_WORKBOOKS = frozenset({".xlsx", ".xlsm", ".xls", ".ods"})
_JSON_LINES = frozenset({".jsonl", ".ndjson"})
_LISTS = ("publications", "items", "data", "results", "records")
"""Where services put the list of records."""
_INSIDE = ("message", "response")
"""Objects in which services put it."""
_BLANKS = b" \t\r\n"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One record as the file has it, with the problems that its reading found. `header`: the columns of a table."""

    line: int
    value: dict[str, Any]
    problems: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    header: Sequence[str] = ()


def entries_of(path: Path, content: BinaryIO, records: str | None) -> tuple[str, Iterator[Entry]]:
    """Return what counts the places of entries (line, row, record), and the entries, read as they are asked for.

    `records` is the path of the list in a JSON file, None to find it. Raises UsageError and MetadataInvalid, also from
    the iterator.
    """
    suffix, begin = path.suffix.lower(), content.read(len(XLSX_MAGIC))
    content.seek(0)
    if begin == XLSX_MAGIC or suffix in _WORKBOOKS:
        return "row", _rows(xlsx_rows(content, str(path)))
    if suffix in _CSV:
        return "line", _rows(csv_rows(content, str(path)))
    if suffix in _JSON_LINES:
        return "line", _json_lines(_lines(content, begin, str(path)))
    data = as_utf8(content.read(), str(path))
    if data.lstrip(_BLANKS)[:1] not in (b"[", b"{"):
        hint = "The name of a table ends with .csv, .tsv or .xlsx."
        raise_problem(str(path), "is neither CSV, XLSX, JSON nor JSON Lines", hint=hint)
    try:
        return "record", _objects(_elements(data, records))
    except msgspec.DecodeError as error:
        if "trailing characters" in str(error):
            return "line", _json_lines(io.BytesIO(data))
        raise_problem(str(path), *_explained(error, data))
    except LookupError:
        raise_problem(str(path), f"has no list of records at {records!r}")
    except RecursionError:
        raise_problem(str(path), "is nested too deeply")


def _lines(content: BinaryIO, begin: bytes, origin: str) -> Iterable[bytes]:
    """Return the lines of a text in UTF-8, or UTF-16 with a byte order mark. Raises UsageError."""
    if begin.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return io.BytesIO(as_utf8(content.read(), origin))
    content.seek(len(codecs.BOM_UTF8) if begin.startswith(codecs.BOM_UTF8) else 0)
    return content


def _rows(rows: Iterable[Row]) -> Iterator[Entry]:
    for row in rows:
        yield Entry(line=row.line, value=row.cells, problems=row.problems, remarks=row.remarks, header=row.header)


def _json_lines(lines: Iterable[bytes]) -> Iterator[Entry]:
    for number, line in enumerate(lines, start=1):
        if line.strip(_BLANKS):
            yield _entry(number, line.rstrip(b"\n"))


def _objects(elements: Iterable[msgspec.Raw | bytes]) -> Iterator[Entry]:
    for number, element in enumerate(elements, start=1):
        yield _entry(number, bytes(element))


def _entry(number: int, data: bytes) -> Entry:
    try:
        value = load_json(data.decode())
    except UnicodeDecodeError:
        return Entry(line=number, value={}, problems=("is not UTF-8",))
    except ValueError as error:
        return Entry(line=number, value={}, problems=(f"invalid JSON: {error}",))
    except RecursionError:
        return Entry(line=number, value={}, problems=("is nested too deeply",))
    if not isinstance(value, dict):
        return Entry(line=number, value={}, problems=("is not an object with the fields of a record",))
    return Entry(line=number, value=value)


def _elements(data: bytes | msgspec.Raw, records: str | None) -> Sequence[msgspec.Raw | bytes]:
    """Return the elements of the list of records, undecoded: they are many, and decoded one by one.

    Without a list, the object is the only record. Raises msgspec.DecodeError, LookupError.
    """
    for name in records.split(".") if records else ():
        data = _members(data)[name]
    if _begins(data, b"["):
        return msgspec.json.decode(data, type=list[msgspec.Raw])
    if records:
        raise LookupError(records)
    members = _members(data)
    if name := next((name for name in _LISTS if name in members and _begins(members[name], b"[")), ""):
        return _elements(members[name], None)
    if name := next((name for name in _INSIDE if name in members and _begins(members[name], b"{")), ""):
        return _elements(members[name], None)
    return [data]


def _members(data: bytes | msgspec.Raw) -> dict[str, msgspec.Raw]:
    if not _begins(data, b"{"):
        raise LookupError
    return msgspec.json.decode(data, type=dict[str, msgspec.Raw])


def _begins(data: bytes | msgspec.Raw, mark: bytes) -> bool:
    return bytes(memoryview(data)[:100]).lstrip(_BLANKS).startswith(mark)


def _explained(error: msgspec.DecodeError, data: bytes) -> tuple[str, int | None]:
    """Return what is wrong with JSON, and the line."""
    place = re.search(r" \(byte (\d+)\)", str(error))
    message = str(error).replace(place[0], "") if place else str(error)
    return f"invalid JSON: {message}", data.count(b"\n", 0, int(place[1])) + 1 if place else None
