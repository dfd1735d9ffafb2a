"""Rows of tables (CSV, workbooks) by the names of their columns."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any, BinaryIO

from uploader.errors import Facts, MetadataInvalid, UsageError
from uploader.metadata.problems import raise_problem
from uploader.records.extent import check_extent
from uploader.sources.tables import MAX_COLUMNS, read_rows

XLSX_MAGIC = b"PK\x03\x04"
_PREAMBLE = "about the data"
"""The beginning of the line above the header of a Dimensions export."""
_ERRORS = frozenset({"#N/A", "#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "#NULL!", "#NUM!"})
_SHORTENED = re.compile(r"-?\d(?:[.,]\d+)?E\+\d\d+")
_DATE_COLUMN = re.compile(r"date|online|publi|accept|posted|embargo|until|year", re.IGNORECASE)
_EXACT = 10**15
"""Excel keeps 15 digits of a number."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """The cells of a row that are not empty, by column. `line` is its place, from 1; `header` has all columns."""

    line: int
    cells: dict[str, str]
    header: Sequence[str]
    problems: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


def csv_rows(content: BinaryIO, origin: str) -> Iterator[Row]:
    """Return the rows of a CSV table. Raises MetadataInvalid for an invalid header, UsageError if it is not a table."""
    lines = read_rows(content, origin)
    yield from _named(((line, cells, []) for line, cells in lines), origin, "line")


def xlsx_rows(content: BinaryIO, origin: str) -> Iterator[Row]:
    """Return the rows of the first sheet of a workbook. Raises MetadataInvalid, UsageError."""
    try:
        import python_calamine
    except ImportError:
        raise UsageError("reading .xlsx needs the package python-calamine", facts=Facts("no-xlsx")) from None
    check_extent(content, origin)
    try:
        workbook = python_calamine.CalamineWorkbook.from_filelike(content)
        sheet = workbook.get_sheet_by_index(0)
    except python_calamine.CalamineError as error:
        raise_problem(origin, f"is not an Excel workbook: {error}", hint="Save it as .xlsx, or as CSV UTF-8.")
    more = [f"only the first sheet is read, not {name!r}" for name in workbook.sheet_names[1:]]
    # The library leaves out empty columns at the left, but messages name a column by its number.
    blank = [""] * (sheet.start[1] if sheet.start is not None else 0)
    yield from _named(_texts(([*blank, *row] for row in sheet.iter_rows()), more), origin, "row")


def _texts(rows: Iterable[Sequence[Any]], remarks: list[str]) -> Iterator[tuple[int, list[str], list[str]]]:
    header: list[str] = []
    for number, row in enumerate(rows, start=1):
        if not any(cell not in ("", None) for cell in row):
            continue
        cells: list[str] = []
        for place, value in enumerate(row):
            text, remark = _text(value, header[place] if place < len(header) else "")
            cells.append(text)
            if remark and header:
                remarks.append(f"column {header[place]!r}: {remark}")
        yield number, cells, remarks
        remarks = []
        if len(cells) > 1 and sum(map(bool, cells)) > 1:
            header = header or cells


def _text(value: Any, column: str) -> tuple[str, str | None]:
    """Return a cell as text, and a remark if Excel may have changed it."""
    if isinstance(value, bool):
        return str(value).upper(), None
    if isinstance(value, float | int):
        exact = isinstance(value, int) or value.is_integer()
        text = str(int(value)) if exact else repr(value)
        return text, "Excel keeps 15 digits of a number; the others are lost" if abs(value) >= _EXACT else None
    if isinstance(value, datetime) and value.time() == time():
        value = value.date()
    if isinstance(value, date):
        expected = _DATE_COLUMN.search(column) or column.lower().startswith("custom:")
        return value.isoformat(), None if expected else "a value is a date in Excel, and read as such: 2024-05-17"
    if isinstance(value, str):
        return value, None
    return ("", None) if value is None else (str(value), "a value is a time in Excel, and read as such")


def _named(rows: Iterable[tuple[int, Sequence[str] | UsageError, list[str]]], origin: str, unit: str) -> Iterator[Row]:
    header: list[str] = []
    for line, cells, remarks in rows:
        if isinstance(cells, UsageError):
            raise MetadataInvalid(cells.message, hint=cells.hint, path=origin, line=line)
        if header:
            yield _row(line, header, cells, remarks)
        elif not cells[0].lower().startswith(_PREAMBLE):
            header = _header(cells, origin, line)
    if not header:
        raise_problem(origin, f"has no {unit} with the names of columns")


def _header(cells: Sequence[str], origin: str, line: int) -> list[str]:
    names = [" ".join(cell.split()) for cell in cells]
    if len(names) > MAX_COLUMNS:
        raise_problem(origin, f"has {len(names)} columns; at most {MAX_COLUMNS} are read")
    first: dict[str, int] = {}
    for number, name in enumerate(names, start=1):
        before = first.setdefault(name.lower(), number)
        if name and before != number:
            raise_problem(origin, f"columns {before} and {number} are both called {name!r}", line)
    return names


def _row(line: int, header: Sequence[str], cells: Sequence[str], remarks: Sequence[str]) -> Row:
    filled = [(number, cell) for number, cell in enumerate(cells) if cell.strip()]
    problems: list[str] = []
    if filled and filled[-1][0] >= len(header):
        problems.append(f"has {filled[-1][0] + 1} columns, but the header has {len(header)}")
    named = {header[number]: cell for number, cell in filled if number < len(header) and header[number]}
    for number, cell in filled[: 1 + len(header)]:
        if number < len(header) and not header[number]:
            problems.append(f"column {number + 1} has no name in the header, but contains {cell[:60]!r}")
    for name, cell in named.items():
        if "\0" in cell:
            problems.append(f"column {name!r} contains a NUL character")
        elif cell.strip() in _ERRORS:
            problems.append(f"column {name!r} contains Excel's error {cell.strip()}")
        elif _SHORTENED.fullmatch(cell.strip()):
            problems.append(f"column {name!r}: Excel shortened a number to {cell.strip()}; format the column as text")
    return Row(line=line, cells=named, header=header, problems=tuple(problems), remarks=tuple(remarks))
