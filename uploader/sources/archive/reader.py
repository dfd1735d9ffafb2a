"""An archive as an open source: the bytes of any range, from its layout and from its members.

Blocking calls, except `read_into`; several threads may read at once. At most a few members are open at a time.
"""

from __future__ import annotations

import errno
import hashlib
import os
import threading
import zlib
from array import array
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property

from uploader.errors import ChecksumWrong, SourceChanged
from uploader.sources.archive.layout import Extent, Region
from uploader.sources.archive.manifest import Manifest
from uploader.sources.archive.members import Kind
from uploader.sources.archive.plan import Plan
from uploader.sources.source import NOWAIT, FileStamp, Readable, Source
from uploader.system import PATH_FAULTS, path_error
from uploader.text import printable

OPEN_MEMBERS = 4
"""Maximum number of members kept open after a read for the next one."""
_READ = 1 << 20
_LITTLE = 64 << 20
"""Bytes of a member that may be read for the CRC behind it alone."""
_VECTORS = 512
"""Buffers in one system call; Linux allows 1024."""
_EMPTY_MD5 = hashlib.md5(usedforsecurity=False).digest()


class ArchiveSource:
    """An archive to be read. `snapshot` is the state of its sources when it was opened, as that of one file.

    `path` names it in messages.
    """

    def __init__(self, plan: Plan, path: str) -> None:
        """Examine all sources. Raises what `Plan.examine` raises."""
        self.path = path
        self.plan = plan
        self.snapshot: FileStamp = plan.examine()
        self._layout = plan.layout
        self._files = _OpenMembers(plan)
        count = len(plan.members)
        self._crcs = array("I", bytes(4 * count))
        self._known = bytearray(count)
        """Whether a member's CRC is known."""
        self.md5s = bytearray(16 * count if plan.has_manifest else 0)
        """The MD5s of all members, 16 bytes each, once the archive was read in order; empty without a list of them."""
        for index in range(len(self.md5s) // 16):
            if not plan.members.sizes[index]:
                self.md5s[16 * index : 16 * index + 16] = _EMPTY_MD5
        self._expected = {os.fsencode(name): md5.lower() for name, md5 in plan.expected.items()}
        self._cached_reads = bool(NOWAIT)

    @cached_property
    def _manifest(self) -> Manifest:
        return Manifest(self.plan.members)

    def read(self, offset: int, length: int) -> memoryview:
        """Return exactly `length` bytes from `offset`.

        Reads members to their ends for CRCs that are not known yet. Raises SourceChanged, and what `path_error`
        returns.
        """
        data = memoryview(bytearray(length))
        self.fill(offset, data)
        return data

    def read_into(self, offset: int, buffer: memoryview) -> int:
        """Fill `buffer` with bytes of an open member that are already in memory, without waiting for storage.

        Returns their number; 0 if the range is not within one open member, or none are in memory.
        """
        if not self._cached_reads:
            return 0
        extents = self._layout.extents(offset, offset + len(buffer))
        extent = next(extents)
        if extent.region is not Region.BODY or extent.stop - extent.start < len(buffer):
            return 0
        with self._files.already_open(extent.member) as fd:
            return self._read_cached(fd, extent, buffer) if fd is not None else 0

    def _read_cached(self, fd: int, extent: Extent, buffer: memoryview) -> int:
        views, offsets, start = self._layout.scatter(extent, buffer)
        try:
            count = os.preadv(fd, views, start, NOWAIT)
        except BlockingIOError:
            return 0
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL):
                raise path_error(error, self.plan.members.path(extent.member)) from error
            self._cached_reads = False
            return 0
        for view, offset in zip(views, offsets, strict=True):
            if count <= len(view):
                # The frame behind a view that is full is left to the next read, unless nothing else follows.
                return len(buffer) if view is views[-1] and count == len(view) else offset + count if count else 0
            count -= len(view)
        return 0

    def depends_on(self, start: int, stop: int) -> int:
        """Return how far the archive must have been read in order before these bytes are known without more reading."""
        return self._layout.depends_on(start, stop)

    def in_order(self) -> InOrder:
        """Return a reader from the beginning to the end, which learns the CRCs and MD5s of the members.

        Raises ChecksumWrong if an empty member is expected to have another MD5.
        """
        for index in range(self.plan.sources if self._expected else 0):
            if not self.plan.members.sizes[index]:
                self._compare(index, _EMPTY_MD5)
        return InOrder(self)

    def changed_since_open(self) -> bool:
        """Return whether a source may have changed since, so that all must be compared. Raises as `Plan.examine`."""
        return self.plan.examine() != self.snapshot

    def close(self) -> None:
        """Close all members; safe to call twice."""
        self._files.close()

    def part_label(self, start: int, stop: int) -> str:
        """Name what is in a range, for messages: the member, or the first and the last of several."""
        members, last = self.plan.members, self.plan.sources - 1
        first, last = min(self._layout.member_at(start), last), min(self._layout.member_at(stop - 1), last)
        named = printable(members.path(first))
        return named if first == last else f"{named} ... {printable(members.path(last))} (in an archive)"

    def reads_ahead(self, start: int, stop: int) -> bool:
        """Return whether the CRCs that a range depends on can be had by reading little more than the range."""
        first = self._layout.member_at(start)
        if stop > self._layout.start_of(self.plan.sources):
            return False
        cut = start - self._layout.start_of(first)
        return cut <= _LITTLE or stop <= self._layout.start_of(first + 1) - self._layout.tail_size(first)

    # --- bytes ----------------------------------------------------------------------------------------------------

    def fill(self, offset: int, buffer: memoryview, learner: InOrder | None = None) -> None:
        """Fill `buffer` from `offset`; the contents of members are shown to the `learner`. Raises as `read`."""
        at = 0
        for extent in self._layout.extents(offset, offset + len(buffer)):
            target = buffer[at : at + extent.stop - extent.start]
            if extent.region is Region.BODY:
                self._fill_body(extent, target, learner)
            else:
                target[:] = self._layout.literal(extent, self._crc)
            at += len(target)

    def _fill_body(self, extent: Extent, target: memoryview, learner: InOrder | None) -> None:
        views, _, start = self._layout.scatter(extent, target)
        if self.plan.members.kinds[extent.member] == Kind.MANIFEST:
            content = memoryview(self._manifest.read(start, start + sum(map(len, views)), self._md5))
            for view in views:
                view[:] = content[: len(view)]
                content = content[len(view) :]
        else:
            with self._files.open(extent.member) as fd:
                self._read(fd, extent.member, views, start)
        if learner is not None:
            for view in views:
                learner.learn(extent.member, start, view)
                start += len(view)

    def _read(self, fd: int, index: int, views: Sequence[memoryview], start: int) -> None:
        """Fill the views with content from `start`. Raises SourceChanged if the source is shorter."""
        waiting = list(views)
        while waiting:
            try:
                count = os.preadv(fd, waiting[:_VECTORS], start)
            except OSError as error:
                raise path_error(error, self.plan.members.path(index)) from error
            if not count:
                path = self.plan.members.path(index)
                raise SourceChanged(f"{printable(path)}: became shorter while its archive was being sent", path=path)
            start += count
            while waiting and count >= len(waiting[0]):
                count -= len(waiting.pop(0))
            if count:
                waiting[0] = waiting[0][count:]

    # --- what is known of members ---------------------------------------------------------------------------------

    def learned(self, index: int, crc: int, md5: bytes | None) -> None:
        """Keep what a member's content has. Raises SourceChanged if it had another CRC before, ChecksumWrong."""
        if self._known[index] and self._crcs[index] != crc:
            path = self.plan.members.path(index)
            raise SourceChanged(f"{printable(path)}: changed while its archive was being sent", path=path)
        self._crcs[index] = crc
        self._known[index] = True
        if md5 is not None and self.md5s:
            self.md5s[16 * index : 16 * index + 16] = md5
        if md5 is not None and self._expected:
            self._compare(index, md5)

    def _compare(self, index: int, md5: bytes) -> None:
        """Raise ChecksumWrong if the user gave another MD5."""
        expected = self._expected.get(self.plan.members.name(index))
        if expected not in (None, md5.hex()):
            path = self.plan.members.path(index)
            raise ChecksumWrong(f"{printable(path)}: has the MD5 {md5.hex()}, expected {expected}", path=path)

    def _crc(self, index: int) -> int:
        if not self._known[index]:
            self._read_for_crc(index)
        return self._crcs[index]

    def _read_for_crc(self, index: int) -> None:
        crc, buffer = 0, memoryview(bytearray(_READ))
        size = self.plan.members.sizes[index]
        with self._files.open(index) as fd:
            for start in range(0, size, _READ):
                view = buffer[: min(_READ, size - start)]
                self._read(fd, index, [view], start)
                crc = zlib.crc32(view, crc)
        self.learned(index, crc, None)

    def _md5(self, index: int) -> bytes:
        return self.md5s[16 * index : 16 * index + 16].hex().encode()


