"""The database: whole transactions, or nothing."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from uploader.sandbox.data_dir import SandboxUnusable
from uploader.sandbox.db import Database
from uploader.sandbox.items import store
from uploader.sandbox.items.body import EMPTY
from uploader.sandbox.people import accounts
from uploader.sandbox.people.accounts import OWNER_ID
from uploader.sandbox.schema import STEPS, VERSION

pytestmark = pytest.mark.anyio


async def test_an_exception_rolls_back(tmp_path: Path) -> None:
    def fail(db: sqlite3.Connection) -> None:
        store.create(db, OWNER_ID, EMPTY, 1.0)
        raise KeyError

    db = Database(tmp_path / "x.db")
    await db.open()
    with pytest.raises(KeyError):
        await db.run(fail)
    assert await db.run(store.page, OWNER_ID, 10, 0) == []
    item = await db.run(store.create, OWNER_ID, EMPTY, 1.0)
    assert await db.run(store.get, item.id, OWNER_ID) == item
    await db.close()


async def test_ids_are_never_reused(tmp_path: Path) -> None:
    db = Database(tmp_path / "x.db")
    await db.open()
    first = await db.run(store.create, OWNER_ID, EMPTY, 1.0)
    await db.run(store.delete, first.id)
    assert (await db.run(store.create, OWNER_ID, EMPTY, 1.0)).id > first.id
    await db.close()


async def test_an_older_database_is_migrated(tmp_path: Path) -> None:
    older = sqlite3.connect(tmp_path / "x.db")
    older.executescript(STEPS[0] + "PRAGMA user_version=1;")
    older.execute("INSERT INTO authors (full_name, first_name, last_name, orcid_id) VALUES ('A B', 'A', 'B', '')")
    older.execute('INSERT INTO items VALUES (7, \'draft\', 1, 1, \'{"title": "Old", "funding_list": []}\')')
    older.executemany(
        "INSERT INTO files VALUES (?, 7, 'a', 10, '', '', ?, ?, NULL, 1, 0, 0, 0, ?, NULL, NULL)",
        [(1, None, "t1", None), (2, None, "t2", 1.0), (3, "https://example.org", "t3", 1.0)],
    )
    older.commit()
    older.close()
    db = Database(tmp_path / "x.db")
    await db.open()
    item = await db.run(store.get, 7, OWNER_ID)
    assert (item.metadata["title"], item.metadata["license"], item.linked, item.uploaded) == ("Old", 1, 1, 2)
    account = await db.run(accounts.get, OWNER_ID)
    assert account is not None
    assert (account.first_name, account.initiated, account.completed, account.public) == ("A", 30, 20, 0)
    await db.run(store.delete, 7)
    account = await db.run(accounts.get, OWNER_ID)
    assert account is not None
    assert (account.initiated, account.completed) == (0, 0)
    await db.close()


async def test_a_newer_database_is_rejected(tmp_path: Path) -> None:
    newer = sqlite3.connect(tmp_path / "x.db")
    newer.execute(f"PRAGMA user_version={VERSION + 1}")
    newer.close()
    db = Database(tmp_path / "x.db")
    with pytest.raises(SandboxUnusable, match="newer figup"):
        await db.open()
    await db.close()
