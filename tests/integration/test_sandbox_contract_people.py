"""The institution, its accounts, and searches, checked against Figshare's OpenAPI description."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.contract import Checked
from tests.support.sandbox_api import Api, sandbox_api

pytestmark = pytest.mark.anyio

HOME = "/account/institution"
ACCOUNTS = f"{HOME}/accounts"
ACCOUNT = f"{ACCOUNTS}/{{account_id}}"
GROUP_FIELDS = "/account/groups/{group_id}/metadata/item"
READY: dict[str, Any] = {"description": "d", "categories": [24418], "keywords": ["k"]}


async def test_an_institution(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s", institution=True) as api:
        call = Checked(api)
        options = f"{HOME}/groups/{{group_id}}/embargo_options"
        for path in ("", "/groups", "/embargo_options", "/custom_fields", "/accounts"):
            await call("GET", HOME + path, HOME + path, 200)
        await call("GET", options, options.format(group_id=2101), 200)
        owner, member = await call("GET", ACCOUNTS, ACCOUNTS, 200)
        assert owner["user_id"] == (await call("GET", "/account", "/account", 200))["user_id"]
        fields = await call("GET", f"{HOME}/custom_fields", f"{HOME}/custom_fields?group_id=2102", 200)
        assert [one["name"] for one in fields if one["is_mandatory"]] == ["Shelfmark"]
        for wrong, status in (("group_id=x", 400), ("group_id=1", 403)):
            await call("GET", f"{HOME}/custom_fields", f"{HOME}/custom_fields?{wrong}", status)
        shown = await call("GET", GROUP_FIELDS, GROUP_FIELDS.format(group_id=2102), 200)
        assert [one["name"] for one in shown] == [one["name"] for one in fields]
        await call("GET", GROUP_FIELDS, GROUP_FIELDS.format(group_id=1), 404)
        new = {"email": "ann@example.org", "first_name": "Ann", "last_name": "Bee", "quota": 1000, "group_id": 2101}
        number = (await call("POST", ACCOUNTS, ACCOUNTS, 201, new))["account_id"]
        one = f"{ACCOUNTS}/{number}"
        assert (await call("GET", ACCOUNT, one, 200))["quota"] == 1000
        await call("PUT", ACCOUNT, one, 205, {"group_id": 2102, "is_active": False})
        seen = await call("GET", ACCOUNT, one, 200)
        assert (seen["group_id"], seen["active"]) == (2102, False)
        for query, ids in (
            ("is_active=0", [number]), ("email=ANN@example.org", [number]), (f"id_gte={number}", [number]),
            (f"id_lte={member['id']}", [owner["id"], member["id"]]), ("institution_user_id=member", [member["id"]]),
            ("limit=1&offset=1", [member["id"]]),
        ):  # fmt: skip
            assert [found["id"] for found in await call("GET", ACCOUNTS, f"{ACCOUNTS}?{query}", 200)] == ids
        search = f"{ACCOUNTS}/search"
        assert [found["id"] for found in await call("POST", search, search, 200, {"search_for": "bee"})] == [number]
        assert len(await call("POST", search, search, 200, {"is_active": 1, "page": 1, "page_size": 10})) == 2
        for query in ("is_active=yes", "id_gte=-1"):
            await call("GET", ACCOUNTS, f"{ACCOUNTS}?{query}", 400)
        for body in (new, {"email": "x@example.org"}, {**new, "email": "y@example.org", "group_id": 1}, {"email": "a"}):
            await call("POST", ACCOUNTS, ACCOUNTS, 400, body)
        await call("PUT", ACCOUNT, one, 400, {"group_id": 2102})
        await call("GET", ACCOUNT, f"{ACCOUNTS}/1", 404)
        theirs, mine = (
            await api.item("Theirs", impersonate=member["id"]),
            await api.item("Mine", defined_type="software"),
        )
        ids = [int(item.rpartition("/")[2]) for item in (mine, theirs)]
        everything = f"{HOME}/articles"
        assert [one["id"] for one in await call("GET", everything, everything, 200)] == ids
        assert [one["id"] for one in await call("GET", everything, f"{everything}?item_type=9", 200)] == ids[:1]
        await call("GET", everything, f"{everything}?order=created_date", 400)
        await call("GET", everything, f"{everything}?limit=0", 400)
        await call("PUT", ACCOUNT, f"{ACCOUNTS}/1", 404, {"group_id": 2102, "is_active": False})


async def test_only_the_owner_administers(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        call = Checked(api)
        for path in ("", "/groups", "/embargo_options", "/custom_fields", "/accounts", "/articles"):
            await call("GET", HOME + path, HOME + path, 403)
        await call("GET", GROUP_FIELDS, GROUP_FIELDS.format(group_id=2101), 403)
        await call("POST", ACCOUNTS, ACCOUNTS, 403, {"email": "x@example.org", "last_name": "X"})


async def published(api: Api, title: str, **fields: Any) -> int:
    item = await api.item(title, **READY, **fields)
    assert (await api.call("POST", f"{item}/publish"))[0] == 201
    return int(item.rpartition("/")[2])


async def test_own_items_are_found(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        call = Checked(api)
        search = "/account/articles/search"
        first, second = [
            int((await api.item(title, defined_type=kind, tags=[title])).rpartition("/")[2])
            for title, kind in (("Beavers", "dataset"), ("Otters", "software"))
        ]
        for body, ids in (
            ({}, [second, first]), ({"search_for": ":title: beavers"}, [first]), ({"item_type": 9}, [second]),
            ({"order": "created_date", "order_direction": "asc", "limit": 1}, [first]),
            ({"published_since": "2000-01-01"}, []), ({"modified_since": "2000-01-01T00:00:00Z"}, [second, first]),
        ):  # fmt: skip
            assert [one["id"] for one in await call("POST", search, search, 200, body)] == ids, body
        assert len(await call("POST", search, f"{search}?page=2&page_size=1", 200, {})) == 1
        for wrong in ({"search_for": "be"}, {"order": "size"}, {"modified_since": "soon"}, {"item_type": "x"}):
            await call("POST", search, search, 400, wrong)


async def test_published_items_are_found(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        call = Checked(api)
        search, listing = "/articles/search", "/articles"
        first = await published(api, "Beavers", authors=[{"name": "Ann Bee"}])
        api.clock.ahead = 10
        second = await published(api, "Otters", defined_type="software")
        await api.item("A draft of beavers")
        for query, ids in (
            ("", [second, first]), ("?item_type=3", [first]),
            ("?order=published_date&order_direction=asc", [first, second]),
            ("?published_since=2000-01-01&limit=1", [second]), ("?published_since=2999-01-01", []),
        ):  # fmt: skip
            found = await call("GET", listing, listing + query, 200, strangers=True)
            assert [one["id"] for one in found] == ids, query
            assert all("project_id" not in one for one in found)
        found = await call("POST", search, search, 200, {"search_for": ":author: Bee"}, strangers=True)
        assert [one["id"] for one in found] == [first]
        assert found[0]["doi"].endswith(".v1")
        by_doi = await call("POST", search, search, 200, {"doi": found[0]["doi"]}, strangers=True)
        assert [one["id"] for one in by_doi] == [first]
        await call("GET", listing, f"{listing}?order=size", 400, strangers=True)
        await call("GET", listing, f"{listing}?page=0", 422, strangers=True)
        await call("GET", listing, f"{listing}?item_type=x", 422, strangers=True)
