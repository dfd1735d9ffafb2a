"""Decode Figshare's loosely typed JSON into structs.

null, "" and an absent field are alike, numbers may come as text, unknown fields are ignored, and a value that does not
fit its field counts as absent. How a field is read follows from its type; the metadata of an Annotated type can name
other keys (`From`) and a function that reads the value (None: absent).
"""

from __future__ import annotations

import json
import types
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Annotated, Any, NamedTuple, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import msgspec

from uploader.errors import ProtocolViolation
from uploader.redaction import may_have_token, redact_values

T = TypeVar("T", bound=msgspec.Struct)
Convert = Callable[[Any], Any]

MAX_ID = 2**63 - 1
MAX_TEXT = 64 * 1024
"""Characters of one text; longer ones are cut."""


class NotJson(ValueError):
    """The body is not JSON (HTML, truncated, empty …)."""


class From:
    """Where a field comes from: keys in order of preference; "a.b" is b of the object a, "" the row itself."""

    def __init__(self, *keys: str) -> None:
        self.keys = keys


def parse_json(body: bytes) -> Any:
    """Return the JSON value of a body. Raises NotJson, from outside the handler: its context would show the body."""
    for prepare in (bytes, _with_replacements):
        try:
            return msgspec.json.decode(prepare(body))
        except (msgspec.MsgspecError, ValueError, RecursionError):
            pass
    raise NotJson("not JSON")


def _with_replacements(body: bytes) -> str:
    """Return JSON with U+FFFD for bytes that are not UTF-8 and for lone surrogates: one bad name must not make a whole
    list unreadable. Raises ValueError, RecursionError.
    """
    text = json.dumps(json.loads(body.decode("utf-8", "replace")), ensure_ascii=False)
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def parse_object(kind: type[T], body: bytes, resource: str) -> T:
    """Return the object in a body; `resource` names it in errors. Raises NotJson, ProtocolViolation."""
    return decode(kind, redact_values(parse_json(body)), resource)


def parse_list(kind: type[T], body: bytes, resource: str) -> list[T]:
    """Return the objects of the list in a body; `resource` names the list in errors.

    Raises NotJson, ProtocolViolation.
    """
    return [decode(kind, row, resource) for row in _list(body, resource)]


def parse_rows(kind: type[T], body: bytes, resource: str) -> tuple[list[T], list[Any]]:
    """Return the objects of the list in a body, and the rows that are not of this kind.

    Raises NotJson, and ProtocolViolation if there are rows, but none is an object.
    """
    found: list[T] = []
    unusable: list[Any] = []
    for row in _list(body, resource):
        try:
            found.append(decode(kind, row, resource))
        except ProtocolViolation:
            unusable.append(row)
    if unusable and not found and not any(isinstance(row, Mapping) for row in unusable):
        raise _unexpected(resource)
    return found, unusable


def _unexpected(resource: str) -> ProtocolViolation:
    return ProtocolViolation(f"unexpected response from Figshare for {resource}")


def _list(body: bytes, resource: str) -> list[Any]:
    value = parse_json(body)
    if not isinstance(value, list):
        raise _unexpected(resource)
    redacted = redact_values(value) if may_have_token(body.decode("utf-8", "replace")) else value
    return cast("list[Any]", redacted)


def decode(kind: type[T], row: object, resource: str) -> T:
    """Return a JSON object as `kind`. Raises ProtocolViolation if it is not an object or a field without default is
    missing.
    """
    if not isinstance(row, Mapping):
        raise _unexpected(resource)
    found = {}
    plan = _plan(kind)
    for name, key, convert in plan.direct:
        value = row.get(key)
        if value is not None and (value := convert(value)) is not None:
            found[name] = value
    for name, keys, convert in plan.searched:
        for key in keys:
            value = _lookup(row, key)
            if value is not None and (value := convert(value)) is not None:
                found[name] = value
                break
    for name, key in plan.required:
        if name not in found:
            raise ProtocolViolation(f"Figshare sent no valid {key} for {resource}")
    return kind(**found)


class _Plan(NamedTuple):
    """How the fields of a struct are read: those that one key of the row has, all others, and the required ones."""

    direct: list[tuple[str, str, Convert]]
    searched: list[tuple[str, tuple[str, ...], Convert]]
    required: list[tuple[str, str]]


@cache
def _plan(kind: type[msgspec.Struct]) -> _Plan:
    plan = _Plan([], [], [])
    hints = get_type_hints(kind, include_extras=True)
    for field in msgspec.structs.fields(kind):
        hint = hints[field.name]
        keys = next((extra.keys for extra in getattr(hint, "__metadata__", ()) if isinstance(extra, From)), None)
        first, *others = keys or (field.name,)
        if others or not first or "." in first:
            plan.searched.append((field.name, (first, *others), _converter(hint)))
        else:
            plan.direct.append((field.name, first, _converter(hint)))
        if field.required:
            plan.required.append((field.name, first))
    return plan


def _lookup(row: Mapping[str, Any], path: str) -> Any:
    if "." not in path:
        return row.get(path) if path else row
    value: Any = row
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _converter(hint: Any) -> Convert:
    """Return the function that reads a value of this type; it returns None for a value that does not fit."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        readers = [extra for extra in args[1:] if isinstance(extra, types.FunctionType)]
        bounds = [extra for extra in args[1:] if isinstance(extra, msgspec.Meta)]
        return readers[0] if readers else _bounded(args[0], bounds[0]) if bounds else _converter(args[0])
    if origin in (Union, types.UnionType):
        return _converter(next(arg for arg in args if arg is not types.NoneType))
    if origin is tuple:
        return _sequence(_converter(args[0]))
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return lambda value: decode(hint, value, hint.__name__.lower()) if isinstance(value, Mapping) else None
    return as_text if hint is str else _scalar(hint)


def _scalar(hint: Any) -> Convert:
    def convert(value: Any) -> Any:
        if type(value) is hint:  # much faster than msgspec.convert
            return value
        try:
            return msgspec.convert(value, hint, strict=False)
        except msgspec.ValidationError:
            return None

    return convert


def _bounded(hint: Any, bounds: msgspec.Meta) -> Convert:
    low, high, convert = bounds.ge, bounds.le, _scalar(hint)
    if low is None or high is None:
        raise TypeError("a bounded number needs both bounds")

    def convert_bounded(value: Any) -> Any:
        if type(value) is not hint and (value := convert(value)) is None:
            return None
        return value if low <= value <= high else None

    return convert_bounded


def _sequence(convert: Convert) -> Convert:
    """Read a list without the elements that do not fit; a single value is a list of one."""

    def convert_all(value: Any) -> tuple[Any, ...] | None:
        values = value if isinstance(value, list) else [value]
        return tuple(one for each in values if (one := convert(each)) is not None) or None

    return convert_all


def as_text(value: Any) -> str | None:
    if not isinstance(value, str):
        return None
    return (value if len(value) <= MAX_TEXT else value[:MAX_TEXT]) or None


def as_url(value: Any) -> str | None:
    """Accept only an http(s) address that can be shown as it is: a line end in it would forge a line."""
    text = as_text(value)
    valid = text is not None and text.isprintable() and text.lower().startswith(("https://", "http://"))
    return text if valid else None


def as_datetime(value: Any) -> datetime | None:
    """Return an aware UTC time; a time without a zone is UTC."""
    try:
        found = datetime.fromisoformat(value)
        if found.tzinfo is UTC:
            return found
        return (found.replace(tzinfo=UTC) if found.tzinfo is None else found).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return None


def as_md5(value: Any) -> str | None:
    return as_text(value.strip().lower()) if isinstance(value, str) else None
