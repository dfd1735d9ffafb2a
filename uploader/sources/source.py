"""The source: a local file and its state. Blocking calls; callers run them in a thread."""

from __future__ import annotations

import errno
import os
import stat
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from uploader.errors import Facts, SourceChanged, SourceNotFound, UsageError
from uploader.system import PATH_FAULTS, path_error
from uploader.text import printable

PUT_BACK = "Put it back."
"""Hint for a missing source of which parts were sent."""


NOWAIT: int = getattr(os, "RWF_NOWAIT", 0)
"""Linux's preadv2 flag to read only from the page cache; 0 elsewhere."""


@dataclass(frozen=True, kw_only=True)
class FileStamp:
    """The state of a source: size in bytes, mtime and ctime in ns, inode and device.

    The mode is ignored when states are compared: no content depends on it.
    """

    size: int
    mtime_ns: int
    inode: int
    ctime_ns: int
    device: int
    executable: bool = field(default=False, compare=False)
    """True if its owner may execute it."""


def _snapshot(status: os.stat_result) -> FileStamp:
    return FileStamp(
        size=status.st_size,
        mtime_ns=status.st_mtime_ns,
        inode=status.st_ino,
        ctime_ns=status.st_ctime_ns,
        device=status.st_dev,
        executable=bool(status.st_mode & stat.S_IXUSR),
    )


class InOrder(Protocol):
    """Anything that a digest reads from its beginning to its end: a source, or an archive."""

    path: str
    snapshot: FileStamp

    def read(self, offset: int, length: int) -> bytes | memoryview:
        """Return exactly `length` bytes from `offset`, which may be valid only until the next call."""

    def part_label(self, start: int, stop: int) -> str: ...

    def save(self) -> bytes | None: ...


class Readable(Protocol):
    """An open source: a file, or an archive that is generated while it is read. See `Source`."""

    path: str
    snapshot: FileStamp

    def fill(self, offset: int, buffer: memoryview) -> None: ...

    def read_into(self, offset: int, buffer: memoryview) -> int: ...

    def part_label(self, start: int, stop: int) -> str: ...

    def depends_on(self, start: int, stop: int) -> int: ...

    def reads_ahead(self, start: int, stop: int) -> bool: ...

    def in_order(self, state: bytes = b"") -> InOrder: ...

    def is_as_planned(self) -> bool: ...

    def changed_since_open(self) -> bool: ...

    def close(self) -> None: ...

    def detach(self) -> list[int]: ...


def refuse_special(status: os.stat_result, path: str) -> None:
    """Raise UsageError unless it is a regular file."""
    if stat.S_ISDIR(status.st_mode):
        raise UsageError(
            f"{printable(path)}: is a folder, not a file",
            hint="Name it on the command line, or the files in it.",
            path=path,
        )
    if not stat.S_ISREG(status.st_mode):
        raise UsageError(
            f"{printable(path)}: is not a regular file (a pipe, socket or device)",
            hint="Figshare needs the size in advance: write the data to a file first, or leave it out.",
            path=path,
            facts=Facts("not-regular"),
        )


