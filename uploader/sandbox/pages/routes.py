"""Serve the pages: the index of items and one page per item.

Everyone may read what is public; the rest needs the token, or the key that the API puts into the addresses of pages.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from aiohttp import web

from uploader.sandbox import file_status, files_db, links_db
from uploader.sandbox import projects_db as projects
from uploader.sandbox.addresses import Addresses
from uploader.sandbox.answers import ApiError, moment, not_found
from uploader.sandbox.collections import store as collections
from uploader.sandbox.context import Context, context_of
from uploader.sandbox.files_db import File
from uploader.sandbox.items import embargo, item_custom_fields, public_view, store, versions, view
from uploader.sandbox.items.store import Item
from uploader.sandbox.items.versions import PublishedFile, Version
from uploader.sandbox.middleware import may_see_all
from uploader.sandbox.pages import render
from uploader.sandbox.people import accounts, authors
from uploader.sandbox.routes import Route

ROWS = 250
"""Rows of a table on one page."""
_BUCKETS = 100
"""Maximum number of segments of a bar of parts."""

_KEY_NEEDED = ApiError(403, "Forbidden", "This page needs the key that is in the address which the API gives of it")

_SAFE = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; img-src 'self'; base-uri 'none'; form-action 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def routes() -> list[Route]:
    """Return this module's operations."""
    return [
        Route("page", "GET", "/", index, public=True),
        Route("page", "GET", r"/account/articles/{item_id:\d{1,18}}", item, public=True),
        Route("page", "GET", r"/s/{token:[0-9a-f]{1,100}}", private, public=True),
    ]


async def index(request: web.Request) -> web.Response:
    context = context_of(request)
    if not may_see_all(request, context):
        raise _KEY_NEEDED
    html = await context.db.run(_index, context, _number(request))
    return _html(html)


async def item(request: web.Request) -> web.Response:
    """Serve the item as its owner sees it, or its latest version for everyone."""
    context = context_of(request)
    make = _item if may_see_all(request, context) else _public_item
    number, at = int(request.match_info["item_id"]), context.addresses(request)
    return _html(await context.db.run(make, context, number, _number(request), at))


async def private(request: web.Request) -> web.Response:
    """Serve the item of a private link that has not expired."""
    context = context_of(request)
    link = await context.db.run(links_db.by_token, request.match_info["token"], context.now())
    if link is None or link.kind != "articles":
        raise not_found("Private link")
    make = _item if may_see_all(request, context) else _linked_item
    at = context.addresses(request)
    return _html(await context.db.run(make, context, link.owner_id, _number(request), at))


def _number(request: web.Request) -> int:
    text = request.query.get("page", "1")
    return max(1, int(text)) if text.isascii() and text.isdigit() and len(text) < 8 else 1


def _html(text: str) -> web.Response:
    return web.Response(text=text, content_type="text/html", charset="utf-8", headers=_SAFE)


def _index(db: sqlite3.Connection, context: Context, page: int) -> str:
    now = context.now()
    found = store.page(db, None, ROWS + 1, (page - 1) * ROWS)
    rows = [_row(db, one, now) for one in found[:ROWS]]
    account = accounts.get(db, accounts.OWNER_ID)
    usage = ""
    if account is not None:
        usage = f"{render.format_size(account.used(context))} of {render.format_size(account.limit(context))} used"
    paging = render.Paging(number=page, more=len(found) > ROWS, key=context.settings.page_key)
    return render.index(rows, paging, usage)


def _row(db: sqlite3.Connection, one: Item, now: float) -> render.ItemRow:
    count, size = files_db.totals(db, one.id, now)
    title, status = one.metadata["title"], "public" if one.is_public(now) else one.status
    return render.ItemRow(
        number=one.id, title=title, status=status, files=count, size=size, modified=_format_time(one.modified)
    )


def _format_time(time: float) -> str:
    return moment(time).replace("T", " ").replace("Z", " UTC")


def _item(db: sqlite3.Connection, context: Context, number: int, page: int, at: Addresses) -> str:
    """Render the item with everything that its owner may see."""
    shown = _private_page(db, context, number, page, at)
    contents = [collections.find(db, one) for one in collections.containing(db, number)]
    links = [
        (f"until {_format_time(link.expires)}", at.private(link.token))
        for link in links_db.list_of(db, "articles", number)
    ]
    return render.item(
        replace(
            shown,
            collections=[one.metadata["title"] for one in contents if one is not None],
            private_links=links,
            paging=replace(shown.paging, key=context.settings.page_key),
        )
    )


