"""The JSON in the body of a request to the API."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from uploader.sandbox.answers import ApiError


async def body_of(request: web.Request) -> dict[str, Any]:
    """Return the JSON object in the body. ApiError 400 when it is no JSON, 422 when it is no object."""
    raw = await request.read()
    try:
        body = json.loads(raw.decode("utf-8"), parse_constant=_refuse)
        # A lone surrogate is JSON, but no text that can be stored.
        json.dumps(body, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError) as error:
        raise ApiError(400, "BadRequest", "The request body is not valid JSON") from error
    if not isinstance(body, dict):
        raise ApiError(422, "UnprocessableEntity", "The request body must be a JSON object")
    return body


async def optional_body_of(request: web.Request) -> dict[str, Any]:
    """Return the same where there need be no body: nothing at all is an empty object."""
    return await body_of(request) if await request.read() else {}


def _refuse(constant: str) -> None:
    raise ValueError(constant)
