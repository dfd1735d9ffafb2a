"""Is this remote file that source, complete and verified?"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from uploader.figshare.models import File
from uploader.transfer.compare import Expected, Match, classify, expected_of, folder_of, needs_md5, rank_matches
from uploader.transfer.journal.lifecycle import Transfer

MD5 = "a" * 32
FILE = File(id=1, name="data.bin", size=7, status="available", computed_md5=MD5)
EXPECTED = Expected(size=7, md5=MD5, name="data.bin", folder="d", file_id=1)


def file(**changes: Any) -> File:
    return msgspec.structs.replace(FILE, **changes)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({}, Match.SAME),
        ({"computed_md5": MD5.upper()}, Match.SAME),
        ({"status": "ic_checking"}, Match.SAME),
        ({"status": "a word of tomorrow"}, Match.SAME),
        ({"computed_md5": None}, Match.UNKNOWN),
        ({"computed_md5": "b" * 32}, Match.DIFFERENT),
        ({"size": 0}, Match.DIFFERENT),
        ({"size": 8, "computed_md5": None}, Match.DIFFERENT),
        ({"name": "other.bin"}, Match.DIFFERENT),
        ({"status": "created"}, Match.UNFINISHED),
        ({"status": "created", "computed_md5": None}, Match.UNFINISHED),
        ({"status": "ic_failure"}, Match.FAILED),
        ({"is_link_only": True}, Match.LINK),
        ({"is_link_only": True, "status": "created"}, Match.LINK),
        ({"id": 2}, Match.MISSING),
    ],
)
def test_each_property_counts(changes: dict[str, Any], match: Match) -> None:
    assert classify(file(**changes), EXPECTED, "d") is match


@pytest.mark.parametrize(("folder", "match"), [("d", Match.SAME), ("", Match.DIFFERENT), (None, Match.SAME)])
def test_the_folder_counts_where_the_item_gives_it(folder: str | None, match: Match) -> None:
    assert classify(FILE, EXPECTED, folder) is match


@pytest.mark.parametrize(
    ("name", "folder", "match"),
    [
        ("d/data.bin", None, Match.SAME),
        ("d/data.bin", "", Match.SAME),
        ("d/data.bin", "d", Match.SAME),
        ("e/data.bin", None, Match.DIFFERENT),
        ("e/data.bin", "d", Match.DIFFERENT),
        ("data.bin", "e", Match.DIFFERENT),
    ],
)
def test_a_folder_in_the_name_is_that_folder(name: str, folder: str | None, match: Match) -> None:
    assert classify(file(name=name), EXPECTED, folder) is match


def test_a_missing_remote_file_is_classified() -> None:
    assert classify(None, EXPECTED) is Match.MISSING


def test_without_the_source_s_md5_nothing_is_the_same_but_other_differences_are_found() -> None:
    assert classify(FILE, Expected(size=7)) is Match.UNKNOWN
    assert classify(FILE, Expected(size=8)) is Match.DIFFERENT


def test_with_only_a_checksum_the_size_is_not_compared() -> None:
    assert classify(FILE, Expected(md5=MD5)) is Match.SAME
    assert classify(FILE, Expected(md5="b" * 32)) is Match.DIFFERENT


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"is_link_only": True, "download_url": "https://x"}, Match.SAME),
        ({"is_link_only": True, "download_url": "https://y"}, Match.DIFFERENT),
        ({"is_link_only": False, "download_url": "https://x"}, Match.DIFFERENT),
        ({"is_link_only": True, "download_url": "https://x", "id": 2}, Match.MISSING),
    ],
)
def test_a_link_is_compared_by_its_address(changes: dict[str, Any], match: Match) -> None:
    assert classify(file(**changes), Expected(link="https://x", file_id=1)) is match


def test_the_most_similar_file_comes_first_and_equally_similar_ones_keep_their_order() -> None:
    files = [
        file(id=1, status="created"),
        file(id=2, size=8),
        file(id=3, is_link_only=True),
        file(id=4, status="ic_failure"),
        file(id=5, computed_md5=None),
        file(id=6),
    ]
    assert [(match, f.id) for match, f in rank_matches(files, Expected(size=7, md5=MD5))] == [
        (Match.SAME, 6),
        (Match.UNKNOWN, 5),
        (Match.DIFFERENT, 2),
        (Match.LINK, 3),
        (Match.FAILED, 4),
        (Match.UNFINISHED, 1),
    ]


@pytest.mark.parametrize(
    ("changes", "needed"),
    [
        ({}, True),
        ({"size": 8}, False),
        ({"computed_md5": None}, False),
        ({"status": "created"}, False),
        ({"status": "ic_failure"}, False),
        ({"is_link_only": True}, False),
    ],
)
def test_a_source_is_read_only_if_its_md5_decides(changes: dict[str, Any], needed: bool) -> None:
    assert needs_md5([file(size=99), file(**changes)], 7) is needed


def test_a_verified_transfer_expects_all_that_it_knows() -> None:
    transfer = Transfer(
        index=0, source="/x/data.bin", name="data.bin", size=7, mtime_ns=1, inode=1, folder="d", file_id=1, md5=MD5
    )
    assert expected_of(transfer) == EXPECTED
    link = Transfer(index=0, source="https://x", name="x", size=0, mtime_ns=0, inode=0, link=True, file_id=1)
    assert expected_of(link) == Expected(file_id=1, link="https://x")


def test_an_item_without_folders_does_not_say_where_its_files_are() -> None:
    assert folder_of({}, 1) is None
    assert folder_of({1: "a"}, 1) == "a"
    assert folder_of({1: "a"}, 2) == ""
