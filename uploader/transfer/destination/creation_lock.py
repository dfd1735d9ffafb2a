"""Turns: jobs on this machine that create an item of the same title do so one after the other.

A job whose request to create an item had no answer looks for a new draft of its title that no journal owns. Between
another job's creation and the line in its journal, that job's draft would look just so.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.to_thread

from uploader.disk import FILE_MODE, map_os_errors
from uploader.transfer import notices as no
from uploader.transfer.run.context import JobRun

_PAUSE = 0.2


@asynccontextmanager
async def creation_lock(run: JobRun, endpoint: str, title: str) -> AsyncIterator[None]:
    """Wait until no other job is creating an item of this title, and keep others waiting. Raises Stopped."""
    name = hashlib.sha256(f"{endpoint}\n{title}".encode("utf-8", "surrogateescape")).hexdigest()[:16]
    folder = run.states.path / "creating"
    await anyio.to_thread.run_sync(run.states.disk.make_folder, folder)
    fd = await anyio.to_thread.run_sync(_open, folder / name)
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


def _open(path: Path) -> int:
    with map_os_errors(path):
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)


def _take(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        # A file system without locks: what is left is the small chance that this is about.
        return True
    return True
