"""Paging of lists of records: the number of rows that pages reach, and the cursor that goes beyond it.

The cursor's protocol is documented in one sentence only, and no use of it was observed: what it looks like, its
lifetime, and that the last page has none are *choices*.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from aiohttp import web

from uploader.sandbox.answers import ApiError, json_answer
from uploader.sandbox.context import Context, context_of
from uploader.sandbox.listing import Slice, slice_in, slice_of

CURSOR: Final = "X-Cursor"
_PAGING: Final = frozenset({"page", "page_size", "limit", "offset"})


def rows_of(request: web.Request, body: Mapping[str, Any] | None = None) -> Slice:
    """Return the asked rows of a list of records, or of a search with this body. ApiError 422 or 400.

    Paging in the query takes precedence over the body's.
    """
    paged = body is None or _PAGING & request.query.keys()
    rows = slice_of(request.query) if paged else slice_in(body or {})
    context = context_of(request)
    if CURSOR in request.headers:
        given = request.query.keys() if paged else (body or {}).keys()
        if given & (_PAGING - {"limit"}):
            raise ApiError(422, "UnprocessableEntity", "With X-Cursor, send limit only")
        return Slice(rows.limit, _offset_in(request.headers[CURSOR], request, context))
    cap = context.settings.page_cap
    if cap is not None and rows.offset + rows.limit > cap:
        raise _exceeded(context.settings.page_cap_status)
    return rows


def listed(request: web.Request, rows: Slice, shown: Sequence[object]) -> web.Response:
    """Return the response with these rows. If there may be more, it has a cursor."""
    context = context_of(request)
    full = len(shown) == rows.limit
    headers = {CURSOR: _cursor(request, context, rows.offset + rows.limit)} if full else None
    return json_answer(shown, headers=headers)


def _exceeded(status: int) -> ApiError:
    message = "Max page reached. Please narrow down your search"
    return ApiError(status, "PageLimitExceededException" if status == 422 else "BadRequest", message, {})


def _cursor(request: web.Request, context: Context, offset: int) -> str:
    until = context.now() + context.settings.cursor_lifetime
    text = json.dumps([offset, until, _mark(request, context, offset, until)])
    return base64.urlsafe_b64encode(text.encode()).decode()


def _offset_in(cursor: str, request: web.Request, context: Context) -> int:
    """Return where a cursor points to. ApiError 400 if it is invalid, expired, or another list's."""
    try:
        offset, until, mark = json.loads(base64.urlsafe_b64decode(cursor))
        valid = mark == _mark(request, context, offset, until) and context.now() <= until
    except (ValueError, TypeError, RecursionError):
        valid, offset = False, 0
    if not valid:
        raise ApiError(400, "BadRequest", "Invalid or expired cursor", {"invalid_params": CURSOR})
    return int(offset)


def _mark(request: web.Request, context: Context, offset: int, until: float) -> str:
    """Return a signature that only this sandbox's cursors for this list have."""
    text = json.dumps([request.path, offset, until, context.settings.token])
    return hashlib.sha256(text.encode()).hexdigest()[:16]
