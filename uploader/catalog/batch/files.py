"""The file of a metadata report: CSV in any encoding that it occurs in, also in a ZIP. Blocking."""

from __future__ import annotations

import codecs
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Final

from uploader.errors import UsageError
from uploader.sources.lists import check_utf8
from uploader.system import PATH_FAULTS, path_error
from uploader.text import printable

MAX_SIZE: Final = 512 * 2**20
"""Bytes of a CSV that are read; a report of 100,000 records has about half of that."""
_PROBED: Final = 4096
"""Bytes at the beginning that show whether it is text."""
_AS_CSV = 'In Excel, save it as "CSV UTF-8".'


def read_batch(path: Path) -> tuple[bytes, str]:
    """Return the CSV in UTF-8, and a remark on its encoding, "" for UTF-8.

    Raises UsageError for anything else, and what a file that cannot be read raises.
    """
    name = printable(str(path))
    try:
        with path.open("rb") as file:
            data = file.read(MAX_SIZE + 1)
    except PATH_FAULTS as fault:
        raise path_error(fault, str(path)) from None
    if data.startswith(b"PK"):
        data = _unzipped(path, name)
    if len(data) > MAX_SIZE:
        raise UsageError(f"{name}: is larger than {MAX_SIZE >> 20} MiB")
    if not data.strip():
        raise UsageError(f"{name}: is empty")
    return _in_utf8(data, name)


def _unzipped(path: Path, name: str) -> bytes:
    """Return the only CSV in a ZIP."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [one for one in archive.namelist() if not one.startswith("__MACOSX/")]
            if "xl/workbook.xml" in names:
                raise UsageError(f"{name}: is a workbook, not a CSV", hint=_AS_CSV)
            tables = [one for one in names if PurePosixPath(one).suffix.lower() == ".csv"]
            if len(tables) != 1:
                found = ", ".join(map(printable, tables[:3])) if tables else "no CSV"
                raise UsageError(f"{name}: expected one CSV in the ZIP, found {found}")
            with archive.open(tables[0]) as member:
                return member.read(MAX_SIZE + 1)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as fault:
        raise UsageError(f"{name}: the ZIP cannot be read: {printable(str(fault))}") from None
    except OSError as fault:
        raise path_error(fault, str(path)) from None


def _in_utf8(data: bytes, name: str) -> tuple[bytes, str]:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data, "read as UTF-16"
    begin = data[:_PROBED]
    if begin.count(0) > len(begin) // 10:
        raise UsageError(f"{name}: is not text, or UTF-16 without a byte order mark", hint=_AS_CSV)
    try:
        check_utf8(data, name, _AS_CSV)
    except UsageError:
        try:
            text = data.decode("cp1252")
        except UnicodeDecodeError as fault:
            line = data.count(b"\n", 0, fault.start) + 1
            raise UsageError(f"{name}: line {line} is neither UTF-8 nor Windows-1252", hint=_AS_CSV) from None
        return text.encode(), "read as Windows-1252"
    return data, ""
