"""`figup jobs`, `figup status` and `figup cancel`: the jobs on this machine."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import anyio.to_thread
import click
import msgspec

from uploader.cli import units
from uploader.cli.options import ENVIRONMENT, Common, FigupCommand, common_options
from uploader.cli.place import state_dir
from uploader.cli.running import Session, run
from uploader.transfer.disk import Disk
from uploader.transfer.folders import StateDir
from uploader.transfer.jobs import JobSummary, list_jobs
from uploader.transfer.source import shown


@click.command("jobs", cls=FigupCommand, epilog=ENVIRONMENT)
@common_options
def jobs(common: Common) -> int:
    """List the jobs on this machine: state, progress, age, and where each goes.

    Needs neither a token nor a connection.
    """
    states = StateDir(state_dir(common), Disk())

    async def work(session: Session) -> int:
        found = await anyio.to_thread.run_sync(list_jobs, states)
        for job in found:
            session.console.event("job", **_fields(job))
        session.console.result(table(found, datetime.now(UTC)) if found else f"No jobs in {states.path}")
        return 0

    return run(common, work)


def _fields(job: JobSummary) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.to_builtins(job)
    return fields


def table(found: list[JobSummary], now: datetime) -> str:
    """One line a job, under a heading."""
    rows: list[tuple[str, ...]] = [("JOB", "STATE", "DONE", "SIZE", "CHANGED", "ITEM", "FILES")]
    rows += [_row(job, now) for job in found]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _row(job: JobSummary, now: datetime) -> tuple[str, ...]:
    names = [shown(file.name) for file in job.files]
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return (
        job.job,
        job.state,
        units.show_percent(job.bytes_done, job.bytes_total) if job.files else "?",
        units.show_bytes(job.bytes_total) if job.files else "?",
        f"{units.show_duration(max(0.0, (now - job.changed).total_seconds()))} ago",
        str(job.item_id) if job.item_id is not None else "-",
        names[0] + more if names else shown(job.problem or ""),
    )
