"""Leases: files beside a job's lock that name its holder, also for machines that do not see each other's locks.

They are numbered, and the highest one is valid. Only its holder writes a lease, and the next one is created
exclusively: of several processes that find an abandoned lease, one gets the next number, even without file locks. The
last one is kept, so that numbers only grow.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterable
from pathlib import Path

import msgspec

from uploader.disk import Disk, map_os_errors
from uploader.errors import FigupError
from uploader.system import file_system_of, process_exists, process_namespace
from uploader.text import printable

HEARTBEAT = 5.0
"""Seconds between two beats of a lease."""
STALE_BEATS = 4
"""Beats for which the lease of another machine must not change before it counts as abandoned."""
NETWORK_STALE_BEATS = 12
"""The same on network file systems, whose clients may show an old listing for up to 60 s (nfs(5): acdirmax)."""
_NETWORK_TYPES = frozenset({"nfs", "nfs4", "cifs", "smb3", "lustre", "gpfs", "ceph", "beegfs", "9p", "afs", "pvfs2"})
_ABANDONED_AFTER, _ABANDONED_ELSEWHERE = 600.0, 86_400.0
"""Seconds after which an unchanged lease is abandoned: on a local file system, and on one with the times of others."""
_STEM = "lease-"
_MAX_CHECKS = 20


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """The holder of a job. `beat` increases while the holder is alive; `ended`: it released the job. `task`: see
    `uploader.transfer.notices.Member`. `namespace` is that of `pid`: containers on one machine may have their own.
    """

    nonce: str
    machine: str
    host: str
    pid: int
    namespace: str = ""
    since: str
    beat: int = 0
    ended: bool = False
    task: str = ""

    def holder(self) -> str:
        """In words for a person."""
        task = f" ({printable(self.task)})" if self.task else ""
        return f"process {self.pid} on {self.host}{task}, since {self.since}"


class LeaseRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The valid lease with its number; the lease is None if it cannot be read. Any difference means a new beat."""

    number: int
    content: bytes
    lease: Lease | None

    def holder(self) -> str:
        """In words for a person."""
        return self.lease.holder() if self.lease is not None else "unknown holder"


class Leases:
    """The leases of one job, in its folder. All calls block."""

    def __init__(self, folder: Path, disk: Disk) -> None:
        self._folder = folder
        self._disk = disk

    def newest(self) -> LeaseRecord | None:
        """Read the current lease; None if the job was never held."""
        for _ in range(_MAX_CHECKS):
            number = max(self._numbers(), default=0)
            if not number:
                break
            # Missing if the next lease was just claimed.
            if (content := self._disk.read(self._path(number))) is not None:
                return LeaseRecord(number=number, content=content, lease=_decoded(content))
        return None

    def claim(self, number: int, lease: Lease, before: LeaseRecord | None = None) -> bool:
        """Become the holder by taking this number; False if another process has it or a higher one.

        `before` is the lease that is replaced. False, too, if its holder has renewed it since that was read: it was
        only suspended. This creates before it reads, and a holder writes before it lists, so that at least one of them
        sees the other.
        """
        if not self._disk.create(self._path(number), msgspec.json.encode(lease)):
            return False
        numbers = self._numbers()
        renewed = before is not None and self._disk.read(self._path(before.number)) not in (None, before.content)
        if renewed or max(numbers, default=number) > number:
            # Or the listing was out of date when the number was chosen.
            self._remove(number)
            return False
        for earlier in numbers:
            if earlier < number:
                self._remove(earlier)
        return True

    def write(self, number: int, lease: Lease) -> bool:
        """Rewrite the holder's own lease; False if a later one exists, or its own is gone.

        It lists before writing, so that a replaced lease is not written again, and after it, because the change makes a
        network file system's client drop a cached listing.
        """
        numbers = self._numbers()
        if max(numbers, default=0) != number:
            return False
        path = self._path(number)
        self._disk.replace(path, msgspec.json.encode(lease))
        if max(self._numbers(), default=number) > number:
            self._remove(number)
            return False
        return True

    def refresh(self) -> None:
        """Change the folder, so that a network file system's client drops a cached listing."""
        probe = self._folder / f".probe-{os.getpid()}"
        self._disk.put(probe, b"")
        with map_os_errors(probe):
            probe.unlink(missing_ok=True)

    def _remove(self, number: int) -> None:
        path = self._path(number)
        with map_os_errors(path):
            path.unlink(missing_ok=True)

    def _path(self, number: int) -> Path:
        return self._folder / f"{_STEM}{number}"

    def _numbers(self) -> list[int]:
        with map_os_errors(self._folder):
            try:
                names = [path.name for path in self._folder.iterdir()]
            except FileNotFoundError:
                return []
        return [int(name[len(_STEM) :]) for name in names if name.startswith(_STEM) and name[len(_STEM) :].isdecimal()]


