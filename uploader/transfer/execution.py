"""Execute one call of a client on one job: update, recheck or run the job, and record the run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext
from typing import Protocol

import anyio.to_thread
import msgspec

from uploader.clock import Clock
from uploader.errors import Facts, ItemNotFound, JobBusy, NoToken, SourceChanged, UsageError
from uploader.figshare.settings import Settings
from uploader.sources.models import Selection
from uploader.sources.select import raise_problems
from uploader.text import printable
from uploader.transfer import notices as no
from uploader.transfer.destination.options import ItemOptions, apply_item_options, has_applied
from uploader.transfer.files.cancel import cancel_transfers, holds_nothing, is_cancelled
from uploader.transfer.history.recorder import record_run
from uploader.transfer.job import OpenJob, about_job, finish_item, run_job
from uploader.transfer.journal import events as ev
from uploader.transfer.journal.lifecycle import State
from uploader.transfer.journal.plan import renewal_events
from uploader.transfer.options import Options
from uploader.transfer.parts.team import Leader
from uploader.transfer.recheck import ItemCheck, forget_events, recheck_finished_job
from uploader.transfer.renewal import absence_events, has_sent, lost_sources, select_moved
from uploader.transfer.report import Cancellation, Report, RunFailed
from uploader.transfer.run.context import JobRun
from uploader.transfer.run.deadline import DeadlinePolicy
from uploader.transfer.run.service import Service
from uploader.transfer.run.stop import Stop, run_until
from uploader.transfer.run.throttle import Throttle
from uploader.transfer.store.jobs import JobStore


class Team(Leader, Protocol):
    """Several processes that execute the same call: see `uploader.transfer.parts.team`."""

    @property
    def may_lead(self) -> bool:
        """True if this process can make API requests."""

    def leading(self, job: OpenJob) -> AbstractAsyncContextManager[None]:
        """Lead an open job during the block; members are told how it ends."""

    async def assist(self, execution: Execution, job: str) -> Report | None:
        """Send parts for the leader until the job ends, and return its report; None if it has no leader. After a report
        a process that may not lead waits for another leader.

        Raises RunFailed with the leader's error, and Interrupted if this process must stop.
        """


class Execution(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One call on one job. `listening` also delivers retries of API requests to a listener.

    `team`: other processes execute the same call; None: they must not. `end` is when its work must end (monotonic
    seconds), None for any time.
    """

    api: Service
    states: JobStore
    settings: Settings
    options: Options
    throttle: Throttle
    clock: Clock
    notify: no.Listener
    stop: Stop
    end: float | None
    listening: Callable[[no.Listener], AbstractContextManager[None]]
    team: Team | None = None

    async def run(
        self,
        open_job: Callable[..., OpenJob],
        call: Callable[[OpenJob], Awaitable[Report]],
        selection: Selection | None = None,
        item_options: ItemOptions | None = None,
    ) -> Report:
        """Make a call on a job, until the deadline: see `_run`. Raises Stopped if it had to be cancelled then."""
        return await run_until(
            self.end,
            lambda: self._run(open_job, call, selection, item_options),
            stop=self.stop,
            grace=self.options.grace,
            clock=self.clock,
        )

    async def _run(
        self,
        open_job: Callable[..., OpenJob],
        call: Callable[[OpenJob], Awaitable[Report]],
        selection: Selection | None,
        item_options: ItemOptions | None,
    ) -> Report:
        """Make a call on a job. With a team: lead the job if no other process does, else assist the one that does.

        Updating the job consumes the call's `selection`, so a further attempt to lead only resumes the job. If the job
        ended without some of the `selection` (files may have been added since the leader looked), or without what
        `item_options` request (the leader's command may have others), it is opened once more, by another process if
        this one has no token.
        """
        if self.team is None:
            return await call(open_job())
        opened, missing = False, None
        while True:
            job = open_job(shared_with=self.stop)
            if self.team.may_lead:
                try:
                    return await (self.resume(job, item_options) if opened else call(job))
                except JobBusy:
                    pass
                except RunFailed as failure:
                    if not isinstance(failure.error, JobBusy):
                        raise
                opened |= job.opened and not (selection is not None and selection.files)
            if (report := await self.team.assist(self, job.name)) is None:
                if missing is not None and not self.team.may_lead:
                    raise NoToken(f"job {job.name} ended without {missing}")
                continue
            wanted = None if opened else selection
            missing = await anyio.to_thread.run_sync(self._missing, job.name, wanted, item_options)
            if missing is None:
                return report

    def _missing(self, job: str, selection: Selection | None, item_options: ItemOptions | None) -> str | None:
        """Return what a job that ended lacks of what a call asked for; None for nothing. Blocks."""
        if selection is None and item_options is None:
            return None
        state = self.states.read(job)
        if selection is not None and not has_sent(state, selection):
            return "some of the files that this command selects"
        if item_options is not None and not has_applied(state, item_options):
            return "what this command requests of the item"
        return None

    async def upload(self, job: OpenJob, selection: Selection, item_options: ItemOptions) -> Report:
        """Open the job, bring it up to date with the call, and finish it: see `Client.upload`.

        Clears the selection's files once the job has them.
        """
        async with job, self._leading(job):
            self._check_target(job)
            if job.resumed:
                await job.lock.held_while(lambda: self._renew(job, selection))
            for warning in selection.warnings:
                self.notify(no.Warned(message=warning))
            # There may be a hundred thousand files; the job has them now, but for archives that are only wanted.
            if not job.wanted_archives:
                selection.files.clear()
            with self.listening(self.notify), self.stop.interruptible():
                await job.lock.held_while(lambda: self._request(job, item_options))
            return await self._finish(job)

    async def resume(self, job: OpenJob, item_options: ItemOptions | None = None) -> Report:
        """Open the job and finish it as it is: see `Client.resume`. `item_options` None: with those that it has."""
        async with job, self._leading(job):
            self._check_target(job)
            if job.state.cancelled:
                raise UsageError(f"job {job.name} was cancelled", facts=Facts("job-cancelled"))
            await job.lock.held_while(lambda: self._drop_absent(job))
            if item_options is not None:
                with self.listening(self.notify), self.stop.interruptible():
                    await job.lock.held_while(lambda: self._request(job, item_options))
            return await self._finish(job)

    async def cancel(self, job: OpenJob) -> Cancellation:
        """Remove unfinished remote files: see `Client.cancel`."""
        async with job:
            if job.state.finished and not job.state.recovered:
                raise UsageError(f"job {job.name} is finished: nothing to cancel")
            self._check_target(job)
            again = is_cancelled(job.state)
            with self.listening(self.notify):
                run = self._new_run(job, self.notify)
                removed, kept = await job.lock.held_while(lambda: cancel_transfers(run))
                empty = await job.lock.held_while(lambda: holds_nothing(run))
            state = job.state
            return Cancellation(
                job=job.name,
                item_id=state.item_id,
                item_url=state.item_url,
                removed=tuple(removed),
                kept=tuple(kept),
                again=again and not removed,
                item_empty=empty,
            )

    def _leading(self, job: OpenJob) -> AbstractAsyncContextManager[None]:
        return self.team.leading(job) if self.team is not None else nullcontext()

    async def _finish(self, job: OpenJob) -> Report:
        # A damaged journal may have lost which item the job created, and nothing else.
        check = await self._recheck(job) if job.state.finished and job.state.item_id is not None else None
        if check is not None:
            with self.listening(self.notify):
                return await finish_item(job, self._new_run(job, self.notify), check)

        async def run(notify: no.Listener) -> Report:
            with self.listening(notify):
                return await run_job(job, self._new_run(job, notify), self.team)

        return await record_run(job.folder, self.states.disk, self.clock, job.lock, run, self.notify)

    async def _recheck(self, job: OpenJob) -> ItemCheck | None:
        """Recheck a finished job. None if something must be sent again: a changed source or a lost remote file."""
        try:
            archives = self.states.archives(job.name)
            with self.listening(self.notify), self.stop.interruptible():
                check = await job.lock.held_while(
                    lambda: recheck_finished_job(self.api, job.state, archives, self.notify, self.options)
                )
        except SourceChanged:
            if not self.options.restart_changed:
                raise
            return None
        except ItemNotFound as error:
            raise about_job(job.state, error) from error
        lost = [ev.RemoteLost(transfer.index, exists) for transfer, _, exists in check.lost]
        await job.renew([*forget_events(check), *lost])
        for transfer, text, _ in check.lost:
            self.notify(no.Warned(message=f"{printable(transfer.path)}: {text}; sending it again"))
        return None if check.lost else check

    async def _renew(self, job: OpenJob, selection: Selection) -> None:
        """Update the job to the files that the call selects now."""
        await anyio.to_thread.run_sync(select_moved, job.state, selection)
        raise_problems(selection, {t.path for t in job.state.transfers} if selection.problems else ())
        lost: set[str] = set()
        if not self.options.forget_missing:
            lost = await anyio.to_thread.run_sync(lost_sources, job.state, selection)
        await self._update(job, await anyio.to_thread.run_sync(self._changes, job, selection, lost))

    async def _request(self, job: OpenJob, item_options: ItemOptions) -> None:
        """Record what the call requests of the item."""
        await job.renew(await apply_item_options(self.api, job.state, item_options))

    async def _drop_absent(self, job: OpenJob) -> None:
        """Drop the sources that the repeated command would no longer find."""
        forget = self.options.forget_missing
        await self._update(job, await anyio.to_thread.run_sync(absence_events, job.state, forget))

    async def _update(self, job: OpenJob, changes: Sequence[ev.AnyEvent]) -> None:
        """Apply and report changes of the sources."""
        if not changes:
            return
        await job.renew(changes)
        added = sum(isinstance(change, ev.SourcePlanned) for change in changes)
        dropped = sum(isinstance(change, ev.SourceDropped) for change in changes)
        if added or dropped:
            self.notify(no.JobUpdated(job=job.name, added=added, dropped=dropped))
        for transfer in job.state.transfers if dropped else ():
            if transfer.dropped and transfer.archive is not None and transfer.state is State.VERIFIED:
                text = f"{printable(transfer.name)}: is no longer made of these sources, but stays in the item"
                self.notify(no.Warned(message=text, hint="Remove it there if the other archives have its files."))

    def _changes(self, job: OpenJob, selection: Selection, lost: set[str]) -> list[ev.AnyEvent]:
        """Return the events that bring the job up to date. Blocks.

        Raises SourceChanged: see `Archives.changes`, and SourceNotFound for a member that must not be forgotten.
        """
        archives = self.states.archives(job.name)
        if not self.options.forget_missing and (gone := next(archives.gone_members(job.state, selection), None)):
            raise gone[1]
        replaced = archives.changes(job.state, selection, restart=self.options.restart_changed)
        archives.keep(selection)
        job.wanted_archives = archives.wanted
        forget = self.options.forget_missing
        return [*renewal_events(job.state, selection, lost, forget_missing=forget), *replaced]

    def _check_target(self, job: OpenJob) -> None:
        """Raise UsageError if the job belongs to another endpoint, or acts for another account."""
        plan = job.state.plan
        if plan.endpoint != self.settings.endpoint:
            raise UsageError(
                f"job {job.name} belongs to {plan.endpoint}, not to {self.settings.endpoint}",
                hint="Continue it with its own endpoint.",
            )
        if plan.account != self.settings.impersonate:
            whose = (
                f"acts for account {plan.account}" if plan.account is not None else "acts for the token's own account"
            )
            situation = "other-account" if plan.account is not None else "own-account"
            raise UsageError(f"job {job.name} {whose}", facts=Facts(situation, account=plan.account))

    def _new_run(self, job: OpenJob, notify: no.Listener) -> JobRun:
        return JobRun(
            job=job.name,
            state=job.state,
            journal=job.journal,
            lock=job.lock,
            wanted_archives=job.wanted_archives,
            api=self.api,
            states=self.states,
            options=self.options,
            retry=self.settings.retry,
            clock=self.clock,
            notify=notify,
            stop=self.stop,
            throttle=self.throttle,
            deadline=DeadlinePolicy(self.end),
        )
