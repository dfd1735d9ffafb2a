"""Notes in a job's folder about remote files created by a process after it lost the job to another one.

That process may not write to the journal. A note is an empty file whose name has the transfer's index and the remote
file's id. The job's holder reads and removes notes.
"""

from __future__ import annotations

from pathlib import Path

from uploader.disk import Disk, map_os_errors

_STEM = "late-"


def leave_note(folder: Path, disk: Disk, index: int, file_id: int) -> None:
    """Note a remote file. Blocks. Raises StateDiskFull, StateUnusable."""
    disk.create(_path(folder, index, file_id), b"")


def read_notes(folder: Path) -> list[tuple[int, int]]:
    """Return index and remote file of each note. Blocks. Raises StateUnusable."""
    with map_os_errors(folder):
        names = [path.name for path in folder.iterdir() if path.name.startswith(_STEM)]
    pairs = (name.removeprefix(_STEM).partition("-") for name in sorted(names))
    return [(int(index), int(file_id)) for index, _, file_id in pairs if index.isdecimal() and file_id.isdecimal()]


def drop_note(folder: Path, index: int, file_id: int) -> None:
    """Remove a note. Blocks. Raises StateUnusable."""
    path = _path(folder, index, file_id)
    with map_os_errors(path):
        path.unlink(missing_ok=True)


def _path(folder: Path, index: int, file_id: int) -> Path:
    return folder / f"{_STEM}{index}-{file_id}"
