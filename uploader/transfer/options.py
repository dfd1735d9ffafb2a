"""The choices of one run, for a job and for its requests. None of them identifies the job."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar, get_args

import msgspec

from uploader.errors import UsageError
from uploader.items.reconcile import SETTLE_TIMEOUT
from uploader.sources.archive.layout import Format
from uploader.sources.models import Packing
from uploader.transfer.arguments import check_flag, check_number, check_real, check_text, shown, wrong_type
from uploader.units import parse_duration, parse_moment, parse_rate, parse_size

if TYPE_CHECKING:
    from uploader.clock import Clock
    from uploader.figshare.settings import Settings

T = TypeVar("T")

OnConflict: TypeAlias = Literal["skip", "replace", "keep", "fail"]
"""What to do when the item already holds a file of the same folder and name. An identical file is kept and nothing is
sent, except with `fail`. `skip`: a different file is an error; `replace`: it is removed once the new one is verified;
`keep`: both stay; `fail`: any file of that name is an error."""

MAX_CONNECTIONS = 32
"""More parts in flight have caused 429 responses for other clients (observed)."""

_LAST_STEPS = 5.0
"""Seconds between the end of the grace period and the deadline, in which the last state is written and reported."""
_REQUEST_RATE = "a number of requests per second"
_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")


class Timetable(msgspec.Struct, frozen=True):
    """A rate limit that depends on the time of day.

    `steps` are (seconds since local midnight, bytes per second or None for no limit), ascending, at least one; before
    the first step of a day the last one applies.
    """

    steps: tuple[tuple[int, float | None], ...]

    def at(self, local: datetime) -> float | None:
        """Return the limit at this time in bytes per second, None for no limit."""
        second = local.hour * 3600 + local.minute * 60 + local.second
        now = self.steps[-1][1]
        for begin, rate in self.steps:
            if begin <= second:
                now = rate
        return now


Limit: TypeAlias = float | Timetable
"""Bytes per second, constant or by the time of day."""


@dataclass(frozen=True, init=False)
class Options:
    """How a job is run. Times are seconds, rates bytes per second; both may also be given as strings ("15min", "20M").

    `connections`: parts sent at the same time, 1 to 32; None or "auto" adapts the number.
    `limit_rate`: one rate, or a timetable such as "08:00,20M 19:00,off"; None or "off" for no limit.
    `hash_first`: compute the MD5 before sending, and send it to Figshare.
    `restart_changed`: send files whose source changed again, from the start.
    `forget_missing`: do without sources that no longer exist and the item does not hold, and without members of
    archives that no longer exist; otherwise they are errors.
    `reread`: read every source to its end once more before success is reported, also those that earlier runs sent, and
    compare it with what was sent; otherwise those whose size, times or inode differ.
    `on_conflict`: see `OnConflict`.
    `max_errors`: files that may fail before the run is aborted; None for any number.
    `verify_timeout`: how long to wait for Figshare's MD5 after the last byte.
    `grace`: how long parts in flight may continue after a stop request.
    `settle_timeout`: how long to look for the effect of a request whose response was lost.
    `deadline`: when a call must have ended, as an aware datetime, or in seconds from its beginning; as a string also
    "17:30" or "2026-12-01T17:30", local time. Parts that cannot be finished in time are not begun, and the call raises
    Interrupted, some seconds before the deadline. None for no deadline.
    `pack`: send the files as members of one "zip" or "tar" archive, which is never stored here; None to send them as
    they are. `pack_name` is its name, None for the name of the first path. `pack_below`: pack only files smaller than
    this (bytes, or a string such as "50M"), and send the others beside it. `pack_limit`: make several archives, none
    larger than this. `pack_manifest`: each archive carries the MD5s of its members, in MANIFEST.md5. These identify the
    job.
    """

    connections: int | None
    limit_rate: Limit | None
    hash_first: bool
    restart_changed: bool
    forget_missing: bool
    reread: bool
    on_conflict: OnConflict
    max_errors: int | None
    verify_timeout: float
    grace: float
    settle_timeout: float
    deadline: float | datetime | None
    pack: Format | None
    pack_name: str | None
    pack_below: int | None
    pack_limit: int | None
    pack_manifest: bool

    def __init__(
        self,
        *,
        connections: int | str | None = None,
        limit_rate: float | str | Timetable | None = None,
        hash_first: bool = False,
        restart_changed: bool = False,
        forget_missing: bool = False,
        reread: bool = False,
        on_conflict: OnConflict = "skip",
        max_errors: int | None = None,
        verify_timeout: float | str = 900.0,
        grace: float | str = 10.0,
        settle_timeout: float | str = SETTLE_TIMEOUT,
        deadline: float | str | datetime | None = None,
        pack: Format | None = None,
        pack_name: str | None = None,
        pack_below: int | str | None = None,
        pack_limit: int | str | None = None,
        pack_manifest: bool = True,
    ) -> None:
        """Check and parse the values. Raises TypeError for a wrong type, UsageError for an invalid value."""
        check_flag("hash_first", hash_first)
        check_flag("restart_changed", restart_changed)
        check_flag("forget_missing", forget_missing)
        check_flag("reread", reread)
        check_flag("pack_manifest", pack_manifest)
        check_text("pack_name", pack_name)
        if pack is None and (pack_name, pack_below, pack_limit, pack_manifest) != (None, None, None, True):
            raise UsageError("pack_name, pack_below, pack_limit and pack_manifest need pack")
        _set(
            self,
            connections=_connections(connections),
            limit_rate=_limit_rate(limit_rate),
            hash_first=hash_first,
            restart_changed=restart_changed,
            forget_missing=forget_missing,
            reread=reread,
            on_conflict=_on_conflict(on_conflict),
            max_errors=_max_errors(max_errors),
            verify_timeout=_seconds("verify_timeout", verify_timeout),
            grace=_seconds("grace", grace),
            settle_timeout=_seconds("settle_timeout", settle_timeout),
            deadline=as_deadline(deadline),
            pack=_format(pack),
            pack_name=pack_name,
            pack_below=_size("pack_below", pack_below),
            pack_limit=_size("pack_limit", pack_limit),
            pack_manifest=pack_manifest,
        )

    @property
    def packing(self) -> Packing | None:
        """How to pack the sources; None to send them as they are."""
        if self.pack is None:
            return None
        return Packing(
            format=self.pack,
            name=self.pack_name,
            below=self.pack_below,
            limit=self.pack_limit,
            manifest=self.pack_manifest,
        )

    def end_of(self, clock: Clock) -> float | None:
        """Return when the work of a call that begins now must end, in monotonic seconds; None without a deadline.

        It is before the deadline by the grace period and what the last steps take.
        """
        left = self.deadline
        if isinstance(left, datetime):
            left = (left - clock.now()) / timedelta(seconds=1)
        return clock.monotonic() + left - self.grace - _LAST_STEPS if left is not None else None


_THROTTLED = 30
"""Factor: a request that Figshare throttles for an unknown time is retried this much longer than a failing one."""


@dataclass(frozen=True, init=False)
class RequestOptions:
    """How requests are sent. Times are seconds, or strings such as "15min".

    `api_rate`: API requests per second, None for those of the session; parts do not count. `retry_timeout`: how long to
    retry a request that keeps failing. `stall_timeout`: how long the connection of a part may accept nothing.
    `settle_timeout`: how long to wait for a file that was just created to become visible.
    """

    api_rate: float | None
    retry_timeout: float
    stall_timeout: float
    settle_timeout: float

    def __init__(
        self,
        *,
        api_rate: float | str | None = None,
        retry_timeout: float | str = 900.0,
        stall_timeout: float | str = 60.0,
        settle_timeout: float | str = SETTLE_TIMEOUT,
    ) -> None:
        """Check and parse the values. Raises TypeError for a wrong type, UsageError for an invalid value."""
        _set(
            self,
            api_rate=None if api_rate is None else _positive("api_rate", api_rate, parse_api_rate, _REQUEST_RATE),
            retry_timeout=_seconds("retry_timeout", retry_timeout),
            stall_timeout=_seconds("stall_timeout", stall_timeout),
            settle_timeout=_seconds("settle_timeout", settle_timeout),
        )

    def applied_to(self, settings: Settings) -> Settings:
        """Return the session settings with these options."""
        return dataclasses.replace(
            settings,
            api_rate=settings.api_rate if self.api_rate is None else self.api_rate,
            retry=dataclasses.replace(settings.retry, elapsed_cap=self.retry_timeout),
            throttled=dataclasses.replace(
                settings.throttled,
                elapsed_cap=min(settings.throttled.elapsed_cap, _THROTTLED * self.retry_timeout),
            ),
            stall_timeout=self.stall_timeout,
            visibility_timeout=self.settle_timeout,
        )


def parse_connections(text: str) -> int | None:
    """Parse "auto" (None) or a number of connections. Raises ValueError."""
    if text == "auto":
        return None
    if text.isdecimal() and 1 <= int(text) <= MAX_CONNECTIONS:
        return int(text)
    raise ValueError(f"{text!r} is neither 'auto' nor a number from 1 to {MAX_CONNECTIONS}")


def parse_deadline(text: str) -> float | datetime:
    """Parse a duration (seconds) or a local time. Raises ValueError."""
    try:
        return parse_duration(text)
    except ValueError:
        pass
    try:
        return parse_moment(text)
    except ValueError:
        raise ValueError(
            f"invalid deadline {text!r}; use a time such as 17:30 or 2026-12-01T17:30, or a duration such as 2h"
        ) from None


def parse_api_rate(text: str) -> float:
    """Parse a number of requests per second, more than 0. Raises ValueError."""
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate < math.inf:
        raise ValueError(f"invalid number of requests per second {text!r}; use e.g. 1 or 0.5")
    return rate


def parse_limit(text: str) -> float | Timetable | None:
    """Parse a rate, "off" (None), or a timetable such as "08:00,20M 19:00,off". Raises ValueError."""
    if "," not in text:
        return None if text.strip() == "off" else parse_rate(text)
    steps: dict[int, float | None] = {}
    for step in text.split():
        time, _, rate = step.partition(",")
        begin = _CLOCK.fullmatch(time)
        if begin is None:
            raise ValueError(f"invalid step {step!r} in the timetable; use e.g. 08:00,20M 19:00,off")
        second = int(begin[1]) * 3600 + int(begin[2]) * 60
        if second in steps:
            raise ValueError(f"duplicate time {time} in the timetable")
        steps[second] = None if rate == "off" else parse_rate(rate)
    return Timetable(tuple(sorted(steps.items())))


def _set(options: object, **values: object) -> None:
    for name, value in values.items():
        object.__setattr__(options, name, value)


def _connections(value: int | str | None) -> int | None:
    name, expected = "connections", f"a number from 1 to {MAX_CONNECTIONS}, 'auto' or None"
    if isinstance(value, str):
        return _parsed(name, value, parse_connections)
    if value is not None and not 1 <= _integer(name, value, expected) <= MAX_CONNECTIONS:
        raise UsageError(f"invalid {name}={shown(value)}; expected {expected}")
    return value


def _limit_rate(value: float | str | Timetable | None) -> Limit | None:
    if value is None or isinstance(value, Timetable):
        return value
    if isinstance(value, str):
        return _parsed("limit_rate", value, parse_limit)
    return _positive("limit_rate", value, parse_rate, "bytes per second, a string such as '20M', a Timetable or None")


def _on_conflict(value: OnConflict) -> OnConflict:
    choices = get_args(OnConflict)
    if value not in choices:
        raise UsageError(f"invalid on_conflict={value!r}; expected one of {', '.join(choices)}")
    return value


def _format(value: Format | None) -> Format | None:
    choices = get_args(Format)
    if value is not None and value not in choices:
        raise UsageError(f"invalid pack={value!r}; expected one of {', '.join(choices)}, or None")
    return value


def _size(name: str, value: int | str | None) -> int | None:
    expected = "a size in bytes (or a string such as '50M')"
    if value is None:
        return None
    size = _parsed(name, value, parse_size) if isinstance(value, str) else _integer(name, value, expected)
    check_number(name, size, expected)
    return size


def _max_errors(value: int | None) -> int | None:
    check_number("max_errors", value, "a number of files", least=0)
    return value


def as_deadline(value: float | str | datetime | None) -> float | datetime | None:
    """Return a deadline as `Options` take it. Raises TypeError, UsageError."""
    name, expected = "deadline", "an aware datetime, seconds, a string such as '17:30' or '2h', or None"
    if isinstance(value, str):
        value = _parsed(name, value, parse_deadline)
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise UsageError(f"invalid {name}={value}; expected {expected}")
        return value
    return None if value is None else check_real(name, value, expected)


def _seconds(name: str, value: object) -> float:
    expected = "seconds, or a string such as '90s' or '15min'"
    seconds = _parsed(name, value, parse_duration) if isinstance(value, str) else value
    return check_real(name, seconds, expected)


def _positive(name: str, value: object, parse: Callable[[str], float], expected: str) -> float:
    number = _parsed(name, value, parse) if isinstance(value, str) else value
    return check_real(name, number, f"{expected}, more than 0", least=math.ulp(0))


def _parsed(name: str, value: str, parse: Callable[[str], T]) -> T:
    try:
        return parse(value)
    except ValueError as error:
        raise UsageError(f"{name}: {error}") from None


def _integer(name: str, value: object, expected: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise wrong_type(name, value, expected)
    return value
