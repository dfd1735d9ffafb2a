"""Answers of the statistics service, kept until the command that needs all of them has ended well.

A line of JSON an answer, appended as it comes: after an interruption the same command asks for the rest.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Awaitable, Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from uploader.catalog.statistics.counting import Source
from uploader.clock import Clock
from uploader.concurrency import in_thread
from uploader.disk import FILE_MODE, Disk, map_os_errors
from uploader.figshare.statistics_api import Counter, Granularity, Kind, Places

MAX_AGE: Final = timedelta(hours=12)
"""Age from which an answer is asked for again."""
T = TypeVar("T")


class KeptAnswers:
    """A source that takes from a file what an earlier run was told, and adds to it what it asks `source` for.

    `asked` is what the command is about: each has its own file in `folder`. Raises StateDiskFull, StateUnusable.
    """

    def __init__(self, source: Source, folder: Path, asked: object, *, clock: Clock | None = None) -> None:
        name = hashlib.blake2b(msgspec.json.encode(asked), digest_size=8).hexdigest()
        self._source = source
        self._clock = clock or Clock()
        self._path = folder / f"statistics-{name}.jsonl"
        self._known: dict[str, Any] = {}

    def load(self) -> None:
        """Read what earlier runs were told. Blocks."""
        with map_os_errors(self._path):
            Disk().make_folder(self._path.parent)
            lines = self._path.read_bytes().splitlines() if self._path.exists() else []
        oldest = (self._clock.now() - MAX_AGE).timestamp()
        for line in lines:
            try:
                when, key, value = msgspec.json.decode(line, type=tuple[float, str, Any])
            except msgspec.MsgspecError:
                continue  # empty, or torn by a crash
            if when >= oldest:
                self._known[key] = value

    def remove(self) -> None:
        """Forget the answers: the command has ended well. Blocks."""
        with map_os_errors(self._path):
            self._path.unlink(missing_ok=True)

    async def total(self, counter: Counter, kind: Kind, number: int, scope: str | None = None) -> int:
        return await self._kept(self._source.total, counter, kind, number, scope)

    async def totals(self, kind: Kind, number: int, scope: str | None = None) -> dict[str, int] | None:
        return await self._kept(self._source.totals, kind, number, scope)

    async def timeline(
        self, granularity: Granularity, counter: Counter, kind: Kind, number: int, first: date, last: date,
        scope: str | None = None,
    ) -> dict[str, int]:  # fmt: skip
        return await self._kept(self._source.timeline, granularity, counter, kind, number, first, last, scope)

    async def places(
        self, granularity: Granularity, counter: Counter, kind: Kind, number: int, first: date, last: date,
        scope: str | None = None,
    ) -> dict[str, Places]:  # fmt: skip
        return await self._kept(self._source.places, granularity, counter, kind, number, first, last, scope)

    async def _kept(self, ask: Callable[..., Awaitable[T]], *about: object) -> T:
        key = " ".join(map(str, [ask.__name__, *about]))
        if key not in self._known:
            answer = await ask(*about)
            # The line end comes first: what a crash has torn does not spoil the next line.
            line = b"\n" + msgspec.json.encode([self._clock.now().timestamp(), key, answer])
            await in_thread(lambda: self._append(line))
            self._known[key] = answer
        found: T = self._known[key]
        return found

    def _append(self, line: bytes) -> None:
        with map_os_errors(self._path):
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            file = os.open(self._path, flags, FILE_MODE)
            try:
                os.write(file, line)
            finally:
                os.close(file)
