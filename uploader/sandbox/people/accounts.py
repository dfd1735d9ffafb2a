"""Statements about accounts. Every function takes the connection first and belongs to one transaction."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Any

from uploader.sandbox.context import Context
from uploader.sandbox.people import authors
from uploader.sandbox.reference_data import TOP_GROUP

OWNER_ID = 2000001
"""The account of the token; the schema creates it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """An account. Its names are those of its author; `quota` None: the sandbox's setting applies.

    `initiated` and `completed` are bytes of files that are in no public version, `public` of those that are.
    """

    id: int
    author_id: int
    email: str
    institution_user_id: str
    symplectic_user_id: str
    group_id: int
    quota: int | None
    active: bool
    created: float
    modified: float
    initiated: int
    completed: int
    public: int
    first_name: str
    last_name: str
    orcid_id: str

    def limit(self, context: Context) -> int:
        """Return the bytes that it may store in private files."""
        return context.settings.quota if self.quota is None else self.quota

    def used(self, context: Context) -> int:
        """Return the used bytes of its quota."""
        used = self.completed if context.settings.quota_counts == "completed" else self.initiated
        return max(used, self.limit(context)) if context.effects.quota_full else used


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAccount:
    """A new account as an administrator describes it."""

    email: str
    first_name: str
    last_name: str
    institution_user_id: str
    symplectic_user_id: str
    group_id: int
    quota: int | None
    active: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountFilter:
    """Filter of accounts; None matches all. `text` is searched in names and email address."""

    text: str | None = None
    active: bool | None = None
    email: str | None = None
    institution_user_id: str | None = None
    id_gte: int = 0
    id_lte: int = 2**62


_MEMBER = NewAccount(
    email="member@sandbox.invalid",
    first_name="Sandbox",
    last_name="Member",
    institution_user_id="member",
    symplectic_user_id="",
    group_id=TOP_GROUP,
    quota=None,
    active=True,
)

_COLUMNS = "accounts.*, authors.first_name, authors.last_name, authors.orcid_id"
_ACCOUNTS_JOIN = "FROM accounts JOIN authors ON authors.id = accounts.author_id"


def get(db: sqlite3.Connection, account_id: int) -> Account | None:
    """Return one account, or None."""
    row = db.execute(f"SELECT {_COLUMNS} {_ACCOUNTS_JOIN} WHERE accounts.id = ?", (account_id,)).fetchone()
    return None if row is None else _account(row)


def page(db: sqlite3.Connection, criteria: AccountFilter, limit: int, offset: int) -> list[Account]:
    """Return accounts in order of their ids."""
    rows = db.execute(
        f"SELECT {_COLUMNS} {_ACCOUNTS_JOIN} WHERE accounts.id BETWEEN ? AND ?"
        " AND (?3 IS NULL OR active = ?3) AND (?4 IS NULL OR email = ?4)"
        " AND (?5 IS NULL OR institution_user_id = ?5)"
        " AND (?6 IS NULL OR instr(lower(full_name || ' ' || email), lower(?6)))"
        " ORDER BY accounts.id LIMIT ?7 OFFSET ?8",
        (
            criteria.id_gte, criteria.id_lte, criteria.active, criteria.email, criteria.institution_user_id,
            criteria.text, limit, offset,
        ),
    )  # fmt: skip
    return [_account(row) for row in rows]


def taken(db: sqlite3.Connection, email: str) -> bool:
    """Return whether an account has this address already."""
    return db.execute("SELECT 1 FROM accounts WHERE email = ?", (email,)).fetchone() is not None


def author_of(db: sqlite3.Connection, email: str) -> int | None:
    """Return the author id of the account with this address, or None."""
    row = db.execute("SELECT author_id FROM accounts WHERE email = ?", (email,)).fetchone()
    return None if row is None else int(row[0])


def create(db: sqlite3.Connection, new: NewAccount, now: float) -> int:
    """Store an account with its author and return the account's id."""
    full_name = f"{new.first_name} {new.last_name}".strip()
    author_id = authors.create(
        db, authors.NewAuthor(full_name=full_name, first_name=new.first_name, last_name=new.last_name, orcid_id="")
    )
    cursor = db.execute(
        "INSERT INTO accounts (author_id, email, institution_user_id, symplectic_user_id, group_id, quota, active,"
        " created, modified) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            author_id, new.email, new.institution_user_id, new.symplectic_user_id, new.group_id, new.quota,
            new.active, now, now,
        ),
    )  # fmt: skip
    account_id = int(cursor.lastrowid or 0)
    db.execute("UPDATE authors SET account_id = ? WHERE id = ?", (account_id, author_id))
    return account_id


def ensure_institution(db: sqlite3.Connection, now: float) -> None:
    """Give every account a group, and create a second account besides the owner's if it is missing."""
    db.execute("UPDATE accounts SET group_id = ? WHERE group_id = 0", (TOP_GROUP,))
    if db.execute("SELECT 1 FROM accounts WHERE id != ?", (OWNER_ID,)).fetchone() is None:
        create(db, _MEMBER, now)


def update(db: sqlite3.Connection, account_id: int, *, group_id: int, active: bool, now: float) -> None:
    """Set the two fields that an administrator may change."""
    db.execute(
        "UPDATE accounts SET group_id = ?, active = ?, modified = ? WHERE id = ?", (group_id, active, now, account_id)
    )


def set_quota(db: sqlite3.Connection, account_id: int, quota: int) -> None:
    """Set the bytes that an account may store in private files."""
    db.execute("UPDATE accounts SET quota = ? WHERE id = ?", (quota, account_id))


def _account(row: sqlite3.Row) -> Account:
    values: dict[str, Any] = dict(row)
    values["active"] = bool(values["active"])
    return Account(**values)
