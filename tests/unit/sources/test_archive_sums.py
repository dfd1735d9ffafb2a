"""What is learned of an archive's members is neither lost nor taken for known before it is, in memory and on disk."""

from __future__ import annotations

import os
import shutil
from array import array
from pathlib import Path

import pytest

from tests.support.archives import make_tree, plan_of
from uploader.disk import Disk
from uploader.errors import ChecksumWrong
from uploader.sources.archive.layout import Format
from uploader.sources.archive.plan import Plan
from uploader.sources.archive.reader import ArchiveSource
from uploader.sources.archive.sums import Sums, SumsFile

MD5 = b"\x11" * 16
ROW, OTHER = b"a" * 20, b"b" * 20


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "archive.sums"


def test_a_crc_that_a_sender_learns_leaves_the_md5_of_the_digest() -> None:
    class Interrupted(Sums):
        """The digest learns the MD5 at the moment at which the sender keeps the CRC."""

        def _set(self, index: int, crc: int, md5: bytes | None) -> None:
            super()._set(index, crc, MD5)
            super()._set(index, crc, md5)

    sums = Interrupted(array("Q", [5]))
    assert sums.learn(0, 7, None)
    assert sums.md5(0) == MD5


def test_sums_that_are_not_known() -> None:
    sums = Sums(array("Q", [5, 0]))
    assert (sums.crc(0), sums.md5(0)) == (None, None)
    sums.learn(0, 7, None)
    assert (sums.crc(0), sums.md5(0)) == (7, None)
    with pytest.raises(ValueError, match="missing"):
        Sums(array("Q", [5, 0])).restore(sums.rows(0, 2))
    sums.learn(0, 7, MD5)
    assert not sums.learn(0, 8, MD5)
    assert (sums.crc(0), sums.md5(0)) == (7, MD5)


@pytest.mark.parametrize("format", ["zip", "tar"])
def test_the_list_of_md5s_is_never_read_before_they_are_known(format: Format, tmp_path: Path) -> None:
    plan = plan_of(make_tree(tmp_path / "survey"), format)
    layout, last = plan.layout, len(plan.members) - 1
    source = ArchiveSource(plan, "archive")
    with pytest.raises(RuntimeError):
        source.read(layout.body_start(last), layout.body_size(last))
    if format == "zip":
        with pytest.raises(RuntimeError):  # its CRC
            source.read(layout.start_of(last + 1) - layout.tail_size(last), layout.tail_size(last))


def test_nothing_is_written_after_the_file_was_closed(path: Path) -> None:
    file = SumsFile(Disk(), path)
    assert file.append(ROW)
    file.close()
    assert not file.append(OTHER)
    file.complete(Sums(array("Q", [5])))
    assert path.read_bytes() == ROW


def test_a_file_that_is_closed_while_it_is_written_is_closed_at_its_end(path: Path) -> None:
    def held() -> bool:
        file.close()
        return True

    file = SumsFile(Disk(), path, held)
    assert file.append(ROW)
    assert file._fd == -1
    assert not file.append(OTHER)


def test_a_process_that_lost_the_job_does_not_replace_the_file(path: Path) -> None:
    path.write_bytes(OTHER)
    file = SumsFile(Disk(), path, lambda: False)
    assert not file.append(ROW)
    file.complete(Sums(array("Q", [5])))
    assert path.read_bytes() == OTHER


@pytest.mark.parametrize("completed", [False, True])
def test_a_second_reader_starts_the_file_again(path: Path, tmp_path: Path, completed: bool) -> None:
    plan = plan_of(make_tree(tmp_path / "survey"), "zip")
    source = ArchiveSource(plan, "archive", SumsFile(Disk(), path))
    for _ in range(2):
        reader, size = source.in_order(), plan.layout.size * 3 // 4
        reader.read(0, size)
        state = reader.save()
        assert state is not None
        ArchiveSource(plan, "archive", SumsFile(Disk(), path)).in_order(state)  # raises if the file does not fit
        if completed:
            reader.read(size, plan.layout.size - size)
            assert source.file is not None
            source.file.complete(source.sums)


def test_no_state_is_kept_of_a_member_that_is_not_the_planned_one(path: Path, tmp_path: Path) -> None:
    top = make_tree(tmp_path / "survey")
    plan = plan_of(top, "zip")
    shutil.copy2(top / "a/table.csv", tmp_path / "copy")
    (tmp_path / "copy").replace(top / "a/table.csv")
    reader = ArchiveSource(plan, "archive", SumsFile(Disk(), path)).in_order()
    reader.read(0, plan.layout.size)
    assert reader.save() is None


def test_a_member_with_another_md5_than_expected_is_named_once_it_was_read(tmp_path: Path) -> None:
    planned = plan_of(make_tree(tmp_path / "survey"), "tar")
    name = next(
        planned.members.name(n) for n in range(planned.sources) if planned.members.path(n).endswith("table.csv")
    )
    plan = Plan("tar", planned.members, {os.fsdecode(name): "0" * 32})
    with pytest.raises(ChecksumWrong, match=r"table\.csv: has the MD5 \w{32}, expected 0{32}"):
        ArchiveSource(plan, "archive").in_order().read(0, plan.layout.size)
