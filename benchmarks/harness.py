"""How a measurement is made: a real process, from cold or warm storage, with what the kernel counted for it."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import IO

POLL_SECONDS = 0.05
BLOCK = 512
"""`ru_inblock` counts in these, whatever the device."""


@dataclass(frozen=True)
class Measurement:
    """What one run of a command cost; bytes and seconds."""

    seconds: float
    cpu_seconds: float
    """User and system time, of its own children too."""
    peak_memory: int
    """The largest resident set, looked up every 50 ms (the kernel keeps the mark, so a short peak is not missed)."""
    storage_read: int
    """What had to come from storage; pages that were in memory do not count."""


def measure(command: Sequence[str | os.PathLike[str]], *, env: Mapping[str, str]) -> tuple[Measurement, str]:
    """Runs `command` to its end: its cost, and its stdout. Raises RuntimeError when it fails."""
    started = time.perf_counter()
    with subprocess.Popen(
        command, env=dict(env), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        stdout, stderr = _Reader(process.stdout), _Reader(process.stderr)
        try:
            peak = _peak_memory_until_end(process.pid)
        except BaseException:
            process.kill()
            raise
        seconds = time.perf_counter() - started
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))} ended with {process.returncode}: {stderr.text()}")
    cpu_seconds = usage.ru_utime + usage.ru_stime
    return Measurement(seconds, cpu_seconds, peak, usage.ru_inblock * BLOCK), stdout.text()


class _Reader(threading.Thread):
    """Empties one pipe, so that the process never waits for us."""

    def __init__(self, stream: IO[str] | None) -> None:
        super().__init__(daemon=True)
        self._stream = stream
        self._text = ""
        self.start()

    def run(self) -> None:
        if self._stream is not None:
            self._text = self._stream.read()

    def text(self) -> str:
        self.join()
        return self._text


def _peak_memory_until_end(pid: int) -> int:
    """Looks at the process until it is dead (and not yet reaped). Not `ru_maxrss`: that one starts at our own size."""
    peak = 0
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        with suppress(OSError, StopIteration):
            status = Path(f"/proc/{pid}/status").read_text()
            peak = int(next(line for line in status.splitlines() if line.startswith("VmHWM:")).split()[1]) * 1024
        time.sleep(POLL_SECONDS)
    return peak


def forget_cached(path: Path) -> None:
    """Has the kernel drop the file's pages, so that the next reader has to go to storage."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def in_turn(rounds: int, runs: Mapping[str, Callable[[], Measurement]]) -> dict[str, list[Measurement]]:
    """Every run once, then every run again: what else the machine does then hits all alike."""
    measured: dict[str, list[Measurement]] = {name: [] for name in runs}
    for number in range(rounds):
        for name, run in runs.items():
            print(f"  round {number + 1} of {rounds}: {name}", flush=True)
            measured[name].append(run())
    return measured


@dataclass(frozen=True)
class Spread:
    """The median of several rounds, and how far they lay apart."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(median(values), min(values), max(values))
