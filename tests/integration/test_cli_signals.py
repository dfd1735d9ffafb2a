"""Ctrl-C, SIGTERM, SIGHUP and SIGUSR1, once and twice, at any moment: how soon figup ends, and how."""

from __future__ import annotations

import contextlib
import functools
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.command import COMMAND, Figup, Result, Running
from tests.support.environment import plugged
from tests.support.invariants import check_exactly_once
from tests.support.processes import Process
from tests.support.sandbox import Sandbox
from tests.support.secrets import TOKEN, check_silent
from tests.support.waiting import until

Start = Callable[..., Sandbox]
GRACE = 1.0
LIMIT = GRACE + 2.0


@pytest.fixture
def start_sandbox(start_sandbox: Start) -> Start:
    """Sandboxes with the canary as their token."""
    return functools.partial(start_sandbox, token=TOKEN)


@pytest.fixture(autouse=True)
def quiet_about_secrets(bare_figup: Figup) -> Iterator[None]:
    """However the run ends, the token is in no output."""
    bare_figup.always = ("--log-file", "figup.log")
    yield
    check_silent(bare_figup.cwd, bare_figup.outputs, [TOKEN])


def source(figup: Figup, size: int = 1_000_000) -> Path:
    path = figup.cwd / "data.bin"
    path.write_bytes(os.urandom(size))
    return path


def point(figup: Figup, sandbox: Sandbox) -> None:
    figup.env |= {"FIGSHARE_ENDPOINT": sandbox.url, "FIGSHARE_TOKEN": sandbox.token}


def ended(run: Running, *signals: int, within: float = LIMIT) -> Result:
    """Send these signals a moment apart; return how the run ends, timed from the last one."""
    for count, signum in enumerate(signals):
        if count:
            # Two pending signals of one kind are merged.
            assert run.process.stderr.wait_for(lambda line: "stopping" in line, 10)
        last = time.monotonic()
        run.send_signal(signum)
    done = run.wait(30)
    assert time.monotonic() - last < within
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture
def stalled(bare_figup: Figup, start_sandbox: Start) -> Running:
    """An upload whose parts make no progress."""
    sandbox = start_sandbox("--part-size", "500KiB", "--connection-rate", "1000")
    point(bare_figup, sandbox)
    source(bare_figup, 2_000_000)
    run = bare_figup.start("upload", "data.bin", "--title", "Some data", "--json", "--grace", f"{GRACE}s")
    run.wait_for_event("file")
    # The kernel accepts some of a part at once; then nothing moves.
    until(lambda: '"connections": 4' in run.process.stdout.text)
    return run


@pytest.mark.parametrize(
    ("signum", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 75), (signal.SIGHUP, 75)], ids=["int", "term", "hup"]
)
def test_parts_that_do_not_finish_get_the_grace_period(stalled: Running, signum: int, status: int) -> None:
    began = time.monotonic()
    done = ended(stalled, signum).expect(status)
    assert time.monotonic() - began > GRACE * 0.9
    error, summary = done.events[-2:]
    assert (error["code"], summary["exit_status"]) == ("interrupted", status)
    assert error["hint"].startswith("Run the same command again to continue, or `figup resume ")
    assert summary["files"][0]["status"] == "unfinished"
    stopping, last = done.stderr.splitlines()
    assert stopping.startswith("figup: stopping: letting 4 parts finish, up to 1 s; ")
    assert ("press Ctrl-C again" in stopping) == (signum == signal.SIGINT)
    assert f"figup resume {summary['job']}" in last


def test_a_second_signal_ends_it_at_once(bare_figup: Figup, start_sandbox: Start) -> None:
    point(bare_figup, start_sandbox("--connection-rate", "1000"))
    source(bare_figup)
    run = bare_figup.start("upload", "data.bin", "--title", "Some data", "--json", "--grace", "1h")
    run.wait_for_event("progress")
    ended(run, signal.SIGINT, signal.SIGINT, within=2.0).expect(130)


