"""Statements about collections. Every function takes the connection first and belongs to one transaction."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from uploader.sandbox.answers import not_found

EMPTY: dict[str, Any] = {
    "title": "", "description": "", "authors": [], "categories": [], "tags": [], "references": [],
    "related_materials": [], "custom_fields": {}, "funding": "", "funding_list": [], "doi": "", "handle": "",
    "resource_id": "", "resource_doi": "", "resource_link": "", "resource_title": "", "resource_version": 0,
    "group_id": 0, "timeline": {},
}  # fmt: skip
"""A collection's fields with their defaults. `authors` holds ids; lists of fundings and materials hold whole objects.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Collection:
    """A collection as stored; times are seconds since the epoch. `version` is the last that was published, or 0."""

    id: int
    account_id: int
    created: float
    modified: float
    version: int
    published: float | None
    metadata: dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class CollectionVersion:
    """A published version: `authors` are objects as the API shows them, `items` ids."""

    collection_id: int
    number: int
    visible: float
    metadata: dict[str, Any]
    authors: list[dict[str, Any]]
    items: list[int]


def create(db: sqlite3.Connection, account_id: int, metadata: dict[str, Any], now: float) -> int:
    """Store a new collection and return its id."""
    cursor = db.execute(
        "INSERT INTO collections (account_id, created, modified, metadata) VALUES (?, ?, ?, ?)",
        (account_id, now, now, json.dumps(metadata)),
    )
    return int(cursor.lastrowid or 0)


def find(db: sqlite3.Connection, collection_id: int) -> Collection | None:
    """Return one collection of any account."""
    row = db.execute("SELECT * FROM collections WHERE id = ?", (collection_id,)).fetchone()
    return None if row is None else _collection(row)


def get(db: sqlite3.Connection, collection_id: int, account_id: int) -> Collection:
    """Return one collection of an account. ApiError 404."""
    found = find(db, collection_id)
    if found is None or found.account_id != account_id:
        raise not_found("Collection")
    return found


def update(db: sqlite3.Connection, collection: Collection, changes: dict[str, Any], now: float) -> None:
    """Change some fields."""
    db.execute(
        "UPDATE collections SET modified = ?, metadata = ? WHERE id = ?",
        (now, json.dumps(collection.metadata | changes), collection.id),
    )


def delete(db: sqlite3.Connection, collection_id: int) -> None:
    """Remove a collection; its items stay."""
    db.execute("DELETE FROM private_links WHERE kind = 'collections' AND owner_id = ?", (collection_id,))
    db.execute("DELETE FROM collections WHERE id = ?", (collection_id,))


def items(db: sqlite3.Connection, collection_id: int, limit: int = -1, offset: int = 0) -> list[int]:
    """Return the ids of the items in a collection."""
    rows = db.execute(
        "SELECT item_id FROM collection_items WHERE collection_id = ? ORDER BY item_id DESC LIMIT ? OFFSET ?",
        (collection_id, limit, offset),
    )
    return [row[0] for row in rows]


def containing(db: sqlite3.Connection, item_id: int) -> list[int]:
    """Return the ids of the collections that an item is in."""
    rows = db.execute("SELECT collection_id FROM collection_items WHERE item_id = ? ORDER BY 1", (item_id,))
    return [row[0] for row in rows]


def count(db: sqlite3.Connection, collection_id: int) -> int:
    """Return how many items are in a collection."""
    row = db.execute("SELECT COUNT(*) FROM collection_items WHERE collection_id = ?", (collection_id,)).fetchone()
    return int(row[0])


def add_items(db: sqlite3.Connection, collection_id: int, ids: Sequence[int]) -> None:
    """Add items; those already present are kept."""
    db.executemany("INSERT OR IGNORE INTO collection_items VALUES (?, ?)", ((collection_id, one) for one in ids))


def clear_items(db: sqlite3.Connection, collection_id: int) -> None:
    """Remove all items."""
    db.execute("DELETE FROM collection_items WHERE collection_id = ?", (collection_id,))


def remove_item(db: sqlite3.Connection, collection_id: int, item_id: int) -> bool:
    """Remove an item; False if it is not in the collection."""
    cursor = db.execute(
        "DELETE FROM collection_items WHERE collection_id = ? AND item_id = ?", (collection_id, item_id)
    )
    return cursor.rowcount > 0


def publish(
    db: sqlite3.Connection, collection: Collection, metadata: dict[str, Any], authors: list[dict[str, Any]], now: float
) -> None:
    """Publish the collection as its next version. `metadata` becomes the collection's."""
    number = collection.version + 1
    db.execute(
        "INSERT INTO collection_versions VALUES (?, ?, ?, ?, ?, ?)",
        (
            collection.id, number, now, json.dumps(metadata), json.dumps(authors),
            json.dumps(items(db, collection.id)),
        ),
    )  # fmt: skip
    db.execute(
        "UPDATE collections SET version = ?, published = COALESCE(published, ?), metadata = ? WHERE id = ?",
        (number, now, json.dumps(metadata), collection.id),
    )


def versions(db: sqlite3.Connection, collection_id: int, now: float) -> list[CollectionVersion]:
    """Return the versions that can be seen, in order."""
    rows = db.execute(
        "SELECT * FROM collection_versions WHERE collection_id = ? AND visible <= ? ORDER BY number",
        (collection_id, now),
    )
    return [_version(row) for row in rows]


def version(db: sqlite3.Connection, collection_id: int, number: int) -> CollectionVersion | None:
    """Return one version, visible or not."""
    row = db.execute(
        "SELECT * FROM collection_versions WHERE collection_id = ? AND number = ?", (collection_id, number)
    ).fetchone()
    return None if row is None else _version(row)


def _collection(row: sqlite3.Row) -> Collection:
    values: dict[str, Any] = dict(row)
    values["metadata"] = EMPTY | json.loads(values["metadata"])
    return Collection(**values)


def _version(row: sqlite3.Row) -> CollectionVersion:
    values: dict[str, Any] = dict(row)
    values["metadata"] = EMPTY | json.loads(values["metadata"])
    for name in ("authors", "items"):
        values[name] = json.loads(values[name])
    return CollectionVersion(**values)
