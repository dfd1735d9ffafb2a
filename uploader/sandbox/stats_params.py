"""The parameters of requests to the statistics service: periods, counters, names and passwords. Pure."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

from aiohttp import web

from uploader.sandbox.answers import ApiError

COUNTERS: Final = ("views", "downloads", "shares")
ITEMS: Final = ("article", "author", "collection", "group", "project")
_YEARS: Final = {"day": 1, "month": 2, "year": 5, "total": 1}
"""Granularities, with the longest period of one request where it is limited."""


@dataclass(frozen=True, slots=True)
class Period:
    """Days from `first` to `last`, inclusive, as proleptic ordinals."""

    first: int
    last: int

    @classmethod
    def until(cls, day: date) -> Period:
        """Return all time until the end of a day."""
        return cls(1, day.toordinal())

    def buckets(self, granularity: str) -> Iterator[tuple[str, int, int]]:
        """Return the days, months or years, each with its first and last day within the period."""
        if granularity == "total":
            yield "total", self.first, self.last
            return
        length = {"day": 10, "month": 7, "year": 4}[granularity]
        begin = self.first
        for day in range(self.first, self.last + 1):
            name = date.fromordinal(day).isoformat()[:length]
            if day == self.last or date.fromordinal(day + 1).isoformat()[:length] != name:
                yield name, begin, day
                begin = day + 1


def period(request: web.Request, today: date, *, limited: bool) -> Period:
    """Return the asked period, by default from the first of this month until today.

    A limited one is cut at its end without a word, as documented. ApiError 400.
    """
    start = _day(request.query.get("start_date"), "start_date") or today.replace(day=1)
    end = min(_day(request.query.get("end_date"), "end_date") or today, today)
    if limited:
        end = min(end, _years_later(start, _YEARS[granularity(request)]))
    return Period(start.toordinal(), end.toordinal())


def granularity(request: web.Request) -> str:
    """Return the size of buckets in the path. ApiError 400."""
    name = request.match_info.get("granularity", "total")
    if name not in _YEARS:
        raise invalid_params("granularity", name)
    return name


def subject(names: Mapping[str, str]) -> tuple[str, str, int]:
    """Return counter, item and id in the path. ApiError 400."""
    if names["item"] not in ITEMS:
        raise invalid_params("item", names["item"])
    return counter(names), names["item"], number(names["id"])


def counter(names: Mapping[str, str]) -> str:
    """Return the counter in the path. ApiError 400."""
    if names["counter"] not in COUNTERS:
        raise ApiError(
            400, "InvalidParams", "Invalid or unsupported params: counter",
            {"extra": f"Counter type not supported: {names['counter']}", "invalid_params": "counter"},
        )  # fmt: skip
    return names["counter"]


def number(text: str) -> int:
    """Return an id or count. ApiError 400."""
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise invalid_params("id", text)
    return int(text)


def sub_item(request: web.Request) -> tuple[str, str] | None:
    """Return the sub-item and its id, None for none. ApiError 400 if one comes without the other."""
    name, of = request.query.get("sub_item"), request.query.get("sub_item_id")
    if name is None:
        return None
    if name not in {"category", "item_type"}:
        raise invalid_params("sub_item", name)
    if of is None:
        raise missing_params("sub_item_id", request)
    return name, of


def check_basic(request: web.Request, name: str, password: str) -> None:
    """Check an institution's name and password. ApiError 403, as documented for none; for wrong ones a *choice*."""
    scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
    wanted = f"{name}:{password}".encode()
    try:
        given = base64.b64decode(encoded, validate=True) if scheme.lower() == "basic" else b""
    except (binascii.Error, ValueError):
        given = b""
    if not hmac.compare_digest(given, wanted):
        raise Unauthorized


class Unauthorized(ApiError):
    """The 403 of the statistics service, whose `data` is null."""

    def __init__(self) -> None:
        super().__init__(403, "Forbidden", "Unauthorized request")

    def body(self) -> dict[str, object]:
        return {"data": None, "code": self.code, "message": self.message}


def invalid_params(name: str, value: str) -> ApiError:
    """Return the 400 for an invalid parameter."""
    message = f"Invalid or unsupported params: {name}"
    return ApiError(400, "InvalidParams", message, {"extra": value, "invalid_params": name})


def missing_params(name: str, request: web.Request) -> ApiError:
    """Return the 400 for a missing parameter."""
    details = {"missing_params": name, "parameters": dict(request.query), "path": request.path}
    return ApiError(400, "MissingParams", f"Missing required params: {name}", details)


def _day(text: str | None, name: str) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise invalid_params(name, text) from None


def _years_later(day: date, years: int) -> date:
    """Return the last day of this many years from a day."""
    try:
        later = day.replace(year=day.year + years)
    except ValueError:  # February 29th
        later = date(day.year + years, 3, 1)
    return date.fromordinal(later.toordinal() - 1)
