"""Statements about a project's collaborators. Each takes the connection first and belongs to one transaction."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Collaborator:
    """A person who was invited to a project. `role` is "viewer" or "collaborator"."""

    author_id: int
    name: str
    role: str


def of_project(db: sqlite3.Connection, project_id: int) -> list[Collaborator]:
    """Return the collaborators besides the owner."""
    rows = db.execute(
        "SELECT author_id, full_name, role FROM collaborators JOIN authors ON authors.id = author_id"
        " WHERE project_id = ? ORDER BY author_id",
        (project_id,),
    )
    return [Collaborator(author_id=row["author_id"], name=row["full_name"], role=row["role"]) for row in rows]


def invite(db: sqlite3.Connection, project_id: int, author_id: int, role: str) -> None:
    """Add a collaborator, or change their role."""
    db.execute("INSERT OR REPLACE INTO collaborators VALUES (?, ?, ?)", (project_id, author_id, role))


def remove(db: sqlite3.Connection, project_id: int, author_id: int) -> bool:
    """Remove a collaborator; False if they are none."""
    cursor = db.execute("DELETE FROM collaborators WHERE project_id = ? AND author_id = ?", (project_id, author_id))
    return cursor.rowcount > 0
