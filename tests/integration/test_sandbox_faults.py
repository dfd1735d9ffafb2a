"""Every fault on a real connection: its effect on the client and on the store."""

from __future__ import annotations

import contextlib
import json
import math
import time
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import anyio
import pytest

from tests.support.sandbox_api import AUTH, Api, sandbox_api
from uploader.sandbox.faults import read_rule
from uploader.sandbox.parts import Uniform

pytestmark = pytest.mark.anyio

DATA = b"0123456789"
Sandbox = contextlib.AbstractAsyncContextManager[Api]


def faulty(directory: Path, *lines: str, **changes: Any) -> Sandbox:
    """A sandbox with these faults."""
    return sandbox_api(directory, faults=tuple(read_rule(line) for line in lines), **changes)


async def raw(url: str, method: str = "GET", body: bytes = b"") -> tuple[bytes, bool]:
    """Everything received on a bare connection, and whether it ended with a reset."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    got = b""
    async with await anyio.connect_tcp(parts.hostname, parts.port) as stream:
        head = [
            f"{method} {parts.path} HTTP/1.1",
            f"Host: {parts.netloc}",
            f"Authorization: {AUTH['Authorization']}",
            f"Content-Length: {len(body)}",
            "Connection: close",
        ]
        with anyio.fail_after(20):
            try:
                await stream.send("\r\n".join([*head, "", ""]).encode() + body)
                while True:
                    got += await stream.receive()
            except anyio.EndOfStream:
                return got, False
            except anyio.BrokenResourceError:
                return got, True


async def new_upload(api: Api, size: int = 10) -> tuple[str, str]:
    file = await api.initiate(await api.item(), size=size)
    return file, await api.upload_url(file)


async def test_statuses(tmp_path: Path) -> None:
    lines = [
        "get-account:1=503,retry-after=7", "get-account:2=429,retry-after=date:7", "get-account:3=504,body=html",
        "get-account:4=500,body=empty", "get-account:5=html", "get-account:6=waf-202", "get-account:7=waf-403",
        "get-account:8=waf-403,body=empty",
    ]  # fmt: skip
    seen = []
    async with faulty(tmp_path / "s", *lines) as api:
        asked = time.time()
        for _ in range(9):
            async with api.http.get(f"{api.at.url}/account", headers=AUTH) as answer:
                seen.append((answer.status, answer.content_type, len(await answer.read()), dict(answer.headers)))
        answered = time.time()
        assert [(status, kind) for status, kind, _, _ in seen] == [
            (503, "application/json"), (429, "application/json"), (504, "text/html"),
            (500, "application/octet-stream"), (200, "text/html"), (202, "application/octet-stream"),
            (403, "text/html"), (403, "text/html"), (200, "application/json"),
        ]  # fmt: skip
        assert seen[0][3]["Retry-After"] == "7"
        # Never earlier than requested, although a date has whole seconds.
        moment = parsedate_to_datetime(seen[1][3]["Retry-After"]).timestamp()
        assert math.ceil(asked) + 7 <= moment <= math.ceil(answered) + 7
        assert [seen[at][2] for at in (3, 5, 7)] == [0, 0, 0]
        assert seen[5][3]["x-amzn-waf-action"] == "challenge"
        assert [record["fault"] for record in api.requests()] == ["status"] * 4 + ["html", "waf-202"] + [
            "waf-403"
        ] * 2 + [None]


async def test_a_rejected_part_is_not_stored(tmp_path: Path) -> None:
    async with faulty(tmp_path / "s", "put-part@2:..2=500,body=empty") as api:
        _, upload = await new_upload(api)
        assert [await api.put(upload, 2, b"4567") for _ in range(3)] == [500, 500, 200]
        assert await api.put(upload, 1, b"0123") == 200


async def test_redirect(tmp_path: Path) -> None:
    async with faulty(
        tmp_path / "s",
        "get-account=redirect,to=http://example.org/?a=b",
        "get-account:2=redirect,to=http://x/,code=308",
    ) as api:
        for status, target in ((302, "http://example.org/?a=b"), (308, "http://x/")):
            async with api.http.get(f"{api.at.url}/account", headers=AUTH, allow_redirects=False) as answer:
                assert (answer.status, answer.headers["Location"]) == (status, target)


async def test_resets(tmp_path: Path) -> None:
    lines = ["get-account=reset", "put-part@1=reset", "create-item:2=reset-mid-body", "get-account:2=reset-mid-body"]
    async with faulty(tmp_path / "s", *lines) as api:
        _, upload = await new_upload(api)
        assert await raw(f"{api.at.url}/account") == (b"", True)
        assert await raw(f"{api.at.url}/account") == (b"", True)
        assert await raw(f"{upload}/1", "PUT", b"0123") == (b"", True)
        assert (await api.get(f"{upload}/1"))["status"] == "PENDING"
        assert await raw(f"{api.at.url}/account/articles", "POST", b'{"title": "abc"}') == (b"", True)
        assert len(await api.get("/account/articles")) == 1
        assert [record["outcome"] for record in api.requests() if record["fault"]] == ["reset"] * 4
        assert (await api.call("GET", "/account"))[0] == 200


async def test_a_part_reset_in_the_middle_of_its_body(tmp_path: Path) -> None:
    size = 2**20
    async with faulty(
        tmp_path / "s", "put-part@1=reset-mid-body", "put-part@2=reset-mid-body,bytes=5", part_plan=Uniform(size)
    ) as api:
        _, upload = await new_upload(api, 2 * size)
        assert await raw(f"{upload}/1", "PUT", b"x" * size) == (b"", True)
        assert await raw(f"{upload}/2", "PUT", b"x" * size) == (b"", True)
        broken = [record for record in api.requests() if record["fault"]]
        assert [(record["outcome"], record["received"], record["status"]) for record in broken] == [
            ("reset", size // 2, None),
            ("reset", 5, None),
        ]
        parts = (await api.get(upload))["parts"]
        assert [(part["status"], part["locked"]) for part in parts] == [("PENDING", False)] * 2
        assert await raw(f"{upload}/1", "PUT", b"x" * size) != (b"", True)


async def test_a_broken_part_keeps_its_lock(tmp_path: Path) -> None:
    async with faulty(tmp_path / "s", "put-part=reset-mid-body", lock_linger=3600) as api:
        _, upload = await new_upload(api)
        assert await raw(f"{upload}/1", "PUT", b"0123") == (b"", True)
        assert (await api.get(f"{upload}/1"))["locked"] is True


async def test_every_request_can_have_a_fault(tmp_path: Path) -> None:
    lines = ["publish-item=lost-answer", "create-item-link:2=503", "create-collection=cut-answer"]
    async with faulty(tmp_path / "s", *lines) as api:
        item = await api.item(description="d", categories=[24418], keywords=["k"])
        assert await raw(f"{api.at.url}{item}/publish", "POST") == (b"", True)
        assert (await api.get(item))["version"] == 1
        seen = [(await api.call("POST", f"{item}/private_links"))[0] for _ in range(3)]
        assert seen == [201, 503, 201]
        got, was_reset = await raw(f"{api.at.url}/account/collections", "POST", b'{"title": "abc"}')
        assert (got.startswith(b"HTTP/1.1 201"), was_reset) == (True, True)
        assert len(await api.get("/account/collections")) == 1


async def test_lost_answers_take_effect(tmp_path: Path) -> None:
    lines = ["create-item=lost-answer", "initiate=lost-answer", "put-part=lost-answer", "complete=lost-answer"]
    async with faulty(tmp_path / "s", *lines) as api:
        assert await raw(f"{api.at.url}/account/articles", "POST", b'{"title": "abc"}') == (b"", True)
        rows = await api.get("/account/articles")
        item = f"/account/articles/{rows[0]['id']}"
        body = json.dumps({"name": "a", "size": 4}).encode()
        assert await raw(f"{api.at.url}{item}/files", "POST", body) == (b"", True)
        (record,) = await api.get(f"{item}/files")
        assert await raw(f"{record['upload_url']}/1", "PUT", b"0123") == (b"", True)
        assert (await api.get(f"{record['upload_url']}/1"))["status"] == "COMPLETE"
        file = f"{item}/files/{record['id']}"
        assert await raw(f"{api.at.url}{file}", "POST") == (b"", True)
        await api.available(file)
        lost = [(entry["kind"], entry["status"], entry["outcome"]) for entry in api.requests() if entry["fault"]]
        assert lost == [
            ("create-item", 201, "lost"), ("initiate", 201, "lost"), ("put-part", 200, "lost"),
            ("complete", 202, "lost"),
        ]  # fmt: skip


async def test_hanging(tmp_path: Path) -> None:
    impatient = aiohttp.ClientTimeout(total=0.3)
    lines = ["create-item:..2=hang", "create-item:3=hang,seconds=0.01", "put-part=stall"]
    async with faulty(tmp_path / "s", *lines) as api:
        url = f"{api.at.url}/account/articles"
        for _ in range(2):
            with pytest.raises(TimeoutError):
                await api.http.post(url, json={"title": "abc"}, headers=AUTH, timeout=impatient)
        assert len(await api.get("/account/articles")) == 2
        _, upload = await new_upload(api)
        with pytest.raises(TimeoutError):
            await api.http.put(f"{upload}/1", data=b"0123", timeout=impatient)
        assert (await api.get(f"{upload}/1"))["status"] == "PENDING"


async def test_late_requests_are_processed_after_a_disconnect(tmp_path: Path) -> None:
    impatient = aiohttp.ClientTimeout(total=0.2)
    async with faulty(tmp_path / "s", "create-item=late,seconds=0.6", "put-part=late,seconds=0.6") as api:
        with pytest.raises(TimeoutError):
            await api.http.post(
                f"{api.at.url}/account/articles", json={"title": "abc"}, headers=AUTH, timeout=impatient
            )
        assert await api.get("/account/articles") == []
        with anyio.fail_after(20):
            while not await api.get("/account/articles"):
                await anyio.sleep(0.02)
        _, upload = await new_upload(api)
        with pytest.raises(TimeoutError):
            await api.http.put(f"{upload}/1", data=b"0123", timeout=impatient)
        part = await api.get(f"{upload}/1")
        assert (part["status"], part["locked"]) == ("PENDING", True)
        with anyio.fail_after(20):
            while (await api.get(f"{upload}/1"))["locked"]:
                await anyio.sleep(0.02)
        assert (await api.get(f"{upload}/1"))["status"] == "COMPLETE"
        late = [(entry["kind"], entry["status"], entry["outcome"]) for entry in api.requests() if entry["fault"]]
        assert late == [("create-item", 201, "aborted"), ("put-part", 200, "aborted")]


async def test_late_requests_of_a_waiting_client(tmp_path: Path) -> None:
    async with faulty(tmp_path / "s", "create-item=late,seconds=0.05") as api:
        began = time.monotonic()
        assert await api.item()
        assert time.monotonic() - began >= 0.05
        assert [entry["outcome"] for entry in api.requests() if entry["fault"]] == ["answered"]


async def test_a_stall_that_ends(tmp_path: Path) -> None:
    async with faulty(tmp_path / "s", "put-part=stall,seconds=0.01") as api:
        _, upload = await new_upload(api)
        assert await api.put(upload, 1, b"0123") == 200


async def test_answers_cut_short(tmp_path: Path) -> None:
    lines = [
        "get-account:1=cut-answer",
        "get-account:2=hang-mid-answer,seconds=0.05",
        "get-account:3=trickle,seconds=0",
    ]
    async with faulty(tmp_path / "s", *lines) as api:
        url = f"{api.at.url}/account"
        for _ in range(2):
            got, was_reset = await raw(url)
            head, _, body = got.partition(b"\r\n\r\n")
            assert was_reset
            assert head.startswith(b"HTTP/1.1 200")
            length = int(head.partition(b"Content-Length: ")[2].partition(b"\r")[0])
            assert len(body) == length // 2
        got, was_reset = await raw(url)
        assert not was_reset
        assert json.loads(got.partition(b"\r\n\r\n")[2])["id"]
        assert [record["outcome"] for record in api.requests()] == ["cut", "cut", "answered"]


async def test_invalid_json(tmp_path: Path) -> None:
    async with faulty(tmp_path / "s", "get-account:1=truncated-json", "get-account:2=invalid-json") as api:
        for _ in range(2):
            async with api.http.get(f"{api.at.url}/account", headers=AUTH) as answer:
                assert (answer.status, answer.content_type) == (200, "application/json")
                with pytest.raises(json.JSONDecodeError):
                    json.loads(await answer.read())


async def test_a_flipped_bit(tmp_path: Path) -> None:
    async with faulty(tmp_path / "s", "put-part@2=flip-bit,byte=2") as api:
        file = await api.send(await api.item(), DATA, md5="781e5e245d69b566979b86e28d23f2c7")
        record = await api.until(file, lambda record: record["computed_md5"])
        assert record["status"] == "ic_failure"
        assert next((tmp_path / "s" / "files").iterdir()).read_bytes() == b"0123457789"


async def test_a_lock_that_stays(tmp_path: Path) -> None:
    async with faulty(tmp_path / "s", "put-part@1=lock", "get-part@2=lock,seconds=0.05") as api:
        _, upload = await new_upload(api)
        assert [await api.put(upload, 1, b"0123") for _ in range(2)] == [409, 409]
        assert (await api.get(f"{upload}/2"))["locked"] is True
        assert (await api.get(upload))["parts"][0]["locked"] is True
        with anyio.fail_after(20):
            while await api.put(upload, 2, b"4567") != 200:
                await anyio.sleep(0.01)


async def test_aborted_and_lost_uploads(tmp_path: Path) -> None:
    async with faulty(
        tmp_path / "s", "put-part:2=abort-upload", "get-upload:3=lose-upload", "complete=abort-upload"
    ) as api:
        file, upload = await new_upload(api)
        assert [await api.put(upload, number, b"0123") for number in (1, 2)] == [200, 409]
        assert (await api.get(upload))["status"] == "ABORTED"
        assert (await api.call("POST", file))[0] == 400
        record = await api.get(file)
        assert (record["status"], record["upload_url"]) == ("created", upload)
        file, upload = await new_upload(api)
        assert (await api.get(upload))["status"] == "PENDING"
        assert (await api.call("GET", upload))[0] == 404
        assert await api.put(upload, 1, b"0123") == 404
        record = await api.get(file)
        assert (record["status"], record["upload_url"]) == ("created", upload)


async def test_hidden_files_and_missing_md5s(tmp_path: Path) -> None:
    lines = ["initiate:1=hide,seconds=3600", "complete:1=wrong-md5", "complete:2=no-md5", "complete:3=no-md5"]
    async with faulty(tmp_path / "s", *lines) as api:
        item = await api.item()
        hidden = await api.initiate(item)
        assert (await api.call("GET", hidden))[0] == 404
        assert await api.get(f"{item}/files") == []
        right = "781e5e245d69b566979b86e28d23f2c7"
        wrong = await api.available(await api.send(item, DATA))
        assert wrong["computed_md5"] == "681e5e245d69b566979b86e28d23f2c7"
        for supplied in ("", right):
            never = await api.send(item, DATA, md5=supplied)
            assert (await api.until(never, lambda record: record["status"] == "available"))["computed_md5"] == ""
        assert (await api.available(await api.send(item, DATA)))["computed_md5"] == right


async def test_a_stale_response_is_the_one_before_unless_it_is_too_old(tmp_path: Path) -> None:
    async with faulty(tmp_path / "s", "list-files:2..3=stale", "list-files:5=stale,seconds=0") as api:
        files = f"{await api.item()}/files"
        assert await api.get(files) == []
        await api.initiate(files.removesuffix("/files"))
        assert [len(await api.get(files)) for _ in range(2)] == [0, 0]
        assert len(await api.get(files)) == 1
        await api.initiate(files.removesuffix("/files"))
        assert len(await api.get(files)) == 2


async def test_full_quota_and_revoked_token(tmp_path: Path) -> None:
    async with faulty(tmp_path / "s", "initiate:2=quota-full", "get-item:2=revoke-token", control=True) as api:
        item = await api.item()
        await api.initiate(item)
        for _ in range(2):
            status, body = await api.call("POST", f"{item}/files", {"name": "a", "size": 1})
            assert (status, body["code"]) == (422, "QuotaExceeded")
        account = await api.get("/account")
        assert account["used_quota"] == account["quota"]
        await api.get(item)
        assert (await api.call("GET", item))[0] == 403
        assert (await api.call("GET", "/account"))[0] == 403
        control = api.at.url.removesuffix("/v2") + "/sandbox/faults"
        assert (await api.call("DELETE", control))[0] == 204
        await api.initiate(item)


async def test_the_control_endpoint(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "on", control=True) as api:
        control = api.at.url.removesuffix("/v2") + "/sandbox/faults"
        assert await api.get(control) == []
        assert (await api.call("GET", control, headers={}))[0] == 403
        status, body = await api.call("POST", control, {"fault": "get-account:2=503"})
        assert (status, body) == (201, [{"fault": "get-account:2=503", "seen": 0}])
        assert [(await api.call("GET", "/account"))[0] for _ in range(3)] == [200, 503, 200]
        assert (await api.call("POST", control, {"faults": ["any:every=reset-mid-body"]}))[0] == 201
        assert [entry["seen"] for entry in await api.get(control)] == [3, 0]
        mistakes: list[Any] = [{}, {"fault": 1}, {"faults": []}, {"faults": "x"}, {"fault": "x"}, {"faults": [1]}]
        for wrong in mistakes:
            assert (await api.call("POST", control, wrong))[0] == 422
        assert (await api.call("DELETE", control))[0] == 204
        assert await api.get(control) == []
    async with sandbox_api(tmp_path / "off") as api:
        assert (await api.call("GET", api.at.url.removesuffix("/v2") + "/sandbox/faults"))[0] == 404


async def test_pages_have_no_faults(tmp_path: Path) -> None:
    async with faulty(tmp_path / "s", "any:every=reset") as api:
        async with api.http.get(api.at.pages_url) as answer:
            assert answer.status == 200
        assert (await raw(f"{api.at.url}/account"))[1]
