"""Write a table as CSV, XLSX or JSON Lines. Each file is complete, or it is not there.

Separate tables are sheets of a workbook, or files NAME.authors.csv and so on beside NAME.csv.

Blocking: callers write in a thread.
"""

from __future__ import annotations

import importlib.util
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol, TypeAlias

from uploader.catalog.report.columns import Entry, Layout
from uploader.catalog.report.side_tables import SideTable
from uploader.catalog.report.values import Cell
from uploader.catalog.report.workbook import MAX_LINE_FEEDS, About, LongTexts, XlsxTable, beside
from uploader.catalog.rows import NewFile, check_ending, csv_cell, csv_header, csv_line, json_line
from uploader.errors import CatalogDamaged, Facts, OutputExists, UsageError
from uploader.figshare.records import RowKind

FORMATS: Final = (".csv", ".xlsx", ".jsonl")
"""Endings of file names, each of a format."""
CHANGES: Final = {
    "replaced": "values in which a | was replaced by ¦",
    "guarded": "cells with an apostrophe before what looks like a formula",
    "characters": "cells with characters that a spreadsheet cannot hold, shown as \ufffd",
    "lines": f"cells in which line breaks after the first {MAX_LINE_FEEDS} became spaces",
    "long": "truncated cells; their full text is in the file next to the table",
    "dates": "dates before 1900-03-01, kept as text",
}
"""Possible changes in cells, with a description of each."""


CompleteFiles: TypeAlias = Mapping[Path, os.stat_result]
"""Files by the names that they are about to have."""


class Table(Protocol):
    """A table being written. `changes` counts what was changed, by the keys of `CHANGES`."""

    changes: Counter[str]

    def write(self, entry: Entry, cells: Sequence[Cell]) -> None: ...
    def write_side(self, number: int, entry: Entry, cells: Sequence[Cell]) -> None: ...
    def finish(self, about: Callable[[], About]) -> None:
        """Write what comes at the end."""

    @property
    def others(self) -> Sequence[NewFile]:
        """The files beside that of the table."""

    def name_others(self) -> None:
        """Give those files their names."""

    def abandon(self) -> None:
        """Remove temporary files. Never raises."""


def write_table(
    path: Path,
    layout: Layout,
    entries: Iterable[Entry],
    about: Callable[[Counter[str]], About],
    *,
    sides: Sequence[SideTable] = (),
    lookups: Mapping[RowKind, Iterable[Entry]] | None = None,
    replace: bool = False,
    private: bool = False,
    scratch: Path,
    expected: int,
    check: Callable[[], None] = lambda: None,
    on_complete: Callable[[CompleteFiles], None] = lambda _: None,
) -> tuple[int, Counter[str]]:
    """Write all records; return their number, and the number of changes by the keys of `CHANGES`.

    `lookups` are the rows of separate tables that are not of records. `about` gets the changes. `scratch` is an
    existing folder for temporary files. `check` is called while a workbook is put together, and may raise.
    `on_complete` gets all files before the first of them has its name.
    Raises what `NewFile` raises, and CatalogDamaged if there are not as many records as `expected`.
    """
    check_format(path, tables=bool(sides))
    new = NewFile(path, replace=replace, private=private)
    table: Table | None = None
    layouts = [Layout(columns=one.columns) for one in sides]
    count, kept = 0, False
    try:
        table = _open(path, new, layout, sides, scratch, replace=replace, private=private, check=check)
        for entry in entries:
            table.write(entry, () if isinstance(table, _JsonLines) else layout.cells(entry))
            count += 1
            for number, side in enumerate(sides):
                for part in side.parts(entry):
                    table.write_side(number, entry, layouts[number].cells(entry, part))
        for number, side in enumerate(sides):
            for entry in (lookups or {}).get(side.lookup, ()) if side.lookup is not None else ():
                table.write_side(number, entry, layouts[number].cells(entry))
        if count != expected:
            raise CatalogDamaged(f"this report's catalog is damaged: it has {count} of {expected} records")
        changes = table.changes
        changes["replaced"] += layout.replaced.total()
        table.finish(lambda: about(changes))
        on_complete({one.path: one.complete() for one in (*table.others, new)})
        table.name_others()
        new.close(keep=True)
        kept = True
    finally:
        if not kept:
            if table is not None:
                table.abandon()
            new.close(keep=False)
    return count, +changes


