"""Consent for `figup auth login --oauth2`: in a browser, by a local callback or a pasted address."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from uploader.cli.callback import listening, open_browser
from uploader.cli.context import INTERACTIVE_RETRY, Context
from uploader.cli.runner import Session
from uploader.cli.source_options import read_stdin_line
from uploader.clock import Clock
from uploader.errors import UsageError
from uploader.figshare import auth
from uploader.figshare.grants import OAuth2Grant
from uploader.figshare.oauth2 import Consent, is_local_http, redeem
from uploader.figshare.urls import is_address

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
        found = code or consent.code_in(await _redirected(session, consent.address, redirect))
        return await redeem(consent, found, secret, at.settings(retry=INTERACTIVE_RETRY))

    return obtain


def read_secret(file: Path | None, prompt: str) -> str:
    """Return a secret from its file, else from a prompt without echo or a line of stdin. Raises UsageError."""
    if file is not None:
        return auth.read_secret_file(file, "secret")
    secret = ""
    if sys.stdin is not None and sys.stdin.isatty():
        with suppress(EOFError, UnicodeDecodeError):
            secret = getpass.getpass(f"{prompt} (it is not shown): ", sys.stderr)
    else:
        secret = read_stdin_line().decode("utf-8-sig", "replace")
    if not secret.strip():
        raise UsageError("no secret of the application was given")
    return secret.strip()


async def _redirected(session: Session, page: str, redirect: str) -> str:
    """Show the page, and return the address that the browser is sent to."""
    async with listening(redirect) as callback:
        opened = await open_browser(page)
        how = "your browser shows this page" if opened else "open this page in a browser of this computer"
        session.console.output.err(f"figup: {how}; consent there:\n{page}")
        return await callback.address(Clock())


def _pasted(page: str) -> str:
    """Return what the user pastes after consenting on this page."""
    print(f"figup: open this page in any browser; consent there:\n{page}", file=sys.stderr)
    print(
        "Paste the address that the browser is sent to; its page need not load: ", end="", file=sys.stderr, flush=True
    )
    return read_stdin_line().decode("utf-8", "replace")
