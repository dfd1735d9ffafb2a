"""Measure a real process, with a cold or warm cache, by the kernel's counters."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import IO, TypeVar

POLL_SECONDS = 0.05
BLOCK = 512
"""`ru_inblock` counts in these, whatever the device."""


@dataclass(frozen=True)
class Measurement:
    """The cost of one run of a command, in bytes and seconds."""

    seconds: float
    cpu_seconds: float
    """User and system time, including its children."""
    peak_memory: int
    """The largest resident set (of its children too), looked up every 50 ms; the kernel keeps each process's mark."""
    storage_read: int
    """Bytes read from storage, not from the page cache."""

    def then(self, other: Measurement) -> Measurement:
        """The cost of both runs in sequence."""
        return Measurement(
            self.seconds + other.seconds,
            self.cpu_seconds + other.cpu_seconds,
            max(self.peak_memory, other.peak_memory),
            self.storage_read + other.storage_read,
        )


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
    """Reads one pipe continuously, so that the process never waits."""

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
    peak, ended = 0, False
    handle = os.pidfd_open(pid)
    try:
        while not ended:
            peak = max(peak, sum(_memory_mark(one) for one in [pid, *children(pid)]))
            ended = bool(select.select([handle], [], [], POLL_SECONDS)[0])
    finally:
        os.close(handle)
    return peak


def children(pid: int) -> list[int]:
    """All current descendants of this process."""
    found: list[int] = []
    with suppress(OSError):
        for place in Path(f"/proc/{pid}/task").glob("*/children"):
            for child in map(int, place.read_text().split()):
                found += [child, *children(child)]
    return found


def _memory_mark(pid: int) -> int:
    """The peak resident memory of a process in bytes; 0 if it has ended."""
    with suppress(OSError, StopIteration):
        status = Path(f"/proc/{pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmHWM:")).split()[1]) * 1024
    return 0


def cpu_seconds_of(pids: Sequence[int]) -> float:
    """CPU time that these processes, and those under them, have used so far."""
    ticks = 0
    for pid in [one for top in pids for one in [top, *children(top)]]:
        with suppress(OSError):
            ticks += sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


def forget_cached(path: Path) -> None:
    """Drop the file's pages from the cache, so that it must be read from storage."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


T = TypeVar("T")


class Missing(Exception):
    """A required program is missing; names it and its package."""


def program(name: str, package: str) -> str:
    """The path of a program. Raises Missing."""
    found = shutil.which(name)
    if found is None:
        raise Missing(f"{name} is missing (Debian: apt-get install {package})")
    return found


def in_turn(rounds: int, runs: Mapping[str, Callable[[], T]]) -> tuple[dict[str, list[T]], list[str]]:
    """Take turns: every run once, then again, so that other load affects all alike. Also return a note for each run
    that was omitted because a program is missing.
    """
    measured: dict[str, list[T]] = {name: [] for name in runs}
    missing: dict[str, str] = {}
    for number in range(rounds):
        for name, run in runs.items():
            if name in missing:
                continue
            print(f"  round {number + 1} of {rounds}: {name}", flush=True)
            try:
                measured[name].append(run())
            except Missing as reason:
                missing[name] = f"NOT MEASURED: {name}: {reason}"
                print(f"  {missing[name]}", flush=True)
    return {name: found for name, found in measured.items() if name not in missing}, list(missing.values())


@dataclass(frozen=True)
class Spread:
    """The median and range of several rounds."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(median(values), min(values), max(values))


def of_one_round(*values: float) -> list[Spread]:
    """Several quantities, each measured once."""
    return [Spread.of([value]) for value in values]
