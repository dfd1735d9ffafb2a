"""Serialize the creation of items with the same title by jobs on this machine.

A job whose create request got no answer searches for a new draft of its title that no journal owns. Another job's draft
looks the same until that job has journaled its id.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import anyio.to_thread

from uploader.disk import open_lock_file, try_flock
from uploader.transfer import notices as no
from uploader.transfer.run.context import JobRun

_PAUSE = 0.2


@asynccontextmanager
async def creation_lock(run: JobRun, endpoint: str, title: str) -> AsyncIterator[None]:
    """Hold the lock on creating items of this title; wait for other jobs. Raises Stopped."""
    name = hashlib.sha256(f"{endpoint}\n{title}".encode("utf-8", "surrogateescape")).hexdigest()[:16]
    folder = run.states.path / "creating"
    await anyio.to_thread.run_sync(run.states.disk.make_folder, folder)
    fd = await anyio.to_thread.run_sync(open_lock_file, folder / name)
    try:
        waited = False
        with run.stop.interruptible():
            while not await anyio.to_thread.run_sync(_take, fd):
                if not waited:
                    run.notify(no.Retrying("another job is creating an item of this title", _PAUSE))
                waited = True
                await run.clock.sleep(_PAUSE)
        yield
    finally:
        os.close(fd)


def _take(fd: int) -> bool:
    try:
        return try_flock(fd)
    except OSError:
        # Without file locks, jobs that create an item of the same title at the same time may adopt each other's.
        return True
