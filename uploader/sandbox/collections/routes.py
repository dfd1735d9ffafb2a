"""The operations on collections: list, create, read, update, delete, reserve a DOI, publish."""

from __future__ import annotations

import sqlite3
from typing import Any

from aiohttp import web

from uploader.sandbox import finding
from uploader.sandbox.addresses import Addresses
from uploader.sandbox.answers import (
    ApiError,
    forbidden,
    invalid_is_bad_request,
    json_answer,
    located,
    no_content,
    not_found,
)
from uploader.sandbox.bodies import body_of, optional_body_of, search_of
from uploader.sandbox.collections import body, item_routes, store, view
from uploader.sandbox.context import Context, context_of
from uploader.sandbox.finding import OWN_COLLECTIONS, Query
from uploader.sandbox.institutions import OWN
from uploader.sandbox.items import relations
from uploader.sandbox.items.publish_routes import doi_of
from uploader.sandbox.listing import Order, Slice, order_of
from uploader.sandbox.paging import rows_of
from uploader.sandbox.people import authors
from uploader.sandbox.people.impersonation import account_of
from uploader.sandbox.routes import Route

COLLECTION = item_routes.COLLECTION
SEARCH_SORT_FIELDS = ("created_date", "published_date", "modified_date", "views", "shares", "cites")
_SORT_FIELDS = ("published_date", "modified_date", "views", "shares", "cites")


def routes() -> list[Route]:
    """Return this module's routes."""
    return [
        Route("list-collections", "GET", "/v2/account/collections", list_collections),
        Route("create-collection", "POST", "/v2/account/collections", create_collection),
        Route("search-collections", "POST", "/v2/account/collections/search", search_collections),
        Route("get-collection", "GET", COLLECTION, get_collection),
        Route("update-collection", "PUT", COLLECTION, update_collection),
        Route("update-collection", "PATCH", COLLECTION, update_collection),
        Route("delete-collection", "DELETE", COLLECTION, delete_collection),
        Route("reserve-collection-doi", "POST", f"{COLLECTION}/reserve_doi", reserve_doi),
        Route("publish-collection", "POST", f"{COLLECTION}/publish", publish_collection),
    ]


def institution_id(context: Context) -> int:
    """Return the institution of the accounts here, 0 for none."""
    return OWN.id if context.settings.institution else 0


async def list_collections(request: web.Request) -> web.Response:
    order, rows = order_of(request.query, _SORT_FIELDS), rows_of(request)
    return await _own(request, {}, rows, order, search=False)


async def search_collections(request: web.Request) -> web.Response:
    body = await search_of(request)
    with invalid_is_bad_request():
        criteria, rows, order = finding.in_search(request, body, SEARCH_SORT_FIELDS)
    return await _own(request, criteria, rows, order, search=True)


async def create_collection(request: web.Request) -> web.Response:
    context = context_of(request)
    changes = await _read(request, creating=True)
    collection_id = await context.db.run(_create, changes, account_of(request), context.now())
    location = context.addresses(request).collection(collection_id)
    return located(location, 201, {"entity_id": collection_id, "location": location, "warnings": []})


async def get_collection(request: web.Request) -> web.Response:
    context = context_of(request)
    number, account_id = item_routes.collection_id_of(request), account_of(request)
    return json_answer(await context.db.run(_read_full, number, account_id, context, context.addresses(request)))


async def update_collection(request: web.Request) -> web.Response:
    """Serve PUT and PATCH: both keep the fields that the body does not name."""
    context = context_of(request)
    changes = await _read(request, creating=False)
    number = item_routes.collection_id_of(request)
    await context.db.run(_update, number, account_of(request), changes, context.now())
    location = context.addresses(request).collection(number)
    return located(location, 205, {"location": location, "warnings": []})


async def delete_collection(request: web.Request) -> web.Response:
    await context_of(request).db.run(_delete, item_routes.collection_id_of(request), account_of(request))
    return no_content()


