"""`figup upload` and `figup resume`: from the command line to the summary of the job."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import click

from uploader.cli.context import SANDBOX, Context, complete_jobs, open_context, recorded_job
from uploader.cli.errors import exit_status_table
from uploader.cli.metadata_options import Item, item_options, read_item_options
from uploader.cli.options import ENVIRONMENT, FigupCommand, GlobalOptions, common_options, grouped
from uploader.cli.output.progress import display_for
from uploader.cli.output.summary import summary_text
from uploader.cli.packing_options import packing_options
from uploader.cli.report_files import (
    ReportOptions,
    check_list,
    check_outputs,
    output_paths,
    report_options,
    write_outputs,
)
from uploader.cli.runner import Session, run
from uploader.cli.source_options import LINK, check_present, read_stdin, source_options
from uploader.cli.team_options import Joining, team_options
from uploader.cli.transfer_options import given_options, log_deadline, transfer_options, with_recorded
from uploader.errors import Facts, NoToken, UsageError
from uploader.sources.models import STDIN, Sources
from uploader.text import printable
from uploader.transfer import notices as no
from uploader.transfer.options import Options, RequestOptions
from uploader.transfer.report import Report, RunFailed

if TYPE_CHECKING:
    from uploader.transfer.client import Client

RunJob: TypeAlias = "Callable[[no.Listener], Awaitable[Report]]"

UPLOAD_HELP = f"""\b
Examples:
  figup upload survey.tar                      a new item "survey.tar"
  figup upload survey                          a folder, as survey/...
  figup upload . --exclude '*.tmp'             what is in this folder
  figup upload '**/*.csv' --title "Survey"     a pattern, in all folders
  figup upload more.csv --item 1234567         a file for an existing item
  figup upload survey --metadata dataset.yaml  an item with metadata
  figup upload survey --pack zip               all of it as survey.zip
  find . -newer last | figup upload --from-file - --item 1234567
  figup upload -- -odd-name.csv                a name with a leading dash

\b
Exit status:
{exit_status_table()}

"""

RESUME_HELP = """\b
Examples:
  figup resume        the only interrupted job
  figup resume k3v9   the job whose id begins with k3v9 (see `figup jobs`)

