"""An item with given files, for tests of decisions about them. Read-only."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from tests.fakes.clock import VirtualClock
from uploader.figshare.models import Account, File, Item, Part, Upload
from uploader.figshare.outcomes import FileGone, UploadGone
from uploader.transfer.journal.lifecycle import State, Transfer

CONTENT = b"content"
MD5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
_FILE = File(id=1, name="data.bin", size=len(CONTENT), status="available", computed_md5=MD5)


def complete_file(number: int = 1, **changes: Any) -> File:
    """A complete, verified remote file with CONTENT, apart from the changes."""
    return msgspec.structs.replace(_FILE, id=number, **changes)


def unfinished_file(number: int = 1, *, upload: str | None = "idle", **changes: Any) -> File:
    """A remote file whose `upload` is idle, busy or gone; None: the listing has no address of it."""
    return complete_file(number, status="created", computed_md5=None, upload_url=upload, **changes)


def verified(number: int = 1, path: str = "/x/data.bin", *, name: str = "data.bin", **fields: Any) -> Transfer:
    """A transfer whose verified remote file is `complete_file(number)`."""
    return Transfer(
        index=number,
        source=path,
        name=name,
        size=len(CONTENT),
        mtime_ns=1,
        inode=1,
        state=State.VERIFIED,
        file_id=number,
        md5=MD5,
        **fields,
    )


class ItemWithFiles:
    """The part of the service protocol that reads one item; `uploads` are the requested URLs."""

    def __init__(self, existing: Sequence[File], folders: Mapping[int, str] | None = None) -> None:
        self.existing = existing
        self.folders = folders or {}
        self.uploads: list[str] = []
        self.clock = VirtualClock()

    def server_now(self) -> datetime:
        return self.clock.now()

    async def account(self) -> Account:
        return Account(id=1)

    async def item(self, item_id: int) -> Item:
        return Item(id=item_id, folders=self.folders)

    async def files(self, item_id: int) -> AsyncIterator[File]:
        for file in self.existing:
            yield file

    async def file(self, item_id: int, file_id: int) -> File:
        for file in self.existing:
            if file.id == file_id:
                return file
        raise FileGone("gone")

    async def upload(self, url: str) -> Upload:
        self.uploads.append(url)
        if url == "gone":
            raise UploadGone("gone")
        part = Part(no=1, start=0, end=len(CONTENT) - 1, locked=url == "busy")
        return Upload(token="t", status="pending", size=len(CONTENT), parts=(part,))
