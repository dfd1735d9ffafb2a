"""The shared fixtures work as documented; a fixture that detects nothing would pass every test."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import CodeType

import anyio.to_thread
import pytest
from blockbuster import BlockingError

import uploader
from tests.support.command import Figup, events_in, write_forking_program
from tests.support.environment import clean_environment
from tests.support.forking import can_fork
from tests.support.processes import Process
from tests.support.programs import require_program
from tests.support.sandbox import Sandbox
from tests.support.stories import distinct, one_turn
from tests.support.waiting import until


def as_package_code(call: str) -> Callable[[], None]:
    """A function that makes `call`, and whose code stands in the package as far as anyone can tell."""
    code: CodeType = compile(f"import os\ndef function():\n    {call}\n", uploader.__file__, "exec")
    names: dict[str, Callable[[], None]] = {}
    exec(code, names)  # noqa: S102 - the only way to have code with that file name
    return names["function"]


@pytest.mark.parametrize(
    "call", ["os.stat('.')", "os.fsync(0)", "os.pread(0, 1, 0)", "open('x').read()", "os.open('x', 0)"]
)
async def test_a_blocking_call_of_the_package_on_the_event_loop_is_caught(call: str) -> None:
    with pytest.raises(BlockingError):
        as_package_code(call)()


async def test_a_blocking_call_in_a_thread_is_allowed() -> None:
    await anyio.to_thread.run_sync(as_package_code("os.stat('.')"))


def test_a_missing_program_skips_and_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="apt-get install no-such-package"):
        require_program("no-such-program", "no-such-package")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no-such-program is missing"):
        require_program("no-such-program", "no-such-package")
    assert Path(require_program("sh", "dash")).is_absolute()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path


def python(code: str, home: Path, input: str | None = None) -> Process:
    return Process([sys.executable, "-uc", code], env=clean_environment(home), cwd=home, input=input)


def test_output_is_read_while_the_process_runs(home: Path) -> None:
    process = python("print('one'); print('two'); input(); print('three')", home)
    assert process.stdout.wait_for(lambda line: line.startswith("t"), timeout=20) == "two"
    assert process.wait(20) == 1
    assert process.stdout.text == "one\ntwo\n"
    assert "EOFError" in process.stderr.text
    assert process.stdout.wait_for(lambda line: line == "never", timeout=20) is None


def test_input_reaches_the_process(home: Path) -> None:
    process = python("print(input()[::-1])", home, input="abc\n")
    assert process.wait(20) == 0
    assert process.stdout.text == "cba\n"


def test_the_whole_group_is_ended(home: Path) -> None:
    code = "import subprocess as s; print(s.Popen(['sleep', '1000']).pid, flush=True); input(); "
    process = python(f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {code} signal.pause()", home, "\n")
    child = process.stdout.wait_for(str.strip, timeout=20)  # type: ignore[arg-type]
    process.stop(timeout=0)
    assert process.returncode == -signal.SIGKILL
    assert child is not None
    until(lambda: is_gone(int(child)))  # the kernel ends the rest of the group after the process itself
    process.end()


def is_gone(pid: int) -> bool:
    """Return True if the process does not exist or is a zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] in "ZX"


def test_a_torn_last_line_is_not_an_event() -> None:
    assert events_in('{"event": "a"}\n{"event": "b"}\n{"eve') == [{"event": "a"}, {"event": "b"}]


def test_the_command_runs_with_a_clean_environment(bare_figup: Figup) -> None:
    assert set(bare_figup.env) == {"PATH", "HOME", "LANG", "PYTHONSAFEPATH", "FIGUP_STATE_DIR"}
    assert "figup" in bare_figup.run("--version").expect(0).stdout
    bare_figup.run("no-such-command").expect(2)


def test_a_terminal_shows_what_a_person_would_see(bare_figup: Figup) -> None:
    shown = bare_figup.run_on_terminal("--version")
    assert shown.returncode == 0
    assert shown.output.endswith("\r\n")
    assert "version" in shown.screen[0]


