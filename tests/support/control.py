"""Set and remove faults while a sandbox runs (started with --control)."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

from tests.support.sandbox import Sandbox


def _control(sandbox: Sandbox, method: str, body: dict[str, Any] | None = None) -> Any:
    address = sandbox.url.removesuffix("/v2") + "/sandbox/faults"
    headers = {"Authorization": f"token {sandbox.token}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(address, data, headers, method=method), timeout=10) as answer:
        return json.loads(answer.read() or b"null")


def add_faults(sandbox: Sandbox, *rules: str) -> None:
    """Add these rules; they count requests from now on. Raises OSError if the sandbox does not respond."""
    _control(sandbox, "POST", {"faults": list(rules)})


def times_met(sandbox: Sandbox, rule: str) -> int:
    """The number of requests so far that match this rule. Raises OSError when the sandbox does not answer."""
    return next(int(row["seen"]) for row in _control(sandbox, "GET") if row["fault"] == rule)


def drop_faults(sandbox: Sandbox) -> None:
    """Remove all. Raises OSError if the sandbox does not respond."""
    _control(sandbox, "DELETE")
