"""Records as values: read from a file, not yet resolved against Figshare; and many of them in little memory."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Generic, Literal, TypeAlias, TypeVar

import msgspec

from uploader.metadata.model import Metadata

T = TypeVar("T", bound=msgspec.Struct)
_BLOCK = 100
"""Values that are compressed together."""
ItemKey: TypeAlias = Literal["doi", "id"]
"""By what records name items that exist: their DOI, or their number on Figshare."""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """An item to create: its metadata, and the address of its file."""

    key: str
    """Identifies the record in its file and in later runs: the normalized DOI, else the source's id."""
    source_id: str = ""
    """The source's id, which was the key if the record had no DOI in an earlier run."""
    line: int
    """Where it begins in the file, from 1: a line, a row of a sheet, or the position in a JSON list."""
    metadata: Metadata
    link: str | None = None
    """Address of the file; None: metadata only."""


class Packed(Generic[T]):
    """Values of one kind in their order, compressed: those of a large file take a fraction of their memory."""

    def __init__(self, kind: type[T]) -> None:
        self._decoder = msgspec.msgpack.Decoder(list[kind])  # type: ignore[valid-type]
        self._blocks: list[bytes] = []
        self._last: list[T] = []

    def append(self, value: T) -> None:
        """Add a value at the end."""
        self._last.append(value)
        if len(self._last) == _BLOCK:
            self._blocks.append(zlib.compress(msgspec.msgpack.encode(self._last), 1))
            self._last = []

    def __len__(self) -> int:
        return _BLOCK * len(self._blocks) + len(self._last)

    def __iter__(self) -> Iterator[T]:
        for block in self._blocks:
            yield from self._decoder.decode(zlib.decompress(block))
        yield from self._last

    def drain(self) -> Iterator[T]:
        """Yield the values in their order, and forget them."""
        self._blocks.reverse()
        while self._blocks:
            yield from self._decoder.decode(zlib.decompress(self._blocks.pop()))
        values, self._last = self._last, []
        yield from values
