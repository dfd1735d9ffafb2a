"""The categories of an item or a collection: list, add, replace, delete."""

from __future__ import annotations

import sqlite3

from aiohttp import web

from uploader.sandbox import categories, checks
from uploader.sandbox.answers import (
    invalid,
    invalid_is_bad_request,
    json_answer,
    located,
    no_content,
    not_found,
    reset_content,
)
from uploader.sandbox.bodies import body_of
from uploader.sandbox.context import context_of
from uploader.sandbox.people.impersonation import account_of
from uploader.sandbox.resources import Resource
from uploader.sandbox.routes import Route


class CategoryRoutes:
    """The routes for one resource."""

    def __init__(self, resource: Resource) -> None:
        self._resource = resource

    def routes(self) -> list[Route]:
        """Return the routes."""
        word, path = self._resource.word, f"{self._resource.route}/categories"
        return [
            Route(f"list-{word}-categories", "GET", path, self.listing),
            Route(f"add-{word}-categories", "POST", path, self.add),
            Route(f"replace-{word}-categories", "PUT", path, self.replace),
            Route(f"delete-{word}-category", "DELETE", path + r"/{category_id:\d{1,18}}", self.delete),
        ]

    async def listing(self, request: web.Request) -> web.Response:
        fields = await context_of(request).db.run(
            self._resource.fields, self._resource.id_of(request), account_of(request)
        )
        return json_answer([categories.of_item(number) for number in fields["categories"]])

    async def add(self, request: web.Request) -> web.Response:
        await self._set(request, keep=True)
        location = self._resource.address(request, "/categories")
        return reset_content(location) if self._resource.added == 205 else located(location, self._resource.added)

    async def replace(self, request: web.Request) -> web.Response:
        await self._set(request, keep=False)
        return reset_content(self._resource.address(request, "/categories"))

    async def delete(self, request: web.Request) -> web.Response:
        context = context_of(request)
        number = int(request.match_info["category_id"])
        await context.db.run(self._delete, self._resource.id_of(request), account_of(request), number, context.now())
        return no_content()

    async def _set(self, request: web.Request, *, keep: bool) -> None:
        context = context_of(request)
        with invalid_is_bad_request():
            body = await body_of(request)
            if body.get("categories") is None:
                raise invalid("Missing mandatory field - categories", "categories")
            ids = checks.categories("categories", body["categories"])
        await context.db.run(
            self._store, self._resource.id_of(request), account_of(request), ids, context.now(), keep=keep
        )

    def _store(
        self, db: sqlite3.Connection, number: int, account_id: int, ids: list[int], now: float, *, keep: bool
    ) -> None:
        present = self._resource.fields(db, number, account_id)["categories"] if keep else []
        self._resource.change(db, number, account_id, {"categories": list(dict.fromkeys([*present, *ids]))}, now)

    def _delete(self, db: sqlite3.Connection, number: int, account_id: int, category_id: int, now: float) -> None:
        ids = self._resource.fields(db, number, account_id)["categories"]
        if category_id not in ids:
            raise not_found("Category")
        self._resource.change(db, number, account_id, {"categories": [one for one in ids if one != category_id]}, now)
