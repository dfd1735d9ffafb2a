"""Write a table as CSV, XLSX or JSON Lines. The file is complete, or it is not there.

Excel's published limits: 1,048,576 rows a sheet, 32,767 UTF-16 units and 253 line feeds a cell, dates from 1900 on.
What does not fit is changed as little as possible and counted; no text becomes a formula, a number, a date or a link.

Blocking: callers write in a thread.
"""

from __future__ import annotations

import importlib.util
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from uploader.catalog.report.columns import Column, Entry, Layout
from uploader.catalog.report.values import Cell
from uploader.catalog.rows import NewFile, check_ending, csv_cell, csv_header, csv_line, json_line, output_error
from uploader.errors import CatalogDamaged, Facts, OutputExists, UsageError

if TYPE_CHECKING:
    from xlsxwriter import Workbook
    from xlsxwriter.worksheet import Worksheet

FORMATS: Final = (".csv", ".xlsx", ".jsonl")
"""Endings of file names, each of a format."""
MAX_ROWS = 1_048_576
MAX_UNITS: Final = 32_767
MAX_LINE_FEEDS: Final = 253
CUT: Final = " […]"
_FIRST_DAY: Final = date(1900, 3, 1)
"""Excel takes 1900 for a leap year; days before are a day off."""
_MAX_EXACT: Final = 2**53
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_WIDTHS: Final = {"number": 12, "time": 19, "flag": 9, "text": 24}
About = Sequence[tuple[str, str | int]]
"""Lines of what is known of a table: a name and a value."""

CHANGES: Final = {
    "replaced": "values in which a | was replaced by ¦",
    "guarded": "cells with an apostrophe before what looks like a formula",
    "characters": "cells with characters that a spreadsheet cannot hold, shown as \ufffd",
    "lines": f"cells in which line breaks after the first {MAX_LINE_FEEDS} became blanks",
    "long": "cells that were cut; their whole text is in the file beside the table",
    "dates": "dates before 1900-03-01, kept as text",
}
"""What can have been changed in cells, and how that is said."""


class Table(Protocol):
    """A table being written. `changes` counts what was changed, by the keys of `CHANGES`."""

    changes: Counter[str]

    def write(self, entry: Entry, cells: Sequence[Cell]) -> None: ...
    def finish(self, about: Callable[[], About]) -> None:
        """Write what comes at the end."""

    def abandon(self) -> None:
        """Remove temporary files. Never raises."""


def write_table(
    path: Path,
    layout: Layout,
    entries: Iterable[Entry],
    about: Callable[[Counter[str]], About],
    *,
    replace: bool = False,
    private: bool = False,
    scratch: Path,
    expected: int,
) -> tuple[int, Counter[str]]:
    """Write all records; return their number, and the number of changes by the keys of `CHANGES`.

    `about` gets the latter. `scratch` is an existing folder for temporary files. Raises what `NewFile` raises, and
    CatalogDamaged if there are not as many records as `expected`.
    """
    check_format(path)
    new = NewFile(path, replace=replace, private=private)
    beside = _LongTexts(path, replace=replace, private=private)
    table: Table | None = None
    count, kept = 0, False
    try:
        table = _open(path, new, layout, beside, scratch)
        for entry in entries:
            table.write(entry, layout.cells(entry))
            count += 1
        if count != expected:
            raise CatalogDamaged(f"this report's catalog is damaged: it has {count} of {expected} records")
        changes = table.changes
        changes["replaced"] += layout.replaced.total()
        table.finish(lambda: about(changes))
        beside.close(keep=True)
        new.close(keep=True)
        kept = True
    finally:
        if not kept:
            if table is not None:
                table.abandon()
            beside.close(keep=False)
            new.close(keep=False)
    return count, +changes


def check_output(path: Path, *, replace: bool) -> None:
    """Check that the table can be written, before much is read. Raises what `NewFile` raises."""
    check_format(path)
    NewFile(path, replace=replace).close(keep=False)
    if path.suffix.lower() == ".xlsx" and not replace and _beside(path).exists():
        raise OutputExists(f"{_beside(path)} exists")


