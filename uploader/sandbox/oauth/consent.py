"""The page on which the owner allows or refuses an application, for both versions of OAuth."""

from __future__ import annotations

from urllib.parse import urlencode, urlsplit

from aiohttp import web

from uploader.sandbox.answers import ApiError
from uploader.sandbox.bodies import form_of
from uploader.sandbox.context import Context, context_of
from uploader.sandbox.grants import Consent
from uploader.sandbox.hosts import is_loopback
from uploader.sandbox.pages import render


def check_redirect(context: Context, address: str) -> str:
    """Return an address that a browser may be sent to: one of this machine. ApiError 400."""
    try:
        parts = urlsplit(address)
        local = parts.scheme in {"http", "https"} and is_loopback(parts.hostname or "")
    except ValueError:
        local = False
    if not local or any(ord(letter) < 33 for letter in address):
        raise ApiError(400, "BadRequest", "redirect_uri must be an address of this machine")
    if context.settings.https_redirects and parts.scheme != "https":
        raise ApiError(400, "BadRequest", "Needs to be a valid HTTPS url: redirect_uri")
    return address


async def consent_page(context: Context, consent: Consent) -> web.Response:
    """Return the page. Its form carries a ticket, so that no other page can consent in the owner's name."""
    target = f" {urlsplit(consent.redirect).scheme}://{urlsplit(consent.redirect).netloc}" if consent.redirect else ""
    ticket = context.grants.once(consent)
    html = await context.on_disk(render.consent, consent.client_id, consent.redirect, ticket)
    return page(html, form_action=f"'self'{target}")


def page(html: str, *, form_action: str = "'none'") -> web.Response:
    """Return a page that loads nothing, and whose form leads only there."""
    policy = f"default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action {form_action}"
    headers = {
        "Content-Security-Policy": policy,
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
    }
    return web.Response(text=html, content_type="text/html", charset="utf-8", headers=headers)


async def decision_of(request: web.Request) -> tuple[Consent, bool]:
    """Return the consent of a form of `consent_page`, and whether the owner allows it. ApiError 400."""
    form = await form_of(request)
    consent = context_of(request).grants.redeem(form.get("ticket", ""))
    if consent is None:
        raise ApiError(400, "BadRequest", "This page has expired")
    return consent, form.get("decision") == "allow"


def redirect_to(address: str, answer: dict[str, str]) -> web.Response:
    """Redirect a browser with these parameters."""
    joint = "&" if urlsplit(address).query else "?"
    return web.Response(status=302, headers={"Location": f"{address}{joint}{urlencode(answer)}"})
