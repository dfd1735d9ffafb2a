"""The operations on items themselves: list, create, read, update, delete."""

from __future__ import annotations

import dataclasses
import sqlite3
from typing import Any

from aiohttp import web

from uploader.sandbox import custom_fields, file_view, files_db
from uploader.sandbox.addresses import Addresses
from uploader.sandbox.answers import encoded, forbidden, json_answer, located, no_content, not_found
from uploader.sandbox.bodies import body_of
from uploader.sandbox.context import Context, context_of
from uploader.sandbox.institutions import OWN
from uploader.sandbox.items import body, item_custom_fields, relations, reviews_db, store, versions, view
from uploader.sandbox.listing import slice_of
from uploader.sandbox.people import authors
from uploader.sandbox.people.impersonation import account_of, reader_of
from uploader.sandbox.request_log import ENTRY, item_id_of
from uploader.sandbox.routes import Route

ITEM = r"/v2/account/articles/{item_id:\d{1,18}}"


def routes() -> list[Route]:
    """Return this module's routes."""
    return [
        Route("list-items", "GET", "/v2/account/articles", list_items),
        Route("create-item", "POST", "/v2/account/articles", create_item),
        Route("get-item", "GET", ITEM, get_item),
        Route("update-item", "PUT", ITEM, update_item),
        Route("update-item", "PATCH", ITEM, update_item),
        Route("delete-item", "DELETE", ITEM, delete_item),
    ]


async def list_items(request: web.Request) -> web.Response:
    context = context_of(request)
    rows = slice_of(request.query)
    items = await context.db.run(store.page, account_of(request), rows.limit, rows.offset)
    at, now = context.addresses(request), context.now()
    return json_answer([view.row(item, at, now) for item in items])


async def create_item(request: web.Request) -> web.Response:
    context = context_of(request)
    changes = await read_item(request, creating=True)
    item = await context.db.run(create, changes, account_of(request), context)
    request[ENTRY].item_id = item.id
    location = context.addresses(request).item(item.id)
    return located(location, 201, {"entity_id": item.id, "location": location, "warnings": []})


async def get_item(request: web.Request) -> web.Response:
    context = context_of(request)
    item_id, reader, at = item_id_of(request), reader_of(request, context), context.addresses(request)

    def answer(db: sqlite3.Connection) -> bytes:
        # An item may have very many files: encode them in the database thread, off the event loop.
        return encoded(read_whole(db, item_id, reader, context, at))

    return web.Response(body=await context.db.run(answer), content_type="application/json")


async def update_item(request: web.Request) -> web.Response:
    """Serve PUT and PATCH: both keep the fields that the body does not name, unless PUT is set to wipe them."""
    context = context_of(request)
    item_id = item_id_of(request)
    changes = await read_item(request, creating=False)
    if request.method == "PUT" and context.settings.put == "wipe":
        changes = dataclasses.replace(changes, fields=body.WIPED | changes.fields)
    await context.db.run(_update, item_id, account_of(request), changes, context)
    location = context.addresses(request).item(item_id)
    return located(location, 205, {"location": location, "warnings": []})


async def delete_item(request: web.Request) -> web.Response:
    context = context_of(request)
    tokens, blobs = await context.db.run(delete, item_id_of(request), account_of(request))
    await forget(context, tokens, blobs)
    return no_content()


async def read_item(request: web.Request, *, creating: bool) -> body.ItemChanges:
    """Return the body of a create or an update. ApiError 403 or 404 also for a group that the account is not in."""
    institution = context_of(request).settings.institution
    changes = body.read(await body_of(request), creating=creating, institution=institution)
    if "group_id" in changes.fields:
        if not institution:
            raise forbidden()
        if changes.fields["group_id"] not in OWN.groups:
            raise not_found("Group")
    return changes


def create(
    db: sqlite3.Connection, changes: body.ItemChanges, account_id: int, context: Context, project_id: int | None = None
) -> store.Item:
    """Store a new item. The account's owner is always its first author. ApiError as for the fields."""
    metadata = body.EMPTY | changes.fields
    if context.settings.institution:
        metadata["group_id"] = item_custom_fields.group_of(db, metadata, account_id, project_id)
    custom_fields.check(
        metadata["custom_fields"], item_custom_fields.fields_of(db, context, metadata, account_id, project_id)
    )
    owner = authors.get_by_account(db, account_id)
    named = authors.resolve(db, changes.authors or [])
    fields = _resolved(db, changes.fields, account_id)
    fields["authors"] = [owner, *(one for one in named if one != owner)]
    return store.create(db, account_id, metadata | fields, context.now(), project_id)


def delete(db: sqlite3.Connection, item_id: int, account_id: int) -> tuple[list[str], list[str]]:
    """Remove an item that was never published; returns its uploads and the names of its bytes. ApiError 404, 403."""
    if store.get(db, item_id, account_id).version:
        raise forbidden()
    tokens, blobs = files_db.tokens(db, item_id), files_db.blobs(db, item_id)
    store.delete(db, item_id)
    return tokens, blobs


async def forget(context: Context, tokens: list[str], blobs: list[str]) -> None:
    """Release the locks and remove the bytes of deleted files."""
    for token in tokens:
        context.locks.forget(token)
    await context.on_disk(context.blobs.remove, blobs)


def read_whole(
    db: sqlite3.Connection, item_id: int, account_id: int | None, context: Context, at: Addresses
) -> dict[str, Any]:
    """Return the object of an account's item (None: of any). ApiError 404."""
    item = store.get(db, item_id, account_id)
    now, delays = context.now(), context.settings.delays
    files = files_db.page(db, item_id, now, context.settings.item_files)
    shown = versions.latest(db, item_id, now) if item.version else None
    contents = view.Contents(
        authors=[authors.shown(author) for author in authors.get_many(db, item.metadata["authors"])],
        custom_fields=item_custom_fields.for_item(db, context, item),
        files=[file_view.file_object(file, at, now, delays) for file in files],
        folders=files_db.folders(db, item_id, now),
        size=files_db.totals(db, item_id, now)[1],
        has_link=item.linked > 0,
        thumb=None if shown is None else shown.thumb,
    )
    return view.full(item, at, now, contents) | {"curation_status": reviews_db.status_of(db, item_id)}


def _update(db: sqlite3.Connection, item_id: int, account_id: int, changes: body.ItemChanges, context: Context) -> None:
    item = store.get(db, item_id, account_id)
    if "custom_fields" in changes.fields:
        metadata = item.metadata | changes.fields
        own = item_custom_fields.fields_of(db, context, metadata, account_id, item.project_id)
        custom_fields.check(metadata["custom_fields"], own)
    fields = _resolved(db, changes.fields, account_id)
    if changes.authors is not None:
        fields["authors"] = authors.resolve(db, changes.authors)
    store.update(db, item, fields, context.now())


def _resolved(db: sqlite3.Connection, fields: dict[str, Any], account_id: int) -> dict[str, Any]:
    """Return the fields with fundings and materials as they are stored."""
    resolved = dict(fields)
    if "funding_list" in fields:
        resolved["funding_list"] = relations.fundings(db, fields["funding_list"])
    if "related_materials" in fields:
        resolved["related_materials"] = relations.materials(db, fields["related_materials"], account_id)
    return resolved
