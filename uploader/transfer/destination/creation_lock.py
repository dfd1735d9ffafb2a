"""Turns: jobs on this machine that create an item of the same title do so one after the other.

A job whose request to create an item had no answer looks for a new draft of its title that no journal owns. Between
another job's creation and the line in its journal, that job's draft would look just so.
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
    """Wait until no other job is creating an item of this title, and keep others waiting. Raises Stopped."""
    name = hashlib.sha256(f"{endpoint}\n{title}".encode("utf-8", "surrogateescape")).hexdigest()[:16]
    folder = run.states.path / "creating"
    await anyio.to_thread.run_sync(run.states.disk.make_folder, folder)
    fd = await anyio.to_thread.run_sync(open_lock_file, folder / name)
    try:
        waited = False
        with run.stop.interruptible():
            while not await anyio.to_thread.run_sync(_take, fd):
                if not waited:
                    run.notify(no.Retrying("another job is just creating an item of this title", _PAUSE))
                waited = True
                await run.clock.sleep(_PAUSE)
        yield
    finally:
        os.close(fd)


def _take(fd: int) -> bool:
    try:
        return try_flock(fd)
    except OSError:
        # Without locks, jobs that create an item of the same title at the same time may take each other's.
        return True
