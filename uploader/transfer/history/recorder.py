"""The recorder: listens to a run and writes its history and progress beside the journal.

It writes in its own thread, so that a slow or full disk does not affect the transfer.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import anyio
import anyio.to_thread

from uploader._version import __version__
from uploader.clock import Clock
from uploader.disk import Disk
from uploader.errors import FigupError, ResourcesExhausted
from uploader.system import in_batch_job, system_errors
from uploader.transfer import notices as no
from uploader.transfer.history import run_log
from uploader.transfer.report import Report, RunFailed
from uploader.transfer.store import progress_file
from uploader.transfer.store.lock import JobLock

log = logging.getLogger("uploader.transfer.history.recorder")

EVERY, BATCH_EVERY = 1.0, 10.0
"""Seconds between two writes; in a batch job fewer, since hundreds of them share a file system."""
_LOCK_WAIT = 5.0
"""Seconds that the end of a run waits for the last lines: a hanging file system must not block figup."""
_REASONS = 8
"""Maximum number of different retry reasons counted between two samples."""
_OTHER = "other reasons"


class RunRecorder:
    """Collects the notices of one run, on the event loop; `write_due` is called by its own thread.

    Nothing is written or removed while it is not certain that this process holds the job's `lock`.
    """

    def __init__(self, folder: Path, disk: Disk, clock: Clock, lock: JobLock) -> None:
        self._folder = folder
        self._disk = disk
        self._lock = lock
        self._monotonic = clock.monotonic
        self._began = clock.monotonic()
        self._since = clock.now()
        self._now = clock.now
        self._host, self._pid = socket.gethostname(), os.getpid()
        self._lines: list[bytes] = []
        self._faults: Counter[str] = Counter()
        self._latest: no.Progress | None = None
        self._latest_at = 0.0
        self._reported: no.Progress | None = None
        self._samples: int | None = None
        self._due = 0.0
        self._failed = False
        self._turn = threading.Lock()
        self._closed = threading.Event()
        self._note(run_log.RunBegan(_iso(self._since), __version__, self._host, self._pid, lock.term))

    # --- on the loop ----------------------------------------------------------------------------------------------

    def take(self, notice: no.AnyNotice) -> None:
        """Take a notice; keep what the history needs."""
        at = self._seconds_since_start()
        match notice:
            case no.Progress():
                self._latest, self._latest_at = notice, at
            case no.FileVerified():
                self._note(run_log.FileDone(at, notice.file_id))
            case no.Retrying():
                self._count(no.retry_cause(notice.reason))
            case no.FileRestarted():
                self._note(run_log.Restart(at, notice.path, notice.reason))
            case no.FileFailed():
                self._note(run_log.FileError(at, notice.path, notice.code, notice.message))
            case no.Warned():
                self._note(run_log.WarningEntry(at, notice.message))
            case _:
                pass

    def end(self, report: Report | None, error: BaseException | None) -> None:
        """Record the end of the run; `report` is its report, None if it made none."""
        code, message = (None, None)
        if isinstance(error, FigupError):
            code, message = error.code, error.message
        elif error is not None:
            code, message = "stopped", "the program that ran figup stopped it"
        with self._turn:
            self._sample()
        sent = report.bytes_sent if report is not None else 0
        self._note(run_log.RunEnded(self._seconds_since_start(), code, message, sent, self._lock.term))

    def _seconds_since_start(self) -> float:
        return round(self._monotonic() - self._began, 2)

    def _note(self, entry: run_log.AnyEntry) -> None:
        with self._turn:
            self._lines.append(run_log.encode(entry))

    def _count(self, reason: str) -> None:
        with self._turn:
            known = reason in self._faults or len(self._faults) < _REASONS
            self._faults[reason if known else _OTHER] += 1

    def _sample(self) -> None:
        """Add lines for what happened since the last sample. Call under the lock."""
        latest = self._latest
        if latest is not None and latest is not self._reported:
            self._reported = latest
            sample = run_log.Sample(
                at=self._latest_at,
                sent=latest.bytes_sent,
                done=latest.bytes_done,
                files=latest.files_done,
                connections=latest.connections,
            )
            self._lines.append(run_log.encode(sample))
            self._samples = (self._samples or 0) + 1
        at = self._seconds_since_start()
        self._lines += [run_log.encode(run_log.RetryEntry(at, reason, n)) for reason, n in self._faults.items()]
        self._faults.clear()

    # --- in the thread --------------------------------------------------------------------------------------------

    def work(self) -> None:
        """Write due lines until the run ends."""
        every = BATCH_EVERY if in_batch_job() else EVERY
        while not self._closed.wait(every):
            self.write_due()
        self.write_due()
        if self._lock.is_fresh():
            progress_file.remove(self._folder)

    def write_due(self) -> None:
        """Write the pending lines. Errors are logged and never end a transfer."""
        try:
            with system_errors():
                self._write_due()
        except FigupError as error:
            if not self._failed:
                log.info("the history of this run is incomplete: %s", error.message)
            self._failed = True
            with self._turn:
                self._lines.insert(0, b"\n")

    def _write_due(self) -> None:
        if not self._lock.is_fresh():
            return
        if self._samples is None:
            self._open()
        with self._turn:
            if self._latest_at >= self._due:
                self._sample()
                self._due = self._latest_at + run_log.spacing(self._samples or 0)
            lines, latest = b"".join(self._lines), self._latest
            self._lines.clear()
        if latest is not None:
            now = progress_file.Live(
                host=self._host, pid=self._pid, since=_iso(self._since), at=_iso(self._now()), progress=latest
            )
            progress_file.write(self._folder, now, self._disk)
        if lines:
            run_log.append(self._folder, lines, self._disk)

    def _open(self) -> None:
        """Count the samples of earlier runs; start a new line if a killed run left an incomplete one."""
        progress_file.remove(self._folder)
        data = self._disk.read(self._folder / run_log.NAME) or b""
        with self._turn:
            self._samples = (self._samples or 0) + data.count(b'"e":"s"')
            if data and not data.endswith(b"\n"):
                self._lines.insert(0, b"\n")

    def close(self) -> None:
        """Write the last lines."""
        self._closed.set()


async def record_run(
    folder: Path,
    disk: Disk,
    clock: Clock,
    lock: JobLock,
    run: Callable[[no.Listener], Awaitable[Report]],
    tell: no.Listener,
) -> Report:
    """Run a job in `folder`, whose `lock` is held, and write its history.

    `run` gets the listener to notify; `tell` gets all notices too.
    """
    recorder = RunRecorder(folder, disk, clock, lock)

    def on_event(notice: no.AnyNotice) -> None:
        recorder.take(notice)
        tell(notice)

    thread = threading.Thread(target=recorder.work, name="figup-historian", daemon=True)
    # Reporting only: without a thread the run continues unrecorded.
    with suppress(ResourcesExhausted), system_errors():
        thread.start()
    try:
        report = await run(on_event)
    except BaseException as error:
        recorder.end(error.report if isinstance(error, RunFailed) else None, error)
        raise
    else:
        recorder.end(report, None)
        return report
    finally:
        with anyio.CancelScope(shield=True), suppress(ResourcesExhausted), system_errors():
            try:
                with suppress(FigupError):
                    await lock.check()  # of a job that was lost, nothing is written
            finally:
                recorder.close()
                if thread.is_alive():
                    await anyio.to_thread.run_sync(thread.join, _LOCK_WAIT)


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")
