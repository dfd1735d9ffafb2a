"""The lock of a job: one process at a time, also on a shared file system, and never a person needed after a crash.

Two things together. The kernel's lock on `lock` decides between processes of one machine at once, and between machines
where the file system carries locks across (NFS). Where it does not (some Lustre and FUSE mounts), the holder's `lease`
beside it decides: the holder rewrites it every few seconds; another machine that finds the kernel's lock free but a
lease of a different machine watches the lease, and takes it over only when it has stood still.
"""

from __future__ import annotations

import fcntl
import logging
import math
import os
import secrets
import socket
import time
from datetime import UTC, datetime
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec

from uploader.errors import FigupError, JobBusy
from uploader.transfer.disk import FILE_MODE, Disk, state_errors

log = logging.getLogger("uploader.transfer.lock")

BEAT = 5.0
"""Seconds between two beats of a lease."""
STILL_BEATS = 4
"""For so many beats another machine's lease must stand still before it counts as left behind."""


class Lease(msgspec.Struct, frozen=True):
    """Who holds a job: for people, and for machines that do not see the kernel's lock."""

    nonce: str
    machine: str
    host: str
    pid: int
    since: str
    beat: int = 0

    def holder(self) -> str:
        """In words for a person."""
        return f"process {self.pid} on {self.host}, since {self.since}"


def machine_id() -> str:
    """What is common to all processes that share one kernel, and to no others."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return f"host:{socket.gethostname()}"


class JobLock:
    """The lock of one job, in its folder. `acquire` before the journal is read."""

    def __init__(self, folder: Path, disk: Disk, *, machine: str | None = None, beat: float = BEAT) -> None:
        self._path = folder / "lock"
        self._lease_path = folder / "lease"
        self._disk = disk
        self._beat = beat
        self._fd = -1
        self.lost = False
        """True when another machine took the lease although we were alive: the run has to stop."""
        self._machine = machine
        self._kernel_decides = True
        self._lease: Lease

    async def acquire(self) -> None:
        """Take the lock, waiting only where another machine's lease has to be watched. Raises JobBusy."""
        try:
            await anyio.to_thread.run_sync(self._take_kernel_lock)
            await self._await_stillness()
            await anyio.to_thread.run_sync(self._write_lease)
            if not self._kernel_decides:
                await self._see_that_it_is_ours()
        except BaseException:
            self._drop_kernel_lock()
            raise

    async def release(self) -> None:
        """Give the lock back. Never raises."""
        with anyio.CancelScope(shield=True):
            try:
                await anyio.to_thread.run_sync(self._remove_lease)
            except (FigupError, OSError) as error:
                log.warning("the lease of a job stays behind: %s", error)
            finally:
                self._drop_kernel_lock()

    async def keep(self) -> None:
        """Beat until cancelled. Returns, with `lost` set, when another machine has taken the lease."""
        while True:
            await anyio.sleep(self._beat)
            current = await anyio.to_thread.run_sync(self._read_lease)
            if current is not None and current.nonce != self._lease.nonce:
                self.lost = True
                return
            self._lease = msgspec.structs.replace(self._lease, beat=self._lease.beat + 1)
            await anyio.to_thread.run_sync(self._write_lease)

    async def _await_stillness(self) -> None:
        seen = await anyio.to_thread.run_sync(self._read_lease)
        if seen is None or (self._kernel_decides and seen.machine == self._lease.machine):
            return
        waited = 0.0
        while waited < STILL_BEATS * self._beat:
            await anyio.sleep(self._beat / 2)
            waited += self._beat / 2
            now = await anyio.to_thread.run_sync(self._read_lease)
            if now is None:
                return
            if now != seen:
                raise JobBusy(f"another process works on this job: {now.holder()}")

    async def _see_that_it_is_ours(self) -> None:
        """Where several began at the same moment, the last lease that was written counts."""
        await anyio.sleep(self._beat / 5)
        current = await anyio.to_thread.run_sync(self._read_lease)
        if current is not None and current.nonce != self._lease.nonce:
            raise JobBusy(f"another process works on this job: {current.holder()}")

    def _take_kernel_lock(self) -> None:
        self._lease = Lease(
            nonce=secrets.token_hex(8),
            machine=self._machine or machine_id(),
            host=socket.gethostname(),
            pid=os.getpid(),
            since=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        )
        with state_errors(self._path):
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._drop_kernel_lock()
            lease = self._read_lease()
            who = lease.holder() if lease else "it is just starting"
            raise JobBusy(f"another process works on this job: {who}") from None
        except OSError:
            # The file system has no locks at all: the lease alone decides.
            self._kernel_decides = False
            return
        if not self._path.exists() or self._path.stat().st_ino != os.fstat(self._fd).st_ino:
            self._drop_kernel_lock()
            raise JobBusy("another process is just giving this job up; run the command again")

    def _drop_kernel_lock(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _read_lease(self) -> Lease | None:
        return _decoded(self._disk.read(self._lease_path))

    def _write_lease(self) -> None:
        self._disk.replace(self._lease_path, msgspec.json.encode(self._lease))

    def _remove_lease(self) -> None:
        current = self._read_lease()
        if current is not None and current.nonce == self._lease.nonce:
            self._lease_path.unlink(missing_ok=True)


def holder(folder: Path, disk: Disk) -> str | None:
    """Who works on a job, in words for a person; None when nobody does. Only looks, so that it disturbs nobody."""
    path = folder / "lease"
    lease = _decoded(disk.read(path))
    if lease is None:
        return None
    with state_errors(path):
        age = time.time() - path.stat().st_mtime if path.exists() else math.inf
    if age > STILL_BEATS * BEAT or (lease.machine == machine_id() and not _is_alive(lease.pid)):
        return None
    return lease.holder()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _decoded(data: bytes | None) -> Lease | None:
    try:
        return msgspec.json.decode(data, type=Lease) if data else None
    except msgspec.MsgspecError:
        return None
