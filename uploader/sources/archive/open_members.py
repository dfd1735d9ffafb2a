"""The members of an archive that are open: at most a few at a time, shared by the threads that read them."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

from uploader.concurrency import close_in_background
from uploader.sources.archive.members import column_time
from uploader.sources.archive.plan import Plan
from uploader.system import PATH_FAULTS, path_error

OPEN_MEMBERS = 4
"""Maximum number of members kept open after a read for the next one."""


class OpenMembers:
    """Descriptors of members; the last used stay open."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._lock = threading.Lock()
        self._open: OrderedDict[int, int] = OrderedDict()
        """Member → descriptor, of those that are not being read."""
        self._shared: dict[int, list[int]] = {}
        """Member → descriptor and its number of readers."""
        self._closed = False
        self.are_steady = True
        """True if all members opened so far had the planned inodes and times."""

    @contextmanager
    def open(self, index: int) -> Iterator[int]:
        """Open a member's source for a read. Raises SourceChanged if it does not fit the plan."""
        fd = self._take(index)
        if fd is None:
            fd = self._share(index, self._opened(index))
        try:
            yield fd
        finally:
            self._put_back(index)
            for unused in self._take_unused():
                os.close(unused)

    @contextmanager
    def already_open(self, index: int) -> Iterator[int | None]:
        """Yield the descriptor of an open member; None if it is not open. Does not block: it stays open until another
        call closes it.
        """
        fd = self._take(index)
        try:
            yield fd
        finally:
            if fd is not None:
                self._put_back(index)
                if self._closed:
                    close_in_background(self._take_unused())

    def detach(self) -> list[int]:
        """Return all that are not being read, for the caller to close. The others are closed when their readers end."""
        with self._lock:
            self._closed = True
        return self._take_unused()

    def _take(self, index: int) -> int | None:
        with self._lock:
            shared = self._shared.get(index)
            if shared is None:
                fd = self._open.pop(index, None)
                if fd is None:
                    return None
                shared = self._shared[index] = [fd, 0]
            shared[1] += 1
            return shared[0]

    def _share(self, index: int, fd: int) -> int:
        with self._lock:
            shared = self._shared.setdefault(index, [self._open.pop(index, fd), 0])
            shared[1] += 1
        if shared[0] != fd:
            os.close(fd)  # another thread was quicker
        return shared[0]

    def _put_back(self, index: int) -> None:
        with self._lock:
            shared = self._shared[index]
            shared[1] -= 1
            if not shared[1]:
                del self._shared[index]
                self._open[index] = shared[0]

    def _take_unused(self) -> list[int]:
        """Return what is unused and above the maximum, to be closed without the lock: that may hang, and the event loop
        takes the lock.
        """
        with self._lock:
            most = 0 if self._closed else OPEN_MEMBERS
            return [self._open.popitem(last=False)[1] for _ in range(len(self._open) - most)]

    def _opened(self, index: int) -> int:
        path = self._plan.members.path(index)
        try:
            # Opening a pipe without a writer would block forever.
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except PATH_FAULTS as error:
            self._plan.source_status(index)  # raises SourceChanged if it is gone
            raise path_error(error, path) from error
        try:
            status = self._plan.check(index, os.fstat(fd))
        except BaseException:
            os.close(fd)
            raise
        members = self._plan.members
        if (column_time(status.st_ctime_ns), status.st_ino) != (members.ctimes[index], members.inodes[index]):
            self.are_steady = False
        return fd
