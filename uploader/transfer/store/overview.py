"""Overviews of the jobs on this machine, from their journals. Needs no token and no network; also reads a running job.

Reading a journal of a hundred thousand files takes seconds. Therefore closing a job writes `overview.json` beside its
journal, which is valid until the journal changes.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from uploader.errors import Facts, FigupError, JobNotFound, UsageError
from uploader.text import shorten
from uploader.transfer.journal.lifecycle import State, Transfer
from uploader.transfer.journal.state import JobState
from uploader.transfer.notices import Member
from uploader.transfer.report import FileReport
from uploader.transfer.store import progress_file
from uploader.transfer.store.jobs import JobStore
from uploader.transfer.store.lease import current_holders

_OVERVIEW = "overview.json"
_WIDTH = 40
"""Columns of a title in a message."""
_FORMAT = 2
"""Format of the cached overviews; others are ignored."""
CACHE_FROM = 1_000_000
"""Journal size (bytes) from which a cached overview is kept."""


class JobOverview(msgspec.Struct, frozen=True, kw_only=True):
    """A job on this machine. `state`: running, interrupted, failed, done, cancelled, undone or damaged.

    `holder` is the process working on it, or None; `members` are others that send parts for it, as it saw them last.
    `bytes_done` is an estimate for unfinished files (parts may differ in size), or the last report of the process
    working on the job. `files_done` are verified; `first` is the name of the first file. `problem` is why the job
    stopped. `doi`, `public_url` and `published` are results of the final steps: see `Report`.
    """

    job: str
    state: str
    changed: datetime
    holder: str | None = None
    endpoint: str | None = None
    item_id: int | None = None
    item_url: str | None = None
    title: str | None = None
    bytes_total: int = 0
    bytes_done: int = 0
    files_total: int = 0
    files_done: int = 0
    first: str | None = None
    problem: str | None = None
    options: dict[str, Any] = {}
    """Options stored by the command."""
    doi: str | None = None
    public_url: str | None = None
    published: str | None = None
    members: tuple[Member, ...] = ()


class JobSummary(JobOverview, frozen=True, kw_only=True):
    """An overview with every file and, for a finished job, the manifests: see `Report`."""

    files: tuple[FileReport, ...] = ()
    manifest: str | None = None
    manifest_remote: str | None = None
    manifest_members: str | None = None


class _CachedOverview(msgspec.Struct, frozen=True, kw_only=True):
    """A cached overview, and the version of the journal that it was made from. `format` is `_FORMAT`."""

    format: int
    journal: tuple[int, int, int]
    overview: JobOverview


def summarize(states: JobStore, job: str) -> JobSummary:
    """One job with its files. Raises JobNotFound; a journal that cannot be read is a job in state `damaged`."""
    seen, state = _read(states, job)
    if state is None:
        return JobSummary(**msgspec.structs.asdict(seen))
    return _summary(states, state, _held(states, seen))


def summary_of(states: JobStore, job: str, state: JobState) -> JobSummary:
    """Summarize a job whose journal leads to `state`. Blocks. Raises JobNotFound."""
    return _summary(states, state, _held(states, _overview(job, state, states.last_change(job))))


def _summary(states: JobStore, state: JobState, seen: JobOverview) -> JobSummary:
    local, remote, members = (
        str(path) if state.concluded and path.exists() else None for path in states.manifest_paths(seen.job)
    )
    return JobSummary(
        **msgspec.structs.asdict(seen),
        files=tuple(FileReport.of(transfer) for transfer in state.reported),
        manifest=local,
        manifest_remote=remote,
        manifest_members=members,
    )


def overview(states: JobStore, job: str) -> JobOverview:
    """One job. Raises as `summarize` does."""
    return _overviews(states, [job])[0]


def keep_overview(states: JobStore, job: str, state: JobState) -> None:
    """Cache the overview of a job that is being closed and no longer changes. Blocks.

    Raises JobNotFound, StateDiskFull, StateUnusable.
    """
    if (journal := _journal_version(states, job)) is not None:
        _write_cached(states, journal, _overview(job, state, states.last_change(job)))


def list_jobs(states: JobStore) -> list[JobOverview]:
    """All jobs, most recently changed first."""
    return sorted(_overviews(states, states.names(), missing_ok=True), key=lambda s: s.changed, reverse=True)


def _overviews(states: JobStore, jobs: Iterable[str], *, missing_ok: bool = False) -> list[JobOverview]:
    """Return the overviews of jobs; a missing one raises JobNotFound, unless `missing_ok`."""
    found: list[tuple[JobOverview, tuple[int, int, int] | None]] = []
    for job in jobs:
        try:
            found.append(_recorded(states, job))
        except JobNotFound:
            if not missing_ok:
                raise
    holders = current_holders([states.folder(seen.job) for seen, _ in found], states.disk)
    reported = []
    for seen, journal in found:
        reported.append(_with_holder(states, seen, holders[states.folder(seen.job)]))
        if reported[-1] is seen and journal is not None:
            # A killed process wrote none; a process that starts now writes its own.
            with suppress(FigupError):
                _write_cached(states, journal, seen)
    return reported


def _recorded(states: JobStore, job: str) -> tuple[JobOverview, tuple[int, int, int] | None]:
    """Return a job as if no process worked on it, and the version of its journal if it should be cached."""
    kept = _read_cached(states, job)
    if kept is not None:
        return kept, None
    journal = _journal_version(states, job)
    seen, state = _read(states, job)
    return seen, journal if state is not None and journal is not None and journal[0] >= CACHE_FROM else None


def latest_job(states: JobStore) -> str:
    """Find the job that changed last. Raises JobNotFound."""
    jobs: list[tuple[datetime, str]] = []
    for job in states.names():
        with suppress(JobNotFound):
            jobs.append((states.last_change(job), job))
    if not jobs:
        raise JobNotFound(f"no jobs in {states.path}", facts=Facts("no-jobs"))
    return max(jobs)[1]


def unfinished_job(states: JobStore) -> str:
    """Find the one interrupted job, or else the one failed job without a working process. Raises JobNotFound, or
    UsageError naming several.
    """
    listed = list_jobs(states)
    jobs = _in_state(listed, "interrupted") or _in_state(listed, "failed")
    if not jobs:
        running = _in_state(listed, "running")
        besides = f"; running: {_named(running)}" if running else ""
        raise JobNotFound(f"no interrupted job{besides}", facts=Facts("no-unfinished-job"))
    if len(jobs) > 1:
        raise UsageError(
            f"{len(jobs)} {jobs[0].state} jobs: {_named(jobs)}",
            hint="Name one of them.",
            facts=Facts("several-unfinished"),
        )
    return jobs[0].job


def _in_state(jobs: Iterable[JobOverview], state: str) -> list[JobOverview]:
    return [job for job in jobs if job.state == state]


def _named(jobs: Iterable[JobOverview]) -> str:
    return ", ".join(f"{job.job} ({shorten(job.title or job.first or '?', _WIDTH)})" for job in jobs)


def recorded_state(states: JobStore, job: str) -> str:
    """Return the state of a job as if no process worked on it: see `JobOverview`. Blocks. Raises JobNotFound."""
    return _read(states, job)[0].state


def state_name(state: JobState) -> str:
    """Return the state of a job without a working process, as one word: see `JobOverview`."""
    if state.concluded:
        return "done"
    if state.cancelled:
        return "cancelled"
    if any(t.state is State.FAILED for t in state.active):
        return "failed"
    return "interrupted"


def _read(states: JobStore, job: str) -> tuple[JobOverview, JobState | None]:
    """Read the journal; the state is None if it cannot be read."""
    changed = states.last_change(job)
    try:
        state = states.read(job)
    except FigupError as error:
        return JobOverview(job=job, state="damaged", changed=changed, problem=error.message), None
    return _overview(job, state, changed), state


def _held(states: JobStore, seen: JobOverview) -> JobOverview:
    folder = states.folder(seen.job)
    return _with_holder(states, seen, current_holders([folder], states.disk)[folder])


def _with_holder(states: JobStore, seen: JobOverview, holder: str | FigupError | None) -> JobOverview:
    """Add the process working on the job and the progress that it reports, which is newer than the journal.

    A job whose lease cannot be read also counts as damaged: it cannot be continued.
    """
    folder = states.folder(seen.job)
    if holder is None or seen.state == "damaged":
        return seen
    if isinstance(holder, FigupError):
        return msgspec.structs.replace(seen, state="damaged", problem=holder.message)
    seen = msgspec.structs.replace(seen, state="running", holder=holder)
    reported = progress_file.read(folder, states.disk)
    if reported is None:
        return seen
    now = reported.progress
    return msgspec.structs.replace(seen, bytes_done=now.bytes_done, files_done=now.files_done, members=now.members)


def _overview(job: str, state: JobState, changed: datetime) -> JobOverview:
    wanted = state.active
    return JobOverview(
        job=job,
        state=state_name(state),
        changed=changed,
        endpoint=state.plan.endpoint,
        item_id=state.item_id,
        item_url=state.item_url,
        title=state.plan.title,
        bytes_total=sum(t.size for t in wanted),
        bytes_done=sum(_bytes_done(t) for t in wanted),
        files_total=len(wanted),
        files_done=sum(t.state is State.VERIFIED for t in wanted),
        first=wanted[0].name if wanted else None,
        problem=next((t.error.message for t in wanted if t.error is not None), None),
        options=state.options,
        doi=state.doi,
        public_url=state.public_url,
        published=state.publication,
    )


def _write_cached(states: JobStore, journal: tuple[int, int, int], seen: JobOverview) -> None:
    states.disk.put(
        states.folder(seen.job) / _OVERVIEW,
        msgspec.json.encode(_CachedOverview(format=_FORMAT, journal=journal, overview=seen)),
    )


def _read_cached(states: JobStore, job: str) -> JobOverview | None:
    """Read the stored overview, if the journal has not changed since."""
    try:
        data = states.disk.read(states.folder(job) / _OVERVIEW)
        kept = msgspec.json.decode(data or b"", type=_CachedOverview)
    except (FigupError, msgspec.MsgspecError):
        return None
    return kept.overview if (kept.format, kept.journal) == (_FORMAT, _journal_version(states, job)) else None


def _journal_version(states: JobStore, job: str) -> tuple[int, int, int] | None:
    """Return values that identify the state of a journal; None if it cannot be looked at."""
    path: Path = states.folder(job) / "journal"
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns, found.st_ino


def _bytes_done(transfer: Transfer) -> int:
    if transfer.state in (State.VERIFIED, State.COMPLETED, State.COMPLETING, State.SENT):
        return transfer.size
    if not transfer.parts_total:
        return 0
    return transfer.size * transfer.parts_done // transfer.parts_total
