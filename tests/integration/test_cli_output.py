"""Where output goes: terminals, pipes, unread pipes, logs; and what must not be in any of them."""

from __future__ import annotations

import os
import re
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.command import COMMAND, Figup
from tests.support.invariants import check_exactly_once, check_token_stayed_home, md5_of
from tests.support.sandbox import Sandbox

Start = Callable[..., Sandbox]
CANARY = "c4nary-9f8e7d6c5b4a-t0ken"


def source(figup: Figup, size: int = 1_000_000, name: str = "data.bin") -> Path:
    path = figup.cwd / name
    path.write_bytes(os.urandom(size))
    return path


def point(figup: Figup, sandbox: Sandbox) -> None:
    figup.env |= {"FIGSHARE_ENDPOINT": sandbox.url, "FIGSHARE_TOKEN": sandbox.token}


@pytest.fixture
def slow(bare_figup: Figup, start_sandbox: Start) -> Sandbox:
    """A sandbox with a slow checksum."""
    sandbox = start_sandbox("--part-size", "100KiB", "--md5-delay", "1")
    point(bare_figup, sandbox)
    return sandbox


# --- a terminal -----------------------------------------------------------------------------------------------------


def test_bars_on_a_terminal(slow: Sandbox, bare_figup: Figup) -> None:
    paths = [source(bare_figup, name=f"{name}.bin") for name in ("first", "second")]
    done = bare_figup.run_on_terminal("upload", "first.bin", "second.bin", "--limit-rate", "2M", "--title", "Two")
    assert done.returncode == 0
    for wanted in (r"total +\d+%\|", r"first\.bin +\d+%\|", r"second\.bin +\d+%\|", r"MB/s, [\d.]+ s left"):
        assert re.search(wanted, done.output), wanted
    assert "first.bin 100%, waiting for Figshare's checksum (" in done.output
    screen = [line for line in done.screen if line]
    assert [line.split(",")[0] for line in screen[:2]] == [f"{path.name}: 1.00 MB (1000000 bytes)" for path in paths]
    assert not [line for line in screen if "%|" in line], "nothing of the bars is left"
    check_exactly_once(slow, *paths)


def test_a_narrow_terminal_and_a_name_that_is_not_fit_for_it(slow: Sandbox, bare_figup: Figup) -> None:
    name = "数据\n\x1b[31m" + "long" * 30 + ".bin"
    path = source(bare_figup, name=name)
    done = bare_figup.run_on_terminal("upload", name, "--limit-rate", "1M", "--title", "Odd", columns=40, rows=8)
    assert done.returncode == 0
    assert "\x1b[31m" not in done.output
    assert "100%, awaiting checksum" in done.output
    lines = [line for line in re.split(r"[\r\n]+", done.output) if re.search(r"\d%, ", line)]
    assert lines
    assert all(len(re.sub(r"\x1b\[[A-Z]", "", line)) <= 40 for line in lines)
    check_exactly_once(slow, path)


def test_no_progress_and_quiet_draw_nothing_on_a_terminal(slow: Sandbox, bare_figup: Figup) -> None:
    source(bare_figup, 10_000)
    done = bare_figup.run_on_terminal("upload", "data.bin", "--no-progress", "--title", "Some data")
    assert done.returncode == 0
    assert "%" not in done.output
    assert "verified" in done.output
    quiet = bare_figup.run_on_terminal("upload", "data.bin", "--quiet", "--new-job")
    assert (quiet.returncode, quiet.output) == (0, "")


def test_errors_and_differences_are_colored_only_on_a_terminal(bare_figup: Figup, sandbox: Sandbox) -> None:
    point(bare_figup, sandbox)
    path = source(bare_figup, 1_000)
    item = str(bare_figup.run("upload", path.name, "--json", "--title", "Some data").expect(0).summary["item_id"])
    same = bare_figup.run_on_terminal("verify", item, path.name)
    assert ": \x1b[32mthe same\x1b[0m (" in same.output
    path.write_bytes(b"x")
    different = bare_figup.run_on_terminal("verify", item, path.name)
    assert ": \x1b[31mDIFFERENT\x1b[0m (" in different.output
    mistake = bare_figup.run_on_terminal("status", "nope")
    assert mistake.output.startswith("\x1b[31mfigup:\x1b[0m ")
    plain = [
        bare_figup.run_on_terminal("verify", item, path.name, "--no-color").output,
        bare_figup.run_on_terminal("status", "nope", "--no-color").output,
        bare_figup.run_on_terminal("nope", "--no-color").output,
        bare_figup.run("verify", item, path.name).expect(5).stdout,
        bare_figup.run("status", "nope").expect(4).stderr,
    ]
    assert all(text and "\x1b" not in text for text in plain)


