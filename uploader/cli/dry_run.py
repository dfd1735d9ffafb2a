"""`figup upload --dry-run`: what the command would do, found out without a token, a connection or a byte written."""

from __future__ import annotations

import anyio.to_thread

from uploader.cli import units
from uploader.cli.place import Place, states_of
from uploader.cli.running import Session
from uploader.transfer.events import SourcePlanned
from uploader.transfer.folders import Target, job_name
from uploader.transfer.jobs import JobSummary, summarise
from uploader.transfer.plan import checked_title, default_title, plan_events, resolve
from uploader.transfer.source import shown


async def show_plan(
    session: Session, at: Place, paths: list[str], item: int | None, title: str | None, *, new_job: bool
) -> int:
    """Say what `figup upload` with these arguments would do. Raises what that would raise before its first request."""
    sources = await anyio.to_thread.run_sync(resolve, paths)
    target = Target(at.endpoint, item, None if item is not None else checked_title(title or default_title(sources)))
    job, existing = await anyio.to_thread.run_sync(_job, at, job_name(target, sources), new_job)
    planned = [
        e for e in await anyio.to_thread.run_sync(plan_events, target, sources, job) if isinstance(e, SourcePlanned)
    ]
    summary, console = session.summary, session.console
    summary.job, summary.item_id = job, existing.item_id if existing else item
    summary.item_url = existing.item_url if existing else None
    summary.bytes_total = sum(source.size for source in planned)
    state = existing.state if existing else "new"
    done = existing.bytes_done if existing else 0
    console.event(
        "plan", job=job, state=state, endpoint=at.endpoint, item_id=summary.item_id, title=target.title, bytes_done=done
    )
    for source in planned:
        entry = {"path": source.path, "name": source.name, "file_id": None, "size": source.size, "md5": None}
        summary.files.append({**entry, "status": "planned"})
        console.event("file", **entry, status="planned")
    console.result(_text(session, at, target, state, done))
    return 0


def _job(at: Place, name: str, new_job: bool) -> tuple[str, JobSummary | None]:
    """The job that the command means, and what it is so far, None for a new one."""
    states = states_of(at.common)
    existing = None if new_job else states.latest(name)
    if existing is None:
        return states.next_generation(name), None
    return existing, summarise(states, existing)


def _text(session: Session, at: Place, target: Target, state: str, done: int) -> str:
    summary = session.summary
    total = units.show_bytes(summary.bytes_total)
    if target.item is not None:
        where = f"item {target.item}"
    elif summary.item_id is not None:
        where = f"item {summary.item_id}, called {shown(target.title or '')!r}"
    else:
        where = f"a new item called {shown(target.title or '')!r}"
    so_far = "new" if state == "new" else f"{state}, {units.show_bytes(done)} of {total} sent"
    lines = [f"Job {summary.job} ({so_far})", f"To {where} at {at.endpoint}"]
    lines += [f"  {shown(file['path'])}  {units.show_bytes(file['size'])}" for file in summary.files]
    lines.append(f"{units.show_count(len(summary.files), 'file')}, {total}. Nothing was sent: this was a dry run.")
    return "\n".join(lines)
