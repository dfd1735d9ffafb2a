"""The request log and its entries: a line is in the file before the response is sent."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import web

from uploader.sandbox.data_dir import SandboxUnusable


@dataclass(slots=True, kw_only=True)
class Entry:
    """A request; README.md describes each field of the log."""

    time: float
    service: str
    kind: str
    method: str
    path: str
    query: dict[str, str]
    content_length: int | None
    authorization: bool
    scheme: str | None
    token_sha256: str | None
    received: int = 0
    status: int | None = None
    outcome: str = "answered"
    fault: str | None = None
    item_id: int | None = None
    file_id: int | None = None
    part_no: int | None = None
    part_before: str | None = None
    locked_before: bool | None = None
    seconds: float = 0.0

    def line(self) -> bytes:
        """Return one line of JSON, newline included."""
        values: dict[str, Any] = {name: getattr(self, name) for name in self.__slots__}
        values["time"] = datetime.fromtimestamp(self.time, UTC).isoformat(timespec="milliseconds")
        values["seconds"] = round(self.seconds, 6)
        return json.dumps(values).encode() + b"\n"


ENTRY = web.RequestKey("record", Entry)


def item_id_of(request: web.Request) -> int:
    """Return the item id in the path, and record it for the log."""
    item_id = int(request.match_info["item_id"])
    request[ENTRY].item_id = item_id
    return item_id


def file_id_of(request: web.Request) -> int:
    """Return the file id in the path, and record it for the log."""
    file_id = int(request.match_info["file_id"])
    request[ENTRY].file_id = file_id
    return file_id


_SECRET = frozenset({"access_token", "token", "private_link"})


def credential(request: web.Request) -> str | None:
    """Return the token in the request's header or query, or None."""
    header = request.headers.get("Authorization")
    if header is not None:
        return header.strip().partition(" ")[2].strip()
    return request.query.get("access_token")


def _scheme(request: web.Request, presented: str | None) -> str | None:
    """Return how a credential was sent: token, bearer, basic …, or query."""
    header = request.headers.get("Authorization")
    if header is not None:
        return header.strip().partition(" ")[0].lower()
    return None if presented is None else "query"


def entry_of(request: web.Request, service: str, kind: str, now: float) -> Entry:
    """Create the entry of a request. Of a token only the first 16 digits of a hash are kept."""
    presented = credential(request)
    return Entry(
        time=now,
        service=service,
        kind=kind,
        method=request.method,
        path=request.path,
        query={name: value for name, value in request.query.items() if name not in _SECRET},
        content_length=request.content_length,
        authorization=presented is not None,
        scheme=_scheme(request, presented),
        token_sha256=None if not presented else hashlib.sha256(presented.encode("utf-8", "replace")).hexdigest()[:16],
    )


class RequestCounts:
    """Counts of requests: by service and operation, in the busiest second, and of repeated ones."""

    def __init__(self) -> None:
        self._kinds: dict[str, Counter[str]] = {}
        self._seconds: dict[str, Counter[int]] = {}
        self._asked: dict[str, set[str]] = {}

    def add(self, entry: Entry) -> None:
        """Count a request."""
        if entry.kind == "control":
            return
        self._kinds.setdefault(entry.service, Counter())[entry.kind] += 1
        self._seconds.setdefault(entry.service, Counter())[int(entry.time)] += 1
        asked = f"{entry.method} {entry.path}?{sorted(entry.query.items())}"
        self._asked.setdefault(entry.service, set()).add(asked)

    def listing(self) -> dict[str, Any]:
        """Return the counts by service. `repeated`: requests with the address and query of an earlier one."""
        return {
            service: {
                "requests": kinds.total(),
                "kinds": dict(kinds),
                "most_per_second": max(self._seconds[service].values()),
                "repeated": kinds.total() - len(self._asked[service]),
            }
            for service, kinds in self._kinds.items()
        }


class RequestLog:
    """Appends lines in a dedicated thread, each with one write. Does nothing without a path."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._descriptor: int | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sandbox-log")

    def open(self) -> None:
        """Open the file for appending; blocks. SandboxUnusable if that fails."""
        if self._path is None:
            return
        try:
            self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError as error:
            message = f"{self._path} cannot be written: {error.strerror}"
            raise SandboxUnusable(message) from error

    async def write(self, record: Entry) -> None:
        """Append one record; it is in the file when this returns, even if the caller is cancelled."""
        if self._descriptor is not None:
            line = record.line()
            await asyncio.get_running_loop().run_in_executor(self._thread, os.write, self._descriptor, line)

    def close(self) -> None:
        """Write pending lines and close; blocks."""
        self._thread.shutdown()
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
