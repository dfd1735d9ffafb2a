"""A file's status at a given time: pure functions of its recorded times and the delays, so restarts lose nothing.

States and their order: created → ic_checking → ic_success → moving_to_final → available, and ic_failure for an MD5 that
differs from the supplied one (observed by clients of the real service; the documentation names only `available`).
"""

from __future__ import annotations

from dataclasses import dataclass

from uploader.sandbox.settings import Delays


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """Times of a file's events in seconds since the epoch; None: not yet.

    `md5` is the MD5 of the stored bytes once it is known, and stays None if `hashed` is set without it.
    `supplied` is the client's, or "".
    """

    completed: float | None
    hashed: float | None
    md5: str | None
    supplied: str


def accepted_at(progress: Progress, now: float, delays: Delays) -> bool:
    """Return whether the completion is visible: the upload is COMPLETED, and the file's record no longer has its
    address.
    """
    return progress.completed is not None and now >= progress.completed + delays.created


def status(progress: Progress, now: float, delays: Delays) -> str:
    """Return the file's `status` at `now`."""
    if progress.completed is None or not accepted_at(progress, now, delays):
        return "created"
    if progress.hashed is None:
        return "ic_checking"
    boundary = max(progress.hashed, progress.completed + delays.created + delays.checking)
    if now < boundary:
        return "ic_checking"
    if progress.supplied and progress.md5 not in {None, progress.supplied}:
        return "ic_failure"
    if now < boundary + delays.success:
        return "ic_success"
    if now < boundary + delays.success + delays.moving:
        return "moving_to_final"
    return "available"


def computed_md5(progress: Progress, now: float, delays: Delays) -> str:
    """Return the `computed_md5` to show at `now`; "" until known, and always if `delays.md5` is None."""
    if progress.completed is None or progress.md5 is None or delays.md5 is None:
        return ""
    return progress.md5 if now >= progress.completed + delays.created + delays.md5 else ""


def settled(progress: Progress, now: float, delays: Delays) -> bool:
    """Return whether the status is final."""
    if status(progress, now, delays) not in {"available", "ic_failure"}:
        return False
    return delays.md5 is None or progress.md5 is None or bool(computed_md5(progress, now, delays))
