"""Statements about private links. Each takes the connection first and belongs to one transaction."""

from __future__ import annotations

import secrets
import sqlite3
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class PrivateLink:
    """A private link. `kind` is the path of a Resource; `expires` in seconds since the epoch."""

    id: str
    kind: str
    owner_id: int
    token: str
    expires: float
    created: float


def replace(db: sqlite3.Connection, kind: str, owner_id: int, expires: float, now: float) -> PrivateLink:
    """Create the only link of an item or collection, replacing an earlier one, as the real service does."""
    db.execute("DELETE FROM private_links WHERE kind = ? AND owner_id = ?", (kind, owner_id))
    link = PrivateLink(
        id=secrets.token_hex(42),
        kind=kind,
        owner_id=owner_id,
        token=secrets.token_hex(10),
        expires=expires,
        created=now,
    )
    db.execute(
        "INSERT INTO private_links (id, kind, owner_id, token, expires, created) VALUES (?, ?, ?, ?, ?, ?)",
        (link.id, link.kind, link.owner_id, link.token, link.expires, link.created),
    )
    return link


def list_of(db: sqlite3.Connection, kind: str, owner_id: int) -> list[PrivateLink]:
    """Return the links of an item or collection."""
    rows = db.execute("SELECT * FROM private_links WHERE kind = ? AND owner_id = ?", (kind, owner_id))
    return [PrivateLink(**dict(row)) for row in rows]


def by_token(db: sqlite3.Connection, token: str, now: float) -> PrivateLink | None:
    """Return the link of this token that has not expired."""
    row = db.execute("SELECT * FROM private_links WHERE token = ? AND expires > ?", (token, now)).fetchone()
    return None if row is None else PrivateLink(**dict(row))


def set_expiry(db: sqlite3.Connection, link_id: str, expires: float) -> None:
    """Set when the link expires."""
    db.execute("UPDATE private_links SET expires = ? WHERE id = ?", (expires, link_id))


def delete(db: sqlite3.Connection, link_id: str) -> None:
    """Delete a link."""
    db.execute("DELETE FROM private_links WHERE id = ?", (link_id,))
