"""An item's parts and its published versions, checked against Figshare's OpenAPI description."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.contract import Checked
from tests.support.sandbox_api import Api, sandbox_api

pytestmark = pytest.mark.anyio

ITEM = "/account/articles/{article_id}"
PUBLIC = "/articles/{article_id}"
VERSION = f"{PUBLIC}/versions/{{version_id}}"
READY: dict[str, Any] = {"description": "d", "categories": [24418], "keywords": ["k"]}


async def publishable(api: Api) -> tuple[str, int]:
    """An item that can be published, with a file; its path and the file's id."""
    item = await api.item("An item", **READY)
    file = await api.send(item, b"0123", "a.csv", folder_path="x")
    return item, (await api.available(file))["id"]


async def test_authors(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        call, item = Checked(api), await api.item()
        template, path = f"{ITEM}/authors", f"{item}/authors"
        await call("POST", template, path, 205, {"authors": [{"name": "Ann Bee"}]})
        owner, ann = await call("GET", template, path, 200)
        await call("PUT", template, path, 205, {"authors": [{"id": ann["id"]}, {"first_name": "C", "last_name": "D"}]})
        assert [one["full_name"] for one in await call("GET", template, path, 200)] == ["Ann Bee", "C D"]
        await call("DELETE", f"{template}/{{author_id}}", f"{path}/{ann['id']}", 204)
        await call("DELETE", f"{template}/{{author_id}}", f"{path}/{ann['id']}", 404)
        for body in ({}, {"authors": [{"id": 1}]}, {"authors": "x"}):
            await call("PUT", template, path, 400, body)
            await call("POST", template, path, 400, body)
        assert [one["full_name"] for one in (await api.get(item))["authors"]] == ["C D"]
        assert owner["full_name"] == "Sandbox Owner"
        for method in ("GET", "PUT", "POST"):
            some: Any = None if method == "GET" else {"authors": []}
            await call(method, template, "/account/articles/1/authors", 404, some)
            await call(method, template, path, 403, some, strangers=True)


async def test_categories(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        call, item = Checked(api), await api.item()
        template, path = f"{ITEM}/categories", f"{item}/categories"
        await call("POST", template, path, 205, {"categories": [24418]})
        await call("POST", template, path, 205, {"categories": [24421, 24418]})
        assert [one["id"] for one in await call("GET", template, path, 200)] == [24418, 24421]
        await call("PUT", template, path, 205, {"categories": [28930]})
        await call("PUT", template, path, 404, {"categories": [1]})
        await call("POST", template, path, 400, {"categories": ["x"]})
        await call("PUT", template, path, 400, {})
        assert [one["id"] for one in await call("GET", template, path, 200)] == [28930]
        await call("DELETE", f"{template}/{{category_id}}", f"{path}/28930", 204)
        await call("DELETE", f"{template}/{{category_id}}", f"{path}/28930", 404)
        await call("GET", template, "/account/articles/1/categories", 404)


async def test_private_links(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        call, item = Checked(api), await api.item()
        template, path = f"{ITEM}/private_links", f"{item}/private_links"
        one = f"{template}/{{link_id}}"
        assert await call("GET", template, path, 200) == []
        first = await call("POST", template, path, 201)
        second = await call("POST", template, path, 201, {"expires_date": "2099-02-22 22:22:22"})
        [link] = await call("GET", template, path, 200)
        assert (link["expires_date"], link["is_active"]) == ("2099-02-22T22:22:22", True)
        assert second["location"].endswith(f"{item}/private_links/{link['id']}")
        assert first["token"] != second["token"]
        assert second["html_location"].endswith(f"/s/{second['token']}")
        await call("PUT", one, second["location"], 205, {"expires_date": "2001-01-01"})
        assert [link["is_active"] for link in await call("GET", template, path, 200)] == [False]
        await call("PUT", one, second["location"], 422, {"expires_date": "soon"})
        await call("POST", template, path, 422, {"expires_date": 1})
        await call("PUT", one, first["location"], 404, {})
        await call("DELETE", one, second["location"], 204)
        await call("DELETE", one, second["location"], 404)
        await call("POST", template, "/account/articles/1/private_links", 404)


async def test_embargo(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s", institution=True) as api:
        call, item = Checked(api), await api.item()
        template, path = f"{ITEM}/embargo", f"{item}/embargo"
        assert (await call("GET", template, path, 200))["is_embargoed"] is False
        wanted = {"is_embargoed": True, "embargo_date": "2099-05-22T04:04:04", "embargo_type": "file"}
        options = [{"id": 2201, "group_ids": [2101]}, {"id": 2202}]
        await call("PUT", template, path, 205, {**wanted, "embargo_reason": "why", "embargo_options": options})
        seen = await call("GET", template, path, 200)
        assert (seen["embargo_date"], seen["embargo_reason"]) == ("2099-05-22T04:04:04", "why")
        assert [(one["type"], one["group_ids"]) for one in seen["embargo_options"]] == [
            ("logged_in", [2101]), ("ip_range", []),
        ]  # fmt: skip
        assert (await call("GET", ITEM, item, 200))["embargo_type"] == "file"
        wrongs: tuple[dict[str, Any], ...] = (
            {"embargo_date": "soon"}, {"embargo_type": "all"}, {"is_embargoed": 1}, {"embargo_options": [{"id": 1}]},
            {"embargo_options": [{"id": 2203}, {"id": 2201}]}, {"embargo_options": {}},
        )  # fmt: skip
        for wrong in wrongs:
            await call("PUT", template, path, 400, {**wanted, **wrong})
        await call("PUT", template, path, 400, {"is_embargoed": True})
        await call("PUT", template, path, 205, {**wanted, "embargo_date": "0"})
        assert (await call("GET", template, path, 200))["embargo_date"] is None
        await call("DELETE", template, path, 204)
        assert (await call("GET", template, path, 200))["is_embargoed"] is False
        await call("GET", template, "/account/articles/1/embargo", 404)
        await call("PUT", template, "/account/articles/1/embargo", 404, wanted)


async def test_publication(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        call = Checked(api)
        item, file_id = await publishable(api)
        public = item.removeprefix("/account")
        await call("GET", PUBLIC, public, 404, strangers=True)
        doi = await call("POST", f"{ITEM}/reserve_doi", f"{item}/reserve_doi", 200)
        thumb = f"{ITEM}/versions/{{version_id}}/update_thumb"
        await call("PUT", thumb, f"{item}/versions/1/update_thumb", 404, {"file_id": file_id})
        await call("POST", f"{ITEM}/publish", f"{item}/publish", 201)
        await call("PUT", thumb, f"{item}/versions/1/update_thumb", 205, {"file_id": file_id})
        for wrong in ({}, {"file_id": "1"}, {"file_id": 1}):
            await call("PUT", thumb, f"{item}/versions/1/update_thumb", 422, wrong)
        whole = await call("GET", PUBLIC, public, 200, strangers=True)
        assert whole["doi"] == f"{doi['doi']}.v1"
        await call("GET", VERSION, f"{public}/versions/1", 200, strangers=True)
        await call("GET", VERSION, f"{public}/versions/2", 404, strangers=True)
        await call("GET", f"{PUBLIC}/versions", f"{public}/versions", 200, strangers=True)
        await call("GET", f"{VERSION}/embargo", f"{public}/versions/1/embargo", 200, strangers=True)
        for template, path in (
            (f"{PUBLIC}/files", f"{public}/files"),
            (f"{VERSION}/files", f"{public}/versions/1/files"),
        ):
            [file] = await call("GET", template, path, 200, strangers=True)
            assert file["id"] == file_id
        await call("GET", f"{PUBLIC}/files/{{file_id}}", f"{public}/files/{file_id}", 200, strangers=True)
        await call("GET", f"{PUBLIC}/files/{{file_id}}", f"{public}/files/1", 404, strangers=True)
        await call("GET", ITEM, item, 200)
        await call("DELETE", ITEM, item, 403)
        for path in ("/versions", "/files", "/versions/1/files", "/versions/1/embargo"):
            template = path.replace("1", "{version_id}")
            await call("GET", PUBLIC + template, f"/articles/1{path}", 404, strangers=True)
        for path in ("publish", "reserve_doi"):
            await call("POST", f"{ITEM}/{path}", f"/account/articles/1/{path}", 404)
            await call("POST", f"{ITEM}/{path}", f"{item}/{path}", 403, strangers=True)


async def test_a_whole_embargo_and_a_linked_file(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        call = Checked(api)
        item = await api.item("Elsewhere", **READY)
        await call("POST", f"{ITEM}/files", f"{item}/files", 201, {"link": "https://example.org/x"})
        await call("POST", f"{ITEM}/publish", f"{item}/publish", 201)
        public = item.removeprefix("/account")
        [file] = await call("GET", f"{PUBLIC}/files", f"{public}/files", 200, strangers=True)
        assert (file["is_link_only"], file["download_url"]) == (True, "https://example.org/x")
        embargo = {"is_embargoed": True, "embargo_date": "0", "embargo_type": "file"}
        await call("PUT", f"{ITEM}/embargo", f"{item}/embargo", 205, embargo)
        whole = await call("GET", PUBLIC, public, 200, strangers=True)
        assert (whole["files"], whole["is_embargoed"], whole["has_linked_file"]) == (None, True, True)
