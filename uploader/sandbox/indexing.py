"""Make the documents of what changed: triggers note it.

Each function takes the connection first and belongs to one transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any, Final

from uploader.sandbox import projects_db
from uploader.sandbox.collections import store as collections
from uploader.sandbox.documents import INSERT, document
from uploader.sandbox.items import store as items
from uploader.sandbox.items import versions
from uploader.sandbox.people import authors


def refresh(db: sqlite3.Connection) -> None:
    """Make the documents of everything that changed."""
    changed = db.execute("SELECT kind, id, number FROM unindexed").fetchall()
    if not changed:
        return
    # Not INSERT OR REPLACE: that runs no triggers for what it replaces, and the index of stems needs them.
    db.executemany("DELETE FROM documents WHERE kind = ? AND id = ? AND number = ?", (tuple(row) for row in changed))
    made = [_MAKERS[row["kind"]](db, row["id"], row["number"]) for row in changed]
    db.executemany(INSERT, (one for one in made if one is not None))
    db.execute("DELETE FROM unindexed")


def _item(db: sqlite3.Connection, number: int, version: int) -> tuple[object, ...] | None:
    item = items.find(db, number)
    shown = versions.get(db, number, version) if version else None
    if item is None or (version and shown is None):
        return None
    people = _people(db, item.metadata) if shown is None else shown.authors
    return document(
        "articles", (number, version), item.metadata if shown is None else shown.metadata, people,
        versions=version or item.version, group=_group(db, item.account_id), project_id=item.project_id,
    )  # fmt: skip


def _collection(db: sqlite3.Connection, number: int, version: int) -> tuple[object, ...] | None:
    collection = collections.find(db, number)
    shown = collections.version(db, number, version) if version else None
    if collection is None or (version and shown is None):
        return None
    meta = collection.metadata if shown is None else shown.metadata
    people = _people(db, meta) if shown is None else shown.authors
    group = _group(db, collection.account_id)
    return document("collections", (number, version), meta, people, versions=version or collection.version, group=group)


def _project(db: sqlite3.Connection, number: int, _: int) -> tuple[object, ...] | None:
    project = projects_db.find(db, number)
    if project is None:
        return None
    group = _group(db, project.account_id)
    return document("projects", (number, 0), project.metadata, (), versions=0, group=group)


_MAKERS: Final = {"articles": _item, "collections": _collection, "projects": _project}


def _people(db: sqlite3.Connection, meta: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [authors.shown(one) for one in authors.get_many(db, meta["authors"])]


def _group(db: sqlite3.Connection, account_id: int) -> int | None:
    row = db.execute("SELECT group_id FROM accounts WHERE id = ?", (account_id,)).fetchone()
    return None if row is None else int(row[0])
