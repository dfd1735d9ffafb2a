"""Make a report: bring its catalog up to date, check it, and write the table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import anyio

from uploader._version import __version__
from uploader.catalog.pager import Gap
from uploader.catalog.reading import Reading
from uploader.catalog.report.collect import Collector, Limits, Progress, Source, Spec, Verify
from uploader.catalog.report.columns import Layout, Selection
from uploader.catalog.report.sheets import CHANGES, About, check_output, write_table
from uploader.catalog.report.store import Failed, Store
from uploader.clock import Clock
from uploader.concurrency import in_thread

FOLDER = "catalogs"
"""Folder of catalogs in the state directory."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where the catalog of a report is: in the state directory, by endpoint and account (None: public records)."""

    state_dir: Path
    endpoint: str
    account: int | None = None

    def catalog(self, spec: Spec) -> Path:
        """Return the path of a report's catalog."""
        return self.state_dir / FOLDER / spec.catalog_name(self.endpoint, self.account)


@dataclass(frozen=True, kw_only=True)
class Made:
    """A report that was made. `written` = `listed`; `gone` are records that exist no more and are left out.

    `failed` are records of which only the row of Figshare's list is in the table, or what an earlier run has read.
    `changes` are counts by the keys of `sheets.CHANGES`; `gaps` are parts of lists that are missing.
    """

    listed: int
    written: int
    read: int
    gone: int
    left_out: int
    failed: list[Failed]
    gaps: tuple[Gap, ...]
    changes: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, kw_only=True)
class Price:
    """What a run would cost: rows listed, requests for lists and for records, and the records that are known."""

    listed: int
    list_requests: int
    record_requests: int
    known: int


class Report:
    """One report, to be made once."""

    def __init__(
        self, source: Source, spec: Spec, place: Place, *, verify: Verify | None = None, clock: Clock | None = None
    ) -> None:
        """`verify` raises TokenRejected if the token is not valid, None if there is none."""
        self._source, self._spec, self._place = source, spec, place
        self._verify = verify
        self._clock = clock or Clock()
        self._collector: Collector | None = None
        self._stopped = False

    def stop(self) -> None:
        """End in good order: `make` raises Interrupted."""
        self._stopped = True
        if self._collector is not None:
            self._collector.stop()

    async def make(
        self,
        output: Path,
        selection: Selection,
        *,
        replace: bool = False,
        fresh: bool = False,
        limits: Limits | None = None,
        on_progress: Callable[[Progress], None] = lambda _: None,
    ) -> Made:
        """Make the report. `fresh`: read everything anew. Raises CatalogBusy, Interrupted and others."""
        await in_thread(lambda: check_output(output, replace=replace))
        store = await in_thread(lambda: Store(self._place.catalog(self._spec), fresh=fresh))
        try:
            collector = Collector(
                self._source,
                store,
                self._spec,
                limits=limits,
                clock=self._clock,
                verify=self._verify,
                on_progress=on_progress,
            )
            self._collector = collector
            if self._stopped:
                collector.stop()
            gaps = await collector.run()
            made = await in_thread(lambda: self._write(store, collector, gaps, output, selection, replace=replace))
            await in_thread(store.finish)
            return made
        finally:
            with anyio.CancelScope(shield=True):
                await in_thread(store.close)

    def _write(
        self,
        store: Store,
        collector: Collector,
        gaps: tuple[Gap, ...],
        output: Path,
        selection: Selection,
        *,
        replace: bool,
    ) -> Made:
        listed, _, gone = store.counts()
        failed = store.failures()
        layout = Layout.of(selection, store.custom_names() if selection.all_custom else ())
        scratch = self._place.catalog(self._spec).with_suffix(".tmp")
        scratch.mkdir(mode=0o700, exist_ok=True)
        for litter in scratch.iterdir():
            litter.unlink()

        def about(changes: Counter[str]) -> About:
            lines: list[tuple[str, str | int]] = [
                ("Report", f"{self._spec.report} ({', '.join(f'{kind}s' for kind in self._spec.kinds)})"),
                ("Source", self._place.endpoint),
                *((name, value) for name, value in self._spec.criteria("item").items()),
                ("Written", f"{self._clock.now():%Y-%m-%d %H:%M:%S} UTC, by figup {__version__}"),
                ("Records", listed),
                ("Records that exist no more, left out", gone),
                ("Records that could not be read in full", len(failed)),
                ("The list is complete", "no: " + "; ".join(gap.message for gap in gaps) if gaps else "yes"),
            ]
            return [*lines, *((CHANGES[name], count) for name, count in changes.items() if count)]

        written, changes = write_table(
            output, layout, store.entries(), about, replace=replace, private=not self._spec.public, scratch=scratch,
            expected=listed,
        )  # fmt: skip
        return Made(
            listed=listed, written=written, read=collector.read, gone=gone, left_out=collector.left_out, failed=failed,
            gaps=gaps, changes=changes,
        )  # fmt: skip

    async def price(self) -> Price:
        """Return what making the report would cost; reads the lists, and changes nothing. Raises CatalogBusy."""
        path = self._place.catalog(self._spec)
        store = await in_thread(lambda: Store(path)) if await in_thread(path.exists) else None
        try:
            listed = requests = known = 0
            for kind in self._spec.kinds:
                reading = Reading(self._source, self._spec.listing(kind), self._spec.criteria(kind))
                async for page in reading.pages():
                    requests += 1
                    listed += len(page)
                    known += await in_thread(store.known, kind, page) if store is not None else 0
            return Price(listed=listed, list_requests=requests, record_requests=listed - known, known=known)
        finally:
            if store is not None:
                with anyio.CancelScope(shield=True):
                    await in_thread(store.close)
