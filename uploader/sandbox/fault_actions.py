"""Carry out faults on requests: their effects on store, body, response and connection."""

from __future__ import annotations

import contextlib
import json
import math
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from email.utils import formatdate

import anyio
from aiohttp import web

from uploader.sandbox import files_db
from uploader.sandbox.answers import json_answer
from uploader.sandbox.connection import close, disconnected, reset, wait
from uploader.sandbox.context import Context, context_of
from uploader.sandbox.faults import Fault, Stage
from uploader.sandbox.items import versions
from uploader.sandbox.operations import READINGS
from uploader.sandbox.receive import BodyBroken
from uploader.sandbox.request_log import ENTRY

Proceed = Callable[[], Awaitable[web.StreamResponse]]
Action = Callable[[web.Request, Fault, Proceed], Awaitable[web.StreamResponse]]

TAMPER = web.RequestKey("tamper", Fault)
"""On a PUT of a part: the fault that alters its body before it is stored."""

_MAX_ANSWERS = 64
_PAGE = "<!DOCTYPE html>\n<html><head><title>{0}</title></head><body><h1>{0}</h1></body></html>\n"


async def apply_faults(
    request: web.Request, context: Context, faults: list[Fault], proceed: Proceed
) -> web.StreamResponse:
    """Serve a request with its faults; `proceed` serves it normally and raises nothing but cancellation."""
    record = request[ENTRY]
    if context.faults.may_cause("stale", record.kind):
        proceed = _remembered(request, context, proceed)
    if not faults:
        return await proceed()
    record.fault = ",".join(fault.name for fault in faults)
    for fault in faults:
        if fault.stage is Stage.STATE:
            await _change_state(request, context, fault)
    corrupted = [fault for fault in faults if fault.stage is Stage.ANSWER]
    answer = await (ACTIONS[corrupted[0].name](request, corrupted[0], proceed) if corrupted else proceed())
    hidden = next((fault for fault in faults if fault.name == "hide"), None)
    if hidden is not None and record.file_id is not None:
        await context.db.run(files_db.hide, record.file_id, context.now() + hidden.seconds)
    return answer


