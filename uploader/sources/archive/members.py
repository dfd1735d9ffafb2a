"""The members of an archive in columns: about 100 bytes a member, whatever their number."""

from __future__ import annotations

import enum
import os
import stat
from array import array
from collections.abc import Iterable, Iterator
from typing import NamedTuple

_SEPARATOR = b"/"
_LOWEST = b"\0"
_LATEST_NS = (1 << 63) - 1
"""The latest time that a column holds: a day in 2262. The earliest is as long before 1970, in 1677."""
_WHOLE = "\0"
"""Begins a root that is the whole path of one member, which has another name in the archive."""


class Kind(enum.IntEnum):
    """The kind of a member."""

    FILE = 0
    EXECUTABLE = 1
    FOLDER = 2
    MANIFEST = 3


class Member(NamedTuple):
    """One member. `name` is its path in the archive, without a slash at its end; `path` is that of its source.

    `size` is in bytes; `mtime_ns`, `ctime_ns` and `inode` are those of the source when it was planned.
    """

    name: bytes
    path: str
    kind: Kind
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int


class Members:
    """A list of members. They are appended in any order and sorted once."""

    __slots__ = ("_root_numbers", "ctimes", "ends", "inodes", "kinds", "mtimes", "names", "root_of", "roots", "sizes")

    def __init__(self) -> None:
        self.names = bytearray()
        self.ends = array("Q")
        """Where each name ends in `names`."""
        self.kinds = bytearray()
        self.sizes = array("Q")
        self.mtimes = array("q")
        self.ctimes = array("q")
        self.inodes = array("Q")
        self.roots: list[str] = []
        """Folders that sources' paths start from: such a path is the root, a slash and the member's name."""
        self.root_of = array("I")
        self._root_numbers: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self.ends)

    def append(self, member: Member) -> None:
        """Add a member."""
        self.names += member.name
        self.ends.append(len(self.names))
        self.kinds.append(member.kind)
        self.sizes.append(member.size)
        self.mtimes.append(column_time(member.mtime_ns))
        self.ctimes.append(column_time(member.ctime_ns))
        self.inodes.append(member.inode)
        self.root_of.append(self._root(member))

    def _root(self, member: Member) -> int:
        suffix = f"/{os.fsdecode(member.name)}"
        whole = not member.path.endswith(suffix)
        root = _WHOLE + member.path if whole else member.path[: -len(suffix)]
        if self._root_numbers.get(root) is None:
            self._root_numbers[root] = len(self.roots)
            self.roots.append(root)
        return self._root_numbers[root]

    def name(self, index: int) -> bytes:
        """Return a member's path in the archive."""
        return bytes(self.names[self.ends[index - 1] if index else 0 : self.ends[index]])

    def name_length(self, index: int) -> int:
        """Return the number of bytes of a name."""
        return self.ends[index] - (self.ends[index - 1] if index else 0)

    def kind(self, index: int) -> Kind:
        """Return the kind of a member."""
        return Kind(self.kinds[index])

    def path(self, index: int) -> str:
        """Return the path of a member's source."""
        root = self.roots[self.root_of[index]]
        return root[1:] if root.startswith(_WHOLE) else f"{root}/{os.fsdecode(self.name(index))}"

    def source_folders(self) -> list[str]:
        """Return folders below which all sources are, one for each root."""
        return [os.path.dirname(root[1:]) if root.startswith(_WHOLE) else root or "/" for root in self.roots]

    def get(self, index: int) -> Member:
        """Return one member."""
        return Member(
            name=self.name(index),
            path=self.path(index),
            kind=self.kind(index),
            size=self.sizes[index],
            mtime_ns=self.mtimes[index],
            ctime_ns=self.ctimes[index],
            inode=self.inodes[index],
        )

    def __iter__(self) -> Iterator[Member]:
        return (self.get(index) for index in range(len(self)))

    def _key(self, index: int) -> bytes:
        return sort_key(self.name(index))

    def sorted(self) -> Members:
        """Return the members in the order of their paths; itself if they are sorted."""
        keys = map(self._key, range(len(self)))
        last = next(keys, b"")
        for key in keys:
            if key < last:
                break
            last = key
        else:
            return self
        return self.chosen(sorted(range(len(self)), key=self._key))

    def chosen(self, indices: Iterable[int]) -> Members:
        """Return these members, in this order."""
        chosen = Members()
        for index in indices:
            chosen.append(self.get(index))
        return chosen


def column_time(time_ns: int) -> int:
    """Return an mtime or ctime as a column holds it; file systems can store earlier and later ones."""
    return max(min(time_ns, _LATEST_NS), -_LATEST_NS)


def is_executable(status: os.stat_result) -> bool:
    """Return whether a file is executable in an archive: its owner may execute it."""
    return bool(status.st_mode & stat.S_IXUSR)


def sort_key(name: bytes) -> bytes:
    """Return a key that sorts like the paths' components: a folder's contents stay together."""
    return name.replace(_SEPARATOR, _LOWEST)


def is_utf8(name: bytes) -> bool:
    """Return whether a name is valid UTF-8, as nearly all are."""
    try:
        name.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
