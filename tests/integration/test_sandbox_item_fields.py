"""The values of an item's fields: accepted, returned, stored."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.sandbox_api import sandbox_api

pytestmark = pytest.mark.anyio

REFUSED: list[dict[str, Any]] = [
    {"title": "ab"},
    {"title": "a" * 1001},
    {"title": 1},
    {"description": "d" * 20001},
    {"tags": "a"},
    {"keywords": [1]},
    {"references": ["10.1/x"]},
    {"references": "https://example.org"},
    {"categories": [True]},
    {"categories": "24418"},
    {"authors": ["Ann Bee"]},
    {"authors": [{}]},
    {"authors": [{"name": ["Ann"]}]},
    {"authors": [{"name": "Ann Bee", "email": "ann@example.org"}]},
    {"authors": [{"name": "Ann Bee", "orcid_id": "0000-0001"}]},
    {"custom_fields": ["k"]},
    {"custom_fields": {"k": 1}},
    {"custom_fields": {"Site": "North"}},
    {"custom_fields_list": [{"name": "k"}]},
    {"custom_fields_list": [{"name": "k", "value": [1]}]},
    {"defined_type": "dataste"},
    {"license": 99},
    {"license": "1"},
    {"license": 12},
    {"funding": "f" * 2001},
    {"funding_list": [{}]},
    {"funding_list": [{"id": 3000001, "title": "both"}]},
    {"related_materials": [{"title": "no identifier"}]},
    {"related_materials": [{"identifier": "10.1/x", "relation": "Loves"}]},
    {"related_materials": [{"identifier": "10.1/x", "identifier_type": "doi"}]},
    {"related_materials": [{"identifier": "10.1/x", "is_linkout": "yes"}]},
    {"timeline": "2020"},
    {"timeline": {"firstOnline": "yesterday"}},
    {"timeline": {"firstOnline": "2020-02-30"}},
    {"group_id": "1"},
    {"is_metadata_record": 1},
    {"download_disabled": "no"},
]


@pytest.mark.parametrize("fields", REFUSED, ids=lambda fields: json.dumps(fields)[:50])
async def test_rejected_values(tmp_path: Path, fields: dict[str, Any]) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        status, answer = await api.call("POST", "/account/articles", {"title": "An item", **fields})
        assert (status, answer["code"]) == (422, "UnprocessableEntity")
        assert answer["message"]
        item = await api.item()
        before = await api.get(item)
        assert (await api.call("PUT", item, fields))[0] == 422
        assert await api.get(item) == before


async def test_unknown_names(tmp_path: Path) -> None:
    unknown: list[tuple[int, dict[str, Any]]] = [
        (404, {"categories": [24418, 24397]}),
        (404, {"categories_by_source_id": ["310907", "3109"]}),
        (400, {"authors": [{"id": 1}]}),
        (400, {"funding_list": [{"id": 1}]}),
        (400, {"related_materials": [{"id": 1}]}),
        (403, {"group_id": 2101}),
    ]
    async with sandbox_api(tmp_path / "s") as api:
        for expected, fields in unknown:
            status, answer = await api.call("POST", "/account/articles", {"title": "An item", **fields})
            assert (status, bool(answer["message"])) == (expected, True)
        assert await api.get("/account/articles") == []
        status, answer = await api.call("POST", "/account/articles", {"title": "An item", "categories": [24397]})
        assert answer == {"message": "Not allowed to set category 24397", "code": "EntityNotFound"}


async def test_stored_fields(tmp_path: Path) -> None:
    fields = {
        "description": "<p>d</p>", "keywords": ["win"], "tags": ["lose"], "references": ["https://example.org/a?b"],
        "categories": [24421], "categories_by_source_id": ["310907"], "defined_type": "software", "license": 3,
        "funding": "f",
        "timeline": {"firstOnline": "2020-01-02", "posted": "no such field"}, "is_metadata_record": True,
        "metadata_reason": "elsewhere", "resource_title": "t", "resource_doi": "10.1/r",
    }  # fmt: skip
    async with sandbox_api(tmp_path / "s") as api:
        whole = await api.get(await api.item("An item", **fields))
        assert (whole["tags"], whole["keywords"]) == (["win"], ["win"])
        assert [category["id"] for category in whole["categories"]] == [24418]
        assert (whole["defined_type"], whole["defined_type_name"], whole["license"]["name"]) == (9, "software", "MIT")
        assert whole["timeline"] == {"firstOnline": "2020-01-02"}
        for name in ("description", "references", "funding", "is_metadata_record", "metadata_reason", "resource_doi"):
            assert whole[name] == fields[name]


async def test_related_materials_and_fundings_get_ids(tmp_path: Path) -> None:
    material = {"identifier": "10.1/x y", "identifier_type": "DOI", "relation": "IsSupplementTo", "title": "The paper"}
    async with sandbox_api(tmp_path / "s") as api:
        first = await api.item("First", related_materials=[material], funding_list=[{"title": "My grant"}])
        whole = await api.get(first)
        [stored] = whole["related_materials"]
        assert stored | {"id": 0} == {**material, "id": 0, "is_linkout": False, "link": "https://doi.org/10.1/x%20y"}
        [funding] = whole["funding_list"]
        assert (funding["title"], funding["is_user_defined"]) == ("My grant", 1)
        found = (await api.call("POST", "/account/funding/search", {"search_for": "MY G"}))[1]
        assert found == [funding]
        again = await api.get(
            await api.item("Second", related_materials=[{"id": stored["id"]}], funding_list=[{"id": funding["id"]}])
        )
        assert (again["related_materials"], again["funding_list"]) == ([stored], [funding])


async def test_one_orcid_is_one_author(tmp_path: Path) -> None:
    """An ORCID is one person, an id takes precedence over a name, and no one is listed twice."""
    named = {"name": "Ann Bee", "orcid_id": "https://orcid.org/0000-0002-1825-0097"}
    async with sandbox_api(tmp_path / "s") as api:
        item = await api.item("An item", authors=[named, {"first_name": "Cy", "last_name": "Dee"}])
        owner, ann, cy = (await api.get(item))["authors"]
        assert (ann["first_name"], ann["last_name"], ann["orcid_id"]) == ("Ann", "Bee", "0000-0002-1825-0097")
        assert (owner["id"], owner["is_active"], cy["is_active"]) == (
            (await api.get("/account"))["user_id"],
            True,
            False,
        )
        other = {"name": "A. Bee", "orcid_id": "0000-0002-1825-0097"}
        await api.call("PUT", item, {"authors": [{"id": cy["id"], "name": "ignored"}, other, {"id": cy["id"]}]})
        assert (await api.get(item))["authors"] == [cy, ann]
        search = "/account/authors/search"
        assert [one["id"] for one in (await api.call("POST", search, {"search_for": "bee"}))[1]] == [ann["id"]]
        by_orcid = (await api.call("POST", search, {"orcid": "0000-0002-1825-0097"}))[1]
        assert [one["id"] for one in by_orcid] == [ann["id"]]
        assert len((await api.call("POST", search, {"limit": 2, "offset": 1}))[1]) == 2
        assert (await api.call("POST", search, {"search_for": "be"}))[0] == 400
        assert (await api.get(f"/account/authors/{ann['id']}"))["full_name"] == "Ann Bee"
        assert (await api.call("GET", "/account/authors/1"))[0] == 404


async def test_a_put_may_wipe(tmp_path: Path) -> None:
    """It is unknown what the real service does with unnamed fields."""
    fields: dict[str, Any] = {
        "description": "d",
        "tags": ["k"],
        "categories": [24418],
        "authors": [{"name": "Ann Bee"}],
    }
    async with sandbox_api(tmp_path / "s", put="wipe") as api:
        item = await api.item("An item", **fields)
        before = await api.get(item)
        await api.call("PATCH", item, {"tags": ["l"]})
        assert [(await api.get(item))[name] for name in ("description", "tags")] == ["d", ["l"]]
        await api.call("PUT", item, {"description": "e"})
        after = await api.get(item)
        assert [after[name] for name in ("title", "description", "tags", "categories")] == ["An item", "e", [], []]
        assert after["authors"] == before["authors"]
