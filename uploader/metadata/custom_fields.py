"""Validate values of an institution's custom fields. Pure.

Types and validations are those of the official API description; the length limits of text and text area fields without
a validation of their own are those of Figshare's help page on custom metadata. Anything else is not checked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from uploader.figshare.models import CustomField
from uploader.metadata import identifiers
from uploader.metadata.model import Value
from uploader.text import did_you_mean, plain

_MAX_LENGTHS = {"text": 250, "textarea": 10_000}
_FORMS: dict[str, Callable[[str], str]] = {
    "url": identifiers.address,
    "email": identifiers.email,
    "date": identifiers.day,
}
_LISTS = ("dropdown", "dropdown_large_list")
_MAX_SHOWN = 20


@dataclass(frozen=True, kw_only=True)
class FieldError:
    """A problem with a field's name (`value` None) or with one of its values."""

    name: str
    value: str | None
    message: str
    hint: str | None = None


def find_field(name: str, known: Sequence[CustomField]) -> CustomField | None:
    """Return the field of this name, in any spelling."""
    exact = (one for one in known if one.name == name)
    similar = (one for one in known if plain(one.name) == plain(name))
    return next(exact, None) or next(similar, None)


def validate(given: Mapping[str, Value], known: Sequence[CustomField]) -> tuple[dict[str, Value], list[FieldError]]:
    """Return the values by the fields' own names, as Figshare takes them, and all problems."""
    valid: dict[str, Value] = {}
    faults: list[FieldError] = []
    for name, value in given.items():
        field = find_field(name, known)
        if field is None:
            faults.append(_no_field(name, known))
        elif field.name in valid:
            faults.append(FieldError(name=name, value=None, message=f"duplicates {field.name}"))
        else:
            valid[field.name] = _value(name, value, field, faults)
    return valid, faults


def _no_field(name: str, known: Sequence[CustomField]) -> FieldError:
    names = [one.name for one in known]
    if not names:
        return FieldError(
            name=name, value=None, message=f"unknown custom field {name!r}; this account and group have none"
        )
    listed = f"Known fields: {', '.join(names)}." if len(names) <= _MAX_SHOWN else None
    return FieldError(
        name=name, value=None, message=f"unknown custom field {name!r}", hint=did_you_mean(name, names, listed)
    )


def _value(name: str, value: Value, field: CustomField, faults: list[FieldError]) -> Value:
    if isinstance(value, str):
        return _one(name, value, field, faults)
    if field.kind in _FORMS or field.kind in _MAX_LENGTHS:
        faults.append(FieldError(name=name, value=None, message="takes one value, not a list"))
        return value
    return [_one(name, one, field, faults) for one in value]


def _one(name: str, value: str, field: CustomField, faults: list[FieldError]) -> str:
    """Return the value in the field's form; record a problem if it is not accepted."""
    make = _FORMS.get(field.kind, str)
    if field.kind in _LISTS and field.options:
        option = next((one for one in field.options if one == value), None)
        option = option or next((one for one in field.options if plain(one) == plain(value)), None)
        if option is None:
            faults.append(_no_option(name, value, field.options))
        return option or value
    try:
        made = make(value)
    except ValueError as error:
        faults.append(FieldError(name=name, value=value, message=str(error)))
        return value
    min_length, max_length = field.min_length or 0, field.max_length or _MAX_LENGTHS.get(field.kind)
    if len(made) < min_length or (max_length is not None and len(made) > max_length):
        takes = f"{min_length} to {max_length}" if max_length is not None else f"{min_length} or more"
        faults.append(
            FieldError(name=name, value=value, message=f"has {len(made)} characters; this field allows {takes}")
        )
    return made


def _no_option(name: str, value: str, options: Sequence[str]) -> FieldError:
    listed = f"Known values: {', '.join(options)}." if len(options) <= _MAX_SHOWN else None
    return FieldError(
        name=name, value=value, message=f"unknown value {value!r}", hint=did_you_mean(value, options, listed)
    )
