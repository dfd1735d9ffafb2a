"""The sandbox is isolated: loopback, its own folder, no access without its token."""

from __future__ import annotations

import json
import socket
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.invariants import ask, files
from tests.support.nets import ELSEWHERE, own_network
from tests.support.sandbox import Sandbox

OUTSIDE = Path(tempfile.gettempdir()) / "escaped"
NAMES = ("../../escaped", str(OUTSIDE), "..", "a/../../escaped", "escaped\x00.bin", "\\..\\escaped", ".escaped")


def call(sandbox: Sandbox, method: str, path: str, header: str | None, body: object = None) -> tuple[int, Any]:
    """Status and JSON of an answer, None where it is no JSON; `path` begins at the root, or is a whole address."""
    url = path if "://" in path else sandbox.url.removesuffix("/v2") + path
    data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, method=method)
    request.add_header("Content-Type", "application/json")
    if header is not None:
        request.add_header("Authorization", header)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            status, text = answer.status, answer.read()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, None
    return status, json.loads(text) if text.startswith((b"{", b"[")) else None


def test_names_are_never_used_as_paths(sandbox: Sandbox, tmp_path: Path) -> None:
    mine = f"token {sandbox.token}"
    item = ask(sandbox, "/account/articles", {"title": "../../escaped"})["entity_id"]
    for name in NAMES:
        body = {"name": name, "size": 3, "folder_path": "../../escaped"}
        status, made = call(sandbox, "POST", f"/v2/account/articles/{item}/files", mine, body)
        if status == 201:
            _, file = call(sandbox, "GET", made["location"], mine)
            assert call(sandbox, "PUT", f"{file['upload_url']}/1", None, b"abc")[0] == 200
        else:
            assert status in (400, 422), name
    assert files(sandbox, item)
    assert [path for path in tmp_path.rglob("*") if "escaped" in path.name] == []
    assert not OUTSIDE.exists()
    for path in ("/files/../../sandbox.json", "/files/..%2f..%2fsandbox.json", "/upload/../sandbox.db"):
        assert call(sandbox, "GET", path, mine)[0] in (400, 403, 404)


@pytest.mark.parametrize("header", [None, "token wr0ng", "token ", "t0ken", "token t0ken2"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v2/account"),
        ("GET", "/v2/account/articles"),
        ("POST", "/v2/account/articles"),
        ("DELETE", "/v2/account/articles/1"),
        ("POST", "/v2/account/articles/1/files"),
        ("GET", "/files/1"),
    ],
)
def test_every_operation_requires_the_token(shared: Sandbox, method: str, path: str, header: str | None) -> None:
    status, _ = call(shared, method, path, header, {"title": "abc"} if method == "POST" else None)
    assert status in (401, 403)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    made = Sandbox(tmp_path_factory.mktemp("shared") / "sandbox")
    try:
        made.start()
        yield made
    finally:
        made.stop()


def test_listens_on_loopback_only(tmp_path: Path) -> None:
    with own_network():
        sandbox = Sandbox(tmp_path / "sandbox")
        try:
            sandbox.start()
            for url in (sandbox.url, sandbox.upload_url):
                port = int(url.split(":")[2].split("/")[0])
                socket.create_connection(("127.0.0.1", port), timeout=5).close()
                with pytest.raises(ConnectionRefusedError):
                    socket.create_connection((ELSEWHERE, port), timeout=5)
        finally:
            sandbox.stop()
