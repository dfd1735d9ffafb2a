"""Filters: gitignore patterns, their precedence, and globs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploader.errors import UsageError
from uploader.sources.filters import Filters, Glob, Ignores
from uploader.sources.gitignore import Patterns, pattern_lines


def ignores(**files: list[str]) -> Ignores:
    """Ignore files by the folder that they are in ("top" for the top), from the top down."""
    found = Ignores()
    for folder, lines in files.items():
        where = "" if folder == "top" else folder.replace("__", "/")
        found = found.with_file(where, Patterns(pattern_lines("\n".join(lines).encode(), folder)))
    return found


@pytest.mark.parametrize(
    ("path", "folder", "left_out"),
    [
        ("a.tmp", False, True),
        ("deep/down/a.tmp", False, True),
        ("keep.tmp", False, False),
        ("build", True, True),
        ("build", False, False),
        ("sub/build", True, True),
        ("top.csv", False, True),
        ("sub/top.csv", False, False),
        ("a/x/y/b", False, True),
        ("#odd", False, True),
        ("a.csv", False, False),
    ],
)
def test_patterns_behave_as_in_gitignore(path: str, folder: bool, left_out: bool) -> None:
    lines = ["# a remark", "", "*.tmp", "!keep.tmp", "build/", "/top.csv", "a/**/b", "\\#odd"]
    assert (Filters([], []).reason(path, ignores(top=lines), folder=folder) == "excluded") is left_out
    assert (Filters([], lines).reason(path, Ignores(), folder=folder) == "excluded") is left_out


def test_the_nearest_ignore_file_decides_after_the_command_line() -> None:
    files = ignores(top=["*.log", "/sub/only"], sub=["!run.log", "only"], sub__deep=["run.log"])
    no_options = Filters([], [])
    assert no_options.reason("run.log", files) == "excluded"
    assert no_options.reason("sub/run.log", files) is None
    assert no_options.reason("sub/deep/run.log", files) == "excluded"
    assert Filters([], ["!run.log"]).reason("sub/deep/run.log", files) is None
    assert Filters([], ["run.log"]).reason("sub/run.log", files) == "excluded"


def test_include_matches_files_and_contents_of_folders() -> None:
    only = Filters(["*.csv", "raw/"], ["bad*"])
    assert only.reason("a.csv", Ignores()) is None
    assert only.reason("x/raw/notes.txt", Ignores()) is None
    assert only.reason("notes.txt", Ignores()) == "not-included"
    assert only.reason("bad.csv", Ignores()) == "excluded"
    assert only.reason("other", Ignores(), folder=True) is None, "what it holds may be included"


def test_an_excluded_folder_excludes_files_named_explicitly() -> None:
    secret = Filters([], ["secret", "!keep/"])
    assert secret.reason_alone("keep/secret/key.pem") == "excluded"
    assert secret.reason_alone("keep/a.csv") is None
    assert Filters([], ["raw/", "!raw/a"]).reason_alone("raw/a") == "excluded", "its folder is excluded"


def test_of_include_patterns_the_nearest_decides() -> None:
    only = Filters(["raw/", "!*.tmp", "scratch/keep"], [])
    assert only.reason_alone("raw/deep/a") is None
    assert only.reason_alone("raw/a.tmp") == "not-included"
    assert only.reason_alone("scratch/keep/a") is None
    assert only.reason_alone("scratch/a") == "not-included"


@pytest.mark.parametrize("pattern", ["broken\\", "[a", "[[:letter:]]", "", "/", "!"])
def test_a_malformed_pattern_matches_nothing_as_in_git(pattern: str) -> None:
    assert not any(Patterns([pattern]).decision(path, folder=True) for path in ("broken\\", "[a", "a", "[[:letter:]]"))


@pytest.mark.parametrize("data", ["*.pem\n".encode("utf-16"), b"fine\ncaf\xe9/\n", b"a\0b\n"])
def test_an_ignore_file_that_is_not_text_is_an_error(data: bytes) -> None:
    with pytest.raises(UsageError, match=r"set/.figupignore: .*is not text in UTF-8"):
        pattern_lines(data, "set/.figupignore")


LETTERS = st.characters(blacklist_characters="/", blacklist_categories=["Cs", "Cc", "Zl", "Zp", "Zs"]) | st.just(" ")
NAMES = st.text(LETTERS, min_size=1, max_size=12)


@given(NAMES.filter(lambda name: name not in (".", "..")))
def test_without_patterns_everything_is_included(name: str) -> None:
    assert Filters([], []).reason(name, Ignores()) is None
    literal = "/" + "".join(f"\\{c}" if c in "\\*?[]!#" or c.isspace() else c for c in name)
    assert Filters([], [literal]).reason(name, Ignores()) == "excluded"
    assert Filters([], [literal]).reason(f"x{name}", Ignores()) is None


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        ("/data/*.csv", ("/data", "*.csv")),
        ("/data/run?/x", ("/data", "run?/x")),
        ("/*/x", ("/", "*/x")),
        ("/data/[ab]/**", ("/data", "[ab]/**")),
        ("/data/x", None),
    ],
)
def test_a_glob_starts_after_the_last_plain_folder(path: str, parts: tuple[str, str] | None) -> None:
    found = Glob.split(path)
    assert (None if found is None else (found[0], found[1].pattern)) == parts


def test_a_glob_matches_whole_paths_and_what_is_in_folders_that_it_matches() -> None:
    glob = Glob("run*/*.csv")
    assert glob.matches("run1/a.csv")
    assert not glob.matches("x/run1/a.csv")
    assert not glob.matches("run1/deep/a.csv")
    assert glob.may_match_below("run1")
    assert not glob.may_match_below("run1/deep")
    assert Glob("run*").matches("run1/deep/a")
    assert Glob("**/*.csv").matches("a.csv")
    assert Glob("**/*.csv").may_match_below("any/depth/at/all")
    assert Glob("!x*").matches("!x1")
    assert Glob("a* ").matches("ab ")
    assert Glob("caf?").matches("café"), "a letter, as in a shell"
