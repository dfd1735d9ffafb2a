"""Make a report: bring its catalog up to date, check it, and write the table."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from uploader._version import __version__
from uploader.catalog.names import check_institution
from uploader.catalog.pager import Gap
from uploader.catalog.report.annotate import Annotator, Choice, Findings
from uploader.catalog.report.collect import Collector, Extras, RecordService, RunProgress, Verify
from uploader.catalog.report.columns import Entry, Layout, Selection
from uploader.catalog.report.limits import Limits
from uploader.catalog.report.numbers import EventSelection
from uploader.catalog.report.parts import Failed
from uploader.catalog.report.price import CostEstimate, Pricing, cost_of_rest
from uploader.catalog.report.request import ReportRequest
from uploader.catalog.report.sheets import CHANGES, CompleteFiles, check_output, write_table
from uploader.catalog.report.side_tables import SideTable
from uploader.catalog.report.spec import Spec
from uploader.catalog.report.store import Store
from uploader.catalog.report.workbook import About
from uploader.catalog.statistics.counting import CountingService
from uploader.catalog.statistics.periods import Period
from uploader.clock import Clock
from uploader.concurrency import in_thread
from uploader.disk import Disk, check_private
from uploader.errors import CatalogBusy, CatalogDamaged, JobBusy, NameNotFound, UsageError
from uploader.text import printable
from uploader.transfer.store.lock import JobLock
from uploader.units import format_count

if TYPE_CHECKING:
    from uploader.figshare.client import Figshare

FOLDER = "catalogs"
"""Folder of catalogs in the state directory."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """The place of a report's catalog: in the state directory, by endpoint and account (None: public records)."""

    state_dir: Path
    endpoint: str
    account: int | None = None

    def catalog(self, spec: Spec) -> Path:
        """Return the path of a report's catalog."""
        return self.state_dir / FOLDER / spec.catalog_name(self.endpoint, self.account)


@dataclass(frozen=True, kw_only=True)
class Table:
    """The table to be written: its columns, the choice of rows, and separate tables beside it. Raises UsageError.

    `on_complete` gets its files, in a thread, before the first of them has its name.
    """

    output: Path
    selection: Selection
    choice: Choice
    sides: Sequence[SideTable] = ()
    replace: bool = False
    on_complete: Callable[[CompleteFiles], None] = lambda _: None

    def __post_init__(self) -> None:
        if self.output.suffix.lower() == ".jsonl" and self.selection.chosen:
            raise UsageError("JSON Lines has records as received, without columns; write .xlsx or .csv")

    @classmethod
    def of(cls, request: ReportRequest, output: Path, *, replace: bool) -> Table:
        """Return the table of a request."""
        return cls(
            output=output, selection=request.selection, choice=request.choice, sides=request.sides, replace=replace
        )


@dataclass(frozen=True, kw_only=True)
class ReportResult:
    """A report that was made. `written` is `listed` and the further `versions`, without those `excluded` by the choice.

    `gone` are records that no longer exist. `failed` are records with unreadable parts: the table has what
    an earlier run has read, or the row of Figshare's list. `changes` are counts by the keys of `sheets.CHANGES`; `gaps`
    are parts of lists that are missing. `unnamed` counts groups and owners without a name. `numbers` says which events
    were counted, "" if none were; `sums` are those of views and so on, of all but `uncounted` records. `candidates` are
    authors of the wanted name: name and number of records.
    """

    listed: int
    written: int
    read: int
    gone: int
    left_out: int
    failed: list[Failed]
    gaps: tuple[Gap, ...]
    versions: int = 0
    excluded: Counter[str] = field(default_factory=Counter)
    unnamed: Counter[str] = field(default_factory=Counter)
    numbers: str = ""
    sums: Counter[str] = field(default_factory=Counter)
    uncounted: int = 0
    candidates: dict[int, tuple[str, int]] = field(default_factory=dict)
    changes: Counter[str] = field(default_factory=Counter)


