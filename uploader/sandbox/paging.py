"""Paging of listings: page and page_size, or limit and offset, never both (422); ten rows by default, 1000 at most."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from uploader.sandbox.answers import ApiError

_BOUNDS = {"page": (1, 5000), "page_size": (1, 1000), "limit": (1, 1000), "offset": (0, 5000)}


@dataclass(frozen=True, slots=True)
class Window:
    """The rows asked for."""

    limit: int
    offset: int


def window(query: Mapping[str, str]) -> Window:
    """Read a query string. ApiError 422 on a mix of the two ways, a value that is no integer or out of bounds."""
    values = {name: _number(name, query[name]) for name in _BOUNDS if name in query}
    if values.keys() & {"page", "page_size"} and values.keys() & {"limit", "offset"}:
        raise ApiError(422, "UnprocessableEntity", "Use either page and page_size, or limit and offset")
    if values.keys() & {"limit", "offset"}:
        return Window(values.get("limit", 10), values.get("offset", 0))
    size = values.get("page_size", 10)
    return Window(size, (values.get("page", 1) - 1) * size)


def window_in(body: Mapping[str, Any]) -> Window:
    """The same from the JSON body of a search."""
    given = {name: body[name] for name in _BOUNDS if body.get(name) is not None}
    for name, value in given.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise ApiError(422, "UnprocessableEntity", f"Invalid value received for {name}", {"invalid_params": name})
    return window({name: str(value) for name, value in given.items()})


def _number(name: str, text: str) -> int:
    low, high = _BOUNDS[name]
    # Digits of other scripts are digits to int(), and not to a web service.
    if not (text.isascii() and text.isdigit() and len(text) < 10 and low <= int(text) <= high):
        raise ApiError(422, "UnprocessableEntity", f"Invalid value received for {name}", {"invalid_params": name})
    return int(text)
