"""Records of what commands create outside a job: the marks that an interrupted run may have left on Figshare.

A record is an empty file in the state directory, named by its mark and made before the request. The command holds the
kernel's lock on it, so that a record whose lock is free belongs to a run that has ended. Only such a mark is adopted,
and by one command at a time. Without a usable state directory or file locks nothing is recorded or adopted.
"""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from uploader.disk import Disk, check_private, is_at, map_os_errors, open_lock_file, take_flock
from uploader.errors import FigupError, StateUnusable
from uploader.items.mark import mark_prefix, new_mark

log = logging.getLogger("uploader.items.creations")


class Creations:
    """The records that one command holds. A context manager: at its end the locks are released. All calls block."""

    def __init__(self, folder: Path, disk: Disk) -> None:
        self._folder = folder
        self._disk = disk
        self._held: dict[str, int] = {}
        """Descriptors of the locked records, by mark."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        for fd in self._held.values():
            os.close(fd)
        self._held.clear()

    def __contains__(self, mark: str) -> bool:
        """Return whether the next run of the same command can adopt what has this mark."""
        return mark in self._held

    def adopt_interrupted(self, origin: str) -> list[str]:
        """Lock the records that ended runs of the same command left; return their marks.

        Raises StateUnusable if other users can write to the state directory.
        """
        try:
            check_private(self._folder.parent, self._folder)
            for path in self._recorded(origin):
                self._take(path)
        except FigupError as error:
            if isinstance(error, StateUnusable) and error.__cause__ is None:
                raise  # the folder can be used, by others too
            log.warning("cannot look for what an interrupted run created: %s", error)
        return list(self._held)

    def unfinished(self) -> dict[str, datetime]:
        """Return the marks of creations by any command that were interrupted, and when they began.

        Raises StateUnusable, StateLost.
        """
        check_private(self._folder)
        found: dict[str, datetime] = {}
        for path in self._recorded(""):
            if (fd := self._locked(path)) is None:
                continue
            try:
                found[path.name] = datetime.fromtimestamp(os.fstat(fd).st_mtime, UTC)
            finally:
                os.close(fd)
        return found

    def forget(self, mark: str) -> bool:
        """Remove the record of a creation whose command has ended; return whether it was removed.

        Raises StateUnusable, StateLost.
        """
        self._take(self._folder / mark)
        if mark not in self._held:
            return False
        self.end(mark)
        return True

    def begin(self, origin: str) -> str:
        """Record a new mark and return it."""
        mark = new_mark(origin)
        path = self._folder / mark
        try:
            self._disk.make_folder(self._folder)
            check_private(self._folder)
            os.close(open_lock_file(path))
            self._take(path)
            if mark not in self._held:
                self._remove(path)
                mark = new_mark(origin)  # unrecorded: another command may have taken the first one
            self._disk.sync_folder(self._folder)
        except FigupError as error:
            log.warning("cannot record what is being created: %s", error)
        return mark

    def end(self, mark: str) -> None:
        """Remove the record of a mark that nothing on Figshare has now."""
        fd = self._held.pop(mark, None)
        if fd is None:
            return
        try:
            self._remove(self._folder / mark)
        except FigupError as error:
            log.warning("cannot remove the record of what was created: %s", error)
        finally:
            os.close(fd)

    def _recorded(self, origin: str) -> list[Path]:
        """Return the records of one command, or with "" of all."""
        prefix = mark_prefix(origin) if origin else ""
        with map_os_errors(self._folder):
            if not self._folder.exists():
                return []
            return sorted(path for path in self._folder.iterdir() if path.name.startswith(prefix))

    def _take(self, path: Path) -> None:
        """Hold a record unless another command does, or has just removed it."""
        if (fd := self._locked(path)) is not None:
            self._held[path.name] = fd

    @staticmethod
    def _locked(path: Path) -> int | None:
        """Return the descriptor of a record, locked; None if another command holds it, or has just removed it."""
        with map_os_errors(path):
            try:
                fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            except FileNotFoundError:
                return None
        with suppress(OSError):
            if take_flock(fd) is True and is_at(path, fd):
                return fd
        os.close(fd)
        return None

    @staticmethod
    def _remove(path: Path) -> None:
        with map_os_errors(path):
            path.unlink(missing_ok=True)
