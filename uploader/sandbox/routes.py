"""The table of routes: each has a kind (its name in the request log and for faults), a method and a path."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Route:
    """One operation, a row of a table. `public`: no token is required."""

    kind: str
    method: str
    path: str
    handler: Handler
    public: bool = field(default=False, kw_only=True)


class Operations(Protocol):
    """A module, or an object, that has some operations."""

    def routes(self) -> list[Route]: ...


class RouteTable:
    """Routes of one service, looked up by the matched resource."""

    def __init__(self, routes: list[Route]) -> None:
        self._routes = routes
        self._found: dict[web.AbstractRoute, Route] = {}

    def add_to(self, app: web.Application) -> None:
        """Register all of them; GET includes HEAD."""
        for route in self._routes:
            for method in ("GET", "HEAD") if route.method == "GET" else (route.method,):
                self._found[app.router.add_route(method, route.path, route.handler)] = route

    def match(self, request: web.Request) -> Route | None:
        """Return the route of a request, or None."""
        return self._found.get(request.match_info.route)
