"""Which statistics service a command uses, and with which credentials."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from uploader.catalog.rows import FORMATS, check_ending
from uploader.cli import stats_plot
from uploader.cli.context import INTERACTIVE_RETRY, Context, open_context, state_dir
from uploader.cli.options import GlobalOptions, grouped
from uploader.cli.output.progress import Display
from uploader.cli.parameters import ParsedParam
from uploader.cli.prices import HostCost, noting_requests, show_long_price
from uploader.cli.runner import Session, run
from uploader.cli.stats_output import check_output
from uploader.concurrency import in_thread
from uploader.errors import Facts, FigupError, ProtocolViolation, RecordsMissing, RequestRejected, ServerFailing
from uploader.figshare.ids import parse_portal
from uploader.units import format_count

if TYPE_CHECKING:
    from uploader.catalog.kept import ResponseCache
    from uploader.catalog.statistics.counting import Counting
    from uploader.figshare.auth import Token
    from uploader.figshare.ids import Kind as RecordKind
    from uploader.figshare.ids import Reference
    from uploader.figshare.statistics_api import StatisticsApi, StatsKind
    from uploader.items.identify import DoiKind
    from uploader.transfer.client import Client
    from uploader.transfer.options import RequestOptions

VARIABLE = "FIGSHARE_STATS_ENDPOINT"
_MAX_FAILING = 3
"""Records in a row for which the service may fail; then it is down."""
_SANDBOX_PASSWORD = "statistics"  # noqa: S105 - of every sandbox, and documented


@dataclass(frozen=True, kw_only=True)
class Service:
    """A session with the statistics service, and a way to Figshare itself, which alone knows DOIs."""

    api: StatisticsApi
    scope: str | None
    open_client: Callable[[], Client]

    @asynccontextmanager
    async def counting(
        self,
        session: Session,
        kind: str,
        numbers: Sequence[int],
        each: int | None = None,
        *,
        then: Sequence[HostCost] = (),
    ) -> AsyncIterator[Counting]:
        """Yield what counts. If the block fails, the same command continues with the responses received so far.

        `each` is the number of requests about a record, None: one if the service can combine the counters. `then` is
        what the command asks other services afterwards: one price is shown for all.
        """
        from uploader.catalog.statistics.answers import CachedService
        from uploader.catalog.statistics.counting import Counting

        async with cached_responses(session, "statistics", [self.api.endpoint, self.scope, kind, numbers]) as kept:
            left = max(0, len(numbers) * (each or 1) - len(kept))
            cost = HostCost.of(self.api, left, more=each is None)
            show_long_price(session, len(numbers), [cost, *then], in_turn=True)
            yield Counting(CachedService(self.api, kept), self.scope)

    async def identify(self, session: Session, references: Sequence[Reference], kind: DoiKind) -> list[int]:
        """Return the ids of records. Asks Figshare only for DOIs without an id in them. Raises ItemNotFound."""
        from uploader.items.identify import identify

        found = [one for one in references if isinstance(one, int)]
        if len(found) == len(references):
            return found
        async with await in_thread(self.open_client) as client:
            with client.figshare(Display(session.console, None).show) as figshare:
                return [await identify(figshare, one, kind) for one in references]

    async def not_public(self, kind: RecordKind, numbers: Sequence[int]) -> list[int]:
        """Return those of these records that are not public, or do not exist at all; none if that cannot be asked."""
        from uploader.errors import FigupError, ItemNotFound

        missing = []
        with suppress(FigupError):
            async with await in_thread(self.open_client) as client:
                with client.figshare() as figshare:
                    for number in numbers:
                        try:
                            await figshare.records.record(kind, number, public=True)
                        except ItemNotFound:
                            missing.append(number)
        return missing


class Uncounted:
    """The records whose events could not be counted: they do not stop the others, and are reported at the end."""

    def __init__(self, session: Session, kind: StatsKind) -> None:
        from uploader.catalog.failures import Failures

        self._session, self._kind = session, kind
        self._failures = Failures(None, _MAX_FAILING)
        self._errors: dict[int, FigupError] = {}
        self._counted = False

    @asynccontextmanager
    async def skipping(self, number: int) -> AsyncIterator[None]:
        """Note a failure of the block that concerns this record alone. Raises what concerns all records."""
        try:
            yield
        except (ServerFailing, ProtocolViolation, RequestRejected) as error:
            await self._failures.accept(error)
            self._errors[number] = error
        else:
            self._failures.reset()
            self._counted = True

    def report(self) -> None:
        """Name the records that were not counted, before any file is written.

        Raises transient errors, since a rerun may count all, and any error if nothing was counted.
        """
        failed = [{"kind": self._kind, "id": number, "message": one.message} for number, one in self._errors.items()]
        self._session.summary.records = {"failed": failed}
        for number, error in self._errors.items():
            self._session.console.note(f"{number} was not counted: {error.message}")
        for error in self._errors.values():
            if isinstance(error, ServerFailing) or not self._counted:
                raise error

    def check(self) -> None:
        """Raise RecordsMissing if some were not counted."""
        if self._errors:
            text = f"{format_count(len(self._errors), 'record')} could not be counted"
            again = "Run the same command again to count them, with --force if it writes files."
            raise RecordsMissing(text, hint=again, facts=Facts("rows-unread"))


Work = Callable[[Session, Service], Awaitable[int]]


@asynccontextmanager
async def cached_responses(session: Session, kind: str, asked: object) -> AsyncIterator[ResponseCache]:
    """Yield the responses to earlier runs of the same command; they are kept if the block fails."""
    from uploader.catalog.kept import ResponseCache
    from uploader.catalog.report.make import FOLDER

    kept = ResponseCache(state_dir(session.common) / FOLDER, kind, asked)
    await in_thread(kept.load)
    session.resumable = True
    yield kept
    await in_thread(kept.remove)


SCOPE = ParsedParam("institution", parse_portal)


def service_option(group: str) -> Any:
    """Return the option that names the service, in this group of the help."""
    return grouped(group)(
        "--stats-endpoint", metavar="URL", envvar=VARIABLE, show_envvar=True,
        help="The statistics service.  [default: Figshare's]",
    )  # fmt: skip


SERVICE = [service_option("Which")]


@contextmanager
def open_service(common: GlobalOptions, given: str | None) -> Iterator[tuple[Context, str]]:
    """Yield the context and the address of the statistics service that belongs to it. Raises UsageError."""
    with open_context(common) as context:
        yield context, service_endpoint(context, given)


def service_endpoint(context: Context, given: str | None) -> str:
    """Return the address of the statistics service that belongs to a context. Raises UsageError."""
    from uploader.catalog.statistics.session import endpoint_for

    chosen = context.stats_endpoint if context.common.sandbox else given
    return endpoint_for(context.endpoint, chosen, insecure_http=context.common.insecure_http)


@asynccontextmanager
async def open_statistics(
    session: Session,
    context: Context,
    endpoint: str,
    scope: str | None,
    requests: RequestOptions | None,
    login: Token | None = None,
) -> AsyncIterator[StatisticsApi]:
    """Yield a session with the statistics service. `login` is used instead of a stored one."""
    from uploader.figshare.statistics_api import StatisticsApi

    if login is not None and scope is not None:
        found = {scope: login}
    else:
        found = await in_thread(lambda: find_logins(context, endpoint, scope))
    retry = INTERACTIVE_RETRY if requests is None else None
    settings = replace(context.settings(requests, retry=retry), impersonate=None)
    api = StatisticsApi(endpoint, settings, found, on_retry=lambda reason, delay: session.console.note(
        f"{reason}; trying again in {delay:.0f} s"))  # fmt: skip
    try:
        yield api
    finally:
        await api.close()


def with_service(
    common: GlobalOptions,
    work: Work,
    values: dict[str, Any],
    plot: Path | None = None,
    *,
    login: Token | None = None,
    requests: RequestOptions | None = None,
) -> int:
    """Run the work with a session. `login` is used instead of a stored one; `plot` is a file to be drawn.

    Files that cannot be written are refused before the first request.
    """
    if plot is not None:
        stats_plot.check_format(plot)
        check_output(plot, replace=values["force"])
    if (table := values.get("output")) is not None:
        check_ending(table, FORMATS)
        check_output(table, replace=values["force"])
    with open_service(common, values["stats_endpoint"]) as (context, endpoint):

        async def connected(session: Session) -> int:
            scope = values.get("scope")
            retry = INTERACTIVE_RETRY if requests is None else None
            async with open_statistics(session, context, endpoint, scope, requests, login) as api:
                with noting_requests(session, api):
                    return await work(session, Service(
                        api=api, scope=scope,
                        open_client=lambda: context.client(requests=requests, retry=retry, anonymous=True),
                    ))  # fmt: skip

        return run(common, connected)


def find_logins(context: Context, endpoint: str, scope: str | None) -> dict[str, Token]:
    from uploader.catalog.statistics import logins
    from uploader.figshare.auth import default_config_dir
    from uploader.figshare.statistics_api import credential

    if context.common.sandbox and scope is not None:
        return {scope: credential(scope, _SANDBOX_PASSWORD)}
    return logins.find(endpoint, scope, environ=os.environ, config_dir=default_config_dir())
