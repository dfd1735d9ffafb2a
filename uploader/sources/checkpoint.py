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

_LOCAL = frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "zfs", "tmpfs"})
_SHARED = frozenset({"nfs", "nfs4", "lustre", "gpfs"})
_GRANULARITY = 2.0
"""Seconds within which two changes may have the same ctime."""
_SKEW = 60.0
"""Seconds by which the clock of a file server may differ from this machine's."""


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The MD5 state after the first `position` bytes: see `uploader.sources.md5`."""

    position: int
    state: bytes = field(repr=False)


def shows_changes(stamp: FileStamp, now: float | None = None) -> bool:
    """Return whether any change of the file from now on must alter its ctime. Blocks briefly.

    `now` is the Unix time in seconds, None for the clock's.
    """
    kind = file_system_of(stamp.device)
    if kind not in _LOCAL and kind not in _SHARED:
        return False
    margin = _GRANULARITY if kind in _LOCAL else _SKEW
    return (time.time() if now is None else now) - stamp.ctime_ns / 1e9 >= margin
