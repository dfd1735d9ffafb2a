"""A disk that fails for a whole folder, full or read-only, in every call. For a separate process."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

ERRORS = {"full": errno.ENOSPC, "read-only": errno.EROFS}
_CHANGES = {
    "full": {"mkdir": 1, "link": 2, "symlink": 2},
    "read-only": {"mkdir": 1, "link": 2, "symlink": 2, "unlink": 1, "rmdir": 1, "rename": 2, "replace": 2},
}
"""Calls that change a folder: those that need space, those that only need a writable disk, and their number of paths.
"""


class BadDisk:
    """Once `bad` returns an error, every change of `folder` fails: opening, syncing, linking, renaming, removing.
    Writing to open files is left to the caller.
    """

    def __init__(self, folder: Path, how: str, bad: Callable[[], bool]) -> None:
        self._folder = folder
        self._how = how
        self._bad = bad
        self._open = os.open
        self._sync = os.fsync

    def put_in(self) -> None:
        """Install it in this process, permanently."""
        for name, paths in _CHANGES[self._how].items():
            mock.patch.object(os, name, self._refusing(getattr(os, name), paths)).start()
        mock.patch.object(os, "open", self.open).start()
        mock.patch.object(os, "fsync", self.fsync).start()

    def open(self, path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
        makes = flags & os.O_CREAT and not Path(path).exists()
        if makes or (self._how == "read-only" and flags & (os.O_WRONLY | os.O_RDWR | os.O_TRUNC)):
            self._refuse(path)
        return self._open(path, flags, *args, **kwargs)

    def fsync(self, fd: int) -> None:
        self._refuse(Path(f"/proc/self/fd/{fd}").readlink())
        self._sync(fd)

    def _refusing(self, call: Callable[..., Any], paths: int) -> Callable[..., Any]:
        def refuse_or_call(*args: Any, **kwargs: Any) -> Any:
            for path in args[:paths]:
                self._refuse(path)
            return call(*args, **kwargs)

        return refuse_or_call

    def _refuse(self, path: str | Path) -> None:
        if self._bad() and Path(path).is_relative_to(self._folder):
            raise OSError(ERRORS[self._how], os.strerror(ERRORS[self._how]), str(path))
