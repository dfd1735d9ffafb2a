"""Publication: publish, reserve a DOI, embargo, thumbnail of a version."""

from __future__ import annotations

import sqlite3
from typing import Any

from aiohttp import web

from uploader.sandbox import checks
from uploader.sandbox.answers import (
    ApiError,
    invalid,
    invalid_is_bad_request,
    json_answer,
    located,
    no_content,
    reset_content,
)
from uploader.sandbox.bodies import body_of, optional_body_of
from uploader.sandbox.context import Context, context_of
from uploader.sandbox.custom_fields import unfilled
from uploader.sandbox.items import embargo, item_custom_fields, reviews_db, store, versions
from uploader.sandbox.items.routes import ITEM
from uploader.sandbox.people import authors
from uploader.sandbox.people.impersonation import account_of
from uploader.sandbox.request_log import item_id_of
from uploader.sandbox.routes import Route

_MANDATORY = {
    "title": "title", "description": "description", "authors": "authors", "categories": "categories",
    "tags": "keywords", "defined_type": "defined_type", "license": "license",
}  # fmt: skip
"""Fields required for publication → their names in the error."""


def routes() -> list[Route]:
    """Return this module's routes."""
    return [
        Route("publish-item", "POST", f"{ITEM}/publish", publish),
        Route("reserve-item-doi", "POST", f"{ITEM}/reserve_doi", reserve_doi),
        Route("get-embargo", "GET", f"{ITEM}/embargo", get_embargo),
        Route("update-embargo", "PUT", f"{ITEM}/embargo", update_embargo),
        Route("delete-embargo", "DELETE", f"{ITEM}/embargo", delete_embargo),
        Route("get-confidentiality", "GET", f"{ITEM}/confidentiality", get_confidentiality),
        Route("update-confidentiality", "PUT", f"{ITEM}/confidentiality", update_confidentiality),
        Route("delete-confidentiality", "DELETE", f"{ITEM}/confidentiality", delete_embargo),
        Route("update-thumbnail", "PUT", ITEM + r"/versions/{version:\d{1,9}}/update_thumb", update_thumbnail),
    ]


def doi_of(kind: str, number: int) -> str:
    """Return the DOI of an item ("") or a collection ("c."), under the prefix that DataCite has for tests."""
    return f"10.5072/FK2.figshare.{kind}{number}"


async def publish(request: web.Request) -> web.Response:
    context = context_of(request)
    item_id = item_id_of(request)
    await optional_body_of(request)
    await context.db.run(_publish, item_id, account_of(request), context)
    return located(context.addresses(request).public_item(item_id), 201)


async def reserve_doi(request: web.Request) -> web.Response:
    context = context_of(request)
    await optional_body_of(request)
    doi = await context.db.run(_reserve, item_id_of(request), account_of(request), context.now())
    return json_answer({"doi": doi})


async def get_embargo(request: web.Request) -> web.Response:
    context = context_of(request)
    item = await context.db.run(store.get, item_id_of(request), account_of(request))
    return json_answer(embargo.shown(item.metadata["embargo"], context.now()))


async def update_embargo(request: web.Request) -> web.Response:
    context = context_of(request)
    item_id = item_id_of(request)
    with invalid_is_bad_request():
        wanted = embargo.read(await body_of(request), institution=context.settings.institution)
    await context.db.run(_embargo, item_id, account_of(request), wanted, context.now())
    return reset_content(f"{context.addresses(request).item(item_id)}/embargo")


async def delete_embargo(request: web.Request) -> web.Response:
    context = context_of(request)
    await context.db.run(_embargo, item_id_of(request), account_of(request), None, context.now())
    return no_content()


async def get_confidentiality(request: web.Request) -> web.Response:
    context = context_of(request)
    item = await context.db.run(store.get, item_id_of(request), account_of(request))
    return json_answer(embargo.confidentiality(item.metadata["embargo"], context.now()))


async def update_confidentiality(request: web.Request) -> web.Response:
    """Put the files under a permanent embargo, as this deprecated operation now does."""
    context = context_of(request)
    item_id = item_id_of(request)
    with invalid_is_bad_request():
        body = await body_of(request)
        if body.get("reason") is None:
            raise invalid("Missing mandatory field - reason", "reason")
        wanted = embargo.confidential(checks.text(0, 10000)("reason", body["reason"]))
    await context.db.run(_embargo, item_id, account_of(request), wanted, context.now())
    return reset_content(f"{context.addresses(request).item(item_id)}/confidentiality")


async def update_thumbnail(request: web.Request) -> web.Response:
    context = context_of(request)
    item_id, number = item_id_of(request), int(request.match_info["version"])
    body = await body_of(request)
    if body.get("file_id") is None:
        raise invalid("Missing mandatory field - file_id", "file_id")
    file_id = checks.integer("file_id", body["file_id"])
    await context.db.run(_thumbnail, item_id, account_of(request), number, file_id)
    return reset_content(context.addresses(request).public_item(item_id, number))


def _publish(db: sqlite3.Connection, item_id: int, account_id: int, context: Context) -> None:
    item = store.get(db, item_id, account_id)
    optional = {"categories"} if context.settings.uncategorized == "accept" else set()
    for field, name in _MANDATORY.items():
        if not item.metadata[field] and field not in optional:
            raise ApiError(400, "BadRequest", f"Missing mandatory field for publication - {name}")
    own = item_custom_fields.fields_of(db, context, item.metadata, account_id, item.project_id)
    for name in unfilled(item.metadata["custom_fields"], own):
        raise ApiError(400, "BadRequest", f"Missing mandatory value: {name}")
    unfinished = versions.unfinished(db, item_id)
    if unfinished:
        raise ApiError(400, "BadRequest", f"The item has {unfinished} files that are not uploaded and checked yet")
    now = context.now()
    if context.settings.institution and context.settings.review != "none":
        status = "pending" if context.settings.review == "pending" else "approved"
        reviews_db.request(db, item.id, item.version + 1, status, now)
        if status == "pending":
            return
    metadata: dict[str, Any] = {**item.metadata, "doi": item.metadata["doi"] or doi_of("", item_id)}
    people = [authors.shown(author) for author in authors.get_many(db, metadata["authors"])]
    visible = embargo.visible_from(metadata["embargo"], now + context.settings.public_delay)
    versions.publish(db, item, metadata, people, visible)


def _reserve(db: sqlite3.Connection, item_id: int, account_id: int, now: float) -> str:
    """Return the item's DOI; it is created once."""
    item = store.get(db, item_id, account_id)
    doi = str(item.metadata["doi"] or doi_of("", item_id))
    store.update(db, item, {"doi": doi}, now)
    return doi


def _embargo(db: sqlite3.Connection, item_id: int, account_id: int, wanted: dict[str, Any] | None, now: float) -> None:
    """Set or lift the embargo; published versions that wait for its end then wait for that of the new one."""
    item = store.get(db, item_id, account_id)
    store.update(db, item, {"embargo": wanted}, now)
    versions.reschedule(db, item_id, embargo.visible_from(wanted, now), now)


def _thumbnail(db: sqlite3.Connection, item_id: int, account_id: int, number: int, file_id: int) -> None:
    store.owned(db, item_id, account_id)
    version = versions.get(db, item_id, number)
    if version is None:
        raise ApiError(404, "EntityNotFound", "Entity not found: ArticleVersion")
    if versions.file(db, version, file_id) is None:
        raise invalid("The file is not in this version", "file_id")
    versions.set_thumb(db, version, file_id)
