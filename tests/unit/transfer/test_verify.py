"""Local files, or their checksums, compared with the files of an item."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.existing_files import CONTENT, MD5, ItemWithFiles, complete_file, unfinished_file
from uploader.errors import Conflict
from uploader.figshare.models import File
from uploader.sources.checksums import ChecksumEntry
from uploader.sources.models import Sources
from uploader.transfer import notices as no
from uploader.transfer import verify as verifying
from uploader.transfer.verify import (
    EXIT_STATUS,
    Comparison,
    Total,
    exit_status,
    likely_folder,
    surplus_folder,
    totals,
    verify,
)

pytestmark = pytest.mark.anyio


async def verified(
    *existing: File,
    paths: tuple[Path, ...] = (),
    sums: tuple[ChecksumEntry, ...] = (),
    folders: dict[int, str] | None = None,
) -> list[Comparison]:
    """Return the comparisons, which must also be reported one by one."""
    reported: list[Comparison] = []
    notices: list[no.AnyNotice] = []
    api: Any = ItemWithFiles(existing, folders)
    sources = Sources(paths=tuple(map(str, paths)))
    results = await verify(api, 7, sources, list(sums), reported.append, notices.append, settle=30.0)
    assert reported == results
    assert any(isinstance(notice, no.ItemKnown) and notice.item_id == 7 for notice in notices)
    return results


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "data.bin"
    path.write_bytes(CONTENT)
    return path


@pytest.mark.parametrize(
    ("existing", "status", "exits"),
    [
        (complete_file(), "same", 0),
        (complete_file(computed_md5=MD5.upper()), "same", 0),
        (complete_file(computed_md5="b" * 32), "different", 5),
        (complete_file(size=9), "different", 5),
        (complete_file(is_link_only=True), "different", 5),
        (complete_file(status="ic_failure"), "failed", 5),
        (complete_file(computed_md5=None), "unknown", 7),
        (unfinished_file(), "unfinished", 1),
        (complete_file(name="other"), "missing", 1),
    ],
)
async def test_each_status_and_its_exit_status(source: Path, existing: File, status: str, exits: int) -> None:
    (result,) = await verified(existing, paths=(source,))
    assert (result.path, result.name, result.status) == (str(source), "data.bin", status)
    assert (result.file_id, result.remote_size) == ((None, None) if status == "missing" else (1, existing.size))
    assert exit_status([result]) == exits


async def test_the_most_similar_file_is_compared_and_the_others_are_listed(source: Path) -> None:
    results = await verified(unfinished_file(1), complete_file(2, size=9), complete_file(3), paths=(source,))
    assert [(one.status, one.file_id) for one in results] == [("same", 3), ("extra-copy", 2), ("extra-copy", 1)]
    results = await verified(unfinished_file(1), unfinished_file(2), paths=(source,))
    assert [(one.status, one.file_id) for one in results] == [("unfinished", 1), ("unfinished", 2)]


async def test_a_missing_file_is_looked_for_under_the_same_name_elsewhere(source: Path) -> None:
    (result,) = await verified(complete_file(), paths=(source,), folders={1: "d"})
    assert (result.status, result.elsewhere) == ("missing", "d/data.bin")


async def test_for_a_folder_the_items_other_files_are_listed_without_links(source: Path) -> None:
    folder = source.parent.name
    link = complete_file(3, name="link", is_link_only=True)
    existing = (complete_file(1), complete_file(2, name="more"), link, complete_file(4, name="outside"))
    results = await verified(*existing, paths=(source.parent,), folders={1: folder, 2: folder, 3: folder})
    assert [(one.status, one.path, one.file_id) for one in results] == [
        ("same", str(source), 1),
        ("missing-here", None, 2),
    ]


async def test_excluded_local_files_are_left_out(source: Path) -> None:
    (source.parent / ".hidden").write_bytes(CONTENT)
    folder = source.parent.name
    existing = (complete_file(1), complete_file(2, name=".hidden"))
    results = await verified(*existing, paths=(source.parent,), folders={1: folder, 2: folder})
    assert [(one.status, one.reason) for one in results] == [("same", None), ("left-out", "hidden")]
    assert exit_status(results) == 0


async def test_checksums_are_compared_without_sizes() -> None:
    sums = (
        ChecksumEntry(path="data.bin", folder="", name="data.bin", md5=MD5),
        ChecksumEntry(path="gone", folder="", name="gone", md5=MD5),
    )
    results = await verified(complete_file(1), complete_file(2, name="more"), sums=sums)
    assert [(one.status, one.name, one.size) for one in results] == [
        ("same", "data.bin", None),
        ("missing", "gone", None),
        ("missing-here", "more", None),
    ]


async def test_files_that_a_download_had_to_rename_are_recognized(tmp_path: Path) -> None:
    existing = [complete_file(number, name=name) for number, name in enumerate(["a.csv", "A.csv", "a.csv", "b\tc"], 1)]
    for name in ("a.csv", "A.2.csv", "a.3.csv", "b_c"):
        (tmp_path / name).write_bytes(CONTENT)
    results = await verified(*existing, paths=tuple(tmp_path.iterdir()))
    assert {(one.status, one.name, one.file_id, one.spelling) for one in results} == {
        ("same", "a.csv", 1, None),
        ("same", "A.2.csv", 2, "A.csv"),
        ("same", "a.3.csv", 3, "a.csv"),
        ("same", "b_c", 4, "b\tc"),
    }
    (tmp_path / "A.csv").write_bytes(CONTENT)
    results = await verified(*existing[:2], paths=(tmp_path / "A.csv", tmp_path / "A.2.csv"))
    assert {(one.status, one.name) for one in results} == {("same", "A.csv"), ("missing", "A.2.csv")}


def comparison(status: str, name: str = "a", folder: str = "", size: int | None = 1) -> Comparison:
    return Comparison(path=None, name=name, size=size, md5=None, status=status, folder=folder)


def test_the_worst_status_decides_the_exit_status() -> None:
    order = ["same", "unknown", "missing", "failed", "different"]
    for end in range(1, len(order) + 1):
        found = [comparison(status) for status in order[:end]]
        assert exit_status(found) == exit_status(found[::-1]) == EXIT_STATUS[order[end - 1]]
    assert exit_status([]) == 0


def test_totals_have_every_status_and_no_bytes_where_a_size_is_not_known() -> None:
    found = totals([comparison("same"), comparison("same", size=2), comparison("missing", size=None)])
    assert found["same"] == Total(2, 3)
    assert found["missing"] == Total(1, None)
    assert found["different"] == Total(0, 0)
    assert found.keys() == EXIT_STATUS.keys()


def test_the_folder_with_most_of_the_missing_files_is_suggested() -> None:
    missing = [comparison("missing", "a"), comparison("missing", "b", "sub"), comparison("missing", "c")]
    beyond = [comparison("missing-here", "a", "d"), comparison("missing-here", "b", "d/sub")]
    assert likely_folder([*missing, *beyond]) == "d"
    assert likely_folder([*missing, beyond[0]]) is None
    assert likely_folder(missing) is None


async def test_the_folder_of_a_download_is_not_in_the_item(tmp_path: Path) -> None:
    for path in ("copy/data.bin", "copy/sub/b"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(CONTENT)
    existing = complete_file(), complete_file(4, name="b")
    results = await verified(*existing, paths=(tmp_path / "copy",), folders={4: "sub"})
    assert surplus_folder(results) == "copy"
    assert surplus_folder(await verified(complete_file(), paths=(tmp_path / "copy" / "sub",))) is None


class ChangingItem(ItemWithFiles):
    """An item with other files from its second listing on."""

    def __init__(self, existing: tuple[File, ...], later: tuple[File, ...]) -> None:
        super().__init__(existing)
        self._listings = iter([existing, later])

    async def files(self, item_id: int) -> AsyncIterator[File]:
        for file in next(self._listings):
            yield file


@pytest.mark.parametrize(
    "later",
    [(), (complete_file(name="other.bin"),), (complete_file(status="created"),), (complete_file(computed_md5=None),)],
    ids=["gone", "renamed", "unfinished", "without MD5"],
)
async def test_a_file_that_the_item_lost_while_others_were_read_is_no_success(
    source: Path, monkeypatch: pytest.MonkeyPatch, later: tuple[File, ...]
) -> None:
    monkeypatch.setattr(verifying, "_LISTING_AGE", -1.0)
    item: Any = ChangingItem((complete_file(),), later)
    with pytest.raises(Conflict, match="was changed while it was compared"):
        await verify(item, 7, Sources(paths=(str(source),)), [], lambda _: None, lambda _: None, settle=30.0)


async def test_an_item_that_got_more_files_while_it_was_compared_still_holds_the_others(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verifying, "_LISTING_AGE", -1.0)
    item: Any = ChangingItem((complete_file(),), (complete_file(2, name="more"), complete_file()))
    (result,) = await verify(item, 7, Sources(paths=(str(source),)), [], lambda _: None, lambda _: None, settle=30.0)
    assert result.status == "same"
