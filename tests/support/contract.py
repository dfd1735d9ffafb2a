"""Calls of the sandbox, each checked against Figshare's OpenAPI description."""

from __future__ import annotations

from typing import Any

from tests.openapi import validate_request, validate_response
from tests.support.sandbox_api import Api


class Checked:
    """Calls the sandbox and checks request and response."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def __call__(
        self, method: str, template: str, path: str, expected: int, body: Any = None, *, strangers: bool = False
    ) -> Any:
        """The JSON of an answer with status `expected`. `template` is the path in the description; a body that must be
        refused need not match it. `strangers`: without a token.
        """
        if body is not None and expected < 400:
            validate_request(method, template, body)
        headers: dict[str, str] | None = {} if strangers else None
        status, answer = await self._api.call(method, path, body, headers=headers)
        assert status == expected, (method, path, answer)
        validate_response(method, template, status, answer)
        return answer
