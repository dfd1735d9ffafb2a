"""Statements about private links. Each takes the connection first and belongs to one transaction."""

from __future__ import annotations

import secrets
import sqlite3
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PrivateLink:
    """A link that shows a thing to whoever has it. `kind` is a Thing's path; `expires` in seconds since the epoch."""

    id: str
    kind: str
    owner_id: int
    token: str
    expires: float
    created: float


def replace(db: sqlite3.Connection, kind: str, owner_id: int, expires: float, now: float) -> PrivateLink:
    """Make the one link of a thing: an earlier one is gone, as was seen in the real service."""
    db.execute("DELETE FROM private_links WHERE kind = ? AND owner_id = ?", (kind, owner_id))
    link = PrivateLink(secrets.token_hex(42), kind, owner_id, secrets.token_hex(10), expires, now)
    db.execute(
        "INSERT INTO private_links (id, kind, owner_id, token, expires, created) VALUES (?, ?, ?, ?, ?, ?)",
        (link.id, link.kind, link.owner_id, link.token, link.expires, link.created),
    )
    return link


def of(db: sqlite3.Connection, kind: str, owner_id: int) -> list[PrivateLink]:
    """The links of a thing."""
    rows = db.execute("SELECT * FROM private_links WHERE kind = ? AND owner_id = ?", (kind, owner_id))
    return [PrivateLink(**dict(row)) for row in rows]


def by_token(db: sqlite3.Connection, token: str, now: float) -> PrivateLink | None:
    """The link of this token that has not expired."""
    row = db.execute("SELECT * FROM private_links WHERE token = ? AND expires > ?", (token, now)).fetchone()
    return None if row is None else PrivateLink(**dict(row))


def set_expiry(db: sqlite3.Connection, link_id: str, expires: float) -> None:
    """When the link is to end."""
    db.execute("UPDATE private_links SET expires = ? WHERE id = ?", (expires, link_id))


def delete(db: sqlite3.Connection, link_id: str) -> None:
    """End a link for good."""
    db.execute("DELETE FROM private_links WHERE id = ?", (link_id,))