def _linked_item(db: sqlite3.Connection, context: Context, number: int, page: int, at: Addresses) -> str:
    """Render the item for the reader of a private link."""
    return render.item(_private_page(db, context, number, page, at))


def _private_page(db: sqlite3.Connection, context: Context, number: int, page: int, at: Addresses) -> render.ItemPage:
    found = store.find(db, number)
    if found is None:
        raise not_found("Article")
    now, delays = context.now(), context.settings.delays
    files = files_db.page(db, number, now, ROWS + 1, (page - 1) * ROWS)
    shown = files[:ROWS]
    project = None if found.project_id is None else projects.find(db, found.project_id)
    published = versions.all_of(db, found.id, now)
    return render.ItemPage(
        row=_row(db, found, now),
        item=_object(db, found, context, at),
        project=None if project is None else project.metadata["title"],
        versions=_links(published, at),
        pending=found.version - len(published),
        files=[_file(db, context, file, now) for file in shown],
        paging=render.Paging(number=page, more=len(files) > ROWS),
        refresh=any(file.link is None and not file_status.settled(file.progress, now, delays) for file in shown),
    )


def _public_item(db: sqlite3.Connection, context: Context, number: int, page: int, at: Addresses) -> str:
    """Render the latest version; an embargo hides its files. ApiError 403 also for an item that does not exist."""
    now, found = context.now(), store.find(db, number)
    version = versions.latest(db, number, now)
    if found is None or version is None or not found.is_public(now):
        raise _KEY_NEEDED
    item = public_view.as_published(found, version)
    hidden = embargo.is_active(item.metadata["embargo"], now)
    files = [] if hidden else versions.files(db, version, None)
    custom_fields = item_custom_fields.for_item(db, context, item)
    row = render.ItemRow(
        number=number,
        title=item.metadata["title"],
        status="public",
        files=len(files),
        size=version.size,
        modified=_format_time(item.modified),
    )
    return render.item(
        render.ItemPage(
            row=row,
            item=public_view.complete(item, version, files, custom_fields, at, now, 0),
            versions=_links(versions.all_of(db, number, now), at),
            files=[_published_file(file) for file in files[(page - 1) * ROWS : page * ROWS]],
            paging=render.Paging(number=page, more=len(files) > page * ROWS),
        )
    )


def _links(published: Sequence[Version], at: Addresses) -> list[render.Link]:
    return [(str(one.number), at.public_item(one.item_id, one.number)) for one in published]


def _published_file(file: PublishedFile) -> render.FileRow:
    return render.FileRow(
        name=file.name,
        folder=file.folder_path,
        size=file.size,
        status="available",
        md5=file.md5 or "",
        supplied=file.supplied_md5,
        link=file.link,
        bar=[render.Segment("complete", 1)] if file.link is None else [],
        note="",
    )


def _object(db: sqlite3.Connection, item: Item, context: Context, at: Addresses) -> dict[str, Any]:
    """Return the object that the API shows of the item, without its files."""
    now = context.now()
    version = versions.latest(db, item.id, now) if item.version else None
    contents = view.Contents(
        authors=[authors.shown(author) for author in authors.get_many(db, item.metadata["authors"])],
        custom_fields=item_custom_fields.for_item(db, context, item),
        files=[],
        folders={},
        size=0,
        has_link=item.linked > 0,
        thumb=None if version is None else version.thumb,
    )
    return view.full(item, at, now, contents)


def _file(db: sqlite3.Connection, context: Context, file: File, now: float) -> render.FileRow:
    delays = context.settings.delays
    status = file_status.status(file.progress, now, delays) if file.link is None else "available"
    bar: list[render.Segment] = []
    note = ""
    if file.aborted:
        status, note = "aborted", "the upload was aborted"
    elif file.completed is None:
        bar, note = _parts(db, context, file)
    elif file.link is None:
        bar = [render.Segment("complete", 1)]
    return render.FileRow(
        name=file.name,
        folder=file.folder_path,
        size=file.size,
        status=status,
        md5=file_status.computed_md5(file.progress, now, delays),
        supplied=file.supplied_md5,
        link=file.link,
        bar=bar,
        note=note,
    )


def _parts(db: sqlite3.Connection, context: Context, file: File) -> tuple[list[render.Segment], str]:
    buckets = files_db.progress(db, file.id, _BUCKETS)
    locked = sorted(context.locks.of_upload(file.token))
    complete, count = sum(one for one, _ in buckets), sum(both for _, both in buckets)
    note = f"{complete} of {count} part{'' if count == 1 else 's'}"
    if locked:
        note += f", {len(locked)} locked"
    return render.segments(buckets, locked), note