@pytest.mark.fast
def test_parts_that_finish_in_time_are_kept(bare_figup: Figup, start_sandbox: Start) -> None:
    sandbox = start_sandbox("--part-size", "200KiB", "--connection-rate", "200k")
    point(bare_figup, sandbox)
    path = source(bare_figup, 2_000_000)
    run = bare_figup.start(
        "upload", "data.bin", "--title", "Some data", "--json", "--connections", "2", "--grace", "20s"
    )
    until(lambda: sandbox.requests(kind="put-part"))
    done = ended(run, signal.SIGTERM, within=5.0).expect(75)
    assert sandbox.requests(kind="put-part", status=200) == sandbox.requests(kind="put-part")
    sent = done.summary["files"][0]["parts_sent"]
    assert sent == len(sandbox.requests(kind="put-part"))
    sandbox.restart("--part-size", "200KiB")
    again = bare_figup.run("resume", "--json").expect(0).summary
    assert again["files"][0]["parts_found"] == sent
    check_exactly_once(sandbox, path)


def test_a_signal_during_connecting_and_backoff(bare_figup: Figup) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        bare_figup.env |= {
            "FIGSHARE_ENDPOINT": f"http://127.0.0.1:{taken.getsockname()[1]}/v2",
            "FIGSHARE_TOKEN": TOKEN,
        }
        source(bare_figup)
        run = bare_figup.start("upload", "data.bin", "--title", "Some data", "--json")
        run.wait_for_event("retry")
        done = ended(run, signal.SIGTERM, within=2.0).expect(75)
    assert done.events[-2]["code"] == "interrupted"
    assert done.summary["item_id"] is None


def test_a_signal_while_the_server_is_silent(bare_figup: Figup) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        bare_figup.env |= {
            "FIGSHARE_ENDPOINT": f"http://127.0.0.1:{silent.getsockname()[1]}/v2",
            "FIGSHARE_TOKEN": TOKEN,
        }
        source(bare_figup)
        run = bare_figup.start("upload", "data.bin", "--title", "Some data", "--json")
        run.wait_for_event("job")
        ended(run, signal.SIGINT, within=2.0).expect(130)


def test_a_signal_while_waiting_for_the_checksum(bare_figup: Figup, start_sandbox: Start) -> None:
    sandbox = start_sandbox("--md5-delay", "never")
    point(bare_figup, sandbox)
    source(bare_figup)
    run = bare_figup.start("upload", "data.bin", "--title", "Some data", "--json")
    run.wait_for_event("sent")
    done = ended(run, signal.SIGTERM, within=2.0).expect(75)
    assert done.summary["files"][0]["status"] == "sent"


def test_a_command_without_parts_ends_at_once(bare_figup: Figup, start_sandbox: Start) -> None:
    sandbox = start_sandbox("--latency", "60")
    point(bare_figup, sandbox)
    source(bare_figup)
    run = bare_figup.start("verify", "1", "data.bin", "--json", "-vv")
    until(lambda: sandbox.process.returncode is None and _connected(run))
    done = ended(run, signal.SIGINT, within=2.0).expect(130)
    assert [event["event"] for event in done.events] == ["error", "summary"]


def _connected(run: Running) -> bool:
    """Return True once the process has a connection, which its event loop opens."""
    fds = Path(f"/proc/{run.process.pid}/fd")
    found = 0
    for fd in fds.iterdir():
        with contextlib.suppress(OSError):
            found += str(fd.readlink()).startswith("socket:")
    # asyncio itself has one pair.
    return found > 2


@pytest.mark.parametrize("signals", [[signal.SIGTERM], [signal.SIGTERM, signal.SIGTERM]], ids=["once", "twice"])
def test_a_signal_with_a_dead_disk(bare_figup: Figup, start_sandbox: Start, signals: list[int]) -> None:
    """A thread reading from it never returns; the process still ends in time, with its summary."""
    point(bare_figup, start_sandbox("--part-size", "100KiB"))
    source(bare_figup)
    dead = "import time\nimport uploader.sources.source as s\ns.Source.read = lambda *_: time.sleep(1000)\n"
    bare_figup.env["PYTHONPATH"] = plugged(bare_figup.cwd / "dead", dead)
    run = bare_figup.start("upload", "data.bin", "--title", "Some data", "--json", "--grace", f"{GRACE}s")
    run.wait_for_event("file")
    run.wait_for_event("item")
    done = ended(run, *signals).expect(75)
    assert (done.summary["exit_status"], done.summary["item_id"] is None) == (75, False)
    assert done.events[-2]["code"] == "interrupted"
    assert f"figup resume {done.summary['job']}" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("signals", [1, 2], ids=["once", "twice"])
