"""Download the planned files: one producer opens them, a fixed number of workers fetches their ranges.

A file is opened when the ranges of the one before are all taken, so that few files are open at a time. The worker that
fetches the last range of a file compares its MD5 and gives it its name. Errors of one file are its result; what
concerns all of them (no connection, no token, a full disk) ends the run.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

import anyio
import anyio.to_thread
import msgspec
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from uploader.clock import Clock
from uploader.concurrency import unwrap_group
from uploader.errors import (
    ExitStatus,
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
from uploader.figshare.retry import Backoff, RetryPolicy
from uploader.text import printable
from uploader.transfer.download.partial import PartialFile, md5_of
from uploader.transfer.download.plan import Plan, Skip, Wanted
from uploader.transfer.download.target import TargetFolder
from uploader.transfer.notices import ActiveFile, FileFailed, Listener, Progress, Retrying
from uploader.transfer.report import Problem
from uploader.transfer.run.progress import SHOWN_FILES
from uploader.transfer.run.throttle import Throttle

SEGMENT = 32 << 20
"""Bytes that are asked for at a time."""
AUTO_CONNECTIONS = 8
"""Connections unless a number is given."""
_BLOCK = 1 << 20
"""Bytes that are written at a time."""
_HASH_FROM = 16 << 20
"""Bytes that are hashed ahead at a time, while they are still in memory."""
_SAVE_EVERY = 1.0
"""Seconds between two records of a file's ranges."""
_PROGRESS_EVERY = 0.25
_RATE_WINDOW = 10.0

Existing: TypeAlias = Literal["fail", "skip", "replace"]
"""What happens to a different file that is already there."""


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


class DownloadReport(msgspec.Struct, frozen=True, kw_only=True):
    """One file of the item. `path` is the local one, None where nothing was to be written; `remote` that in the item.

    `status`: `downloaded`; `same` (it was there); `kept` (a different one is there, and was left); `unknown` (it is
    there, but Figshare has no MD5 to compare with); `skipped` for `reason` (see `Skip`); `failed`. Sizes are bytes.
    """

    path: str | None
    remote: str
    file_id: int
    status: str
    size: int | None = None
    md5: str | None = None
    reason: str | None = None
    error: Problem | None = None


def exit_status(reports: list[DownloadReport]) -> ExitStatus:
    """Return the exit status of a download: that of the only file, or of what they have in common."""
    failed = [each.error for each in reports if each.error is not None]
    if any(error.exit_status == ExitStatus.RESUMABLE for error in failed):
        return ExitStatus.RESUMABLE
    if failed:
        alone = failed[0].exit_status if len(failed) == len(reports) == 1 else None
        return next((each for each in ExitStatus if each == alone), ExitStatus.SOME_FAILED)
    if any(each.status == "skipped" and each.reason in ("unfinished", "integrity-failed") for each in reports):
        return ExitStatus.SOME_FAILED
    return ExitStatus.PENDING if any(each.status == "unknown" for each in reports) else ExitStatus.OK


