"""`figup sandbox` as a command: its output, its files, and how it ends."""

from __future__ import annotations

import http.client
import json
import re
import signal
import socket
import stat
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support.command import Figup
from tests.support.invariants import ask
from tests.support.sandbox import Sandbox

Start = Callable[..., Sandbox]


PAGES = re.compile(r"pages http://127\.0\.0\.1:\d+/\?key=[0-9a-f]{32}\n")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_stdout_has_the_ready_line_only(sandbox: Sandbox) -> None:
    assert sandbox.url.startswith("http://127.0.0.1:")
    assert sandbox.url.endswith("/v2")
    sandbox.stop()
    assert sandbox.process.stdout.text == f"ready {sandbox.url} statistics {sandbox.stats_url}\n"
    assert PAGES.fullmatch(sandbox.process.stderr.text)


def test_the_note_has_address_and_token(sandbox: Sandbox) -> None:
    note = sandbox.dir / "sandbox.json"
    assert mode(note) == 0o600
    said = json.loads(note.read_text())
    assert (said["url"], said["token"], said["pid"]) == (sandbox.url, "t0ken", sandbox.process.pid)
    assert urlsplit(said["upload_url"]).port != urlsplit(sandbox.url).port
    sandbox.stop()
    assert not note.exists()


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_cleanly_with_open_connections(start_sandbox: Start, signum: int) -> None:
    sandbox = start_sandbox("--part-size", "1MiB")
    api, upload = (
        urlsplit(json.loads((sandbox.dir / "sandbox.json").read_text())[key]) for key in ("url", "upload_url")
    )
    with (
        socket.create_connection((api.hostname or "", api.port or 0)) as idle,
        socket.create_connection((upload.hostname or "", upload.port or 0)) as busy,
    ):
        idle.sendall(b"GET /v2/licenses HTTP/1.1\r\nHost: x\r\n\r\n")
        assert idle.recv(10)
        busy.sendall(b"PUT /upload/x/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nabc")
        began = time.monotonic()
        sandbox.process.send_signal(signum)
        assert sandbox.process.wait(10) == 0
        assert time.monotonic() - began < 5
    assert PAGES.fullmatch(sandbox.process.stderr.text)


def test_a_second_sandbox_on_the_same_directory_is_rejected(sandbox: Sandbox, bare_figup: Figup) -> None:
    refused = bare_figup.run("sandbox", "--dir", str(sandbox.dir), "--token", "x").expect(8)
    assert refused.stdout == ""
    assert refused.stderr.count("\n") == 1
    assert str(sandbox.dir) in refused.stderr
    assert json.loads((sandbox.dir / "sandbox.json").read_text())["pid"] == sandbox.process.pid


def test_a_generated_token_is_kept(bare_figup: Figup) -> None:
    tokens = []
    for _ in range(2):
        running = bare_figup.start("sandbox")
        assert running.process.stdout.wait_for(lambda line: line.startswith("ready "), 20)
        running.send_signal(signal.SIGTERM)
        done = running.wait(10).expect(0)
        tokens.append(PAGES.sub("", done.stderr).removeprefix("token ").strip())
    kept = bare_figup.state_dir / "sandbox" / "token"
    assert tokens == [kept.read_text().strip()] * 2
    assert len(tokens[0]) >= 32
    assert mode(kept) == 0o600


def test_token_from_the_environment(bare_figup: Figup) -> None:
    bare_figup.env["FIGUP_SANDBOX_TOKEN"] = "from-env"
    running = bare_figup.start("sandbox")
    assert running.process.stdout.wait_for(lambda line: line.startswith("ready "), 20)
    assert json.loads((bare_figup.state_dir / "sandbox" / "sandbox.json").read_text())["token"] == "from-env"
    running.send_signal(signal.SIGTERM)
    assert PAGES.fullmatch(running.wait(10).expect(0).stderr)


def ready_at(figup: Figup) -> tuple[str, str]:
    """Start a sandbox, stop it, and return the addresses it had."""
    running = figup.start("sandbox", "--token", "x")
    assert running.process.stdout.wait_for(lambda line: line.startswith("ready "), 20)
    note = json.loads((figup.state_dir / "sandbox" / "sandbox.json").read_text())
    running.send_signal(signal.SIGTERM)
    running.wait(10).expect(0)
    return note["url"], note["upload_url"]


def test_ports_are_reused_after_a_restart_if_free(bare_figup: Figup) -> None:
    url, upload = ready_at(bare_figup)
    assert ready_at(bare_figup) == (url, upload)
    with socket.create_server(("127.0.0.1", urlsplit(upload).port or 0)):
        again, other = ready_at(bare_figup)
    assert again == url
    assert other != upload


