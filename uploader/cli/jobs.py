"""`figup jobs`, `figup status` and `figup cancel`: the jobs on this machine."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import anyio.to_thread
import click
import msgspec

from uploader import units
from uploader.cli.confirm import confirm
from uploader.cli.context import (
    complete_any_job,
    complete_jobs,
    creations,
    find_any_job,
    find_job,
    job_store,
    open_context,
    record_jobs,
    record_store,
    recorded_job,
)
from uploader.cli.hints import Repeated
from uploader.cli.options import ENVIRONMENT, FigupCommand, FigupGroup, GlobalOptions, common_options
from uploader.cli.output.progress import Display
from uploader.cli.parameters import ParsedParam
from uploader.cli.report_files import report_option, write_reports
from uploader.cli.runner import Session, run
from uploader.cli.status import processes_lines, watch, write_job
from uploader.clock import Clock
from uploader.errors import ExitStatus, JobBusy, JobNotFound
from uploader.text import columns, printable, shorten
from uploader.transfer.report import Cancellation
from uploader.transfer.store.jobs import JobStore
from uploader.transfer.store.overview import JobOverview, latest_job, list_jobs, recorded_state, summarize
from uploader.transfer.store.removal import remove_job

if TYPE_CHECKING:
    from uploader.records.job import Overview

_AnyJob: TypeAlias = "JobOverview | Overview"

JOBS_HELP = """\b
Examples:
  figup jobs
  figup jobs --prune --older-than 30d   remove records older than a month
  figup jobs rm k3v9                    remove the record of one job

"""
STATUS_HELP = """\b
Examples:
  figup status                  the job that changed last
  figup status k3v9             the job whose id begins with k3v9
  figup status k3v9 --watch     follow it while a process works on it
  figup status k3v9 --report upload.html    write an HTML report

\b
Exit status: 0. With --watch: 0 if the job is done, 1 if it failed or was
cancelled, 75 if it is interrupted.

"""
CANCEL_HELP = """\b
Example:
  figup cancel k3v9

