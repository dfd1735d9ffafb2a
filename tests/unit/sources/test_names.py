"""Names that differ only in case or composition cause a warning; one file is sent once however it is spelled."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from uploader.errors import UsageError
from uploader.sources import source
from uploader.sources.models import Sources
from uploader.sources.names import alike_warnings, is_one_file
from uploader.sources.select import select


def test_similar_names_are_reported_once_per_folder() -> None:
    assert alike_warnings(["a/x", "b/X", "a/y"]) == []
    (case,) = alike_warnings(["Data/a", "Data/b", "data/a", "data/c"])
    assert "Data and data differ only in case" in case
    (letters,) = alike_warnings(["d/caf\u00e9", "d/cafe\u0301", "d/cafe"])
    assert r"'d/caf\xe9' and 'd/cafe\u0301' differ only in Unicode composition" in letters
    assert len(alike_warnings([f"{letter}{number}" for number in range(9) for letter in "aA"])) == 4


def test_similar_names_are_warned_about_and_both_selected(tmp_path: Path) -> None:
    for name in ("Notes.txt", "notes.txt"):
        (tmp_path / name).write_text(name)
    found = select(Sources(paths=(f"{tmp_path}/.",)))
    assert [chosen.name for chosen in found.files] == ["Notes.txt", "notes.txt"]
    assert ["differ only in case" in warning for warning in found.warnings] == [True]


def test_one_file_with_two_spellings_is_selected_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulate a file system that does not distinguish them, which Linux does not have."""
    (tmp_path / "notes.txt").write_text("1")
    honest_open, honest_lstat, honest_exists = os.open, os.lstat, os.path.lexists

    def plain(path: str | os.PathLike[str]) -> str:
        return os.fspath(path).replace("NOTES", "notes")

    monkeypatch.setattr(os, "open", lambda path, *rest: honest_open(plain(path), *rest))
    monkeypatch.setattr(os, "lstat", lambda path: honest_lstat(plain(path)))
    monkeypatch.setattr(os.path, "lexists", lambda path: honest_exists(plain(path)))
    found = select(Sources(paths=(str(tmp_path / "notes.txt"), str(tmp_path / "NOTES.txt"))))
    assert [chosen.name for chosen in found.files] == ["notes.txt"]
    assert found.warnings == []


def test_two_links_to_one_file_are_two_files(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    (tmp_path / "A").hardlink_to(tmp_path / "a")
    assert not is_one_file(str(tmp_path / "a"), str(tmp_path / "A"))
    assert not is_one_file(str(tmp_path / "a"), str(tmp_path / "missing"))


def test_patterns_that_never_match_are_reported(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    (tmp_path / ".figupignore").write_text("[b\n")
    found = select(Sources(paths=(f"{tmp_path}/.",), exclude=("c\\",)))
    assert found.warnings == [
        "the pattern 'c\\\\' is malformed and ignored, as by git",
        f"{tmp_path}/.figupignore: the pattern '[b' is malformed and ignored, as by git",
    ]


def test_another_file_system_encoding_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "getfilesystemencoding", lambda: "iso8859-1")
    assert source.remote_name("/d/plain") == "plain"
    with pytest.raises(UsageError, match="reads file names as iso8859-1, not as UTF-8"):
        source.remote_name("/d/caf\u00c3\u00a9")
