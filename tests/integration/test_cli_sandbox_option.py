"""`--sandbox`: a local Figshare that is started when needed, keeps its data, and stops afterwards."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support.command import Figup
from tests.support.processes import Process


@pytest.fixture
def folder(bare_figup: Figup) -> Path:
    return bare_figup.state_dir / "sandbox"


@pytest.fixture
def source(bare_figup: Figup) -> Path:
    path = bare_figup.cwd / "data.bin"
    path.write_bytes(os.urandom(30_000_000))
    return path


def gone(pid: int, timeout: float = 10) -> bool:
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.02)
    return False


def pid_of(folder: Path) -> int:
    note = folder / "sandbox.json"
    deadline = time.monotonic() + 20
    while not note.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return int(json.loads(note.read_text())["pid"])


@pytest.fixture
def running(bare_figup: Figup, folder: Path) -> Iterator[Callable[[], Process]]:
    started: list[Process] = []

    def start() -> Process:
        run = bare_figup.start("sandbox", "--dir", folder)
        started.append(run.process)
        assert run.process.stdout.wait_for(lambda line: line.startswith("ready "), 20)
        return run.process

    yield start
    for process in started:
        process.stop()


def test_the_sandbox_is_started_and_the_job_is_found_again(bare_figup: Figup, folder: Path, source: Path) -> None:
    first = bare_figup.run("upload", "data.bin", "--sandbox", "--json").expect(0)
    assert "token" not in first.stderr, "what the sandbox says is not mixed in"
    assert not (folder / "sandbox.json").exists()
    again = bare_figup.run("upload", "data.bin", "--sandbox", "--json").expect(0)
    assert again.summary["job"] == first.summary["job"]
    assert again.summary["bytes_sent"] == 0
    item = str(first.summary["item_id"])
    bare_figup.run("verify", item, "data.bin", "--sandbox").expect(0)


def test_a_running_sandbox_is_used_and_kept_running(
    bare_figup: Figup, folder: Path, source: Path, running: Callable[[], Process]
) -> None:
    process = running()
    bare_figup.run("upload", "data.bin", "--sandbox").expect(0)
    assert pid_of(folder) == process.pid
    assert process.returncode is None
    assert "It is valid" in bare_figup.run("auth", "status", "--sandbox").expect(0).stdout


def test_the_sandbox_ends_with_a_killed_command_and_the_job_can_be_resumed(
    bare_figup: Figup, folder: Path, source: Path
) -> None:
    run = bare_figup.start("upload", "data.bin", "--sandbox", "--json", "--limit-rate", "5M")
    run.wait_for_event("file")
    pid = pid_of(folder)
    run.kill()
    assert gone(pid)
    done = bare_figup.run("resume", "--sandbox", "--json").expect(0)
    assert done.summary["files"][0]["status"] == "verified"
    assert done.events[0]["resumed"] is True


@pytest.mark.parametrize("command", ["resume", "cancel"])
def test_a_job_knows_that_it_belongs_to_the_sandbox(
    bare_figup: Figup, folder: Path, source: Path, command: str
) -> None:
    run = bare_figup.start("upload", "data.bin", "--sandbox", "--json", "--limit-rate", "5M")
    job = run.wait_for_event("job")["job"]
    run.wait_for_event("file")
    run.kill()
    assert bare_figup.run(command, job, "--json").expect(0).summary["job"] == job
    # The command line takes precedence.
    other = bare_figup.run(command, job, "--endpoint", "http://127.0.0.1:9/v2").expect(3)
    assert "no token for http://127.0.0.1:9/v2" in other.stderr


def test_ctrl_c_ends_the_command_before_the_sandbox(bare_figup: Figup, folder: Path, source: Path) -> None:
    run = bare_figup.start("upload", "data.bin", "--sandbox", "--json", "--limit-rate", "5M", "--grace", "1s")
    run.wait_for_event("progress")
    pid = pid_of(folder)
    run.send_signal(signal.SIGINT)
    done = run.wait(10).expect(130)
    assert done.events[-2]["code"] == "interrupted"
    assert gone(pid)


def test_a_used_sandbox_port_is_reported(bare_figup: Figup, folder: Path, source: Path) -> None:
    url = bare_figup.run("upload", "data.bin", "--sandbox", "--json").expect(0).summary["item_url"]
    with socket.create_server(("127.0.0.1", urlsplit(url).port or 0)):
        done = bare_figup.run("upload", "data.bin", "--sandbox").expect(2)
    assert done.stderr.startswith(f"figup: the sandbox's port {urlsplit(url).port} is used by another program. ")
    assert str(folder / "ports") in done.stderr


def test_two_commands_share_one_sandbox(bare_figup: Figup, folder: Path, source: Path) -> None:
    first = bare_figup.start("upload", "data.bin", "--sandbox", "--json", "--limit-rate", "20M")
    first.wait_for_event("file")
    small = bare_figup.cwd / "small.bin"
    small.write_bytes(b"content")
    bare_figup.run("upload", "small.bin", "--sandbox").expect(0)
    first.wait().expect(0)


def test_the_sandbox_runs_until_its_last_user_ends(bare_figup: Figup, folder: Path, source: Path) -> None:
    small = bare_figup.cwd / "small.bin"
    small.write_bytes(b"content")
    first = bare_figup.start("upload", "data.bin", "--sandbox", "--json", "--limit-rate", "10M")
    first.wait_for_event("file")
    pid = pid_of(folder)
    second = bare_figup.start("upload", "data.bin", "--sandbox", "--title", "Other", "--json", "--limit-rate", "10M")
    second.wait_for_event("file")
    first.kill()
    bare_figup.run("upload", "small.bin", "--sandbox").expect(0)
    done = second.wait(20).expect(0)
    assert not [event for event in done.events if event["event"] == "retry"]
    assert gone(pid)


def test_printed_sandbox_addresses_come_with_a_note(
    bare_figup: Figup, folder: Path, source: Path, running: Callable[[], Process]
) -> None:
    done = bare_figup.run("upload", "data.bin", "--sandbox").expect(0)
    assert "to open its pages in a browser, run `figup sandbox`\n" in done.stderr
    elsewhere = bare_figup.run("upload", "data.bin", "--sandbox", "--state-dir", "other place").expect(0)
    assert "run `figup sandbox --dir 'other place/sandbox'`\n" in elsewhere.stderr
    (item,) = {str(json.loads(line)["item_id"]) for line in bare_figup.run("jobs", "--json").stdout.splitlines()[:1]}
    assert "in a browser" in bare_figup.run("item", "show", item, "--sandbox").expect(0).stderr
    assert "in a browser" not in bare_figup.run("item", "files", item, "--sandbox").expect(0).stderr
    assert "run `figup sandbox`\n" in bare_figup.run("status").expect(0).stderr
    running()
    assert "in a browser" not in bare_figup.run("upload", "data.bin", "--sandbox").expect(0).stderr


def test_requests_to_the_sandbox_are_not_rate_limited(bare_figup: Figup) -> None:
    (bare_figup.cwd / "many").mkdir()
    for number in range(50):
        (bare_figup.cwd / "many" / str(number)).write_bytes(b"x")

    def least_seconds(*more: str) -> int:
        plan = bare_figup.run("upload", "many", "--sandbox", "--dry-run", "--json", *more).expect(0).events[0]
        return int(max(plan["estimate"]["seconds"].values()))

    assert least_seconds() == 0
    assert least_seconds("--api-rate", "1") == 80, "two requests a file, the first 20 at once"
    began = time.monotonic()
    bare_figup.run("upload", "many", "--sandbox").expect(0)
    assert time.monotonic() - began < 60, "with Figshare's limit, it takes 80 s at least"


def test_the_sandbox_needs_no_login(bare_figup: Figup, folder: Path) -> None:
    for command in ("login", "logout"):
        assert "needs no log" in bare_figup.run("auth", command, "--sandbox").expect(2).stderr
    assert not folder.exists()


def test_a_folder_that_cannot_be_made(bare_figup: Figup, source: Path) -> None:
    bare_figup.state_dir.write_text("")
    done = bare_figup.run("upload", "data.bin", "--sandbox").expect(2)
    assert str(bare_figup.state_dir) in done.stderr
    assert len(done.stderr.splitlines()) == 1
