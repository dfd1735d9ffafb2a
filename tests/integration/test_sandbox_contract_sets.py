"""Projects and collections, checked against Figshare's OpenAPI description."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.contract import Checked
from tests.support.sandbox_api import sandbox_api

pytestmark = pytest.mark.anyio

PROJECTS = "/account/projects"
PROJECT = f"{PROJECTS}/{{project_id}}"
INSIDE = f"{PROJECT}/articles/{{article_id}}"
COLLECTIONS = "/account/collections"
COLLECTION = f"{COLLECTIONS}/{{collection_id}}"
READY: dict[str, Any] = {"description": "d", "categories": [24418], "keywords": ["k"]}


async def test_projects(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s", institution=True) as api:
        call = Checked(api)
        fields = {
            "title": "A project", "description": "d", "funding": "f", "funding_list": [{"title": "g"}],
            "custom_fields_list": [{"name": "Site", "value": "North"}], "group_id": 2101,
        }  # fmt: skip
        made = await call("POST", PROJECTS, PROJECTS, 201, fields)
        project = f"{PROJECTS}/{made['entity_id']}"
        whole = await call("GET", PROJECT, project, 200)
        assert (whole["group_id"], whole["funding_list"][0]["title"], whole["role"]) == (2101, "g", "Owner")
        await call("PUT", PROJECT, project, 205, {"title": "Another title"})
        await call("PATCH", PROJECT, project, 205, {"description": "e"})
        whole = await call("GET", PROJECT, project, 200)
        assert (whole["title"], whole["description"], whole["funding"]) == ("Another title", "e", "f")
        second = (await call("POST", PROJECTS, PROJECTS, 201, {"title": "A second"}))["entity_id"]
        assert [one["id"] for one in await call("GET", PROJECTS, PROJECTS, 200)] == [second, made["entity_id"]]
        for query in ("order=size", "order_direction=up"):
            await call("GET", PROJECTS, f"{PROJECTS}?{query}", 400)
        for body in ({}, {"title": "x"}, {"title": "abc", "funding_list": [{"id": 1}]}):
            await call("POST", PROJECTS, PROJECTS, 400, body)
        await call("DELETE", PROJECT, f"{PROJECTS}/{second}", 204)
        for method in ("GET", "DELETE", "PUT", "PATCH"):
            change = {"title": "abc"} if method.startswith("P") else None
            await call(method, PROJECT, f"{PROJECTS}/{second}", 404, change)
        await call("POST", f"{PROJECT}/publish", f"{PROJECTS}/{second}/publish", 404)


async def test_projects_are_filtered_by_storage_and_role(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        await api.call("POST", "/account/projects", {"title": "Mine"})
        for query, found in (
            ("", 1), ("storage=individual", 1), ("storage=group", 0), ("roles=owner", 1), ("roles=viewer", 0),
            ("roles=collaborator,owner", 1), ("storage=group&roles=owner", 0),
        ):  # fmt: skip
            assert len(await api.get(f"/account/projects?{query}")) == found, query
        for wrong in ("storage=disk", "roles=x", "roles="):
            assert (await api.call("GET", f"/account/projects?{wrong}"))[0] == 400


async def test_items_in_a_project(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        call = Checked(api)
        number = (await call("POST", PROJECTS, PROJECTS, 201, {"title": "A project"}))["entity_id"]
        project, public = f"{PROJECTS}/{number}", f"/projects/{number}"
        await api.item("Outside")
        made = await call("POST", f"{PROJECT}/articles", f"{project}/articles", 201, {"title": "Inside", **READY})
        assert list(made) == ["location"]
        item_id = int(made["location"].rpartition("/")[2])
        item, inside = f"/account/articles/{item_id}", f"{project}/articles/{item_id}"
        assert [one["id"] for one in await call("GET", f"{PROJECT}/articles", f"{project}/articles", 200)] == [item_id]
        file = await api.send(item, b"0123")
        await api.available(file)
        [shown] = await call("GET", f"{INSIDE}/files", f"{inside}/files", 200)
        await call("GET", f"{INSIDE}/files/{{file_id}}", f"{inside}/files/{shown['id']}", 200)
        await call("GET", f"{INSIDE}/files/{{file_id}}", f"{inside}/files/1", 404)
        assert (await call("GET", INSIDE, inside, 200))["size"] == 4
        assert (await call("GET", PROJECT, project, 200))["used_quota_private"] == 4
        await call("POST", f"{PROJECT}/publish", f"{project}/publish", 400)
        await call("GET", "/projects/{project_id}", public, 404, strangers=True)
        await api.call("POST", f"{item}/publish")
        await call("POST", f"{PROJECT}/publish", f"{project}/publish", 200)
        await call("GET", "/projects/{project_id}", public, 200, strangers=True)
        [row] = await call("GET", "/projects/{project_id}/articles", f"{public}/articles", 200, strangers=True)
        assert row["id"] == item_id
        assert len(await call("GET", "/projects", "/projects", 200, strangers=True)) == 1
        await call("DELETE", PROJECT, project, 403)
        await call("DELETE", INSIDE, inside, 403)
        await call("GET", INSIDE, f"{project}/articles/1", 404)
        await call("POST", f"{PROJECT}/articles", f"{PROJECTS}/1/articles", 404, {"title": "Nowhere"})


async def test_items_survive_their_deleted_project(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        call = Checked(api)
        project = f"{PROJECTS}/{(await api.call('POST', PROJECTS, {'title': 'A project'}))[1]['entity_id']}"
        first, second = [
            (await api.call("POST", f"{project}/articles", {"title": title}))[1]["location"].rpartition("/")[2]
            for title in ("Stays", "Goes")
        ]
        await call("DELETE", INSIDE, f"{project}/articles/{second}", 204)
        await call("DELETE", PROJECT, project, 204)
        assert [one["id"] for one in await api.get("/account/articles")] == [int(first)]


async def test_collections(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        call = Checked(api)
        fields = {
            "title": "A collection", "description": "d", "tags": ["a"], "categories": [24418],
            "references": ["https://example.org"], "funding_list": [{"title": "g"}], "authors": [{"name": "Ann Bee"}],
            "related_materials": [{"identifier": "10.1/x", "identifier_type": "DOI"}],
            "custom_fields": {"k": "v"}, "timeline": {"firstOnline": "2020-01-01"}, "resource_version": 2,
        }  # fmt: skip
        made = await call("POST", COLLECTIONS, COLLECTIONS, 201, fields)
        collection = f"{COLLECTIONS}/{made['entity_id']}"
        whole = await call("GET", COLLECTION, collection, 200)
        assert ([one["full_name"] for one in whole["authors"]], whole["public"]) == (["Ann Bee"], False)
        await call("PUT", COLLECTION, collection, 205, {"title": "Another title"})
        await call("PATCH", COLLECTION, collection, 205, {"keywords": ["b"]})
        [row] = await call("GET", COLLECTIONS, COLLECTIONS, 200)
        assert row["title"] == "Another title"
        for body in ({}, {"title": "x"}, {"title": "abc", "articles": ["x"]}):
            await call("POST", COLLECTIONS, COLLECTIONS, 400, body)
        await call("GET", COLLECTIONS, f"{COLLECTIONS}?order=size", 400)
        await call("DELETE", COLLECTION, collection, 204)
        for method in ("GET", "DELETE", "PUT", "PATCH"):
            await call(method, COLLECTION, collection, 404, {"title": "abc"} if method.startswith("P") else None)


async def test_items_in_a_collection(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        call = Checked(api)
        items = [int((await api.item(f"Item {number}")).rpartition("/")[2]) for number in range(11)]
        made = await call("POST", COLLECTIONS, COLLECTIONS, 201, {"title": "All", "articles": items[:1]})
        collection = f"{COLLECTIONS}/{made['entity_id']}"
        template, path = f"{COLLECTION}/articles", f"{collection}/articles"
        await call("POST", template, path, 201, {"articles": items[1:3]})
        await call("POST", template, path, 201, {"articles": items[1:2]})
        assert [one["id"] for one in await call("GET", template, path, 200)] == [items[2], items[1], items[0]]
        assert (await call("GET", COLLECTION, collection, 200))["articles_count"] == 3
        await call("PUT", template, path, 205, {"articles": items[3:5]})
        await call("PUT", template, path, 404, {"articles": [1]})
        await call("POST", template, path, 400, {"articles": items})
        await call("POST", template, path, 400, {})
        await call("DELETE", f"{template}/{{article_id}}", f"{path}/{items[3]}", 204)
        await call("DELETE", f"{template}/{{article_id}}", f"{path}/{items[3]}", 404)
        assert [one["id"] for one in await call("GET", template, path, 200)] == [items[4]]
        await call("POST", template, f"{COLLECTIONS}/1/articles", 404, {"articles": items[:1]})


async def test_authors_categories_and_links_of_a_collection(tmp_path: Path) -> None:
    """Additions are answered 201 here, and 205 for items."""
    async with sandbox_api(tmp_path / "s") as api:
        call = Checked(api)
        collection = f"{COLLECTIONS}/{(await api.call('POST', COLLECTIONS, {'title': 'All'}))[1]['entity_id']}"
        await call("POST", f"{COLLECTION}/authors", f"{collection}/authors", 201, {"authors": [{"name": "Ann Bee"}]})
        await call("PUT", f"{COLLECTION}/authors", f"{collection}/authors", 205, {"authors": [{"name": "Cy Dee"}]})
        [author] = await call("GET", f"{COLLECTION}/authors", f"{collection}/authors", 200)
        await call("DELETE", f"{COLLECTION}/authors/{{author_id}}", f"{collection}/authors/{author['id']}", 204)
        await call("POST", f"{COLLECTION}/categories", f"{collection}/categories", 201, {"categories": [24418]})
        await call("PUT", f"{COLLECTION}/categories", f"{collection}/categories", 205, {"categories": [24421]})
        [category] = await call("GET", f"{COLLECTION}/categories", f"{collection}/categories", 200)
        template = f"{COLLECTION}/categories/{{category_id}}"
        await call("DELETE", template, f"{collection}/categories/{category['id']}", 204)
        template, path = f"{COLLECTION}/private_links", f"{collection}/private_links"
        link = await call("POST", template, path, 201, {"expires_date": "2099-01-01 00:00:00"})
        await call("GET", template, path, 200)
        await call("GET", f"{template}/{{link_id}}", link["location"], 200)
        await call("PUT", f"{template}/{{link_id}}", link["location"], 205, {})
        await call("DELETE", f"{template}/{{link_id}}", link["location"], 204)
        await call("GET", f"{template}/{{link_id}}", link["location"], 404)


async def test_a_published_collection(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        call = Checked(api)
        ready, draft = await api.item("Ready", **READY), await api.item("Draft")
        await api.call("POST", f"{ready}/publish")
        ids = [int(item.rpartition("/")[2]) for item in (ready, draft)]
        number = (await api.call("POST", COLLECTIONS, {"title": "All", "articles": ids}))[1]["entity_id"]
        collection, public = f"{COLLECTIONS}/{number}", f"/collections/{number}"
        template = "/collections/{collection_id}"
        answer = await call("POST", f"{COLLECTION}/publish", f"{collection}/publish", 428)
        assert answer == {
            "message": "Collection has no associated authors", "code": "MissingMandatoryFieldException", "data": {}
        }  # fmt: skip
        await call("GET", template, public, 404, strangers=True)
        await api.call("POST", f"{collection}/authors", {"authors": [{"name": "Ann Bee"}]})
        doi = (await call("POST", f"{COLLECTION}/reserve_doi", f"{collection}/reserve_doi", 200))["doi"]
        await call("POST", f"{COLLECTION}/publish", f"{collection}/publish", 201)
        first = await call("GET", template, public, 200, strangers=True)
        assert (first["doi"], first["version"], first["articles_count"]) == (f"{doi}.v1", 1, 2)
        await api.call("PATCH", collection, {"title": "Another title", "articles": []})
        assert await call("GET", template, public, 200, strangers=True) == first
        [row] = await call("GET", f"{template}/articles", f"{public}/articles", 200, strangers=True)
        assert row["id"] == ids[0], "what is not public itself is not shown"
        await call("POST", f"{COLLECTION}/publish", f"{collection}/publish", 201)
        assert (await call("GET", template, public, 200, strangers=True))["title"] == "Another title"
        assert len(await call("GET", f"{template}/versions", f"{public}/versions", 200, strangers=True)) == 2
        one = f"{template}/versions/{{version_id}}"
        assert (await call("GET", one, f"{public}/versions/1", 200, strangers=True))["title"] == "All"
        await call("GET", one, f"{public}/versions/3", 404, strangers=True)
        assert len(await call("GET", "/collections", "/collections", 200, strangers=True)) == 1
        await call("DELETE", COLLECTION, collection, 403)
