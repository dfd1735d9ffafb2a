"""Search for the effect of a request whose answer was lost, so that nothing is created twice."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import TypeAlias, TypeVar

import anyio.to_thread

from uploader.errors import Conflict, Facts, ItemNotFound
from uploader.figshare.models import File, ItemDetail, ItemRow, Part
from uploader.figshare.outcomes import FileGone, UploadGone
from uploader.figshare.retry import poll
from uploader.items.mark import bears_mark, mark_prefix
from uploader.items.reconcile import seconds_to_search
from uploader.items.release import seconds_to_publish, was_published_since
from uploader.text import composed, printable
from uploader.transfer import notices as no
from uploader.transfer.compare import FAILED_STATUSES, needs_md5
from uploader.transfer.journal import events as ev
from uploader.transfer.journal.lifecycle import Transfer
from uploader.transfer.journal.state import ItemState, JobState
from uploader.transfer.journal.sync_facts import OnRecord
from uploader.transfer.run.context import JobRun
from uploader.transfer.run.listing import list_item
from uploader.transfer.run.service import Service

T = TypeVar("T")
MayHaveSent: TypeAlias = Callable[[File], Awaitable[bool]]

_CLOCK_SLACK = timedelta(hours=1)
"""Tolerance: an item's creation time may come from another server, whose clock differs."""


def _time_limit(run: JobRun, at: str) -> float:
    """Return the seconds to keep searching for the effect of an intent with this time (server's clock)."""
    return seconds_to_search(at, run.api.server_now(), run.options.settle_timeout)


async def _poll(run: JobRun, check: Callable[[], Awaitable[T | None]], time_limit: float, what: str) -> T | None:
    """Search for the effect of a request for `time_limit` seconds; `what` names the request. Raises Stopped."""
    reported = False

    async def wait(pause: float) -> None:
        nonlocal reported
        if not reported:
            run.notify(
                no.Retrying(f"{what}: the outcome was not recorded; searching for up to {time_limit:.0f} s", pause)
            )
            reported = True
        await run.clock.sleep(pause)

    with run.stop.interruptible():
        return await poll(check, time_limit, run.clock, wait=wait)


def check_account(state: JobState, account: int | None, now: datetime) -> None:
    """Raise Conflict if this job may have created an item as another account.

    Only that account can see it, so this account would create a second item. An intent whose effect was searched for
    counts until the effect must be visible; `now` is the server's time.
    """
    if not state.creates_item or state.item_state in (ItemState.CREATED, ItemState.READY):
        return
    for intent in state.item_intents:
        is_open = intent not in state.unanswered_items or seconds_to_search(intent.at, now, 1.0) > 0
        if is_open and intent.account not in (None, account):
            raise Conflict(
                f"account {intent.account} may have created this job's item, and this token is of account {account}, "
                "which cannot look for it",
                hint=f"Use a token of account {intent.account}, or start over in a new job.",
                facts=Facts("created-by-other-account", account=intent.account),
            )


async def find_item(run: JobRun) -> int | None:
    """Find the draft that an intent created, or None.

    It has the mark of one of this job's requests; if the record of the mark is lost, see `_find_alike`. Raises Conflict
    if the item may be a published one.
    """
    intent = run.state.item_intent
    if intent is None:
        return None

    async def check() -> int | None:
        listed = [row async for row in run.api.own_items()]
        # Afterwards: another job here removes its draft's mark only when the id is in its journal.
        owned, _ = await anyio.to_thread.run_sync(run.states.foreign_ids, run.job)
        rows = [row for row in listed if row.id not in owned]
        marked = [row.id for row in rows if bears_mark(row.title, run.state.item_marks(run.account))]
        if marked or intent.mark is not None:
            return min(marked, default=None)
        found = await _find_alike(run, rows, datetime.fromisoformat(intent.at) - _CLOCK_SLACK)
        if found is None and not intent.unpublished:
            _refuse_second(rows, run.state.plan.title)
        return found

    return await _poll(run, check, _time_limit(run, intent.at), "creating the item")


