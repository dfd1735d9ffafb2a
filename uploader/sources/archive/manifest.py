"""The list of MD5s that an archive carries as its last member, in the format of md5sum. Pure.

Every MD5 has 32 digits, so the list's size and the place of each line are known before the MD5s.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable

from uploader.sources.archive.members import Kind, Members

NAME = b"MANIFEST.md5"
_DIGITS = 32
_ESCAPES = ((b"\\", b"\\\\"), (b"\n", b"\\n"), (b"\r", b"\\r"))


def md5_line(md5: bytes, name: bytes) -> bytes:
    """Return the line that md5sum writes for a file; `md5` is in hex."""
    escaped = name
    for plain, escape in _ESCAPES:
        escaped = escaped.replace(plain, escape)
    return b"%s%s  %s\n" % (b"\\" if escaped != name else b"", md5, escaped)


class Manifest:
    """The list for these members: the files among them, in their order."""

    def __init__(self, members: Members) -> None:
        self._members = members
        self._ends = array("Q")
        """Where each member's line ends."""
        end = 0
        for index in range(len(members)):
            if members.kinds[index] in (Kind.FILE, Kind.EXECUTABLE):
                end += self._length(index)
            self._ends.append(end)

    def _length(self, index: int) -> int:
        name = self._members.name(index)
        escapes = sum(name.count(plain) for plain, _ in _ESCAPES)
        return _DIGITS + 2 + len(name) + 1 + (escapes + 1 if escapes else 0)

    @property
    def size(self) -> int:
        """Its size in bytes."""
        return self._ends[-1] if self._ends else 0

    def read(self, start: int, stop: int, md5_of: Callable[[int], bytes]) -> bytes:
        """Return its bytes from `start` to `stop` (exclusive). `md5_of` gives a member's MD5 in hex, by its index."""
        index = bisect_right(self._ends, start)
        before = self._ends[index - 1] if index else 0
        lines = []
        while index < len(self._ends) and (self._ends[index - 1] if index else 0) < stop:
            if self._ends[index] > (self._ends[index - 1] if index else 0):
                lines.append(md5_line(md5_of(index), self._members.name(index)))
            index += 1
        return b"".join(lines)[start - before : stop - before]
