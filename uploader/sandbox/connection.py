"""What can be done to a connection beneath HTTP: see whether it lives, close it, reset it."""

from __future__ import annotations

import socket
import struct
import time

import anyio
from aiohttp import web

_ENDING = web.RequestKey("ending", str)
_LOOK = 0.05
"""Seconds between looks at a connection: nobody is told when a client hangs up on a request that was read whole."""


def disconnected(request: web.Request) -> bool:
    """Whether the client has closed the connection, or it broke."""
    return request.transport is None or request.transport.is_closing()


async def wait(request: web.Request, seconds: float) -> None:
    """Say nothing for so long, or until the client is gone."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0 and not disconnected(request):  # noqa: ASYNC110
        await anyio.sleep(min(_LOOK, left))


def close(request: web.Request) -> web.Response:
    """See to it that the connection is closed once the request is on record. What is returned is never sent."""
    request[_ENDING] = "close"
    return web.Response(status=500)


def reset(request: web.Request) -> web.Response:
    """Likewise, with a reset: the client gets no orderly end, whatever was written."""
    request[_ENDING] = "reset"
    return web.Response(status=500)


def end(request: web.Request) -> None:
    """Do to the connection what `drop` or `reset` asked for."""
    ending, transport = request.get(_ENDING), request.transport
    if ending is None or transport is None:
        return
    sock = transport.get_extra_info("socket")
    if ending == "reset" and sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
