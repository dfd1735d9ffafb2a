"""Division of a file into parts. Pure. Real part sizes are up to the server; here they follow a policy."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """The bytes of one part; both ends are inclusive, `number` counts from 1."""

    number: int
    start: int
    end: int

    @property
    def length(self) -> int:
        return self.end - self.start + 1


class PartPlan(Protocol):
    """A policy for part sizes."""

    def sizes(self) -> Iterator[int]:
        """Yield sizes in bytes, each at least 1, endlessly."""


@dataclass(frozen=True, slots=True)
class Uniform:
    """Parts of one size; the last is what remains. At least 1 byte."""

    size: int

    def sizes(self) -> Iterator[int]:
        while True:
            yield self.size


@dataclass(frozen=True, slots=True)
class Cycle:
    """The given sizes, repeated."""

    pattern: tuple[int, ...]

    def sizes(self) -> Iterator[int]:
        while True:
            yield from self.pattern


@dataclass(frozen=True, slots=True)
class Random:
    """Sizes between 1 byte and `most`, the same for the same seed."""

    seed: str
    most: int = 16 * 2**20

    def sizes(self) -> Iterator[int]:
        source = random.Random(self.seed)  # noqa: S311 - test data, no secret
        while True:
            yield source.randint(1, self.most)


def read_plan(text: str, size: Callable[[str], int]) -> PartPlan:
    """Return a policy from "10MiB" (all alike), "1MiB,7MiB,3" (over and over) or "random:SEED"; ValueError otherwise.

    `size` reads one size.
    """
    if text.startswith("random:"):
        return Random(text.removeprefix("random:"))
    pattern = tuple(size(one) for one in text.split(","))
    if min(pattern) < 1:
        message = "a part has at least 1 byte"
        raise ValueError(message)
    return Uniform(pattern[0]) if len(pattern) == 1 else Cycle(pattern)


class TooManyParts(ValueError):
    """The policy yields more parts than allowed."""


def split(size: int, plan: PartPlan, *, maximum: int) -> list[Span]:
    """Return the parts of a file of `size` bytes, in order and without gaps; none for an empty file.

    TooManyParts when there would be more than `most`.
    """
    spans: list[Span] = []
    start = 0
    sizes = plan.sizes()
    while start < size:
        if len(spans) == maximum:
            message = f"more than {maximum} parts"
            raise TooManyParts(message)
        end = min(start + next(sizes), size) - 1
        spans.append(Span(number=len(spans) + 1, start=start, end=end))
        start = end + 1
    return spans
