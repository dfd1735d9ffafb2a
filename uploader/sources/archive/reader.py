"""An archive as an open source: the bytes of any range, from its layout and from its members.

Blocking calls, except `read_into`; several threads may read at once. At most a few members are open at a time.
"""

from __future__ import annotations

import errno
import os
import struct
import zlib
from collections.abc import Sequence
from functools import cached_property

from uploader.errors import ChecksumWrong, SourceChanged
from uploader.sources.archive.layout import Extent, Region
from uploader.sources.archive.manifest import Manifest
from uploader.sources.archive.members import Kind
from uploader.sources.archive.open_members import OpenMembers
from uploader.sources.archive.plan import Plan
from uploader.sources.archive.sums import Sums, SumsFile
from uploader.sources.md5 import Md5, SavableMd5, is_state_of, new_md5
from uploader.sources.source import NOWAIT, FileStamp, Readable, Source
from uploader.system import path_error
from uploader.text import printable

_READ = 1 << 20
_LITTLE = 64 << 20
"""Maximum bytes of a member to read only for the CRC that follows it."""
_VECTORS = 512
"""Buffers in one system call; Linux allows 1024."""
_STATE = struct.Struct("<QQQI92s")
"""The state of a reader in order: the number of members read to their ends, the xxh3 of their sums, the bytes read of
the next member, and their CRC-32 and MD5 state.
"""


class ArchiveSource:
    """An archive to be read. `snapshot` is the state of its sources when it was opened, as that of one file.

    `path` names it in messages.
    """

    def __init__(self, plan: Plan, path: str, file: SumsFile | None = None) -> None:
        """Examine all sources. The sums of members are kept in `file`. Raises what `Plan.examine` raises."""
        self.path = path
        self.plan = plan
        self.snapshot: FileStamp = plan.examine()
        self._layout = plan.layout
        self._files = OpenMembers(plan)
        self.sums = Sums(plan.members.sizes)
        self.file = file
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
        """Return the offset up to which the archive must have been read in order before these bytes are known."""
        return self._layout.depends_on(start, stop)

    def in_order(self, state: bytes = b"") -> InOrder:
        """Return a reader from the beginning to the end, which learns the CRCs and MD5s of the members.

        With a `state` that such a reader saved, it continues there. Raises ChecksumWrong if a member that is known by
        then is expected to have another MD5, ValueError for an invalid state.
        """
        if self.file is not None:
            self.file.restart()
        reader = InOrder(self)
        known = reader.restore(state) if state else 0
        for index in range(self.plan.sources if self._expected else 0):
            if index < known or not self.plan.members.sizes[index]:
                self._compare(index, self.sums.md5(index))
        return reader

    def is_as_planned(self) -> bool:
        """Return whether no source was touched between the plan and the opening."""
        planned = self.plan.stamp
        return (self.snapshot.inode, self.snapshot.ctime_ns) == (planned.inode, planned.ctime_ns)

    @property
    def is_steady(self) -> bool:
        """Whether every member that was opened so far was exactly what was planned."""
        return self._files.are_steady

    def changed_since_open(self) -> bool:
        """Return whether a source may have changed since, so that all must be compared. Raises as `Plan.examine`."""
        return self.plan.examine() != self.snapshot

    def close(self) -> None:
        """Close all members; safe to call twice."""
        for fd in self.detach():
            os.close(fd)

    def detach(self) -> list[int]:
        """See `Source.detach`."""
        if self.file is not None:
            self.file.close()
        return self._files.detach()

    def part_label(self, start: int, stop: int) -> str:
        """Name what is in a range, for messages: the member, or the first and the last of several."""
        members, last = self.plan.members, self.plan.sources - 1
        first, last = min(self._layout.member_at(start), last), min(self._layout.member_at(stop - 1), last)
        named = printable(members.path(first))
        return named if first == last else f"{named} ... {printable(members.path(last))} (in an archive)"

    def reads_ahead(self, start: int, stop: int) -> bool:
        """Return whether the CRCs that a range depends on can be computed by reading little more than the range."""
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
            learner.learn(extent.member, start, views)

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
        """Record the sums of a member's content. Raises SourceChanged if it had another CRC before, ChecksumWrong."""
        if not self.sums.learn(index, crc, md5):
            path = self.plan.members.path(index)
            raise SourceChanged(f"{printable(path)}: changed while its archive was being sent", path=path)
        if md5 is not None and self._expected:
            self._compare(index, md5)

    def _compare(self, index: int, md5: bytes | None) -> None:
        """Raise ChecksumWrong if the user gave another MD5."""
        expected = self._expected.get(self.plan.members.name(index))
        if md5 is not None and expected is not None and expected != md5.hex():
            raise wrong_md5(self.plan.members.path(index), md5.hex(), expected)

    def _crc(self, index: int) -> int:
        known = self.sums.crc(index)
        return self._read_for_crc(index) if known is None else known

    def _read_for_crc(self, index: int) -> int:
        if self.plan.members.kinds[index] == Kind.MANIFEST:
            raise RuntimeError("the CRC of an archive's list of MD5s is read before the list")
        crc, buffer = 0, memoryview(bytearray(_READ))
        size = self.plan.members.sizes[index]
        with self._files.open(index) as fd:
            for start in range(0, size, _READ):
                view = buffer[: min(_READ, size - start)]
                self._read(fd, index, [view], start)
                crc = zlib.crc32(view, crc)
        self.learned(index, crc, None)
        return crc

    def _md5(self, index: int) -> bytes:
        md5 = self.sums.md5(index)
        if md5 is None:
            raise RuntimeError("an archive's list of MD5s is read before its members")
        return md5.hex().encode()