def test_log_lines_and_retries_do_not_disturb_the_bars(bare_figup: Figup, start_sandbox: Start) -> None:
    sandbox = start_sandbox("--part-size", "100KiB", "--md5-delay", "1")
    point(bare_figup, sandbox)
    source(bare_figup)
    done = bare_figup.run_on_terminal(
        "upload", "data.bin", "--limit-rate", "2M", "--title", "Some data", "-vv", columns=200, rows=60
    )
    assert done.returncode == 0
    logged = [line for line in done.screen if " DEBUG uploader." in line]
    assert len(logged) > 10
    assert all(re.match(r"\d\d:\d\d:\d\d\.\d{3}Z DEBUG uploader\.", line) for line in logged)


def test_auth_login_prompts_without_echo(bare_figup: Figup, sandbox: Sandbox) -> None:
    bare_figup.env["FIGSHARE_ENDPOINT"] = sandbox.url
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        [*COMMAND, "auth", "login"],
        env=bare_figup.env,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    seen = b""
    try:
        while b"not shown): " not in seen:
            seen += os.read(ours, 4096)
        os.write(ours, f"{sandbox.token}\n".encode())
        while b"The token is in" not in seen:
            seen += os.read(ours, 4096)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    assert sandbox.token.encode() not in seen
    assert b"Logged in at" in seen


