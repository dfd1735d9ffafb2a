"""A scripted service on loopback, and a clock whose time passes only in sleeps."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import anyio.lowlevel

from uploader.clock import Clock

TOKEN = "c4nary-t0ken"
SECRET = "c4nary-upl0ad"


TIME_LIMIT = 2 * 86_400.0
"""Seconds after which waiting is taken for a loop without an end."""


class FakeClock(Clock):
    """Sleeping moves the clock at once; `random` is its upper end, so that delays are exact."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.sleeps: list[float] = []

    def monotonic(self) -> float:
        return self.time

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.time - 1000)

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.time += seconds
        if self.time > TIME_LIMIT:
            raise AssertionError("the code under test waits without an end")
        await anyio.lowlevel.checkpoint()

    def random(self) -> float:
        return 1.0


class GatedClock(FakeClock):
    """Sleeps end when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = anyio.Event()

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        await self.gate.wait()
        self.time += seconds


@dataclass
class Asked:
    """A request as the service saw it; `connection` counts connections from 1."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    connection: int

    def json(self) -> Any:
        return json.loads(self.body)


def reply(
    status: int, body: object = b"", headers: dict[str, str] | None = None, *, length: int | None = None
) -> bytes:
    """An HTTP answer; anything but bytes and text becomes JSON."""
    raw = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else json.dumps(body).encode()
    kind = "application/json" if not isinstance(body, bytes | str) else "text/html"
    head = {"Content-Type": kind, "Content-Length": str(len(raw) if length is None else length), **(headers or {})}
    if status == 204:
        del head["Content-Length"]
    lines = [f"HTTP/1.1 {status} Word", *(f"{key}: {value}" for key, value in head.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + raw


HANG = object()
"""A response: none, with the connection kept open."""

Script = Callable[[Asked], object]


class Service:
    """Answers come from `answers` in order (bytes; None: closes; HANG; a function of the request), then `script`."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.answers: list[object] = []
        self.script: Script | None = None
        self.connections = 0
        self.lost = asyncio.Event()
        self.port = 0

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def endpoint(self) -> str:
        return f"{self.origin}/v2"

    @property
    def upload_url(self) -> str:
        return f"{self.origin}/upload/{SECRET}"

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                asked = await read_request(reader, number)
                self.asked.append(asked)
                answer = self.answers.pop(0) if self.answers else self.script and self.script(asked)
                if callable(answer):
                    answer = answer(asked)
                if answer is HANG:
                    with contextlib.suppress(ConnectionError):
                        await reader.read()
                    self.lost.set()
                    break
                if not isinstance(answer, bytes):
                    break
                writer.write(answer)
                await writer.drain()
        writer.close()


async def read_request(reader: asyncio.StreamReader, connection: int = 0, *, body: bool = True) -> Asked:
    """Raises IncompleteReadError at the end of the connection."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, path, _ = head[0].split(" ")
    headers = {key.strip().title(): value.strip() for key, _, value in (line.partition(":") for line in head[1:-2])}
    length = int(headers.get("Content-Length", 0)) if body else 0
    return Asked(method, path, headers, await reader.readexactly(length), connection)


@contextlib.asynccontextmanager
async def listening(
    handle: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]], **options: Any
) -> AsyncIterator[int]:
    """Run a raw server on loopback; yield its port, and end every handler at the end."""
    tasks: set[asyncio.Task[Any]] = set()

    async def tracked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            with contextlib.suppress(asyncio.CancelledError, ConnectionError, asyncio.IncompleteReadError):
                await handle(reader, writer)
        finally:
            tasks.discard(task)
            writer.transport.abort()

    server = await asyncio.start_server(tracked, "127.0.0.1", 0, **options)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)
