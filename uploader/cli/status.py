"""Show or follow a job from outside: its journal and the process working on it. Read-only."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

import anyio
import anyio.to_thread
import msgspec

from uploader import units
from uploader.cli.context import SANDBOX, how_to_look
from uploader.cli.hints import NOTHING, Repeated
from uploader.cli.output.progress import display_for
from uploader.cli.output.rows import FileRows, plain_row
from uploader.cli.output.summary import MAX_LISTED, doi_line, manifest_line, members_line, published_line
from uploader.cli.runner import Session
from uploader.clock import RecentRate
from uploader.cluster.files import read_hellos
from uploader.cluster.messages import Hello
from uploader.errors import ExitStatus
from uploader.sources.models import remote_path
from uploader.text import printable
from uploader.transfer import notices as no
from uploader.transfer.report import FileReport
from uploader.transfer.store import progress_file
from uploader.transfer.store.jobs import JobStore
from uploader.transfer.store.lease import current_holder
from uploader.transfer.store.overview import JobOverview, JobSummary, summarize

_EVERY = 1.0
_NEW_LEADER = 120.0
"""Seconds that members may need to replace a leader that died: on network file systems they watch it this long."""
_SUMMARY_FIELDS = (
    "job",
    "item_id",
    "item_url",
    "doi",
    "public_url",
    "published",
    "bytes_total",
    "manifest",
    "manifest_remote",
    "manifest_members",
)
"""Fields of the summary that are copied from the job's event."""
_EXIT_STATUS = {
    "done": ExitStatus.OK,
    "failed": ExitStatus.SOME_FAILED,
    "cancelled": ExitStatus.SOME_FAILED,
    "damaged": ExitStatus.SOME_FAILED,
    "interrupted": ExitStatus.RESUMABLE,
}
"""State of a job without a working process → exit status of watching it."""


def write_job(session: Session, job: JobSummary) -> None:
    """Write the event and the result, and fill the summary."""
    fields: dict[str, Any] = msgspec.to_builtins(msgspec.structs.replace(job, files=()))
    del fields["files"]
    for name in _SUMMARY_FIELDS:
        setattr(session.summary, name, fields[name])
    session.summary.files = FileRows(job.files, plain_row)
    session.console.event_with_files("job", session.summary.files, **fields)
    session.console.result(format_job(job, session.common.repeated))
    if job.options.get(SANDBOX) and job.item_url and job.holder is None:
        session.console.note(how_to_look(session.common))


async def watch(session: Session, states: JobStore, name: str) -> int:
    """Show the progress of a job until no process works on it or is about to; return its exit status."""
    display = display_for(session.console, no_progress=session.common.no_progress)
    session.signals.progress = display.summary_line
    follower = _JobFollower(states, name)
    members: tuple[no.Member, ...] = ()
    try:
        while True:
            progress = await anyio.to_thread.run_sync(follower.progress)
            if progress is not None:
                for text in _changes(members, progress.members):
                    session.console.note(text)
                members = progress.members
                display.show(progress)
            else:
                job = await anyio.to_thread.run_sync(summarize, states, name)
                if not await anyio.to_thread.run_sync(follower.may_continue, job):
                    break
            await anyio.sleep(_EVERY)
    finally:
        display.close()
    write_job(session, job)
    return _EXIT_STATUS[job.state]


class _JobFollower:
    """Reads the progress of a running job. Blocks; read-only."""

    def __init__(self, states: JobStore, name: str) -> None:
        self._states = states
        self._name = name
        self._speed = RecentRate()
        self._team: Mapping[str, Hello] = {}
        self._team_changed = 0.0

    def progress(self) -> no.Progress | None:
        """Return the progress; None if no process works on the job."""
        folder, disk = self._states.folder(self._name), self._states.disk
        if current_holder(folder, disk) is None:
            return None
        live = progress_file.read(folder, disk)
        return live.progress if live is not None else self._journaled()

    def may_continue(self, job: JobSummary) -> bool:
        """Return True if a process works on the job, or a member may lead it: one gave a sign of life not long ago."""
        if job.holder is not None or job.state != "interrupted":
            return job.holder is not None
        team, now = read_hellos(self._states.folder(self._name), self._states.disk), time.monotonic()
        if team != self._team:
            self._team, self._team_changed = team, now
        return bool(team) and now - self._team_changed < _NEW_LEADER

    def _journaled(self) -> no.Progress:
        """Read progress from the journal until the working process has written its own."""
        job = summarize(self._states, self._name)
        return no.Progress(
            bytes_done=job.bytes_done,
            bytes_total=job.bytes_total,
            files_done=job.files_done,
            files_total=job.files_total,
            rate=self._speed.sample(time.monotonic(), job.bytes_done),
            connections=0,
            active=(),
        )


