"""The authors of an item or a collection: list, add, replace, delete."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from aiohttp import web

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
from uploader.sandbox.people import author_body, authors
from uploader.sandbox.people.authors import Author, NewAuthor
from uploader.sandbox.people.impersonation import account_of
from uploader.sandbox.resources import Resource
from uploader.sandbox.routes import Route


class AuthorRoutes:
    """The routes for one resource."""

    def __init__(self, resource: Resource) -> None:
        self._resource = resource

    def routes(self) -> list[Route]:
        """Return the routes."""
        word, path = self._resource.word, f"{self._resource.route}/authors"
        return [
            Route(f"list-{word}-authors", "GET", path, self.listing),
            Route(f"add-{word}-authors", "POST", path, self.add),
            Route(f"replace-{word}-authors", "PUT", path, self.replace),
            Route(f"delete-{word}-author", "DELETE", path + r"/{author_id:\d{1,18}}", self.delete),
        ]

    async def listing(self, request: web.Request) -> web.Response:
        found = await context_of(request).db.run(self._listed, self._resource.id_of(request), account_of(request))
        return json_answer([authors.shown(author) for author in found])

    async def add(self, request: web.Request) -> web.Response:
        await self._set(request, keep=True)
        location = self._resource.address(request, "/authors")
        return reset_content(location) if self._resource.added == 205 else located(location, self._resource.added)

    async def replace(self, request: web.Request) -> web.Response:
        await self._set(request, keep=False)
        return reset_content(self._resource.address(request, "/authors"))

    async def delete(self, request: web.Request) -> web.Response:
        context = context_of(request)
        author_id = int(request.match_info["author_id"])
        await context.db.run(self._delete, self._resource.id_of(request), account_of(request), author_id, context.now())
        return no_content()

    async def _set(self, request: web.Request, *, keep: bool) -> None:
        context = context_of(request)
        with invalid_is_bad_request():
            body = await body_of(request)
            if body.get("authors") is None:
                raise invalid("Missing mandatory field - authors", "authors")
            named = author_body.authors("authors", body["authors"])
        await context.db.run(
            self._store, self._resource.id_of(request), account_of(request), named, context.now(), keep=keep
        )

    def _listed(self, db: sqlite3.Connection, number: int, account_id: int) -> list[Author]:
        return authors.get_many(db, self._resource.fields(db, number, account_id)["authors"])

    def _store(
        self,
        db: sqlite3.Connection,
        number: int,
        account_id: int,
        named: Sequence[int | NewAuthor],
        now: float,
        *,
        keep: bool,
    ) -> None:
        present = self._resource.fields(db, number, account_id)["authors"] if keep else []
        ids = authors.resolve(db, [*present, *named])
        self._resource.change(db, number, account_id, {"authors": ids}, now)

    def _delete(self, db: sqlite3.Connection, number: int, account_id: int, author_id: int, now: float) -> None:
        ids = self._resource.fields(db, number, account_id)["authors"]
        if author_id not in ids:
            raise not_found("Author")
        self._resource.change(db, number, account_id, {"authors": [one for one in ids if one != author_id]}, now)
