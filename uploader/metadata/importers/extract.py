"""Extract values from loosely structured data: anything unexpected counts as absent. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from uploader.metadata import identifiers
from uploader.metadata.identifiers import first_and_last


@dataclass(frozen=True, kw_only=True)
class Extracted:
    """The content of a foreign file as figup's own `fields`.

    `implied` are defaults of the format for fields that the file does not have; they apply to the folder, not to a
    single file beside it. `remarks` are lines for a person. `access_restriction` says why access is restricted if that
    cannot be expressed as an embargo, else None.
    """

    fields: dict[str, Any]
    implied: Mapping[str, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    access_restriction: str | None = None


def text(value: object, *keys: str) -> str | None:
    """Return a text on one line: the value itself, or the first of `keys` of a mapping that has one."""
    if keys:
        found = (text(value.get(key)) for key in keys) if isinstance(value, dict) else ()
        return next((one for one in found if one), None)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    return " ".join(str(value).split()) or None


def as_list(value: object, key: str) -> list[Any]:
    """Return the elements of a mapping's field; a single value is a list of one."""
    found = value.get(key) if isinstance(value, dict) else None
    if found is None:
        return []
    return found if isinstance(found, list) else [found]


def compact(**fields: Any) -> dict[str, Any]:
    """Return the fields that have a value."""
    return {name: value for name, value in fields.items() if value not in (None, "", [], {})}


def unique(values: Iterable[dict[str, Any] | None], key: str) -> list[dict[str, Any]]:
    """Return the values that are not None; of several with the same `key`, the first."""
    found: dict[str, dict[str, Any]] = {}
    for value in values:
        if value:
            found.setdefault(str(value.get(key)).lower(), value)
    return list(found.values())


def full_name(first: str | None, last: str | None, name: str | None, *, organisation: bool = False) -> dict[str, str]:
    """Return an author's name in figup's fields, empty if there is none.

    First and last name if both are given, or if a person's `name` is written as `Doe, Jane`; else one name.
    """
    if not (first and last) and name and not organisation:
        first, last = first_and_last(name)
    if first and last:
        return {"first_name": first, "last_name": last}
    single = name or last or first
    return {"name": single} if single else {}


def embargo(available: str | None, today: date) -> dict[str, str] | None:
    """Return an embargo until the given opening, None if it is in the past.

    A range counts from its start. A month or year that is not over is kept as it is; the validator reports it.
    """
    begin = (available or "").partition("/")[0].strip()
    try:
        over = identifiers.day(begin) <= today.isoformat()
    except ValueError:
        over = not begin or (begin.replace("-", "").isdecimal() and begin < today.isoformat()[: len(begin)])
    return None if over else {"until": begin}
