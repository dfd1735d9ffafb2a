"""The items in a collection: list, add, replace, remove."""

from __future__ import annotations

import sqlite3

from aiohttp import web

from uploader.sandbox import checks
from uploader.sandbox.answers import (
    ApiError,
    invalid,
    invalid_is_bad_request,
    json_answer,
    located,
    no_content,
    not_found,
    reset_content,
)
from uploader.sandbox.bodies import body_of
from uploader.sandbox.collections import store
from uploader.sandbox.context import context_of
from uploader.sandbox.items import store as items
from uploader.sandbox.items import view
from uploader.sandbox.items.store import Item
from uploader.sandbox.listing import slice_of
from uploader.sandbox.people.impersonation import account_of
from uploader.sandbox.routes import Route

COLLECTION = r"/v2/account/collections/{collection_id:\d{1,18}}"

MAX_BATCH = 10
"""Maximum number of items added by one request: more failed for a client of the real service."""


def routes() -> list[Route]:
    """Return this module's routes."""
    path = f"{COLLECTION}/articles"
    return [
        Route("list-collection-items", "GET", path, list_items),
        Route("add-collection-items", "POST", path, add_items),
        Route("replace-collection-items", "PUT", path, replace_items),
        Route("delete-collection-item", "DELETE", path + r"/{item_id:\d{1,18}}", delete_item),
    ]


def collection_id_of(request: web.Request) -> int:
    """Return the collection named in the path."""
    return int(request.match_info["collection_id"])


async def list_items(request: web.Request) -> web.Response:
    context = context_of(request)
    rows = slice_of(request.query)

    def page(db: sqlite3.Connection) -> list[Item]:
        collection = store.get(db, collection_id_of(request), account_of(request))
        found = [items.find(db, one) for one in store.items(db, collection.id, rows.limit, rows.offset)]
        return [item for item in found if item is not None]

    found = await context.db.run(page)
    at, now = context.addresses(request), context.now()
    return json_answer([view.row(item, at, now) for item in found])


async def add_items(request: web.Request) -> web.Response:
    await _set(request, keep=True)
    return located(_address(request), 201)


async def replace_items(request: web.Request) -> web.Response:
    await _set(request, keep=False)
    return reset_content(_address(request))


async def delete_item(request: web.Request) -> web.Response:
    item_id = int(request.match_info["item_id"])
    await context_of(request).db.run(_delete, collection_id_of(request), account_of(request), item_id)
    return no_content()


def add(db: sqlite3.Connection, collection_id: int, account_id: int, ids: list[int]) -> None:
    """Add items. ApiError 404 for one that is neither the account's nor published, 400 for too many."""
    if len(ids) > MAX_BATCH:
        raise ApiError(400, "BadRequest", f"At most {MAX_BATCH} articles can be added at once")
    for one in ids:
        item = items.find(db, one)
        if item is None or (item.account_id != account_id and not item.version):
            raise not_found("Article")
    store.add_items(db, collection_id, ids)


async def _set(request: web.Request, *, keep: bool) -> None:
    with invalid_is_bad_request():
        body = await body_of(request)
        if body.get("articles") is None:
            raise invalid("Missing mandatory field - articles", "articles")
        ids = checks.integers("articles", body["articles"])
    await context_of(request).db.run(_store, collection_id_of(request), account_of(request), ids, keep=keep)


def _store(db: sqlite3.Connection, collection_id: int, account_id: int, ids: list[int], *, keep: bool) -> None:
    store.get(db, collection_id, account_id)
    if not keep:
        store.clear_items(db, collection_id)
    add(db, collection_id, account_id, ids)


def _delete(db: sqlite3.Connection, collection_id: int, account_id: int, item_id: int) -> None:
    store.get(db, collection_id, account_id)
    if not store.remove_item(db, collection_id, item_id):
        raise not_found("Article")


def _address(request: web.Request) -> str:
    return f"{context_of(request).addresses(request).collection(collection_id_of(request))}/articles"