def test_a_sync_of_the_journal_that_never_returns(bare_figup: Figup, start_sandbox: Start, signals: int) -> None:
    """Only what was on disk before can be resumed; the process still ends in time."""
    sandbox = start_sandbox("--part-size", "100KiB")
    point(bare_figup, sandbox)
    path = source(bare_figup)
    dead = bare_figup.cwd / "dead"
    stuck = (
        "import pathlib, time\nimport uploader.disk as d\nreal = d.Disk.sync\n"
        "def sync(self, fd, path):\n"
        f"    if path.name == 'journal' and pathlib.Path({str(dead / 'now')!r}).exists(): time.sleep(1000)\n"
        "    real(self, fd, path)\n"
        "d.Disk.sync = sync\n"
    )
    plain = dict(bare_figup.env)
    bare_figup.env["PYTHONPATH"] = plugged(dead, stuck)
    run = bare_figup.start(
        "upload", "data.bin", "--title", "Some data", "--json", "--grace", f"{GRACE}s", "--limit-rate", "300k"
    )
    run.wait_for_event("progress")
    (dead / "now").touch()
    sent = len(sandbox.requests(kind="put-part"))
    until(lambda: len(sandbox.requests(kind="put-part")) > sent)
    ended(run, *[signal.SIGTERM] * signals).expect(75)
    bare_figup.env = plain
    bare_figup.run("upload", "data.bin", "--title", "Some data").expect(0)
    check_exactly_once(sandbox, path)


@pytest.mark.parametrize("signals", [1, 2], ids=["once", "twice"])
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_signal_with_a_blocked_output(bare_figup: Figup, start_sandbox: Start, stream: str, signals: int) -> None:
    """A full pipe that is not read delays neither the upload nor the end after a signal."""
    sandbox = start_sandbox("--part-size", "100KiB", "--md5-delay", "4")
    point(bare_figup, sandbox)
    path = source(bare_figup)
    read, write = os.pipe()
    os.set_blocking(write, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(write, b"x" * 4096)
    os.set_blocking(write, True)
    process = subprocess.Popen(
        [*COMMAND, "upload", "data.bin", "--json", "-vv", "--grace", f"{GRACE}s"],
        stdout=write if stream == "stdout" else subprocess.DEVNULL,
        stderr=write if stream == "stderr" else subprocess.DEVNULL,
        env=bare_figup.env,
        cwd=bare_figup.cwd,
    )
    os.close(write)
    try:
        until(lambda: sandbox.requests(kind="complete"))
        for _ in range(signals):
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.3)
        assert process.wait(20) == 75
        assert time.monotonic() - began < LIMIT
    finally:
        process.kill()
        process.communicate()
        os.close(read)
    bare_figup.run("upload", "data.bin").expect(0)
    check_exactly_once(sandbox, path)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM], ids=["int", "term"])
def test_a_signal_during_a_lookup_after_a_lost_response(bare_figup: Figup, start_sandbox: Start, signum: int) -> None:
    sandbox = start_sandbox("--fault", "initiate=lost-answer", "--fault", "initiate=hide,seconds=4")
    point(bare_figup, sandbox)
    path = source(bare_figup)
    run = bare_figup.start("upload", "data.bin", "--title", "Some data", "--json")
    until(lambda: len(sandbox.requests(kind="list-files")) > 1)
    done = ended(run, signum, within=2.0).expect(130 if signum == signal.SIGINT else 75)
    assert done.summary["files"][0]["status"] == "unfinished"
    bare_figup.run("upload", "data.bin", "--title", "Some data").expect(0)
    check_exactly_once(sandbox, path)
    assert len(sandbox.requests(kind="initiate")) == 1


