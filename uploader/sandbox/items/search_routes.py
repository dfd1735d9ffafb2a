"""Searches of own and public items, and the list of public items."""

from __future__ import annotations

import sqlite3
from typing import Any, NamedTuple

from aiohttp import web

from uploader.sandbox import files_db, filters
from uploader.sandbox.answers import ApiError, forbidden, invalid_is_bad_request, json_answer
from uploader.sandbox.bodies import search_of
from uploader.sandbox.context import Context, context_of
from uploader.sandbox.filters import Traits, dois, in_listing, in_search
from uploader.sandbox.items import public_view, search, store, versions, view
from uploader.sandbox.items.store import Item
from uploader.sandbox.items.versions import Version
from uploader.sandbox.listing import Order, Slice, order_of, slice_of
from uploader.sandbox.people import authors
from uploader.sandbox.people.impersonation import account_of
from uploader.sandbox.reference_data import INSTITUTION, ITEM_TYPES, STRING_ID
from uploader.sandbox.routes import Route

_SORT_FIELDS = ("published_date", "created_date", "modified_date", "views", "shares", "downloads", "cites")
_SEARCH_SORT_FIELDS = ("created_date", *(order for order in _SORT_FIELDS if order != "created_date"))


class Candidate(NamedTuple):
    """An item that may be found, as it is shown: `version` is None for the private copy. `files` are names."""

    item: Item
    version: Version | None
    authors: list[dict[str, Any]]
    files: list[str]


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
        criteria, rows, order = in_search(request, body, _SEARCH_SORT_FIELDS)
    found = await context.db.run(_private, account_of(request), context.now(), names=_needs_files(criteria))
    at, now = context.addresses(request), context.now()
    page = _page(context, found, criteria, rows, order)
    return json_answer([{**view.row(one.item, at, now), "project_id": one.item.project_id} for one in page])


async def list_institution(request: web.Request) -> web.Response:
    """Return the items of all accounts of the institution, for its administrator. ApiError 403."""
    context = context_of(request)
    if not context.settings.institution:
        raise forbidden()
    with invalid_is_bad_request():
        criteria, rows = in_listing(request), slice_of(request.query)
        order = order_of(request.query, ("published_date", "modified_date"))
    page = _page(context, await context.db.run(_private, None, context.now(), names=False), criteria, rows, order)
    at, now = context.addresses(request), context.now()
    return json_answer([view.row(one.item, at, now) for one in page])


async def search_public(request: web.Request) -> web.Response:
    found = await _published(request, *in_search(request, await search_of(request), _SEARCH_SORT_FIELDS))
    return json_answer(found)


async def filter_by(request: web.Request) -> web.Response:
    """Return the institution's published items of a resource that hold a file of this name."""
    context = context_of(request)
    wanted = {}
    for name in ("resource_id", "filename"):
        if name not in request.query:
            raise ApiError(400, "BadRequest", f"Missing mandatory parameter - {name}", {"invalid_params": name})
        wanted[name] = request.query[name]
    known = context.settings.institution and request.match_info["string_id"] == STRING_ID
    at, now = context.addresses(request), context.now()
    every = await context.db.run(_public, now, names=True) if known else []
    return json_answer(
        [
            public_view.row(one.item, one.version, at, now)
            for one in every
            if one.version is not None
            and one.item.metadata["resource_id"] == wanted["resource_id"]
            and wanted["filename"] in one.files
        ]
    )


async def list_public(request: web.Request) -> web.Response:
    criteria = in_listing(request)
    found = await _published(request, criteria, slice_of(request.query), order_of(request.query, _SORT_FIELDS))
    return json_answer([{name: value for name, value in row.items() if name != "project_id"} for row in found])


async def _published(request: web.Request, criteria: dict[str, Any], rows: Slice, order: Order) -> list[dict[str, Any]]:
    """Return the rows of matching public items."""
    context = context_of(request)
    at, now = context.addresses(request), context.now()
    page = _page(context, await context.db.run(_public, now, names=_needs_files(criteria)), criteria, rows, order)
    return [
        {**public_view.row(one.item, one.version, at, now), "project_id": one.item.project_id}
        for one in page
        if one.version is not None
    ]


def _needs_files(criteria: dict[str, Any]) -> bool:
    """Return whether the search uses file names; otherwise they are not read."""
    return ":extension:" in criteria.get("search_for", "")


def _private(db: sqlite3.Connection, account_id: int | None, now: float, *, names: bool) -> list[Candidate]:
    """Return the private copies of an account's items, or of all."""
    found = []
    for item in store.page(db, account_id, -1, 0):
        people = authors.get_many(db, item.metadata["authors"])
        files = [file.name for file in files_db.page(db, item.id, now, None)] if names else []
        found.append(Candidate(item, None, [authors.shown(one) for one in people], files))
    return found


def _public(db: sqlite3.Connection, now: float, *, names: bool) -> list[Candidate]:
    found = []
    for item, version in versions.all_latest(db, now):
        files = [file.name for file in versions.files(db, version, None)] if names else []
        found.append(Candidate(public_view.as_published(item, version), version, version.authors, files))
    return found


def _page(
    context: Context, found: list[Candidate], criteria: dict[str, Any], rows: Slice, order: Order
) -> list[Candidate]:
    query = search.query_of(criteria.get("search_for", ""))
    institution = STRING_ID if context.settings.institution else ""

    def matches(one: Candidate) -> bool:
        return "search_for" not in criteria or query(search.document(one.item, one.authors, one.files, institution))

    matching = [one for one in found if filters.matches(_traits(one.item), criteria) and matches(one)]
    return order.sort(matching, _rank)[rows.offset : rows.offset + rows.limit]


def _traits(item: Item) -> Traits:
    meta = item.metadata
    same = {
        "resource_id": meta["resource_id"],
        "resource_doi": meta["resource_doi"],
        "handle": meta["handle"],
        "institution": INSTITUTION["id"],
        "group": meta["group_id"],
        "item_type": ITEM_TYPES[meta["defined_type"]],
        "project_id": item.project_id,
    }
    found = dois(meta["doi"], item.version)
    return Traits(same=same, dois=found, published=item.published, modified=item.modified)


def _rank(one: Candidate, field: str) -> float | None:
    item = one.item
    dates = {"published_date": item.published, "created_date": item.created, "modified_date": item.modified}
    return dates.get(field, 0.0)
