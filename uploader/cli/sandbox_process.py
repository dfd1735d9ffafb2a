"""The local sandbox that `--sandbox` and `figup demo` use: one that runs on a folder, or a child started for now."""

from __future__ import annotations

import contextlib
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

_START_TIMEOUT = 30.0
_STOP_TIMEOUT = 5.0
_READY = b"ready "


class SandboxFailed(TransientError):
    """The local sandbox did not start."""

    code = "sandbox-failed"


class PortTaken(UserError):
    """The port by which jobs know their sandbox is used by another program."""

    code = "sandbox-port-taken"
    exit_status = ExitStatus.USAGE


@dataclass(frozen=True, kw_only=True)
class LocalSandbox:
    """A sandbox that runs. `url` is its API."""

    url: str
    token: str
    pid: int


@contextmanager
def local_sandbox(folder: Path, *more: str) -> Iterator[LocalSandbox]:
    """Run the sandbox of this folder during the block; one that runs already keeps running.

    `more` are further arguments for one that is started. It keeps its port from one start to the next, since a job is
    known by its endpoint. Raises PortTaken, SandboxFailed, StateUnusable. Blocks: not for the event loop.
    """
    folder = folder.absolute()
    deadline = time.monotonic() + _START_TIMEOUT
    while True:
        running = _running(folder)
        if running is not None:
            yield running
            return
        try:
            child = _start(folder, more)
            break
        except SandboxBusy:
            # Another command is just starting or ending one: soon there is one to use, or none.
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
    try:
        note = _running(folder)
        if note is None:
            raise SandboxFailed(f"the sandbox on {folder} ended at once")
        yield note
    finally:
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
        return LocalSandbox(url=note["url"], token=note["token"], pid=note["pid"])
    finally:
        os.close(lock)
    return None


def _start(folder: Path, more: tuple[str, ...]) -> subprocess.Popen[bytes]:
    """Start one and wait until it listens. Raises SandboxBusy when another one has the folder."""
    port, _ = DataDir(folder).ports()
    arguments = ["--dir", str(folder), "--port", str(port), *more]
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        log = os.open(folder / "sandbox.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    except OSError as fault:
        raise StateUnusable(f"the sandbox's folder {folder} cannot be used: {fault.strerror}") from None
    with contextlib.closing(os.fdopen(log, "wb")) as stderr:
        child = subprocess.Popen(
            [sys.executable, "-m", "uploader.cli.sandbox_process", *arguments],
            stdin=subprocess.PIPE,
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
    """Where `python -m uploader` finds this very package, and nothing that a user left in the working directory."""
    return Path(uploader.__file__).parents[1]


def _first_line(child: subprocess.Popen[bytes], deadline: float) -> bytes:
    """Read the child's first line; empty if there is none in time."""
    line = b""
    if child.stdout is None:
        return line
    while not line.endswith(b"\n"):
        ready, _, _ = select.select([child.stdout], [], [], max(0.0, deadline - time.monotonic()))
        piece = os.read(child.stdout.fileno(), 4096) if ready else b""
        if not piece:
            break
        line += piece
    return line


def _explain(status: int, folder: Path, port: int) -> None:
    """Raise what kept a sandbox from starting."""
    lines = (folder / "sandbox.log").read_text("utf-8", "replace").strip().splitlines()
    reason = lines[-1].removeprefix("figup: ") if lines else f"it ended with status {status}"
    if status == SandboxBusy.exit_status:
        raise SandboxBusy(f"another sandbox runs on {folder}")
    if port and f":{port}: " in reason:
        raise PortTaken(
            f"the sandbox's port {port} is used by another program",
            hint=f"Stop that program; or remove {folder / 'ports'}, and jobs of this sandbox have to be begun anew.",
        )
    raise SandboxFailed(f"the sandbox on {folder} did not start: {reason}", hint=f"See {folder / 'sandbox.log'}.")


def _stop(child: subprocess.Popen[bytes]) -> None:
    """Ask it to end, then end it."""
    child.terminate()
    try:
        child.wait(_STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            pipe.close()


# --- in the child -------------------------------------------------------------------------------------------------


def _end_with_parent() -> None:
    """Stdin is a pipe that the parent never writes to: it closes when the parent ends, even by SIGKILL."""
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_STOP_TIMEOUT)
    os._exit(1)


if __name__ == "__main__":
    from uploader.cli.main import main

    threading.Thread(target=_end_with_parent, name="sandbox-parent", daemon=True).start()
    main(["sandbox", *sys.argv[1:]])
