"""The engine: one run of a job, as a task group of file drivers, part workers, journal commits and progress.

File drivers handle files, part workers handle parts; the engine starts, retries and ends them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

import anyio
import anyio.to_thread

from uploader.concurrency import Stopped, until_cancelled, unwrap_group
from uploader.errors import (
    AccountNotFound,
    Facts,
    FigupError,
    Interrupted,
    ItemNotFound,
    JobBusy,
    Md5Pending,
    NotFigshare,
    NoToken,
    PermissionDenied,
    QuotaExceeded,
    RequestRejected,
    ResourcesExhausted,
    ServerFailing,
    SomeFilesFailed,
    SourceChanged,
    StateDiskFull,
    StateLost,
    StateUnusable,
    TlsFailure,
    TokenRejected,
    Unreachable,
    UploadFailing,
)
from uploader.system import descriptor_share
from uploader.text import printable
from uploader.transfer import notices as no
from uploader.transfer.destination.ensure import ensure_item, learn_address
from uploader.transfer.files.content import changed_since_checked
from uploader.transfer.files.decide import is_retryable, refusal_advice
from uploader.transfer.files.driver import FileDriver
from uploader.transfer.files.link import LinkDriver
from uploader.transfer.journal import events as ev
from uploader.transfer.journal.lifecycle import UNFINISHED, State, Step, Transfer, next_step
from uploader.transfer.options import MAX_CONNECTIONS
from uploader.transfer.parts.adaptive import AdaptiveConcurrency
from uploader.transfer.parts.queue import PartQueue
from uploader.transfer.parts.schedule import Schedule
from uploader.transfer.parts.senders import TICK, PartSenders
from uploader.transfer.parts.team import Leader
from uploader.transfer.run.context import JobRun
from uploader.transfer.run.deadline import interruption
from uploader.transfer.run.limits import check_quota, many_files_warning, mixed_links_warning
from uploader.transfer.run.listing import is_listing_cheaper
from uploader.transfer.store.lock import JobLock
from uploader.transfer.store.tuning import remember_connections, remembered_connections
from uploader.units import format_count

_RESTARTS = 3
"""Restarts per run of a source that changed, if restarts were requested."""
_COMMIT_EVERY = 0.5
_MAX_STARTING = 8
"""Files started at a time, and API requests that may be waiting while more files are started."""
_BURST_PAUSE = 0.02
_CONNECTION_SHARE = 0.2
"""Fraction of the free descriptors for connections that send parts."""
_JOB_ERRORS = (
    *(Unreachable, ServerFailing, NotFigshare, TlsFailure, StateDiskFull, StateLost, StateUnusable, Interrupted),
    ResourcesExhausted,
    *(TokenRejected, PermissionDenied, NoToken, ItemNotFound, AccountNotFound, QuotaExceeded, JobBusy),
)
"""Errors that concern every file of the job: they end the run."""


class Engine:
    """One run of a job."""

    def __init__(self, run: JobRun, lock: JobLock, team: Leader | None = None) -> None:
        """`team` hands out parts to other processes; None: this process sends all of them."""
        self._run = run
        self._lock = lock
        self._team = team
        # After a suspension, another process may have the job, and send the parts that are waiting here.
        may_send = lock.is_fresh if team is None else team.may_send
        self._queue = PartQueue(shared=team is not None, may_take=may_send)
        self._wakeup = anyio.Event()
        """Set when another file may be started."""
        self._finished: set[int] = set()
        """Transfers that finished with an unchanged source."""
        self._aborted = False
        """True once more files failed than allowed: work in progress stops, and no further file fails."""
        self.problems: dict[int, FigupError] = {}
        """Errors of single files in this run, by index."""

    async def run(self) -> None:
        """Transfer everything. Raises errors of the whole job; errors of single files are in `problems`."""
        try:
            with unwrap_group():
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._end_on_stop, tasks.cancel_scope)
                    tasks.start_soon(self._commit_regularly)
                    tasks.start_soon(self._lock.renew_regularly)
                    await self._work()
                    tasks.cancel_scope.cancel()
        except Stopped:
            pass
        finally:
            # Never append to a journal that another machine continues: two checksum chains would damage it.
            if not self._lock.lost:
                with anyio.CancelScope(shield=True):
                    await self._run.journal.commit()
        if self._aborted:
            self._run.stop.end_abort()
            raise SomeFilesFailed(self._abort_message())
        if self._run.stop.requested and len(self._finished) < len(self._run.state.transfers):
            raise interruption(self._run.state, self._run.progress, at_deadline=self._run.stop.at_deadline)

    async def _work(self) -> None:
        await self._prepare()
        pace = await self._new_pace()
        senders = PartSenders(self._run, pace, self._queue)
        async with anyio.create_task_group() as tasks:
            senders.start(tasks)
            tasks.start_soon(self._run.listing.run_batches, lambda: self._queue.empty)
            tasks.start_soon(self._tick, senders)
            if self._team is not None:
                tasks.start_soon(self._team.lead, self._run, self._queue, senders)
            async with anyio.create_task_group() as drivers:
                drivers.start_soon(self._learn_address)
                await self._drive_all(self._run.state.transfers)
                self._queue.used.set()
            if retryable := self._retryable_files():
                for transfer in retryable:
                    del self.problems[transfer.index]
                    self._run.progress.files_failed -= 1
                    self._run.record(ev.Retried(transfer.index))
                self._run.notify(no.Warned(message=f"trying {format_count(len(retryable), 'failed file')} again"))
                await self._drive_all(retryable)
            await self._drive_changed()
            tasks.cancel_scope.cancel()
        await self._remember(pace)

    # --- before the first byte ------------------------------------------------------------------------------------

    async def _prepare(self) -> None:
        run = self._run
        with run.stop.interruptible():
            account = await run.api.account()
            run.account = account.id
            await run.commit(ev.Resumed(run.api.server_now().isoformat()))
            if run.state.creates_item:
                check_quota(account, self._new())
        warned = self._warn_mixed_links()
        await ensure_item(run)
        everything = run.options.restart_changed or run.state.recovered
        if not run.created_item and (self._needs_listing() or everything or is_listing_cheaper(run.state)):
            with run.stop.interruptible():
                await anyio.to_thread.run_sync(run.places.survey)
                await run.listing.load()
            if not warned:
                self._warn_mixed_links()
        new = self._new()
        if not run.state.creates_item:
            check_quota(account, new)
        warning = many_files_warning(run.listing.file_count + len(new), len(new), run.api.request_rate)
        if warning is not None:
            run.notify(no.Warned(message=warning, facts=Facts("many-files")))

    async def _learn_address(self) -> None:
        """Request the item's address once parts are being sent: it is only displayed, so other requests go first."""
        await self._queue.used.wait()
        with suppress(Stopped):
            await learn_address(self._run)

    def _needs_listing(self) -> bool:
        """Return True if the item must be listed, so that another's file is not mistaken for this job's.

        In an item that the user named, any lost upload is initiated again. An item that the job created holds only its
        own files, unless the record of them may be incomplete.
        """
        steps = {next_step(transfer) for transfer in self._run.state.transfers}
        others_possible = not self._run.state.creates_item or self._run.state.recovered
        return bool(
            steps & {Step.INITIATE, Step.LOOK_UP, Step.REMOVE_REMNANTS} or (others_possible and steps != {Step.NOTHING})
        )

    def _warn_mixed_links(self) -> bool:
        """Warn if the item would hold links beside files, or several links; True if warned."""
        links = sum(transfer.link for transfer in self._run.state.active)
        files = len(self._run.state.active) - links + self._run.listing.other_files
        text = mixed_links_warning(links + self._run.listing.other_links, files)
        if text is not None:
            self._run.notify(no.Warned(message=text))
        return text is not None

    def _new(self) -> list[Transfer]:
        """Transfers without a remote file, as far as known."""
        return [t for t in self._run.state.active if t.file_id is None and not self._run.listing.may_hold(t)]

    # --- the files ------------------------------------------------------------------------------------------------

    async def _drive_all(self, transfers: Sequence[Transfer]) -> None:
        """Run these transfers, many at the same time."""
        # Files before links: if Figshare accepts only one kind, it should be files.
        for kind in ([t for t in transfers if not t.link], [t for t in transfers if t.link]):
            await self._drive_kind(kind)

    async def _drive_changed(self) -> None:
        """Check verified sources again that changed while the others were sent, which may have taken hours."""
        for _ in range(_RESTARTS):
            checked = self._finished - self.problems.keys()
            finished = [transfer for transfer in self._run.state.active if transfer.index in checked]
            try:
                with self._run.stop.interruptible():
                    changed = await until_cancelled(changed_since_checked, self._run, finished)
            except Stopped:
                break
            if not changed:
                break
            await self._drive_all(changed)

    async def _drive_kind(self, transfers: Iterable[Transfer]) -> None:
        schedule = Schedule(transfers)
        async with anyio.create_task_group() as tasks:
            while schedule.left and not self._run.stop.requested:
                self._wakeup = anyio.Event()
                started = 0
                # Few at a time, so that urgent requests do not queue behind hundreds of others.
                while (
                    started < _MAX_STARTING and self._run.api.waiting < _MAX_STARTING and (transfer := schedule.next())
                ):
                    tasks.start_soon(self._run_file, transfer, schedule)
                    started += 1
                await self._run.clock.wait_for(self._wakeup, _BURST_PAUSE if started else TICK)

    async def _run_file(self, transfer: Transfer, schedule: Schedule) -> None:
        def on_sent(sent: Transfer) -> None:
            schedule.sent(sent)
            self._wakeup.set()

        restarts = 0
        try:
            while not self._run.stop.requested and await self._drive(
                transfer, on_sent, may_restart=restarts < _RESTARTS
            ):
                restarts += 1
        finally:
            schedule.finish(transfer)
            self._wakeup.set()

    async def _drive(self, transfer: Transfer, on_sent: Callable[[Transfer], None], *, may_restart: bool) -> bool:
        """Run one transfer. Returns True if its source changed and it must be restarted."""
        driver: FileDriver | LinkDriver | None = None
        try:
            with unwrap_group():
                async with anyio.create_task_group() as tasks:
                    if transfer.link:
                        driver = LinkDriver(self._run, transfer)
                    else:
                        driver = FileDriver(self._run, transfer, self._queue, tasks, on_sent)
                    await driver.drive()
                    self._finished.add(transfer.index)
                    tasks.cancel_scope.cancel()
        except Stopped:
            pass
        except (ServerFailing, Unreachable) as error:
            if not error.isolated or len(self._run.state.transfers) == 1:
                raise
            await self._abort(transfer, UploadFailing(error.message, path=error.path))
        except _JOB_ERRORS:
            raise
        except FigupError as error:
            if isinstance(error, SourceChanged) and self._run.options.restart_changed and may_restart:
                return await self._restart_with_new_version(transfer, error)
            await self._abort(transfer, error)
        finally:
            if driver is not None:
                driver.close()
        return False

    async def _restart_with_new_version(self, transfer: Transfer, change: SourceChanged) -> bool:
        try:
            replaced = await anyio.to_thread.run_sync(self._run.archives.renewed, transfer)
        except FigupError as error:
            await self._abort(transfer, error)
            return False
        if transfer.intended_at is not None:
            # The intent's effect must be found before anything new is initiated.
            return True
        old_size = transfer.size
        self._run.progress.file(transfer).restart()
        reason = change.message.removeprefix(f"{printable(transfer.path)}: ")
        self._run.notify(no.FileRestarted(transfer.path, reason))
        await self._run.commit(replaced)
        self._run.progress.replaced(transfer, old_size)
        return True

    async def _abort(self, transfer: Transfer, error: FigupError) -> None:
        if self._aborted:
            return
        if error.path is None:
            # The server's error does not name the file.
            error = error.with_context(prefix=printable(transfer.path), path=transfer.path)
        if isinstance(error, RequestRejected):
            advice = refusal_advice(error, transfer, single_file=len(self._run.state.transfers) == 1)
            if advice is not None:
                error = error.with_context(hint=advice[0], situation=advice[1])
        self.problems[transfer.index] = error
        if not isinstance(error, Md5Pending):
            self._run.progress.files_failed += 1
        limit, stop = self._run.options.max_errors, self._run.stop
        too_many = limit is not None and self._run.progress.files_failed > limit
        if too_many and len(self._run.state.transfers) > 1 and not stop.requested:
            # Before any await, so that no more files fail than allowed.
            self._aborted = True
            stop.abort()
        if transfer.state in UNFINISHED and not isinstance(error, Md5Pending):
            await self._run.commit(ev.Failed(transfer.index, code=error.code, message=error.message))
        self._run.notify(
            no.FileFailed(code=error.code, message=error.message, hint=error.hint, path=error.path, facts=error.facts)
        )

    def _abort_message(self) -> str:
        """Why the run was aborted, and the state of the other files."""
        rest = [t for t in self._run.state.active if not t.settled and t.index not in self.problems]
        begun = sum(t.file_id is not None or t.intended_at is not None for t in rest)
        failed = format_count(self._run.progress.files_failed, "file")
        text = f"{failed} failed, more than the {self._run.options.max_errors} allowed"
        left = [f"in progress, resumable: {begun}"] if begun else []
        left += [f"not started: {len(rest) - begun}"] if len(rest) > begun else []
        return f"{text}; {'; '.join(left)}" if left else text

    def _retryable_files(self) -> list[Transfer]:
        """Return the failed files worth retrying: their errors may be transient."""
        if self._run.stop.requested or len(self._run.state.transfers) == 1:
            return []
        transfers = self._run.state.transfers
        return [
            transfers[index]
            for index, problem in self.problems.items()
            if is_retryable(problem, transfers[index]) and transfers[index].state is State.FAILED
        ]

    # --- background tasks -----------------------------------------------------------------------------------------

    async def _end_on_stop(self, scope: anyio.CancelScope) -> None:
        await self._run.stop.expired(self._run.options.grace, self._run.clock)
        scope.cancel()

    async def _commit_regularly(self) -> None:
        while True:
            await self._run.clock.sleep(_COMMIT_EVERY)
            await self._lock.check()
            await self._run.journal.commit()

    async def _new_pace(self) -> AdaptiveConcurrency:
        run, most = self._run, descriptor_share(MAX_CONNECTIONS, _CONNECTION_SHARE)
        if run.options.connections is not None:
            return AdaptiveConcurrency(run.options.connections, most=most)
        return AdaptiveConcurrency(
            remembered=await anyio.to_thread.run_sync(remembered_connections, run.states, run.endpoint), most=most
        )

    async def _remember(self, pace: AdaptiveConcurrency) -> None:
        run = self._run
        if run.options.connections is None and pace.best is not None:
            await anyio.to_thread.run_sync(remember_connections, run.states, run.endpoint, pace.best)

    async def _tick(self, senders: PartSenders) -> None:
        meter, clock, api = self._run.progress, self._run.clock, self._run.api
        while True:
            await clock.sleep(TICK)
            senders.tick()
            if self._run.throttle.refresh():
                self._run.notify(no.LimitChanged(self._run.throttle.rate))
            members = self._team.members() if self._team is not None else ()
            waiting_rate = api.request_rate if api.waiting else None
            self._run.notify(meter.progress(clock.monotonic(), request_rate=waiting_rate, members=members))
