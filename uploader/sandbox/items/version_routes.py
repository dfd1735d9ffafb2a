"""The owner's view of a published version, changes of a version's fields, and unpublishing."""

from __future__ import annotations

import sqlite3
from typing import Any

from aiohttp import web

from uploader.sandbox import checks
from uploader.sandbox.addresses import Addresses
from uploader.sandbox.answers import (
    ApiError,
    forbidden,
    invalid,
    invalid_is_bad_request,
    json_answer,
    located,
    no_content,
)
from uploader.sandbox.bodies import body_of
from uploader.sandbox.context import Context, context_of
from uploader.sandbox.items import item_custom_fields, public_view, store, versions
from uploader.sandbox.items.routes import ITEM
from uploader.sandbox.items.store import Item
from uploader.sandbox.items.versions import Version
from uploader.sandbox.people.impersonation import account_of, reader_of
from uploader.sandbox.request_log import item_id_of
from uploader.sandbox.routes import Route

_VERSION = ITEM + r"/versions/{version:\d{1,9}}"


def routes() -> list[Route]:
    """Return this module's routes."""
    return [
        Route("get-own-version", "GET", _VERSION, read),
        Route("update-version", "PUT", _VERSION, update),
        Route("update-version", "PATCH", _VERSION, update),
        Route("unpublish-item", "POST", f"{ITEM}/unpublish", unpublish),
    ]


async def read(request: web.Request) -> web.Response:
    """Serve a version with the fields of a private item. Undocumented, and used by clients of the real service."""
    context = context_of(request)
    at = context.addresses(request)
    return json_answer(await context.db.run(_whole, request, reader_of(request, context), context, at))


async def update(request: web.Request) -> web.Response:
    """Accept the two fields that can be set for a version; as in the real service, no response shows them."""
    context = context_of(request)
    body = await body_of(request)
    checks.checked(body, {"supplementary_fields": checks.objects, "internal_metadata": _mapping})
    item_id = item_id_of(request)
    version = (await context.db.run(_found, request, account_of(request)))[1]
    location = f"{context.addresses(request).item(item_id)}/versions/{version.number}"
    return located(location, 205, {"location": location, "warnings": []})


async def unpublish(request: web.Request) -> web.Response:
    """Unpublish an item. ApiError 403 outside an institution, as observed."""
    context = context_of(request)
    with invalid_is_bad_request():
        body = await body_of(request)
        if body.get("reason") is None:
            raise invalid("Missing mandatory field - reason", "reason")
        checks.text(5, 500)("reason", body["reason"])
    await context.db.run(_unpublish, item_id_of(request), account_of(request), context)
    return no_content()


def _mapping(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise invalid(f"{name} must be an object", name)
    return value


def _found(db: sqlite3.Connection, request: web.Request, account_id: int | None) -> tuple[Item, Version]:
    """Return the item and the version that a request names. ApiError 404."""
    item = store.get(db, item_id_of(request), account_id)
    version = versions.get(db, item.id, int(request.match_info["version"]))
    if version is None:
        raise ApiError(404, "EntityNotFound", "Entity not found: ArticleVersion")
    return item, version


def _whole(
    db: sqlite3.Connection, request: web.Request, account_id: int | None, context: Context, at: Addresses
) -> dict[str, Any]:
    item, version = _found(db, request, account_id)
    files = versions.files(db, version, None)
    custom = item_custom_fields.for_item(db, context, public_view.as_published(item, version))
    shown = public_view.complete(item, version, files, custom, at, context.now(), context.settings.item_files)
    return {
        "curation_status": None,
        "group_resource_id": None,
        "account_id": item.account_id,
        **shown,
        "url": f"{at.item(item.id)}/versions/{version.number}",
    }


def _unpublish(db: sqlite3.Connection, item_id: int, account_id: int, context: Context) -> None:
    item = store.get(db, item_id, account_id)
    if not context.settings.institution:
        raise forbidden()
    if not item.is_public(context.now()):
        raise ApiError(400, "BadRequest", "The item is not public")
    versions.withdraw(db, item_id)
