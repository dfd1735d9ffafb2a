"""The job's item: given or created, never created twice, and described. Its files are the engine's and the drivers'
business.

Of an item that was created only the id is known. Its address has to be asked for, and is only to be shown: that may
wait until the API has nothing more urgent to answer (`learn_address`).
"""

from __future__ import annotations

import msgspec

from uploader.concurrency import Stopped
from uploader.figshare.outcomes import NO_EFFECT, AmbiguousAnswer
from uploader.figshare.retry import Backoff
from uploader.items.describe import describe
from uploader.transfer import notices as no
from uploader.transfer.destination.creation_lock import creation_lock
from uploader.transfer.destination.lookup import find_item
from uploader.transfer.destination.mark import marked_title, new_mark, remove_mark
from uploader.transfer.destination.rollback import remove_unwanted
from uploader.transfer.journal import events as ev
from uploader.transfer.journal.state import ItemState
from uploader.transfer.run.context import JobRun


async def ensure_item(run: JobRun) -> None:
    """Have the job's item, creating it if the plan says so, and have it described. Raises ItemNotFound, Stopped."""
    state, plan = run.state, run.state.plan
    if plan is None:
        raise RuntimeError("a job without a plan")
    if plan.item is None and state.item_state not in (ItemState.CREATED, ItemState.READY):
        async with creation_lock(run, plan.endpoint, plan.title or ""):
            await _find_or_create(run, plan.title or "")
    if state.item_state is ItemState.READY:
        run.notify(no.ItemKnown(run.item_id, state.item_url or "", created=False))
    elif not run.created_item or _is_to_be_described(run) or all(transfer.link for transfer in state.active):
        await learn_address(run)
    await ensure_description(run)


async def learn_address(run: JobRun) -> None:
    """Ask for the item, and so for its address, unless it is known already. Raises ItemNotFound, Stopped."""
    async with run.learning_address:
        if run.state.item_state is ItemState.READY:
            return
        item_id = run.state.item_id or (run.state.plan.item if run.state.plan is not None else None)
        if item_id is None:
            raise RuntimeError("the item is not known yet")
        with run.stop.interruptible():
            item = await run.api.item(item_id)
            await remove_mark(run, item)
        await run.commit(ev.ItemReady(item_id, item.url, found=not run.created_item))
    run.notify(no.ItemKnown(item_id, item.url, run.created_item))


async def ensure_description(run: JobRun) -> None:
    """Have the item say what was ordered last. One that this run made says already what can be said at once."""
    given = run.state.description
    if given is None or not _is_to_be_described(run):
        return
    with run.stop.interruptible():
        said = given.spec.creation_fields(in_project=_project(run) is not None) if run.created_item else {}
        rest = {name: value for name, value in given.spec.fields.items() if name not in said}
        await describe(run.api, run.item_id, msgspec.structs.replace(given.spec, fields=rest))
        await run.commit(ev.MetadataApplied(given.mark))
    run.described = True
    run.notify(no.Described(run.item_id, given.spec.named))


def _is_to_be_described(run: JobRun) -> bool:
    given = run.state.description
    return given is not None and run.state.described != given.mark


def _project(run: JobRun) -> int | None:
    return run.state.plan.project if run.state.plan is not None else None


async def _find_or_create(run: JobRun, title: str) -> None:
    backoff = run.new_backoff()
    while run.state.item_state not in (ItemState.CREATED, ItemState.READY):
        if run.state.item_state is ItemState.UNWANTED:
            with run.stop.interruptible():
                await remove_unwanted(run)
        elif run.state.item_state is ItemState.INTENDED:
            found = await find_item(run)
            await run.commit(ev.ItemNotCreated(looked=True) if found is None else ev.ItemCreated(found))
        else:
            await _create(run, title, backoff)


async def _create(run: JobRun, title: str, backoff: Backoff) -> None:
    """Create the item; it stays intended when it is not known whether that happened."""
    if run.stop.requested:
        raise Stopped
    mark = new_mark()
    await run.commit(ev.ItemIntended(run.api.server_now().isoformat(), mark))
    given = run.state.description
    said = given.spec.creation_fields(in_project=_project(run) is not None) if given is not None else {}
    try:
        item_id = await run.api.items.create({"title": marked_title(title, mark), **said}, project=_project(run))
    except AmbiguousAnswer as outcome:
        await run.wait_to_try_again(backoff, f"creating the item: {outcome.reason}; looking whether it arrived")
        return
    except NO_EFFECT:
        await run.commit(ev.ItemNotCreated())
        raise
    # Its id before anything else is asked: as long as it is not on disk, the item could only be searched for.
    await run.commit(ev.ItemCreated(item_id))
    run.created_item = True
