"""The local sandbox of `--sandbox` and `figup demo`: one already running on the folder, or one started for its users.

Every command that uses it holds a shared lock on `users` in its folder. A sandbox started by a command exits once it
can lock `users` exclusively, that is, when its last user has ended.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uploader
from uploader.errors import ExitStatus, StateUnusable, TransientError, UserError
from uploader.sandbox.data_dir import DataDir, SandboxBusy
from uploader.system import make_private_folder

_START_TIMEOUT = 30.0
_STOP_TIMEOUT = 5.0
_POLL = 0.05
_UNUSED_POLL = 0.2
_USERS = "users"
_READY = b"ready "


class SandboxFailed(TransientError):
    """The local sandbox did not start."""

    code = "sandbox-failed"


class PortTaken(UserError):
    """The sandbox's recorded port is used by another program."""

    code = "sandbox-port-taken"
    exit_status = ExitStatus.USAGE


@dataclass(frozen=True, kw_only=True)
class LocalSandbox:
    """A running sandbox. `url` is its API, `stats_url` its statistics service. `temporary`: this command started it."""

    url: str
    token: str
    pid: int
    stats_url: str | None = None
    temporary: bool = False


@contextmanager
def local_sandbox(folder: Path, *more: str) -> Iterator[LocalSandbox]:
    """Provide the sandbox of this folder during the block; one that others use keeps running.

    `more` are additional arguments for a new sandbox. It reuses its port, since jobs are identified by their endpoint.
    Raises PortTaken, SandboxFailed, SandboxBusy, StateUnusable. Blocks: not for the event loop.
    """
    folder = folder.absolute()
    deadline = time.monotonic() + _START_TIMEOUT
    users = _open_users(folder)
    child: subprocess.Popen[bytes] | None = None
    try:
        # One that is ending has it locked until it has ended.
        while not _lock(users, fcntl.LOCK_SH):
            _wait(folder, deadline)
        while (running := _running(folder)) is None:
            if child is not None:
                raise SandboxFailed(f"the sandbox on {folder} exited immediately")
            try:
                child = _start(folder, more)
            except SandboxBusy:
                # Another command is just starting one.
                _wait(folder, deadline)
        yield dataclasses.replace(running, temporary=child is not None)
    finally:
        if child is not None:
            _leave(users, child)
        os.close(users)


def _open_users(folder: Path) -> int:
    """Open the file that users lock. Raises StateUnusable."""
    try:
        make_private_folder(folder)
        return os.open(folder / _USERS, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as fault:
        raise StateUnusable(f"the sandbox's folder {folder} cannot be used: {fault.strerror}") from None


def _lock(users: int, kind: int) -> bool:
    """Lock it without waiting; False if others keep it from being locked so. Raises StateUnusable."""
    try:
        fcntl.flock(users, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as fault:
        raise StateUnusable(f"the sandbox's folder cannot be locked: {fault.strerror}") from None
    return True


def _wait(folder: Path, deadline: float) -> None:
    """Wait a moment. Raises SandboxBusy after the deadline (monotonic seconds)."""
    if time.monotonic() > deadline:
        raise SandboxBusy(f"another sandbox runs on {folder}")
    time.sleep(_POLL)


def _leave(users: int, child: subprocess.Popen[bytes]) -> None:
    """Stop the sandbox that this command started, unless others use it."""
    if _lock(users, fcntl.LOCK_EX):
        _stop(child)
    elif not _lock(users, fcntl.LOCK_SH):
        # It found itself unused meanwhile.
        _stop(child)


def _running(folder: Path) -> LocalSandbox | None:
    """Find the sandbox that holds this folder. A note without a lock is left from a crash."""
    try:
        note = json.loads((folder / "sandbox.json").read_bytes())
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CLOEXEC)
    except (OSError, ValueError):
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return LocalSandbox(url=note["url"], token=note["token"], pid=note["pid"], stats_url=note.get("statistics_url"))
    finally:
        os.close(lock)
    return None


def _start(folder: Path, more: tuple[str, ...]) -> subprocess.Popen[bytes]:
    """Start a sandbox and wait until it listens. Raises SandboxBusy if another one uses the folder."""
    port = DataDir(folder).ports()[0]
    arguments = ["--dir", str(folder), "--port", str(port), *more]
    try:
        log = os.open(folder / "sandbox.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    except OSError as fault:
        raise StateUnusable(f"the sandbox's folder {folder} cannot be used: {fault.strerror}") from None
    with contextlib.closing(os.fdopen(log, "wb")) as stderr:
        child = subprocess.Popen(
            [sys.executable, "-m", "uploader.cli.sandbox_process", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            cwd=package_home(),
            start_new_session=True,
        )
    try:
        ready = _first_line(child, time.monotonic() + _START_TIMEOUT)
    except BaseException:
        _stop(child)
        raise
    if not ready.startswith(_READY):
        _stop(child)
        _explain(child.returncode, folder, port)
    return child


def package_home() -> Path:
    """Return a working directory in which `python -m uploader` finds this package and nothing else."""
    return Path(uploader.__file__).parents[1]


def _first_line(child: subprocess.Popen[bytes], deadline: float) -> bytes:
    """Read only the child's first line; empty if none arrives in time."""
    line = b""
    if child.stdout is None:
        return line
    with child.stdout as out:
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([out], [], [], max(0.0, deadline - time.monotonic()))
            piece = os.read(out.fileno(), 4096) if ready else b""
            if not piece:
                break
            line += piece
    return line


def _explain(status: int, folder: Path, port: int) -> None:
    """Raise the error that prevented the start."""
    lines = (folder / "sandbox.log").read_text("utf-8", "replace").strip().splitlines()
    reason = lines[-1].removeprefix("figup: ") if lines else f"it ended with status {status}"
    if status == SandboxBusy.exit_status:
        raise SandboxBusy(f"another sandbox runs on {folder}")
    if port and f":{port}: " in reason:
        raise PortTaken(
            f"the sandbox's port {port} is used by another program",
            hint=f"Stop that program, or remove {folder / 'ports'} and restart the jobs of this sandbox.",
        )
    raise SandboxFailed(f"the sandbox on {folder} did not start: {reason}", hint=f"See {folder / 'sandbox.log'}.")


def _stop(child: subprocess.Popen[bytes]) -> None:
    """Terminate the process, or kill it if it does not exit."""
    child.terminate()
    try:
        child.wait(_STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


# --- in the child -------------------------------------------------------------------------------------------------


def _end_when_unused(folder: Path) -> None:
    """Wait until the sandbox has no users, and make new users wait until this process has ended."""
    users = os.open(folder / _USERS, os.O_RDWR | os.O_CLOEXEC)
    while not _lock(users, fcntl.LOCK_EX):
        time.sleep(_UNUSED_POLL)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_STOP_TIMEOUT)
    os._exit(1)


if __name__ == "__main__":
    from uploader.cli.main import main

    arguments = sys.argv[1:]
    place = Path(arguments[arguments.index("--dir") + 1])
    threading.Thread(target=_end_when_unused, args=[place], name="sandbox-users", daemon=True).start()
    main(["sandbox", *arguments])
