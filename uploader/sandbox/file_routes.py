"""The operations on files: list, initiate, read, complete, delete."""

from __future__ import annotations

import errno
import sqlite3
import uuid
from typing import Any

from aiohttp import web

from uploader.sandbox import file_view, files_db
from uploader.sandbox.answers import ACCEPTED_HTML, ApiError, invalid, json_answer, located, no_content, not_found
from uploader.sandbox.bodies import body_of, optional_body_of
from uploader.sandbox.context import Context, context_of
from uploader.sandbox.file_body import read_initiate
from uploader.sandbox.files_db import File, NewFile
from uploader.sandbox.items import store
from uploader.sandbox.items.routes import ITEM
from uploader.sandbox.listing import slice_of
from uploader.sandbox.parts import Span, TooManyParts, split
from uploader.sandbox.people import accounts
from uploader.sandbox.people.impersonation import account_of
from uploader.sandbox.request_log import ENTRY, file_id_of, item_id_of
from uploader.sandbox.routes import Route

FILE = ITEM + r"/files/{file_id:\d{1,18}}"

MAX_PARTS = 1_000_000
"""Files with more parts are rejected: a part plan of a few bytes is for small files."""


def routes() -> list[Route]:
    """Return this module's routes."""
    return [
        Route("list-files", "GET", f"{ITEM}/files", list_files),
        Route("initiate", "POST", f"{ITEM}/files", initiate),
        Route("get-file", "GET", FILE, get_file),
        Route("complete", "POST", FILE, complete),
        Route("delete-file", "DELETE", FILE, delete_file),
    ]


async def list_files(request: web.Request) -> web.Response:
    context = context_of(request)
    item_id, account_id = item_id_of(request), account_of(request)
    rows = slice_of(request.query)
    now, at, delays = context.now(), context.addresses(request), context.settings.delays

    def listing(db: sqlite3.Connection) -> list[dict[str, Any]]:
        store.owned(db, item_id, account_id)
        files = files_db.page(db, item_id, now, rows.limit, rows.offset)
        return [file_view.file_object(file, at, now, delays) for file in files]

    return json_answer(await context.db.run(listing))


async def initiate(request: web.Request) -> web.Response:
    context = context_of(request)
    item_id = item_id_of(request)
    settings = context.settings
    wanted = read_initiate(
        await body_of(request),
        empty_accepted=settings.empty_files == "accept",
        md5_required=settings.md5 == "require",
    )
    spans, blob = await _prepare(context, wanted.size)
    now = context.now()
    folder, name = wanted.folder_path, wanted.name
    if folder.strip("/") and settings.folders == "names":
        folder, name = "", f"{folder.strip('/')}/{name}"
    new = NewFile(
        item_id=item_id,
        name=name,
        size=wanted.size,
        supplied_md5=wanted.md5,
        folder_path=folder,
        link=wanted.link,
        token=str(uuid.uuid4()),
        blob=blob,
        created=now,
        hidden_until=now + settings.hidden_for,
        hidden_gets=settings.hidden_gets,
        parts=spans,
    )
    try:
        file_id = await context.db.run(_store, new, account_of(request), context)
    except ApiError:
        await context.on_disk(context.blobs.remove, [new.blob] if new.blob else [])
        raise
    request[ENTRY].file_id = file_id
    return located(context.addresses(request).file(item_id, file_id), 201)


async def get_file(request: web.Request) -> web.Response:
    context = context_of(request)
    item_id, file_id = item_id_of(request), file_id_of(request)
    now = context.now()
    file = await context.db.run(_read_file, item_id, file_id, account_of(request), now)
    if file is None:
        raise not_found("File")
    return json_answer(file_view.file_object(file, context.addresses(request), now, context.settings.delays))


async def complete(request: web.Request) -> web.Response:
    """Respond 202 with HTML. Idempotent on a completed file; a linked file has no upload to complete."""
    context = context_of(request)
    item_id, file_id = item_id_of(request), file_id_of(request)
    await optional_body_of(request)
    file = await context.db.run(_complete, item_id, file_id, account_of(request), context)
    if file is not None:
        context.hasher.start(file)
    return web.Response(
        status=202,
        text=ACCEPTED_HTML,
        content_type="text/html",
        charset="UTF-8",
        headers={"Location": context.addresses(request).file(item_id, file_id)},
    )


