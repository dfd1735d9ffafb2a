"""How a listing is ordered: `order` and `order_direction`, in the query or in the body of a search. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from uploader.sandbox.answers import ApiError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Order:
    """By which field, and whether the greatest comes first."""

    field: str
    descending: bool

    def sort(self, things: Iterable[T], key: Callable[[T, str], float | None]) -> list[T]:
        """Sorted by `key(thing, field)`. What has no value comes last, whichever the direction."""
        keyed = [(key(thing, self.field), thing) for thing in things]
        valued = [(value, thing) for value, thing in keyed if value is not None]
        valued.sort(key=lambda pair: pair[0], reverse=self.descending)
        return [thing for _, thing in valued] + [thing for value, thing in keyed if value is None]


def order_of(given: Mapping[str, Any], fields: tuple[str, ...]) -> Order:
    """Read it; the first field is the default. ApiError 400, as was seen."""
    field, direction = given.get("order") or fields[0], given.get("order_direction") or "desc"
    for name, value, known in (("order", field, fields), ("order_direction", direction, ("asc", "desc"))):
        if value not in known:
            raise ApiError(400, "BadRequest", f"Invalid value received for {name}", {"invalid_params": name})
    return Order(field, direction == "desc")
