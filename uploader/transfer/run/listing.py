"""The item's files. Lookups are batched while requests are scarce, and flushed at once when the API is idle."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping
from datetime import timedelta
from itertools import takewhile

import anyio

from uploader.clock import Clock
from uploader.errors import ItemNotFound, RequestRejected
from uploader.figshare.models import PAGE, File, Item
from uploader.items.reconcile import TIME_LIMIT, VISIBLE_AFTER, once_visible, seconds_to_search
from uploader.sources.models import remote_path
from uploader.text import composed
from uploader.transfer.compare import Expected, is_in_place, other_spelling, paths_in_item
from uploader.transfer.journal.lifecycle import State, Transfer
from uploader.transfer.journal.state import ItemState, JobState
from uploader.transfer.run.placement import Placement
from uploader.transfer.run.service import Service

BULK_FROM = 8
"""Jobs with fewer files do not batch their lookups."""
_BATCH_SIZE = 25
"""Size of a due batch, in files per request that a listing costs, while the request budget is used up."""
_PENDING_BYTES = 64 << 20
"""A batch is due once this many bytes wait for it, per request that a listing costs."""
_INTERVAL = 0.25
"""Minimum seconds between two listings."""
_MAX_WAIT, _FILES_A_SECOND = 3.0, 200
"""While the API is idle a batch waits a second for each 200 files of the job, at most 3 seconds."""
_LISTING_AGE, _LISTING_AGE_A_REQUEST = 60.0, 20.0
"""Seconds for which a listing decides which files are started: at least, and for each request that it costs."""
_VISIBILITY_PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds before each further attempt to list an item that was created a short time ago."""
_VISIBLE_EVERYWHERE = timedelta(hours=1)
"""Time after its creation began at which an existing item that was seen once is visible everywhere."""
_PATIENCE = 3
"""Number of listings that may lack a file that was just initiated, before it is requested individually."""


def visible_within(api: Service, state: JobState, settle: float) -> float:
    """Return the seconds for which an item that seems missing must be requested again.

    For `settle` seconds some copies of the server's data may lack an item that the job has just created.
    """
    intent = state.item_intent
    if not state.creates_item or (intent is None and not state.recovered):
        return 0.0
    visible_after = _VISIBLE_EVERYWHERE if state.item_state is ItemState.READY else VISIBLE_AFTER
    created = intent.at if intent is not None else state.plan.created  # the damaged journal lost the intent
    return seconds_to_search(created, api.server_now(), settle, visible_after)


async def read_item(api: Service, state: JobState, item_id: int, settle: float) -> Item:
    """Request the job's item. Raises ItemNotFound after the time that `visible_within` gives."""
    return await once_visible(lambda: api.item(item_id), visible_within(api, state, settle), api.clock)


async def list_item(api: Service, state: JobState, item_id: int, settle: float) -> AsyncIterator[File]:
    """Yield the files of the job's item. Raises ItemNotFound as `read_item` does."""
    limit, any_listed = visible_within(api, state, settle), False
    for pause in (*takewhile(lambda pause: pause < limit, _VISIBILITY_PAUSES), None):
        try:
            async for file in api.files(item_id):
                any_listed = True
                yield file
        except ItemNotFound:
            if any_listed or pause is None:
                raise
            await api.clock.sleep(pause)
        else:
            break


class _Batch:
    """A batch of lookups answered by one listing."""

    def __init__(self) -> None:
        self.ids: set[int] = set()
        self.names: set[str] = set()
        self.pending_bytes = 0
        self.done = anyio.Event()
        self.listed = False
        self.files: dict[int, File] = {}
        self.named: dict[str, list[File]] = defaultdict(list)
        """Files by the last component of their names, composed; the names may have folders in them."""
        self.listed_at = 0.0
        """When the listing ended, by the clock."""

    def take(self, file: File) -> None:
        """Keep a listed file if it was asked for."""
        if file.id in self.ids:
            self.files[file.id] = file
        name = composed(file.name.rpartition("/")[2])
        if name in self.names:
            self.named[name].append(file)

    def is_due(self, requests: int, *, idle: bool) -> bool:
        """Return True if the batch is due. `requests`: the cost of a listing; `idle`: no part waits to be sent."""
        return (
            bool(self.names)
            or len(self.ids) >= _BATCH_SIZE * requests
            or (idle and self.pending_bytes >= _PENDING_BYTES * min(requests, len(self.ids)))
        )


