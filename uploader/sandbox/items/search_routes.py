"""Searches: the account's own items, and what is published; and the list of all that is published."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any, NamedTuple

from aiohttp import web

from uploader.sandbox import checks, files_db
from uploader.sandbox.answers import ApiError, forbidden, invalid_is_bad_request, json_answer
from uploader.sandbox.bodies import query_of, search_of
from uploader.sandbox.context import Context, context_of
from uploader.sandbox.items import public_view, search, store, versions, view
from uploader.sandbox.items.store import Item
from uploader.sandbox.items.versions import Version
from uploader.sandbox.listing import Order, Slice, order_of, slice_in, slice_of
from uploader.sandbox.people import authors
from uploader.sandbox.people.impersonation import account_of
from uploader.sandbox.reference_data import INSTITUTION, ITEM_TYPES, STRING_ID
from uploader.sandbox.routes import Route

_SORT_FIELDS = ("published_date", "created_date", "modified_date", "views", "shares", "downloads", "cites")
_SEARCH_SORT_FIELDS = ("created_date", *(order for order in _SORT_FIELDS if order != "created_date"))
_TEXTS = ("resource_doi", "doi", "handle", "published_since", "modified_since")
_NUMBERS = ("institution", "group", "item_type", "project_id")


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
        Route("search-public-items", "POST", "/v2/articles/search", search_public, public=True),
    ]


async def search_own(request: web.Request) -> web.Response:
    context = context_of(request)
    body = await search_of(request)
    with invalid_is_bad_request():
        criteria, rows, order = _read_search(request, body)
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
        criteria, rows = _listing_filters(request), slice_of(request.query)
        order = order_of(request.query, ("published_date", "modified_date"))
    page = _page(context, await context.db.run(_private, None, context.now(), names=False), criteria, rows, order)
    at, now = context.addresses(request), context.now()
    return json_answer([view.row(one.item, at, now) for one in page])


async def search_public(request: web.Request) -> web.Response:
    found = await _published(request, *_read_search(request, await search_of(request)))
    return json_answer(found)


async def list_public(request: web.Request) -> web.Response:
    criteria = _listing_filters(request)
    found = await _published(request, criteria, slice_of(request.query), order_of(request.query, _SORT_FIELDS))
    return json_answer([{name: value for name, value in row.items() if name != "project_id"} for row in found])


async def _published(request: web.Request, criteria: dict[str, Any], rows: Slice, order: Order) -> list[dict[str, Any]]:
    """Return the rows of what is found among all that is published."""
    context = context_of(request)
    at, now = context.addresses(request), context.now()
    page = _page(context, await context.db.run(_public, now, names=_needs_files(criteria)), criteria, rows, order)
    return [
        {**public_view.row(one.item, one.version, at, now), "project_id": one.item.project_id}
        for one in page
        if one.version is not None
    ]


def _listing_filters(request: web.Request) -> dict[str, Any]:
    """Return the filters of a listing, which has no `search_for`."""
    return _filters({name: value for name, value in query_of(request).items() if name != "search_for"})


def _read_search(request: web.Request, body: dict[str, Any]) -> tuple[dict[str, Any], Slice, Order]:
    """Return the search in a body; paging may stand in the query as well. ApiError 400 or 422."""
    rows = (
        slice_of(request.query) if {"page", "page_size", "limit", "offset"} & request.query.keys() else slice_in(body)
    )
    return _filters(body), rows, order_of(body, _SEARCH_SORT_FIELDS)


def _filters(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the filters, checked: dates are moments."""
    names: dict[str, checks.Check] = {
        "search_for": checks.text(3, 10000),
        **dict.fromkeys(_TEXTS, checks.text(0, 1000)),
        **dict.fromkeys(_NUMBERS, checks.integer),
    }
    criteria = checks.checked(dict(given), names)
    for name in ("published_since", "modified_since"):
        if name in criteria:
            criteria[name] = checks.moment_of(criteria[name])
            if criteria[name] is None:
                raise ApiError(400, "BadRequest", f"Invalid value received for {name}", {"invalid_params": name})
    return criteria


def _needs_files(sought: dict[str, Any]) -> bool:
    """Return whether the search looks at file names, which are not read for every one of many items otherwise."""
    return ":extension:" in sought.get("search_for", "")


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

    matching = [one for one in found if _matches(one.item, criteria) and matches(one)]
    return order.sort(matching, _rank)[rows.offset : rows.offset + rows.limit]


def _matches(item: Item, criteria: dict[str, Any]) -> bool:
    meta = item.metadata
    has = {
        "resource_doi": meta["resource_doi"],
        "handle": meta["handle"],
        "institution": INSTITUTION["id"],
        "group": meta["group_id"],
        "item_type": ITEM_TYPES[meta["defined_type"]],
        "project_id": item.project_id,
    }
    if any(has[name] != value for name, value in criteria.items() if name in has):
        return False
    if "doi" in criteria and criteria["doi"].lower() not in search.dois(meta["doi"], item.version):
        return False
    since, changed = criteria.get("published_since"), criteria.get("modified_since")
    if since is not None and (item.published is None or item.published <= since):
        return False
    return changed is None or item.modified > changed


def _rank(one: Candidate, field: str) -> float | None:
    item = one.item
    dates = {"published_date": item.published, "created_date": item.created, "modified_date": item.modified}
    return dates.get(field, 0.0)
