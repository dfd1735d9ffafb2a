"""A partly downloaded file: its data, the ranges present, and its MD5. Blocking calls; run them in a thread.

Two hidden files beside the target hold it: `.figup-ID.part`, the data, and `.figup-ID.json`, the ranges. The record is
not durable: after a power failure it may list data that the disk has lost, which the MD5 of the whole file reveals.
Without an MD5, data is durable before it is recorded.
"""

from __future__ import annotations

import bisect
import contextlib
import hashlib
import os
from pathlib import Path

import msgspec

from uploader.disk import take_flock
from uploader.errors import FigupError, JobBusy
from uploader.text import printable
from uploader.transfer.download.plan import RESERVED, FileToFetch
from uploader.transfer.download.target import TargetFolder, target_errors

_VERSION = 1
_READ = 4 << 20
"""Bytes read and hashed at a time."""


class _Record(msgspec.Struct, frozen=True, kw_only=True):
    """The content of `.figup-ID.json`. A record of another size or MD5 belongs to another version of the file."""

    version: int
    size: int
    md5: str | None
    ranges: list[tuple[int, int]]


class Ranges:
    """Sorted, disjoint half-open ranges of bytes."""

    def __init__(self, ranges: list[tuple[int, int]] | None = None) -> None:
        self._ranges: list[tuple[int, int]] = []
        for start, end in sorted(ranges or []):
            self.add(start, end)

    def add(self, start: int, end: int) -> None:
        """Add the bytes from `start` to `end` (exclusive)."""
        if start >= end:
            return
        first = bisect.bisect_left(self._ranges, start, key=lambda each: each[1])
        last = bisect.bisect_right(self._ranges, end, key=lambda each: each[0])
        if first < last:
            start = min(start, self._ranges[first][0])
            end = max(end, self._ranges[last - 1][1])
        self._ranges[first:last] = [(start, end)]

    def missing(self, start: int, end: int) -> list[tuple[int, int]]:
        """Return the gaps between `start` and `end`."""
        gaps, position = [], start
        for left, right in self._ranges:
            if right <= position:
                continue
            if left >= end:
                break
            if left > position:
                gaps.append((position, left))
            position = right
        if position < end:
            gaps.append((position, end))
        return gaps

    @property
    def front(self) -> int:
        """Bytes from the beginning without a gap."""
        return self._ranges[0][1] if self._ranges and self._ranges[0][0] == 0 else 0

    @property
    def total(self) -> int:
        """Bytes in all ranges."""
        return sum(end - start for start, end in self._ranges)

    def as_list(self) -> list[tuple[int, int]]:
        """Return the ranges in order."""
        return list(self._ranges)


def partial_names(file_id: int) -> tuple[str, str, str]:
    """Return the names of the files of a partial download: its data, its record, the record being written."""
    return f"{RESERVED}{file_id}.part", f"{RESERVED}{file_id}.json", f"{RESERVED}{file_id}.json.new"


