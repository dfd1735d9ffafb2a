"""Run a command: event loop, signals, console, log, and the one place where it ends."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import anyio
import anyio.to_thread
import msgspec

from uploader.cli.context import INTERACTIVE_RETRY, Context, job_store, open_context
from uploader.cli.errors import Failure, failure_of
from uploader.cli.options import GlobalOptions
from uploader.cli.output.console import Console, Summary
from uploader.cli.output.logging_setup import start_logging
from uploader.cli.output.progress import Display
from uploader.cli.output.rows import FileRows, row_with_hint
from uploader.cli.signals import Signals
from uploader.cli.startup import ASKING, STOPPING, is_ours
from uploader.errors import FigupError, Interrupted, OutputLost, TokenRejected
from uploader.transfer.report import Report, RunFailed

if TYPE_CHECKING:
    from uploader.figshare.client import Figshare
    from uploader.figshare.ids import Reference
    from uploader.figshare.models import ItemDetail
    from uploader.transfer.options import RequestOptions

log = logging.getLogger("uploader.cli")

_SIGNALS = {signal.SIGINT, *STOPPING, *ASKING}
FINAL_OUTPUT = 0.3
"""Seconds allowed for the last line before the process is ended."""


class Session(msgspec.Struct, kw_only=True):
    """The context of a running command."""

    common: GlobalOptions
    console: Console
    signals: Signals
    summary: Summary
    scope: anyio.CancelScope
    resumable: bool = False
    """The command can be continued by rerunning it, although it has no job."""
    report_written: bool = False
    """True once the work on Figshare is done, whether or not the output can be written."""

    def created(self, item_id: int, finishable: bool) -> None:
        """Note the item that the command created, and whether its next run can finish it."""
        self.summary.item_id, self.resumable = item_id, finishable

    def add_report(self, report: Report) -> None:
        """Copy the report into the summary."""
        self.report_written = True
        fields: dict[str, Any] = msgspec.to_builtins(msgspec.structs.replace(report, files=()))
        to_row = partial(row_with_hint, repeated=self.common.repeated)
        fields["files"] = FileRows(report.files, to_row)
        for name in fields.keys() & set(self.summary.__struct_fields__):
            setattr(self.summary, name, fields[name])


Work = Callable[[Session], Awaitable[int]]


def run(common: GlobalOptions, work: Work, *, remark: str | None = None) -> int:
    """Run the work on its own event loop, report errors and the summary, and return the exit status.

    `remark` is printed at the end if an item's address was printed; None for nothing.

    Raises UsageError before any work if the log cannot be written.
    """
    with _masked_signals():
        # The output thread inherits the mask, so that it never receives a signal while the loop is being created.
        console = Console(json=common.json, quiet=common.quiet, color=not common.no_color, repeated=common.repeated)
        start_logging(common.verbose, common.log_file, console.output.err)
        return anyio.run(_supervised, common, console, work, remark)


@contextmanager
def _masked_signals() -> Iterator[None]:
    """Defer signals while the event loop is created and ignore them while the loop is closed: see `_supervised`."""
    before = {signum: signal.getsignal(signum) for signum in _SIGNALS}
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        # This drops pending ones.
        _ignore_signals()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        for signum, handler in before.items():
            # All is done by now, so nothing is left to stop before it began.
            if handler is not None and not is_ours(handler):
                signal.signal(signum, handler)


def _ignore_signals() -> None:
    for signum in _SIGNALS:
        signal.signal(signum, signal.SIG_IGN)


async def _supervised(common: GlobalOptions, console: Console, work: Work, remark: str | None) -> int:
    started = time.monotonic()
    summary = Summary()
    asyncio.get_running_loop().set_exception_handler(_log_unhandled)

    def final_output(status: int) -> None:
        hint = None if summary.job is not None else ""
        error = Interrupted("stopped without waiting for a blocked operation", hint=hint)
        console.failure(failure_of(error, job=summary.job, repeated=common.repeated))
        summary.exit_status, summary.seconds = status, round(time.monotonic() - started, 3)
        console.summary(summary)
        console.output.drain(FINAL_OUTPUT)

    scope = anyio.CancelScope()
    with Signals(scope, console.note, console.output.end_echo, final_output) as signals:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        session = Session(common=common, console=console, signals=signals, summary=summary, scope=scope)
        status = await _run_reporting_errors(session, work)
        summary.exit_status = status
        summary.seconds = summary.seconds or round(time.monotonic() - started, 3)
        if remark is not None and console.showed_address:
            console.note(remark)
        console.ended(summary)
        console.summary(summary)
        await anyio.to_thread.run_sync(console.output.drain)
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    # Worker threads do not have this mask.
    _ignore_signals()
    if status == 0 and console.output.truncated and not session.report_written:
        return OutputLost.exit_status
    return status


async def _run_reporting_errors(session: Session, work: Work) -> int:
    """Run the work, report its error and return the exit status."""
    repeated = session.common.repeated
    try:
        with session.scope:
            return await work(session)
        ended: Exception = _stopped(session)
    except FigupError as error:
        if isinstance(error, RunFailed):
            session.add_report(error.report)
        session.console.report_failures([failure_of(cause, repeated=repeated) for cause in error.causes])
        ended = error
    except Exception as error:
        log.debug("internal error", exc_info=error)
        ended = error
    job, begun = session.summary.job, session.summary.item_id is not None
    if job is not None and not begun:
        begun = await anyio.to_thread.run_sync(job_store(session.common).folder(job).exists)
        # A job that has created nothing is not kept.
        session.summary.job = job if begun else None
    known = job if session.summary.item_id is not None else None
    kept = job is not None or session.resumable
    failure = failure_of(ended, job=known, kept=kept, begun=begun or job is None, repeated=repeated)
    session.console.failure(failure)
    return _status(session, failure)


def _stopped(session: Session) -> Interrupted:
    if session.summary.job is not None:
        return Interrupted("stopped before everything was done")
    if session.resumable:
        return Interrupted("stopped before everything was done", hint="Run the same command again to continue.")
    return Interrupted("stopped", hint="")


def _status(session: Session, failure: Failure) -> int:
    if failure.code == Interrupted.code and session.signals.received is not None:
        return session.signals.exit_status
    return failure.exit_status


def _log_unhandled(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log errors that asyncio cannot deliver instead of printing a traceback."""
    log.debug("%s", context.get("message"), exc_info=context.get("exception"))