class _Active:
    """A file that is being downloaded; `open_ranges` of its ranges are not fetched yet."""

    def __init__(self, wanted: Wanted, partial: PartialFile) -> None:
        self.wanted = wanted
        self.partial = partial
        self.open_ranges = 0
        self.unranged = False
        self.error: FigupError | None = None
        self.hashing = anyio.Lock()
        self.saving = anyio.Lock()
        self.saved = 0.0


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
        self._active: dict[int, _Active] = {}
        self._results: list[DownloadReport] = []
        self._finished_bytes = 0
        self._received = 0
        self._busy = 0

    async def run(self) -> list[DownloadReport]:
        """Download; return a report for each file of the plan, in the order in which they ended.

        Raises Unreachable, ServerFailing, TlsFailure, TokenRejected, TargetFull. Cancellation keeps what is there.
        """
        for skip in self._plan.skipped:
            self._tell(_skipped(skip))
        send, receive = anyio.create_memory_object_stream[tuple[_Active, int, int]](0)
        try:
            with unwrap_group():
                async with anyio.create_task_group() as monitor:
                    monitor.start_soon(self._show_progress)
                    async with anyio.create_task_group() as work:
                        work.start_soon(self._produce, send)
                        for _ in range(self._connections):
                            work.start_soon(self._work, receive.clone())
                        receive.close()
                    monitor.cancel_scope.cancel()
            self._notify(self._progress(None))
        finally:
            with anyio.CancelScope(shield=True):
                for active in list(self._active.values()):
                    await self._close(active)
        return self._results

    # --- opening --------------------------------------------------------------------------------------------------

    async def _produce(self, send: MemoryObjectSendStream[tuple[_Active, int, int]]) -> None:
        async with send:
            for wanted in self._plan.wanted:
                with self._result_of(wanted):
                    active = await self._open(wanted)
                    if active is None:
                        continue
                    ranges = _segments(active)
                    active.open_ranges = len(ranges) or 1
                    if not ranges:
                        await self._range_done(active)
                    for start, end in ranges:
                        await send.send((active, start, end))

    async def _open(self, wanted: Wanted) -> _Active | None:
        """Open a file; None if its result is known already."""
        done = await anyio.to_thread.run_sync(self._already_there, wanted)
        if done is not None:
            self._finished_bytes += wanted.size
            self._tell(done)
            return None
        active = _Active(wanted, await anyio.to_thread.run_sync(PartialFile, self._target, wanted))
        self._active[wanted.file_id] = active
        return active

    def _already_there(self, wanted: Wanted) -> DownloadReport | None:
        """Return the result for a file that exists; None if it is to be downloaded. Raises TargetExists. Blocks."""
        folder_path, _, name = wanted.path.rpartition("/")
        folder = TargetFolder(self._target, folder_path)
        try:
            size = folder.size_of(name)
            if size is None:
                return None
            md5 = md5_of(folder, name) if size == wanted.size else None
            if md5 is not None and wanted.md5 in (md5, None):
                return self._report(wanted, "same" if wanted.md5 is not None else "unknown", md5)
            if self._existing == "skip":
                return self._report(wanted, "kept", md5)
            if self._existing == "fail":
                raise _exists(folder.shown(name))
            return None
        finally:
            folder.close()

    # --- fetching -------------------------------------------------------------------------------------------------

    async def _work(self, receive: MemoryObjectReceiveStream[tuple[_Active, int, int]]) -> None:
        async with receive:
            async for active, start, end in receive:
                with self._result_of(active.wanted, active):
                    if active.error is None:
                        await self._get(active, start, end)
                with self._result_of(active.wanted, active):
                    await self._range_done(active)

    async def _get(self, active: _Active, start: int, end: int) -> None:
        """Fetch a range, whatever passes. Raises Unreachable or ServerFailing when the retry time is used up."""
        writer = _Writer(self, active, start)
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
                        return  # the range at the beginning brings the whole file
                    writer.position = 0
                except FetchFailed as failure:
                    if writer.position > before and not active.unranged:
                        backoff = Backoff(self._retry, self._clock.random)
                    await self._wait(failure, backoff)
        finally:
            self._busy -= 1

    async def _attempt(self, active: _Active, writer: _Writer, end: int) -> None:
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

    async def received(self, active: _Active, start: int, data: bytes) -> None:
        """Write bytes that have arrived, and hash and record what is there now and then."""
        partial = active.partial
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(partial.write, start, data)
        partial.ranges.add(start, start + len(data))
        if partial.to_hash >= _HASH_FROM and not active.hashing.locked():
            async with active.hashing:
                await anyio.to_thread.run_sync(partial.hash_front)
        now = self._clock.monotonic()
        if now - active.saved >= _SAVE_EVERY and not active.saving.locked():
            active.saved = now
            async with active.saving:
                await anyio.to_thread.run_sync(partial.save)

    async def throttled(self, count: int) -> None:
        """Count bytes that arrive, and hold back the connection they come from as the rate limit asks."""
        self._received += count
        if self._throttle.rate is not None:
            await self._throttle.take(count)

    # --- finishing ------------------------------------------------------------------------------------------------

    async def _range_done(self, active: _Active) -> None:
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

    async def _finish(self, active: _Active) -> DownloadReport:
        """Compare the MD5, and give the file its name. Raises Md5Mismatch, TargetExists."""
        wanted, partial = active.wanted, active.partial
        if active.unranged and partial.ranges.missing(0, wanted.size):
            await self._get(active, 0, wanted.size)
        md5 = await self._digest(active)
        if wanted.md5 not in (None, md5) and wanted.size:
            # Either the disk lost data that the record promises, or the bytes were damaged on the way.
            await anyio.to_thread.run_sync(partial.discard)
            await self._get(active, 0, wanted.size)
            md5 = await self._digest(active)
        if wanted.md5 not in (None, md5):
            await anyio.to_thread.run_sync(partial.discard)
            raise Md5Mismatch(
                f"{printable(partial.path)}: its MD5 is {md5}, Figshare lists {wanted.md5}", path=partial.path
            )
        replace = self._existing == "replace"
        if not await anyio.to_thread.run_sync(lambda: partial.publish(replace=replace)):
            raise _exists(partial.path)
        return self._report(wanted, "downloaded" if wanted.md5 is not None else "unknown", md5)

    async def _digest(self, active: _Active) -> str:
        async with active.hashing:
            return await anyio.to_thread.run_sync(active.partial.digest)

    async def _close(self, active: _Active) -> None:
        self._active.pop(active.wanted.file_id, None)
        async with active.hashing, active.saving:
            await anyio.to_thread.run_sync(active.partial.close)

    # --- telling --------------------------------------------------------------------------------------------------

    @contextmanager
    def _result_of(self, wanted: Wanted, active: _Active | None = None) -> Iterator[None]:
        """Make an error of one file its result, or that of the ranges that are still open; let others end the run."""
        try:
            yield
        except (Unreachable, ServerFailing, TlsFailure, TokenRejected, TransientError):
            raise
        except FigupError as error:
            if active is not None and active.wanted.file_id in self._active:
                active.error = active.error or error
                return
            self._finished_bytes += wanted.size
            path = str(self._target / wanted.path)
            self._notify(
                FileFailed(code=error.code, message=error.message, hint=error.hint, path=path, facts=error.facts)
            )
            self._tell(self._report(wanted, "failed", None, error))

    def _report(
        self, wanted: Wanted, status: str, md5: str | None = None, error: FigupError | None = None
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
        self._on_result(report)

    async def _show_progress(self) -> None:
        samples: list[tuple[float, int]] = []
        while True:
            now = self._clock.monotonic()
            samples = [each for each in samples if now - each[0] <= _RATE_WINDOW] + [(now, self._received)]
            elapsed = now - samples[0][0]
            self._notify(self._progress((self._received - samples[0][1]) / elapsed if elapsed > 0 else None))
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
            bytes_total=sum(each.size for each in self._plan.wanted),
            files_done=sum(each.status != "skipped" for each in self._results),
            files_total=len(self._plan.wanted),
            rate=rate,
            connections=self._busy,
            active=tuple(active[:SHOWN_FILES]),
        )


