"""The account, the token, and Figshare's fixed lists."""

from __future__ import annotations

from aiohttp import web

from uploader.sandbox.answers import json_answer
from uploader.sandbox.context import context_of
from uploader.sandbox.reference import ACCOUNT_ID, CATEGORIES, LICENSES
from uploader.sandbox.routes import Route


def routes() -> list[Route]:
    """This module's operations."""
    return [
        Route("get-account", "GET", "/v2/account", account),
        Route("get-token", "GET", "/v2/token", token),
        Route("list-licenses", "GET", "/v2/account/licenses", licenses),
        Route("list-licenses", "GET", "/v2/licenses", licenses, open_to_all=True),
        Route("list-categories", "GET", "/v2/account/categories", categories),
        Route("list-categories", "GET", "/v2/categories", categories, open_to_all=True),
    ]


async def account(request: web.Request) -> web.Response:
    """All quotas are bytes; `maximum_file_size` 0 is "not stated", as seen on real accounts."""
    context = context_of(request)
    settings = context.settings
    used = await context.db.run(context.used)
    return json_answer(
        {
            "id": ACCOUNT_ID,
            "first_name": "Sandbox",
            "last_name": "Owner",
            "email": "owner@sandbox.invalid",
            "active": True,
            "institution_id": 0,
            "group_id": 0,
            "institution_user_id": "",
            "quota": settings.quota,
            "used_quota": used,
            "used_quota_private": used,
            "used_quota_public": 0,
            "pending_quota_request": False,
            "maximum_file_size": settings.max_file_size,
            "created_date": "2015-04-27T13:47:14Z",
            "modified_date": "2019-01-21T15:15:35Z",
            "user_id": 11000001,
            "orcid_id": "",
            "symplectic_user_id": "",
        }
    )


async def token(request: web.Request) -> web.Response:
    """What the token is good for. A personal token does not run out; the documented fields have no way to say so."""
    value = context_of(request).settings.token
    return json_answer(
        {"access_token": value, "token": value, "token_type": "bearer", "expires_in": 2**31 - 1, "scope": "all"}
    )


async def licenses(request: web.Request) -> web.Response:
    return json_answer(list(LICENSES.values()))


async def categories(request: web.Request) -> web.Response:
    return json_answer(list(CATEGORIES.values()))
