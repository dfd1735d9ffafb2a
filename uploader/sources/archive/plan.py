"""The plan of an archive: its format and its members. As bytes it is stored in the folder of the job that sends it.

Sources that fit the plan make the archive that it describes: every member has the size and the mtime that it had.
"""

from __future__ import annotations

import dataclasses
import json
import os
import stat
import struct
import sys
import zlib
from array import array
from collections.abc import Iterator, Mapping
from functools import cached_property
from types import MappingProxyType

import xxhash

from uploader.errors import Facts, SourceChanged
from uploader.sources.archive.layout import Format, Layout
from uploader.sources.archive.manifest import NAME, Manifest
from uploader.sources.archive.members import Kind, Member, Members, column_time, is_executable, sort_key
from uploader.sources.archive.tar_layout import TarLayout
from uploader.sources.archive.zip_layout import ZipLayout
from uploader.sources.source import FileStamp
from uploader.system import PATH_FAULTS, path_error
from uploader.text import printable

_MAGIC = b"figup archive 1\n"
_LEVEL = 1
"""zlib's fastest level, which reduces the columns to about a fifth."""
_BLOCK = 1 << 20
_ROW = struct.Struct("<QqqQ")
_COLUMNS = ("names", "ends", "kinds", "sizes", "mtimes", "ctimes", "inodes", "root_of")


MEMBER_GONE = "Put it back, or make the archive without it."
"""Hint for a member whose source no longer exists."""


