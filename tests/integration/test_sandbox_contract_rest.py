"""The operations that few clients use, checked against Figshare's OpenAPI description."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import aiohttp
import pytest

from tests.openapi import validate_response
from tests.support.contract import Checked
from tests.support.sandbox_api import AUTH, TOKEN, Api, sandbox_api
from uploader.sandbox.unserved import UNSERVED

pytestmark = pytest.mark.anyio

ITEM = "/account/articles/{article_id}"
PROJECT = "/account/projects/{project_id}"
COLLECTION = "/account/collections/{collection_id}"
HOME = "/account/institution"
MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
READY: dict[str, Any] = {"description": "d", "categories": [24418], "keywords": ["k"]}


async def test_handles_and_resources(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        call, item = Checked(api), await api.item()
        collection = "/account/collections/" + str(
            (await api.call("POST", "/account/collections", {"title": "A collection"}))[1]["entity_id"]
        )
        resource = {
            "id": "aaa23512",
            "title": "Elsewhere",
            "doi": "10.1/x",
            "link": "https://example.org",
            "version": 1,
        }
        for template, path in ((ITEM, item), (COLLECTION, collection)):
            handle = (await call("POST", f"{template}/reserve_handle", f"{path}/reserve_handle", 200))["handle"]
            assert (await call("POST", f"{template}/reserve_handle", f"{path}/reserve_handle", 200))["handle"] == handle
            await call("POST", f"{template}/resource", f"{path}/resource", 205, resource)
            await call("POST", f"{template}/resource", f"{path}/resource", 422, {"id": "x" * 256})
            shown = await call("GET", template, path, 200)
            assert (shown["handle"], shown["resource_title"], shown["resource_doi"]) == (handle, "Elsewhere", "10.1/x")
        for kind in ("articles", "collections"):
            status, found = await api.call("POST", f"/account/{kind}/search", {"resource_id": "aaa23512"})
            assert (status, len(found)) == (200, 1)
        await call("POST", f"{ITEM}/resource", "/account/articles/1/resource", 404, {})
        await call("POST", f"{ITEM}/reserve_handle", "/account/articles/1/reserve_handle", 404)


async def test_confidentiality_is_an_embargo_of_the_files(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        call, item = Checked(api), await api.item(**READY)
        template, path = f"{ITEM}/confidentiality", f"{item}/confidentiality"
        assert await call("GET", template, path, 200) == {"is_confidential": False, "reason": ""}
        await call("PUT", template, path, 400, {})
        await call("PUT", template, path, 205, {"reason": "Under way"})
        assert await call("GET", template, path, 200) == {"is_confidential": True, "reason": "Under way"}
        shown = await call("GET", ITEM, item, 200)
        assert (shown["is_confidential"], shown["confidential_reason"]) == (True, "Under way")
        assert (shown["embargo_type"], shown["embargo_date"]) == ("file", None)
        assert (await api.call("POST", f"{item}/publish"))[0] == 201
        number = item.rpartition("/")[2]
        public = "/articles/{article_id}/versions/{version_id}/confidentiality"
        seen = await call("GET", public, f"/articles/{number}/versions/1/confidentiality", 200, strangers=True)
        assert seen["is_confidential"] is True
        await call("DELETE", template, path, 204)
        assert (await call("GET", template, path, 200))["is_confidential"] is False


async def test_versions(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        call, item = Checked(api), await api.item(**READY)
        await api.call("POST", f"{item}/publish")
        template, path = f"{ITEM}/versions/{{version_id}}", f"{item}/versions/1"
        body = {"supplementary_fields": [{"name": "a", "value": "b"}], "internal_metadata": {"reviewed": None}}
        for method in ("PUT", "PATCH"):
            await call(method, template, path, 205, body)
            await call(method, template, f"{item}/versions/2", 404, body)
        assert (await api.call("PUT", path, {"supplementary_fields": {}}))[0] == 422


async def test_searches_of_collections_and_projects(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s", institution=True) as api:
        call = Checked(api)
        for title, group in (("Glacier ice", 2101), ("River water", 2102)):
            body: dict[str, Any] = {"title": title, "description": "Cold", "group_id": group}
            item = await api.item(**READY)
            await api.call("POST", f"{item}/publish")
            people = {"authors": [{"name": "Ann Bee"}], "keywords": ["k"]}
            for kind in ("collections", "projects"):
                made = (await api.call("POST", f"/account/{kind}", body | (people if kind == "collections" else {})))[1]
                status, answer = await api.call("POST", f"{made['location']}/publish")
                assert status in {200, 201}, answer
        for kind in ("collections", "projects"):
            for template, path, strangers in (
                (f"/account/{kind}/search", f"/account/{kind}/search", False), (f"/{kind}/search",) * 2 + (True,),
            ):  # fmt: skip
                for body, titles in (
                    ({"search_for": "glacier"}, ["Glacier ice"]), ({"search_for": ":title: water"}, ["River water"]),
                    ({"group": 2102}, ["River water"]), ({"search_for": "otter"}, []), ({"institution": 1}, []),
                    ({"search_for": "cold", "order": "published_date", "order_direction": "asc"},
                     ["Glacier ice", "River water"]), ({"published_since": "2999-01-01"}, []), ({"page_size": 0}, None),
                ):  # fmt: skip
                    if titles is None:
                        assert (await api.call("POST", path, body))[0] in {400, 422}
                        continue
                    rows = await call("POST", template, path, 200, body, strangers=strangers)
                    assert sorted(row["title"] for row in rows) == titles, (path, body)
                assert (await api.call("POST", f"{path}?search_for=glacier"))[1][0]["title"] == "Glacier ice"
            listed = await api.get(f"/{kind}?group=2101")
            assert [row["title"] for row in listed] == ["Glacier ice"]
        doi = (await api.get("/collections"))[0]["doi"]
        for one in (doi, doi.removesuffix(".v1")):
            assert len(await api.get(f"/collections?doi={one}")) == 1
        found = (await api.call("POST", "/collections/search", {"search_for": ":author: bee AND :tag: k"}))[1]
        assert len(found) == 2


async def test_collaborators(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s", institution=True) as api:
        call = Checked(api)
        project = f"/account/projects/{(await api.call('POST', '/account/projects', {'title': 'abc'}))[1]['entity_id']}"
        template, path = f"{PROJECT}/collaborators", f"{project}/collaborators"
        [owner] = await call("GET", template, path, 200)
        assert (owner["role_name"], owner["name"]) == ("Owner", "Sandbox Owner")
        member = (await api.get(f"{HOME}/accounts?email=member@sandbox.invalid"))[0]
        await call("POST", template, path, 201, {"role_name": "viewer", "user_id": member["user_id"]})
        await call(
            "POST", template, path, 201, {"role_name": "collaborator", "email": "new@example.org", "comment": "c"}
        )
        for body in (
            {"role_name": "Owner", "user_id": member["user_id"]}, {"role_name": "viewer"}, {"user_id": 1},
            {"role_name": "viewer", "user_id": 1}, {"role_name": "viewer", "user_id": owner["user_id"]},
            {"role_name": "viewer", "user_id": member["user_id"], "email": "a@example.org"},
        ):  # fmt: skip
            await call("POST", template, path, 400, body)
        rows = await call("GET", template, path, 200)
        assert [(row["name"], row["role_name"], row["status"]) for row in rows[1:]] == [
            ("Sandbox Member", "Viewer", "invited"), ("new@example.org", "Collaborator", "invited"),
        ]  # fmt: skip
        assert len((await call("GET", PROJECT, project, 200))["collaborators"]) == 3
        leave = f"{PROJECT}/leave", f"{project}/leave"
        await call("POST", *leave, 403)
        for expected in (204, 404):
            assert (await api.call("POST", leave[1], {"impersonate": member["id"]}))[0] == expected
        one = f"{template}/{{user_id}}"
        await call("DELETE", one, f"{path}/{rows[2]['user_id']}", 204)
        await call("DELETE", one, f"{path}/{rows[2]['user_id']}", 404)
        assert await call("GET", template, path, 200) == rows[:1]


async def test_notes(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        call = Checked(api)
        project = f"/account/projects/{(await api.call('POST', '/account/projects', {'title': 'abc'}))[1]['entity_id']}"
        template, path = f"{PROJECT}/notes", f"{project}/notes"
        for text in ("The first note", "x" * 200):
            location = (await call("POST", template, path, 201, {"text": text}))["location"]
        for body in ({}, {"text": "no"}, {"text": 1}):
            await call("POST", template, path, 400, body)
        rows = await call("GET", template, path, 200)
        assert [row["abstract"] for row in rows] == ["x" * 80, "The first note"]
        assert [row["user_name"] for row in rows] == ["Sandbox Owner"] * 2
        assert len(await api.get(f"{path}?page_size=1&page=2")) == 1
        one = f"{template}/{{note_id}}"
        assert (await call("GET", one, location, 200))["text"] == "x" * 200
        await call("PUT", one, location, 205, {"text": "Another text"})
        assert (await call("GET", one, location, 200))["text"] == "Another text"
        await call("DELETE", one, location, 204)
        for method in ("GET", "DELETE", "PUT"):
            await call(method, one, location, 404, {"text": "Gone"} if method == "PUT" else None)
        await call("GET", template, "/account/projects/1/notes", 404)


async def test_roles_and_users(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s", institution=True) as api:
        call = Checked(api)
        roles = {row["id"]: row["name"] for row in await call("GET", f"{HOME}/roles", f"{HOME}/roles", 200)}
        member = (await api.get(f"{HOME}/accounts?email=member@sandbox.invalid"))[0]["id"]
        template, path = f"{HOME}/roles/{{account_id}}", f"{HOME}/roles/{member}"
        user = {"category": "group", "id": 7, "name": roles[7]}
        assert await call("GET", template, path, 200) == {"2100": [user]}
        await call("POST", template, path, 201, {"2101": [1, 7], "2100": [7]})
        wrongs: tuple[dict[str, Any], ...] = ({"1": [7]}, {"2101": [1000]}, {"2101": 7}, {"x": []})
        for wrong in wrongs:
            await call("POST", template, path, 400, wrong)
        stored = await call("GET", template, path, 200)
        assert stored == {"2100": [user], "2101": [{"category": "group", "id": 1, "name": roles[1]}, user]}
        one = f"{template}/{{group_id}}/{{role_id}}"
        await call("DELETE", one, f"{path}/2101/1", 204)
        await call("DELETE", one, f"{path}/2101/1", 404)
        await call("DELETE", one, f"{path}/2100/7", 403)
        await call("GET", template, f"{HOME}/roles/1", 404)
        users = f"{HOME}/users/{{account_id}}"
        assert (await call("GET", users, f"{HOME}/users/{member}", 200))["name"] == "Sandbox Member"
        await call("GET", users, f"{HOME}/users/1", 404)
    async with sandbox_api(tmp_path / "alone") as api:
        for path in (f"{HOME}/roles", f"{HOME}/reviews", f"{HOME}/users/1", f"{HOME}/review/1"):
            assert (await api.call("GET", path))[0] == 403


async def test_profiles(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s", institution=True) as api:
        call, path = Checked(api), "/account/profile"
        body = {"first_name": "Ann", "last_name": "Bee", "orcid": "https://orcid.org/0000-0002-1825-0097",
                "job_title": "Botanist", "fields_of_interest": [24418], "bio": "b"}  # fmt: skip
        assert (await call("PUT", path, path, 200, body))["message"] == "OK"
        account = await api.get("/account")
        assert (account["first_name"], account["orcid_id"]) == ("Ann", "0000-0002-1825-0097")
        assert (await api.get(f"/account/authors/{account['user_id']}"))["job_title"] == "Botanist"
        member = (await api.get(f"{HOME}/accounts?email=member@sandbox.invalid"))[0]
        await call("PUT", path, f"{path}?user_id={member['user_id']}", 200, {"last_name": "Dee"})
        await call("PUT", path, f"{path}?institution_user_id=member", 200, {"job_title": "Zoologist"})
        shown = await api.get(f"{HOME}/users/{member['id']}")
        assert (shown["name"], shown["job_title"]) == ("Sandbox Dee", "Zoologist")
        for query, wrong, status in (
            ("", {"orcid": "1"}, 400), ("", {"last_name": 1}, 400), ("?user_id=1", {}, 404), ("?user_id=x", {}, 400),
            ("?institution_user_id=", {}, 404),
        ):  # fmt: skip
            await call("PUT", path, path + query, status, wrong)


async def test_reviews(tmp_path: Path) -> None:
    for review, status, visible in (("pending", "pending", 404), ("approve", "approved", 200)):
        async with sandbox_api(tmp_path / review, institution=True, review=review) as api:
            call, item = Checked(api), await api.item(**READY)
            number = int(item.rpartition("/")[2])
            path = f"{HOME}/reviews"
            assert await call("GET", path, path, 200) == []
            assert (await api.call("POST", f"{item}/publish"))[0] == 201
            assert (await api.call("GET", f"/articles/{number}", headers={}))[0] == visible
            assert (await api.get(item))["curation_status"] == status
            assert (await api.call("POST", f"{item}/publish"))[0] == 201
            rows = await call("GET", path, path, 200)
            assert [row["request_number"] for row in rows] == ([1] if review == "pending" else [2, 1])
            assert (rows[-1]["article_id"], rows[-1]["group_id"], rows[-1]["status"]) == (number, 2100, status)
            for query, found in ((f"status={status}&limit=1000", len(rows)), ("status=closed", 0), ("group_id=1", 0),
                                 (f"article_id={number}", len(rows))):  # fmt: skip
                assert len(await api.get(f"{path}?{query}")) == found
            assert (await api.call("GET", f"{path}?status=x"))[0] == 400
            one, here = f"{HOME}/review/{{curation_id}}", f"{HOME}/review/{rows[-1]['id']}"
            comments = f"{one}/comments", f"{here}/comments"
            await call("POST", *comments, 200, {"text": "Looks good"})
            await call("POST", *comments, 400, {"text": ""})
            assert [row["text"] for row in await call("GET", *comments, 200)] == ["Looks good"]
            shown = await call("GET", one, here, 200)
            assert (shown["comments_count"], shown["item"]["id"]) == (1, number)
            await call("GET", one, f"{HOME}/review/1", 404)


async def archived(api: Api, path: str, **headers: str) -> dict[str, bytes]:
    """What is in the archive at this path."""
    async with api.http.get(api.at.url + path, headers=headers) as answer:
        assert (answer.status, answer.content_type) == (200, "application/zip")
        with zipfile.ZipFile(io.BytesIO(await answer.read())) as archive:
            assert archive.testzip() is None
            return {name: archive.read(name) for name in archive.namelist()}


async def test_items_are_downloaded_as_archives(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s", empty_files="accept") as api:
        item = await api.item(**READY)
        number = item.rpartition("/")[2]
        for data, name, folder in ((b"0123", "a.bin", ""), (b"456", "a.bin", ""), (b"789", "ä.bin", "deep/er")):
            await api.available(await api.send(item, data, name, folder_path=folder))
        await api.until(await api.send(item, b"", "empty"), lambda record: record["status"] == "available")
        await api.initiate(item, "unfinished")
        whole = {"a.bin": b"0123", "a.bin (2)": b"456", "deep/er/ä.bin": b"789", "empty": b""}
        assert await archived(api, f"{item}/download", **AUTH) == whole
        for folder in ("deep", "/deep/er/"):
            inside = await archived(api, f"{item}/download?folder_path={folder}", **AUTH)
            assert inside == {"deep/er/ä.bin": b"789"}
        assert (await api.call("GET", f"{item}/download?folder_path=dee"))[0] == 404
        assert (await api.call("GET", f"{item}/download", headers={}))[0] == 403
        assert (await api.call("GET", f"/articles/{number}/download", headers={}))[0] == 404
        for file in await api.get(f"{item}/files"):
            if file["name"] == "unfinished":
                await api.call("DELETE", f"{item}/files/{file['id']}")
        assert (await api.call("POST", f"{item}/publish"))[0] == 201
        for path in (f"/articles/{number}/download", f"/articles/{number}/versions/1/download"):
            assert await archived(api, path) == whole
            async with api.http.head(api.at.url + path) as answer:
                assert (answer.status, answer.content_type, await answer.read()) == (200, "application/zip", b"")
        embargo = {"is_embargoed": True, "embargo_date": "0", "embargo_type": "file"}
        assert (await api.call("PUT", f"{item}/embargo", embargo))[0] == 205
        assert (await api.call("GET", f"/articles/{number}/download", headers={}))[0] == 404


async def test_reports(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s", institution=True) as api:
        call, path = Checked(api), "/account/articles/export"
        await api.item("Rivers & <lakes>\0")
        await api.item("Of a group", group_id=2101)
        assert await call("GET", path, path, 200) == []
        made = await call("POST", path, path, 200)
        assert (made["status"], made["group_id"]) == ("pending", 0)
        await call("POST", path, path, 429)
        api.clock.ahead += 86401
        await call("POST", path, f"{path}?group_id=2101", 200)
        ofgroup, whole = await call("GET", path, path, 200)
        assert (ofgroup["status"], whole["id"]) == ("done", made["id"])
        assert await api.get(f"{path}?group_id=2101") == [ofgroup]
        for wrong in ("x", "-1"):
            assert (await api.call("POST", f"{path}?group_id={wrong}"))[0] == 400
        for report, titles in ((whole, ["Of a group", "Rivers & <lakes>"]), (ofgroup, ["Of a group"])):
            async with api.http.get(report["download_url"]) as answer:
                table = sheet(await answer.read())
            assert table[0][:2] == ["id", "title"]
            assert [row[1] for row in table[1:]] == titles
        assert (await api.call("GET", whole["download_url"].replace("report-", "report-9")))[0] == 404


def sheet(data: bytes) -> list[list[str]]:
    """The cells of an XLSX file's only sheet."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        root = ET.fromstring(archive.read("xl/worksheets/sheet1.xml"))  # noqa: S314 - of the sandbox
    return [["".join(cell.itertext()) for cell in row] for row in root.iter(f"{MAIN}row")]


