"""`figup jobs`, `figup status` and `figup cancel`: the jobs on this machine."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio.to_thread
import click
import msgspec

from uploader import units
from uploader.cli.context import complete_jobs, job_store, open_context, recorded_job
from uploader.cli.options import ENVIRONMENT, FigupCommand, GlobalOptions, common_options
from uploader.cli.output.progress import Display
from uploader.cli.report_files import report_option, write_reports
from uploader.cli.runner import Session, run
from uploader.cli.status import format_job, view_job, watch
from uploader.text import printable
from uploader.transfer.store.overview import JobOverview, latest_job, list_jobs

STATUS_HELP = """\b
Examples:
  figup status                  the job that changed last
  figup status k3v9             the job whose id begins so
  figup status k3v9 --watch     follow it while another process works on it, also from another node
  figup status k3v9 --report upload.html    an HTML report

\b
Exit status: 0; with --watch 0 when the job is finished, 1 when it failed or was cancelled, and 75 when it is
unfinished and nobody works on it.

"""
CANCEL_HELP = """\b
Example:
  figup cancel k3v9

"""


@click.command("jobs", cls=FigupCommand, epilog=ENVIRONMENT)
@common_options
def jobs(common: GlobalOptions) -> int:
    """List the jobs on this machine: status, progress, age and item.

    Needs no token and no network.
    """

    async def work(session: Session) -> int:
        states = job_store(common)
        found = await anyio.to_thread.run_sync(list_jobs, states)
        for job in found:
            fields: dict[str, Any] = msgspec.to_builtins(job)
            session.console.event("job", **fields)
        session.console.result(table(found, datetime.now(UTC)) if found else f"No jobs in {states.path}.")
        return 0

    return run(common, work)


def table(found: list[JobOverview], now: datetime) -> str:
    """One line a job, under a heading."""
    rows: list[tuple[str, ...]] = [("JOB", "STATE", "DONE", "SIZE", "CHANGED", "ITEM", "FILES")]
    rows += [_row(job, now) for job in found]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def _row(job: JobOverview, now: datetime) -> tuple[str, ...]:
    known = job.first is not None
    more = f" and {job.files_total - 1} more" if job.files_total > 1 else ""
    return (
        job.job,
        job.state,
        units.format_percent(job.bytes_done, job.bytes_total) if known else "?",
        units.format_bytes(job.bytes_total) if known else "?",
        f"{units.format_duration(max(0.0, (now - job.changed).total_seconds()))} ago",
        str(job.item_id) if job.item_id is not None else "-",
        printable(job.first or job.problem or "") + more,
    )


@click.command("status", cls=FigupCommand, epilog=STATUS_HELP + ENVIRONMENT)
@click.argument("job", required=False, shell_complete=complete_jobs)
@click.option("--watch", "follow", is_flag=True, help="Follow the job until it ends or no process works on it.")
@report_option
@common_options
def status(job: str | None, follow: bool, reports: tuple[Path, ...], common: GlobalOptions) -> int:
    """Show one job: its files, their progress and the result.

    This is the state in the journal on this machine; `figup verify` asks Figshare. Needs no token and no network. JOB
    may be a prefix of an id that `figup jobs` lists. Without JOB: the job that changed last.
    """

    async def work(session: Session) -> int:
        states = job_store(common)
        name = await anyio.to_thread.run_sync(lambda: latest_job(states) if job is None else states.find(job))
        if follow:
            exit_status = await watch(session, states, name)
        else:
            now = await view_job(states, name)
            now.write(session)
            session.console.result(format_job(now))
            exit_status = 0
        await anyio.to_thread.run_sync(write_reports, states, name, reports)
        return exit_status

    return run(common, work)


@click.command("cancel", cls=FigupCommand, epilog=CANCEL_HELP + ENVIRONMENT)
@click.argument("job", shell_complete=complete_jobs)
@common_options
def cancel(job: str, common: GlobalOptions) -> int:
    """Give up a job and remove its unfinished remote files, and only those.

    Complete files and the item are kept. Local files are not touched.
    """
    recorded = recorded_job(common, job)
    with open_context(common, job=recorded) as context:
        client = context.client()

        async def work(session: Session) -> int:
            display = Display(session.console, None)
            async with client:
                done = await client.cancel(recorded.job, on_event=display.show)
            session.summary.job, session.summary.item_id = done.job, done.item_id
            session.summary.item_url = done.item_url
            session.console.event("cancelled", **msgspec.to_builtins(done))
            removed = units.format_count(len(done.removed), "unfinished file")
            kept = f"; kept {units.format_count(len(done.kept), 'complete file')}" if done.kept else ""
            where = f" from item {done.item_id}" if done.item_id is not None else ""
            session.console.result(f"Job {done.job} is given up: removed {removed}{where}{kept}.")
            if done.item_id is not None:
                session.console.result(f"Item {done.item_id}: {done.item_url or 'its address is not known'}")
            return 0

        return run(common, work, remark=context.remark)
