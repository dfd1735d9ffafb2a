"""A job on disk: opened under its lock, run, reported, closed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import anyio
import anyio.to_thread
import msgspec

from uploader.clock import Clock
from uploader.disk import Disk, as_resumable
from uploader.errors import (
    ExitStatus,
    FigupError,
    ItemNotFound,
    JobNotFound,
    Md5Pending,
    ResourcesExhausted,
    SomeFilesFailed,
    StateDiskFull,
    StateLost,
    StateUnusable,
    StorageUnavailable,
)
from uploader.system import system_errors
from uploader.transfer import notices as no
from uploader.transfer.destination.drafts import give_up_item, is_left_empty, remove_late_items
from uploader.transfer.destination.ensure import ensure_description, learn_address
from uploader.transfer.destination.finalize import finalize
from uploader.transfer.engine import Engine
from uploader.transfer.files.closing import check_files, resolve_others
from uploader.transfer.files.late import remove_late_files
from uploader.transfer.journal import events as ev
from uploader.transfer.journal.lifecycle import State, Transfer
from uploader.transfer.journal.log import Journal
from uploader.transfer.journal.state import ItemState, JobState, state_after
from uploader.transfer.journal.sync_facts import keep_on_record
from uploader.transfer.parts.team import Leader
from uploader.transfer.recheck import ItemCheck
from uploader.transfer.report import FileReport, Problem, Report, RunFailed, SkipReport
from uploader.transfer.run.context import JobRun
from uploader.transfer.run.progress import ProgressTracker
from uploader.transfer.run.stop import Stop
from uploader.transfer.store.jobs import JobStore, Manifests, has_journal
from uploader.transfer.store.lock import JobLock
from uploader.transfer.store.overview import keep_overview
from uploader.transfer.store.removal import remove_folder


class OpenJob:
    """A locked job with its journal open. An async context manager; raises JobBusy and what reading raises."""

    def __init__(
        self,
        states: JobStore,
        name: str,
        clock: Clock,
        plan: Callable[[], Sequence[ev.AnyEvent]] | None = None,
        *,
        new: bool = False,
        shared_with: Stop | None = None,
    ) -> None:
        """Open an existing job, or a `new` one. `plan` makes its first events, and blocks; None if they are unknown.

        `shared_with`: other processes share the job, so its folder is kept; this stop ends the wait for the lock.
        """
        self.name = name
        self.clock = clock
        self.resumed = not new
        self.damaged = False
        self.manifests: Manifests | None = None
        self.wanted_archives: Mapping[int, ev.Archive] = {}
        """See `Archives.wanted`."""
        self._states = states
        self._plan = plan
        self._folder = states.folder(name)
        self._opened: tuple[Journal, JobState] | None = None
        self._shared_with = shared_with
        self.lock = JobLock(self._folder, states.disk, clock)

    async def __aenter__(self) -> Self:
        try:
            with self._shared_with.interruptible() if self._shared_with is not None else nullcontext():
                await self._acquire()
            try:
                await anyio.to_thread.run_sync(self._open_journal)
            except BaseException:
                await self.lock.release()
                raise
        except StateUnusable as error:
            if self.resumed:
                hint = "Make it writable again; only this directory records what the job has sent."
                raise error.with_context(hint=hint) from error
            raise
        return self

    async def _acquire(self) -> None:
        """Make the folder and take the lock; once more if a process that began nothing removed the folder meanwhile."""
        make_folder = self._states.disk.make_folder
        await anyio.to_thread.run_sync(make_folder, self._folder)
        try:
            await self.lock.acquire()
        except StateUnusable:
            if await anyio.to_thread.run_sync(self._folder.exists):
                raise
            await anyio.to_thread.run_sync(make_folder, self._folder)
            await self.lock.acquire()

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.journal.close()
        # Also if the call was cancelled: a lock left held would make every later call of this process fail.
        with anyio.CancelScope(shield=True):
            try:
                with suppress(ResourcesExhausted), system_errors():
                    await self._tidy(fault)
            finally:
                await self.lock.release()

    async def _tidy(self, fault: BaseException | None) -> None:
        """Remove the folder of a new job that began nothing; leave an overview of any other."""
        unbegun = not self.resumed and self._shared_with is None and not _may_have_effects(self.state)
        if unbegun and await anyio.to_thread.run_sync(self._remove_if_unbegun):
            return
        if not self.lock.lost and not isinstance(fault, StateDiskFull | StateLost | StateUnusable):
            await anyio.to_thread.run_sync(self._leave_overview)

    @property
    def folder(self) -> Path:
        """The folder of the job."""
        return self._folder

    @property
    def disk(self) -> Disk:
        """The disk with the folder."""
        return self._states.disk

    @property
    def opened(self) -> bool:
        """True once the job was open."""
        return self._opened is not None

    @property
    def journal(self) -> Journal:
        """The job's journal."""
        return self._open[0]

    @property
    def state(self) -> JobState:
        """The job's state, which grows with its journal."""
        return self._open[1]

    @property
    def _open(self) -> tuple[Journal, JobState]:
        if self._opened is None:
            raise RuntimeError("the job is not open")
        return self._opened

    async def renew(self, events: Sequence[ev.AnyEvent]) -> None:
        """Apply and journal the changes of a repeated command. Raises JobBusy if another machine has the job now."""
        await self.lock.check()
        for event in events:
            self.state.apply(event)
            self.journal.record(event)
            if isinstance(event, ev.FileEvent):
                keep_on_record(
                    self.journal.kept.files, self.state.transfers[event.file], recovered=self.state.recovered
                )
        await self.journal.commit()

    def write_manifests(self) -> None:
        """Write the MD5 lists of a job whose files were all just verified, and remove what it no longer needs. Blocks.

        What a damaged journal lost no longer matters. Raises StateDiskFull, StateUnusable, and JobBusy if another
        machine has taken over the job.
        """
        self.lock.require()
        self._states.end_recovery(self.name, self.state)
        self.manifests = self._states.write_manifests(self.name, self.state)
        self.lock.require()
        self._states.archives(self.name).remove_others(self.state)

    def _open_journal(self) -> None:
        path, disk = self._folder / "journal", self._states.disk
        if not has_journal(self._folder, disk):
            plan = self._plan() if self._plan is not None and not self.resumed else None
            if plan is None:
                raise JobNotFound(f"job {self.name!r} not found in {self._states.path}")
            self.lock.require()  # the plan may have taken long, and another machine may have begun the job since
            self._opened = Journal.create(path, plan, disk), state_after(plan)
            self.state.files_on_record = self.journal.kept.files
            return
        if self.lock.took_over and (data := disk.read(path)) is not None:
            self.lock.require()
            # The previous holder may wake up: what it still writes then goes to an unlinked file.
            disk.replace(path, data)
        # Also for a new job: another process may have created it since the check.
        self.resumed = True
        log, state = self._states.recover(self.name, self._plan)
        self.damaged = bool(log.damaged)
        self.lock.require()  # before a journal that seems torn is rewritten
        self._opened = Journal.reopen(path, log, disk, state.to_keep()), state
        state.files_on_record = self.journal.kept.files

    def _leave_overview(self) -> None:
        with suppress(FigupError):  # optional: it only speeds up reading
            if self.lock.is_held():
                keep_overview(self._states, self.name, self.state)

    def _remove_if_unbegun(self) -> bool:
        """Remove the folder if the journal on disk has nothing begun and the lease is held; False if not. Blocks.

        Another machine may have taken over the job while this process was suspended.
        """
        try:
            if self.lock.lost or _may_have_effects(self._states.read(self.name)) or not self.lock.still_held():
                return False
        except FigupError:
            return False
        with suppress(OSError):
            remove_folder(self._folder)
        return True


