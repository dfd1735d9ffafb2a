"""Run figup, watch and kill it, to measure the cost of a resume."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.contenders import Send
from tests.support.processes import Process


class Job:
    """`figup upload` of a source, run repeatedly with the same state directory."""

    def __init__(self, send: Send, options: Sequence[str] = ()) -> None:
        self._send = send
        self._options = options
        self.bytes_read = 0
        """Bytes that the last run to its end read from files: those of its source, and some MB of Python's modules."""

    def run(self) -> tuple[float, float, dict[str, Any]]:
        """To its end: seconds until the server was asked for its parts, seconds in all, and the summary.

        Sets `bytes_read`.
        """
        began = time.monotonic()
        process = self._start()
        first = process.stdout.wait_for(lambda line: '"event":"file"' in line.replace(" ", ""), 600)
        asked = time.monotonic() - began
        while process.returncode is None:
            self.bytes_read = _bytes_read(process.pid) or self.bytes_read
            time.sleep(0.02)
        if process.wait() != 0 or first is None:
            raise RuntimeError(f"figup ended with {process.returncode}: {process.stderr.text}")
        seconds = time.monotonic() - began
        summary: dict[str, Any] = json.loads(process.stdout.text.splitlines()[-1])
        if [file["md5"] for file in summary["files"]] != [self._send.md5]:
            raise RuntimeError(f"figup says {summary['files']}, but the MD5 is {self._send.md5}")
        return asked, seconds, summary

    def run_until(self, enough: Callable[[], bool]) -> float:
        """Kill it (SIGKILL) once enough is sent; return its seconds."""
        began = time.monotonic()
        process = self._start()
        try:
            while not enough():
                if process.returncode is not None:
                    raise RuntimeError(f"figup ended too early, with {process.returncode}: {process.stderr.text}")
                time.sleep(0.02)
        finally:
            process.kill()
        return time.monotonic() - began

    @property
    def journal(self) -> Path:
        (journal,) = (self._send.home / "state" / "jobs").glob("*/journal")
        return journal

    def _start(self) -> Process:
        send = self._send
        command: list[str | Path] = [sys.executable, "-m", "uploader", "upload", send.source, "--json"]
        return Process(
            [*command, "--no-progress", "--ca-file", send.stage.ca_file, *self._options],
            env=send.environment,
            cwd=send.home,
        )


def _bytes_read(pid: int) -> int:
    """0 if the process has just ended."""
    with suppress(OSError):
        fields = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text(encoding="ascii").splitlines())
        return int(fields["rchar"])
    return 0
