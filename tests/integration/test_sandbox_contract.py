"""Every response of every operation of the sandbox, checked against Figshare's OpenAPI description."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.openapi import operations
from tests.support.contract import Checked
from tests.support.sandbox_api import sandbox_api
from uploader.sandbox.server import API

pytestmark = pytest.mark.anyio

ITEMS = "/account/articles"
ITEM = f"{ITEMS}/{{article_id}}"
FILES = f"{ITEM}/files"
FILE = f"{FILES}/{{file_id}}"


FULL_ITEM = {
    "title": "Everything", "description": "d", "tags": ["a"], "references": ["https://example.org"],
    "related_materials": [{"identifier": "10.1/x", "identifier_type": "DOI", "relation": "IsSupplementTo"}],
    "categories": [24418], "authors": [{"name": "Ann Bee"}],
    "defined_type": "dataset", "funding": "f", "funding_list": [{"title": "g"}, {"id": 3000001}], "license": 1,
    "resource_doi": "10.1/x", "resource_title": "t", "timeline": {"firstOnline": "2020-01-01"},
}  # fmt: skip


async def test_items(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        call = Checked(api)
        for body in ({"title": "Only a title"}, FULL_ITEM):
            made = await call("POST", ITEMS, "/account/articles", 201, body)
            item = f"/account/articles/{made['entity_id']}"
            await call("GET", ITEM, item, 200)
            await call("PUT", ITEM, item, 205, {"title": "Another"})
            await call("PATCH", ITEM, item, 205, {"tags": ["b"]})
            await call("GET", ITEM, item, 200)
        await call("GET", ITEMS, "/account/articles", 200)
        await call("GET", ITEMS, "/account/articles?limit=1&page=1", 422)
        await call("POST", ITEMS, "/account/articles", 422, {"title": "x"})
        await call("POST", ITEMS, "/account/articles", 404, {"title": "abc", "categories": [1]})
        await call("PUT", ITEM, item, 422, {"title": "x"})
        await call("PATCH", ITEM, item, 422, {"title": "x"})
        await call("DELETE", ITEM, item, 204)
        for method in ("GET", "DELETE", "PUT", "PATCH"):
            await call(method, ITEM, item, 404, {"title": "abc"} if method.startswith("P") else None)


async def test_custom_fields(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s", institution=True) as api:
        call = Checked(api)
        body = {
            "title": "An item",
            "custom_fields_list": [{"name": "Site", "value": ["North"]}, {"name": "Contact", "value": "a@example.org"}],
        }
        made = await call("POST", ITEMS, "/account/articles", 201, body)
        item = f"/account/articles/{made['entity_id']}"
        await call("GET", ITEM, item, 200)
        await call("PUT", ITEM, item, 205, {"custom_fields": {"Recorded on": "2024-05-17"}})
        await call("GET", ITEM, item, 200)
        await call("POST", ITEMS, "/account/articles", 422, {"title": "abc", "custom_fields": {"k": "v"}})
        await call("PATCH", ITEM, item, 422, {"custom_fields": {"Site": "West"}})


async def test_files(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        call = Checked(api)
        item = await api.item()
        made = await call("POST", FILES, f"{item}/files", 201, {"name": "a.csv", "size": 4, "folder_path": "/a/b"})
        file = made["location"]
        await call("GET", FILE, file, 200)
        await call("POST", FILE, file, 400)
        await api.put(await api.upload_url(file), 1, b"0123")
        await call("POST", FILE, file, 202)
        await api.available(file)
        await call("GET", FILE, file, 200)
        await call("GET", FILES, f"{item}/files", 200)
        await call("GET", FILES, f"{item}/files?page_size=0", 422)
        await call("GET", ITEM, item, 200)
        await call("POST", FILES, f"{item}/files", 422, {"name": "a.csv"})
        await call("DELETE", FILE, file, 204)
        for method in ("GET", "POST", "DELETE"):
            await call(method, FILE, file, 404)
        linked = await call("POST", FILES, f"{item}/files", 201, {"link": "https://example.org/x"})
        await call("GET", FILE, linked["location"], 200)
        await call("GET", ITEM, item, 200)


async def test_account_and_lists(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        call = Checked(api)
        for path in ("/account", "/account/licenses", "/account/categories", "/token"):
            await call("GET", path, path, 200)
        for path in ("/licenses", "/categories", "/item_types"):
            assert len(await call("GET", path, path, 200, strangers=True)) > 3
        search = "/account/authors/search"
        [owner] = await call("POST", search, search, 200, {"search_for": "sandbox", "page": 1, "page_size": 5})
        await call("POST", search, search, 400, {"limit": 0})
        await call("GET", "/account/authors/{author_id}", f"/account/authors/{owner['id']}", 200)
        await call("GET", "/account/authors/{author_id}", "/account/authors/1", 404)
        search = "/account/funding/search"
        assert [one["id"] for one in await call("POST", search, search, 200, {"search_for": "SBX-101"})] == [3000001]
        assert len(await call("POST", search, search, 200, {})) == 3
        await call("POST", search, search, 400, {"search_for": 1})
        for template in ("/account", ITEMS, ITEM, FILES, FILE):
            path = template.format(article_id=1, file_id=1)
            await call("GET", template, path, 403, strangers=True)
    async with sandbox_api(tmp_path / "s", auth_status=401) as api:
        await Checked(api)("GET", "/account", "/account", 401, strangers=True)


def test_every_operation_is_documented() -> None:
    """No path and no method is invented, except those outside the API."""
    served = {
        (route.method, re.sub(r"\{\w+(:[^{}]*(\{[^{}]*\})?[^{}]*)?\}", "{}", route.path.removeprefix("/v2")))
        for group in API
        for route in group.routes()
        if route.path.startswith("/v2")
    }
    undocumented = {("GET", "/account/articles/{}/versions/{}")}  # clients of the real service use it
    assert served - operations() == undocumented
    assert operations() - served == set(), "those that are not served respond 501"
    assert len(served) > 100
