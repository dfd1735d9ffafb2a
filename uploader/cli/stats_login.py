"""`figup stats login`, `status` and `logout`: an institution's name and password for the statistics service."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from uploader.cli.confirm import ask_secret
from uploader.cli.options import ENVIRONMENT, FigupCommand, GlobalOptions, common_options, with_options
from uploader.cli.runner import Session, run
from uploader.cli.source_options import read_stdin_line
from uploader.cli.stats import stats
from uploader.cli.stats_service import SCOPE, SERVICE, Service, open_service, with_service
from uploader.concurrency import in_thread
from uploader.errors import UsageError

__all__ = ["stats"]


@stats.command("login", cls=FigupCommand, epilog=ENVIRONMENT)
@click.argument("scope", metavar="INST", type=SCOPE)
@click.option("--user", metavar="NAME", help="The name.  [default: asked for on a terminal]")
@(lambda command: with_options(command, SERVICE))
@common_options
def login(scope: str, user: str | None, common: GlobalOptions, **values: Any) -> int:
    """Check and store the name and password of an institution.

    Figshare's support gives them to institutions. The password is asked for without echo, or read from stdin; it is
    kept like the token, and sent to the statistics service only.
    """
    if common.sandbox:
        raise UsageError("a sandbox's statistics need no login")
    name, password = _read(scope, user)

    async def work(session: Session, service: Service) -> int:
        from uploader.catalog.statistics import logins
        from uploader.figshare.auth import default_config_dir

        # Totals need no password; a ranking does.
        await service.api.top("views", "article", 1, scope=scope)
        where = await in_thread(
            lambda: logins.store(entered, service.api.endpoint, scope, config_dir=default_config_dir())
        )
        session.console.event("login", endpoint=service.api.endpoint, institution=scope, stored=where)
        session.console.result(f"The name and password for {scope} are valid. They are in {where}.")
        return 0

    from uploader.figshare.statistics_api import credential

    entered = credential(name, password)
    return with_service(common, work, {**values, "scope": scope}, login=entered)


def _read(scope: str, user: str | None) -> tuple[str, str]:
    """Return name and password from a terminal or stdin. Raises UsageError."""
    if sys.stdin is None:
        raise UsageError("no password on stdin")
    if sys.stdin.isatty():
        name = user or click.prompt(f"Name for {scope}", default=scope, err=True)
        password = ask_secret(f"Password for {scope}")
    else:
        name = user or scope
        password = read_stdin_line().decode("utf-8-sig", "replace").rstrip("\r\n")
    if not password:
        raise UsageError("no password was given")
    if ":" in name:
        raise UsageError("a name must not contain a colon")
    return name, password


@stats.command("status", cls=FigupCommand, epilog=ENVIRONMENT)
@click.argument("scope", metavar="INST", type=SCOPE)
@(lambda command: with_options(command, SERVICE))
@common_options
def status(scope: str, common: GlobalOptions, **values: Any) -> int:
    """Check the stored name and password of an institution."""

    async def work(session: Session, service: Service) -> int:
        await service.api.top("views", "article", 1, scope=scope)
        session.console.event("login", endpoint=service.api.endpoint, institution=scope, valid=True)
        session.console.result(f"The name and password for {scope} are valid at {service.api.endpoint}.")
        return 0

    return with_service(common, work, {**values, "scope": scope})


@stats.command("logout", cls=FigupCommand, epilog=ENVIRONMENT)
@click.argument("scope", metavar="INST", type=SCOPE)
@(lambda command: with_options(command, SERVICE))
@common_options
def logout(scope: str, common: GlobalOptions, **values: Any) -> int:
    """Remove the name and password of an institution."""
    with open_service(common, values["stats_endpoint"]) as (_, endpoint):

        async def work(session: Session) -> int:
            from uploader.catalog.statistics import logins
            from uploader.figshare.auth import default_config_dir

            gone = await in_thread(lambda: logins.forget(endpoint, scope, config_dir=default_config_dir()))
            left = [name for name in (logins.USER, logins.PASSWORD_FILE) if name in os.environ]
            session.console.event("logout", endpoint=endpoint, institution=scope, removed=gone, left=left)
            where = f"removed from {' and '.join(gone)}" if gone else "not stored on this machine"
            session.console.result(f"The name and password for {scope} were {where}.")
            if left:
                session.console.result(f"{' and '.join(left)} are still set, and commands will use them.")
            return 0

        return run(common, work)
