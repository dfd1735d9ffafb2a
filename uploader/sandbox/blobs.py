"""The content of the files: one sparse file each, under a generated name. All calls block; call them in a thread."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import os
import secrets
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

BLOCK = 64 * 1024
"""Bytes. Whole blocks of zeros are skipped."""

_ZEROS = bytes(BLOCK)
_HASH_READ = 2**20
_KEEP_SIZE_PUNCH_HOLE = 0x01 | 0x02


class Blobs:
    """The directory that holds the bytes."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def path(self, name: str) -> Path:
        """Return the path of the blob called `name`."""
        return self._directory / name

    def create(self, size: int) -> str:
        """Create a sparse file of `size` bytes and return its name. Raises OSError."""
        name = secrets.token_hex(16)
        descriptor = os.open(self.path(name), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(descriptor, size)
        except OSError:
            self.remove([name])
            raise
        finally:
            os.close(descriptor)
        return name

    def remove(self, names: Iterable[str]) -> None:
        """Remove bytes; missing ones are ignored."""
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                self.path(name).unlink()

    def remove_strays(self, known: frozenset[str]) -> None:
        """Remove blobs left by a crash: those that no file in the database refers to."""
        with os.scandir(self._directory) as entries:
            stray = [entry.name for entry in entries if entry.name not in known]
        self.remove(stray)

    def writer(self, name: str, *, start: int, length: int, clean: bool) -> PartFile:
        """Open a region for one part. `clean`: nothing was ever written there."""
        descriptor = os.open(self.path(name), os.O_WRONLY | os.O_CLOEXEC)
        return PartFile(descriptor, start, sparse=clean or _punch(descriptor, start, length))

    def md5(self, name: str, stopped: Callable[[], bool]) -> str | None:
        """Return the MD5 of the bytes in hex, in bounded memory; None if stopped or deleted."""
        digest = hashlib.md5(usedforsecurity=False)
        try:
            with self.path(name).open("rb", buffering=0) as source:
                for piece in _pieces(source.fileno()):
                    if stopped():
                        return None
                    digest.update(piece)
        except FileNotFoundError:
            return None
        return digest.hexdigest()


class PartFile:
    """Writes one part front to back. `sparse` leaves out zeros, which is right only where the region is a hole.

    `write` and `close` may be called from different threads; a write after `close` does nothing.
    """

    def __init__(self, descriptor: int, offset: int, *, sparse: bool) -> None:
        self._descriptor: int | None = descriptor
        self._offset = offset
        self._sparse = sparse
        self._lock = threading.Lock()

    def write(self, chunks: Sequence[bytes]) -> None:
        """Append chunks. Raises OSError."""
        with self._lock:
            if self._descriptor is None:
                return
            # Many small chunks cost more in system calls than in one copy.
            pieces = [b"".join(chunks)] if len(chunks) > 8 else chunks
            for piece in pieces:
                for start, end in _runs(piece) if self._sparse else ((0, len(piece)),):
                    _write_all(self._descriptor, memoryview(piece)[start:end], self._offset + start)
                self._offset += len(piece)

    def close(self) -> None:
        """Close the descriptor, after a running write."""
        with self._lock:
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None


def _pieces(descriptor: int) -> Iterator[memoryview]:
    """Yield a file in chunks, each valid until the next is requested; holes are skipped."""
    size = os.fstat(descriptor).st_size
    zeros, buffer = memoryview(bytes(_HASH_READ)), memoryview(bytearray(_HASH_READ))
    position = 0
    while position < size:
        data = _next_data(descriptor, position, size)
        while position < data:
            piece = zeros[: min(_HASH_READ, data - position)]
            position += len(piece)
            yield piece
        # Read this much before looking for the next hole.
        end = min(position + 16 * _HASH_READ, size)
        while position < end:
            count = os.preadv(descriptor, [buffer[: end - position]], position)
            if count == 0:
                return
            position += count
            yield buffer[:count]


def _next_data(descriptor: int, position: int, size: int) -> int:
    """Return the offset of the next data at or after `position`; `size` if only a hole follows."""
    try:
        return os.lseek(descriptor, position, os.SEEK_DATA)
    except OSError as error:
        return size if error.errno == errno.ENXIO else position


def _write_all(descriptor: int, view: memoryview, offset: int) -> None:
    while view:
        count = os.pwrite(descriptor, view, offset)
        view = view[count:]
        offset += count


def _runs(piece: bytes) -> list[tuple[int, int]]:
    """Return the ranges of `piece` to write, without blocks of zeros. Ends are exclusive."""
    runs: list[tuple[int, int]] = []
    for start in range(0, len(piece), BLOCK):
        end = min(start + BLOCK, len(piece))
        # Two bytes distinguish most data from zeros without comparing the rest.
        if piece[start] == 0 and piece[end - 1] == 0 and piece[start:end] == _ZEROS[: end - start]:
            continue
        if runs and runs[-1][1] == start:
            runs[-1] = (runs[-1][0], end)
        else:
            runs.append((start, end))
    return runs


def _punch(descriptor: int, start: int, length: int) -> bool:
    """Turn a region into a hole; False if the system or file system does not support it (fallocate(2), Linux)."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        fallocate = ctypes.CDLL(None, use_errno=True).fallocate
    except (OSError, AttributeError):
        return False
    fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    while fallocate(descriptor, _KEEP_SIZE_PUNCH_HOLE, start, length) != 0:
        if ctypes.get_errno() != errno.EINTR:
            return False
    return True
