"""Progress bars on a terminal: one for the whole job, one per active file. Drawn by the output thread."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from tqdm import tqdm

from uploader import units
from uploader.cli.output.progress_lines import Forecast, awaits_checksums, limit_text, requests_time_left
from uploader.cli.output.writer import OutputThread
from uploader.clock import RecentRate
from uploader.text import shorten
from uploader.transfer import notices as no

WAITING = "waiting for Figshare's checksum"
_SENDING = "{desc} {percent:>3}%|{bar}| {done} of {size}, {speed}, {left} left"
_SENDING_SHORT = "{desc} {percent:>3}%|{bar}| {speed}, {left} left"
_QUEUED = "{desc} {percent:>3}%, {size} to come"
_COMPLETING = "{desc} {percent:>3}%, being completed"
_WAITING = "{desc} {percent:>3}%, " + WAITING + " ({waited})"
_TOTAL = "{desc} {percent:>3}%|{bar}| {done} of {size}, {files}{speed}, {left} left{connections}"
_TOTAL_SHORT = "{desc} {percent:>3}%|{bar}| {files}{speed}, {left} left"
_TOTAL_WAITING = "{desc} {percent:>3}%|{bar}| {done} of {size}, {files}" + WAITING
_TOTAL_HELD = "{desc} {percent:>3}%|{bar}| {files}held by {limit}, about {requests_left} left"
_TOTAL_HELD_SHORT = "{desc} {percent:>3}%, {files}limit: {request_rate}, {requests_left} left"
_TOTAL_WAITING_SHORT = "{desc} {percent:>3}%, " + WAITING
_SPEED_NARROW = "{desc} {percent:>3}%, {speed}, {left} left"
_WAITING_NARROW = "{desc} {percent:>3}%, awaiting checksum"
_TOTAL_HELD_NARROW = "{desc} {percent:>3}%, {requests_left} left"
_SHORT = {
    _SENDING: _SENDING_SHORT,
    _TOTAL: _TOTAL_SHORT,
    _TOTAL_WAITING: _TOTAL_WAITING_SHORT,
    _TOTAL_HELD: _TOTAL_HELD_SHORT,
}
"""Replacement styles for terminals with fewer than _WIDE_COLUMNS columns."""
_NARROW = {
    _SENDING: _SPEED_NARROW,
    _WAITING: _WAITING_NARROW,
    _TOTAL: _SPEED_NARROW,
    _TOTAL_WAITING: _WAITING_NARROW,
    _TOTAL_HELD: _TOTAL_HELD_NARROW,
}
"""Those for terminals with fewer than _SHORT_COLUMNS columns."""
_WIDE_COLUMNS = 110
_SHORT_COLUMNS = 60
_FILES = 8
"""Maximum number of file bars."""
_ROWS_KEPT = 3
"""Terminal lines that bars leave free."""


class Bar(tqdm):  # type: ignore[type-arg]
    """A bar whose rate and remaining time are set, not estimated from when it was drawn."""

    monitor_interval = 0

    def __init__(self, name: str, total: int, position: int, style: str) -> None:
        self.rate: float | None = None
        self.left: float | None = None
        self.connections = ""
        self.files = ""
        self.request_rate = 0.0
        self.requests_left = ""
        self.waited = 0.0
        self._name = name
        super().__init__(
            total=total,
            position=position,
            bar_format=_style_for_width(style),
            leave=False,
            dynamic_ncols=True,
            file=sys.stderr,
        )

    @property
    def format_dict(self) -> dict[str, Any]:
        """The fields that a style may use."""
        known = dict(super().format_dict)
        # Leave two columns for the ^C that a terminal echoes, which would otherwise wrap the line.
        columns = max(10, _terminal().columns - 2)
        return {
            **known,
            "ncols": columns,
            "prefix": shorten(self._name, max(6, columns // 4)),
            "percent": 100 * known["n"] // known["total"] if known["total"] else 100,
            "speed": units.format_rate(self.rate) if self.rate is not None else "-",
            "left": units.format_duration(self.left) if self.left is not None else "?",
            "waited": f"{self.waited:.0f} s",
            "done": units.format_bytes(known["n"]),
            "size": units.format_bytes(known["total"]),
            "connections": self.connections,
            "files": self.files,
            "limit": limit_text(self.request_rate),
            "request_rate": f"{self.request_rate:g} {'request' if self.request_rate == 1 else 'requests'}/s",
            "requests_left": self.requests_left,
        }

    def show(self, done: int, style: str, *, of: int | None = None) -> None:
        """Draw the bar. `of` is the total; None if unchanged."""
        self.n, self.bar_format = done, _style_for_width(style)
        self.total = self.total if of is None else of
        self.refresh()


def _style_of(file: no.ActiveFile) -> str:
    """Choose what a file's bar shows."""
    if file.waiting:
        return _WAITING
    if file.bytes_done >= file.size:
        return _COMPLETING
    return _SENDING if file.bytes_done else _QUEUED


