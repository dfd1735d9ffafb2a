"""The context of handlers: the components of the running sandbox."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import ParamSpec, TypeVar

from aiohttp import web

from uploader.sandbox.addresses import Addresses, addresses
from uploader.sandbox.blobs import Blobs
from uploader.sandbox.custom_fields import CustomField, for_group
from uploader.sandbox.db import Database
from uploader.sandbox.faults import FaultRules
from uploader.sandbox.grants import Grants
from uploader.sandbox.hashing import Hasher
from uploader.sandbox.locks import PartLocks
from uploader.sandbox.request_log import RequestCounts, RequestLog
from uploader.sandbox.settings import Settings

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(slots=True, kw_only=True)
class Effects:
    """Effects of faults, in memory only."""

    revoked: bool = False
    """The token is no longer accepted."""
    quota_full: bool = False
    md5: dict[int, str] = field(default_factory=dict)
    """Files that get "wrong-md5" or "no-md5"."""
    answers: dict[str, tuple[float, bytes]] = field(default_factory=dict)
    """Time and body of recent responses to GETs, by path and query, oldest first: "stale" repeats them."""

    def clear(self) -> None:
        """Undo all effects."""
        self.revoked = self.quota_full = False
        self.md5.clear()
        self.answers.clear()


@dataclass(slots=True, kw_only=True)
class Context:
    """One running sandbox. `now` gives seconds since the epoch; `disk` is where bytes are read and written."""

    settings: Settings
    db: Database
    blobs: Blobs
    hasher: Hasher
    log: RequestLog
    disk: ThreadPoolExecutor
    now: Callable[[], float]
    faults: FaultRules
    effects: Effects
    grants: Grants
    refresh: Callable[[sqlite3.Connection], None]
    """Makes the documents of what changed; within a transaction."""
    counts: RequestCounts = field(default_factory=RequestCounts)
    """Counts of all requests since the start, if faults can be set over HTTP."""
    public_requests: deque[float] = field(default_factory=deque)
    """When public requests without a token were served, in the last hour."""
    seeded: bool = False
    """Whether there are seeded records, and the institutions and groups that they belong to."""
    added_values: dict[int, tuple[str, ...]] = field(default_factory=dict)
    """Values that were uploaded for large lists, by the id of the custom field."""
    locks: PartLocks = field(default_factory=lambda: PartLocks(time.monotonic))
    listening: str = ""
    """Host and port of the API."""
    upload_port: int = 0

    def addresses(self, request: web.Request) -> Addresses:
        """Return the URLs for the response to this request."""
        settings = self.settings
        # Without a Host header aiohttp would resolve the machine's name.
        host = request.headers.get("Host") or self.listening
        key = settings.page_key if request.get(AUTHORIZED) else ""
        return addresses(host, self.upload_port, settings.public_url, settings.public_upload_url, key)

    def custom_fields(self, group: int | None) -> tuple[CustomField, ...]:
        """Return the custom fields that a group's items have."""
        fields = for_group(self.settings.custom_fields, group) if self.settings.institution else ()
        return tuple(replace(one, values=one.values + self.added_values.get(one.id, ())) for one in fields)

    def is_throttled(self) -> bool:
        """Count a public request without a token; return whether it is one too many in an hour."""
        if not self.settings.hourly_limit:
            return False
        served, now = self.public_requests, self.now()
        while served and served[0] <= now - 3600:
            served.popleft()
        if len(served) >= self.settings.hourly_limit:
            return True
        served.append(now)
        return False

    async def on_disk(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function that blocks on the disk, in a thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.disk, lambda: function(*args, **kwargs))


CONTEXT = web.AppKey("context", Context)
AUTHORIZED = web.RequestKey("authorized", bool)
"""Whether a request to the API's port carries the token."""


def context_of(request: web.Request) -> Context:
    """Return the context of a request."""
    return request.config_dict[CONTEXT]
