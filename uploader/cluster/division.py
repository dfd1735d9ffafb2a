"""Divide parts among the members. Pure: observations in, decisions out.

Work follows measured speed: each member gets what it sends in some 45 seconds, less towards the end, so that all finish
at about the same time: the last parts and files go, one by one, to the process that will have sent them first. Small
files are given whole. A big file is divided into contiguous runs of parts: a member continues where it is, else it
begins in the largest remaining run, or in the middle of that run if another member is at its start.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from uploader.figshare.models import Part

AHEAD = 45.0
"""Seconds of work that a member should have."""
_REFILL = 30.0
"""Seconds of work below which a member gets more."""
_TAIL = 0.5
"""Fraction of a member's remaining work that it gets at once: the others' speed may change."""
_LEAST = 2.0
"""Seconds of work that a member should have even at the end: fetching the next orders takes that long."""
_EXACT = 20.0
"""Seconds before the end at which every waiting part and file is planned for a particular taker."""
_FEW = 256
"""Number of parts up to which this is done even while no rate is known: all may be given out before one is."""
_MAX_FILES = 64
"""Maximum number of files given to a member at a time."""
_MIN_WINDOW = 1.0
"""Minimum seconds over which a rate is measured."""
_SMOOTHING = 0.5
_LATE = 10.0
"""Seconds by which a taker may finish later than everything could be sent."""
_MUCH, _MUCH_LATER = 4.0, 30.0
"""It is far too late after this multiple of that time, plus these seconds."""


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """A file with waiting parts, sorted by offset. `whole`: it is given to one taker as a whole."""

    key: int
    parts: Sequence[Part]
    whole: bool

    @cached_property
    def size(self) -> int:
        """Bytes of the parts."""
        return sum(part.size for part in self.parts)


@dataclass(frozen=True, kw_only=True)
class Load:
    """A taker's load and speed. `rate` is in bytes per second, None while unknown."""

    connections: int
    rate: float | None = None
    parts: int = 0
    size: float = 0
    """Bytes of its parts that it has not sent."""


@dataclass(frozen=True, kw_only=True)
class Amount:
    """How much to give: at least `parts` parts, and more up to `size` bytes."""

    parts: int
    size: float


EVERYTHING = Amount(parts=1 << 62, size=math.inf)


def shares_of(files: Sequence[Waiting], loads: Mapping[str, Load]) -> tuple[dict[str, Amount], bool]:
    """Return each taker's share of the waiting work, such that all finish at about the same time; True if it is exact.

    It is exact shortly before the end, when every part is planned for a particular taker: then no taker should get a
    part planned for another.
    """
    known, rates = any(load.rate for load in loads.values()), _rates(loads)
    total, size = sum(rates.values()), sum(file.size for file in files)
    if size > _EXACT * total if known else sum(len(file.parts) for file in files) > _FEW:
        end = (size + sum(load.size for load in loads.values())) / total
        amounts = {name: max(0.0, end * rates[name] - load.size) for name, load in loads.items()}
        return {name: Amount(parts=EVERYTHING.parts, size=amount) for name, amount in amounts.items()}, False
    planned = dict.fromkeys(loads, Amount(parts=0, size=0))
    ends = {name: load.size / rates[name] for name, load in loads.items()}
    for parts, size in _pieces(files):
        name = min(ends, key=lambda taker: ends[taker] + size / rates[taker])
        ends[name] += size / rates[name]
        planned[name] = Amount(parts=planned[name].parts + parts, size=planned[name].size + size)
    return planned, True


def late_takers(files: Sequence[Waiting], loads: Mapping[str, Load]) -> dict[str, bool]:
    """Return the takers that are too slow for their work: others should send the parts that they have not begun.

    True for those so late that others should send even their parts in flight again.
    """
    rates = _rates(loads)
    end = (sum(file.size for file in files) + sum(load.size for load in loads.values())) / sum(rates.values())
    ends = {name: load.size / load.rate for name, load in loads.items() if load.rate}
    return {name: own > _MUCH * end + _MUCH_LATER for name, own in ends.items() if own > end + _LATE}


def _rates(loads: Mapping[str, Load]) -> dict[str, float]:
    """Return the takers' rates, the mean one where it is unknown; 1 if all are."""
    known = [load.rate for load in loads.values() if load.rate]
    usual = sum(known) / len(known) if known else 1.0
    return {name: load.rate or usual for name, load in loads.items()}


def _pieces(files: Sequence[Waiting]) -> Iterable[tuple[int, int]]:
    """Yield the parts and the bytes of each piece that goes to one taker: the largest first."""
    pieces: list[tuple[int, int]] = []
    for file in files:
        pieces += [(len(file.parts), file.size)] if file.whole else [(1, part.size) for part in file.parts]
    return sorted(pieces, key=lambda piece: piece[1], reverse=True)