OnFigshare: TypeAlias = "Callable[[Session, Figshare], Awaitable[int]]"
OnContext: TypeAlias = "Callable[[Session, Context, Figshare], Awaitable[int]]"
OnItem: TypeAlias = "Callable[[Session, Figshare, ItemDetail], Awaitable[int]]"


def on_figshare(
    common: GlobalOptions, work: OnFigshare, *, anonymous: bool = False, requests: RequestOptions | None = None
) -> int:
    """Run the work with a Figshare client. `anonymous`: a token is used only if there is one.

    `requests` of a command that reads much: what fails or is throttled is repeated for as long as they say.
    """

    async def without_context(session: Session, _: Context, api: Figshare) -> int:
        return await work(session, api)

    return on_context(common, without_context, anonymous=anonymous, requests=requests)


def on_context(
    common: GlobalOptions, work: OnContext, *, anonymous: bool = False, requests: RequestOptions | None = None
) -> int:
    """Run the work as `on_figshare` does, with the context that the command line describes."""
    with open_context(common) as context:
        client = context.client(
            requests=requests, retry=INTERACTIVE_RETRY if requests is None else None, anonymous=anonymous
        )

        async def connected(session: Session) -> int:
            patience = requests.retry_timeout if requests is not None else INTERACTIVE_RETRY.elapsed_cap
            display = Display(session.console, None, patience=patience)
            async with client:
                with client.figshare(display.show) as api, reading_public(anonymous=anonymous):
                    return await work(session, context, api)

        return run(common, connected, remark=context.remark)


@contextmanager
def reading_public(*, anonymous: bool) -> Iterator[None]:
    """Let a rejected token be reported as one that is not needed for public records, if that is so."""
    try:
        yield
    except TokenRejected as error:
        if not anonymous or error.facts.situation not in ("", error.code):
            raise
        raise error.with_context(situation="token-refused-reading") from error


def on_item(common: GlobalOptions, reference: Reference, work: OnItem) -> int:
    """Run the work on an existing item."""

    async def found(session: Session, api: Figshare) -> int:
        from uploader.items.identify import identify

        item = await api.items.detail(await identify(api, reference))
        session.summary.item_id, session.summary.item_url = item.id, item.url or None
        return await work(session, api, item)

    return on_figshare(common, found)
