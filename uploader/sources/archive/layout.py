"""The layout of an archive: from the list of its members to its extents. Pure: sizes alone decide where each byte is.

An archive is, for each member, a head, a body and a tail, and then an ending. A body is the member's content, perhaps
in frames.
"""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple, TypeAlias

from uploader.sources.archive.members import Kind, Members

_NS = 10**9

Format: TypeAlias = Literal["zip", "tar"]

Crcs: TypeAlias = Callable[[int], int]
"""Gives the CRC-32 of a member's content, by its index."""


class Region(enum.Enum):
    """A kind of extent. `ENDING` belongs to no member."""

    HEAD = "head"
    BODY = "body"
    TAIL = "tail"
    ENTRY = "entry"
    ENDING = "ending"


class Extent(NamedTuple):
    """The requested part of a region of the archive: `start` to `stop` (exclusive) are offsets within it.

    `member` is the index of the member that it belongs to; of the ending, -1.
    """

    region: Region
    member: int
    start: int
    stop: int


class Scattered(NamedTuple):
    """Where to put the content of an extent: into `views`, in this order; `offsets` are their places in the extent.
    `start` is the offset of the first byte in the member's content.
    """

    views: list[memoryview]
    offsets: list[int]
    start: int


class Layout(ABC):
    """The layout of one archive. `size` is in bytes."""

    has_crcs: bool
    """Whether CRCs of members are part of it."""

    def __init__(self, members: Members) -> None:
        self.members = members
        starts = array("Q", [0])
        end = 0
        for index in range(len(members)):
            end += self.head_size(index) + self.body_size(index) + self.tail_size(index)
            starts.append(end)
        self._starts = starts
        """Where each member starts; and where the last one ends."""

    @property
    def number(self) -> int:
        """Version of the layout, changed when the same members are laid out differently: an upload that began with
        another version cannot be continued.
        """
        return 1

    @property
    @abstractmethod
    def size(self) -> int:
        """The size of the archive."""

    @abstractmethod
    def head_size(self, index: int) -> int:
        """Return the size of a member's head."""

    @abstractmethod
    def body_size(self, index: int) -> int:
        """Return the size of a member's body."""

    @abstractmethod
    def tail_size(self, index: int) -> int:
        """Return the size of a member's tail."""

    @abstractmethod
    def literal(self, extent: Extent, crc_of: Crcs) -> bytes:
        """Return the bytes of an extent that is not a body."""

    @abstractmethod
    def scatter(self, extent: Extent, target: memoryview) -> Scattered:
        """Write the frames of an extent of a body to `target`, which is as long; return where its content belongs."""

    @abstractmethod
    def _after_members(self, start: int, stop: int) -> Iterator[Extent]:
        """Return the extents of the archive behind the members."""

    @abstractmethod
    def depends_on(self, start: int, stop: int) -> int:
        """Return the offset in the archive up to which members must have been read before these bytes are known."""

    def member_at(self, offset: int) -> int:
        """Return the index of the member at this offset; their number if it is behind them."""
        return bisect_right(self._starts, offset) - 1 if offset < self._starts[-1] else len(self.members)

    def start_of(self, index: int) -> int:
        """Return where a member starts; for their number, where the last one ends."""
        return self._starts[index]

    def body_start(self, index: int) -> int:
        """Return where a member's body starts."""
        return self._starts[index] + self.head_size(index)

    def extents(self, start: int, stop: int) -> Iterator[Extent]:
        """Return the extents of a range of the archive, in order; none is empty."""
        index = self.member_at(start)
        while index < len(self.members) and self._starts[index] < stop:
            at = self._starts[index]
            for region, size in (
                (Region.HEAD, self.head_size(index)),
                (Region.BODY, self.body_size(index)),
                (Region.TAIL, self.tail_size(index)),
            ):
                if (extent := clip(region, index, at, size, start, stop)) is not None:
                    yield extent
                at += size
            index += 1
        if stop > self._starts[-1]:
            yield from self._after_members(start, stop)

    def _name(self, index: int) -> bytes:
        """Return a member's name as the archive has it: a folder's ends with a slash."""
        return self.members.name(index) + (b"/" if self.members.kinds[index] == Kind.FOLDER else b"")

    def _seconds(self, index: int) -> int:
        """Return a member's mtime in whole seconds."""
        return self.members.mtimes[index] // _NS

    def _manifest_needs(self, start: int, stop: int) -> int:
        """Return the `depends_on` of the list of MD5s."""
        last = len(self.members) - 1
        if last < 0 or self.members.kinds[last] != Kind.MANIFEST:
            return 0
        body = self.body_start(last)
        return self._starts[last] if start < body + self.body_size(last) and stop > body else 0


def clip(region: Region, member: int, at: int, size: int, start: int, stop: int) -> Extent | None:
    """Return the part of a region at offset `at` that is in a range of the archive; None if none is."""
    first, last = max(start - at, 0), min(stop - at, size)
    return Extent(region, member, first, last) if first < last else None