def check_format(path: Path) -> None:
    """Raise UsageError if the name does not end in that of a format, or a package for it is missing."""
    check_ending(path, FORMATS)
    if path.suffix.lower() == ".xlsx" and importlib.util.find_spec("xlsxwriter") is None:
        raise UsageError("writing .xlsx needs the package xlsxwriter", facts=Facts("no-xlsx"))


def _beside(path: Path) -> Path:
    return path.with_suffix(".long.jsonl")


def _open(path: Path, new: NewFile, layout: Layout, beside: _LongTexts, scratch: Path) -> Table:
    ending = path.suffix.lower()
    if ending == ".csv":
        return _Csv(new, layout)
    return _JsonLines(new) if ending == ".jsonl" else _Xlsx(path, new, layout, beside, scratch)


class _Csv:
    """CSV by RFC 4180."""

    def __init__(self, new: NewFile, layout: Layout) -> None:
        self._new = new
        self.changes = Counter[str]()
        new.write(csv_header(layout.header))

    def write(self, entry: Entry, cells: Sequence[Cell]) -> None:
        shown = [str(cell).lower() if isinstance(cell, bool) else cell for cell in cells]
        self.changes["guarded"] += sum(isinstance(one, str) and csv_cell(one).startswith("'") and one[0] != "'"
                                       for one in shown if one)  # fmt: skip
        self._new.write(csv_line(shown))

    def finish(self, about: Callable[[], About]) -> None:
        """CSV has no place for it."""

    def abandon(self) -> None:
        """Do nothing: there are none."""


class _JsonLines:
    """Records as received, with their type and what is missing in `_figup`."""

    def __init__(self, new: NewFile) -> None:
        self._new = new
        self.changes = Counter[str]()

    def write(self, entry: Entry, cells: Sequence[Cell]) -> None:
        added = {"record_type": entry.kind} | ({"missing": entry.missing} if entry.missing else {})
        self._new.write(json_line({**entry.raw, "_figup": added}))

    def finish(self, about: Callable[[], About]) -> None:
        """JSON Lines has no place for it."""

    def abandon(self) -> None:
        """Do nothing: there are none."""


class _LongTexts:
    """The texts of cells that are too long, in NAME.long.jsonl beside the table; an older one goes."""

    def __init__(self, path: Path, *, replace: bool, private: bool) -> None:
        self._path = _beside(path)
        self._replace, self._private = replace, private
        self._new: NewFile | None = None

    def add(self, entry: Entry, column: Column, text: str) -> None:
        if self._new is None:
            self._new = NewFile(self._path, replace=self._replace, private=self._private)
        whole = {"record_type": entry.kind, "id": entry.raw.get("id"), "column": column.name, "text": text}
        self._new.write(json_line(whole))

    def close(self, *, keep: bool) -> None:
        if self._new is not None:
            self._new.close(keep=keep)
            self._new = None
        elif keep and self._replace:
            self._path.unlink(missing_ok=True)