async def tampered(body: AsyncIterator[bytes], fault: Fault, length: int) -> AsyncIterator[bytes]:
    """Alter a part's body by a fault; `length` is the part's. Raises BodyBroken if the fault truncates it."""
    offset = 0
    boundary = fault.options.get("bytes", length // 2) if fault.name == "reset-mid-body" else None
    flip = fault.options.get("byte", 0) if fault.name == "flip-bit" else None
    async for chunk in body:
        if boundary is not None and offset + len(chunk) >= boundary:
            yield chunk[: boundary - offset]
            raise BodyBroken
        if flip is not None and offset <= flip < offset + len(chunk):
            at = flip - offset
            yield chunk[:at] + bytes([chunk[at] ^ 1]) + chunk[at + 1 :]
        else:
            yield chunk
        offset += len(chunk)
    if fault.name == "late":
        await anyio.sleep(fault.seconds)


async def _change_state(request: web.Request, context: Context, fault: Fault) -> None:
    effects = context.effects
    match fault.name:
        case "revoke-token":
            effects.revoked = True
        case "insert-record":
            await context.db.run(versions.publish_copy, context.now())
        case "remove-record":
            await context.db.run(versions.withdraw_newest, context.now())
        case "quota-full":
            effects.quota_full = True
        case "lock":
            context.locks.hold((request.match_info["token"], int(request.match_info["number"])), fault.seconds)
        case "wrong-md5" | "no-md5":
            effects.md5[int(request.match_info["file_id"])] = fault.name
        case "abort-upload" | "lose-upload":
            await context.db.run(_abort, request, lose=fault.name == "lose-upload")
        case _:
            pass


def _remembered(request: web.Request, context: Context, proceed: Proceed) -> Proceed:
    """Wrap `proceed` so that it also keeps its response for the fault "stale"."""

    async def keep() -> web.StreamResponse:
        answer = await proceed()
        if answer.status == 200 and request[ENTRY].kind in READINGS:
            answers = context.effects.answers
            answers.pop(request.path_qs, None)
            answers[request.path_qs] = context.now(), _bytes(answer)
            if len(answers) > _MAX_ANSWERS:
                del answers[next(iter(answers))]
        return answer

    return keep


def _abort(db: sqlite3.Connection, request: web.Request, *, lose: bool) -> None:
    """Abort the upload of a request."""
    token = request.match_info.get("token")
    if token is None:
        file = files_db.by_id(db, int(request.match_info["file_id"]))
        token = None if file is None else file.token
    if token is not None:
        files_db.abort(db, token, lose=lose)


async def _plain_status(__: web.Request, fault: Fault, ___: Proceed) -> web.StreamResponse:
    status = fault.options["code"]
    headers = {}
    after = fault.options.get("retry-after")
    if after is not None:
        kind, _, seconds = after.rpartition(":")
        # A date has whole seconds: round up, so that the wait is long enough.
        date = formatdate(math.ceil(time.time()) + int(seconds), usegmt=True)
        headers["Retry-After"] = date if kind else seconds
    form = fault.options.get("body", "json")
    if form == "empty":
        return web.Response(status=status, headers=headers)
    if form == "html":
        return web.Response(status=status, headers=headers, text=_PAGE.format(status), content_type="text/html")
    body = json.dumps({"message": f"Fault injected by the sandbox: status {status}", "code": str(status)})
    return web.Response(status=status, headers=headers, text=body, content_type="application/json")


async def _html(_: web.Request, __: Fault, ___: Proceed) -> web.StreamResponse:
    return web.Response(text=_PAGE.format("Welcome"), content_type="text/html")


async def _error_object(_: web.Request, __: Fault, ___: Proceed) -> web.StreamResponse:
    return json_answer({"message": "Something went wrong", "code": "InternalError", "data": None})


async def _waf_202(_: web.Request, __: Fault, ___: Proceed) -> web.StreamResponse:
    return web.Response(status=202, headers={"x-amzn-waf-action": "challenge"})


async def _waf_403(_: web.Request, fault: Fault, __: Proceed) -> web.StreamResponse:
    text = "" if fault.options.get("body", "html") == "empty" else _PAGE.format("403 Forbidden")
    return web.Response(status=403, text=text, content_type="text/html")


async def _redirect(_: web.Request, fault: Fault, __: Proceed) -> web.StreamResponse:
    return web.Response(status=fault.options.get("code", 302), headers={"Location": fault.options["to"]})


async def _reset(request: web.Request, _: Fault, __: Proceed) -> web.StreamResponse:
    request[ENTRY].outcome = "reset"
    return reset(request)


async def _reset_mid_body(request: web.Request, fault: Fault, proceed: Proceed) -> web.StreamResponse:
    """Process a part's body normally, so that the lock lingers as after a broken connection."""
    record = request[ENTRY]
    if record.kind == "put-part":
        request[TAMPER] = fault
        answer = await proceed()
        if record.outcome == "aborted":
            record.outcome = "reset"
            return reset(request)
        return answer
    left = fault.options.get("bytes", (request.content_length or 0) // 2)
    while left > 0 and (chunk := await request.content.read(left)):
        left -= len(chunk)
    return await _reset(request, fault, proceed)


async def _lose_response(request: web.Request, _: Fault, proceed: Proceed) -> web.StreamResponse:
    answer = await proceed()
    request[ENTRY].status = answer.status
    request[ENTRY].outcome = "lost"
    reset(request)
    return answer


async def _stall(request: web.Request, fault: Fault, proceed: Proceed) -> web.StreamResponse:
    await wait(request, fault.seconds)
    if disconnected(request):
        request[ENTRY].outcome = "aborted"
        return close(request)
    return await proceed()


async def _slow_hash(request: web.Request, fault: Fault, proceed: Proceed) -> web.StreamResponse:
    """Process a part's body normally; its lock is held until the end."""
    record = request[ENTRY]
    if record.kind == "put-part":
        request[TAMPER] = fault
    else:
        # The handler handles the same broken body.
        with contextlib.suppress(OSError, web.HTTPException):
            await request.read()
        await anyio.sleep(fault.seconds)
    answer = await proceed()
    if disconnected(request):
        record.outcome, record.status = "aborted", answer.status
    return answer


async def _hang(request: web.Request, fault: Fault, proceed: Proceed) -> web.StreamResponse:
    answer = await proceed()
    await wait(request, fault.seconds)
    if disconnected(request):
        request[ENTRY].outcome, request[ENTRY].status = "aborted", answer.status
    return answer


async def _stall_response(request: web.Request, fault: Fault, proceed: Proceed) -> web.StreamResponse:
    return await _send_half(request, proceed, fault.seconds)


async def _truncate_response(request: web.Request, _: Fault, proceed: Proceed) -> web.StreamResponse:
    return await _send_half(request, proceed, 0.0)


async def _send_half(request: web.Request, proceed: Proceed, seconds: float) -> web.StreamResponse:
    body, out = await _begin(request, proceed)
    request[ENTRY].outcome = "cut"
    await out.write(body[: len(body) // 2])
    await wait(request, seconds)
    reset(request)
    return out


async def _trickle(request: web.Request, fault: Fault, proceed: Proceed) -> web.StreamResponse:
    body, out = await _begin(request, proceed)
    pause = fault.options.get("seconds", 0.05)
    for byte in body:
        await out.write(bytes([byte]))
        await anyio.sleep(pause)
    return out


async def _begin(request: web.Request, proceed: Proceed) -> tuple[bytes, web.StreamResponse]:
    """Serve the request, send the head of its response, and return the remaining body."""
    answer = await proceed()
    body = _bytes(answer)
    out = web.StreamResponse(status=answer.status, headers=answer.headers)
    out.content_length = len(body)
    request[ENTRY].status = answer.status
    await out.prepare(request)
    return body, out


async def _truncated(_: web.Request, __: Fault, proceed: Proceed) -> web.StreamResponse:
    answer = await proceed()
    body = _bytes(answer)
    return web.Response(status=answer.status, body=body[: len(body) // 2], content_type="application/json")


async def _invalid(_: web.Request, __: Fault, proceed: Proceed) -> web.StreamResponse:
    answer = await proceed()
    return web.Response(status=answer.status, text="{'location': None,}", content_type="application/json")


async def _stale(request: web.Request, fault: Fault, proceed: Proceed) -> web.StreamResponse:
    context = context_of(request)
    at, body = context.effects.answers.get(request.path_qs, (-math.inf, b""))
    if context.now() - at > fault.seconds:
        return await proceed()
    return web.Response(body=body, content_type="application/json")


async def _flip_bit(request: web.Request, fault: Fault, proceed: Proceed) -> web.StreamResponse:
    request[TAMPER] = fault
    return await proceed()


def _bytes(answer: web.StreamResponse) -> bytes:
    """Return the body of an answer that is in memory; empty for a download."""
    body = answer.body if isinstance(answer, web.Response) else None
    return body if isinstance(body, bytes) else b""


ACTIONS: dict[str, Action] = {
    "status": _plain_status,
    "html": _html,
    "error-object": _error_object,
    "waf-202": _waf_202,
    "waf-403": _waf_403,
    "redirect": _redirect,
    "reset": _reset,
    "reset-mid-body": _reset_mid_body,
    "lost-answer": _lose_response,
    "stall": _stall,
    "late": _slow_hash,
    "hang": _hang,
    "hang-mid-answer": _stall_response,
    "cut-answer": _truncate_response,
    "trickle": _trickle,
    "truncated-json": _truncated,
    "invalid-json": _invalid,
    "flip-bit": _flip_bit,
    "stale": _stale,
}
"""The action of each fault of stage ANSWER."""