async def reserve_doi(request: web.Request) -> web.Response:
    context = context_of(request)
    await optional_body_of(request)
    number = item_routes.collection_id_of(request)
    return json_answer({"doi": await context.db.run(_reserve, number, account_of(request), context.now())})


async def publish_collection(request: web.Request) -> web.Response:
    context = context_of(request)
    await optional_body_of(request)
    number = item_routes.collection_id_of(request)
    await context.db.run(_publish, number, account_of(request), context.now() + context.settings.public_delay)
    return located(view.public_url(number, context.addresses(request)), 201)


async def _read(request: web.Request, *, creating: bool) -> body.CollectionChanges:
    """Return the body of a create or an update. ApiError 400, and 403 or 404 for a group."""
    with invalid_is_bad_request():
        changes = body.read(await body_of(request), creating=creating)
    if changes.fields.get("group_id"):
        if not context_of(request).settings.institution:
            raise forbidden()
        if changes.fields["group_id"] not in OWN.groups:
            raise not_found("Group")
    return changes


async def _own(
    request: web.Request, criteria: dict[str, Any], rows: Slice, order: Order, *, search: bool
) -> web.Response:
    """Return the rows of matching collections of the account."""
    context = context_of(request)
    query = Query(
        source=OWN_COLLECTIONS, criteria=criteria, order=order, rows=rows, now=context.now(),
        account_id=account_of(request), search=search,
    )  # fmt: skip
    found = await context.db.run(finding.records, query, context, store.find)
    at = context.addresses(request)
    return json_answer([view.row(one, at.collection(one.id)) for one in found])


def _create(db: sqlite3.Connection, changes: body.CollectionChanges, account_id: int, now: float) -> int:
    number = store.create(db, account_id, store.EMPTY | _resolved(db, changes, account_id), now)
    item_routes.add(db, number, account_id, changes.items or [])
    return number


def _update(db: sqlite3.Connection, number: int, account_id: int, changes: body.CollectionChanges, now: float) -> None:
    store.update(db, store.get(db, number, account_id), _resolved(db, changes, account_id), now)
    if changes.items is not None:
        store.clear_items(db, number)
        item_routes.add(db, number, account_id, changes.items)


def _resolved(db: sqlite3.Connection, changes: body.CollectionChanges, account_id: int) -> dict[str, Any]:
    """Return the fields as they are stored."""
    fields = dict(changes.fields)
    if changes.authors is not None:
        fields["authors"] = authors.resolve(db, changes.authors)
    if "funding_list" in fields:
        fields["funding_list"] = relations.fundings(db, fields["funding_list"])
    if "related_materials" in fields:
        fields["related_materials"] = relations.materials(db, fields["related_materials"], account_id)
    return fields


def _read_full(db: sqlite3.Connection, number: int, account_id: int, context: Context, at: Addresses) -> dict[str, Any]:
    collection = store.get(db, number, account_id)
    people = [authors.shown(author) for author in authors.get_many(db, collection.metadata["authors"])]
    return view.full(collection, people, store.count(db, number), institution_id(context), at)


def _delete(db: sqlite3.Connection, number: int, account_id: int) -> None:
    if store.get(db, number, account_id).version:
        raise forbidden()
    store.delete(db, number)


def _reserve(db: sqlite3.Connection, number: int, account_id: int, now: float) -> str:
    """Return the collection's DOI; it is created once."""
    collection = store.get(db, number, account_id)
    doi = str(collection.metadata["doi"] or doi_of("c.", number))
    store.update(db, collection, {"doi": doi}, now)
    return doi


def _publish(db: sqlite3.Connection, number: int, account_id: int, visible: float) -> None:
    collection = store.get(db, number, account_id)
    people = [authors.shown(author) for author in authors.get_many(db, collection.metadata["authors"])]
    if not people:
        raise ApiError(428, "MissingMandatoryFieldException", "Collection has no associated authors", {})
    metadata = {**collection.metadata, "doi": collection.metadata["doi"] or doi_of("c.", number)}
    store.publish(db, collection, metadata, people, visible)
