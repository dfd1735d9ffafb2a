"""Identifiers of an item or a collection: reserve a handle, and set the related resource."""

from __future__ import annotations

import sqlite3
from typing import Any

from aiohttp import web

from uploader.sandbox import checks
from uploader.sandbox.answers import json_answer, located
from uploader.sandbox.bodies import body_of, optional_body_of
from uploader.sandbox.context import context_of
from uploader.sandbox.people.impersonation import account_of
from uploader.sandbox.resources import Resource
from uploader.sandbox.routes import Route

_PREFIX = "11172/FK2.FIGSHARE"
"""The prefix of the handles in the documentation's examples."""
_CHECKS: dict[str, checks.Check] = {
    "id": checks.text(0, 255),
    "title": checks.text(0, 1000),
    "doi": checks.text(0, 1000),
    "link": checks.text(0, 255),
    "status": checks.text(0, 100),
    "version": checks.integer,
}


class IdentifierRoutes:
    """The routes for one resource."""

    def __init__(self, resource: Resource) -> None:
        self._resource = resource

    def routes(self) -> list[Route]:
        """Return the routes."""
        word, path = self._resource.word, self._resource.route
        return [
            Route(f"reserve-{word}-handle", "POST", f"{path}/reserve_handle", self.reserve_handle),
            Route(f"set-{word}-resource", "POST", f"{path}/resource", self.set_resource),
        ]

    async def reserve_handle(self, request: web.Request) -> web.Response:
        context = context_of(request)
        await optional_body_of(request)
        number = self._resource.id_of(request)
        return json_answer({"handle": await context.db.run(self._reserve, number, account_of(request), context.now())})

    async def set_resource(self, request: web.Request) -> web.Response:
        """Store the resource; an item shows its title and DOI only."""
        context = context_of(request)
        given = checks.checked(await body_of(request), _CHECKS)
        fields = {f"resource_{name}": value for name, value in given.items()}
        number = self._resource.id_of(request)
        await context.db.run(self._store, number, account_of(request), fields, context.now())
        return located(self._resource.address(request), 205)

    def _reserve(self, db: sqlite3.Connection, number: int, account_id: int, now: float) -> str:
        """Return the handle, which is created once."""
        fields = self._resource.fields(db, number, account_id)
        handle = str(fields["handle"] or f"{_PREFIX}.{number}")
        self._resource.change(db, number, account_id, {"handle": handle}, now)
        return handle

    def _store(self, db: sqlite3.Connection, number: int, account_id: int, fields: dict[str, Any], now: float) -> None:
        self._resource.fields(db, number, account_id)
        self._resource.change(db, number, account_id, fields, now)
