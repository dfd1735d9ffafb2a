"""The upload service: uploads and their parts. It requires no token, and its errors have no body."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from aiohttp import web

from uploader.sandbox import file_view, files_db, receive
from uploader.sandbox.answers import compact, empty
from uploader.sandbox.blobs import PartFile
from uploader.sandbox.connection import close, disconnected, wait
from uploader.sandbox.context import Context, context_of
from uploader.sandbox.fault_actions import TAMPER, tampered
from uploader.sandbox.files_db import File, Part
from uploader.sandbox.request_log import ENTRY, Entry
from uploader.sandbox.routes import Route

UPLOAD = "/upload/{token}"
PART = UPLOAD + r"/{number:\d{1,9}}"


def routes() -> list[Route]:
    """Return this module's routes."""
    return [
        Route("get-upload", "GET", UPLOAD, get_upload),
        Route("get-part", "GET", PART, get_part),
        Route("put-part", "PUT", PART, put_part),
        Route("delete-part", "DELETE", PART, delete_part),
    ]


@dataclass(frozen=True, slots=True)
class Target:
    """The part that a request names, and its upload."""

    file: File
    part: Part


async def get_upload(request: web.Request) -> web.Response:
    context = context_of(request)
    token = request.match_info["token"]
    now = context.now()
    locked = context.locks.of_upload(token)

    def answer(db: sqlite3.Connection) -> tuple[File, bytes] | None:
        file = files_db.by_token(db, token)
        if file is None:
            return None
        parts = files_db.parts(db, file.id)
        shown = file_view.upload_object(file, parts, locked, now, context.settings.delays)
        return file, compact(shown)

    found = await context.db.run(answer)
    if found is None:
        return empty(404)
    _note(request[ENTRY], found[0])
    return web.Response(body=found[1], content_type="application/json")


async def get_part(request: web.Request) -> web.Response:
    context = context_of(request)
    target = await _target(request, context)
    if target is None:
        return empty(404)
    shown = file_view.part_object(target.part, locked=context.locks.locked(_key(request)))
    return web.Response(body=compact(shown), content_type="application/json")


async def delete_part(request: web.Request) -> web.Response:
    context = context_of(request)
    key = _key(request)
    locked = context.locks.locked(key)
    mine = context.locks.acquire(key)
    try:
        target = await _target(request, context, locked=locked)
        if target is None:
            return empty(404)
        if not mine or not _open_for_parts(target):
            return empty(409)
        await context.db.run(files_db.reset_part, target.file.id, target.part.number)
    finally:
        if mine:
            context.locks.release(key)
    return empty(200)


async def put_part(request: web.Request) -> web.StreamResponse:
    context = context_of(request)
    key = _key(request)
    locked = context.locks.locked(key)
    # Lock before reading the state, or two requests could both see an unwritten part.
    if not context.locks.acquire(key):
        return empty(404 if await _target(request, context, locked=locked) is None else 409)
    linger = 0.0
    try:
        target = await _target(request, context, locked=locked)
        if target is None:
            return empty(404)
        if not _open_for_parts(target) or (target.part.complete and context.settings.reput == "refuse"):
            return empty(409)
        answer = await _receive(request, context, target)
        if answer is not None:
            return answer
        linger = context.settings.lock_linger
    finally:
        context.locks.release(key, linger)
    return close(request)


def _open_for_parts(target: Target) -> bool:
    return target.file.completed is None and not target.file.aborted


async def _receive(request: web.Request, context: Context, target: Target) -> web.Response | None:
    """Write the body to the part. None if the connection must be closed without a response."""
    record, file, part = request[ENTRY], target.file, target.part
    place = await _open(context, target)
    if place is None:
        return empty(404)
    receiver = receive.Receiver(place, part.length, context.disk)
    settings = context.settings
    try:
        body = receive.chunks(request.content, idle=settings.idle_timeout, rate=settings.connection_rate)
        if TAMPER in request:
            body = tampered(body, request[TAMPER], part.length)
        async for chunk in body:
            await receiver.take(chunk)
        if receiver.received < part.length:
            await _too_short(request, context)
            return None
        await receiver.finish()
    except receive.BodyBroken:
        record.outcome = "aborted"
        return None
    except receive.BodyStalled:
        record.outcome = "stalled"
        return None
    except receive.BodyTooLong:
        record.outcome = "too-long"
        return None
    finally:
        record.received = receiver.received
        await receiver.abandon()
        context.disk.submit(place.close)
    if not await context.db.run(files_db.finish_part, file.id, part.number):
        return empty(404)
    return web.Response(text="OK")


async def _open(context: Context, target: Target) -> PartFile | None:
    """Open the part's region; None if its upload was deleted meanwhile.

    The database records this before the first byte is written: a COMPLETE part becomes PENDING, and a
    region that may hold bytes is never taken for a hole.
    """
    file, part = target.file, target.part
    if file.blob is None:
        return None
    await context.db.run(files_db.open_part, file.id, part.number)
    try:
        return await context.on_disk(
            context.blobs.writer, file.blob, start=part.start, length=part.length, clean=not part.dirty
        )
    except FileNotFoundError:
        return None


async def _too_short(request: web.Request, context: Context) -> None:
    """Wait for the rest of the part, as the service does, before the connection is closed."""
    await wait(request, context.settings.short_body_timeout)
    request[ENTRY].outcome = "aborted" if disconnected(request) else "too-short"


def _key(request: web.Request) -> tuple[str, int]:
    return request.match_info["token"], int(request.match_info["number"])


async def _target(request: web.Request, context: Context, *, locked: bool | None = None) -> Target | None:
    """Return the part named in the path, or None; its state before the request is logged."""
    token, number = _key(request)

    def find(db: sqlite3.Connection) -> Target | None:
        file = files_db.by_token(db, token)
        part = None if file is None else files_db.part(db, file.id, number)
        return None if file is None or part is None else Target(file, part)

    record = request[ENTRY]
    record.part_no = number
    found = await context.db.run(find)
    if found is not None:
        _note(record, found.file)
        record.part_before = file_view.part_status(found.part)
        record.locked_before = context.locks.locked((token, number)) if locked is None else locked
    return found


def _note(record: Entry, file: File) -> None:
    record.item_id = file.item_id
    record.file_id = file.id
