"""Cancel a job: remove its unfinished remote files, and nothing else."""

from __future__ import annotations

from contextlib import suppress

from uploader.errors import ItemNotFound
from uploader.transfer.destination.drafts import remove_late_items
from uploader.transfer.destination.ensure import learn_address
from uploader.transfer.destination.lookup import find_file
from uploader.transfer.files.late import find_unrecorded, remove_late_files, remove_lost_uploads
from uploader.transfer.files.steps import is_unfinished, remove
from uploader.transfer.journal import events as ev
from uploader.transfer.journal.lifecycle import State, Transfer
from uploader.transfer.journal.state import ItemState, JobState
from uploader.transfer.run.context import JobRun
from uploader.transfer.run.listing import list_item


async def cancel_transfers(run: JobRun) -> tuple[list[int], list[int]]:
    """Cancel every transfer that is not verified. Returns the ids of the remote files removed, and of those kept.

    Complete files are kept, verified or not: only the user may remove them.
    """
    removed: list[int] = []
    kept: list[int] = []
    lost = set(run.state.lost_uploads)
    complete = {t.file_id for t in run.state.transfers if t.state is State.COMPLETED}
    run.account = (await run.api.account()).id
    finished = run.state.finished
    await run.commit(ev.Resumed(run.api.server_now().isoformat()))
    for transfer in run.state.transfers:
        if finished or transfer.state is State.VERIFIED:
            kept += [transfer.file_id] if transfer.file_id is not None else []
            continue
        if transfer.state is State.INITIATING and run.state.item_id is not None:
            await _adopt(run, transfer)
        unseen = {transfer.file_id} if transfer.parts_total is None else set()
        await run.commit(ev.Cancelled(transfer.index))
        for file_id in (*transfer.remnants, *transfer.superseded):
            if file_id not in complete and await _remove_unfinished(run, transfer, file_id, fresh=file_id in unseen):
                removed.append(file_id)
            else:
                kept.append(file_id)
            await run.commit(ev.RemnantRemoved(transfer.index, file_id))
    with suppress(ItemNotFound):
        removed += await remove_lost_uploads(run, lost.difference(removed, kept))
        removed += await remove_late_files(run, await find_unrecorded(run, {*removed, *kept}), kept)
        await _forget_kept_files(run)
    if run.state.item_state is ItemState.CREATED:
        with suppress(ItemNotFound):
            await learn_address(run)
    await remove_late_items(run)
    return removed, kept


def is_cancelled(state: JobState) -> bool:
    """Return True if the job is completely cancelled: nothing is left to remove."""
    return state.cancelled and all(
        t.state is State.VERIFIED or (t.state is State.CANCELLED and not t.remnants and not t.superseded)
        for t in state.transfers
    )


async def _forget_kept_files(run: JobRun) -> None:
    """Take off the record what no transfer owns any longer: it is complete, and only the user may remove it."""
    files = run.journal.kept.files
    for file_id in [file_id for file_id in files if not run.state.owns(file_id)]:
        del files[file_id]
    await run.journal.commit(record=True)


async def holds_nothing(run: JobRun) -> bool:
    """Return True if the job created the item, and it exists without any file."""
    item_id = run.state.item_id
    if not run.state.creates_item or item_id is None:
        return False
    with suppress(ItemNotFound):
        return not [file async for file in list_item(run.api, run.state, item_id, run.options.settle_timeout)]
    return False


async def _adopt(run: JobRun, transfer: Transfer) -> None:
    file_id = await find_file(run, transfer)
    if file_id is not None:
        await run.commit(ev.UploadInitiated(transfer.index, id=file_id, found=True))
    else:
        await run.commit(ev.NotInitiated(transfer.index, looked=True))


async def _remove_unfinished(run: JobRun, transfer: Transfer, file_id: int, *, fresh: bool) -> bool:
    """Delete the file unless it is complete; True if it is gone. Without the item, which a damaged journal may have
    lost, it cannot be looked up.
    """
    if run.state.item_id is None or not await is_unfinished(run, file_id, fresh=fresh):
        return False
    await remove(run, transfer, file_id)
    return True