class PartialFile:
    """A file that is being downloaded. Locked: of several processes, one writes it."""

    def __init__(self, top: Path, wanted: FileToFetch) -> None:
        """Open or create it; ranges of an earlier run are kept if size and MD5 are still the same.

        Raises JobBusy, TargetFull, TargetUnusable.
        """
        folder, _, self.name = wanted.path.rpartition("/")
        self._data, self._record, self._new_record = partial_names(wanted.file_id)
        self._wanted = wanted
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._hashed = 0
        self._rewritten = False
        """True if bytes that are hashed were written again."""
        self.folder = TargetFolder(top, folder)
        self._fd = -1
        self._finished = False
        """True if no data must be kept for a later run."""
        self.ranges = Ranges()
        try:
            self._fd = self._open()
            self.ranges = self._recorded()
            with target_errors(self.path):
                os.ftruncate(self._fd, wanted.size)
        except BaseException:
            self.close()
            raise

    @property
    def path(self) -> str:
        """Where the file will be, for messages."""
        return self.folder.shown(self.name)

    def _open(self) -> int:
        while True:
            fd = self.folder.open(self._data, os.O_RDWR | os.O_CREAT)
            if take_flock(fd) is False:
                os.close(fd)
                raise JobBusy(f"{printable(self.path)}: another process is downloading it", path=self.path)
            links = self.folder.links(self._data, fd)
            if links == 1:
                return fd
            # Another process finished it meanwhile, or was killed when the file had its final name already: the open
            # file may be that one, and must not be written to.
            if links > 1:
                self.folder.remove(self._data)
            os.close(fd)

    def _recorded(self) -> Ranges:
        """Return the ranges of an earlier run; none if the record is missing, damaged or of another version."""
        with target_errors(self.path):
            size = os.fstat(self._fd).st_size
        try:
            fd = self.folder.open(self._record, os.O_RDONLY | os.O_NONBLOCK)  # a named pipe would block
        except Exception:  # noqa: BLE001 - without a record everything is fetched again
            return Ranges()
        with os.fdopen(fd, "rb") as file, contextlib.suppress(msgspec.DecodeError, OSError):
            record = msgspec.json.decode(file.read(), type=_Record)
            same = (record.version, record.size, record.md5) == (_VERSION, self._wanted.size, self._wanted.md5)
            if same and size == record.size and all(0 <= a < b <= size for a, b in record.ranges):
                return Ranges(record.ranges)
        return Ranges()

    def write(self, offset: int, data: bytes) -> None:
        """Write bytes at an offset. Raises TargetFull, TargetUnusable."""
        if offset < self._hashed:
            self._rewritten = True
        with target_errors(self.path):
            view = memoryview(data)
            while view:
                count = os.pwrite(self._fd, view, offset)
                view, offset = view[count:], offset + count

    def save(self) -> None:
        """Record the ranges for a later run."""
        record = _Record(version=_VERSION, size=self._wanted.size, md5=self._wanted.md5, ranges=self.ranges.as_list())
        if record.md5 is None:
            # No MD5 would reveal that the disk has lost recorded data.
            with target_errors(self.path):
                os.fsync(self._fd)
        self.folder.remove(self._new_record)
        fd = self.folder.open(self._new_record, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        with target_errors(self.path), os.fdopen(fd, "wb") as file:
            file.write(msgspec.json.encode(record))
        with target_errors(self.path):
            os.rename(self._new_record, self._record, src_dir_fd=self.folder.fd, dst_dir_fd=self.folder.fd)

    @property
    def to_hash(self) -> int:
        """Contiguous bytes from the start that are not hashed yet."""
        return self.ranges.front - self._hashed

    def hash_front(self) -> None:
        """Hash the contiguous bytes from the start that are not hashed yet. One call at a time."""
        with target_errors(self.path):
            while self._hashed < self.ranges.front:
                data = os.pread(self._fd, min(_READ, self.ranges.front - self._hashed), self._hashed)
                if not data:
                    return  # someone shortened it; the MD5 will differ
                self._md5.update(data)
                self._hashed += len(data)

    def digest(self) -> str:
        """Return the MD5 of the whole file in hex, after the last byte was written."""
        if self._rewritten:
            self._forget_md5()
        self.hash_front()
        return self._md5.hexdigest()

    def _forget_md5(self) -> None:
        self._md5, self._hashed, self._rewritten = hashlib.md5(usedforsecurity=False), 0, False

    def discard(self) -> None:
        """Forget all ranges, so that the whole file is fetched again."""
        self.ranges = Ranges()
        self._forget_md5()
        self.folder.remove(self._record)

    def publish(self, *, replace: bool) -> bool:
        """Make the data durable and give it its name; False if a file of that name appeared meanwhile."""
        with target_errors(self.path):
            os.fsync(self._fd)
        if not self.folder.publish(self._data, self.name, replace=replace):
            return False
        self._finished = True
        self._remove_records()
        return True

    def remove(self) -> None:
        """Remove the data, which is not needed."""
        self._finished = True
        self._remove_records()
        self.folder.remove(self._data)

    def _remove_records(self) -> None:
        self.folder.remove(self._record)
        self.folder.remove(self._new_record)

    def close(self) -> None:
        """Close the file; unless it is finished, its data is kept and recorded."""
        if self._fd >= 0:
            with contextlib.suppress(FigupError):
                self._leave()
            os.close(self._fd)
            self._fd = -1
        self.folder.close()

    def _leave(self) -> None:
        """Record the ranges, or remove a file without data."""
        if self._finished:
            return
        if self.ranges.total:
            self.save()
        else:
            self.remove()


def md5_of(folder: TargetFolder, name: str) -> str:
    """Return the MD5 of a file that exists, in hex. Raises TargetUnusable if it cannot be read."""
    md5 = hashlib.md5(usedforsecurity=False)
    with target_errors(folder.shown(name)), os.fdopen(folder.open(name, os.O_RDONLY), "rb") as file:
        while data := file.read(_READ):
            md5.update(data)
    return md5.hexdigest()
