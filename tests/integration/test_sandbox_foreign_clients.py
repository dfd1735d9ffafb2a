"""What other programs rely on in the real service: spellings of requests, and the form of responses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.sandbox_api import AUTH, Api, sandbox_api

pytestmark = pytest.mark.anyio


async def raw(api: Api, method: str, url: str) -> tuple[int, str, bytes]:
    """Return status, content type and body of a request with the token."""
    async with api.http.request(method, url, headers=AUTH) as answer:
        return answer.status, answer.headers.get("Content-Type", ""), await answer.read()


async def test_upload_service_sends_compact_json_and_the_api_does_not(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        file = await api.initiate(await api.item())
        _, _, shown = await raw(api, "GET", file)
        assert shown == json.dumps(json.loads(shown)).encode()
        upload = await api.upload_url(file)
        for url in (upload, f"{upload}/1"):
            _, _, shown = await raw(api, "GET", url)
            assert shown == json.dumps(json.loads(shown), separators=(",", ":")).encode()
        assert b'"endOffset":3,' in shown


async def test_doubled_slashes_are_merged(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        item = await api.item()
        origin = api.at.url.removesuffix("/v2")
        assert (await api.get(f"{origin}/v2//account"))["id"] == (await api.get("/account"))["id"]
        doubled = item.replace("/", "//")
        assert await api.get(f"{origin}//v2{doubled}") == await api.get(item)
        status, body = await api.call("POST", f"{origin}//v2//account/articles?x=a//b", {"title": "Doubled"})
        assert status == 201, body
        assert (await api.get(f"/account/articles/{body['entity_id']}"))["title"] == "Doubled"
        assert (await raw(api, "GET", f"{origin}/v2//nothing"))[0] == 404
        async with api.http.get(f"{origin}/v2//account") as answer:
            assert answer.status == 403
        logged = api.requests()
        assert {one["path"] for one in logged if one["kind"] == "get-account"} == {"/v2/account"}


async def test_searches_read_the_query_string(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s", institution=True) as api:
        await api.item("Glacier ice")
        await api.item("River water", defined_type="figure")

        async def found(path: str, body: dict[str, Any] | None = None) -> list[Any]:
            status, rows = await api.call("POST", path, body)
            assert status == 200, rows
            return [row.get("title", row.get("full_name", row.get("email"))) for row in rows]

        assert await found("/account/articles/search?search_for=glacier") == ["Glacier ice"]
        assert await found("/account/articles/search?item_type=1") == ["River water"]
        assert await found("/account/articles/search?search_for=glacier", {"search_for": "river"}) == ["River water"]
        ordered = "/account/articles/search?order=created_date&order_direction=asc&page_size=1"
        assert await found(ordered) == ["Glacier ice"]
        assert (await api.call("POST", "/account/articles/search?item_type=x"))[0] == 400
        assert await found("/account/authors/search?search_for=nobody-of-this-name") == []
        assert len(await found("/account/institution/accounts/search?search_for=owner")) == 1
        assert await found("/account/institution/accounts/search?search_for=nobody-of-this-name") == []
        assert await found("/account/funding/search?search_for=no-such-grant") == []
        assert await found("/account/funding/search") != []


async def test_license_zero_counts_as_absent(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        item = await api.item(license=0)
        assert (await api.get(item))["license"]["value"] == 1
        assert (await api.call("PUT", item, {"license": 2}))[0] == 205
        assert (await api.call("PUT", item, {"license": 0, "title": "Renamed"}))[0] == 205
        assert (await api.get(item))["license"]["value"] == 2
        for wrong in (False, 0.5, 99, "0"):
            assert (await api.call("PUT", item, {"license": wrong}))[0] == 422


async def test_group_zero_counts_as_absent(tmp_path: Path) -> None:
    """Of items as of projects and collections; 0 is the example in Figshare's description."""
    async with sandbox_api(tmp_path / "s") as api:
        item = await api.item(group_id=0)
        assert (await api.call("PUT", item, {"group_id": 0, "title": "Renamed"}))[0] == 205
        for kind in ("projects", "collections"):
            assert (await api.call("POST", f"/account/{kind}", {"title": "A set", "group_id": 0}))[0] == 201
        assert (await api.call("PUT", item, {"group_id": 1}))[0] == 403


async def test_unknown_paths_and_methods_are_404_with_html(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        unknown = ("GET", "/nothing"), ("GET", "/account/articles/x"), ("DELETE", "/account"), ("PATCH", "/licenses")
        for method, path in unknown:
            status, kind, body = await raw(api, method, api.at.url + path)
            assert (status, kind.partition(";")[0]) == (404, "text/html"), (method, path)
            assert b"404 Not Found" in body
        status, kind, body = await raw(api, "GET", f"{api.at.url}/account/articles/1")
        assert (status, json.loads(body)["code"]) == (404, "EntityNotFound")


async def test_head_is_like_get_without_a_body(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        item = await api.item()
        for path in (item, "/account", "/licenses"):
            status, kind, body = await raw(api, "HEAD", api.at.url + path)
            assert (status, kind.partition(";")[0], body) == (200, "application/json", b"")
        async with api.http.head(f"{api.at.url}/account") as answer:
            assert answer.status == 403


@pytest.mark.parametrize(
    "funding", [{"id": 0, "title": {}}, {"id": 1, "title": []}, {"title": {}}, {"id": 1, "title": "both"}, {"id": {}}]
)
async def test_invalid_fundings_are_rejected(tmp_path: Path, funding: dict[str, Any]) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        status, _ = await api.call("POST", "/account/articles", {"title": "An item", "funding_list": [funding]})
        assert status == 422
