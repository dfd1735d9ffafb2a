"""Parse and apply the filters of listings and searches of items, projects and collections. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from uploader.sandbox import checks
from uploader.sandbox.answers import ApiError
from uploader.sandbox.bodies import query_of
from uploader.sandbox.listing import Order, Slice, order_of, slice_in, slice_of

_TEXTS = ("resource_id", "resource_doi", "doi", "handle", "published_since", "modified_since")
_NUMBERS = ("institution", "group", "item_type", "project_id")
_VERSION = re.compile(r"\.v\d+$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """The values that filters compare. `same` has the fields that must be equal, `dois` every DOI that matches, in
    lower case.

    Times are seconds since the epoch.
    """

    same: Mapping[str, Any]
    dois: list[str] = field(default_factory=list)
    published: float | None
    modified: float


def dois(doi: str, version: int) -> list[str]:
    """Return the DOIs of an object with this many versions: each version's and the common one."""
    base = _VERSION.sub("", doi.lower())
    return [base, *(f"{base}.v{number}" for number in range(1, version + 1))] if base else []


def in_listing(request: web.Request) -> dict[str, Any]:
    """Return the filters of a listing, which has no `search_for`. ApiError 422 or 400."""
    return _read({name: value for name, value in query_of(request).items() if name != "search_for"})


def in_search(
    request: web.Request, body: dict[str, Any], orders: tuple[str, ...]
) -> tuple[dict[str, Any], Slice, Order]:
    """Return the search in a body; paging parameters may also be in the query. ApiError 400 or 422."""
    paged = {"page", "page_size", "limit", "offset"} & request.query.keys()
    return _read(body), slice_of(request.query) if paged else slice_in(body), order_of(body, orders)


def matches(traits: Traits, criteria: Mapping[str, Any]) -> bool:
    """Return whether something matches all filters but `search_for`. The two dates are exclusive (*choice*)."""
    if any(traits.same[name] != value for name, value in criteria.items() if name in traits.same):
        return False
    if "doi" in criteria and criteria["doi"].lower() not in traits.dois:
        return False
    since, changed = criteria.get("published_since"), criteria.get("modified_since")
    if since is not None and (traits.published is None or traits.published <= since):
        return False
    return changed is None or traits.modified > changed


def _read(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the filters, checked: dates are moments."""
    names: dict[str, checks.Check] = {
        "search_for": checks.text(3, 10000),
        **dict.fromkeys(_TEXTS, checks.text(0, 1000)),
        **dict.fromkeys(_NUMBERS, checks.integer),
    }
    criteria = checks.checked(dict(given), names)
    for name in ("published_since", "modified_since"):
        if name in criteria:
            criteria[name] = checks.moment_of(criteria[name])
            if criteria[name] is None:
                raise ApiError(400, "BadRequest", f"Invalid value received for {name}", {"invalid_params": name})
    return criteria
