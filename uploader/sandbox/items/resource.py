"""Items as a resource: see uploader.sandbox.resources."""

from __future__ import annotations

import sqlite3
from typing import Any, Final

from uploader.sandbox.items import store
from uploader.sandbox.resources import Resource


def _fields(db: sqlite3.Connection, item_id: int, account_id: int) -> dict[str, Any]:
    return store.get(db, item_id, account_id).metadata


def _change(db: sqlite3.Connection, item_id: int, account_id: int, fields: dict[str, Any], now: float) -> None:
    store.update(db, store.get(db, item_id, account_id), fields, now)


ITEM: Final = Resource(word="item", path="articles", added=205, fields=_fields, change=_change)
