"""The files that this process holds open."""

from __future__ import annotations

from pathlib import Path


def open_files(folder: Path) -> list[str]:
    """Return the files below a folder that this process holds open."""
    names = []
    for fd in Path("/proc/self/fd").iterdir():
        try:
            names.append(str(fd.readlink()))
        except FileNotFoundError:
            continue
    return [name for name in names if name.startswith(str(folder))]
