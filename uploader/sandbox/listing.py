"""Listings: paging and order, from the query or the body of a search. Pure.

Paging is page and page_size, or limit and offset, never both (422); ten rows by default, 1000 at most.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from uploader.sandbox.answers import ApiError

_BOUNDS = {"page": (1, 5000), "page_size": (1, 1000), "limit": (1, 1000), "offset": (0, 5000)}


@dataclass(frozen=True, slots=True)
class Slice:
    """The requested rows."""

    limit: int
    offset: int


def slice_of(query: Mapping[str, str]) -> Slice:
    """Parse a query string. ApiError 422 for a mix of the two ways and for invalid values."""
    values = {name: _number(name, query[name]) for name in _BOUNDS if name in query}
    if values.keys() & {"page", "page_size"} and values.keys() & {"limit", "offset"}:
        raise ApiError(422, "UnprocessableEntity", "Use either page and page_size, or limit and offset")
    if values.keys() & {"limit", "offset"}:
        return Slice(values.get("limit", 10), values.get("offset", 0))
    size = values.get("page_size", 10)
    return Slice(size, (values.get("page", 1) - 1) * size)


def slice_in(body: Mapping[str, Any]) -> Slice:
    """Parse the JSON body of a search."""
    given = {name: body[name] for name in _BOUNDS if body.get(name) is not None}
    for name, value in given.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise ApiError(422, "UnprocessableEntity", f"Invalid value received for {name}", {"invalid_params": name})
    return slice_of({name: str(value) for name, value in given.items()})


def _number(name: str, text: str) -> int:
    low, high = _BOUNDS[name]
    # int() accepts digits of other scripts.
    if not (text.isascii() and text.isdigit() and len(text) < 10 and low <= int(text) <= high):
        raise ApiError(422, "UnprocessableEntity", f"Invalid value received for {name}", {"invalid_params": name})
    return int(text)


@dataclass(frozen=True, slots=True)
class Order:
    """By which field, and whether the greatest comes first."""

    field: str
    descending: bool


def order_of(given: Mapping[str, Any], fields: tuple[str, ...]) -> Order:
    """Parse an order; the first field is the default. ApiError 400, as observed."""
    field, direction = given.get("order") or fields[0], given.get("order_direction") or "desc"
    for name, value, known in (("order", field, fields), ("order_direction", direction, ("asc", "desc"))):
        if value not in known:
            raise ApiError(400, "BadRequest", f"Invalid value received for {name}", {"invalid_params": name})
    return Order(field, direction == "desc")
