"""The entries of a file of records, without interpretation: rows of a table, elements of a JSON list, JSON Lines."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import msgspec

from uploader.metadata.parse import load_json
from uploader.metadata.problems import raise_problem
from uploader.records.json_list import InvalidJson, elements
from uploader.records.tables import XLSX_MAGIC, Row, csv_rows, xlsx_rows
from uploader.sources.lists import as_utf8

_CSV = frozenset({".csv", ".tsv", ".txt"})
_WORKBOOKS = frozenset({".xlsx", ".xlsm", ".xls", ".ods"})
_JSON_LINES = frozenset({".jsonl", ".ndjson"})
_MAX_LINE = 2**20
"""Bytes of a first line that is decoded to find out whether a file whose name does not say so is JSON Lines.

Of a longer line, only its ends are looked at.
"""
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
    """Return the unit of places (line, row, record), and an iterator of the entries.

    `records` is the path of the list in a JSON file, None to find it. Raises UsageError and MetadataInvalid, also from
    the iterator.
    """
    suffix, begin = path.suffix.lower(), content.read(len(XLSX_MAGIC))
    content.seek(0)
    if begin == XLSX_MAGIC or suffix in _WORKBOOKS:
        return "row", _rows(xlsx_rows(content, str(path)))
    if suffix in _CSV:
        return "line", _rows(csv_rows(content, str(path)))
    text = _as_utf8(content, begin, str(path))
    kind = "lines" if suffix in _JSON_LINES else _json_kind(text)
    if not kind:
        hint = "The name of a table ends with .csv, .tsv or .xlsx."
        raise_problem(str(path), "is neither CSV, XLSX, JSON nor JSON Lines", hint=hint)
    return ("line", _json_lines(text)) if kind == "lines" else ("record", _json_list(text, records, str(path)))


def _as_utf8(content: BinaryIO, begin: bytes, origin: str) -> BinaryIO:
    """Return a text in UTF-8 at its beginning, also of one in UTF-16 with a byte order mark. Raises UsageError."""
    if begin.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return io.BytesIO(as_utf8(content.read(), origin))
    content.seek(len(codecs.BOM_UTF8) if begin.startswith(codecs.BOM_UTF8) else 0)
    return content


def _json_kind(text: BinaryIO) -> Literal["", "list", "lines"]:
    """Return whether a text may be a JSON list, or is JSON Lines; "" for neither. It stays at its place."""
    begin = text.tell()
    lines = (line for line in iter(lambda: text.readline(_MAX_LINE), b"") if line.strip(_BLANKS))
    first = next(lines, b"")
    rest = _rest_of_line(text, first)
    second = next(lines, b"")
    text.seek(begin)
    if first.lstrip(_BLANKS)[:1] not in (b"[", b"{"):
        return ""
    if rest:
        starts = (first.lstrip(_BLANKS)[:1], second.lstrip(_BLANKS)[:1])
        return "lines" if starts == (b"{", b"{") and rest.endswith(b"}") else "list"
    try:
        msgspec.json.decode(first, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        return "list"
    return "lines" if second else "list"


def _rest_of_line(text: BinaryIO, part: bytes) -> bytes:
    """Pass the rest of a line that begins with this part. Return its last part that is not blank; "" without one."""
    last = b""
    while not part.endswith(b"\n") and (part := text.readline(_MAX_LINE)):
        last = part.rstrip(_BLANKS) or last
    return last


def _rows(rows: Iterable[Row]) -> Iterator[Entry]:
    for row in rows:
        yield Entry(line=row.line, value=row.cells, problems=row.problems, remarks=row.remarks, header=row.header)


def _json_lines(lines: Iterable[bytes]) -> Iterator[Entry]:
    for number, line in enumerate(lines, start=1):
        if line.strip(_BLANKS):
            yield _entry(number, line.rstrip(b"\n"))


def _json_list(text: BinaryIO, records: str | None, origin: str) -> Iterator[Entry]:
    path = tuple(records.split(".")) if records else None
    try:
        for number, element in enumerate(elements(text, path), start=1):
            yield _entry(number, element)
    except InvalidJson as error:
        raise_problem(origin, f"invalid JSON: {error}", error.line)
    except LookupError:
        raise_problem(origin, f"has no list of records at {records!r}")
    except RecursionError:
        raise_problem(origin, "is nested too deeply")


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
