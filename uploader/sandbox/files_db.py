"""Statements about files, uploads and parts. Each takes the connection first and belongs to one transaction."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from uploader.sandbox.file_status import Progress
from uploader.sandbox.parts import Span


@dataclass(frozen=True, kw_only=True, slots=True)
class File:
    """A file's record, as the table has it. `link` is None for an uploaded file, `blob` None for a linked one."""

    id: int
    item_id: int
    name: str
    size: int
    supplied_md5: str
    folder_path: str
    link: str | None
    token: str
    blob: str | None
    created: float
    hidden_until: float
    hidden_gets: int
    aborted: bool
    """The upload is aborted."""
    completed: float | None
    md5: str | None
    hashed: float | None
    attached: bool
    """The file is part of a public version."""

    @property
    def progress(self) -> Progress:
        return Progress(completed=self.completed, hashed=self.hashed, md5=self.md5, supplied=self.supplied_md5)


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A part and whether it is COMPLETE; both ends are inclusive. `dirty`: its region may hold bytes."""

    number: int
    start: int
    end: int
    complete: bool
    dirty: bool

    @property
    def length(self) -> int:
        return self.end - self.start + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class NewFile:
    """A file created by an initiate. `parts` is empty for links and for files of zero bytes."""

    item_id: int
    name: str
    size: int
    supplied_md5: str
    folder_path: str
    link: str | None
    token: str
    blob: str | None
    created: float
    hidden_until: float
    hidden_gets: int
    parts: list[Span]


def create(db: sqlite3.Connection, new: NewFile) -> int:
    """Store a file with its parts and return its id."""
    completed = new.created if new.link is not None else None
    cursor = db.execute(
        "INSERT INTO files (item_id, name, size, supplied_md5, folder_path, link, token, blob, created,"
        " hidden_until, hidden_gets, completed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            new.item_id, new.name, new.size, new.supplied_md5, new.folder_path, new.link, new.token, new.blob,
            new.created, new.hidden_until, new.hidden_gets, completed,
        ),
    )  # fmt: skip
    file_id = int(cursor.lastrowid or 0)
    db.executemany(
        'INSERT INTO parts (file_id, number, start, "end") VALUES (?, ?, ?, ?)',
        ((file_id, span.number, span.start, span.end) for span in new.parts),
    )
    return file_id


def get(db: sqlite3.Connection, item_id: int, file_id: int) -> File | None:
    """Return one file of an item, hidden or not."""
    row = db.execute("SELECT * FROM files WHERE id = ? AND item_id = ?", (file_id, item_id)).fetchone()
    return None if row is None else _file(row)


def by_id(db: sqlite3.Connection, file_id: int) -> File | None:
    """Return one file of any item."""
    row = db.execute("SELECT * FROM files WHERE id = ?", (file_id,)).fetchone()
    return None if row is None else _file(row)


def by_token(db: sqlite3.Connection, token: str) -> File | None:
    """Return the file of an upload; None also for an upload that was lost."""
    row = db.execute("SELECT * FROM files WHERE token = ? AND link IS NULL AND aborted < 2", (token,)).fetchone()
    return None if row is None else _file(row)


def read_visible(db: sqlite3.Connection, item_id: int, file_id: int, now: float) -> File | None:
    """Return a file for a GET; None while it is hidden. Counts the GET if required."""
    found = get(db, item_id, file_id)
    if found is None or found.hidden_until > now:
        return None
    if found.hidden_gets > 0:
        db.execute("UPDATE files SET hidden_gets = hidden_gets - 1 WHERE id = ?", (file_id,))
        return None
    return found


def page(db: sqlite3.Connection, item_id: int, now: float, limit: int | None, offset: int = 0) -> list[File]:
    """Return the visible files of an item in order of creation. `limit` None: all."""
    rows = db.execute(
        # The rows before the page are counted in the index only.
        "SELECT files.* FROM (SELECT id FROM files WHERE item_id = ? AND hidden_gets = 0 AND hidden_until <= ?"
        " ORDER BY id LIMIT ? OFFSET ?) JOIN files USING (id) ORDER BY id",
        (item_id, now, -1 if limit is None else limit, offset),
    )
    return [_file(row) for row in rows]


def totals(db: sqlite3.Connection, item_id: int, now: float) -> tuple[int, int]:
    """Return the number and total size of an item's visible files."""
    row = db.execute(
        "SELECT COUNT(*), COALESCE(SUM(size), 0) FROM files"
        " WHERE item_id = ? AND hidden_gets = 0 AND hidden_until <= ?",
        (item_id, now),
    ).fetchone()
    return row[0], row[1]


def folders(db: sqlite3.Connection, item_id: int, now: float) -> dict[str, str]:
    """Map file id to folder, for the visible files of an item that have one."""
    rows = db.execute(
        "SELECT id, folder_path FROM files WHERE item_id = ? AND folder_path != ''"
        " AND hidden_gets = 0 AND hidden_until <= ? ORDER BY id",
        (item_id, now),
    )
    return {str(row[0]): row[1] for row in rows}