# --- pipes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [["--json"], []])
def test_a_closed_pipe_does_not_stop_the_upload(figup: Figup, sandbox: Sandbox, words: list[str]) -> None:
    path = source(figup)
    process = subprocess.Popen(
        [*COMMAND, "upload", "data.bin", *words],
        env=figup.env,
        cwd=figup.cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    with process.stderr as stderr:
        said = stderr.read()
    assert process.wait(30) == 0
    assert "BrokenPipe" not in said
    assert "Traceback" not in said
    check_exactly_once(sandbox, path)


def test_help_into_a_pipe_that_is_closed(bare_figup: Figup) -> None:
    process = subprocess.Popen(
        [*COMMAND, "upload", "--help"], env=bare_figup.env, cwd=bare_figup.cwd, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    with process.stderr as stderr:
        assert stderr.read() == b""
    process.wait(10)


def test_closed_streams_do_not_matter(figup: Figup, sandbox: Sandbox) -> None:
    path = source(figup)
    command = " ".join([*COMMAND, "upload", "data.bin", "--json", ">&-", "2>&-", "<&-"])
    done = subprocess.run(["sh", "-c", command], env=figup.env, cwd=figup.cwd, check=False, timeout=30)
    assert done.returncode == 0
    check_exactly_once(sandbox, path)


def test_a_full_disk_under_stdout_is_reported_without_stopping_the_upload(figup: Figup, sandbox: Sandbox) -> None:
    if not os.access("/dev/full", os.W_OK):
        pytest.skip("no /dev/full here")
    path = source(figup)
    command = " ".join([*COMMAND, "upload", "data.bin", "--json", ">/dev/full"])
    done = subprocess.run(
        ["sh", "-c", command], env=figup.env, cwd=figup.cwd, check=False, timeout=30, capture_output=True, text=True
    )
    assert done.returncode == 0
    assert done.stderr.count("cannot write to stdout: No space left on device\n") == 1
    check_exactly_once(sandbox, path)


@pytest.mark.parametrize("words", ["jobs", "jobs --json", "--help", "auth status"])
def test_a_command_that_cannot_write_its_result_does_not_exit_with_0(figup: Figup, words: str) -> None:
    command = " ".join([*COMMAND, words, ">/dev/full"])
    done = subprocess.run(
        ["sh", "-c", command], env=figup.env, cwd=figup.cwd, check=False, timeout=60, capture_output=True, text=True
    )
    assert done.returncode == 75
    assert done.stderr.count("cannot write to stdout") == 1
    assert "Traceback" not in done.stderr


def test_an_ascii_only_output(figup: Figup, sandbox: Sandbox) -> None:
    path = source(figup, name="Größe.bin")
    figup.env |= {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = figup.run("upload", path).expect(0)
    assert "Gr\\xf6\\xdfe.bin: 1.00 MB" in done.stdout
    check_exactly_once(sandbox, path)


# --- logs, and the token --------------------------------------------------------------------------------------------


def test_there_is_no_log_by_default(figup: Figup) -> None:
    source(figup)
    assert "DEBUG" not in figup.run("upload", "data.bin").expect(0).stderr
    assert figup.run("jobs").expect(0).stderr == ""


def test_a_log_file_is_private_and_has_times(figup: Figup) -> None:
    source(figup)
    figup.run("upload", "data.bin", "--log-file", "log.txt", "--json").expect(0)
    log = figup.cwd / "log.txt"
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    lines = log.read_text().splitlines()
    assert any("POST /v2/account/articles" in line for line in lines)
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (DEBUG|INFO) uploader\.", line) for line in lines)


def test_a_log_file_that_cannot_be_written(figup: Figup) -> None:
    source(figup)
    done = figup.run("upload", "data.bin", "--log-file", "nowhere/log.txt", "--json").expect(2)
    assert [event["event"] for event in done.events] == ["error", "summary"]
    assert "nowhere/log.txt" in done.events[0]["message"]


def test_the_token_is_not_in_any_output(bare_figup: Figup, start_sandbox: Start) -> None:
    sandbox = start_sandbox("--part-size", "100KiB", token=CANARY)
    point(bare_figup, sandbox)
    source(bare_figup)
    said = ""
    for words in (
        ["upload", "data.bin", "-vv", "--json"],
        ["upload", "data.bin", "-vv", "--new-job"],
        ["upload", "data.bin", "--item", "999", "-vv"],
        ["verify", "30000001", "data.bin", "-vv"],
        ["auth", "status", "-vv", "--json"],
        ["jobs", "-vv"],
        ["upload", "data.bin", "--dry-run", "-vv"],
    ):
        done = bare_figup.run(*words, "--log-file", "log.txt")
        said += done.stdout + done.stderr
    bare_figup.env["FIGSHARE_TOKEN"] = f"{CANARY}x"
    wrong = bare_figup.run("upload", "data.bin", "--new-job", "-vv", "--log-file", "log.txt").expect(3)
    del bare_figup.env["FIGSHARE_TOKEN"]
    login = bare_figup.run("auth", "login", "-vv", "--json", input=f"{CANARY}\n").expect(0)
    said += wrong.stdout + wrong.stderr + login.stdout + login.stderr
    assert CANARY not in said
    kept = [
        path for path in bare_figup.cwd.rglob("*") if path.is_file() and CANARY in path.read_bytes().decode("latin-1")
    ]
    assert [path.name for path in kept] == ["tokens.json"]
    check_token_stayed_home(sandbox)


# --- help -----------------------------------------------------------------------------------------------------------

COMMANDS = [
    ["upload"], ["resume"], ["jobs"], ["status"], ["cancel"], ["verify"], ["sandbox"], ["demo"], ["auth", "login"],
    ["auth", "status"], ["auth", "logout"],
]  # fmt: skip


def test_the_help_names_every_command(bare_figup: Figup) -> None:
    text = bare_figup.run("--help").expect(0).stdout
    for command, *_ in COMMANDS:
        assert re.search(rf"^  {command} +\w", text, re.MULTILINE)
    assert "FIGSHARE_TOKEN" in text
    assert bare_figup.run("-h").expect(0).stdout == text


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_a_help(bare_figup: Figup, command: list[str]) -> None:
    text = bare_figup.run(*command, "--help").expect(0).stdout
    assert text.startswith("Usage: figup" if command != ["sandbox"] else "Usage: ")
    if command[0] not in ("sandbox", "demo"):
        for option in ("--endpoint", "--token-file", "--sandbox", "--state-dir", "--json", "--quiet", "--log-file"):
            assert option in text
        assert "FIGSHARE_TOKEN" in text


def test_every_option_of_upload_shows_its_default(bare_figup: Figup) -> None:
    text = " ".join(bare_figup.run("upload", "--help").expect(0).stdout.split())
    for default in (
        "auto",
        "no limit",
        "1; no limit with --sandbox",
        "15min",
        "60s",
        "10s",
        "30s",
        "from the metadata, or the name of the first path",
    ):
        assert f"[default: {default}]" in text
    assert "-- -odd-name.csv" in text


def test_a_dumb_terminal_gets_lines_instead_of_bars(figup: Figup) -> None:
    source(figup)
    figup.env["TERM"] = "dumb"
    done = figup.run_on_terminal("upload", "data.bin", columns=80)
    assert done.returncode == 0
    assert "\x1b" not in done.output
    assert "1 of 1 file verified" in done.output


def test_v_logs_steps_and_vv_logs_every_request(figup: Figup) -> None:
    path = source(figup)
    said = figup.run("upload", "data.bin", "-v", "--private-link").expect(0).stderr
    for words in (
        "begins: 1 file",
        r"item \d+ created: http://",
        rf"{path}: begun as file \d+: ",
        rf"{path}: sent; Figshare computes its MD5",
        rf"{path}: verified, MD5 {md5_of(path)}",
        "private link: done",
    ):
        assert re.search(rf"^\S+Z INFO uploader\.cli: .*{words}", said, re.MULTILINE), words
    assert "DEBUG" not in said
    more = figup.run("upload", "data.bin", "-vv").expect(0).stderr
    assert re.search(r"DEBUG uploader\.figshare\.\w+: GET /v2/account", more)
