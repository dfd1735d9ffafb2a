"""Atomic and durable writes, private files and folders, locks: the file operations below journals and settings.

Everything that must survive a crash goes through a `Disk`, which tests replace. All calls block; callers run them in a
thread. OSErrors become errors that a user can act on. No file is written through a symbolic link.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import shlex
import stat
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from uploader.errors import FigupError, ResourcesExhausted, StateDiskFull, StateLost, StateUnusable
from uploader.system import PATH_FAULTS, resource_error, transient_error
from uploader.text import printable

FILE_MODE = 0o600
FOLDER_MODE = 0o700
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""Errors of a disk, a quota or a limit that is exhausted."""
NO_HARD_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
_NO_FOLDER_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EBADF}
"""Errors of file systems that cannot sync a folder (some FUSE mounts); names on them count as durable."""
LOCK_TIME_LIMIT = 10.0
"""Seconds until a call that takes a lock without waiting counts as hanging."""
_silent_devices: set[int] = set()
"""Devices of file systems on which such a call hung."""


@contextmanager
def map_os_errors(path: Path) -> Iterator[None]:
    """Turn an OSError inside into StateDiskFull, StateUnusable, StateLost or ResourcesExhausted, naming `path`."""
    try:
        yield
    except PATH_FAULTS as error:
        raise _translated(error, path) from error


def _translated(error: OSError | ValueError, path: Path) -> FigupError:
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    if isinstance(error, OSError) and error.errno in FULL:
        return StateDiskFull(f"the disk that holds figup's state is full: {path}: {reason}")
    if (exhausted := resource_error(error)) is not None:
        return exhausted
    if transient_error(error, str(path)) is not None:
        return StateLost(f"the storage that holds figup's state does not answer: {path}: {reason}")
    if isinstance(error, OSError) and error.errno == errno.ELOOP:
        reason = "it is a symbolic link, which is not followed here"
    return StateUnusable(f"figup's state cannot be used: {path}: {reason}")


@contextmanager
def temporary_errors() -> Iterator[None]:
    """Turn an OSError of a temporary file inside into the error that `temporary_error` returns."""
    try:
        yield
    except OSError as fault:
        raise temporary_error(fault, tempfile.tempdir) from fault


def temporary_error(fault: OSError, folder: str | None) -> FigupError:
    """Return the error for a temporary file that cannot be written to a folder; None: to any."""
    if folder is not None and (transient := transient_error(fault, folder)) is not None:
        return transient
    place = "" if folder is None else f" in {printable(folder)}"
    other = ", or set TMPDIR to another folder" if folder in (None, tempfile.tempdir) else ""
    return ResourcesExhausted(
        f"cannot write temporary files{place}: {fault.strerror}",
        hint=f"Free space there{other}; then run the same command again.",
    )


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Make a folder for temporary files, which is removed at the end."""
    with temporary_errors():
        folder = tempfile.TemporaryDirectory(prefix="figup-")
    with folder as name:
        yield Path(name)


def check_private(*folders: Path) -> None:
    """Raise StateUnusable if other users can write to a folder, since they could decide what is sent and where to.

    A missing path or a non-folder is reported where it is used. Blocks.
    """
    for folder in folders:
        _check_private(folder)


def _check_private(folder: Path) -> None:
    with map_os_errors(folder):
        try:
            status = folder.stat()
        except (FileNotFoundError, NotADirectoryError):
            return
    if stat.S_ISDIR(status.st_mode) and status.st_mode & 0o022:
        raise StateUnusable(
            f"other users can write to {folder}, where figup keeps its jobs",
            hint=f"Run `chmod go-w {shlex.quote(str(folder))}`, or use another state directory.",
            path=str(folder),
        )
    if not _is_trusted(status):
        raise StateUnusable(f"{folder}, where figup keeps its jobs, belongs to another user", path=str(folder))


def _is_trusted(status: os.stat_result) -> bool:
    """Return whether this user or root owns it. Root accepts any owner: it runs in containers and on shares whose files
    have other owners.
    """
    return os.geteuid() in (0, status.st_uid) or status.st_uid == 0


@contextmanager
def as_resumable() -> Iterator[None]:
    """Re-raise StateUnusable as StateLost: the run is resumable."""
    try:
        yield
    except StateUnusable as error:
        raise StateLost(error.message) from error


def open_lock_file(path: Path) -> int:
    """Open a file, created if missing, for `try_flock`. Blocks. Raises as `map_os_errors` does."""
    with map_os_errors(path):
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE)


def sync_open_folder(fd: int) -> None:
    """Make the names in an open folder durable, where its file system can. Raises OSError."""
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise


def try_flock(fd: int) -> bool:
    """Take the kernel's exclusive lock without waiting; False if someone else holds it. It ends with the descriptor.

    Raises OSError if the file system has no locks, TimeoutError if it does not respond, at once from then on: where the
    lock daemon of a network file system is gone, the call hangs for minutes, and cannot be interrupted.
    """
    device = os.fstat(fd).st_dev
    silent = TimeoutError(errno.ETIMEDOUT, "file locks do not respond")
    if device in _silent_devices:
        raise silent
    result: list[bool | OSError] = []
    own = os.dup(fd)  # the caller may close its descriptor before the call returns
    thread = threading.Thread(target=_flock, args=(own, result), daemon=True)
    try:
        thread.start()
    except BaseException:
        os.close(own)
        raise
    thread.join(LOCK_TIME_LIMIT)
    if not result:
        _silent_devices.add(device)
        raise silent
    if isinstance(result[0], OSError):
        raise result[0]
    return result[0]


def take_flock(fd: int) -> bool | None:
    """Take the lock as `try_flock` does; None if the file system has no locks, or they do not respond."""
    try:
        return try_flock(fd)
    except OSError:
        return None


def is_at(path: Path, fd: int) -> bool:
    """Return whether the open file is the one at this path: another may have replaced or removed it. Raises OSError."""
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except FileNotFoundError:
        return False


def _flock(fd: int, result: list[bool | OSError]) -> None:
    """Append the result of the call, and close the descriptor."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        outcome: bool | OSError = True
    except BlockingIOError:
        outcome = False
    except OSError as error:
        outcome = error
    os.close(fd)
    result.append(outcome)


