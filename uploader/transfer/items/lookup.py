"""Looking for the effect of a request whose answer was lost, so that nothing is created twice."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import anyio.to_thread

from uploader.figshare.outcomes import UploadGone
from uploader.figshare.wire import File
from uploader.transfer.lifecycle import Transfer
from uploader.transfer.run import JobRun

_FIRST_PAUSE = 0.5
_CLOCK_SLACK = timedelta(seconds=2)
"""The Date header counts whole seconds, and creation may be stamped on another server than the one that answered."""


async def _until_found(run: JobRun, look: Callable[[], Awaitable[int | None]], patience: float) -> int | None:
    """Look again and again, with growing pauses, for `patience` seconds; at least once."""
    started = run.runtime.monotonic()
    pause = _FIRST_PAUSE
    while True:
        with run.stop.ends():
            found = await look()
            if found is not None:
                return found
            if run.runtime.monotonic() - started + pause > patience:
                return None
            await run.runtime.sleep(pause)
        pause *= 2


def _patience(run: JobRun, at: str, whose: int | None) -> float:
    """Seconds to go on looking: the settle time-out, less what has passed of it since an earlier run's intent.

    Of a request whose answer this run waited for in vain, nothing counts as passed: it may arrive as late as now.
    """
    if whose in run.answers_lost:
        return run.options.settle_timeout
    age = (run.api.server_now() - datetime.fromisoformat(at)).total_seconds()
    return max(0.0, run.options.settle_timeout - max(0.0, age))


async def find_item(run: JobRun) -> int | None:
    """The draft that an item intent led to, or None when it led to none.

    It has the title, was created since the intent by the server's clock, is unpublished, and no other job here owns it.
    """
    plan, intent = run.state.plan, run.state.item_intent
    if plan is None or intent is None:
        return None
    since = datetime.fromisoformat(intent.at) - _CLOCK_SLACK
    owned, _ = await anyio.to_thread.run_sync(run.states.owned_elsewhere, run.job)

    async def look() -> int | None:
        found = [
            row.id
            async for row in run.api.own_items()
            if row.title == plan.title
            and not row.published
            and row.id not in owned
            and row.created is not None
            and row.created >= since
        ]
        return min(found, default=None)

    return await _until_found(run, look, _patience(run, intent.at, None))


async def find_file(run: JobRun, transfer: Transfer) -> int | None:
    """The remote file that an initiation led to, or None when it led to none."""
    return await (find_link if transfer.link else find_upload)(run, transfer)


async def find_upload(run: JobRun, transfer: Transfer) -> int | None:
    """The remote file that an initiation led to, or None when it led to none.

    It has the folder, name and size, was not there before the intent, awaits parts, and no job here owns it. In an item
    that the user named it has no parts either: there, somebody else may be sending a file of the same name.
    """
    item_is_ours = run.state.plan is not None and run.state.plan.item is None
    _, owned = await anyio.to_thread.run_sync(run.states.owned_elsewhere, run.job)
    owned |= {i for t in run.state.transfers for i in t.owned_ids()}

    async def untouched(file: File) -> bool:
        if file.upload_url is None:
            return False
        try:
            upload = await run.api.upload(file.upload_url)
        except UploadGone:
            return False
        return not any(part.complete or part.locked for part in upload.parts)

    async def look() -> int | None:
        candidates = [
            file
            for file in await run.remote.at(transfer.folder, transfer.name)
            if file.size == transfer.size
            and file.status == "created"
            and file.id not in owned
            and file.id not in transfer.known
        ]
        for file in sorted(candidates, key=lambda f: f.id):
            if item_is_ours or await untouched(file):
                return file.id
        return None

    if transfer.intended_at is None:
        return None
    return await _until_found(run, look, _patience(run, transfer.intended_at, transfer.index))


async def find_link(run: JobRun, transfer: Transfer) -> int | None:
    """The remote file that a link's intent led to, or None when it led to none: the item refers to the address."""
    if transfer.intended_at is None:
        return None

    async def look() -> int | None:
        held = [file async for file in run.api.files(run.item_id)]
        return min((f.id for f in held if f.is_link_only and f.download_url == transfer.path), default=None)

    return await _until_found(run, look, _patience(run, transfer.intended_at, transfer.index))
