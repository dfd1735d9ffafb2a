"""A sandbox in a thread, for tests whose client blocks or is another process."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anyio.from_thread import BlockingPortal, start_blocking_portal

from tests.support.credentials import check_credentials
from tests.support.sandbox_api import TOKEN, Api, sandbox_api


@dataclass(frozen=True, kw_only=True)
class Served:
    """A running sandbox. `url` ends in /v2; `api` is a client on the sandbox's own event loop."""

    portal: BlockingPortal
    api: Api
    url: str
    token: str = TOKEN

    def get(self, path: str) -> Any:
        """The JSON of a GET that succeeds."""
        return self.portal.call(self.api.get, path)

    def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Status and JSON of a request with the token."""
        status, answer = self.portal.call(self.api.call, method, path, body)
        return status, answer

    def settled(self, path: str) -> dict[str, Any]:
        """The file at this path once it is available; fails after 20 s."""
        deadline = time.monotonic() + 20
        while (record := self.get(path))["status"] != "available":
            assert time.monotonic() < deadline, record
            time.sleep(0.02)
        found: dict[str, Any] = record
        return found

    def kinds(self) -> list[str]:
        """The requested operations, in order."""
        return [entry["kind"] for entry in self.api.requests()]


@contextlib.contextmanager
def served(directory: Path, **settings: Any) -> Iterator[Served]:
    """Run a sandbox with these settings during the block."""
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(sandbox_api(directory, **settings)) as api,
    ):
        yield Served(portal=portal, api=api, url=api.at.url)
        check_credentials(api.log_file)
