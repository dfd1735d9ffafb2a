"""In which folders the item's files are.

The item says it, not the listing of its files (official API description). It may be read from a copy of the server's
data that is older than a file: then the file seems to be in no folder.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Collection
from itertools import chain, repeat

import anyio

from uploader.clock import Clock
from uploader.figshare.models import File, Item

_PAUSES, _LAST_PAUSE = (0.5, 1.0, 2.0, 4.0), 5.0
"""Seconds before each further request for the item: the first ones, and all later ones."""


class Placement:
    """Reads the item until it says where its files are. `ask` reads it once; `settle`: seconds until every copy of the
    server's data has a file.
    """

    def __init__(self, ask: Callable[[], Awaitable[Item]], clock: Clock, settle: float) -> None:
        self._ask = ask
        self._clock = clock
        self._settle = settle
        self._item: Item | None = None
        self._read_at = -math.inf
        """When the request for that item began; guarded by `_reading`."""
        self._reading = anyio.Lock()
        self._shown_from: dict[int, float] = {}
        """From when on, by the clock, the item can only be read from copies that have the file, by file id."""

    async def item_placing(
        self, files: Collection[File], *, listed_at: float, until: float = math.inf, in_folder: bool = False
    ) -> Item:
        """Return an item that certainly says where these files are, which were listed at that time or before (clock's
        seconds): a file is in a folder or, unless it should be `in_folder`, in the item's response, or every copy must
        have it, at the latest at `until`.
        """
        for file in files:
            self._shown_from.setdefault(file.id, listed_at + self._settle)
        since, pauses = listed_at, chain(_PAUSES, repeat(_LAST_PAUSE))
        while True:
            item, read_at = await self._read(since)
            placed = (item.folders, () if in_folder else item.file_ids)
            unplaced = (file.id for file in files if not any(file.id in ids for ids in placed))
            left = min(until, max((self._shown_from[file_id] for file_id in unplaced), default=-math.inf)) - read_at
            if left <= 0:
                return item
            await self._clock.sleep(min(next(pauses), left))
            since = self._clock.monotonic()

    async def _read(self, since: float) -> tuple[Item, float]:
        """Return an item whose request did not begin before that time, and when it began."""
        async with self._reading:
            item = self._item
            if item is None or self._read_at < since:
                self._read_at, item = self._clock.monotonic(), await self._ask()
            # Others that wait share it; later ones do not, and it may be large.
            self._item = item if self._reading.statistics().tasks_waiting else None
            return item, self._read_at
