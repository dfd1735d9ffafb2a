"""`figup auth`: store, check and remove the token."""

from __future__ import annotations

import contextlib
import getpass
import os
import sys
from typing import Any

import anyio.to_thread
import click
import msgspec

from uploader import units
from uploader.cli.context import INTERACTIVE_RETRY, Context, open_context
from uploader.cli.options import ENVIRONMENT, FigupCommand, GlobalOptions, common_options
from uploader.cli.output.progress import Display
from uploader.cli.runner import Session, run
from uploader.cli.source_options import read_stdin_line
from uploader.errors import NoToken, UsageError
from uploader.figshare import auth as tokens
from uploader.figshare.models import Account
from uploader.text import printable

LOGIN_HELP = """\b
Examples:
  figup auth login                        prompts for it, without echo
  figup auth login < token.txt            reads it
  pass figshare | figup auth login

"""


@click.group("auth")
def auth() -> None:
    """Store, check and remove the token.

    Create one at figshare.com/account/applications ("Create Personal Token").
    """


@auth.command("login", cls=FigupCommand, epilog=LOGIN_HELP + ENVIRONMENT, context_settings={"allow_extra_args": True})
@common_options
@click.pass_context
def login(context: click.Context, common: GlobalOptions) -> int:
    """Check a token and store it for this endpoint.

    It is prompted for without echo, or read from stdin. It is stored in the keyring if the package "keyring" is
    installed and works, otherwise in a file that only you can read.
    """
    if context.args:
        # click's own error would show the token.
        raise click.UsageError("the token is not given on the command line; it is prompted for, or read from stdin")
    if common.sandbox:
        raise UsageError("a sandbox needs no login: --sandbox finds its token in its folder")
    with open_context(common) as at:
        token = _read_token(common, at)
        client = at.client(retry=INTERACTIVE_RETRY, token=token.reveal())

        async def work(session: Session) -> int:
            async with client:
                account = await client.account(on_event=Display(session.console, None).show)
            where = await anyio.to_thread.run_sync(_store, token, at.endpoint)
            session.console.event("login", endpoint=at.endpoint, stored=where, **_account_fields(account))
            session.console.result(f"Logged in at {at.endpoint} as {_name(account)}. The token is in {where}.")
            return 0

        return run(common, work)


def _read_token(common: GlobalOptions, context: Context) -> tokens.Token:
    """Read the token from --token-file, a prompt or stdin. Raises NoToken, UsageError."""
    if common.token_file is not None:
        return _find(common, context).token
    if sys.stdin is None:
        raise NoToken("no token on stdin")
    if sys.stdin.isatty():
        text = ""
        with contextlib.suppress(EOFError, UnicodeDecodeError):
            text = getpass.getpass(f"Token for {context.endpoint} (it is not shown): ", sys.stderr)
    else:
        text = read_stdin_line().decode("utf-8-sig", "replace")
    if not text.strip():
        raise NoToken("no token was given", hint="Create one at figshare.com/account/applications.")
    return tokens.Token(text, origin="the input")


def _store(token: tokens.Token, endpoint: str) -> str:
    return tokens.store_token(token, endpoint=endpoint, config_dir=tokens.default_config_dir(), environ=os.environ)


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
    """Show where the token is stored, whose it is, and the free quota."""
    with open_context(common) as context:
        found = (
            tokens.FoundToken(tokens.Token(context.token), "the sandbox's folder")
            if context.token
            else _find(common, context)
        )
        client = context.client(retry=INTERACTIVE_RETRY, token=found.token.reveal())

        async def work(session: Session) -> int:
            session.console.event("token", endpoint=context.endpoint, origin=found.origin)
            session.console.result(f"The token for {context.endpoint} is in {found.origin}.")
            async with client:
                account = await client.account(on_event=Display(session.console, None).show)
            session.console.event("account", **_account_fields(account)["account"])
            session.console.result(f"It works, as {_name(account)}.\n{_quota_text(account)}")
            return 0

        return run(common, work)


def _quota_text(account: Account) -> str:
    if account.quota is None or account.used_quota is None:
        return "Free space: not reported by the account."
    left = units.format_bytes(max(0, account.quota - account.used_quota))
    text = f"Room: {left} of {units.format_bytes(account.quota)} left."
    if account.maximum_file_size is not None:
        text += f" One file may have {units.format_bytes(account.maximum_file_size)}."
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
            gone = await anyio.to_thread.run_sync(_forget, context.endpoint)
            left = [f"the environment variable {tokens.VARIABLE}"] if tokens.VARIABLE in os.environ else []
            session.console.event("logout", endpoint=context.endpoint, removed=gone, left=left)
            where = f"removed from {' and '.join(gone)}" if gone else "not stored on this machine"
            session.console.result(f"The token for {context.endpoint} was {where}.")
            if left:
                session.console.result(f"{left[0]} still holds a token, which commands will use.")
            return 0

        return run(common, work)


def _forget(endpoint: str) -> list[str]:
    return tokens.forget_token(endpoint=endpoint, config_dir=tokens.default_config_dir())
