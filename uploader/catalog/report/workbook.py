"""Write tables as a workbook: what Excel cannot hold is changed as little as possible, and counted.

Excel's published limits: 1,048,576 rows a sheet, 32,767 UTF-16 units and 253 line feeds a cell, dates from 1900 on. No
text becomes a formula, a number, a date or a link. Blocking: callers write in a thread.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from uploader.catalog.report.columns import Column, Entry, Layout
from uploader.catalog.report.side_tables import SideTable
from uploader.catalog.report.values import Cell
from uploader.catalog.rows import NewFile, json_line, output_error
from uploader.disk import FULL, temporary_error
from uploader.errors import FigupError, TargetFull
from uploader.text import printable

if TYPE_CHECKING:
    from xlsxwriter import Workbook
    from xlsxwriter.worksheet import Worksheet

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


def beside(path: Path) -> Path:
    """Return the path of the file with the texts that are too long for cells of a workbook."""
    return path.with_suffix(".long.jsonl")


class LongTexts:
    """The texts of cells that are too long, in NAME.long.jsonl beside the table; an older one goes."""

    def __init__(self, path: Path, *, replace: bool, private: bool) -> None:
        self._path = beside(path)
        self._replace, self._private = replace, private
        self._new: NewFile | None = None

    @property
    def files(self) -> list[NewFile]:
        """The file, if there are any such texts."""
        return [] if self._new is None else [self._new]

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


class _Rows:
    """A table in a workbook, on as many sheets as it needs: NAME, NAME 2 …"""

    def __init__(
        self, book: Workbook, name: str, columns: Sequence[Column], changes: Counter[str], long_texts: LongTexts
    ) -> None:
        self._book, self._name, self._columns = book, name, columns
        self._changes, self._long_texts = changes, long_texts
        self._bold = book.add_format({"bold": True})
        self._whole = book.add_format({"num_format": "0"})
        self._day = book.add_format({"num_format": "yyyy-mm-dd"})
        self._time = book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
        self._sheets = 0
        self._begin_sheet()

    def _begin_sheet(self) -> None:
        self._sheets += 1
        name = self._name if self._sheets == 1 else f"{self._name} {self._sheets}"
        self._sheet: Worksheet = self._book.add_worksheet(name)
        self._sheet.freeze_panes(1, 0)
        for at, column in enumerate(self._columns):
            self._sheet.set_column(at, at, _WIDTHS[column.kind])
            self._sheet.write_string(0, at, fitting(column.name)[0], self._bold)
        self._row = 1

    def end(self) -> None:
        """Complete the last sheet."""
        self._sheet.autofilter(0, 0, self._row - 1, len(self._columns) - 1)

    def write(self, entry: Entry, cells: Sequence[Cell]) -> None:
        if self._row == MAX_ROWS:
            self.end()
            self._begin_sheet()
        for at, (column, cell) in enumerate(zip(self._columns, cells, strict=True)):
            if cell is not None:
                self._write_cell(entry, column, at, cell)
        self._row += 1

    def _write_cell(self, entry: Entry, column: Column, at: int, cell: Cell) -> None:
        if isinstance(cell, bool):
            self._sheet.write_boolean(self._row, at, cell)
        elif isinstance(cell, int | float) and abs(cell) <= _MAX_EXACT:
            self._sheet.write_number(self._row, at, cell, self._whole if isinstance(cell, int) else None)
        elif column.kind == "time" and (moment := _moment(str(cell))) is not None:
            if moment.date() >= _FIRST_DAY:
                self._sheet.write_datetime(self._row, at, moment, self._day if len(str(cell)) == 10 else self._time)
            else:
                self._changes["dates"] += 1
                self._sheet.write_string(self._row, at, str(cell))
        else:
            text, changes = fitting(str(cell))
            self._changes.update(changes)
            if "long" in changes:
                self._long_texts.add(entry, column, str(cell))
            self._sheet.write_string(self._row, at, text)


class _Output:
    """A file as `ZipFile` writes it. Once abandoned, it accepts everything and writes nothing.

    The destructor of `ZipFile` completes the archive, also after an error, and would print another one.
    """

    def __init__(self, file: BinaryIO, check: Callable[[], None]) -> None:
        """Write to `file`; what `check` raises ends that."""
        self._file: BinaryIO | None = file
        self._check = check
        self._at = 0
        """The position, once abandoned."""

    def write(self, data: bytes) -> int:
        if self._file is not None:
            self._check()
            return self._file.write(data)
        self._at += len(data)
        return len(data)

    def seek(self, offset: int) -> int:
        self._at = offset
        return offset if self._file is None else self._file.seek(offset)

    def tell(self) -> int:
        return self._at if self._file is None else self._file.tell()

    def flush(self) -> None:
        if self._file is not None:
            self._file.flush()

    def abandon(self) -> None:
        self._file = None


class XlsxTable:
    """A workbook, written row by row: sheets "Records", those of separate tables, and "About".

    `long_texts` is closed with it.
    """

    def __init__(
        self, path: Path, new: NewFile, layout: Layout, sides: Sequence[SideTable], long_texts: LongTexts,
        scratch: Path, check: Callable[[], None],
    ) -> None:  # fmt: skip
        from xlsxwriter import Workbook

        self._path, self._scratch, self._long_texts = path, str(scratch.parent), long_texts
        self.changes = Counter[str]()
        self._output = _Output(new.file, check)
        self._book: Workbook = Workbook(self._output, {
            "constant_memory": True, "tmpdir": str(scratch), "strings_to_formulas": False, "strings_to_urls": False,
            "strings_to_numbers": False, "in_memory": False,
        })  # fmt: skip
        self._meanings = [(one.name, one.meaning) for one in layout.columns]
        self._meanings += [(f"{side.name}: {one.name}", one.meaning) for side in sides for one in side.columns]
        self._records = _Rows(self._book, "Records", layout.columns, self.changes, long_texts)
        self._sides = [_Rows(self._book, one.name, one.columns, self.changes, long_texts) for one in sides]

    def write(self, entry: Entry, cells: Sequence[Cell]) -> None:
        """Append a row of the table."""
        try:
            self._records.write(entry, cells)
        except OSError as fault:
            raise temporary_error(fault, self._scratch) from None

    def write_side(self, number: int, entry: Entry, cells: Sequence[Cell]) -> None:
        """Append a row of a separate table."""
        try:
            self._sides[number].write(entry, cells)
        except OSError as fault:
            raise temporary_error(fault, self._scratch) from None

    def finish(self, about: Callable[[], About]) -> None:
        from xlsxwriter.exceptions import XlsxWriterException

        try:
            for rows in (self._records, *self._sides):
                rows.end()
            sheet = self._book.add_worksheet("About")
            bold, left = self._book.add_format({"bold": True}), self._book.add_format({"align": "left"})
            sheet.set_column(0, 0, 40)
            sheet.set_column(1, 1, 80)
            meanings = [("Column", "Meaning"), *self._meanings]
            for row, (name, value) in enumerate([*about(), ("", ""), *meanings]):
                style = bold if name == "Column" else left
                sheet.write_string(row, 0, fitting(name)[0], style)
                if isinstance(value, int):
                    sheet.write_number(row, 1, value, style)
                else:
                    sheet.write_string(row, 1, fitting(value)[0], style)
            self._book.close()
        except OSError as fault:
            raise self._error(fault) from None
        except XlsxWriterException as fault:
            cause: Any = fault.args[0] if fault.args else None
            if isinstance(cause, OSError):
                raise self._error(cause) from None
            raise

    @property
    def others(self) -> Sequence[NewFile]:
        return self._long_texts.files

    def name_others(self) -> None:
        self._long_texts.close(keep=True)

    def _error(self, fault: OSError) -> FigupError:
        """Return the error for the file or its temporary ones, from which it is put together."""
        if fault.errno in FULL:
            hint = f"Free space there and in {printable(self._scratch)}, and run the same command again."
            return TargetFull(f"cannot write {self._path}: {fault.strerror}", hint=hint)
        return output_error(fault, self._path)

    def abandon(self) -> None:
        with suppress(FigupError):
            self._long_texts.close(keep=False)
        self._book.fileclosed = True  # its destructor would complete it
        self._output.abandon()
        for sheet in self._book.worksheets():
            with suppress(OSError, ValueError):
                sheet.row_data_fh.close()
            with suppress(OSError):
                Path(sheet.row_data_filename).unlink(missing_ok=True)


def fitting(text: str) -> tuple[str, list[str]]:
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
