"""The local Figshare for tests: the real `figup sandbox` in its own process."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.support.command import COMMAND, starter
from tests.support.environment import clean_environment
from tests.support.processes import Process

READY = "ready "


class Sandbox:
    """One sandbox on one folder. Its address and the upload addresses that it returned survive `restart`.

    `url` is what belongs in FIGSHARE_ENDPOINT; `token` is the one it accepts; `dir` holds its store.
    """

    def __init__(self, dir: Path, *, token: str = "t0ken", args: Sequence[str] = (), ports: Sequence[int] = ()) -> None:
        """`ports`: its three; else any free ones, of which another process may take one while it is not running."""
        self.dir = dir
        self.token = token
        self.args = list(args)
        self.request_log_file = dir.with_name(f"{dir.name}-requests.jsonl")
        self.url, self.upload_url, self.stats_url = [f"http://127.0.0.1:{port}" for port in ports] or [""] * 3
        self._process: Process | None = None

    @property
    def process(self) -> Process:
        """The running process. Raises if it was not started."""
        if self._process is None:
            raise RuntimeError("this sandbox was not started")
        return self._process

    def start(self, *, timeout: float = 120) -> None:
        """Returns when it answers; later on the same ports as the first time."""
        self.dir.mkdir(parents=True, exist_ok=True)
        home = self.dir.parent
        env = clean_environment(home)
        self._process = Process(
            [
                *COMMAND,
                "sandbox",
                *("--port", _port(self.url)),
                *("--upload-port", _port(self.upload_url)),
                *("--stats-port", _port(self.stats_url)),
                *("--dir", self.dir),
                *("--token", self.token),
                *("--request-log", self.request_log_file),
                *self.args,
            ],
            env=env,
            cwd=home,
            start=starter(env),
        )
        ready = self._process.stdout.wait_for(lambda line: line.startswith(READY), timeout)
        if ready is None:
            self._process.end()
            raise RuntimeError(f"the sandbox ended before it was ready: {self._process.stderr.text}")
        self.url, _, self.stats_url = ready.removeprefix(READY).split()
        self.upload_url = json.loads((self.dir / "sandbox.json").read_text(encoding="utf-8"))["upload_url"]

    def kill(self) -> None:
        """Crash it with SIGKILL."""
        self.process.kill()

    def stop(self) -> None:
        """Stop it like an operator: SIGTERM, then kill the rest."""
        if self._process is not None:
            self._process.stop()

    def restart(self, *args: str) -> None:
        """Restart it on the same folder and ports. `args`, if any, replace the earlier extra arguments."""
        self.stop()
        if args:
            self.args = list(args)
        self.start()

    def requests(self, **fields: object) -> list[dict[str, Any]]:
        """The requests that it has logged so far, oldest first; with `fields`, those that have all these values."""
        if not self.request_log_file.exists():
            return []
        lines = self.request_log_file.read_text(encoding="utf-8").splitlines()
        entries = [entry for line in lines if (entry := _entry(line)) is not None]
        return [entry for entry in entries if fields.items() <= entry.items()]


def _entry(line: str) -> dict[str, Any] | None:
    """One line of the log; None for what a killed sandbox left of one, behind which the next one may go on."""
    begin = line.rfind('{"time":')
    try:
        entry: dict[str, Any] = json.loads(line[max(begin, 0) :])
    except json.JSONDecodeError:
        return None
    return entry


def _port(url: str) -> str:
    """The port in an address; "0" (any free port) without an address."""
    return str(urlsplit(url).port or 0)
