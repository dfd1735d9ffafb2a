"""Public items: list, read, versions, files. No token is needed."""

from __future__ import annotations

import sqlite3
from typing import Any, NamedTuple

from aiohttp import web

from uploader.sandbox.answers import ApiError, json_answer, not_found
from uploader.sandbox.context import Context, context_of
from uploader.sandbox.items import embargo, item_custom_fields, public_view, store, versions
from uploader.sandbox.items.store import Item
from uploader.sandbox.items.versions import PublishedFile, Version
from uploader.sandbox.listing import Slice, slice_of
from uploader.sandbox.request_log import file_id_of, item_id_of
from uploader.sandbox.routes import Route

_ITEM = r"/v2/articles/{item_id:\d{1,18}}"
_VERSION = _ITEM + r"/versions/{version:\d{1,9}}"


class Found(NamedTuple):
    """A visible version and its item."""

    item: Item
    version: Version


def routes() -> list[Route]:
    """Return this module's routes."""
    return [
        Route("get-public-item", "GET", _ITEM, read, public=True),
        Route("list-versions", "GET", f"{_ITEM}/versions", list_versions, public=True),
        Route("get-version", "GET", _VERSION, read, public=True),
        Route("get-version-embargo", "GET", f"{_VERSION}/embargo", read_embargo, public=True),
        Route("get-version-confidentiality", "GET", f"{_VERSION}/confidentiality", read_confidentiality, public=True),
        Route("list-public-files", "GET", f"{_ITEM}/files", list_files, public=True),
        Route("list-version-files", "GET", f"{_VERSION}/files", list_files, public=True),
        Route("get-public-file", "GET", _ITEM + r"/files/{file_id:\d{1,18}}", read_file, public=True),
    ]


async def read(request: web.Request) -> web.Response:
    """Serve the latest version, or the one in the path."""
    context = context_of(request)
    at, now, most = context.addresses(request), context.now(), context.settings.item_files

    def answer(db: sqlite3.Connection) -> dict[str, Any]:
        item, version = _found(db, request, now)
        files = versions.files(db, version, None)
        custom = item_custom_fields.for_item(db, context, public_view.as_published(item, version))
        return public_view.complete(item, version, files, custom, at, now, most)

    return json_answer(await context.db.run(answer))


async def list_versions(request: web.Request) -> web.Response:
    context = context_of(request)
    item_id = item_id_of(request)
    found = await context.db.run(_versions, item_id, context.now())
    if found is None:
        raise not_found("Article")
    at = context.addresses(request)
    return json_answer([{"version": one.number, "url": at.public_item(item_id, one.number)} for one in found])


async def read_embargo(request: web.Request) -> web.Response:
    context = context_of(request)
    now = context.now()
    found = await context.db.run(_found, request, now)
    return json_answer(embargo.shown(found.item.metadata["embargo"], now))


async def read_confidentiality(request: web.Request) -> web.Response:
    context = context_of(request)
    now = context.now()
    found = await context.db.run(_found, request, now)
    return json_answer(embargo.confidentiality(found.item.metadata["embargo"], now))


async def list_files(request: web.Request) -> web.Response:
    """Serve the files; none under an embargo."""
    context = context_of(request)
    files = await context.db.run(_files, request, context, slice_of(request.query))
    at = context.addresses(request)
    return json_answer([public_view.file_object(file, at) for file in files])


async def read_file(request: web.Request) -> web.Response:
    context = context_of(request)
    file = await context.db.run(_file, request, context, file_id_of(request))
    return json_answer(public_view.file_object(file, context.addresses(request)))


def _found(db: sqlite3.Connection, request: web.Request, now: float) -> Found:
    """Return the version that a request names. ApiError 404 also for one that is not visible yet."""
    item_id = item_id_of(request)
    number = request.match_info.get("version")
    item = store.find(db, item_id)
    if item is None or not item.is_public(now):
        raise not_found("Article")
    version = versions.latest(db, item_id, now) if number is None else versions.get(db, item_id, int(number))
    if version is None or version.visible is None or version.visible > now:
        raise ApiError(404, "EntityNotFound", "Entity not found: ArticleVersion")
    return Found(item, version)


def _versions(db: sqlite3.Connection, item_id: int, now: float) -> list[Version] | None:
    """Return the visible versions: none for an unpublished item, None if there never were any."""
    item = store.find(db, item_id)
    return versions.all_of(db, item_id, now) if item is not None and item.appeared(now) else None


def downloadable(db: sqlite3.Connection, request: web.Request, now: float) -> list[PublishedFile]:
    """Return the public files of the version that a request names. ApiError 404."""
    item, version = _found(db, request, now)
    if embargo.is_active(item.metadata["embargo"], now) or item.metadata["download_disabled"]:
        return []
    return versions.files(db, version, None)


def _files(db: sqlite3.Connection, request: web.Request, context: Context, rows: Slice) -> list[PublishedFile]:
    now = context.now()
    item, version = _found(db, request, now)
    if embargo.is_active(item.metadata["embargo"], now):
        return []
    return versions.files(db, version, rows.limit, rows.offset)


def _file(db: sqlite3.Connection, request: web.Request, context: Context, file_id: int) -> PublishedFile:
    now = context.now()
    item, version = _found(db, request, now)
    file = versions.file(db, version, file_id)
    if file is None or embargo.is_active(item.metadata["embargo"], now):
        raise not_found("File")
    return file
