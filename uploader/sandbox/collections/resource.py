"""Collections as a resource: see uploader.sandbox.resources."""

from __future__ import annotations

import sqlite3
from typing import Any, Final

from uploader.sandbox.collections import store
from uploader.sandbox.resources import Resource


def _fields(db: sqlite3.Connection, collection_id: int, account_id: int) -> dict[str, Any]:
    return store.get(db, collection_id, account_id).metadata


def _change(db: sqlite3.Connection, collection_id: int, account_id: int, fields: dict[str, Any], now: float) -> None:
    store.update(db, store.get(db, collection_id, account_id), fields, now)


COLLECTION: Final = Resource(word="collection", path="collections", added=201, fields=_fields, change=_change)
