"""Remove an item that the job created and that stayed empty because Figshare refused its files."""

from __future__ import annotations

from collections.abc import Mapping

from uploader.errors import FigupError, ItemNotFound, PermissionDenied, RequestRejected
from uploader.transfer import notices as no
from uploader.transfer.destination.drafts import remove_mark
from uploader.transfer.destination.lookup import is_as_created
from uploader.transfer.journal import events as ev
from uploader.transfer.journal.state import ItemState, JobState
from uploader.transfer.run.context import JobRun


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


async def remove_unwanted(run: JobRun) -> None:
    """Remove the unwanted item; keep it as the job's item if it is not empty, or was edited since."""
    item_id = run.item_id
    try:
        if [file async for file in run.api.files(item_id)] or not await is_as_created(run, item_id):
            item = await run.api.item(item_id)
            await remove_mark(run, item)
            await run.commit(ev.ItemReady(id=item_id, url=item.url, found=True))
            return
        await run.api.delete_item(item_id, on_turn=run.lock.confirm)
    except ItemNotFound:
        pass  # removed by a run that was killed before it could journal that
    await run.commit(ev.ItemRemoved(item_id))
    run.notify(no.Warned(message=f"the empty item {item_id}, created by this job, was removed"))
