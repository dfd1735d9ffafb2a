"""A partial file: received data is kept, missing data is fetched, and two processes do not write one file."""

from __future__ import annotations

import hashlib
import itertools
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploader.errors import JobBusy, TargetUnusable
from uploader.transfer.download.partial import PartialFile, Ranges
from uploader.transfer.download.plan import FileToFetch
from uploader.transfer.download.target import TargetFolder

CONTENT = bytes(range(256)) * 40


def wanted(**fields: object) -> FileToFetch:
    path = "set/a.bin"
    values = {"size": len(CONTENT), "md5": hashlib.md5(CONTENT, usedforsecurity=False).hexdigest(), **fields}
    return FileToFetch(file_id=5, remote=path, path=path, url="https://x", **values)  # type: ignore[arg-type]


def opened(folder: Path, *written: tuple[int, int], **fields: object) -> PartialFile:
    partial = PartialFile(folder, wanted(**fields))
    for start, end in written:
        partial.write(start, CONTENT[start:end])
        partial.ranges.add(start, end)
    return partial


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60))))
def test_ranges_are_a_set_of_bytes(pieces: list[tuple[int, int]]) -> None:
    ranges, expected = Ranges(), set[int]()
    for start, end in pieces:
        ranges.add(start, end)
        expected |= set(range(start, end))
    assert ranges.total == len(expected)
    assert {byte for a, b in ranges.missing(0, 60) for byte in range(a, b)} == set(range(60)) - expected
    assert ranges.front == next((byte for byte in range(61) if byte not in expected), 61)
    found = ranges.as_list()
    assert all(a[1] < b[0] for a, b in itertools.pairwise(found))


def test_what_an_earlier_run_wrote_is_kept(tmp_path: Path) -> None:
    opened(tmp_path, (0, 100), (300, 400)).close()
    again = opened(tmp_path)
    assert again.ranges.as_list() == [(0, 100), (300, 400)]
    again.write(100, CONTENT[100:])
    again.ranges.add(100, len(CONTENT))
    assert again.digest() == wanted().md5
    assert again.publish(replace=False)
    again.close()
    assert [path.name for path in (tmp_path / "set").iterdir()] == ["a.bin"]
    assert (tmp_path / "set/a.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("fields", [{"md5": "0" * 32}, {"size": 10}])
def test_what_belongs_to_another_version_is_not(tmp_path: Path, fields: dict[str, object]) -> None:
    opened(tmp_path, (0, 100)).close()
    again = opened(tmp_path, **fields)
    assert again.ranges.total == 0
    again.close()


@pytest.mark.parametrize("damage", [b"", b"{", b"null", b'{"version":1}', b"\xff"])
def test_a_damaged_record_means_that_nothing_is_there(tmp_path: Path, damage: bytes) -> None:
    opened(tmp_path, (0, 100)).close()
    (tmp_path / "set/.figup-5.json").write_bytes(damage)
    again = opened(tmp_path)
    assert again.ranges.total == 0
    again.close()


def test_a_file_of_which_nothing_is_there_leaves_nothing_behind(tmp_path: Path) -> None:
    opened(tmp_path).close()
    assert list((tmp_path / "set").iterdir()) == []


def test_two_processes_do_not_write_one_file(tmp_path: Path) -> None:
    first = opened(tmp_path)
    with pytest.raises(JobBusy):
        opened(tmp_path)
    first.close()
    opened(tmp_path).close()


def test_a_file_that_appeared_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    partial = opened(tmp_path, (0, len(CONTENT)))
    (tmp_path / "set/a.bin").write_bytes(b"mine")
    assert not partial.publish(replace=False)
    assert (tmp_path / "set/a.bin").read_bytes() == b"mine"
    assert partial.publish(replace=True)
    assert (tmp_path / "set/a.bin").read_bytes() == CONTENT
    partial.close()


@pytest.mark.parametrize("place", ["set", "set/.figup-5.part"])
def test_no_link_leads_out_of_the_folder(tmp_path: Path, place: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    target = tmp_path / "target"
    (target / place).parent.mkdir(parents=True)
    (target / place).symlink_to(outside if place == "set" else outside / "victim")
    with pytest.raises(TargetUnusable):
        opened(target)
    assert list(outside.iterdir()) == []


def test_bytes_that_are_written_again_are_hashed_again(tmp_path: Path) -> None:
    partial = opened(tmp_path, (0, len(CONTENT)))
    partial.hash_front()
    partial.write(0, b"other")
    assert partial.digest() != wanted().md5
    partial.write(0, CONTENT[:5])
    assert partial.digest() == wanted().md5
    partial.close()


def test_a_finished_file_is_never_written_to_by_its_other_name(tmp_path: Path) -> None:
    partial = opened(tmp_path, (0, len(CONTENT)))
    partial.close()
    data = tmp_path / "set/.figup-5.part"
    mine = tmp_path / "set/edited.bin"
    mine.hardlink_to(data)  # killed after the file got its name; the user has changed the file since
    mine.write_bytes(b"my edit" + CONTENT[7:])
    again = opened(tmp_path, (0, 10))
    assert mine.read_bytes() == b"my edit" + CONTENT[7:]
    assert again.ranges.total == 10
    again.close()


def test_the_data_of_another_process_is_not_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While this process opened the data, one finished the file, and a third one began it again."""
    opened(tmp_path, (0, 100)).close()
    data, links = tmp_path / "set/.figup-5.part", TargetFolder.links
    theirs: list[int] = []

    def begun_again(folder: TargetFolder, name: str, fd: int) -> int:
        if not theirs:
            data.unlink()
            data.write_bytes(b"")
            theirs.append(data.stat().st_ino)
        return links(folder, name, fd)

    monkeypatch.setattr(TargetFolder, "links", begun_again)
    again = opened(tmp_path, (0, 1))
    again.close()
    assert [data.stat().st_ino] == theirs


def test_a_named_pipe_in_the_place_of_the_record_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    os.mkfifo(tmp_path / "set/.figup-5.json")
    again = opened(tmp_path, (0, len(CONTENT)))
    assert again.publish(replace=False)
    again.close()
    assert [path.name for path in (tmp_path / "set").iterdir()] == ["a.bin"]


@pytest.mark.parametrize(("md5", "durable"), [(wanted().md5, False), (None, True)], ids=["with MD5", "without MD5"])
def test_without_an_md5_data_is_durable_before_it_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, md5: str | None, durable: bool
) -> None:
    partial = opened(tmp_path, (0, 100), md5=md5)
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    partial.save()
    assert bool(synced) is durable
    partial.close()
