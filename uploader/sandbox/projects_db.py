"""Statements about projects, their collaborators and notes.

Each takes the connection first and belongs to one transaction.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from typing import Any

from uploader.sandbox.answers import not_found

EMPTY: dict[str, Any] = {
    "title": "", "description": "", "funding": "", "funding_list": [], "group_id": 0, "custom_fields": {},
}  # fmt: skip
"""A project's fields with their defaults; `funding_list` holds whole objects."""
_NOTES = (
    "SELECT notes.id, authors.id AS author_id, full_name, text, notes.created, notes.modified"
    " FROM notes JOIN accounts ON accounts.id = notes.account_id JOIN authors ON authors.id = accounts.author_id"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Project:
    """A project as stored; times are seconds since the epoch."""

    id: int
    account_id: int
    created: float
    modified: float
    published: float | None
    metadata: dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Collaborator:
    """A person who was invited to a project. `role` is "viewer" or "collaborator"."""

    author_id: int
    name: str
    role: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A note and its author; times are seconds since the epoch."""

    id: int
    author_id: int
    full_name: str
    text: str
    created: float
    modified: float


def create(db: sqlite3.Connection, account_id: int, metadata: dict[str, Any], now: float) -> int:
    """Store a new project and return its id."""
    cursor = db.execute(
        "INSERT INTO projects (account_id, created, modified, metadata) VALUES (?, ?, ?, ?)",
        (account_id, now, now, json.dumps(metadata)),
    )
    return int(cursor.lastrowid or 0)


def find(db: sqlite3.Connection, project_id: int) -> Project | None:
    """Return one project of any account."""
    row = db.execute("SELECT * FROM projects WHERE id = ?", (project_id,)).fetchone()
    return None if row is None else _project(row)


def get(db: sqlite3.Connection, project_id: int, account_id: int) -> Project:
    """Return one project of an account. ApiError 404."""
    found = find(db, project_id)
    if found is None or found.account_id != account_id:
        raise not_found("Project")
    return found


def update(db: sqlite3.Connection, project: Project, changes: dict[str, Any], now: float) -> None:
    """Change some fields."""
    db.execute(
        "UPDATE projects SET modified = ?, metadata = ? WHERE id = ?",
        (now, json.dumps(project.metadata | changes), project.id),
    )


def publish(db: sqlite3.Connection, project_id: int, now: float) -> None:
    """Make a project public; only the first time counts."""
    db.execute("UPDATE projects SET published = COALESCE(published, ?) WHERE id = ?", (now, project_id))


def published_items(db: sqlite3.Connection, project_id: int, now: float) -> tuple[int, int]:
    """Return how many items of a project are public, and how many there are."""
    row = db.execute(
        "SELECT COUNT(*) FILTER (WHERE published <= ? AND NOT withdrawn), COUNT(*) FROM items WHERE project_id = ?",
        (now, project_id),
    ).fetchone()
    return row[0], row[1]


def used(db: sqlite3.Connection, project_id: int) -> tuple[int, int]:
    """Return the bytes of the files in a project's items: private ones, and those in public versions."""
    row = db.execute(
        "SELECT COALESCE(SUM(size) FILTER (WHERE NOT attached), 0), COALESCE(SUM(size) FILTER (WHERE attached), 0)"
        " FROM files JOIN items ON items.id = item_id WHERE project_id = ?",
        (project_id,),
    ).fetchone()
    return row[0], row[1]


def delete(db: sqlite3.Connection, project_id: int) -> None:
    """Remove a project. Its items are kept."""
    db.execute("UPDATE items SET project_id = NULL WHERE project_id = ?", (project_id,))
    db.execute("DELETE FROM projects WHERE id = ?", (project_id,))


def collaborators(db: sqlite3.Connection, project_id: int) -> list[Collaborator]:
    """Return a project's collaborators besides the owner."""
    rows = db.execute(
        "SELECT author_id, full_name, role FROM collaborators JOIN authors ON authors.id = author_id"
        " WHERE project_id = ? ORDER BY author_id",
        (project_id,),
    )
    return [Collaborator(author_id=row["author_id"], name=row["full_name"], role=row["role"]) for row in rows]


def invite(db: sqlite3.Connection, project_id: int, author_id: int, role: str) -> None:
    """Add a collaborator, or change their role."""
    db.execute("INSERT OR REPLACE INTO collaborators VALUES (?, ?, ?)", (project_id, author_id, role))


def remove_collaborator(db: sqlite3.Connection, project_id: int, author_id: int) -> bool:
    """Remove a collaborator; False if they are none."""
    cursor = db.execute("DELETE FROM collaborators WHERE project_id = ? AND author_id = ?", (project_id, author_id))
    return cursor.rowcount > 0


def notes(db: sqlite3.Connection, project_id: int, limit: int, offset: int) -> list[Note]:
    """Return the notes of a project, the newest first."""
    rows = db.execute(
        f"{_NOTES} WHERE project_id = ? ORDER BY notes.id DESC LIMIT ? OFFSET ?", (project_id, limit, offset)
    )
    return [Note(**dict(row)) for row in rows]


def note(db: sqlite3.Connection, project_id: int, note_id: int) -> Note | None:
    """Return one note of a project, or None."""
    row = db.execute(f"{_NOTES} WHERE project_id = ? AND notes.id = ?", (project_id, note_id)).fetchone()
    return None if row is None else Note(**dict(row))


def add_note(db: sqlite3.Connection, project_id: int, account_id: int, text: str, now: float) -> int:
    """Store a note and return its id."""
    cursor = db.execute(
        "INSERT INTO notes (project_id, account_id, text, created, modified) VALUES (?, ?, ?, ?, ?)",
        (project_id, account_id, text, now, now),
    )
    return int(cursor.lastrowid or 0)


def change_note(db: sqlite3.Connection, note_id: int, text: str, now: float) -> None:
    """Change the text of a note."""
    db.execute("UPDATE notes SET text = ?, modified = ? WHERE id = ?", (text, now, note_id))


def remove_note(db: sqlite3.Connection, note_id: int) -> None:
    """Remove a note."""
    db.execute("DELETE FROM notes WHERE id = ?", (note_id,))


def _project(row: sqlite3.Row) -> Project:
    values: dict[str, Any] = dict(row)
    values["metadata"] = EMPTY | json.loads(values["metadata"])
    return Project(**values)
