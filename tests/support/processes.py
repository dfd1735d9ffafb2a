"""Child processes that cannot outlive the test: in their own group, read continuously, ended by id."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


class Child(Protocol):
    """A started child: the part of `subprocess.Popen` that is used here."""

    @property
    def pid(self) -> int: ...

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...


Start = Callable[[Sequence[str], Mapping[str, str], Path, tuple[int, int, int]], Child]
"""Starts a command with an environment, in a folder, on descriptors for stdin, stdout and stderr; in a session of its
own, and so that it does not outlive this process."""


def _prepare() -> None:
    """In the child: have the kernel end it when the test process is killed, whose teardown then never runs.

    Signals that a shell or `nohup` had this process ignore are not ignored in the child.
    """
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    for signum in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGQUIT):
        signal.signal(signum, signal.SIG_DFL)


def start_program(
    command: Sequence[str], env: Mapping[str, str], cwd: Path, streams: tuple[int, int, int]
) -> subprocess.Popen[bytes]:
    """Start any program."""
    stdin, stdout, stderr = streams
    return subprocess.Popen(
        command,
        env=env,
        cwd=cwd,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        start_new_session=True,
        preexec_fn=_prepare,
    )


def kill(child: Child) -> None:
    """Kill only this process with SIGKILL and wait for its end."""
    if child.poll() is None:
        with suppress(ProcessLookupError):
            os.kill(child.pid, signal.SIGKILL)
    child.wait()


class Lines:
    """The lines that come out of one pipe, gathered by a thread as they come."""

    def __init__(self, descriptor: int) -> None:
        self._stream = os.fdopen(descriptor, encoding="utf-8", errors="backslashreplace")
        self._lines: list[str] = []
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._gather, daemon=True)
        self._thread.start()

    def _gather(self) -> None:
        with self._stream:
            for line in self._stream:
                with self._changed:
                    self._lines.append(line)
                    self._changed.notify_all()
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def text(self) -> str:
        """All output so far."""
        with self._changed:
            return "".join(self._lines)

    def wait_for(self, wanted: Callable[[str], bool], timeout: float) -> str | None:
        """The first line (without its line end) that is wanted; None when the stream ends without one.

        Raises TimeoutError when none came within `timeout` seconds and the stream is still open.
        """
        seen = 0
        deadline = time.monotonic() + timeout
        with self._changed:
            while True:
                for line in self._lines[seen:]:
                    if wanted(line):
                        return line.rstrip("\n")
                seen = len(self._lines)
                if self._closed:
                    return None
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError(f"no such line within {timeout} s; so far: {''.join(self._lines)!r}")
                self._changed.wait(left)

    def join(self, timeout: float) -> None:
        """Waits until the stream is closed by everyone who holds it, `timeout` seconds at most."""
        self._thread.join(timeout)


class Process:
    """A child in its own process group; `stdout` and `stderr` are readable while it runs."""

    def __init__(
        self,
        command: Sequence[str | os.PathLike[str]],
        *,
        env: Mapping[str, str],
        cwd: Path,
        input: str | None = None,
        start: Start = start_program,
    ) -> None:
        self.command = [os.fspath(word) for word in command]
        read_in, write_in = (os.open(os.devnull, os.O_RDONLY), None) if input is None else os.pipe()
        (read_out, write_out), (read_err, write_err) = os.pipe(), os.pipe()
        self.stdout, self.stderr = Lines(read_out), Lines(read_err)
        try:
            self._child = start(self.command, env, cwd, (read_in, write_out, write_err))
        finally:
            for descriptor in (read_in, write_out, write_err):
                os.close(descriptor)
        if input is not None and write_in is not None:
            with (
                suppress(BrokenPipeError),
                os.fdopen(write_in, "w", encoding="utf-8", errors="surrogateescape") as stdin,
            ):
                stdin.write(input)

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def returncode(self) -> int | None:
        """The exit status; negative for a signal, None while it runs."""
        return self._child.poll()

    @property
    def child(self) -> Child:
        """As its starter returned it."""
        return self._child

    def send_signal(self, signum: int) -> None:
        """Send a signal to this process only; do nothing if it has ended."""
        if self.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signum)

    def wait(self, timeout: float = 60) -> int:
        """Return its exit status. Raises `subprocess.TimeoutExpired`; the process continues."""
        try:
            status = self._child.wait(timeout)
        except subprocess.TimeoutExpired as error:
            error.add_note(f"stdout: {self.stdout.text[-2000:]}\nstderr: {self.stderr.text[-2000:]}")
            raise
        self.stdout.join(5)
        self.stderr.join(5)
        return status

    def kill(self) -> None:
        """Kill this process only with SIGKILL, like a crash; return once it has ended."""
        self.send_signal(signal.SIGKILL)
        self.wait()

    def stop(self, timeout: float = 10) -> None:
        """Send SIGTERM, then kill it and the rest of its group."""
        self.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self._child.wait(timeout)
        self.end()

    def end(self) -> None:
        """Kill the whole group with SIGKILL; safe to call at any time, repeatedly."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.wait()
