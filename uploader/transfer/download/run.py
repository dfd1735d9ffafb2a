"""One download, from the item to the report."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import anyio.to_thread

from uploader.clock import Clock
from uploader.errors import ItemNotFound, PermissionDenied
from uploader.figshare.models import File, Item
from uploader.figshare.settings import RetryPolicy
from uploader.sources.filters import Filters
from uploader.text import printable
from uploader.transfer.download.engine import AUTO_CONNECTIONS, Download, Existing, Fetch
from uploader.transfer.download.plan import plan_download, why_renamed
from uploader.transfer.download.report import DownloadReport
from uploader.transfer.download.target import TargetFolder
from uploader.transfer.notices import ItemKnown, Listener, Warned
from uploader.transfer.options import Options
from uploader.transfer.run.throttle import Throttle


class _Bytes(Protocol):
    @property
    def fetch(self) -> Fetch: ...


class DownloadService(Protocol):
    """The requests that a download needs. Errors as in `uploader.transfer.run.service`."""

    @property
    def downloads(self) -> _Bytes: ...

    @property
    def has_token(self) -> bool: ...

    async def item(self, item_id: int) -> Item: ...

    def files(self, item_id: int) -> AsyncIterator[File]: ...

    async def public_item(self, item_id: int, version: int | None = None) -> Item: ...

    def public_files(self, item_id: int, version: int | None = None) -> AsyncIterator[File]: ...


@dataclass(frozen=True, kw_only=True)
class DownloadRequest:
    """The request for a download.

    `version`: a published version of the item; None for the account's own copy of it, else the newest published one.
    `published`: the newest published one, else the account's own.
    `names`: remote paths, folders, or names without folder; empty for all files. `include` and `exclude` are patterns
    as for sources. `existing`: what to do with a different existing file.
    """

    item_id: int
    target: Path
    version: int | None = None
    published: bool = False
    names: Sequence[str] = ()
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    existing: Existing = "fail"


async def download(
    api: DownloadService,
    request: DownloadRequest,
    options: Options,
    retry: RetryPolicy,
    clock: Clock,
    notify: Listener,
    on_result: Callable[[DownloadReport], None] | None = None,
) -> list[DownloadReport]:
    """Download an item's files; return a report for each. `on_result` gets each as it is known.

    Raises ItemNotFound, FileNotHeld, UsageError (a malformed pattern), TargetUnusable (of the folder itself), and what
    ends the whole run: Unreachable, ServerFailing, TlsFailure, TokenRejected, TargetFull. The same call continues after
    an interruption.
    """
    filters = Filters(request.include, request.exclude)
    item, files, own = await _look_up(api, request)
    notify(ItemKnown(item_id=item.id, item_url=item.url, created=False))
    plan = plan_download(item.id, files, item.folders, filters, request.names)
    for each in plan.renamed:
        notify(Warned(message=f"{printable(each.remote)}: is stored as {printable(each.path)}, {why_renamed(each)}"))
    if plan.wanted:
        # One error for a folder that cannot be made, not one for each file.
        await anyio.to_thread.run_sync(lambda: TargetFolder(request.target, "").close())
    run = Download(
        plan,
        request.target,
        api.downloads.fetch,
        authorized=own,
        existing=request.existing,
        connections=options.connections or AUTO_CONNECTIONS,
        retry=retry,
        throttle=Throttle(options.limit_rate, clock),
        clock=clock,
        notify=notify,
        on_result=on_result or (lambda _: None),
    )
    return await run.run()


async def _look_up(api: DownloadService, request: DownloadRequest) -> tuple[Item, list[File], bool]:
    """Return the item, its files, and whether it is read as the account's own."""
    item_id, version = request.item_id, request.version
    if request.published and version is None and api.has_token:
        with suppress(ItemNotFound):
            files = [file async for file in api.public_files(item_id)]
            return await api.public_item(item_id), files, False
    if version is None and api.has_token:
        try:
            # The folders after the files: a file that is added in between would have no folder.
            files = [file async for file in api.files(item_id)]
            return await api.item(item_id), files, True
        except (ItemNotFound, PermissionDenied) as refusal:
            own_refusal: ItemNotFound | PermissionDenied | None = refusal
    else:
        own_refusal = None
    try:
        files = [file async for file in api.public_files(item_id, version)]
        return await api.public_item(item_id, version), files, False
    except ItemNotFound as missing:
        raise (own_refusal or missing) from None
