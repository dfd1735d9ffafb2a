"""Names that are easily confused: they differ only in case or Unicode composition.

On macOS and Windows such names are one file, on Linux and Figshare two.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from uploader.text import composed, printable

_NAMED = 3
"""Pairs named in warnings."""


def alike(path: str) -> str:
    """Return a key that is equal for paths that differ only in case or composition."""
    return composed(path).casefold()


def is_one_file(path: str, other: str) -> bool:
    """Return True if two spellings of a path are the same directory entry, not two links to one file. Blocks."""
    try:
        one, two = os.lstat(path), os.lstat(other)
    except OSError:
        return False
    return (one.st_dev, one.st_ino) == (two.st_dev, two.st_ino) and one.st_nlink == 1


def alike_warnings(paths: Iterable[str]) -> list[str]:
    """Return warnings about files and folders, in one folder of the item, whose names are alike."""
    first: dict[int, str] = {}  # by hashes of places, which take less memory: there may be a hundred thousand
    folders: set[str] = set()
    pairs = []
    for path in paths:
        while path:
            place = _place(path)
            other = first.setdefault(hash(place), path)
            if other != path and _place(other) == place:
                pairs.append((other, path))
            path = place[0]
            if path in folders:
                break
            folders.add(path)
    warnings = [_warning(*pair) for pair in pairs[:_NAMED]]
    more = len(pairs) - _NAMED
    return [*warnings, f"{more} more names differ only in the same way"] if more > 0 else warnings


def _place(path: str) -> tuple[str, str]:
    """Return a key that is equal for paths in one folder whose names are alike."""
    folder, _, name = path.rpartition("/")
    return folder, alike(name)


def _warning(one: str, other: str) -> str:
    if composed(one) == composed(other):
        return f"the names of {one!a} and {other!a} differ only in Unicode composition; the item would have both"
    return (
        f"the names of {printable(one)} and {printable(other)} differ only in case; macOS and Windows cannot hold both"
    )
