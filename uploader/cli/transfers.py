"""Transfers: what `upload` and `resume` have in common, from the client's notices to the summary for a person."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from uploader.cli import units
from uploader.cli.displays import display_for
from uploader.cli.running import Session
from uploader.transfer import notices as no
from uploader.transfer.client import Client
from uploader.transfer.report import FileReport, Report
from uploader.transfer.source import shown

Act = Callable[[no.Listener], Awaitable[Report]]


class Narrator:
    """Follows a job: tells the display, and the summary what must be known should the job not come to its end."""

    def __init__(self, session: Session, client: Client, grace: float, on_new_job: Callable[[], None]) -> None:
        self.begun = False
        self._session = session
        self._client = client
        self._grace = grace
        self._on_new_job = on_new_job
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
            if not notice.resumed:
                self._on_new_job()
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
    session: Session, client: Client, grace: float, act: Act, *, on_new_job: Callable[[], None] = lambda: None
) -> int:
    """Run a job to its end, show how it goes, and say what came of it."""
    narrator = Narrator(session, client, grace, on_new_job)
    try:
        async with client:
            report = await act(narrator)
    finally:
        narrator.close()
    session.take(report)
    if not session.console.quiet:
        session.console.result(summary_text(report, sent_before=not narrator.begun))
    return 0


def summary_text(report: Report, *, sent_before: bool) -> str:
    """What became of a job that ended well, for a person. `sent_before`: this run found it finished."""
    lines = [_file_line(file) for file in report.files]
    if report.item_id is not None:
        lines.append(f"Item {report.item_id}: {report.item_url or 'its address is not known'}")
    if sent_before:
        lines.append(f"Job {report.job} was finished before, and its files are unchanged: nothing was sent.")
    else:
        found = sum(_already_there(file) for file in report.files)
        sent = sum(file.parts_sent for file in report.files)
        rate = report.bytes_sent / report.seconds if report.seconds else 0.0
        lines.append(
            f"Parts: {found} already there, {sent} sent. {units.show_bytes(report.bytes_sent)} sent in "
            f"{units.show_duration(report.seconds)} ({units.show_rate(rate)})."
        )
    return "\n".join(lines)


def _already_there(file: FileReport) -> int:
    """Parts that this run had not to send. It did not even ask about a file that an earlier one had verified."""
    untouched = file.parts_found == file.parts_sent == 0
    return file.parts_total or 0 if untouched else file.parts_found


def _file_line(file: FileReport) -> str:
    size = units.show_bytes(file.size)
    exact = f" ({file.size} bytes)" if file.size >= 1000 else ""
    return f"{shown(file.name)}: {size}{exact}, MD5 {file.md5 or 'not known'}, {file.status}"
