"""The operations on items: list, create, read, update, delete."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from aiohttp import web

from uploader.sandbox import file_view, files_db, item_body, item_view, items_db
from uploader.sandbox.addresses import Addresses
from uploader.sandbox.answers import ApiError, json_answer, located, not_found
from uploader.sandbox.context import Context, context_of
from uploader.sandbox.paging import window
from uploader.sandbox.record import RECORD
from uploader.sandbox.routes import Route

ITEM = r"/v2/account/articles/{item_id:\d{1,18}}"


def routes() -> list[Route]:
    """This module's operations."""
    return [
        Route("list-items", "GET", "/v2/account/articles", list_items),
        Route("create-item", "POST", "/v2/account/articles", create_item),
        Route("get-item", "GET", ITEM, get_item),
        Route("update-item", "PUT", ITEM, update_item),
        Route("update-item", "PATCH", ITEM, update_item),
        Route("delete-item", "DELETE", ITEM, delete_item),
    ]


def item_id_of(request: web.Request) -> int:
    """The item named in the path; noted for the log."""
    item_id = int(request.match_info["item_id"])
    request[RECORD].item_id = item_id
    return item_id


async def body_of(request: web.Request) -> dict[str, Any]:
    """The JSON object in the body. ApiError 400 when it is no JSON, 422 when it is no object."""
    raw = await request.read()
    try:
        body = json.loads(raw.decode("utf-8"), parse_constant=_refuse)
        # A lone surrogate is JSON, but no text that can be stored.
        json.dumps(body, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError) as error:
        raise ApiError(400, "BadRequest", "The request body is not valid JSON") from error
    if not isinstance(body, dict):
        raise ApiError(422, "UnprocessableEntity", "The request body must be a JSON object")
    return body


def _refuse(constant: str) -> None:
    raise ValueError(constant)


async def list_items(request: web.Request) -> web.Response:
    context = context_of(request)
    rows = window(request.query)
    items = await context.db.run(items_db.page, rows.limit, rows.offset)
    at = context.addresses(request)
    return json_answer([item_view.row(item, at) for item in items])


async def create_item(request: web.Request) -> web.Response:
    context = context_of(request)
    changes = item_body.read(await body_of(request), creating=True)
    item = await context.db.run(_create, changes, context.now())
    request[RECORD].item_id = item.id
    location = context.addresses(request).item(item.id)
    return located(location, 201, {"entity_id": item.id, "location": location, "warnings": []})


async def get_item(request: web.Request) -> web.Response:
    context = context_of(request)
    item_id = item_id_of(request)
    body = await context.db.run(_full, item_id, context, context.addresses(request))
    if body is None:
        raise not_found("Article")
    return json_answer(body)


async def update_item(request: web.Request) -> web.Response:
    """PUT and PATCH: what is not named stays as it is, for both (what a PUT wipes is not known)."""
    context = context_of(request)
    item_id = item_id_of(request)
    changes = item_body.read(await body_of(request), creating=False)
    if await context.db.run(_update, item_id, changes, context.now()) is None:
        raise not_found("Article")
    location = context.addresses(request).item(item_id)
    return located(location, 205, {"location": location, "warnings": []})


async def delete_item(request: web.Request) -> web.Response:
    context = context_of(request)
    item_id = item_id_of(request)
    tokens, blobs = await context.db.run(_delete, item_id)
    for token in tokens:
        context.locks.forget(token)
    await context.on_disk(context.blobs.remove, blobs)
    return web.Response(status=204)


def _create(db: sqlite3.Connection, changes: item_body.ItemChanges, now: float) -> items_db.Item:
    owner = items_db.owner(db)
    named = _author_ids(db, changes.authors or [])
    # The token's owner is the first author, whoever else was named.
    authors = [owner, *(one for one in named if one != owner)]
    return items_db.create(db, item_body.EMPTY | changes.fields | {"authors": authors}, now)


def _update(db: sqlite3.Connection, item_id: int, changes: item_body.ItemChanges, now: float) -> items_db.Item | None:
    fields = dict(changes.fields)
    if changes.authors is not None:
        fields["authors"] = _author_ids(db, changes.authors)
    return items_db.update(db, item_id, fields, now)


def _author_ids(db: sqlite3.Connection, refs: list[item_body.AuthorRef]) -> list[int]:
    ids: list[int] = []
    for ref in refs:
        if ref.id is None:
            ids.append(items_db.add_author(db, ref.full_name, ref.first_name, ref.last_name, ref.orcid_id))
        elif items_db.authors(db, [ref.id]):
            ids.append(ref.id)
        else:
            raise ApiError(404, "EntityNotFound", f"Author {ref.id} not found")
    return ids


def _delete(db: sqlite3.Connection, item_id: int) -> tuple[list[str], list[str]]:
    tokens, blobs = files_db.tokens(db, item_id), files_db.blobs(db, item_id)
    if not items_db.delete(db, item_id):
        raise not_found("Article")
    return tokens, blobs


def _full(db: sqlite3.Connection, item_id: int, context: Context, at: Addresses) -> dict[str, Any] | None:
    item = items_db.get(db, item_id)
    if item is None:
        return None
    now, delays = context.now(), context.settings.delays
    files = files_db.page(db, item_id, now, context.settings.item_files)
    return item_view.full(
        item,
        at,
        authors=items_db.authors(db, item.metadata["authors"]),
        files=[file_view.file_object(file, at, now, delays) for file in files],
        folders={str(file.id): file.folder_path for file in files if file.folder_path},
        size=files_db.tally(db, item_id, now)[1],
        has_link=files_db.kinds(db, item_id)[0] > 0,
    )
