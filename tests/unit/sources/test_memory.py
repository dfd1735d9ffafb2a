"""The memory that a selection of many files needs."""

from __future__ import annotations

from pathlib import Path

from tests.support.memory import measured_memory
from uploader.sources.models import Sources
from uploader.sources.select import select

FILES = 1000


def test_a_selected_file_needs_some_hundred_bytes(tmp_path: Path) -> None:
    """Whatever the length of its path; twice as many while its name is compared with the others."""
    folder = tmp_path / "measurements of the group in the long summer of the year 2026"
    paths = [folder / f"run{number // 20:03d}" / f"measurement-{number:06d}.csv" for number in range(FILES)]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    with measured_memory() as memory:
        selection = select(Sources(paths=(str(folder),)))
    assert [file.path for file in selection.files] == [str(path) for path in paths]
    assert memory.kept / FILES < 450, memory.kept / FILES
    assert memory.peak / FILES < 900, memory.peak / FILES