class Disk:
    """The real disk."""

    def make_folder(self, path: Path) -> None:
        """Create `path` and its missing parents, private to the user, durably."""
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
                sync_open_folder(fd)
            finally:
                os.close(fd)

    def open_append(self, path: Path) -> int:
        """Open an existing file for appending, not through a link; return its descriptor."""
        with map_os_errors(path):
            return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC)

    def write(self, fd: int, data: bytes, path: Path) -> None:
        """Write all of `data`; after an error some of it may have been written."""
        with map_os_errors(path):
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]

    def sync(self, fd: int, path: Path) -> None:
        """Make written data durable."""
        with map_os_errors(path):
            os.fsync(fd)

    def replace(self, path: Path, data: bytes, *, mode: int = FILE_MODE) -> None:
        """Write `path` atomically and durably: readers and a crash see the old file or the new one, never a part.

        `mode` is the new file's mode, before the umask. A link at `path` is replaced, not followed.
        """
        self.replace_in_pieces(path, (data,), mode=mode)

    def replace_in_pieces(self, path: Path, pieces: Iterable[bytes], *, mode: int = FILE_MODE) -> None:
        """As `replace`, with content that is not in memory as a whole."""
        with self._temporary(path, pieces, mode) as temporary, map_os_errors(path):
            temporary.replace(path)
        self.sync_folder(path.parent)

    def create(self, path: Path, data: bytes) -> bool:
        """Create `path` atomically and durably; return False if it exists. Of several processes, one succeeds, also
        across machines that share the file system. Without hard links, another process may see a partly written file.
        """
        with self._temporary(path, (data,), FILE_MODE) as temporary, map_os_errors(path):
            try:
                os.link(temporary, path)
            except FileExistsError:
                # A network file system may have made the link, lost the response and repeated the request. The link
                # count may come from a cache, so compare the content.
                if self.read(path) != data:
                    return False
            except OSError as error:
                if error.errno not in NO_HARD_LINKS:
                    raise
                if not self._create_in_place(path, data):
                    return False
        self.sync_folder(path.parent)
        return True

    @contextmanager
    def _temporary(self, path: Path, pieces: Iterable[bytes], mode: int) -> Iterator[Path]:
        """Write `pieces` durably to a temporary file beside `path`, which is removed afterwards unless renamed."""
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        with map_os_errors(path):
            fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            self._fill(fd, pieces, path)
            yield temporary
        finally:
            with map_os_errors(path):
                temporary.unlink(missing_ok=True)

    def _create_in_place(self, path: Path, data: bytes) -> bool:
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
        except FileExistsError:
            return False
        self._fill(fd, (data,), path)
        return True

    def _fill(self, fd: int, pieces: Iterable[bytes], path: Path) -> None:
        """Write a new file durably and close it."""
        try:
            for piece in pieces:
                self.write(fd, piece, path)
            self.sync(fd, path)
        finally:
            os.close(fd)

    def append(self, path: Path, data: bytes) -> None:
        """Append to a file, created if missing. Not durable: an error or a crash may leave part of the data."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        with map_os_errors(path):
            fd = os.open(path, flags, FILE_MODE)
            try:
                self.write(fd, data, path)
            finally:
                os.close(fd)

    def put(self, path: Path, data: bytes) -> None:
        """Write `path` atomically but not durably. For one writer per path.

        The temporary file has a fixed name, so that killed writers leave one at most.
        """
        temporary = path.with_name(f".{path.name}.new")
        with map_os_errors(path):
            temporary.unlink(missing_ok=True)
            fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
            try:
                self.write(fd, data, path)
            finally:
                os.close(fd)
            temporary.replace(path)

    def lines(self, path: Path) -> Iterator[bytes]:
        """Yield the lines of a file with their line ends, reading lazily; none if it does not exist."""
        with map_os_errors(path), _opened(path) as file:
            yield from file or ()

    def read_from(self, path: Path, offset: int) -> bytes:
        """Return the content of a file from `offset` (bytes) on, nothing if it does not exist."""
        with map_os_errors(path), _opened(path) as file:
            if file is None:
                return b""
            file.seek(offset)
            return file.read()

    def read(self, path: Path) -> bytes | None:
        """Return the content of a file, None if it does not exist."""
        with map_os_errors(path), _opened(path) as file:
            return file.read() if file is not None else None


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO | None]:
    """Open a file to read, not through a link; None if it does not exist.

    Another user's file is refused: anyone with write access to a parent folder can replace what was checked before.
    Raises OSError, StateUnusable.
    """
    try:
        fd = os.open(path, _READ)
    except FileNotFoundError:
        yield None
        return
    with os.fdopen(fd, "rb") as file:
        if not _is_trusted(os.fstat(file.fileno())):
            raise StateUnusable(f"{path} belongs to another user", path=str(path))
        yield file
