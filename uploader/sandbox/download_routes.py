"""Downloads: for the owner, with a private link, and of published files for everyone."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from urllib.parse import quote

from aiohttp import web

from uploader.sandbox import file_status, file_view, files_db, links_db
from uploader.sandbox.answers import ApiError, not_found
from uploader.sandbox.context import Context, context_of
from uploader.sandbox.items import embargo, store, versions
from uploader.sandbox.middleware import allowed, matches
from uploader.sandbox.request_log import file_id_of
from uploader.sandbox.routes import Route

_FILE = r"/files/{file_id:\d{1,18}}"
_THUMB = _FILE + r"/preview/{again:\d{1,18}}/thumb.png"


def routes() -> list[Route]:
    """Return this module's routes."""
    return [
        Route("download", "GET", _FILE, download, public=True),
        Route("download", "GET", "/v2/file/download" + _FILE.removeprefix("/files"), redirect, public=True),
        Route("page", "GET", _THUMB, thumbnail, public=True),
    ]


@dataclass(frozen=True, kw_only=True, slots=True)
class Bytes:
    """A file to download. `blob` None: the file is empty or linked."""

    name: str
    link: str | None
    blob: str | None


async def download(request: web.Request) -> web.StreamResponse:
    """Return a file that is available, ranges included; the token in the header or as `token`."""
    context = context_of(request)
    file_id = file_id_of(request)
    known = _token_given(request, context)
    found = await context.db.run(_find, file_id, context, known=known, private=request.query.get("private_link"))
    if found is None and not known:
        raise ApiError(403, "Forbidden", "Invalid or missing token")
    if found is None:
        raise not_found("File")
    if found.link is not None:
        return web.Response(status=302, headers={"Location": found.link})
    headers = {
        "Content-Type": file_view.mimetype_of(found.name),
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(found.name, safe='')}",
        "X-Content-Type-Options": "nosniff",
    }
    if found.blob is None:
        return web.Response(headers=headers)
    return web.FileResponse(context.blobs.path(found.blob), headers=headers)


async def redirect(request: web.Request) -> web.Response:
    """Redirect to the bytes of a public file."""
    context = context_of(request)
    file_id = file_id_of(request)
    if await context.db.run(_published, file_id, context.now()) is None:
        raise not_found("File")
    return web.Response(status=302, headers={"Location": context.addresses(request).download(file_id)})


async def thumbnail(request: web.Request) -> web.StreamResponse:
    """Return a published thumbnail in its original size: nothing is scaled."""
    context = context_of(request)
    found = await context.db.run(_published, file_id_of(request), context.now())
    kind = "" if found is None else file_view.mimetype_of(found.name)
    if found is None or found.blob is None or kind not in {"image/png", "image/jpeg", "image/gif", "image/webp"}:
        raise not_found("Thumbnail")
    headers = {"Content-Type": kind, "X-Content-Type-Options": "nosniff"}
    return web.FileResponse(context.blobs.path(found.blob), headers=headers)


def _token_given(request: web.Request, context: Context) -> bool:
    revoked = context.effects.revoked
    return allowed(request, context, revoked=revoked) or matches(request.query.get("token"), context, revoked=revoked)


def _find(db: sqlite3.Connection, file_id: int, context: Context, *, known: bool, private: str | None) -> Bytes | None:
    """Return a file that may be downloaded; None if unknown or not permitted. `known`: a valid token was sent."""
    now = context.now()
    file = files_db.by_id(db, file_id)
    if file is not None and (known or _linked(db, file.item_id, private, now)):
        available = file_status.status(file.progress, now, context.settings.delays) == "available"
        return Bytes(name=file.name, link=file.link, blob=file.blob) if available else None
    return _published(db, file_id, now)


def _linked(db: sqlite3.Connection, item_id: int, private: str | None, now: float) -> bool:
    """Return whether this is the token of a private link to the item."""
    link = None if private is None else links_db.by_token(db, private, now)
    return link is not None and (link.kind, link.owner_id) == ("articles", item_id)


def _published(db: sqlite3.Connection, file_id: int, now: float) -> Bytes | None:
    """Return a downloadable file of a public version."""
    file = versions.visible_file(db, file_id, now)
    item = None if file is None else store.find(db, file.item_id)
    if file is None or item is None or embargo.is_active(item.metadata["embargo"], now):
        return None
    return None if item.metadata["download_disabled"] else Bytes(name=file.name, link=file.link, blob=file.blob)
