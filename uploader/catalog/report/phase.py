"""Read many parts of records, a few at a time: what fails is noted, and what was read is committed often."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

import anyio

from uploader.catalog.failures import OF_ONE_RECORD, Failures
from uploader.catalog.report.limits import StopReading
from uploader.catalog.report.parts import Outcome, Part, PartToRead
from uploader.catalog.report.store import Store
from uploader.catalog.report.values import Raw
from uploader.clock import Clock
from uploader.concurrency import in_thread
from uploader.errors import FigupError, ItemNotFound, PermissionDenied, Throttled

COMMIT_RECORDS: Final = 50
COMMIT_SECONDS: Final = 2.0
AT_ONCE: Final = 4
"""Requests at the same time: enough that slow answers do not halve the one request a second that Figshare asks for."""
_NAMES: Final[dict[Part, str]] = {
    "record": "", "numbers": "no numbers: ", "places": "no countries: ", "versions": "no earlier versions: ",
    "items": "no items: ",
}  # fmt: skip
"""The beginning of the reason for a failure."""


@dataclass(kw_only=True)
class Tally:
    """Progress of a run's phases: parts of records done, and their total; records read and failed."""

    total: int = 0
    done: int = 0
    read: int = 0
    failed: set[tuple[str, int]] = field(default_factory=set)


class Phase:
    """One part of all records, read by a few workers. `lock` guards the catalog, which several phases may share."""

    def __init__(
        self,
        part: Part,
        read: Callable[[PartToRead], Awaitable[Raw]],
        store: Store,
        lock: anyio.Lock,
        tally: Tally,
        clock: Clock,
        *,
        undated: bool,
        fence: Callable[[], Awaitable[None]],
        verify: Callable[[], Awaitable[object]] | None = None,
        on_progress: Callable[[], None] = lambda: None,
    ) -> None:
        """`read` raises StopReading to end the phase. `verify` raises TokenRejected if the token is no longer valid."""
        self._part, self._read_part = part, read
        self._store, self._lock, self._tally, self._clock = store, lock, tally, clock
        self._undated = undated
        self._fence, self._on_progress = fence, on_progress
        self._failures = Failures(verify)
        self._only_failed = False
        self._buffer: list[Outcome] = []
        self._queue: deque[PartToRead] = deque()
        self._after = ("", 0)
        self._committed = clock.monotonic()

    async def run(self, *, failed: bool) -> None:
        """Read the parts that the catalog lacks, or those that failed in this run once more."""
        self._after = ("", 0)
        self._queue.clear()
        self._only_failed = failed
        try:
            async with anyio.create_task_group() as timer:
                timer.start_soon(self._commit_regularly)
                async with anyio.create_task_group() as workers:
                    for _ in range(AT_ONCE):
                        workers.start_soon(self._work)
                timer.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                async with self._lock:
                    await self._commit()

    async def _commit_regularly(self) -> None:
        while True:
            await self._clock.sleep(COMMIT_SECONDS / 4)
            async with self._lock:
                if self._clock.monotonic() - self._committed >= COMMIT_SECONDS / 2:
                    with anyio.CancelScope(shield=True):
                        await self._commit()

    async def _work(self) -> None:
        while (wanted := await self._next()) is not None:
            try:
                outcome = await self._read(wanted)
            except StopReading:
                return
            # All wait while records are committed: no more than these are ever at risk.
            async with self._lock:
                self._buffer.append(outcome)
                if len(self._buffer) >= COMMIT_RECORDS:
                    with anyio.CancelScope(shield=True):
                        await self._commit()
            self._on_progress()

    async def _next(self) -> PartToRead | None:
        async with self._lock:
            if not self._queue:
                after, failed = self._after, self._only_failed
                self._queue.extend(
                    await in_thread(lambda: self._store.wanted(self._part, after, failed=failed, undated=self._undated))
                )
            if not self._queue:
                return None
            wanted = self._queue.popleft()
            self._after = (wanted.kind, wanted.id)
            return wanted

    async def _read(self, wanted: PartToRead) -> Outcome:
        """Read one part. Raises what concerns all records."""
        try:
            record = await self._read_part(wanted)
        except ItemNotFound as error:
            if not wanted.listed:
                self._tally.done += 1
                return Outcome(wanted=wanted, gone=True)
            return self._failure(wanted, error)
        except Throttled as error:
            # One record may be refused like this every time. It comes last, also in the next run, and then only fails.
            failure = self._failure(wanted, error)
            try:
                if not self._only_failed:
                    raise
                await self._failures.accept(error)
            except Throttled:
                self._buffer.append(failure)
                raise
            return failure
        except OF_ONE_RECORD as error:
            if isinstance(error, PermissionDenied) and self._part in ("numbers", "places"):
                raise  # the statistics service asks for a login, whatever the record
            await self._failures.accept(error)
            return self._failure(wanted, error)
        self._failures.reset()
        self._tally.done += 1
        self._tally.read += self._part == "record"
        self._tally.failed.discard((wanted.kind, wanted.id))
        return Outcome(wanted=wanted, record=record)

    def _failure(self, wanted: PartToRead, error: FigupError) -> Outcome:
        self._tally.failed.add((wanted.kind, wanted.id))
        return Outcome(wanted=wanted, failure=_NAMES[wanted.part] + error.message)

    async def _commit(self) -> None:
        """Store what was read; the caller holds the lock."""
        some, self._buffer = self._buffer, []
        self._committed = self._clock.monotonic()
        if some:
            await self._fence()
            await in_thread(self._store.save, some, self._clock.now().timestamp())
