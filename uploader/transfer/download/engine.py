"""Download the planned files: one producer opens them, a fixed number of workers fetches their ranges.

A file is opened once all ranges of the previous one are assigned, so that few files are open. The worker that fetches
the last range of a file compares its MD5 and renames it. An error of one file is its result; an error of all (no
connection, no token, a full disk) ends the run.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

import anyio
import anyio.to_thread
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from uploader.clock import Clock, RecentRate
from uploader.concurrency import unwrap_group
from uploader.errors import (
    FigupError,
    FileNotHeld,
    Md5Mismatch,
    ServerFailing,
    TargetExists,
    TlsFailure,
    TokenRejected,
    TransientError,
    Unreachable,
)
from uploader.figshare.outcomes import FetchFailed, RangeIgnored
from uploader.figshare.retry import Backoff
from uploader.figshare.settings import RetryPolicy
from uploader.text import printable
from uploader.transfer.download.partial import PartialFile, md5_of, partial_names
from uploader.transfer.download.plan import FileToFetch, Plan
from uploader.transfer.download.receiving import RangeWriter, Receiving
from uploader.transfer.download.report import VERIFIED, DownloadReport, skipped
from uploader.transfer.download.target import TargetFolder
from uploader.transfer.notices import ActiveFile, FileFailed, Listener, Progress, Retrying
from uploader.transfer.report import Problem
from uploader.transfer.run.progress import SHOWN_FILES
from uploader.transfer.run.throttle import Throttle

AUTO_CONNECTIONS = 8
"""Connections unless a number is given."""
_PROGRESS_EVERY = 0.25

Existing: TypeAlias = Literal["fail", "skip", "replace"]
"""What to do if a different file exists."""


class Fetch(Protocol):
    """Fetch a range of a file: see `uploader.figshare.downloads.Downloads.fetch`."""

    async def __call__(
        self,
        url: str,
        *,
        start: int,
        end: int,
        size: int,
        sink: Callable[[int, bytes], Awaitable[None]],
        authorized: bool,
    ) -> None: ...


class Download:
    """One run over a plan."""

    def __init__(
        self,
        plan: Plan,
        target: Path,
        fetch: Fetch,
        *,
        authorized: bool,
        existing: Existing,
        connections: int,
        retry: RetryPolicy,
        throttle: Throttle,
        clock: Clock,
        notify: Listener,
        on_result: Callable[[DownloadReport], None],
    ) -> None:
        self._plan = plan
        self._target = target
        self._fetch = fetch
        self._authorized = authorized
        self._existing = existing
        self._connections = connections
        self._retry = retry
        self._throttle = throttle
        self._clock = clock
        self._notify = notify
        self._on_result = on_result
        self._active: dict[int, Receiving] = {}
        self._results: list[DownloadReport] = []
        self._bytes_total = sum(wanted.size for wanted in plan.wanted)
        self._finished_bytes = 0
        self._verified = self._failed = 0
        self._received = 0
        self._busy = 0

    async def run(self) -> list[DownloadReport]:
        """Download; return a report for each file of the plan, in order of completion.

        Raises Unreachable, ServerFailing, TlsFailure, TokenRejected, TargetFull. Cancellation keeps the data.
        """
        for skip in self._plan.skipped:
            self._tell(skipped(skip))
        send, receive = anyio.create_memory_object_stream[tuple[Receiving, int, int]](0)
        try:
            with unwrap_group():
                async with anyio.create_task_group() as monitor:
                    monitor.start_soon(self._show_progress)
                    async with anyio.create_task_group() as work:
                        work.start_soon(self._produce, send)
                        for _ in range(self._connections):
                            work.start_soon(self._work, receive)
                    monitor.cancel_scope.cancel()
            self._notify(self._progress(None))
        finally:
            # Not by the workers: a send to a closed stream would hide the error of the last one.
            receive.close()
            for active in list(self._active.values()):
                await self._close(active)
        return self._results

    # --- opening --------------------------------------------------------------------------------------------------

    async def _produce(self, send: MemoryObjectSendStream[tuple[Receiving, int, int]]) -> None:
        async with send:
            for wanted in self._plan.wanted:
                with self._result_of(wanted):
                    active = await self._open(wanted)
                    if active is None:
                        continue
                    ranges = active.segments()
                    active.open_ranges = len(ranges) or 1
                    if not ranges:
                        await self._range_done(active)
                    for start, end in ranges:
                        await send.send((active, start, end))

    async def _open(self, wanted: FileToFetch) -> Receiving | None:
        """Open a file; None if its result is known already."""
        done = await anyio.to_thread.run_sync(self._already_there, wanted)
        if done is not None:
            self._finished_bytes += wanted.size
            self._tell(done)
            return None
        active = Receiving(wanted, await anyio.to_thread.run_sync(PartialFile, self._target, wanted))
        self._active[wanted.file_id] = active
        return active

    def _already_there(self, wanted: FileToFetch) -> DownloadReport | None:
        """Return the result for a file that exists; None if it must be downloaded. Raises TargetExists. Blocks."""
        folder_path, _, name = wanted.path.rpartition("/")
        folder = TargetFolder(self._target, folder_path)
        try:
            size = folder.size_of(name)
            if size is None:
                return None
            md5 = md5_of(folder, name) if size == wanted.size else None
            if md5 is not None and wanted.md5 in (md5, None):
                for leftover in partial_names(wanted.file_id):
                    folder.remove(leftover)
                return self._report(wanted, "same" if wanted.md5 is not None else "unknown", md5)
            if self._existing == "skip":
                return self._report(wanted, "kept", md5)
            if self._existing == "fail":
                raise _exists(folder.shown(name))
            return None
        finally:
            folder.close()

    # --- fetching -------------------------------------------------------------------------------------------------

    async def _work(self, receive: MemoryObjectReceiveStream[tuple[Receiving, int, int]]) -> None:
        async for active, start, end in receive:
            with self._result_of(active.wanted, active):
                if active.error is None:
                    await self._get(active, start, end)
            with self._result_of(active.wanted, active):
                await self._range_done(active)

    async def _get(self, active: Receiving, start: int, end: int) -> None:
        """Fetch a range, retrying transient errors. Raises Unreachable or ServerFailing after the timeout."""
        writer = RangeWriter(active, start, self._throttled, self._clock)
        backoff = Backoff(self._retry, self._clock.random)
        self._busy += 1
        try:
            while writer.position < end:
                before = writer.position
                try:
                    await self._attempt(active, writer, end)
                except RangeIgnored:
                    active.unranged = True
                    if start > 0:
                        return  # the first range returns the whole file
                    writer.position = 0
                except FetchFailed as failure:
                    if writer.position > before and not active.unranged:
                        backoff = Backoff(self._retry, self._clock.random)
                    await self._wait(failure, backoff)
        finally:
            self._busy -= 1

    async def _attempt(self, active: Receiving, writer: RangeWriter, end: int) -> None:
        wanted = active.wanted
        try:
            await self._fetch(
                wanted.url,
                start=writer.position,
                end=end,
                size=wanted.size,
                sink=writer.take,
                authorized=self._authorized,
            )
        except FileNotHeld:
            if wanted.available:
                raise
            raise FetchFailed(f"{printable(wanted.remote)} is not available on Figshare yet") from None
        finally:
            with anyio.CancelScope(shield=True):
                await writer.flush()

    async def _wait(self, failure: FetchFailed, backoff: Backoff) -> None:
        delay = backoff.next_delay(failure.retry_after, self._clock.monotonic())
        if delay is None:
            raise (Unreachable if failure.network else ServerFailing)(failure.reason)
        self._notify(Retrying(failure.reason, delay))
        await self._clock.sleep(delay)

    async def _throttled(self, count: int) -> None:
        """Count received bytes and throttle their connection to the rate limit."""
        self._received += count
        if self._throttle.rate is not None:
            await self._throttle.take(count)

    # --- finishing ------------------------------------------------------------------------------------------------

    async def _range_done(self, active: Receiving) -> None:
        active.open_ranges -= 1
        if active.open_ranges or active.wanted.file_id not in self._active:
            return
        try:
            if active.error is not None:
                raise active.error
            report = await self._finish(active)
        finally:
            await self._close(active)
        self._finished_bytes += active.wanted.size
        self._tell(report)

    async def _finish(self, active: Receiving) -> DownloadReport:
        """Compare the MD5, and give the file its name. Raises Md5Mismatch, TargetExists."""
        wanted, partial = active.wanted, active.partial
        if active.unranged and partial.ranges.missing(0, wanted.size):
            await self._get(active, 0, wanted.size)
        md5 = await active.digest()
        if wanted.md5 not in (None, md5) and wanted.size:
            # Either the disk lost recorded data, or the bytes were damaged in transit.
            await anyio.to_thread.run_sync(partial.discard)
            await self._get(active, 0, wanted.size)
            md5 = await active.digest()
        if wanted.md5 not in (None, md5):
            await anyio.to_thread.run_sync(partial.discard)
            raise Md5Mismatch(
                f"{printable(partial.path)}: its MD5 is {md5}, Figshare lists {wanted.md5}", path=partial.path
            )
        replace = self._existing == "replace"
        if not await anyio.to_thread.run_sync(lambda: partial.publish(replace=replace)):
            # Another process may have finished the same file.
            present = await anyio.to_thread.run_sync(self._already_there, wanted)
            if present is None:
                raise _exists(partial.path)
            await anyio.to_thread.run_sync(partial.remove)
            return present
        return self._report(wanted, "downloaded" if wanted.md5 is not None else "unknown", md5)

    async def _close(self, active: Receiving) -> None:
        self._active.pop(active.wanted.file_id, None)
        with anyio.CancelScope(shield=True):
            await active.close()

    # --- telling --------------------------------------------------------------------------------------------------

    @contextmanager
    def _result_of(self, wanted: FileToFetch, active: Receiving | None = None) -> Iterator[None]:
        """Make an error of one file its result, or that of the ranges that are still open; let others end the run."""
        try:
            yield
        except (TlsFailure, TokenRejected, TransientError):
            raise
        except FigupError as error:
            if active is not None and active.wanted.file_id in self._active:
                active.error = active.error or error
                return
            path = str(self._target / wanted.path)
            message = error.message if error.path is not None else f"{printable(wanted.remote)}: {error.message}"
            self._notify(FileFailed(code=error.code, message=message, hint=error.hint, path=path, facts=error.facts))
            self._tell(self._report(wanted, "failed", None, error))

    def _report(
        self, wanted: FileToFetch, status: str, md5: str | None = None, error: FigupError | None = None
    ) -> DownloadReport:
        return DownloadReport(
            path=str(self._target / wanted.path),
            remote=wanted.remote,
            file_id=wanted.file_id,
            status=status,
            size=wanted.size,
            md5=md5,
            error=Problem.of(error) if error is not None else None,
        )

    def _tell(self, report: DownloadReport) -> None:
        self._results.append(report)
        self._verified += report.status in VERIFIED
        self._failed += report.status == "failed"
        self._on_result(report)

    async def _show_progress(self) -> None:
        rate = RecentRate()
        while True:
            self._notify(self._progress(rate.sample(self._clock.monotonic(), self._received)))
            await self._clock.sleep(_PROGRESS_EVERY)

    def _progress(self, rate: float | None) -> Progress:
        active = [
            ActiveFile(
                path=each.wanted.path,
                name=each.wanted.path,
                size=each.wanted.size,
                bytes_done=each.partial.ranges.total,
                waiting=False,
            )
            for each in self._active.values()
        ]
        return Progress(
            bytes_done=self._finished_bytes + sum(each.bytes_done for each in active),
            bytes_total=self._bytes_total,
            files_done=self._verified,
            files_total=len(self._plan.wanted),
            files_failed=self._failed,
            rate=rate,
            connections=self._busy,
            active=tuple(active[:SHOWN_FILES]),
        )


def _exists(path: str) -> TargetExists:
    return TargetExists(f"{printable(path)}: a different file of this name exists", path=path)
