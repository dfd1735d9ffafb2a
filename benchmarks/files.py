"""The files to upload, created here with a known size and MD5."""

from __future__ import annotations

import hashlib
import os
import shutil
from functools import cache
from pathlib import Path

CHUNK = 1 << 20

_LONG_ZEROS = {
    8 << 30: "b770351fadae5a96bbaf9702ed97d28d",
    64 << 30: "385ada6546aba21094f60a1e920b421d",
    10 * 10**9: "2213b2de79c457359da646cdd78f840c",
    100 * 10**9: "bdfe8463949505c4c9cd6967e330a485",
}
"""From `head -c SIZE /dev/zero | md5sum`."""


def sparse_file(folder: Path, size: int) -> Path:
    """`size` zero bytes that take no space on disk."""
    path = folder / f"sparse-{size}.bin"
    with path.open("wb") as file:
        file.truncate(size)
    return path


def random_file(folder: Path, size: int) -> Path:
    """`size` random bytes (a multiple of 1 MiB), really on the disk. Raises RuntimeError when there is no room."""
    path = folder / f"random-{size}.bin"
    if path.exists():
        return path
    free = shutil.disk_usage(folder).free
    if free < 3 * size:
        raise RuntimeError(f"{folder} has {free >> 20} MiB free; the file and its upload need {3 * size >> 20} MiB")
    with path.open("wb") as file:
        for _ in range(size // CHUNK):
            file.write(os.urandom(CHUNK))
        file.flush()
        os.fsync(file.fileno())
    return path


def md5_of(path: Path) -> str:
    """The MD5, computed independently of figup."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


@cache
def md5_of_zeros(size: int) -> str:
    """The MD5 of this many zero bytes, without reading a file; those that take minutes are constants."""
    if size in _LONG_ZEROS:
        return _LONG_ZEROS[size]
    digest = hashlib.md5(usedforsecurity=False)
    chunk = bytes(CHUNK)
    for start in range(0, size, CHUNK):
        digest.update(chunk[: size - start])
    return digest.hexdigest()
