"""Responses of the API: JSON in Figshare's format, errors, and the HTML of its 202."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

ACCEPTED_HTML = (
    "<html>\n <head>\n  <title>202 Accepted</title>\n </head>\n <body>\n  <h1>202 Accepted</h1>\n"
    "  The request is accepted for processing.<br/><br/>\n\n\n\n </body>\n</html>"
)
"""The 157 bytes of a real response to a completion."""

NOT_FOUND_HTML = (
    "<html>\n <head>\n  <title>404 Not Found</title>\n </head>\n <body>\n  <h1>404 Not Found</h1>\n"
    "  The resource could not be found.<br/><br/>\n\n\n\n </body>\n</html>"
)
"""The page for an unknown path, and for a method that a path does not support."""


_INVALID = "UnprocessableEntity"

THROTTLED_HTML = (
    "<html>\n <head>\n  <title>403 Forbidden</title>\n </head>\n <body>\n  <h1>403 Forbidden</h1>\n </body>\n</html>"
)
"""The page for too many requests without a token; a client met one."""


class ApiError(Exception):
    """An error response: `{"message", "code"}`, and `data` for details.

    Real codes are words such as "EntityNotFound", although the documentation calls them integers.
    """

    def __init__(self, status: int, code: str, message: str, data: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.data = data

    def body(self) -> dict[str, Any]:
        """Return the JSON object of the response."""
        body: dict[str, Any] = {"message": self.message, "code": self.code}
        if self.data is not None:
            body["data"] = self.data
        return body


def moment(time: float) -> str:
    """Format seconds since the epoch as Figshare does, without fractions."""
    return datetime.fromtimestamp(int(time), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def not_found(what: str) -> ApiError:
    """Return the 404 for a resource that is missing or owned by another account; `what` is "Article" or "File"."""
    return ApiError(404, "EntityNotFound", f"{what} not found")


def invalid(message: str, field: str) -> ApiError:
    """Return the 422 for an invalid body."""
    return ApiError(422, _INVALID, message, {"invalid_params": field})


def forbidden() -> ApiError:
    """Return the 403 for an operation that this account may not perform."""
    return ApiError(403, "Forbidden", "Insufficient permissions")


@contextlib.contextmanager
def invalid_is_bad_request() -> Iterator[None]:
    """Turn `invalid` into 400 in the block, for operations that document no 422."""
    try:
        yield
    except ApiError as error:
        if error.code != _INVALID:
            raise
        raise ApiError(400, "BadRequest", error.message, error.data) from error


def compact(body: object) -> bytes:
    """Encode JSON without spaces, as the upload service does: the official bash sample relies on it."""
    return json.dumps(body, separators=(",", ":")).encode()


def encoded(body: object) -> bytes:
    """Encode JSON with a space after each colon and comma, as the API does."""
    return json.dumps(body).encode()


def json_answer(body: object, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """Return a JSON response."""
    return web.Response(
        status=status,
        body=encoded(body),
        content_type="application/json",
        headers=headers,
    )


def located(location: str, status: int, extra: dict[str, Any] | None = None) -> web.Response:
    """Return a response that names a resource in its body and Location header; `extra` replaces the body."""
    return json_answer(extra if extra is not None else {"location": location}, status, {"Location": location})


def reset_content(location: str) -> web.Response:
    """Return 205 with a Location header and no body."""
    return web.Response(status=205, headers={"Location": location})


def no_content() -> web.Response:
    """Return 204."""
    return web.Response(status=204)


def empty(status: int) -> web.Response:
    """Return a response without a body, as all errors of the upload service are."""
    return web.Response(status=status)
