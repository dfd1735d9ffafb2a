"""Sizes as a person reads them, in messages and on the command line alike."""

from __future__ import annotations

_SHOWN = ("bytes", "kB", "MB", "GB", "TB", "PB")


def show_bytes(count: float) -> str:
    """A size in decimal units, as Figshare shows them: "999 bytes", "1.50 GB"."""
    value, unit = float(count), 0
    while value >= 999.5 and unit < len(_SHOWN) - 1:
        value, unit = value / 1000, unit + 1
    if unit == 0:
        return "1 byte" if count == 1 else f"{value:.0f} bytes"
    digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:.{digits}f} {_SHOWN[unit]}"


def show_exactly(count: int) -> str:
    """The same with all its digits: "1.50 GB (1500000000 bytes)"."""
    return f"{show_bytes(count)} ({count} bytes)" if count >= 1000 else show_bytes(count)


def show_count(count: int, noun: str) -> str:
    """ "1 file", "3 files"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
