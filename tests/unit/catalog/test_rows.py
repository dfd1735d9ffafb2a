"""Files of rows: cells of CSV, and a file that is complete or not there."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from uploader.catalog.rows import RowFile, csv_cell, csv_line, write_new
from uploader.errors import FigupError, OutputExists, UsageError
from uploader.figshare.decode import decode
from uploader.figshare.records import Record


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (None, ""),
        (5, "5"),
        ("=1+1", "'=1+1"),
        ("@x", "'@x"),
        ("-5", "-5"),
        ("+4.5", "+4.5"),
        ("-5-1", "'-5-1"),
        ("\tx", "'\tx"),
        ("a\0b", "ab"),
        ("x\ud800", "x\ud800"),
    ],
    ids=repr,
)
def test_cells(value: object, cell: str) -> None:
    assert csv_cell(value) == cell
    csv_line([value]).decode("utf-8")


def test_a_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    row = decode(Record, {"id": 5, "title": 'a, "b"\n', "published_date": "2024-01-02T03:04:05Z"}, "a row")
    path = tmp_path / "rows.csv"
    failed = RowFile(path, "item")
    failed.write([row])
    failed.close(keep=False)
    assert list(tmp_path.iterdir()) == []
    with RowFile(path, "item") as file:
        file.write([row])
        assert not path.exists()
    assert path.read_bytes().count(b"\r\n") == 2
    assert b'\r\nitem,5,"a, ""b""\n",,,,,2024-01-02T03:04:05Z,' in path.read_bytes()
    with pytest.raises(OutputExists):
        RowFile(path, "item")
    with pytest.raises(RuntimeError), RowFile(path, "item", replace=True):
        raise RuntimeError
    assert path.exists()
    assert [one.name for one in tmp_path.iterdir()] == ["rows.csv"]


@pytest.mark.parametrize("links", [True, False])
def test_a_file_that_was_created_meanwhile_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, links: bool
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    if not links:
        monkeypatch.setattr(os, "link", refuse)
    path = tmp_path / "rows.csv"
    file = RowFile(path, "item")
    path.write_text("of a person")
    with pytest.raises(OutputExists, match="exists: it was created meanwhile"):
        file.close(keep=True)
    assert path.read_text() == "of a person"
    path.unlink()
    RowFile(path, "item").close(keep=True)
    assert [one.name for one in tmp_path.iterdir()] == ["rows.csv"]
    assert path.stat().st_nlink == 1


def test_what_killed_processes_left_is_removed(tmp_path: Path) -> None:
    killed, running = (tmp_path / f".t[1].csv.0123abc{digit}" for digit in "de")
    others = [tmp_path / name for name in (".t[1].csv.notahash", ".t1.csv.0123abcd", ".t[1].csv.0123abcde")]
    for one in (killed, running, *others):
        one.write_text("unfinished")
        if one != running:
            os.utime(one, (1e9, 1e9))
    write_new(tmp_path / "t[1].csv", b"x")
    assert {path.name for path in tmp_path.iterdir()} == {"t[1].csv", running.name, *(one.name for one in others)}


def test_paths_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    for name, message in (("rows.txt", "unknown format"), ("none/rows.csv", "cannot write"), ("folder.csv", "folder")):
        with pytest.raises(UsageError, match=message):
            RowFile(tmp_path / name, "item", replace=True)


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "rows.csv"
    path.write_text("old")
    file = RowFile(path, "item", replace=True)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FigupError, match="No space left on device"):
        file.close(keep=True)
    assert path.read_text() == "old"
    assert [one.name for one in tmp_path.iterdir()] == ["rows.csv"]