def blobs(db: sqlite3.Connection, item_id: int | None = None) -> list[str]:
    """Return the names of all blobs, or of one item's; including files that are only in a public version."""
    rows = db.execute(
        "SELECT blob FROM files WHERE blob IS NOT NULL AND (?1 IS NULL OR item_id = ?1)"
        " UNION SELECT blob FROM published_files WHERE blob IS NOT NULL AND (?1 IS NULL OR item_id = ?1)",
        (item_id,),
    )
    return [row[0] for row in rows]


def tokens(db: sqlite3.Connection, item_id: int) -> list[str]:
    """Return the uploads of an item."""
    return [row[0] for row in db.execute("SELECT token FROM files WHERE item_id = ?", (item_id,))]


def delete(db: sqlite3.Connection, file_id: int) -> bool:
    """Remove a file's record and its upload; False if unknown."""
    return db.execute("DELETE FROM files WHERE id = ?", (file_id,)).rowcount > 0


def abort(db: sqlite3.Connection, token: str, *, lose: bool) -> None:
    """Abort an upload permanently; `lose`: it responds 404 from now on."""
    db.execute("UPDATE files SET aborted = ? WHERE token = ?", (2 if lose else 1, token))


def hide(db: sqlite3.Connection, file_id: int, until: float) -> None:
    """Make a file invisible."""
    db.execute("UPDATE files SET hidden_until = ? WHERE id = ?", (until, file_id))


def missing_parts(db: sqlite3.Connection, file_id: int) -> int:
    """Return how many parts are not COMPLETE."""
    row = db.execute("SELECT COUNT(*) FROM parts WHERE file_id = ? AND NOT complete", (file_id,)).fetchone()
    return int(row[0])


def complete(db: sqlite3.Connection, file_id: int, now: float) -> None:
    """Record the completion; only the first counts."""
    db.execute("UPDATE files SET completed = ? WHERE id = ? AND completed IS NULL", (now, file_id))


def unhashed(db: sqlite3.Connection) -> list[File]:
    """Return completed files without a computed MD5."""
    rows = db.execute("SELECT * FROM files WHERE completed IS NOT NULL AND hashed IS NULL AND link IS NULL")
    return [_file(row) for row in rows]


def hashed(db: sqlite3.Connection, file_id: int, md5: str | None, now: float) -> None:
    """Record the end of the integrity check, with the MD5 if one was computed."""
    db.execute("UPDATE files SET md5 = ?, hashed = ? WHERE id = ?", (md5, now, file_id))


def parts(db: sqlite3.Connection, file_id: int) -> list[Part]:
    """Return the parts of an upload, in order."""
    rows = db.execute("SELECT * FROM parts WHERE file_id = ? ORDER BY number", (file_id,))
    return [_part(row) for row in rows]


def part(db: sqlite3.Connection, file_id: int, number: int) -> Part | None:
    """Return one part."""
    row = db.execute("SELECT * FROM parts WHERE file_id = ? AND number = ?", (file_id, number)).fetchone()
    return None if row is None else _part(row)


def open_part(db: sqlite3.Connection, file_id: int, number: int) -> None:
    """Record that bytes are about to be written: the part is PENDING and its region may hold data."""
    db.execute("UPDATE parts SET complete = 0, dirty = 1 WHERE file_id = ? AND number = ?", (file_id, number))


def finish_part(db: sqlite3.Connection, file_id: int, number: int) -> bool:
    """Record that a part is COMPLETE; False if its upload was deleted or aborted meanwhile."""
    cursor = db.execute(
        "UPDATE parts SET complete = 1 WHERE file_id = ?1 AND number = ?2"
        " AND EXISTS (SELECT 1 FROM files WHERE id = ?1 AND completed IS NULL AND NOT aborted)",
        (file_id, number),
    )
    return cursor.rowcount > 0


def reset_part(db: sqlite3.Connection, file_id: int, number: int) -> None:
    """Make a part PENDING again; its bytes stay until it is sent again."""
    db.execute("UPDATE parts SET complete = 0 WHERE file_id = ? AND number = ?", (file_id, number))


def progress(db: sqlite3.Connection, file_id: int, buckets: int) -> list[tuple[int, int]]:
    """Return an upload in at most `buckets` runs of parts, each as (COMPLETE, total)."""
    rows = db.execute(
        "SELECT SUM(complete), COUNT(*) FROM parts WHERE file_id = ?1"
        " GROUP BY (number - 1) * ?2 / MAX(?2, (SELECT COUNT(*) FROM parts WHERE file_id = ?1))",
        (file_id, buckets),
    )
    return [(row[0], row[1]) for row in rows]


def _file(row: sqlite3.Row) -> File:
    values = dict(row)
    values["aborted"], values["attached"] = bool(values["aborted"]), bool(values["attached"])
    return File(**values)


def _part(row: sqlite3.Row) -> Part:
    return Part(
        number=row["number"],
        start=row["start"],
        end=row["end"],
        complete=bool(row["complete"]),
        dirty=bool(row["dirty"]),
    )
