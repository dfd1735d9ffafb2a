"""Statements about items and authors. Every function takes the connection first and belongs to one transaction."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from typing import Any

from uploader.sandbox.reference import OWNER_NAME


@dataclass(frozen=True, slots=True)
class Item:
    """An item as stored. `metadata` has the fields of item_body; times are seconds since the epoch."""

    id: int
    status: str
    created: float
    modified: float
    metadata: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Author:
    """A person named on items; `orcid_id` is "" where there is none."""

    id: int
    full_name: str
    first_name: str
    last_name: str
    orcid_id: str


def create(db: sqlite3.Connection, metadata: dict[str, Any], now: float) -> Item:
    """Store a new draft."""
    cursor = db.execute(
        "INSERT INTO items (status, created, modified, metadata) VALUES ('draft', ?, ?, ?)",
        (now, now, json.dumps(metadata)),
    )
    return Item(int(cursor.lastrowid or 0), "draft", now, now, metadata)


def get(db: sqlite3.Connection, item_id: int) -> Item | None:
    """One item, None when there is none."""
    row = db.execute("SELECT * FROM items WHERE id = ?", (item_id,)).fetchone()
    return None if row is None else _item(row)


def page(db: sqlite3.Connection, limit: int, offset: int) -> list[Item]:
    """Items, the newest first."""
    rows = db.execute("SELECT * FROM items ORDER BY id DESC LIMIT ? OFFSET ?", (limit, offset))
    return [_item(row) for row in rows]


def update(db: sqlite3.Connection, item_id: int, changes: dict[str, Any], now: float) -> Item | None:
    """Change some fields; a draft becomes private by it. None when there is no such item."""
    found = get(db, item_id)
    if found is None:
        return None
    metadata = found.metadata | changes
    db.execute(
        "UPDATE items SET status = 'private', modified = ?, metadata = ? WHERE id = ?",
        (now, json.dumps(metadata), item_id),
    )
    return Item(item_id, "private", found.created, now, metadata)


def touch(db: sqlite3.Connection, item_id: int, now: float) -> None:
    """Note that something of the item changed."""
    db.execute("UPDATE items SET modified = ? WHERE id = ?", (now, item_id))


def delete(db: sqlite3.Connection, item_id: int) -> bool:
    """Remove an item with its files' records; False when there is none."""
    return db.execute("DELETE FROM items WHERE id = ?", (item_id,)).rowcount > 0


def add_author(db: sqlite3.Connection, full_name: str, first_name: str, last_name: str, orcid_id: str) -> int:
    """Store an author and return the id."""
    cursor = db.execute(
        "INSERT INTO authors (full_name, first_name, last_name, orcid_id) VALUES (?, ?, ?, ?)",
        (full_name, first_name, last_name, orcid_id),
    )
    return int(cursor.lastrowid or 0)


def owner(db: sqlite3.Connection) -> int:
    """The id of the account's owner as an author, who is the first author ever stored."""
    first = db.execute("SELECT MIN(id) FROM authors").fetchone()[0]
    return add_author(db, *OWNER_NAME) if first is None else int(first)


def authors(db: sqlite3.Connection, ids: list[int]) -> list[Author]:
    """The authors of these ids that exist, in this order."""
    marks = ", ".join("?" * len(ids))
    rows = db.execute(f"SELECT * FROM authors WHERE id IN ({marks})", ids)  # noqa: S608 - question marks only
    found = {row["id"]: Author(**dict(row)) for row in rows}
    return [found[one] for one in ids if one in found]


def _item(row: sqlite3.Row) -> Item:
    return Item(row["id"], row["status"], row["created"], row["modified"], json.loads(row["metadata"]))
