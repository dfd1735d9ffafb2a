"""The sandbox's lists and searches: paging and its limits, orders, filters, the index."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.sandbox_api import Api, sandbox_api
from uploader.sandbox.schema import STEPS

pytestmark = pytest.mark.anyio

EXCEEDED = {
    "message": "Max page reached. Please narrow down your search", "code": "PageLimitExceededException", "data": {},
}  # fmt: skip
WHOLE = {"description": "d", "keywords": ["k"], "categories": [24418]}


async def publish(api: Api, *titles: str, **fields: Any) -> list[int]:
    """Publish items of these titles, and return their ids."""
    made = []
    for title in titles:
        item = await api.item(title, **WHOLE, **fields)
        assert (await api.call("POST", f"{item}/publish"))[0] == 201
        made.append(int(item.rpartition("/")[2]))
    return made


async def titles(api: Api, path: str, **criteria: Any) -> list[str]:
    """The titles of a list, or of a search with these criteria."""
    status, rows = await api.call("POST" if criteria else "GET", path, criteria or None, headers={})
    assert status == 200, rows
    return [row["title"] for row in rows]


@pytest.mark.parametrize("path", ["/articles", "/collections", "/projects", "/account/articles/search"])
@pytest.mark.parametrize("status", [422, 400])
async def test_pages_end_at_the_cap(tmp_path: Path, path: str, status: int) -> None:
    async with sandbox_api(tmp_path / "s", page_cap=1000, page_cap_status=status) as api:
        method = "POST" if path.endswith("search") else "GET"
        for good in ("page=1&page_size=1000", "page=20&page_size=50", "limit=10&offset=990"):
            assert (await api.call(method, f"{path}?{good}"))[0] == 200, good
        for far in ("page=2&page_size=1000", "page=21&page_size=50", "limit=10&offset=991"):
            found = await api.call(method, f"{path}?{far}")
            assert found == (status, EXCEEDED if status == 422 else {**EXCEEDED, "code": "BadRequest"}), far


async def test_without_a_cap_pages_continue(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s", page_cap=None) as api:
        assert await api.call("GET", "/articles?page=20&page_size=1000") == (200, [])


async def test_a_page_has_ten_rows_unless_asked_otherwise(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        await publish(api, *(f"Item {number:02}" for number in range(12)))
        assert len(await titles(api, "/articles")) == 10
        assert len(await titles(api, "/articles?page_size=11")) == 11
        assert await titles(api, "/articles?page=2") == ["Item 01", "Item 00"]


async def test_cursors_lead_from_page_to_page_and_expire(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s", page_cap=2) as api:
        await publish(api, *(f"Item {number}" for number in range(5)))
        seen: list[str] = []
        cursor: dict[str, str] = {}
        while True:
            async with api.http.get(f"{api.at.url}/articles?limit=2", headers=cursor) as answer:
                assert answer.status == 200
                seen += [row["title"] for row in await answer.json()]
                if "X-Cursor" not in answer.headers:
                    break
                cursor = {"X-Cursor": answer.headers["X-Cursor"]}
        assert seen == [f"Item {number}" for number in (4, 3, 2, 1, 0)]
        assert (await api.call("GET", "/articles?limit=2&offset=0", headers=cursor))[0] == 422
        assert (await api.call("GET", "/collections?limit=2", headers=cursor))[0] == 400
        assert (await api.call("GET", "/articles?limit=2", headers={"X-Cursor": "WzEsIDIsICJ4Il0="}))[0] == 400
        api.clock.ahead += 301
        assert (await api.call("GET", "/articles?limit=2", headers=cursor))[0] == 400


@pytest.mark.parametrize(("since", "found"), [("exclusive", []), ("inclusive", ["Item"])])
async def test_whether_dates_include_their_own_second(tmp_path: Path, since: str, found: list[str]) -> None:
    async with sandbox_api(tmp_path / "s", since=since) as api:
        await publish(api, "Item")
        [row] = await api.get("/articles")
        for name, date in (("published_since", "published_date"), ("modified_since", "modified_date")):
            assert await titles(api, f"/articles?{name}={row[date]}") == found
            assert await titles(api, "/articles/search", **{name: row[date]}) == found


async def test_orders_by_numbers_agree_with_the_statistics(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        await publish(api, *(f"Item {number}" for number in range(8)))
        api.clock.ahead = 86400 * 400
        for order in ("views", "downloads", "shares", "cites"):
            ascending = await titles(api, f"/articles?order={order}&order_direction=asc")
            assert await titles(api, f"/articles?order={order}") == ascending[::-1]
        assert await titles(api, "/articles?order=views") != await titles(api, "/articles")


async def test_unknown_parameters_are_ignored(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        await publish(api, "Item")
        assert await titles(api, "/articles?modified_date=2999-01-01&group_id=5") == ["Item"]
        assert await titles(api, "/articles/search", group_id=5) == ["Item"]
        assert await titles(api, "/articles/search?institution=5", order="created_date") == []
        assert (await api.call("POST", "/articles/search", {"institution": "2000"}, headers={}))[0] == 422


async def test_a_group_does_not_include_its_subgroups(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s", institution=True) as api:
        await publish(api, "Science", group_id=2101)
        await publish(api, "Top", group_id=2100)
        assert await titles(api, "/articles?group=2100") == ["Top"]
        assert await titles(api, "/articles?group=2101") == ["Science"]
        assert await titles(api, "/articles?institution=2000") == ["Top", "Science"]


async def test_a_new_item_is_found_after_the_lag_of_the_index(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s", index_lag=5.0) as api:
        await publish(api, "Beavers")
        search = "/account/articles/search"
        assert await titles(api, "/articles") == ["Beavers"]
        assert await titles(api, "/articles/search", search_for="beavers") == []
        assert await api.call("POST", search, {}) == (200, [])
        api.clock.ahead += 6
        assert await titles(api, "/articles/search", search_for="beavers") == ["Beavers"]
        assert len((await api.call("POST", search, {"search_for": "beavers"}))[1]) == 1


async def test_searches_by_stems(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        await publish(api, "Counting beavers")
        assert await titles(api, "/articles/search", search_for="counted") == []
        assert await titles(api, "/articles/search", search_for="beav") == ["Counting beavers"]
    async with sandbox_api(tmp_path / "s", stems=True) as api:
        await publish(api, "A dam")
        for words in ("counted", ":title: beaver", '"counts beaver"', ":category: animals AND NOT :title: dam"):
            assert await titles(api, "/articles/search", search_for=words) == ["Counting beavers"], words
        for words in ("beav", '"beaver counting"', ":description: beavers", ":tag: ks", "..."):
            assert await titles(api, "/articles/search", search_for=words) == [], words
        assert await titles(api, "/articles/search", search_for=":tag: k AND NOT count") == ["A dam"]
    async with sandbox_api(tmp_path / "s") as api:
        assert await titles(api, "/articles/search", search_for="beav") == ["Counting beavers"]


async def test_searches_have_a_length(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s", query_length=20) as api:
        for length, status in ((2, 422), (3, 200), (20, 200), (21, 422)):
            assert (await api.call("POST", "/articles/search", {"search_for": "x" * length}))[0] == status, length


async def test_public_rows_can_lack_dates(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s", row_dates=False) as api:
        [number] = await publish(api, "Item")
        [row] = await api.get("/articles")
        assert not row.keys() & {"created_date", "modified_date", "project_id"}
        assert "modified_date" in await api.get(f"/articles/{number}")


async def test_an_older_database_gets_documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as older:
        older.setattr("uploader.sandbox.db.STEPS", STEPS[:5])
        older.setattr("uploader.sandbox.indexing.refresh", lambda _: None)
        older.setattr("uploader.sandbox.seeding.seed", lambda *_: False)
        async with sandbox_api(tmp_path / "s") as api:
            await publish(api, "Beavers")
    async with sandbox_api(tmp_path / "s", institution=True) as api:
        assert await titles(api, "/articles") == ["Beavers"]
        assert len(await api.get("/account/institution/articles")) == 1


async def test_lists_that_change_between_pages(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s", control=True) as api:
        await publish(api, *(f"Item {number}" for number in range(4)))
        control = f"{api.at.url.removesuffix('/v2')}/sandbox"
        rules = ["list-public-items:2=insert-record", "list-public-items:4=remove-record"]
        assert (await api.call("POST", f"{control}/faults", {"faults": rules}))[0] == 201
        pages = [await titles(api, f"/articles?page_size=2&page={page}") for page in (1, 2, 1, 2)]
        assert pages == [["Item 3", "Item 2"], ["Item 2", "Item 1"], ["Item 3", "Item 3"], ["Item 1", "Item 0"]]
        counted = (await api.get(f"{control}/requests"))["api"]
        assert counted["kinds"]["list-public-items"] == 4
        assert counted["repeated"] >= 2
        assert counted["most_per_second"] <= counted["requests"]


async def test_faults_of_one_record_and_error_objects(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s", control=True) as api:
        first, second = await publish(api, "One", "Two")
        faults = f"{api.at.url.removesuffix('/v2')}/sandbox/faults"
        rules = [f"get-public-item@{first}:every=500", "list-public-items=error-object"]
        assert (await api.call("POST", faults, {"faults": rules}))[0] == 201
        assert [(await api.call("GET", f"/articles/{one}"))[0] for one in (first, second, first)] == [500, 200, 500]
        status, answer = await api.call("GET", "/articles")
        assert (status, set(answer)) == (200, {"message", "code", "data"})


async def test_public_requests_without_a_token_are_limited_by_the_hour(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s", hourly_limit=2) as api:
        for expected in (200, 200, 403):
            assert (await api.call("GET", "/articles", headers={}))[0] == expected
        assert (await api.call("GET", "/articles"))[0] == 200
        api.clock.ahead += 3601
        assert (await api.call("GET", "/articles", headers={}))[0] == 200
