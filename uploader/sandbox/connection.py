"""What can be done to a connection beneath HTTP: see whether it lives, close it, reset it."""

from __future__ import annotations

import time

import anyio
from aiohttp import web

_LOOK = 0.05
"""Seconds between looks at a connection: nobody is told when a client hangs up on a request that was read whole."""


def gone(request: web.Request) -> bool:
    """Whether the client has closed the connection, or it broke."""
    return request.transport is None or request.transport.is_closing()


async def hold(request: web.Request, seconds: float) -> None:
    """Say nothing for so long, or until the client is gone."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0 and not gone(request):  # noqa: ASYNC110
        await anyio.sleep(min(_LOOK, left))


def drop(request: web.Request) -> web.Response:
    """Close the connection without an answer. What is returned is never sent."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)