def check_output(path: Path, *, sides: Sequence[SideTable] = (), replace: bool) -> None:
    """Check that the table can be written, before much is read. Raises what `NewFile` raises."""
    check_format(path, tables=bool(sides))
    NewFile(path, replace=replace).close(keep=False)
    if path.suffix.lower() == ".xlsx" and not replace and beside(path).exists():
        raise OutputExists(f"{beside(path)} exists")
    for one in sides if path.suffix.lower() == ".csv" else ():
        NewFile(_side_path(path, one), replace=replace).close(keep=False)


def output_files(path: Path, sides: Sequence[SideTable]) -> list[Path]:
    """Return the files that a table may consist of."""
    ending = path.suffix.lower()
    others = {".xlsx": [beside(path)], ".csv": [_side_path(path, one) for one in sides]}
    return [path, *others.get(ending, ())]


def check_format(path: Path, *, tables: bool = False) -> None:
    """Raise UsageError if the name does not end in that of a format, or a package for it is missing."""
    check_ending(path, FORMATS)
    if path.suffix.lower() == ".xlsx" and importlib.util.find_spec("xlsxwriter") is None:
        raise UsageError("writing .xlsx needs the package xlsxwriter", facts=Facts("no-xlsx"))
    if path.suffix.lower() == ".jsonl" and tables:
        raise UsageError("JSON Lines has records as received, without separate tables; write .xlsx or .csv")


def _side_path(path: Path, side: SideTable) -> Path:
    return path.with_suffix(f".{side.name}.csv")


def _open(
    path: Path, new: NewFile, layout: Layout, sides: Sequence[SideTable], scratch: Path, *,
    replace: bool, private: bool, check: Callable[[], None],
) -> Table:  # fmt: skip
    ending = path.suffix.lower()
    if ending == ".csv":
        return _Csv(path, new, layout, sides, replace=replace, private=private)
    if ending == ".jsonl":
        return _JsonLines(new)
    long_texts = LongTexts(path, replace=replace, private=private)
    return XlsxTable(path, new, layout, sides, long_texts, scratch, check)


class _Csv:
    """CSV by RFC 4180, with a file for each separate table."""

    def __init__(
        self, path: Path, new: NewFile, layout: Layout, sides: Sequence[SideTable], *, replace: bool, private: bool
    ) -> None:  # fmt: skip
        self._new = new
        self.changes = Counter[str]()
        new.write(csv_header(layout.header))
        self._sides: list[NewFile] = []
        try:
            for one in sides:
                self._sides.append(NewFile(_side_path(path, one), replace=replace, private=private))
                self._sides[-1].write(csv_header([column.name for column in one.columns]))
        except BaseException:
            self.abandon()
            raise

    def write(self, entry: Entry, cells: Sequence[Cell]) -> None:
        self._write(self._new, cells)

    def write_side(self, number: int, entry: Entry, cells: Sequence[Cell]) -> None:
        self._write(self._sides[number], cells)

    def _write(self, new: NewFile, cells: Sequence[Cell]) -> None:
        shown = [str(cell).lower() if isinstance(cell, bool) else cell for cell in cells]
        self.changes["guarded"] += sum(isinstance(one, str) and csv_cell(one).startswith("'") and one[0] != "'"
                                       for one in shown if one)  # fmt: skip
        new.write(csv_line(shown))

    def finish(self, about: Callable[[], About]) -> None:
        """CSV has no place for what is known of the table."""

    @property
    def others(self) -> Sequence[NewFile]:
        return self._sides

    def name_others(self) -> None:
        while self._sides:
            self._sides.pop(0).close(keep=True)

    def abandon(self) -> None:
        for one in self._sides:
            one.close(keep=False)


class _JsonLines:
    """Records as received, with their type, what the report added and what is missing in `_figup`."""

    def __init__(self, new: NewFile) -> None:
        self._new = new
        self.changes = Counter[str]()

    def write(self, entry: Entry, cells: Sequence[Cell]) -> None:
        added = {"record_type": entry.kind} | {name: one for name, one in entry.added.items() if one is not None}
        self._new.write(
            json_line({**entry.raw, "_figup": added | ({"missing": entry.missing} if entry.missing else {})})
        )

    def write_side(self, number: int, entry: Entry, cells: Sequence[Cell]) -> None:
        """JSON Lines has everything in the record."""

    def finish(self, about: Callable[[], About]) -> None:
        """JSON Lines has no place for it."""

    @property
    def others(self) -> Sequence[NewFile]:
        return ()

    def name_others(self) -> None:
        """Do nothing: there are none."""

    def abandon(self) -> None:
        """Do nothing: there are none."""
