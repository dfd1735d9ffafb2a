"""Incomplete tables: rerunning the command that wrote one may replace it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from uploader.disk import Disk
from uploader.errors import OutputExists
from uploader.text import printable


class IncompleteTable:
    """A table that was written before all records were read. Blocking.

    `folder` is that of catalogs in the state directory, `asked` what the table was asked for and where, `files` those
    that it may consist of, its own first.
    """

    def __init__(self, folder: Path, asked: object, files: Sequence[Path]) -> None:
        self._files = files
        name = hashlib.blake2b(f"{asked!r} {files[0].absolute()}".encode(errors="replace"), digest_size=8).hexdigest()
        self._mark = folder / f"{name}.incomplete"

    def exists(self) -> bool:
        """Return whether the files are that table, unchanged since."""
        try:
            identity = self._identity()
        except OSError:
            return False  # opening the files reports it
        return self._marked()[1] == identity

    def check(self, account: int | None) -> None:
        """Raise OutputExists if the table was written for another account."""
        if self._marked()[0] != _owner(account):
            raise OutputExists(f"{printable(str(self._files[0]))} exists, and has records of another account")

    def update(self, account: int | None, *, incomplete: bool) -> None:
        """Remember the table that was just written for this account, or forget the one before it."""
        if incomplete:
            Disk().put(self._mark, b"\n".join((_owner(account), self._identity())))
        else:
            self._mark.unlink(missing_ok=True)

    def _marked(self) -> tuple[bytes, bytes]:
        """Return for whom the table was written, and the identity of its files; empty without one."""
        account, _, identity = (Disk().read(self._mark) or b"").partition(b"\n")
        return account, identity

    def _identity(self) -> bytes:
        return b"".join(map(_identity, self._files))


def _owner(account: int | None) -> bytes:
    return b"anyone" if account is None else b"%d" % account


def _identity(path: Path) -> bytes:
    try:
        found = path.stat()
    except FileNotFoundError:
        return b"-\n"
    return b"%d %d %d %d\n" % (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
