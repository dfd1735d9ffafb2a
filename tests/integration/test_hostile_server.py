"""A malicious or broken server: a clear error with its documented status, in bounded memory and time."""

from __future__ import annotations

import asyncio
import gzip
import re
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.command import Figup, Result
from tests.support.forking import ForkedChild
from tests.support.hostile import FILE, SECRET, Answer, Asked, Hostile, answer, endless, hostile

TOKEN = "c4nary-t0ken-4d5e6f"
QUICK = ("--retry-timeout", "0.6s", "--settle-timeout", "0.5s", "--verify-timeout", "0.5s")
SIZE = 1000
MAX_MEMORY = 200 << 10
"""KiB; some 70 MiB are Python and the libraries."""
TIME_LIMIT = 20.0


def expanding(mebibytes: int) -> bytes:
    """Zeros as gzip, without its last block, which nobody should ask for."""
    packer = zlib.compressobj(level=9, wbits=31)
    first, second = (packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    return first + second * (mebibytes - 1)


GIGABYTE = gzip.compress(expanding(1024))
"""Compressed twice: a few kB that expand to a gigabyte."""

Lie = Callable[[Hostile], Answer]


@pytest.fixture
def server() -> Iterator[Hostile]:
    with hostile() as made:
        yield made


@pytest.fixture
def victim(bare_figup: Figup, server: Hostile) -> Figup:
    """The command with SIZE bytes to send to the server."""
    bare_figup.env |= {"FIGSHARE_ENDPOINT": server.url, "FIGSHARE_TOKEN": TOKEN}
    (bare_figup.cwd / "data.bin").write_bytes(b"x" * SIZE)
    return bare_figup


def suffer(victim: Figup, *args: str) -> Result:
    """One upload. Its memory and time are bounded, it shows no secret and nothing that controls a terminal."""
    started = time.monotonic()
    running = victim.start("upload", "data.bin", *QUICK, *args)
    done = running.wait(60)
    assert time.monotonic() - started < TIME_LIMIT
    assert isinstance(running.process.child, ForkedChild)
    if sys.platform == "linux":
        assert 0 < running.process.child.most_memory < MAX_MEMORY
    said = done.stdout + done.stderr
    assert [c for c in said if not c.isprintable() and c != "\n"] == []
    assert TOKEN not in said
    assert SECRET not in said
    assert "Traceback" not in said
    assert "internal error" not in said
    return done


def assert_reported(done: Result, status: int, *words: str) -> None:
    """Assert that it ended with this status, and that one line says why."""
    done.expect(status)
    lines = [line for line in done.stderr.splitlines() if all(word in line for word in words)]
    assert lines, done.stderr
    assert all(line.startswith("figup: ") for line in lines)


def lying(server: Hostile, kind: str, lie: Lie) -> None:
    server.answers[kind] = lambda _: lie(server)


# --- parts and addresses --------------------------------------------------------------------------------------------


def parts(*ranges: tuple[Any, Any, Any], **changes: object) -> Lie:
    return lambda server: answer(200, server.upload(*ranges, **changes))


@pytest.mark.parametrize(
    ("lie", "status", "words"),
    [
        pytest.param(parts((1, 0, 600), (2, 500, 999)), 1, "an overlap before part 2", id="overlap"),
        pytest.param(parts((1, 0, 400), (2, 500, 999)), 1, "a gap before part 2", id="gap"),
        pytest.param(parts((1, 0, 1500)), 1, "1501 bytes of an upload of 1000", id="past the end"),
        pytest.param(
            parts((1, 0, 1500), size=1501),
            75,  # it is restarted, but this server removes no file
            "restarting from the beginning: Figshare created its upload with 1501 bytes instead of 1000",
            id="of another size",
        ),
        pytest.param(parts((-1, 0, 999)), 1, "invalid part", id="negative"),
        pytest.param(parts((2**62, 0, 999)), 1, "invalid part", id="huge"),
        pytest.param(parts((10**400, 0, 999)), 1, "invalid part", id="a number of 400 digits"),
        pytest.param(parts((1, 0, 499), (1, 500, 999)), 1, "a part number twice", id="twice"),
        pytest.param(parts(("../../x", 0, 999)), 1, "response is not an upload", id="a path"),
        pytest.param(parts((1.5, 0, 999)), 1, "response is not an upload", id="half a part"),
    ],
)
def test_parts_that_do_not_cover_the_file(victim: Figup, server: Hostile, lie: Lie, status: int, words: str) -> None:
    lying(server, "upload", lie)
    assert_reported(suffer(victim), status, words)
    assert "put" not in server.kinds()
    assert "complete" not in server.kinds()


@pytest.mark.parametrize(("count", "status"), [(200_000, 1), (200_001, 1), (1_000_000, 1), (1_000_001, 1)])
def test_too_many_parts_are_an_error(victim: Figup, server: Hostile, count: int, status: int) -> None:
    row = b'{"partNo":%d,"startOffset":%d,"endOffset":%d,"status":"PENDING","locked":false}'
    body = b'{"token":"t","size":%d,"parts":[' % count + b",".join(row % (i + 1, i, i) for i in range(count)) + b"]}"
    (victim.cwd / "data.bin").write_bytes(bytes(count))
    lying(server, "upload", lambda _: answer(200, body))
    lying(server, "put", lambda _: answer(422, {"message": "that is enough"}))
    words = {200_000: "that is enough", 200_001: "lists more than 200000 parts"}.get(
        count, "its response is longer than"
    )
    assert_reported(suffer(victim), status, words)


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://127.0.0.1/x",
        "https://u:p@127.0.0.1/x",
        "http://example.org/upload/x",
        "http://169.254.169.254/latest/meta-data",
        "https://a..b/x",
        "https://\u202eevil/\x1b[31m",
        "https://\x9bevil.example/x",
    ],
)
def test_an_invalid_upload_url(victim: Figup, server: Hostile, url: str) -> None:
    lying(server, "file", lambda server: answer(200, server.file(upload_url=url)))
    assert_reported(suffer(victim), 1, "Figshare gave an", "upload address")
    assert "upload" not in server.kinds()


