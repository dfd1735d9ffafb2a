"""The catalog of a report on disk: one SQLite file with the rows of Figshare's lists, the records, and what failed.

Everything that was read is committed as it comes (see `collect`), so that a crash costs at most what came last. Each
row has parts that are read one by one: the record in full, its numbers, its earlier versions. The caller excludes other
processes (see `make`). Blocking: callers work in a thread, one at a time.
"""

from __future__ import annotations

import hashlib
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from uploader.catalog.pager import Position
from uploader.catalog.report.columns import Entry
from uploader.catalog.report.database import Database
from uploader.catalog.report.parts import Failed, Outcome, Part, PartToRead
from uploader.catalog.report.values import Raw
from uploader.figshare.records import Record, RowKind

MAX_AGE: Final = 86_400.0
"""Seconds for which numbers of a record are not asked for again."""
_TABLES = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE lists (name TEXT PRIMARY KEY, position TEXT, complete INTEGER NOT NULL DEFAULT 0);
CREATE TABLE rows (
    kind TEXT NOT NULL, id INTEGER NOT NULL, published TEXT NOT NULL, mark TEXT NOT NULL, row BLOB NOT NULL,
    run INTEGER NOT NULL, gone INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (kind, id)
);
CREATE INDEX rows_in_order ON rows (published, id);
CREATE TABLE records (
    kind TEXT NOT NULL, id INTEGER NOT NULL, part TEXT NOT NULL, mark TEXT NOT NULL, read REAL NOT NULL,
    record BLOB NOT NULL, PRIMARY KEY (kind, id, part)
);
CREATE TABLE failures (
    kind TEXT NOT NULL, id INTEGER NOT NULL, part TEXT NOT NULL, run INTEGER NOT NULL, attempts INTEGER NOT NULL,
    message TEXT NOT NULL, PRIMARY KEY (kind, id, part)
);
"""
_PARTS = """rows LEFT JOIN records ON records.kind = rows.kind AND records.id = rows.id AND records.part = :part
    WHERE NOT gone AND (records.mark IS NULL OR """
_OF_SERVICE = f"{_PARTS} records.mark <> :counted OR records.read < :stale) AND (:undated OR published <> '')"
_HAS_FULL = """EXISTS (SELECT 1 FROM records AS full
    WHERE full.kind = rows.kind AND full.id = rows.id AND full.part = 'record' AND full.mark = rows.mark)"""
_WANTED = {
    "record": f"{_PARTS} records.mark <> rows.mark OR rows.run < :run)",
    "numbers": _OF_SERVICE,
    "places": _OF_SERVICE,
    "versions": f"{_PARTS} records.mark <> rows.mark) AND {_HAS_FULL}",
    "items": f"{_PARTS} records.read < :began) AND rows.kind = 'collection' AND {_HAS_FULL}",
}
"""Rows with a part that is unknown, outdated or too old, and rows that are no longer listed.

Items can be added to a collection without a change of its row: they are listed in every run.
"""


@dataclass(frozen=True, kw_only=True)
class Stored:
    """A row: its mark, that of its record as it was read (None: never), and whether the unfinished run has listed it.

    `dated`: it has a date of publication.
    """

    mark: str
    read_at: str | None
    dated: bool
    listed: bool


def mark_of(row: Record) -> str:
    """Return a value that changes whenever the record does: its modification time if stated, else the whole row."""
    if row.modified is not None:
        return str(row.raw.get("modified_date"))
    return "#" + hashlib.blake2b(msgspec.json.encode(row.raw, order="sorted"), digest_size=12).hexdigest()


class Store:
    """An open catalog. Every method commits. Raises StateDiskFull, CatalogDamaged."""

    def __init__(
        self,
        path: Path,
        kinds: Sequence[RowKind],
        parts: Sequence[Part] = ("record",),
        *,
        counted: str = "",
        fresh: bool = False,
    ) -> None:
        """Open the catalog at `path`, or make one; `fresh` drops what it has.

        `kinds` are what the table is about; rows of other kinds only give names. `parts` are what it needs. `counted`
        says which numbers are meant; stored numbers of other kinds are not used.
        Raises CatalogNewer, CatalogDamaged, StateUnusable, StateDiskFull.
        """
        self._kinds, self._parts = (f"({', '.join(map(repr, names))})" for names in (kinds, parts))
        self._joined: tuple[Part, ...] = ("record", *(one for one in parts if one != "record"))
        self._counted = counted
        self._base = Database(path, _TABLES, fresh=fresh)

    def close(self) -> None:
        self._base.close()

    # --- listing -----------------------------------------------------------------------------------------------------

    @property
    def run(self) -> int:
        """The number of the current reading of the lists, 0 before the first."""
        return int(self._meta("run") or 0)

    @property
    def finished(self) -> bool:
        """Whether the last run finished, so that the next one reads the lists again."""
        return self._meta("finished") == "1"

    def _meta(self, name: str) -> str | None:
        row = self._base.row("SELECT value FROM meta WHERE name = ?", (name,))
        return str(row[0]) if row is not None else None

    def begin(self, now: float) -> None:
        """Begin to read the lists again, unless an earlier run has not finished. `now` is in Unix time."""
        if self.run and not self.finished:
            return
        values = {"run": self.run + 1, "finished": 0, "previous": self.began, "began": now}
        with self._base.transaction() as db:
            db.execute("DELETE FROM lists")
            db.executemany(
                "INSERT OR REPLACE INTO meta VALUES (?, ?)", [(key, str(one)) for key, one in values.items()]
            )

    @property
    def began(self) -> float:
        """When the reading of the lists began, in seconds of Unix time; 0 before the first."""
        return float(self._meta("began") or 0)

    @property
    def previous(self) -> float:
        """When the run before this one began, 0 if there was none."""
        return float(self._meta("previous") or 0)

    def position(self, name: str) -> tuple[Position | None, bool]:
        """Return the position in a list, None for the beginning, and whether it was read to its end."""
        row = self._base.row("SELECT position, complete FROM lists WHERE name = ?", (name,))
        if row is None:
            return None, False
        with self._base.errors():
            return msgspec.json.decode(row[0], type=Position), bool(row[1])

    def seen(self, kind: RowKind) -> list[int]:
        """Return the ids that this reading of the lists has shown."""
        run = self.run
        return self._base.query(
            lambda db: [row[0] for row in db.execute("SELECT id FROM rows WHERE kind = ? AND run = ?", (kind, run))]
        )

    def add_page(
        self, name: str, kind: RowKind, rows: Sequence[Record], position: Position, *, complete: bool
    ) -> None:  # fmt: skip
        """Store the rows of a page together with the position after it."""
        run = self.run
        values = [
            (kind, row.id, _published(row), mark_of(row), msgspec.json.encode(row.raw), run) for row in rows
        ]  # fmt: skip
        with self._base.transaction() as db:
            db.executemany(
                "INSERT INTO rows (kind, id, published, mark, row, run) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE"
                " SET published = excluded.published, mark = excluded.mark, row = excluded.row, run = excluded.run,"
                " gone = 0",
                values,
            )
            db.execute("INSERT OR REPLACE INTO lists VALUES (?, ?, ?)", (name, msgspec.json.encode(position), complete))

    def hides_changes(self, kind: RowKind) -> bool:
        """Return whether rows of this kind do not state when they were modified."""
        found = self._base.row("SELECT 1 FROM rows WHERE kind = ? AND NOT gone AND mark LIKE '#%' LIMIT 1", (kind,))
        return found is not None

    def outdate(self, kind: RowKind, ids: Iterable[int]) -> None:
        """Mark records to be read again that were read before this run: Figshare reports that they changed."""
        with self._base.transaction() as db:
            db.executemany(
                "UPDATE records SET mark = ''"
                " WHERE kind = ? AND id = ? AND part IN ('record', 'versions') AND read < ?",
                [(kind, number, self.began) for number in ids],
            )

    def keep_unlisted(self) -> None:
        """Count records that Figshare did not list as listed: the lists are known to be incomplete."""
        with self._base.transaction() as db:
            db.execute("UPDATE rows SET run = ? WHERE NOT gone", (self._run_of(db),))

    def forget_failures(self, *, undated: bool) -> None:
        """Forget failures of parts that no longer have to be read, for example after a change was reverted.

        `undated` as in `wanted`.
        """
        with self._base.transaction() as db:
            for part in self._joined:
                db.execute(
                    "DELETE FROM failures WHERE part = :part AND (kind, id) NOT IN"  # noqa: S608 - constants
                    f" (SELECT rows.kind, rows.id FROM {_WANTED[part]})",
                    {**self._values(part), "undated": undated},
                )

    def drop_unlisted(self, kinds: Iterable[RowKind]) -> None:
        """Count rows that Figshare did not list as gone: these kinds have nothing but rows."""
        with self._base.transaction() as db:
            run = self._run_of(db)
            db.executemany("UPDATE rows SET gone = 1 WHERE kind = ? AND run < ?", [(kind, run) for kind in kinds])

    @staticmethod
    def _run_of(db: sqlite3.Connection) -> int:
        return int(db.execute("SELECT value FROM meta WHERE name = 'run'").fetchone()[0])

    # --- records -----------------------------------------------------------------------------------------------------

    def wanted(
        self, part: Part, after: tuple[str, int], *, failed: bool, undated: bool, count: int = 500
    ) -> list[PartToRead]:
        """Return the next parts to read, in the order of kind and id.

        `failed`: those that failed once in this run; otherwise those that did not fail. `undated`: numbers also of
        records without a date of publication.
        """
        run = self.run
        condition, attempts = ("EXISTS", "AND attempts = 1") if failed else ("NOT EXISTS", "")
        rows = self._base.query(
            lambda db: db.execute(
                f"SELECT rows.kind, rows.id, rows.mark, rows.run FROM {_WANTED[part]} AND rows.kind IN {self._kinds}"  # noqa: S608 - constants
                f" AND (rows.kind, rows.id) > (:kind, :id) AND {condition} (SELECT 1 FROM failures WHERE"
                " failures.kind = rows.kind AND failures.id = rows.id AND failures.part = :part"
                f" AND failures.run = :run {attempts}) ORDER BY rows.kind, rows.id LIMIT :count",
                {**self._values(part), "kind": after[0], "id": after[1], "count": count, "undated": undated},
            ).fetchall()
        )
        of_service = part in ("numbers", "places")
        return [
            PartToRead(kind=kind, id=one, mark=self._counted if of_service else mark, listed=last == run, part=part)
            for kind, one, mark, last in rows
        ]

    def _values(self, part: Part) -> dict[str, object]:
        began = self.began
        return {"part": part, "run": self.run, "began": began, "stale": began - MAX_AGE, "counted": self._counted}

    def left(self, part: Part, *, undated: bool) -> int:
        """Return the number of these parts to read."""
        return self._base.query(
            lambda db: int(
                db.execute(
                    f"SELECT count(*) FROM {_WANTED[part]} AND rows.kind IN {self._kinds}",  # noqa: S608 - constants
                    {**self._values(part), "undated": undated},
                ).fetchone()[0]
            )
        )

    def save(self, outcomes: Iterable[Outcome], now: float) -> None:
        """Store the outcomes of reading, all or nothing. `now` is seconds of Unix time."""
        with self._base.transaction() as db:
            run = self._run_of(db)
            for one in outcomes:
                key = (one.wanted.kind, one.wanted.id)
                part = (*key, one.wanted.part)
                if one.record is not None:
                    db.execute("DELETE FROM failures WHERE kind = ? AND id = ? AND part = ?", part)
                    packed = zlib.compress(msgspec.json.encode(one.record))
                    values = (*part, one.wanted.mark, now, packed)
                    db.execute("INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?, ?, ?)", values)
                    if one.wanted.part == "record":
                        db.execute("UPDATE rows SET run = ? WHERE kind = ? AND id = ?", (run, *key))
                elif one.gone:
                    db.execute("DELETE FROM failures WHERE kind = ? AND id = ?", key)
                    db.execute("UPDATE rows SET gone = 1 WHERE kind = ? AND id = ?", key)
                else:
                    db.execute(
                        "INSERT INTO failures VALUES (?, ?, ?, ?, 1, ?) ON CONFLICT DO UPDATE SET attempts ="
                        " CASE run WHEN excluded.run THEN attempts + 1 ELSE 1 END,"
                        " run = excluded.run, message = excluded.message",
                        (*part, run, one.failure),
                    )

    def finish(self) -> None:
        """Record that the run finished: the next one reads the lists again."""
        with self._base.transaction() as db:
            db.execute("INSERT OR REPLACE INTO meta VALUES ('finished', '1')")

    # --- what there is -----------------------------------------------------------------------------------------------

    def counts(self) -> tuple[int, int]:
        """Return the numbers of records listed, and of those gone."""
        return self._base.query(
            lambda db: tuple(
                db.execute(f"SELECT count(*) FROM rows WHERE {which} gone AND kind IN {self._kinds}").fetchone()[0]  # noqa: S608 - constants
                for which in ("NOT", "")
            )
        )

    def stored(self) -> dict[tuple[RowKind, int], Stored]:
        """Return the known rows, also those that Figshare may no longer list."""
        rows = self._base.query(
            lambda db: db.execute(
                "SELECT rows.kind, rows.id, rows.mark, records.mark, published <> '', rows.run = ?"  # noqa: S608 - constants
                " FROM rows LEFT JOIN records ON records.kind = rows.kind AND records.id = rows.id AND part = 'record'"
                f" WHERE NOT gone AND rows.kind IN {self._kinds}",
                (-1 if self.finished else self.run,),
            ).fetchall()
        )
        return {
            (kind, number): Stored(mark=mark, read_at=read_at, dated=bool(dated), listed=bool(listed))
            for kind, number, mark, read_at, dated, listed in rows
        }

    def fresh(self, part: Part, since: float) -> set[tuple[RowKind, int]]:
        """Return the rows with these numbers, if they were read since then (seconds of Unix time)."""
        statement = "SELECT kind, id FROM records WHERE part = ? AND mark = ? AND read >= ?"
        return set(self._base.query(lambda db: db.execute(statement, (part, self._counted, since)).fetchall()))

    def record(self, kind: RowKind, number: int) -> Raw:
        """Return a record that was read in full; empty if it was not."""
        packed = self._base.row(
            "SELECT record FROM records WHERE kind = ? AND id = ? AND part = 'record'", (kind, number)
        )
        with self._base.errors():
            return _unpacked(packed[0] if packed is not None else None) or {}

    def failures(self) -> list[Failed]:
        """Return the records with unreadable parts, with all reasons."""
        rows = self._base.query(
            lambda db: db.execute(
                "SELECT kind, id, row, message FROM failures JOIN rows USING (kind, id)"  # noqa: S608 - constants
                f" WHERE NOT gone AND kind IN {self._kinds} AND part IN {self._parts} ORDER BY kind, id, part"
            ).fetchall()
        )
        with self._base.errors():
            titles = [msgspec.json.decode(row).get("title") for _, _, row, _ in rows]
        return [
            Failed(kind=kind, id=number, title=str(title or ""), message=message)
            for (kind, number, _, message), title in zip(rows, titles, strict=True)
        ]

    def rows(self, kind: RowKind) -> Iterator[Raw]:
        """Yield the rows of a kind that Figshare lists, by id."""
        with self._base.errors():
            cursor = self._base.execute("SELECT row FROM rows WHERE kind = ? AND NOT gone ORDER BY id", (kind,))
            for (row,) in cursor:
                yield msgspec.json.decode(row)

    def entries(self) -> Iterator[Entry]:
        """Yield all records that exist, by date of publication and id; those without a date come first."""
        parts = "".join(
            f" LEFT JOIN records AS {one} ON {one}.kind = rows.kind AND {one}.id = rows.id AND {one}.part = '{one}'"
            + (f" AND {one}.mark = :counted" if one in ("numbers", "places") else "")
            for one in self._joined
        )
        columns = ", ".join(f"{one}.record" for one in self._joined)
        counted = "numbers.read" if "numbers" in self._joined else "NULL"
        with self._base.errors():
            cursor = self._base.execute(
                f"SELECT rows.kind, row, {counted}, (SELECT group_concat(message, '; ') FROM failures"  # noqa: S608 - constants
                f" WHERE failures.kind = rows.kind AND failures.id = rows.id AND failures.part IN {self._parts}),"
                f" {columns} FROM rows{parts} WHERE NOT gone AND rows.kind IN {self._kinds}"
                " ORDER BY published, rows.id, rows.kind",
                {"counted": self._counted},
            )
            for kind, row, read, message, *packed in cursor:
                found = {one: _unpacked(each) for one, each in zip(self._joined, packed, strict=True)}
                yield Entry(
                    kind=kind,
                    row=msgspec.json.decode(row),
                    full=found["record"],
                    missing=message or "",
                    numbers=found.get("numbers"),
                    counted=read,
                    countries=(found.get("places") or {}).get("countries", {}),
                    versions=tuple((found.get("versions") or {}).get("versions", ())),
                    items=tuple((found.get("items") or {}).get("items", ())),
                )


def _unpacked(packed: bytes | None) -> Any:
    return msgspec.json.decode(zlib.decompress(packed)) if packed is not None else None


def _published(row: Record) -> str:
    return f"{row.published:%Y-%m-%dT%H:%M:%SZ}" if row.published is not None else ""
