"""The shared fixtures hold what they promise; a fixture that catches nothing would pass every test."""

from __future__ import annotations

import os
import signal
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import CodeType

import anyio.to_thread
import pytest
from blockbuster import BlockingError

import uploader
from tests.support.command import Figup, events_in
from tests.support.environment import clean_environment
from tests.support.processes import Process
from tests.support.programs import require_program
from tests.support.sandbox import Sandbox


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


async def test_a_blocking_call_in_a_thread_is_none() -> None:
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
    assert is_gone(int(child))
    process.end()


def is_gone(pid: int) -> bool:
    """No such process, or one that is dead and that nobody has asked after yet."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] in "ZX"


def test_a_torn_last_line_is_no_event() -> None:
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
