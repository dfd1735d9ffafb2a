"""The sandbox is stopped or killed at bad moments, and restarted on the same directory: what survives."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.support.sandbox import Sandbox
from tests.support.waiting import until

PART = 2**16
DATA = os.urandom(5 * PART)
PLAN = ("--part-size", str(PART))

Start = Callable[..., Sandbox]


def call(method: str, url: str, body: Any = None, *, token: str | None = "t0ken") -> tuple[int, Any]:
    """One request on a separate connection; return JSON if the response has it."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=20)
    try:
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        headers = {} if token is None else {"Authorization": f"token {token}"}
        connection.request(method, parts.path, data, headers)
        answer = connection.getresponse()
        raw = answer.read()
        return answer.status, json.loads(raw) if answer.headers.get_content_type() == "application/json" else raw
    finally:
        connection.close()


def new_file(sandbox: Sandbox, size: int = len(DATA)) -> tuple[str, str]:
    """Make an item with a file; returns the file's address and its upload's."""
    _, item = call("POST", f"{sandbox.url}/account/articles", {"title": "An item"})
    _, made = call("POST", f"{item['location']}/files", {"name": "a.bin", "size": size})
    return made["location"], call("GET", made["location"])[1]["upload_url"]


def put(upload: str, number: int) -> None:
    assert call("PUT", f"{upload}/{number}", DATA[(number - 1) * PART : number * PART], token=None) == (200, b"OK")


def available(file: str) -> Any:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        record = call("GET", file)[1]
        if record["status"] == "available" and record["computed_md5"]:
            return record
        time.sleep(0.02)
    raise AssertionError(f"not available in time: {record}")


def half_put(upload: str, number: int) -> socket.socket:
    """Send half a part and leave the connection open; returns when the part is locked."""
    parts = urlsplit(upload)
    assert parts.hostname is not None
    assert parts.port is not None
    connection = socket.create_connection((parts.hostname, parts.port))
    head = f"PUT {parts.path}/{number} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Length: {PART}\r\n\r\n"
    connection.sendall(head.encode() + b"x" * (PART // 2))
    until(lambda: call("GET", f"{upload}/{number}", token=None)[1]["locked"])
    return connection


def test_a_kill_loses_no_part_and_releases_locks(start_sandbox: Start) -> None:
    sandbox = start_sandbox(*PLAN, "--lock-linger", "3600")
    file, upload = new_file(sandbox)
    for number in (1, 2, 4):
        put(upload, number)
    with half_put(upload, 3):
        sandbox.kill()
    sandbox.restart()
    parts = call("GET", upload, token=None)[1]["parts"]
    assert [part["status"] for part in parts] == ["COMPLETE", "COMPLETE", "PENDING", "COMPLETE", "PENDING"]
    assert not any(part["locked"] for part in parts)
    put(upload, 3)
    put(upload, 5)
    assert call("POST", file)[0] == 202
    record = available(file)
    assert record["computed_md5"] == hashlib.md5(DATA, usedforsecurity=False).hexdigest()
    assert call("GET", record["download_url"])[1] == DATA


def test_a_kill_after_the_completion_loses_no_md5(start_sandbox: Start) -> None:
    sandbox = start_sandbox(*PLAN, "--checking-delay", "3600", "--md5-delay", "3600")
    file, upload = new_file(sandbox)
    for number in range(1, 6):
        put(upload, number)
    assert call("POST", file)[0] == 202
    sandbox.kill()
    sandbox.restart("--checking-delay", "0", "--md5-delay", "0")
    assert available(file)["computed_md5"] == hashlib.md5(DATA, usedforsecurity=False).hexdigest()


def test_repeated_kills_lose_nothing(start_sandbox: Start) -> None:
    sandbox = start_sandbox(*PLAN)
    file, upload = new_file(sandbox)
    for number in range(1, 6):
        put(upload, number)
        sandbox.kill()
        sandbox.restart()
        done = [part["status"] for part in call("GET", upload, token=None)[1]["parts"]]
        assert done == ["COMPLETE"] * number + ["PENDING"] * (5 - number)
    assert call("POST", file)[0] == 202
    assert available(file)["size"] == len(DATA)


def test_stray_files_are_removed_at_the_start(start_sandbox: Start) -> None:
    sandbox = start_sandbox(*PLAN)
    new_file(sandbox)
    (sandbox.dir / "files" / "stray").write_bytes(b"x")
    sandbox.restart()
    assert len(list((sandbox.dir / "files").iterdir())) == 1


def test_the_log_has_requests_of_a_killed_client(start_sandbox: Start) -> None:
    sandbox = start_sandbox(*PLAN, "--lock-linger", "0")
    _, upload = new_file(sandbox)
    half_put(upload, 1).close()
    deadline = time.monotonic() + 20
    while not [line for line in sandbox.requests() if line["outcome"] == "aborted"]:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    record = next(line for line in sandbox.requests() if line["outcome"] == "aborted")
    assert (record["part_no"], record["part_before"], record["status"]) == (1, "PENDING", None)
    assert 0 <= record["received"] <= PART // 2


def test_memory_is_independent_of_the_part_size(start_sandbox: Start) -> None:
    size = 512 * 2**20
    sandbox = start_sandbox("--part-size", "1GiB")
    _, upload = new_file(sandbox, size)
    before = peak(sandbox.process.pid)
    parts = urlsplit(upload)
    assert parts.hostname is not None
    with socket.create_connection((parts.hostname, parts.port or 0)) as connection:
        head = f"PUT {parts.path}/1 HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Length: {size}\r\n\r\n"
        connection.sendall(head.encode())
        chunk = bytes(2**20)
        for _ in range(size // len(chunk)):
            connection.sendall(chunk)
        assert connection.recv(100).startswith(b"HTTP/1.1 200")
    assert peak(sandbox.process.pid) - before < 64 * 2**20
    blob = next((sandbox.dir / "files").iterdir())
    assert (blob.stat().st_size, blob.stat().st_blocks) == (size, 0)


def peak(pid: int) -> int:
    """Peak memory of a process in bytes."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
