"""Read what a report is about into its catalog: lists, then records, then those that failed once more.

Each phase asks the catalog what is missing, and asks Figshare for nothing else, so a run that ended early is continued
by the next one. Records are committed every `COMMIT_RECORDS` or `COMMIT_SECONDS`, the pages of lists at once.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, Protocol, TypeAlias

import anyio
import msgspec

from uploader.catalog.checks import RowChecks, equals
from uploader.catalog.pager import Gap
from uploader.catalog.reading import Reading
from uploader.catalog.report.store import Outcome, Store, Wanted
from uploader.clock import Clock
from uploader.concurrency import in_thread, unwrap_group
from uploader.errors import (
    FigupError,
    Interrupted,
    ItemNotFound,
    NotFigshare,
    PermissionDenied,
    ProtocolViolation,
    RequestRejected,
    ServerFailing,
    Throttled,
    Unreachable,
)
from uploader.figshare.ids import Kind
from uploader.figshare.models import PAGE
from uploader.figshare.records import Listing, Record, own_list, search_of
from uploader.units import format_count

COMMIT_RECORDS: Final = 50
COMMIT_SECONDS: Final = 2.0
AT_ONCE: Final = 4
"""Requests at the same time: enough that slow answers do not halve the one request a second that Figshare asks for."""
MAX_OUTAGE: Final = 10
"""Records in a row that may fail as if Figshare were not there; then the run ends, to be continued."""
DEADLINE_MARGIN: Final = 5.0
"""Seconds before the deadline at which no request is awaited any more."""
_CONTINUE: Final = "Run the same command again to continue; what was read is kept."
_OUTAGE = (ServerFailing, Unreachable, NotFigshare)
_OF_ONE_RECORD = (*_OUTAGE, PermissionDenied, ProtocolViolation, RequestRejected)

Verify: TypeAlias = Callable[[], Awaitable[object]]
ReportName: TypeAlias = Literal["public", "own"]


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """What a report is about. "public": an institution's public records; "own": the account's, drafts included.

    `institution`, `group` and `type_id` are Figshare's ids; the latter two limit "public", None for no limit.
    """

    report: ReportName
    kinds: tuple[Kind, ...] = ("item",)
    institution: int | None = None
    group: int | None = None
    type_id: int | None = None

    @property
    def public(self) -> bool:
        """Whether the records are read as everyone sees them."""
        return self.report == "public"

    def listing(self, kind: Kind) -> Listing:
        """Return the list of the records of this kind."""
        return search_of(kind) if self.public else own_list(kind)

    def criteria(self, kind: Kind) -> Mapping[str, int]:
        """Return the filters of that list."""
        wanted = {"institution": self.institution, "group": self.group}
        wanted |= {"item_type": self.type_id} if kind == "item" else {}
        return {name: value for name, value in wanted.items() if value is not None}

    def checks(self, kind: Kind) -> RowChecks:
        """Return the tests of whether rows fit the filters that show in them."""
        tests = [equals("group_id", self.group)] if self.group is not None else []
        tests += [equals("type_id", self.type_id)] if self.type_id is not None and kind == "item" else []
        return RowChecks(tests)

    def catalog_name(self, endpoint: str, account: int | None) -> str:
        """Return the name of the catalog's file: one for each endpoint, account, report and its filters."""
        about = msgspec.json.encode([endpoint, account, self])
        return f"{self.report}-{hashlib.blake2b(about, digest_size=8).hexdigest()}.sqlite"


class Source(Protocol):
    """The requests that a report needs; `uploader.figshare.records_api.Records` has them."""

    async def page(
        self, listing: Listing, criteria: Mapping[str, str | int], *, page: int, size: int = PAGE
    ) -> list[Record]: ...
    async def record(self, kind: Kind, number: int, *, public: bool, version: int | None = None) -> Record: ...


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a run is. `total` is None while lists are read, `done` then the number of rows so far."""

    done: int
    total: int | None
    failed: int
    requests: int


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What ends a run early: a time (monotonic seconds), a number of requests without retries; None: no limit."""

    deadline: float | None = None
    max_requests: int | None = None