class RemoteListing:
    """The files of the job's item that concern the job.

    `everything`: also those that concern its verified files, which may have to be sent again. `settle`: seconds until
    what was created is visible; `report`: see `Placement`.
    """

    def __init__(
        self,
        api: Service,
        state: JobState,
        clock: Clock,
        *,
        everything: bool = False,
        settle: float = TIME_LIMIT,
        report: Callable[[float], None] | None = None,
    ) -> None:
        self.foreign_files: dict[str, list[File]] = {}
        """Other files at the remote paths of the job's files when it was loaded or refreshed, by the job's path."""
        self.spellings: dict[str, str] = {}
        """Paths of such files where they are spelled otherwise (`compare.paths_in_item`), by the job's path."""
        self.links: dict[str, list[File]] = {}
        """Links of the item to the job's addresses at that time, by address."""
        self.other_links = self.other_files = 0
        """Numbers of links and of files at that time that are not the job's."""
        self.file_count = 0
        """Number of files in the item at that time; 0 before."""
        self.is_loaded = False
        """True once it was loaded."""
        self.removed: set[int] = set()
        """Ids of files that this run has removed since."""
        self._api = api
        self._state = state
        self._clock = clock
        self._everything = everything
        self._settle = settle
        self.placement = Placement(self._read_item, clock, settle, report)
        self._loaded: dict[int, File] = {}
        self._rows = 0
        self._listed_at = clock.monotonic()
        """When the item was last listed or known to be empty; at first the beginning of the run."""
        self._next = _Batch()
        self._requested = anyio.Event()
        self._running = False

    async def load(self) -> None:
        """List the item once: files at the job's remote paths, and the job's own unfinished files."""
        unfinished = self._unfinished()
        names = {composed(t.name) for t in unfinished if not t.link}
        links = {t.path for t in unfinished if t.link}
        found: list[File] = []
        begun = {t.file_id for t in unfinished if t.state is not State.VERIFIED}
        mine = self._own_ids()
        self._rows = 0
        async for file in self._list_item():
            self._rows += 1
            if file.id not in begun and may_be_called(file, names):
                found.append(file)
            if file.is_link_only and file.download_url in links:
                self.links.setdefault(file.download_url, []).append(file)
            elif file.is_link_only:
                self.other_links += file.id not in mine
            else:
                self.other_files += file.id not in mine
            if file.id in begun:
                self._loaded[file.id] = file
        self.file_count, self.is_loaded = self._rows, True
        await self._place(found, unfinished)

    def _unfinished(self) -> list[Transfer]:
        return [t for t in self._state.transfers if self._everything or t.state is not State.VERIFIED]

    async def _place(self, found: list[File], transfers: list[Transfer]) -> None:
        """Note which of the listed files that are not the job's are at the remote paths of these transfers."""
        listed_at = self._clock.monotonic()
        by_path: dict[str, list[File]] = defaultdict(list)
        if others := self._others(found):
            item = await self.placement.item_placing(others, listed_at=listed_at)
            for file in self._others(others):  # other tasks may have started files since
                by_path[file.path_among(item.folders)].append(file)
        # Usually none: do not compute the paths of a hundred thousand files for nothing.
        self._set_foreign_files({t.remote_path for t in transfers if by_path and not t.link}, by_path)
        self._listed_at = listed_at

    def note_empty(self) -> None:
        """Note that the item was created just now: it has no files, and not every server may show it yet."""
        self._listed_at = self._clock.monotonic()

    def _others(self, files: list[File]) -> list[File]:
        """Return the files that the job has not removed, and not created for a source that it still has; of those, it
        may have found some identical.
        """
        return [file for file in files if file.id not in self.removed and not self._is_created(file.id)]

    def _is_created(self, file_id: int) -> bool:
        owners = (transfer for transfer in self._state.owners(file_id) if not transfer.dropped)
        return any(file_id != transfer.file_id or not transfer.foreign for transfer in owners)

    def _own_ids(self) -> set[int]:
        return {file_id for transfer in self._state.transfers for file_id in transfer.owned_ids()}

    @property
    def is_old(self) -> bool:
        """True if another file may have appeared in a place of the job since the item was loaded or refreshed.

        The more requests a listing costs, the longer it is used.
        """
        return self._clock.monotonic() - self._listed_at > max(_LISTING_AGE, _LISTING_AGE_A_REQUEST * self._requests)

    def _set_foreign_files(self, paths: set[str], existing: Mapping[str, list[File]]) -> None:
        """Note the files at these remote paths of the job. `existing` are the item's files by path."""
        places = paths_in_item(self._paths() | paths, existing) if existing else {}
        here = {path: places[path] for path in paths.intersection(places)}
        self.foreign_files = {
            path: [file for place in found for file in existing[place]] for path, found in here.items()
        }
        spellings = ((path, other_spelling(path, found)) for path, found in here.items())
        self.spellings = {path: spelling for path, spelling in spellings if spelling is not None}

    def _paths(self) -> set[str]:
        """Return the remote paths of the job's files."""
        return {t.remote_path for t in self._state.active if not t.link}

    async def refresh(self) -> None:
        """List the item once more: other files at the job's remote paths, and links to its addresses, as they are now.

        Raises ItemNotFound.
        """
        unfinished = self._unfinished()
        names = {composed(t.name) for t in unfinished if not t.link}
        addresses = {t.path for t in self._state.transfers if t.link}
        found: list[File] = []
        links: dict[str, list[File]] = {}
        rows = 0
        async for file in self._list_item():
            rows += 1
            if may_be_called(file, names):
                found.append(file)
            if file.is_link_only and file.download_url in addresses:
                links.setdefault(file.download_url, []).append(file)
        self._rows, self.links = rows, links
        await self._place(found, unfinished)

    async def _list_item(self) -> AsyncIterator[File]:
        last = 0
        async for file in list_item(self._api, self._state, self._item_id, self._settle):
            last = max(last, file.id)
            yield file
        self.placement.note_listed(last, self._clock.monotonic())

    async def _read_item(self) -> Item:
        return await read_item(self._api, self._state, self._item_id, self._settle)

    def may_hold(self, transfer: Transfer) -> bool:
        """Return True if the item had a file of the transfer's remote path and size when it was loaded."""
        return any(file.size == transfer.size for file in self.foreign_files.get(transfer.remote_path, ()))

    async def run_batches(self, idle: Callable[[], bool]) -> None:
        """Answer batched lookups until cancelled. Raises what listing the item raises.

        `idle()` is True while no part waits to be sent.
        """
        if len(self._state.transfers) < BULK_FROM:
            return
        self._running = True
        gathering = min(_MAX_WAIT, len(self._state.transfers) / _FILES_A_SECOND)
        try:
            while True:
                await self._requested.wait()
                since = self._clock.monotonic()
                while not self._next.is_due(self._requests, idle=idle()):
                    if self._api.idle and self._clock.monotonic() - since >= gathering:
                        break
                    await self._clock.sleep(_INTERVAL)
                batch, self._next, self._requested = self._next, _Batch(), anyio.Event()
                await self._list(batch)
                batch.done.set()
                await self._clock.sleep(_INTERVAL)
        finally:
            self._running = False

    async def file(self, file_id: int, *, fresh: bool = False, pending_bytes: int = 0) -> File:
        """Look up a file: the first time as it was when the item was loaded, then as it is now. Raises FileGone.

        `fresh`: it was just initiated and may not be visible yet. `pending_bytes`: bytes that wait for the answer.
        """
        if (known := self._loaded.pop(file_id, None)) is not None:
            return known
        for _ in range(_PATIENCE if fresh else 1):
            if not self._running:
                break
            batch = self._next
            batch.ids.add(file_id)
            batch.pending_bytes += pending_bytes
            await self._wait_for(batch)
            found = batch.files.get(file_id)
            if found is not None and (found.upload_url is not None or found.status != "created"):
                return found
            if not batch.listed:
                break
        return await self._api.file(self._item_id, file_id, fresh=fresh)

    async def at(self, folder: str, name: str) -> list[File]:
        """Look up the item's files of this folder and name, as they are now; else those that spell them otherwise. The
        job's own are left out.
        """
        files, listed_at = await self._named(name)
        if not (others := self._others(files)):
            return []
        item = await self.placement.item_placing(others, listed_at=listed_at)
        named = [(file.path_among(item.folders), file) for file in files]
        path, paths = remote_path(folder, name), [path for path, _ in named]
        wanted = {path} if path in paths else self._paths()
        places = paths_in_item(wanted, paths).get(path, [])
        return [file for place, file in named if place in places and file in others]

    async def in_place(self, file_id: int, folder: str, name: str, until: float = math.inf) -> File | None:
        """Look up a file that is in this folder and has this name now, in any spelling; None if it is elsewhere.

        `until`: see `Placement.item_placing`. Raises FileGone.
        """
        files, listed_at = await self._named(name)
        file = next((file for file in files if file.id == file_id), None)
        if file is None:
            # It has another name, or the listing does not show it yet.
            file, listed_at = await self._api.file(self._item_id, file_id), self._clock.monotonic()
        item = await self.placement.item_placing([file], listed_at=listed_at, until=until, in_folder=bool(folder))
        there = self.placement.folder_of(file_id, item)
        return file if is_in_place(file, Expected(name=name, folder=folder), there) else None

    async def _named(self, name: str) -> tuple[list[File], float]:
        """Look up the item's files of this name in any folder and spelling, and when the listing ended."""
        batch = self._next if self._running else _Batch()
        batch.names.add(composed(name))
        if self._running:
            await self._wait_for(batch)
        else:
            await self._list(batch)
        return batch.named[composed(name)], batch.listed_at

    async def _wait_for(self, batch: _Batch) -> None:
        self._requested.set()
        await batch.done.wait()

    async def _list(self, batch: _Batch) -> None:
        """List the item, unless single lookups are cheaper: then each caller makes its own."""
        if not batch.names and len(batch.ids) <= self._requests:
            return
        rows = 0
        try:
            async for file in self._list_item():
                rows += 1
                batch.take(file)
        except RequestRejected:
            # The item has more files than Figshare lists (its documents give several limits).
            if batch.names:
                raise
            return
        self._rows = rows
        batch.listed, batch.listed_at = True, self._clock.monotonic()

    @property
    def _requests(self) -> int:
        """Number of requests that a listing costs."""
        return self._rows // PAGE + 1

    @property
    def _item_id(self) -> int:
        if self._state.item_id is None:
            raise RuntimeError("the item is unknown")
        return self._state.item_id


def may_be_called(file: File, names: Collection[str]) -> bool:
    """Return True if the file may have one of these composed names; some names have folders in them."""
    return composed(file.name) in names or "/" in file.name


def is_listing_cheaper(state: JobState) -> bool:
    """Return True if one listing is cheaper than looking up each unfinished file."""
    return sum(1 for _ in _unverified_ids(state)) > len(state.transfers) // PAGE + 2


def _unverified_ids(state: JobState) -> Iterable[int]:
    return (t.file_id for t in state.transfers if t.file_id is not None and t.state is not State.VERIFIED)
