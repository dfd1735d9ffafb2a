"""The cost of a report's run in requests: in advance, for which the lists are read but nothing is stored, or of the
rest of a run that has read its lists.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from uploader.catalog.reading import Reading, ReadingById
from uploader.catalog.report.collect import Extras, RecordService
from uploader.catalog.report.numbers import EventSelection
from uploader.catalog.report.parts import Part
from uploader.catalog.report.spec import RowList, Spec
from uploader.catalog.report.store import MAX_AGE, Store, Stored, mark_of
from uploader.clock import Clock
from uploader.concurrency import in_thread
from uploader.figshare.records import RowKind
from uploader.figshare.statistics_api import COUNTERS

_Key: TypeAlias = tuple[RowKind, int]


@dataclass(frozen=True, kw_only=True)
class CostEstimate:
    """The cost of a run: rows listed, requests for lists and for records, and the known records.

    `number_requests` go to the statistics service; of all time, there are more if it cannot combine them. `at_least`:
    there may be more requests for records: of earlier versions, long collections, inactive accounts, and changes that
    rows do not show.
    """

    listed: int
    list_requests: int
    record_requests: int
    number_requests: int
    known: int
    at_least: bool = False


def cost_of_rest(store: Store, spec: Spec, extras: Extras, asked: EventSelection) -> CostEstimate:
    """Return the remaining cost of a run that has all its lists in the catalog. Blocks."""
    listed, _ = store.counts()
    # In private reports, records without a date are drafts, which have no numbers.
    undated = not spec.definition.private
    left = {part: store.left(part, undated=undated) for part in extras.parts(spec)}
    collections = len(store.seen("collection")) if "items" in left else 0  # their items are listed in every run
    numbers: tuple[Part, ...] = ("numbers", "places")
    return CostEstimate(
        listed=listed,
        list_requests=0,
        record_requests=left.get("record", 0) + collections,
        number_requests=sum(left[part] * asked.requests(part) for part in numbers if part in left),
        known=listed - left["record"] if "record" in left else 0,
        at_least=bool({"versions", "items"} & left.keys()) or spec.definition.detail == "usage",
    )


class Pricing:
    """Finds the price of one run, which continues `store`; None before the first run."""

    def __init__(
        self, source: RecordService, spec: Spec, extras: Extras, asked: EventSelection, store: Store | None,
        clock: Clock,
    ) -> None:  # fmt: skip
        self._source, self._spec, self._store, self._clock = source, spec, store, clock
        self._parts, self._asked = extras.parts(spec), asked
        self._dates: dict[_Key, bool] = {}
        """Whether each listed row has a date of publication."""
        self._read: set[_Key] = set()
        """Rows whose record was read after their last change."""
        self._sliced: set[str] = set()
        """Lists that are read in several slices, after which changes are listed."""

    async def price(self) -> CostEstimate:
        """Return the price. Raises what reading lists raises."""
        stored = await in_thread(self._store.stored) if self._store is not None else {}
        for key, one in stored.items():
            if one.listed:
                self._add(key, one, one.mark, dated=one.dated)
        requests = 0
        for wanted in (*self._spec.lookups(), *self._spec.lists()):
            requests += await self._list(wanted, stored)
        changes = await in_thread(self._lists_of_changes)
        gone = stored.keys() - self._dates.keys()
        collections = sum(kind == "collection" for kind, _ in self._dates) if "items" in self._parts else 0
        records = len(self._dates) - len(self._read) + len(gone) if "record" in self._parts else 0
        return CostEstimate(
            listed=len(self._dates),
            list_requests=requests + changes,
            record_requests=records + collections,
            number_requests=await in_thread(self._numbers),
            known=len(self._read),
            at_least=bool("versions" in self._parts or collections or changes)
            or self._spec.definition.detail == "usage",
        )

    def _add(self, key: _Key, stored: Stored | None, mark: str, *, dated: bool) -> None:
        self._dates[key] = dated
        if stored is not None and stored.read_at == mark:
            self._read.add(key)

    async def _list(self, wanted: RowList, stored: dict[_Key, Stored]) -> int:
        """Read what is left of a list, and return how many requests that took, or would take."""
        listing, store = wanted.listing, self._store
        position, complete = None, False
        if store is not None and not store.finished:
            position, complete = await in_thread(store.position, wanted.name)
        if position is not None and position.sliced:
            self._sliced.add(wanted.name)
        if complete:
            return 0
        seen = [number for kind, number in self._dates if kind == listing.kind] if position is not None else []
        reading: Reading | ReadingById
        if listing.paging == "id":
            reading = ReadingById(self._source, listing, wanted.criteria, seen=seen)
        else:
            reading = Reading(self._source, listing, wanted.criteria, position=position, seen=seen)
        pages = 0
        async for page in reading.pages():
            pages += 1
            for row in page if listing.kind in self._spec.rows else ():
                key = (listing.kind, row.id)
                self._add(key, stored.get(key), mark_of(row), dated=row.published is not None)
        if reading.position.sliced:
            self._sliced.add(wanted.name)
        return 2 * pages if listing.shifts and pages > 1 else pages

    def _lists_of_changes(self) -> int:
        """Return how many lists of changes are read, because rows do not show them or a list is long. Blocks."""
        store = self._store
        again = store is not None and bool(store.began if store.finished else store.previous)
        lists = [
            one
            for one in self._spec.lists()
            if one.listing.changes
            and (
                (one.listing.key == "published" and one.name in self._sliced)
                or (again and store is not None and store.hides_changes(one.listing.kind))
            )
        ]
        return sum(store is None or store.finished or not store.position(f"changes of {one.name}")[1] for one in lists)

    def _numbers(self) -> int:
        """Return how many requests go to the statistics service. Blocks."""
        # In private reports, records without a date are drafts, which have no numbers.
        counted = {key for key, dated in self._dates.items() if dated or not self._spec.definition.private}
        costs: dict[Part, int] = {part: self._asked.requests(part) for part in ("numbers", "places")}
        total = 0
        for part in [one for one in costs if one in self._parts]:
            left = counted - self._fresh(part)
            total += len(left) * costs[part]
            if part == "numbers" and self._asked.period is None:
                total += len(COUNTERS) * len({kind for kind, _ in left})
        return total

    def _fresh(self, part: Part) -> set[_Key]:
        store = self._store
        if store is None:
            return set()
        began = self._clock.now().timestamp() if store.finished or not store.run else store.began
        return store.fresh(part, began - MAX_AGE)
