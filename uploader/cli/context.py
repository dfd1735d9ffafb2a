"""The context of a command: which Figshare it uses, with which token, and where its jobs are stored.

The HTTP client is slow to import, so it is imported when a client is created.
"""

from __future__ import annotations

import dataclasses
import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from uploader.cli.options import GlobalOptions
from uploader.cli.startup import gc_paused
from uploader.disk import Disk
from uploader.errors import FigupError, JobNotFound, NoToken, UsageError
from uploader.figshare.settings import THROTTLED, RetryPolicy
from uploader.figshare.urls import PUBLIC_ENDPOINT, check_endpoint, is_on_this_host
from uploader.items.creations import Creations
from uploader.text import printable
from uploader.transfer.store.jobs import JobStore, default_state_dir
from uploader.transfer.store.overview import JobOverview, overview, unfinished_job

if TYPE_CHECKING:
    from uploader.figshare.settings import Settings
    from uploader.records.job import Overview
    from uploader.transfer.client import Client
    from uploader.transfer.options import Options, RequestOptions

SANDBOX = "sandbox"
"""Key in a job's options that records `--sandbox`."""
INTERACTIVE_RETRY = RetryPolicy(elapsed_cap=20.0)
"""Retry policy of interactive commands, in seconds."""


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """`endpoint` is normalized. `common` names it, also if it is that of a job. `token` is set only for a sandbox;
    otherwise the client looks for one.

    `stats_endpoint` is that of a sandbox. `remark` is shown after an item's address; None for no remark.
    """

    endpoint: str
    token: str | None
    common: GlobalOptions
    stats_endpoint: str | None = None
    remark: str | None = None

    def settings(self, requests: RequestOptions | None = None, *, retry: RetryPolicy | None = None) -> Settings:
        """Return the settings of a session. Figshare asks for few requests a second; a server on this host does not."""
        from uploader.figshare.settings import Settings

        settings = Settings(
            self.endpoint,
            retry=retry or RetryPolicy(),
            throttled=THROTTLED if retry is None else dataclasses.replace(THROTTLED, retries=0),
            ca_file=self.common.ca_file,
            insecure_http=self.common.insecure_http,
            impersonate=self.common.impersonate,
            bind=self.common.bind,
        )
        if is_on_this_host(self.endpoint):
            settings = dataclasses.replace(settings, api_rate=None)
        return requests.applied_to(settings) if requests is not None else settings

    def client(
        self,
        options: Options | None = None,
        requests: RequestOptions | None = None,
        *,
        retry: RetryPolicy | None = None,
        token: str | None = None,
        anonymous: bool = False,
    ) -> Client:
        """Return a client for this endpoint; without `token` it uses the one that is configured, if any.

        `anonymous`: no token is required.

        Blocks briefly. Raises what `Client` raises.
        """
        with gc_paused():
            from uploader.transfer.client import Client

        common, settings = self.common, self.settings(requests, retry=retry)
        try:
            return Client(
                token or self.token,
                endpoint=self.endpoint,
                token_file=common.token_file,
                state_dir=state_dir(common),
                options=options,
                settings=settings,
                anonymous=anonymous,
            )
        except NoToken as error:
            if "//127.0.0.1:" in self.endpoint:
                raise error.with_context(situation="no-token-for-loopback") from error
            raise


def job_store(common: GlobalOptions) -> JobStore:
    """Return the store of the jobs on this machine."""
    return JobStore(state_dir(common), Disk())


def creations(common: GlobalOptions) -> Creations:
    """Return the records of what commands create on this machine outside jobs."""
    return Creations(state_dir(common) / "creations", Disk())


def state_dir(common: GlobalOptions) -> Path:
    """Return the folder where jobs are stored."""
    return common.state_dir if common.state_dir is not None else default_state_dir()