def _style_for_width(style: str) -> str:
    """Return the style, shortened on a narrow terminal."""
    columns = _terminal().columns
    replacements = _NARROW if columns < _SHORT_COLUMNS else _SHORT if columns < _WIDE_COLUMNS else {}
    return replacements.get(style, style)


class Bars:
    """Progress on a terminal. Called on the event loop; the output thread does the drawing."""

    def __init__(self, output: OutputThread, clock: Callable[[], float] = time.monotonic) -> None:
        self._output = output
        self._clock = clock
        self._total: Bar | None = None
        self._bars: dict[str, Bar] = {}
        self._forecast = Forecast()
        self._speeds: dict[str, RecentRate] = {}
        self._waiting: dict[str, float] = {}

    def job_started(self, notice: no.JobStarted) -> None:
        """Do nothing: the first progress opens the bars."""

    def file_started(self, notice: no.FileStarted) -> None:
        """Exclude bytes already present from the speed."""
        self._output.do(lambda: self._forget_speed(notice.path))

    def update(self, notice: no.Progress) -> None:
        """Draw the progress; skip it while the terminal is blocked, since newer progress follows."""
        now = self._clock()
        if not self._output.blocked:
            self._output.do(lambda: self._draw(notice, now))

    def close(self) -> None:
        """Remove the bars."""
        self._output.do(self._close)

    def _draw(self, progress: no.Progress, now: float) -> None:
        total = self._total or self._open(progress)
        total.rate, total.left = progress.rate, self._forecast(now, progress)
        connections = units.format_count(progress.connections, "connection")
        total.connections = f", {connections}" if progress.connections else ""
        failed = f"{progress.files_failed} failed, " if progress.files_failed else ""
        files = f"{progress.files_done} of {progress.files_total} files, " if progress.files_total > 1 else ""
        total.files = files + failed
        shown = progress.active[:_FILES]
        if progress.request_rate is not None:
            total.request_rate, total.requests_left = progress.request_rate, requests_time_left(progress)
            total.show(progress.requests_total - progress.requests_left, _TOTAL_HELD, of=progress.requests_total)
            # Most wait for a request, which the line already says.
            shown = tuple(file for file in shown if 0 < file.bytes_done < file.size)
        else:
            style = _TOTAL_WAITING if awaits_checksums(progress) else _TOTAL
            total.show(progress.bytes_done, style, of=progress.bytes_total)
        active = {file.path for file in shown}
        for path in [path for path in self._bars if path not in active]:
            self._bars.pop(path).close()
            self._forget_speed(path)
            self._waiting.pop(path, None)
        for file in shown:
            self._draw_file(file, now)

    def _forget_speed(self, path: str) -> None:
        self._speeds.pop(path, None)

    def _draw_file(self, file: no.ActiveFile, now: float) -> None:
        bar = self._bars.get(file.path) or self._bar_for(file)
        if bar is None:
            return
        bar.rate = self._speeds.setdefault(file.path, RecentRate()).sample(now, file.bytes_done)
        bar.left = (file.size - file.bytes_done) / bar.rate if bar.rate else None
        if file.waiting:
            bar.waited = now - self._waiting.setdefault(file.path, now)
        bar.show(file.bytes_done, _style_of(file))

    def _bar_for(self, file: no.ActiveFile) -> Bar | None:
        """Open a bar on the first free line; None if the terminal is full."""
        used_lines = {-bar.pos for bar in self._bars.values()}
        line = next(line for line in range(1, len(used_lines) + 2) if line not in used_lines)
        if line > _terminal().lines - _ROWS_KEPT:
            return None
        self._bars[file.path] = bar = Bar(file.name, file.size, line, _SENDING)
        return bar

    def _open(self, progress: no.Progress) -> Bar:
        # By default tqdm creates a multiprocessing lock, which is not available on every machine.
        Bar.set_lock(threading.RLock())
        self._output.line_sink = lambda line: Bar.write(line, file=sys.stderr)
        self._total = Bar("total", progress.bytes_total, 0, _TOTAL)
        return self._total

    def _close(self) -> None:
        for bar in (*self._bars.values(), *((self._total,) if self._total is not None else ())):
            bar.close()
        self._bars, self._total = {}, None
        self._output.line_sink = None


def _terminal() -> os.terminal_size:
    """Return columns and lines."""
    try:
        size = os.get_terminal_size(sys.stderr.fileno())
    except (OSError, ValueError):
        return os.terminal_size((80, 24))
    return os.terminal_size((size.columns or 80, size.lines or 24))
