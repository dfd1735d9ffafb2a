"""The authors and the categories of an item or a collection: list, add, replace, delete."""

from __future__ import annotations

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Generic, TypeVar

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
from uploader.sandbox.people import author_body, authors
from uploader.sandbox.people.authors import NewAuthor
from uploader.sandbox.people.impersonation import account_of
from uploader.sandbox.resources import Resource
from uploader.sandbox.routes import Route

Named = TypeVar("Named")
"""The type of an entry in a request."""


class _IdListRoutes(ABC, Generic[Named]):
    """The routes of one resource for the ids in one of its fields."""

    entry: ClassVar[str]
    field: ClassVar[str]

    def __init__(self, resource: Resource) -> None:
        self._resource = resource

    @abstractmethod
    def _read(self, value: Any) -> Sequence[Named]:
        """Return the entries of a request. Raises ApiError."""

    @abstractmethod
    def _resolve(self, db: sqlite3.Connection, present: list[int], named: Sequence[Named]) -> list[int]:
        """Return the ids of what is present and named, each once. Raises ApiError."""

    @abstractmethod
    def _shown(self, db: sqlite3.Connection, ids: list[int]) -> list[dict[str, Any]]:
        """Return the rows of a list."""

    def routes(self) -> list[Route]:
        """Return the routes."""
        word, path = self._resource.word, f"{self._resource.route}/{self.field}"
        return [
            Route(f"list-{word}-{self.field}", "GET", path, self.listing),
            Route(f"add-{word}-{self.field}", "POST", path, self.add),
            Route(f"replace-{word}-{self.field}", "PUT", path, self.replace),
            Route(f"delete-{word}-{self.entry}", "DELETE", f"{path}/{{{self.entry}_id:\\d{{1,18}}}}", self.delete),
        ]

    async def listing(self, request: web.Request) -> web.Response:
        return json_answer(
            await context_of(request).db.run(self._list, self._resource.id_of(request), account_of(request))
        )

    async def add(self, request: web.Request) -> web.Response:
        await self._set(request, keep=True)
        location = self._resource.address(request, f"/{self.field}")
        return reset_content(location) if self._resource.added == 205 else located(location, self._resource.added)

    async def replace(self, request: web.Request) -> web.Response:
        await self._set(request, keep=False)
        return reset_content(self._resource.address(request, f"/{self.field}"))

    async def delete(self, request: web.Request) -> web.Response:
        context = context_of(request)
        entry_id = int(request.match_info[f"{self.entry}_id"])
        await context.db.run(self._delete, self._resource.id_of(request), account_of(request), entry_id, context.now())
        return no_content()

    async def _set(self, request: web.Request, *, keep: bool) -> None:
        context = context_of(request)
        with invalid_is_bad_request():
            body = await body_of(request)
            if body.get(self.field) is None:
                raise invalid(f"Missing mandatory field - {self.field}", self.field)
            named = self._read(body[self.field])
        await context.db.run(
            self._store, self._resource.id_of(request), account_of(request), named, context.now(), keep=keep
        )

    def _list(self, db: sqlite3.Connection, number: int, account_id: int) -> list[dict[str, Any]]:
        return self._shown(db, self._resource.fields(db, number, account_id)[self.field])

    def _store(
        self, db: sqlite3.Connection, number: int, account_id: int, named: Sequence[Named], now: float, *, keep: bool
    ) -> None:
        present = self._resource.fields(db, number, account_id)[self.field] if keep else []
        self._resource.change(db, number, account_id, {self.field: self._resolve(db, present, named)}, now)

    def _delete(self, db: sqlite3.Connection, number: int, account_id: int, entry_id: int, now: float) -> None:
        ids = self._resource.fields(db, number, account_id)[self.field]
        if entry_id not in ids:
            raise not_found(self.entry.capitalize())
        self._resource.change(db, number, account_id, {self.field: [one for one in ids if one != entry_id]}, now)


class AuthorRoutes(_IdListRoutes[int | NewAuthor]):
    """The routes for the authors of one resource."""

    entry, field = "author", "authors"

    def _read(self, value: Any) -> Sequence[int | NewAuthor]:
        return author_body.authors(self.field, value)

    def _resolve(self, db: sqlite3.Connection, present: list[int], named: Sequence[int | NewAuthor]) -> list[int]:
        return authors.resolve(db, [*present, *named])

    def _shown(self, db: sqlite3.Connection, ids: list[int]) -> list[dict[str, Any]]:
        return [authors.shown(author) for author in authors.get_many(db, ids)]


class CategoryRoutes(_IdListRoutes[int]):
    """The routes for the categories of one resource."""

    entry, field = "category", "categories"

    def _read(self, value: Any) -> Sequence[int]:
        return checks.categories(self.field, value)

    def _resolve(self, db: sqlite3.Connection, present: list[int], named: Sequence[int]) -> list[int]:
        return list(dict.fromkeys([*present, *named]))

    def _shown(self, db: sqlite3.Connection, ids: list[int]) -> list[dict[str, Any]]:
        return [categories.of_item(number) for number in ids]
