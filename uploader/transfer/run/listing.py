"""What an item holds, asked for in bulk: its files by the path that each has there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping

import anyio

from uploader.clock import Clock
from uploader.errors import RequestRejected
from uploader.figshare.models import PAGE, File, Item
from uploader.sources.models import remote_path
from uploader.transfer.journal.lifecycle import State, Transfer
from uploader.transfer.journal.state import JobState
from uploader.transfer.run.service import Service

BULK_FROM = 8
"""Files in a job from which looks are shared."""
_BATCH_SIZE = 25
"""Files that have to wait for a look, for each request that it costs, while the request budget is used up."""
_PENDING_BYTES = 64 << 20
"""Bytes that may have to wait for a look, for each request that it costs; more are not kept waiting for company."""
_INTERVAL = 0.25
"""Seconds between two looks at least, so that they gather company even where requests are free."""
_LONGEST_NAP, _FILES_A_SECOND = 3.0, 200
"""Seconds that a look waits for company at most where requests are free, and files in the job for each of them."""
_PATIENCE = 3
"""Listings in which a file that was just announced may be missing before it is asked for by itself."""


async def files_by_path(api: Service, item: Item) -> dict[str, list[File]]:
    """The item's files, unfinished ones and links included, by folder and name. Raises ItemNotFound.

    Folders are not among what the listing of files says, but in the item (official API description).
    """
    held: dict[str, list[File]] = defaultdict(list)
    async for file in api.files(item.id):
        held[remote_path(item.folders.get(file.id, ""), file.name)].append(file)
    return held


class _Batch:
    """One listing to be made, for whoever asked before it begins."""

    def __init__(self) -> None:
        self.ids: set[int] = set()
        self.names: set[str] = set()
        self.pending_bytes = 0
        self.done = anyio.Event()
        self.listed = False
        self.files: dict[int, File] = {}
        self.named: dict[str, list[File]] = defaultdict(list)
        self.placing = anyio.Lock()
        self.folders: Mapping[int, str] | None = None
        """Where the item's files are, once somebody had to know; under `placing`."""

    def take(self, file: File) -> None:
        if file.id in self.ids:
            self.files[file.id] = file
        if file.name in self.names:
            self.named[file.name].append(file)

    def is_due(self, requests: int, *, idle: bool) -> bool:
        """True when it should not wait any longer for company."""
        return (
            bool(self.names)
            or len(self.ids) >= _BATCH_SIZE * requests
            or (idle and self.pending_bytes >= _PENDING_BYTES * min(requests, len(self.ids)))
        )


