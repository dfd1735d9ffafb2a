"""The control endpoint: faults while the sandbox runs, and what has no API. Only served if enabled."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from uploader.sandbox.answers import ApiError, json_answer
from uploader.sandbox.batch_csv import DATES, ENCODINGS, SHAPES, batch_csv
from uploader.sandbox.bodies import body_of
from uploader.sandbox.context import context_of
from uploader.sandbox.faults import read_rule
from uploader.sandbox.institutions import OWN
from uploader.sandbox.items import store
from uploader.sandbox.items.routes import read_whole
from uploader.sandbox.routes import Route

FAULTS, REQUESTS, BATCH = "/sandbox/faults", "/sandbox/requests", "/sandbox/batch.csv"


def routes() -> list[Route]:
    """Return this module's routes; they accept a token that a fault revoked."""
    return [
        Route("control", "GET", FAULTS, listing),
        Route("control", "POST", FAULTS, add),
        Route("control", "DELETE", FAULTS, clear),
        Route("control", "GET", REQUESTS, counts),
        Route("control", "GET", BATCH, batch),
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


async def batch(request: web.Request) -> web.Response:
    """Return the institution's metadata report, which the real service has on its administration pages only.

    Query: `shape`, `dates`, `encoding` (see `batch_csv`), `zip` for one in a ZIP. 422 for others.
    """
    context, query = context_of(request), request.query
    shape, dates = _one_of(query, "shape", SHAPES), _one_of(query, "dates", tuple(DATES))
    encoding = _one_of(query, "encoding", ENCODINGS)
    at = context.addresses(request)

    def items(db: sqlite3.Connection) -> list[dict[str, Any]]:
        every = reversed(store.page(db, None, -1, 0))
        own = [item.id for item in every if item.metadata["group_id"] in (None, *OWN.groups)]
        return [read_whole(db, number, None, context, at) for number in own]

    whole = await context.db.run(items)
    body = batch_csv(whole, shape=shape, dates=dates, encoding=encoding, zipped="zip" in query)
    return web.Response(body=body, content_type="application/zip" if "zip" in query else "text/csv")


def _one_of(query: Mapping[str, str], name: str, known: tuple[str, ...]) -> str:
    value = query.get(name, known[0])
    if value not in known:
        raise ApiError(422, "UnprocessableEntity", f"{name} must be one of {', '.join(known)}")
    return value
