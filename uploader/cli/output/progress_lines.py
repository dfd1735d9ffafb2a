"""Plain progress lines for batch logs and pipes, without control characters."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from uploader import units
from uploader.clock import RecentRate
from uploader.transfer import notices as no

EVERY = 30.0
"""Seconds between two lines."""
_FILES_WINDOW = 60.0
"""Seconds over which the rate of files is averaged, which finish less often than bytes are sent."""
_MANY_FILES = 50
"""Number of files from which the remaining time is also estimated from the number of files."""


def time_left(progress: no.Progress) -> float | None:
    """Return the remaining seconds at the current rate; None if unknown."""
    if not progress.rate:
        return None
    return (progress.bytes_total - progress.bytes_done) / progress.rate


class Forecast:
    """Remaining time that also considers the number of files: many small files are limited by requests, not bytes."""

    def __init__(self) -> None:
        self._files = RecentRate(_FILES_WINDOW)

    def __call__(self, now: float, progress: no.Progress) -> float | None:
        """Return the remaining seconds, or None."""
        by_bytes, rate = time_left(progress), self._files.sample(now, progress.files_done)
        if progress.files_total < _MANY_FILES or not rate:
            return by_bytes
        return max(by_bytes or 0.0, (progress.files_total - progress.files_done) / rate)


def limit_text(request_rate: float) -> str:
    """Name the limit of requests per second."""
    if request_rate == 1:
        return "Figshare's limit of one request a second"
    return f"the limit of {request_rate:g} requests a second"


def requests_time_left(progress: no.Progress) -> str:
    """Format how long the requests that are left take; "?" if nothing limits them."""
    return units.format_duration(progress.requests_left / progress.request_rate) if progress.request_rate else "?"


def awaits_checksums(progress: no.Progress) -> bool:
    """Return whether only checksums are pending: of many small files, all started ones have often been sent."""
    waiting = bool(progress.active) and all(file.waiting for file in progress.active)
    unfinished = progress.files_total - progress.files_done - progress.files_failed
    return waiting and (not progress.rate or 0 < unfinished <= len(progress.active))


def _files_text(progress: no.Progress) -> str:
    verified = f"{progress.files_done} of {units.format_count(progress.files_total, 'file')} verified"
    return f"{verified}, {progress.files_failed} failed" if progress.files_failed else verified


def progress_line(progress: no.Progress, left: float | None = None) -> str:
    """Format progress as one line. `left`: remaining seconds; None: estimate them from the bytes."""
    if progress.request_rate is not None:
        done = units.format_percent(progress.requests_total - progress.requests_left, progress.requests_total)
        held = f"held by {limit_text(progress.request_rate)}, about {requests_time_left(progress)} left"
        return f"{_files_text(progress)}, {done}, {held}"
    parts = [
        f"{units.format_bytes(progress.bytes_done)} of {units.format_bytes(progress.bytes_total)}"
        f" ({units.format_percent(progress.bytes_done, progress.bytes_total)})",
        _files_text(progress),
    ]
    left = time_left(progress) if left is None else left
    if progress.files_done + progress.files_failed >= progress.files_total:
        pass
    elif awaits_checksums(progress):
        parts.append("waiting for Figshare's checksum")
    else:
        if progress.rate is not None:
            parts.append(units.format_rate(progress.rate))
        if left is not None:
            parts.append(f"{units.format_duration(left)} left")
        if progress.connections:
            parts.append(units.format_count(progress.connections, "connection"))
    if progress.members:
        parts.append(f"{1 + len(progress.members)} processes")
    return ", ".join(parts)


class Lines:
    """Writes a progress line at the start, at intervals and at the end."""

    def __init__(self, write: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._write = write
        self._clock = clock
        self._due: float | None = None
        self._latest: no.Progress | None = None
        self._last_written: no.Progress | None = None
        self._forecast = Forecast()
        self._left: float | None = None

    def job_started(self, notice: no.JobStarted) -> None:
        """Write the first line."""
        self._due = self._clock() + EVERY
        resumed = ", resumed" if notice.resumed else ""
        amount = f"{units.format_count(notice.files, 'file')}, {units.format_bytes(notice.bytes_total)}"
        self._write(f"job {notice.job}{resumed}: {amount}")

    def file_started(self, notice: no.FileStarted) -> None:
        """Do nothing: the next progress includes it."""

    def update(self, notice: no.Progress) -> None:
        """Write a line if one is due."""
        self._latest = notice
        now = self._clock()
        self._left = self._forecast(now, notice)
        if self._due is None or now >= self._due:
            self._due = now + EVERY
            self._write_progress(notice)

    def close(self) -> None:
        """Write the last line, without forecasts: nothing is being sent now."""
        if self._latest is not None and self._latest is not self._last_written:
            ended = msgspec.structs.replace(self._latest, rate=None, connections=0, active=(), request_rate=None)
            self._write(progress_line(ended))

    def _write_progress(self, progress: no.Progress) -> None:
        self._last_written = progress
        self._write(progress_line(progress, self._left))
