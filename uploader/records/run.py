"""Create or update the items of a file's records, one after the other, until each exists once.

A record that fails does not stop the others. What concerns all of them ends the run, which the same call continues.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

import msgspec

from uploader.catalog.report.collect import RunProgress
from uploader.catalog.report.limits import Limits
from uploader.concurrency import Stopped, in_batches, in_thread
from uploader.errors import (
    Conflict,
    FigupError,
    Interrupted,
    ItemNotFound,
    NotPublishable,
    PermissionDenied,
    ProtocolViolation,
    RecordsMissing,
    RequestRejected,
    ServerFailing,
)
from uploader.figshare.models import Account
from uploader.records import journal as ev
from uploader.records.existing import LISTING_AGE, Existing, Row, find_existing, gone_items, with_state
from uploader.records.job import OpenJob
from uploader.records.known import KnownRecords, warn_of_look_alikes
from uploader.records.packed import Packed
from uploader.records.plan import Planned
from uploader.records.steps import Steps, look_up, remove_late_items
from uploader.text import named_few
from uploader.transfer.run.stop import Stop, run_until
from uploader.units import format_count

if TYPE_CHECKING:
    from uploader.figshare.client import Figshare

OnDuplicate: TypeAlias = Literal["skip", "update", "fail"]
Result: TypeAlias = Literal["created", "existing", "updated", "failed", "left"]

MAX_ALIKE = 5
"""Records in a row that may fail with the same message, or because Figshare fails; then it concerns all of them."""
_MAX_NAMED = 20
"""Items in one message."""
GRACE = 10.0
"""Seconds that a request may take after the deadline."""
_OF_ONE_RECORD = (
    *(Conflict, ItemNotFound, NotPublishable, PermissionDenied),
    *(ProtocolViolation, RecordsMissing, RequestRejected, ServerFailing),
)


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome for a record. `reason` says why it failed, or what was not done.

    `published`: public, embargoed, review, or "" for a draft, or if unknown.
    """

    line: int
    key: str
    title: str
    result: Result
    reason: str = ""
    item_id: int | None = None
    url: str = ""
    doi: str = ""
    published: str = ""


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """The options of a run. `on_duplicate`: what to do about an item that already exists."""

    publish: bool = False
    on_duplicate: OnDuplicate = "skip"
    limits: Limits = field(default_factory=Limits)


