"""Statements about reviews of items and their comments. Each takes the connection first and is in one transaction."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

_SELECT = (
    "SELECT reviews.id, item_id, account_id, reviews.version, reviews.status, reviews.created, reviews.modified,"
    " json_extract(items.metadata, '$.group_id') AS group_id,"
    " (SELECT COUNT(*) FROM review_comments WHERE review_id = reviews.id) AS comments,"
    " (SELECT COUNT(*) FROM reviews AS earlier WHERE earlier.item_id = reviews.item_id AND earlier.id <= reviews.id)"
    " AS number FROM reviews JOIN items ON items.id = item_id"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """A review of a version. `number` counts the item's reviews, `comments` are how many there are."""

    id: int
    item_id: int
    account_id: int
    version: int
    status: str
    created: float
    modified: float
    group_id: int | None
    comments: int
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Comment:
    """A comment on a review."""

    id: int
    account_id: int
    text: str
    created: float


def request(db: sqlite3.Connection, item_id: int, version: int, status: str, now: float) -> None:
    """Store a review of a version; a pending one is kept instead."""
    changed = db.execute(
        "UPDATE reviews SET version = ?, modified = ? WHERE item_id = ? AND status = 'pending'", (version, now, item_id)
    )
    if not changed.rowcount:
        db.execute(
            "INSERT INTO reviews (item_id, version, status, created, modified) VALUES (?, ?, ?, ?, ?)",
            (item_id, version, status, now, now),
        )


def find(db: sqlite3.Connection, review_id: int) -> Review | None:
    """Return one review, or None."""
    row = db.execute(f"{_SELECT} WHERE reviews.id = ?", (review_id,)).fetchone()
    return None if row is None else Review(**dict(row))


def every(db: sqlite3.Connection) -> list[Review]:
    """Return all reviews, the newest first."""
    return [Review(**dict(row)) for row in db.execute(f"{_SELECT} ORDER BY reviews.id DESC")]


def status_of(db: sqlite3.Connection, item_id: int) -> str | None:
    """Return the status of an item's last review, or None."""
    row = db.execute("SELECT status FROM reviews WHERE item_id = ? ORDER BY id DESC LIMIT 1", (item_id,)).fetchone()
    return None if row is None else str(row[0])


def comments(db: sqlite3.Connection, review_id: int, limit: int, offset: int) -> list[Comment]:
    """Return the comments on a review, in order."""
    rows = db.execute(
        "SELECT id, account_id, text, created FROM review_comments WHERE review_id = ? ORDER BY id LIMIT ? OFFSET ?",
        (review_id, limit, offset),
    )
    return [Comment(**dict(row)) for row in rows]


def comment(db: sqlite3.Connection, review_id: int, account_id: int, text: str, now: float) -> None:
    """Add a comment."""
    db.execute(
        "INSERT INTO review_comments (review_id, account_id, text, created) VALUES (?, ?, ?, ?)",
        (review_id, account_id, text, now),
    )
