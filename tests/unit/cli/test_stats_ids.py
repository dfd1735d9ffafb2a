"""Lists of ids for `figup stats`."""

from __future__ import annotations

from pathlib import Path

import pytest

from uploader.cli import stats_output
from uploader.cli.stats_output import read_ids
from uploader.errors import UsageError


@pytest.mark.parametrize(
    "text",
    [
        "5\n\n 6 \n",
        '\ufeffid,title\r\n5,"a\r\nb"\r\n6,c\r\n',
        "record_type,id\nitem,5\nitem,6\n",
        '{"id": 5, "title": "a"}\n{"id": 6, "_figup": {"record_type": "item"}}\n',
    ],
    ids=["lines", "csv", "typed", "json"],
)
def test_ids_are_read_from_lines_and_tables(tmp_path: Path, text: str) -> None:
    path = tmp_path / "ids"
    path.write_text(text, "utf-8", newline="")
    assert read_ids(path, "item") == ["5", "6"]


@pytest.mark.parametrize(
    "text",
    ["record_type,id\nitem,5\ncollection,7\n", '{"id": 5}\n{"id": 7, "_figup": {"record_type": "collection"}}\n'],
    ids=["csv", "json"],
)
def test_ids_of_another_kind_are_not_counted_as_nothing(tmp_path: Path, text: str) -> None:
    path = tmp_path / "ids"
    path.write_text(text)
    with pytest.raises(UsageError, match="7 is a collection, not an item") as caught:
        read_ids(path, "item")
    assert "--collection" in (caught.value.hint or "")


def test_a_list_is_read_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "ids"
    path.write_text("5\n6\n")
    monkeypatch.setattr(stats_output, "_MAX_SIZE", 3)
    with pytest.raises(UsageError, match="is longer than"):
        read_ids(path, "item")