class Run:
    """One run of a job that is open. `stop()` ends it gracefully; completed work is in its journal."""

    def __init__(
        self,
        api: Figshare,
        job: OpenJob,
        account: Account,
        records: Packed[Planned] | Sequence[Planned],
        options: RunOptions,
        *,
        warn: Callable[[str], None],
        on_progress: Callable[[RunProgress], None] = lambda _: None,
    ) -> None:
        self._api, self._job, self._account = api, job, account
        self._records, self._options = KnownRecords(records, job.state), options
        self._warn, self._on_progress = warn, on_progress
        self._stop = Stop()
        self._begun = api.requests
        self._results: dict[str, tuple[Result, str, Row | None]] = {}
        """Result, reason, and the existing item, of the records of this run."""
        self._failures: list[str] = []
        """The common reason of the latest consecutive failures: see MAX_ALIKE."""
        self.made = 0
        """Items created or updated by this run."""
        self.failed = 0
        """Records that failed in this run."""

    def stop(self) -> None:
        """Begin no further request; `run` raises Interrupted. A second call has no effect."""
        self._stop.request()

    async def run(self) -> None:
        """Complete the remaining work. Raises Interrupted to be continued, JobBusy, and what concerns all records."""
        limits = self._options.limits
        try:
            await run_until(
                limits.deadline,
                lambda: self._job.lock.held_while(self._work),
                stop=self._stop,
                grace=GRACE,
                clock=self._api.clock,
            )
        except Stopped:
            left = len(self._records) - len(self._results)
            why = "before the deadline" if self._stop.at_deadline else "before everything was done"
            if self._budget_is_spent():
                why = f"after {format_count(self._requests, 'request')}"
            raise Interrupted(f"stopped {why}: {left} of {format_count(len(self._records), 'record')} left") from None

    async def _work(self) -> None:
        with self._stop.interruptible():
            existing = await self._find_existing()
        listed_at = self._api.clock.monotonic()
        async for some in in_batches(self._records):
            for record in some:
                self._check_not_stopped()
                await self._one(record, existing)
                done, total = len(self._results), len(self._records)
                self._on_progress(RunProgress(done=done, total=total, failed=self.failed, requests=self._requests))
        await self._look_up_left_behind(existing)
        with self._stop.interruptible():
            complete = await remove_late_items(self._api, self._job, self._warn)
            if self._api.clock.monotonic() - listed_at > LISTING_AGE:
                await self._check_again()
        complete &= not self._left_behind()
        if complete and not self.failed and self._job.state.ended != "done":
            await self._job.commit(ev.JobEnded(state="done"))

    async def _check_again(self) -> None:
        """Look for items that were deleted since the run began, which may be hours ago; their records failed."""
        keys: dict[int, list[str]] = {}  # an item that exists may be that of several records
        for key, (result, _, row) in self._results.items():
            item_id = self._job.state.of(key).item_id if row is None else row.id if row.owner == "own" else None
            if result != "failed" and item_id is not None:
                keys.setdefault(item_id, []).append(key)
        for item_id in sorted(await gone_items(self._api, keys.keys())):
            message = f"item {item_id} was deleted while others were worked on"
            for key in keys[item_id]:
                if not self._is_update:
                    await self._job.commit(ev.Removed(key=key, id=item_id))
                await self._job.commit(ev.Failed(key=key, code=ItemNotFound.code, message=message))
                self._results[key] = ("failed", message, None)
                self.failed += 1

    async def _look_up_left_behind(self, existing: Existing) -> None:
        """Look up the outcome of requests to create items of records that are no longer in the file."""
        intents = [one.intent for key, one in self._job.state.records.items() if key not in self._results]
        for intent in filter(None, intents):
            self._check_not_stopped()
            try:
                await look_up(self._api, self._job, self._stop, intent, existing.with_mark(intent.mark))
            except RecordsMissing as error:
                self._warn(f"an item may have been created for {intent.key}, no longer in the file: {error.message}")

    def _left_behind(self) -> bool:
        """Return whether the job has unfinished records that are no longer in the file; report their items."""
        left = {key: one for key, one in self._job.state.records.items() if key not in self._results and not one.done}
        items = [f"{one.item_id} ({key})" for key, one in left.items() if one.item_id is not None]
        if items:
            named = named_few(items, _MAX_NAMED)
            self._warn(f"unfinished items whose records are no longer in the file: {named}")
        return bool(items) or any(one.intent is not None for one in left.values())

    @property
    def _requests(self) -> int:
        return self._api.requests - self._begun

    def _budget_is_spent(self) -> bool:
        most = self._options.limits.max_requests
        return most is not None and self._requests >= most

    def _check_not_stopped(self) -> None:
        if self._stop.requested or self._budget_is_spent():
            raise Stopped

    async def _find_existing(self) -> Existing:
        """List what exists: for new records by DOI, for interrupted ones by mark, for others whether they exist."""
        state = self._job.state
        marks = [*state.marks, *(one.intent.mark for one in state.records.values() if one.intent is not None)]
        creates = state.plan is not None and state.plan.action == "create"
        existing = await find_existing(
            self._api,
            await in_thread(self._records.dois),
            marks,
            institution=self._account.institution_id,
            elsewhere=creates,
            warn=self._warn,
        )
        await in_thread(self._records.note_items, existing)
        if creates:
            await warn_of_look_alikes(self._records, existing, self._warn)
        return existing

    @property
    def only_transient_failures(self) -> bool:
        """Whether every record that failed did so because Figshare failed."""
        states = (self._job.state.of(key) for key, (result, _, _) in self._results.items() if result == "failed")
        return all(state.failure is not None and state.failure[0] == ServerFailing.code for state in states)

    # --- one record --------------------------------------------------------------------------------------------------

    async def _one(self, record: Planned, existing: Existing) -> None:
        """Complete the remaining steps of a record. Raises what concerns all records."""
        steps = Steps(api=self._api, job=self._job, stop=self._stop, record=record, publish=self._options.publish)
        try:
            result, reason, row = await self._handled(steps, existing)
        except _OF_ONE_RECORD as error:
            await self._failed(steps, error)
            return
        self._results[record.key] = (result, reason, row)
        self.made += result in ("created", "updated")
        self._failures.clear()

    async def _handled(self, steps: Steps, existing: Existing) -> tuple[Result, str, Row | None]:
        state, record = steps.state, steps.record
        if state.item_id is not None and state.item_id not in existing.own:
            await self._forget_if_gone(steps)
        elif state.item_id is not None and self._is_update:
            await self._forget_if_moved(steps, existing)
        await self._look_up(steps, existing)
        if steps.state.item_id is None:
            row = self._duplicate(record, existing)
            if row is not None and (refusal := self._may_not_update(row)) is not None:
                return "existing", refusal, await self._read(record.key, row)
            if row is not None:
                await self._job.commit(ev.ItemFound(key=record.key, id=row.id, source=record.source_id))
                existing.records[row.id] = record.key
            elif self._is_update and (other := existing.other_record(record)) is not None:
                raise Conflict(f"the item with the {self._named(record)} is that of another record, {other}")
            elif self._is_update:
                raise ItemNotFound(f"no item of this account has the {self._named(record)}")
            else:
                await steps.create()
        return await self._completed(steps)

    async def _look_up(self, steps: Steps, existing: Existing) -> None:
        """Look up the outcome of earlier requests to create the item."""
        key = steps.record.key
        if steps.state.intent is not None:
            await steps.look_up(existing.with_mark(steps.state.intent.mark))
        marks = (mark for mark, whose in self._job.state.marks.items() if whose == key)
        late = min(filter(None, map(existing.with_mark, marks)), default=None)
        if steps.state.item_id is None and late is not None:
            await self._job.commit(ev.ItemCreated(key=key, id=late))

    async def _completed(self, steps: Steps) -> tuple[Result, str, Row | None]:
        state = steps.state
        result: Result = "created" if state.created else "updated"
        if steps.is_complete() and not steps.is_changed:
            return "existing", "", None
        if state.done and steps.is_changed:
            if not state.describing and not self._is_update and self._options.on_duplicate != "update":
                return "existing", self._left_as_it_is(steps), None
            result = "updated"
        await steps.complete()
        return result, steps.remark, None

    def _left_as_it_is(self, steps: Steps) -> str:
        """Return why an item is not updated though its record changed. Raises Conflict if that is not wanted."""
        changed = "changed in the file since it was created"
        if self._options.on_duplicate == "fail":
            raise Conflict(f"item {steps.item_id} exists, and the record {changed}")
        return f"{changed}; the item was not updated{' or published' if steps.must_publish else ''}"

    @property
    def _is_update(self) -> bool:
        return self._job.state.plan is not None and self._job.state.plan.action == "update"

    @staticmethod
    def _named(record: Planned) -> str:
        return f"DOI {record.dois[0]}" if record.dois else f"number {record.key}"

    async def _forget_if_gone(self, steps: Steps) -> None:
        """Record that an item was deleted, so that the record is created again."""
        if not await steps.is_gone():
            return
        if self._is_update:
            item_id = steps.item_id
            await self._job.commit(ev.Removed(key=steps.record.key, id=item_id))  # the next run looks for its DOI
            raise ItemNotFound(f"Figshare has no item {item_id}, or this account may not see it")
        self._warn(f"item {steps.item_id} ({steps.record.key}) was deleted; it is created again")
        await self._job.commit(ev.Removed(key=steps.record.key, id=steps.item_id))

    async def _forget_if_moved(self, steps: Steps, existing: Existing) -> None:
        """Forget an item that an earlier run updated if another item has its DOI now."""
        if (now := existing.moved.get(steps.record.key)) is not None:
            self._warn(f"the {self._named(steps.record)} is that of item {now} now, and not of {steps.item_id}")
            await self._job.commit(ev.Removed(key=steps.record.key, id=steps.item_id))

    async def _read(self, key: str, row: Row) -> Row:
        """Return the row of an item that is left as it is, with whether it is published; it is read once."""
        if (known := row.read_before(self._job.state.of(key).existing)) is not None:
            return known
        with self._stop.interruptible():
            found = await with_state(self._api, row)
        if found.modified and found.published is not None:
            read = ev.ExistingRead(key=key, id=row.id, modified=found.modified, published=found.published)
            await self._job.commit(read)
        return found

    def _duplicate(self, record: Planned, existing: Existing) -> Row | None:
        """Return the item that this record already has. Raises Conflict if it must not exist, or several do."""
        rows = existing.with_doi(record)
        if self._is_update:
            rows = [row for row in rows if row.owner == "own"]
            if not record.dois and record.key.isdecimal() and int(record.key) in existing.own:
                rows = [Row(id=int(record.key), url="", doi="", owner="own")]
            if len(rows) > 1:
                raise Conflict(f"several items have the {self._named(record)}: {', '.join(str(r.id) for r in rows)}")
        elif rows and self._options.on_duplicate == "fail":
            raise Conflict(f"item {rows[0].id} already has the DOI {rows[0].doi or record.dois[0]}")
        return rows[0] if rows else None

    def _may_not_update(self, row: Row) -> str | None:
        """Return why an existing item is left unchanged; None if it must be updated."""
        if self._is_update:
            return None
        if row.owner != "own":
            return "an item of another account of the institution has the DOI"
        return None if self._options.on_duplicate == "update" else "an item of this account has the DOI"

    async def _failed(self, steps: Steps, error: FigupError) -> None:
        """Record why a record failed. Raises the error if it concerns more than this record."""
        record = steps.record
        if isinstance(error, PermissionDenied):
            # An expired token gets the same answer as a request that is not allowed.
            await self._api.account()
        alike = error.code if isinstance(error, ServerFailing) else error.message
        self._failures = [*(one for one in self._failures if one == alike), alike]
        if len(self._failures) >= MAX_ALIKE:
            raise error.with_context(prefix=f"{MAX_ALIKE} records in a row failed") from error
        if steps.state.item_id is not None and (steps.begun or steps.state.seen is None):
            with suppress(*_OF_ONE_RECORD):
                await steps.observe(done=False)
        await self._job.commit(ev.Failed(key=record.key, code=error.code, message=error.message))
        self._results[record.key] = ("failed", error.message, None)
        self.failed += 1

    # --- results -----------------------------------------------------------------------------------------------------

    def outcomes(self) -> Iterator[Outcome]:
        """Yield the outcome for every record, in the order of the file. Blocks."""
        return map(self._outcome, self._records)

    def _outcome(self, record: Planned) -> Outcome:
        state = self._job.state.of(record.key)
        result, reason, row = self._results.get(record.key, ("left", "", None))
        if result == "existing" and row is None:  # by an earlier run
            result = "created" if state.created else "updated"
        seen = state.seen or ev.Seen()
        return Outcome(
            line=record.line,
            key=record.key,
            title=record.title or "",
            result=result,
            reason=reason,
            item_id=row.id if row is not None else state.item_id,
            url=row.url if row is not None else seen.url,
            doi=row.doi if row is not None else seen.doi,
            published=(row.published or "") if row is not None else seen.published or state.published,
        )
