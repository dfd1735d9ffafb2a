"""Documented operations that a local Figshare cannot serve meaningfully: they respond 501 with the reason."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from uploader.sandbox.answers import ApiError
from uploader.sandbox.routes import Handler, Route

_SYMPLECTIC = "needs the OAuth client of Symplectic Elements"

UNSERVED: Final = (
    ("POST", r"/v2/account/profile/{user_id:\d{1,18}}/picture", "no operation shows the picture"),
    ("GET", "/v2/symplectic/accounts", _SYMPLECTIC),
    ("GET", r"/v2/symplectic/accounts/{external_user_id}/articles", _SYMPLECTIC),
    ("GET", "/v2/symplectic/articles", _SYMPLECTIC),
    ("GET", r"/v2/symplectic/articles/{item_id:\d{1,18}}", _SYMPLECTIC),
    ("GET", r"/v2/symplectic/users/{user_id}", _SYMPLECTIC),
)  # fmt: skip
"""Method, path and reason."""


def routes() -> list[Route]:
    """Return this module's routes."""
    return [Route("unserved", method, path, _refusing(reason)) for method, path, reason in UNSERVED]


def _refusing(reason: str) -> Handler:
    async def refuse(_: web.Request) -> web.Response:
        raise ApiError(501, "NotImplemented", f"Not in the sandbox: {reason}")

    return refuse
