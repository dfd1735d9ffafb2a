"""The real command `figup` in a real process, run as by a shell or a terminal."""

from __future__ import annotations

import errno
import functools
import json
import os
import select
import shlex
import subprocess
import sys
import termios
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyte

from tests.support.environment import clean_environment
from tests.support.forking import ForkedChild, can_fork, fork_server
from tests.support.processes import Process, Start, kill, start_program

COMMAND = (sys.executable, "-m", "uploader")


def write_program(folder: Path, name: str = "figup", script: str = f'exec {shlex.join(COMMAND)} "$@"') -> None:
    """Write a program for a shell into a folder of its PATH: the command, or this script of sh."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n", "utf-8")
    (folder / name).chmod(0o755)


def write_forking_program(folder: Path) -> None:
    """Write the command for a shell, run in a fork each time."""
    write_program(folder, script=f'exec {fork_server().program} "$@"')


def start_by_fork(
    command: Sequence[str], env: Mapping[str, str], cwd: Path, streams: tuple[int, int, int], *, plug: str = ""
) -> ForkedChild:
    """Start `COMMAND ...` in a fork of a process that has it imported already; see `Figup` for `plug`."""
    return fork_server().start("uploader", command[len(COMMAND) :], env, cwd, streams, plug=plug)


def starter(env: Mapping[str, str], *, fresh: bool = False, plug: str = "") -> Start:
    """How to start the command with this environment: by a fork; as a new program with `fresh` or if necessary."""
    forks = not fresh and can_fork(env)
    if not plug:
        return start_by_fork if forks else start_program
    if not forks:
        raise RuntimeError("code can be plugged into a fork only; a new interpreter gets it from `plugged`")
    return functools.partial(start_by_fork, plug=plug)


def events_in(text: str) -> list[dict[str, Any]]:
    """The JSON Lines in what `--json` wrote; a torn last line (the process was killed) is left out."""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


@dataclass(frozen=True)
class Result:
    """The result of one run."""

    args: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str

    @property
    def events(self) -> list[dict[str, Any]]:
        """The events written by `--json`. Raises ValueError if stdout has anything else."""
        return events_in(self.stdout)

    @property
    def summary(self) -> dict[str, Any]:
        """The last event, which must be the summary."""
        last = self.events[-1]
        if last["event"] != "summary":
            raise AssertionError(f"the last line is not a summary but {last}")
        return last

    def expect(self, returncode: int) -> Result:
        """Return self. Raises AssertionError with all output if the exit status differs."""
        if self.returncode != returncode:
            raise AssertionError(
                f"figup {' '.join(self.args)} ended with {self.returncode}, not {returncode}\n"
                f"--- stdout\n{self.stdout}\n--- stderr\n{self.stderr}"
            )
        return self


@dataclass(frozen=True)
class TerminalResult:
    """The result of a run on a terminal: `output` is every byte written, `screen` the lines visible at the end."""

    returncode: int
    output: str
    screen: list[str]


def _read_to_end(terminal: int, deadline: float) -> str:
    """Everything read until the other side is closed. Raises TimeoutError at `deadline` (monotonic seconds)."""
    read = bytearray()
    while True:
        ready, _, _ = select.select([terminal], [], [], max(0, deadline - time.monotonic()))
        if not ready:
            raise TimeoutError(f"the terminal is still open; so far: {read!r}")
        try:
            chunk = os.read(terminal, 65536)
        except OSError as error:
            if error.errno != errno.EIO:  # on Linux: the last process on the terminal has ended
                raise
            chunk = b""
        if not chunk:
            return read.decode("utf-8", "backslashreplace")
        read += chunk


class Running:
    """A running command; `process` has its signals and streams."""

    def __init__(self, args: tuple[str, ...], process: Process) -> None:
        self.args = args
        self.process = process

    @property
    def events(self) -> list[dict[str, Any]]:
        """The events written by `--json` so far."""
        return events_in(self.process.stdout.text)

    def wait_for_event(self, name: str, *, timeout: float = 30) -> dict[str, Any]:
        """Return the first event of that name; raise if the run ends without one, or after `timeout` seconds."""
        line = self.process.stdout.wait_for(lambda line: json.loads(line)["event"] == name, timeout)
        if line is None:
            raise AssertionError(f"figup ended without an event {name}: {self.process.stderr.text}")
        event: dict[str, Any] = json.loads(line)
        return event

    def send_signal(self, signum: int) -> None:
        self.process.send_signal(signum)

    def kill(self) -> None:
        """Kill it with SIGKILL and wait for its end."""
        self.process.kill()

    def wait(self, timeout: float = 60) -> Result:
        """Its result. Raises `subprocess.TimeoutExpired` while the run continues."""
        returncode = self.process.wait(timeout)
        return Result(self.args, returncode, self.process.stdout.text, self.process.stderr.text)


class Figup:
    """Runs `figup` with a clean environment; `env` and `cwd` may be changed by the test before a run.

    `always` are arguments appended to every command. `fresh`: each run gets a new interpreter, for tests of how
    figup starts. `plug`: Python code that each run executes first, when all modules are imported.
    """

    def __init__(self, home: Path, *, endpoint: str | None = None, token: str | None = None) -> None:
        self.cwd = home
        self.state_dir = home / "state"
        self.env = clean_environment(home) | {"FIGUP_STATE_DIR": str(self.state_dir)}
        if endpoint is not None:
            self.env["FIGSHARE_ENDPOINT"] = endpoint
        if token is not None:
            self.env["FIGSHARE_TOKEN"] = token
        self.always: tuple[str, ...] = ()
        self.fresh = False
        self.plug = ""
        self._started: list[Process] = []

    def start(self, *args: str | os.PathLike[str], input: str | None = None) -> Running:
        """Starts `figup ARGS`; without `input`, stdin is empty."""
        words = (*(os.fspath(arg) for arg in args), *self.always)
        start = starter(self.env, fresh=self.fresh, plug=self.plug)
        process = Process([*COMMAND, *words], env=self.env, cwd=self.cwd, input=input, start=start)
        self._started.append(process)
        return Running(words, process)

    def run(
        self,
        *args: str | os.PathLike[str],
        input: str | None = None,
        timeout: float = 60,
    ) -> Result:
        """Runs `figup ARGS` to its end; one that takes longer than `timeout` seconds is ended and fails the test."""
        running = self.start(*args, input=input)
        try:
            return running.wait(timeout)
        except subprocess.TimeoutExpired:
            running.process.end()
            raise AssertionError(
                f"figup {' '.join(running.args)} took over {timeout} s\n--- stdout\n{running.process.stdout.text}"
                f"\n--- stderr\n{running.process.stderr.text}"
            ) from None

    def run_on_terminal(
        self, *args: str | os.PathLike[str], columns: int = 100, rows: int = 40, timeout: float = 60, typed: str = ""
    ) -> TerminalResult:
        """Runs `figup ARGS` with stdin, stdout and stderr on one terminal of that size; `typed` waits there for it."""
        ours, theirs = os.openpty()
        termios.tcsetwinsize(theirs, (rows, columns))
        os.write(ours, typed.encode())
        env = {"TERM": "xterm-256color", **self.env}
        words = (*COMMAND, *(os.fspath(arg) for arg in args))
        try:
            child = starter(env, fresh=self.fresh, plug=self.plug)(words, env, self.cwd, (theirs, theirs, theirs))
        finally:
            os.close(theirs)
        try:
            output = _read_to_end(ours, time.monotonic() + timeout)
            returncode = child.wait(timeout)
        finally:
            kill(child)
            os.close(ours)
        screen = pyte.Screen(columns, rows)
        pyte.Stream(screen).feed(output)
        return TerminalResult(returncode, output, [line.rstrip() for line in screen.display])

    @property
    def outputs(self) -> list[str]:
        """All output so far of everything started here."""
        return [stream.text for process in self._started for stream in (process.stdout, process.stderr)]

    def end(self) -> None:
        """End everything started here."""
        for process in self._started:
            process.end()
