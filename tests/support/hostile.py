"""A Figshare with one item and one file, whose responses a test can replace."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import json
import re
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeAlias

ITEM, FILE = 11, 22
SECRET = "c4nary-upl0ad"

_ROUTES = (
    ("account", "GET", r"/v2/account"),
    ("create", "POST", r"/v2/account/articles"),
    ("items", "GET", r"/v2/account/articles\?.*"),
    ("item", "GET", r"/v2/account/articles/\d+"),
    ("files", "GET", r"/v2/account/articles/\d+/files\?.*"),
    ("initiate", "POST", r"/v2/account/articles/\d+/files"),
    ("file", "GET", r"/v2/account/articles/\d+/files/\d+"),
    ("complete", "POST", r"/v2/account/articles/\d+/files/\d+"),
    ("delete", "DELETE", r"/v2/account/articles/\d+/files/\d+"),
    ("upload", "GET", r"/upload/[^/]+"),
    ("part", "GET", r"/upload/[^/]+/\d+"),
    ("put", "PUT", r"/upload/[^/]+/\d+"),
)

Stream: TypeAlias = Callable[[asyncio.StreamWriter], Awaitable[None]]
Answer: TypeAlias = bytes | Stream | None
"""The raw response, or a function that writes it; None closes the connection."""


@dataclass(frozen=True)
class Asked:
    """A request. `kind` is one of the routes above, "other" for an unknown path."""

    kind: str
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    before: int
    """Number of earlier requests on its connection."""


def answer(status: int, body: object = b"", **headers: str) -> bytes:
    """An HTTP response; other values than bytes and text are encoded as JSON."""
    raw = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else json.dumps(body).encode()
    head = {"Content-Length": str(len(raw)), **{name.replace("_", "-"): value for name, value in headers.items()}}
    lines = [f"HTTP/1.1 {status} Word", *(f"{name}: {value}" for name, value in head.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + raw


def endless(head: bytes, block: bytes, at_most: int = 1 << 30) -> Stream:
    """Send `head`, then `block` repeatedly until the client disconnects or has taken `at_most` bytes."""

    async def write(writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        for _ in range(at_most // len(block)):
            writer.write(block)
            await writer.drain()

    return write


@dataclass
class Hostile:
    """The server. `answers` replaces the responses to kinds of requests; `asked` has all requests."""

    port: int = 0
    size: int = 0
    md5: str = ""
    complete: bool = False
    answers: dict[str, Callable[[Asked], Answer]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)

    @property
    def url(self) -> str:
        """The value for FIGSHARE_ENDPOINT."""
        return f"http://127.0.0.1:{self.port}/v2"

    @property
    def upload_url(self) -> str:
        """Its normal upload URL."""
        return f"http://127.0.0.1:{self.port}/upload/{SECRET}"

    def kinds(self) -> list[str]:
        """The requests, in order."""
        return [asked.kind for asked in self.asked]

    def file(self, **changes: object) -> dict[str, Any]:
        """The file's record."""
        honest = {
            "id": FILE,
            "name": "data.bin",
            "size": self.size,
            "status": "available" if self.complete else "created",
            "upload_url": "" if self.complete else self.upload_url,
            "computed_md5": self.md5 if self.complete else "",
        }
        return {**honest, **changes}

    def upload(self, *ranges: tuple[int, int, int], **changes: object) -> dict[str, Any]:
        """The upload's record, with parts given as (number, first byte, last byte)."""
        parts = [
            {"partNo": no, "startOffset": start, "endOffset": end, "status": "PENDING", "locked": False}
            for no, start, end in ranges or [(1, 0, self.size - 1)]
        ]
        return {"token": SECRET, "size": self.size, "status": "PENDING", "parts": parts, **changes}

    def honest(self, asked: Asked) -> bytes:
        """State and normal responses of a Figshare."""
        if asked.kind == "initiate":
            self.size = json.loads(asked.body)["size"]
        elif asked.kind == "put":
            self.md5 = hashlib.md5(asked.body, usedforsecurity=False).hexdigest()
        elif asked.kind == "complete":
            self.complete = True
        status, body = {
            "account": (200, {"id": 1, "email": "a@example.org"}),
            "create": (201, {"entity_id": ITEM, "location": f"{self.url}/account/articles/{ITEM}"}),
            "item": (200, {"id": ITEM, "title": "data.bin", "figshare_url": f"{self.url}/{ITEM}"}),
            "items": (200, []),
            "files": (200, []),
            "initiate": (201, {"location": f"{self.url}/account/articles/{ITEM}/files/{FILE}"}),
            "file": (200, self.file()),
            "complete": (202, b""),
            "upload": (200, self.upload()),
            "part": (200, self.upload()["parts"][0]),
            "put": (200, b"OK"),
        }.get(asked.kind, (404, b""))
        return answer(status, body)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                for before in itertools.count():
                    asked = await _read(reader, before)
                    self.asked.append(asked)
                    said = self.answers.get(asked.kind, self.honest)(asked)
                    if said is None:
                        break
                    if isinstance(said, bytes):
                        writer.write(said)
                        await writer.drain()
                    else:
                        await said(writer)
        finally:
            writer.transport.abort()


async def _read(reader: asyncio.StreamReader, before: int) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, path, _ = head[0].split(" ")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:-2])}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    found = (kind for kind, verb, pattern in _ROUTES if verb == method and re.fullmatch(pattern, path))
    return Asked(next(found, "other"), method, path, headers, body, before)


@contextlib.contextmanager
def hostile() -> Iterator[Hostile]:
    """Run one in its own thread and event loop during the block."""
    made = Hostile()
    ready: Future[tuple[int, asyncio.AbstractEventLoop, asyncio.Event]] = Future()
    thread = threading.Thread(target=lambda: asyncio.run(_serve(made, ready)), name="hostile")
    thread.start()
    made.port, loop, end = ready.result(20)
    try:
        yield made
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join()


async def _serve(made: Hostile, ready: Future[tuple[int, asyncio.AbstractEventLoop, asyncio.Event]]) -> None:
    end = asyncio.Event()
    async with _listening(made) as port:
        ready.set_result((port, asyncio.get_running_loop(), end))
        await end.wait()


@contextlib.asynccontextmanager
async def _listening(made: Hostile) -> AsyncIterator[int]:
    tasks: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(made.handle(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)
