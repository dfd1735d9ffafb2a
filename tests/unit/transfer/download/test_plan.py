"""Which files are downloaded and where they are stored, whatever their names on the server."""

from __future__ import annotations

import posixpath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploader.errors import FileNotHeld, UsageError
from uploader.figshare.models import File
from uploader.sources.filters import Filters
from uploader.transfer.download.plan import Plan, plan_download, safe_path, why_renamed

MD5 = "d41d8cd98f00b204e9800998ecf8427e"


def file(file_id: int, name: str, **fields: object) -> File:
    values = {"size": 1, "status": "available", "computed_md5": MD5, "download_url": f"https://x/{file_id}", **fields}
    return File(id=file_id, name=name, **values)  # type: ignore[arg-type]


def plan(*files: File, folders: dict[int, str] | None = None, names: tuple[str, ...] = (), **rules: list[str]) -> Plan:
    filters = Filters(rules.get("include", []), rules.get("exclude", []))
    return plan_download(7, files, folders or {}, filters, names)


@given(st.text(max_size=40) | st.from_regex(r"(\.\.|/|\.|a|\x00){1,12}", fullmatch=True))
def test_a_safe_path_stays_below_its_folder_and_can_be_stored(remote: str) -> None:
    path = safe_path(remote)
    assert path
    assert not path.startswith("/")
    assert posixpath.normpath(path) == path
    assert all(piece not in ("", ".", "..") and len(piece.encode()) <= 255 for piece in path.split("/"))
    assert all(ord(letter) >= 32 for letter in path)


@pytest.mark.parametrize(
    ("remote", "expected"),
    [
        ("a/b.txt", "a/b.txt"),
        ("/etc/passwd", "etc/passwd"),
        ("../../x", "__/__/x"),
        ("a//./b", "a/b"),
        ("bell\a.txt", "bell_.txt"),
        ("a\x9b31m", "a_31m"),
        ("é" * 200 + ".csv", "é" * 125 + ".csv"),
        ("", "_"),
    ],
)
def test_safe_paths(remote: str, expected: str) -> None:
    assert safe_path(remote) == expected


def test_the_folder_of_a_file_comes_from_the_item_or_from_its_name() -> None:
    found = plan(file(1, "a"), file(2, "set/b"), folders={1: "set", 2: "set"})
    assert [each.path for each in found.wanted] == ["set/a", "set/b"]


def test_names_that_differ_only_in_case_or_composition_are_stored_apart() -> None:
    found = plan(file(1, "Data.csv"), file(2, "data.csv"), file(3, "e\u0301"), file(4, "\u00e9"))
    assert [each.path for each in found.wanted] == ["Data.csv", "data.2.csv", "e\u0301", "\u00e9.4"]
    assert [each.file_id for each in found.renamed] == [2, 4]


def test_of_files_with_one_name_the_oldest_keeps_it_in_any_order() -> None:
    files = [file(7, "Data.csv"), file(3, "data.csv"), file(5, "data.csv")]
    for listed in (files, files[::-1]):
        assert {one.file_id: one.path for one in plan(*listed).wanted} == {
            7: "Data.7.csv", 3: "data.csv", 5: "data.5.csv"
        }  # fmt: skip


@pytest.mark.parametrize("other", [{"status": "created"}, {"status": "ic_failure"}, {"is_link_only": True}])
def test_what_is_not_downloaded_takes_no_name(other: dict[str, object]) -> None:
    found = plan(file(1, "data.csv", **other), file(2, "data.csv"))
    assert [(one.file_id, one.path) for one in found.wanted] == [(2, "data.csv")]
    assert not found.renamed


def test_the_reason_of_another_name_is_known() -> None:
    found = plan(file(1, "a"), file(2, "A"), file(3, "../b"))
    assert [(one.path, "another of that name" in why_renamed(one)) for one in found.renamed] == [
        ("A.2", True), ("__/b", False)
    ]  # fmt: skip


def test_no_two_files_get_one_path() -> None:
    found = plan(file(1, "a.txt"), file(2, "a.5.txt"), file(5, "a.txt"), file(6, "A.TXT"))
    paths = [each.path.casefold() for each in found.wanted]
    assert len(set(paths)) == 4


def test_a_file_and_a_folder_of_one_name_are_stored_apart() -> None:
    found = plan(file(1, "set"), file(2, "Set/a/b"), file(3, "x/y"), file(4, "set/A"))
    assert [each.path for each in found.wanted] == ["set.1", "Set/a/b", "x/y", "set/A.4"]


def test_a_file_that_is_downloaded_alone_has_the_same_path() -> None:
    files = [file(1, "x/Data.csv"), file(2, "x/data.csv")]
    everything = {each.file_id: each.path for each in plan(*files).wanted}
    assert [each.path for each in plan(*files, exclude=["Data.csv"]).wanted] == [everything[2]]


def test_no_file_takes_the_name_of_a_partial_one() -> None:
    assert safe_path("x/.figup-77.part") == "x/_.figup-77.part"
    assert safe_path(".FigUp-77.part") == "_.FigUp-77.part"


def test_patterns_that_include_nothing_are_refused() -> None:
    with pytest.raises(UsageError, match="no file of item 7 matches"):
        plan(file(1, "a.csv"), include=["*.cvs"])


def test_links_and_unfinished_files_are_skipped_with_the_reason() -> None:
    found = plan(file(1, "a", is_link_only=True), file(2, "b", status="created"), file(3, "c", status="ic_failure"))
    assert not found.wanted
    assert [each.reason for each in found.skipped] == ["link", "unfinished", "integrity-failed"]


def test_patterns_choose_files_as_they_do_for_uploads() -> None:
    found = plan(file(1, "a.csv"), file(2, "b.txt"), file(3, "c.csv"), include=["*.csv"], exclude=["c*"])
    assert [each.path for each in found.wanted] == ["a.csv"]
    assert [each.reason for each in found.skipped] == ["not-included", "excluded"]


def test_files_and_folders_are_chosen_by_name() -> None:
    files = [file(1, "a"), file(2, "b"), file(3, "c")]
    found = plan(*files, folders={1: "set", 2: "set", 3: "other"}, names=("set", "c"))
    assert [each.path for each in found.wanted] == ["set/a", "set/b", "other/c"]


def test_a_file_is_found_in_either_spelling_of_its_name() -> None:
    for wanted in ("cafe\u0301.csv", "caf\u00e9.csv"):
        assert len(plan(file(1, "caf\u00e9.csv"), names=(wanted,)).wanted) == 1
        assert len(plan(file(1, "cafe\u0301.csv"), names=(wanted,)).wanted) == 1


def test_an_unknown_name_is_refused_with_near_ones() -> None:
    with pytest.raises(FileNotHeld, match=r"item 7 has no file survey\.cvs") as error:
        plan(file(1, "survey.csv"), names=("survey.cvs",))
    assert error.value.hint == 'Did you mean "survey.csv"?'


def test_a_pattern_in_the_place_of_a_name_is_told() -> None:
    with pytest.raises(FileNotHeld) as error:
        plan(file(1, "a.csv"), names=("*.csv",))
    assert error.value.facts.situation == "file-not-in-item"
    assert plan(file(1, "a[1].csv"), names=("a[1].csv",)).wanted


def test_the_supplied_md5_serves_where_figshare_has_computed_none() -> None:
    found = plan(file(1, "a", computed_md5=None, supplied_md5=MD5.upper()), file(2, "b", computed_md5=None))
    assert [each.md5 for each in found.wanted] == [MD5, None]
