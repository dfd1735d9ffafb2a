"""The client: the engine for programs. What the command line does, it does through this and nothing else."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeAlias

import anyio
import anyio.to_thread
import msgspec
import platformdirs

from uploader.clock import Clock
from uploader.concurrency import Stopped, run_isolated
from uploader.disk import Disk
from uploader.errors import Interrupted, SourceChanged, UsageError
from uploader.figshare.auth import Token, find_token
from uploader.figshare.client import Figshare
from uploader.figshare.models import Account
from uploader.figshare.settings import Settings
from uploader.figshare.urls import check_endpoint
from uploader.sources.models import Selection, Sources
from uploader.sources.select import collect, raise_problems, read_checksums, select
from uploader.text import printable
from uploader.transfer import notices as no
from uploader.transfer.destination.options import ItemOptions, apply_item_options
from uploader.transfer.files.cancel import cancel_transfers
from uploader.transfer.job import OpenJob, finish_item, run_job
from uploader.transfer.journal import events as ev
from uploader.transfer.journal.plan import job_name, plan_events, renewal_events, target_of
from uploader.transfer.options import Options
from uploader.transfer.recheck import lost_sources, recheck_finished_job
from uploader.transfer.records.recorder import record_run
from uploader.transfer.report import Report
from uploader.transfer.run.context import JobRun
from uploader.transfer.run.stop import Stop
from uploader.transfer.run.throttle import Throttle
from uploader.transfer.store.jobs import JobStore
from uploader.transfer.store.overview import unfinished_job

if TYPE_CHECKING:
    from uploader.transfer.preview import Preview
    from uploader.transfer.verify import Comparison

PUBLIC_ENDPOINT = "https://api.figshare.com/v2"
Paths: TypeAlias = str | Path | Sequence[str | Path]


class Cancellation(msgspec.Struct, frozen=True):
    """What giving a job up did: ids of the remote files removed, and of the complete ones that were kept."""

    job: str
    item_id: int | None
    item_url: str | None
    removed: tuple[int, ...]
    kept: tuple[int, ...]


def as_sources(paths: Paths | Sources) -> Sources:
    """What is to be sent, however it was named."""
    if isinstance(paths, Sources):
        return paths
    return Sources(paths=(str(paths),) if isinstance(paths, str | Path) else tuple(str(path) for path in paths))


def default_state_dir() -> Path:
    """FIGUP_STATE_DIR, or the platform's state directory for figup."""
    return Path(os.environ.get("FIGUP_STATE_DIR") or platformdirs.user_state_dir("figup"))


def default_config_dir() -> Path:
    """Where `figup auth login` keeps tokens when there is no keyring."""
    return Path(platformdirs.user_config_dir("figup"))