class _Xlsx:
    """A workbook, written row by row: sheets "Records", "Records 2" …, and "About"."""

    def __init__(self, path: Path, new: NewFile, layout: Layout, beside: _LongTexts, scratch: Path) -> None:
        from xlsxwriter import Workbook

        self._path, self._layout, self._beside = path, layout, beside
        self.changes = Counter[str]()
        self._book: Workbook = Workbook(new.file, {
            "constant_memory": True, "tmpdir": str(scratch), "strings_to_formulas": False, "strings_to_urls": False,
            "strings_to_numbers": False, "in_memory": False,
        })  # fmt: skip
        self._bold = self._book.add_format({"bold": True})
        self._whole = self._book.add_format({"num_format": "0"})
        self._day = self._book.add_format({"num_format": "yyyy-mm-dd"})
        self._time = self._book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
        self._sheets = 0
        self._begin_sheet()

    def _begin_sheet(self) -> None:
        self._sheets += 1
        self._sheet: Worksheet = self._book.add_worksheet("Records" if self._sheets == 1 else f"Records {self._sheets}")
        self._sheet.freeze_panes(1, 0)
        for at, column in enumerate(self._layout.columns):
            self._sheet.set_column(at, at, _WIDTHS[column.kind])
            self._sheet.write_string(0, at, self._fitting(column.name)[0], self._bold)
        self._row = 1

    def _end_sheet(self) -> None:
        self._sheet.autofilter(0, 0, self._row - 1, len(self._layout.columns) - 1)

    def write(self, entry: Entry, cells: Sequence[Cell]) -> None:
        try:
            if self._row == MAX_ROWS:
                self._end_sheet()
                self._begin_sheet()
            for at, (column, cell) in enumerate(zip(self._layout.columns, cells, strict=True)):
                if cell is not None:
                    self._write_cell(entry, column, at, cell)
            self._row += 1
        except OSError as fault:
            raise output_error(fault, self._path) from None

    def _write_cell(self, entry: Entry, column: Column, at: int, cell: Cell) -> None:
        if isinstance(cell, bool):
            self._sheet.write_boolean(self._row, at, cell)
        elif isinstance(cell, int | float) and abs(cell) <= _MAX_EXACT:
            self._sheet.write_number(self._row, at, cell, self._whole if isinstance(cell, int) else None)
        elif column.kind == "time" and (moment := _moment(str(cell))) is not None:
            if moment.date() >= _FIRST_DAY:
                self._sheet.write_datetime(self._row, at, moment, self._day if len(str(cell)) == 10 else self._time)
            else:
                self.changes["dates"] += 1
                self._sheet.write_string(self._row, at, str(cell))
        else:
            text, changes = self._fitting(str(cell))
            self.changes.update(changes)
            if "long" in changes:
                self._beside.add(entry, column, str(cell))
            self._sheet.write_string(self._row, at, text)

    @staticmethod
    def _fitting(text: str) -> tuple[str, list[str]]:
        """Return the text as a cell can hold it, and what was changed."""
        changes = []
        clean = _NOT_XML.sub("\ufffd", text)
        if clean != text:
            changes.append("characters")
        clean = clean.replace("\r\n", "\n").replace("\r", "\n")
        if clean.count("\n") > MAX_LINE_FEEDS:
            lines = clean.split("\n")
            clean = "\n".join([*lines[:MAX_LINE_FEEDS], " ".join(lines[MAX_LINE_FEEDS:])])
            changes.append("lines")
        if len(clean) > MAX_UNITS // 2 and len(units := clean.encode("utf-16-le")) > 2 * MAX_UNITS:
            room = 2 * (MAX_UNITS - len(CUT))
            clean = units[:room].decode("utf-16-le", "ignore") + CUT
            changes.append("long")
        return clean, changes

    def finish(self, about: Callable[[], About]) -> None:
        from xlsxwriter.exceptions import XlsxWriterException

        try:
            self._end_sheet()
            sheet = self._book.add_worksheet("About")
            sheet.set_column(0, 1, 32)
            meanings = [("Column", "Meaning"), *((one.name, one.meaning) for one in self._layout.columns)]
            for row, (name, value) in enumerate([*about(), ("", ""), *meanings]):
                sheet.write_string(row, 0, self._fitting(name)[0], self._bold if name == "Column" else None)
                if isinstance(value, int):
                    sheet.write_number(row, 1, value)
                else:
                    sheet.write_string(row, 1, self._fitting(value)[0])
            self._book.close()
        except OSError as fault:
            raise output_error(fault, self._path) from None
        except XlsxWriterException as fault:
            cause: Any = fault.args[0] if fault.args else None
            if isinstance(cause, OSError):
                raise output_error(cause, self._path) from None
            raise

    def abandon(self) -> None:
        self._book.fileclosed = True  # its destructor would complete it
        for sheet in self._book.worksheets():
            with suppress(OSError, ValueError):
                sheet.row_data_fh.close()
            with suppress(OSError):
                Path(sheet.row_data_filename).unlink(missing_ok=True)


def _moment(text: str) -> datetime | None:
    """Return a day, or a time with a zone, as UTC without a zone; None for anything else."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if len(text) == len("2000-01-01"):
        return datetime.combine(moment.date(), time.min)
    try:
        return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo is not None else None
    except OverflowError:
        return None
