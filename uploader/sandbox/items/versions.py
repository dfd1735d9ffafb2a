"""Statements about the public versions of items and their files. A version never changes, except for its thumbnail.

Every function takes the connection first and belongs to one transaction.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from uploader.sandbox.items.body import EMPTY
from uploader.sandbox.items.store import Item

WITHDRAWN: Final = 1e18
"""When an unpublished version becomes visible: never."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Version:
    """A published version. `visible`: since when, None under a permanent embargo.

    `authors` are objects as the API shows them; `thumb` is the file that makes the thumbnail.
    """

    item_id: int
    number: int
    visible: float | None
    metadata: dict[str, Any]
    authors: list[dict[str, Any]]
    size: int
    thumb: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishedFile:
    """A file as it is in a version; `md5` is None where none was ever computed."""

    item_id: int
    number: int
    file_id: int
    name: str
    size: int
    supplied_md5: str
    md5: str | None
    folder_path: str
    link: str | None
    blob: str | None


def publish(
    db: sqlite3.Connection,
    item: Item,
    metadata: dict[str, Any],
    authors: Sequence[dict[str, Any]],
    visible: float | None,
) -> int:
    """Publish the item as its next version and return the number. `metadata` becomes the item's."""
    number = item.version + 1
    db.execute(
        "INSERT INTO versions (item_id, number, visible, metadata, authors, size, thumb) VALUES (?1, ?2, ?3, ?4, ?5,"
        " (SELECT COALESCE(SUM(size), 0) FROM files WHERE item_id = ?1),"
        " (SELECT thumb FROM versions WHERE item_id = ?1 AND number = ?2 - 1))",
        (item.id, number, visible, json.dumps(metadata), json.dumps(list(authors))),
    )
    db.execute(
        "INSERT INTO published_files"
        " SELECT item_id, ?, id, name, size, supplied_md5, md5, folder_path, link, blob FROM files WHERE item_id = ?",
        (number, item.id),
    )
    db.execute("UPDATE files SET attached = 1 WHERE item_id = ? AND NOT attached", (item.id,))
    db.execute(
        "UPDATE items SET version = ?, published = COALESCE(published, ?), metadata = ?, withdrawn = 0 WHERE id = ?",
        (number, visible, json.dumps(metadata), item.id),
    )
    return number


def unfinished(db: sqlite3.Connection, item_id: int) -> int:
    """Return how many files of an item are not uploaded and checked."""
    row = db.execute(
        "SELECT COUNT(*) FROM files WHERE item_id = ? AND link IS NULL AND hashed IS NULL", (item_id,)
    ).fetchone()
    return int(row[0])


def reschedule(db: sqlite3.Connection, item_id: int, visible: float | None, now: float) -> None:
    """Set when versions that wait for an embargo become visible; None: only when it is lifted."""
    db.execute(
        "UPDATE versions SET visible = ?1 WHERE item_id = ?2 AND (visible IS NULL OR (visible > ?3 AND visible < ?4))",
        (visible, item_id, now, WITHDRAWN),
    )
    db.execute(
        "UPDATE items SET published = (SELECT MIN(visible) FROM versions WHERE item_id = items.id)"
        " WHERE id = ? AND (published IS NULL OR published > ?)",
        (item_id, now),
    )


def withdraw(db: sqlite3.Connection, item_id: int) -> None:
    """Unpublish all versions; the next one to be published is a new one."""
    db.execute("UPDATE versions SET visible = ? WHERE item_id = ?", (WITHDRAWN, item_id))
    db.execute("UPDATE files SET attached = 0 WHERE item_id = ? AND attached", (item_id,))
    db.execute("UPDATE items SET withdrawn = 1, status = 'private' WHERE id = ?", (item_id,))


