"""The parameters of a request to the API: the JSON in its body, and its query string."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from uploader.sandbox.answers import ApiError

_NUMBERS = frozenset(
    {
        "page",
        "page_size",
        "limit",
        "offset",
        "institution",
        "group",
        "item_type",
        "project_id",
        "institution_id",
        "group_id",
    }
)
_BOOLEANS = frozenset({"is_active", "is_public"})


async def body_of(request: web.Request) -> dict[str, Any]:
    """Return the JSON object in the body. ApiError 400 if it is not JSON, 422 if it is not an object."""
    raw = await request.read()
    try:
        body = json.loads(raw.decode("utf-8"), parse_constant=_refuse)
        # A lone surrogate is valid JSON but cannot be stored.
        json.dumps(body, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError) as error:
        raise ApiError(400, "BadRequest", "The request body is not valid JSON") from error
    if not isinstance(body, dict):
        raise ApiError(422, "UnprocessableEntity", "The request body must be a JSON object")
    return body


async def optional_body_of(request: web.Request) -> dict[str, Any]:
    """Return the JSON object of an optional body; without a body, an empty object."""
    return await body_of(request) if await request.read() else {}


async def form_of(request: web.Request) -> dict[str, str]:
    """Return the fields of the form in the body, as a browser sends it. Bytes that are no UTF-8 are replaced."""
    return dict(parse_qsl((await request.read()).decode("utf-8", "replace"), keep_blank_values=True))


async def search_of(request: web.Request) -> dict[str, Any]:
    """Return the parameters of a POST search: those in the query string, as observed, and those in the body."""
    return query_of(request) | await optional_body_of(request)


def query_of(request: web.Request) -> dict[str, Any]:
    """Return the query string with the types that a body would have; invalid values stay text."""
    query: dict[str, Any] = dict(request.query)
    for name, text in request.query.items():
        if name in _NUMBERS and text.isascii() and text.isdigit() and len(text) < 19:
            query[name] = int(text)
        elif name in _BOOLEANS:
            query[name] = {"true": True, "false": False}.get(text.lower(), text)
    return query


def _refuse(constant: str) -> None:
    raise ValueError(constant)
