"""Statements about a project's notes. Each takes the connection first and belongs to one transaction."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

_SELECT = (
    "SELECT notes.id, authors.id AS author_id, full_name, text, notes.created, notes.modified"
    " FROM notes JOIN accounts ON accounts.id = notes.account_id JOIN authors ON authors.id = accounts.author_id"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A note and its author; times are seconds since the epoch."""

    id: int
    author_id: int
    full_name: str
    text: str
    created: float
    modified: float


def page(db: sqlite3.Connection, project_id: int, limit: int, offset: int) -> list[Note]:
    """Return the notes of a project, the newest first."""
    rows = db.execute(
        f"{_SELECT} WHERE project_id = ? ORDER BY notes.id DESC LIMIT ? OFFSET ?", (project_id, limit, offset)
    )
    return [Note(**dict(row)) for row in rows]


def get(db: sqlite3.Connection, project_id: int, note_id: int) -> Note | None:
    """Return one note of a project, or None."""
    row = db.execute(f"{_SELECT} WHERE project_id = ? AND notes.id = ?", (project_id, note_id)).fetchone()
    return None if row is None else Note(**dict(row))


def create(db: sqlite3.Connection, project_id: int, account_id: int, text: str, now: float) -> int:
    """Store a note and return its id."""
    cursor = db.execute(
        "INSERT INTO notes (project_id, account_id, text, created, modified) VALUES (?, ?, ?, ?, ?)",
        (project_id, account_id, text, now, now),
    )
    return int(cursor.lastrowid or 0)


def update(db: sqlite3.Connection, note_id: int, text: str, now: float) -> None:
    """Change the text."""
    db.execute("UPDATE notes SET text = ?, modified = ? WHERE id = ?", (text, now, note_id))


def delete(db: sqlite3.Connection, note_id: int) -> None:
    """Remove a note."""
    db.execute("DELETE FROM notes WHERE id = ?", (note_id,))
