"""The sandbox's directory: its lock, its token, and a note that lets other processes find it.

DIR/lock locked (flock) while a sandbox runs DIR/sandbox.json where it listens, 0600; there while it runs, and after a
kill until the next start DIR/ports the ports used last, so that URLs survive a restart DIR/token the generated token,
0600, if none was given DIR/sandbox.db SQLite DIR/files/ bytes, under generated names
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import time
from pathlib import Path
from typing import Any

from uploader.errors import ExitStatus, UserError
from uploader.system import make_private_folder

_LOCK_WAIT = 0.2
"""Seconds to wait for the lock: a command that checks for a running sandbox holds it briefly."""


class SandboxBusy(UserError):
    """Another sandbox uses this directory."""

    code = "sandbox-busy"
    exit_status = ExitStatus.BUSY
    default_hint = "Stop it, or use another directory."


class SandboxUnusable(UserError):
    """The directory or an address cannot be used."""

    code = "sandbox-unusable"
    exit_status = ExitStatus.USAGE


class DataDir:
    """Owns a directory from `open` to `close`. All methods block briefly on the disk."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._lock: int | None = None

    @property
    def database(self) -> Path:
        return self.directory / "sandbox.db"

    @property
    def files(self) -> Path:
        return self.directory / "files"

    @property
    def note(self) -> Path:
        return self.directory / "sandbox.json"

    def open(self) -> None:
        """Create and lock the directory. SandboxBusy if another sandbox holds it, else SandboxUnusable."""
        try:
            make_private_folder(self.directory)
            self.files.mkdir(exist_ok=True, mode=0o700)
            lock = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            message = f"{self.directory} cannot be used: {error.strerror}"
            raise SandboxUnusable(message) from error
        try:
            self._take(lock)
        except BaseException:
            os.close(lock)
            raise
        self._lock = lock

    def _take(self, lock: int) -> None:
        deadline = time.monotonic() + _LOCK_WAIT
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                if time.monotonic() > deadline:
                    message = f"another sandbox uses {self.directory}"
                    raise SandboxBusy(message) from error
                time.sleep(0.02)
            except OSError as error:
                message = f"{self.directory} cannot be locked: {error.strerror}"
                raise SandboxUnusable(message) from error
            else:
                return

    def announce(self, note: dict[str, Any]) -> None:
        """Write the note that lets other processes find this sandbox."""
        _write(self.note, json.dumps(note) + "\n")

    def ports(self) -> tuple[int, int, int]:
        """Return the last ports of API, upload service and statistics service, 0 if unknown."""
        try:
            kept = json.loads((self.directory / "ports").read_text("ascii"))
            return int(kept["api"]), int(kept["upload"]), int(kept.get("statistics", 0))
        except (OSError, ValueError, TypeError, KeyError):
            return 0, 0, 0

    def save_ports(self, api: int, upload: int, statistics: int) -> None:
        """Store the ports for the next start."""
        _write(self.directory / "ports", json.dumps({"api": api, "upload": upload, "statistics": statistics}) + "\n")

    def close(self) -> None:
        """Remove the note and unlock the directory."""
        if self._lock is None:
            return
        with contextlib.suppress(FileNotFoundError):
            self.note.unlink()
        os.close(self._lock)
        self._lock = None


def read_token(directory: Path) -> str:
    """Return the token stored in a sandbox's directory; create one if missing. SandboxUnusable if that fails."""
    path = directory / "token"
    try:
        make_private_folder(directory)
        kept = path.read_text("utf-8").strip() if path.exists() else ""
        if not kept:
            kept = secrets.token_hex(32)
            _write(path, kept + "\n")
    except (OSError, ValueError) as error:
        message = f"{path} cannot be used: {error}"
        raise SandboxUnusable(message) from error
    return kept


def _write(path: Path, text: str) -> None:
    """Replace a file atomically, with mode 0600."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    temporary.replace(path)
