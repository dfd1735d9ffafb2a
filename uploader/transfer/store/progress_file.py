"""Progress of a running job for observers in other terminals or on other nodes: `progress.json` in the job's folder.

Replaced about once a second by the process that works on the job, and ignored otherwise. Nothing depends on it: the
journal is authoritative.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import msgspec

from uploader.disk import Disk
from uploader.errors import FigupError
from uploader.transfer.notices import Progress

NAME = "progress.json"


class Live(msgspec.Struct, frozen=True, kw_only=True):
    """`since`: when the run began, `at`: when this was written; both ISO 8601 by the clock of `host`."""

    host: str
    pid: int
    since: str
    at: str
    progress: Progress


def write(folder: Path, live: Live, disk: Disk) -> None:
    """Replace the progress file. Raises StateDiskFull, StateUnusable."""
    disk.put(folder / NAME, msgspec.json.encode(live))


def remove(folder: Path) -> None:
    """Remove the progress file. Raises nothing."""
    with suppress(OSError):
        (folder / NAME).unlink(missing_ok=True)


def read(folder: Path, disk: Disk) -> Live | None:
    """Read the last progress; None if it cannot be read."""
    try:
        data = disk.read(folder / NAME)
        return None if data is None else msgspec.json.decode(data, type=Live)
    except (FigupError, msgspec.MsgspecError):
        return None
