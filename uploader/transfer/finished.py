"""A job that is finished already and is asked for again: nothing is sent, but nothing is claimed unchecked either."""

from __future__ import annotations

import anyio.to_thread

from uploader.errors import Conflict, SourceChanged
from uploader.figshare.api import Figshare
from uploader.transfer.digest import Digest
from uploader.transfer.lifecycle import JobState, Transfer
from uploader.transfer.source import Source, shown


async def confirm_finished(api: Figshare, state: JobState) -> None:
    """Return when the sources are what was sent and the item still holds them. Raises SourceChanged, Conflict."""
    for transfer in state.transfers:
        await _check_source(transfer)
    if state.item_id is None:
        raise RuntimeError("a finished job without an item")
    held = {file.id: file async for file in api.files(state.item_id)}
    for transfer in state.transfers:
        file = held.get(transfer.file_id or 0)
        if file is None or (file.computed_md5 or transfer.md5) != transfer.md5:
            raise Conflict(
                f"{shown(transfer.name)}: was sent and verified, but item {state.item_id} no longer holds it",
                hint="Add --new-job to send it again.",
                path=transfer.path,
            )


async def _check_source(transfer: Transfer) -> None:
    source = await anyio.to_thread.run_sync(Source, transfer.path)
    try:
        now = source.snapshot
        if (now.size, now.mtime_ns, now.inode) == (transfer.size, transfer.mtime_ns, transfer.inode):
            return
        if now.size == transfer.size and await Digest(source, paced=False).run() == transfer.md5:
            return
    finally:
        source.close()
    raise SourceChanged(
        f"{shown(transfer.path)}: changed since it was sent and verified; the item holds the earlier version",
        hint="Add --new-job to send the new version too, to an item of its own or to the one given with --item.",
        path=transfer.path,
    )
