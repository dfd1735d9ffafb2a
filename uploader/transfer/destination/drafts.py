"""A job's drafts: the mark of its item, drafts that appeared late, and an item that stayed empty."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from uploader.concurrency import Stopped
from uploader.errors import FigupError, ItemNotFound, PermissionDenied, RequestRejected
from uploader.figshare.models import Item
from uploader.items.mark import bears_mark, mark_prefix
from uploader.items.reconcile import once_visible
from uploader.transfer import notices as no
from uploader.transfer.destination.lookup import is_as_created
from uploader.transfer.journal import events as ev
from uploader.transfer.journal.state import ItemState, JobState
from uploader.transfer.run.context import JobRun


async def remove_mark(run: JobRun, item: Item) -> None:
    """Give the item its real title if it still has the marked one. Raises ItemNotFound."""
    plan = run.state.plan
    if plan.title is not None and bears_mark(item.title, [mark_prefix(run.job)]):
        await run.api.items.update(item.id, {"title": plan.title}, on_turn=run.lock.check)


async def remove_late_items(run: JobRun) -> None:
    """Remove empty drafts that appeared late; warn about those that are not empty. Raises Stopped.

    It looks once, at the end of a run; what appears later is found by the next run.
    """
    state = run.state
    if not state.item_intents or (state.item_id is not None and not state.unanswered_items):
        return
    with run.stop.interruptible():
        if run.account is None:
            run.account = (await run.api.account()).id
        marks = state.item_marks(run.account)
        _warn_of_others(run)
        rows = [row async for row in run.api.own_items()] if marks else []
        for row in rows:
            if row.id != run.state.item_id and bears_mark(row.title, marks):
                with suppress(ItemNotFound):  # removed meanwhile; the listing was old
                    await _remove_late(run, row.id, published=row.published)


def _warn_of_others(run: JobRun) -> None:
    """Warn about items that may appear late in other accounts."""
    intents = run.state.item_intents if run.state.item_id is None else run.state.unanswered_items
    for account in {intent.account for intent in intents} - {None, run.account}:
        text = f"account {account} may have created another item for this job, which only that account can look for"
        run.notify(no.Warned(message=text))


async def _remove_late(run: JobRun, item_id: int, *, published: bool) -> None:
    settle = run.options.settle_timeout
    untouched = not published and await once_visible(lambda: is_as_created(run, item_id), settle, run.clock)
    made = f"item {item_id} was created by a request of this job whose response was lost"
    if not untouched:
        run.notify(no.Warned(message=f"{made}; it is not as it was created and is kept"))
        return
    await run.api.delete_item(item_id, on_turn=run.lock.confirm)
    run.notify(no.Warned(message=f"{made}; it was empty and has been removed"))


def is_left_empty(state: JobState, error: FigupError, problems: Mapping[int, FigupError]) -> bool:
    """Return True if Figshare refused the links or every file, and the item that the job created stayed empty."""
    if not state.creates_item:
        return False
    if state.item_state not in (ItemState.CREATED, ItemState.READY):
        return False
    if any(transfer.owned_ids() or transfer.intended_at is not None for transfer in state.transfers):
        return False
    if isinstance(error, PermissionDenied):
        return all(transfer.link for transfer in state.active)
    refused = [t for t in state.active if isinstance(problems.get(t.index), RequestRejected)]
    nothing_is_left = all(transfer.index in problems for transfer in state.active)
    return bool(refused) and (nothing_is_left or any(transfer.link for transfer in refused))


async def give_up_item(run: JobRun) -> None:
    """Remove the item if it is empty. If that fails now, the job's next run tries again."""
    await run.commit(ev.ItemUnwanted(run.item_id))
    try:
        await remove_unwanted(run)
    except FigupError as error:
        run.notify(no.Warned(message=f"the empty item {run.item_id} could not be removed: {error.message}"))
    except Stopped:
        pass  # the next run tries again


async def remove_unwanted(run: JobRun) -> None:
    """Remove the unwanted item; keep it as the job's item if it is not empty, or was edited since. Raises Stopped."""
    item_id = run.item_id
    try:
        with run.stop.interruptible():
            untouched = await run.once_visible(lambda: is_as_created(run, item_id))
            item = None if untouched else await run.once_visible(lambda: run.api.item(item_id))
        if item is not None:
            await remove_mark(run, item)
            await run.commit(ev.ItemReady(id=item_id, url=item.url, found=True))
            return
        await run.api.delete_item(item_id, on_turn=run.lock.confirm)
    except ItemNotFound:
        pass  # removed by a run that was killed before it could journal that
    await run.commit(ev.ItemRemoved(item_id))
    run.notify(no.Warned(message=f"the empty item {item_id}, created by this job, was removed"))
