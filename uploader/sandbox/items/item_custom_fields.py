"""The group of an item, by default its project's or its owner's, and the custom fields of that group.

Every function takes the connection first and belongs to one transaction.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from uploader.sandbox import projects_db as projects
from uploader.sandbox.context import Context
from uploader.sandbox.custom_fields import CustomField, shown
from uploader.sandbox.items.store import Item
from uploader.sandbox.people import accounts


def for_item(db: sqlite3.Connection, context: Context, item: Item) -> list[dict[str, Any]]:
    """Return the objects of an item's custom fields, including unset ones."""
    own = fields_of(db, context, item.metadata, item.account_id, item.project_id)
    return shown(item.metadata["custom_fields"], own)


def fields_of(
    db: sqlite3.Connection, context: Context, metadata: dict[str, Any], account_id: int, project_id: int | None
) -> tuple[CustomField, ...]:
    """Return the fields of an item with these fields (items.body), owner and project."""
    return context.custom_fields(group_of(db, metadata, account_id, project_id))


def group_of(db: sqlite3.Connection, metadata: dict[str, Any], account_id: int, project_id: int | None) -> int | None:
    """Return the group of an item with these fields, owner and project."""
    group: int | None = metadata["group_id"]
    if not group and project_id is not None:
        project = projects.find(db, project_id)
        group = project.metadata["group_id"] if project is not None else None
    if not group:
        account = accounts.get(db, account_id)
        group = account.group_id if account is not None else None
    return group
