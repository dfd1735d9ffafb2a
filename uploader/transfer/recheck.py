"""Sources against what the journal says of them, and a finished job that is asked for again: nothing is sent, but
nothing is claimed unchecked either."""

from __future__ import annotations

from contextlib import nullcontext

import anyio
import anyio.to_thread

from uploader.errors import ChecksumWrong, Conflict, FigupError, SourceChanged, SourceNotFound
from uploader.figshare.client import Figshare
from uploader.figshare.models import File
from uploader.sources.digest import Digest
from uploader.sources.source import FileStamp, Source, stat_source
from uploader.text import printable
from uploader.transfer.journal import events as ev
from uploader.transfer.journal.lifecycle import Transfer
from uploader.transfer.journal.state import JobState
from uploader.transfer.notices import Listener, reading


def looks_as_recorded(transfer: Transfer, now: FileStamp) -> bool:
    """True when nothing about the source but its content could tell it from the one that was begun to send."""
    return (now.size, now.mtime_ns, now.inode) == (transfer.size, transfer.mtime_ns, transfer.inode) and (
        transfer.ctime_ns in (None, now.ctime_ns)
    )


def source_replaced(transfer: Transfer, now: FileStamp) -> ev.SourceReplaced:
    """The transfer starts again with this state of its source."""
    return ev.SourceReplaced(transfer.index, now.size, now.mtime_ns, now.inode, now.ctime_ns)


async def recheck_finished_job(api: Figshare, state: JobState, notify: Listener) -> None:
    """Return when the sources are what was sent and the item still holds them. Raises SourceChanged, Conflict."""
    wanted = state.active
    changed = []
    for transfer in await anyio.to_thread.run_sync(_needs_rehash, wanted):
        try:
            await check_source(transfer, notify)
        except SourceChanged as error:
            changed.append(error)
    if changed:
        raise _all_of(changed)
    if state.item_id is None:
        raise RuntimeError("a finished job without an item")
    held = {file.id: file async for file in api.files(state.item_id)}
    for transfer in wanted:
        file = held.get(transfer.file_id or 0)
        if file is None or not _is_intact(file, transfer):
            raise Conflict(
                f"{printable(transfer.name)}: was sent and verified, but item {state.item_id} no longer holds it",
                hint="Add --new-job to send it again.",
                path=transfer.path,
            )


def _all_of(changed: list[SourceChanged]) -> SourceChanged:
    """One error that stands for all of them."""
    if len(changed) == 1:
        return changed[0]
    return SourceChanged(
        f"{len(changed)} files changed since they were sent and verified; the item holds the earlier versions",
        hint=changed[0].hint,
        causes=changed,
    )


def _needs_rehash(transfers: list[Transfer]) -> list[Transfer]:
    """Those whose sources do not look as recorded; in one call, since there may be a hundred thousand. Blocks."""

    def looks_right(transfer: Transfer) -> bool:
        try:
            expected = transfer.expected in (None, transfer.md5)
            return transfer.link or (expected and looks_as_recorded(transfer, stat_source(transfer.path)))
        except FigupError:
            return False

    return [transfer for transfer in transfers if not looks_right(transfer)]


def _is_intact(file: File, transfer: Transfer) -> bool:
    if transfer.link:
        return file.is_link_only and file.download_url == transfer.path
    return (file.computed_md5 or transfer.md5) == transfer.md5


def as_expected(transfer: Transfer, md5: str) -> str:
    """The MD5, if it is what the user says the source has, or nothing is said. Raises ChecksumWrong."""
    if transfer.expected not in (None, md5):
        raise ChecksumWrong(
            f"{printable(transfer.path)}: has the MD5 {md5}, and {transfer.expected} is expected", path=transfer.path
        )
    return md5


async def check_source(
    transfer: Transfer, notify: Listener, seen: FileStamp | None = None, turn: anyio.Semaphore | None = None
) -> None:
    """Return when the source of a verified transfer holds what was sent, and what is expected.

    Raises SourceChanged, SourceNotFound, ChecksumWrong.

    `seen` is its state in which this run read it to the end; None when it did not, and the journal has to do.
    `turn` has to be had for reading all of it again; None where nobody else does so.
    """
    if transfer.md5 is not None:
        as_expected(transfer, transfer.md5)
    try:
        source = await anyio.to_thread.run_sync(Source, transfer.path)
    except SourceNotFound as error:
        raise SourceNotFound(
            f"{printable(transfer.path)}: was sent and verified, but no longer exists here",
            hint="Put it back and run the same command again to compare it; the item holds it.",
            path=error.path,
        ) from error
    try:
        now = source.snapshot
        if now == seen or (seen is None and looks_as_recorded(transfer, now)):
            return
    finally:
        source.close()
    async with turn or nullcontext():
        if now.size == transfer.size and await _md5_now(transfer.path, notify) == transfer.md5:
            return
    raise SourceChanged(
        f"{printable(transfer.path)}: changed since it was sent and verified; the item holds the earlier version",
        hint="Add --restart-changed to send the new version in its place, or send it to another item to keep both.",
        path=transfer.path,
    )


async def _md5_now(path: str, notify: Listener) -> str:
    source = await anyio.to_thread.run_sync(Source, path)
    try:
        return await Digest(source, paced=False, on_read=reading(notify, path)).run()
    finally:
        source.close()
