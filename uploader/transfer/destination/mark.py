"""The mark of a new item: part of its title from the request that creates it until its id is on record.

After a lost answer the draft is recognized by it, whatever other drafts of the same title exist, and whatever the
clocks of the servers show. The title carries the mark because the list of items shows titles, because every draft has
one, and because setting it again cannot fail for want of another field.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from contextlib import suppress

from uploader.errors import ItemNotFound
from uploader.figshare.models import Item
from uploader.transfer import notices as no
from uploader.transfer.journal.plan import LONGEST_TITLE
from uploader.transfer.run.context import JobRun


def new_mark(job: str) -> str:
    """Make a mark that no other item has; it begins with `any_mark(job)`."""
    return f"{any_mark(job)}{secrets.token_hex(4)}"


def any_mark(job: str) -> str:
    """Return the beginning of every mark of this job, for when the record of the mark itself is lost.

    The same command on another machine has a job of the same name.
    """
    return f"figup-{job}-"


def marked_title(title: str, mark: str) -> str:
    """Add the mark to the title, shortened if it would be too long for Figshare."""
    end = f" [{mark}]"
    return title[: LONGEST_TITLE - len(end)] + end


def bears_mark(title: str, marks: Iterable[str]) -> bool:
    """Return whether the title has one of the marks."""
    return any(mark in title for mark in marks)


async def remove_mark(run: JobRun, item: Item) -> None:
    """Give the item its real title if it still has the marked one. Raises ItemNotFound."""
    plan = run.state.plan
    if plan.title is not None and bears_mark(item.title, [any_mark(run.job)]):
        await run.api.items.update(item.id, {"title": plan.title})


async def remove_late_items(run: JobRun) -> None:
    """Remove the empty drafts of requests that were looked for in vain; name those that are not empty. Raises Stopped.

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
    made = f"item {item_id} was created by a request of this job whose answer was lost"
    if published or [file async for file in run.api.files(item_id)]:
        run.notify(no.Warned(message=f"{made}; it is not empty and is kept"))
        return
    await run.lock.confirm()
    await run.api.delete_item(item_id)
    run.notify(no.Warned(message=f"{made}; it was empty and is removed"))
