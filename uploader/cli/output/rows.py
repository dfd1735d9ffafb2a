"""Rows of files for `--json`, made one by one as they are read: a job may have a hundred thousand files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, overload

import msgspec

from uploader.cli.hints import NOTHING, Repeated, hint_for
from uploader.text import printable
from uploader.transfer.report import FileReport


class FileRows(Sequence[dict[str, Any]]):
    """The rows of these reports."""

    def __init__(self, files: Sequence[FileReport], to_row: Callable[[FileReport], dict[str, Any]]) -> None:
        self._files = files
        self._to_row = to_row

    def __len__(self) -> int:
        return len(self._files)

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[dict[str, Any]]: ...

    def __getitem__(self, index: int | slice) -> dict[str, Any] | Sequence[dict[str, Any]]:
        """Return the row of a file, or the rows of several."""
        if isinstance(index, slice):
            return FileRows(self._files[index], self._to_row)
        return self._to_row(self._files[index])


def plain_row(file: FileReport) -> dict[str, Any]:
    """Return a file's row with its fields as they are."""
    row: dict[str, Any] = msgspec.to_builtins(file)
    return row


def row_with_hint(file: FileReport, repeated: Repeated = NOTHING) -> dict[str, Any]:
    """Return a file's row; an error has the hint that the command shows, which repeats these options."""
    row = plain_row(file)
    if file.error is not None:
        row["error"]["hint"] = hint_for(file.error, path=printable(file.path), repeated=repeated)
        del row["error"]["facts"]
    return row
