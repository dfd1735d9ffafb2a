"""Drafts with a job's mark: remove the mark from the item, and remove drafts that appeared late."""

from __future__ import annotations

from contextlib import suppress

from uploader.errors import ItemNotFound
from uploader.figshare.models import Item
from uploader.items.mark import bears_mark, mark_prefix
from uploader.transfer import notices as no
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
    marks = run.state.item_marks
    if not marks or (run.state.item_id is not None and not run.state.unanswered_items):
        return
    with run.stop.interruptible():
        rows = [row async for row in run.api.own_items()]
        for row in rows:
            if row.id != run.state.item_id and bears_mark(row.title, marks):
                with suppress(ItemNotFound):
                    await _remove_mark_later(run, row.id, published=row.published)


async def _remove_mark_later(run: JobRun, item_id: int, *, published: bool) -> None:
    made = f"item {item_id} was created by a request of this job whose response was lost"
    if published or [file async for file in run.api.files(item_id)]:
        run.notify(no.Warned(message=f"{made}; it is not empty and is kept"))
        return
    await run.api.delete_item(item_id, on_turn=run.lock.confirm)
    run.notify(no.Warned(message=f"{made}; it was empty and has been removed"))