def open_source(path: str, plan: Plan | None = None) -> Readable:
    """Open the file at `path`, or the archive that has this plan. Raises as `Source` and `ArchiveSource` do."""
    return Source(path) if plan is None else ArchiveSource(plan, path)


class InOrder:
    """An archive that is read from its beginning to its end, once."""

    def __init__(self, source: ArchiveSource) -> None:
        self.path = source.path
        self.snapshot = source.snapshot
        self.part_label = source.part_label
        self._source = source
        self._crcs = source.plan.layout.has_crcs
        self._lists = source.plan.has_manifest or bool(source.plan.expected)
        self._index = -1
        self._position = 0
        self._crc = 0
        self._md5 = hashlib.md5(usedforsecurity=False)

    def read(self, offset: int, length: int) -> bytearray:
        """Return exactly `length` bytes from `offset`. Raises as `ArchiveSource.read` does."""
        data = bytearray(length)
        self._source.fill(offset, memoryview(data), self if self._crcs or self._lists else None)
        return data

    def learn(self, index: int, start: int, data: memoryview) -> None:
        """Take the content of a member from `start`."""
        if start == 0:
            self._index, self._position, self._crc = index, 0, 0
            self._md5 = hashlib.md5(usedforsecurity=False)
        if (index, start) != (self._index, self._position):
            return  # not from the member's beginning: nothing is learned of it
        if self._crcs:
            self._crc = zlib.crc32(data, self._crc)
        if self._lists:
            self._md5.update(data)
        self._position += len(data)
        if self._position == self._source.plan.members.sizes[index]:
            self._source.learned(index, self._crc, self._md5.digest() if self._lists else None)