# --- ids, names and words -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("id", ["x", -5, 1.5, 10**400, True, {}, None])
def test_an_invalid_id(victim: Figup, server: Hostile, id: object) -> None:
    lying(server, "file", lambda server: answer(200, server.file(id=id)))
    assert_reported(suffer(victim), 1, "no valid id for the file")
    assert "put" not in server.kinds()


NASTY = "../../\x1b]0;pwned\x07\u202e\x9b31m\r\nfigup: all is verified"


def test_server_messages_cannot_control_the_terminal_or_paths(victim: Figup, server: Hostile) -> None:
    page = f"https://x/{NASTY}"
    lying(server, "item", lambda _: answer(200, {"id": 11, "title": NASTY, "figshare_url": page}))
    lying(server, "files", lambda server: answer(200, [server.file(id=5, name=NASTY, status=NASTY)]))
    lying(server, "file", lambda server: answer(200, server.file(name=NASTY, status=server.file()["status"])))
    # The item shows the file under another name at the end: not a success.
    done = suffer(victim, "--item", "11", "-vv", "--log-file", "log").expect(1)
    assert "figup: all is verified" not in [*done.stdout.splitlines(), *done.stderr.splitlines()]
    for command in (("jobs",), ("status", _job(victim)), ("auth", "status")):
        said = victim.run(*command).expect(0).stdout
        assert [c for c in said if not c.isprintable() and c != "\n"] == []
        assert "figup: all is verified" not in said.splitlines()
    log = (victim.cwd / "log").read_text()
    assert [c for c in log if not c.isprintable() and c != "\n"] == []
    assert {path.name for path in victim.cwd.iterdir()} == {"data.bin", "log", "state"}
    kept = {path.name for path in victim.state_dir.rglob("*")}
    assert [name for name in kept if re.fullmatch(r"[a-z0-9][a-z0-9.-]*", name) is None] == []


def _job(victim: Figup) -> str:
    (job,) = (victim.state_dir / "jobs").iterdir()
    return job.name