async def _find_alike(run: JobRun, rows: Sequence[ItemRow], since: datetime) -> int | None:
    """Find the unpublished draft that has a mark of the job or its title, and holds its files and nothing else.

    Otherwise accept an empty draft that has a mark, or has the title and was created since.
    """
    title = run.state.plan.title
    best: tuple[int, int] | None = None
    for row in rows:
        marked = bears_mark(row.title, [mark_prefix(run.job)])
        if row.published or not (marked or row.title == title):
            continue
        in_time = marked or row.created is None or row.created >= since
        with suppress(ItemNotFound):  # removed; the listing is old
            files = await run.once_visible(partial(_count_if_ours, run, row.id, in_time=in_time))
            if files is not None:
                best = min(best or (0, row.id), (-files, row.id))
    if best is None:
        return None
    content = "files of this job only" if best[0] else "nothing"
    text = f"item {best[1]} is assumed to be the one created by this job: it has the title and contains {content}"
    run.notify(no.Warned(message=text))
    return best[1]


def _refuse_second(rows: Sequence[ItemRow], title: str | None) -> None:
    """Raise Conflict if a published item has the title: it may be the one that this job created."""
    for row in rows:
        if row.published and row.title == title:
            raise Conflict(
                f"the record of this job's item is lost, and item {row.id}, which is published, has its title",
                hint="If it is the job's, send the files to that item; otherwise start a new job.",
                facts=Facts("perhaps-published", item_id=row.id),
            )


async def _count_if_ours(run: JobRun, item_id: int, *, in_time: bool) -> int | None:
    """Return the number of the item's files; None if the item, which was created `in_time`, is not this job's. Raises
    ItemNotFound.
    """
    files = [file async for file in run.api.files(item_id)]
    if files:
        return len(files) if await _could_be_ours(run, item_id, files) else None
    return 0 if in_time and await is_as_created(run, item_id) else None


async def _could_be_ours(run: JobRun, item_id: int, files: Sequence[File]) -> bool:
    """Return whether each of the item's files could have been created by this job."""
    folders = (await run.api.item(item_id)).folders
    addresses = {t.path for t in run.state.transfers if t.link}
    sizes = {composed(t.remote_path): t.size for t in run.state.transfers if not t.link}
    return all(
        file.download_url in addresses
        if file.is_link_only
        else sizes.get(composed(file.path_among(folders))) == file.size
        for file in files
    )


async def is_as_created(run: JobRun, item_id: int) -> bool:
    """Return whether an item has no files, and only the metadata that this job gave it. Raises ItemNotFound."""
    if [file async for file in run.api.files(item_id)]:
        return False
    item, given = await run.api.items.detail(item_id), run.state.description
    fields = given.payload.fields if given is not None else {}
    others = ("description", "keywords", "categories", "references", "doi")
    return not item.is_public and all(name in fields or not getattr(item, name) for name in others)


async def find_published(run: JobRun, intent: ev.PublishIntended) -> ItemDetail | None:
    """Find the version, or the review, that a publish intent led to, or None: the request may still be on its way.

    One that Figshare refused is not waited for. Raises Stopped.
    """

    async def check() -> ItemDetail | None:
        item = await run.once_visible(lambda: run.api.items.detail(run.item_id))
        return item if was_published_since(item, intent.version, intent.curation) else None

    state, time_limit = run.state, seconds_to_publish(run.options.settle_timeout)
    left = (
        seconds_to_search(state.publish_asked_at, run.api.server_now(), time_limit) if state.publish_unanswered else 0.0
    )
    return await _poll(run, check, left, f"publishing item {run.item_id}")


async def find_file(run: JobRun, transfer: Transfer, may_have_sent: MayHaveSent | None = None) -> int | None:
    """Find the remote file that an initiation led to, or None: see `find_upload`."""
    return await (find_link(run, transfer) if transfer.link else find_upload(run, transfer, may_have_sent))


