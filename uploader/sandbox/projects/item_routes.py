"""The items in a project: list, create, read, delete, and their files; and those of a published project."""

from __future__ import annotations

import sqlite3
from typing import Any

from aiohttp import web

from uploader.sandbox import file_view, files_db
from uploader.sandbox import projects_db as store
from uploader.sandbox.answers import json_answer, located, no_content, not_found
from uploader.sandbox.context import Context, context_of
from uploader.sandbox.files_db import File
from uploader.sandbox.items import body, public_view, versions, view
from uploader.sandbox.items import routes as item_routes
from uploader.sandbox.items import store as items
from uploader.sandbox.items.store import Item
from uploader.sandbox.listing import Slice, slice_of
from uploader.sandbox.people.impersonation import account_of
from uploader.sandbox.projects.routes import PROJECT, project_id_of
from uploader.sandbox.request_log import ENTRY, item_id_of
from uploader.sandbox.routes import Route

_ITEM = PROJECT + r"/articles/{item_id:\d{1,18}}"


def routes() -> list[Route]:
    """Return this module's routes."""
    return [
        Route("list-project-items", "GET", f"{PROJECT}/articles", list_items),
        Route("create-project-item", "POST", f"{PROJECT}/articles", create_item),
        Route("get-project-item", "GET", _ITEM, get_item),
        Route("delete-project-item", "DELETE", _ITEM, delete_item),
        Route("list-project-files", "GET", f"{_ITEM}/files", list_files),
        Route("get-project-file", "GET", _ITEM + r"/files/{file_id:\d{1,18}}", get_file),
        Route(
            "list-public-project-items", "GET", r"/v2/projects/{project_id:\d{1,18}}/articles", list_public,
            public=True,
        ),
    ]  # fmt: skip


async def list_items(request: web.Request) -> web.Response:
    context = context_of(request)
    rows = slice_of(request.query)

    def page(db: sqlite3.Connection) -> list[Item]:
        project = store.get(db, project_id_of(request), account_of(request))
        return items.page(db, None, rows.limit, rows.offset, project.id)

    found = await context.db.run(page)
    at, now = context.addresses(request), context.now()
    number = project_id_of(request)
    return json_answer([{**view.row(item, at, now), "url": at.project_item(number, item.id)} for item in found])


async def create_item(request: web.Request) -> web.Response:
    """Create an item. The response has only the location: the documentation promises no entity_id here."""
    context = context_of(request)
    changes = await item_routes.read_item(request, creating=True)
    project_id = project_id_of(request)
    item = await context.db.run(_create, changes, account_of(request), project_id, context)
    request[ENTRY].item_id = item.id
    return located(context.addresses(request).project_item(project_id, item.id), 201)


async def get_item(request: web.Request) -> web.Response:
    """Serve an item whose `url` is the requested one (observed); other URLs are unchanged."""
    context = context_of(request)
    at = context.addresses(request)

    def whole(db: sqlite3.Connection) -> dict[str, Any]:
        item = _inside(db, request)
        shown = item_routes.read_whole(db, item.id, item.account_id, context, at)
        return {**shown, "url": at.project_item(project_id_of(request), item.id)}

    return json_answer(await context.db.run(whole))


async def delete_item(request: web.Request) -> web.Response:
    context = context_of(request)

    def delete(db: sqlite3.Connection) -> tuple[list[str], list[str]]:
        item = _inside(db, request)
        return item_routes.delete(db, item.id, item.account_id)

    await item_routes.forget(context, *await context.db.run(delete))
    return no_content()


async def list_files(request: web.Request) -> web.Response:
    context = context_of(request)
    rows = slice_of(request.query)
    now, at, delays = context.now(), context.addresses(request), context.settings.delays

    def listing(db: sqlite3.Connection) -> list[dict[str, Any]]:
        files = files_db.page(db, _inside(db, request).id, now, rows.limit, rows.offset)
        return [file_view.file_object(file, at, now, delays) for file in files]

    return json_answer(await context.db.run(listing))


async def get_file(request: web.Request) -> web.Response:
    context = context_of(request)
    now = context.now()
    file_id = int(request.match_info["file_id"])

    def find(db: sqlite3.Connection) -> File | None:
        return files_db.read_visible(db, _inside(db, request).id, file_id, now)

    file = await context.db.run(find)
    if file is None:
        raise not_found("File")
    return json_answer(file_view.file_object(file, context.addresses(request), now, context.settings.delays))


async def list_public(request: web.Request) -> web.Response:
    context = context_of(request)
    at, now = context.addresses(request), context.now()
    return json_answer(
        await context.db.run(
            lambda db: [public_view.row(item, version, at, now) for item, version in _public(db, request, now)]
        )
    )


def _inside(db: sqlite3.Connection, request: web.Request) -> Item:
    """Return the item and project that the path names. ApiError 404."""
    project = store.get(db, project_id_of(request), account_of(request))
    item = items.get(db, item_id_of(request), account_of(request))
    if item.project_id != project.id:
        raise not_found("Article")
    return item


def _create(
    db: sqlite3.Connection, changes: body.ItemChanges, account_id: int, project_id: int, context: Context
) -> Item:
    return item_routes.create(db, changes, account_id, context, store.get(db, project_id, account_id).id)


def _public(db: sqlite3.Connection, request: web.Request, now: float) -> list[tuple[Item, versions.Version]]:
    project = store.find(db, project_id_of(request))
    if project is None or project.published is None or project.published > now:
        raise not_found("Project")
    rows: Slice = slice_of(request.query)
    found = items.page(db, None, rows.limit, rows.offset, project.id)
    shown = [(item, versions.latest(db, item.id, now)) for item in found]
    return [(item, version) for item, version in shown if version is not None]
