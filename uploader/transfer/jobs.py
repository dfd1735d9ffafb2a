"""What the journals on this machine say about its jobs. Needs no token and no network; also reads a running job."""

from __future__ import annotations

from datetime import datetime

import msgspec

from uploader.errors import FigupError, JobMissing, UsageError
from uploader.transfer.folders import StateDir
from uploader.transfer.lifecycle import JobState, State, Transfer


class FileSummary(msgspec.Struct, frozen=True):
    """One transfer, from the journal alone. Parts are None before the server was asked for them."""

    path: str
    name: str
    size: int
    state: str
    file_id: int | None
    parts_total: int | None
    parts_done: int
    md5: str | None
    problem: str | None


class JobSummary(msgspec.Struct, frozen=True):
    """A job on this machine. `state`: planned, unfinished, failed, finished, cancelled, damaged.

    `bytes_done` is an estimate for files under way (parts may differ in size). `problem` is why it stands still.
    """

    job: str
    state: str
    changed: datetime
    endpoint: str | None = None
    item_id: int | None = None
    item_url: str | None = None
    title: str | None = None
    bytes_total: int = 0
    bytes_done: int = 0
    files: tuple[FileSummary, ...] = ()
    problem: str | None = None

    @property
    def files_done(self) -> int:
        """Files that are verified."""
        return sum(f.state == State.VERIFIED.value for f in self.files)


def summarise(states: StateDir, job: str) -> JobSummary:
    """One job. Raises JobMissing; a journal that cannot be read is a job in state `damaged`."""
    changed = states.last_change(job)
    try:
        _, state = states.read(job)
    except FigupError as error:
        return JobSummary(job, "damaged", changed, problem=error.message)
    if state.plan is None or not state.complete:
        return JobSummary(job, "damaged", changed, problem="the journal does not say what was to be sent")
    problems = [t.error.message for t in state.transfers if t.error is not None]
    return JobSummary(
        job=job,
        state=_state(state),
        changed=changed,
        endpoint=state.plan.endpoint,
        item_id=state.item_id,
        item_url=state.item_url,
        title=state.plan.title,
        bytes_total=sum(t.size for t in state.transfers),
        bytes_done=sum(_bytes_done(t) for t in state.transfers),
        files=tuple(_file(t) for t in state.transfers),
        problem=problems[0] if problems else None,
    )


def list_jobs(states: StateDir) -> list[JobSummary]:
    """All jobs, the one that changed last first."""
    summaries = []
    for job in states.names():
        try:
            summaries.append(summarise(states, job))
        except JobMissing:
            continue
    return sorted(summaries, key=lambda s: s.changed, reverse=True)


def unfinished_job(states: StateDir) -> str:
    """The one job that is neither finished nor cancelled. Raises JobMissing, or UsageError naming several."""
    jobs = [s for s in list_jobs(states) if s.state in ("planned", "unfinished", "failed")]
    if not jobs:
        raise JobMissing("there is no unfinished job", hint="`figup jobs` lists the finished ones.")
    if len(jobs) > 1:
        names = ", ".join(f"{s.job} ({s.files[0].name})" for s in jobs)
        raise UsageError(f"{len(jobs)} jobs are unfinished: {names}", hint="Name one of them: figup resume JOB")
    return jobs[0].job


def _state(state: JobState) -> str:
    if state.finished:
        return "finished"
    if state.cancelled:
        return "cancelled"
    if any(t.state is State.FAILED for t in state.transfers):
        return "failed"
    if all(t.state is State.PLANNED and t.file_id is None for t in state.transfers):
        return "planned"
    return "unfinished"


def _bytes_done(transfer: Transfer) -> int:
    if transfer.state in (State.VERIFIED, State.COMPLETED, State.COMPLETING, State.SENT):
        return transfer.size
    if not transfer.parts_total:
        return 0
    return transfer.size * transfer.parts_done // transfer.parts_total


def _file(transfer: Transfer) -> FileSummary:
    return FileSummary(
        path=transfer.path,
        name=transfer.name,
        size=transfer.size,
        state=transfer.state.value,
        file_id=transfer.file_id,
        parts_total=transfer.parts_total,
        parts_done=transfer.parts_done,
        md5=transfer.md5,
        problem=transfer.error.message if transfer.error is not None else None,
    )