def test_a_sandbox_keeps_its_addresses_over_a_crash(sandbox: Sandbox) -> None:
    url, upload_url = sandbox.url, sandbox.upload_url
    with urllib.request.urlopen(f"{url}/licenses") as answer:
        assert answer.status == 200
    sandbox.kill()
    sandbox.restart()
    assert (sandbox.url, sandbox.upload_url) == (url, upload_url)
    assert [entry["status"] for entry in sandbox.requests(method="GET", service="api")] == [200]
    sandbox.stop()
    assert sandbox.process.returncode == 0


def test_points_take_turns_and_rare_ones_come_in_each() -> None:
    names = ["before a", "after a", "before b", "after b"] * 3 + ["before c", "after c"]
    turns = [one_turn(names, turn, 3) for turn in range(3)]
    every = distinct(names)
    assert sorted({point for turn in turns for point in turn}) == every
    assert all({names[point - 1] for point in turn} == {names[point - 1] for point in every} for turn in turns)
    assert all(len(turn) < len(every) for turn in turns)


# --- forks instead of new interpreters ------------------------------------------------------------------------------


@pytest.fixture(params=[False, True], ids=["forked", "fresh"])
def either_figup(request: pytest.FixtureRequest, bare_figup: Figup) -> Figup:
    """The command in a fork and in a new interpreter: no visible difference."""
    bare_figup.fresh = request.param
    return bare_figup


@pytest.mark.search
def test_a_run_ends_with_the_status_and_the_words_of_the_command(either_figup: Figup) -> None:
    assert either_figup.run("--version").expect(0).stdout.startswith("figup, version ")
    wrong = either_figup.run("jobs", "--no-such-option").expect(2)
    assert (wrong.stdout, wrong.stderr.startswith("figup: ")) == ("", True)


@pytest.mark.search
def test_a_run_has_its_own_session_folder_and_environment(either_figup: Figup) -> None:
    either_figup.env["FIGUP_STATE_DIR"] = "elsewhere"
    assert either_figup.run("jobs").expect(0).stdout == "No jobs in elsewhere.\n"
    running = either_figup.start("sandbox", "--dir", "sandbox", "--port", "0")
    assert running.process.stdout.wait_for(lambda line: line.startswith("ready "), 20)
    assert os.getsid(running.process.pid) == running.process.pid
    assert (either_figup.cwd / "sandbox" / "sandbox.json").exists()
    running.process.stop()
    assert running.process.returncode == 0


@pytest.mark.search
def test_a_run_that_is_killed_says_so(either_figup: Figup) -> None:
    running = either_figup.start("sandbox", "--dir", "sandbox", "--port", "0")
    assert running.process.stdout.wait_for(lambda line: line.startswith("ready "), 20)
    with pytest.raises(subprocess.TimeoutExpired):
        running.process.wait(0.01)
    assert running.process.returncode is None
    running.kill()
    assert running.wait().returncode == -signal.SIGKILL


@pytest.mark.search
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGHUP, signal.SIGTERM], ids=["int", "hup", "term"])
def test_a_signal_that_the_tests_ignore_is_not_ignored_by_a_run(either_figup: Figup, signum: int) -> None:
    before = signal.signal(signum, signal.SIG_IGN)
    try:
        running = either_figup.start("sandbox", "--dir", "sandbox", "--port", "0")
    finally:
        signal.signal(signum, before)
    assert running.process.stdout.wait_for(lambda line: line.startswith("ready "), 20)
    status = Path(f"/proc/{running.process.pid}/status")
    if status.exists():
        ignored = next(line for line in status.read_text("ascii").splitlines() if line.startswith("SigIgn"))
        assert not int(ignored.split()[1], 16) & 1 << signum - 1


