"""`figup records create`, `update` and `undo`: jobs that the same command continues after any interruption."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from uploader.cli.confirm import confirm
from uploader.cli.context import complete_record_jobs
from uploader.cli.options import ENVIRONMENT, FigupCommand, GlobalOptions, common_options, grouped, with_options
from uploader.cli.output.console import MAX_REPORTED
from uploader.cli.parameters import LocalPath
from uploader.cli.records import RecordInput, check_records, input_options, records
from uploader.cli.report_output import ProgressNotes
from uploader.cli.runner import Session, on_figshare
from uploader.cli.signals import REQUEST_GRACE
from uploader.cli.transfer_options import DEADLINE, request_options
from uploader.concurrency import in_batches, in_thread
from uploader.errors import ExitStatus, Facts, JobNotFound, ServerFailing, SomeRecordsFailed, UsageError
from uploader.figshare.ids import is_number
from uploader.text import printable
from uploader.transfer.options import RequestOptions
from uploader.units import format_count

if TYPE_CHECKING:
    from uploader.figshare.client import Figshare
    from uploader.records.check import CheckedRecord
    from uploader.records.formats import RecordFile
    from uploader.records.job import OpenJob
    from uploader.records.model import ItemKey
    from uploader.records.packed import Packed
    from uploader.records.plan import Planned
    from uploader.records.run import Outcome, Run
    from uploader.transfer.store.jobs import JobStore

HELP = """\b
Run the same command again until it exits with 0, and each record exists once.
Exit status: 1 if records failed (they are named); 2 if one is invalid: then
nothing was created; 8 if another process works on the file; 75 if the run
ended early.

