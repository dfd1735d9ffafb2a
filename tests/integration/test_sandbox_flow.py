"""The sandbox over HTTP, in order: an item, its files, their parts, completion, listings, downloads."""

from __future__ import annotations

import hashlib
import json
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.sandbox_api import AUTH, TOKEN, sandbox_api

pytestmark = pytest.mark.anyio

DATA = b"0123456789"


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


async def test_upload_of_a_file(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        item = await api.item("Größe & <b>")
        file = await api.initiate(item, "a-b/ü.csv", len(DATA))
        record = await api.get(file)
        assert record["status"] == "created"
        assert (record["supplied_md5"], record["computed_md5"], record["mimetype"]) == ("", "", "undefined")
        upload = record["upload_url"]
        shown = await api.get(upload)
        assert shown == {
            "token": record["upload_token"],
            "md5": "",
            "size": 10,
            "name": f"{record['id']}/abü.csv",
            "status": "PENDING",
            "parts": [
                {"partNo": 1, "startOffset": 0, "endOffset": 3, "status": "PENDING", "locked": False},
                {"partNo": 2, "startOffset": 4, "endOffset": 7, "status": "PENDING", "locked": False},
                {"partNo": 3, "startOffset": 8, "endOffset": 9, "status": "PENDING", "locked": False},
            ],
        }
        assert await api.put(upload, 3, DATA[8:]) == 200
        assert await api.put(upload, 1, DATA[:4]) == 200
        assert (await api.get(f"{upload}/1"))["status"] == "COMPLETE"
        assert await api.put(upload, 2, DATA[4:8]) == 200
        assert (await api.call("POST", file))[0] == 202
        done = await api.available(file)
        assert done["computed_md5"] == md5(DATA)
        assert (done["upload_url"], done["upload_token"]) == ("", record["upload_token"])
        assert (done["mimetype"], done["viewer_type"], done["preview_state"]) == (
            "text/csv",
            "dataset",
            "preview_available",
        )
        assert done["name"] == "a-b/ü.csv"
        assert (await api.get(upload))["status"] == "COMPLETED"
        whole = await api.get(item)
        assert [one["id"] for one in whole["files"]] == [done["id"]]
        assert whole["size"] == 10


async def test_an_initiate_responds_with_the_location_only(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        item = await api.item()
        body = json.dumps({"name": "a", "size": 1})
        async with api.http.post(f"{api.at.url}{item}/files", data=body, headers=AUTH) as answer:
            text = await answer.text()
            assert answer.status == 201
            assert text == f'{{"location": "{answer.headers["Location"]}"}}'
            assert answer.content_type == "application/json"


async def test_complete_responds_with_html(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        file = await api.send(await api.item(), DATA, complete=False)
        for _ in range(2):
            async with api.http.post(file, headers=AUTH) as answer:
                raw = await answer.read()
                assert (answer.status, len(raw)) == (202, 157)
                assert answer.headers["Content-Type"] == "text/html; charset=UTF-8"
                assert answer.headers["Location"] == file
        assert (await api.available(file))["computed_md5"] == md5(DATA)


async def test_an_update_responds_205_with_a_body(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        item = await api.item()
        assert (await api.get(item))["status"] == "draft"
        for method in ("PUT", "PATCH"):
            status, body = await api.call(method, item, {"description": method})
            assert (status, body) == (205, {"location": api.at.url + item, "warnings": []})
            whole = await api.get(item)
            assert (whole["status"], whole["description"], whole["title"]) == ("private", method, "An item")


async def test_the_owner_is_the_first_author(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        item = await api.item(authors=[{"name": "Ann Bee"}, {"first_name": "C.", "last_name": "Dee"}])
        names = [author["full_name"] for author in (await api.get(item))["authors"]]
        assert names == ["Sandbox Owner", "Ann Bee", "C. Dee"]


async def test_every_response_has_a_date(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        for url in (f"{api.at.url}/account", f"{api.at.url}/nothing", f"{api.at.upload_url}/nothing"):
            async with api.http.get(url) as answer:
                assert parsedate_to_datetime(answer.headers["Date"]).tzinfo is not None


async def test_listings_are_paged(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        item = await api.item()
        for number in range(12):
            await api.initiate(item, f"{number}.bin")
            await api.item(f"Item {number}")
        files = await api.get(f"{item}/files")
        assert [file["name"] for file in files] == [f"{number}.bin" for number in range(10)]
        rest = await api.get(f"{item}/files?page=2")
        assert [file["name"] for file in rest] == ["10.bin", "11.bin"]
        some = await api.get(f"{item}/files?limit=3&offset=4")
        assert [file["name"] for file in some] == ["4.bin", "5.bin", "6.bin"]
        assert len(await api.get(f"{item}/files?page_size=1000")) == 12
        titles = [row["title"] for row in await api.get("/account/articles?page_size=2")]
        assert titles == ["Item 11", "Item 10"]
        for query in ("page=1&limit=2", "page_size=1001", "limit=0", "page=0", "offset=5001", "page=x", "limit=١"):
            assert (await api.call("GET", f"{item}/files?{query}"))[0] == 422, query


async def test_the_token_is_required(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        good: list[dict[str, str]] = [AUTH, {"Authorization": f" token {TOKEN}"}, {"Authorization": f"TOKEN {TOKEN}"},
            {"Authorization": f"Bearer {TOKEN}"}]  # fmt: skip
        for headers in good:
            assert (await api.call("GET", "/account", headers=headers))[0] == 200
        assert (await api.call("GET", f"/account?access_token={TOKEN}", headers={}))[0] == 200
        bad = [{}, {"Authorization": "token wrong"}, {"Authorization": TOKEN}, {"Authorization": "Bearer wrong"}]
        for path in ("/account", "/account/articles", "/account/articles/1", "/account/articles/1/files/2", "/token"):
            for headers in bad:
                status, body = await api.call("GET", path, headers=headers)
                assert (status, body["code"]) == (403, "Forbidden"), path
        assert (await api.call("GET", "/account?access_token=wrong", headers={}))[0] == 403
        assert (await api.call("GET", "/licenses", headers={}))[0] == 200
        assert (await api.get("/token"))["access_token"] == TOKEN


async def test_unknown_resources_are_404(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        item = await api.item()
        other = await api.item()
        file = await api.initiate(item)
        number = file.rpartition("/")[2]
        for method, path in (
            ("GET", "/account/articles/999999999999999999"),
            ("GET", f"{item}/files/1"),
            ("POST", f"{item}/files/1"),
            ("DELETE", f"{item}/files/1"),
            ("GET", f"{other}/files/{number}"),
            ("GET", "/account/articles/1/files"),
            ("DELETE", "/account/articles/1"),
        ):
            status, body = await api.call(method, path)
            assert (status, set(body)) == (404, {"message", "code"}), path
        status, body = await api.call("POST", "/account/articles/1/files", {"name": "a", "size": 1})
        assert (status, body) == (404, {"message": "Article not found", "code": "EntityNotFound"})
        assert (await api.call("DELETE", "/account"))[0] == 404
        upload = await api.upload_url(file)
        for url in (f"{api.at.upload_url}/x", f"{upload}/4", f"{upload}/0", f"{upload}/x", f"{api.at.upload_url}/x/1"):
            async with api.http.get(url) as answer:
                assert (answer.status, await answer.read()) == (404, b""), url
        assert await api.put(upload, 4, b"1234") == 404


async def test_bodies_are_checked(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        item = await api.item()
        for raw in (b"", b"{", b"\xff", b'{"title": NaN}', b'{"title": "\\ud800 alone"}', b"[" * 100000):
            async with api.http.post(f"{api.at.url}/account/articles", data=raw, headers=AUTH) as answer:
                assert answer.status == 400, raw[:20]
        bad_items: list[Any] = [
            [], {}, {"title": "ab"}, {"title": "x" * 1001}, {"title": 3}, {"title": "abc", "tags": "x"},
            {"title": "abc", "categories": ["x"]}, {"title": "abc", "license": 99}, {"title": "abc", "authors": [{}]},
            {"title": "abc", "defined_type": "novel"}, {"title": "abc", "description": "x" * 20001},
        ]  # fmt: skip
        for body in bad_items:
            assert (await api.call("POST", "/account/articles", body))[0] == 422, body
        assert (await api.call("POST", "/account/articles", {"title": "abc", "categories": [1]}))[0] == 404
        bad_files: list[Any] = [
            {}, {"name": "a"}, {"size": 1}, {"name": "", "size": 1}, {"name": "a", "size": -1},
            {"name": "a", "size": "1"}, {"name": "a", "size": True}, {"name": "a", "size": 1.0},
            {"name": "a", "size": 0}, {"name": "a", "size": 2**63}, {"name": "a", "size": 1, "md5": "x"},
            {"name": "a", "size": 10**9}, {"name": "a\0", "size": 1}, {"link": "nowhere"}, {"link": 3},
        ]  # fmt: skip
        for body in bad_files:
            assert (await api.call("POST", f"{item}/files", body))[0] == 422, body
        assert await api.get(f"{item}/files") == []


async def test_names_are_stored_unchanged(tmp_path: Path) -> None:
    names = ["../../etc/passwd", "a\nb", "日本語 – ü.txt", "x" * 3000, "C:\\x", "?#%2e", ".", "a/b/c"]
    async with sandbox_api(tmp_path / "s") as api:
        item = await api.item()
        for name in names:
            await api.send(item, b"x", name)
        assert [file["name"] for file in await api.get(f"{item}/files")] == names
    assert {path.name for path in tmp_path.iterdir()} == {"s", "s.jsonl"}
    assert all(len(path.name) == 32 for path in (tmp_path / "s" / "files").iterdir())


async def test_folders_and_links(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        item = await api.item()
        file = await api.initiate(item, folder_path="/a/b")
        number = file.rpartition("/")[2]
        assert (await api.get(item))["folder_structure"] == {number: "a/b"}
        assert "a/b" not in json.dumps([await api.get(f"{item}/files"), await api.get(file)]), "only the item tells it"
        assert (await api.call("POST", f"{item}/files", {"link": "https://example.org/x.bin"}))[0] == 422
        linked = await api.item()
        _, body = await api.call("POST", f"{linked}/files", {"link": "https://example.org/x.bin"})
        record = await api.get(body["location"])
        assert record["is_link_only"] is True
        assert record["download_url"] == "https://example.org/x.bin"
        assert not {"upload_url", "upload_token"} & set(record)
        assert (await api.get(linked))["has_linked_file"] is True
        assert (await api.call("POST", body["location"]))[0] == 400
        assert (await api.call("DELETE", body["location"]))[0] == 204


async def test_download(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        item = await api.item()
        file = await api.send(item, DATA, 'a"\r\nb.txt')
        url = (await api.available(file))["download_url"]
        async with api.http.get(url, headers=AUTH) as answer:
            assert (answer.status, await answer.read()) == (200, DATA)
        async with api.http.get(url, params={"token": TOKEN}, headers={"Range": "bytes=2-4"}) as answer:
            assert (answer.status, await answer.read()) == (206, DATA[2:5])
        async with api.http.get(url, params={"token": "wrong"}) as answer:
            assert answer.status == 403
        async with api.http.head(url, headers=AUTH) as answer:
            assert (answer.status, answer.headers["Content-Length"]) == (200, "10")
        unfinished = await api.get(await api.initiate(item))
        async with api.http.get(unfinished["download_url"], headers=AUTH) as answer:
            assert answer.status == 404


async def test_deleting_an_item_deletes_its_files(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        item = await api.item()
        first, second = await api.send(item, DATA), await api.send(item, DATA, complete=False)
        uploads = [f"{api.at.upload_url}/{(await api.get(file))['upload_token']}" for file in (first, second)]
        assert (await api.call("DELETE", first))[0] == 204
        assert (await api.call("GET", first))[0] == 404
        assert (await api.call("GET", uploads[0]))[0] == 404
        assert await api.put(uploads[0], 1, DATA[:4]) == 404
        assert (await api.call("DELETE", item))[0] == 204
        assert (await api.call("GET", uploads[1]))[0] == 404
        assert (await api.call("GET", item))[0] == 404
        assert list((tmp_path / "s" / "files").iterdir()) == []


async def test_addresses_follow_the_host_header(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        file = await api.initiate(await api.item())
        port, upload_port = api.at.url.split(":")[2].removesuffix("/v2"), api.at.upload_url.split(":")[2]
        async with api.http.get(file, headers={**AUTH, "Host": f"localhost:{port}"}) as answer:
            record = await answer.json()
        assert record["upload_url"] == f"http://localhost:{upload_port}/{record['upload_token']}"
        assert record["download_url"] == f"http://localhost:{port}/files/{record['id']}"


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example:80", "10.1.2.3", "["])
async def test_another_host_gets_nothing(tmp_path: Path, host: str) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        item = await api.item()
        file = await api.initiate(item)
        upload = await api.upload_url(file)
        page = (await api.get(item))["url_private_html"]
        for url in (f"{api.at.url}/account", page, f"{api.at.url.removesuffix('v2')}", upload, f"{upload}/1"):
            async with api.http.get(url, headers={**AUTH, "Host": host}) as answer:
                assert answer.status == 421
                assert "Title" not in await answer.text()
        async with api.http.put(f"{upload}/1", data=DATA[:4], headers={"Host": host}) as answer:
            assert answer.status == 421
        assert (await api.call("GET", f"{upload}/1"))[1]["status"] == "PENDING"


async def test_public_addresses_take_precedence(tmp_path: Path) -> None:
    public = {"public_url": "https://fig.example/v2/", "public_upload_url": "https://up.example/upload"}
    async with sandbox_api(tmp_path / "s", **public) as api:
        item = await api.item()
        _, body = await api.call("POST", f"{item}/files", {"name": "a", "size": 1})
        assert body["location"].startswith(f"https://fig.example/v2{item}/files/")
        record = await api.get(item + "/files/" + body["location"].rpartition("/")[2])
        assert record["upload_url"] == f"https://up.example/upload/{record['upload_token']}"
        assert (await api.get(item))[
            "url_private_html"
        ] == f"https://fig.example{item}?{api.at.pages_url.partition('?')[2]}"
        assert api.at.pages_url.startswith("https://fig.example/?key=")


async def test_a_request_of_http_1_0_without_a_host(tmp_path: Path) -> None:
    import anyio

    async with sandbox_api(tmp_path / "s") as api:
        port = int(api.at.url.split(":")[2].removesuffix("/v2"))
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            await stream.send(f"GET /v2/account/articles?access_token={TOKEN} HTTP/1.0\r\n\r\n".encode())
            assert (await stream.receive()).startswith(b"HTTP/1.0 200")


async def test_the_request_log_has_everything_but_the_token(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        item = await api.item()
        file = await api.initiate(item)
        upload = await api.upload_url(file)
        async with api.http.put(f"{upload}/1", data=b"0123", headers=AUTH) as answer:
            assert answer.status == 200
        assert await api.put(upload, 1, b"0123") == 200
        await api.call("GET", f"/account?access_token={TOKEN}&x=1", headers={})
        records = api.requests()
        assert [record["kind"] for record in records] == [
            "create-item", "initiate", "get-file", "put-part", "put-part", "get-account",
        ]  # fmt: skip
        with_token, without = records[3], records[4]
        digest = hashlib.sha256(TOKEN.encode()).hexdigest()[:16]
        assert (with_token["service"], with_token["authorization"], with_token["token_sha256"]) == (
            "upload",
            True,
            digest,
        )
        assert (without["authorization"], without["token_sha256"]) == (False, None)
        assert (without["part_no"], without["part_before"], without["status"]) == (1, "COMPLETE", 200)
        assert (with_token["part_before"], with_token["received"], with_token["content_length"]) == ("PENDING", 4, 4)
        assert records[5]["query"] == {"x": "1"}
        assert TOKEN not in api.log_file.read_text()


async def test_fields_are_returned_as_set(tmp_path: Path) -> None:
    fields: dict[str, Any] = {
        "description": "<p>x</p>", "keywords": ["a", "b"], "references": ["https://example.org"], "license": 2,
        "categories_by_source_id": ["310907"], "defined_type": "software", "funding": "a grant",
        "funding_list": [{"title": "A grant"}], "timeline": {"firstOnline": "2020-01-01"}, "resource_doi": "10.1/x",
        "custom_fields_list": [{"name": "Site", "value": ["North"]}], "resource_title": "r", "is_metadata_record": True,
    }  # fmt: skip
    async with sandbox_api(tmp_path / "s", institution=True) as api:
        whole = await api.get(await api.item(**fields))
        assert whole["tags"] == whole["keywords"] == ["a", "b"]
        assert (whole["license"]["name"], whole["defined_type"], whole["defined_type_name"]) == ("CC0", 9, "software")
        assert [category["id"] for category in whole["categories"]] == [24418]
        assert whole["funding_list"][0]["title"] == "A grant"
        assert {one["name"]: one["value"] for one in whole["custom_fields"] if one["value"]} == {"Site": ["North"]}
        for name in ("description", "references", "funding", "timeline", "resource_doi", "resource_title"):
            assert whole[name] == fields[name]


async def test_concurrent_clients(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        item = await api.item()
        reader_gone = aiohttp.ClientTimeout(total=0.000001)
        for _ in range(20):
            with pytest.raises((TimeoutError, aiohttp.ClientError)):
                await api.http.get(f"{api.at.url}{item}", headers=AUTH, timeout=reader_gone)
        assert (await api.get(item))["title"] == "An item"