class ReportRun:
    """One report, to be made once.

    `failed` are the records that could not be read, also after a run that failed; None before the catalog was opened.
    `place` is that of its catalog.
    """

    def __init__(
        self,
        source: RecordService,
        spec: Spec,
        place: Place,
        *,
        extras: Extras | None = None,
        verify: Verify | None = None,
        clock: Clock | None = None,
    ) -> None:
        """`verify` raises TokenRejected if the token is not valid, None if there is none.

        Raises UsageError for numbers since a day to come.
        """
        self._source, self._spec, self.place = source, spec, place
        self._extras = extras or Extras()
        self._verify = verify
        self._clock = clock or Clock()
        self._asked = _asked(self._extras, self._clock)
        self._collector: Collector | None = None
        self._stopped = False
        self.failed: list[Failed] | None = None

    @classmethod
    async def of(
        cls, api: Figshare, request: ReportRequest, state_dir: Path, numbers: CountingService | None
    ) -> ReportRun:
        """Return the run of a request in a session. Raises NameNotFound, UsageError, and TokenRejected if it needs one.

        `numbers` counts if the request is for numbers, else None.
        """
        spec = await request.spec(api)
        private = spec.definition.private
        account = (await api.account()).id if private else None
        extras = Extras(
            numbers=numbers, scope=request.scope, since=request.stats_since, versions=request.versions,
            tables=request.tables,
        )  # fmt: skip
        return cls(
            api.records, spec, Place(state_dir=state_dir, endpoint=api.endpoint, account=account), extras=extras,
            verify=api.account if private else None, clock=api.clock,
        )  # fmt: skip

    def stop(self) -> None:
        """Stop cleanly: `make` raises Interrupted."""
        self._stopped = True
        if self._collector is not None:
            self._collector.stop()

    async def make(
        self,
        table: Table,
        *,
        fresh: bool = False,
        limits: Limits | None = None,
        on_progress: Callable[[RunProgress], None] = lambda _: None,
        on_price: Callable[[CostEstimate], None] = lambda _: None,
    ) -> ReportResult:
        """Make the report. `fresh`: read everything again. `on_price` gets the cost of the rest, with the lists read.

        Raises CatalogBusy, Interrupted and others.
        """
        await in_thread(lambda: check_output(table.output, sides=table.sides, replace=table.replace))
        async with self._locked() as lock, self._opened(fresh=fresh) as store:

            async def work() -> ReportResult:
                return await self._make(store, lock.check, table, limits, on_progress, on_price)

            try:
                return await lock.held_while(work)
            finally:
                with anyio.CancelScope(shield=True):
                    self.failed = await in_thread(store.failures)

    async def _make(
        self,
        store: Store,
        fence: Callable[[], Awaitable[None]],
        table: Table,
        limits: Limits | None,
        on_progress: Callable[[RunProgress], None],
        on_price: Callable[[CostEstimate], None],
    ) -> ReportResult:
        async def listed() -> None:
            on_price(await in_thread(cost_of_rest, store, self._spec, self._extras, self._asked))

        collector = Collector(
            self._source,
            store,
            self._spec,
            account=self.place.account,
            extras=self._extras,
            asked=self._asked,
            limits=limits,
            clock=self._clock,
            verify=self._verify,
            fence=fence,
            on_listed=listed,
            on_progress=on_progress,
        )
        self._collector = collector
        if self._stopped:
            collector.stop()
        gaps = await collector.run()
        made: ReportResult | NameNotFound
        try:
            if not (any(await in_thread(store.counts)) or gaps):
                await self._check_institution()
            made = await in_thread(lambda: self._write(store, collector, gaps, table))
        except NameNotFound as error:
            made = error
        await fence()
        await in_thread(store.finish)
        if isinstance(made, NameNotFound):
            raise made
        return made

    @asynccontextmanager
    async def _locked(self) -> AsyncIterator[JobLock]:
        """Exclude other processes, also where the file system has no locks. Raises CatalogBusy, StateUnusable."""
        folder = self.place.catalog(self._spec).with_suffix(".lock")
        await in_thread(check_private, self.place.state_dir, folder.parent)
        await in_thread(Disk().make_folder, folder)
        lock = JobLock(folder, Disk(), self._clock)
        try:
            await lock.acquire()
            try:
                yield lock
            finally:
                await lock.release()
        except JobBusy as busy:
            raise CatalogBusy("another process is making this report") from busy

    @asynccontextmanager
    async def _opened(self, *, fresh: bool = False) -> AsyncIterator[Store]:
        path = self.place.catalog(self._spec)
        parts = self._extras.parts(self._spec)
        store = await in_thread(
            lambda: Store(path, self._spec.rows, parts, counted=self._asked.mark, fresh=fresh)
        )  # fmt: skip
        try:
            yield store
        finally:
            with anyio.CancelScope(shield=True):
                await in_thread(store.close)

    def _write(self, store: Store, collector: Collector, gaps: tuple[Gap, ...], table: Table) -> ReportResult:
        listed, gone = store.counts()
        failed = store.failures()
        entries = functools.partial(_checked, store.entries, collector.check)
        first = self._survey(store, table.choice, entries)
        if first.records != listed:
            raise CatalogDamaged(f"this report's catalog is damaged: it has {first.records} of {listed} records")
        selection = table.selection
        layout = Layout.of(selection, first.custom_names if selection.all_custom else ())
        expected = listed - first.excluded.total() + first.versions
        if self._spec.report == "author" and not expected and not gaps:
            raise NameNotFound(_unknown_author(self._spec, first))
        if self._spec.group is not None and not (listed or gone or gaps):
            self._check_group(store, self._spec.group)
        findings = Findings()
        numbers = str(self._asked) if self._extras.numbers is not None else ""

        def about(changes: Counter[str]) -> About:
            lines: list[tuple[str, str | int]] = [
                ("Report", f"{self._spec.report} ({', '.join(f'{kind}s' for kind in self._spec.rows)})"),
                ("Source", self.place.endpoint),
                *((name, value) for name, value in self._spec.limits.items()),
                ("Written", f"{self._clock.now():%Y-%m-%d %H:%M:%S} UTC, by figup {__version__}"),
                ("Records", listed),
                *((f"Records {reason}, left out", count) for reason, count in findings.excluded.items()),
                *([("Rows of earlier versions", findings.versions)] if table.choice.versions else []),
                *([("Numbers", numbers)] if numbers else []),
                *((f"Sum of {name}", count) for name, count in findings.sums.items()),
                ("Records no longer on Figshare, left out", gone),
                ("Records that could not be read in full", len({(one.kind, one.id) for one in failed})),
                ("The list is complete", "no: " + "; ".join(gap.message for gap in gaps) if gaps else "yes"),
            ]
            return [*lines, *((CHANGES[name], count) for name, count in changes.items() if count)]

        annotator = self._annotator(store, table.choice, entries)
        written, changes = write_table(
            table.output, layout, annotator.rows(entries(), findings), about, sides=table.sides,
            lookups=annotator.names(), replace=table.replace, private=self._spec.definition.private,
            scratch=self._scratch(), expected=expected, check=collector.check, on_complete=table.on_complete,
        )  # fmt: skip
        return ReportResult(
            listed=listed, written=written, read=collector.read, gone=gone, left_out=collector.left_out, failed=failed,
            gaps=gaps, versions=findings.versions, excluded=findings.excluded, unnamed=+findings.unnamed,
            numbers=numbers, sums=findings.sums, uncounted=findings.uncounted if numbers else 0,
            candidates=findings.candidates, changes=changes,
        )  # fmt: skip

    def _check_group(self, store: Store, group: int) -> None:
        """Raise NameNotFound if a group without records does not exist, as far as is known: only administrators see the
        list of groups.
        """
        known = [row.get("id") for row in store.rows("group")]
        if group not in known:
            raise NameNotFound(f"unknown group {group}" + ("" if known else ", or no records in it"), hint="")

    def _survey(self, store: Store, choice: Choice, entries: Callable[[], Iterator[Entry]]) -> Findings:
        """Go through the rows of the table once, to know its columns and their number."""
        findings = Findings()
        for _ in self._annotator(store, choice, entries).rows(entries(), findings):
            pass
        return findings

    def _annotator(self, store: Store, choice: Choice, entries: Callable[[], Iterator[Entry]]) -> Annotator:
        named = {one.listing.kind for one in self._spec.lookups()}
        annotator = Annotator(
            choice,
            groups=store.rows("group") if "group" in named else (),
            accounts=store.rows("account") if "account" in named else (),
        )
        annotator.learn(entries())
        return annotator

    def _scratch(self) -> Path:
        """Return an empty folder for temporary files of a workbook."""
        scratch = self.place.catalog(self._spec).with_suffix(".tmp")
        scratch.mkdir(mode=0o700, exist_ok=True)
        for litter in scratch.iterdir():
            litter.unlink()
        return scratch

    async def price(self, *, fresh: bool = False) -> CostEstimate:
        """Return the cost of making the report, from the beginning if `fresh`; reads lists, and changes nothing.

        Raises CatalogBusy, and NameNotFound for an unknown institution.
        """
        if fresh or not await in_thread(self.place.catalog(self._spec).exists):
            return await self._price(None)
        async with self._locked(), self._opened() as store:
            return await self._price(store)

    async def _price(self, store: Store | None) -> CostEstimate:
        price = await Pricing(self._source, self._spec, self._extras, self._asked, store, self._clock).price()
        if not price.listed:
            await self._check_institution()
        return price

    async def _check_institution(self) -> None:
        """Raise NameNotFound if an institution without records does not exist."""
        wanted = self._spec.institution
        if wanted is not None:
            await check_institution(self._source, wanted)


def _checked(entries: Callable[[], Iterator[Entry]], check: Callable[[], None]) -> Iterator[Entry]:
    """Yield the records, and raise between them what `check` raises."""
    for one in entries():
        check()
        yield one


def _asked(extras: Extras, clock: Clock) -> EventSelection:
    """Return which events are counted. Raises UsageError for a day to come."""
    period = None if extras.since is None else Period(extras.since, clock.now().date())
    return EventSelection(scope=extras.scope, period=period)


def _unknown_author(spec: Spec, found: Findings) -> str:
    """Report that an author has no records, and which records were left out."""
    asked = " or ".join(printable(one) for one in (spec.author, spec.orcid) if one is not None)
    left_out = "; ".join(f"{format_count(count, 'record')} {reason}" for reason, count in found.excluded.items())
    return f"no public records by {asked}" + (f" (left out: {left_out})" if left_out else "")