async def test_institutions_for_everyone(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s", institution=True) as api:
        call, item = Checked(api), await api.item(**READY)
        await api.available(await api.send(item, b"0123", "a.bin"))
        await api.call("POST", f"{item}/resource", {"id": "r1"})
        await api.call("POST", f"{item}/publish")
        template = "/institutions/{institution_string_id}/articles/filter-by"
        for path, found in (
            ("sandbox/articles/filter-by?resource_id=r1&filename=a.bin", 1),
            ("sandbox/articles/filter-by?resource_id=r2&filename=a.bin", 0),
            ("sandbox/articles/filter-by?resource_id=r1&filename=b.bin", 0),
            ("other/articles/filter-by?resource_id=r1&filename=a.bin", 0),
        ):
            assert len(await call("GET", template, f"/institutions/{path}", 200, strangers=True)) == found
        assert (await api.call("GET", "/institutions/sandbox/articles/filter-by?filename=a.bin"))[0] == 400
        path = "/altmetric/institutions"
        assert [row["id"] for row in await call("GET", path, path, 200, strangers=True)] == [2000]
        assert await api.get(f"{path}?offset=1") == []


async def upload(api: Api, path: str, name: str, data: bytes) -> tuple[int, Any]:
    """Send a file in a form, as HTTP libraries do."""
    form = aiohttp.FormData()
    form.add_field(name, data, filename="file", content_type="text/plain")
    async with api.http.post(api.at.url + path, data=form, headers=AUTH) as answer:
        return answer.status, await answer.json()


FEED = b"""<?xml version="1.0"?>
<HRFeed>
  <Record><UniqueID>u1</UniqueID><Orcid>0000-0002-1825-0097</Orcid><FirstName>J\xc3\xa4ne</FirstName><LastName>Doe</LastName>
    <Email>jane@example.org</Email><IsActive>Y</IsActive><UserQuota>1048576000</UserQuota></Record>
  <Record><UniqueID>member</UniqueID><FirstName>Max</FirstName><LastName>Power</LastName>
    <Email>member@sandbox.invalid</Email><IsActive>N</IsActive>
    <UserAssociationCriteria>Library</UserAssociationCriteria></Record>
  <Record><UniqueID>nameless</UniqueID></Record>
</HRFeed>"""


async def test_an_hr_feed(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s", institution=True) as api:
        path = "/institution/hrfeed/upload"
        for name, data in (("other", FEED), ("hrfeed", b"<HRFeed>"), ("hrfeed", b"\xff")):
            assert (await upload(api, path, name, data))[0] == 400
        assert (await api.call("POST", path, {"hrfeed": "x"}))[0] == 400
        assert await upload(api, path, "hrfeed", FEED) == (200, {"code": 200, "message": "OK"})
        validate_response("POST", path, 200, {"code": 200, "message": "OK"})
        owner, max_power, jane = await api.get(f"{HOME}/accounts")
        assert owner["email"] == "owner@sandbox.invalid"
        assert (max_power["last_name"], max_power["active"]) == ("Power", 0)
        assert (await api.get(f"{HOME}/accounts/{max_power['id']}"))["group_id"] == 2102
        assert (jane["first_name"], jane["orcid_id"], jane["quota"]) == ("Jäne", "0000-0002-1825-0097", 1048576000)
        status, answer = await upload(api, path, "hrfeed", FEED)
        assert (status, answer["errcode"]) == (400, "FigshareAPIException")
        api.clock.ahead += 86401
        table = b"UniqueID,Email,LastName,IsActive\nu1,jane@example.org,Smith,Y\nu2,jane@example.org,Taken,Y\n"
        assert (await upload(api, path, "hrfeed", table))[0] == 200
        assert [one["last_name"] for one in await api.get(f"{HOME}/accounts")] == ["Owner", "Power", "Smith"]


async def test_values_of_a_large_list(tmp_path: Path) -> None:
    path = f"{HOME}/custom_fields/371/items/upload"
    table = b"header1,header2,header 3\n123,My awesome field value,456\n" + b"x" * 256 + b"\n\n"
    async with sandbox_api(tmp_path / "s", institution=True) as api:
        value = {"custom_fields": {"Department": "123 My awesome field value 456"}, "title": "An item"}
        assert (await api.call("POST", "/account/articles", value))[0] == 422
        assert (await upload(api, path.replace("371", "366"), "external_file", table))[0] == 400
        assert (await upload(api, path.replace("371", "1"), "external_file", table))[0] == 404
        assert await upload(api, path, "external_file", table) == (200, {"code": 200, "message": "OK"})
        status, answer = await upload(api, path, "external_file", table)
        assert (status, answer["code"]) == (409, "PreviousCustomFieldUploadNotComplete")
        assert (await api.call("POST", "/account/articles", value))[0] == 201
    async with sandbox_api(tmp_path / "s", institution=True) as api:
        for department, status in (("Zoology", 201), ("123 My awesome field value 456", 201), ("x" * 256, 422)):
            body = {"title": "An item", "custom_fields": {"Department": department}}
            assert (await api.call("POST", "/account/articles", body))[0] == status


async def test_tokens(tmp_path: Path) -> None:
    """What the documentation says of the token endpoint; test_sandbox_oauth.py has the rest of signing in."""
    async with sandbox_api(tmp_path / "s") as api:
        call, client = Checked(api), {"client_id": "sandbox", "client_secret": TOKEN}
        for grant in (
            {"grant_type": "password", "username": "owner@sandbox.invalid", "password": TOKEN},
            {"grant_type": "client_credentials"},
        ):  # fmt: skip
            made = await call("POST", "/token", "/token", 200, {**client, **grant}, strangers=True)
            assert made["token_type"] == "bearer"
        again = {"grant_type": "refresh_token", "refresh_token": made["refresh_token"]}
        await call("POST", "/token", "/token", 200, {**client, **again}, strangers=True)
        async with api.http.post(f"{api.at.url}/token", data={**client, "grant_type": "client_credentials"}) as answer:
            assert (answer.status, (await answer.json())["scope"]) == (200, "all")
        for body, error in (
            ({}, "invalid_client"), ({**client, "client_secret": "x"}, "invalid_client"),
            ({**client, "client_id": "x"}, "invalid_client"),
            (client, "unsupported_grant_type"), ({**client, "grant_type": "password"}, "invalid_grant"),
            ({**client, "grant_type": "authorization_code", "code": "x"}, "invalid_grant"),
            ({**client, "grant_type": "refresh_token", "refresh_token": {}}, "invalid_grant"),
        ):  # fmt: skip
            status, answer_body = await api.call("POST", "/token", body, headers={})
            assert (status, answer_body["error"]) == (400, error)


async def test_unserved_operations_say_so(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "uploader" / "sandbox" / "README.md").read_text(encoding="utf-8")
    async with sandbox_api(tmp_path / "s", institution=True) as api:
        for method, route, reason in UNSERVED:
            path = re.sub(r"\{\w+(:[^}]*\})?\}", "{}", route)
            status, answer = await api.call(method, path.removeprefix("/v2").replace("{}", "1"))
            assert (status, answer["code"]) == (501, "NotImplemented")
            assert reason in answer["message"]
            assert f"`{method} {path.replace('{}', '{id}')}`" in page
