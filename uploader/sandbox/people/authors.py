"""Statements about authors, and an author's object. Every function that takes a connection is in one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from uploader.sandbox.answers import ApiError

_SELECT = (
    "SELECT *, COALESCE((SELECT group_id FROM accounts WHERE accounts.id = account_id), 0) AS group_id FROM authors"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Author:
    """A person named on items; `orcid_id` and `job_title` may be "". Without an account `account_id` is None.

    `group_id` is the account's, 0 for none.
    """

    id: int
    full_name: str
    first_name: str
    last_name: str
    orcid_id: str
    account_id: int | None
    job_title: str
    group_id: int


@dataclass(frozen=True, kw_only=True, slots=True)
class NewAuthor:
    """An author as named by a client, without an id."""

    full_name: str
    first_name: str
    last_name: str
    orcid_id: str


def create(db: sqlite3.Connection, new: NewAuthor) -> int:
    """Store an author and return the id."""
    cursor = db.execute(
        "INSERT INTO authors (full_name, first_name, last_name, orcid_id) VALUES (?, ?, ?, ?)",
        (new.full_name, new.first_name, new.last_name, new.orcid_id),
    )
    return int(cursor.lastrowid or 0)


def get_by_account(db: sqlite3.Connection, account_id: int) -> int:
    """Return the id of an account's owner as an author."""
    return int(db.execute("SELECT author_id FROM accounts WHERE id = ?", (account_id,)).fetchone()[0])


def get(db: sqlite3.Connection, author_id: int) -> Author | None:
    """Return one author, or None."""
    found = get_many(db, [author_id])
    return found[0] if found else None


def get_many(db: sqlite3.Connection, ids: Sequence[int]) -> list[Author]:
    """Return the authors of these ids that exist, in this order."""
    marks = ", ".join("?" * len(ids))
    rows = db.execute(f"{_SELECT} WHERE id IN ({marks})", ids)
    found = {row["id"]: Author(**dict(row)) for row in rows}
    return [found[one] for one in ids if one in found]


def resolve(db: sqlite3.Connection, named: Sequence[int | NewAuthor]) -> list[int]:
    """Return the ids of authors as named by a client, each once: new ones are stored, an ORCID is one person.

    ApiError 400 for an unknown id.
    """
    ids: list[int] = []
    for one in named:
        if isinstance(one, int):
            if get(db, one) is None:
                raise ApiError(400, "BadRequest", f"Author with ID {one} not found")
            ids.append(one)
        else:
            known = _by_orcid(db, one.orcid_id)
            ids.append(create(db, one) if known is None else known)
    return list(dict.fromkeys(ids))


def update(
    db: sqlite3.Connection, author_id: int, *, first_name: str, last_name: str, orcid_id: str, job_title: str
) -> None:
    """Change an author's public fields; published versions are not affected."""
    db.execute(
        "UPDATE authors SET full_name = ?, first_name = ?, last_name = ?, orcid_id = ?, job_title = ? WHERE id = ?",
        (f"{first_name} {last_name}".strip(), first_name, last_name, orcid_id, job_title, author_id),
    )


def search(db: sqlite3.Connection, words: str, orcid: str, *, with_account: bool | None) -> list[Author]:
    """Return authors whose name contains these words, in order of their ids. No words and an empty ORCID match all."""
    rows = db.execute(
        f"{_SELECT} WHERE instr(lower(full_name), lower(?1)) AND (?2 = '' OR orcid_id = ?2)"
        " AND (?3 IS NULL OR (account_id IS NOT NULL) = ?3) ORDER BY id",
        (words, orcid, with_account),
    )
    return [Author(**dict(row)) for row in rows]


def shown(author: Author) -> dict[str, Any]:
    """Return the object that the API shows of an author."""
    return {
        "id": author.id,
        "full_name": author.full_name,
        "first_name": author.first_name,
        "last_name": author.last_name,
        "is_active": author.account_id is not None,
        "url_name": author.full_name.replace(" ", "_") or "_",
        "orcid_id": author.orcid_id,
    }


def _by_orcid(db: sqlite3.Connection, orcid: str) -> int | None:
    row = db.execute("SELECT MIN(id) FROM authors WHERE orcid_id = ? AND ? != ''", (orcid, orcid)).fetchone()
    return None if row[0] is None else int(row[0])