async def find_upload(run: JobRun, transfer: Transfer, may_have_sent: MayHaveSent | None) -> int | None:
    """Find the remote file that an initiation led to, or None.

    It has the folder, name and size, did not exist before the intent, awaits parts, and no job here owns it. It must
    have no parts yet, since another process may be sending a file of the same name. If a damaged journal may have lost
    the initiation, the file may have parts, or be complete if `may_have_sent` returns True for it (None: adopt no
    complete file); in an item that the user named, only the file in the record of the last sync is then adopted. An
    unfinished file in that record is found even if it has another size: the source has changed, and it is restarted.
    Complete ones: see `is_taken_back`; others on record must be identical.
    """
    # By any transfer: a recovered plan may have other indices, and only files in this one's place are compared.
    recorded = run.state.own_at(transfer.place) if transfer.record_lost else {}
    named = transfer.record_lost and not _created_by_us(run)
    if transfer.intended_at is None or (named and not recorded):
        return None

    async def may_be_ours(file: File) -> bool:
        if file.id in transfer.lost:
            return False  # a copy of the server's data is behind
        kind = recorded.get(file.id)
        if is_taken_back(file, transfer.size, kind, restart=run.options.restart_changed):
            return True
        if (named and kind is None) or file.size != transfer.size:
            return False
        if not transfer.record_lost:
            return await is_untouched(run.api, run.item_id, file)
        return file.status == "created" or await _may_have_completed(transfer, file, may_have_sent)

    async def check() -> int | None:
        files = await (_unclaimed if transfer.record_lost else _unfinished)(run, transfer)
        # Of those on record, earlier ones may have been given up already.
        for file in sorted(files, key=lambda f: (f.size != transfer.size, -f.id if f.id in recorded else 0)):
            if await may_be_ours(file):
                return file.id
        return None

    return await _poll(run, check, _time_limit(run, transfer.intended_at), f"initiating {printable(transfer.path)}")


async def find_begun(
    api: Service,
    state: JobState,
    transfer: Transfer,
    others: Sequence[File],
    owners: Callable[[], Awaitable[Collection[int]]],
    *,
    restart: bool,
) -> int | None:
    """Find the file that a transfer of a damaged journal has begun.

    It is on record (see `is_taken_back`) or, in an item that the job created, is unfinished, has the source's size and
    no parts. `others` are the files in its place that are not the job's; `owners` reads the ids of other jobs' files.
    `restart`: a changed source is sent again.
    """
    if not state.recovered or state.item_id is None or transfer.link:
        return None
    mine = transfer.owned_ids().union(transfer.lost)  # a listing from before may show them, too
    on_record = state.own_at(transfer.place)
    begun = [file for file in others if file.id not in mine and (file.id in on_record or file.status == "created")]
    owned = await owners() if begun else ()
    for file in sorted(begun, key=lambda file: (file.id not in on_record, file.size != transfer.size, -file.id)):
        if file.id in owned or state.owns(file.id):
            continue
        if is_taken_back(file, transfer.size, on_record.get(file.id), restart=restart):
            return file.id
        own_item = state.creates_item and file.status == "created"
        if own_item and file.size == transfer.size and await is_untouched(api, state.item_id, file):
            return file.id
    return None


def is_taken_back(file: File, size: int, kind: OnRecord | None, *, restart: bool) -> bool:
    """Return True for a file on record that a transfer continues: an unfinished one of whatever size, since the
    source may have changed, or a complete one of the source's `size` that was not verified. If a changed source is sent
    again, that is its earlier version, whatever its size, and so is one that was verified.
    """
    if kind is None or file.status in FAILED_STATUSES:
        return False
    if file.status == "created":
        return True
    if kind is OnRecord.BEGUN:
        return restart or file.size == size
    return restart and kind is OnRecord.VERIFIED


