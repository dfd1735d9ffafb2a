"""Checkpoints of a digest, which save a later run from hashing the same bytes again, and the conditions for trusting
them.

The bytes before a checkpoint are not read again. It is trusted only if no change can have gone unnoticed: the file
system has a ctime that users cannot set, and the file's ctime was old enough when reading began that any later change
must alter it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from uploader.sources.source import FileStamp
from uploader.system import file_system_of

_KEEPING_CTIME = frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "zfs", "nfs", "nfs4", "lustre", "gpfs"})
"""Types of file systems. Not tmpfs: there, writing to a page that is mapped alters the ctime once only."""
_MARGIN = 60.0
"""Seconds: covers the granularity of a ctime, the clock of a file server, and how long a page that is mapped may take
writes without altering the ctime, until the system has written it back (30 s on Linux)."""


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The MD5 state after the first `position` bytes: see `uploader.sources.md5`."""

    position: int
    state: bytes = field(repr=False)


def shows_changes(stamp: FileStamp, now: float | None = None) -> bool:
    """Return whether any change of the file from now on must alter its ctime. Blocks briefly.

    `now` is the Unix time in seconds, None for the clock's.
    """
    if file_system_of(stamp.device) not in _KEEPING_CTIME:
        return False
    return (time.time() if now is None else now) - stamp.ctime_ns / 1e9 >= _MARGIN
