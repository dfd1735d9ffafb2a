"""Searches of own and public items, and the list of public items."""

from __future__ import annotations

import sqlite3
from typing import Any

from aiohttp import web

from uploader.sandbox import filters, finding
from uploader.sandbox.answers import ApiError, forbidden, invalid_is_bad_request, json_answer
from uploader.sandbox.bodies import search_of
from uploader.sandbox.context import Context, context_of
from uploader.sandbox.finding import OWN_ITEMS, PUBLIC_ITEMS, Query
from uploader.sandbox.institutions import OWN
from uploader.sandbox.items import public_view, store, versions, view
from uploader.sandbox.items.store import Item
from uploader.sandbox.items.versions import Version
from uploader.sandbox.listing import Order, Slice, order_of
from uploader.sandbox.paging import listed, rows_of
from uploader.sandbox.people.impersonation import account_of
from uploader.sandbox.routes import Route

_SORT_FIELDS = ("published_date", "created_date", "modified_date", "views", "shares", "downloads", "cites")
_SEARCH_SORT_FIELDS = ("created_date", *(order for order in _SORT_FIELDS if order != "created_date"))


def routes() -> list[Route]:
    """Return this module's routes."""
    return [
        Route("search-items", "POST", "/v2/account/articles/search", search_own),
        Route("list-institution-items", "GET", "/v2/account/institution/articles", list_institution),
        Route("list-public-items", "GET", "/v2/articles", list_public, public=True),
        Route(
            "list-institution-public-items",
            "GET",
            "/v2/institutions/{string_id}/articles/filter-by",
            filter_by,
            public=True,
        ),
        Route("search-public-items", "POST", "/v2/articles/search", search_public, public=True),
    ]


async def search_own(request: web.Request) -> web.Response:
    context = context_of(request)
    body = await search_of(request)
    with invalid_is_bad_request():
        criteria, rows, order = finding.in_search(request, body, _SEARCH_SORT_FIELDS)
    query = Query(
        source=OWN_ITEMS, criteria=criteria, order=order, rows=rows, now=context.now(),
        account_id=account_of(request), search=True,
    )  # fmt: skip
    found = await context.db.run(finding.records, query, context, store.find)
    at, now = context.addresses(request), context.now()
    return json_answer([{**view.row(item, at, now), "project_id": item.project_id} for item in found])


async def list_institution(request: web.Request) -> web.Response:
    """Return the items of all accounts of the institution, for its administrator. ApiError 403."""
    context = context_of(request)
    if not context.settings.institution:
        raise forbidden()
    with invalid_is_bad_request():
        criteria, rows = filters.in_listing(request), rows_of(request)
        order = order_of(request.query, ("published_date", "modified_date"))
    own = {**criteria, "institution": OWN.id}
    query = Query(source=OWN_ITEMS, criteria=own, order=order, rows=rows, now=context.now())
    found = await context.db.run(finding.records, query, context, store.find)
    at, now = context.addresses(request), context.now()
    return json_answer([view.row(item, at, now) for item in found])


async def search_public(request: web.Request) -> web.Response:
    body = await search_of(request)
    return await _published(request, *finding.in_search(request, body, _SEARCH_SORT_FIELDS), search=True)


async def list_public(request: web.Request) -> web.Response:
    criteria = filters.in_listing(request)
    return await _published(request, criteria, rows_of(request), order_of(request.query, _SORT_FIELDS), search=False)


async def filter_by(request: web.Request) -> web.Response:
    """Return the institution's published items of a resource that hold a file of this name."""
    context = context_of(request)
    wanted = {}
    for name in ("resource_id", "filename"):
        if name not in request.query:
            raise ApiError(400, "BadRequest", f"Missing mandatory parameter - {name}", {"invalid_params": name})
        wanted[name] = request.query[name]
    if not context.settings.institution or request.match_info["string_id"] != OWN.string_id:
        return json_answer([])
    criteria = {"institution": OWN.id, "resource_id": wanted["resource_id"]}
    query = Query(
        source=PUBLIC_ITEMS, criteria=criteria, order=Order("published_date", descending=True),
        rows=Slice(-1, 0), now=context.now(),
    )  # fmt: skip

    def holding(db: sqlite3.Connection) -> list[tuple[Item, Version]]:
        return [
            (item, version)
            for item, version in _public(db, query, context)
            if wanted["filename"] in {file.name for file in versions.files(db, version, None)}
        ]

    at, now = context.addresses(request), context.now()
    return json_answer([public_view.row(*pair, at, now) for pair in await context.db.run(holding)])


async def _published(
    request: web.Request, criteria: dict[str, Any], rows: Slice, order: Order, *, search: bool
) -> web.Response:
    """Return the rows of matching public items; only those of a search name the project."""
    context = context_of(request)
    query = Query(source=PUBLIC_ITEMS, criteria=criteria, order=order, rows=rows, now=context.now(), search=search)
    found = await context.db.run(_public, query, context)
    at, now = context.addresses(request), context.now()
    hidden = () if context.settings.row_dates else ("created_date", "modified_date")
    shown = []
    for item, version in found:
        row = public_view.row(item, version, at, now)
        row |= {"project_id": item.project_id} if search else {}
        shown.append({name: value for name, value in row.items() if name not in hidden})
    return listed(request, rows, shown)


def _public(db: sqlite3.Connection, query: Query, context: Context) -> list[tuple[Item, Version]]:
    """Return the public items that match, each with its newest visible version."""
    found = finding.find(db, query, context)
    pairs = [(store.find(db, one.id), versions.get(db, one.id, one.number)) for one in found]
    return [(item, version) for item, version in pairs if item is not None and version is not None]
