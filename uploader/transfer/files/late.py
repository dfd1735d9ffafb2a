"""Remote files of requests that took effect too late: after another process took over the job, or after they were
abandoned.

A process that was suspended between its last lease check and its request can create a remote file that the job's new
holder does not know. If it learns the id, it leaves a note (`store.late_notes`), and the holder, or the next run,
removes the file. Otherwise the closing listing shows it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import anyio.to_thread

from uploader.figshare.models import File
from uploader.figshare.outcomes import FileGone
from uploader.text import composed, printable
from uploader.transfer import notices as no
from uploader.transfer.compare import late_files, paths_in_item
from uploader.transfer.destination.lookup import is_untouched
from uploader.transfer.files import steps
from uploader.transfer.journal.lifecycle import Transfer
from uploader.transfer.run.context import JobRun
from uploader.transfer.run.listing import may_be_called
from uploader.transfer.run.placement import files_by_path
from uploader.transfer.store.late_notes import drop_note, read_notes


async def remove_late_files(
    run: JobRun, found: Sequence[tuple[Transfer, File]], keep: Collection[int] = ()
) -> list[int]:
    """Remove the files in notes, and those `found` that only this job can have created; warn about the others. Returns
    the ids of those removed. Files to `keep` are left alone.

    `found` are unfinished files, or links, in the places of verified or dropped transfers. A file with parts is kept,
    unless the journal, or the record of its last sync, shows that this job created it. Raises Stopped.
    """
    folder, transfers = run.states.folder(run.job), run.state.transfers
    removed: list[int] = []
    if run.state.item_id is None:
        return removed
    with run.stop.interruptible():
        for index, file_id in await anyio.to_thread.run_sync(read_notes, folder):
            if index < len(transfers) and file_id not in keep and await _remove(run, transfers[index], file_id):
                removed.append(file_id)
            await anyio.to_thread.run_sync(drop_note, folder, index, file_id)
        # Afterwards: what another job here has created is in its journal by now.
        _, owned = await anyio.to_thread.run_sync(run.states.foreign_ids, run.job) if found else (set(), set())
        for transfer, file in found:
            if file.id in owned:
                continue
            if _may_be_ours(run, transfer) or _is_own(run, transfer, file.id):
                if await _remove(run, transfer, file.id):
                    removed.append(file.id)
            elif not transfer.link:
                steps.name_doubtful(run, transfer, file.id)
        if run.options.forget_missing:
            removed += await remove_lost_uploads(run, run.state.lost_uploads)
    return removed


async def find_unrecorded(run: JobRun, known: Collection[int]) -> list[tuple[Transfer, File]]:
    """Find the unfinished files in the job's own item that are not `known`, and that it may have begun if its journal
    was damaged. Raises ItemNotFound.
    """
    item_id = run.state.item_id
    if not (run.state.recovered and run.state.creates_item) or item_id is None:
        return []
    transfers = [transfer for transfer in run.state.transfers if not transfer.link]
    names = {composed(transfer.name) for transfer in transfers}

    def matters(file: File) -> bool:
        return file.status == "created" and file.id not in known and may_be_called(file, names)

    _, by_path = await run.once_visible(lambda: files_by_path(run.api, item_id, run.listing.placement, matters))
    places = paths_in_item({transfer.place for transfer in transfers}, by_path)
    at = ((t, [f for path in places.get(t.place, ()) for f in by_path[path] if f.id not in known]) for t in transfers)
    return [(transfer, file) for transfer, there in at for file in late_files(transfer, there, recovered=True)]


async def remove_lost_uploads(run: JobRun, file_ids: Collection[int]) -> list[int]:
    """Remove those of `JobState.lost_uploads` that the item has, unless they are complete; return their ids.

    Raises ItemNotFound.
    """
    removed: list[int] = []
    for file_id in sorted(file_ids) if run.state.item_id is not None else ():
        try:
            file = await run.api.file(run.item_id, file_id, fresh=True)
        except FileGone:
            run.journal.kept.files.pop(file_id, None)
            continue
        if await steps.awaits_parts(run, file):
            await steps.remove(run, None, file_id)
            removed.append(file_id)
    return removed


async def _remove(run: JobRun, transfer: Transfer, file_id: int) -> bool:
    if run.state.owns(file_id):
        return False
    certain = transfer.link or _is_own(run, transfer, file_id)
    try:
        if certain:
            file: File | None = await run.api.file(run.item_id, file_id)
        else:
            file = await run.listing.in_place(file_id, transfer.folder, transfer.name)
    except FileGone:
        return False
    if file is None:
        return False  # it is somebody else's, in another place
    if not (certain or await is_untouched(run.api, run.item_id, file)):
        steps.name_doubtful(run, transfer, file_id)
        return False
    await steps.remove(run, transfer, file_id)
    text = f"file {file_id} came from an abandoned request of this job and has been removed"
    run.notify(no.Warned(message=f"{printable(transfer.path)}: {text}"))
    return True


def _is_own(run: JobRun, transfer: Transfer, file_id: int) -> bool:
    """Return True if the job certainly created this file."""
    return file_id in transfer.lost or file_id in run.state.files_on_record


def _may_be_ours(run: JobRun, transfer: Transfer) -> bool:
    """Return True if only this job can have created an empty file in the transfer's place: in its own item, by an
    initiation without a known effect or, if the journal is damaged, by one for a new version of the source.
    """
    lost = transfer.late or transfer.record_lost or transfer.lost or run.options.restart_changed
    return run.state.creates_item and bool(lost)
