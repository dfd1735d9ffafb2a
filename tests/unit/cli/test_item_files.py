"""Finding and showing the files of an item, on servers that name them with and without their folders."""

from __future__ import annotations

import pytest

from uploader.cli.hints import Repeated
from uploader.cli.item_files import _find
from uploader.cli.item_views import file_fields, file_line
from uploader.errors import FileNotHeld
from uploader.figshare.models import File, ItemDetail

FILES = [File(id=1, name="set/a.bin"), File(id=2, name="b.bin"), File(id=3, name="caf\u00e9.txt")]
ITEM = ItemDetail(id=7, folders={1: "set", 2: "set"})


@pytest.mark.parametrize(
    ("wanted", "file_id"),
    [("set/a.bin", 1), ("a.bin", 1), ("set/b.bin", 2), ("b.bin", 2), ("2", 2), ("cafe\u0301.txt", 3)],
)
def test_a_file_is_found_by_path_name_and_id(wanted: str, file_id: int) -> None:
    assert _find(wanted, FILES, ITEM, Repeated()).id == file_id


@pytest.mark.parametrize(("wanted", "near"), [("a.bim", "a.bin"), ("set/a.bim", "set/a.bin")])
def test_for_an_unknown_file_similar_ones_are_named_in_the_same_form(wanted: str, near: str) -> None:
    with pytest.raises(FileNotHeld, match="item 7 has no file") as error:
        _find(wanted, FILES, ITEM, Repeated())
    assert f'"{near}"' in str(error.value.hint)


def test_a_folder_is_shown_once() -> None:
    path = FILES[0].path_among(ITEM.folders)
    assert (file_fields(FILES[0], path)["folder"], file_fields(FILES[0], path)["name"]) == ("set", "a.bin")
    assert file_line(FILES[0], path).endswith(" set/a.bin")
