"""Tables in CSV as spreadsheets and other programs write them. Pure."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence

from uploader.errors import UsageError
from uploader.sources.lists import as_utf8, check_utf8

_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?', re.IGNORECASE)
MAX_COLUMNS = 16_384
"""Columns of a spreadsheet; a table with more is most likely another kind of file."""


def read_rows(data: bytes, origin: str) -> Iterator[tuple[int, Sequence[str] | UsageError]]:
    """Return the rows of a table, its header first, with the lines (from 1) where they begin. Empty rows are left out.

    The separator is a comma, semicolon or tab, as the header shows or Excel's separator line says. A row that cannot be
    read is an error, and the last one. `origin` names the table in messages. Raises UsageError if it is not UTF-8 or
    UTF-16, or has more than `MAX_COLUMNS` columns.
    """
    data = as_utf8(data, origin)
    check_utf8(data, origin, 'In Excel, save it as "CSV UTF-8".')
    # The text is decoded as it is read: all at once it takes up to eight times the file's size.
    lines = io.TextIOWrapper(io.BytesIO(data), "utf-8", newline="")
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
            yield line, UsageError(f"{origin}: line {line}: {error}")
            return
        if cells is None:
            return
        if any(cell.strip() for cell in cells):
            yield line, cells
