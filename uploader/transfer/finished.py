"""Sources against what the journal says of them, and a finished job that is asked for again: nothing is sent, but
nothing is claimed unchecked either."""

from __future__ import annotations

import anyio.to_thread

from uploader.errors import Conflict, SourceChanged, SourceMissing
from uploader.figshare.api import Figshare
from uploader.transfer import events as ev
from uploader.transfer.digest import Digest
from uploader.transfer.lifecycle import JobState, Transfer
from uploader.transfer.source import Snapshot, Source, shown


def looks_as_recorded(transfer: Transfer, now: Snapshot) -> bool:
    """True when nothing about the source but its content could tell it from the one that was begun to send."""
    return (now.size, now.mtime_ns, now.inode) == (transfer.size, transfer.mtime_ns, transfer.inode) and (
        transfer.ctime_ns in (None, now.ctime_ns)
    )


def source_replaced(transfer: Transfer, now: Snapshot) -> ev.SourceReplaced:
    """The transfer starts again with this state of its source."""
    return ev.SourceReplaced(transfer.index, now.size, now.mtime_ns, now.inode, now.ctime_ns)


async def confirm_finished(api: Figshare, state: JobState) -> None:
    """Return when the sources are what was sent and the item still holds them. Raises SourceChanged, Conflict."""
    for transfer in state.transfers:
        await check_source(transfer)
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


async def check_source(transfer: Transfer, seen: Snapshot | None = None) -> None:
    """Return when the source of a verified transfer holds what was sent. Raises SourceChanged, SourceMissing.

    `seen` is its state in which this run read it to the end; None when it did not, and the journal has to do.
    """
    try:
        source = await anyio.to_thread.run_sync(Source, transfer.path)
    except SourceMissing as error:
        error.message = f"{shown(transfer.path)}: was sent and verified, and is no longer there"
        error.hint = "Put it back and run the same command again to have it compared; the item holds it."
        raise
    try:
        now = source.snapshot
        if now == seen or (seen is None and looks_as_recorded(transfer, now)):
            return
        if now.size == transfer.size and await Digest(source, paced=False).run() == transfer.md5:
            return
    finally:
        source.close()
    raise SourceChanged(
        f"{shown(transfer.path)}: changed since it was sent and verified; the item holds the earlier version",
        hint="Add --restart-changed to send the new version in its place, or send it to another item to keep both.",
        path=transfer.path,
    )
