"""Looking for the effect of a request whose answer was lost, so that nothing is created twice."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import TypeVar

import anyio.to_thread

from uploader.figshare.models import File
from uploader.figshare.outcomes import FileGone, UploadGone
from uploader.figshare.retry import poll
from uploader.text import printable
from uploader.transfer import notices as no
from uploader.transfer.journal.lifecycle import Transfer
from uploader.transfer.run.context import JobRun
from uploader.transfer.run.service import Service

T = TypeVar("T")

_CLOCK_SLACK = timedelta(seconds=2)
"""The Date header counts whole seconds, and creation may be stamped on another server than the one that answered."""
_LONG_AGO = timedelta(days=1)
"""After so long a request has had its effect, and shows it, or never will."""


def _patience(run: JobRun, at: str) -> float:
    """Seconds to go on looking for the effect of what was intended then, by the server's clock.

    When the request went out last is not known: it may have been tried again for long after the intent.
    """
    age = run.api.server_now() - datetime.fromisoformat(at)
    return run.options.settle_timeout if age < _LONG_AGO else 0.0


async def _poll(run: JobRun, look: Callable[[], Awaitable[T | None]], patience: float, what: str) -> T | None:
    """Look for the effect of a request for `patience` seconds; `what` names the request. Raises Stopped."""
    reported = False

    async def wait(pause: float) -> None:
        nonlocal reported
        if not reported:
            run.notify(no.Retrying(f"{what}: what came of it is not on record; looking for {patience:.0f} s", pause))
            reported = True
        await run.clock.sleep(pause)

    with run.stop.interruptible():
        return await poll(look, patience, run.clock, wait=wait)


async def find_item(run: JobRun) -> int | None:
    """Find the draft that an item intent led to, or None.

    It has the title, was created since the intent by the server's clock, is unpublished, and no other job here owns it.
    """
    plan, intent = run.state.plan, run.state.item_intent
    if plan is None or intent is None:
        return None
    since = datetime.fromisoformat(intent.at) - _CLOCK_SLACK
    owned, _ = await anyio.to_thread.run_sync(run.states.foreign_ids, run.job)

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

    return await _poll(run, look, _patience(run, intent.at), "creating the item")


async def find_file(run: JobRun, transfer: Transfer) -> int | None:
    """Find the remote file that an initiation led to, or None."""
    return await (find_link if transfer.link else find_upload)(run, transfer)


async def find_upload(run: JobRun, transfer: Transfer) -> int | None:
    """Find the remote file that an initiation led to, or None.

    It has the folder, name and size, was not there before the intent, awaits parts, and no job here owns it. In an item
    that the user named it has no parts either: there, somebody else may be sending a file of the same name; and where
    it is not known any more what was there before, nothing is taken for ours.
    """
    if transfer.intended_at is None or (transfer.known is None and not _created_by_us(run)):
        return None

    async def look() -> int | None:
        for file in await _unfinished(run, transfer):
            if file.size == transfer.size and (_created_by_us(run) or await is_untouched(run.api, run.item_id, file)):
                return file.id
        return None

    return await _poll(run, look, _patience(run, transfer.intended_at), f"initiating {printable(transfer.path)}")


async def find_link(run: JobRun, transfer: Transfer) -> int | None:
    """Find the remote file that a link's intent led to, or None: the item refers to the address."""
    if transfer.intended_at is None:
        return None

    async def look() -> int | None:
        return min((file.id for file in await _links(run, transfer)), default=None)

    return await _poll(run, look, _patience(run, transfer.intended_at), f"linking {printable(transfer.path)}")


async def find_leftovers(run: JobRun, transfer: Transfer) -> tuple[list[int], list[int]]:
    """Remote files that earlier requests for a verified transfer led to after they were given up.

    First those that are this job's without any doubt, then those that may be somebody else's. What was announced and
    never seen is looked for as long as the effect of a lost answer is.
    """

    async def look() -> list[File] | None:
        if transfer.link:
            found = [file for file in await _links(run, transfer) if file.id != transfer.file_id]
        else:
            found = await _unfinished(run, transfer)
        found = [file for file in found if transfer.unanswered or file.id in transfer.unseen]
        return [file for file in found if transfer.link or await is_untouched(run.api, run.item_id, file)] or None

    patience = run.options.settle_timeout if transfer.unseen else 0.0
    what = f"an earlier upload of {printable(transfer.path)}"
    found = [file.id for file in await _poll(run, look, patience, what) or ()]
    ours = [i for i in found if i in transfer.unseen or _created_by_us(run)]
    return ours, [i for i in found if i not in ours]


def _created_by_us(run: JobRun) -> bool:
    return run.state.plan is not None and run.state.plan.item is None


async def _unfinished(run: JobRun, transfer: Transfer) -> list[File]:
    """Files in the transfer's place that await parts, were not there before its intent, and that no job here owns."""
    _, owned = await anyio.to_thread.run_sync(run.states.foreign_ids, run.job)
    owned |= {i for t in run.state.transfers for i in t.owned_ids()} | set(transfer.known or ())
    found = await run.listing.at(transfer.folder, transfer.name)
    return sorted((f for f in found if f.status == "created" and f.id not in owned), key=lambda f: f.id)


async def is_untouched(api: Service, item_id: int, file: File) -> bool:
    """Return True if no part of an unfinished file is stored or being sent, or its upload is gone."""
    try:
        url = file.upload_url or (await api.file(item_id, file.id)).upload_url
        if url is None:
            return False
        upload = await api.upload(url)
    except FileGone:
        return False
    except UploadGone:
        return True
    return not any(part.complete or part.locked for part in upload.parts)


async def _links(run: JobRun, transfer: Transfer) -> list[File]:
    """Return the item's files that refer to the transfer's address."""
    return [f async for f in run.api.files(run.item_id) if f.is_link_only and f.download_url == transfer.path]