"""
_PATH = LocalPath(path_type=Path, readable=False)
_run = grouped("Run")
_RUN = [
    _run("--report", metavar="FILE", type=_PATH, help="Write a row for each record, as .csv, .xlsx or .jsonl."),
    _run("--force", is_flag=True, help="Replace the report if another command wrote it."),
    _run("--deadline", metavar="auto|TIME", type=DEADLINE,
         help="Exit with 75 before this time (17:30, 2026-12-01T17:30) or after this long (90min). auto: before the "
              "end of the batch job.  [default: no deadline]"),
    _run("--max-requests", metavar="N", type=click.IntRange(min=1),
         help="Exit with 75 after about N requests, between records."),
]  # fmt: skip


@records.command("create", cls=FigupCommand, epilog=HELP + ENVIRONMENT)
@click.argument("file", metavar="FILE", type=_PATH)
@input_options
@click.option("--group", metavar="NAME|ID", help="Group of items whose record has none.")
@click.option("--publish", is_flag=True, help="Publish each item once it is complete.")
@click.option("--on-duplicate", type=click.Choice(["skip", "update", "fail"]), default="skip", show_default=True,
              help="If an item with the DOI exists, or a record changed since its item was created: leave the item, "
                   "update it, or fail the record.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Check all records, and show what would be created.")
@(lambda command: with_options(command, _RUN))
@request_options
@common_options
def create(
    file: Path, reading: RecordInput, group: str | None, requests: RequestOptions, common: GlobalOptions, **values: Any
) -> int:
    """Create an item for each record of a file.

    All records are checked first. Items with the same DOI, of your account or institution, are not created again.
    """

    async def work(session: Session, api: Figshare) -> int:
        read = await reading.read(session, file)
        found = await in_thread(_in_group, read, group)
        planned = await _plan(session, api, found, publish=values["publish"])
        return await _run_job(session, api, file, planned, values)

    return on_figshare(common, work, requests=requests)


@records.command("update", cls=FigupCommand, epilog=HELP + ENVIRONMENT, short_help="Set fields of existing items.")
@click.argument("file", metavar="FILE", type=_PATH)
@click.option("--key", type=click.Choice(["doi", "id"]), required=True, help="Field that identifies the item.")
@input_options
@(lambda command: with_options(command, _RUN))
@request_options
@common_options
def update(
    file: Path, key: Any, reading: RecordInput, requests: RequestOptions, common: GlobalOptions, **values: Any
) -> int:
    """Set the fields that a file's records have, such as DOIs or custom fields.

    Other fields of the items are kept; lists are replaced. Only items of your account are updated.
    """

    async def work(session: Session, api: Figshare) -> int:
        planned = await _plan(session, api, await reading.read(session, file, key=key), key)
        return await _run_job(session, api, file, planned, values, update=True)

    return on_figshare(common, work, requests=requests)


@records.command("undo", cls=FigupCommand, epilog=ENVIRONMENT, short_help="Remove a job's unchanged drafts.")
@click.argument("job", metavar="JOB", shell_complete=complete_record_jobs)
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@request_options
@common_options
def undo(job: str, yes: bool, requests: RequestOptions, common: GlobalOptions) -> int:
    """Remove the drafts that a job created and that were not changed since. Asks first.

    Published and changed items are kept and named; then the exit status is 1. Updates of existing items cannot be
    undone. The job's name is in the result of `figup records create`; a prefix of it is enough.
    """

    async def work(session: Session, api: Figshare) -> int:
        from uploader.cli.context import state_dir
        from uploader.records import undo as undoing
        from uploader.records.job import OpenJob, job_store
        from uploader.transfer.run.stop import Stop

        session.resumable = True
        states = job_store(state_dir(common))
        name = await in_thread(_find, states, job)
        stop = Stop()
        async with OpenJob(states, name, api.clock) as opened:
            undoing.check_undoable(opened)
            undoing.check_account(opened, api.endpoint, await api.account())
            count = sum(one.created for one in opened.state.records.values())
            question = f"Remove the unchanged drafts among {format_count(count, 'item')} of job {name}?"
            if not await confirm(session, question, yes=yes):
                return ExitStatus.SOME_FAILED
            session.signals.stop_with(stop.request, REQUEST_GRACE)
            found = await undoing.undo(api, opened, stop, warn=session.console.note)
        return _conclude_undo(session, name, found)

    return on_figshare(common, work, requests=requests)


def _find(states: JobStore, job: str) -> str:
    """Return the name of the job that begins with this. Raises JobNotFound, which lists the existing jobs."""
    try:
        return states.find(job)
    except JobNotFound as error:
        names = states.names()
        raise error.with_context(hint=f"Jobs of records: {', '.join(names) if names else 'none'}.") from error


def _in_group(file: RecordFile, group: str | None) -> RecordFile:
    """Put the items whose record names no group into this one. Blocks."""
    if group is None:
        return file
    from uploader.records.model import Record
    from uploader.records.packed import Packed

    known, changed = int(group) if is_number(group) else group, Packed(Record)
    for one in file.records:
        own = one.metadata.group is not None
        metadata = one.metadata if own else msgspec.structs.replace(one.metadata, group=known)
        changed.append(msgspec.structs.replace(one, metadata=metadata))
    return dataclasses.replace(file, records=changed)


async def _plan(
    session: Session, api: Figshare, file: RecordFile, key: ItemKey | None = None, *, publish: bool = False
) -> Packed[Planned]:
    """Check all records with Figshare, and return them as they are to be. Raises MetadataInvalid with all problems."""
    from uploader.records.packed import Packed
    from uploader.records.plan import Planned, plan_record

    planned = Packed(Planned)

    def take(some: Sequence[CheckedRecord]) -> None:
        planned.extend(plan_record(one, key) for one in some)

    await check_records(session, api, file, publish=publish, take=take)
    return planned


async def _run_job(
    session: Session,
    api: Figshare,
    file: Path,
    planned: Packed[Planned],
    values: dict[str, Any],
    *,
    update: bool = False,
) -> int:
    """Run the job of these records, and write its report. Raises SomeRecordsFailed, Interrupted and others."""
    from uploader.catalog.report.limits import Limits
    from uploader.cli.context import state_dir
    from uploader.records.job import OpenJob, job_store, plan
    from uploader.records.run import Run, RunOptions

    session.resumable = True
    account = await api.account()
    path = await in_thread(file.resolve)
    if not await in_thread(path.exists):
        # Its name is another one in the next run, which would create records without a DOI again.
        raise UsageError(f"{printable(str(file))} is a pipe, from which a job cannot be continued; use a file")
    job = plan(api.endpoint, account.id, "update" if update else "create", path, api.clock)
    states = job_store(state_dir(session.common))
    limits = Limits.of(values["deadline"], values["max_requests"], api.clock)
    options = RunOptions(
        publish=values.get("publish", False), on_duplicate=values.get("on_duplicate", "skip"), limits=limits
    )
    if values.get("dry_run"):
        from uploader.records.preview import preview

        return _show_preview(session, await preview(api, states, job, account, planned, warn=session.console.note))
    async with OpenJob(states, job.job, api.clock, job) as opened:
        await _check_report(opened, values)
        run = Run(
            api, opened, account, planned, options,
            warn=session.console.note, on_progress=ProgressNotes(session, "done").show,
        )  # fmt: skip
        session.signals.stop_with(run.stop, REQUEST_GRACE)
        try:
            await run.run()
        finally:
            await _write_report(session, opened, run, len(planned), values)
            await _show(session, api, opened, run)
    session.report_written = True
    return _conclude(run, len(planned))


async def _check_report(job: OpenJob, values: dict[str, Any]) -> None:
    """Check that the report can be written, before anything is created. Raises OutputExists, UsageError."""
    from uploader.catalog.report.sheets import check_output

    if (path := values["report"]) is not None:
        values["force"] |= str(path.absolute()) in job.state.reports
        await in_thread(lambda: check_output(path, replace=values["force"]))


async def _write_report(session: Session, job: OpenJob, run: Run, count: int, values: dict[str, Any]) -> None:
    """Write the report, unless another process has taken over the job, which then writes it."""
    from uploader.records.journal import ReportWritten
    from uploader.records.report import write_report

    path, plan = values["report"], job.state.plan
    if path is None or plan is None or job.lock.lost:
        return
    await _check_report(job, values)
    # Before it is written: if this process is killed in between, the next run may replace it.
    await job.commit(ReportWritten(path=str(path.absolute())))
    await in_thread(lambda: write_report(path, plan, run.outcomes(), count, replace=values["force"]))
    session.console.note(f"report: {printable(str(path))}")


async def _show(session: Session, api: Figshare, job: OpenJob, run: Run) -> None:
    """Print the outcome for the records: counts, duplicates, and failures."""
    console, counts, noted = session.console, Counter[str](), Counter[bool]()
    first: dict[bool, list[Outcome]] = {False: [], True: []}
    async for some in in_batches(run.outcomes()):
        for one in some:
            counts[one.result] += 1
            console.event("record", **msgspec.to_builtins(one))
            if one.reason:
                failed = one.result == "failed"
                noted[failed] += 1
                if noted[failed] <= MAX_REPORTED:
                    first[failed].append(one)
    session.summary.records = {
        "job": job.name, "found": counts.total(), "results": dict(counts), "requests": api.requests,
    }  # fmt: skip
    for one in (*first[False], *first[True]):
        item = f", item {one.item_id}" if one.item_id is not None else ""
        console.note(printable(f"line {one.line}, {one.key}{item}: {one.reason}"))
    for kind in first:
        if noted[kind] > MAX_REPORTED:
            console.note(f"and {noted[kind] - MAX_REPORTED} more; --report FILE has all")
    shown = ", ".join(f"{count} {result}" for result, count in counts.items())
    now = f" ({run.made} in this run)" if run.made != counts["created"] + counts["updated"] else ""
    console.result(f"{format_count(counts.total(), 'record')}: {shown}{now}. Job {job.name}.")


def _conclude(run: Run, count: int) -> int:
    if not run.failed:
        return ExitStatus.OK
    message = f"{run.failed} of {format_count(count, 'record')} failed"
    if run.only_transient_failures:
        raise ServerFailing(f"{message} because Figshare did not answer properly")
    raise SomeRecordsFailed(message, facts=Facts(SomeRecordsFailed.code))


def _show_preview(session: Session, counts: Counter[str]) -> int:
    session.summary.records = {"found": counts.total(), "results": dict(counts)}
    shown = ", ".join(f"{count} {name}" for name, count in counts.items())
    session.console.result(f"{format_count(counts.total(), 'record')}: {shown}. Nothing was changed.")
    return ExitStatus.OK


def _conclude_undo(session: Session, job: str, found: list[Any]) -> int:
    counts = Counter(one.outcome for one in found)
    session.summary.records = {"job": job, "found": len(found), "results": dict(counts)}
    for one in found:
        session.console.event("undone", **msgspec.to_builtins(one))
    kept = [one for one in found if one.outcome == "kept"]
    for one in kept:
        session.console.note(printable(f"item {one.item_id} ({one.key}) is kept: {one.reason}"))
    session.console.result(
        f"{format_count(counts['removed'], 'item')} removed, {counts['gone']} gone before, {counts['kept']} kept."
    )
    return ExitStatus.SOME_FAILED if kept else ExitStatus.OK
