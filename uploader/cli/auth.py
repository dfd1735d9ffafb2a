"""`figup auth`: store, check and remove the token."""

from __future__ import annotations

import functools
import os
import sys
from pathlib import Path
from typing import Any

import click
import msgspec
from click.core import ParameterSource

from uploader import units
from uploader.cli import oauth_login
from uploader.cli.confirm import ask_secret
from uploader.cli.context import INTERACTIVE_RETRY, Context, open_context
from uploader.cli.oauth_login import REDIRECT
from uploader.cli.options import (
    ENVIRONMENT,
    CommandGroup,
    FigupCommand,
    GlobalOptions,
    check_exclusive,
    common_options,
    grouped,
    is_configured,
    with_options,
)
from uploader.cli.output.progress import Display
from uploader.cli.parameters import LocalPath
from uploader.cli.runner import Session, run
from uploader.cli.source_options import read_stdin_line
from uploader.concurrency import in_thread
from uploader.errors import FigupError, NoToken, UsageError
from uploader.figshare import auth as tokens
from uploader.figshare.grants import OAuth1Grant, OAuth2Grant
from uploader.figshare.models import Account
from uploader.figshare.oauth1 import first_endpoint
from uploader.text import printable

_oauth = grouped("OAuth")
LOGIN_HELP = """\b
Examples:
  figup auth login                        prompts for it, without echo
  figup auth login < token.txt            reads it
  pass figshare | figup auth login
  figup auth login --oauth2 --client-id ID
  figup auth login --oauth2 --client-id ID --paste    no browser here
  figup auth login --oauth1 --client-id ID --pin

"""


@click.group("auth", cls=CommandGroup)
def auth() -> None:
    """Store, check and remove the token.

    Create one at figshare.com/account/applications ("Create Personal Token").
    """


_LOGIN_OPTIONS = [
    _oauth("--oauth2", is_flag=True, help="Have the account's owner consent in a browser, instead of a token."),
    _oauth("--oauth1", is_flag=True, help="Sign in at Figshare's first API, for `figup v1`."),
    _oauth("--client-id", metavar="ID", help="The application's id, as figshare.com/account/applications shows it."),
    _oauth("--client-secret-file", metavar="FILE", type=LocalPath(path_type=Path, readable=False),
           help="File with its secret, readable only by you.  [default: prompted for, or read from stdin]"),
    _oauth("--redirect", metavar="URL", default=REDIRECT, show_default=True,
           help="Redirect address of the application; if it is http, figup listens there."),
    _oauth("--paste", is_flag=True, help="Paste that address instead; always needed for https."),
    _oauth("--pin", is_flag=True, help="With --oauth1: type a PIN instead."),
]  # fmt: skip


@auth.command("login", cls=FigupCommand, epilog=LOGIN_HELP + ENVIRONMENT, context_settings={"allow_extra_args": True})
@(lambda command: with_options(command, _LOGIN_OPTIONS))
@common_options
@click.pass_context
def login(context: click.Context, /, common: GlobalOptions, *, oauth2: bool, oauth1: bool, **oauth: Any) -> int:
    """Check a token and store it for this endpoint.

    It is prompted for without echo, or read from stdin. It is stored in the keyring if the package "keyring" is
    installed and works, otherwise in a file that only you can read.

    With --oauth2 (extra figup[oauth]) an application obtains the token. It is refreshed when it has expired.

    --oauth1 is for applications of the first API. New ones have not been accepted since 2016, and whether Figshare
    still answers is unknown: figup's support is tested against its sandbox only.
    """
    if context.args:
        # click's own error would show the token.
        raise click.UsageError("the token is not given on the command line; it is prompted for, or read from stdin")
    if common.sandbox:
        raise UsageError("a sandbox needs no login: --sandbox finds its token in its folder")
    _check_options(context, common)
    if oauth1 or oauth2:
        tokens.check_storable(tokens.default_config_dir())
    with open_context(common) as at:
        if oauth1:
            return _login_at_first(common, at, oauth)
        if oauth2:
            obtain = oauth_login.prepare(
                at, oauth["client_id"], oauth["redirect"], oauth["client_secret_file"], paste=oauth["paste"]
            )
        else:
            token = _read_token(common, at)

        async def work(session: Session) -> int:
            grant = await obtain(session) if oauth2 else None
            used = token.reveal() if grant is None else grant.access_token
            async with at.client(retry=INTERACTIVE_RETRY, token=used) as client:
                account = await client.account(on_event=Display(session.console, None).show)
            if grant is not None:
                grant = msgspec.structs.replace(grant, account=_name(account))
            where = await in_thread(_store, used if grant is None else grant.dump(), at.endpoint)
            session.console.event(
                "login", endpoint=at.endpoint, stored=where, **_kind_fields(grant), **_account_fields(account)
            )
            what = "token" if grant is None else "sign-in"
            session.console.result(f"Logged in at {at.endpoint} as {_name(account)}. The {what} is in {where}.")
            return 0

        return run(common, work)


