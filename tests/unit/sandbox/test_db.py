"""The database: whole transactions, or nothing."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from uploader.sandbox import items_db
from uploader.sandbox.db import VERSION, Database
from uploader.sandbox.home import SandboxUnusable
from uploader.sandbox.item_body import EMPTY

pytestmark = pytest.mark.anyio


async def test_what_raises_leaves_nothing(tmp_path: Path) -> None:
    def fail(db: sqlite3.Connection) -> None:
        items_db.create(db, EMPTY, 1.0)
        raise KeyError

    db = Database(tmp_path / "x.db")
    await db.open()
    with pytest.raises(KeyError):
        await db.run(fail)
    assert await db.run(items_db.page, 10, 0) == []
    item = await db.run(items_db.create, EMPTY, 1.0)
    assert await db.run(items_db.get, item.id) == item
    await db.close()


async def test_ids_are_never_used_again(tmp_path: Path) -> None:
    db = Database(tmp_path / "x.db")
    await db.open()
    first = await db.run(items_db.create, EMPTY, 1.0)
    await db.run(items_db.delete, first.id)
    assert (await db.run(items_db.create, EMPTY, 1.0)).id > first.id
    await db.close()


async def test_a_newer_database_is_refused(tmp_path: Path) -> None:
    newer = sqlite3.connect(tmp_path / "x.db")
    newer.execute(f"PRAGMA user_version={VERSION + 1}")
    newer.close()
    db = Database(tmp_path / "x.db")
    with pytest.raises(SandboxUnusable, match="newer figup"):
        await db.open()
    await db.close()
