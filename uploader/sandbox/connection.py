"""Connections below HTTP: detect a disconnect, close, reset."""

from __future__ import annotations

import socket
import struct
import time

import anyio
from aiohttp import web

_CLOSE_MODE = web.RequestKey("ending", str)
_CHECK_INTERVAL = 0.05
"""Seconds between checks of a connection: aiohttp does not report a disconnect once the request is read completely."""


def disconnected(request: web.Request) -> bool:
    """Return whether the connection was closed by the client or broke."""
    return request.transport is None or request.transport.is_closing()


async def wait(request: web.Request, seconds: float) -> None:
    """Wait for `seconds`, or until the client disconnects."""
    deadline = time.monotonic() + seconds
    while (remaining := deadline - time.monotonic()) > 0 and not disconnected(request):  # noqa: ASYNC110
        await anyio.sleep(min(_CHECK_INTERVAL, remaining))


def close(request: web.Request) -> web.Response:
    """Close the connection once the request is logged. The returned response is never sent."""
    request[_CLOSE_MODE] = "close"
    return web.Response(status=500)


def reset(request: web.Request) -> web.Response:
    """Reset the connection once the request is logged. The returned response is never sent."""
    request[_CLOSE_MODE] = "reset"
    return web.Response(status=500)


def end(request: web.Request) -> None:
    """Close or reset the connection if `close` or `reset` requested it."""
    ending, transport = request.get(_CLOSE_MODE), request.transport
    if ending is None or transport is None:
        return
    sock = transport.get_extra_info("socket")
    if ending == "reset" and sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
