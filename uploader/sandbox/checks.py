"""Checks of single values in a body: each takes the field's name and value, and returns the value to store. Pure.

A value of the wrong structure is `invalid` (422), a category that may not be set 404, as the real service does.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any, TypeAlias

from uploader.sandbox import categories as classification
from uploader.sandbox.answers import ApiError, invalid
from uploader.sandbox.reference_data import IDENTIFIER_TYPES, ITEM_TYPES, RELATIONS, licenses

Check: TypeAlias = Callable[[str, Any], Any]

_DATES = {"firstOnline", "publisherPublication", "publisherAcceptance"}


def checked(body: dict[str, Any], checks: dict[str, Check]) -> dict[str, Any]:
    """Check fields of a body and return those with a check. Null counts as absent, other fields are ignored."""
    return {name: check(name, body[name]) for name, check in checks.items() if body.get(name) is not None}


def text(min_length: int, max_length: int) -> Check:
    """Return a string of `least` to `most` characters."""

    def check(name: str, value: Any) -> str:
        if not isinstance(value, str) or not min_length <= len(value) <= max_length:
            raise invalid(f"{name} must be a string of {min_length} to {max_length} characters", name)
        return value

    return check


def integer(name: str, value: Any) -> int:
    """Return an integer that the database can hold."""
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) > 2**62:
        raise invalid(f"{name} must be an integer", name)
    return value


def boolean(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise invalid(f"{name} must be a boolean", name)
    return value


def texts(name: str, value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise invalid(f"{name} must be a list of strings", name)
    return value


def integers(name: str, value: Any) -> list[int]:
    if not isinstance(value, list):
        raise invalid(f"{name} must be a list of integers", name)
    return [integer(name, one) for one in value]


def links(name: str, value: Any) -> list[str]:
    """Return a list of web addresses."""
    for one in texts(name, value):
        if re.fullmatch(r"https?://\S+", one) is None:
            raise invalid(f"{name} must be a list of links", name)
    return list(value)


def objects(name: str, value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise invalid(f"{name} must be a list of objects", name)
    return value


def categories(name: str, value: Any) -> list[int]:
    """Check ids of selectable categories and remove duplicates."""
    ids, known = integers(name, value), classification.categories()
    for one in ids:
        if one not in known or not known[one]["is_selectable"]:
            raise ApiError(404, "EntityNotFound", f"Not allowed to set category {one}")
    return list(dict.fromkeys(ids))


def source_ids(name: str, value: Any) -> list[int]:
    """Return categories by their ids in the original taxonomy."""
    by_source = classification.by_source()
    for one in texts(name, value):
        if one not in by_source:
            raise ApiError(404, "EntityNotFound", f"Not allowed to set category {one}")
    return categories(name, [by_source[one] for one in value])


def custom_fields(name: str, value: Any) -> dict[str, Any]:
    """Check names and values; a value is a string, a list of strings, an object or null."""
    if not isinstance(value, dict):
        raise invalid(f"{name} must be an object", name)
    for key, one in value.items():
        listed = isinstance(one, list) and all(isinstance(part, str) for part in one)
        if not (one is None or listed or isinstance(one, str | dict)):
            raise invalid(f"The value of custom field {key} must be a string or a list of strings", name)
    return value


def custom_list(name: str, value: Any) -> dict[str, Any]:
    """Return the same as a list of objects with name and value."""
    fields: dict[str, Any] = {}
    for one in objects(name, value):
        if not isinstance(one.get("name"), str) or "value" not in one:
            raise invalid(f"{name} must be a list of names and values", name)
        fields[one["name"]] = one["value"]
    return custom_fields(name, fields)


def item_type(name: str, value: Any) -> str:
    if not isinstance(value, str) or value not in ITEM_TYPES:
        raise invalid(f"Invalid value received for {name}", name)
    return value


def license_of(*, institution: bool) -> Check:
    """Return an id of a licence that the account may use."""

    def check(name: str, value: Any) -> int:
        if integer(name, value) not in licenses(institution=institution):
            raise invalid(f"Invalid value received for {name}", name)
        return int(value)

    return check


def funding_list(name: str, value: Any) -> list[dict[str, Any]]:
    """Return fundings, each by its id or by the title of a new one."""
    entries = objects(name, value)
    for one in entries:
        by_id = one.get("id") is not None and integer(f"{name}.id", one["id"]) is not None
        title = one.get("title")
        by_title = isinstance(title, str) and bool(title.strip())
        if by_id == by_title or not (title is None or isinstance(title, str)):
            raise invalid(f"{name} must be a list of objects with either id or title", name)
    return [{key: one[key] for key in ("id", "title") if one.get(key) is not None} for one in entries]


def related_materials(name: str, value: Any) -> list[dict[str, Any]]:
    """Check related materials, each named by an existing id or new with an identifier."""
    return [_material(name, one) for one in objects(name, value)]


def _material(name: str, one: dict[str, Any]) -> dict[str, Any]:
    given = {key: value for key, value in one.items() if value is not None}
    if "id" in given:
        integer(f"{name}.id", given["id"])
    elif not isinstance(given.get("identifier"), str) or not given["identifier"].strip():
        raise invalid(f"{name}: a new related material needs an identifier", name)
    for key, allowed in (("relation", RELATIONS), ("identifier_type", IDENTIFIER_TYPES)):
        if key in given and given[key] not in allowed:
            raise invalid(f"Invalid value received for {name}.{key}", name)
    text(0, 1000)(f"{name}.title", given.get("title", ""))
    boolean(f"{name}.is_linkout", given.get("is_linkout", False))
    known = ("id", "identifier", "title", "relation", "identifier_type", "is_linkout")
    return {key: given[key] for key in known if key in given}


def timeline(name: str, value: Any) -> dict[str, str]:
    """Check the dates of the item's history."""
    if not isinstance(value, dict):
        raise invalid(f"{name} must be an object", name)
    dates = {key: one for key, one in value.items() if key in _DATES and one is not None}
    for key, one in dates.items():
        if not isinstance(one, str) or moment_of(one) is None:
            raise invalid(f"{name}.{key} must be a date", name)
    return dates


def moment_of(text: str) -> float | None:
    """Parse a date, or a date with a time, as seconds since the epoch; UTC by default. None if invalid."""
    try:
        if re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII):
            day = date.fromisoformat(text)
            return datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()
        if re.match(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d", text, re.ASCII):
            moment = datetime.fromisoformat(text)
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        pass
    return None