class Plan:
    """An archive to send. `members` are sorted; the list of MD5s, if the archive carries one, is the last of them.

    `expected` are the MD5s (hex) that the user gave for members, by their names.
    """

    def __init__(
        self,
        format: Format,  # noqa: A002 - the word for it
        members: Members,
        expected: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.format: Format = format
        self.members = members
        self.expected = expected
        self.is_outdated = False
        """True if it was stored for an earlier layout of its format."""

    @classmethod
    def of(
        cls,
        format: Format,  # noqa: A002 - the word for it
        members: Members,
        *,
        manifest: bool,
        expected: Mapping[str, str] = MappingProxyType({}),
    ) -> Plan:
        """Plan an archive of sorted sources, with a list of their MD5s as its last member if `manifest`.

        The list is added to `members`.
        """
        if manifest and (size := Manifest(members).size):
            members.append(
                Member(
                    name=NAME,
                    path=f"/{NAME.decode()}",
                    kind=Kind.MANIFEST,
                    size=size,
                    mtime_ns=max(members.mtimes),
                    ctime_ns=0,
                    inode=0,
                )
            )
        return cls(format, members, expected)

    def with_manifest(self) -> Plan:
        """Return the plan of the archive with a list of MD5s, which it does not have."""
        members = self.members.chosen(range(len(self.members)))
        return Plan.of(self.format, members, manifest=True, expected=self.expected)

    @cached_property
    def layout(self) -> Layout:
        """The layout of the archive."""
        return ZipLayout(self.members) if self.format == "zip" else TarLayout(self.members)

    @property
    def has_manifest(self) -> bool:
        """Whether the archive carries the MD5s of its members."""
        return bool(self.members.kinds) and self.members.kinds[-1] == Kind.MANIFEST

    @property
    def has_manifest_name(self) -> bool:
        """Whether a source has the name of the list of MD5s, or is in a folder of that name."""
        names = (self.members.name(index) for index in range(self.sources))
        return any(name == NAME or name.startswith(NAME + b"/") for name in names)

    @property
    def sources(self) -> int:
        """The number of members that have a source: all but the list of MD5s."""
        return len(self.members) - self.has_manifest

    def source_paths(self) -> Iterator[str]:
        """Yield the paths of all sources."""
        return map(self.members.path, range(self.sources))

    @cached_property
    def id(self) -> str:
        """Identifies the archive that the sources would make: names, sizes, mtimes, kinds, format and its layout."""
        return self._id(self.layout.number)

    def _id(self, layout: int) -> str:
        digest = xxhash.xxh3_128(self.format.encode())
        members = self.members
        for column in (members.names, members.ends, members.kinds, members.sizes, members.mtimes):
            digest.update(column)
        if layout > 1:
            digest.update(b"%d" % layout)
        return digest.hexdigest()

    @property
    def stamp(self) -> FileStamp:
        """The state of all sources when they were planned, as that of one file: see `examine`. Without its device."""
        members = self.members
        rows = zip(members.sizes, members.mtimes, members.ctimes, members.inodes, strict=True)
        return self._stamp(row for row, _ in zip(rows, range(self.sources), strict=False))

    def examine(self) -> FileStamp:
        """Return the state of all sources now, as that of one file. Blocks.

        Its mtime and ctime are the newest, its inode is a hash of all sizes, times and inodes, its device is that of
        all sources, 0 if they are on several. Raises SourceChanged if a source does not fit the plan, naming it, and
        what `path_error` returns.
        """
        devices = set()

        def rows() -> Iterator[tuple[int, int, int, int]]:
            for index in range(self.sources):
                status = self.check(index, self.source_status(index))
                devices.add(status.st_dev)
                yield _row(status)

        stamp = self._stamp(rows())
        return dataclasses.replace(stamp, device=devices.pop()) if len(devices) == 1 else stamp

    def source_status(self, index: int) -> os.stat_result:
        """Return the state of a member's source. Blocks. Raises SourceChanged if it is gone, else as `path_error`."""
        path = self.members.path(index)
        try:
            return os.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            raise SourceChanged(
                f"{printable(path)}: no longer exists, but is a member of the archive that is being sent",
                hint=MEMBER_GONE,
                facts=Facts("member-gone"),
                path=path,
            ) from None
        except PATH_FAULTS as error:
            raise path_error(error, path) from error

    def check(self, index: int, status: os.stat_result) -> os.stat_result:
        """Return the state of a member's source if it fits the plan. Raises SourceChanged."""
        kind, size, mtime = self.members.kinds[index], self.members.sizes[index], self.members.mtimes[index]
        is_folder = kind == Kind.FOLDER
        if stat.S_ISDIR(status.st_mode) != is_folder or not (is_folder or stat.S_ISREG(status.st_mode)):
            text = "is no longer what it was"
        elif not is_folder and status.st_size != size:
            text = f"has {status.st_size} bytes now, but had {size} when the archive was planned"
        elif column_time(status.st_mtime_ns) != mtime:
            text = "was modified after the archive was planned"
        elif not is_folder and is_executable(status) != (kind == Kind.EXECUTABLE):
            text = f"is {'now' if is_executable(status) else 'no longer'} executable"
        else:
            return status
        path = self.members.path(index)
        raise SourceChanged(f"{printable(path)}: {text}", path=path)

    def _stamp(self, rows: Iterator[tuple[int, int, int, int]]) -> FileStamp:
        digest, newest, changed = xxhash.xxh3_64(), 0, 0
        for size, mtime, ctime, inode in rows:
            digest.update(_ROW.pack(size, mtime, ctime, inode))
            newest, changed = max(newest, mtime), max(changed, ctime)
        number = digest.intdigest() >> 1  # as an inode, which is at most 63 bits on all file systems here
        return FileStamp(size=self.layout.size, mtime_ns=newest, inode=number, ctime_ns=changed, device=0)

    # --- as bytes -------------------------------------------------------------------------------------------------

    def encoded(self) -> bytes:
        """Return the plan as bytes, compressed: some 20 a member."""
        members = self.members
        head: dict[str, object] = {
            "format": self.format,
            "order": sys.byteorder,
            "members": len(members),
            "names": len(members.names),
        }
        head |= {"roots": members.roots, "expected": dict(self.expected)}
        stream = zlib.compressobj(_LEVEL)
        pieces = [_MAGIC, stream.compress(json.dumps(head).encode() + b"\n")]
        for column in _COLUMNS:
            view = memoryview(getattr(members, column)).cast("B")
            pieces += [stream.compress(view[at : at + _BLOCK]) for at in range(0, len(view), _BLOCK)]
        pieces.append(stream.flush())
        digest = xxhash.xxh3_64()
        for piece in pieces:
            digest.update(piece)
        return b"".join((*pieces, digest.digest()))

    @classmethod
    def decoded(cls, data: bytes, plan_id: str) -> Plan:
        """Return the plan that `encoded` wrote. Raises ValueError for damaged bytes, and for those of another plan."""
        view = memoryview(data)
        if not data.startswith(_MAGIC) or xxhash.xxh3_64(view[:-8]).digest() != data[-8:]:
            raise ValueError("not the plan of an archive")
        stream = _Inflated(view[len(_MAGIC) : -8])
        head = json.loads(stream.line())
        if head["order"] != sys.byteorder:
            raise ValueError("the plan of an archive from another kind of machine")
        members = Members()
        members.roots = head["roots"]
        for column in _COLUMNS:
            values: array[int] | bytearray = getattr(members, column)
            count = head["names"] if column == "names" else head["members"]
            if isinstance(values, array):
                for piece in stream.take(count * values.itemsize):
                    values.frombytes(piece)
            else:
                for piece in stream.take(count):
                    values += piece
        plan = cls(head["format"], members, head["expected"])
        plan.is_outdated = plan.id != plan_id
        if plan.is_outdated and plan_id not in map(plan._id, range(1, plan.layout.number)):
            raise ValueError("the plan of another archive")
        return plan


class _Inflated:
    """Decompresses piece by piece, so that the bytes are not in memory twice."""

    def __init__(self, data: memoryview) -> None:
        self._data: memoryview | bytes = data
        self._stream = zlib.decompressobj()
        self._rest = b""

    def line(self) -> bytes:
        """Return the bytes up to a newline."""
        while b"\n" not in self._rest:
            self._rest += self._more(_BLOCK)
        line, _, self._rest = self._rest.partition(b"\n")
        return line

    def take(self, count: int) -> Iterator[bytes]:
        """Yield this many bytes, in pieces of whole numbers of columns: multiples of eight bytes, but the last."""
        while count:
            while len(self._rest) < min(count, _BLOCK):
                self._rest += self._more(_BLOCK)
            piece, self._rest = self._rest[: min(count, _BLOCK)], self._rest[min(count, _BLOCK) :]
            count -= len(piece)
            yield piece

    def _more(self, count: int) -> bytes:
        more = self._stream.decompress(self._data, count)
        self._data = self._stream.unconsumed_tail
        if not more:
            raise ValueError("the plan of an archive is cut off")
        return more


def _row(status: os.stat_result) -> tuple[int, int, int, int]:
    size = 0 if stat.S_ISDIR(status.st_mode) else status.st_size
    return size, column_time(status.st_mtime_ns), column_time(status.st_ctime_ns), status.st_ino


def difference(old: Plan, new: Plan) -> tuple[str, str]:
    """Return the path of the first source in which two plans differ, and how: for messages."""
    before, after = old.members, new.members
    for index in range(min(old.sources, new.sources)):
        mine, now = before.get(index), after.get(index)
        if mine.name != now.name:
            is_gone = sort_key(mine.name) < sort_key(now.name)
            return (mine.path, "is no longer among its sources") if is_gone else (now.path, "is new")
        if (mine.size, mine.mtime_ns, mine.kind) != (now.size, now.mtime_ns, now.kind):
            return now.path, "has changed"
    if old.sources > new.sources:
        return before.path(new.sources), "is no longer among its sources"
    if new.sources > old.sources:
        return after.path(old.sources), "is new"
    return "", "has other options"
