"""An institution's administrator acts for another account, by query or body as documented."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.sandbox_api import Api, sandbox_api

pytestmark = pytest.mark.anyio


async def member_of(api: Api) -> int:
    """The id of an account that is not the owner's."""
    owner = (await api.get("/account"))["id"]
    number: int = next(one["id"] for one in await api.get("/account/institution/accounts") if one["id"] != owner)
    return number


async def test_impersonation(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s", institution=True, quota=100) as api:
        member = await member_of(api)
        query = f"?impersonate={member}"
        item = await api.item("Theirs", impersonate=member)
        assert await api.get("/account/articles") == []
        assert [one["title"] for one in await api.get(f"/account/articles{query}")] == ["Theirs"]
        assert (await api.call("DELETE", item))[0] == 404
        whole = await api.get(item + query)
        assert (whole["account_id"], whole["authors"][0]["full_name"]) == (member, "Sandbox Member")
        assert (await api.call("PUT", item, {"title": "Renamed", "impersonate": member}))[0] == 205
        assert (await api.call("POST", f"{item}/files", {"name": "a", "size": 4}))[0] == 404
        status, made = await api.call("POST", f"{item}/files", {"name": "a", "size": 4, "impersonate": member})
        assert status == 201
        file = made["location"]
        assert (await api.call("GET", file))[0] == 404
        upload = (await api.get(file + query))["upload_url"]
        assert await api.put(upload, 1, b"0123") == 200
        assert (await api.call("POST", file))[0] == 404
        assert (await api.call("POST", file, {"impersonate": member}))[0] == 202
        accounts = [(await api.get(f"/account{suffix}"))["used_quota"] for suffix in ("", query)]
        assert accounts == [0, 4], "each account has its own quota"
        assert len(await api.get(f"{item}/files{query}")) == 1
        assert (await api.call("DELETE", file + query))[0] == 204
        assert (await api.call("DELETE", item + query))[0] == 204
        assert await api.get(f"/account/articles{query}") == []


async def test_impersonate_only_where_documented(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s", institution=True) as api:
        member = await member_of(api)
        item = await api.item("Theirs", impersonate=member)
        assert (await api.call("PUT", f"{item}?impersonate={member}", {"title": "Renamed"}))[0] == 404
        assert (await api.call("POST", f"/account/articles?impersonate={member}", {"title": "Mine"}))[0] == 201
        assert [one["title"] for one in await api.get("/account/articles")] == ["Mine"]


async def test_impersonation_without_permission(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        for path in ("/account", "/account/articles"):
            status, answer = await api.call("GET", f"{path}?impersonate=2000002")
            assert (status, answer) == (403, {"message": "Insufficient permissions", "code": "Forbidden"})
        assert (await api.call("POST", "/account/articles", {"title": "abc", "impersonate": 2000002}))[0] == 403
        assert await api.get("/account/articles") == []


async def test_impersonating_an_unknown_account(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s", institution=True) as api:
        member = await member_of(api)
        assert (await api.call("GET", "/account/articles?impersonate=1"))[0] == 404
        oneself = (await api.get("/account"))["id"]
        assert (await api.call("GET", f"/account/articles?impersonate={oneself}"))[0] == 403
        for nobody in ("x", "", "1" * 40):
            assert (await api.call("GET", f"/account/articles?impersonate={nobody}"))[0] == 422
        for nothing in ("2000002", True, [member]):
            assert (await api.call("POST", "/account/articles", {"title": "abc", "impersonate": nothing}))[0] == 422
        gone = {"group_id": 0, "is_active": False}
        assert (await api.call("PUT", f"/account/institution/accounts/{member}", gone))[0] == 205
        assert (await api.call("GET", f"/account/articles?impersonate={member}"))[0] == 404
