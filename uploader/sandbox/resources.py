"""Common features of items and collections: authors, categories, private links and a DOI.

A module that serves one of these for both uses a `Resource`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from uploader.sandbox.context import context_of
from uploader.sandbox.request_log import ENTRY


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """Items or collections. `word` is used in the names of routes, `path` in URLs.

    `fields(db, id, account)` returns the stored fields of one, ApiError 404 if the account does not own it;
    `change(db, id, account, fields, now)` changes some of it. `added` is the status of a successful addition.
    """

    word: str
    path: str
    added: int
    fields: Callable[[sqlite3.Connection, int, int], dict[str, Any]]
    change: Callable[[sqlite3.Connection, int, int, dict[str, Any], float], None]

    @property
    def route(self) -> str:
        """The path of one resource, for the table of routes."""
        return f"/v2/account/{self.path}" + r"/{resource_id:\d{1,18}}"

    def id_of(self, request: web.Request) -> int:
        """Return the id in the path; an item's is logged."""
        number = int(request.match_info["resource_id"])
        if self.word == "item":
            request[ENTRY].item_id = number
        return number

    def address(self, request: web.Request, rest: str = "") -> str:
        """Return the address of the resource that the path names, or of a subresource."""
        at = context_of(request).addresses(request)
        return f"{at.api}/account/{self.path}/{self.id_of(request)}{rest}"
