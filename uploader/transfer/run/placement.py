"""In which folders the item's files are.

The item says it, not the listing of its files (official API description). It may be read from a copy of the server's
data that is older than a file: then the file seems to be in no folder.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection
from itertools import chain, repeat

import anyio

from uploader.clock import Clock
from uploader.figshare.models import File, Item
from uploader.transfer.notices import Listener, Retrying
from uploader.transfer.run.service import Service

_PAUSES, _LAST_PAUSE = (0.5, 1.0, 2.0, 4.0), 5.0
"""Seconds before each further request for the item: the first ones, and all later ones."""
_REPORTED = 2.0
"""The shortest pause that is reported."""


async def files_by_path(
    api: Service, item_id: int, placement: Placement, matters: Callable[[File], bool]
) -> tuple[Item, dict[str, list[File]]]:
    """Return the item, and its files by remote path, including unfinished ones and links. Raises ItemNotFound.

    The paths of the files that matter are certain. The item is read last: a file that is added in between would seem to
    be in no folder.
    """
    files = [file async for file in api.files(item_id)]
    item = await placement.item_placing([file for file in files if matters(file)], listed_at=api.clock.monotonic())
    existing: dict[str, list[File]] = defaultdict(list)
    for file in files:
        existing[file.path_among(item.folders)].append(file)
    return item, existing


def report_reading_again(notify: Listener, item_id: int, seconds: float) -> None:
    """Report that the item may be read for so long until it says where its files are."""
    text = f"item {item_id} does not show yet where its files are; looking for up to {seconds:.0f} s"
    notify(Retrying(text, seconds))


class Placement:
    """Reads the item until it says where its files are. `ask` reads it once; `settle`: seconds until every copy of the
    server's data has a file. `report` is called once with the seconds for which it may be read, if these are some.

    Files have the ids in the order in which they were created, so that a file is known to be as old as any listing
    with a greater id.
    """

    def __init__(
        self,
        ask: Callable[[], Awaitable[Item]],
        clock: Clock,
        settle: float,
        report: Callable[[float], None] | None = None,
    ) -> None:
        self._ask = ask
        self._clock = clock
        self._settle = settle
        self._report = report
        self._item: Item | None = None
        self._read_at = -math.inf
        """When the request for that item began; guarded by `_reading`."""
        self._has_folders = False
        """True once the item showed folders: then a response without any is older than they are."""
        self._reading = anyio.Lock()
        self._listed: list[tuple[int, float]] = []
        """Ids, ascending, and when each was listed: files with lesser ids existed then."""

    def note_listed(self, file_id: int, at: float) -> None:
        """Note that a file was listed at that time (clock's seconds)."""
        if not self._listed or file_id > self._listed[-1][0]:
            self._listed.append((file_id, at))

    async def item_placing(
        self, files: Collection[File], *, listed_at: float, until: float = math.inf, in_folder: bool = False
    ) -> Item:
        """Return an item that certainly says where these files are, which were listed at that time (clock's seconds);
        at the latest one that was read at `until`.

        It is certain if the item has the file, or every copy of the data must have it. `in_folder`: they must be in
        folders, so that it is not enough if the item's response has them.
        """
        self.note_listed(max((file.id for file in files), default=0), listed_at)
        since, pauses = listed_at, chain(_PAUSES, repeat(_LAST_PAUSE))
        while True:
            item, read_at = await self._read(since)
            unplaced = [file.id for file in files if not self._is_placed(file, item, in_folder=in_folder)]
            left = min(until, self._certain_from(max(unplaced))) - read_at if unplaced else 0.0
            if left <= 0:
                return item
            pause = min(next(pauses), left)
            if self._report is not None and pause >= _REPORTED:
                self._report(left)
                self._report = None
            await self._clock.sleep(pause)
            since = self._clock.monotonic()

    def folder_of(self, file_id: int, item: Item) -> str | None:
        """Return the file's folder according to the item, "" for none; None if the server does not say where the item's
        files are (observed).
        """
        return item.folders.get(file_id, "") if self._has_folders else None

    def _is_placed(self, file: File, item: Item, *, in_folder: bool) -> bool:
        """Return True if the item says where a file is; some servers name files with their folders instead (observed),
        or give no folders at all.
        """
        if file.id in item.folders or "/" in file.name or (in_folder and not self._has_folders):
            return True
        return file.id in item.file_ids and not in_folder

    def _certain_from(self, file_id: int) -> float:
        """Return the time from which on every copy of the data has a file that was listed."""
        return next(at for listed, at in self._listed if listed >= file_id) + self._settle

    async def _read(self, since: float) -> tuple[Item, float]:
        """Return an item whose request did not begin before that time, and when it began."""
        async with self._reading:
            item = self._item
            if item is None or self._read_at < since:
                self._read_at, item = self._clock.monotonic(), await self._ask()
                self._has_folders = self._has_folders or bool(item.folders)
            # Others that wait share it; later ones do not, and it may be large.
            self._item = item if self._reading.statistics().tasks_waiting else None
            return item, self._read_at
