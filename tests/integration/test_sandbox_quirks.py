"""Difficult behavior of Figshare: locks, short and long bodies, files that appear late, late MD5s, quotas."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import pytest
from anyio.abc import ByteStream

from tests.support.sandbox_api import Api, sandbox_api
from uploader.sandbox.parts import Cycle, Uniform
from uploader.sandbox.settings import Delays

pytestmark = pytest.mark.anyio

DATA = b"0123456789"


@contextlib.asynccontextmanager
async def raw_put(url: str, *headers: str, body: bytes = b"") -> AsyncIterator[ByteStream]:
    """A PUT whose bytes the test sends itself. Leaving the block closes the connection."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    async with await anyio.connect_tcp(parts.hostname, parts.port) as stream:
        head = "\r\n".join([f"PUT {parts.path} HTTP/1.1", f"Host: {parts.netloc}", *headers, "", ""])
        await stream.send(head.encode() + body)
        yield stream


async def answer_of(stream: ByteStream) -> bytes:
    """Everything received until the connection ends, perhaps with a reset."""
    got = b""
    with contextlib.suppress(anyio.EndOfStream, anyio.BrokenResourceError), anyio.fail_after(20):
        while True:
            got += await stream.receive()
    return got


async def poll(api: Api, url: str, good: Callable[[Any], bool]) -> Any:
    with anyio.fail_after(20):
        while not good(seen := await api.get(url)):
            await anyio.sleep(0.01)
    return seen


async def new_upload(api: Api, size: int = 10) -> tuple[str, str]:
    file = await api.initiate(await api.item(), size=size)
    return file, await api.upload_url(file)


