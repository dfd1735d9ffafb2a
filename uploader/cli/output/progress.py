"""Displays of a running job: JSON Lines, bars on a terminal, or an occasional plain line."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from uploader import units
from uploader.cli.errors import Failure
from uploader.cli.hints import hint_for
from uploader.cli.output.console import Console
from uploader.cli.output.notice_log import log_notice
from uploader.cli.output.progress_lines import Lines, progress_line
from uploader.cli.output.summary import LIST_THEM, MAX_LISTED
from uploader.errors import ExitStatus
from uploader.text import printable
from uploader.transfer import notices as no

JSON_EVERY = 10.0
"""Seconds between two progress events with `--json`."""
SAME_RETRY_EVERY = 5.0
"""Seconds for which a retry with the same cause is not repeated on a terminal."""
SAME_RETRY_LOGGED_EVERY = 30.0
"""The same if stderr is not a terminal, so that batch logs stay short."""


class Progress(Protocol):
    """Shows the progress of a job."""

    def job_started(self, notice: no.JobStarted) -> None:
        """Note that the job started or resumed."""

    def update(self, notice: no.Progress) -> None:
        """Show the current progress."""

    def file_started(self, notice: no.FileStarted) -> None:
        """Note that a file started, with the bytes already present."""

    def close(self) -> None:
        """End the display."""


class Display:
    """Shows all notices of a job."""

    def __init__(
        self,
        console: Console,
        progress: Progress | None,
        clock: Callable[[], float] = time.monotonic,
        *,
        patience: float | None = None,
    ) -> None:
        """`patience`: the seconds for which a request that keeps failing is retried, for its notes; None: unknown."""
        self._patience = f" (for up to {units.format_duration(patience)})" if patience else ""
        self._console = console
        self._progress = progress
        self._clock = clock
        self._latest: no.Progress | None = None
        self._next_event = 0.0
        self._retries: dict[str, float] = {}
        self._failures = 0
        on_terminal = sys.stderr is not None and sys.stderr.isatty()
        self._retry_every = SAME_RETRY_EVERY if on_terminal else SAME_RETRY_LOGGED_EVERY

    def show(self, notice: no.AnyNotice) -> None:
        """Show a notice."""
        log_notice(notice)
        if isinstance(notice, no.Progress):
            self._show_progress(notice)
            return
        if isinstance(notice, no.FileFailed):
            self._show_failure(notice)
            return
        self._event(notice)
        if isinstance(notice, no.JobStarted):
            self._latest = no.Progress(
                bytes_done=notice.bytes_done,
                bytes_total=notice.bytes_total,
                files_done=notice.files_done,
                files_total=notice.files,
                rate=None,
                connections=0,
                active=(),
            )
        elif isinstance(notice, no.FileVerified):
            self._count_verified(notice)
        elif not self._console.json:
            self._print_notice(notice)
        if self._progress is not None and isinstance(notice, no.JobStarted):
            self._progress.job_started(notice)
        elif self._progress is not None and isinstance(notice, no.FileStarted):
            self._progress.file_started(notice)

    def summary_line(self) -> str:
        """Describe the current progress in one line."""
        return progress_line(self._latest) if self._latest is not None else "nothing was sent yet"

    def close(self) -> None:
        """End the display."""
        if self._progress is not None:
            self._progress.close()

    def _show_failure(self, notice: no.FileFailed) -> None:
        """Thousands of files may fail: print only the first ones; `--json` has all."""
        path = printable(notice.path) if notice.path is not None else None
        hint = hint_for(notice, path=path, repeated=self._console.repeated)
        hint = printable(hint) if hint else None
        failure = Failure(
            code=notice.code,
            message=printable(notice.message),
            hint=hint,
            path=notice.path,
            exit_status=ExitStatus.SOME_FAILED,
        )
        self._failures += 1
        if self._failures <= MAX_LISTED:
            self._console.failure(failure)
            return
        self._console.event("error", **failure.fields())
        if self._failures == MAX_LISTED + 1:
            self._console.note(f"more files failed and are not listed here; {LIST_THEM}")

    def _show_progress(self, notice: no.Progress) -> None:
        self._latest = notice
        now = self._clock()
        if self._console.json and now >= self._next_event:
            self._next_event = now + JSON_EVERY
            self._event(notice)
        if self._progress is not None:
            self._progress.update(notice)

    def _count_verified(self, notice: no.FileVerified) -> None:
        """Count a verified file, because the run may end before it reports progress again."""
        latest = self._latest
        if latest is None:
            return
        verified = min(latest.files_done + 1, latest.files_total)
        self._latest = msgspec.structs.replace(
            latest,
            bytes_done=latest.bytes_total if verified == latest.files_total else latest.bytes_done,
            files_done=verified,
            active=tuple(file for file in latest.active if file.path != notice.path),
        )
        if self._progress is not None:
            self._progress.update(self._latest)

    def _event(self, notice: no.AnyNotice) -> None:
        fields: dict[str, Any] = msgspec.to_builtins(notice)
        if isinstance(notice, no.Warned):
            del fields["facts"]
            fields["hint"] = hint_for(notice, repeated=self._console.repeated)
        self._console.event(fields.pop("event"), **fields)

    def _print_notice(self, notice: no.AnyNotice) -> None:
        if isinstance(notice, no.Warned):
            hint = hint_for(notice, repeated=self._console.repeated)
            self._console.note(printable(f"{notice.message}. {hint}" if hint else notice.message))
        elif isinstance(notice, no.Joined):
            leader = notice.leader or "a process that is just starting"
            self._console.note(f"sending parts of job {notice.job} for {printable(leader)}")
        elif isinstance(notice, no.JobUpdated):
            self._console.note(_describe_update(notice))
        elif isinstance(notice, no.Described):
            self._console.note(f"metadata of item {notice.item_id} applied")
        elif isinstance(notice, no.FileRestarted):
            self._print_rarely(
                f"restarted: {notice.reason}",
                f"{notice.path}: restarting from the beginning: {notice.reason}",
            )
        elif isinstance(notice, no.ReadProgress):
            share = units.format_percent(notice.bytes_done, notice.bytes_total)
            self._console.note(f"{printable(notice.path)}: read {share} of {units.format_bytes(notice.bytes_total)}")
        elif isinstance(notice, no.LimitChanged):
            limit = units.format_rate(notice.rate) if notice.rate is not None else "lifted"
            self._console.note(f"rate limit: {limit}")
        elif isinstance(notice, no.Retrying):
            wait = f"next attempt in {notice.delay:.0f} s" if notice.delay >= 1 else "trying again"
            self._print_rarely(no.retry_cause(notice.reason), f"{notice.reason}; {wait}{self._patience}")

    def _print_rarely(self, reason: str, text: str) -> None:
        """Print a note that many files and parts may cause at the same time only once in a while."""
        now = self._clock()
        if now < self._retries.get(reason, 0.0):
            return
        self._retries = {known: expiry for known, expiry in self._retries.items() if expiry > now}
        self._retries[reason] = now + self._retry_every
        self._console.note(printable(text))


def _describe_update(notice: no.JobUpdated) -> str:
    """Describe what the repeated command added or dropped."""
    added = f"{units.format_count(notice.added, 'file')} more than before" if notice.added else ""
    dropped = f"{units.format_count(notice.dropped, 'file')} fewer than planned" if notice.dropped else ""
    return f"job {notice.job} has {' and '.join(text for text in (added, dropped) if text)}"


def has_bars() -> bool:
    """Return True if stderr is a terminal that can move its cursor."""
    return sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def display_for(console: Console, *, no_progress: bool) -> Display:
    """Choose the display for the kind of stderr."""
    if console.json or console.quiet or no_progress or sys.stderr is None:
        return Display(console, None)
    if has_bars():
        from uploader.cli.output.bars import Bars

        return Display(console, Bars(console.output))
    return Display(console, Lines(console.note))
