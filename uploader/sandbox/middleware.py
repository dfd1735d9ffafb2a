"""Common handling of requests: log entry, token, and errors as responses."""

from __future__ import annotations

import hmac
import logging
import re
import time

import anyio
from aiohttp import web
from aiohttp.typedefs import Middleware

from uploader.sandbox import cors
from uploader.sandbox.answers import NOT_FOUND_HTML, THROTTLED_HTML, ApiError, empty, json_answer
from uploader.sandbox.connection import end
from uploader.sandbox.context import AUTHORIZED, Context, context_of
from uploader.sandbox.fault_actions import apply_faults
from uploader.sandbox.hosts import is_served
from uploader.sandbox.people.impersonation import settle
from uploader.sandbox.request_log import ENTRY, credential, entry_of
from uploader.sandbox.routes import Handler, Route, RouteTable

log = logging.getLogger(__name__)


_UNTIDY = re.compile("//|./$")


def request_middleware(service: str, table: RouteTable) -> Middleware:
    """Return the middleware of a service, "api" or "upload"."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if _UNTIDY.search(request.path):
            request, handler = await _with_normal_path(request)
        context = context_of(request)
        route = table.match(request)
        record = entry_of(request, service, route.kind if route else "other", context.now())
        request[ENTRY] = record
        began = time.monotonic()

        async def proceed() -> web.StreamResponse:
            return await _serve(request, context, route, handler, service)

        try:
            if not is_served(request.headers.getall("Host", ()), context.settings):
                record.status = 421
                return _failed(_misdirected(), service)
            if service == "api" and route is not None:
                await anyio.sleep(context.settings.latency)
            faults = context.faults.decide(record.kind, _part(request))
            answer = await apply_faults(request, context, faults, proceed)
            if record.outcome == "answered":
                record.status = answer.status
        except BaseException:
            record.outcome = "stopped"
            raise
        finally:
            if service != "upload":
                record.received = request.content.total_bytes
            record.seconds = time.monotonic() - began
            if context.settings.control:
                context.counts.add(record)
            await context.log.write(record)
            end(request)
        return answer

    return middleware


async def _with_normal_path(request: web.Request) -> tuple[web.Request, Handler]:
    """Route the request again without doubled or trailing slashes, as the real service does."""
    path = re.sub("//+", "/", request.rel_url.raw_path).rstrip("/") or "/"
    merged = request.clone(rel_url=request.rel_url.with_path(path, encoded=True, keep_query=True))
    match = await request.app.router.resolve(merged)
    match.add_app(request.app)
    # There is no public way to set it; aiohttp's own normalize_path_middleware does the same.
    merged._match_info = match
    return merged, match.handler


async def _serve(
    request: web.Request, context: Context, route: Route | None, handler: Handler, service: str
) -> web.StreamResponse:
    """Return the normal response, including errors."""
    try:
        if cors.is_preflight(request):
            return cors.preflight(request)
        if service == "api" and route is not None:
            revoked = context.effects.revoked and route.kind != "control"
            request[AUTHORIZED] = allowed(request, context, revoked=revoked)
            if route.public and credential(request) is None and context.is_throttled():
                return web.Response(status=403, text=THROTTLED_HTML, content_type="text/html")
            _authorize(request, context, route)
            if not route.public:
                await settle(request, context)
        elif service == "upload":
            _check_upload_token(request, context)
        return await handler(request)
    except Exception as error:  # noqa: BLE001 - a server must always respond
        return _failed(error, service)


def _misdirected() -> ApiError:
    """Return the answer to a request for a host that is not this sandbox: see `hosts`."""
    return ApiError(421, "MisdirectedRequest", "This sandbox answers to localhost and its public URLs only")


def _part(request: web.Request) -> int | None:
    """Return what a fault may name: the number of a part, or the id of a record."""
    known = (request.match_info.get(name) for name in ("number", "item_id", "collection_id", "id"))
    number = next((one for one in known if one is not None), "")
    return int(number) if number.isascii() and number.isdigit() and len(number) < 19 else None


def _authorize(request: web.Request, context: Context, route: Route) -> None:
    if route.public or request[AUTHORIZED]:
        return
    status = context.settings.auth_status
    raise ApiError(status, "Forbidden" if status == 403 else "Unauthorized", "Invalid or missing token")


def _check_upload_token(request: web.Request, context: Context) -> None:
    """Apply the setting for tokens that are sent to the upload service. ApiError 403."""
    wanted, offered = context.settings.upload_auth, credential(request) is not None
    if (wanted == "require" and not allowed(request, context, revoked=context.effects.revoked)) or (
        wanted == "refuse" and offered
    ):
        raise ApiError(403, "Forbidden", "Invalid or missing token")


def allowed(request: web.Request, context: Context, *, revoked: bool) -> bool:
    """Return whether the request carries the token: in the header, as `token …` or `Bearer …`, or as access_token."""
    header = request.headers.get("Authorization")
    if header is not None and header.strip().partition(" ")[0].lower() not in {"token", "bearer"}:
        return False
    return matches(credential(request), context, revoked=revoked)


def matches(presented: str | None, context: Context, *, revoked: bool) -> bool:
    """Return whether this is the sandbox's token or an access token, and no fault revoked it."""
    if presented is None or revoked:
        return False
    return context.grants.is_access_token(presented) or hmac.compare_digest(
        presented.encode("utf-8", "replace"), context.settings.token.encode()
    )


def may_see_all(request: web.Request, context: Context) -> bool:
    """Return whether a request for a page has the token, or the key of pages."""
    key = request.query.get("key", "").encode("utf-8", "replace")
    return request[AUTHORIZED] or hmac.compare_digest(key, context.settings.page_key.encode())


def _failed(error: Exception, service: str) -> web.Response:
    """Return the answer to a request that a handler did not answer; errors of the upload service have no body."""
    if isinstance(error, ApiError):
        return empty(error.status) if service == "upload" else json_answer(error.body(), error.status)
    if isinstance(error, web.HTTPNotFound | web.HTTPMethodNotAllowed) and service == "api":
        return web.Response(status=404, text=NOT_FOUND_HTML, content_type="text/html", charset="UTF-8")
    if isinstance(error, web.HTTPException):
        status, code, message = error.status, _CODES.get(error.status, "BadRequest"), error.reason
    else:
        log.error("a request failed", exc_info=error)
        status, code, message = 500, "InternalServerError", "Internal server error"
    if service == "upload":
        return empty(status)
    return json_answer({"message": message, "code": code}, status)


_CODES = {404: "NotFound", 413: "RequestEntityTooLarge"}
