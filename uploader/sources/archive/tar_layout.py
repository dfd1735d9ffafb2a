"""The layout of a tar file: POSIX.1-2001 (pax), which has records for what the ustar header cannot hold."""

from __future__ import annotations

from collections.abc import Iterator

from uploader.sources.archive.layout import Crcs, Extent, Layout, Region, Scattered, clip
from uploader.sources.archive.members import Kind, is_utf8

_BLOCK = 512
_NAME = 100
"""Bytes of a name in a ustar header."""
_MAX_NUMBER = 0o77777777777
"""The largest number in the size and mtime fields of a ustar header."""
_END = 2 * _BLOCK
_PAX_NAME = b"././@PaxHeader"


class TarLayout(Layout):
    """A tar file."""

    has_crcs = False

    @property
    def size(self) -> int:
        """The size of the archive."""
        return self._starts[-1] + _END

    def head_size(self, index: int) -> int:
        """Return the size of a member's headers."""
        pax = len(self._pax(index))
        return _BLOCK + (_BLOCK + _padded(pax) if pax else 0)

    def body_size(self, index: int) -> int:
        """Return the size of the content."""
        return self.members.sizes[index]

    def tail_size(self, index: int) -> int:
        """Return the size of the padding."""
        size = self.members.sizes[index]
        return _padded(size) - size

    def literal(self, extent: Extent, crc_of: Crcs) -> bytes:
        """Return the bytes of headers, padding or the ending."""
        if extent.region is Region.HEAD:
            return self._head(extent.member)[extent.start : extent.stop]
        return bytes(extent.stop - extent.start)

    def scatter(self, extent: Extent, target: memoryview) -> Scattered:
        """Return all of the target: a tar file has no frames."""
        return Scattered([target], [0], extent.start)

    def _after_members(self, start: int, stop: int) -> Iterator[Extent]:
        if (extent := clip(Region.ENDING, -1, self._starts[-1], _END, start, stop)) is not None:
            yield extent

    def depends_on(self, start: int, stop: int) -> int:
        """Return how far the members must have been read: only the list of MD5s depends on them."""
        return self._manifest_needs(start, stop)

    def _pax(self, index: int) -> bytes:
        """Return the pax records of what the ustar header cannot hold; empty if it holds all."""
        name, size = self._name(index), self.members.sizes[index]
        seconds = self._seconds(index)
        records = b""
        if len(name) > _NAME or not name.isascii():
            if not is_utf8(name):
                records += _record(b"hdrcharset", b"BINARY")
            records += _record(b"path", name)
        if size > _MAX_NUMBER:
            records += _record(b"size", b"%d" % size)
        if not 0 <= seconds <= _MAX_NUMBER:
            records += _record(b"mtime", b"%d" % seconds)
        return records

    def _head(self, index: int) -> bytes:
        members = self.members
        pax, kind = self._pax(index), members.kinds[index]
        seconds = min(max(self._seconds(index), 0), _MAX_NUMBER)
        size = members.sizes[index]
        header = _header(
            self._name(index)[:_NAME],
            mode=0o755 if kind in (Kind.FOLDER, Kind.EXECUTABLE) else 0o644,
            size=size if size <= _MAX_NUMBER else 0,
            seconds=seconds,
            kind=b"5" if kind == Kind.FOLDER else b"0",
        )
        if not pax:
            return header
        before = _header(_PAX_NAME, mode=0o644, size=len(pax), seconds=seconds, kind=b"x")
        return before + pax.ljust(_padded(len(pax)), b"\0") + header


def _padded(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


def _record(key: bytes, value: bytes) -> bytes:
    """Return a pax record, which begins with its own length."""
    rest = len(key) + len(value) + 3  # blank, equals sign, newline
    length = rest + len(str(rest))
    length = rest + len(str(length))
    return b"%d %s=%s\n" % (length, key, value)


def _header(name: bytes, *, mode: int, size: int, seconds: int, kind: bytes) -> bytes:
    """Return a ustar header without owner and group."""
    fields = (
        name.ljust(_NAME, b"\0"),
        b"%07o\0" % mode,
        b"%07o\0" % 0,
        b"%07o\0" % 0,
        b"%011o\0" % size,
        b"%011o\0" % seconds,
        b" " * 8,
        kind,
        b"\0" * 100,
        b"ustar\x0000",
    )
    block = b"".join(fields).ljust(_BLOCK, b"\0")
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]
