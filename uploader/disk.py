"""How state reaches the disk: the few file operations that journals, locks and manifests are made of.

Everything that must survive a crash goes through a `Disk`, so that a test can put another one in its place. All calls
block; callers run them in a thread. OSErrors become errors that a user can act on.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from uploader.errors import FigupError, StateDiskFull, StateLost, StateUnusable

FILE_MODE = 0o600
FOLDER_MODE = 0o700
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
_NO_FOLDER_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EBADF}
"""What file systems answer that cannot sync a folder (some FUSE mounts); their names are durable when they say so."""


@contextmanager
def map_os_errors(path: Path) -> Iterator[None]:
    """Turn an OSError inside into StateDiskFull or StateUnusable naming `path`."""
    try:
        yield
    except OSError as error:
        raise _translated(error, path) from error


def _translated(error: OSError, path: Path) -> FigupError:
    why = error.strerror or str(error)
    if error.errno in _FULL:
        return StateDiskFull(f"the disk that holds figup's state is full: {path}: {why}")
    return StateUnusable(f"figup's state cannot be written: {path}: {why}")


@contextmanager
def as_resumable() -> Iterator[None]:
    """Turn a StateUnusable inside into StateLost: what the run has done so far is kept, and can be gone on with."""
    try:
        yield
    except StateUnusable as error:
        raise StateLost(error.message) from error


def open_lock_file(path: Path) -> int:
    """A descriptor of the file, created if missing, for `try_flock`. Blocks. Raises as `map_os_errors` does."""
    with map_os_errors(path):
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)


def try_flock(fd: int) -> bool:
    """Take the kernel's exclusive lock without waiting; False if someone else holds it. It ends with the descriptor.

    Raises OSError if the file system has no locks.
    """
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class Disk:
    """The real disk."""

    def make_folder(self, path: Path) -> None:
        """Make `path` and its parents, private to the user; the folder that names it is synced."""
        with map_os_errors(path):
            missing = [p for p in (path, *path.parents) if not p.exists()]
            for folder in reversed(missing):
                folder.mkdir(mode=FOLDER_MODE, exist_ok=True)
                self.sync_folder(folder.parent)

    def sync_folder(self, path: Path) -> None:
        """Make the names in a folder durable."""
        with map_os_errors(path):
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(fd)
            except OSError as error:
                if error.errno not in _NO_FOLDER_SYNC:
                    raise
            finally:
                os.close(fd)

    def open_append(self, path: Path) -> int:
        """A file descriptor that appends to an existing file."""
        with map_os_errors(path):
            return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)

    def write(self, fd: int, data: bytes, path: Path) -> None:
        """Write all of `data`; after an error some of it may have been written."""
        with map_os_errors(path):
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]

    def sync(self, fd: int, path: Path) -> None:
        """Make what was written durable."""
        with map_os_errors(path):
            os.fsync(fd)

    def replace(self, path: Path, data: bytes) -> None:
        """Put a whole new file in place of `path`, durably: there is the old one or the new one, never half of one."""
        with self._whole(path, data) as temporary, map_os_errors(path):
            temporary.replace(path)
        self.sync_folder(path.parent)

    def create(self, path: Path, data: bytes) -> bool:
        """Put a whole new file at `path`, durably; False when there is one: of several that try, one succeeds.

        Also between machines that share the file system; some of those may show the file before it is whole.
        """
        with self._whole(path, data) as temporary, map_os_errors(path):
            try:
                os.link(temporary, path)
            except FileExistsError:
                # A network file system may have made the link, lost the answer and repeated the request. The number of
                # links may come from a cache; the content does not lie.
                if self.read(path) != data:
                    return False
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                if not self._create_in_place(path, data):
                    return False
        self.sync_folder(path.parent)
        return True

    @contextmanager
    def _whole(self, path: Path, data: bytes) -> Iterator[Path]:
        """A temporary file beside `path` with all of `data` on disk; gone afterwards, if it still has its name."""
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        with map_os_errors(path):
            fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
        try:
            self._fill(fd, data, path)
            yield temporary
        finally:
            with map_os_errors(path):
                temporary.unlink(missing_ok=True)

    def _create_in_place(self, path: Path, data: bytes) -> bool:
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
        except FileExistsError:
            return False
        self._fill(fd, data, path)
        return True

    def _fill(self, fd: int, data: bytes, path: Path) -> None:
        """Write a new file durably, and close it."""
        try:
            self.write(fd, data, path)
            self.sync(fd, path)
        finally:
            os.close(fd)

    def append(self, path: Path, data: bytes) -> None:
        """Add to the end of a file, which is made where there is none. Not durable; some of it may get there."""
        with map_os_errors(path):
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, FILE_MODE)
            try:
                os.write(fd, data)
            finally:
                os.close(fd)

    def put(self, path: Path, data: bytes) -> None:
        """Put a whole new file in place of `path`, as `replace` does, but not durably. For one writer a path."""
        temporary = path.with_name(f".{path.name}.new")
        with map_os_errors(path):
            fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, FILE_MODE)
            try:
                os.write(fd, data)
            finally:
                os.close(fd)
            temporary.replace(path)

    def lines(self, path: Path) -> Iterator[bytes]:
        """The lines of a file, each with its end, read as they are asked for; none where there is no file."""
        with map_os_errors(path):
            try:
                file = path.open("rb")
            except FileNotFoundError:
                return
            with file:
                yield from file

    def read(self, path: Path) -> bytes | None:
        """The whole file; None if there is none."""
        with map_os_errors(path):
            try:
                return path.read_bytes()
            except FileNotFoundError:
                return None