def wrong_md5(path: str, md5: str, expected: str) -> ChecksumWrong:
    """Return the error of a member that has another MD5 than the user gave."""
    return ChecksumWrong(f"{printable(path)}: has the MD5 {md5}, expected {expected}", path=path)


def open_source(path: str, plan: Plan | None = None) -> Readable:
    """Open the file at `path`, or the archive that has this plan. Raises as `Source` and `ArchiveSource` do."""
    return Source(path) if plan is None else ArchiveSource(plan, path)


class InOrder:
    """An archive that is read once from its beginning to its end. If the members' MD5s are needed, each member is also
    hashed separately.
    """

    def __init__(self, source: ArchiveSource) -> None:
        self.path = source.path
        self.snapshot = source.snapshot
        self.part_label = source.part_label
        self._source = source
        self._crcs = source.plan.layout.has_crcs
        self._lists = source.file is not None or source.plan.has_manifest or bool(source.plan.expected)
        self._index = -1
        self._position = 0
        self._crc = 0
        self._md5: Md5 = new_md5()
        self._buffer = memoryview(bytearray())
        self._saved = 0
        """How many members have their sums in the file."""

    def read(self, offset: int, length: int) -> memoryview:
        """Return exactly `length` bytes from `offset`, until the next call. Raises as `ArchiveSource.read` does."""
        if len(self._buffer) < length:
            self._buffer = memoryview(bytearray(length))
        data = self._buffer[:length]
        self._source.fill(offset, data, self if self._crcs or self._lists else None)
        return data

    def learn(self, index: int, start: int, views: Sequence[memoryview]) -> None:
        """Take the content of a member from `start`."""
        if start == 0:
            self._index, self._position, self._crc = index, 0, 0
            self._md5 = new_md5()
        if (index, start) != (self._index, self._position):
            return  # not from the member's beginning: nothing is learned of it
        if self._crcs:
            crc, crc32 = self._crc, zlib.crc32
            for view in views:
                crc = crc32(view, crc)
            self._crc = crc
        if self._lists:
            for view in views:
                self._md5.update(view)
        self._position += sum(map(len, views))
        if self._position == self._source.plan.members.sizes[index]:
            md5 = bytes.fromhex(self._md5.hexdigest()) if self._lists else None
            self._source.learned(index, self._crc, md5)

    def save(self) -> bytes | None:
        """Return the state after what was read so far, for `in_order`. The sums that it needs are in the file then.

        None if a member was not what was planned, or no state can or may be kept. Raises StateDiskFull, StateUnusable.
        """
        file = self._source.file
        if file is None or not isinstance(self._md5, SavableMd5) or not self._source.is_steady:
            return None
        is_inside = self._index >= 0 and self._position < self._source.plan.members.sizes[self._index]
        done = self._index if is_inside else self._index + 1
        if not file.append(self._source.sums.rows(self._saved, done)):
            return None
        self._saved = done
        position = self._position if is_inside else 0
        return _STATE.pack(done, file.checksum, position, self._crc, self._md5.save())

    def restore(self, state: bytes) -> int:
        """Continue from a saved state; return how many members were read to their ends.

        Raises ValueError if it is not a state of this archive, StateUnusable.
        """
        sizes, file = self._source.plan.members.sizes, self._source.file
        if len(state) != _STATE.size or file is None:
            raise ValueError("not the state of a reader")
        done, checksum, position, crc, md5 = _STATE.unpack(state)
        if position and not (done < len(sizes) and position < sizes[done] and is_state_of(md5, position)):
            raise ValueError("not the state of a reader of this archive")
        self._source.sums.restore(file.first(done, checksum))
        self._index = done if position else done - 1
        self._position, self._crc = (position, crc) if position else (sizes[done - 1] if done else 0, 0)
        self._md5 = SavableMd5(md5)
        return int(done)
