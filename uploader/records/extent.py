"""How far the sheets of a workbook extend: the library that reads it takes memory for every cell up to there."""

from __future__ import annotations

import functools
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import partial
from typing import IO, BinaryIO
from xml.etree import ElementTree as ET

from uploader.metadata.problems import raise_problem

_SHEET = re.compile(r"xl/worksheets/[^/]+[.]xml", re.IGNORECASE)
_CELL = re.compile(rb"""<(?:\w+:)?c\b[^>]*?\sr\s*=\s*["']([A-Za-z]{1,3})(\d{1,7})["'][^>]*(?<!/)>""")
"""The beginning of a cell that is not empty."""
_MAX_CELLS, _FEW_CELLS, _MAX_BLANK = 2**24, 2**21, 16
"""Cells of the rectangle that a sheet occupies: those read at most, those read always, and between these the number
for each one that is not empty. The library takes 32 bytes for each cell.
"""
_MAX_UNPACKED = 2**31
"""Bytes of all parts of a workbook."""
_CHUNK, _OVERLAP = 2**20, 2**10
_XLS_MAGIC = bytes.fromhex("D0CF11E0A1B11AE1")
_AS_XLSX = "Save it as .xlsx, or as CSV UTF-8."
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError)


def check_extent(content: BinaryIO, origin: str) -> None:
    """Raise MetadataInvalid for a workbook for which the library would hang or exhaust the memory: one that is damaged,
    or has a cell far from the others. An .xls file is not examined, but refused.
    """
    begin = content.read(len(_XLS_MAGIC))
    if begin == _XLS_MAGIC:
        hint = "Save it as .xlsx without a password, or as CSV UTF-8."
        raise_problem(origin, "is an old Excel workbook (.xls), or one with a password", hint=hint)
    try:
        _check(content, origin)
    except ET.ParseError as error:
        raise_problem(origin, f"is damaged: {error}", hint="Save it again.")
    content.seek(0)


def _check(content: BinaryIO, origin: str) -> None:
    with suppress(*_DAMAGED), zipfile.ZipFile(content) as archive:
        if "xl/workbook.bin" in archive.namelist():
            raise_problem(origin, "is a binary Excel workbook (.xlsb)", hint=_AS_XLSX)
        if sum(part.file_size for part in archive.infolist()) > _MAX_UNPACKED:
            raise_problem(origin, "is larger than 2 GiB when it is unpacked", hint="Divide it.")
        for width, height, filled in _extents(archive):
            if width * height > min(_MAX_CELLS, max(_FEW_CELLS, _MAX_BLANK * filled)):
                last = f"{_letters(width)}{height}"
                hint = "Remove the cells far from the records, or save it as CSV UTF-8."
                raise_problem(origin, f"a sheet extends to cell {last}, which is too far to read", hint=hint)


def _extents(archive: zipfile.ZipFile) -> Iterator[tuple[int, int, int]]:
    """Yield columns, rows, and the number of cells that are not empty, of the sheets that the library reads: of .xlsx
    files the first, or all if it is not clear which one that is; of .ods files all.
    """
    if "content.xml" in archive.namelist():
        with archive.open("content.xml") as content:
            yield from _extents_of_ods(iter(partial(content.read, _CHUNK), b""))
        return
    for name in _first_sheet(archive) or filter(_SHEET.fullmatch, archive.namelist()):
        with archive.open(name) as sheet:
            yield _extent(iter(partial(sheet.read, _CHUNK), b""))


def _first_sheet(archive: zipfile.ZipFile) -> list[str]:
    """Return the part with the first sheet of an .xlsx file; empty if that is not clear. Raises as `ZipFile` does."""
    with suppress(ET.ParseError, KeyError, StopIteration, ValueError), archive.open("xl/workbook.xml") as workbook:
        sheet = next(one for one in _elements(workbook) if _local(one.tag) == "sheet")
        (wanted,) = (value for name, value in sheet.items() if name != "id" and _local(name) == "id")
        with archive.open("xl/_rels/workbook.xml.rels") as relations:
            targets = [one.get("Target", "") for one in _elements(relations) if one.get("Id") == wanted]
        paths = {target.lstrip("/") if target.startswith(("/xl/", "xl/")) else f"xl/{target}" for target in targets}
        return [name for name in archive.namelist() if name in paths]
    return []


def _elements(content: IO[bytes]) -> Iterator[ET.Element]:
    for _, one in ET.iterparse(content):  # noqa: S314 - expat limits what entities expand to, and reads no others
        yield one


def _local(name: str) -> str:
    """Return a name without its XML namespace."""
    return name.rpartition("}")[2]


def _extent(chunks: Iterable[bytes]) -> tuple[int, int, int]:
    """Return columns and rows up to the last cells of an .xlsx sheet that are not empty, and how many these are."""
    columns, height, filled, before = {b"A"}, 1, 0, b""
    for chunk in chunks:
        cells = _CELL.findall(before + chunk)
        filled += len(cells)
        columns |= {letters.upper() for letters, _ in cells}
        height = max([height, *map(int, {row for _, row in cells})])
        before = chunk[-_OVERLAP:]
    last = max(columns, key=lambda letters: (len(letters), letters))
    return functools.reduce(lambda number, letter: 26 * number + letter - ord("A") + 1, last, 0), height, filled


def _letters(column: int) -> str:
    """Return the name of a column, counted from 1."""
    text = ""
    while column:
        column, letter = divmod(column - 1, 26)
        text = f"{chr(ord('A') + letter)}{text}"
    return text


class _OdsCells:
    """Takes the tags of an .ods file, and counts columns and rows up to the last cells with a value of each sheet, and
    these cells. Rows and cells may be repeated.
    """

    def __init__(self) -> None:
        self.extents: list[tuple[int, int, int]] = []
        self._row = self._column = self._repeated = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """Take the beginning of an element."""
        name, values = _local(tag), {_local(key): value for key, value in attributes.items()}
        if name == "table":
            self.extents.append((1, 1, 0))
            self._row = self._repeated = 0
        elif name == "table-row":
            self._row, self._column = self._row + self._repeated, 0
            self._repeated = int(values.get("number-rows-repeated", 1))
        elif name in ("table-cell", "covered-table-cell"):
            repeated = int(values.get("number-columns-repeated", 1))
            self._column += repeated
            if "value-type" in values and self.extents:
                width, height, filled = self.extents[-1]
                last_row, filled = self._row + self._repeated, filled + repeated * self._repeated
                self.extents[-1] = max(width, self._column), max(height, last_row), filled


def _extents_of_ods(chunks: Iterable[bytes]) -> list[tuple[int, int, int]]:
    """Return columns, rows and filled cells of each sheet.

    Raises ET.ParseError for XML that is not well-formed, for which the library would hang.
    """
    cells = _OdsCells()
    parser = ET.XMLParser(target=cells)  # noqa: S314 - see above
    for chunk in chunks:
        parser.feed(chunk)
    parser.close()
    return cells.extents
