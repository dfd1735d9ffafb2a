"""A sandbox in the test's process, and a plain HTTP client for it."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import anyio

from uploader.sandbox.parts import Uniform
from uploader.sandbox.server import Running, running
from uploader.sandbox.settings import Delays, Settings

TOKEN = "t0ken"
AUTH = {"Authorization": f"token {TOKEN}"}
AT_ONCE = Delays(checking=0, success=0, moving=0, md5=0)


@dataclass
class Clock:
    """The time of day plus an offset set by a test."""

    ahead: float = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@dataclass
class Api:
    """A running sandbox and a session with it."""

    at: Running
    http: aiohttp.ClientSession
    log_file: Path
    clock: Clock = field(default_factory=Clock)

    async def call(
        self, method: str, path: str, body: Any = None, *, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """Make a request with the token; `path` may be a whole address. Return status and JSON (None without)."""
        url = path if path.startswith("http") else self.at.url + path
        data = None if body is None else json.dumps(body).encode()
        async with self.http.request(
            method, url, data=data, headers=AUTH if headers is None else headers, allow_redirects=False
        ) as answer:
            raw = await answer.read()
            return answer.status, json.loads(raw) if raw and answer.content_type == "application/json" else None

    async def get(self, path: str) -> Any:
        """The JSON of a GET that succeeds."""
        status, body = await self.call("GET", path)
        assert status == 200, (path, status, body)
        return body

    async def item(self, title: str = "An item", **fields: Any) -> str:
        """Make an item and return its path."""
        status, body = await self.call("POST", "/account/articles", {"title": title, **fields})
        assert status == 201, body
        return f"/account/articles/{body['entity_id']}"

    async def initiate(self, item: str, name: str = "a.bin", size: int = 10, **fields: Any) -> str:
        """Make a file and return its address."""
        status, body = await self.call("POST", f"{item}/files", {"name": name, "size": size, **fields})
        assert status == 201, body
        location: str = body["location"]
        return location

    async def upload_url(self, file: str) -> str:
        url: str = (await self.get(file))["upload_url"]
        return url

    async def put(self, upload: str, number: int, data: bytes) -> int:
        """Send a part and return the status."""
        async with self.http.put(f"{upload}/{number}", data=data) as answer:
            await answer.read()
            return answer.status

    async def send(self, item: str, data: bytes, name: str = "a.bin", *, complete: bool = True, **fields: Any) -> str:
        """Upload a whole file and return its address."""
        file = await self.initiate(item, name, len(data), **fields)
        upload = await self.upload_url(file)
        for part in (await self.get(upload))["parts"]:
            assert await self.put(upload, part["partNo"], data[part["startOffset"] : part["endOffset"] + 1]) == 200
        if complete:
            assert (await self.call("POST", file))[0] == 202
        return file

    async def until(self, file: str, good: Callable[[Any], bool]) -> Any:
        """The file's record once it is `good`; fails after 20 s."""
        with anyio.fail_after(20):
            while True:
                record = await self.get(file)
                if good(record):
                    return record
                await anyio.sleep(0.01)

    async def available(self, file: str) -> Any:
        """The file's record once it is available."""
        return await self.until(file, lambda record: record["status"] == "available" and record["computed_md5"])

    def requests(self) -> list[dict[str, Any]]:
        """The request log so far."""
        return [json.loads(line) for line in self.log_file.read_text(encoding="utf-8").splitlines()]


def settings_for(directory: Path, **changes: Any) -> Settings:
    """Settings without delays and with parts of 4 bytes."""
    values: dict[str, Any] = {
        "directory": directory,
        "token": TOKEN,
        "part_plan": Uniform(4),
        "delays": AT_ONCE,
        "lock_linger": 0.0,
        "request_log": directory.with_name(f"{directory.name}.jsonl"),
        **changes,
    }
    return Settings(**values)


@contextlib.asynccontextmanager
async def sandbox_api(directory: Path, **changes: Any) -> AsyncIterator[Api]:
    """Run a sandbox in this process during the block."""
    settings = settings_for(directory, **changes)
    clock = Clock()
    assert settings.request_log is not None
    async with running(settings, now=clock) as at, aiohttp.ClientSession() as http:
        yield Api(at, http, settings.request_log, clock)