@pytest.mark.parametrize(
    ("kind", "lie", "status", "words"),
    [
        ("initiate", lambda _: answer(422, {"message": NASTY}), 1, "answered 422: ../../ ]0;pwned"),
        ("initiate", lambda _: answer(422, {"message": "z" * 60_000}), 1, "answered 422: zzz"),
        ("item", lambda _: b"HTTP/1.1 422 \x1b[31mred\r\nContent-Length: 0\r\n\r\n", 1, "answered 422"),
        ("item", lambda _: answer(307, b"", Location="https://evil\x1b[31m.example/"), 1, "are not followed"),
        ("put", lambda _: answer(307, b"", Location="http://evil.example/"), 1, "points to evil.example"),
        ("put", lambda _: answer(403, {"message": "Expired"}), 1, "answered 403: Expired. Run the same command again"),
        ("put", lambda _: answer(422), 1, "answered 422. Run the same command again later; if it is still refused"),
        ("upload", lambda _: answer(403), 1, "requests the upload's address again"),
        ("item", lambda _: answer(307, b"", Location="/x"), 1, "check the network and HTTPS_PROXY"),
        ("file", lambda s: answer(200, s.file(computed_md5=NASTY if s.complete else "")), 5, "MD5 differs"),
        ("account", lambda _: answer(200, '{"id":1,"quota":1e999}'), 2, "no JSON"),
        ("account", lambda _: answer(200, b"null"), 2, "does not answer as Figshare does"),
        ("account", lambda _: b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n{}", 75, "the response is not HTTP"),
        ("account", lambda _: b"SSH-2.0-OpenSSH\r\n\r\n", 75, "the response is not HTTP"),
        ("item", lambda _: answer(200, "[" * 1_000_000), 75, "with no JSON"),
        ("item", lambda _: answer(200, '{"a":' * 1_000_000), 75, "with no JSON"),
        ("item", lambda _: answer(503, b"", Retry_After="9" * 400), 75, "answered 503"),
    ],
)
def test_other_invalid_responses(victim: Figup, server: Hostile, kind: str, lie: Lie, status: int, words: str) -> None:
    lying(server, kind, lie)
    assert_reported(suffer(victim), status, words)


# --- without end ----------------------------------------------------------------------------------------------------

_PLAIN = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"
_CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("kind", "lie", "status", "words"),
    [
        ("item", lambda _: endless(_PLAIN, b" " * 65536), 1, "its response is longer than"),
        ("item", lambda _: endless(_CHUNKED, b"10000\r\n" + b" " * 65536 + b"\r\n"), 1, "its response is longer than"),
        ("upload", lambda _: endless(_PLAIN, b" " * 65536), 1, "its response is longer than"),
        ("put", lambda _: endless(_PLAIN, b" " * 65536), 1, "its response is longer than"),
        ("item", lambda _: endless(b"HTTP/1.1 500 No\r\n\r\n", b" " * 65536), 75, "answered 500"),
        ("item", lambda _: endless(b"HTTP/1.1 200 OK\r\n", b"A: " + b"y" * 4000 + b"\r\n"), 75, "not HTTP"),
        ("item", lambda _: answer(200, GIGABYTE, Content_Encoding="gzip, gzip"), 1, "its response is longer than"),
        ("put", lambda _: answer(200, GIGABYTE, Content_Encoding="gzip, gzip"), 1, "its response is longer than"),
        ("item", lambda _: answer(500, GIGABYTE, Content_Encoding="gzip"), 75, "answered 500"),
    ],
)
def test_an_answer_without_end(victim: Figup, server: Hostile, kind: str, lie: Lie, status: int, words: str) -> None:
    lying(server, kind, lie)
    assert_reported(suffer(victim), status, words)


def test_endless_responses_to_many_parts(victim: Figup, server: Hostile) -> None:
    lying(server, "upload", parts(*((i + 1, i, i) for i in range(SIZE))))
    lying(server, "put", lambda _: endless(_PLAIN, b" " * 65536))
    assert_reported(suffer(victim, "--connections", "32"), 1, "its response is longer than")


def test_a_response_before_the_end_of_a_part(victim: Figup, server: Hostile) -> None:
    """A success reported without the bytes is rejected: the MD5 decides."""
    server.answers["put"] = lambda asked: _claimed(server, asked)
    assert_reported(suffer(victim), 5, "MD5 differs")


def _claimed(server: Hostile, asked: Asked) -> Answer:
    server.md5 = "0" * 32
    return answer(200, b"OK")


def test_a_proxy_that_closes_connections_without_notice(victim: Figup, server: Hostile) -> None:
    server.answers["put"] = lambda asked: None if asked.before else server.honest(asked)
    suffer(victim).expect(0)
    assert server.kinds().count("put") == 2


def test_a_response_that_stops_half_way(victim: Figup, server: Hostile) -> None:
    async def half(writer: asyncio.StreamWriter) -> None:
        writer.write(answer(200, server.file())[:-5])

    server.answers["file"] = lambda _: half if server.kinds().count("file") == 1 else answer(200, server.file(id=FILE))
    started = victim.start("upload", "data.bin", *QUICK, "--json")
    while "file" not in server.kinds():
        time.sleep(0.05)
    started.send_signal(15)
    assert started.wait(TIME_LIMIT).returncode == 75
