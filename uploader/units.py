"""Parse and format sizes, rates, times and counts."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta

_DISPLAY_UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB")


_NUMBER = re.compile(r"\s*(\d{1,30}(?:\.\d{1,30})?)\s*([a-z]*)\s*", re.IGNORECASE)
_BYTES = {
    "": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12,
    "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40,
}  # fmt: skip
_BITS = {"bit": 1, "kbit": 10**3, "mbit": 10**6, "gbit": 10**9}
_TIME_PIECE = re.compile(r"\s*(\d{1,15}(?:\.\d{1,15})?)\s*([a-z]*)", re.IGNORECASE)
_SECONDS = {"s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}


def format_bytes(count: float) -> str:
    """Format a size in decimal units, as Figshare does: "999 bytes", "1.50 GB"."""
    value, unit = float(count), 0
    while value >= 999.5 and unit < len(_DISPLAY_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    if unit == 0:
        return "1 byte" if count == 1 else f"{value:.0f} bytes"
    digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:.{digits}f} {_DISPLAY_UNITS[unit]}"


def format_exact_bytes(count: int) -> str:
    """Format a size with the exact number of bytes: "1.50 GB (1500000000 bytes)"."""
    return f"{format_bytes(count)} ({count} bytes)" if count >= 1000 else format_bytes(count)


def format_count(count: int, noun: str) -> str:
    """ "1 file", "3 files"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def parse_size(text: str) -> int:
    """Parse bytes: "50M" (decimal), "50Mi" (binary), either with a trailing B, or a plain number. Raises ValueError."""
    value = _scaled(text, _BYTES)
    if value is None:
        raise ValueError(f"invalid size {text!r}; use e.g. 1048576, 50M (decimal) or 50Mi (binary)")
    return round(value)


def parse_rate(text: str) -> float:
    """Parse bytes per second, more than 0: what `parse_size` accepts, or bits such as "400mbit"; "/s" may follow.

    Raises ValueError.
    """
    value = _scaled(text.strip().removesuffix("/s"), _BYTES, _BITS)
    if not value:
        raise ValueError(f"invalid rate {text!r}; use e.g. 50M (bytes per second), 50Mi or 400mbit")
    return value


def parse_duration(text: str) -> float:
    """Parse seconds: "90", "90s", "15min", "2h" or "1h30min". Raises ValueError."""
    pieces, end = [], 0
    for found in _TIME_PIECE.finditer(text):
        if found.start() != end:
            break
        pieces.append((float(found[1]), found[2].lower()))
        end = found.end()
    plain = len(pieces) == 1 and not pieces[0][1]
    if not pieces or text[end:].strip() or not (plain or all(unit in _SECONDS for _, unit in pieces)):
        raise ValueError(f"invalid duration {text!r}; use e.g. 90, 90s, 15min or 2h")
    return sum(number * _SECONDS.get(unit, 1) for number, unit in pieces)


def parse_moment(text: str, now: datetime | None = None) -> datetime:
    """Parse a local time: "17:30", the next one after `now` (None: the present), or ISO 8601 ("2026-12-01T17:30Z").

    Returns an aware time. Raises ValueError.
    """
    now = (now or datetime.now(UTC)).astimezone()
    if re.fullmatch(r"\d?\d:\d\d", text):
        hour, minute = map(int, text.split(":"))
        # Without an offset from UTC, which may be another one by then; an hour that comes twice is `fold` 0 and 1.
        today = now.replace(hour=hour, minute=minute, second=0, microsecond=0, tzinfo=None)
        days = (today, today.replace(fold=1), today + timedelta(days=1))
        return next(moment for day in days if (moment := day.astimezone()) > now)
    if not re.match(r"\d{4}-\d\d-\d\d.", text):
        raise ValueError(f"invalid time {text!r}; use e.g. 17:30 or 2026-12-01T17:30")
    try:
        return datetime.fromisoformat(text).astimezone()
    except OverflowError as error:
        raise ValueError(f"invalid time {text!r}: {error}") from None


def _scaled(text: str, sizes: dict[str, int], bits: dict[str, int] | None = None) -> float | None:
    found = _NUMBER.fullmatch(text)
    if found is None:
        return None
    number, unit = float(found[1]), found[2].lower()
    if unit in (bits or {}):
        return number * (bits or {})[unit] / 8
    unit = unit.removesuffix("b")
    return number * sizes[unit] if unit in sizes else None


def format_rate(rate: float) -> str:
    """Format bytes per second."""
    return f"{format_bytes(rate)}/s"


def format_duration(seconds: float) -> str:
    """Format a duration with two units at most: "0.4 s", "45 s", "3 min 20 s", "5 h 02 min", "3 d 04 h"."""
    if not math.isfinite(seconds):
        return "?"
    if seconds < 9.95:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02} min"
    return f"{whole // 86400} d {whole % 86400 // 3600:02} h"


def format_age(seconds: float) -> str:
    """Format how long ago something was, with one unit: "45 s", "3 min", "5 h", "12 d"."""
    whole = max(0, int(seconds))
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if whole >= length:
            return f"{whole // length} {unit}"
    return f"{whole} s"


def format_percent(part: int, whole: int) -> str:
    """Format a whole percentage, rounded down so that 100 % means all."""
    return f"{100 * part // whole if whole else 100} %"
