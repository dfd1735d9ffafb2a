"""Remove the drafts that a job created and that were not changed since. Everything else is kept and reported.

Run again after a kill, it continues: missing items are recorded as removed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, TypeAlias

import msgspec

from uploader.concurrency import Stopped
from uploader.errors import Interrupted, ItemNotFound, PermissionDenied, RecordsMissing, RequestRejected, UsageError
from uploader.figshare.models import Account, ItemDetail
from uploader.items.mark import bears_mark, mark_prefix
from uploader.records import journal as ev
from uploader.records.changes import is_as_the_job_left_it, was_changed
from uploader.records.existing import items_with_mark
from uploader.records.job import OpenJob
from uploader.records.steps import remove_late_items
from uploader.transfer.run.stop import Stop
from uploader.units import format_count

if TYPE_CHECKING:
    from uploader.figshare.client import Figshare

UndoOutcome: TypeAlias = Literal["removed", "gone", "kept"]


class UndoResult(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome for an item that the job created. `reason`: why it is kept."""

    key: str
    item_id: int
    outcome: UndoOutcome
    reason: str = ""


def check_account(job: OpenJob, endpoint: str, account: Account) -> None:
    """Raise UsageError unless the job was run with this Figshare and account."""
    planned = job.state.plan
    if planned is not None and (planned.endpoint, planned.account) != (endpoint, account.id):
        raise UsageError(
            f"job {job.name} is of account {planned.account} at {planned.endpoint}",
            hint="Use that endpoint, and a token of that account.",
        )


def check_undoable(job: OpenJob) -> None:
    """Raise UsageError for a job that updates items: it created none, and their former values are not kept."""
    if job.state.plan is not None and job.state.plan.action == "update":
        raise UsageError(
            f"job {job.name} updates items and created none; updates cannot be undone",
            hint="Set the former values with a file of their own.",
        )


async def undo(
    api: Figshare,
    job: OpenJob,
    stop: Stop,
    *,
    warn: Callable[[str], None],
    on_undone: Callable[[UndoResult], None] = lambda _: None,
) -> list[UndoResult]:
    """Remove what the job created. Raises Interrupted, JobBusy, and what concerns all requests."""
    found: list[UndoResult] = []

    async def work() -> None:
        with stop.interruptible():
            complete = await _look_up(api, job, warn)
        for key in list(job.state.records):
            record = job.state.of(key)
            if record.created and record.item_id is not None:
                with stop.interruptible():
                    one = await _undone(api, job, key, record)
                found.append(one)
                on_undone(one)
        updated = sum(not one.created and one.item_id is not None for one in job.state.records.values())
        if updated:
            warn(f"{format_count(updated, 'item')} that the job updated but did not create: not reverted")
        with stop.interruptible():
            complete &= await remove_late_items(api, job, warn)
        if complete and all(one.outcome != "kept" for one in found) and job.state.ended != "undone":
            await job.commit(ev.JobEnded(state="undone"))

    try:
        await job.lock.held_while(work)
    except Stopped:
        left = sum(one.created for one in job.state.records.values()) - sum(one.outcome == "kept" for one in found)
        raise Interrupted(f"stopped before everything was removed: {format_count(left, 'item')} left") from None
    return found


async def _look_up(api: Figshare, job: OpenJob, warn: Callable[[str], None]) -> bool:
    """Find the items of requests whose outcome is unknown; return whether all items could be listed."""
    state = job.state
    intents = {one.intent.mark: key for key, one in state.records.items() if one.intent is not None}
    if not intents and not state.marks:
        return True
    try:
        rows = await items_with_mark(api, [*intents, *state.marks])
    except RecordsMissing as error:
        warn(f"items of requests whose response was lost may be left: {error.message}")
        return False
    for row in rows:
        for mark, key in (state.marks | intents).items():
            if bears_mark(row.title, [mark]) and state.of(key).item_id is None:
                await job.commit(ev.ItemCreated(key=key, id=row.id, late=True))
    return True


async def _undone(api: Figshare, job: OpenJob, key: str, record: ev.RecordState) -> UndoResult:
    """Remove one item, or say why not."""
    item_id = record.item_id or 0
    try:
        item = await api.items.detail(item_id)
        reason = _reason_to_keep(job, record, item)
        if reason:
            return UndoResult(key=key, item_id=item_id, outcome="kept", reason=reason)
        await api.delete_item(item_id, on_turn=job.lock.confirm)
    except ItemNotFound:
        await job.commit(ev.Removed(key=key, id=item_id))
        return UndoResult(key=key, item_id=item_id, outcome="gone")
    except (PermissionDenied, RequestRejected) as error:
        await api.account()  # an expired token gets the same answer
        return UndoResult(key=key, item_id=item_id, outcome="kept", reason=error.message)
    await job.commit(ev.Removed(key=key, id=item_id))
    return UndoResult(key=key, item_id=item_id, outcome="removed")


def _reason_to_keep(job: OpenJob, record: ev.RecordState, item: ItemDetail) -> str:
    """Return why an item must not be removed, "" if it may."""
    if item.is_public or item.version or item.published is not None:
        return "it is published"
    if record.published or record.publish_unanswered or item.curation_status:
        return "it was submitted for publishing"
    if bears_mark(item.title, [mark_prefix(job.name)]):
        is_changed = record.touched or was_changed(item)
        return "it has files" if item.files else "it was changed since" if is_changed else ""
    if record.seen is None and not record.changing:
        return "it was not finished, so it is unknown whether it was changed"
    if record.touched or not is_as_the_job_left_it(record, item):
        return "it was changed since"
    links = {record.link, record.linking.link if record.linking is not None else None}
    added = [file for file in item.files if not file.is_link_only or file.download_url not in links]
    return "it has files that the job did not add" if added else ""
