"""Tables that lack something: the same command, run again as it says, may replace its own."""

from __future__ import annotations

import hashlib
from pathlib import Path

from uploader.disk import Disk


class IncompleteTable:
    """A table that was written without all records being read. Blocking.

    `folder` is that of catalogs in the state directory, `request` what the table was asked for.
    """

    def __init__(self, folder: Path, request: object, output: Path) -> None:
        self._output = output
        name = hashlib.blake2b(f"{request!r} {output.absolute()}".encode(errors="replace"), digest_size=8).hexdigest()
        self._mark = folder / f"{name}.incomplete"

    def exists(self) -> bool:
        """Return whether the output is that table, and nobody has changed it since."""
        return self._output.is_file() and Disk().read(self._mark) == self._identity()

    def update(self, *, incomplete: bool) -> None:
        """Remember the table that was just written, or forget the one before it."""
        if incomplete:
            Disk().put(self._mark, self._identity())
        else:
            self._mark.unlink(missing_ok=True)

    def _identity(self) -> bytes:
        found = self._output.stat()
        return f"{found.st_dev} {found.st_ino} {found.st_size} {found.st_mtime_ns}\n".encode()
