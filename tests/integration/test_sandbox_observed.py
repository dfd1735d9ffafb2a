"""Undocumented behavior of the real service that was observed, and that the sandbox copies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.sandbox_api import AUTH, Api, sandbox_api

pytestmark = pytest.mark.anyio

READY: dict[str, Any] = {"description": "d", "categories": [24418], "keywords": ["k"]}
HOME = "/account/institution"


async def publish(api: Api, item: str) -> int:
    """Publish an item and return its number."""
    status, answer = await api.call("POST", f"{item}/publish")
    assert status == 201, answer
    return int(item.rpartition("/")[2])


async def member_of(api: Api) -> int:
    owner = (await api.get("/account"))["id"]
    number: int = next(one["id"] for one in await api.get(f"{HOME}/accounts") if one["id"] != owner)
    return number


async def found(api: Api, path: str, body: dict[str, Any] | None = None) -> list[str]:
    """The titles that a listing (without a body) or a search finds."""
    status, rows = await api.call("GET" if body is None else "POST", path, body)
    assert status == 200, rows
    return [row["title"] for row in rows]


async def test_an_item_read_through_its_project_has_that_url(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        project = (await api.call("POST", "/account/projects", {"title": "A project"}))[1]["location"]
        location = (await api.call("POST", f"{project}/articles", {"title": "Inside"}))[1]["location"]
        direct = f"{api.at.url}/account/articles/{location.rpartition('/')[2]}"
        for shown in (await api.get(location), (await api.get(f"{project}/articles"))[0]):
            assert (shown["url"], shown["url_private_api"]) == (location, direct)
        assert (await api.get(direct))["url"] == direct


async def test_an_item_is_found_by_any_of_its_dois(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        item = await api.item("Twice published", **READY)
        await api.item("Another")
        number = await publish(api, item)
        await publish(api, item)
        doi = (await api.get(f"/articles/{number}"))["doi"]
        assert doi.endswith(".v2")
        base = doi.removesuffix(".v2")
        for one in (base, f"{base}.v1", doi, base.upper()):
            for search in ({"doi": one}, {"search_for": f":doi: {one}"}):
                assert await found(api, "/articles/search", search) == ["Twice published"], search
                assert await found(api, "/account/articles/search", search) == ["Twice published"], search
            assert await found(api, f"/articles?doi={one}") == ["Twice published"]
        for one in (f"{base}.v3", base[:-1], f"{base}.v1.v1"):
            assert await found(api, f"/articles?doi={one}") == []
            assert await found(api, "/articles/search", {"search_for": f":doi: {one}"}) == []


async def test_searches_look_into_custom_fields_and_files(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s", institution=True) as api:
        item = await api.item("With fields", custom_fields={"Site": ["Loch Ness"], "Contact": "a@example.org"}, **READY)
        await api.available(await api.send(item, b"0123", "traj.MDP"))
        await api.item("Without")
        search = "/account/articles/search"
        for words in ('"loch ness"', "example.org", ":extension: mdp", ":institution: sandbox AND ness"):
            assert await found(api, search, {"search_for": words}) == ["With fields"], words
        for words in (":extension: md", ":extension: traj", "mdp", ":institution: sand", ":title: ness"):
            assert await found(api, search, {"search_for": words}) == [], words
        await publish(api, item)
        assert await found(api, "/articles/search", {"search_for": ":extension: mdp AND :title: 'with fields'"})


async def test_searches_by_the_time_of_publication(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        await publish(api, await api.item("Old", **READY))
        api.clock.ahead += 10 * 365 * 86400
        await publish(api, await api.item("New", **READY))
        await api.item("Never")
        middle = (await api.get("/articles?order_direction=asc"))[0]["published_date"][:4]
        limit = f"{int(middle) + 5}-06-01"
        for path in ("/articles/search", "/account/articles/search"):
            assert await found(api, path, {"search_for": f":published_before: {limit}"}) == ["Old"]
            assert await found(api, path, {"search_for": f":published_after: {limit}T00:00:00Z"}) == ["New"]
            assert await found(api, path, {"search_for": ":published_after: soon"}) == []


async def test_publishing_without_a_category(tmp_path: Path) -> None:
    bare = {**READY, "categories": []}
    for switch, expected in (("refuse", 400), ("accept", 201)):
        async with sandbox_api(tmp_path / switch, uncategorized=switch) as api:
            status, answer = await api.call("POST", f"{await api.item(**bare)}/publish")
            assert status == expected, answer
            status, answer = await api.call("POST", f"{await api.item(description='d')}/publish")
            wanted = "categories" if switch == "refuse" else "keywords"
            assert (status, answer["message"]) == (400, f"Missing mandatory field for publication - {wanted}")


async def test_an_administrator_reads_the_items_of_others_and_changes_none(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s", institution=True) as api:
        member = await member_of(api)
        item = await api.item("Theirs", impersonate=member)
        shown = await api.get(item)
        assert (shown["title"], shown["account_id"]) == ("Theirs", member)
        for method, path in (("PUT", item), ("DELETE", item), ("POST", f"{item}/publish"), ("GET", f"{item}/files")):
            assert (await api.call(method, path, {"title": "Mine"} if method == "PUT" else None))[0] == 404
        mine = await api.item("Mine")
        assert (await api.call("GET", f"{mine}?impersonate={member}"))[0] == 404


async def test_accounts_and_items_of_an_institution_have_a_group(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        assert (await api.get("/account"))["group_id"] == 0
        assert (await api.get(await api.item()))["group_id"] is None
    async with sandbox_api(tmp_path / "s", institution=True, put="wipe") as api:
        top = next(one["id"] for one in await api.get(f"{HOME}/groups") if one["parent_id"] == 0)
        assert (await api.get("/account"))["group_id"] == top
        member = await member_of(api)
        account = f"{HOME}/accounts/{member}"
        assert (await api.get(account))["group_id"] == top
        assert (await api.call("PUT", account, {"group_id": 2101, "is_active": True}))[0] == 205
        project = (await api.call("POST", "/account/projects", {"title": "A project", "group_id": 2102}))[1]["location"]
        inside = (await api.call("POST", f"{project}/articles", {"title": "Inside"}))[1]["location"]
        for item, group in (
            (await api.item(), top), (await api.item(group_id=2102), 2102), (await api.item(impersonate=member), 2101),
            (f"/account/articles/{inside.rpartition('/')[2]}", 2102),
        ):  # fmt: skip
            assert (await api.get(item))["group_id"] == group
        mine = await api.item("Wiped", group_id=2101)
        assert (await api.call("PUT", mine, {"description": "d"}))[0] == 205
        assert (await api.get(mine))["group_id"] == 2101
        assert await found(api, f"{HOME}/articles?group=2101") == ["Wiped", "An item"]


async def test_authors_are_found_by_institution_and_group(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s", institution=True) as api:
        account = f"{HOME}/accounts/{await member_of(api)}"
        assert (await api.call("PUT", account, {"group_id": 2101, "is_active": True}))[0] == 205
        await api.item(authors=[{"name": "Sandbox Stranger"}])
        every = {"Sandbox Owner", "Sandbox Member", "Sandbox Stranger"}
        for criteria, names in (
            ({"group_id": 2101}, {"Sandbox Member"}), ({"group_id": 2100}, every - {"Sandbox Stranger"}),
            ({"group_id": 2102}, set()), ({"institution_id": 2000}, every - {"Sandbox Stranger"}),
            ({"institution_id": 1}, set()), ({"is_public": True}, set()), ({"is_public": False}, every),
        ):  # fmt: skip
            status, rows = await api.call("POST", "/account/authors/search", {"search_for": "sandbox", **criteria})
            assert (status, {row["full_name"] for row in rows}) == (200, names), criteria


async def test_the_timeline_of_a_published_item_says_when_it_was_posted(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        item = await api.item("An item", **READY)
        assert (await api.get(item))["timeline"] == {}
        number = await publish(api, item)
        other = await api.item("First elsewhere", timeline={"firstOnline": "2020-01-02"}, **READY)
        assert (await api.get(f"/articles/{await publish(api, other)}"))["timeline"]["firstOnline"] == "2020-01-02"
        date = (await api.get(f"/articles/{number}"))["published_date"]
        wanted = {"posted": date.removesuffix("Z"), "firstOnline": date.removesuffix("Z")}
        private, public = await api.get("/account/articles"), await api.get("/articles")
        for shown in (await api.get(item), await api.get(f"/articles/{number}"), *private, *public):
            if shown["title"] == "An item":
                assert shown["timeline"] == wanted


async def test_a_citation_joins_authors_by_semicolons(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        item = await api.item("An item", authors=[{"first_name": "Ann", "last_name": "Bee"}])
        assert (await api.get(item))["citation"].startswith("Owner, Sandbox; Bee, Ann (20")
        body = {"title": "A collection", "authors": [{"name": "Ann Bee"}, {"name": "C Dee"}]}
        collection = (await api.call("POST", "/account/collections", body))[1]["location"]
        assert (await api.get(collection))["citation"].startswith("Bee, Ann; Dee, C (20")


async def test_trailing_slashes(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        item = await api.item()
        assert await api.get(f"{item}/") == await api.get(item)
        assert len(await api.get("/account/articles//?page=1")) == 1
        status, _ = await api.call("POST", "/account/articles/", {"title": "Another"})
        assert status == 201
        async with api.http.get(api.at.pages_url) as page:
            assert page.status == 200
        upload = await api.upload_url(await api.initiate(item))
        assert await api.get(f"{upload}/") == await api.get(upload)


async def test_a_version_as_its_owner_sees_it(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        item = await api.item("First title", **READY)
        file = (await api.available(await api.send(item, b"0123")))["id"]
        await publish(api, item)
        assert (await api.call("PUT", item, {"title": "Second title"}))[0] == 205
        shown = await api.get(f"{item}/versions/1")
        assert (shown["title"], shown["version"]) == ("First title", 1)
        assert shown["account_id"] == (await api.get(item))["account_id"]
        assert [one["id"] for one in shown["files"]] == [file]
        assert (await api.call("GET", f"{item}/versions/2"))[0] == 404
        assert (await api.call("GET", f"{item}/versions/1", headers={}))[0] == 403


async def test_unpublishing(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "plain") as api:
        item = await api.item(**READY)
        await publish(api, item)
        assert (await api.call("POST", f"{item}/unpublish", {"reason": "A mistake"}))[0] == 403
    async with sandbox_api(tmp_path / "s", institution=True) as api:
        item = await api.item(**READY)
        await api.available(await api.send(item, b"0123"))
        assert (await api.call("POST", f"{item}/unpublish", {"reason": "Not public yet"}))[0] == 400
        number = await publish(api, item)
        date = (await api.get(item))["published_date"]
        assert (await api.get("/account"))["used_quota_public"] == 4
        for body in ({}, {"reason": "no"}, {"reason": 5}):
            assert (await api.call("POST", f"{item}/unpublish", body))[0] == 400
        assert (await api.call("POST", f"{item}/unpublish", {"reason": "A mistake"}))[0] == 204
        assert (await api.call("GET", f"/articles/{number}"))[0] == 404
        assert await api.get(f"/articles/{number}/versions") == []
        assert await api.get("/articles") == []
        shown = await api.get(item)
        assert (shown["published_date"], shown["is_public"], shown["status"]) == (date, False, "private")
        assert (await api.get("/account"))["used_quota_private"] == 4
        # Lifting an embargo publishes the versions that waited for its end, and nothing else.
        assert (await api.call("DELETE", f"{item}/embargo"))[0] == 204
        assert (await api.call("GET", f"/articles/{number}"))[0] == 404
        await publish(api, item)
        assert (await api.get(f"/articles/{number}"))["version"] == 2
        assert [one["version"] for one in await api.get(f"/articles/{number}/versions")] == [2]


async def test_a_client_can_be_tried_against_either_reading_of_the_documentation(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s", md5="require", upload_auth="require") as api:
        item = await api.item()
        for given, expected in (({}, 422), ({"md5": ""}, 422), ({"md5": "781e5e245d69b566979b86e28d23f2c7"}, 201)):
            status, made = await api.call("POST", f"{item}/files", {"name": "a", "size": 10, **given})
            assert status == expected, made
        assert (await api.call("POST", f"{item}/files", {"link": "https://example.org/a"}))[0] == 422  # mixed
        upload = await api.upload_url(made["location"])
        for headers, expected in (({}, 403), ({"Authorization": "token wrong"}, 403), (AUTH, 200)):
            assert (await api.call("GET", upload, headers=headers))[0] == expected
            async with api.http.put(f"{upload}/1", data=b"0123", headers=headers) as answer:
                assert answer.status == expected
    async with sandbox_api(tmp_path / "s", upload_auth="refuse") as api:
        assert (await api.call("GET", upload, headers={}))[0] == 200
        assert (await api.call("GET", upload, headers=AUTH))[0] == 403


async def test_scripts_of_web_pages_may_use_the_api(tmp_path: Path) -> None:
    origin = {"Origin": "https://example.org"}
    asking = {**origin, "Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "authorization"}
    async with sandbox_api(tmp_path / "s") as api:
        upload = await api.upload_url(await api.initiate(await api.item()))
        for url in (f"{api.at.url}/account/articles", upload):
            async with api.http.options(url, headers=asking) as answer:
                assert (answer.status, await answer.read()) == (200, b"")
                assert answer.headers["Access-Control-Allow-Headers"] == "authorization"
            async with api.http.get(url, headers={**AUTH, **origin}) as answer:
                assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (200, "https://example.org")
                assert answer.headers["Access-Control-Allow-Methods"] == "GET, POST, PUT, DELETE, OPTIONS"
        own = api.at.url.removesuffix("/v2")
        async with api.http.get(f"{api.at.url}/account/articles") as refused:  # an error can be read, too
            assert (refused.status, refused.headers["Access-Control-Allow-Origin"]) == (403, own)
        async with api.http.options(f"{api.at.url}/articles", headers=origin) as answer:
            assert answer.status == 404
        async with api.http.get(api.at.pages_url, headers=origin) as page:
            assert page.status == 200
            assert "Access-Control-Allow-Origin" not in page.headers