def publish_copy(db: sqlite3.Connection, now: float) -> None:
    """Publish a copy of the newest public item under a new id; do nothing without one."""
    item_id = _newest(db, now)
    if item_id is None:
        return
    columns = "status, created, modified, metadata, account_id, project_id, linked, uploaded"
    cursor = db.execute(
        f"INSERT INTO items ({columns}, version, published) SELECT {columns}, 1, ? FROM items WHERE id = ?",  # noqa: S608
        (now, item_id),
    )
    db.execute(
        "INSERT INTO versions (item_id, number, visible, metadata, authors, size)"
        " SELECT ?, 1, ?, metadata, authors, 0 FROM versions WHERE item_id = ? ORDER BY number DESC LIMIT 1",
        (cursor.lastrowid, now, item_id),
    )


def withdraw_newest(db: sqlite3.Connection, now: float) -> None:
    """Unpublish the newest public item, if any."""
    item_id = _newest(db, now)
    if item_id is not None:
        withdraw(db, item_id)


def _newest(db: sqlite3.Connection, now: float) -> int | None:
    row = db.execute(
        "SELECT id FROM items WHERE published <= ? AND NOT withdrawn ORDER BY published DESC, id DESC LIMIT 1", (now,)
    ).fetchone()
    return None if row is None else int(row["id"])


def latest(db: sqlite3.Connection, item_id: int, now: float) -> Version | None:
    """Return the newest visible version, or None."""
    row = db.execute(
        "SELECT * FROM versions WHERE item_id = ? AND visible <= ? ORDER BY number DESC LIMIT 1", (item_id, now)
    ).fetchone()
    return None if row is None else _version(row)


def all_of(db: sqlite3.Connection, item_id: int, now: float) -> list[Version]:
    """Return the visible versions, in order."""
    rows = db.execute("SELECT * FROM versions WHERE item_id = ? AND visible <= ? ORDER BY number", (item_id, now))
    return [_version(row) for row in rows]


def get(db: sqlite3.Connection, item_id: int, number: int) -> Version | None:
    """Return one version, visible or not."""
    row = db.execute("SELECT * FROM versions WHERE item_id = ? AND number = ?", (item_id, number)).fetchone()
    return None if row is None else _version(row)


def set_thumb(db: sqlite3.Connection, version: Version, file_id: int) -> None:
    """Set the file of the thumbnail."""
    db.execute(
        "UPDATE versions SET thumb = ? WHERE item_id = ? AND number = ?", (file_id, version.item_id, version.number)
    )


def files(db: sqlite3.Connection, version: Version, limit: int | None, offset: int = 0) -> list[PublishedFile]:
    """Return the files of a version, in order of creation. `limit` None: all."""
    rows = db.execute(
        "SELECT * FROM published_files WHERE item_id = ? AND number = ? ORDER BY file_id LIMIT ? OFFSET ?",
        (version.item_id, version.number, -1 if limit is None else limit, offset),
    )
    return [PublishedFile(**dict(row)) for row in rows]


def file(db: sqlite3.Connection, version: Version, file_id: int) -> PublishedFile | None:
    """Return one file of a version."""
    row = db.execute(
        "SELECT * FROM published_files WHERE item_id = ? AND number = ? AND file_id = ?",
        (version.item_id, version.number, file_id),
    ).fetchone()
    return None if row is None else PublishedFile(**dict(row))


def visible_file(db: sqlite3.Connection, file_id: int, now: float) -> PublishedFile | None:
    """Return a file that is in any visible version."""
    row = db.execute(
        "SELECT published_files.* FROM published_files JOIN versions USING (item_id, number)"
        " WHERE file_id = ? AND visible <= ? ORDER BY number DESC LIMIT 1",
        (file_id, now),
    ).fetchone()
    return None if row is None else PublishedFile(**dict(row))


def _version(row: sqlite3.Row) -> Version:
    values: dict[str, Any] = dict(row)
    values["metadata"] = EMPTY | json.loads(values["metadata"])
    values["authors"] = json.loads(values["authors"])
    return Version(**values)
