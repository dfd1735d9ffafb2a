"""The requests of clients generated from Figshare's description: a bearer token, and every default written out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.openapi import default_body, validate_response
from tests.support.sandbox_api import TOKEN, Api, sandbox_api

pytestmark = pytest.mark.anyio

HEADERS = {
    "Authorization": f"Bearer {TOKEN}",
    "Accept": "application/json",
    "Content-Type": "application/json",
    "User-Agent": "Swagger-Codegen/1.0.0/python",
}
ITEM = "/account/articles/{article_id}"
REQUIRED: dict[str, Any] = {"title": "Made by a generated client"}


class Client:
    """Calls operations by their path in the description, as the methods of a generated client do."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def __call__(self, method: str, path: str, expected: int, body: Any = None, **ids: Any) -> Any:
        status, answer = await self._api.call(method, path.format(**ids), body, headers=HEADERS)
        assert status == expected, (method, path, body, answer)
        validate_response(method, path, status, answer)
        return answer

    async def create(self, path: str, **ids: Any) -> Any:
        """Create an object with only the required fields set."""
        return await self("POST", path, 201, default_body("POST", path) | REQUIRED, **ids)


async def test_defaults_are_taken(tmp_path: Path) -> None:
    """In particular `license: 0`, empty strings, and the paging and order of searches."""
    async with sandbox_api(tmp_path / "s") as api:
        client = Client(api)
        body = default_body("POST", "/account/articles")
        assert (body["license"], body["doi"], body["funding"]) == (0, "", "")
        item = (await client.create("/account/articles"))["entity_id"]
        project = (await client.create("/account/projects"))["entity_id"]
        collection = (await client.create("/account/collections"))["entity_id"]
        await client.create("/account/projects/{project_id}/articles", project_id=project)
        shown = await client("GET", ITEM, 200, article_id=item)
        assert (shown["license"]["value"], shown["title"]) == (1, REQUIRED["title"])
        for path, ids in (
            (ITEM, {"article_id": item}), ("/account/collections/{collection_id}", {"collection_id": collection}),
            ("/account/projects/{project_id}", {"project_id": project}),
        ):  # fmt: skip
            await client("PUT", path, 205, default_body("PUT", path) | {"title": "Renamed"}, **ids)
            assert (await client("GET", path, 200, **ids))["title"] == "Renamed"
        for path in ("/articles/search", "/collections/search", "/projects/search"):
            assert await client("POST", path, 200, default_body("POST", path)) == []
            own = f"/account{path}"
            assert len(await client("POST", own, 200, default_body("POST", own))) > 0
        for path in ("/account", "/account/articles", "/account/licenses", "/account/categories", "/token"):
            await client("GET", path, 200)


async def test_a_file_is_sent(tmp_path: Path) -> None:
    """Generated clients have no call for parts: their users send them with another library."""
    async with sandbox_api(tmp_path / "s") as api:
        client = Client(api)
        item = (await client.create("/account/articles"))["entity_id"]
        files, body = f"{ITEM}/files", {"name": "sent.bin", "size": 4, "md5": "eb62f6b9306db575c2d596b1279627a4"}
        location = (await client("POST", files, 201, default_body("POST", files) | body, article_id=item))["location"]
        ids = {"article_id": item, "file_id": int(location.rpartition("/")[2])}
        one = f"{files}/{{file_id}}"
        upload = (await client("GET", one, 200, **ids))["upload_url"]
        assert await api.put(upload, 1, b"0123") == 200
        status, _ = await api.call("POST", one.format(**ids), headers=HEADERS)
        assert status == 202
        assert (await api.available(location))["computed_md5"] == body["md5"]
        assert [row["id"] for row in await client("GET", files, 200, article_id=item)] == [ids["file_id"]]
        await client("DELETE", one, 204, **ids)
