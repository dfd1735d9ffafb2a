"""Check sources against the journal, sending nothing: are they still what was sent, or begun?"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from contextlib import nullcontext

import anyio

from uploader.concurrency import StorageSlots, close_in_background, in_own_thread, in_thread
from uploader.errors import ChecksumWrong, Facts, SourceChanged, SourceNotFound
from uploader.figshare.models import File, Part
from uploader.figshare.outcomes import UploadGone
from uploader.sources.archive.reader import open_source
from uploader.sources.digest import Digest, Recorded
from uploader.sources.models import SourceFile
from uploader.sources.source import FileStamp, Readable
from uploader.text import printable
from uploader.transfer.journal.lifecycle import State, Transfer
from uploader.transfer.notices import Listener, report_reading
from uploader.transfer.run.service import Service
from uploader.transfer.store.archives import SEND_NEW_VERSION, Archives, since_verified


def matches_record(transfer: Transfer, stamp: FileStamp) -> bool:
    """Return True if size, times and inode are those of the version that was sent or started.

    A job of several hosts records neither inode (0) nor ctime (None): a network file system may show other ones there.
    """
    return (
        (stamp.size, stamp.mtime_ns) == (transfer.size, transfer.mtime_ns)
        and transfer.inode in (0, stamp.inode)
        and transfer.ctime_ns in (None, stamp.ctime_ns)
    )


def stamp_of(chosen: SourceFile) -> FileStamp:
    """Return the state of a source as it was when it was found; its device is not known (0)."""
    return FileStamp(
        size=chosen.size, mtime_ns=chosen.mtime_ns, inode=chosen.inode, ctime_ns=chosen.ctime_ns or 0, device=0
    )


def recorded_parts(transfer: Transfer, parts: Sequence[Part]) -> list[Recorded]:
    """Return the parts whose hash was recorded when they were sent."""
    sums = ((part, transfer.parts.xxh3(part.no)) for part in parts)
    return [
        Recorded(no=part.no, start=part.start, end=part.end + 1, xxh3=xxh3) for part, xxh3 in sums if xxh3 is not None
    ]


def as_expected(transfer: Transfer, md5: str) -> str:
    """Return the MD5 if the user gave none or the same. Raises ChecksumWrong."""
    if transfer.expected not in (None, md5):
        raise ChecksumWrong(
            f"{printable(transfer.path)}: has the MD5 {md5}, expected {transfer.expected}", path=transfer.path
        )
    return md5


async def check_source(
    transfer: Transfer,
    archives: Archives,
    notify: Listener,
    read_stamp: FileStamp | None = None,
    *,
    limiter: anyio.Semaphore | None = None,
    source_slots: StorageSlots | None = None,
    reread: bool = False,
) -> FileStamp:
    """Check that the source of a verified transfer is what was sent, with the MD5 that the user gave; return its state.

    It is read again if its times or inode differ; with `reread` always: a memory mapping changes neither.
    `read_stamp` is its state when this run read it to the end; None if it did not: then the journal's record counts.
    `limiter` limits how many sources are read again at the same time, `source_slots` how many are examined.
    Raises SourceChanged, SourceNotFound, ChecksumWrong.
    """
    if transfer.md5 is not None:
        as_expected(transfer, transfer.md5)
    try:
        async with source_slots.hold() if source_slots is not None else nullcontext():
            stamp, known = await in_own_thread(lambda: (archives.stamp(transfer), archives.check_expected(transfer)))
    except SourceChanged as error:  # a member of an archive
        raise since_verified(error) from error
    except SourceNotFound as error:
        raise SourceNotFound(
            f"{printable(transfer.path)}: was sent and verified, but no longer exists here",
            hint="Restore it to compare it; the item still holds it.",
            facts=Facts("put-back-to-compare"),
            path=error.path,
        ) from error
    if known and not reread and (stamp == read_stamp or (read_stamp is None and matches_record(transfer, stamp))):
        return stamp
    async with limiter or nullcontext():
        opened = functools.partial(archives.open, transfer)
        if stamp.size == transfer.size and await source_md5(opened, notify=notify) == transfer.md5:
            return stamp
    raise SourceChanged(
        f"{printable(transfer.path)}: changed since it was sent and verified; the item holds the earlier version",
        hint=SEND_NEW_VERSION,
        facts=Facts("changed-since-verified"),
        path=transfer.path,
    )


async def has_changed(
    api: Service | None, chosen: SourceFile, transfer: Transfer, there: File | None, *, reread: bool = False
) -> bool:
    """Return True if the source is not the version that its job sent, or began to send.

    It is read if its times or inode differ, with `reread` always.
    `there` is its remote file now. Without it, or without `api`, the parts sent of an unfinished file are not compared.
    """
    stamp = stamp_of(chosen)
    if chosen.archive is not None and transfer.archive is not None and chosen.archive.id != transfer.archive.id:
        return True
    if chosen.link or (matches_record(transfer, stamp) and not reread):
        return False
    if chosen.size != transfer.size:
        return True
    opened = functools.partial(open_source, chosen.path, chosen.archive)
    if transfer.state is State.VERIFIED or (there is not None and there.upload_url is None):
        return transfer.md5 is not None and await source_md5(opened) != transfer.md5
    if api is None or there is None or there.upload_url is None:
        return False
    try:
        upload = await api.upload(there.upload_url)
    except UploadGone:
        return False
    sent = recorded_parts(transfer, upload.parts)
    return bool(sent) and not await _has_parts(opened, sent)


async def _has_parts(opened: Callable[[], Readable], sent: Sequence[Recorded]) -> bool:
    """Return True if the source has these parts as they were sent."""
    try:
        await source_md5(opened, recorded=sent)
    except SourceChanged:
        return False
    return True


async def source_md5(
    opened: Callable[[], Readable], *, recorded: Sequence[Recorded] = (), notify: Listener | None = None
) -> str:
    """Open a source and read it to its end. Raises SourceChanged if it does not hold the `recorded` parts."""
    source = await in_thread(opened)
    try:
        on_read = report_reading(notify, source.path) if notify is not None else None
        return await Digest(source.in_order(), recorded=recorded, paced=False, on_read=on_read).run()
    finally:
        close_in_background(source.detach())
