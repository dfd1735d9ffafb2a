"""Plucking values from loosely structured data: what is not as expected counts as absent. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from uploader.metadata import identifiers
from uploader.metadata.identifiers import first_and_last


@dataclass(frozen=True)
class Extracted:
    """What was found in a file, as figup's own `fields`.

    `implied` are fields that it does not name, with what that means in its format; of the folder it lies in, not of a
    single file beside it. `remarks` are lines for a person. `closed` says why what it describes is not open to
    everybody, where that cannot be made an embargo; None where nothing says so.
    """

    fields: dict[str, Any]
    implied: Mapping[str, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    access_restriction: str | None = None


def text(value: object, *keys: str) -> str | None:
    """A text on one line: the value itself, or of a mapping the first of `keys` that has one."""
    if keys:
        found = (text(value.get(key)) for key in keys) if isinstance(value, dict) else ()
        return next((one for one in found if one), None)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    return " ".join(str(value).split()) or None


def as_list(value: object, key: str) -> list[Any]:
    """The elements of a mapping's field; a single value is a list of one."""
    found = value.get(key) if isinstance(value, dict) else None
    if found is None:
        return []
    return found if isinstance(found, list) else [found]


def compact(**fields: Any) -> dict[str, Any]:
    """The fields that say something."""
    return {name: value for name, value in fields.items() if value not in (None, "", [], {})}


def unique(values: Iterable[dict[str, Any] | None], key: str) -> list[dict[str, Any]]:
    """Those that are there; of several with the same `key` the first."""
    found: dict[str, dict[str, Any]] = {}
    for value in values:
        if value:
            found.setdefault(str(value.get(key)).lower(), value)
    return list(found.values())


def full_name(first: str | None, last: str | None, name: str | None, *, organisation: bool = False) -> dict[str, str]:
    """An author's names as figup has them: the two parts where both are there, or `name` is written as `Doe, Jane` and
    is no organisation's; else one. Empty where there is none."""
    if not (first and last) and name and not organisation:
        first, last = first_and_last(name)
    if first and last:
        return {"first_name": first, "last_name": last}
    whole = name or last or first
    return {"name": whole} if whole else {}


def embargo(opening: str | None, today: date) -> dict[str, str] | None:
    """An embargo until the day on which something opens; None where it is open by now. A range counts from its
    beginning. A month or a year that is not over is kept as it is: it names no day, and whoever reads it says so."""
    begin = (opening or "").partition("/")[0].strip()
    try:
        over = identifiers.day(begin) <= today.isoformat()
    except ValueError:
        over = not begin or (begin.replace("-", "").isdecimal() and begin < today.isoformat()[: len(begin)])
    return None if over else {"until": begin}
