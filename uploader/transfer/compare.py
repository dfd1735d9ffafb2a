"""How a source is like what is there already, under its name in the item or of its own job. By reading alone; a source
is read only where nothing else can tell."""

from __future__ import annotations

from collections.abc import Sequence

import anyio.to_thread

from uploader.errors import SourceChanged
from uploader.figshare.client import Figshare
from uploader.figshare.models import File
from uploader.figshare.outcomes import UploadGone
from uploader.sources.digest import Digest, Recorded
from uploader.sources.models import SourceFile
from uploader.sources.source import FileStamp, Source
from uploader.transfer.files.conflicts import finished
from uploader.transfer.files.content import recorded_parts
from uploader.transfer.journal.lifecycle import State, Transfer
from uploader.transfer.recheck import looks_as_recorded


async def likeness(chosen: SourceFile, others: Sequence[File]) -> tuple[str, File]:
    """How the most like of the item's files is like the source."""
    alike = [file for file in others if file.size == chosen.size and not file.is_link_only and file.status != "created"]
    if any(file.computed_md5 is not None for file in alike):
        md5 = await _md5(chosen.path)
        for file in alike:
            if file.computed_md5 == md5:
                return "same", file
    for file in alike:
        if file.computed_md5 is None:
            return "unknown", file
    whole = finished(others)
    return ("different", whole[0]) if whole else ("unfinished", others[0])


async def has_changed(api: Figshare | None, chosen: SourceFile, transfer: Transfer, there: File | None) -> bool:
    """True when the source is another version than the one that its job sent, or began to send.

    `there` is its remote file as the item has it now; without one, and without `api`, what was sent of an unfinished
    file cannot be compared.
    """
    now = FileStamp(chosen.size, chosen.mtime_ns, chosen.inode, chosen.ctime_ns or 0, 0)
    if chosen.link or looks_as_recorded(transfer, now):
        return False
    if chosen.size != transfer.size:
        return True
    if transfer.state is State.VERIFIED or (there is not None and there.upload_url is None):
        return transfer.md5 is not None and await _md5(chosen.path) != transfer.md5
    if api is None or there is None or there.upload_url is None:
        return False
    try:
        upload = await api.upload(there.upload_url)
    except UploadGone:
        return False
    sent = recorded_parts(transfer, upload.parts)
    return bool(sent) and not await _has_parts(chosen.path, sent)


async def _has_parts(path: str, sent: Sequence[Recorded]) -> bool:
    """True when these parts are in the source as they were sent."""
    try:
        await _md5(path, sent)
    except SourceChanged:
        return False
    return True


async def _md5(path: str, sent: Sequence[Recorded] = ()) -> str:
    source = await anyio.to_thread.run_sync(Source, path)
    try:
        return await Digest(source, recorded=sent, paced=False).run()
    finally:
        source.close()