class Source:
    """An open source. `snapshot` is its state when it was opened."""

    def __init__(self, path: str) -> None:
        """Open the file at `path`. Raises what `path_error` returns, and UsageError (a folder, a pipe)."""
        self.path = path
        self._cached_reads = bool(NOWAIT)
        try:
            # Opening a pipe without a writer would block forever.
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except PATH_FAULTS as error:
            if isinstance(error, OSError) and error.errno == errno.ENXIO:  # a socket cannot be opened
                with suppress(OSError):
                    refuse_special(os.stat(path), path)
            raise path_error(error, path) from error
        try:
            status = os.fstat(self._fd)
            refuse_special(status, path)
        except OSError as error:
            os.close(self._fd)
            raise path_error(error, path) from error
        except BaseException:
            os.close(self._fd)
            raise
        self.snapshot = _snapshot(status)

    def read(self, offset: int, length: int) -> bytes:
        """Return exactly `length` bytes from `offset`. Raises SourceChanged if the file is shorter."""
        data = self._pread(offset, length)
        while len(data) < length:
            more = self._pread(offset + len(data), length - len(data))
            if not more:
                raise self._shorter()
            data += more
        return data

    def fill(self, offset: int, buffer: memoryview) -> None:
        """Fill all of `buffer` from `offset`. Raises SourceChanged if the file is shorter."""
        while buffer:
            try:
                count = os.preadv(self._fd, [buffer], offset)
            except OSError as error:
                raise path_error(error, self.path) from error
            if not count:
                raise self._shorter()
            offset, buffer = offset + count, buffer[count:]

    def read_into(self, offset: int, buffer: memoryview) -> int:
        """Fill `buffer` from `offset` with bytes that are already in memory, without waiting for storage.

        Returns their number, 0 if none are in memory or the system cannot tell. The only call here that does not block;
        it saves a thread switch, a quarter of the cost of a part.
        """
        if not self._cached_reads:
            return 0
        try:
            return os.preadv(self._fd, [buffer], offset, NOWAIT)
        except BlockingIOError:
            return 0
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL):
                raise path_error(error, self.path) from error
            self._cached_reads = False
            return 0

    def part_label(self, start: int, stop: int) -> str:
        """Name what is in a range, for messages: the source."""
        return printable(self.path)

    def depends_on(self, start: int, stop: int) -> int:
        """Return how far the source must have been read before a range can be: 0, unlike parts of archives."""
        return 0

    def reads_ahead(self, start: int, stop: int) -> bool:
        """Return whether a range that depends on earlier bytes can be read before them: any, unlike in archives."""
        return True

    def in_order(self, state: bytes = b"") -> InOrder:
        """Return a reader from the beginning to the end: the source itself, which has no state."""
        return self

    def save(self) -> bytes:
        """Return the state of the reader: nothing, unlike that of archives."""
        return b""

    def is_as_planned(self) -> bool:
        """Return whether all sources are as they were planned: a file is compared by its stamp."""
        return True

    def _shorter(self) -> SourceChanged:
        return SourceChanged(f"{printable(self.path)}: became shorter while it was being sent", path=self.path)

    def _pread(self, offset: int, length: int) -> bytes:
        try:
            return os.pread(self._fd, length, offset)
        except OSError as error:
            raise path_error(error, self.path) from error

    def changed_since_open(self) -> bool:
        """Return whether the file may have changed since it was opened, so that its content must be compared again.

        The ctime reveals changes with a restored mtime; it also changes with permissions or names. Raises SourceChanged
        if the size differs, SourceNotFound if the file is gone.
        """
        try:
            now = _snapshot(os.stat(self.path))
        except FileNotFoundError:
            raise SourceNotFound(
                f"{printable(self.path)}: was removed while it was being sent",
                hint=PUT_BACK,
                path=self.path,
                facts=Facts("put-back"),
            ) from None
        except OSError as error:
            raise path_error(error, self.path) from error
        if now.size != self.snapshot.size:
            raise SourceChanged(
                f"{printable(self.path)}: changed while it was being sent, from {self.snapshot.size} to {now.size} "
                "bytes",
                path=self.path,
            )
        return now != self.snapshot

    def close(self) -> None:
        """Close the file; safe to call twice."""
        for fd in self.detach():
            os.close(fd)

    def detach(self) -> list[int]:
        """Close it, except for the descriptors of sources, which are left to the caller: that may hang."""
        fd, self._fd = self._fd, -1
        return [fd] if fd >= 0 else []


def stat_source(path: str) -> FileStamp:
    """State of the file at `path`, which must be a readable regular file. Raises as `Source` does."""
    source = Source(path)
    source.close()
    return source.snapshot


def remote_name(path: str) -> str:
    """Return the name of a source on Figshare: its file name. Raises UsageError if it is not UTF-8."""
    name = os.path.basename(path)
    if not name.isascii() and sys.getfilesystemencoding() != "utf-8":
        raise UsageError(
            f"{printable(path)}: this Python reads file names as {sys.getfilesystemencoding()}, not as UTF-8",
            hint="Start Python with -X utf8.",
            path=path,
        )
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        raise UsageError(
            f"{printable(path)}: the name is not valid UTF-8, which Figshare requires",
            hint="Rename the file (convmv can do it).",
            path=path,
        ) from None
    return name