def amount_for(load: Load, rest: Amount) -> Amount:
    """Return the amount that a taker should get now; `rest` is its share until the end, by `shares_of`."""
    # While its rate is unknown, those that wait for a connection have to last until the next orders.
    ahead = load.connections * (1 if load.rate else 2)
    parts = min(max(0, ahead - load.parts), rest.parts)
    if not load.rate or load.size >= load.rate * _REFILL:
        return Amount(parts=parts, size=0)
    wanted = min(load.rate * AHEAD, max(load.rate * _LEAST, _TAIL * (rest.size + load.size)))
    return Amount(parts=parts, size=max(0.0, min(wanted - load.size, rest.size)))


class Division:
    """Divides the waiting parts among takers; remembers each one's position."""

    def __init__(self) -> None:
        self._cursors: dict[str, tuple[int, int]] = {}
        """The file and offset where the next part of each taker begins."""

    def forget(self, taker: str) -> None:
        """Forget a taker that is gone."""
        self._cursors.pop(taker, None)

    def take(
        self, taker: str, files: Sequence[Waiting], amount: Amount, share: tuple[int, int] | None = None
    ) -> list[tuple[int, list[Part]]]:
        """Choose parts for a taker: file keys with parts. `share` (I, N): begin with the I-th of N shares.

        The process that calls takes from the front of `files` itself.
        """
        chosen = self._whole_files([file for file in files if file.whole], amount, share)
        parts, size = _count(chosen)
        large = {file.key: list(file.parts) for file in files if not file.whole}
        while parts < amount.parts or size < amount.size:
            run = self._next_run(taker, large, share)
            if not run:
                break
            key, waiting = run
            taken: list[Part] = []
            for part in waiting:
                if parts >= amount.parts and size >= amount.size:
                    break
                taken.append(part)
                parts, size = parts + 1, size + part.size
            self._cursors[taker] = (key, taken[-1].end + 1)
            numbers = {part.no for part in taken}
            large[key] = [part for part in large[key] if part.no not in numbers]
            chosen.append((key, taken))
        return chosen

    @staticmethod
    def _whole_files(
        files: Sequence[Waiting], amount: Amount, share: tuple[int, int] | None
    ) -> list[tuple[int, list[Part]]]:
        """Choose whole files: from the end, as the caller takes from the front, or from where the share begins."""
        start = share[0] * len(files) // share[1] if share is not None else 0
        ordered = [*files[start:], *files[:start]] if share is not None else list(reversed(files))
        chosen: list[tuple[int, list[Part]]] = []
        parts = size = 0
        for file in ordered[:_MAX_FILES]:
            if parts >= amount.parts and size >= amount.size:
                break
            chosen.append((file.key, list(file.parts)))
            parts, size = parts + len(file.parts), size + sum(part.size for part in file.parts)
        return chosen

    def _next_run(
        self, taker: str, files: Mapping[int, Sequence[Part]], share: tuple[int, int] | None
    ) -> tuple[int, list[Part]] | None:
        """Return a file and the contiguous parts from which the taker should take next; None if nothing waits."""
        runs = [(key, run) for key, parts in files.items() for run in _contiguous(parts)]
        if not runs:
            return None
        here = self._cursors.get(taker)
        for key, run in runs:
            if here is not None and here[0] == key and run[0].start <= here[1] <= run[-1].end:
                return key, [part for part in run if part.start >= here[1]] or run
        if here is None and share is not None:
            return _from_share(runs, share)
        key, run = max(runs, key=lambda found: sum(part.size for part in found[1]))
        others = {cursor for name, cursor in self._cursors.items() if name != taker}
        occupied = (key, run[0].start) in others or (key, run) == runs[0]
        return key, run[len(run) // 2 :] if occupied else run


def _count(chosen: Sequence[tuple[int, Sequence[Part]]]) -> tuple[int, int]:
    return sum(len(parts) for _, parts in chosen), sum(part.size for _, parts in chosen for part in parts)


def _contiguous(parts: Sequence[Part]) -> Iterator[list[Part]]:
    run: list[Part] = []
    for part in parts:
        if run and part.start != run[-1].end + 1:
            yield run
            run = []
        run.append(part)
    if run:
        yield run


def _from_share(runs: Sequence[tuple[int, list[Part]]], share: tuple[int, int]) -> tuple[int, list[Part]]:
    """Return the run in which the I-th of N shares of all bytes begins, from there on."""
    total = sum(part.size for _, run in runs for part in run)
    begin, passed = total * share[0] // share[1], 0
    for key, run in runs:
        for place, part in enumerate(run):
            if passed + part.size > begin:
                return key, run[place:]
            passed += part.size
    return runs[0]


class RateMeter:
    """Bytes per second of one process, while it had something to send; by the caller's clock."""

    def __init__(self) -> None:
        self.rate: float | None = None
        self._since: float | None = None
        self._before = 0

    def observe(self, sent: int, now: float, *, busy: bool) -> None:
        """Observe how many bytes it has sent in all, and whether it has something to send."""
        if not busy:
            self._since = None
        elif self._since is None:
            self._since, self._before = now, sent
        elif now - self._since >= _MIN_WINDOW:
            measured = (sent - self._before) / (now - self._since)
            self.rate = measured if self.rate is None else self.rate + _SMOOTHING * (measured - self.rate)
            self._since, self._before = now, sent