async def _may_have_completed(transfer: Transfer, file: File, may_have_sent: MayHaveSent | None) -> bool:
    # The source of a dropped transfer may no longer exist.
    if may_have_sent is None or transfer.dropped or not needs_md5([file], transfer.size):
        return False
    return await may_have_sent(file)


async def find_link(run: JobRun, transfer: Transfer) -> int | None:
    """Find the remote file that a link's intent led to, or None: the item refers to the address."""
    if transfer.intended_at is None:
        return None

    async def check() -> int | None:
        return min((file.id for file in await _links(run, transfer)), default=None)

    return await _poll(run, check, _time_limit(run, transfer.intended_at), f"linking {printable(transfer.path)}")


async def find_leftovers(run: JobRun, transfer: Transfer) -> tuple[list[int], list[int]]:
    """Find remote files that appeared late, created by abandoned requests for a transfer that is verified now.

    Returns those that are certainly this job's, then those that may be another's. A file whose id was returned but that
    was never seen is searched for as long as the effect of a lost answer.
    """

    async def check() -> list[File] | None:
        if transfer.link:
            found = [file for file in await _links(run, transfer) if file.id != transfer.file_id]
        else:
            found = await _unfinished(run, transfer)
        found = [file for file in found if transfer.unanswered or file.id in transfer.lost]
        found = [file for file in found if file.id not in run.listing.removed]
        return [file for file in found if transfer.link or await is_untouched(run.api, run.item_id, file)] or None

    time_limit = run.options.settle_timeout if transfer.unseen else 0.0
    what = f"an earlier upload of {printable(transfer.path)}"
    found = [file.id for file in await _poll(run, check, time_limit, what) or ()]
    ours = [i for i in found if i in transfer.lost or _created_by_us(run)]
    return ours, [i for i in found if i not in ours]


def _created_by_us(run: JobRun) -> bool:
    return run.state.creates_item


async def _unfinished(run: JobRun, transfer: Transfer) -> list[File]:
    """List the unclaimed files in the transfer's place that await parts."""
    return [file for file in await _unclaimed(run, transfer) if file.status == "created"]


async def _unclaimed(run: JobRun, transfer: Transfer) -> list[File]:
    """Find files in the transfer's place that are new since its intent and have no owner here, complete first."""
    found = await run.listing.at(transfer.folder, transfer.name)
    if not found:
        return []
    # Afterwards: what another job here has created meanwhile is in its journal by now.
    _, owned = await anyio.to_thread.run_sync(run.states.foreign_ids, run.job)
    claimed = owned.union(transfer.known)
    new = (f for f in found if f.id not in claimed and not run.state.owns(f.id))
    unclaimed = (f for f in new if not f.is_link_only and f.status not in FAILED_STATUSES)
    return sorted(unclaimed, key=lambda f: (f.status == "created", f.id))


async def is_untouched(api: Service, item_id: int, file: File) -> bool:
    """Return True if no part of an unfinished file is stored or being sent, or its upload is gone."""
    try:
        parts = await _parts(api, item_id, file)
    except UploadGone:
        return True
    return parts is not None and not any(part.complete or part.locked for part in parts)


async def is_being_sent(api: Service, item_id: int, file: File) -> bool:
    """Return True if a part of an unfinished file is being sent."""
    try:
        return any(part.locked for part in await _parts(api, item_id, file) or ())
    except UploadGone:
        return False


async def _parts(api: Service, item_id: int, file: File) -> Sequence[Part] | None:
    """Return the parts of an unfinished file; None if it is gone or complete. Raises UploadGone."""
    try:
        url = file.upload_url or (await api.file(item_id, file.id)).upload_url
    except FileGone:
        return None
    return (await api.upload(url)).parts if url is not None else None


async def _links(run: JobRun, transfer: Transfer) -> list[File]:
    """Return the item's files that refer to the transfer's address."""
    files = list_item(run.api, run.state, run.item_id, run.options.settle_timeout)
    return [file async for file in files if file.is_link_only and file.download_url == transfer.path]
