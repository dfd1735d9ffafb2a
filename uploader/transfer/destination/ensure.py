"""Ensure that the job's item exists, exactly once, and has its metadata.

A create request returns only the id. The address is only displayed, so it is requested when the API has nothing more
urgent to answer (`learn_address`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from uploader.errors import RequestRejected
from uploader.figshare.outcomes import NO_EFFECT, AmbiguousAnswer
from uploader.figshare.retry import Backoff
from uploader.items.describe import describe
from uploader.items.mark import marked_title, new_mark
from uploader.transfer import notices as no
from uploader.transfer.destination.drafts import remove_mark, remove_unwanted
from uploader.transfer.destination.lookup import check_account, find_item
from uploader.transfer.journal import events as ev
from uploader.transfer.journal.state import ItemState
from uploader.transfer.run.context import JobRun


async def ensure_item(run: JobRun) -> None:
    """Find or create the job's item and apply its metadata. Raises ItemNotFound, Stopped."""
    state = run.state
    if state.creates_item and state.item_state not in (ItemState.CREATED, ItemState.READY):
        await _find_or_create(run, state.plan.title or "")
    if state.item_state is ItemState.READY:
        run.notify(no.ItemKnown(item_id=run.item_id, item_url=state.item_url or "", created=False))
    elif not run.created_item or _needs_description(run) or all(transfer.link for transfer in state.active):
        await learn_address(run)
    await ensure_description(run)


async def learn_address(run: JobRun) -> None:
    """Request the item, and so its address, unless it is known. Raises ItemNotFound, Stopped."""
    async with run.learning_address:
        if run.state.item_state is ItemState.READY:
            return
        item_id = run.state.item_id or run.state.plan.item
        if item_id is None:
            raise RuntimeError("the item is unknown")
        with run.stop.interruptible():
            item = await run.once_visible(lambda: run.api.item(item_id))
            async with _item_itself_first(run, item_id):
                await remove_mark(run, item)
        await run.commit(
            ev.ItemReady(id=item_id, url=item.url, found=not run.created_item, public=item.is_public or msgspec.UNSET)
        )
    run.notify(no.ItemKnown(item_id=item_id, item_url=item.url, created=run.created_item))


@asynccontextmanager
async def _item_itself_first(run: JobRun, item_id: int) -> AsyncIterator[None]:
    """Raise ItemNotFound if a change inside is refused because the item no longer exists.

    Figshare answers 404 for a value that it does not know, too.
    """
    try:
        yield
    except RequestRejected as refusal:
        if refusal.status == 404:
            await run.once_visible(lambda: run.api.item(item_id))
        raise


async def ensure_description(run: JobRun) -> None:
    """Apply the requested metadata. An item created in this run already has the fields that a create request takes."""
    requested = run.state.description
    if requested is None or not _needs_description(run):
        return
    with run.stop.interruptible():
        sent = (
            requested.payload.creation_fields(in_project=run.state.plan.project is not None) if run.created_item else {}
        )
        rest = {name: value for name, value in requested.payload.fields.items() if name not in sent}
        payload = msgspec.structs.replace(requested.payload, fields=rest)
        async with _item_itself_first(run, run.item_id):
            await run.once_visible(lambda: describe(run.api, run.item_id, payload, on_turn=run.lock.check))
        await run.commit(ev.MetadataApplied(requested.mark))
    run.described = True
    run.notify(no.Described(run.item_id, requested.payload.present_fields))


def _needs_description(run: JobRun) -> bool:
    requested = run.state.description
    return requested is not None and run.state.described != requested.mark


async def _find_or_create(run: JobRun, title: str) -> None:
    check_account(run.state, run.account, run.api.server_now())
    backoff = run.new_backoff()
    while run.state.item_state not in (ItemState.CREATED, ItemState.READY):
        if run.state.item_state is ItemState.UNWANTED:
            await remove_unwanted(run)
        elif run.state.item_state is ItemState.INTENDED:
            found = await find_item(run)
            await run.commit(ev.ItemNotCreated(looked=True) if found is None else ev.ItemCreated(found))
        else:
            await _create(run, title, backoff)


async def _create(run: JobRun, title: str, backoff: Backoff) -> None:
    """Create the item. Its state stays INTENDED while the outcome of the request is unknown."""
    run.stop.check()
    mark = new_mark(run.job)
    await run.commit_intent(ev.ItemIntended(run.api.server_now().isoformat(), mark, account=run.account))
    requested = run.state.description
    sent = (
        requested.payload.creation_fields(in_project=run.state.plan.project is not None)
        if requested is not None
        else {}
    )
    try:
        item_id = await run.api.items.create(
            {"title": marked_title(title, mark), **sent}, project=run.state.plan.project, on_turn=run.lock.check
        )
    except AmbiguousAnswer as outcome:
        await run.wait_to_try_again(backoff, f"creating the item: {outcome.reason}; checking whether it took effect")
        return
    except NO_EFFECT:
        await run.commit(ev.ItemNotCreated())
        raise
    # Journal the id before any other request: until it is on disk, the item can only be found by a search.
    await run.commit(ev.ItemCreated(item_id))
    run.created_item = True
    run.listing.note_empty()
