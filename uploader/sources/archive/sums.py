"""The CRC-32s and MD5s of an archive's members, as far as they are known, in memory and in a file of the job.

The file has a row of 20 bytes for each member that was read to its end, in their order. It grows while the archive is
read, and a checkpoint says how many rows it needs and what their xxh3 is. Once all members were read, it is replaced by
all rows with their xxh3 behind them.
"""

from __future__ import annotations

import hashlib
import os
import struct
import threading
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import xxhash

from uploader.disk import Disk

_ROW = struct.Struct("<I16s")
_SUM = 8
_EMPTY_MD5 = hashlib.md5(usedforsecurity=False).digest()
_UNKNOWN_MD5 = bytes(16)


class Sums:
    """The sums of members with these sizes. Not those of an empty member: they are known beforehand.

    Several threads may use it: senders learn CRCs while the digest learns both.
    """

    def __init__(self, sizes: array[int]) -> None:
        count = len(sizes)
        self._crcs = array("I", bytes(4 * count))
        self._known = bytearray(count)
        """Whether a member's CRC is known."""
        self._md5s = bytearray(16 * count)
        self._lock = threading.Lock()
        for index in range(count):
            if not sizes[index]:
                self._set(index, 0, _EMPTY_MD5)

    def __len__(self) -> int:
        return len(self._known)

    def _set(self, index: int, crc: int, md5: bytes | None) -> None:
        if md5 is not None:
            self._md5s[16 * index : 16 * index + 16] = md5
        self._crcs[index] = crc
        self._known[index] = True  # last: others read without the lock

    def crc(self, index: int) -> int | None:
        """Return a member's CRC-32, None if it is not known."""
        return self._crcs[index] if self._known[index] else None

    def md5(self, index: int) -> bytes | None:
        """Return a member's MD5, None if it is not known."""
        md5 = self._md5_row(index)
        return None if md5 == _UNKNOWN_MD5 else md5

    def _md5_row(self, index: int) -> bytes:
        return bytes(self._md5s[16 * index : 16 * index + 16])

    def learn(self, index: int, crc: int, md5: bytes | None) -> bool:
        """Keep the sums of a member's content. Return False if it had another CRC before."""
        with self._lock:
            if self._known[index] and self._crcs[index] != crc:
                return False
            self._set(index, crc, md5)
        return True

    def rows(self, first: int, stop: int) -> bytes:
        """Return the rows of these members (`stop` exclusive)."""
        rows = bytearray(_ROW.size * (stop - first))
        for at, index in enumerate(range(first, stop)):  # no object for each: there may be a million
            _ROW.pack_into(rows, _ROW.size * at, self._crcs[index], self._md5_row(index))
        return bytes(rows)

    def restore(self, rows: bytes) -> None:
        """Take the rows of the first members. Raises ValueError if one has no MD5."""
        for index, (crc, md5) in enumerate(_ROW.iter_unpack(rows)):
            if md5 == _UNKNOWN_MD5:
                raise ValueError("the MD5 of an archive's member is missing")
            self._set(index, crc, md5)


class SumsFile:
    """The file of an archive's sums. All calls but `close` block; they raise StateDiskFull and StateUnusable.

    A digest's thread that hangs in a read may wake up after its run has ended, when another process has the job. So
    nothing is written once it is closed, and the file is replaced only while the job is `held`.
    """

    def __init__(self, disk: Disk, path: Path, held: Callable[[], bool] = lambda: True) -> None:
        self._disk = disk
        self._path = path
        self._held = held
        self._fd = -1
        self._sum = xxhash.xxh3_64()
        self._closed = False
        self._lock = threading.Lock()

    @property
    def checksum(self) -> int:
        """The xxh3 of all rows that `append` wrote."""
        return self._sum.intdigest()

    def first(self, count: int, checksum: int) -> bytes:
        """Return the first `count` rows. Raises ValueError if they do not have this xxh3."""
        rows = (self._disk.read(self._path) or b"")[: count * _ROW.size]
        if len(rows) != count * _ROW.size or xxhash.xxh3_64_intdigest(rows) != checksum:
            raise ValueError("the sums of an archive's members are damaged or lost")
        return rows

    def restart(self) -> None:
        """Start over with the first row, for another reader."""
        with self._in_use():
            self._close_fd()
            self._sum.reset()

    def append(self, rows: bytes) -> bool:
        """Add rows. The first ones replace the file, so that a process that lost the job no longer writes to it.

        Returns False if writing is no longer allowed.
        """
        with self._in_use():
            if self._closed:
                return False
            if self._fd >= 0:
                self._disk.write(self._fd, rows, self._path)
            elif self._held():
                self._disk.replace(self._path, rows)
                self._fd = self._disk.open_append(self._path)
            else:
                return False
            self._sum.update(rows)
            return True

    def complete(self, sums: Sums) -> None:
        """Write the sums of all members, unless writing is no longer allowed."""
        self.restart()
        rows = sums.rows(0, len(sums))
        with self._in_use():
            if not self._closed and self._held():
                self._disk.replace(self._path, rows + xxhash.xxh3_64_digest(rows))

    def md5s(self, count: int) -> Iterator[bytes]:
        """Yield the MD5 of each of `count` members; nothing if the file is not complete."""
        data = memoryview(self._disk.read(self._path) or b"")
        rows = data[: count * _ROW.size]
        if len(data) == len(rows) + _SUM and xxhash.xxh3_64_digest(rows) == data[len(rows) :]:
            yield from (md5 for _, md5 in _ROW.iter_unpack(rows))

    def close(self) -> None:
        """Write no more; safe to call twice. Does not wait for a thread that is writing: that one closes the file."""
        self._closed = True
        if self._lock.acquire(blocking=False):
            try:
                self._close_fd()
            finally:
                self._lock.release()

    @contextmanager
    def _in_use(self) -> Iterator[None]:
        try:
            with self._lock:
                yield
        finally:
            if self._closed:
                self.close()

    def _close_fd(self) -> None:
        if self._fd >= 0:
            with suppress(OSError):
                os.close(self._fd)
            self._fd = -1
