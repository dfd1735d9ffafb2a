"""The target folder of a download: every path is below it, and no symbolic link is followed. Blocking calls."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from uploader.disk import NO_HARD_LINKS, sync_open_folder
from uploader.errors import FigupError, TargetFull, TargetUnusable
from uploader.system import transient_error
from uploader.text import printable

_FULL = {errno.ENOSPC, errno.EDQUOT}
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW


@contextmanager
def target_errors(path: str) -> Iterator[None]:
    """Turn an OSError inside into TargetFull, TargetUnusable, StorageUnavailable or ResourcesExhausted."""
    try:
        yield
    except OSError as error:
        raise _translated(error, path) from error


def _translated(error: OSError, path: str) -> FigupError:
    why = error.strerror or str(error)
    if (transient := transient_error(error, path)) is not None:
        return transient
    if error.errno in _FULL:
        return TargetFull(f"{printable(path)}: cannot be written: {why}", path=path)
    if error.errno in (errno.ELOOP, errno.ENOTDIR):
        why = "a link or a file is in the place of a folder"
    return TargetUnusable(f"{printable(path)}: cannot be written: {why}", path=path)


class TargetFolder:
    """A folder below the target, kept open so that no rename or link made meanwhile can lead elsewhere."""

    def __init__(self, top: Path, folder: str) -> None:
        """Open `folder` ("a/b", "" for the top), creating what is missing. Raises TargetFull, TargetUnusable."""
        self._shown = str(top / folder) if folder else str(top)
        with target_errors(self._shown):
            top.mkdir(parents=True, exist_ok=True)
            self.fd = os.open(top, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                for name in folder.split("/") if folder else ():
                    self._enter(name)
            except BaseException:
                self.close()
                raise

    def _enter(self, name: str) -> None:
        with suppress(FileExistsError):
            os.mkdir(name, dir_fd=self.fd)
        inner = os.open(name, _FOLDER, dir_fd=self.fd)
        os.close(self.fd)
        self.fd = inner

    def shown(self, name: str) -> str:
        """Return the path of a file in it, for messages."""
        return f"{self._shown}/{name}"

    def size_of(self, name: str) -> int | None:
        """Return the size in bytes of the regular file of this name; None if it does not exist.

        Raises TargetUnusable for a link, a folder or anything else.
        """
        with target_errors(self.shown(name)):
            try:
                status = os.stat(name, dir_fd=self.fd, follow_symlinks=False)
            except FileNotFoundError:
                return None
        if not stat.S_ISREG(status.st_mode):
            raise TargetUnusable(f"{printable(self.shown(name))}: exists and is not a regular file", path=name)
        return status.st_size

    def open(self, name: str, flags: int) -> int:
        """Open a file in it, not through a link; return its descriptor. New files get the permissions of the umask."""
        with target_errors(self.shown(name)):
            return os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666, dir_fd=self.fd)

    def links(self, name: str, fd: int) -> int:
        """Return the number of links of the open file; 0 if this name is no longer one of them."""
        with target_errors(self.shown(name)):
            try:
                status = os.stat(name, dir_fd=self.fd, follow_symlinks=False)
            except FileNotFoundError:
                return 0
            return status.st_nlink if os.path.samestat(status, os.fstat(fd)) else 0

    def publish(self, temporary: str, name: str, *, replace: bool) -> bool:
        """Give a finished file its name, durably. False if a file of that name appeared meanwhile, unless `replace`."""
        with target_errors(self.shown(name)):
            if replace:
                os.rename(temporary, name, src_dir_fd=self.fd, dst_dir_fd=self.fd)
            elif not self._link(temporary, name):
                return False
            sync_open_folder(self.fd)
        return True

    def _link(self, temporary: str, name: str) -> bool:
        try:
            os.link(temporary, name, src_dir_fd=self.fd, dst_dir_fd=self.fd, follow_symlinks=False)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in NO_HARD_LINKS:
                raise
            # A file system without hard links: not possible in one step.
            if self.size_of(name) is not None:
                return False
            os.rename(temporary, name, src_dir_fd=self.fd, dst_dir_fd=self.fd)
            return True
        with suppress(FileNotFoundError):  # another process found the finished file and removed the leftover
            os.unlink(temporary, dir_fd=self.fd)
        return True

    def remove(self, name: str) -> None:
        """Remove a file if it exists."""
        with target_errors(self.shown(name)), suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self.fd)

    def close(self) -> None:
        """Close the folder."""
        os.close(self.fd)
