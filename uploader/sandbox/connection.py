"""What can be done to a connection beneath HTTP: see whether it lives, close it, reset it."""

from __future__ import annotations

import socket
import struct
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


def reset(request: web.Request) -> web.Response:
    """Reset the connection: the client gets no orderly end, whatever was written. What is returned is never sent."""
    transport = request.transport
    if transport is not None:
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return web.Response(status=500)


def drop(request: web.Request) -> web.Response:
    """Close the connection without an answer. What is returned is never sent."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)