@pytest.mark.parametrize("kind", ["get-account", "get-item", "initiate", "complete"])
def test_a_signal_during_a_delay_requested_by_the_server(bare_figup: Figup, start_sandbox: Start, kind: str) -> None:
    sandbox = start_sandbox("--fault", f"{kind}=429,retry-after=600")
    point(bare_figup, sandbox)
    path = source(bare_figup)
    run = bare_figup.start("upload", "data.bin", "--title", "Some data", "--json", "--grace", f"{GRACE}s")
    run.wait_for_event("retry")
    ended(run, signal.SIGTERM).expect(75)
    bare_figup.run("upload", "data.bin", "--title", "Some data", "--settle-timeout", "1").expect(0)
    check_exactly_once(sandbox, path)


def test_nohup_is_respected(bare_figup: Figup, start_sandbox: Start) -> None:
    sandbox = start_sandbox("--part-size", "100KiB")
    point(bare_figup, sandbox)
    path = source(bare_figup)
    process = Process(
        ["nohup", *COMMAND, "upload", "data.bin", "--title", "Some data", "--json", "--limit-rate", "500k"],
        env=bare_figup.env,
        cwd=bare_figup.cwd,
    )
    try:
        process.stdout.wait_for(lambda line: '"event": "file"' in line, 20)
        process.send_signal(signal.SIGHUP)
        assert process.wait(30) == 0, process.stderr.text
    finally:
        process.end()
    check_exactly_once(sandbox, path)


def test_sigusr1_prints_the_progress(bare_figup: Figup, start_sandbox: Start) -> None:
    sandbox = start_sandbox("--part-size", "100KiB")
    point(bare_figup, sandbox)
    path = source(bare_figup)
    run = bare_figup.start("upload", "data.bin", "--title", "Some data", "--json", "--limit-rate", "500k")
    run.wait_for_event("progress")
    run.send_signal(signal.SIGUSR1)
    line = run.process.stderr.wait_for(lambda _: True, 10)
    assert line is not None
    assert line.startswith("figup: ")
    assert " of 1.00 MB (" in line
    run.wait().expect(0)
    check_exactly_once(sandbox, path)


@pytest.mark.parametrize("module", ["click", "msgspec"])
def test_ctrl_c_during_start_up_shows_no_traceback(bare_figup: Figup, tmp_path: Path, module: str) -> None:
    """`click` is imported by the command figup itself, `msgspec` by the command that it looks up."""
    (tmp_path / "trap").mkdir()
    (tmp_path / "trap" / f"{module}.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n", "utf-8")
    bare_figup.env["PYTHONPATH"] = str(tmp_path / "trap")
    done = bare_figup.run("jobs")
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")


_AT_THE_END = "import atexit, os, signal\natexit.register(lambda: [os.kill(os.getpid(), signal.SIGINT), None])\n"


@pytest.mark.parametrize(("words", "status"), [(["jobs"], 0), (["--version"], 0), (["jobs", "--no-such-option"], 2)])
def test_ctrl_c_after_the_end_changes_nothing(bare_figup: Figup, tmp_path: Path, words: list[str], status: int) -> None:
    bare_figup.env["PYTHONPATH"] = plugged(tmp_path / "plug", _AT_THE_END)
    bare_figup.always = ()
    assert "Traceback" not in bare_figup.run(*words).expect(status).stderr


_TRAP = """
import os, signal, sys
os.kill(os.getpid(), signal.{signal})
sys.path.remove(os.path.dirname(__file__))
del sys.modules[__name__]
import {module}
"""


