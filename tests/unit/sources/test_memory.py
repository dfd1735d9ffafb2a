"""The memory that a selection of many files needs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.memory import measured_memory
from uploader.disk import Disk
from uploader.sources.archive.layout import Format
from uploader.sources.archive.members import Kind, Member, Members
from uploader.sources.archive.plan import Plan
from uploader.sources.archive.reader import ArchiveSource
from uploader.sources.archive.sums import SumsFile
from uploader.sources.models import Packing, Sources
from uploader.sources.packing import pack
from uploader.sources.select import select

FILES, MEMBERS = 1000, 6000
MEMBER = 250
"""Most bytes for each member of an archive: a million of them, and some 60 MiB for Python, stay below 300 MiB."""


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    folder = tmp_path / "measurements of the group in the long summer of the year 2026"
    paths = [folder / f"run{number // 20:03d}" / f"measurement-{number:06d}.csv" for number in range(FILES)]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return paths


def test_a_selected_file_needs_some_hundred_bytes(paths: list[Path]) -> None:
    """Whatever the length of its path; twice as many while its name is compared with the others."""
    with measured_memory() as memory:
        selection = select(Sources(paths=(str(paths[0].parents[1]),)))
    assert [file.path for file in selection.files] == [str(path) for path in paths]
    assert memory.kept / FILES < 450, memory.kept / FILES
    assert memory.peak / FILES < 900, memory.peak / FILES


def test_a_member_of_an_archive_needs_less_when_it_is_found(paths: list[Path]) -> None:
    with measured_memory() as memory:
        selection = pack(Sources(paths=(str(paths[0].parents[1]),)), Packing(format="zip"))
    assert [file.archive.sources for file in selection.files if file.archive is not None] == [FILES]
    assert memory.peak / FILES < MEMBER, memory.peak / FILES


def test_an_empty_folder_in_an_archive_needs_no_more(tmp_path: Path) -> None:
    top = tmp_path / "measurements of the group in the long summer of the year 2026"
    for number in range(FILES):
        (top / f"run{number // 20:03d}" / f"measurement-{number:06d}").mkdir(parents=True)
    (top / "a.csv").touch()
    with measured_memory() as memory:
        selection = pack(Sources(paths=(str(top),)), Packing(format="zip"))
    assert [file.archive.sources for file in selection.files if file.archive is not None] == [FILES + 1]
    assert memory.peak / FILES < MEMBER, memory.peak / FILES


@pytest.mark.search
@pytest.mark.parametrize("format", ["zip", "tar"])
def test_a_member_of_an_archive_needs_less_while_it_is_planned_stored_and_sent(
    format: Format, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them have one source, which is empty. Buffers whose size is fixed are small here."""
    monkeypatch.setattr("uploader.sources.archive.plan._BLOCK", 1 << 13)
    path = tmp_path / "empty"
    path.touch()
    status = path.stat()
    times = (status.st_mtime_ns, status.st_ctime_ns)
    with measured_memory() as memory:
        members = Members()
        for number in range(MEMBERS):
            name = b"measurements of the group/run%03d/measurement-%06d.csv" % (number // 20, number)
            members.append(Member(name, str(path), Kind.FILE, 0, *times, status.st_ino))
        plan = Plan.of(format, members.sorted(), manifest=True)
        data, plan_id = plan.encoded(), plan.id
        del plan, members
        plan = Plan.decoded(data, plan_id)
        source = ArchiveSource(plan, "archive", SumsFile(Disk(), tmp_path / "sums"))
        reader, step = source.in_order(), 1 << 14
        for offset in range(0, plan.layout.size, step):
            reader.read(offset, min(step, plan.layout.size - offset))
        assert source.file is not None
        source.file.complete(source.sums)
        source.close()
    assert memory.peak / MEMBERS < MEMBER, memory.peak / MEMBERS