"""


@click.command("upload", cls=FigupCommand, epilog=UPLOAD_HELP + ENVIRONMENT)
@source_options()
@LINK
@item_options
@grouped("Files")("--new-job", is_flag=True, help="Start a new job even if the same command was run before.")
@grouped("Files")("--dry-run", is_flag=True, help="Show what would be done. Sends and creates nothing.")
@packing_options
@transfer_options
@team_options
@report_options
@common_options
def upload(
    sources: Sources,
    about: Item,
    new_job: bool,
    dry_run: bool,
    accounting: ReportOptions,
    options: Options,
    requests: RequestOptions,
    joining: Joining,
    common: GlobalOptions,
) -> int:
    """Send files and folders to Figshare: to a new item, or to the one given with --item.

    A folder keeps its name and structure, as with cp -r; "." or "folder/." means its contents. Hidden files and
    symbolic links are skipped and named in the summary.

    The same command is the same job. If it is interrupted, rerun it until it exits with 0: it continues where it
    stopped, and then every byte is on Figshare exactly once, verified by its MD5. Rerun after that, it sends nothing.
    """
    joining.check(common, new_job=new_job)
    listed = sources.from_file if sources.from_file != STDIN else None
    check_outputs(accounting, common.log_file, (*sources.paths, listed, sources.manifest, about.metadata))
    sources = replace(sources, stdin=read_stdin(sources), outputs=output_paths(accounting, common))
    if about.item is None and about.title is None:
        check_list(sources)
    accounting = replace(accounting, nul=sources.nul)
    given = _Upload(
        sources=sources, about=about, new_job=new_job, options=options, requests=requests, accounting=accounting,
        recorded=given_options(options, requests, accounting) | ({SANDBOX: True} if common.sandbox else {}),
    )  # fmt: skip
    with open_context(common) as context:
        client = _client(context, sources, options, requests, joining) if not dry_run else None
        return run(common, lambda session: given.send(session, context, client), remark=context.remark)


@dataclass(frozen=True, kw_only=True)
class _Upload:
    """An upload as given on the command line. `recorded` are the options that its job keeps."""

    sources: Sources
    about: Item
    new_job: bool
    options: Options
    requests: RequestOptions
    accounting: ReportOptions
    recorded: Mapping[str, object]

    async def send(self, session: Session, context: Context, client: Client | None) -> int:
        """Send the sources; without a client, show what would be done."""
        about = self.about
        title, item_options = await read_item_options(session, about, self.sources)
        item_options = replace(item_options, options=self.recorded)
        if client is None:
            from uploader.cli.dry_run import Request, show_plan

            request = Request(
                sources=self.sources, item=about.item, title=title, project=about.project, item_options=item_options,
                new_job=self.new_job, options=self.options, requests=self.requests,
            )  # fmt: skip
            return await show_plan(session, context, request)

        def start(on_event: no.Listener) -> Awaitable[Report]:
            return client.upload(
                self.sources, item=about.item, title=title, project=about.project, item_options=item_options,
                new_job=self.new_job, on_event=on_event,
            )  # fmt: skip

        no_title = about.item is None and title is None
        return await send(session, client, self.options, start, self.accounting, show_title=no_title)


def _client(context: Context, sources: Sources, options: Options, requests: RequestOptions, joining: Joining) -> Client:
    """Return the client. Without a token, a missing source is reported first: that is easier to fix."""
    try:
        client = context.client(options, requests, anonymous=joining.wanted)
    except NoToken:
        check_present(sources)
        raise
    joining.apply(client)
    return client


@click.command("resume", cls=FigupCommand, epilog=RESUME_HELP + ENVIRONMENT)
@click.argument("job", required=False, shell_complete=complete_jobs)
@transfer_options
@team_options
@report_options
@common_options
def resume(
    job: str | None,
    accounting: ReportOptions,
    options: Options,
    requests: RequestOptions,
    joining: Joining,
    common: GlobalOptions,
) -> int:
    """Continue an interrupted job. Without JOB: the only interrupted one.

    It uses the job's endpoint unless --endpoint is given, and the options of the original command unless they are
    given here (except --restart-changed, --forget-missing and --reread). Rerunning the same `figup upload` does the
    same.
    """
    joining.check(common)
    if joining.wanted and job is None:
        raise UsageError("several processes cannot resume a job that is not named", facts=Facts("join-which"))
    recorded = recorded_job(common, job)
    restored = with_recorded(options, requests, accounting, recorded.options)
    with open_context(common, job=recorded) as context:
        client = context.client(restored.options, restored.requests, anonymous=joining.wanted)
        joining.apply(client)

        async def work(session: Session) -> int:
            if restored.names:
                session.console.note(f"using the job's {', '.join(restored.names)}")
            return await send(
                session,
                client,
                restored.options,
                lambda on_event: client.resume(recorded.job, on_event=on_event),
                restored.accounting,
            )

        return run(context.common, work, remark=context.remark)


class JobObserver:
    """Passes events of a job to the display, and to the summary what it needs if the job is interrupted."""

    def __init__(self, session: Session, client: Client, grace: float, *, show_title: bool) -> None:
        self.started = False
        self._session = session
        self._client = client
        self._grace = grace
        self._show_title = show_title
        self._connections = 0
        self._display = display_for(session.console, no_progress=session.common.no_progress)
        session.signals.in_flight = lambda: self._connections
        session.signals.toggle_limit = client.toggle_limit
        session.signals.progress = self._display.summary_line

    def __call__(self, notice: no.AnyNotice) -> None:
        summary = self._session.summary
        if isinstance(notice, no.JobStarted):
            self.started = True
            summary.job, summary.bytes_total = notice.job, notice.bytes_total
            # Before this, a signal has nothing to stop gracefully.
            self._session.signals.stop_with(self._client.stop, self._grace)
            if self._show_title and notice.title is not None and not notice.resumed:
                text = f'title of the new item: "{printable(notice.title)}"; change it with --title'
                self._session.console.note(text)
        elif isinstance(notice, no.Joined):
            self.started = True
            summary.job = notice.job
            self._session.signals.stop_with(self._client.stop, self._grace)
        elif isinstance(notice, no.ItemKnown):
            summary.item_id, summary.item_url = notice.item_id, notice.item_url
        elif isinstance(notice, no.Progress):
            self._connections = notice.connections
        self._display.show(notice)

    def close(self) -> None:
        """End the display. The job has ended, successfully or not."""
        self._session.signals.stop_with(None)
        self._display.close()


async def send(
    session: Session,
    client: Client,
    options: Options,
    run_job: RunJob,
    accounting: ReportOptions,
    *,
    show_title: bool = False,
) -> int:
    """Run a job, show its progress and summary, and write the reports. Returns 0; a job that fails raises."""
    log_deadline(options)
    observer = JobObserver(session, client, options.grace, show_title=show_title)
    report: Report | None = None
    try:
        async with client:
            report = await run_job(observer)
    except RunFailed as failure:
        report = failure.report
        raise
    finally:
        observer.close()
        if report is not None:
            session.add_report(report)
            # If the only file failed, or nothing was begun, the error is enough.
            several = len(report.files) > 1 and report.item_id is not None
            if not session.console.quiet and (report.exit_status == 0 or several):
                session.console.result(summary_text(report, sent_before=not observer.started))
            await write_outputs(session, accounting, report, on_conflict=options.on_conflict)
    return 0
