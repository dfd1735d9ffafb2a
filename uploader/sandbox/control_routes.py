"""The control endpoint: set, list and clear faults while the sandbox runs. Only served if enabled."""

from __future__ import annotations

from aiohttp import web

from uploader.sandbox.answers import ApiError, json_answer
from uploader.sandbox.bodies import body_of
from uploader.sandbox.context import context_of
from uploader.sandbox.faults import read_rule
from uploader.sandbox.routes import Route

FAULTS, REQUESTS = "/sandbox/faults", "/sandbox/requests"


def routes() -> list[Route]:
    """Return this module's routes; they accept a token that a fault revoked."""
    return [
        Route("control", "GET", FAULTS, listing),
        Route("control", "POST", FAULTS, add),
        Route("control", "DELETE", FAULTS, clear),
        Route("control", "GET", REQUESTS, counts),
    ]


async def listing(request: web.Request) -> web.Response:
    """Return the active rules, and how many requests each has matched."""
    return json_answer(context_of(request).faults.listing())


async def counts(request: web.Request) -> web.Response:
    """Return how many requests there were since the start, by service."""
    return json_answer(context_of(request).counts.listing())


async def add(request: web.Request) -> web.Response:
    """Add `{"fault": LINE}` or `{"faults": [LINE, …]}`. Responds 201 with all active rules, 422 on an invalid line."""
    body = await body_of(request)
    lines = body.get("faults", [])
    lines = [*lines, body["fault"]] if "fault" in body and isinstance(lines, list) else lines
    if not isinstance(lines, list) or not lines or not all(isinstance(line, str) for line in lines):
        raise ApiError(422, "UnprocessableEntity", 'Send {"fault": "..."} or {"faults": ["...", ...]}')
    try:
        rules = [read_rule(line) for line in lines]
    except ValueError as error:
        raise ApiError(422, "UnprocessableEntity", str(error)) from error
    book = context_of(request).faults
    book.add(rules)
    return json_answer(book.listing(), 201)


async def clear(request: web.Request) -> web.Response:
    """Remove all rules and restore token and quota. Changes to files and parts remain."""
    context = context_of(request)
    context.faults.clear()
    context.effects.clear()
    return web.Response(status=204)
