"""Real child processes that cannot outlive the test: in a group of their own, read as they write, ended by id."""

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
from typing import IO

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def _die_with_parent() -> None:
    """In the child: have the kernel end it when the test process is killed, whose teardown then never runs."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Lines:
    """The lines of one stream of a process, gathered by a thread as they come."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
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
        """All that was written so far."""
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
    ) -> None:
        self.command = [os.fspath(word) for word in command]
        self._popen = subprocess.Popen(
            self.command,
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL if input is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="backslashreplace",
            start_new_session=True,
            preexec_fn=_die_with_parent,
        )
        stdout, stderr = self._popen.stdout, self._popen.stderr
        if stdout is None or stderr is None:
            raise RuntimeError("the child was started without pipes")
        self.stdout = Lines(stdout)
        self.stderr = Lines(stderr)
        if input is not None and self._popen.stdin is not None:
            with suppress(BrokenPipeError), self._popen.stdin as stdin:
                stdin.write(input)

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def returncode(self) -> int | None:
        """The exit status; negative for a signal, None while it runs."""
        return self._popen.poll()

    def send_signal(self, signum: int) -> None:
        """To this process alone; nothing happens when it has ended."""
        self._popen.send_signal(signum)

    def wait(self, timeout: float = 60) -> int:
        """Its exit status. Raises `subprocess.TimeoutExpired`, and the process goes on."""
        status = self._popen.wait(timeout)
        self.stdout.join(5)
        self.stderr.join(5)
        return status

    def kill(self) -> None:
        """SIGKILL to this process alone, as a crash would; returns when it is gone."""
        self._popen.kill()
        self.wait()

    def stop(self, timeout: float = 10) -> None:
        """Asks it to end (SIGTERM), then ends it and whatever is left in its group."""
        if self.returncode is None:
            self._popen.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._popen.wait(timeout)
        self.end()

    def end(self) -> None:
        """SIGKILL to the whole group; safe to call at any time, any number of times."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.wait()
