"""The catalog of a report on disk: one SQLite file with the rows of Figshare's lists, the records, and what failed.

Everything that was read is committed as it comes (see `collect`), so that a crash costs at most what came last. A lock
beside the file excludes other processes of this machine. Blocking: callers work in a thread, one at a time.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from uploader.catalog.pager import Position
from uploader.catalog.report.columns import Entry
from uploader.catalog.report.values import Raw, custom_fields
from uploader.disk import Disk, map_os_errors, open_lock_file, try_flock
from uploader.errors import CatalogBusy, CatalogDamaged, CatalogNewer, StateDiskFull, StateUnusable
from uploader.figshare.ids import Kind
from uploader.figshare.records import Record

FORMAT: Final = 1
"""Version of the tables, in SQLite's user_version; a catalog of a later one is refused."""
_TABLES = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE lists (kind TEXT PRIMARY KEY, position TEXT, complete INTEGER NOT NULL DEFAULT 0);
CREATE TABLE rows (
    kind TEXT NOT NULL, id INTEGER NOT NULL, published TEXT NOT NULL, mark TEXT NOT NULL, row BLOB NOT NULL,
    run INTEGER NOT NULL, gone INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (kind, id)
);
CREATE INDEX rows_in_order ON rows (published, id);
CREATE TABLE records (
    kind TEXT NOT NULL, id INTEGER NOT NULL, mark TEXT NOT NULL, record BLOB NOT NULL, PRIMARY KEY (kind, id)
);
CREATE TABLE failures (
    kind TEXT NOT NULL, id INTEGER NOT NULL, run INTEGER NOT NULL, attempts INTEGER NOT NULL, message TEXT NOT NULL,
    PRIMARY KEY (kind, id)
);
"""
_WANTED = """rows LEFT JOIN records USING (kind, id) WHERE NOT gone
    AND (records.mark IS NULL OR records.mark <> rows.mark OR rows.run < :run)"""
"""Rows whose record is not known, is known as it was before a change, or that Figshare lists no more."""

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A record to read. `mark` is that of its row, `listed` False if Figshare lists it no more."""

    kind: Kind
    id: int
    mark: str
    listed: bool


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of reading a record: `record`, or None and why not; `gone`: it exists no more."""

    wanted: Wanted
    record: Raw | None = None
    failure: str = ""
    gone: bool = False


@dataclass(frozen=True, kw_only=True)
class Failed:
    """A record that could not be read, and why."""

    kind: Kind
    id: int
    title: str
    message: str


def mark_of(row: Record) -> str:
    """Return what changes whenever the record does: the time of its last change, if stated, else all of the row."""
    if row.modified is not None:
        return str(row.raw.get("modified_date"))
    return hashlib.blake2b(msgspec.json.encode(row.raw, order="sorted"), digest_size=12).hexdigest()


class Store:
    """An open catalog, locked for this process. Every method commits. Raises StateDiskFull, CatalogDamaged."""

    def __init__(self, path: Path, *, fresh: bool = False) -> None:
        """Open the catalog at `path`, or make one; `fresh` drops what it has.

        Raises CatalogBusy, CatalogNewer, CatalogDamaged, StateUnusable, StateDiskFull.
        """
        self._path = path
        Disk().make_folder(path.parent)
        self._lock = open_lock_file(path.with_suffix(".lock"))
        try:
            with map_os_errors(path):
                self._take_lock()
                for old in (path, path.with_name(f"{path.name}-journal")) if fresh else ():
                    old.unlink(missing_ok=True)
            self._db = self._opened()
        except BaseException:
            os.close(self._lock)
            raise

    def _take_lock(self) -> None:
        if not try_flock(self._lock):
            raise CatalogBusy("another process is making this report")

    def _opened(self) -> sqlite3.Connection:
        with self._errors():
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
            db.executescript(f"BEGIN; {_TABLES} PRAGMA user_version = {FORMAT}; COMMIT;")

    def close(self) -> None:
        """Close the catalog and release its lock."""
        self._db.close()
        os.close(self._lock)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as fault:
            if "full" in str(fault):
                raise StateDiskFull(f"the disk that holds figup's state is full: {self._path}") from None
            raise StateUnusable(f"figup's state cannot be used: {self._path}: {fault}") from None
        except sqlite3.DatabaseError as fault:
            raise CatalogDamaged(f"this report's catalog is damaged: {self._path}: {fault}") from None
        except (zlib.error, msgspec.MsgspecError, UnicodeDecodeError):
            raise CatalogDamaged(f"this report's catalog is damaged: {self._path}") from None

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._errors():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def _query(self, read: Callable[[sqlite3.Connection], T]) -> T:
        with self._errors():
            return read(self._db)

    # --- listing -----------------------------------------------------------------------------------------------------

    @property
    def run(self) -> int:
        """The number of the current reading of the lists, 0 before the first."""
        return int(self._meta("run") or 0)

    @property
    def finished(self) -> bool:
        """Whether the last run came to its end, so that the next one reads the lists anew."""
        return self._meta("finished") == "1"

    def _meta(self, name: str) -> str | None:
        row = self._query(lambda db: db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone())
        return str(row[0]) if row is not None else None

    def begin(self) -> None:
        """Begin to read the lists anew, unless an earlier run has not come to its end."""
        if self.run and not self.finished:
            return
        run = self.run + 1
        with self._transaction() as db:
            db.execute("DELETE FROM lists")
            db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", [("run", str(run)), ("finished", "0")])

    def position(self, kind: Kind) -> tuple[Position | None, bool]:
        """Return the position in the list of this kind, None for the beginning, and whether it was read to its end."""
        row = self._query(
            lambda db: db.execute("SELECT position, complete FROM lists WHERE kind = ?", (kind,)).fetchone()
        )
        if row is None:
            return None, False
        with self._errors():
            return msgspec.json.decode(row[0], type=Position), bool(row[1])

    def seen(self, kind: Kind) -> list[int]:
        """Return the ids that this reading of the list has shown."""
        run = self.run
        return self._query(
            lambda db: [row[0] for row in db.execute("SELECT id FROM rows WHERE kind = ? AND run = ?", (kind, run))]
        )

    def add_page(self, kind: Kind, rows: Sequence[Record], position: Position, *, complete: bool) -> None:
        """Store the rows of a page together with the position after it."""
        run = self.run
        values = [
            (kind, row.id, _published(row), mark_of(row), msgspec.json.encode(row.raw), run) for row in rows
        ]  # fmt: skip
        with self._transaction() as db:
            db.executemany(
                "INSERT INTO rows (kind, id, published, mark, row, run) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE"
                " SET published = excluded.published, mark = excluded.mark, row = excluded.row, run = excluded.run,"
                " gone = 0",
                values,
            )
            db.execute("INSERT OR REPLACE INTO lists VALUES (?, ?, ?)", (kind, msgspec.json.encode(position), complete))

    def keep_unlisted(self) -> None:
        """Count records that Figshare did not list as listed: the lists are known to be incomplete."""
        with self._transaction() as db:
            db.execute("UPDATE rows SET run = ? WHERE NOT gone", (self._run_of(db),))

    @staticmethod
    def _run_of(db: sqlite3.Connection) -> int:
        return int(db.execute("SELECT value FROM meta WHERE name = 'run'").fetchone()[0])

    # --- records -----------------------------------------------------------------------------------------------------

    def wanted(self, after: tuple[str, int], *, failed: bool, count: int = 500) -> list[Wanted]:
        """Return the next records to read, in the order of kind and id.

        `failed`: those that failed in this run; otherwise those that did not.
        """
        run = self.run
        condition = "EXISTS" if failed else "NOT EXISTS"
        rows = self._query(
            lambda db: db.execute(
                f"SELECT kind, id, rows.mark, rows.run FROM {_WANTED} AND (kind, id) > (:kind, :id) AND {condition}"  # noqa: S608 - constants
                " (SELECT 1 FROM failures WHERE failures.kind = rows.kind AND failures.id = rows.id"
                " AND failures.run = :run) ORDER BY kind, id LIMIT :count",
                {"run": run, "kind": after[0], "id": after[1], "count": count},
            ).fetchall()
        )
        return [Wanted(kind=kind, id=number, mark=mark, listed=last == run) for kind, number, mark, last in rows]

    def save(self, outcomes: Iterable[Outcome]) -> None:
        """Store what came of reading records, all or nothing."""
        with self._transaction() as db:
            run = self._run_of(db)
            for one in outcomes:
                key = (one.wanted.kind, one.wanted.id)
                if one.record is not None:
                    db.execute("DELETE FROM failures WHERE kind = ? AND id = ?", key)
                    packed = zlib.compress(msgspec.json.encode(one.record))
                    db.execute("INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?)", (*key, one.wanted.mark, packed))
                    db.execute("UPDATE rows SET run = ? WHERE kind = ? AND id = ?", (run, *key))
                elif one.gone:
                    db.execute("DELETE FROM failures WHERE kind = ? AND id = ?", key)
                    db.execute("UPDATE rows SET gone = 1 WHERE kind = ? AND id = ?", key)
                else:
                    db.execute(
                        "INSERT INTO failures VALUES (?, ?, ?, 1, ?) ON CONFLICT DO UPDATE SET run = excluded.run,"
                        " attempts = attempts + 1, message = excluded.message",
                        (*key, run, one.failure),
                    )

    def finish(self) -> None:
        """Record that the run came to its end: the next one reads the lists anew."""
        with self._transaction() as db:
            db.execute("INSERT OR REPLACE INTO meta VALUES ('finished', '1')")

    # --- what there is -----------------------------------------------------------------------------------------------

    def counts(self) -> tuple[int, int, int]:
        """Return the numbers of records listed, of those to be read, and of those gone."""
        run = self.run
        return self._query(
            lambda db: (
                db.execute("SELECT count(*) FROM rows WHERE NOT gone").fetchone()[0],
                db.execute(f"SELECT count(*) FROM {_WANTED}", {"run": run}).fetchone()[0],  # noqa: S608 - a constant
                db.execute("SELECT count(*) FROM rows WHERE gone").fetchone()[0],
            )
        )

    def known(self, kind: Kind, rows: Sequence[Record]) -> int:
        """Return how many of these rows have a record that was read since they changed last."""
        return self._query(
            lambda db: sum(
                int(
                    db.execute(
                        "SELECT count(*) FROM records WHERE kind = ? AND id = ? AND mark = ?",
                        (kind, row.id, mark_of(row)),
                    ).fetchone()[0]
                )
                for row in rows
            )
        )

    def failures(self) -> list[Failed]:
        """Return the records that could not be read."""
        rows = self._query(
            lambda db: db.execute(
                "SELECT kind, id, row, message FROM failures JOIN rows USING (kind, id) WHERE NOT gone"
                " ORDER BY kind, id"
            ).fetchall()
        )
        with self._errors():
            titles = [msgspec.json.decode(row).get("title") for _, _, row, _ in rows]
        return [
            Failed(kind=kind, id=number, title=str(title or ""), message=message)
            for (kind, number, _, message), title in zip(rows, titles, strict=True)
        ]

    def entries(self) -> Iterator[Entry]:
        """Yield all records that exist, by date of publication and id; those without a date come first."""
        with self._errors():
            cursor = self._db.execute(
                "SELECT kind, row, record, message FROM rows LEFT JOIN records USING (kind, id)"
                " LEFT JOIN failures USING (kind, id) WHERE NOT gone ORDER BY published, rows.id, kind"
            )
            for kind, row, record, message in cursor:
                full: Any = msgspec.json.decode(zlib.decompress(record)) if record is not None else None
                yield Entry(kind=kind, row=msgspec.json.decode(row), full=full, missing=message or "")

    def custom_names(self) -> set[str]:
        """Return the names of all custom fields of all records."""
        return {name for entry in self.entries() for name in custom_fields(entry.raw)}


def _published(row: Record) -> str:
    return f"{row.published:%Y-%m-%dT%H:%M:%SZ}" if row.published is not None else ""
