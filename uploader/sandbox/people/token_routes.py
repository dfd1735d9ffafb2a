"""OAuth 2: the authorization page and the token endpoint. There is one token, the sandbox's.

Any application id is accepted; its secret, and every account's password, is the sandbox's token (*choice*). Success is
200 and every failure 400, as documented; its body is that of RFC 6749, section 5.2.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

from aiohttp import web

from uploader.sandbox.answers import ApiError, json_answer
from uploader.sandbox.bodies import optional_body_of
from uploader.sandbox.context import Context, context_of
from uploader.sandbox.people import accounts
from uploader.sandbox.routes import Route

_REFRESH = "refresh_"
_LIFETIME = 3600
"""Seconds, as in the documentation's example; the token is valid beyond them."""


def routes() -> list[Route]:
    """Return this module's routes."""
    return [
        Route("authorize", "GET", "/account/applications/authorize", authorize, public=True),
        Route("create-token", "POST", "/v2/token", create, public=True),
    ]


async def authorize(request: web.Request) -> web.Response:
    """Redirect with a code, as if the owner had consented; only to this machine."""
    context = context_of(request)
    query = request.query
    target = query.get("redirect_uri", "")
    if not _is_local(target):
        raise ApiError(400, "BadRequest", "redirect_uri must be an address of this machine")
    if query.get("response_type") == "code":
        answer = {"code": secrets.token_hex(20)}
        context.codes.add(answer["code"])
    else:
        answer = {"error": "unsupported_response_type"}
    if "state" in query:
        answer["state"] = query["state"]
    joint = "&" if urlsplit(target).query else "?"
    return web.Response(status=302, headers={"Location": f"{target}{joint}{urlencode(answer)}"})


async def create(request: web.Request) -> web.Response:
    context = context_of(request)
    fault, description = await _fault(context, await _given(request))
    if fault:
        return json_answer({"error": fault, "error_description": description}, 400)
    token = context.settings.token
    return json_answer(
        {
            "access_token": token,
            "token": token,
            "token_type": "bearer",
            "expires_in": _LIFETIME,
            "refresh_token": _REFRESH + token,
            "scope": "all",
        }
    )


def _is_local(address: str) -> bool:
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    if any(ord(letter) < 32 for letter in address):
        return False
    return parts.scheme in {"http", "https"} and parts.hostname in {"127.0.0.1", "localhost", "::1"}


async def _given(request: web.Request) -> Mapping[str, Any]:
    """Return the parameters: a form or JSON."""
    if request.content_type == "application/x-www-form-urlencoded":
        return await request.post()
    try:
        return await optional_body_of(request)
    except ApiError:
        return {}


async def _fault(context: Context, given: Mapping[str, Any]) -> tuple[str, str]:
    """Return the error code and description of a request that gets no token; ("", "") for one that does."""
    token = context.settings.token
    if not given.get("client_id") or not _same(given.get("client_secret"), token) or context.effects.revoked:
        return "invalid_client", "Unknown client or wrong secret"
    kind = given.get("grant_type")
    if kind == "authorization_code":
        code = given.get("code")
        valid = isinstance(code, str) and code in context.codes
        if valid:
            context.codes.remove(str(code))
    elif kind == "refresh_token":
        valid = _same(given.get("refresh_token"), _REFRESH + token)
    elif kind == "password":
        name = given.get("username")
        known = isinstance(name, str) and await context.db.run(accounts.author_of, name) is not None
        valid = known and _same(given.get("password"), token)
    elif kind == "client_credentials":
        valid = True
    else:
        return "unsupported_grant_type", "grant_type is missing or unknown"
    return ("", "") if valid else ("invalid_grant", f"The {kind} is invalid or expired")


def _same(given: object, wanted: str) -> bool:
    return isinstance(given, str) and hmac.compare_digest(given.encode("utf-8", "replace"), wanted.encode())