class _Writer:
    """Collects the bytes of one range, and has them written in blocks. `position` is where the next ones belong."""

    def __init__(self, download: Download, active: _Active, start: int) -> None:
        self._download = download
        self._active = active
        self._buffer = bytearray()
        self.position = start

    async def take(self, offset: int, data: bytes) -> None:
        """Take the bytes at `offset`, which is where the last ones ended."""
        await self._download.throttled(len(data))
        self._buffer += data
        self.position = offset + len(data)
        if len(self._buffer) >= _BLOCK:
            await self.flush()

    async def flush(self) -> None:
        """Have everything written that was taken."""
        if self._buffer:
            data, self._buffer = bytes(self._buffer), bytearray()
            await self._download.received(self._active, self.position - len(data), data)


def _segments(active: _Active) -> list[tuple[int, int]]:
    """Return the missing ranges, none larger than a segment."""
    pieces = []
    for start, end in active.partial.ranges.missing(0, active.wanted.size):
        pieces += [(at, min(at + SEGMENT, end)) for at in range(start, end, SEGMENT)]
    return pieces


def _skipped(skip: Skip) -> DownloadReport:
    return DownloadReport(path=None, remote=skip.remote, file_id=skip.file_id, status="skipped", reason=skip.reason)


def _exists(path: str) -> TargetExists:
    return TargetExists(f"{printable(path)}: a different file of this name exists", path=path)