@pytest.mark.parametrize("module", ["click", "msgspec"])
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2"])
def test_other_signals_during_start_up(bare_figup: Figup, tmp_path: Path, name: str, module: str) -> None:
    (tmp_path / "trap").mkdir()
    (tmp_path / "trap" / f"{module}.py").write_text(_TRAP.format(signal=name, module=module), "utf-8")
    bare_figup.env["PYTHONPATH"] = str(tmp_path / "trap")
    done = bare_figup.run("jobs")
    if name in ("SIGTERM", "SIGHUP"):
        said = "figup: stopped before anything was done. Run the same command again.\n"
        assert (done.returncode, done.stdout, done.stderr) == (75, "", said)
    else:
        assert (done.returncode, done.stderr) == (0, "")


def _wait_until_handled(running: Running, signum: int) -> None:
    """Wait until the process has a handler for the signal, or has ended."""
    while running.process.returncode is None:
        status = Path(f"/proc/{running.process.pid}/status").read_text("ascii")
        caught = next((line.split()[1] for line in status.splitlines() if line.startswith("SigCgt")), "0")
        if int(caught, 16) >> (signum - 1) & 1:
            return
        time.sleep(0.001)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="it shows nowhere which signals are handled")
def test_any_signal_at_any_moment_behaves_as_documented(bare_figup: Figup) -> None:
    """From the moment when Python runs figup's first lines until the process has ended."""
    bare_figup.fresh = True
    choice = random.Random(2)
    signals = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
    seen = set()
    for moment in range(6):
        runs = {signum: bare_figup.start("jobs") for signum in signals}
        for signum, running in runs.items():
            _wait_until_handled(running, signum)
        time.sleep(choice.uniform(0, 0.1) * moment)
        for signum, running in runs.items():
            running.send_signal(signum)
        for signum, running in runs.items():
            done = running.wait()
            assert done.returncode in ((0, 75) if signum in (signal.SIGTERM, signal.SIGHUP) else (0,)), (signum, done)
            assert "Traceback" not in done.stderr
            assert done.returncode == 0 or "figup: stopped" in done.stderr, done
            seen.add(done.returncode)
    assert seen == {0, 75}


@pytest.mark.timeout(1200)
def test_ctrl_c_at_any_moment_of_a_short_command_shows_no_traceback(bare_figup: Figup) -> None:
    """While Python starts, figup is loaded, the event loop is made, used and closed."""
    bare_figup.fresh = True
    started = time.monotonic()
    bare_figup.run("jobs").expect(0)
    lasts = time.monotonic() - started
    choice = random.Random(1)
    seen = set()
    for _ in range(30):
        running = bare_figup.start("jobs")
        time.sleep(lasts * choice.uniform(0.2, 1.1))
        running.send_signal(signal.SIGINT)
        done = running.wait()
        # Before the command is loaded, Python itself handles the signal.
        by_python = done.returncode == -signal.SIGINT and "uploader/cli" not in done.stderr
        by_python |= done.returncode == 1 and done.stderr.startswith(
            ("Could not import runpy", "Fatal Python error: init")
        )
        assert "Traceback" not in done.stderr or by_python, done
        assert done.returncode in (0, 130, -signal.SIGINT) or by_python, done
        seen.add(done.returncode)
    assert len(seen) > 1, "it never struck in the middle"


def test_ctrl_c_while_watching_promises_no_resume(figup: Figup) -> None:
    source(figup)
    upload = figup.start("upload", "data.bin", "--json", "--limit-rate", "50k")
    job = upload.wait_for_event("job")["job"]
    watcher = figup.start("status", job, "--watch", "--json")
    watcher.wait_for_event("progress")
    watcher.send_signal(signal.SIGINT)
    done = watcher.wait(30).expect(130)
    assert (done.stderr, done.events[-2]["hint"]) == ("figup: stopped\n", None)
    upload.kill()


def test_sigusr2_lifts_the_rate_limit(figup: Figup, sandbox: Sandbox) -> None:
    path = source(figup)
    running = figup.start("upload", path, "--limit-rate", "4000")
    until(lambda: sandbox.requests(kind="initiate"))
    running.send_signal(signal.SIGUSR2)
    done = running.wait(60).expect(0)
    assert "rate limit: lifted" in done.stderr
    check_exactly_once(sandbox, path)
