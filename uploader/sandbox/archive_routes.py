"""Downloads of all files of an item, or of one of its folders, as a zip archive created while it is sent."""

from __future__ import annotations

import sqlite3
import zipfile
from collections.abc import Generator
from pathlib import Path
from typing import NamedTuple

from aiohttp import web

from uploader.sandbox import file_status, files_db
from uploader.sandbox.answers import not_found
from uploader.sandbox.context import Context, context_of
from uploader.sandbox.items import public_routes, store
from uploader.sandbox.items.routes import ITEM
from uploader.sandbox.people.impersonation import account_of
from uploader.sandbox.request_log import item_id_of
from uploader.sandbox.routes import Route

_PUBLIC = r"/v2/articles/{item_id:\d{1,18}}"
_CHUNK = 256 * 1024


def routes() -> list[Route]:
    """Return this module's routes."""
    return [
        Route("download-item", "GET", f"{ITEM}/download", own),
        Route("download-public-item", "GET", f"{_PUBLIC}/download", public, public=True),
        Route("download-public-item", "GET", _PUBLIC + r"/versions/{version:\d{1,9}}/download", public, public=True),
    ]


class Member(NamedTuple):
    """A file of the archive. `blob` None: it is empty."""

    folder: str
    name: str
    blob: str | None


async def own(request: web.Request) -> web.StreamResponse:
    """Send the available files of an item of the account."""
    context = context_of(request)
    item_id = item_id_of(request)
    return await _send(request, await context.db.run(_own, item_id, account_of(request), context))


async def public(request: web.Request) -> web.StreamResponse:
    """Send the files of the latest version, or of the one in the path. ApiError 404 under an embargo."""
    context = context_of(request)
    return await _send(request, await context.db.run(_published, request, context))


def _own(db: sqlite3.Connection, item_id: int, account_id: int, context: Context) -> list[Member]:
    store.owned(db, item_id, account_id)
    now, delays = context.now(), context.settings.delays
    return [
        Member(file.folder_path, file.name, file.blob)
        for file in files_db.page(db, item_id, now, None)
        if file.link is None and file_status.status(file.progress, now, delays) == "available"
    ]


def _published(db: sqlite3.Connection, request: web.Request, context: Context) -> list[Member]:
    files = public_routes.downloadable(db, request, context.now())
    return [Member(file.folder_path, file.name, file.blob) for file in files if file.link is None]


async def _send(request: web.Request, members: list[Member]) -> web.StreamResponse:
    """Send the members within the `folder_path` of the query. ApiError 404 if there are none."""
    context = context_of(request)
    folder = request.query.get("folder_path", "").strip("/")
    chosen = [one for one in members if not folder or f"{one.folder}/".startswith(f"{folder}/")]
    if not chosen:
        raise not_found("File")
    response = web.StreamResponse(
        headers={
            "Content-Type": "application/zip",
            "Content-Disposition": f'attachment; filename="{request.match_info["item_id"]}.zip"',
        }
    )
    await response.prepare(request)
    archive = _archive([(_path(one), _place(context, one)) for one in chosen])
    try:
        while (data := await context.on_disk(next, archive, None)) is not None:
            await response.write(data)
    finally:
        await context.on_disk(archive.close)
    await response.write_eof()
    return response


def _path(one: Member) -> str:
    return f"{one.folder}/{one.name}" if one.folder else one.name


def _place(context: Context, one: Member) -> Path | None:
    return None if one.blob is None else context.blobs.path(one.blob)


class _Pipe:
    """File object for ZipFile that buffers the bytes until they are sent."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def write(self, data: bytes) -> int:
        self._buffer += data
        return len(data)

    def flush(self) -> None:
        """Do nothing: the bytes are read from the buffer."""

    def take(self) -> bytes:
        """Return the bytes written since the last call."""
        data = bytes(self._buffer)
        self._buffer.clear()
        return data


def _archive(files: list[tuple[str, Path | None]]) -> Generator[bytes, None, None]:
    """Return the archive in pieces; a second file of one name gets a number. Blocks on the disk."""
    pipe = _Pipe()
    taken: dict[str, int] = {}
    with zipfile.ZipFile(pipe, "w", allowZip64=True) as archive:  # type: ignore[call-overload]
        for name, place in files:
            taken[name] = taken.get(name, 0) + 1
            shown = name if taken[name] == 1 else f"{name} ({taken[name]})"
            with archive.open(zipfile.ZipInfo(shown), "w", force_zip64=True) as member:
                if place is None:
                    continue
                with place.open("rb") as file:
                    while data := file.read(_CHUNK):
                        member.write(data)
                        yield pipe.take()
    yield pipe.take()
