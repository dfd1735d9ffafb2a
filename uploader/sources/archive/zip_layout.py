"""The layout of a zip file (PKWARE's APPNOTE.TXT 6.3.10) that is not compressed and can be read as a stream.

The CRC-32 of a member is not known before it is read, so it is in a descriptor behind it. Streaming readers refuse
descriptors behind *stored* members, whose end they could not find. So the content is a *deflate* stream of stored
blocks (RFC 1951, 3.2.4), whose size is known beforehand: five bytes more for each block of up to 65,535.
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from datetime import UTC, datetime

from uploader.sources.archive.layout import Crcs, Extent, Layout, Region, Scattered, clip
from uploader.sources.archive.members import Kind, Members, is_utf8

_LOCAL = struct.Struct("<4s5H3I2H")
_ENTRY = struct.Struct("<4s6H3I5H2I")
_TIME = struct.Struct("<HHBl")
"""Info-ZIP's extended timestamp: the mtime in seconds, UTC."""
_DESCRIPTOR, _DESCRIPTOR64 = struct.Struct("<4s3I"), struct.Struct("<4sI2Q")
_ZIP64, _ZIP64_ENTRY = struct.Struct("<HHQQ"), struct.Struct("<HH3Q")
_END, _END64, _LOCATOR = struct.Struct("<4s4H2IH"), struct.Struct("<4sQ2H2I4Q"), struct.Struct("<4sIQI")
_MAX32, _MAX16 = 0xFFFFFFFF, 0xFFFF
_UNIX = 3 << 8
_PLAIN, _WITH_ZIP64 = 20, 45
"""Versions of the format that a reader must know."""
_DEFLATE = 8
_HAS_DESCRIPTOR, _IS_UTF8 = 1 << 3, 1 << 11
_FRAME = 5
_BLOCK = 65535
_FRAMED = _FRAME + _BLOCK


def _frame(length: int, *, final: bool = True) -> bytes:
    """Return the header of a block of this length."""
    return struct.pack("<BHH", final, length, length ^ _MAX16)


_FULL = _frame(_BLOCK, final=False)
_FIRST_DOS, _LAST_DOS = 315532800, 4354819198
"""Unix times of the first and last moment that an MS-DOS date can hold."""
_FOLDER_FLAG = 0x10


