"""Which statistics service a command uses, and with which credentials."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from uploader.cli import stats_plot
from uploader.cli.context import INTERACTIVE_RETRY, Context, open_context
from uploader.cli.options import GlobalOptions, ParsedParam, grouped
from uploader.cli.runner import Session, run
from uploader.concurrency import in_thread

if TYPE_CHECKING:
    from uploader.catalog.statistics.counting import Counting
    from uploader.figshare.auth import Token
    from uploader.figshare.statistics_api import StatisticsApi
    from uploader.transfer.options import RequestOptions

VARIABLE = "FIGSHARE_STATS_ENDPOINT"
_SANDBOX_PASSWORD = "statistics"  # noqa: S105 - of every sandbox, and documented
Work = Callable[[Session, "StatisticsApi", "Counting"], Awaitable[int]]


def _scope(text: str) -> str:
    if not text or not all(one.isascii() and (one.isalnum() or one in "-_") for one in text):
        raise ValueError(f"invalid institution {text!r}; use its word, as X in X.figshare.com")
    return text.lower()


SCOPE = ParsedParam("institution", _scope)
_which = grouped("Which")
SERVICE = [
    _which("--stats-endpoint", metavar="URL", envvar=VARIABLE, show_envvar=True,
           help="The statistics service.  [default: Figshare's]"),
]  # fmt: skip


@contextmanager
def service(common: GlobalOptions, given: str | None) -> Iterator[tuple[Context, str]]:
    """Yield the context and the address of the statistics service that belongs to it. Raises UsageError."""
    from uploader.catalog.statistics.session import endpoint_for

    with open_context(common) as context:
        chosen = context.stats_endpoint if common.sandbox else given
        yield context, endpoint_for(context.endpoint, chosen, insecure_http=common.insecure_http)


def with_service(
    common: GlobalOptions,
    work: Work,
    values: dict[str, Any],
    plot: Path | None = None,
    *,
    login: Token | None = None,
    requests: RequestOptions | None = None,
) -> int:
    """Run the work with a session. `login` is used instead of a stored one; `plot` is a file to be drawn."""
    if plot is not None:
        stats_plot.check_format(plot)
    with service(common, values["stats_endpoint"]) as (context, endpoint):

        async def connected(session: Session) -> int:
            from uploader.catalog.statistics.counting import Counting
            from uploader.figshare.statistics_api import StatisticsApi

            scope = values.get("scope")
            if login is not None and scope is not None:
                found = {scope: login}
            else:
                found = {} if scope is None else await in_thread(lambda: find_logins(context, endpoint, scope))
            settings = context.settings(requests, retry=INTERACTIVE_RETRY if requests is None else None)
            settings = replace(settings, impersonate=None)
            api = StatisticsApi(endpoint, settings, found, on_retry=lambda reason, delay: session.console.note(
                f"{reason}; trying again in {delay:.0f} s"))  # fmt: skip
            try:
                return await work(session, api, Counting(api, scope))
            finally:
                await api.close()

        return run(common, connected)


def find_logins(context: Context, endpoint: str, scope: str) -> dict[str, Token]:
    from uploader.catalog.statistics import logins
    from uploader.figshare.auth import default_config_dir
    from uploader.figshare.statistics_api import credential

    if context.common.sandbox:
        return {scope: credential(scope, _SANDBOX_PASSWORD)}
    found = logins.find(endpoint, scope, environ=os.environ, config_dir=default_config_dir())
    return {} if found is None else {scope: found.token}