def _login_at_first(common: GlobalOptions, at: Context, oauth: dict[str, Any]) -> int:
    obtain = oauth_login.prepare_first(
        at, oauth["client_id"], oauth["redirect"], oauth["client_secret_file"], pin=oauth["pin"]
    )

    async def work(session: Session) -> int:
        grant, endpoint = await obtain(session)
        where = await in_thread(_store, grant.dump(), endpoint)
        session.console.event("login", endpoint=endpoint, stored=where, **_first_fields(grant))
        session.console.result(f"Logged in at {endpoint} as account {grant.account}. The sign-in is in {where}.")
        return 0

    return run(common, work)


def _check_options(context: click.Context, common: GlobalOptions) -> None:
    """Raise UsageError if options of OAuth and others do not fit together."""
    ways = {"--oauth2": context.params["oauth2"], "--oauth1": context.params["oauth1"]}
    token_file = None if is_configured(context, "token_file") else common.token_file
    check_exclusive({**ways, "--token-file": token_file})
    way = next((name for name, given in ways.items() if given), None)
    fitting = {"--oauth2": "paste", "--oauth1": "pin"}
    allowed = {"client_id", "client_secret_file", "redirect", fitting[way]} if way is not None else set()
    for name in ("client_id", "client_secret_file", "redirect", "paste", "pin"):
        if name not in allowed and context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            needed = {"paste": "--oauth2", "pin": "--oauth1"}.get(name, "--oauth2 or --oauth1")
            raise click.UsageError(f"--{name.replace('_', '-')} needs {needed}")
    if way is not None and not context.params["client_id"]:
        raise click.UsageError(f"{way} needs --client-id")


def _first_fields(grant: OAuth1Grant) -> dict[str, Any]:
    return {"kind": "oauth1", "application": grant.consumer, "until": None, "account": {"id": grant.account}}


def _kind_fields(grant: OAuth2Grant | None) -> dict[str, Any]:
    """Return the fields of `--json` about the kind of a token."""
    if grant is None:
        return {"kind": "token"}
    return {
        "kind": "oauth2",
        "application": grant.client_id,
        "until": grant.until.isoformat() if grant.until is not None else None,
    }


def _kind_text(grant: OAuth2Grant | None) -> str:
    if grant is None:
        return "It is a personal token."
    until = f"valid until {grant.until:%Y-%m-%d %H:%M:%S} UTC" if grant.until is not None else "without expiry"
    then = ", and then refreshed" if grant.until is not None and grant.refresh_token else ""
    return f"It is an OAuth 2 sign-in of {grant.account} through the application {grant.client_id}, {until}{then}."


def _read_token(common: GlobalOptions, context: Context) -> tokens.Token:
    """Read the token from --token-file, a prompt or stdin. Raises NoToken, UsageError."""
    if common.token_file is not None:
        return _find(common, context).token
    if sys.stdin is None:
        raise NoToken("no token on stdin")
    if sys.stdin.isatty():
        text = ask_secret(f"Token for {context.endpoint}")
    else:
        text = read_stdin_line().decode("utf-8-sig", "replace")
    if not text.strip():
        raise NoToken("no token was given", hint="Create one at figshare.com/account/applications.")
    return tokens.Token(text, origin="the input")


def _store(text: str, endpoint: str) -> str:
    """Store a token or a grant; return the place, and what takes precedence."""
    where = tokens.store_text(text, endpoint=endpoint, config_dir=tokens.default_config_dir())
    return where + tokens.precedence_note(os.environ)


def _find(common: GlobalOptions, context: Context) -> tokens.FoundToken:
    return tokens.find_token(
        token_file=common.token_file,
        endpoint=context.endpoint,
        environ=os.environ,
        config_dir=tokens.default_config_dir(),
    )


