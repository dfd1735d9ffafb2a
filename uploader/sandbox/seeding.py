"""Fill a sandbox with records of several institutions: items, collections, projects, accounts, reviews.

Every function takes the connection first and belongs to one transaction.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from typing import Any, Final

from uploader.sandbox import seeds
from uploader.sandbox.documents import INSERT, document
from uploader.sandbox.institutions import OWN
from uploader.sandbox.items.versions import WITHDRAWN
from uploader.sandbox.people.accounts import OWNER_ID
from uploader.sandbox.seeds import FIRST_ACCOUNT, FIRST_AUTHOR, NAMESAKES, Seed

MAX_ACCOUNTS: Final = 12_000
_BLOCK: Final = 2000
_ABROAD: Final = 1
"""The account of items of other institutions, which is in no list."""
_FIRST_FILE: Final = 61_000_001


def seed(db: sqlite3.Connection, count: int, number: int, now: float) -> bool:
    """Ensure that this many seeded items exist; return whether there are any. A sandbox is seeded once."""
    row = db.execute("SELECT items FROM seeded").fetchone()
    if row is not None or not count:
        return row is not None
    accounts = min(MAX_ACCOUNTS, max(20, count // 4))
    # Triggers would do one by one what is inserted at once here.
    triggers = db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
    for trigger in triggers:
        db.execute(f"DROP TRIGGER {trigger['name']}")
    people = _people(db, accounts)
    for begin in range(0, count, _BLOCK):
        block = [seeds.item(one, number, count, accounts) for one in range(begin, min(begin + _BLOCK, count))]
        _insert(db, block, people)
    _sets(db, count, now)
    _reviews(db)
    _usage(db)
    for trigger in triggers:
        db.execute(trigger["sql"])
    db.execute("INSERT INTO seeded VALUES (?, ?)", (count, number))
    return True


def _people(db: sqlite3.Connection, accounts: int) -> list[dict[str, Any]]:
    """Insert authors, namesakes without accounts and those of the accounts; return them by their numbers."""
    people = [seeds.author(number) for number in range(accounts + NAMESAKES)]
    db.executemany(
        "INSERT INTO authors (id, full_name, first_name, last_name, orcid_id, account_id) VALUES (?, ?, ?, ?, ?, ?)",
        (
            (one["id"], one["full_name"], one["first_name"], one["last_name"], one["orcid_id"],
             None if place < NAMESAKES else FIRST_ACCOUNT + place - NAMESAKES)
            for place, one in enumerate(people)
        ),
    )  # fmt: skip
    groups = sorted(OWN.groups)
    db.executemany(
        "INSERT INTO accounts (id, author_id, email, institution_user_id, symplectic_user_id, group_id, quota, active,"
        " created, modified) VALUES (?, ?, ?, ?, '', ?, ?, ?, 1430142434, 1548083735)",
        (
            (FIRST_ACCOUNT + place, FIRST_AUTHOR + NAMESAKES + place, f"user{place}@sandbox.invalid",
             f"u{place}" if place % 3 else "", groups[place % len(groups)],
             None if place % 4 else 10**9 * (1 + place % 20), place % 10 != 9)
            for place in range(accounts)
        ),
    )  # fmt: skip
    return people


def _insert(db: sqlite3.Connection, block: list[Seed], people: list[dict[str, Any]]) -> None:
    """Insert items with their versions, files and documents."""
    texts = [json.dumps(one.metadata | {"authors": [FIRST_AUTHOR + place for place in one.authors]}) for one in block]
    db.executemany(
        "INSERT INTO items (id, status, created, modified, metadata, account_id, version, published, withdrawn, linked,"
        " uploaded) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            (one.id, "draft" if one.state == "draft" else "private", one.created,
             (one.published or one.created) + 60 * (one.versions > 1), text, _account(one), one.versions,
             _published(one), one.state == "withdrawn", int(one.link), len(one.files))
            for one, text in zip(block, texts, strict=True)
        ),
    )  # fmt: skip
    authors = [json.dumps([people[place] for place in one.authors]) for one in block]
    db.executemany(
        "INSERT INTO versions (item_id, number, visible, metadata, authors, size) VALUES (?, ?, ?, ?, ?, ?)",
        (
            (one.id, version, _visible(one, version), text, names, sum(one.files))
            for one, text, names in zip(block, texts, authors, strict=True)
            for version in range(1, one.versions + 1)
        ),
    )  # fmt: skip
    _files(db, block)
    db.executemany(INSERT, (row for one in block for row in _documents(one, people)))


def _published(one: Seed) -> float | None:
    """Return when an item became public; if hidden, the end of its embargo."""
    embargo = one.metadata.get("embargo")
    if one.state == "hidden":
        return None if embargo is None else embargo["until"]
    return one.published


def _visible(one: Seed, version: int) -> float | None:
    """Return when a version becomes visible: a month after the one before."""
    first = WITHDRAWN if one.state == "withdrawn" else _published(one)
    return None if first is None else first + 86400.0 * 30 * (version - 1)


def _account(one: Seed) -> int:
    return _ABROAD if one.account is None else OWNER_ID if one.account == 0 else FIRST_ACCOUNT + one.account - 1


def _files(db: sqlite3.Connection, block: list[Seed]) -> None:
    rows = [
        (_FIRST_FILE + one.id, one.id, "record" if one.link else "data.csv", size, "0" * 32,
         "https://example.org/record" if one.link else None, one.versions > 0 and one.state == "public", one.created)
        for one in block
        for size in ((0,) if one.link else one.files)
    ]  # fmt: skip
    db.executemany(
        "INSERT INTO files (id, item_id, name, size, supplied_md5, folder_path, link, token, created, hidden_until,"
        " hidden_gets, completed, md5, hashed, attached)"
        " VALUES (?1, ?2, ?3, ?4, '', '', ?6, 'seed-' || ?1, ?8, 0, 0, ?8, ?5, ?8, ?7)",
        rows,
    )
    db.executemany(
        "INSERT INTO published_files (item_id, number, file_id, name, size, supplied_md5, md5, folder_path, link)"
        " SELECT ?2, number, ?1, ?3, ?4, '', ?5, '', ?6 FROM versions WHERE item_id = ?2",
        (row[:6] for row in rows),
    )


def _documents(one: Seed, people: list[dict[str, Any]]) -> Iterator[tuple[object, ...]]:
    """Return the documents of the private copy and of the newest version."""
    named = [people[place] for place in one.authors]
    made = document("articles", (one.id, 0), _COMPLETE | one.metadata, named, versions=one.versions)
    yield made
    if one.versions:
        yield *made[:2], one.versions, *made[3:]


_COMPLETE: Final[dict[str, Any]] = {"description": "", "custom_fields": {}}


def _sets(db: sqlite3.Connection, count: int, now: float) -> None:
    """Insert public collections and projects of items, and some that are the owner's alone."""
    rows = db.execute(
        "SELECT id, published, metadata FROM items WHERE published > 0 AND published <= ? AND NOT withdrawn"
        " AND account_id > 1 AND id % 40 = 0 ORDER BY id LIMIT ?",
        (now, max(6, count // 200)),
    ).fetchall()
    for place, row in enumerate(rows):
        meta = json.loads(row["metadata"])
        kept = {name: meta[name] for name in ("description", "tags", "categories", "group_id", "authors")}
        number, title = 7_100_001 + place, f"Collected: {meta['title']}"
        fields = kept | {"title": title, "doi": f"10.5072/FK2.sandbox.c.{number}", "custom_fields": {}}
        named = [seeds.author(one - FIRST_AUTHOR) for one in meta["authors"]]
        db.execute(
            "INSERT INTO collections (id, account_id, created, modified, version, published, metadata)"
            " VALUES (?, ?, ?3, ?3, 1, ?3, ?)",
            (number, OWNER_ID, row["published"], json.dumps(fields)),
        )
        items = [row["id"] + step for step in range(0, -12, -4)]
        db.execute(
            "INSERT INTO collection_versions VALUES (?, 1, ?, ?, ?, ?)",
            (number, row["published"], json.dumps(fields), json.dumps(named), json.dumps(items)),
        )
        db.executemany(
            "INSERT INTO collection_items SELECT ?, id FROM items WHERE id = ?", ((number, one) for one in items)
        )
        db.executemany(INSERT, (document("collections", (number, one), fields, named, versions=1) for one in (0, 1)))
        if place % 3 == 0:
            _project(db, 260_001 + place // 3, row["id"], row["published"], meta)


def _project(db: sqlite3.Connection, number: int, item_id: int, published: float, meta: dict[str, Any]) -> None:
    """Insert a public project that an item is in."""
    fields = {
        "title": f"Project: {meta['title']}", "description": meta["description"], "group_id": meta["group_id"],
        "custom_fields": {},
    }  # fmt: skip
    db.execute(
        "INSERT INTO projects (id, account_id, created, modified, published, metadata) VALUES (?, ?, ?3, ?3, ?3, ?)",
        (number, OWNER_ID, published, json.dumps(fields)),
    )
    db.execute("UPDATE items SET project_id = ? WHERE id = ?", (number, item_id))
    db.execute("UPDATE documents SET project_id = ? WHERE kind = 'articles' AND id = ?", (number, item_id))
    db.execute(INSERT, document("projects", (number, 0), fields, (), versions=0))


def _reviews(db: sqlite3.Connection) -> None:
    """Insert the reviews of items that wait for one."""
    db.execute(
        "INSERT INTO reviews (item_id, version, status, created, modified) SELECT id, 1, 'pending', created, created"
        " FROM items WHERE status = 'private' AND version = 0 AND account_id > 1 AND id >= ? ORDER BY id",
        (seeds.FIRST_ITEM,),
    )


def _usage(db: sqlite3.Connection) -> None:
    """Set the bytes that accounts use, as triggers do for other files."""
    db.execute(
        "UPDATE accounts SET (initiated, completed, public) ="
        " (SELECT COALESCE(SUM(size) FILTER (WHERE NOT attached), 0),"
        " COALESCE(SUM(size) FILTER (WHERE NOT attached AND completed IS NOT NULL), 0),"
        " COALESCE(SUM(size) FILTER (WHERE attached), 0) FROM items JOIN files ON files.item_id = items.id"
        " WHERE items.account_id = accounts.id)"
    )
