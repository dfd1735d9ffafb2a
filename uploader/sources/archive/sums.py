"""What is known of the contents of an archive's members: their CRC-32s and MD5s, in memory and in a file of the job.

The file has a row of 20 bytes for each member that was read to its end, in their order. It grows while the archive is
read, and a checkpoint says how many rows it needs and what their xxh3 is. Once all members were read, it is replaced by
all rows with their xxh3 behind them.
"""

from __future__ import annotations

import hashlib
import os
import struct
from array import array
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import xxhash

from uploader.disk import Disk

_ROW = struct.Struct("<I16s")
_SUM = 8
_EMPTY_MD5 = hashlib.md5(usedforsecurity=False).digest()


class Sums:
    """The sums of members with these sizes. Not those of an empty member: they are known beforehand."""

    def __init__(self, sizes: array[int]) -> None:
        count = len(sizes)
        self._crcs = array("I", bytes(4 * count))
        self._known = bytearray(count)
        """Whether a member's CRC is known."""
        self._md5s = bytearray(16 * count)
        for index in range(count):
            if not sizes[index]:
                self._set(index, 0, _EMPTY_MD5)

    def __len__(self) -> int:
        return len(self._known)

    def _set(self, index: int, crc: int, md5: bytes) -> None:
        self._crcs[index], self._known[index] = crc, True
        self._md5s[16 * index : 16 * index + 16] = md5

    def crc(self, index: int) -> int | None:
        """Return a member's CRC-32, None if it is not known."""
        return self._crcs[index] if self._known[index] else None

    def md5(self, index: int) -> bytes:
        """Return a member's MD5; zeros if it is not known."""
        return bytes(self._md5s[16 * index : 16 * index + 16])

    def learn(self, index: int, crc: int, md5: bytes | None) -> bool:
        """Keep the sums of a member's content. Return False if it had another CRC before."""
        if self._known[index] and self._crcs[index] != crc:
            return False
        self._set(index, crc, self.md5(index) if md5 is None else md5)
        return True

    def rows(self, first: int, stop: int) -> bytes:
        """Return the rows of these members (`stop` exclusive)."""
        return b"".join(_ROW.pack(self._crcs[index], self.md5(index)) for index in range(first, stop))

    def restore(self, rows: bytes) -> None:
        """Take the rows of the first members."""
        for index, (crc, md5) in enumerate(_ROW.iter_unpack(rows)):
            self._set(index, crc, md5)


class SumsFile:
    """The file of an archive's sums. All calls block; they raise StateDiskFull and StateUnusable."""

    def __init__(self, disk: Disk, path: Path) -> None:
        self._disk = disk
        self._path = path
        self._fd = -1
        self._sum = xxhash.xxh3_64()

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

    def append(self, rows: bytes) -> None:
        """Add rows. The first ones replace the file, so that a process that lost the job no longer writes to it."""
        self._sum.update(rows)
        if self._fd < 0:
            self._disk.replace(self._path, rows)
            self._fd = self._disk.open_append(self._path)
        else:
            self._disk.write(self._fd, rows, self._path)

    def complete(self, sums: Sums) -> None:
        """Write the sums of all members."""
        self.close()
        rows = sums.rows(0, len(sums))
        self._disk.replace(self._path, rows + xxhash.xxh3_64_digest(rows))

    def md5s(self, count: int) -> Iterator[bytes]:
        """Yield the MD5 of each of `count` members; nothing if the file is not complete."""
        data = memoryview(self._disk.read(self._path) or b"")
        rows = data[: count * _ROW.size]
        if len(data) == len(rows) + _SUM and xxhash.xxh3_64_digest(rows) == data[len(rows) :]:
            yield from (md5 for _, md5 in _ROW.iter_unpack(rows))

    def close(self) -> None:
        """Write no more; safe to call twice."""
        if self._fd >= 0:
            with suppress(OSError):
                os.close(self._fd)
            self._fd = -1