@contextmanager
def open_context(common: GlobalOptions, *, job: JobOverview | None = None) -> Iterator[Context]:
    """Yield the context that the command line describes. Without `--endpoint` and `--sandbox` on it, the Figshare of
    `job` is used, if given. A sandbox runs until the block ends, and as long as others use it.

    Raises UsageError, InsecureEndpoint, and what starting a sandbox raises.
    """
    of_job = job is not None and not common.endpoint_given
    if common.sandbox or (of_job and job is not None and job.options.get(SANDBOX)):
        from uploader.cli.sandbox_process import local_sandbox

        common = dataclasses.replace(common, sandbox=True)
        with local_sandbox(state_dir(common) / "sandbox") as sandbox:
            remark = how_to_look(common) if sandbox.temporary else None
            yield Context(
                endpoint=sandbox.url,
                token=sandbox.token,
                common=common,
                stats_endpoint=sandbox.stats_url,
                remark=remark,
            )
        return
    if of_job and job is not None and job.endpoint is not None and job.endpoint != common.endpoint:
        common = dataclasses.replace(common, endpoint=job.endpoint, endpoint_given=True)
    endpoint = check_endpoint(
        PUBLIC_ENDPOINT if common.endpoint is None else common.endpoint, insecure_http=common.insecure_http
    )
    yield Context(endpoint=endpoint, token=None, common=common)


def how_to_look(common: GlobalOptions) -> str:
    """Describe how to open the pages of a temporary sandbox."""
    by_option = common.state_dir is not None and str(common.state_dir) != os.environ.get("FIGUP_STATE_DIR")
    words = ("--dir", str(state_dir(common) / "sandbox")) if by_option else ()
    command = shlex.join(["figup", "sandbox", *words])
    return f"the sandbox runs only while it is used; to open its pages in a browser, run `{command}`"


def complete_jobs(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Return the ids of transfer jobs on this machine that begin with `incomplete`, for the completion of a shell."""
    return _named(JobStore(_state_dir_of(ctx), Disk()), incomplete)


def complete_record_jobs(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Return the ids of jobs of records, as `complete_jobs` those of transfers."""
    from uploader.records.job import job_store as stored

    return _named(stored(_state_dir_of(ctx)), incomplete)


def complete_any_job(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return the ids of jobs of both kinds, as `complete_jobs` those of transfers."""
    return complete_jobs(ctx, parameter, incomplete) + complete_record_jobs(ctx, parameter, incomplete)


def _state_dir_of(ctx: click.Context) -> Path:
    state_dir: Path = ctx.params.get("state_dir") or default_state_dir()
    return state_dir


def _named(states: JobStore, incomplete: str) -> list[str]:
    with suppress(FigupError):
        return [job for job in states.names() if job.startswith(incomplete)]
    return []


def recorded_job(common: GlobalOptions, job: str | None) -> JobOverview:
    """Return an overview of a job from its journal; its endpoint is None if a damaged journal has lost it.

    `job` may be a prefix of an id; None means the only unfinished job. Raises JobNotFound, UsageError.
    """
    states = job_store(common)
    return overview(states, unfinished_job(states) if job is None else find_job(common, job))


def find_job(common: GlobalOptions, text: str) -> str:
    """Return the name of the one job that begins with `text`. Blocks. Raises JobNotFound, UsageError."""
    try:
        return job_store(common).find(text)
    except JobNotFound as error:
        for one in record_jobs(common):
            if one.job.startswith(text):
                command = f"`figup records {one.action}` command with {printable(one.path)}"
                hint = f"It is a job of records: run the same {command} again."
                raise error.with_context(hint=hint) from None
        raise


def find_any_job(common: GlobalOptions, text: str) -> JobOverview | Overview:
    """Return the one job, of transfers or records, that begins with `text`. Blocks. Raises JobNotFound, UsageError."""
    from uploader.records.job import overview as record_overview

    transfers, of_records = job_store(common), record_store(common)
    found: list[JobOverview | Overview] = []
    with suppress(JobNotFound):
        found.append(overview(transfers, transfers.find(text)))
    with suppress(JobNotFound):
        found.append(record_overview(of_records, of_records.find(text)))
    found = [one for one in found if one.job == text] or found
    if not found:
        raise JobNotFound(f"job {text!r} not found in {transfers.path}")
    if len(found) > 1:
        raise UsageError(f"{text!r} is ambiguous: {', '.join(one.job for one in found)}")
    return found[0]


def record_store(common: GlobalOptions) -> JobStore:
    """Return the store of the jobs of records on this machine."""
    from uploader.records.job import job_store as stored

    return stored(state_dir(common))


def record_jobs(common: GlobalOptions) -> list[Overview]:
    """Return the jobs of records on this machine. Blocks."""
    from uploader.records.job import overviews

    return overviews(record_store(common))
