"""A simulated line as a separate process in front of a stage."""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.link import Carried, Line
from tests.support.environment import clean_environment
from tests.support.processes import Process
from tests.support.servers import free_ports


class RunningLink:
    """Clients connect to `port`; traffic is relayed to `upstream`."""

    def __init__(self, line: Line, process: Process, port: int, upstream: int) -> None:
        self.line = line
        self.port = port
        self.upstream = upstream
        self._process = process
        self._reports = 0

    def carried(self) -> Carried:
        """The traffic since the last call."""
        self._reports += 1
        self._process.send_signal(signal.SIGUSR1)
        lines = self._process.stdout
        lines.wait_for(lambda _: lines.text.count("\n") > self._reports, 30)
        return Carried(**json.loads(lines.text.splitlines()[self._reports]))


@contextmanager
def simulated(line: Line) -> Iterator[RunningLink]:
    """Run the line during the block."""
    checkout = Path(__file__).parent.parent
    (upstream,) = free_ports(1)
    words = {
        "rate": line.rate,
        "round-trip": line.round_trip,
        "window": line.window,
        "drop-every": line.drop_every,
        "own": line.own,
        "upstream-port": upstream,
    }
    with tempfile.TemporaryDirectory() as folder:
        process = Process(
            [sys.executable, "-m", "benchmarks.link", *(f"--{name}={value}" for name, value in words.items())],
            env=clean_environment(Path(folder)) | {"PYTHONPATH": os.fspath(checkout)},
            cwd=Path(folder),
        )
        try:
            ready = process.stdout.wait_for(lambda text: text.startswith("{"), 30)
            if ready is None:
                raise RuntimeError(f"the link ended before it was ready: {process.stderr.text}")
            yield RunningLink(line, process, json.loads(ready)["port"], upstream)
        finally:
            process.stop()