async def delete_file(request: web.Request) -> web.Response:
    context = context_of(request)
    item_id, file_id = item_id_of(request), file_id_of(request)
    file = await context.db.run(_delete, item_id, file_id, account_of(request), context.now())
    context.locks.forget(file.token)
    # Files of a public version are kept.
    if file.blob is not None and not file.attached:
        await context.on_disk(context.blobs.remove, [file.blob])
    return no_content()


async def _prepare(context: Context, size: int) -> tuple[list[Span], str | None]:
    """Return the parts of a new file and the name of its bytes, None without any. ApiError if too large."""
    settings = context.settings
    if settings.max_file_size and size > settings.max_file_size:
        raise ApiError(settings.quota_status, "FileTooLarge", "The file is larger than the maximum file size")

    def create_plan() -> tuple[list[Span], str | None]:
        spans = split(size, settings.part_plan, maximum=MAX_PARTS)
        return spans, context.blobs.create(size) if spans else None

    try:
        return await context.on_disk(create_plan)
    except TooManyParts as error:
        raise invalid(f"The file would have {error}", "size") from error
    except OSError as error:
        if error.errno in {errno.EFBIG, errno.EINVAL}:
            raise invalid("The sandbox's file system does not support files of this size", "size") from error
        raise


def _store(db: sqlite3.Connection, new: NewFile, account_id: int, context: Context) -> int:
    """Store a new file; in one transaction with the quota check, so that two requests cannot both use the rest."""
    item, account = store.get(db, new.item_id, account_id), accounts.get(db, account_id)
    if account is None:
        raise not_found("Article")
    settings = context.settings
    if settings.mixed_links == "refuse" and (item.uploaded if new.link is not None else item.linked):
        raise invalid("An item holds either one linked file or uploaded files", "link")
    quota, used = account.limit(context), account.used(context)
    if new.size > quota - used:
        raise ApiError(
            settings.quota_status,
            "QuotaExceeded",
            "The account has not enough free space for this file",
            {"quota": quota, "used_quota": used, "size": new.size},
        )
    store.touch(db, new.item_id, new.created)
    return files_db.create(db, new)


def _read_file(db: sqlite3.Connection, item_id: int, file_id: int, account_id: int, now: float) -> File | None:
    """Return a file for a GET; None while it is invisible, which is counted. ApiError 404."""
    store.owned(db, item_id, account_id)
    return files_db.read_visible(db, item_id, file_id, now)


def _complete(db: sqlite3.Connection, item_id: int, file_id: int, account_id: int, context: Context) -> File | None:
    """Record the completion; None if there is nothing to hash (parts missing, which the settings accept)."""
    now = context.now()
    file = _seen(db, item_id, file_id, account_id, now)
    if file.link is not None:
        raise ApiError(400, "BadRequest", "A linked file has no upload")
    if file.aborted:
        raise ApiError(400, "BadRequest", "The upload was aborted")
    missing = files_db.missing_parts(db, file_id)
    if missing:
        if context.settings.incomplete == "accept":
            return None
        raise ApiError(400, "BadRequest", f"The upload is not finished: {missing} parts are missing")
    files_db.complete(db, file_id, now)
    store.touch(db, item_id, now)
    done = _seen(db, item_id, file_id, account_id, now)
    return done if done.hashed is None else None


def _delete(db: sqlite3.Connection, item_id: int, file_id: int, account_id: int, now: float) -> File:
    file = _seen(db, item_id, file_id, account_id, now)
    files_db.delete(db, file_id)
    store.touch(db, item_id, now)
    return file


def _seen(db: sqlite3.Connection, item_id: int, file_id: int, account_id: int, now: float) -> File:
    """Return a file that is not hidden; ApiError 404."""
    store.owned(db, item_id, account_id)
    file = files_db.get(db, item_id, file_id)
    if file is None or file.hidden_until > now or file.hidden_gets:
        raise not_found("File")
    return file