def current_holder(folder: Path, disk: Disk) -> str | None:
    """Describe the process working on a job; None without one: see `current_holders`. Raises what reading raises."""
    holder = current_holders([folder], disk)[folder]
    if isinstance(holder, FigupError):
        raise holder
    return holder


def current_holders(folders: Iterable[Path], disk: Disk) -> dict[Path, str | FigupError | None]:
    """Describe the process working on each job; None without one, and an error if that cannot be read. Reads only.

    Waits for some seconds, once for all jobs, if only a heartbeat can tell whether a holder is alive.
    """
    found: dict[Path, LeaseRecord | None] = {}
    alive: dict[Path, bool | FigupError | None] = {}
    for folder in folders:
        try:
            found[folder] = Leases(folder, disk).newest()
            alive[folder] = _is_alive(folder, found[folder])
        except FigupError as error:
            alive[folder] = error
    unknown = [folder for folder, known in alive.items() if known is None]
    if unknown:
        time.sleep(1.5 * HEARTBEAT)
    for folder in unknown:
        try:
            now = Leases(folder, disk).newest()
            alive[folder] = now != found[folder] and now is not None and not (now.lease and now.lease.ended)
        except FigupError as error:
            alive[folder] = error
    return {
        folder: known if isinstance(known, FigupError) else _described(found[folder]) if known else None
        for folder, known in alive.items()
    }


def _described(record: LeaseRecord | None) -> str | None:
    return record.lease.holder() if record is not None and record.lease is not None else None


def _is_alive(folder: Path, found: LeaseRecord | None) -> bool | None:
    """Return True if the holder is alive, None if only a heartbeat can tell."""
    if found is None or found.lease is None or found.lease.ended:
        return False
    if (exists := holder_exists(found.lease, folder)) is not None:
        return exists
    path = folder / f"{_STEM}{found.number}"
    with map_os_errors(path):
        age = abs(time.time() - path.stat().st_mtime) if path.exists() else 0.0
    if age <= STALE_BEATS * HEARTBEAT:
        return True
    # The time may be from another machine, whose clock may be wrong.
    return None if age < (_ABANDONED_AFTER if is_local_folder(folder) else _ABANDONED_ELSEWHERE) else False


def holder_exists(lease: Lease, folder: Path) -> bool | None:
    """Return whether the holder's process exists; None if that cannot be seen from here. Blocks."""
    if (lease.machine, lease.namespace) != (machine_id(folder), process_namespace()):
        return None
    return process_exists(lease.pid)


def _decoded(data: bytes) -> Lease | None:
    try:
        return msgspec.json.decode(data, type=Lease)
    except msgspec.MsgspecError:
        return None


def machine_id(folder: Path) -> str:
    """Identify the processes that share kernel locks on `folder`: boot id, host name and mounted file system.

    The boot id alone is not enough: clones of a virtual machine and containers with separate mounts share it.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        boot = "-"
    try:
        device = folder.stat().st_dev
    except OSError:
        device = 0
    return f"{boot}/{socket.gethostname()}/{device:x}"


def is_network_folder(folder: Path) -> bool:
    """Return True if `folder` is on a network file system or a FUSE mount; False if unknown (macOS)."""
    try:
        kind = file_system_of(folder.stat().st_dev) or ""
    except OSError:
        return False
    return kind in _NETWORK_TYPES or kind.startswith("fuse")


def is_local_folder(folder: Path) -> bool:
    """Return True if `folder` is certainly on a file system of this machine alone; False if unknown (macOS)."""
    try:
        return file_system_of(folder.stat().st_dev) is not None and not is_network_folder(folder)
    except OSError:
        return False
