"""The sources of a soaked job, which are touched, changed and removed."""

from __future__ import annotations

import os
import random
from pathlib import Path

SAME = ("touch", "copy", "remove")
"""What leaves the content of a source as it was, or is put back."""
OTHER = ("other", "grow", "shrink", "unseen")


class ChangingSources:
    """Files in one folder. `content` has their bytes as they should be uploaded."""

    def __init__(self, choice: random.Random) -> None:
        self.content: dict[Path, bytes] = {}
        self._choice = choice
        self._changed: dict[Path, bytes] = {}
        """The first version of what was changed."""

    def add(self, path: Path, largest: int) -> None:
        """Write a file of up to this many bytes."""
        choice = self._choice
        sizes = [choice.randint(1, 2000), choice.randint(200_000, 400_000), choice.randint(1, largest)]
        self.content[path] = choice.randbytes(choice.choice(sizes))
        path.write_bytes(self.content[path])

    @property
    def missing(self) -> list[Path]:
        """The files that were removed."""
        return [path for path in self.content if not path.exists()]

    @property
    def changed(self) -> list[Path]:
        """The files whose content was changed since they were written or put back."""
        return list(self._changed)

    def put_back(self, paths: list[Path]) -> None:
        """Restore the first version of these files."""
        for path in paths:
            self._replace(path, self._changed.pop(path, self.content[path]))

    def disturb(self, path: Path, act: str) -> None:
        """Do one of `SAME` or `OTHER` to a file."""
        choice, old, before = self._choice, self.content[path], path.stat()
        if act in OTHER:
            self._changed.setdefault(path, old)
        if act == "touch":
            path.touch()
        elif act == "remove":
            path.unlink()
        elif act == "unseen":
            at = choice.randrange(len(old))
            path.write_bytes(old[:at] + bytes([old[at] ^ 255]) + old[at + 1 :])
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
            self.content[path] = path.read_bytes()
        else:
            new = {"copy": old, "grow": old + b"more", "shrink": old[: max(1, len(old) // 2)]}
            self._replace(path, new.get(act) or choice.randbytes(len(old)))

    def _replace(self, path: Path, data: bytes) -> None:
        path.with_name("aside").write_bytes(data)
        path.with_name("aside").replace(path)
        self.content[path] = data
