"""The client for programs. The command line uses it for all transfers."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, get_args

import anyio
import anyio.to_thread

from uploader.clock import Clock
from uploader.concurrency import in_thread, require_asyncio, run_isolated
from uploader.disk import Disk
from uploader.errors import NoToken, UsageError
from uploader.figshare.auth import Token, default_config_dir, find_token
from uploader.figshare.client import Figshare
from uploader.figshare.ids import Reference, is_doi
from uploader.figshare.middleware import AnyToken
from uploader.figshare.models import Account
from uploader.figshare.settings import Settings
from uploader.figshare.urls import PUBLIC_ENDPOINT, check_endpoint
from uploader.items.identify import identify
from uploader.sources.models import Packing, Sources
from uploader.sources.packing import collect_packed
from uploader.sources.select import raise_problems, read_checksums
from uploader.system import system_errors
from uploader.transfer import notices as no
from uploader.transfer.arguments import (
    AnyPath,
    Paths,
    as_path,
    as_project,
    as_reference,
    as_sources,
    as_strings,
    check_callback,
    check_choice,
    check_flag,
    check_instance,
    check_number,
    check_packing,
    check_settings,
    check_text,
)
from uploader.transfer.destination.options import ItemOptions
from uploader.transfer.execution import Execution, Team
from uploader.transfer.job import OpenJob
from uploader.transfer.journal.plan import job_name, target_of
from uploader.transfer.options import Options
from uploader.transfer.report import Cancellation, Report
from uploader.transfer.run.calls import Calls
from uploader.transfer.run.stop import Stop, run_until
from uploader.transfer.run.throttle import Throttle
from uploader.transfer.store.jobs import JobStore, default_state_dir
from uploader.transfer.store.overview import unfinished_job

if TYPE_CHECKING:
    from uploader.transfer.download.engine import Existing
    from uploader.transfer.download.report import DownloadReport
    from uploader.transfer.preview import Preview
    from uploader.transfer.verify import Comparison


class Client:
    """A session with one Figshare endpoint as one account. An async context manager; needs a running asyncio loop.

    It prints nothing and changes no signal handler, no logging configuration and no event loop. Every method may raise
    a `uploader.FigupError`. Cancelling a call is safe: what was sent is in the job's journal, and the same call
    continues. A wrong type raises TypeError, an invalid value UsageError. Ids are ints, or strings: numbers,
    addresses of pages, DOIs.

    `on_event` is a plain function, called on the event loop with each event (see `uploader.events`) as it happens; it
    must return quickly. If it raises, the call is stopped at once as by `stop`, no further events are delivered, and
    that exception is raised; the job can be continued like any interrupted one.
    """

    def __init__(
        self,
        token: str | None = None,
        *,
        endpoint: str | None = None,
        token_file: AnyPath | None = None,
        state_dir: AnyPath | None = None,
        options: Options | None = None,
        settings: Settings | None = None,
        anonymous: bool = False,
    ) -> None:
        """Read what is None from the environment (FIGSHARE_TOKEN, FIGSHARE_ENDPOINT, FIGUP_STATE_DIR), or use defaults.

        `options` control transfers. `settings` control requests; their endpoint is used if `endpoint` is None.
        `anonymous`: if no token is configured, read public items without one. Blocks briefly to find a token. Raises
        NoToken, TokenFileExposed, UsageError, InsecureEndpoint, TypeError.
        """
        check_text("token", token)
        check_text("endpoint", endpoint)
        check_instance("options", options, Options)
        check_settings(settings)
        folder = as_path("state_dir", state_dir)
        if endpoint is None:
            default = os.environ.get("FIGSHARE_ENDPOINT") or PUBLIC_ENDPOINT
            endpoint = settings.endpoint if settings is not None else default
        self.endpoint = check_endpoint(endpoint, insecure_http=settings.insecure_http if settings else False)
        self._settings = dataclasses.replace(settings or Settings(self.endpoint), endpoint=self.endpoint)
        self._options = options or Options()
        self._token: AnyToken | None = None
        try:
            self._token = Token(token) if token is not None else self._find_token(as_path("token_file", token_file))
        except NoToken:
            if not anonymous or token is not None or token_file is not None:
                raise
        self.team: Team | None = None
        """Set it to share the jobs of this client with the same calls in other processes: see `uploader.cluster`."""
        self._states = JobStore(folder if folder is not None else default_state_dir(), Disk())
        self._clock = Clock()
        self._calls = Calls()
        self._open_api: Figshare | None = None
        self._throttle = Throttle(self._options.limit_rate, self._clock)

    def _find_token(self, token_file: Path | None) -> AnyToken:
        folder = default_config_dir()
        found = find_token(token_file=token_file, endpoint=self.endpoint, environ=os.environ, config_dir=folder)
        if found.grant is None:
            return found.token
        from uploader.figshare.refresh import RenewableToken

        return RenewableToken(found.grant, endpoint=self.endpoint, config_dir=folder)

    @property
    def settings(self) -> Settings:
        """How requests are sent."""
        return self._settings

    @property
    def has_token(self) -> bool:
        """True if it acts for an account."""
        return self._token is not None

    async def __aenter__(self) -> Self:
        require_asyncio()
        if self._open_api is not None:
            raise RuntimeError("this Client is already in use; create another one, or share it")
        self._open_api = Figshare(self._settings, self._token, clock=self._clock, on_retry=self._calls.on_retry)
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
            raise RuntimeError("a Client must be used inside `async with`")
        return self._open_api

    @contextmanager
    def figshare(self, on_event: no.Listener | None = None) -> Iterator[Figshare]:
        """Give access to the API session, for everything that is not a job: items' metadata, lists, collections."""
        with self._calls.listening(on_event):
            yield self._api

    async def account(self, *, on_event: no.Listener | None = None) -> Account:
        """Return the account of the token, with its quota. Raises TokenRejected."""
        with self._calls.listening(on_event):
            return await self._api.account()

    async def upload(
        self,
        paths: Paths | Sources,
        *,
        item: int | str | None = None,
        title: str | None = None,
        project: int | str | None = None,
        item_options: ItemOptions | None = None,
        new_job: bool = False,
        on_event: no.Listener | None = None,
    ) -> Report:
        """Send files and folders to an item; return once everything is verified.

        `item` is the id of an existing item; without it a new item called `title` is created (None: the name of the
        first path), in the project with the id `project`. `item_options` describe the item and say what to do with it
        once everything is verified; they do not identify the job. The same call is the same job: it continues an
        interrupted one, adds files that are new in its folders, and sends nothing if everything is done. `new_job`
        starts over.

        Raises RunFailed once the job was started: its `error` ended the run, its `report` has the files' results. An
        error before that is raised as it is.
        """
        sources = as_sources(paths, self._states.path)
        given, project = None if item is None else as_reference("item", item), as_project(project)
        check_text("title", title)
        check_instance("item_options", item_options, ItemOptions)
        check_flag("new_job", new_job)
        check_callback("on_event", on_event)
        if self.team is not None and new_job:
            raise UsageError("a new job cannot be joined: every process would start its own")
        selection = await in_thread(collect_packed, sources, self._options.packing)
        account = self._settings.impersonate
        item_id = None if given is None else await self._identify(given, on_event)
        try:
            target = target_of(self.endpoint, item_id, title, selection, project=project, account=account)
        except UsageError:
            # Problems of the sources are reported before those of a title that was taken from their name.
            raise_problems(selection)
            raise
        name = job_name(target, selection.job_key)
        job, new = await in_thread(lambda: self._states.generation(name, new=new_job))
        if new:
            raise_problems(selection)
        if self.team is not None:
            selection.files = [dataclasses.replace(file, inode=0, ctime_ns=None) for file in selection.files]
        plan = functools.partial(self._states.plan, target, selection, job)
        options = item_options or ItemOptions()
        with self._executing(on_event) as execution:
            opened = functools.partial(OpenJob, self._states, job, self._clock, plan, new=new)
            return await run_isolated(
                lambda: execution.run(opened, lambda job: execution.upload(job, selection, options), selection, options)
            )

    async def preview(
        self,
        paths: Paths | Sources,
        *,
        item: int | str | None = None,
        title: str | None = None,
        project: int | str | None = None,
        new_job: bool = False,
        on_event: no.Listener | None = None,
    ) -> Preview:
        """Predict what `upload` with these arguments would do. Writes nothing. Raises what it would raise."""
        sources = as_sources(paths, self._states.path)
        given, project = None if item is None else as_reference("item", item), as_project(project)
        check_text("title", title)
        check_flag("new_job", new_job)
        check_callback("on_event", on_event)
        selection = await in_thread(collect_packed, sources, self._options.packing)
        raise_problems(selection)
        item_id = None if given is None else await self._identify(given, on_event)
        target = target_of(
            self.endpoint, item_id, title, selection, project=project, account=self._settings.impersonate
        )
        with self._calls.listening(on_event):
            from uploader.transfer.preview import preview

            return await preview(self._api, self._states, target, selection, self._options, on_event, new_job=new_job)

    async def resume(self, job: str | None = None, *, on_event: no.Listener | None = None) -> Report:
        """Continue a job, given by its id or the beginning of it; None: the only interrupted one.

        Raises JobNotFound, UsageError (several are interrupted, the job was cancelled or belongs to another endpoint),
        and what `upload` raises.
        """
        check_text("job", job)
        name = await in_thread(self._find_job, job)
        with self._executing(on_event) as execution:
            opened = functools.partial(OpenJob, self._states, name, self._clock)
            return await run_isolated(lambda: execution.run(opened, execution.resume))

    async def cancel(self, job: str, *, on_event: no.Listener | None = None) -> Cancellation:
        """Abandon a job: remove its unfinished remote files, and nothing else. Raises JobNotFound, JobBusy."""
        check_text("job", job)
        name = await in_thread(self._find_job, job)
        with self._executing(on_event) as execution:
            return await run_isolated(lambda: execution.cancel(OpenJob(self._states, name, self._clock)))

    async def verify(
        self,
        item: int | str,
        paths: Paths | Sources = (),
        *,
        checksums: AnyPath | None = None,
        packing: Packing | None = None,
        on_result: Callable[[Comparison], None] | None = None,
        on_event: no.Listener | None = None,
    ) -> list[Comparison]:
        """Compare local files with the files of an item; send nothing. Raises ItemNotFound, SourceNotFound, UsageError.

        `checksums` is a file in the format of `md5sum`, for files that are stored elsewhere; "-" reads it from the
        sources' `stdin`. With `packing`, the files are compared with the archive that `Options(pack=...)` made of them;
        its format and whether it has a list of MD5s need not be known. `on_result` is called with each result as it is
        known.
        """
        sources, given = as_sources(paths, self._states.path), as_reference("item", item)
        check_packing(packing)
        check_callback("on_result", on_result)
        listed = as_path("checksums", checksums)
        expected = await in_thread(read_checksums, str(listed), sources) if listed is not None else []
        item_id = await self._identify(given, on_event)
        with self._calls.listening(on_event):
            from uploader.transfer.verify import verify

            tell, notify = on_result or (lambda _: None), on_event or (lambda _: None)
            settle = self._options.settle_timeout
            return await verify(self._api, item_id, sources, expected, tell, notify, packing, settle=settle)

    async def download(
        self,
        item: int | str,
        folder: AnyPath = ".",
        *,
        version: int | None = None,
        published: bool = False,
        names: Sequence[str] = (),
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        on_conflict: Existing = "fail",
        on_result: Callable[[DownloadReport], None] | None = None,
        on_event: no.Listener | None = None,
    ) -> list[DownloadReport]:
        """Download an item's files into a folder, verified; return a report for each. Nothing is sent.

        The account's own item is read, else the public one; `version` is a published version. `published`, or a DOI:
        the newest published version, and the account's own only if there is none. `names` are files or folders of the
        item, none for all; `include` and `exclude` are patterns as in .gitignore. `on_conflict` is for a different file
        that is already there: `fail`, `skip` or `replace`. The same call continues an interrupted download. `on_result`
        is called with each report as it is known.

        Errors of single files are in their reports. Raises ItemNotFound, FileNotHeld, UsageError, TargetFull.
        """
        from uploader.transfer.download import engine
        from uploader.transfer.download.run import DownloadRequest, download

        target, given = as_path("folder", folder), as_reference("item", item)
        check_number("version", version, "the number of a version")
        check_flag("published", published)
        check_choice("on_conflict", on_conflict, get_args(engine.Existing))
        check_callback("on_result", on_result)
        request = DownloadRequest(
            target=target if target is not None else Path(),
            version=version,
            published=published or is_doi(str(item)),
            names=as_strings("names", names),
            include=as_strings("include", include),
            exclude=as_strings("exclude", exclude),
            existing=on_conflict,
            item_id=await self._identify(given, on_event),
        )

        async def work(notify: no.Listener, stop: Stop) -> list[DownloadReport]:
            with self._calls.listening(notify), stop.interruptible():
                return await download(
                    self._api, request, self._options, self._settings.retry, self._clock, notify, on_result
                )

        end, grace = self._options.end_of(self._clock), self._options.grace
        with self._calls.stoppable(on_event) as (stop, notify):
            return await run_isolated(
                lambda: run_until(end, lambda: work(notify, stop), stop=stop, grace=grace, clock=self._clock)
            )

    def stop(self) -> None:
        """Stop the running calls: parts in flight may finish within the grace period, then the calls raise Interrupted.

        A second call stops them at once. Later calls of this client are not affected. Call it on the event loop, for
        example from a signal handler.
        """
        self._calls.stop()

    def toggle_limit(self) -> bool:
        """Lift or restore the rate limit of the options; return False without one. Call it on the event loop."""
        if self._options.limit_rate is None:
            return False
        self._throttle.toggle()
        return True

    # --- how ------------------------------------------------------------------------------------------------------

    @contextmanager
    def _executing(self, on_event: no.Listener | None) -> Iterator[Execution]:
        """Create the executor of one call on a job; `stop` ends it."""
        with self._calls.stoppable(on_event) as (stop, notify), system_errors():
            yield Execution(
                api=self._api,
                states=self._states,
                settings=self._settings,
                options=self._options,
                throttle=self._throttle,
                clock=self._clock,
                notify=notify,
                stop=stop,
                end=self._options.end_of(self._clock),
                listening=self._calls.listening,
                team=self.team,
            )

    async def _identify(self, item: Reference, on_event: no.Listener | None) -> int:
        """Return the item's id, after asking Figshare if necessary. Raises ItemNotFound, UsageError."""
        with self._calls.listening(on_event):
            return await identify(self._api, item)

    def _find_job(self, job: str | None) -> str:
        return unfinished_job(self._states) if job is None else self._states.find(job)
