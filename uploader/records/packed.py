"""A list of many values in little memory: most are in a temporary file."""

from __future__ import annotations

import tempfile
import weakref
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import IO, Generic, TypeVar

import msgspec

from uploader.disk import temporary_errors

T = TypeVar("T", bound=msgspec.Struct)
_BLOCK = 100
"""Values that are compressed together."""
_IN_MEMORY = 2**20
"""Size in bytes from which the values are on disk."""


class Packed(Generic[T]):
    """Values of one kind in their order. Adding and reading them blocks, and raises ResourcesExhausted for a full disk.

    The file has no name, so that nothing is left of it after a crash.
    """

    def __init__(self, kind: type[T], values: Iterable[T] = ()) -> None:
        self._decoder = msgspec.msgpack.Decoder(list[kind])  # type: ignore[valid-type]
        self._file: IO[bytes] = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - see next line
        weakref.finalize(self, _close, self._file)
        self._blocks: list[tuple[int, int]] = []
        """Place and size of each block in the file."""
        self._end = 0
        self._last: list[T] = []
        self.extend(values)

    def append(self, value: T) -> None:
        """Add a value at the end."""
        self._last.append(value)
        if len(self._last) == _BLOCK:
            block = zlib.compress(msgspec.msgpack.encode(self._last), 1)
            with temporary_errors():
                self._file.seek(self._end)
                self._file.write(block)
                self._file.flush()
            self._blocks.append((self._end, len(block)))
            self._end += len(block)
            self._last = []

    def extend(self, values: Iterable[T]) -> None:
        """Add values at the end."""
        for value in values:
            self.append(value)

    def __len__(self) -> int:
        return _BLOCK * len(self._blocks) + len(self._last)

    def __iter__(self) -> Iterator[T]:
        for place, size in self._blocks:
            with temporary_errors():
                self._file.seek(place)
                block = self._file.read(size)
            yield from self._decoder.decode(zlib.decompress(block))
        yield from self._last


def _close(file: IO[bytes]) -> None:
    with suppress(OSError):  # a full disk was reported when it was written
        file.close()
