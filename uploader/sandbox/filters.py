"""The filters of listings and searches of items, projects and collections, as SQL on their documents. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from uploader.sandbox import checks
from uploader.sandbox.answers import ApiError
from uploader.sandbox.bodies import query_of
from uploader.sandbox.sql import Sql

_TEXTS = ("resource_id", "resource_doi", "doi", "handle", "published_since", "modified_since")
_NUMBERS = ("institution", "group", "item_type", "project_id")
_VERSION = re.compile(r"\.v\d+$")

_SAME: Final = {
    "institution": "institution_id", "group": "group_id", "item_type": "item_type", "project_id": "project_id",
    "resource_id": "resource_id", "handle": "handle",
}  # fmt: skip
"""Filters by equality → their columns in the table of documents."""
_IGNORED: Final = {
    "articles": frozenset[str](),
    "collections": frozenset({"item_type", "project_id"}),
    "projects": frozenset({"item_type", "project_id", "resource_id", "resource_doi", "doi", "handle"}),
}
"""Filters that a kind of record does not have; like every unknown parameter they have no effect, as observed."""


def dois(doi: str, version: int) -> list[str]:
    """Return the DOIs of an object with this many versions: each version's and the common one."""
    base = _VERSION.sub("", doi.lower())
    return [base, *(f"{base}.v{number}" for number in range(1, version + 1))] if base else []


def in_listing(request: web.Request) -> dict[str, Any]:
    """Return the filters of a listing, which has no `search_for`. ApiError 422 or 400."""
    return read({name: value for name, value in query_of(request).items() if name != "search_for"}, 0)


def read(given: Mapping[str, Any], max_length: int) -> dict[str, Any]:
    """Return the filters, checked: dates are moments. `search_for` may have this many characters."""
    names: dict[str, checks.Check] = {
        "search_for": checks.text(3, max_length),
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


def conditions(criteria: Mapping[str, Any], kind: str, *, published: str, modified: str, inclusive: bool) -> list[Sql]:
    """Return the conditions of all filters but `search_for`. `published` and `modified` are columns.

    Dates are compared by the second, as they are shown; whether one's own second counts is not known.
    """
    wanted = {name: value for name, value in criteria.items() if name not in _IGNORED[kind]}
    found = [Sql(f"d.{column} = ?", (wanted[name],)) for name, column in _SAME.items() if name in wanted]
    if "doi" in wanted:
        found.append(Sql("instr(d.dois, ?)", (f"\n{wanted['doi'].lower()}\n",)))
    if "resource_doi" in wanted:
        found.append(Sql("d.resource_doi = ?", (wanted["resource_doi"].lower(),)))
    for name, column in (("published_since", published), ("modified_since", modified)):
        if name in wanted:
            # From the next second on, or from this one: both can use an index, unlike a rounded column.
            found.append(Sql(f"{column} >= ?", (wanted[name] + (0 if inclusive else 1),)))
    return found
