"""The first API's signed calls: the account's own items, the search of public ones, and one item of either.

From programs that used it until 2016: ten rows a page; a list of own items could not be paged, it showed ten.
"""

from __future__ import annotations

import re
import sqlite3
from typing import Any

from aiohttp import web

from uploader.sandbox import finding
from uploader.sandbox.answers import json_answer, moment
from uploader.sandbox.context import Context, context_of
from uploader.sandbox.finding import OWN_ITEMS, PUBLIC_ITEMS, Query
from uploader.sandbox.items import store
from uploader.sandbox.items.store import Item
from uploader.sandbox.listing import Order, Slice
from uploader.sandbox.oauth.oauth1_routes import Unsigned, signed_by
from uploader.sandbox.people import accounts
from uploader.sandbox.routes import Route

ROWS = 10
_FIELDS = {
    "has_author": ":author:", "has_title": ":title:", "has_description": ":description:", "has_tag": ":tag:",
    "has_category": ":category:", "from_date": ":published_after:", "to_date": ":published_before:",
}  # fmt: skip
"""Its parameters, and what they are in the search language of today."""


def routes() -> list[Route]:
    """Return this module's routes."""
    return [
        Route("v1-list", "GET", "/v1/my_data/articles", list_own, public=True),
        Route("v1-search", "GET", "/v1/articles/search", search, public=True),
        Route("v1-details", "GET", r"/v1/articles/{item_id:\d{1,18}}", read, public=True),
    ]


async def list_own(request: web.Request) -> web.Response:
    order = Order("created_date", descending=True)
    return await _answer(request, OWN_ITEMS, {}, order, page=1, account_id=accounts.OWNER_ID)


async def search(request: web.Request) -> web.Response:
    words = [request.query["search_for"]] if request.query.get("search_for") else []
    words += [f"{field} {request.query[name]}" for name, field in _FIELDS.items() if request.query.get(name)]
    criteria = {"search_for": " AND ".join(f"({one})" for one in words)} if words else {}
    page = request.query.get("page", "1")
    number = int(page) if re.fullmatch("[0-9]{1,6}", page) and int(page) > 0 else 1
    return await _answer(request, PUBLIC_ITEMS, criteria, Order("published_date", descending=True), page=number)


async def read(request: web.Request) -> web.Response:
    """Answer with a list of one item, as observed; which fields it had beyond those of lists is not known."""
    context = context_of(request)
    try:
        signed_by(request)
    except Unsigned as error:
        return error.answer()
    item = await context.db.run(store.find, int(request.match_info["item_id"]))
    if item is None or not (item.account_id == accounts.OWNER_ID or item.is_public(context.now())):
        return json_answer({"error": {"error": "Article not found"}}, status=404)
    details = {"description": item.metadata["description"], "tags": item.metadata["tags"]}
    return json_answer({"count": 1, "items": [{**_row(item), **details}]})


async def _answer(
    request: web.Request,
    source: finding.Source,
    criteria: dict[str, Any],
    order: Order,
    *,
    page: int,
    account_id: int | None = None,
) -> web.Response:
    """Return one page of the records that are found, and how many there are."""
    context = context_of(request)
    try:
        signed_by(request)
    except Unsigned as error:
        return error.answer()
    query = Query(
        source=source, criteria=criteria, order=order, rows=Slice(-1, 0), now=context.now(), account_id=account_id
    )
    found, count = await context.db.run(_page, query, context, page)
    return json_answer({"count" if account_id else "items_found": count, "items": [_row(one) for one in found]})


def _page(db: sqlite3.Connection, query: Query, context: Context, page: int) -> tuple[list[Item], int]:
    found = finding.find(db, query, context)
    some = [store.find(db, one.id) for one in found[(page - 1) * ROWS : page * ROWS]]
    return [one for one in some if one is not None], len(found)


def _row(item: Item) -> dict[str, Any]:
    return {
        "article_id": item.id,
        "title": item.metadata["title"],
        "doi": item.metadata["doi"],
        "defined_type": item.metadata["defined_type"],
        "version": item.version,
        "published_date": moment(item.published) if item.published else None,
    }
