"""Statements about items. Every function takes the connection first and belongs to one transaction."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from typing import Any

from uploader.sandbox.answers import not_found
from uploader.sandbox.items.body import EMPTY


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """An item as stored. `metadata` has the fields of items.body; times are seconds since the epoch.

    `version` is that of the last publication, 0 for none; `published` is when the first one became or becomes public,
    None if never or unknown. `withdrawn`: it was unpublished afterwards. `linked` and `uploaded` count files, hidden
    ones included.
    """

    id: int
    account_id: int
    project_id: int | None
    status: str
    created: float
    modified: float
    metadata: dict[str, Any]
    version: int
    published: float | None
    linked: int
    uploaded: int
    withdrawn: bool = False

    def appeared(self, now: float) -> bool:
        """Return whether a version is or was public."""
        return self.published is not None and self.published <= now

    def is_public(self, now: float) -> bool:
        """Return whether a version is public."""
        return self.appeared(now) and not self.withdrawn


def create(
    db: sqlite3.Connection, account_id: int, metadata: dict[str, Any], now: float, project_id: int | None = None
) -> Item:
    """Store a new draft."""
    cursor = db.execute(
        "INSERT INTO items (account_id, project_id, status, created, modified, metadata)"
        " VALUES (?, ?, 'draft', ?, ?, ?)",
        (account_id, project_id, now, now, json.dumps(metadata)),
    )
    return Item(
        id=int(cursor.lastrowid or 0),
        account_id=account_id,
        project_id=project_id,
        status="draft",
        created=now,
        modified=now,
        metadata=EMPTY | metadata,
        version=0,
        published=None,
        linked=0,
        uploaded=0,
    )


def find(db: sqlite3.Connection, item_id: int) -> Item | None:
    """Return one item of any account; None if unknown."""
    row = db.execute("SELECT * FROM items WHERE id = ?", (item_id,)).fetchone()
    return None if row is None else _item(row)


def get(db: sqlite3.Connection, item_id: int, account_id: int | None) -> Item:
    """Return one item of an account (None: of any). ApiError 404, also for another's."""
    found = find(db, item_id)
    if found is None or account_id not in {None, found.account_id}:
        raise not_found("Article")
    return found


def owned(db: sqlite3.Connection, item_id: int, account_id: int) -> None:
    """Check that the account owns the item. ApiError 404. Cheaper than `get`."""
    if db.execute("SELECT 1 FROM items WHERE id = ? AND account_id = ?", (item_id, account_id)).fetchone() is None:
        raise not_found("Article")


def page(
    db: sqlite3.Connection, account_id: int | None, limit: int, offset: int, project_id: int | None = None
) -> list[Item]:
    """Return items of an account or project (None: of all), newest first."""
    wanted = {"account_id": account_id, "project_id": project_id}
    conditions = [f"{column} = :{column}" for column, value in wanted.items() if value is not None]
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    rows = db.execute(
        f"SELECT * FROM items {where} ORDER BY id DESC LIMIT :limit OFFSET :offset",  # noqa: S608 - names from here
        {**wanted, "limit": limit, "offset": offset},
    )
    return [_item(row) for row in rows]


def update(db: sqlite3.Connection, item: Item, changes: dict[str, Any], now: float) -> None:
    """Change some fields; a draft becomes private by it."""
    db.execute(
        "UPDATE items SET status = 'private', modified = ?, metadata = ? WHERE id = ?",
        (now, json.dumps(item.metadata | changes), item.id),
    )


def touch(db: sqlite3.Connection, item_id: int, now: float) -> None:
    """Set the item's time of modification."""
    db.execute("UPDATE items SET modified = ? WHERE id = ?", (now, item_id))


def delete(db: sqlite3.Connection, item_id: int) -> None:
    """Remove an item with its files and links, and free their quota."""
    # Files first: the quota accounting needs their item.
    db.execute("DELETE FROM files WHERE item_id = ?", (item_id,))
    db.execute("DELETE FROM private_links WHERE kind = 'articles' AND owner_id = ?", (item_id,))
    db.execute("DELETE FROM items WHERE id = ?", (item_id,))


def _item(row: sqlite3.Row) -> Item:
    values: dict[str, Any] = dict(row)
    values["withdrawn"] = bool(values["withdrawn"])
    values["metadata"] = EMPTY | json.loads(values["metadata"])
    return Item(**values)
