"""Locks for starting a remote file, with a log of the starts, for jobs on this machine that send to the same item.

A place is a folder and name in an item. The number of lock files is fixed: each place belongs to one of `_STRIPES`
locks, each with a log of the last starts in its places. A line of a log is `ITEM PLACE JOB NONCE`. Without file locks,
the log still shows other jobs' starts, but two that start the same place at the same moment do not notice each other.
"""

from __future__ import annotations

import enum
import hashlib
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from uploader.disk import Disk, as_resumable, map_os_errors, open_lock_file, take_flock

_STRIPES = 64
_KEPT = 64
"""Maximum lines of a log. For dropped lines only job and item are kept, up to the same number."""
_ANY = "*"
"""Placeholder for all places of an item."""
RECENT = 60.0
"""Seconds for which a listing of the item may lack a file that another job has just started."""


class Refusal(enum.Enum):
    """Why a place may not be started now."""

    TAKEN = "another process, or another task of this one, has the turn"
    OUTDATED = "another job started something there since the decision"


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a log."""

    item: str
    place: str
    job: str
    nonce: str


class PlaceLog:
    """The locks and starts of one item, as seen by one job. All calls block."""

    def __init__(self, folder: Path, disk: Disk, job: str, endpoint: str, item_id: int) -> None:
        self._folder = folder
        self._disk = disk
        self._job = job
        self._item = _digest(f"{endpoint}\n{item_id}")
        self.seen: frozenset[Start] = frozenset()
        """Starts of other jobs that a decision of this job takes into account."""
        self._made = False

    def survey(self) -> None:
        """Record the starts of other jobs, before the item is listed.

        Excluded are starts that the listing may lack: recent ones, and those with a request in flight.
        """
        self.seen = frozenset(self._others(recent=False))

    def survey_all(self) -> tuple[frozenset[Start], frozenset[str]]:
        """Return the starts of other jobs, except those with requests in flight, and the jobs that are new among them.

        A listing may lack recent starts: the caller reads the journals of these jobs and lists the item, then sets
        `seen`.
        """
        found = frozenset(self._others(recent=True))
        return found, frozenset(start.job for start in found - self.seen)

    def begin(self, place: str, seen: frozenset[Start]) -> int | Refusal:
        """Take the lock for a place, and log the start. Returns a descriptor to close when the request has ended.

        `seen` is its value when the decision to start was begun. Raises StateDiskFull, StateLost.
        """
        with as_resumable():
            return self._begin(place, seen)

    def _begin(self, place: str, seen: frozenset[Start]) -> int | Refusal:
        digest = _digest(place)
        stripe = int(digest, 16) % _STRIPES
        if not self._made:
            self._disk.make_folder(self._folder)
            self._made = True
        fd = open_lock_file(self._path(stripe).with_suffix(".lock"))
        begun = False
        try:
            if take_flock(fd) is False:
                return Refusal.TAKEN
            starts = self._read(stripe)
            if any(s.place in (digest, _ANY) and self._is_foreign(s) and s not in seen for s in starts):
                return Refusal.OUTDATED
            new = Start(item=self._item, place=digest, job=self._job, nonce=secrets.token_hex(4))
            self._write(stripe, starts, new)
            begun = True
            return fd
        finally:
            if not begun:
                os.close(fd)

    def _is_foreign(self, start: Start) -> bool:
        return start.item == self._item and start.job != self._job

    def _others(self, *, recent: bool) -> Iterator[Start]:
        for stripe in range(_STRIPES):
            path = self._path(stripe)
            with map_os_errors(path):
                if not path.exists() or (not recent and abs(time.time() - path.stat().st_mtime) < RECENT):
                    continue
            with _locked(path.with_suffix(".lock")) as locked:
                if locked:
                    yield from filter(self._is_foreign, self._read(stripe))

    def _read(self, stripe: int) -> list[Start]:
        lines = (self._disk.read(self._path(stripe)) or b"").decode("ascii", "replace").splitlines()
        rows = (words for line in lines if len(words := line.split(" ")) == 4)
        return [Start(item=item, place=place, job=job, nonce=nonce) for item, place, job, nonce in rows]

    def _write(self, stripe: int, starts: list[Start], new: Start) -> None:
        """Append to the log; shorten it when it has become long."""
        if len(starts) < 2 * _KEPT:
            self._disk.append(self._path(stripe), _line(new))
            return
        dropped, kept = starts[: len(starts) - _KEPT], [*starts[len(starts) - _KEPT :], new]
        jobs = {(start.item, start.job): msgspec.structs.replace(start, place=_ANY) for start in dropped}
        self._disk.put(self._path(stripe), b"".join(_line(start) for start in [*jobs.values(), *kept][-2 * _KEPT :]))

    def _path(self, stripe: int) -> Path:
        return self._folder / f"{stripe:02x}"


@contextmanager
def _locked(path: Path) -> Iterator[bool]:
    fd = open_lock_file(path)
    try:
        yield take_flock(fd) is not False
    finally:
        os.close(fd)


def _line(start: Start) -> bytes:
    return f"{start.item} {start.place} {start.job} {start.nonce}\n".encode("ascii")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]
