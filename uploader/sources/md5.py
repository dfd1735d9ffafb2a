"""MD5 whose state can be kept, so that a digest continues in another process.

`hashlib` has no way to save a state. OpenSSL's MD5_Init, MD5_Update and MD5_Final work on a public structure of 92
bytes (openssl/md5.h: four words of state, the length in bits in two, a block of 64 bytes, how much of it is in use);
they are deprecated, and present in OpenSSL 1.1 and 3. The library is the one that Python's own `_hashlib` has loaded,
called without the GIL and as fast as `hashlib`. Where it is missing (a static OpenSSL, LibreSSL, FIPS) or fails the
self-test, `hashlib` computes the MD5 and no state is kept.

A kept state saves a later run from reading the bytes before it again. It is trusted only if no change can have gone
unnoticed: the file system has a ctime that users cannot set, and the file's ctime was old enough when reading began
that any later change must alter it.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import logging
import struct
import time
from dataclasses import dataclass, field
from typing import Protocol

from uploader.sources.source import FileStamp
from uploader.system import file_system_of

log = logging.getLogger("uploader.sources")

_SIZE = 92
_LAYOUT = struct.Struct("=4I2I64sI")
_BLOCK = 64
_KEEPING_CTIME = frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "zfs", "nfs", "nfs4", "lustre", "gpfs"})
"""File systems whose ctime reveals every change. Not tmpfs: writes to a mapped page alter its ctime only once."""
_MARGIN = 60.0
"""Seconds: covers the granularity of a ctime, the clock of a file server, and how long a page that is mapped may take
writes without altering the ctime, until the system has written it back (30 s on Linux)."""


class Md5(Protocol):
    """An MD5 being computed."""

    def update(self, data: bytes | bytearray | memoryview, /) -> None:
        """Add bytes."""

    def hexdigest(self) -> str:
        """Return the MD5 of all bytes so far, in hex."""


class SavableMd5:
    """An MD5 computed with OpenSSL's structure. Not thread-safe."""

    def __init__(self, state: bytes | None = None) -> None:
        """Start, or continue from a state returned by `save`."""
        self._library = _functions()
        self._context = ctypes.create_string_buffer(_SIZE)
        if state is not None:
            self._context.raw = state
        else:
            self._library.MD5_Init(self._context)

    def update(self, data: bytes | bytearray | memoryview, /) -> None:
        """Add bytes, from memory that is writable unless it is a `bytes`; other threads run meanwhile."""
        given = data if isinstance(data, bytes) else (ctypes.c_char * len(data)).from_buffer(data)
        self._library.MD5_Update(self._context, given, len(data))

    def hexdigest(self) -> str:
        """Return the MD5 of all bytes so far, in hex; more can be added afterwards."""
        digest = ctypes.create_string_buffer(16)
        copy = ctypes.create_string_buffer(self._context.raw, _SIZE)
        self._library.MD5_Final(digest, copy)
        return digest.raw.hex()

    def save(self) -> bytes:
        """Return the state: 92 bytes."""
        return self._context.raw


def is_state_of(state: bytes, position: int) -> bool:
    """Return whether this may be the state after `position` bytes, by its length fields."""
    if len(state) != _SIZE:
        return False
    *_, low, high, _, used = _LAYOUT.unpack(state)
    return bool((high << 32 | low) == position * 8 % (1 << 64) and used == position % _BLOCK)


def new_md5() -> Md5:
    """Return an MD5 that can be saved if this machine has it, else one that cannot."""
    return SavableMd5() if can_save() else hashlib.md5(usedforsecurity=False)


@functools.cache
def can_save() -> bool:
    """Return whether states can be kept here. The first call tests it, in a few milliseconds."""
    try:
        works = _works()
    except (OSError, AttributeError, ImportError):
        works = False
    if not works:
        log.info("the state of an MD5 cannot be kept with this Python's OpenSSL: sources are read again after a kill")
    return works


@functools.cache
def _functions() -> ctypes.CDLL:
    """Return the functions of the libcrypto that `_hashlib` is linked with. Raises OSError, AttributeError."""
    import _hashlib

    library = ctypes.CDLL(_hashlib.__file__)
    library.MD5_Init.argtypes = [ctypes.c_char_p]
    library.MD5_Update.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t]
    library.MD5_Final.argtypes = [ctypes.c_char_p, ctypes.c_char_p]
    return library


def _works() -> bool:
    """Compare with `hashlib`: known sums, and states saved and restored at every offset within a block."""
    import _hashlib

    if _hashlib.get_fips_mode():
        return False  # some builds end the process when MD5 is asked for
    library = _functions()
    data = bytes(range(256)) * 2
    larger = ctypes.create_string_buffer(b"\xaa" * 4 * _SIZE)
    if library.MD5_Init(larger) != 1 or library.MD5_Update(larger, data, len(data)) != 1:
        return False
    if not is_state_of(larger.raw[:_SIZE], len(data)) or larger.raw[_SIZE : 4 * _SIZE].strip(b"\xaa"):
        return False  # another structure
    expected = hashlib.md5(data, usedforsecurity=False).hexdigest()
    for cut in range(_BLOCK * 2 + 1):
        first = SavableMd5()
        first.update(data[:cut])
        state = first.save()
        second = SavableMd5(state)
        second.update(data[cut:])
        if not is_state_of(state, cut) or second.hexdigest() != expected:
            return False
    return SavableMd5().hexdigest() == "d41d8cd98f00b204e9800998ecf8427e"


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The MD5 state after the first `position` bytes, and that of the reader: see `InOrder.save`."""

    position: int
    state: bytes = field(repr=False)
    reader: bytes = field(repr=False, default=b"")


def shows_changes(stamp: FileStamp, now: float | None = None) -> bool:
    """Return whether any change of the file from now on must alter its ctime. Blocks briefly.

    `now` is the Unix time in seconds, None for the clock's.
    """
    if file_system_of(stamp.device) not in _KEEPING_CTIME:
        return False
    return (time.time() if now is None else now) - stamp.ctime_ns / 1e9 >= _MARGIN
