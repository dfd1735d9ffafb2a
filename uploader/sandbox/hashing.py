"""Compute the MD5s of completed files one after another in a thread; continues after a restart."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

import anyio.to_thread

from uploader.sandbox import files_db
from uploader.sandbox.blobs import Blobs
from uploader.sandbox.db import Database
from uploader.sandbox.files_db import File

log = logging.getLogger(__name__)


class Hasher:
    """`never`: MD5s are never shown and computed only to check a supplied one.

    `corrupted` maps file ids to "wrong-md5" or "no-md5"; it is read once an MD5 is known.
    """

    def __init__(
        self, db: Database, blobs: Blobs, *, never: bool, now: Callable[[], float], corrupted: Mapping[int, str]
    ) -> None:
        self._db = db
        self._blobs = blobs
        self._never = never
        self._now = now
        self._corrupted = corrupted
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sandbox-md5")
        self._stopped = threading.Event()
        self._tasks: dict[int, asyncio.Task[None]] = {}

    async def resume(self) -> None:
        """Schedule files that an earlier process did not finish."""
        for file in await self._db.run(files_db.unhashed):
            self.start(file)

    def start(self, file: File) -> None:
        """Schedule a file; idempotent."""
        if file.id not in self._tasks:
            task = asyncio.get_running_loop().create_task(self._hash(file))
            self._tasks[file.id] = task
            task.add_done_callback(lambda _: self._tasks.pop(file.id, None))

    async def close(self) -> None:
        """Stop; a restart begins the current file again."""
        self._stopped.set()
        for task in list(self._tasks.values()):
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        await anyio.to_thread.run_sync(self._thread.shutdown)

    async def _hash(self, file: File) -> None:
        md5: str | None = None
        if file.blob is None:
            md5 = hashlib.md5(usedforsecurity=False).hexdigest()
        elif not (self._never and not file.supplied_md5):
            try:
                md5 = await asyncio.get_running_loop().run_in_executor(
                    self._thread, self._blobs.md5, file.blob, self._stopped.is_set
                )
            except OSError:
                log.exception("cannot read the bytes of file %d", file.id)
                return
            if md5 is None:
                return
        fault = self._corrupted.get(file.id)
        if fault == "wrong-md5" and md5 is not None:
            md5 = f"{int(md5[0], 16) ^ 1:x}{md5[1:]}"
        await self._db.run(files_db.hashed, file.id, None if fault == "no-md5" else md5, self._now())
