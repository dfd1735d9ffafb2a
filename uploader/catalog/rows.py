"""Rows of lists in a file: CSV for a spreadsheet, JSON Lines as received. The file is complete, or it is not there.

Blocking: callers write in a thread.
"""

from __future__ import annotations

import csv
import glob
import io
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import msgspec

from uploader.disk import FILE_MODE, FULL, Disk
from uploader.errors import FigupError, OutputExists, TargetFull, UsageError
from uploader.figshare.ids import Kind
from uploader.figshare.records import Record
from uploader.system import write_error

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_LINE_ENDS = ("\u0085", "\u2028", "\u2029")
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")
FORMATS = (".csv", ".jsonl")
"""Endings of file names, each of a format."""


def _time(name: str) -> Callable[[Record], str]:
    def text(row: Record) -> str:
        value = getattr(row, name)
        return "" if value is None else f"{value:%Y-%m-%dT%H:%M:%SZ}"

    return text


_ABANDONED = 3600.0
"""Seconds since the last write after which an unfinished file counts as left by a killed process."""
COLUMNS: Mapping[str, Callable[[Record], object]] = {
    "id": lambda row: row.id,
    "title": lambda row: row.title,
    "doi": lambda row: row.doi,
    "handle": lambda row: row.handle,
    "url": lambda row: row.url,
    "type": lambda row: row.type,
    "published_date": _time("published"),
    "created_date": _time("created"),
    "modified_date": _time("modified"),
    "posted": lambda row: row.timeline.get("posted", ""),
    "first_online": lambda row: row.timeline.get("firstOnline", ""),
    "resource_title": lambda row: row.resource_title,
    "resource_doi": lambda row: row.resource_doi,
    "group_id": lambda row: row.group_id,
}
"""Columns of a row of a list, after `record_type`."""


def csv_cell(value: object) -> str:
    """Return a value as a cell: None is empty, and a text that a spreadsheet would take for a formula is marked."""
    text = "" if value is None else str(value).replace("\0", "")
    return f"'{text}" if text.startswith(_FORMULA) and not _NUMBER.fullmatch(text) else text


def csv_line(cells: Sequence[object]) -> bytes:
    """Return a line of CSV (RFC 4180, UTF-8)."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow([csv_cell(cell) for cell in cells])
    return text.getvalue().encode("utf-8", "replace")


def csv_header(names: Sequence[str]) -> bytes:
    """Return the first line of a file of CSV, after a byte order mark, by which Excel knows UTF-8."""
    return "\ufeff".encode() + csv_line(names)


def check_ending(path: Path, known: Sequence[str]) -> None:
    """Raise UsageError for a file name that ends in none of the known formats."""
    if path.suffix.lower() not in known:
        raise UsageError(f"unknown format {path.name!r}; the name must end in {', '.join(known[:-1])} or {known[-1]}")


class NewFile:
    """A file that appears under its name when it is closed to be kept: durably, in place of an older one.

    `private`: only this user can read it. Raises OutputExists, unless it may be replaced, UsageError for a path that
    cannot be written, TargetFull.
    """

    def __init__(self, path: Path, *, replace: bool = False, private: bool = False) -> None:
        self.path, self._replace = path, replace
        self._temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        with self._errors():
            if os.path.lexists(path) and not replace:
                raise OutputExists(f"{path} exists")
            if path.is_dir():
                raise UsageError(f"{path} is a folder")
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            self.file: BinaryIO = os.fdopen(os.open(self._temporary, flags, FILE_MODE if private else 0o666), "w+b")

    def write(self, data: bytes) -> None:
        """Append to it."""
        with self._errors():
            self.file.write(data)

    def complete(self) -> os.stat_result:
        """Write everything to the disk, and return what the file is known by, also under its name."""
        with self._errors():
            self.file.flush()
            os.fsync(self.file.fileno())
            return os.fstat(self.file.fileno())

    def close(self, *, keep: bool) -> None:
        """Close the file; with `keep`, give it its name. Has no effect on a closed one."""
        if self.file.closed:
            return
        try:
            with self._errors():
                with self.file:
                    if keep:
                        self.complete()
                if keep:
                    self._name()
                    Disk().sync_folder(self.path.parent)
                    self._remove_abandoned()
        finally:
            self._temporary.unlink(missing_ok=True)

    def _name(self) -> None:
        """Give the file its name. Raises OutputExists for one that somebody has created meanwhile."""
        if not self._replace:
            try:
                os.link(self._temporary, self.path)
            except FileExistsError:
                raise OutputExists(f"{self.path} exists: it was created meanwhile") from None
            except OSError:  # a file system without hard links
                if os.path.lexists(self.path):
                    raise OutputExists(f"{self.path} exists: it was created meanwhile") from None
            else:
                return
        self._temporary.replace(self.path)

    def _remove_abandoned(self) -> None:
        """Remove the unfinished files of this name that killed processes have left."""
        with suppress(OSError):
            for one in self.path.parent.glob(f".{glob.escape(self.path.name)}.{'[0-9a-f]' * 8}"):
                if one.is_file() and time.time() - one.stat().st_mtime > _ABANDONED:
                    one.unlink()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as fault:
            raise output_error(fault, self.path) from None


def output_error(fault: OSError, path: Path) -> FigupError:
    """Return the error for an output file that cannot be written."""
    if fault.errno in FULL:
        return TargetFull(
            f"cannot write {path}: {fault.strerror}", hint="Free space there, and run the same command again."
        )
    return write_error(fault, str(path))


def write_new(path: Path, data: bytes, *, replace: bool = False, private: bool = False) -> None:
    """Write a whole file. Blocks. Raises what `NewFile` raises."""
    new = NewFile(path, replace=replace, private=private)
    written = False
    try:
        new.write(data)
        written = True
    finally:
        new.close(keep=written)


class RowFile:
    """A file of rows that appears under its name when it is closed without an error; `kind` is that of all rows.

    Raises what `NewFile` raises.
    """

    def __init__(self, path: Path, kind: Kind, *, replace: bool = False, private: bool = False) -> None:
        check_ending(path, FORMATS)
        self._kind = kind
        self._csv = path.suffix.lower() == ".csv"
        self._new = NewFile(path, replace=replace, private=private)
        if self._csv:
            self._new.write(csv_header(["record_type", *COLUMNS]))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(keep=fault is None)

    def write(self, rows: Sequence[Record]) -> None:
        """Append rows."""
        lines = [csv_line([self._kind, *(read(row) for read in COLUMNS.values())]) if self._csv else json_line(row.raw)
                 for row in rows]  # fmt: skip
        self._new.write(b"".join(lines))

    def close(self, *, keep: bool) -> None:
        """Close the file; with `keep`, give it its name."""
        self._new.close(keep=keep)


def json_line(raw: Mapping[str, Any]) -> bytes:
    """Return an object as one line, also for readers that take U+2028 and the like for ends of lines."""
    line = msgspec.json.encode(raw)
    for end in _LINE_ENDS:
        line = line.replace(end.encode(), f"\\u{ord(end):04x}".encode())
    return line + b"\n"