class Collector:
    """One run of a report. `stop()` ends it in good order; what was read is in the catalog."""

    def __init__(
        self,
        source: Source,
        store: Store,
        spec: Spec,
        *,
        limits: Limits | None = None,
        clock: Clock | None = None,
        verify: Verify | None = None,
        on_progress: Callable[[Progress], None] = lambda _: None,
    ) -> None:
        """`verify` is called when a record may not be read; it raises TokenRejected if the token is not valid."""
        self._source, self._store, self._spec = source, store, spec
        self._verify = verify
        self._limits = limits or Limits()
        self._clock = clock or Clock()
        self._on_progress = on_progress
        self._stopping = ""
        """Why the run ends early, "" while it does not."""
        self.requests = 0
        """Requests begun, without retries."""
        self.read = 0
        """Records read in this run."""
        self.left_out = 0
        """Rows that did not fit the filters."""
        self._failed = 0
        self._outage = 0
        self._total = 0
        self._known = 0
        self._done = 0
        self._only_failed = False
        self._buffer: list[Outcome] = []
        self._queue: deque[Wanted] = deque()
        self._after = ("", 0)
        self._lock = anyio.Lock()
        self._committed = self._clock.monotonic()

    def stop(self) -> None:
        """Begin no further request; `run` raises Interrupted once those under way have ended."""
        self._stopping = self._stopping or "stopped before everything was read"

    async def run(self) -> tuple[Gap, ...]:
        """Bring the catalog up to date; return what is missing from the lists. Raises Interrupted to be continued."""
        end = self._limits.deadline
        left = None if end is None else max(0.0, end - self._clock.monotonic() - DEADLINE_MARGIN)
        gaps: tuple[Gap, ...] = ()
        with anyio.move_on_after(left) as scope:
            gaps = await self._phases()
        if scope.cancelled_caught:
            self._stopping = "stopped before the deadline"
        if self._stopping:
            raise Interrupted(await self._interruption(), hint=_CONTINUE)
        return gaps

    async def _phases(self) -> tuple[Gap, ...]:
        await in_thread(self._store.begin)
        gaps: list[Gap] = []
        for kind in self._spec.kinds:
            gaps += await self._list(kind)
        if self._stopping:
            return ()
        if gaps:
            await in_thread(self._store.keep_unlisted)
        for failed in (False, True):
            await self._details(failed=failed)
        return tuple(gaps)

    def _may_ask(self) -> bool:
        """Return whether a further request may begin, and count it."""
        most = self._limits.max_requests
        if not self._stopping and most is not None and self.requests >= most:
            self._stopping = f"stopped after {format_count(self.requests, 'request')}"
        if self._stopping:
            return False
        self.requests += 1
        return True

    async def _interruption(self) -> str:
        known, wanted, _ = await in_thread(self._store.counts)
        complete = [(await in_thread(self._store.position, kind))[1] for kind in self._spec.kinds]
        if not all(complete):
            return f"{self._stopping}: {format_count(known, 'record')} listed so far"
        return f"{self._stopping}: {wanted:,} of {format_count(known, 'record')} left to read"

    # --- lists -------------------------------------------------------------------------------------------------------

    async def _list(self, kind: Kind) -> list[Gap]:
        position, complete = await in_thread(self._store.position, kind)
        if complete and position is not None:
            return list(position.gaps)
        seen = await in_thread(self._store.seen, kind)
        source = _Counted(self._source, self._may_ask)
        reading = Reading(source, self._spec.listing(kind), self._spec.criteria(kind), position=position, seen=seen)
        checks = self._spec.checks(kind)
        self._known += len(seen)
        try:
            async for page in reading.pages():
                rows = checks.fitting(page)
                await in_thread(lambda rows=rows: self._store.add_page(kind, rows, reading.position, complete=False))
                self._known += len(rows)
                self._report(self._known, None)
        except _NoMore:
            return []
        self.left_out += checks.left_out
        await in_thread(lambda: self._store.add_page(kind, (), reading.position, complete=True))
        return list(reading.gaps)

    # --- records -----------------------------------------------------------------------------------------------------

    async def _details(self, *, failed: bool) -> None:
        """Read the records that the catalog lacks, or those that failed in this run once more."""
        self._total, left, _ = await in_thread(self._store.counts)
        self._after, self._failed = ("", 0), 0 if failed else self._failed
        self._queue.clear()
        self._done = self._total - left
        self._only_failed = failed
        try:
            with unwrap_group():
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
            outcome = await self._read(wanted)
            # All wait while records are committed: no more than these are ever at risk.
            async with self._lock:
                self._buffer.append(outcome)
                if len(self._buffer) >= COMMIT_RECORDS:
                    with anyio.CancelScope(shield=True):
                        await self._commit()
            self._report(self._done, self._total)

    async def _next(self) -> Wanted | None:
        async with self._lock:
            if not self._queue:
                after, failed = self._after, self._only_failed
                self._queue.extend(await in_thread(lambda: self._store.wanted(after, failed=failed)))
            if not self._queue or not self._may_ask():
                return None
            wanted = self._queue.popleft()
            self._after = (wanted.kind, wanted.id)
            return wanted

    async def _read(self, wanted: Wanted) -> Outcome:
        """Read one record. Raises what concerns all records."""
        try:
            record = await self._source.record(wanted.kind, wanted.id, public=self._spec.public)
            if record.id != wanted.id:
                raise ProtocolViolation(f"the answer is about {wanted.kind} {record.id}")
        except ItemNotFound as error:
            if not wanted.listed:
                self._done += 1
                return Outcome(wanted=wanted, gone=True)
            return self._failure(wanted, error)
        except Throttled as error:
            # One record may be refused like this for ever. It comes last, also in the next run, and then only fails.
            self._outage += 1
            failure = self._failure(wanted, error)
            if self._only_failed and self._outage < MAX_OUTAGE:
                return failure
            self._buffer.append(failure)
            raise
        except _OF_ONE_RECORD as error:
            if isinstance(error, PermissionDenied) and self._verify is not None:
                # An expired token gets the same answer as a record of somebody else.
                await self._verify()
            self._outage = self._outage + 1 if isinstance(error, _OUTAGE) else 0
            if self._outage >= MAX_OUTAGE:
                raise
            return self._failure(wanted, error)
        self._outage = 0
        self._done += 1
        self.read += 1
        return Outcome(wanted=wanted, record=record.raw)

    def _failure(self, wanted: Wanted, error: FigupError) -> Outcome:
        self._failed += 1
        return Outcome(wanted=wanted, failure=error.message)

    async def _commit(self) -> None:
        """Store what was read; the caller holds the lock."""
        some, self._buffer = self._buffer, []
        self._committed = self._clock.monotonic()
        if some:
            await in_thread(self._store.save, some)

    def _report(self, done: int, total: int | None) -> None:
        self._on_progress(Progress(done=done, total=total, failed=self._failed, requests=self.requests))


class _NoMore(Exception):
    """No further request may begin."""


class _Counted:
    """Reads pages while requests may begin; raises _NoMore then."""

    def __init__(self, source: Source, may_ask: Callable[[], bool]) -> None:
        self._source, self._may_ask = source, may_ask

    async def page(
        self, listing: Listing, criteria: Mapping[str, str | int], *, page: int, size: int = PAGE
    ) -> list[Record]:
        if not self._may_ask():
            raise _NoMore
        return await self._source.page(listing, criteria, page=page, size=size)


def seconds_until(deadline: float | datetime | None, clock: Clock) -> float | None:
    """Return a deadline, in seconds from now or as a time, as monotonic seconds."""
    if isinstance(deadline, datetime):
        return clock.monotonic() + (deadline - clock.now()).total_seconds()
    return None if deadline is None else clock.monotonic() + deadline
