"""Run an upload or resume: from the notices of the client to the summary for a person."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from uploader.cli.output.progress import display_for
from uploader.cli.output.summary import summary_text
from uploader.cli.report_files import ReportOptions, write_outputs
from uploader.cli.runner import Session
from uploader.text import printable
from uploader.transfer import notices as no
from uploader.transfer.client import Client
from uploader.transfer.report import Report, RunFailed

Act = Callable[[no.Listener], Awaitable[Report]]


class JobObserver:
    """Follows a job: tells the display, and the summary what must be known should the job not come to its end."""

    def __init__(self, session: Session, client: Client, grace: float, *, say_title: bool) -> None:
        self.begun = False
        self._session = session
        self._client = client
        self._grace = grace
        self._say_title = say_title
        self._connections = 0
        self._display = display_for(session.console, no_progress=session.common.no_progress)
        session.signals.in_flight = lambda: self._connections
        session.signals.toggle_limit = client.toggle_limit
        session.signals.progress = self._display.in_one_line

    def __call__(self, notice: no.AnyNotice) -> None:
        summary = self._session.summary
        if isinstance(notice, no.JobStarted):
            self.begun = True
            summary.job, summary.bytes_total = notice.job, notice.bytes_total
            # Before this, there is nothing that a signal could stop in good order.
            self._session.signals.in_good_order(self._client.stop, self._grace)
            if self._say_title and notice.title is not None and not notice.resumed:
                text = f'the new item is called "{printable(notice.title)}"; --title gives it another title'
                self._session.console.note(text)
        elif isinstance(notice, no.ItemKnown):
            summary.item_id, summary.item_url = notice.item_id, notice.item_url
        elif isinstance(notice, no.Progress):
            self._connections = notice.connections
        self._display.take(notice)

    def close(self) -> None:
        """The job is over, one way or another."""
        self._session.signals.in_good_order(None)
        self._display.close()


async def send(
    session: Session,
    client: Client,
    grace: float,
    act: Act,
    accounting: ReportOptions,
    *,
    say_title: bool = False,
) -> int:
    """Run a job to its end, show how it goes, say what came of it, and account for it."""
    narrator = JobObserver(session, client, grace, say_title=say_title)
    report: Report | None = None
    try:
        async with client:
            report = await act(narrator)
    except RunFailed as failure:
        report = failure.report
        raise
    finally:
        narrator.close()
        if report is not None:
            session.take(report)
            # Of one file that failed, the error says it all.
            if not session.console.quiet and (report.exit_status == 0 or len(report.files) > 1):
                session.console.result(summary_text(report, sent_before=not narrator.begun))
            await write_outputs(session, accounting, report)
    return 0
