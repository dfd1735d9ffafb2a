"""How a job is to be run: the choices of one command, none of which names the job."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

from uploader.errors import UsageError
from uploader.units import parse_rate

OnConflict: TypeAlias = Literal["skip", "replace", "keep", "fail"]
"""What is done where the item holds a file of the same folder and name. One that is identical is taken for the file,
unless `fail` is chosen. `skip`: a different one is an error; `replace`: it is removed once the new one is verified;
`keep`: both stay; `fail`: whatever it holds is an error."""


_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")


MAX_CONNECTIONS = 32
"""Connections at most: more in flight has brought 429 answers to others (observed)."""


@dataclass(frozen=True)
class Timetable:
    """A rate for each part of the day. `steps` are (seconds since local midnight, bytes a second or None for no limit),
    in ascending order and at least one; before the first of a day the last one counts."""

    steps: tuple[tuple[int, float | None], ...]

    def at(self, local: datetime) -> float | None:
        """The rate at this time, None for no limit."""
        second = local.hour * 3600 + local.minute * 60 + local.second
        now = self.steps[-1][1]
        for begin, rate in self.steps:
            if begin <= second:
                now = rate
        return now


Limit = float | Timetable
"""Bytes a second, always the same or by the time of day."""


@dataclass(frozen=True)
class Options:
    """Times in seconds, rates in bytes a second.

    `connections`: parts sent at the same time; None finds the number by itself. `limit_rate`: one rate or a timetable;
    None for no limit.
    `max_errors`: files that may fail before the rest is not tried any more; None for any number.
    `verify_timeout`: how long Figshare's MD5 is waited for after the last byte. `grace`: how long parts under way may
    go on after the first signal. `settle_timeout`: how long the effect of a request with a lost answer is looked for.
    """

    connections: int | None = None
    limit_rate: Limit | None = None
    hash_first: bool = False
    restart_changed: bool = False
    on_conflict: OnConflict = "skip"
    max_errors: int | None = None
    verify_timeout: float = 900.0
    grace: float = 10.0
    settle_timeout: float = 30.0

    def __post_init__(self) -> None:
        """Raises UsageError for what makes no sense."""
        if self.connections is not None and not 1 <= self.connections <= MAX_CONNECTIONS:
            raise UsageError(f"connections={self.connections}: from 1 to {MAX_CONNECTIONS}, or None to find the number")
        if isinstance(self.limit_rate, int | float) and not 0 < self.limit_rate < math.inf:
            raise UsageError(f"limit_rate={self.limit_rate}: bytes a second, more than 0, or None for no limit")
        if self.max_errors is not None and self.max_errors < 0:
            raise UsageError(f"max_errors={self.max_errors}: 0 or more files, or None for any number")
        for name in ("verify_timeout", "grace", "settle_timeout"):
            if not 0 <= getattr(self, name) < math.inf:
                raise UsageError(f"{name}={getattr(self, name)}: seconds, 0 or more")


def parse_limit(text: str) -> float | Timetable | None:
    """A rate, "off" (None), or a timetable such as "08:00,20M 19:00,off". Raises ValueError."""
    if "," not in text:
        return None if text.strip() == "off" else parse_rate(text)
    steps: dict[int, float | None] = {}
    for step in text.split():
        time, _, rate = step.partition(",")
        begin = _CLOCK.fullmatch(time)
        if begin is None:
            raise ValueError(f"{step!r} is no time and rate; write 08:00,20M 19:00,off")
        second = int(begin[1]) * 3600 + int(begin[2]) * 60
        if second in steps:
            raise ValueError(f"{time} stands in the timetable twice")
        steps[second] = None if rate == "off" else parse_rate(rate)
    return Timetable(tuple(sorted(steps.items())))
