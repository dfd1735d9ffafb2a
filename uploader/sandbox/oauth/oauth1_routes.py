"""OAuth 1.0a of the first API: request token, the owner's consent, access token; and who signed a request.

There is one consumer, with the id of the OAuth 2 application; its secret is the sandbox's token (*choice*). The bodies'
content types are as documented, although they do not fit.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable, Mapping
from urllib.parse import quote, urlencode

from aiohttp import web

from uploader.sandbox.answers import json_answer
from uploader.sandbox.context import Context, context_of
from uploader.sandbox.grants import Consent
from uploader.sandbox.oauth import signature
from uploader.sandbox.oauth.consent import check_redirect, consent_page, decision_of, page, redirect_to
from uploader.sandbox.pages import render
from uploader.sandbox.people import accounts
from uploader.sandbox.routes import Route

CLOCK_SKEW = 300
"""Seconds by which a timestamp may differ (documented)."""
REQUEST_LIFETIME = 3600.0
"""Seconds for which a request token is valid (documented)."""
_REQUIRED = ("oauth_consumer_key", "oauth_nonce", "oauth_timestamp", "oauth_signature_method", "oauth_signature")


def routes() -> list[Route]:
    """Return this module's routes."""
    return [
        Route("v1-request-token", "GET", "/v1/pbl/oauth/request_token", request_token, public=True),
        Route("v1-authorize", "GET", "/v1/pbl/oauth/authorize", authorize, public=True),
        Route("v1-consent", "POST", "/v1/pbl/oauth/authorize", decide, public=True),
        Route("v1-access-token", "POST", "/v1/pbl/oauth/access_token", access_token, public=True),
    ]


class Unsigned(Exception):
    """The request is not signed as it must be; the text is the server's message."""

    def answer(self) -> web.Response:
        """Return the first API's error."""
        return json_answer({"error": {"error": str(self)}}, 401)


def signed_by(request: web.Request) -> None:
    """Raise Unsigned unless the request is signed for the owner's account."""
    _verified(request, lambda context, token: context.grants.is_first_api_token(token))


async def request_token(request: web.Request) -> web.Response:
    context = context_of(request)
    try:
        given = _verified(request, lambda _, token: token == "")
    except Unsigned as error:
        return error.answer()
    callback = given.get("oauth_callback", "")
    if callback not in ("", "oob"):
        check_redirect(context, callback)
    token = context.grants.request_token(REQUEST_LIFETIME)
    context.grants.callbacks[token] = "" if callback == "oob" else callback
    page_address = f"{context.addresses(request).origin}/v1/pbl/oauth/authorize?oauth_token={token}"
    answer = {
        "oauth_token": token,
        "oauth_token_secret": context.grants.secret_of(token),
        "oauth_expires_in": str(int(REQUEST_LIFETIME)),
        "oauth_request_auth_url": quote(page_address, safe=""),  # so that it is encoded twice, as documented
        "oauth_callback_confirmed": "True",
    }
    return web.Response(text=urlencode(answer), content_type="text/html")


async def authorize(request: web.Request) -> web.Response:
    context, token = context_of(request), request.query.get("oauth_token", "")
    if not context.grants.is_request_token(token) or token not in context.grants.callbacks:
        return Unsigned("Unknown or expired token").answer()
    consent = Consent(
        client_id=context.settings.oauth_client, redirect=context.grants.callbacks[token], request_token=token
    )
    return await consent_page(context, consent)


async def decide(request: web.Request) -> web.Response:
    """Redirect with the verifier, or show it as a PIN where there is no address. How a refusal looks is a *choice*."""
    context = context_of(request)
    consent, allowed = await decision_of(request)
    if not allowed:
        context.grants.callbacks.pop(consent.request_token, None)
        if consent.redirect:
            return redirect_to(consent.redirect, {"denied": consent.request_token})
        return web.Response(text="Refused\n")
    verifier = secrets.token_hex(8) if consent.redirect else str(secrets.randbelow(9_000_000) + 1_000_000)
    context.grants.verifiers[consent.request_token] = verifier
    if consent.redirect:
        return redirect_to(consent.redirect, {"oauth_token": consent.request_token, "oauth_verifier": verifier})
    return page(await context.on_disk(render.pin, verifier))


async def access_token(request: web.Request) -> web.Response:
    context = context_of(request)
    try:
        given = _verified(request, lambda context, token: context.grants.is_request_token(token))
    except Unsigned as error:
        return error.answer()
    wanted = context.grants.verifiers.pop(given.get("oauth_token", ""), None)
    if wanted is None or not hmac.compare_digest(given.get("oauth_verifier", "").encode(), wanted.encode()):
        return Unsigned("Wrong or used verifier").answer()
    token = context.grants.first_api_token()
    answer = {
        "oauth_token": token,
        "oauth_token_secret": context.grants.secret_of(token),
        "xoauth_figshare_id": str(accounts.OWNER_ID),
    }
    return web.Response(text=urlencode(answer), content_type="application/json")


def _verified(request: web.Request, is_valid: Callable[[Context, str], bool]) -> dict[str, str]:
    """Return the parameters of the request's header. Raises Unsigned; `is_valid` decides on its token, "" for none."""
    context = context_of(request)
    given = signature.parse_header(request.headers.get("Authorization", ""))
    if given is None or any(not given.get(name) for name in _REQUIRED):
        raise Unsigned("Missing OAuth parameters in the Authorization header")
    if given["oauth_signature_method"] != "HMAC-SHA1" or given.get("oauth_version", "1.0") != "1.0":
        raise Unsigned("Unknown signature method or version")
    token = given.get("oauth_token", "")
    if given["oauth_consumer_key"] != context.settings.oauth_client or not is_valid(context, token):
        raise Unsigned("Unknown consumer or token")
    keys = context.settings.token, context.grants.secret_of(token) if token else ""
    wanted = signature.signature(request.method, _address(request, context), given, keys)
    if not hmac.compare_digest(given["oauth_signature"].encode("utf-8", "replace"), wanted.encode()):
        raise Unsigned("Invalid signature: incorrect base string")
    _check_freshness(context, given)
    return given


def _check_freshness(context: Context, given: Mapping[str, str]) -> None:
    """Raise Unsigned for a clock that is wrong, and for a request that was sent before."""
    text, now = given["oauth_timestamp"], context.now()
    if not (text.isascii() and text.isdigit() and len(text) < 15) or abs(int(text) - now) > CLOCK_SKEW:
        raise Unsigned("Invalid timestamp")
    if not context.grants.first_use(f"{text} {given['oauth_nonce']} {given.get('oauth_token', '')}", CLOCK_SKEW):
        raise Unsigned("Nonce already used")


def _address(request: web.Request, context: Context) -> str:
    return f"{context.addresses(request).origin}{request.rel_url.raw_path_qs}"
