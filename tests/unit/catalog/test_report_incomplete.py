"""Incomplete tables: only what the same command wrote for the same account, and nobody changed, may be replaced."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from uploader.catalog.report.incomplete import IncompleteTable
from uploader.catalog.rows import NewFile
from uploader.errors import OutputExists


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """A table and two that belong to it, of which one was not needed."""
    found = [tmp_path / name for name in ("t.csv", "t.groups.csv", "t.files.csv")]
    for path in found[:2]:
        path.write_text("id")
    return found


def table(files: list[Path], asked: object = "public", folder: str = "catalogs") -> IncompleteTable:
    (files[0].parent / folder).mkdir(exist_ok=True)
    return IncompleteTable(files[0].parent / folder, asked, files)


@pytest.mark.parametrize("changed", range(3))
def test_a_change_of_any_file_is_kept(files: list[Path], changed: int) -> None:
    assert not table(files).exists()
    table(files).update(5, incomplete=True)
    assert table(files).exists()
    assert not table(files, asked="own").exists()
    files[changed].write_text("id, edited")
    assert not table(files).exists()


def test_a_table_of_another_account_is_kept(files: list[Path]) -> None:
    table(files).update(5, incomplete=True)
    table(files).check(5)
    for other in (6, None):
        with pytest.raises(OutputExists, match="exists, and has records of another account"):
            table(files).check(other)
    table(files).update(5, incomplete=False)
    assert not table(files).exists()


def test_a_folder_that_cannot_be_searched_is_left_to_what_writes_there(
    files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = table(files)
    before.update(None, incomplete=True)

    def refuse(self: Path, **_: object) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "stat", refuse)
    assert not before.exists()


@pytest.mark.parametrize("named", range(4))
def test_files_of_which_a_crash_left_some_without_their_names_may_be_replaced(files: list[Path], named: int) -> None:
    for path in files[:2]:
        path.unlink()
    parts = [path.with_suffix(".part") for path in files]
    for path in parts:
        path.write_text("id,title")
    expected = {path: part.stat() for path, part in zip(files, parts, strict=True)}
    table(files).expect(5, expected)
    for path, part in list(zip(files, parts, strict=True))[:named]:
        part.rename(path)
    assert table(files).exists() == (named > 0)
    files[-1].write_text("of a person")
    assert not table(files).exists()


def refused(
    table: IncompleteTable, path: Path, *, replace: bool, meanwhile: Callable[[], object] = lambda: None
) -> OutputExists | None:
    """Write a table as a report does; return what kept it from getting its name."""
    new = NewFile(path, replace=replace)
    meanwhile()
    try:
        table.expect(5, {path: new.complete()}, replace=replace)
        new.close(keep=True)
    except OutputExists as error:
        return error
    finally:
        new.close(keep=False)
    return None


def test_a_file_that_was_created_meanwhile_is_kept_by_this_run_and_the_next(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    before = table([path])
    assert not before.exists()
    error = refused(before, path, replace=False, meanwhile=lambda: path.write_text("of a person"))
    assert "created meanwhile" in str(error)
    assert not table([path]).exists()
    assert path.read_text() == "of a person"


@pytest.mark.parametrize("changed", range(3))
def test_an_incomplete_table_that_is_edited_during_the_next_run_is_kept(files: list[Path], changed: int) -> None:
    table(files).update(5, incomplete=True)
    before = table(files)
    assert before.exists()
    files[changed].write_text("id, edited")
    error = refused(before, files[0], replace=True)
    assert str(error) == f"{files[changed]} exists, and was changed meanwhile"
    assert not table(files).exists()
    assert files[changed].read_text() == "id, edited"
    assert sorted(path.name for path in files[0].parent.glob("*t.*csv*")) == sorted(
        path.name for path in files if path.exists()
    )


def test_an_incomplete_table_that_is_removed_during_the_next_run_is_written_again(files: list[Path]) -> None:
    table(files).update(5, incomplete=True)
    for path in files[:2]:
        path.unlink()
        assert refused(table(files), files[0], replace=True) is None
        assert table(files).exists()


def test_a_table_that_another_process_completes_meanwhile_is_kept(files: list[Path]) -> None:
    table(files).update(5, incomplete=True)
    table(files).update(5, incomplete=False)
    assert "changed meanwhile" in str(refused(table(files), files[0], replace=True))
