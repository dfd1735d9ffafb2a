"""One SQLite file of a report: opened safely, and with errors that a user can act on. Blocking."""

from __future__ import annotations

import os
import sqlite3
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from uploader.disk import Disk, map_os_errors
from uploader.errors import CatalogDamaged, CatalogNewer, StateDiskFull, StateUnusable

FORMAT: Final = 1
"""Version of the tables, in SQLite's user_version; a catalog of a later one is refused."""

_NOT_WRITTEN: Final = {"SQLITE_IOERR_WRITE", "SQLITE_IOERR_FSYNC", "SQLITE_IOERR_TRUNCATE"}
"""Errors that SQLite also reports for an exhausted quota or limit; only a full disk has an error of its own."""

T = TypeVar("T")


class Database:
    """An open file of tables."""

    def __init__(self, path: Path, tables: str, *, fresh: bool = False) -> None:
        """Open the file at `path`, or make one with these tables; `fresh` drops what it has.

        Raises CatalogNewer, CatalogDamaged, StateUnusable, StateDiskFull.
        """
        self._path, self._tables = path, tables
        Disk().make_folder(path.parent)
        with map_os_errors(path):
            for old in (path, path.with_name(f"{path.name}-journal")) if fresh else ():
                old.unlink(missing_ok=True)
        self._db = self._opened()

    def _opened(self) -> sqlite3.Connection:
        with self.errors():
            # Private: SQLite would create the file readable by others.
            with map_os_errors(self._path):
                os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
            db = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
            try:
                self._check_format(db)
            except BaseException:
                db.close()
                raise
            return db

    def _check_format(self, db: sqlite3.Connection) -> None:
        """Make the tables of a new catalog. Raises CatalogNewer."""
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version > FORMAT:
            raise CatalogNewer(f"this report's catalog was written by a newer figup: {self._path}")
        if version == 0:
            db.executescript(f"BEGIN; {self._tables} PRAGMA user_version = {FORMAT}; COMMIT;")

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as fault:
            if "full" in str(fault):
                raise StateDiskFull(f"the disk that holds figup's state is full: {self._path}") from None
            if fault.sqlite_errorname in _NOT_WRITTEN:
                raise StateDiskFull(f"figup's state cannot be written: {self._path}: {fault}") from None
            raise StateUnusable(f"figup's state cannot be used: {self._path}: {fault}") from None
        except sqlite3.DatabaseError as fault:
            raise CatalogDamaged(f"this report's catalog is damaged: {self._path}: {fault}") from None
        except (zlib.error, msgspec.MsgspecError, UnicodeDecodeError):
            raise CatalogDamaged(f"this report's catalog is damaged: {self._path}") from None

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        with self.errors():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def query(self, read: Callable[[sqlite3.Connection], T]) -> T:
        with self.errors():
            return read(self._db)

    def row(self, statement: str, values: tuple[object, ...] | Mapping[str, object] = ()) -> tuple[Any, ...] | None:
        """Return the first row, None without one."""
        with self.errors():
            found: tuple[Any, ...] | None = self._db.execute(statement, values).fetchone()
            return found

    def execute(self, statement: str, values: tuple[object, ...] | Mapping[str, object] = ()) -> sqlite3.Cursor:
        """Start reading rows. Call it within `errors`."""
        return self._db.execute(statement, values)
