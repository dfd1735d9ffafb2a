"""Incomplete tables: rerunning the command that wrote one may replace it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from uploader.disk import Disk
from uploader.errors import OutputExists
from uploader.text import printable

_ABSENT: Final = b"-"
_OR: Final = b" or "


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
            found = [_identity(path) for path in self._files]
        except OSError:
            return False  # opening the files reports it
        _, marked = self._marked()
        matches = len(found) == len(marked) and all(one in known for one, known in zip(found, marked, strict=True))
        return matches and set(found) != {_ABSENT}

    def check(self, account: int | None) -> None:
        """Raise OutputExists if the table was written for another account."""
        if self._marked()[0] != _owner(account):
            raise OutputExists(f"{printable(str(self._files[0]))} exists, and has records of another account")

    def expect(self, account: int | None, files: Mapping[Path, os.stat_result], *, replace: bool = False) -> None:
        """Remember files that are about to get their names, of which a crash may leave some without.

        `replace`: in place of the table that `exists`. Raises OutputExists if somebody has changed that meanwhile.
        """
        before = [_identity(path) if replace else _ABSENT for path in self._files]
        self._check_unchanged(before)
        after = [_of(files[path]) if path in files else _ABSENT for path in self._files]
        self._put(account, [{*both} for both in zip(before, after, strict=True)])

    def _check_unchanged(self, found: Sequence[bytes]) -> None:
        _, marked = self._marked()
        unknown = [list[bytes]()] * len(found)
        for path, one, known in zip(self._files, found, marked if len(marked) == len(found) else unknown, strict=True):
            if one not in (_ABSENT, *known):
                raise OutputExists(f"{printable(str(path))} exists, and was changed meanwhile")

    def update(self, account: int | None, *, incomplete: bool) -> None:
        """Remember the table that was just written for this account, or forget the one before it."""
        if incomplete:
            self._put(account, [{_identity(path)} for path in self._files])
        else:
            self._mark.unlink(missing_ok=True)

    def _put(self, account: int | None, files: Sequence[Iterable[bytes]]) -> None:
        Disk().put(self._mark, b"\n".join((_owner(account), *(_OR.join(sorted(one)) for one in files))))

    def _marked(self) -> tuple[bytes, list[list[bytes]]]:
        """Return for whom the table was written, and what each of its files may be; empty without one."""
        account, *files = (Disk().read(self._mark) or b"").split(b"\n")
        return account, [one.split(_OR) for one in files]


def _owner(account: int | None) -> bytes:
    return b"anyone" if account is None else b"%d" % account


def _identity(path: Path) -> bytes:
    try:
        found = path.stat()
    except FileNotFoundError:
        return _ABSENT
    return _of(found)


def _of(found: os.stat_result) -> bytes:
    return b"%d %d %d %d" % (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
