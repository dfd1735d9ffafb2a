"""Headers that let the scripts of web pages read responses (CORS), and the answer to a browser's preflight request.

The documentation promises the API to any origin. Methods and lifetime are as recorded from the real service, which
lists no PATCH, and names its own origin to a client that sends none.
"""

from __future__ import annotations

from typing import Final

from aiohttp import web
from multidict import MutableMultiMapping

_READABLE: Final = ("/v2", "/upload/")
"""Paths of the API, and of the upload service, to which figshare.com's own pages send from a browser."""
_WANTED: Final = "Access-Control-Request-Method"


def add_headers(request: web.Request, headers: MutableMultiMapping[str]) -> None:
    """Add them to those of a response."""
    if not request.path.startswith(_READABLE):
        return
    headers["Access-Control-Allow-Origin"] = request.headers.get("Origin", f"{request.scheme}://{request.host}")
    headers["Access-Control-Allow-Methods"] = "GET, POST, PUT, DELETE, OPTIONS"
    headers["Access-Control-Max-Age"] = "3600"
    headers.add("Vary", "Origin")


def is_preflight(request: web.Request) -> bool:
    """Return whether a browser asks for permission; any other OPTIONS is an unknown method."""
    asks = "Origin" in request.headers and _WANTED in request.headers
    return request.method == "OPTIONS" and asks and request.path.startswith(_READABLE)


def preflight(request: web.Request) -> web.Response:
    """Return the permission to send the headers that it asks for."""
    wanted = request.headers.get("Access-Control-Request-Headers", "")
    return web.Response(headers={"Access-Control-Allow-Headers": wanted})
