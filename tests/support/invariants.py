"""Invariants at the end of every scenario, checked with the sandbox."""

from __future__ import annotations

import hashlib
import json
import time
import urllib.request
from pathlib import Path
from typing import Any

from tests.support.sandbox import Sandbox


def ask(sandbox: Sandbox, path: str, body: dict[str, Any] | None = None, method: str | None = None) -> Any:
    """The JSON that the sandbox's API answers for a path below /v2; with a body, to a POST of it, or `method`."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"token {sandbox.token}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{sandbox.url}{path}", data, headers, method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def items(sandbox: Sandbox) -> list[dict[str, Any]]:
    """All items of the account."""
    rows: list[dict[str, Any]] = ask(sandbox, "/account/articles?page_size=1000")
    return rows


def files(sandbox: Sandbox, item_id: int) -> list[dict[str, Any]]:
    """All files of an item, unfinished ones included."""
    rows: list[dict[str, Any]] = ask(sandbox, f"/account/articles/{item_id}/files?page_size=1000")
    return rows


def md5_of(path: Path) -> str:
    """The MD5 of a local file, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "md5").hexdigest()


def download(sandbox: Sandbox, file: dict[str, Any]) -> bytes:
    """The bytes stored by the sandbox."""
    request = urllib.request.Request(file["download_url"], headers={"Authorization": f"token {sandbox.token}"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        content: bytes = answer.read()
    return content


def check_exactly_once(sandbox: Sandbox, *sources: Path) -> None:
    """Assert one item with each source exactly once with its bytes, and that no part was sent that Figshare had."""
    (item,) = items(sandbox)
    stored = files_at_rest(sandbox, item["id"])
    assert sorted(f["name"] for f in stored) == sorted(source.name for source in sources)
    by_name = {file["name"]: file for file in stored}
    for source in sources:
        file = by_name[source.name]
        assert file["computed_md5"] == md5_of(source)
        assert hashlib.md5(download(sandbox, file), usedforsecurity=False).hexdigest() == md5_of(source)
    check_nothing_sent_twice(sandbox)


def files_at_rest(sandbox: Sandbox, item_id: int) -> list[dict[str, Any]]:
    """The item's files once all are in their final place: only then they can be read."""
    deadline = time.monotonic() + 10
    while True:
        stored = files(sandbox, item_id)
        moving = [f for f in stored if f["status"] not in ("created", "available", "ic_failure")]
        if not moving or time.monotonic() > deadline:
            return stored
        time.sleep(0.02)


def history_of(sandbox: Sandbox, *item_ids: int) -> str:
    """All requests about these items and their files, one per line, for diagnosis."""
    shown = ("time", "kind", "file_id", "part_no", "status", "outcome", "fault", "seconds")
    return "\n".join(
        " ".join(f"{name}={entry[name]}" for name in shown if entry[name] is not None)
        for entry in sandbox.requests()
        if entry["item_id"] in item_ids
    )


def check_nothing_sent_twice(sandbox: Sandbox) -> None:
    """No part was sent that Figshare had COMPLETE."""
    assert sandbox.requests(kind="put-part", part_before="COMPLETE") == []


def check_token_stayed_home(sandbox: Sandbox) -> None:
    """No token reached the upload service."""
    assert sandbox.requests(service="upload", authorization=True) == []