"""

YES = click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
_ENDED = frozenset({"done", "cancelled", "undone"})
"""States of jobs whose records are needed only to run their commands again."""
_RECORDS_LOSS = (
    "`figup records create` would then create records without a DOI again, and `figup records undo` would not find "
    "the drafts."
)
"""The consequence of removing the record of a job of records."""
_HEADING = ("JOB", "STATE", "DONE", "SIZE", "CHANGED", "ITEM", "TITLE OR FILES")
_OPTIONAL = ("CHANGED", "SIZE")
"""Columns that narrow terminals do without, the most dispensable first."""
_MIN_WIDTH = 12
"""Minimum columns of a title."""
_INDENT = "    "
"""Before what is on a separate line."""


@click.group("jobs", cls=FigupGroup, epilog=JOBS_HELP + ENVIRONMENT, invoke_without_command=True)
@click.option(
    "--prune",
    is_flag=True,
    help="Remove records of jobs that are done, cancelled or undone, and of creations that were interrupted more "
    "than a day ago. Asks first.",
)
@click.option(
    "--older-than",
    metavar="TIME",
    type=ParsedParam("time", units.parse_duration),
    help="With --prune: only those that changed longer ago than this, such as 30d.",
)
@YES
@common_options
def jobs(prune: bool, older_than: float | None, yes: bool, common: GlobalOptions) -> int:
    """List the jobs on this machine: state, progress, age, item and title.

    Needs no token and no network. A job is running, interrupted, failed, done, cancelled, undone or damaged.
    """
    if click.get_current_context().invoked_subcommand is not None:
        return 0
    if older_than is not None and not prune:
        raise click.UsageError("--older-than needs --prune")

    async def work(session: Session) -> int:
        states = job_store(common)
        found = await anyio.to_thread.run_sync(list_jobs, states)
        of_records = await anyio.to_thread.run_sync(record_jobs, common)
        now = datetime.now(UTC)
        if prune:
            unfinished = await anyio.to_thread.run_sync(creations(common).unfinished)
            every: list[_AnyJob] = [*found, *of_records]
            ended = [job for job in every if job.state in _ENDED and _age(job, now) >= (older_than or 0.0)]
            from uploader.items.reconcile import VISIBLE_AFTER

            least = max(timedelta(seconds=older_than or 0.0), VISIBLE_AFTER)
            old = [mark for mark, begun in unfinished.items() if now - begun >= least]
            return await _prune(session, ended, old, yes=yes)
        for job in found:
            fields: dict[str, Any] = msgspec.to_builtins(job)
            session.console.event("job", **fields)
        width = shutil.get_terminal_size().columns if sys.stdout is not None and sys.stdout.isatty() else None
        if found or not of_records:
            session.console.result(table(found, now, width) if found else f"No jobs in {states.path}.")
        _write_record_jobs(session, of_records)
        _write_creations(session, await anyio.to_thread.run_sync(creations(common).unfinished))
        return 0

    return run(common, work)


def _write_creations(session: Session, found: dict[str, datetime]) -> None:
    """Name what `figup item create` and `figup project create` may have left incomplete."""
    for mark, begun in found.items():
        session.console.event("creation", mark=mark, changed=begun.isoformat())
    if found:
        session.console.result(
            "Interrupted creations of items or projects: the same command finishes each, or delete the draft with its "
            "mark in the title."
        )
        for mark in found:
            session.console.result(mark)


def _write_record_jobs(session: Session, found: list[Overview]) -> None:
    for one in found:
        session.console.event("records-job", **msgspec.to_builtins(one))
    if not found:
        return
    session.console.result("Jobs of records, which the same `figup records` command continues:")
    for one in found:
        left = f", {one.unfinished} unfinished" if one.unfinished else ""
        items = units.format_count(one.items, "item")
        session.console.result(f"{one.job}  {one.state}  {printable(_subject(one))}: {items}{left}")


@jobs.command("rm", cls=FigupCommand, epilog=ENVIRONMENT)
@click.argument("names", metavar="JOB...", nargs=-1, required=True, shell_complete=complete_any_job)
@YES
@common_options
def rm(names: tuple[str, ...], yes: bool, common: GlobalOptions) -> int:
    """Remove the records of jobs from this machine. Asks first.

    Nothing on Figshare changes. A job whose record is removed cannot be continued; `figup cancel` removes the
    unfinished files of an upload, too, and `figup records undo` the drafts of a job of records.
    """

    async def work(session: Session) -> int:
        chosen = [await anyio.to_thread.run_sync(find_any_job, common, name) for name in dict.fromkeys(names)]
        kept = False
        for job in chosen:
            if await confirm(session, _question(job), yes=yes):
                await remove_job(_store(common, job), job.job, Clock())
                _write_removed(session, job)
            else:
                kept = True
        return ExitStatus.SOME_FAILED if kept else ExitStatus.OK

    return run(common, work)


def _store(common: GlobalOptions, job: _AnyJob) -> JobStore:
    return job_store(common) if isinstance(job, JobOverview) else record_store(common)


def _has_ended(states: JobStore, job: _AnyJob) -> bool:
    """Return whether a job has ended, by its journal. Blocks. Raises JobNotFound."""
    if isinstance(job, JobOverview):
        return recorded_state(states, job.job) in _ENDED
    from uploader.records.job import recorded

    return recorded(states, job.job).state in _ENDED


def _question(job: _AnyJob) -> str:
    question = f"Remove the record of job {job.job} ({job.state}, {printable(_subject(job))})?"
    if not isinstance(job, JobOverview):
        return f"{question} {_RECORDS_LOSS}"
    if job.state in _ENDED:
        return f"{question} Its `figup upload` command would then send everything again."
    return f"{question} Its upload can then not be continued, and its files stay on Figshare."


async def _prune(session: Session, ended: list[_AnyJob], marks: list[str], *, yes: bool) -> int:
    """Remove the records of these jobs and interrupted creations, unless one is in use by now."""
    if not ended and not marks:
        session.console.result("There is nothing to remove.")
        return 0
    counts = [units.format_count(len(ended), "job")] if ended else []
    counts += [units.format_count(len(marks), "interrupted creation")] if marks else []
    question = f"Remove the records of {' and '.join(counts)}?"
    if any(isinstance(job, JobOverview) for job in ended):
        question += " Their `figup upload` commands would then send everything again."
    if not all(isinstance(job, JobOverview) for job in ended):
        question += f" {_RECORDS_LOSS}"
    if marks:
        question += " Drafts with the marks of the creations would then not be finished."
    if not await confirm(session, question, yes=yes):
        return ExitStatus.SOME_FAILED
    for job in ended:
        with suppress(JobBusy, JobNotFound):
            states = _store(session.common, job)
            if await remove_job(states, job.job, Clock(), may=partial(_has_ended, states, job)):
                _write_removed(session, job)
    with creations(session.common) as records:
        for mark in marks:
            if await anyio.to_thread.run_sync(records.forget, mark):
                session.console.event("removed", mark=mark)
                session.console.result(f"Removed the record of the creation {mark}.")
    return 0


def _write_removed(session: Session, job: _AnyJob) -> None:
    item_id = job.item_id if isinstance(job, JobOverview) else None
    session.console.event("removed", job=job.job, state=job.state, item_id=item_id)
    session.console.result(f"Removed the record of job {job.job} ({job.state}, {printable(_subject(job))}).")


def table(found: list[JobOverview], now: datetime, width: int | None = None) -> str:
    """Format one line per job, under a heading. `width` is that of the terminal in columns, None for any width.

    Titles that do not fit get lines of their own, on which even a long one is readable. On a narrow terminal the first
    columns of `_OPTIONAL` are left out until the others fit.
    """
    rows = [_HEADING, *(_row(job, now) for job in found)]
    *cells, titles = zip(*rows, strict=True)
    lines, team = _padded(cells), ["", *map(_team, found)]
    for name in _OPTIONAL:
        if width is not None and max(len(line.rstrip()) for line in lines) > width:
            cells = [column for column in cells if column[0] != name]
            lines = _padded(cells)
    if width is None or len(lines[0]) + max(map(columns, titles)) <= width:
        return "\n".join(f"{line}{title}{others}" for line, title, others in zip(lines, titles, team, strict=True))
    below = [f"{_INDENT}{shorten(title, max(_MIN_WIDTH, width - len(_INDENT)))}" for title in titles[1:]]
    jobs = [f"{line.rstrip()}\n{title}{others}" for line, title, others in zip(lines[1:], below, team[1:], strict=True)]
    return "\n".join([lines[0].rstrip(), *jobs])


def _padded(cells: Sequence[tuple[str, ...]]) -> list[str]:
    """Return the lines of a table, given by columns; each ends where another column would begin."""
    widths = [max(map(len, column)) for column in cells]
    return ["  ".join([*map(str.ljust, row, widths), ""]) for row in zip(*cells, strict=True)]


def _row(job: JobOverview, now: datetime) -> tuple[str, ...]:
    known = job.first is not None
    together = f" x{1 + len(job.members)}" if job.members else ""
    return (
        job.job,
        job.state + together,
        units.format_percent(job.bytes_done, job.bytes_total) if known else "?",
        units.format_bytes(job.bytes_total) if known else "?",
        f"{units.format_age(_age(job, now))} ago",
        str(job.item_id) if job.item_id is not None else "-",
        printable(_subject(job)),
    )


def _team(job: JobOverview) -> str:
    """List the processes of a job that several work on, on lines of their own."""
    return "".join(f"\n{_INDENT}{line}" for line in processes_lines(job)) if job.members else ""


def _age(job: _AnyJob, now: datetime) -> float:
    """Return the seconds since the job last changed."""
    return (now - job.changed).total_seconds()


def _subject(job: _AnyJob) -> str:
    """Describe the job: the title of its new item, its files, or its file of records."""
    if not isinstance(job, JobOverview):
        return f"{job.action} {job.path}"
    more = f" and {job.files_total - 1} more" if job.files_total > 1 else ""
    return job.title or f"{job.first or job.problem or ''}{more}"


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
        name = await anyio.to_thread.run_sync(lambda: latest_job(states) if job is None else find_job(common, job))
        if follow:
            exit_status = await watch(session, states, name)
        else:
            write_job(session, await anyio.to_thread.run_sync(summarize, states, name))
            exit_status = 0
        await anyio.to_thread.run_sync(write_reports, states, name, reports)
        for path in reports:
            session.console.note(f"report: {printable(str(path))}")
        return exit_status

    return run(common, work)


@click.command("cancel", cls=FigupCommand, epilog=CANCEL_HELP + ENVIRONMENT)
@click.argument("job", shell_complete=complete_jobs)
@common_options
def cancel(job: str, common: GlobalOptions) -> int:
    """Cancel a job and remove its unfinished remote files, and only those.

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
            session.console.result(_cancelled_text(done, session.common.repeated))
            return 0

        return run(context.common, work, remark=context.remark)


def _cancelled_text(done: Cancellation, repeated: Repeated) -> str:
    removed = units.format_count(len(done.removed), "unfinished file")
    kept = f"; kept {units.format_count(len(done.kept), 'complete file')}" if done.kept else ""
    where = f" from item {done.item_id}" if done.item_id is not None else ""
    if done.again:
        lines = [f"Job {done.job} was cancelled before; there is nothing left to remove{kept}."]
    else:
        lines = [f"Job {done.job} is cancelled: removed {removed}{where}{kept}."]
    if done.item_id is not None:
        lines.append(f"Item {done.item_id}: {done.item_url or 'its address is not known'}")
    if done.item_empty:
        lines.append(f"It has no files. To delete it: {repeated.command('item', 'delete', done.item_id)}")
    return "\n".join(lines)