class Client:
    """A session with one Figshare as one account. An async context manager, inside a running asyncio loop.

    It prints nothing and changes no signal handler, no logging and no loop. Every method may raise a
    `uploader.FigupError`. Cancelling a call is safe: what was sent is in the job's journal, and the same call goes on.
    """

    def __init__(
        self,
        token: str | None = None,
        *,
        endpoint: str | None = None,
        token_file: str | Path | None = None,
        state_dir: str | Path | None = None,
        options: Options | None = None,
        settings: Settings | None = None,
    ) -> None:
        """What is None comes from the environment (FIGSHARE_TOKEN, FIGSHARE_ENDPOINT, FIGUP_STATE_DIR) or its default.

        `settings` says how Figshare is spoken to; its endpoint counts where `endpoint` is None. Blocks shortly where a
        token has to be looked for. Raises NoToken, TokenFileExposed, UsageError, InsecureEndpoint.
        """
        chosen = endpoint or (settings.endpoint if settings else None) or os.environ.get("FIGSHARE_ENDPOINT")
        self.endpoint = check_endpoint(
            chosen or PUBLIC_ENDPOINT, insecure_http=settings.insecure_http if settings else False
        )
        self._settings = dataclasses.replace(settings or Settings(self.endpoint), endpoint=self.endpoint)
        self._options = options or Options()
        self._token = Token(token) if token is not None else self._find_token(token_file)
        self._states = JobStore(Path(state_dir) if state_dir is not None else default_state_dir(), Disk())
        self._clock = Clock()
        self._stops: set[Stop] = set()
        """Of the runs that are under way."""
        self._listeners: list[no.Listener] = []
        self._open_api: Figshare | None = None
        self._throttle = Throttle(self._options.limit_rate, self._clock)

    def _find_token(self, token_file: str | Path | None) -> Token:
        return find_token(
            token_file=Path(token_file) if token_file is not None else None,
            endpoint=self.endpoint,
            environ=os.environ,
            config_dir=default_config_dir(),
        ).token

    async def __aenter__(self) -> Self:
        self._open_api = Figshare(self._settings, self._token, clock=self._clock, on_retry=self._on_retry)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        with anyio.CancelScope(shield=True):
            await self._api.close()
        self._open_api = None

    @property
    def _api(self) -> Figshare:
        if self._open_api is None:
            raise RuntimeError("a Client is used inside `async with`")
        return self._open_api

    @contextmanager
    def figshare(self, on_event: no.Listener | None = None) -> Iterator[Figshare]:
        """The session itself, for what is no job: items' descriptions, lists, collections."""
        with self._listening(on_event):
            yield self._api

    # --- what it does ---------------------------------------------------------------------------------------------

    async def account(self, *, on_event: no.Listener | None = None) -> Account:
        """Whose token this is, and how much room there is. Raises TokenRejected."""
        with self._listening(on_event):
            return await self._api.account()

    async def upload(
        self,
        paths: Paths | Sources,
        *,
        item: int | None = None,
        title: str | None = None,
        project: int | None = None,
        orders: ItemOptions | None = None,
        new_job: bool = False,
        on_event: no.Listener | None = None,
    ) -> Report:
        """Send files and folders to an item, and return when every byte is there and verified.

        `item` is the id of an existing item; without it one called `title` is created (None: the name of what is named
        first), in the project with the id `project`. `orders` say how it is described, and what is done with it when
        everything is verified; they do not name the job. The same call is the same job: it goes on where an earlier
        one was interrupted, takes in what was added to its folders since, and does nothing when all is done. `new_job`
        starts afresh. `on_event` is called on the loop with each `uploader.Notice`.
        Raises RunFailed once the job has begun: its `error` ended the run, its `report` tells what was done. What is
        wrong before that is raised as it is.
        """
        selection = await anyio.to_thread.run_sync(collect, as_sources(paths))
        account = self._settings.impersonate
        try:
            target = target_of(self.endpoint, item, title, selection, project=project, account=account)
        except UsageError:
            raise_problems(
                selection
            )  # what is wrong with the sources comes before a title that was taken from their name
            raise
        name = job_name(target, selection.job_key)
        job, new = await anyio.to_thread.run_sync(lambda: self._states.generation(name, new=new_job))
        if new:
            raise_problems(selection)
        plan = functools.partial(plan_events, target, selection, job)
        opened = OpenJob(self._states, job, self._clock, plan, new=new)
        return await self._run(opened, on_event, selection, orders or ItemOptions())

    async def preview(
        self,
        paths: Paths | Sources,
        *,
        item: int | None = None,
        title: str | None = None,
        project: int | None = None,
        new_job: bool = False,
        on_event: no.Listener | None = None,
    ) -> Preview:
        """What `upload` with these arguments would do; nothing is written anywhere. Raises what it would raise."""
        selection = await anyio.to_thread.run_sync(select, as_sources(paths))
        target = target_of(self.endpoint, item, title, selection, project=project, account=self._settings.impersonate)
        with self._listening(on_event):
            from uploader.transfer.preview import preview

            return await preview(self._api, self._states, target, selection, self._options, new_job=new_job)

    async def resume(self, job: str | None = None, *, on_event: no.Listener | None = None) -> Report:
        """Go on with a job, named by its id or the beginning of it; None: the one that is unfinished.

        Raises JobNotFound, UsageError (several are unfinished, or the job belongs to another endpoint), and what
        `upload` raises.
        """
        name = await anyio.to_thread.run_sync(self._find_job, job)
        return await self._run(OpenJob(self._states, name, self._clock), on_event)

    async def cancel(self, job: str, *, on_event: no.Listener | None = None) -> Cancellation:
        """Give a job up: its unfinished remote files are removed, and only those. Raises JobNotFound, JobBusy."""
        name = await anyio.to_thread.run_sync(self._find_job, job)
        with self._stoppable() as stop:
            return await run_isolated(lambda: self._cancel(name, on_event, stop))

    async def verify(
        self,
        item: int,
        paths: Paths | Sources = (),
        *,
        checksums: str | Path | None = None,
        on_result: Callable[[Comparison], None] | None = None,
        on_event: no.Listener | None = None,
    ) -> list[Comparison]:
        """Compare local files with what an item holds; nothing is sent. Raises ItemNotFound, SourceNotFound.

        `checksums` is a file in the format of `md5sum`, for files that are elsewhere; "-": its content is the sources'
        `stdin`.
        """
        sources = as_sources(paths)
        listed = await anyio.to_thread.run_sync(read_checksums, str(checksums), sources) if checksums else []
        with self._listening(on_event):
            from uploader.transfer.verify import verify

            return await verify(
                self._api, item, sources, listed, on_result or (lambda _: None), on_event or (lambda _: None)
            )

    def stop(self) -> None:
        """Stop what is running in good order: parts under way may finish within the grace period, then it raises
        Interrupted. A second call stops it at once. Later calls of this client are not concerned.

        To be called on the loop, for example by a signal handler.
        """
        for stop in self._stops:
            if stop.requested:
                stop.force()
            else:
                stop.request()

    def toggle_limit(self) -> bool:
        """Lift the rate limit that the options set, or put it in force again; False when they set none.

        To be called on the loop.
        """
        if self._options.limit_rate is None:
            return False
        self._throttle.toggle()
        return True

    # --- how ------------------------------------------------------------------------------------------------------

    async def _run(
        self,
        job: OpenJob,
        on_event: no.Listener | None,
        selection: Selection | None = None,
        orders: ItemOptions | None = None,
    ) -> Report:
        with self._stoppable() as stop:
            return await run_isolated(lambda: self._run_open(job, on_event, stop, selection, orders))

    async def _run_open(
        self,
        job: OpenJob,
        on_event: no.Listener | None,
        stop: Stop,
        selection: Selection | None,
        orders: ItemOptions | None,
    ) -> Report:
        async with job:
            self._check_endpoint(job)
            if selection is not None and job.resumed:
                await self._renew(job, selection, on_event)
            if selection is not None:
                # There may be a hundred thousand of them, and the job has them now.
                selection.files.clear()
            if orders is not None:
                with self._listening(on_event), stop.interruptible():
                    await job.renew(await apply_item_options(self._api, job.state, orders))
            if job.state.finished and await self._is_still_finished(job, on_event, stop):
                await anyio.to_thread.run_sync(job.write_manifests)
                with self._listening(on_event):
                    return await finish_item(job, self._new_run(job, on_event, stop))

            async def run(tell: no.Listener) -> Report:
                with self._listening(tell):
                    return await run_job(job, self._new_run(job, tell, stop))

            folder = self._states.folder(job.name)
            return await record_run(folder, self._states.disk, self._clock, run, on_event or (lambda _: None))

    async def _is_still_finished(self, job: OpenJob, on_event: no.Listener | None, stop: Stop) -> bool:
        """Recheck a finished job. False if something must be sent again: a changed source or a lost remote file."""
        notify = on_event or (lambda _: None)
        try:
            with self._listening(on_event), stop.interruptible():
                check = await job.lock.held_while(lambda: recheck_finished_job(self._api, job.state, notify))
        except SourceChanged:
            if not self._options.restart_changed:
                raise
            return False
        await job.renew([ev.RemoteLost(transfer.index, exists) for transfer, _, exists in check.lost])
        for transfer, text, _ in check.lost:
            notify(no.Warned(f"{printable(transfer.path)}: {text}; sending it again"))
        return not check.lost

    async def _renew(self, job: OpenJob, selection: Selection, on_event: no.Listener | None) -> None:
        """Have the job send what the command means now."""
        raise_problems(selection, {transfer.path for transfer in job.state.transfers})
        forget = self._options.forget_missing
        lost = set() if forget else await anyio.to_thread.run_sync(lost_sources, job.state)
        changes = await anyio.to_thread.run_sync(renewal_events, job.state, selection, lost)
        if not changes:
            return
        await job.renew(changes)
        added = sum(isinstance(change, ev.SourcePlanned) for change in changes)
        dropped = sum(isinstance(change, ev.SourceDropped) for change in changes)
        if on_event is not None and (added or dropped):
            on_event(no.JobUpdated(job.name, added, dropped))

    async def _cancel(self, name: str, on_event: no.Listener | None, stop: Stop) -> Cancellation:
        async with OpenJob(self._states, name, self._clock) as opened:
            if opened.state.finished:
                raise UsageError(f"job {name} is finished: there is nothing to give up")
            self._check_endpoint(opened)
            with self._listening(on_event):
                run = self._new_run(opened, on_event, stop)
                removed, kept = await opened.lock.held_while(lambda: cancel_transfers(run))
            state = opened.state
            return Cancellation(name, state.item_id, state.item_url, tuple(removed), tuple(kept))

    @contextmanager
    def _stoppable(self) -> Iterator[Stop]:
        """What `stop` ends for the time being. Raises Interrupted where that ended a wait."""
        stop = Stop()
        self._stops.add(stop)
        try:
            yield stop
        except Stopped:
            raise Interrupted("stopped before everything was done") from None
        finally:
            self._stops.discard(stop)

    def _check_endpoint(self, job: OpenJob) -> None:
        plan = job.state.plan
        if plan is not None and plan.endpoint != self.endpoint:
            raise UsageError(f"job {job.name} belongs to {plan.endpoint}, not to {self.endpoint}")
        if plan is not None and plan.account != self._settings.impersonate:
            whose = (
                f"acts for account {plan.account}" if plan.account is not None else "acts for the token's own account"
            )
            how = f"Add --impersonate {plan.account}." if plan.account is not None else "Leave --impersonate out."
            raise UsageError(f"job {job.name} {whose}", hint=how)

    def _find_job(self, job: str | None) -> str:
        return unfinished_job(self._states) if job is None else self._states.find(job)

    def _new_run(self, job: OpenJob, on_event: no.Listener | None, stop: Stop) -> JobRun:
        return JobRun(
            job=job.name,
            state=job.state,
            journal=job.journal,
            lock=job.lock,
            api=self._api,
            states=self._states,
            options=self._options,
            retry=self._settings.retry,
            clock=self._clock,
            notify=on_event or (lambda _: None),
            stop=stop,
            throttle=self._throttle,
        )

    @contextmanager
    def _listening(self, on_event: no.Listener | None) -> Iterator[None]:
        """Whoever listens is told of API requests that are tried again."""
        if on_event is None:
            yield
            return
        self._listeners.append(on_event)
        try:
            yield
        finally:
            self._listeners.remove(on_event)

    def _on_retry(self, reason: str, delay: float) -> None:
        for notify in self._listeners:
            notify(no.Retrying(reason, delay))