def test_a_used_port_is_reported(sandbox: Sandbox, bare_figup: Figup) -> None:
    refused = bare_figup.run("sandbox", "--token", "x", "--port", str(urlsplit(sandbox.url).port)).expect(2)
    assert refused.stderr.count("\n") == 1
    assert "cannot listen on 127.0.0.1:" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize(
    "args",
    [
        ("--part-size", "0"),
        ("--part-plan", "1MiB,0"),
        ("--quota", "much"),
        ("--md5-delay", "soon"),
        ("--dir", "/proc/none"),
        ("--request-log", "/proc/none/log", "--token", "x"),
        ("surplus",),
        ("--fault", "put-part=explode"),
        ("--faults", "nowhere.toml"),
    ],
)
def test_errors_are_one_line(bare_figup: Figup, args: tuple[str, ...]) -> None:
    refused = bare_figup.run("sandbox", "--token", "x", *args).expect(2)
    assert refused.stdout == ""
    assert refused.stderr.count("\n") == 1
    assert refused.stderr.startswith("figup: ")


def test_faults_from_the_command_line_and_a_file(start_sandbox: Start, tmp_path: Path) -> None:
    (tmp_path / "faults.toml").write_text('faults = ["list-licenses:2=503"]')
    sandbox = start_sandbox("--fault", "list-licenses=429", "--faults", str(tmp_path / "faults.toml"))
    seen = []
    for _ in range(3):
        connection = http.client.HTTPConnection(urlsplit(sandbox.url).netloc, timeout=20)
        connection.request("GET", "/v2/licenses")
        seen.append(connection.getresponse().status)
        connection.close()
    assert seen == [429, 503, 200]


def test_an_invalid_file_of_faults_is_named(bare_figup: Figup, tmp_path: Path) -> None:
    (tmp_path / "faults.toml").write_text("faults = 3")
    refused = bare_figup.run("sandbox", "--token", "x", "--faults", str(tmp_path / "faults.toml")).expect(2)
    assert "faults.toml: only a list" in refused.stderr


def test_help_shows_the_grammar_of_faults(bare_figup: Figup) -> None:
    shown = bare_figup.run("sandbox", "--help").expect(0).stdout
    for words in ("put-part:2=reset-mid-body", "lost-answer", "--lock-linger", "[[fault]]"):
        assert words in shown


def test_an_invalid_database_is_reported(bare_figup: Figup, tmp_path: Path) -> None:
    (tmp_path / "sandbox.db").write_text("no database, but long enough to look like one" * 10)
    refused = bare_figup.run("sandbox", "--token", "x", "--dir", str(tmp_path)).expect(2)
    assert "sandbox.db cannot be used" in refused.stderr


def test_all_files_are_private(sandbox: Sandbox) -> None:
    for path in sandbox.dir.rglob("*"):
        assert mode(path) & 0o077 == 0, path


def test_custom_fields_of_another_institution(figup: Figup, start_sandbox: Start) -> None:
    (figup.cwd / "fields.json").write_text(
        '[{"name": "Grade", "field_type": "dropdown", "settings": {"options": ["A"]}}]'
    )
    sandbox = start_sandbox("--institution", "--custom-fields", str(figup.cwd / "fields.json"))
    assert [one["name"] for one in ask(sandbox, "/account/institution/custom_fields")] == ["Grade"]
    done = figup.run("sandbox", "--custom-fields", "fields.json").expect(2)
    assert done.stderr == "figup: --custom-fields needs --institution\n"
    (figup.cwd / "fields.json").write_text('[{"name": 1}]')
    done = figup.run("sandbox", "--institution", "--custom-fields", "fields.json").expect(2)
    assert "fields.json: not a list of custom fields: Expected `str`, got `int` - at `$[0].name`" in done.stderr


def test_figup_uploads_where_an_md5_is_required_and_no_token_is_sent_to_the_upload_service(
    bare_figup: Figup, start_sandbox: Start
) -> None:
    sandbox = start_sandbox("--md5", "require", "--upload-auth", "refuse", "--part-size", "1000")
    bare_figup.env |= {"FIGSHARE_ENDPOINT": sandbox.url, "FIGSHARE_TOKEN": sandbox.token}
    for name in ("a.bin", "b.bin"):
        (bare_figup.cwd / name).write_bytes(name.encode() * 500)
    bare_figup.run("upload", "a.bin", "b.bin", "--title", "Both").expect(0)
    refused = [entry["status"] for entry in sandbox.requests(kind="initiate") if entry["status"] != 201]
    assert refused in ([422], [422, 422]), "what the server requires is found out, not asked for again and again"
    assert {entry["status"] for entry in sandbox.requests(service="upload")} == {200}
