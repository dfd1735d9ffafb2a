"""Cache of the responses to one command until it succeeds: after an interruption it requests only the rest.

One line of JSON per response, appended on arrival.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from uploader.clock import Clock
from uploader.concurrency import in_thread
from uploader.disk import FILE_MODE, Disk, check_private, map_os_errors

MAX_AGE: Final = timedelta(hours=12)
"""Age from which a response is requested again."""
T = TypeVar("T")


class ResponseCache:
    """The responses to one command; `asked` is what it is about: each has its own file in `folder`, named with `kind`.

    `folder` is in the state directory. Raises StateDiskFull, StateUnusable.
    """

    def __init__(self, folder: Path, kind: str, asked: object, *, clock: Clock | None = None) -> None:
        name = hashlib.blake2b(msgspec.json.encode(asked), digest_size=8).hexdigest()
        self._clock = clock or Clock()
        self._path = folder / f"{kind}-{name}.jsonl"
        self._known: dict[str, Any] = {}

    def load(self) -> None:
        """Read the responses to earlier runs. Blocks."""
        check_private(self._path.parent.parent, self._path.parent)
        with map_os_errors(self._path):
            Disk().make_folder(self._path.parent)
            lines = self._path.read_bytes().splitlines() if self._path.exists() else []
        oldest = (self._clock.now() - MAX_AGE).timestamp()
        for line in lines:
            try:
                when, key, value = msgspec.json.decode(line, type=tuple[float, str, Any])
            except msgspec.MsgspecError:
                continue  # empty, or torn by a crash
            if when >= oldest:
                self._known[key] = value

    def __len__(self) -> int:
        """Return the number of cached answers."""
        return len(self._known)

    def remove(self) -> None:
        """Forget the responses: the command has succeeded. Blocks."""
        with map_os_errors(self._path):
            self._path.unlink(missing_ok=True)

    async def get(self, ask: Callable[..., Awaitable[T]], *about: object) -> T:
        """Return the cached answer, else that of `ask(*about)`, which must consist of JSON values."""
        key = " ".join(map(str, [ask.__name__, *about]))
        if key not in self._known:
            answer = await ask(*about)
            # The line end comes first: what a crash has torn does not spoil the next line.
            line = b"\n" + msgspec.json.encode([self._clock.now().timestamp(), key, answer])
            await in_thread(lambda: self._append(line))
            self._known[key] = answer
        found: T = self._known[key]
        return found

    def _append(self, line: bytes) -> None:
        with map_os_errors(self._path):
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            file = os.open(self._path, flags, FILE_MODE)
            try:
                os.write(file, line)
            finally:
                os.close(file)