class ZipLayout(Layout):
    """A zip file."""

    has_crcs = True

    def __init__(self, members: Members) -> None:
        super().__init__(members)
        entries = array("Q", [self._starts[-1]])
        at = self._starts[-1]
        for index in range(len(members)):
            at += self._entry_size(index)
            entries.append(at)
        self._entries = entries
        """Where each entry of the directory starts; and where the last one ends."""
        self._ending = self._make_ending()

    @property
    def number(self) -> int:
        """2 from 4 GiB on, where zip64 fields of the directory did not have all numbers at first."""
        return 2 if self._starts[-1] >= _MAX32 else 1

    @property
    def size(self) -> int:
        """The size of the archive."""
        return self._entries[-1] + len(self._ending)

    def head_size(self, index: int) -> int:
        """Return the size of a member's local header."""
        extra = len(self._time(index)) + (_ZIP64.size if self._is_large(index) else 0)
        return _LOCAL.size + self._name_length(index) + extra

    def body_size(self, index: int) -> int:
        """Return the size of a member's blocks."""
        size = self.members.sizes[index]
        return size + _FRAME * -(-size // _BLOCK)

    def tail_size(self, index: int) -> int:
        """Return the size of a member's descriptor. Empty members have none."""
        if not self.members.sizes[index]:
            return 0
        return _DESCRIPTOR64.size if self._is_large(index) else _DESCRIPTOR.size

    def literal(self, extent: Extent, crc_of: Crcs) -> bytes:
        """Return the bytes of headers, a descriptor, a directory entry or the ending."""
        index = extent.member
        match extent.region:
            case Region.HEAD:
                whole = self._head(index)
            case Region.TAIL:
                descriptor = _DESCRIPTOR64 if self._is_large(index) else _DESCRIPTOR
                whole = descriptor.pack(b"PK\7\x08", crc_of(index), self.body_size(index), self.members.sizes[index])
            case Region.ENTRY:
                whole = self._entry(index, crc_of)
            case _:
                whole = self._ending
        return whole[extent.start : extent.stop]

    def scatter(self, extent: Extent, target: memoryview) -> Scattered:
        """Write the blocks' headers; return where their contents belong."""
        size, length = self.members.sizes[extent.member], len(target)
        block, inner = divmod(extent.start, _FRAMED)
        last, at = (size - 1) // _BLOCK, 0
        views, offsets, start = [], [], block * _BLOCK + max(inner - _FRAME, 0)
        while at < length:
            if inner < _FRAME:
                frame = _frame(size - block * _BLOCK) if block == last else _FULL
                piece = frame[inner : inner + length - at]
                target[at : at + len(piece)] = piece
                at, inner = at + len(piece), inner + len(piece)
            end = min(at + (size - last * _BLOCK if block == last else _BLOCK) + _FRAME - inner, length)
            if at < end:
                views.append(target[at:end])
                offsets.append(at)
            at, block, inner = end, block + 1, 0
        return Scattered(views, offsets, start)

    def _after_members(self, start: int, stop: int) -> Iterator[Extent]:
        index = max(bisect_right(self._entries, start) - 1, 0)
        while index < len(self.members) and self._entries[index] < stop:
            at = self._entries[index]
            if (extent := clip(Region.ENTRY, index, at, self._entries[index + 1] - at, start, stop)) is not None:
                yield extent
            index += 1
        if (extent := clip(Region.ENDING, -1, self._entries[-1], len(self._ending), start, stop)) is not None:
            yield extent

    def depends_on(self, start: int, stop: int) -> int:
        """Return how far the members must have been read for the descriptors, the directory and the list of MD5s."""
        if stop > self._starts[-1] and start < self._entries[-1]:
            return self._starts[-1]
        last = min(self.member_at(stop - 1), len(self.members) - 1)
        if last < 0:
            return 0
        tail = self._starts[last + 1] - self.tail_size(last)
        if stop <= tail:
            last, tail = last - 1, self._starts[last]
        known = tail if last >= 0 and start < self._starts[last + 1] else 0
        return max(known, self._manifest_needs(start, stop))

    def _is_large(self, index: int) -> bool:
        return self.body_size(index) >= _MAX32

    def _is_folder(self, index: int) -> bool:
        return self.members.kinds[index] == Kind.FOLDER

    def _name_length(self, index: int) -> int:
        return self.members.name_length(index) + self._is_folder(index)

    def _time(self, index: int) -> bytes:
        """Return the extra field with the mtime; empty for times that it cannot hold.

        Its number is signed, but 7-Zip and libarchive read one before 1970 as one of 2038 to 2106.
        """
        seconds = self._seconds(index)
        if not 0 <= seconds < 1 << 31:
            return b""
        return _TIME.pack(0x5455, 5, 1, seconds)

    def _common(self, index: int, name: bytes) -> tuple[int, int, int, int, int]:
        """Return the version needed, the flags, the method, the time and the date, as both headers have them."""
        flags = _IS_UTF8 if is_utf8(name) else 0
        if self.members.sizes[index]:
            flags |= _HAS_DESCRIPTOR
        time, date = _dos_time(self._seconds(index))
        method = _DEFLATE if self.members.sizes[index] else 0
        return _WITH_ZIP64 if self._is_large(index) else _PLAIN, flags, method, time, date

    def _head(self, index: int) -> bytes:
        name, extra, size = self._name(index), self._time(index), 0
        if self._is_large(index):
            # Says that the descriptor has sizes of eight bytes. unzip takes the member's size from here, and not
            # from the directory, if it is 4 GiB - 1.
            sizes = (self.members.sizes[index], self.body_size(index))
            extra, size = extra + _ZIP64.pack(1, 16, *sizes), _MAX32
        common = self._common(index, name)
        return _LOCAL.pack(b"PK\3\4", *common, 0, size, size, len(name), len(extra)) + name + extra

    def _entry_size(self, index: int) -> int:
        extra = len(self._time(index)) + (_ZIP64_ENTRY.size if self._needs_zip64(index) else 0)
        return _ENTRY.size + self._name_length(index) + extra

    def _needs_zip64(self, index: int) -> bool:
        return self._is_large(index) or self._starts[index] >= _MAX32

    def _entry(self, index: int, crc_of: Crcs) -> bytes:
        name, extra, start = self._name(index), self._time(index), self._starts[index]
        size, body = self.members.sizes[index], self.body_size(index)
        is_zip64 = self._needs_zip64(index)
        if is_zip64:
            # All numbers, even if one would do: unzip takes the first for the size if the entry before is of 4 GiB - 1.
            extra += _ZIP64_ENTRY.pack(1, 24, size, body, start)
        version, *common = self._common(index, name)
        if is_zip64:
            version = _WITH_ZIP64
        folder = self._is_folder(index)
        mode = 0o40755 if folder else 0o100755 if self.members.kinds[index] == Kind.EXECUTABLE else 0o100644
        numbers = (
            crc_of(index) if size else 0,
            _MAX32 if is_zip64 else body,
            _MAX32 if is_zip64 else size,
        )
        attributes = mode << 16 | (_FOLDER_FLAG if folder else 0)
        lengths = (len(name), len(extra), 0, 0, 0)
        fields = (_UNIX | version, version, *common, *numbers, *lengths, attributes, _MAX32 if is_zip64 else start)
        return _ENTRY.pack(b"PK\1\2", *fields) + name + extra

    def _make_ending(self) -> bytes:
        """Return the records behind the directory."""
        count, start = len(self.members), self._starts[-1]
        size = self._entries[-1] - start
        end = _END.pack(
            *(b"PK\5\6", 0, 0, min(count, _MAX16), min(count, _MAX16), min(size, _MAX32), min(start, _MAX32), 0)
        )
        if count < _MAX16 and size < _MAX32 and start < _MAX32:
            return end
        version = (_UNIX | _WITH_ZIP64, _WITH_ZIP64)
        record = _END64.pack(b"PK\6\6", _END64.size - 12, *version, 0, 0, count, count, size, start)
        return record + _LOCATOR.pack(b"PK\6\7", 0, self._entries[-1], 1) + end


def _dos_time(seconds: int) -> tuple[int, int]:
    """Return the MS-DOS time and date. In UTC: in local time, the archive would depend on where it is made."""
    at = datetime.fromtimestamp(min(max(seconds, _FIRST_DOS), _LAST_DOS), UTC)
    return at.hour << 11 | at.minute << 5 | at.second // 2, (at.year - 1980) << 9 | at.month << 5 | at.day
