"""The lock of a job: one process at a time, also on a shared file system, without manual repair after a crash.

It has two parts. The kernel's lock on the file `lock` excludes other processes of this machine, and of other machines
if the file system propagates locks (NFS). If it does not (some Lustre and FUSE mounts), the lease beside it decides:
its holder rewrites it every few seconds; a machine that finds the kernel's lock free but another machine's lease
watches that, and takes the next one only if it did not change.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.to_thread
import msgspec

from uploader.clock import Clock
from uploader.concurrency import unwrap_group
from uploader.disk import Disk, as_resumable, is_at, open_lock_file, try_flock
from uploader.errors import Facts, FigupError, JobBusy
from uploader.system import process_namespace, system_errors
from uploader.transfer.store.lease import (
    HEARTBEAT,
    NETWORK_STALE_BEATS,
    STALE_BEATS,
    Lease,
    LeaseRecord,
    Leases,
    is_network_folder,
    machine_id,
)

log = logging.getLogger("uploader.transfer.store.lock")

T = TypeVar("T")
_TAKEN = "another machine took over this job while this process was suspended"


class JobLock:
    """The lock of one job, in its folder. `acquire` before the journal is read."""

    def __init__(
        self, folder: Path, disk: Disk, clock: Clock, *, machine: str | None = None, beat: float = HEARTBEAT
    ) -> None:
        self._path = folder / "lock"
        self._leases = Leases(folder, disk)
        self._clock = clock
        self._beat = beat
        self._fd = -1
        self.lost = False
        """True when another machine took the job over: this process must stop, and change nothing shared."""
        self.took_over = False
        """True when the previous holder did not release the job and may still run, with open descriptors."""
        self._machine = machine
        self._flock_works = True
        self._number = 0
        self._last_heartbeat = (0.0, 0.0)
        """When the lease was last written, by the wall clock and by a clock that runs while the machine sleeps."""
        self._network = False
        self._lease: Lease

    async def acquire(self) -> None:
        """Take the lock; wait only to watch another machine's lease. Raises JobBusy."""
        try:
            await anyio.to_thread.run_sync(self._take_kernel_lock)
            found = await anyio.to_thread.run_sync(self._leases.newest)
            if found is not None and not self._is_free(found):
                await self._wait_stale(found)
            await anyio.to_thread.run_sync(self._claim, found)
            self.took_over = found is not None and not self._is_free(found)
        except BaseException:
            self._drop_kernel_lock()
            raise

    async def release(self) -> None:
        """Release the lock. Never raises."""
        with anyio.CancelScope(shield=True):
            try:
                with system_errors():
                    await anyio.to_thread.run_sync(self._end_lease)
            except FigupError as error:
                log.warning("cannot release the lease of a job: %s", error)
            finally:
                self._drop_kernel_lock()

    @property
    def machine(self) -> str:
        """Identifies the processes that share this machine's kernel and mounts: see `machine_id`. Held locks only."""
        return self._lease.machine

    def name_task(self, task: str) -> None:
        """Show this task of a batch system with the holder, from the next beat on."""
        self._lease = msgspec.structs.replace(self._lease, task=task)

    @property
    def term(self) -> int:
        """The number of the held lease; each holder has a higher one than those before."""
        return self._number

    def is_fresh(self) -> bool:
        """Return True if the lease was confirmed so recently that no other process can have taken it."""
        return self._fd >= 0 and not self.lost and max(self._ages()) < STALE_BEATS * self._beat / 2

    async def held_while(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do the work and renew the lease. Ends the work and raises JobBusy if another machine took the job."""
        with unwrap_group():
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self.renew_regularly)
                result = await work()
                tasks.cancel_scope.cancel()
        return result

    async def renew_regularly(self) -> None:
        """Renew the lease until cancelled. Sets `lost` and raises JobBusy if another machine took the job."""
        while True:
            await self._clock.sleep(self._beat)
            await self._write_heartbeat()

    async def check(self) -> None:
        """Confirm the lease if it is older than half of its life. Raises JobBusy if another machine took the job.

        That can happen while this process is suspended (a sleeping laptop, a frozen container). Call it before
        journaling anything, and directly before a request that creates, completes or removes something.
        """
        if not self.is_fresh():
            await self._write_heartbeat()

    def _ages(self) -> Iterator[float]:
        return (abs(now - then) for now, then in zip(_now(self._clock), self._last_heartbeat, strict=True))

    async def confirm(self) -> None:
        """Confirm the lease at once, before something shared is removed. Raises as `check` does."""
        await self._write_heartbeat()

    def still_held(self) -> bool:
        """Confirm the lease at once; False, and `lost`, if another machine took the job. Blocks.

        Call it in the same thread directly before an action that requires the lease.
        """
        self._lease = msgspec.structs.replace(self._lease, beat=self._lease.beat + 1)
        with as_resumable():
            held = self._leases.write(self._number, self._lease)
        if held:
            self._last_heartbeat = _now(self._clock)
        else:
            self.lost = True
        return held

    def is_held(self) -> bool:
        """Confirm the lease if it is older than half of its life; False if another machine took the job. Blocks.

        As `still_held`, for what is only written.
        """
        return self.is_fresh() or self.still_held()

    def require(self) -> None:
        """Raise JobBusy if not `is_held`. Blocks."""
        if not self.is_held():
            raise self._busy(_TAKEN)

    async def _write_heartbeat(self) -> None:
        if not await anyio.to_thread.run_sync(self.still_held):
            raise self._busy(_TAKEN)

    def _is_free(self, found: LeaseRecord) -> bool:
        """Return True if its holder released it, or was a process of this machine that has ended."""
        lease = found.lease
        return lease is not None and (lease.ended or (self._flock_works and lease.machine == self._lease.machine))

    async def _wait_stale(self, found: LeaseRecord) -> None:
        waited, time_limit = 0.0, (NETWORK_STALE_BEATS if self._network else STALE_BEATS) * self._beat
        while waited < time_limit:
            await self._clock.sleep(self._beat / 2)
            waited += self._beat / 2
            if self._network:
                await anyio.to_thread.run_sync(self._leases.refresh)
            now = await anyio.to_thread.run_sync(self._leases.newest)
            if now != found:
                raise self._busy(f"another process works on this job: {(now or found).holder()}")

    def _claim(self, found: LeaseRecord | None) -> None:
        number = 1 + (found.number if found is not None else 0)
        if not self._leases.claim(number, self._lease, found):
            now = self._leases.newest()
            raise self._busy(f"another process works on this job: {now.holder() if now else 'it just started'}")
        self._number = number
        self._last_heartbeat = _now(self._clock)

    def _take_kernel_lock(self) -> None:
        self._lease = Lease(
            nonce=secrets.token_hex(8),
            machine=self._machine or machine_id(self._path.parent),
            host=socket.gethostname(),
            pid=os.getpid(),
            namespace=process_namespace(),
            since=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        )
        self._network = is_network_folder(self._path.parent)
        self._fd = open_lock_file(self._path)
        try:
            taken = try_flock(self._fd)
        except OSError as error:
            # The file system has no locks, or they do not respond: the lease alone decides.
            if isinstance(error, TimeoutError):
                log.warning("%s: %s; continuing without them", self._path.parent, error.strerror)
            self._flock_works = False
            return
        if not taken:
            self._drop_kernel_lock()
            found = self._leases.newest()
            who = found.holder() if found is not None and self._is_held(found) else "it is just starting"
            raise self._busy(f"another process works on this job: {who}")
        if not is_at(self._path, self._fd):
            self._drop_kernel_lock()
            raise self._busy("another process is just releasing this job; run the command again")

    def _busy(self, message: str) -> JobBusy:
        job = self._path.parent.name
        return JobBusy(message, facts=Facts(JobBusy.code, job=job))

    @staticmethod
    def _is_held(found: LeaseRecord) -> bool:
        return found.lease is not None and not found.lease.ended

    def _drop_kernel_lock(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _end_lease(self) -> None:
        self._leases.write(self._number, msgspec.structs.replace(self._lease, ended=True))


def _now(clock: Clock) -> tuple[float, float]:
    """Seconds by the wall clock, and by one that is never set and runs during suspend."""
    return clock.now().timestamp(), clock.uptime()
