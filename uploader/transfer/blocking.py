"""The client's calls for scripts without asyncio: each blocks until it is done."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import anyio

from uploader.disk import Disk
from uploader.errors import UsageError
from uploader.figshare.settings import Settings
from uploader.sources.models import Sources
from uploader.transfer import notices as no
from uploader.transfer.arguments import AnyPath, Paths, as_path
from uploader.transfer.client import Client
from uploader.transfer.destination.options import ItemOptions
from uploader.transfer.options import Options
from uploader.transfer.report import Report
from uploader.transfer.store.jobs import JobStore, default_state_dir
from uploader.transfer.store.overview import JobOverview, list_jobs

if TYPE_CHECKING:
    from uploader.transfer.preview import Preview
    from uploader.transfer.verify import Comparison

T = TypeVar("T")


def upload(
    paths: Paths | Sources,
    *,
    item: int | str | None = None,
    title: str | None = None,
    project: int | str | None = None,
    item_options: ItemOptions | None = None,
    new_job: bool = False,
    token: str | None = None,
    endpoint: str | None = None,
    state_dir: AnyPath | None = None,
    options: Options | None = None,
    settings: Settings | None = None,
    on_event: no.Listener | None = None,
) -> Report:
    """Send files and folders to an item, and return once every byte is there and verified: see `Client.upload`.

    Raises what `Client` and `Client.upload` raise, and UsageError inside a running event loop.
    """
    _check_no_loop("upload")
    client = Client(token, endpoint=endpoint, state_dir=state_dir, options=options, settings=settings)
    return _run(
        client,
        lambda: client.upload(
            paths,
            item=item,
            title=title,
            project=project,
            item_options=item_options,
            new_job=new_job,
            on_event=on_event,
        ),
    )


def resume(
    job: str | None = None,
    *,
    token: str | None = None,
    endpoint: str | None = None,
    state_dir: AnyPath | None = None,
    options: Options | None = None,
    settings: Settings | None = None,
    on_event: no.Listener | None = None,
) -> Report:
    """Continue an interrupted job, None: the only unfinished one; block until it is done: see `Client.resume`.

    Raises what `Client` and `Client.resume` raise, and UsageError inside a running event loop.
    """
    _check_no_loop("resume")
    client = Client(token, endpoint=endpoint, state_dir=state_dir, options=options, settings=settings)
    return _run(client, lambda: client.resume(job, on_event=on_event))


def verify(
    item: int | str,
    paths: Paths | Sources = (),
    *,
    checksums: AnyPath | None = None,
    token: str | None = None,
    endpoint: str | None = None,
    state_dir: AnyPath | None = None,
    settings: Settings | None = None,
    on_result: Callable[[Comparison], None] | None = None,
    on_event: no.Listener | None = None,
) -> list[Comparison]:
    """Compare local files with the files of an item; send nothing: see `Client.verify`.

    Raises what `Client` and `Client.verify` raise, and UsageError inside a running event loop.
    """
    _check_no_loop("verify")
    client = Client(token, endpoint=endpoint, state_dir=state_dir, settings=settings)
    return _run(client, lambda: client.verify(item, paths, checksums=checksums, on_result=on_result, on_event=on_event))


def preview(
    paths: Paths | Sources,
    *,
    item: int | str | None = None,
    title: str | None = None,
    project: int | str | None = None,
    new_job: bool = False,
    token: str | None = None,
    endpoint: str | None = None,
    state_dir: AnyPath | None = None,
    options: Options | None = None,
    settings: Settings | None = None,
    on_event: no.Listener | None = None,
) -> Preview:
    """Return what `upload` with these arguments would do; write nothing: see `Client.preview`.

    Raises what `Client` and `Client.preview` raise, and UsageError inside a running event loop.
    """
    _check_no_loop("preview")
    client = Client(token, endpoint=endpoint, state_dir=state_dir, options=options, settings=settings)
    return _run(
        client,
        lambda: client.preview(paths, item=item, title=title, project=project, new_job=new_job, on_event=on_event),
    )


def jobs(*, state_dir: AnyPath | None = None) -> list[JobOverview]:
    """Return the jobs on this machine, the most recently changed first. Needs no token and no network.

    `state_dir` None: FIGUP_STATE_DIR, or the platform's state directory.
    """
    folder = as_path("state_dir", state_dir)
    return list_jobs(JobStore(folder if folder is not None else default_state_dir(), Disk()))


def _check_no_loop(name: str) -> None:
    """Raise UsageError inside a running event loop, where blocking would stall everything else."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise UsageError(
        f"uploader.{name} blocks and cannot be called inside a running event loop",
        hint=f"Use: async with uploader.Client() as client: await client.{name}(...)",
    )


def _run(client: Client, call: Callable[[], Awaitable[T]]) -> T:
    async def main() -> T:
        async with client:
            return await call()

    return anyio.run(main)
