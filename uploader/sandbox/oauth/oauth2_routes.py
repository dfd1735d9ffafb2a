"""OAuth 2: the page on which the owner consents, and the token endpoint.

There is one application; its secret, and every account's password, is the sandbox's token (*choice*). Success is 200
and every failure of the token endpoint 400, as documented; its body is that of RFC 6749, section 5.2.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from uploader.sandbox.answers import ApiError, json_answer
from uploader.sandbox.bodies import form_of, optional_body_of
from uploader.sandbox.context import Context, context_of
from uploader.sandbox.grants import Consent
from uploader.sandbox.oauth.consent import check_redirect, consent_page, decision_of, redirect_to
from uploader.sandbox.people import accounts
from uploader.sandbox.routes import Route


def routes() -> list[Route]:
    """Return this module's routes."""
    return [
        Route("authorize", "GET", "/account/applications/authorize", authorize, public=True),
        Route("consent", "POST", "/account/applications/authorize", decide, public=True),
        Route("create-token", "POST", "/v2/token", create, public=True),
    ]


async def authorize(request: web.Request) -> web.Response:
    """Show what the application asks for. ApiError 400 if a redirect would be unsafe; other errors are redirected."""
    context, query = context_of(request), request.query
    if query.get("client_id") != context.settings.oauth_client:
        raise ApiError(400, "BadRequest", "Unknown application: client_id")
    consent = Consent(
        client_id=context.settings.oauth_client,
        redirect=check_redirect(context, query.get("redirect_uri", "")),
        state=query.get("state"),
    )
    for name, known, error in (
        ("response_type", {"code"}, "unsupported_response_type"),
        ("scope", {"all", ""}, "invalid_scope"),
    ):
        if query.get(name, "") not in known:
            return _answer(consent, {"error": error, "error_description": f"{name} is missing or unknown"})
    return await consent_page(context, consent)


async def decide(request: web.Request) -> web.Response:
    """Redirect with a code, or with the owner's refusal."""
    context = context_of(request)
    consent, allowed = await decision_of(request)
    if not allowed:
        return _answer(consent, {"error": "access_denied", "error_description": "The owner refused"})
    return _answer(consent, {"code": context.grants.once(consent)})


def _answer(consent: Consent, answer: dict[str, str]) -> web.Response:
    return redirect_to(consent.redirect, answer if consent.state is None else {**answer, "state": consent.state})


async def create(request: web.Request) -> web.Response:
    context = context_of(request)
    given = await _given(request)
    refresh_token, fault, description = await _granted(context, given)
    if fault:
        return json_answer({"error": fault, "error_description": description}, 400)
    access_token = context.grants.access_token()
    return json_answer(
        {
            "access_token": access_token,
            "token": access_token,
            "token_type": "bearer",
            "expires_in": int(context.settings.oauth_lifetime),
            "refresh_token": refresh_token,
            "scope": "all",
        }
    )


async def _given(request: web.Request) -> Mapping[str, Any]:
    """Return the parameters: a form or JSON."""
    if request.content_type == "application/x-www-form-urlencoded":
        return await form_of(request)
    try:
        return await optional_body_of(request)
    except ApiError:
        return {}


async def _granted(context: Context, given: Mapping[str, Any]) -> tuple[str, str, str]:
    """Return the refresh token, "", ""; or "", the error's code and its description."""
    known = given.get("client_id") == context.settings.oauth_client
    if not known or not _same(given.get("client_secret"), context.settings.token) or context.effects.revoked:
        return "", "invalid_client", "Unknown client or wrong secret"
    kind = given.get("grant_type")
    refresh_token: str | None = context.grants.refresh_token()
    if kind == "authorization_code":
        valid = _redeems(context, given)
    elif kind == "refresh_token":
        refresh_token = context.grants.refresh(_text(given, "refresh_token"))
        valid = refresh_token is not None
    elif kind == "password":
        known = await context.db.run(accounts.author_of, _text(given, "username")) is not None
        valid = known and _same(given.get("password"), context.settings.token)
    elif kind == "client_credentials":
        valid = True
    else:
        return "", "unsupported_grant_type", "grant_type is missing or unknown"
    return (refresh_token or "", "", "") if valid else ("", "invalid_grant", f"The {kind} is invalid or expired")


def _redeems(context: Context, given: Mapping[str, Any]) -> bool:
    """Return whether the code is valid; then it is used. A redirect_uri must be the one that the code was sent to."""
    consent = context.grants.redeem(_text(given, "code"))
    return consent is not None and given.get("redirect_uri", consent.redirect) == consent.redirect


def _text(given: Mapping[str, Any], name: str) -> str:
    value = given.get(name)
    return value if isinstance(value, str) else ""


def _same(given: object, wanted: str) -> bool:
    return isinstance(given, str) and hmac.compare_digest(given.encode("utf-8", "replace"), wanted.encode())