async def run_job(job: OpenJob, run: JobRun, team: Leader | None = None) -> Report:
    """Transfer all files of an open job and finish its item. `team` has other processes send parts of it.

    Raises RunFailed, with the error that ended the run and the report of what was done.
    """
    meter = run.progress
    if job.damaged:
        run.notify(
            no.Warned(message=f"the journal of job {job.name} was damaged; the lost part is looked up on Figshare")
        )
    run.notify(
        no.JobStarted(
            job=job.name,
            resumed=job.resumed,
            files=meter.files_total,
            bytes_total=meter.bytes_total,
            title=job.state.plan.title,
            files_done=meter.files_done,
            bytes_done=meter.bytes_done,
        )
    )
    started, requests = run.clock.monotonic(), run.api.requests
    engine = Engine(run, job.lock, team)

    def report(exit_status: int) -> Report:
        seconds = run.clock.monotonic() - started
        return make_report(job, meter, engine.problems, seconds, exit_status, run.api.requests - requests)

    async def work() -> None:
        await engine.run()
        _raise_problems(engine.problems, len(job.state.transfers))
        if not job.state.finished:
            raise RuntimeError("the run ended before everything was verified")
        await job.lock.held_while(lambda: check_files(run))
        await job.lock.held_while(lambda: remove_late_items(run))
        await job.lock.held_while(lambda: anyio.to_thread.run_sync(_write_manifests, job))
        await job.lock.held_while(lambda: finalize(run, lambda: check_files(run)))

    try:
        with system_errors():
            await work()
    except FigupError as error:
        if run.created_item and is_left_empty(job.state, error, engine.problems):
            await job.lock.held_while(lambda: give_up_item(run))
        raise RunFailed(about_job(job.state, error), report(error.exit_status).ended_by(error)) from error
    return report(ExitStatus.OK)


