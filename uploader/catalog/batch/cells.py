"""Values of the cells of a metadata report: lists and objects in JSON or as Python literals, flags, dates. Pure.

Foreign text is never evaluated: cells that are not JSON are read as Python literals, by `ast.literal_eval`.
"""

from __future__ import annotations

import ast
import json
import re
import warnings
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

_MAX_LITERAL: Final = 2**20
"""Characters of a Python literal; JSON has no limit."""
_SLASHED = re.compile(r"(\d{1,2})([/.-])(\d{1,2})\2(\d{4})(?:[ T]+(\d{1,2}):(\d{2})(?::(\d{2}))?(?: ?([AaPp])[Mm])?)?")
_SERIAL = re.compile(r"[2-6]\d{4}")
"""Excel's number of a day from 1954 to 2091."""
_SERIAL_START: Final = date(1899, 12, 30)
_HALF = re.compile(r"\\[uU](?:0000)?[dD][89a-fA-F]")
"""The escape of one of the two halves of a character, which may stand alone and then cannot be written."""


def structure(text: str) -> Any:
    """Return the list or object in a cell, with U+FFFD for halves of characters.

    Raises ValueError if it is neither JSON nor a Python literal.
    """
    value = _parsed(text)
    if _HALF.search(text) is None:
        return value
    whole = json.dumps(value, ensure_ascii=False).encode("utf-16", "surrogatepass")
    return json.loads(whole.decode("utf-16", "replace"))


def _parsed(text: str) -> Any:
    if not (text.startswith("[") and text.endswith("]")) and not (text.startswith("{") and text.endswith("}")):
        raise ValueError("neither JSON nor a Python literal")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    if len(text) > _MAX_LITERAL:
        raise ValueError("too long for a Python literal")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of backslashes in its texts
            value = ast.literal_eval(text)
        json.dumps(value)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        raise ValueError("neither JSON nor a Python literal") from None
    return value


def flag(text: str) -> bool | str:
    """Parse a boolean as Figshare, Excel or Python writes it; return any other text unchanged."""
    return {"1": True, "true": True, "0": False, "false": False, "1.0": True, "0.0": False}.get(text.lower(), text)


def whole_number(text: str) -> int | None:
    """Return a number, also one that a program wrote as 12.0; None for anything else, such as Excel's 1.2E+07."""
    number = text.removesuffix(".0")
    return int(number) if number.isascii() and number.isdecimal() and len(number) < 19 else None


@dataclass(kw_only=True)
class Dates:
    """Parses the dates of one file. Excel writes them in the locale's format: a day above 12 reveals the order of day
    and month. If a file has both orders, only such dates are unambiguous.
    """

    day_first: bool = False
    month_first: bool = False
    rewritten: int = 0
    unclear: int = 0

    def learn(self, text: str) -> None:
        """Note whether a date shows the order of day and month."""
        if (found := _SLASHED.fullmatch(text)) is not None and found[2] != ".":
            first, second = int(found[1]), int(found[3])
            self.day_first |= 12 < first <= 31 and second <= 12
            self.month_first |= 12 < second <= 31 and first <= 12

    def iso(self, text: str) -> str:
        """Return a date as ISO 8601, or the unchanged text if its format is ambiguous."""
        if _SERIAL.fullmatch(text):
            self.rewritten += 1
            return (_SERIAL_START + timedelta(days=int(text))).isoformat()
        found = _SLASHED.fullmatch(text)
        if found is None:
            return text
        first, second, year = int(found[1]), int(found[3]), int(found[4])
        # No locale has points and the month first. A day after the twelfth needs no other date to be clear.
        day_first = found[2] == "." or first > 12 >= second or (self.day_first and not self.month_first)
        month_first = found[2] != "." and (second > 12 >= first or (self.month_first and not self.day_first))
        if day_first == month_first and first != second:
            self.unclear += 1
            return text
        day, month = (first, second) if day_first and not month_first else (second, first)
        try:
            whole = datetime(year, month, day, *_time(found[5], found[6], found[7], found[8]))  # noqa: DTZ001 - none said
        except ValueError:
            self.unclear += 1
            return text
        self.rewritten += 1
        return whole.isoformat() if found[5] else whole.date().isoformat()


def _time(hour: str | None, minute: str | None, second: str | None, half: str | None) -> tuple[int, int, int]:
    if hour is None or minute is None:
        return 0, 0, 0
    hours = int(hour)
    if half is not None:
        hours = hours % 12 + 12 * (half in "pP")
    return hours, int(minute), int(second or 0)
