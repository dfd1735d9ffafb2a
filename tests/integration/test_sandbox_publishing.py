"""Publishing: required fields, immutable versions, embargoes, and who may download what."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.support.sandbox_api import AUTH, Api, sandbox_api

pytestmark = pytest.mark.anyio

READY: dict[str, Any] = {"description": "d", "categories": [24418], "keywords": ["k"]}
STRANGER: dict[str, str] = {}


async def seen(api: Api, path: str) -> tuple[int, Any]:
    """What someone without a token gets."""
    return await api.call("GET", path, headers=STRANGER)


async def fetched(api: Api, url: str, **headers: str) -> tuple[int, bytes]:
    async with api.http.get(url, headers=headers, allow_redirects=False) as answer:
        return answer.status, await answer.read()


async def published(api: Api, **fields: Any) -> tuple[str, str]:
    """A published item with one file; its path for the owner and for all."""
    item = await api.item("An item", **READY, **fields)
    await api.available(await api.send(item, b"0123", "a.csv"))
    assert (await api.call("POST", f"{item}/publish"))[0] == 201
    return item, item.removeprefix("/account")


async def test_fields_required_for_publication(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        item = await api.item()
        await api.call("PUT", f"{item}/authors", {"authors": []})
        steps: list[tuple[str, dict[str, Any]]] = [
            ("description", {"description": "d"}), ("authors", {"authors": [{"name": "Ann Bee"}]}),
            ("categories", {"categories": [24418]}), ("keywords", {"tags": ["k"]}),
        ]  # fmt: skip
        for missing, fields in steps:
            status, answer = await api.call("POST", f"{item}/publish")
            assert (status, answer["message"]) == (400, f"Missing mandatory field for publication - {missing}")
            await api.call("PATCH", item, fields)
        file = await api.initiate(item, size=4)
        assert (await api.call("POST", f"{item}/publish"))[0] == 400
        await api.call("DELETE", file)
        status, answer = await api.call("POST", f"{item}/publish")
        assert (status, answer) == (201, {"location": api.at.url + item.removeprefix("/account")})


async def test_a_version_never_changes(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        item, public = await published(api)
        before = (await seen(api, f"{public}/versions/1"))[1]
        private = await api.get(item)
        assert (private["status"], private["is_public"], private["version"]) == ("public", True, 1)
        [file] = before["files"]
        await api.call("PUT", item, {"title": "Another title", "authors": [{"name": "Cy Dee"}]})
        assert (await api.get(f"{item}/files"))[0]["is_attached_to_public_version"] is True
        await api.call("DELETE", f"{item}/files/{file['id']}")
        added = await api.available(await api.send(item, b"new", "b.csv"))
        assert added["is_attached_to_public_version"] is False
        assert (await seen(api, public))[1] == before
        assert await fetched(api, file["download_url"]) == (200, b"0123")
        await api.call("POST", f"{item}/publish")
        now = (await seen(api, public))[1]
        assert (now["title"], now["version"], [one["name"] for one in now["files"]]) == ("Another title", 2, ["b.csv"])
        assert now["doi"] == before["doi"].replace(".v1", ".v2")
        assert (await seen(api, f"{public}/versions/1"))[1] == before | {"published_date": now["published_date"]}
        assert [one["version"] for one in (await seen(api, f"{public}/versions"))[1]] == [1, 2]
        assert (await fetched(api, file["download_url"]))[0] == 200
        assert (await api.call("DELETE", item))[0] == 403


async def test_a_restart_keeps_the_bytes_of_old_versions(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        item, public = await published(api)
        [file] = await api.get(f"{item}/files")
        await api.call("DELETE", f"{item}/files/{file['id']}")
    async with sandbox_api(tmp_path / "s") as api:
        [file] = (await seen(api, f"{public}/files"))[1]
        assert await fetched(api, f"{api.at.url.removesuffix('/v2')}/files/{file['id']}") == (200, b"0123")


async def test_download_permissions(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        item = await api.item("An item", **READY)
        file = await api.available(await api.send(item, b"0123", "a.png"))
        url, number = file["download_url"], file["id"]
        link = (await api.call("POST", f"{item}/private_links"))[1]
        other = (await api.call("POST", f"{await api.item()}/private_links"))[1]
        for query, status in (
            ("", 403),
            (f"?private_link={link['token']}", 200),
            (f"?private_link={other['token']}", 403),
        ):
            assert (await fetched(api, url + query))[0] == status
        assert (await fetched(api, url, **AUTH))[0] == 200
        assert (await fetched(api, f"{api.at.url}/file/download/{number}"))[0] == 404
        await api.call("POST", f"{item}/publish")
        assert (await fetched(api, url))[0] == 200
        assert (await fetched(api, f"{api.at.url}/file/download/{number}"))[0] == 302
        await api.call("PUT", f"{item}/versions/1/update_thumb", {"file_id": number})
        thumb = (await seen(api, item.removeprefix("/account")))[1]["thumb"]
        assert await fetched(api, thumb) == (200, b"0123")
        assert (await api.get(item))["thumb"] == thumb
        await api.call("PUT", item, {"download_disabled": True})
        assert (await fetched(api, url))[0] == 403
        assert (await fetched(api, url, **AUTH))[0] == 200


async def test_a_whole_item_under_embargo_is_published_when_it_ends(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        item = await api.item("An item", **READY)
        until = datetime.fromtimestamp(api.clock() + 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        embargo = {"is_embargoed": True, "embargo_date": until, "embargo_type": "article"}
        await api.call("PUT", f"{item}/embargo", embargo)
        assert (await api.call("POST", f"{item}/publish"))[0] == 201
        public = item.removeprefix("/account")
        assert (await seen(api, public))[0] == 404
        assert (await api.get(item))["published_date"] is None
        api.clock.ahead = 1001
        assert (await seen(api, public))[0] == 200
        assert (await api.get(item))["is_embargoed"] is False
        await api.call("PUT", f"{item}/embargo", {**embargo, "embargo_date": "0"})
        assert (await seen(api, public))[0] == 200, "what was public stays public"
        await api.call("POST", f"{item}/publish")
        assert len((await seen(api, f"{public}/versions"))[1]) == 1
        await api.call("DELETE", f"{item}/embargo")
        assert len((await seen(api, f"{public}/versions"))[1]) == 2


async def test_files_under_embargo_are_not_shown(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        item, public = await published(api)
        [file] = (await seen(api, f"{public}/files"))[1]
        await api.call("PUT", f"{item}/embargo", {"is_embargoed": True, "embargo_date": "0", "embargo_type": "file"})
        assert (await seen(api, f"{public}/files"))[1] == []
        assert (await seen(api, f"{public}/files/{file['id']}"))[0] == 404
        assert (await fetched(api, file["download_url"]))[0] == 403
        assert (await fetched(api, file["download_url"], **AUTH))[0] == 200


async def test_publication_frees_the_quota(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s", quota=5) as api:
        item, _ = await published(api)
        account = await api.get("/account")
        assert (account["used_quota"], account["used_quota_private"], account["used_quota_public"]) == (4, 0, 4)
        [file] = await api.get(f"{item}/files")
        await api.call("DELETE", f"{item}/files/{file['id']}")
        await api.initiate(item, size=5)
        assert (await api.call("POST", f"{item}/files", {"name": "b", "size": 1}))[0] == 422


async def test_public_delay(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s", public_delay=60.0) as api:
        _, public = await published(api)
        assert (await seen(api, public))[0] == 404
        api.clock.ahead = 61
        assert (await seen(api, public))[0] == 200


async def test_a_private_link_shows_the_page(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        item = await api.item("Between us")
        link = (await api.call("POST", f"{item}/private_links"))[1]
        status, html = await fetched(api, link["html_location"])
        assert (status, b"Between us" in html) == (200, True)
        api.clock.ahead = 366 * 86400
        assert (await fetched(api, link["html_location"]))[0] == 404


async def test_a_group_may_require_custom_fields_for_publication(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s", institution=True) as api:
        library = (await api.call("POST", "/account/projects", {"title": "A project", "group_id": 2102}))[1][
            "entity_id"
        ]
        inside = (await api.call("POST", f"/account/projects/{library}/articles", {"title": "Inside", **READY}))[1]
        of_project = f"/account/articles/{inside['location'].rpartition('/')[2]}"
        for item in (await api.item(**READY, group_id=2102), of_project):
            [wanted] = [one for one in (await api.get(item))["custom_fields"] if one["is_mandatory"]]
            assert (wanted["name"], wanted["value"]) == ("Shelfmark", "")
            status, answer = await api.call("POST", f"{item}/publish")
            assert (status, answer["message"]) == (400, "Missing mandatory value: Shelfmark")
            assert (await api.call("PUT", item, {"custom_fields": {"Shelfmark": "QL 737"}}))[0] == 205
            assert (await api.call("POST", f"{item}/publish"))[0] == 201
            public = await api.get(item.replace("/account", ""))
            assert {one["name"]: one["value"] for one in public["custom_fields"]}["Shelfmark"] == "QL 737"
        elsewhere = await api.item(**READY, group_id=2101)
        assert (await api.call("PUT", elsewhere, {"custom_fields": {"Shelfmark": "QL 737"}}))[0] == 422
        assert (await api.call("POST", f"{elsewhere}/publish"))[0] == 201
