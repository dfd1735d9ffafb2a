"""The file of a metadata report: CSV in any encoding that it occurs in, also in a ZIP. Blocking."""

from __future__ import annotations

import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final

from uploader.disk import temporary_errors
from uploader.errors import UsageError
from uploader.sources.lists import check_text, is_utf16
from uploader.system import PATH_FAULTS, path_error
from uploader.text import printable

MAX_SIZE: Final = 512 * 2**20
"""Bytes of a CSV that are read; a report of 100,000 records has about half of that."""
_CHUNK: Final = 2**20
_PROBED: Final = 4096
"""Bytes at the beginning that show whether it is text."""
_AS_CSV = 'In Excel, save it as "CSV UTF-8".'


@temporary_errors()
def open_batch(path: Path) -> tuple[BinaryIO, str]:
    """Return a copy of the CSV as a temporary file, and a remark on its encoding, "" for UTF-8.

    Raises UsageError for anything else, what a file that cannot be read raises, and ResourcesExhausted without space.
    """
    name = printable(str(path))
    content = _temporary(_chunks_of(path), name)
    try:
        if content.read(2) == b"PK":
            content = _replaced(content, _unzipped(content, name))
        content.seek(0)
        text, remark = _in_utf8(content, name)
        return _replaced(content, text), remark
    except BaseException:
        content.close()
        raise


def _replaced(content: BinaryIO, by: BinaryIO) -> BinaryIO:
    """Close a temporary file that another one replaces; return the other one."""
    if by is not content:
        content.close()
    return by


def _chunks_of(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            yield from iter(partial(file.read, _CHUNK), b"")
    except PATH_FAULTS as fault:
        raise path_error(fault, str(path)) from None


def _temporary(chunks: Iterable[bytes], name: str) -> BinaryIO:
    """Return a temporary file with these bytes, at its beginning. Raises UsageError if they are too many."""
    with ExitStack() as stack:
        file = stack.enter_context(tempfile.TemporaryFile())
        for chunk in chunks:
            file.write(chunk)
            if file.tell() > MAX_SIZE:
                raise UsageError(f"{name}: is larger than {MAX_SIZE >> 20} MiB")
        file.seek(0)
        stack.pop_all()
        return file


def _unzipped(content: BinaryIO, name: str) -> BinaryIO:
    """Return the only CSV in a ZIP."""
    try:
        with zipfile.ZipFile(content) as archive:
            names = [one for one in archive.namelist() if not one.startswith("__MACOSX/")]
            if "xl/workbook.xml" in names:
                raise UsageError(f"{name}: is a workbook, not a CSV", hint=_AS_CSV)
            tables = [one for one in names if PurePosixPath(one).suffix.lower() == ".csv"]
            if len(tables) != 1:
                found = ", ".join(map(printable, tables[:3])) if tables else "no CSV"
                raise UsageError(f"{name}: expected one CSV in the ZIP, found {found}")
            with archive.open(tables[0]) as member:
                return _temporary(iter(partial(member.read, _CHUNK), b""), name)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as fault:
        raise UsageError(f"{name}: the ZIP cannot be read: {printable(str(fault))}") from None


def _in_utf8(content: BinaryIO, name: str) -> tuple[BinaryIO, str]:
    """Return the text as UTF-8 or UTF-16, which tables are read in, and a remark on its encoding."""
    begin = content.read(_PROBED)
    if len(begin) < _PROBED and not begin.strip():
        raise UsageError(f"{name}: is empty")
    utf16 = is_utf16(begin, name, _AS_CSV)
    try:
        check_text(content, name, _AS_CSV)
    except UsageError:
        if utf16:
            raise
        return _temporary(_from_cp1252(content, name), name), "read as Windows-1252"
    return content, "read as UTF-16" if utf16 else ""


def _from_cp1252(content: BinaryIO, name: str) -> Iterator[bytes]:
    content.seek(0)
    lines = 0
    while chunk := content.read(_CHUNK):
        try:
            yield chunk.decode("cp1252").encode()
        except UnicodeDecodeError as fault:
            lines += chunk.count(b"\n", 0, fault.start)
            raise UsageError(f"{name}: line {lines + 1} is neither UTF-8 nor Windows-1252", hint=_AS_CSV) from None
        lines += chunk.count(b"\n")
