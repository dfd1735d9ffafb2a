"""Consent for `figup auth login --oauth2|--oauth1`: by a local callback, a pasted address or a PIN."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from uploader.cli.callback import LIMIT, listening, open_browser
from uploader.cli.confirm import ask_secret, next_line
from uploader.cli.context import INTERACTIVE_RETRY, Context
from uploader.cli.runner import Session
from uploader.cli.source_options import read_stdin_line
from uploader.clock import Clock
from uploader.errors import SignInFailed, UsageError
from uploader.figshare import auth
from uploader.figshare.grants import OAuth1Grant, OAuth2Grant
from uploader.figshare.oauth1 import FirstApi
from uploader.figshare.oauth2 import Consent, check_page, is_local_http, redeem
from uploader.figshare.settings import Settings
from uploader.figshare.urls import is_address
from uploader.units import format_duration

REDIRECT = "http://127.0.0.1:8765/"

Obtain = Callable[[Session], Awaitable[OAuth2Grant]]


def prepare(at: Context, client_id: str, redirect: str, secret_file: Path | None, *, paste: bool) -> Obtain:
    """Read what is typed, and return what obtains the grant. Raises UsageError, SignInFailed."""
    if not is_address(redirect) or "#" in redirect:
        raise UsageError(f"invalid redirect address {redirect!r}; it looks like {REDIRECT}")
    if not (redirect.startswith("https:") or is_local_http(redirect)):
        raise UsageError(f"plain http to another machine would send the code in the clear: {redirect}")
    consent = Consent(at.endpoint, client_id, redirect)
    secret = read_secret(secret_file, f"Secret of the application {client_id}")
    code = consent.code_in(_pasted(consent.address)) if paste or not is_local_http(redirect) else None

    async def obtain(session: Session) -> OAuth2Grant:
        settings = at.settings(retry=INTERACTIVE_RETRY)
        found = code or consent.code_in(await _redirected(session, consent, settings))
        return await redeem(consent, found, secret, settings)

    return obtain


ObtainFirst = Callable[[Session], Awaitable[tuple[OAuth1Grant, str]]]


def prepare_first(at: Context, consumer: str, redirect: str, secret_file: Path | None, *, pin: bool) -> ObtainFirst:
    """Read what is typed, and return what signs in at the first API; it returns its address, too. Raises UsageError."""
    if not (pin or (is_address(redirect) and is_local_http(redirect))):
        raise UsageError(f"figup cannot listen at {redirect}", hint="Use an http address of this machine, or --pin.")
    secret = read_secret(secret_file, f"Secret of the consumer {consumer}")

    async def obtain(session: Session) -> tuple[OAuth1Grant, str]:
        empty, settings = OAuth1Grant(consumer=consumer, consumer_secret=secret), at.settings(retry=INTERACTIVE_RETRY)
        api = FirstApi(empty, settings)
        try:
            grant = await (_by_pin(session, api) if pin else _by_callback(session, api, redirect))
        finally:
            await api.close()
        signed = FirstApi(grant, settings)
        try:
            await signed.own()
        finally:
            await signed.close()
        return grant, api.endpoint

    return obtain


async def _by_callback(session: Session, api: FirstApi, redirect: str) -> OAuth1Grant:
    async with listening(redirect) as callback:
        temporary = await api.request_token(redirect)
        _show(session, temporary.page)
        query = parse_qs(urlsplit(await callback.address(Clock())).query)
    if "denied" in query:
        raise SignInFailed("the owner of the account refused consent", hint="")
    if query.get("oauth_token") != [temporary.token] or "oauth_verifier" not in query:
        raise SignInFailed("the response does not belong to this sign-in: its token differs")
    return await api.access(temporary, query["oauth_verifier"][0])


async def _by_pin(session: Session, api: FirstApi) -> OAuth1Grant:
    if sys.stdin is None:
        raise UsageError("the PIN is read from stdin, which is closed")
    temporary = await api.request_token("oob")
    session.console.output.err(f"figup: open this page in any browser; consent there:\n{temporary.page}")
    session.console.output.err("figup: type the PIN that it shows, and Enter")
    typed = (await next_line(sys.stdin.fileno())).decode("utf-8", "replace").strip()
    if not typed:
        raise UsageError("no PIN was given")
    return await api.access(temporary, typed)


def read_secret(file: Path | None, prompt: str) -> str:
    """Return a secret from its file, else from a prompt without echo or a line of stdin. Raises UsageError."""
    if file is not None:
        return auth.read_secret_file(file, "secret")
    if sys.stdin is not None and sys.stdin.isatty():
        secret = ask_secret(prompt)
    else:
        secret = read_stdin_line().decode("utf-8-sig", "replace")
    if not secret.strip():
        raise UsageError("no secret of the application was given")
    return secret.strip()


async def _redirected(session: Session, consent: Consent, settings: Settings) -> str:
    """Show the page of consent, and return the address that the browser is sent to."""
    async with listening(consent.redirect) as callback:
        await check_page(consent, settings)
        _show(session, consent.address)
        return await callback.address(Clock())


def _show(session: Session, page: str) -> None:
    """Show the page of consent, in a browser where there is one."""
    how = "your browser shows this page" if open_browser(page) else "open this page in a browser of this computer"
    session.console.output.err(f"figup: {how}; consent there:\n{page}")
    session.console.output.err(
        f"figup: waiting for the browser, at most {format_duration(LIMIT)}. If the page shows an error, press Ctrl-C, "
        "and check --client-id and --redirect."
    )


def _pasted(page: str) -> str:
    """Return what the user pastes after consenting on this page."""
    print(f"figup: open this page in any browser; consent there:\n{page}", file=sys.stderr)
    print(
        "Paste the address that the browser is sent to; its page need not load: ", end="", file=sys.stderr, flush=True
    )
    return read_stdin_line().decode("utf-8", "replace")