@pytest.mark.search
@pytest.mark.parametrize("fresh", [False, True], ids=["forked", "fresh"])
def test_a_run_ends_when_the_tests_are_killed(home: Path, fresh: bool) -> None:
    code = (
        "import pathlib; from tests.support.command import Figup; figup = Figup(pathlib.Path.cwd())\n"
        f"figup.fresh = {fresh}; process = figup.start('sandbox', '--dir', 'sandbox', '--port', '0').process\n"
        "process.stdout.wait_for(bool, 300); print(process.pid); import time; time.sleep(300)"
    )
    checkout = str(Path(__file__).parents[2])
    env = clean_environment(home) | {"PYTHONPATH": checkout}
    tests = Process([sys.executable, "-uc", code], env=env, cwd=home)
    try:
        pid = tests.stdout.wait_for(str.strip, timeout=300)  # type: ignore[arg-type]
        assert pid is not None
        os.kill(tests.pid, signal.SIGKILL)
        deadline = time.monotonic() + 60
        while not is_gone(int(pid)):
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        tests.end()


def is_locked(path: Path) -> bool:
    """Return True if a process holds the lock on this file."""
    with path.open("rb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


SHELL = """
figup --version | tr a-z A-Z
figup nonsense 2>&1 || echo "status $?"
for signal in TERM KILL; do
  figup sandbox --dir $signal --port 0 > $signal.out 2>&1 &
  until grep -q ready $signal.out; do sleep 0.05; done
  kill -$signal $!
  wait $! && echo "status 0" || echo "status $?"
done
"""


@pytest.mark.search
@pytest.mark.parametrize("more", [{}, {"PYTHONUTF8": "1"}], ids=["forked", "fresh"])
def test_a_shell_runs_the_command_as_any_program(bare_figup: Figup, home: Path, more: dict[str, str]) -> None:
    write_forking_program(home / "bin")
    env = bare_figup.env | {"PATH": f"{home / 'bin'}:{os.environ['PATH']}"} | more
    done = subprocess.run(
        ["bash", "-c", SHELL], cwd=home, env=env, capture_output=True, text=True, timeout=60, check=False
    )
    version, *usage, refused, stopped, killed = done.stdout.splitlines()
    assert version.startswith("FIGUP, VERSION ")
    assert any("nonsense" in line for line in usage)
    assert [refused, stopped, killed] == ["status 2", "status 0", "status 137"]
    until(lambda: not is_locked(home / "KILL" / "lock"))


@pytest.mark.parametrize(
    "changed",
    [{"PYTHONPATH": "/x"}, {"LANG": "de_DE.UTF-8"}, {"PYTHONSAFEPATH": ""}, {"SSL_CERT_FILE": "x"}, {"PATH": "/x"}],
    ids=lambda changed: next(iter(changed)),
)
def test_an_environment_that_an_interpreter_reads_when_it_starts_gets_a_new_one(
    bare_figup: Figup, changed: dict[str, str]
) -> None:
    assert can_fork(bare_figup.env | {"FIGSHARE_TOKEN": "x", "HTTPS_PROXY": "x", "FIGUP_SANDBOX_TOKEN": "x"})
    assert not can_fork(bare_figup.env | changed)


def test_code_is_plugged_into_a_fork_only(bare_figup: Figup) -> None:
    version = bare_figup.run("--version").stdout
    bare_figup.plug = "import os\nos.write(1, b'plugged into ')\n"
    assert bare_figup.run("--version").expect(0).stdout == f"plugged into {version}"
    bare_figup.fresh = True
    with pytest.raises(RuntimeError, match="into a fork only"):
        bare_figup.run("--version")


def test_another_umask_gets_a_new_interpreter(bare_figup: Figup) -> None:
    if not Path("/proc/thread-self").exists():
        pytest.skip("only Linux tells a umask without changing it")
    before = os.umask(0o77)
    try:
        assert not can_fork(bare_figup.env)
    finally:
        os.umask(before)
    assert can_fork(bare_figup.env)
