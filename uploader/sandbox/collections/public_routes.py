"""Public collections: list, read, versions, items. No token is needed."""

from __future__ import annotations

import sqlite3
from typing import Any, NamedTuple

from aiohttp import web

from uploader.sandbox import filters, finding
from uploader.sandbox.addresses import Addresses
from uploader.sandbox.answers import json_answer, not_found
from uploader.sandbox.bodies import search_of
from uploader.sandbox.collections import store, view
from uploader.sandbox.collections.routes import SEARCH_SORT_FIELDS, institution_id
from uploader.sandbox.collections.store import Collection, CollectionVersion
from uploader.sandbox.context import context_of
from uploader.sandbox.finding import PUBLIC_COLLECTIONS, Query
from uploader.sandbox.items import public_view, versions
from uploader.sandbox.items import store as items
from uploader.sandbox.listing import Order, Slice, order_of, slice_of
from uploader.sandbox.paging import listed, rows_of
from uploader.sandbox.routes import Route

_COLLECTION = r"/v2/collections/{collection_id:\d{1,18}}"
_VERSION = _COLLECTION + r"/versions/{version:\d{1,9}}"
_SORT_FIELDS = ("published_date", "created_date", "modified_date", "views", "shares", "cites")


class Found(NamedTuple):
    """A visible version and its collection."""

    collection: Collection
    version: CollectionVersion


def routes() -> list[Route]:
    """Return this module's routes."""
    return [
        Route("list-public-collections", "GET", "/v2/collections", list_public, public=True),
        Route("search-public-collections", "POST", "/v2/collections/search", search_public, public=True),
        Route("get-public-collection", "GET", _COLLECTION, read, public=True),
        Route("list-collection-versions", "GET", f"{_COLLECTION}/versions", list_versions, public=True),
        Route("get-collection-version", "GET", _VERSION, read, public=True),
        Route("list-public-collection-items", "GET", f"{_COLLECTION}/articles", list_items, public=True),
    ]


async def list_public(request: web.Request) -> web.Response:
    criteria = filters.in_listing(request)
    return await _published(request, criteria, rows_of(request), order_of(request.query, _SORT_FIELDS), search=False)


async def search_public(request: web.Request) -> web.Response:
    body = await search_of(request)
    return await _published(request, *finding.in_search(request, body, SEARCH_SORT_FIELDS), search=True)


async def read(request: web.Request) -> web.Response:
    """Serve the latest version, or the one in the path."""
    context = context_of(request)
    collection, version = await context.db.run(_found, request, context.now())
    return json_answer(view.public(collection, version, institution_id(context), context.addresses(request)))


async def list_versions(request: web.Request) -> web.Response:
    context = context_of(request)
    number = _number(request)
    found = await context.db.run(store.versions, number, context.now())
    if not found:
        raise not_found("Collection")
    at = context.addresses(request)
    return json_answer(
        [
            {
                "version": one.number,
                "url": view.public_url(number, at, one.number),
                "funding": one.metadata["funding_list"],
            }
            for one in found
        ]
    )


async def list_items(request: web.Request) -> web.Response:
    context = context_of(request)
    at = context.addresses(request)
    return json_answer(await context.db.run(_items, request, slice_of(request.query), at, context.now()))


async def _published(
    request: web.Request, criteria: dict[str, Any], rows: Slice, order: Order, *, search: bool
) -> web.Response:
    """Return the rows of matching public collections."""
    context = context_of(request)
    query = Query(
        source=PUBLIC_COLLECTIONS, criteria=criteria, order=order, rows=rows, now=context.now(), search=search
    )

    def matching(db: sqlite3.Connection) -> list[Found]:
        found = finding.find(db, query, context)
        pairs = [(store.find(db, one.id), store.version(db, one.id, one.number)) for one in found]
        return [Found(one, version) for one, version in pairs if one is not None and version is not None]

    at = context.addresses(request)
    return listed(request, rows, [view.public_row(*pair, at) for pair in await context.db.run(matching)])


def _number(request: web.Request) -> int:
    return int(request.match_info["collection_id"])


def _found(db: sqlite3.Connection, request: web.Request, now: float) -> Found:
    collection = store.find(db, _number(request))
    seen = store.versions(db, _number(request), now)
    wanted = request.match_info.get("version")
    matching = [one for one in seen if wanted is None or one.number == int(wanted)]
    if collection is None or not matching:
        raise not_found("Collection")
    return Found(collection, matching[-1])


def _items(
    db: sqlite3.Connection, request: web.Request, rows: Slice, at: Addresses, now: float
) -> list[dict[str, Any]]:
    """Return the collection's public items."""
    shown = []
    for one in _found(db, request, now).version.items:
        item, version = items.find(db, one), versions.latest(db, one, now)
        if item is not None and version is not None:
            shown.append(public_view.row(item, version, at, now))
    return shown[rows.offset : rows.offset + rows.limit]