async def finish_item(job: OpenJob, run: JobRun, check: ItemCheck) -> Report:
    """Run the remaining steps for the item of a job whose files are complete according to `check`. Raises RunFailed."""
    requests = run.api.requests

    def report(exit_status: int) -> Report:
        return make_report(job, run.progress, {}, 0.0, exit_status, run.api.requests - requests)

    async def finish() -> None:
        if run.state.item_state is ItemState.CREATED:
            await learn_address(run)
        if await resolve_others(run, check) or check.unseen:
            await check_files(run)
        await remove_late_files(run, check.late)
        await remove_late_items(run)
        await anyio.to_thread.run_sync(_write_manifests, job)
        await ensure_description(run)
        await finalize(run, lambda: check_files(run))

    try:
        with system_errors():
            await job.lock.held_while(finish)
    except FigupError as error:
        raise RunFailed(about_job(job.state, error), report(error.exit_status).ended_by(error)) from error
    return report(ExitStatus.OK)


def about_job(state: JobState, error: FigupError) -> FigupError:
    """Return the error, with advice if the item that the job created no longer exists."""
    if not (isinstance(error, ItemNotFound) and state.creates_item):
        return error
    return error.with_context(hint="Send everything to a new item in a new job.", situation="item-of-job-missing")


def _may_have_effects(state: JobState) -> bool:
    """Return True if anything may exist on Figshare because of this job."""
    return (
        state.item_state is not ItemState.UNKNOWN
        or bool(state.unanswered_items)
        or any(t.state is not State.PLANNED for t in state.transfers)
    )


def _write_manifests(job: OpenJob) -> None:
    with as_resumable():
        job.write_manifests()


def _raise_problems(problems: dict[int, FigupError], files: int) -> None:
    errors = list(problems.values())
    if not errors:
        return
    if files == 1 or all(isinstance(error, Md5Pending) for error in errors):
        raise errors[0]
    if all(isinstance(error, StorageUnavailable) for error in errors):
        raise StorageUnavailable(f"{len(errors)} of {files} files are on storage that does not answer")
    raise SomeFilesFailed(f"{len(errors)} of {files} files could not be sent")


def make_report(
    job: OpenJob,
    meter: ProgressTracker,
    problems: dict[int, FigupError],
    seconds: float,
    exit_status: int,
    api_requests: int,
) -> Report:
    """Report the job so far."""
    state, manifests = job.state, job.manifests
    files = tuple(
        _file_report(transfer, meter.parts(transfer), problems.get(transfer.index)) for transfer in state.reported
    )
    return Report(
        job=job.name,
        item_id=state.item_id,
        item_url=state.item_url,
        files=files,
        bytes_sent=meter.bytes_sent,
        bytes_total=meter.bytes_total,
        seconds=round(seconds, 3),
        exit_status=exit_status,
        api_requests=api_requests,
        doi=state.doi,
        public_url=state.public_url,
        private_link=state.done_steps.get("private_link"),
        published=state.publication,
        skipped=tuple(SkipReport(path, reason) for path, reason in state.skipped.items()),
        manifest=_path(manifests.local) if manifests is not None else None,
        manifest_remote=_path(manifests.remote) if manifests is not None else None,
        manifest_members=_path(manifests.members) if manifests is not None else None,
    )


def _file_report(transfer: Transfer, parts: tuple[int, int], problem: FigupError | None) -> FileReport:
    found, sent = parts
    return msgspec.structs.replace(
        FileReport.of(transfer),
        parts_found=found,
        parts_sent=sent,
        error=Problem.of(problem) if problem is not None else None,
    )


def _path(path: Path | None) -> str | None:
    return str(path) if path is not None else None
