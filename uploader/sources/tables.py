"""Tables in CSV as spreadsheets and other programs write them. Pure."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import BinaryIO

from uploader.errors import UsageError
from uploader.sources.lists import check_text

_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?', re.IGNORECASE)
_UNCLOSED = "unexpected end of data"
"""The message of `csv` for a quote that is not closed."""
MAX_COLUMNS = 16_384
"""Columns of a spreadsheet; a table with more is most likely another kind of file."""


def read_rows(content: BinaryIO, origin: str) -> Iterator[tuple[int, Sequence[str] | UsageError]]:
    """Yield the rows of a table, its header first, with the lines (from 1) where they begin. Empty rows are left out.

    The separator is a comma, semicolon or tab, as the header shows or Excel's separator line says. A row that cannot be
    read is an error, and the last one. `content` is read from its beginning, twice; `origin` names it in messages.
    Raises UsageError if it is not UTF-8 or UTF-16, or has more than `MAX_COLUMNS` columns.
    """
    encoding = check_text(content, origin, 'In Excel, save it as "CSV UTF-8".')
    content.seek(0)
    # The text is decoded as it is read: all at once it takes up to eight times the file's size.
    lines = io.TextIOWrapper(content, encoding, newline="")
    try:
        yield from _rows(lines, origin)
    except UnicodeDecodeError:
        raise UsageError(f"{origin}: changed while it was read") from None
    finally:
        with suppress(ValueError):  # the caller may have closed the file
            lines.detach()  # otherwise it would be closed


def _rows(lines: io.TextIOWrapper, origin: str) -> Iterator[tuple[int, Sequence[str] | UsageError]]:
    first = lines.readline()
    named = _SEPARATOR_LINE.fullmatch(first.rstrip("\r\n"))
    begin = lines.tell() if named is not None else 0
    first = lines.readline() if named is not None else first
    lines.seek(begin)
    separator = named[1] if named is not None else max(",", ";", "\t", key=first.count)
    if first.count(separator) >= MAX_COLUMNS:
        raise UsageError(f"{origin}: has {first.count(separator) + 1} columns; at most {MAX_COLUMNS} are read")
    # Quotes are doubled within quotes in every dialect that spreadsheets write.
    reader = csv.reader(lines, delimiter=separator, strict=True)
    offset = int(named is not None)
    while True:
        line = reader.line_num + 1 + offset
        try:
            cells = next(reader, None)
        except csv.Error as error:
            fault = "a quoted cell of this row has no closing quote" if str(error) == _UNCLOSED else error
            yield line, UsageError(f"{origin}: line {line}: {fault}")
            return
        if cells is None:
            return
        if any(cell.strip() for cell in cells):
            yield line, cells
