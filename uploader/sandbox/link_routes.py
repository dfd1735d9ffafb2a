"""The private links of an item or a collection: list, create, read, update, delete."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from uploader.sandbox import checks, links_db
from uploader.sandbox.addresses import Addresses
from uploader.sandbox.answers import invalid, json_answer, located, no_content, not_found, reset_content
from uploader.sandbox.bodies import optional_body_of
from uploader.sandbox.context import context_of
from uploader.sandbox.links_db import PrivateLink
from uploader.sandbox.people.impersonation import account_of
from uploader.sandbox.resources import Resource
from uploader.sandbox.routes import Route

_YEAR = 365 * 86400.0


class LinkRoutes:
    """The routes for one resource."""

    def __init__(self, resource: Resource) -> None:
        self._resource = resource

    def routes(self) -> list[Route]:
        """Return the routes; reading a single link is documented for collections only."""
        word, path = self._resource.word, f"{self._resource.route}/private_links"
        one = path + r"/{link_id:[0-9a-f]{1,200}}"
        found = [
            Route(f"list-{word}-links", "GET", path, self.listing),
            Route(f"create-{word}-link", "POST", path, self.create),
            Route(f"update-{word}-link", "PUT", one, self.update),
            Route(f"delete-{word}-link", "DELETE", one, self.delete),
        ]
        return found if word == "item" else [*found, Route(f"get-{word}-link", "GET", one, self.read)]

    async def listing(self, request: web.Request) -> web.Response:
        context = context_of(request)
        links = await context.db.run(self._links, self._resource.id_of(request), account_of(request))
        at, now = context.addresses(request), context.now()
        return json_answer([_shown(link, at, now) for link in links])

    async def create(self, request: web.Request) -> web.Response:
        context = context_of(request)
        now = context.now()
        expires = _expiry(await optional_body_of(request), now)
        link = await context.db.run(self._create, self._resource.id_of(request), account_of(request), expires, now)
        location = self._resource.address(request, f"/private_links/{link.id}")
        html = context.addresses(request).private(link.token)
        return located(location, 201, {"location": location, "html_location": html, "token": link.token})

    async def read(self, request: web.Request) -> web.Response:
        context = context_of(request)
        link = await context.db.run(self._find, *self._ids(request))
        return json_answer(_shown(link, context.addresses(request), context.now()))

    async def update(self, request: web.Request) -> web.Response:
        context = context_of(request)
        expires = _expiry(await optional_body_of(request), context.now())
        await context.db.run(self._update, *self._ids(request), expires)
        return reset_content(self._resource.address(request, f"/private_links/{request.match_info['link_id']}"))

    async def delete(self, request: web.Request) -> web.Response:
        await context_of(request).db.run(self._delete, *self._ids(request))
        return no_content()

    def _ids(self, request: web.Request) -> tuple[int, int, str]:
        return self._resource.id_of(request), account_of(request), request.match_info["link_id"]

    def _links(self, db: sqlite3.Connection, number: int, account_id: int) -> list[PrivateLink]:
        self._resource.fields(db, number, account_id)
        return links_db.list_of(db, self._resource.path, number)

    def _create(self, db: sqlite3.Connection, number: int, account_id: int, expires: float, now: float) -> PrivateLink:
        self._resource.fields(db, number, account_id)
        return links_db.replace(db, self._resource.path, number, expires, now)

    def _find(self, db: sqlite3.Connection, number: int, account_id: int, link_id: str) -> PrivateLink:
        for link in self._links(db, number, account_id):
            if link.id == link_id:
                return link
        raise not_found("Private link")

    def _update(self, db: sqlite3.Connection, number: int, account_id: int, link_id: str, expires: float) -> None:
        links_db.set_expiry(db, self._find(db, number, account_id, link_id).id, expires)

    def _delete(self, db: sqlite3.Connection, number: int, account_id: int, link_id: str) -> None:
        links_db.delete(db, self._find(db, number, account_id, link_id).id)


def _expiry(body: dict[str, Any], now: float) -> float:
    """Return when a link expires, by default in a year. ApiError 422."""
    given = body.get("expires_date")
    if given is None:
        return now + _YEAR
    expires = checks.moment_of(given) if isinstance(given, str) else None
    if expires is None:
        raise invalid("expires_date must be a date", "expires_date")
    return expires


def _shown(link: PrivateLink, at: Addresses, now: float) -> dict[str, Any]:
    return {
        "id": link.id,
        "is_active": link.expires > now,
        "expires_date": datetime.fromtimestamp(link.expires, UTC).strftime("%Y-%m-%dT%H:%M:%S"),
        "html_location": at.private(link.token),
    }
