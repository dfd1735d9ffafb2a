"""An institution's custom fields: definitions, which items have them, valid values, and how they are shown.

Types, validations and the shape of a definition are those of the official description (ShortCustomField); the maximum
lengths of `text` and `textarea` without a validation are those of Figshare's help page on custom metadata.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from uploader.sandbox.answers import ApiError, invalid

_LISTS = frozenset({"dropdown", "dropdown_large_list"})
"""The kinds that may hold several values."""
_MAX_LENGTHS = {"text": 250, "textarea": 10_000}


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomField:
    """A definition. `groups` are those whose items have the field, () for all; `settings` are as in the API.

    `values` are those of a large list, which the API does not return; () accepts any.
    """

    id: int
    name: str
    kind: str = "text"
    settings: dict[str, Any] = field(default_factory=dict)
    mandatory: bool = False
    groups: tuple[int, ...] = ()
    values: tuple[str, ...] = ()


DEFAULTS: Final = (
    CustomField(id=365, name="Instrument", settings={"validations": {"min_length": 2, "max_length": 100}}),
    CustomField(id=366, name="Site", kind="dropdown", settings={"options": ["North", "South", "Loch Ness"]}),
    CustomField(id=367, name="Recorded on", kind="date"),
    CustomField(
        id=368, name="Methods", kind="textarea",
        settings={"validations": {"min_length": 10, "max_length": 1000}, "placeholder": "How it was measured"},
    ),
    CustomField(id=369, name="Protocol", kind="url"),
    CustomField(id=370, name="Contact", kind="email"),
    CustomField(
        id=371, name="Department", kind="dropdown_large_list", values=("Botany", "Geology", "Physics", "Zoology")
    ),
    CustomField(id=372, name="Shelfmark", mandatory=True, groups=(2102,)),
)  # fmt: skip
"""At least one of each kind, and one that a group requires for publication."""


def for_group(fields: Iterable[CustomField], group: int | None) -> tuple[CustomField, ...]:
    """Return the fields of a group's items: those of the institution and the group's own."""
    return tuple(one for one in fields if not one.groups or group in one.groups)


class _Limits(msgspec.Struct):
    min_length: int | None = None
    max_length: int | None = None


class _Settings(msgspec.Struct):
    """Types of a definition's settings."""

    validations: _Limits | None = None
    options: list[str] = []


class _Listed(msgspec.Struct, kw_only=True):
    """A definition in the API's form, with the additional keys of a file."""

    name: str
    field_type: Literal["text", "textarea", "dropdown", "url", "email", "date", "dropdown_large_list"] = "text"
    id: int = 0
    settings: dict[str, Any] = {}
    is_mandatory: bool = False
    groups: tuple[int, ...] = ()
    values: tuple[str, ...] = ()


def read_definitions(path: str) -> tuple[CustomField, ...]:
    """Read a JSON file of definitions: a list as in the API, optionally with `groups` and `values`. ValueError."""
    try:
        found = msgspec.json.decode(Path(path).read_bytes(), type=list[_Listed])
        for one in found:
            msgspec.convert(one.settings, _Settings)
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not a list of custom fields: {error}") from error
    return tuple(
        CustomField(
            id=one.id or DEFAULTS[0].id + number,
            name=one.name,
            kind=one.field_type,
            settings=one.settings,
            mandatory=one.is_mandatory,
            groups=one.groups,
            values=one.values,
        )
        for number, one in enumerate(found)
    )


# --- values -------------------------------------------------------------------------------------------------------


def check(values: Mapping[str, Any], fields: Iterable[CustomField]) -> None:
    """Check values. ApiError 422 for an unknown field or an invalid value.

    "", null and an empty list count as unset, as documented.
    """
    known = {one.name: one for one in fields}
    for name, value in values.items():
        if name not in known:
            raise _refused(f"Custom field {name} does not exist")
        if not blank(value):
            _check(known[name], value)


def blank(value: Any) -> bool:
    """Return whether a value counts as unset."""
    return value is None or value in ("", [], {})


def unfilled(values: Mapping[str, Any], fields: Iterable[CustomField]) -> list[str]:
    """Return the names of mandatory fields that are unset."""
    return [one.name for one in fields if one.mandatory and blank(values.get(one.name))]


def _refused(message: str) -> ApiError:
    return invalid(message, "custom_fields")


def _check(known: CustomField, value: Any) -> None:
    if isinstance(value, list) and known.kind not in _LISTS:
        raise _refused(f"Custom field {known.name} takes one value")
    for one in value if isinstance(value, list) else [value]:
        if not isinstance(one, str) or not _is_valid(known, one):
            raise _refused(f"Invalid value received for custom field {known.name}")


def _is_valid(known: CustomField, value: str) -> bool:
    limits = known.settings.get("validations") or {}
    minimum, maximum = limits.get("min_length") or 0, limits.get("max_length") or _MAX_LENGTHS.get(known.kind, 10_000)
    return minimum <= len(value) <= maximum and _matches_type(known, value)


def _matches_type(known: CustomField, value: str) -> bool:
    if known.kind == "date":
        return _is_day(value)
    if known.kind == "url":
        return re.fullmatch(r"(https?|ftp)://[^\s/]+\S*", value) is not None
    if known.kind == "email":
        return re.fullmatch(r"[^\s@]+@[^\s@]+\.[^\s@]+", value) is not None
    choices = known.values if known.kind == "dropdown_large_list" else known.settings.get("options", ())
    return known.kind not in _LISTS or not choices or value in choices


def _is_day(value: str) -> bool:
    try:
        return re.fullmatch(r"\d{4}-\d\d-\d\d", value, re.ASCII) is not None and bool(date.fromisoformat(value))
    except ValueError:
        return False


# --- as the API shows them ----------------------------------------------------------------------------------------


def definition(known: CustomField, order: int) -> dict[str, Any]:
    """Return the object of a field in the institution's listing."""
    return {
        "id": known.id,
        "name": known.name,
        "field_type": known.kind,
        "settings": known.settings,
        "order": order,
        "is_mandatory": known.mandatory,
    }


def shown(values: Mapping[str, Any], fields: Sequence[CustomField]) -> list[dict[str, Any]]:
    """Return the fields with their values, "" if unset (observed); unknown names are shown as text."""
    every = [*fields, *(CustomField(id=0, name=name) for name in values if name not in {one.name for one in fields})]
    found = [
        {**definition(one, order), "value": values.get(one.name) or ""} for order, one in enumerate(every, start=1)
    ]
    return [{name: value for name, value in one.items() if name != "id"} for one in found]


def given(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the fields of a project or collection, as `shown`, but only those set; their names are not checked."""
    return [one for one in shown(values, DEFAULTS) if one["name"] in values]