class _OpenMembers:
    """Descriptors of members, of which the last used stay open."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._lock = threading.Lock()
        self._open: OrderedDict[int, int] = OrderedDict()
        """Member → descriptor, of those that are not being read."""
        self._shared: dict[int, list[int]] = {}
        """Member → descriptor and its number of readers."""
        self._closed = False

    @contextmanager
    def open(self, index: int) -> Iterator[int]:
        """Open a member's source for a read. Raises SourceChanged if it does not fit the plan."""
        fd = self._take(index)
        if fd is None:
            fd = self._share(index, self._opened(index))
        try:
            yield fd
        finally:
            self._release(index)

    @contextmanager
    def already_open(self, index: int) -> Iterator[int | None]:
        """Give the descriptor of a member that is open; None if it is not. Does not block."""
        fd = self._take(index)
        try:
            yield fd
        finally:
            if fd is not None:
                self._release(index)

    def close(self) -> None:
        """Close all that are not being read; the others are closed when their readers end."""
        with self._lock:
            self._closed = True
            while self._open:
                os.close(self._open.popitem()[1])

    def _take(self, index: int) -> int | None:
        with self._lock:
            shared = self._shared.get(index)
            if shared is None:
                fd = self._open.pop(index, None)
                if fd is None:
                    return None
                shared = self._shared[index] = [fd, 0]
            shared[1] += 1
            return shared[0]

    def _share(self, index: int, fd: int) -> int:
        with self._lock:
            shared = self._shared.setdefault(index, [self._open.pop(index, fd), 0])
            shared[1] += 1
            if shared[0] != fd:
                os.close(fd)  # another thread was quicker
            return shared[0]

    def _release(self, index: int) -> None:
        with self._lock:
            shared = self._shared[index]
            shared[1] -= 1
            if shared[1]:
                return
            del self._shared[index]
            self._open[index] = shared[0]
            while len(self._open) > (0 if self._closed else OPEN_MEMBERS):
                os.close(self._open.popitem(last=False)[1])

    def _opened(self, index: int) -> int:
        path = self._plan.members.path(index)
        try:
            # Opening a pipe without a writer would block forever.
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except PATH_FAULTS as error:
            self._plan.look(index)  # raises SourceChanged if it is gone
            raise path_error(error, path) from error
        try:
            self._plan.check(index, os.fstat(fd))
        except BaseException:
            os.close(fd)
            raise
        return fd
