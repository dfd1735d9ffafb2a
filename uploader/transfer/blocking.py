"""The client's calls for scripts without asyncio: each blocks until it is done."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar, Unpack

import anyio

from uploader.concurrency import IN_A_THREAD, running_loop
from uploader.disk import Disk
from uploader.errors import UsageError
from uploader.figshare.settings import Settings
from uploader.sources.models import Packing, Sources
from uploader.system import resource_error
from uploader.transfer import notices as no
from uploader.transfer.arguments import AnyPath, Paths, as_path
from uploader.transfer.client import Client
from uploader.transfer.destination.options import ItemOptions
from uploader.transfer.options import Options
from uploader.transfer.report import Report
from uploader.transfer.store.jobs import JobStore, default_state_dir
from uploader.transfer.store.overview import JobOverview, list_jobs

if TYPE_CHECKING:
    from uploader.transfer.download.engine import Existing
    from uploader.transfer.download.report import DownloadReport
    from uploader.transfer.preview import Preview
    from uploader.transfer.verify import Comparison

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


class ClientArguments(TypedDict, total=False):
    """The arguments of `Client`, which every call here takes as well, by name."""

    token: str | None
    endpoint: str | None
    token_file: AnyPath | None
    state_dir: AnyPath | None
    options: Options | None
    settings: Settings | None
    anonymous: bool


def _accepting_client_arguments(call: F) -> F:
    """Have `help` and `inspect` show the arguments of `Client` in place of `**client`."""
    shown = inspect.signature(call)
    named = [p for p in shown.parameters.values() if p.kind is not p.VAR_KEYWORD]
    accepted = inspect.signature(Client).parameters
    more = [accepted[name].replace(kind=inspect.Parameter.KEYWORD_ONLY) for name in ClientArguments.__annotations__]
    call.__signature__ = shown.replace(parameters=[*named, *more])  # type: ignore[attr-defined]
    return call


@_accepting_client_arguments
def upload(
    paths: Paths | Sources,
    *,
    item: int | str | None = None,
    title: str | None = None,
    project: int | str | None = None,
    item_options: ItemOptions | None = None,
    new_job: bool = False,
    on_event: no.Listener | None = None,
    **client: Unpack[ClientArguments],
) -> Report:
    """Send files and folders to an item; return once everything is verified: see `Client.upload`.

    Raises what `Client` and `Client.upload` raise, and UsageError inside a running event loop.
    """

    async def call(session: Client) -> Report:
        return await session.upload(
            paths,
            item=item,
            title=title,
            project=project,
            item_options=item_options,
            new_job=new_job,
            on_event=on_event,
        )

    return _run(call, "upload", client)


@_accepting_client_arguments
def resume(job: str | None = None, *, on_event: no.Listener | None = None, **client: Unpack[ClientArguments]) -> Report:
    """Continue an interrupted job, None: the only unfinished one; block until it is done: see `Client.resume`.

    Raises what `Client` and `Client.resume` raise, and UsageError inside a running event loop.
    """
    return _run(lambda session: session.resume(job, on_event=on_event), "resume", client)


@_accepting_client_arguments
def verify(
    item: int | str,
    paths: Paths | Sources = (),
    *,
    checksums: AnyPath | None = None,
    packing: Packing | None = None,
    on_result: Callable[[Comparison], None] | None = None,
    on_event: no.Listener | None = None,
    **client: Unpack[ClientArguments],
) -> list[Comparison]:
    """Compare local files with the files of an item; send nothing: see `Client.verify`.

    Raises what `Client` and `Client.verify` raise, and UsageError inside a running event loop.
    """

    async def call(session: Client) -> list[Comparison]:
        return await session.verify(
            item, paths, checksums=checksums, packing=packing, on_result=on_result, on_event=on_event
        )

    return _run(call, "verify", client)


@_accepting_client_arguments
def download(
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
    **client: Unpack[ClientArguments],
) -> list[DownloadReport]:
    """Download an item's files into a folder, verified: see `Client.download`. Public items need no token.

    Raises what `Client` and `Client.download` raise, and UsageError inside a running event loop.
    """

    async def call(session: Client) -> list[DownloadReport]:
        return await session.download(
            item,
            folder,
            version=version,
            published=published,
            names=names,
            include=include,
            exclude=exclude,
            on_conflict=on_conflict,
            on_result=on_result,
            on_event=on_event,
        )

    return _run(call, "download", {"anonymous": True, **client})


@_accepting_client_arguments
def preview(
    paths: Paths | Sources,
    *,
    item: int | str | None = None,
    title: str | None = None,
    project: int | str | None = None,
    new_job: bool = False,
    on_event: no.Listener | None = None,
    **client: Unpack[ClientArguments],
) -> Preview:
    """Predict what `upload` with these arguments would do; write nothing: see `Client.preview`.

    Raises what `Client` and `Client.preview` raise, and UsageError inside a running event loop.
    """

    async def call(session: Client) -> Preview:
        return await session.preview(paths, item=item, title=title, project=project, new_job=new_job, on_event=on_event)

    return _run(call, "preview", client)


def jobs(*, state_dir: AnyPath | None = None) -> list[JobOverview]:
    """Return the jobs on this machine, the most recently changed first. Needs no token and no network.

    `state_dir` None: FIGUP_STATE_DIR, or the platform's state directory.
    """
    folder = as_path("state_dir", state_dir)
    return list_jobs(JobStore(folder if folder is not None else default_state_dir(), Disk()))


def _run(call: Callable[[Client], Awaitable[T]], name: str, arguments: ClientArguments) -> T:
    """Create a client and call it. Raises UsageError inside a running event loop, which must not block."""
    if library := running_loop():
        raise UsageError(
            f"uploader.{name} blocks and cannot be called inside a running event loop",
            hint=f"Use: async with uploader.Client() as client: await client.{name}(...)"
            if library == "asyncio"
            else IN_A_THREAD,
        )
    for word in arguments.keys() - ClientArguments.__annotations__.keys():
        raise TypeError(f"uploader.{name} has no argument {word!r}")
    client = Client(**arguments)

    async def main() -> T:
        async with client:
            return await call(client)

    try:
        return anyio.run(main)
    except (OSError, MemoryError, RuntimeError) as fault:
        # Also what the event loop itself lacks.
        if (known := resource_error(fault)) is None:
            raise
        raise known from fault
