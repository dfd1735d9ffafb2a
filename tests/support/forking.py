"""Run figup in children of a process that has already imported it: about 20 ms each instead of 350.

Each test process has one such server, `tests/support/fork_server.py`, from the first run on. Settings that an
interpreter reads at startup were read by the server; if a test changes them, `can_fork` returns False and the run gets
a new interpreter.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import queue
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from tests.support.environment import clean_environment
from tests.support.fork_server import LENGTH
from tests.support.processes import Child, start_program

_SCRIPT = Path(__file__).with_name("fork_server.py")
_CLIENT = Path(__file__).with_name("fork_client.py")
_READ_WHEN_USED = (
    *("FIGSHARE_", "FIGUP_", "PBS_", "SLURM_", "XDG_", "HOME", "TERM"),
    *("http_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"),
    "BROWSER",
    *("PWD", "OLDPWD", "SHLVL", "_"),  # set by a shell
)
"""Prefixes of variables that are not read during imports."""


def _inherited() -> tuple[str, ...]:
    """Properties that a child inherits from the starting thread, and that a test may change: network and umask."""
    thread = Path("/proc/thread-self")
    if not thread.exists():
        return ()
    umask = next(line for line in (thread / "status").read_text("ascii").splitlines() if line.startswith("Umask"))
    return str((thread / "ns" / "net").readlink()), umask


_INHERITED = _inherited()


def can_fork(env: Mapping[str, str]) -> bool:
    """Return whether a fork of the server behaves like a new interpreter started here with `env`."""
    settled = {name: value for name, value in env.items() if not name.startswith(_READ_WHEN_USED)}
    usual = {name: value for name, value in clean_environment(Path()).items() if not name.startswith(_READ_WHEN_USED)}
    return settled == usual and _inherited() == _INHERITED


class ForkedChild:
    """A child of the server, with the part of `subprocess.Popen` that `tests.support.processes` needs."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.most_memory = 0
        """The largest amount of resident memory, in KiB on Linux, with what it shares with the server; 0 until it has
        ended.
        """
        self._returncode: int | None = None
        self._ended = threading.Event()

    def end(self, returncode: int | None, most_memory: int = 0) -> None:
        """Record its end; None if the server ended first."""
        self._returncode, self.most_memory = returncode, most_memory
        self._ended.set()

    def poll(self) -> int | None:
        """The exit status; negative for a signal, None while it runs."""
        return self.wait() if self._ended.is_set() else None

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit status. Raises `subprocess.TimeoutExpired`; the process continues."""
        if not self._ended.wait(timeout):
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
        if self._returncode is None:
            raise RuntimeError("the fork server ended before its child")
        return self._returncode


class ForkServer:
    """The server, seen from the test process."""

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair()
        self._lock = threading.Lock()
        self._begun: queue.SimpleQueue[ForkedChild | None] = queue.SimpleQueue()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, os.fspath(_SCRIPT)],
                env=clean_environment(Path.cwd()),
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )
        threading.Thread(target=self._listen, name="fork-server", daemon=True).start()
        atexit.register(self.close)

    @functools.cached_property
    def program(self) -> str:
        """A command for shells that runs `figup`, in a fork if its environment allows that."""
        folder = Path(tempfile.mkdtemp(prefix="figup-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(os.fspath(folder / "s"))
        listener.listen()
        threading.Thread(target=self._accept, args=[listener], name="fork-clients", daemon=True).start()
        return shlex.join([sys.executable, "-IS", os.fspath(_CLIENT), os.fspath(folder / "s")])

    def _accept(self, listener: socket.socket) -> None:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=self._serve, args=[connection], name="fork-client", daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        """Start what a client asks for, tell it how that ended, and kill it if the client is killed."""
        with connection:
            header, streams, _, _ = socket.recv_fds(connection, LENGTH.size, 3)
            with connection.makefile("rb") as reader:
                order = json.loads(reader.read(*LENGTH.unpack(header)))
            child = self._start_for_shell(order["args"], order["env"], Path(order["cwd"]), streams)
            for descriptor in streams:
                os.close(descriptor)
            connection.sendall(b"%d\n" % child.pid)
            threading.Thread(target=self._report, args=[child, connection], name="fork-client-end", daemon=True).start()
            connection.recv(1)
            if child.poll() is None:
                with suppress(ProcessLookupError):
                    os.kill(child.pid, signal.SIGKILL)

    def _start_for_shell(self, args: list[str], env: dict[str, str], cwd: Path, streams: list[int]) -> Child:
        """Start the command in a fork if its environment allows that. PATH was used: it has led to this program."""
        if can_fork(env | {"PATH": clean_environment(cwd)["PATH"]}):
            return self.start("uploader", args, env, cwd, streams)
        stdin, stdout, stderr = streams
        return start_program([sys.executable, "-m", "uploader", *args], env, cwd, (stdin, stdout, stderr))

    @staticmethod
    def _report(child: Child, connection: socket.socket) -> None:
        with suppress(OSError):  # the client was killed
            connection.sendall(b"%d\n" % child.wait())

    def start(
        self,
        module: str,
        args: Sequence[str],
        env: Mapping[str, str],
        cwd: Path,
        streams: Sequence[int],
        *,
        plug: str = "",
    ) -> ForkedChild:
        """Run the code `plug`, then `python -m MODULE ARGS`, on these descriptors of stdin, stdout and stderr.

        The module is `uploader`, or one of the tests' own that is imported from the folder `cwd`.
        """
        wanted = {"module": module, "args": list(args), "env": dict(env), "cwd": os.fspath(cwd), "plug": plug}
        order = json.dumps(wanted).encode()
        with self._lock:
            socket.send_fds(self._control, [LENGTH.pack(len(order))], streams)
            self._control.sendall(order)
            child = self._begun.get()
        if child is None:
            raise RuntimeError("the fork server has ended, or its child could not be made ready; see stderr")
        return child

    def _listen(self) -> None:
        running: dict[int, ForkedChild] = {}
        with self._control.makefile("r", encoding="ascii") as lines:
            for line in lines:
                pid, status, memory = json.loads(line)
                if status is None:
                    running[pid] = ForkedChild(pid)
                    self._begun.put(running[pid])
                elif pid in running:
                    running.pop(pid).end(status, memory)
                else:
                    self._begun.put(None)
        for child in running.values():
            child.end(None)
        self._begun.put(None)

    def close(self) -> None:
        """Stop the server and everything that still runs."""
        self._control.shutdown(socket.SHUT_RDWR)
        self._process.wait()
        self._control.close()


@functools.cache
def fork_server() -> ForkServer:
    """The server of this test process, started by the first call."""
    return ForkServer()
