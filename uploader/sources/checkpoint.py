"""Where a digest was, kept so that a later run need not read again what was hashed, and when that may be believed.

A checkpoint stands for bytes that are not looked at again. It is believed only if nothing can have changed them
unnoticed: the file system keeps a ctime that users cannot set, and the file had that ctime for so long when reading
began that a change after it must show.
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
    """Return whether a change of the file from now on must show in its ctime. Blocks briefly.

    `now` is the Unix time in seconds, None for the clock's.
    """
    kind = file_system_of(stamp.device)
    if kind not in _LOCAL and kind not in _SHARED:
        return False
    margin = _GRANULARITY if kind in _LOCAL else _SKEW
    return (time.time() if now is None else now) - stamp.ctime_ns / 1e9 >= margin