class RemoteListing:
    """The files of the job's item, as far as the job is concerned with them."""

    def __init__(self, api: Service, state: JobState, clock: Clock) -> None:
        self.foreign_files: dict[str, list[File]] = {}
        """What the item held in the places of the job's files when it was surveyed, by folder and name."""
        self.links: dict[str, list[File]] = {}
        """The addresses among the job's that the item linked to then."""
        self.other_links = self.other_files = 0
        """How many links and files beside those of the job the item held then."""
        self.file_count = 0
        """How many files the item held then; 0 before."""
        self.removed: set[int] = set()
        """Those of them that this run removed since."""
        self._api = api
        self._state = state
        self._clock = clock
        self._loaded: dict[int, File] = {}
        self._rows = 0
        self._next = _Batch()
        self._wanted = anyio.Event()
        self._running = False

    async def load(self, *, everything: bool = False) -> None:
        """List the item once: what it holds under the job's names, and what became of the files that were begun.

        `everything`: also for files that are verified, which may have to be begun again.
        """
        unfinished = [t for t in self._state.transfers if everything or t.state is not State.VERIFIED]
        names = {t.name for t in unfinished if not t.link}
        places = {t.remote_path for t in unfinished if not t.link}
        links = {t.path for t in unfinished if t.link}
        found: list[File] = []
        begun = {t.file_id for t in unfinished if t.state is not State.VERIFIED}
        mine = {file_id for t in self._state.transfers for file_id in t.owned_ids()}
        self._rows = 0
        async for file in self._api.files(self._item_id):
            self._rows += 1
            if file.id not in begun and (file.name in names or "/" in file.name):
                found.append(file)
            if file.is_link_only and file.download_url in links:
                self.links.setdefault(file.download_url, []).append(file)
            elif file.is_link_only:
                self.other_links += file.id not in mine
            else:
                self.other_files += file.id not in mine
            if file.id in begun:
                self._loaded[file.id] = file
        self.file_count = self._rows
        folders = await self.folders() if found else {}
        for file in found:
            place = remote_path(folders.get(file.id, ""), file.name)
            if place in places:
                self.foreign_files.setdefault(place, []).append(file)

    async def folders(self) -> Mapping[int, str]:
        """The folders of the item's files, by their ids: the listing of files does not tell them."""
        return (await self._api.item(self._item_id)).folders

    def may_hold(self, transfer: Transfer) -> bool:
        """True when the item held a file in the transfer's place, and of its size, when it was surveyed."""
        return any(file.size == transfer.size for file in self.foreign_files.get(transfer.remote_path, ()))

    async def run_batches(self, idle: Callable[[], bool]) -> None:
        """Make the looks that files wait for, until cancelled. Raises what listing the item raises.

        `idle` tells whether no part waits to be sent, so that whatever is to be sent is waited for.
        """
        if len(self._state.transfers) < BULK_FROM:
            return
        self._running = True
        gathering = min(_LONGEST_NAP, len(self._state.transfers) / _FILES_A_SECOND)
        try:
            while True:
                await self._wanted.wait()
                since = self._clock.monotonic()
                while not self._next.is_due(self._requests, idle=idle()):
                    if self._api.idle and self._clock.monotonic() - since >= gathering:
                        break
                    await self._clock.sleep(_INTERVAL)
                look, self._next, self._wanted = self._next, _Batch(), anyio.Event()
                await self._make(look)
                look.done.set()
                await self._clock.sleep(_INTERVAL)
        finally:
            self._running = False

    async def file(self, file_id: int, *, fresh: bool = False, cargo: int = 0) -> File:
        """The file as Figshare has it now, or had it when this run surveyed the item. Raises FileGone.

        `fresh`: it was announced just now, and may not be seen yet. `cargo` bytes wait for the answer.
        """
        if (known := self._loaded.pop(file_id, None)) is not None:
            return known
        for _ in range(_PATIENCE if fresh else 1):
            if not self._running:
                break
            look = self._next
            look.ids.add(file_id)
            look.pending_bytes += cargo
            await self._until_made(look)
            found = look.files.get(file_id)
            if found is not None and (found.upload_url is not None or found.status != "created"):
                return found
            if not look.listed:
                break
        return await self._api.file(self._item_id, file_id, fresh=fresh)

    async def at(self, folder: str, name: str) -> list[File]:
        """The item's files of this name in this folder, now."""
        look = self._next if self._running else _Batch()
        look.names.add(name)
        if self._running:
            await self._until_made(look)
        else:
            await self._make(look)
        found = look.named[name]
        if not found:
            return []
        async with look.placing:
            if look.folders is None:
                look.folders = await self.folders()
        return [file for file in found if look.folders.get(file.id, "") == folder]

    async def _until_made(self, look: _Batch) -> None:
        self._wanted.set()
        await look.done.wait()

    async def _make(self, look: _Batch) -> None:
        """List the item, unless asking for each file by itself is cheaper: then the askers do so."""
        if not look.names and len(look.ids) <= self._requests:
            return
        rows = 0
        try:
            async for file in self._api.files(self._item_id):
                rows += 1
                look.take(file)
        except RequestRejected:
            # There are more files than Figshare will list (its documents name several limits).
            if look.names:
                raise
            return
        self._rows = rows
        look.listed = True

    @property
    def _requests(self) -> int:
        """Requests that a listing costs."""
        return self._rows // PAGE + 1

    @property
    def _item_id(self) -> int:
        if self._state.item_id is None:
            raise RuntimeError("the item is not known yet")
        return self._state.item_id


def is_listing_cheaper(state: JobState) -> bool:
    """True when listing the item is cheaper than asking for each file that was begun."""
    return sum(1 for _ in _begun(state)) > len(state.transfers) // PAGE + 2


def _begun(state: JobState) -> Iterable[int]:
    return (t.file_id for t in state.transfers if t.file_id is not None and t.state is not State.VERIFIED)
