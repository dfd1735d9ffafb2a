"""Remove the local record of a job, its folder, under its lock. Nothing on Figshare changes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import anyio.to_thread

from uploader.clock import Clock
from uploader.disk import map_os_errors
from uploader.errors import Facts, JobBusy
from uploader.transfer.journal.log import synced_path
from uploader.transfer.store.jobs import JobStore
from uploader.transfer.store.lock import JobLock


async def remove_job(states: JobStore, job: str, clock: Clock, *, may: Callable[[], bool] | None = None) -> bool:
    """Remove a job, of transfers or records, from this machine. If `may`, which blocks, returns False, return False.

    Raises JobNotFound, JobBusy, StateUnusable.
    """
    folder = states.folder(job)
    lock = JobLock(folder, states.disk, clock)
    await lock.acquire()
    try:
        # It may have been continued since it was listed.
        if may is not None and not await anyio.to_thread.run_sync(may):
            return False
        await anyio.to_thread.run_sync(_remove, folder, lock)
    finally:
        await lock.release()
    return True


def _remove(folder: Path, lock: JobLock) -> None:
    if not lock.still_held():
        raise JobBusy("another machine took over this job", facts=Facts(JobBusy.code, job=folder.name))
    with map_os_errors(folder):
        remove_folder(folder)


def remove_folder(folder: Path) -> None:
    """Remove a job's folder. Blocks. Raises OSError.

    The journal comes first, so that after an interruption the folder does not look like a job with a lost journal.
    """
    journal = folder / "journal"
    synced_path(journal).unlink(missing_ok=True)
    journal.unlink(missing_ok=True)
    shutil.rmtree(folder)
