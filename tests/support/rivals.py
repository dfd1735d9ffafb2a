"""A process that tries to take many jobs at once, where kernel locks exclude no one.

`python -m tests.support.rivals MACHINE FOLDER COUNT links|no-links`: on each line on stdin (a monotonic time, so that
all begin at the same moment) it tries to take all jobs in FOLDER, prints the numbers of those that it holds, and waits
for the next line: `end` releases them, `die` leaves them like a crash. `no-links`: the file system has no hard links.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

from uploader.clock import Clock
from uploader.disk import Disk
from uploader.errors import JobBusy
from uploader.transfer.store.lock import JobLock

BEAT = 0.25


def _no_links(*_: object) -> None:
    raise OSError(errno.EPERM, "Operation not permitted")


async def _try(folder: Path, machine: str) -> tuple[JobLock, asyncio.Task[None]] | None:
    lock = JobLock(folder, Disk(), Clock(), machine=machine, beat=BEAT)
    try:
        await lock.acquire()
    except JobBusy:
        return None
    return lock, asyncio.create_task(lock.renew_regularly())


async def main(machine: str, folder: Path, count: int, *, links: bool) -> None:
    """Rounds until stdin ends."""
    mock.patch.object(fcntl, "flock", return_value=None).start()
    if not links:
        mock.patch.object(os, "link", _no_links).start()
    read: Callable[[], str] = sys.stdin.readline
    while begin := await asyncio.to_thread(read):
        while time.monotonic() < float(begin):
            pass
        jobs = [folder / str(number) for number in range(count)]
        tried = await asyncio.gather(*(_try(job, machine) for job in jobs))
        held = {number: one for number, one in enumerate(tried) if one is not None}
        print(*held, flush=True)
        how = await asyncio.to_thread(read)
        for lock, beating in held.values():
            beating.cancel()
            if how == "end\n":
                await lock.release()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), links=sys.argv[4] == "links"))
