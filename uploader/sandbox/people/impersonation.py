"""The account of a request: the token's owner, or the one that an institution's administrator impersonates.

`impersonate` is in the query of GET and DELETE and in the JSON body of others, as documented; elsewhere it is ignored.
"""

from __future__ import annotations

import json

from aiohttp import web

from uploader.sandbox.answers import forbidden, invalid, not_found
from uploader.sandbox.context import Context
from uploader.sandbox.people import accounts

_ACTING = web.RequestKey("acting", int)
_IN_QUERY = frozenset({"GET", "HEAD", "DELETE"})


def account_of(request: web.Request) -> int:
    """Return the id of the account that the request acts for."""
    return request[_ACTING]


def reader_of(request: web.Request, context: Context) -> int | None:
    """Return the account whose items the request may read; None: all, for an institution's administrator."""
    acting = account_of(request)
    return None if context.settings.institution and acting == accounts.OWNER_ID else acting


async def settle(request: web.Request, context: Context) -> None:
    """Determine the account that the request acts for. ApiError 422, 404 for an unknown id, 403 if not permitted.

    Impersonating oneself is not, as observed.
    """
    request[_ACTING] = accounts.OWNER_ID
    requested = await _requested_account(request)
    if requested is None:
        return
    if not (isinstance(requested, int) and not isinstance(requested, bool)):
        raise invalid("impersonate must be an account id", "impersonate")
    if not context.settings.institution or requested == accounts.OWNER_ID:
        raise forbidden()
    account = await context.db.run(accounts.get, requested) if abs(requested) < 2**62 else None
    if account is None or not account.active:
        raise not_found("Account")
    request[_ACTING] = account.id


async def _requested_account(request: web.Request) -> object:
    """Return the value of `impersonate`; None if absent. The handler rejects invalid JSON."""
    if request.method in _IN_QUERY:
        text = request.query.get("impersonate")
        return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 19 else text
    raw = await request.read()
    if b"impersonate" not in raw:
        return None
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return body.get("impersonate") if isinstance(body, dict) else None
