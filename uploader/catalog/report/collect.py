"""Collect the data of a report in its catalog: lists, then records and numbers, then those that failed once more.

Each phase asks the catalog what is missing, and asks Figshare for nothing else, so a run that ended early is continued
by the next one. Pages of lists are committed at once.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final, Literal, Protocol, TypeAlias

import anyio

from uploader.catalog.pager import Gap, Position
from uploader.catalog.reading import Reading, ReadingById
from uploader.catalog.report.limits import CONTINUE, CountedPages, Limits, Requests, StopReading
from uploader.catalog.report.numbers import EventSelection, NumbersReader
from uploader.catalog.report.parts import Part, PartToRead
from uploader.catalog.report.phase import Phase, Tally
from uploader.catalog.report.spec import RowList, Spec
from uploader.catalog.report.store import Store
from uploader.catalog.report.values import Raw, is_public
from uploader.catalog.report.values import number as as_number
from uploader.catalog.statistics.counting import CountingService
from uploader.clock import Clock
from uploader.concurrency import in_thread, unwrap_group
from uploader.errors import Interrupted, ItemNotFound, PermissionDenied, ProtocolViolation
from uploader.figshare.ids import Kind
from uploader.figshare.models import PAGE
from uploader.figshare.records import Institution, Listing, Page, Record, RowKind, VersionRecord, items_of
from uploader.units import format_count

SLOW_WALK: Final = 60.0
"""Seconds of reading lists after which records may have moved between their pages."""
_ROUNDS: Final = 2
"""How often changes are listed at most, while they show records that are new."""
_DAY: Final = timedelta(days=1)
_AFTER_RECORDS: Final[frozenset[Part]] = frozenset({"versions", "items"})

Verify: TypeAlias = Callable[[], Awaitable[object]]


class RecordService(Protocol):
    """The requests that a report needs; `uploader.figshare.records_api.Records` has them."""

    async def page(
        self, listing: Listing, criteria: Mapping[str, str | int], *, page: int, size: int = PAGE
    ) -> Page: ...
    async def record(self, kind: Kind, number: int, *, public: bool, version: int | None = None) -> Record: ...
    async def versions(self, kind: Literal["item", "collection"], number: int) -> list[VersionRecord]: ...
    async def review(self, number: int) -> Record: ...
    async def usage(self, account: int, *, own: bool) -> Record: ...
    async def account(self, number: int) -> Record: ...
    def institutions(self) -> AsyncIterator[Institution]: ...


@dataclass(frozen=True, kw_only=True)
class Extras:
    """The data to read beyond the records: their numbers, their earlier versions, and what separate `tables` need.

    The numbers are those of a scope (None: everywhere), from `since` to today (None: of all time).
    """

    numbers: CountingService | None = None
    scope: str | None = None
    since: date | None = None
    versions: bool = False
    tables: bool = False

    def parts(self, spec: Spec) -> tuple[Part, ...]:
        """Return the parts of records that the report needs."""
        counted = self.numbers is not None
        wanted: dict[Part, bool] = {
            "record": spec.definition.detail is not None,
            "numbers": counted,
            "places": counted and self.tables and self.since is not None,
            "versions": self.versions,
            "items": self.tables and "collection" in spec.rows,
        }
        return tuple(part for part, needed in wanted.items() if needed)


@dataclass(frozen=True, kw_only=True)
class RunProgress:
    """The progress of a run. `total` is None while lists are read, `done` then the number of rows so far."""

    done: int
    total: int | None
    failed: int
    requests: int


async def _nothing() -> None:
    """Do nothing: no other process is excluded."""


class Collector:
    """One run of a report. `stop()` ends it cleanly; everything read is in the catalog."""

    def __init__(
        self,
        source: RecordService,
        store: Store,
        spec: Spec,
        *,
        account: int | None = None,
        extras: Extras | None = None,
        asked: EventSelection | None = None,
        limits: Limits | None = None,
        clock: Clock | None = None,
        verify: Verify | None = None,
        fence: Callable[[], Awaitable[None]] = _nothing,
        on_listed: Callable[[], Awaitable[None]] = _nothing,
        on_progress: Callable[[RunProgress], None] = lambda _: None,
    ) -> None:
        """`account` is the token's. `asked` says which events are counted, None: all. `verify` is called when a record
        may not be read; it raises TokenRejected if the token is not valid. `fence` is awaited before each commit; it
        raises if another process has the catalog. `on_listed` is awaited once all lists were read.
        """
        self._source, self._store, self._spec = source, store, spec
        self._account, self._verify, self._fence = account, verify, fence
        self._extras, self._asked = extras or Extras(), asked or EventSelection()
        self._clock = clock or Clock()
        self._requests = Requests(limits or Limits(), self._clock)
        self._on_listed, self._on_progress = on_listed, on_progress
        self.left_out = 0
        """Rows that did not fit the filters."""
        self._tally = Tally()
        self._known = 0
        self._lock = anyio.Lock()
        self._readers = self._make_readers()

    @property
    def requests(self) -> int:
        """Requests begun, without retries."""
        return self._requests.begun

    @property
    def read(self) -> int:
        """Records read in full in this run."""
        return self._tally.read

    def stop(self) -> None:
        """Begin no further request; `run` raises Interrupted once those under way have ended."""
        self._requests.stop()

    def check(self) -> None:
        """Raise Interrupted if the run was stopped, or its deadline has come: its table takes time as well."""
        self._requests.check()

    async def run(self) -> tuple[Gap, ...]:
        """Bring the catalog up to date; return what is missing from the lists. Raises Interrupted to be continued."""
        gaps: tuple[Gap, ...] = ()
        with anyio.move_on_after(self._requests.seconds_left()) as scope:
            gaps = await self._phases()
        if scope.cancelled_caught:
            self._requests.ending = "stopped before the deadline"
        if self._requests.ending:
            raise Interrupted(await self._interruption(), hint=CONTINUE)
        return gaps

    async def _phases(self) -> tuple[Gap, ...]:
        await in_thread(self._store.begin, self._clock.now().timestamp())
        gaps: list[Gap] = []
        try:
            for one in (*self._spec.lookups(), *self._spec.lists()):
                gaps += await self._list(one)
            for one in self._spec.lists():
                gaps += await self._changes(one)
        except StopReading:
            return ()
        if gaps:
            await in_thread(self._store.keep_unlisted)
        bare = [one.listing.kind for one in self._spec.lookups()]
        bare += self._spec.rows if self._spec.definition.detail is None else ()
        await in_thread(self._store.drop_unlisted, bare)
        await in_thread(lambda: self._store.forget_failures(undated=self._undated))
        await self._on_listed()
        for failed in (False, True):
            await self._parts(failed=failed)
        return tuple(gaps)

    async def _interruption(self) -> str:
        listed, _ = await in_thread(self._store.counts)
        if not all([(await in_thread(self._store.position, one.name))[1] for one in self._spec.lists()]):
            return f"{self._requests.ending}: {format_count(listed, 'record')} listed so far"
        wanted = max([await self._left([part]) for part in self._readers], default=0)
        return f"{self._requests.ending}: {wanted:,} of {format_count(listed, 'record')} left to read"

    # --- lists -------------------------------------------------------------------------------------------------------

    async def _list(self, wanted: RowList) -> list[Gap]:
        listing, name = wanted.listing, wanted.name
        position, complete = await in_thread(self._store.position, name)
        if complete and position is not None:
            return list(position.gaps)
        seen = await in_thread(self._store.seen, listing.kind)
        source = CountedPages(self._source, self._requests)
        reading: Reading | ReadingById
        if listing.paging == "id":
            reading = ReadingById(source, listing, wanted.criteria, position=position, seen=seen)
        else:
            reading = Reading(source, listing, wanted.criteria, position=position, seen=seen)
        known, checks = set(seen), wanted.checks(len(seen) if position is not None else 0)
        self._known += len(known)
        async for page in reading.pages() if isinstance(reading, ReadingById) else reading.settled_pages():
            rows = checks.fitting(page)
            await self._add_page(name, listing.kind, rows, reading.position)
            self._known += len({row.id for row in rows} - known)
            known.update(row.id for row in rows)
            self._report(self._known, None)
        self.left_out += checks.left_out
        await self._add_page(name, listing.kind, (), reading.position, complete=True)
        return list(reading.gaps)

    async def _add_page(
        self, name: str, kind: RowKind, rows: Sequence[Record], position: Position, *, complete: bool = False
    ) -> None:
        await self._fence()
        await in_thread(lambda: self._store.add_page(name, kind, rows, position, complete=complete))

    async def _changes(self, wanted: RowList) -> list[Gap]:
        """List what was modified since the run before, where rows do not show that, or since a long walk began."""
        name, kind = f"changes of {wanted.name}", wanted.listing.kind
        position, complete = await in_thread(self._store.position, name)
        if complete and position is not None:
            return list(position.gaps)
        since = await in_thread(self._changed_since, wanted) if wanted.listing.changes else None
        gaps: tuple[Gap, ...] = ()
        for _ in range(_ROUNDS):
            if since is None:
                break
            known = set(await in_thread(self._store.seen, kind))
            reading = self._reading_of_changes(wanted, since)
            found, checks = set[int](), wanted.checks()
            async for page in reading.pages():
                rows = checks.fitting(page)
                found.update(row.id for row in rows)
                await self._add_page(name, kind, rows, reading.position)
            await in_thread(self._store.outdate, kind, found)
            gaps = reading.gaps
            if found <= known:
                break
        await self._add_page(name, kind, (), Position(pending=(), gaps=gaps), complete=True)
        return list(gaps)

    def _reading_of_changes(self, wanted: RowList, since: datetime) -> Reading:
        """Return what reads everything that was modified since then, however much that is."""
        source, listing = CountedPages(self._source, self._requests), wanted.listing
        if listing.key == "modified":
            return Reading(source, listing, wanted.criteria, since=since)
        return Reading(source, listing, {**wanted.criteria, "modified_since": f"{since:%Y-%m-%dT%H:%M:%SZ}"})

    def _changed_since(self, wanted: RowList) -> datetime | None:
        """Return since when changes are listed, None if that is not needed. Blocks."""
        began, previous = self._store.began, self._store.previous
        if previous and self._store.hides_changes(wanted.listing.kind):
            return datetime.fromtimestamp(previous, UTC) - _DAY
        position, _ = self._store.position(wanted.name)
        # A record that is published again leaves the list for a moment, in which its slice may be read.
        sliced = position is not None and position.sliced
        if wanted.listing.key == "published" and (sliced or self._clock.now().timestamp() - began > SLOW_WALK):
            return datetime.fromtimestamp(began, UTC) - _DAY
        return None

    # --- records -----------------------------------------------------------------------------------------------------

    def _make_readers(self) -> dict[Part, Callable[[PartToRead], Awaitable[Raw]]]:
        readers: dict[Part, Callable[[PartToRead], Awaitable[Raw]]] = {
            "record": self._read_record,
            "versions": self._read_versions,
            "items": self._read_items,
        }
        if self._extras.numbers is not None:
            numbers = NumbersReader(self._extras.numbers, self._asked, self._requests.count)
            readers |= {"numbers": numbers.numbers, "places": numbers.places}
        return {part: self._beginning(readers[part]) for part in self._extras.parts(self._spec)}

    def _beginning(self, read: Callable[[PartToRead], Awaitable[Raw]]) -> Callable[[PartToRead], Awaitable[Raw]]:
        async def begin(wanted: PartToRead) -> Raw:
            self._requests.begin()
            return await read(wanted)

        return begin

    @property
    def _undated(self) -> bool:
        """Whether records without a date of publication are counted, too: elsewhere they are drafts."""
        return not self._spec.definition.private

    async def _left(self, parts: Iterable[Part]) -> int:
        return await in_thread(lambda: sum(self._store.left(one, undated=self._undated) for one in parts))

    async def _parts(self, *, failed: bool) -> None:
        """Read the parts that the catalog lacks, or those that failed in this run once more."""
        # What depends on the records comes after them.
        for some in (self._readers.keys() - _AFTER_RECORDS, self._readers.keys() & _AFTER_RECORDS):
            if self._requests.ending or not some:
                continue
            if not failed:
                listed, _ = await in_thread(self._store.counts)
                left = await self._left(some)
                self._tally.total, self._tally.done = listed * len(some), listed * len(some) - left
            with unwrap_group():
                async with anyio.create_task_group() as group:  # two hosts, each with a budget of its own
                    for part in some:
                        group.start_soon(functools.partial(self._phase(part, len(some)).run, failed=failed))

    def _phase(self, part: Part, parts: int) -> Phase:
        """Return the phase of one of `parts` parts that are read at the same time."""
        return Phase(
            part, self._readers[part], self._store, self._lock, self._tally, self._clock, undated=self._undated,
            fence=self._fence, verify=self._verify if part not in ("numbers", "places") else None,
            on_progress=lambda: self._report(self._tally.done // parts, self._tally.total // parts),
        )  # fmt: skip

    async def _read_record(self, wanted: PartToRead) -> Raw:
        self._requests.count()
        detail = self._spec.definition.detail
        if detail == "review":
            record = await self._source.review(wanted.id)
        elif detail == "usage":
            record = await self._read_usage(wanted.id)
        else:
            record = await self._source.record(_record_kind(wanted), wanted.id, public=detail == "public")
        if record.id != wanted.id:
            raise ProtocolViolation(f"Figshare's response describes {wanted.kind} {record.id}")
        return record.raw

    async def _read_usage(self, account: int) -> Record:
        try:
            return await self._source.usage(account, own=account == self._account)
        except (ItemNotFound, PermissionDenied):
            self._requests.count()  # an inactive account cannot be impersonated
            return await self._source.account(account)

    async def _read_versions(self, wanted: PartToRead) -> Raw:
        """Read the public versions but the one that the record is. Of a first version there are none."""
        kind = _record_kind(wanted)
        record = await in_thread(self._store.record, kind, wanted.id)
        shown = record.get("version")
        public = self._spec.definition.detail == "public" or is_public(record) is True
        if kind == "project" or (public and shown == 1) or not record.get("published_date"):
            return {"versions": []}
        self._requests.count()
        numbers = [one.version for one in await self._source.versions(kind, wanted.id)]
        found = []
        for number in numbers:
            if not (public and number == shown):
                self._requests.count()
                version = await self._source.record(kind, wanted.id, public=True, version=number)
                shown_version = as_number(version.raw.get("version"))
                if version.id != wanted.id or shown_version not in (None, number):
                    which = f"{kind} {version.id}, version {shown_version}"
                    raise ProtocolViolation(f"Figshare's response for version {number} describes {which}")
                found.append(version.raw)
        return {"versions": found}

    async def _read_items(self, wanted: PartToRead) -> Raw:
        """Read the rows of a collection's items, in their order."""
        listing = items_of("collection", wanted.id, public=self._spec.definition.detail == "public")
        reading = Reading(CountedPages(self._source, self._requests), listing)
        found = [row.raw async for row in reading.rows()]
        if reading.gaps:
            raise ProtocolViolation("; ".join(gap.message for gap in reading.gaps))
        return {"items": found}

    def _report(self, done: int, total: int | None) -> None:
        self._on_progress(
            RunProgress(done=done, total=total, failed=len(self._tally.failed), requests=self.requests)
        )  # fmt: skip


def _record_kind(wanted: PartToRead) -> Kind:
    if wanted.kind in ("item", "collection", "project"):
        return wanted.kind
    raise ProtocolViolation(f"unexpected {wanted.kind}")