def _account_fields(account: Account) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.to_builtins(account)
    return {"account": fields}


def _name(account: Account) -> str:
    name = printable(f"{account.first_name} {account.last_name}".strip())
    return f"{name or 'account'} {f'<{printable(account.email)}>' if account.email else f'({account.id})'}"


@auth.command("status", cls=FigupCommand, epilog=ENVIRONMENT)
@common_options
def status(common: GlobalOptions) -> int:
    """Show the owner and kind of the token, and the free quota.

    Also shows where it is stored, and until when a sign-in with OAuth is valid.
    """
    with open_context(common) as context:
        first = _find_first(context)
        try:
            found = (
                tokens.FoundToken(tokens.Token(context.token), "the sandbox's folder")
                if context.token
                else _find(common, context)
            )
        except NoToken:
            if first is None or common.token_file is not None:
                raise
            return run(common, functools.partial(_show_first, *first))
        given = found.token.reveal() if found.grant is None else None
        client = context.client(retry=INTERACTIVE_RETRY, token=given)

        async def work(session: Session) -> int:
            try:
                async with client:
                    account = await client.account(on_event=Display(session.console, None).show)
            except FigupError:
                _show_token(session, context.endpoint, found)
                raise
            # A sign-in may have been refreshed.
            now = await in_thread(_find, common, context) if found.grant is not None else found
            _show_token(session, context.endpoint, now)
            session.console.event("account", **_account_fields(account)["account"])
            session.console.result(f"It is valid and belongs to {_name(account)}.\n{_quota_text(account)}")
            return await _show_first(*first, session) if first is not None else 0

        return run(common, work)


def _show_token(session: Session, endpoint: str, found: tokens.FoundToken) -> None:
    session.console.event("token", endpoint=endpoint, origin=found.origin, **_kind_fields(found.grant))
    session.console.result(f"The token for {endpoint} is in {found.origin}.")
    session.console.result(_kind_text(found.grant))


def _find_first(context: Context) -> tuple[OAuth1Grant, str] | None:
    """Return the sign-in at the first API, and where it is stored; None for none."""
    if not context.endpoint.endswith("/v2"):
        return None
    return tokens.find_first_grant(endpoint=first_endpoint(context.endpoint), config_dir=tokens.default_config_dir())


async def _show_first(grant: OAuth1Grant, origin: str, session: Session) -> int:
    session.console.event("token", origin=origin, **_first_fields(grant))
    session.console.result(
        f"The OAuth 1 sign-in at the first API is in {origin}. It is of account {grant.account} through the "
        f"application {grant.consumer}, without expiry."
    )
    return 0


def _quota_text(account: Account) -> str:
    if account.quota is None or account.used_quota is None:
        return "Free space: not reported by the account."
    left = units.format_bytes(max(0, account.quota - account.used_quota))
    text = f"Free space: {left} of {units.format_bytes(account.quota)}."
    if account.maximum_file_size is not None:
        text += f" Maximum file size: {units.format_bytes(account.maximum_file_size)}."
    return text


@auth.command("logout", cls=FigupCommand, epilog=ENVIRONMENT)
@common_options
def logout(common: GlobalOptions) -> int:
    """Remove the stored token for this endpoint from this machine.

    The token stays valid; revoke it at figshare.com/account/applications.
    """
    if common.sandbox:
        raise UsageError("a sandbox's token is not stored by `figup auth login`, and needs no logout")
    with open_context(common) as context:

        async def work(session: Session) -> int:
            gone = await in_thread(_forget, context.endpoint)
            left = [f"the environment variable {tokens.VARIABLE}"] if tokens.VARIABLE in os.environ else []
            session.console.event("logout", endpoint=context.endpoint, removed=gone, left=left)
            where = f"removed from {' and '.join(gone)}" if gone else "not stored on this machine"
            session.console.result(f"The token for {context.endpoint} was {where}.")
            if left:
                session.console.result(f"{left[0]} still holds a token, which commands will use.")
            return 0

        return run(common, work)


def _forget(endpoint: str) -> list[str]:
    """Delete the token and the sign-in at the first API; return the places they were in."""
    folder = tokens.default_config_dir()
    places = tokens.forget_token(endpoint=endpoint, config_dir=folder)
    if endpoint.endswith("/v2"):
        places += tokens.forget_token(endpoint=first_endpoint(endpoint), config_dir=folder)
    return list(dict.fromkeys(places))