def format_job(job: JobSummary, repeated: Repeated = NOTHING) -> str:
    """Format the job for a user. `repeated`: options that the command to continue it repeats."""
    lines = [f"Job {job.job}: {job.state}{_progress_text(job)}"]
    lines += processes_lines(job)
    if job.item_id is not None:
        lines.append(f"Item {job.item_id}: {job.item_url or 'its address is not known'}")
    elif job.title is not None:
        lines.append(f"New item: {printable(job.title)!r}")
    lines += [*doi_line(job.doi), *published_line(job.published, job.public_url)]
    lines += [f"At {job.endpoint}"] if job.endpoint else []
    lines += _file_lines(job)
    lines += [manifest_line(job.manifest)] if job.manifest else []
    lines += [members_line(job.manifest_members)] if job.manifest_members else []
    lines += [f"Problem: {printable(job.problem)}"] if job.problem else []
    if job.state == "interrupted":
        lines.append(f"To continue: {repeated.job_command('resume', job.job)}")
    return "\n".join(lines)


def processes_lines(job: JobOverview) -> list[str]:
    """Describe the process working on a job, and those that send parts for it."""
    lines = [f"Running on {job.holder}"] if job.holder is not None else []
    return lines + [f"  with {_member_text(member)}" for member in job.members]


def _member_text(member: no.Member) -> str:
    """Describe a process that sends parts for the one that works on the job, which saw it so."""
    task = f" ({printable(member.task)})" if member.task else ""
    rate = f" at {units.format_rate(member.rate)}" if member.rate is not None else ""
    sent = f"{units.format_bytes(member.bytes_sent)} sent{rate}"
    sign = f"last heard from {units.format_duration(member.silent)} before"
    return f"process {member.pid} on {printable(member.host)}{task}: {sent}, {sign}"


def _changes(before: tuple[no.Member, ...], now: tuple[no.Member, ...]) -> list[str]:
    """Describe which processes came or went between two reports."""
    old, new = ({(m.host, m.pid): m for m in members} for members in (before, now))
    joined = [f"joined: {_member_text(new[key])}" for key in new.keys() - old.keys()]
    return joined + [f"left: {_member_text(old[key])}" for key in old.keys() - new.keys()]


def _file_lines(job: JobSummary) -> list[str]:
    """List each file; if there are many, counts by status and the failed files."""
    if len(job.files) <= MAX_LISTED:
        return [_file_line(file) for file in job.files]
    counts = ", ".join(f"{count} {status}" for status, count in Counter(file.status for file in job.files).items())
    failed = [file.error.message for file in job.files if file.error is not None]
    lines = [f"{len(job.files)} files: {counts}"]
    lines += [f"  {printable(message)}" for message in failed[:MAX_LISTED]]
    return lines + (
        [f"  and {len(failed) - MAX_LISTED} more failed; --json has all"] if len(failed) > MAX_LISTED else []
    )


def _progress_text(job: JobSummary) -> str:
    if not job.files:
        return ""
    done, total = units.format_bytes(job.bytes_done), units.format_bytes(job.bytes_total)
    return f", {done} of {total} ({units.format_percent(job.bytes_done, job.bytes_total)})"


def _file_line(file: FileReport) -> str:
    parts = f", {file.parts_done} of {units.format_count(file.parts_total, 'part')}" if file.parts_total else ""
    md5 = f", MD5 {file.md5}" if file.md5 else ""
    path = printable(remote_path(file.folder, file.name))
    members = f", {units.format_count(file.members, 'member')}" if file.members is not None else ""
    return f"  {path}: {file.status}, {units.format_bytes(file.size)}{members}{parts}{md5}"