async def test_a_part_is_locked_while_it_is_sent(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        _, upload = await new_upload(api)
        async with raw_put(f"{upload}/1", "Content-Length: 4", body=b"01") as stream:
            await poll(api, f"{upload}/1", lambda part: part["locked"])
            async with api.http.put(f"{upload}/1", data=b"0123") as answer:
                assert (answer.status, await answer.read()) == (409, b"")
            async with api.http.delete(f"{upload}/1") as answer:
                assert (answer.status, await answer.read()) == (409, b"")
            assert await api.put(upload, 2, b"4567") == 200
            await stream.send(b"23")
            assert b"200 OK" in await stream.receive()
        assert await api.get(f"{upload}/1") == {
            "partNo": 1,
            "startOffset": 0,
            "endOffset": 3,
            "status": "COMPLETE",
            "locked": False,
        }
        assert [record["locked_before"] for record in api.requests() if record["status"] == 409] == [True, True]


async def test_a_lock_lingers_when_the_connection_breaks(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s", lock_linger=3600) as api:
        _, upload = await new_upload(api)
        async with raw_put(f"{upload}/1", "Content-Length: 4", body=b"01"):
            await poll(api, f"{upload}/1", lambda part: part["locked"])
        with anyio.fail_after(20):
            while not any(record["outcome"] == "aborted" for record in api.requests()):
                await anyio.sleep(0.01)
        part = await api.get(f"{upload}/1")
        assert (part["status"], part["locked"]) == ("PENDING", True)
        assert await api.put(upload, 1, b"0123") == 409
        record = next(record for record in api.requests() if record["outcome"] == "aborted")
        assert (record["kind"], record["status"], record["part_no"]) == ("put-part", None, 1)
        assert 0 <= record["received"] <= 2


async def test_a_lock_expires(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s", lock_linger=0.05) as api:
        _, upload = await new_upload(api)
        async with raw_put(f"{upload}/1", "Content-Length: 4", body=b"01"):
            await poll(api, f"{upload}/1", lambda part: part["locked"])
        await poll(api, f"{upload}/1", lambda part: not part["locked"])
        assert await api.put(upload, 1, b"0123") == 200


async def test_a_short_body_hangs_until_the_connection_is_closed(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s", short_body_timeout=0.1) as api:
        _, upload = await new_upload(api)
        for headers, body in (
            (["Content-Length: 3"], b"012"),
            (["Content-Length: 0"], b""),
            ([], b""),
            (["Transfer-Encoding: chunked"], b"3\r\n012\r\n0\r\n\r\n"),
        ):
            async with raw_put(f"{upload}/1", *headers, body=body) as stream:
                assert await answer_of(stream) == b""
        assert (await api.get(f"{upload}/1"))["status"] == "PENDING"
        assert [record["outcome"] for record in api.requests()[-5:-1]] == ["too-short"] * 4


async def test_a_disconnect_during_a_short_body_is_logged(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s", short_body_timeout=3600) as api:
        _, upload = await new_upload(api)
        async with raw_put(f"{upload}/1", "Content-Length: 3", body=b"012"):
            await poll(api, f"{upload}/1", lambda part: part["locked"])
        await poll(api, f"{upload}/1", lambda part: not part["locked"])
        assert any(record["outcome"] == "aborted" for record in api.requests())


async def test_a_long_body_closes_the_connection(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        _, upload = await new_upload(api)
        for headers, body in (
            (["Content-Length: 5"], b"01234"),
            (["Content-Length: 1000000"], b"0" * 100000),
            (["Transfer-Encoding: chunked"], b"5\r\n01234\r\n0\r\n\r\n"),
        ):
            async with raw_put(f"{upload}/1", *headers, body=body) as stream:
                assert await answer_of(stream) == b""
        part = await api.get(f"{upload}/1")
        assert (part["status"], part["locked"]) == ("PENDING", False)
        assert [record["outcome"] for record in api.requests()[-4:-1]] == ["too-long"] * 3


async def test_chunked_transfer_coding(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        _, upload = await new_upload(api)
        async with raw_put(f"{upload}/1", "Transfer-Encoding: chunked", body=b"1\r\n0\r\n3\r\n123\r\n0\r\n\r\n") as s:
            assert b"200 OK" in await s.receive()
        assert (await api.get(f"{upload}/1"))["status"] == "COMPLETE"


async def test_a_body_is_stored_as_it_was_sent(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        _, upload = await new_upload(api)
        async with raw_put(f"{upload}/1", "Content-Length: 4", "Content-Encoding: gzip", body=b"0123") as stream:
            assert b"200 OK" in await stream.receive()


async def test_a_part_in_tiny_chunks(tmp_path: Path) -> None:
    size = 3000
    async with sandbox_api(tmp_path / "s", part_plan=Uniform(size)) as api:
        file, upload = await new_upload(api, size)
        chunks = b"".join(b"1\r\n%c\r\n" % (48 + number % 10) for number in range(size)) + b"0\r\n\r\n"
        async with raw_put(f"{upload}/1", "Transfer-Encoding: chunked") as stream:
            for start in range(0, len(chunks), 7):
                await stream.send(chunks[start : start + 7])
            assert b"200 OK" in await stream.receive()
        assert (await api.call("POST", file))[0] == 202
        assert next((tmp_path / "s" / "files").iterdir()).read_bytes() == DATA * 300


async def test_broken_framing_is_rejected(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        _, upload = await new_upload(api)
        async with raw_put(f"{upload}/1", "Transfer-Encoding: chunked", body=b"2\r\n01\r\nzz\r\n") as stream:
            assert b"200" not in await answer_of(stream)
        part = await poll(api, f"{upload}/1", lambda part: not part["locked"])
        assert part["status"] == "PENDING"


async def test_expect_continue_is_answered(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        _, upload = await new_upload(api)
        async with raw_put(f"{upload}/1", "Content-Length: 4", "Expect: 100-continue") as stream:
            assert b"100 Continue" in await stream.receive()
            await stream.send(b"0123")
            assert b"200 OK" in await stream.receive()


async def test_a_stalled_body_is_abandoned(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s", idle_timeout=0.1) as api:
        _, upload = await new_upload(api)
        async with raw_put(f"{upload}/1", "Content-Length: 4", body=b"0") as stream:
            assert await answer_of(stream) == b""
        assert any(record["outcome"] == "stalled" for record in api.requests())


async def test_a_complete_part_may_be_sent_again(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        file = await api.send(await api.item(), b"aaaaaaaaaa", complete=False)
        upload = await api.upload_url(file)
        for number, data in ((1, b"0123"), (2, b"4567"), (3, b"89")):
            assert await api.put(upload, number, data) == 200
        await api.call("POST", file)
        await api.available(file)
        blob = next((tmp_path / "s" / "files").iterdir())
        assert blob.read_bytes() == DATA


async def test_a_part_sent_again_and_broken_off_is_pending(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        file = await api.send(await api.item(), DATA, complete=False)
        upload = await api.upload_url(file)
        async with raw_put(f"{upload}/1", "Content-Length: 4", body=b"x"):
            await poll(api, f"{upload}/1", lambda part: part["locked"])
        part = await poll(api, f"{upload}/1", lambda part: not part["locked"])
        assert part["status"] == "PENDING"
        assert (await api.call("POST", file))[0] == 400


async def test_a_complete_part_may_be_rejected(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s", reput="refuse") as api:
        file = await api.send(await api.item(), DATA, complete=False)
        upload = await api.upload_url(file)
        assert await api.put(upload, 1, b"0123") == 409
        assert (await api.call("DELETE", f"{upload}/1"))[0] == 200
        assert (await api.get(f"{upload}/1"))["status"] == "PENDING"
        assert await api.put(upload, 1, b"0123") == 200


async def test_a_completed_upload_rejects_parts(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        file = await api.send(await api.item(), DATA, complete=False)
        upload = await api.upload_url(file)
        assert (await api.call("POST", file))[0] == 202
        assert await api.put(upload, 1, b"0123") == 409
        async with api.http.delete(f"{upload}/1") as answer:
            assert (answer.status, await answer.read()) == (409, b"")


async def test_completing_with_parts_missing(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "refuse") as api:
        file, _ = await new_upload(api)
        assert (await api.call("POST", file))[0] == 400
    async with sandbox_api(tmp_path / "accept", incomplete="accept") as api:
        file, upload = await new_upload(api)
        assert (await api.call("POST", file))[0] == 202
        assert (await api.get(file))["status"] == "created"
        assert await api.put(upload, 1, b"0123") == 200


async def test_new_files_are_hidden_from_the_first_requests(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s", hidden_gets=2) as api:
        item = await api.item()
        file = await api.initiate(item)
        assert await api.get(f"{item}/files") == []
        assert (await api.get(item))["files"] == []
        assert (await api.call("POST", file))[0] == 404
        assert [(await api.call("GET", file))[0] for _ in range(3)] == [404, 404, 200]
        assert len(await api.get(f"{item}/files")) == 1


async def test_new_files_are_hidden_for_a_while(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s", hidden_for=1000) as api:
        item = await api.item()
        file = await api.initiate(item)
        assert (await api.call("GET", file))[0] == 404
        assert await api.get(f"{item}/files") == []
        api.clock.ahead = 1001
        assert (await api.call("GET", file))[0] == 200


async def test_states_of_a_completed_file(tmp_path: Path) -> None:
    delays = Delays(created=100, checking=100, success=100, moving=100, md5=250)
    async with sandbox_api(tmp_path / "s", delays=delays) as api:
        file = await api.send(await api.item(), DATA)
        upload = await api.upload_url(file)
        seen = []
        for ahead in (0, 150, 250, 340, 360, 450):
            api.clock.ahead = ahead
            record = await api.until(file, lambda record: record["status"] != "ic_checking" or api.clock.ahead == 150)
            seen.append((record["status"], bool(record["upload_url"]), bool(record["computed_md5"])))
        assert seen == [
            ("created", True, False),
            ("ic_checking", False, False),
            ("ic_success", False, False),
            ("moving_to_final", False, False),
            ("moving_to_final", False, True),
            ("available", False, True),
        ]
        assert (await api.get(upload))["status"] == "COMPLETED"


async def test_an_md5_that_never_appears(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s", delays=Delays(checking=0, success=0, moving=0, md5=None)) as api:
        file = await api.send(await api.item(), DATA)
        record = await api.until(file, lambda record: record["status"] == "available")
        assert record["computed_md5"] == ""
        wrong = await api.send(await api.item(), DATA, md5="0" * 32)
        assert (await api.until(wrong, lambda record: record["status"] == "ic_failure"))["computed_md5"] == ""


async def test_a_wrong_supplied_md5_fails_the_check(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        file = await api.send(await api.item(), DATA, md5="0" * 32)
        record = await api.until(file, lambda record: record["computed_md5"])
        assert (record["status"], record["supplied_md5"]) == ("ic_failure", "0" * 32)
        right = await api.send(await api.item(), DATA, md5=record["computed_md5"].upper())
        await api.available(right)


async def test_quota_and_largest_file(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s", quota=100, max_file_size=50, quota_status=403) as api:
        item = await api.item()
        account = await api.get("/account")
        assert (account["quota"], account["used_quota"], account["maximum_file_size"]) == (100, 0, 50)
        status, body = await api.call("POST", f"{item}/files", {"name": "a", "size": 51})
        assert (status, body["code"]) == (403, "FileTooLarge")
        file = await api.initiate(item, size=50)
        await api.initiate(item, size=50)
        assert (await api.get("/account"))["used_quota"] == 100
        status, body = await api.call("POST", f"{item}/files", {"name": "a", "size": 1})
        assert (status, body["code"], body["data"]) == (
            403,
            "QuotaExceeded",
            {"quota": 100, "used_quota": 100, "size": 1},
        )
        assert (await api.call("DELETE", file))[0] == 204
        await api.initiate(item, size=1)
        assert len(list((tmp_path / "s" / "files").iterdir())) == 2


async def test_quota_may_count_completed_files_only(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s", quota=10, quota_counts="completed") as api:
        item = await api.item()
        await api.initiate(item)
        await api.send(item, DATA)
        assert (await api.get("/account"))["used_quota"] == 10
        assert (await api.call("POST", f"{item}/files", {"name": "a", "size": 1}))[0] == 422


async def test_empty_files_may_be_accepted(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s", empty_files="accept") as api:
        file = await api.initiate(await api.item(), size=0)
        upload = await api.upload_url(file)
        assert (await api.get(upload))["parts"] == []
        assert (await api.call("POST", file))[0] == 202
        record = await api.available(file)
        assert record["computed_md5"] == "d41d8cd98f00b204e9800998ecf8427e"
        async with api.http.get(record["download_url"], params={"token": "t0ken"}) as answer:
            assert (answer.status, await answer.read()) == (200, b"")


async def test_other_switches(tmp_path: Path) -> None:
    switches = {"auth_status": 401, "mixed_links": "accept", "item_files": 1, "latency": 0.001}
    async with sandbox_api(tmp_path / "s", **switches) as api:
        assert (await api.call("GET", "/account", headers={}))[0] == 401
        item = await api.item()
        numbers = [(await api.initiate(item, folder_path=name)).rpartition("/")[2] for name in ("a", "b")]
        assert (await api.call("POST", f"{item}/files", {"link": "https://example.org/x"}))[0] == 201
        whole = await api.get(item)
        assert len(whole["files"]) == 1
        assert whole["folder_structure"] == dict(zip(numbers, ("a", "b"), strict=True)), "of all files"


async def test_a_rate_slows_one_connection(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s", part_plan=Uniform(2**19), connection_rate=2**21) as api:
        _, upload = await new_upload(api, 2**19)
        began = anyio.current_time()
        assert await api.put(upload, 1, bytes(2**19)) == 200
        assert anyio.current_time() - began > 0.02


async def test_uneven_parts_in_any_order(tmp_path: Path) -> None:
    data = os.urandom(300_000)
    async with sandbox_api(tmp_path / "s", part_plan=Cycle((100_000, 7, 65_536))) as api:
        file = await api.initiate(await api.item(), size=len(data))
        upload = await api.upload_url(file)
        parts = (await api.get(upload))["parts"]
        assert [part["endOffset"] - part["startOffset"] + 1 for part in parts] == [
            100_000,
            7,
            65_536,
            100_000,
            7,
            34_450,
        ]
        async with anyio.create_task_group() as group:
            for part in reversed(parts):
                body = data[part["startOffset"] : part["endOffset"] + 1]
                group.start_soon(api.put, upload, part["partNo"], body)
        assert (await api.call("POST", file))[0] == 202
        await api.available(file)
        assert next((tmp_path / "s" / "files").iterdir()).read_bytes() == data


async def test_zeros_replace_earlier_bytes(tmp_path: Path) -> None:
    size = 2**20
    async with sandbox_api(tmp_path / "s", part_plan=Uniform(size)) as api:
        file, upload = await new_upload(api, 2 * size)
        blob = next((tmp_path / "s" / "files").iterdir())
        assert await api.put(upload, 1, bytes(size)) == 200
        assert blob.stat().st_blocks == 0
        assert await api.put(upload, 2, os.urandom(size)) == 200
        assert await api.put(upload, 2, bytes(size)) == 200
        assert blob.read_bytes() == bytes(2 * size)
        assert (await api.call("POST", file))[0] == 202
        assert (await api.available(file))["computed_md5"] == "b2d1236c286a3c0704224fe4105eca49"


async def test_a_file_deleted_while_a_part_is_sent(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        file, upload = await new_upload(api)
        async with raw_put(f"{upload}/1", "Content-Length: 4", body=b"01") as stream:
            await poll(api, f"{upload}/1", lambda part: part["locked"])
            assert (await api.call("DELETE", file))[0] == 204
            await stream.send(b"23")
            assert b" 404 " in await stream.receive()


async def test_a_full_disk_is_a_500_without_a_body(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    async with sandbox_api(tmp_path / "s") as api:
        _, upload = await new_upload(api)
        with monkeypatch.context() as patch:
            patch.setattr("uploader.sandbox.blobs._write_all", full)
            async with api.http.put(f"{upload}/1", data=b"0123") as answer:
                assert (answer.status, await answer.read()) == (500, b"")
        assert await api.put(upload, 1, b"0123") == 200
