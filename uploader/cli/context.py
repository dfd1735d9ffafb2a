"""The place: which Figshare a command talks to, with which token, and where its jobs are kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from uploader.cli.options import GlobalOptions, Tuning
from uploader.disk import Disk
from uploader.errors import NoToken
from uploader.figshare.retry import RetryPolicy
from uploader.figshare.settings import Settings
from uploader.figshare.urls import check_endpoint
from uploader.transfer.client import PUBLIC_ENDPOINT, Client, default_state_dir
from uploader.transfer.options import Options
from uploader.transfer.store.jobs import JobStore
from uploader.transfer.store.overview import JobOverview, overview, unfinished_job

INTERACTIVE_RETRY = RetryPolicy(elapsed_cap=20.0)
"""For commands that a person waits for."""


@dataclass(frozen=True)
class Context:
    """`endpoint` is normalised. `token` is known only for a sandbox; else it is looked for when a client is made."""

    endpoint: str
    token: str | None
    common: GlobalOptions

    def client(
        self, tuning: Tuning | None = None, *, retry: RetryPolicy | None = None, token: str | None = None
    ) -> Client:
        """A client for this place, as `token` or as whom is found. Blocks shortly; raises what `Client` raises."""
        common = self.common
        settings = Settings(
            self.endpoint,
            retry=retry or RetryPolicy(),
            ca_file=common.ca_file,
            insecure_http=common.insecure_http,
            impersonate=common.impersonate,
        )
        options = Options()
        if tuning is not None:
            settings, options = tuned(settings, tuning)
        try:
            return Client(
                token or self.token,
                endpoint=self.endpoint,
                token_file=common.token_file,
                state_dir=state_dir(common),
                options=options,
                settings=settings,
            )
        except NoToken as error:
            if "//127.0.0.1:" in self.endpoint:
                hint = f"{error.hint} For the local Figshare of this machine, add --sandbox."
                raise error.with_context(hint=hint) from error
            raise


def tuned(settings: Settings, tuning: Tuning) -> tuple[Settings, Options]:
    """What the options of sending say."""
    settings = replace(
        settings,
        api_rate=tuning.api_rate,
        retry=RetryPolicy(elapsed_cap=tuning.retry_timeout),
        stall_timeout=tuning.stall_timeout,
        visibility_timeout=tuning.settle_timeout,
    )
    options = Options(
        connections=tuning.connections,
        limit_rate=tuning.limit_rate,
        hash_first=tuning.hash_first,
        restart_changed=tuning.restart_changed,
        max_errors=tuning.max_errors,
        on_conflict=tuning.on_conflict,
        verify_timeout=tuning.verify_timeout,
        grace=tuning.grace,
        settle_timeout=tuning.settle_timeout,
    )
    return settings, options


def job_store(common: GlobalOptions) -> JobStore:
    """The jobs on this machine."""
    return JobStore(state_dir(common), Disk())


def state_dir(common: GlobalOptions) -> Path:
    """Where jobs are kept."""
    return common.state_dir if common.state_dir is not None else default_state_dir()


@contextmanager
def open_context(common: GlobalOptions, *, recorded: str | None = None) -> Iterator[Context]:
    """Where the command line points to. `recorded` is the endpoint of the job concerned, which counts where
    `--endpoint` is not given. With `--sandbox` the sandbox runs for as long as the block lasts.

    Raises UsageError, InsecureEndpoint, and what starting a sandbox raises.
    """
    if common.sandbox:
        from uploader.cli.sandbox_process import local_sandbox

        with local_sandbox(state_dir(common) / "sandbox") as sandbox:
            yield Context(sandbox.url, sandbox.token, common)
        return
    chosen = common.endpoint if common.endpoint_given or recorded is None else recorded
    endpoint = check_endpoint(chosen or PUBLIC_ENDPOINT, insecure_http=common.insecure_http)
    yield Context(endpoint, None, common)


def recorded_job(common: GlobalOptions, job: str | None) -> JobOverview:
    """What the journal says of a job; its endpoint is None where it is too damaged to tell.

    `job` may be the beginning of a name; None is the one job that is unfinished. Raises JobNotFound, UsageError.
    """
    states = job_store(common)
    name = unfinished_job(states) if job is None else states.find(job)
    return overview(states, name)
