"""Ignore files and `--exclude` exclude exactly what git excludes, compared with git itself on random trees."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from uploader.sources.filters import IGNORE_FILE, Filters
from uploader.sources.models import Skipped, SourceFile
from uploader.sources.walk import Rules, walk

EXAMPLES = 150
NAMES = st.sampled_from(
    [
        "a",
        "b",
        "ab",
        "aab",
        "a.csv",
        "b.csv",
        "é",
        "a b",
        "a ",
        "#a",
        "!a",
        "[a]",
        "a*b",
        "a\\b",
        "A",
        "-",
        "^",
        "a]",
        "\t",
    ]
)
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)
CONSTRUCTS = st.sampled_from(
    [
        *("*", "**", "***", "?", "*a", "a*", "*.csv", "**b", "\\", "\\*", "\\ ", "\\a", "\\#", "\\!", "\\[", " ", "  "),
        *(
            "[a]",
            "[!a]",
            "[^a]",
            "[a-b]",
            "[b-a]",
            "[]a]",
            "[!]a]",
            "[a\\]b]",
            "[[:alpha:]]",
            "[![:alpha:]]",
            "[[:x:]]",
        ),
        *("[", "[a", "[a-", "[-a]", "[a-]", "[[:alpha:]-z]", "[[:]", "[[:a]", "[/]", "[é]", "[\\-a]", "[a-\\b]", "[*]"),
        *("a", "b", "ab", "é", "a.csv", "A", "#", "!", "]", "^", "-", "."),
    ]
)
PIECES = NAMES | st.lists(CONSTRUCTS, max_size=3).map("".join)
PATTERNS = st.builds(
    lambda negation, anchor, pieces, folder, spaces: f"{negation}{anchor}{'/'.join(pieces)}{folder}{spaces}",
    st.sampled_from(["", "", "!", "!!", "\\!"]),
    st.sampled_from(["", "", "/", "**/", "\\/"]),
    st.lists(PIECES, min_size=1, max_size=4),
    st.sampled_from(["", "", "/", "/*", "/**", "\\/", "//", "\\"]),
    st.sampled_from(["", "", " ", "   ", "\\ ", "\\  ", "\t"]),
)
IGNORE_FILES = st.builds(
    lambda bom, lines, end, last: (bom + end.join(lines) + last).encode(),
    st.sampled_from(["", "", "\ufeff"]),
    st.lists(PATTERNS | st.sampled_from(["", "# remark", " # a", "*", "!*/", "!*.csv", "*/", "!a/"]), max_size=5),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["", "\n", "\r"]),
)


def _plant(top: Path, paths: Iterable[str], ignore_files: dict[str, bytes]) -> None:
    """Make a tree of files and ignore files; skip files whose path needs a folder where a file is."""
    shutil.rmtree(top, ignore_errors=True)
    top.mkdir()
    for path in sorted(paths):
        file = top / path
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
        except (NotADirectoryError, FileExistsError, IsADirectoryError):
            continue
    for folder, content in ignore_files.items():
        for name in (IGNORE_FILE, ".gitignore"):
            if (top / folder).is_dir():
                (top / folder / name).write_bytes(content)


def _everything(top: Path) -> set[str]:
    return {path.relative_to(top).as_posix() for path in top.rglob("*")}


def _git(top: Path, *words: str, given: Iterable[str] = ()) -> set[str]:
    """Run git in a separate repository beside the tree; return the paths that it prints."""
    repository = top.with_name("repository")
    environment = {"PATH": os.environ["PATH"], "HOME": str(repository), "GIT_CONFIG_NOSYSTEM": "1"}
    if not repository.exists():
        subprocess.run(["git", "init", "-q", "--bare", repository], check=True, env=environment)
    command = ["git", f"--git-dir={repository}", f"--work-tree={top}", "-c", "core.ignoreCase=false"]
    done = subprocess.run(
        [*command, "-c", "core.bare=false", *words],
        input="\0".join(sorted(given)).encode(),
        stdout=subprocess.PIPE,
        cwd=top,
        env=environment,
        check=False,
    )
    assert done.returncode in (0, 1), "git failed"
    return set(done.stdout.decode().rstrip("\0").split("\0")) - {""}


@pytest.fixture(scope="module")
def top(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ignored") / "tree"


def _sent_and_excluded(top: Path, exclude: Iterable[str] = ()) -> tuple[set[str], set[str]]:
    """Return the selected files, and the files and folders that patterns exclude with their contents."""
    found = list(walk(str(top), "", Rules(filters=Filters([], exclude), hidden=True)))
    assert all(isinstance(one, SourceFile | Skipped) for one in found), found
    inner = len(str(top)) + 1
    sent = {one.path[inner:] for one in found if isinstance(one, SourceFile)}
    return sent, {
        one.path[inner:].rstrip("/") for one in found if isinstance(one, Skipped) and one.reason == "excluded"
    }


@pytest.mark.search
@settings(max_examples=EXAMPLES)
@given(st.sets(PATHS, max_size=8), st.dictionaries(st.just("") | PATHS, IGNORE_FILES, min_size=1, max_size=3))
@example({"keep/secret/key.pem", "keep/a.csv"}, {"": b"secret\n!keep/\n"})
@example({"keep/a.csv", "keep/b.txt", "b.txt"}, {"": b"*\n!*/\n!*.csv\n"})
@example({"a/b/c", "a/c"}, {"": b"c", "a": b"!c", "a/b": b"/c"})
@example({"foo/x/bar", "foobar", "food/bar"}, {"": b"foo**/bar\n"})
def test_an_ignore_file_leaves_out_what_git_leaves_out(
    top: Path, paths: set[str], ignore_files: dict[str, bytes]
) -> None:
    _plant(top, paths, ignore_files)
    everything = _everything(top)
    ignored = _git(top, "check-ignore", "--no-index", "--stdin", "-z", given=everything)
    sent, excluded = _sent_and_excluded(top)
    assert sent == {path for path in everything - ignored if not (top / path).is_dir()}
    assert excluded <= ignored
    assert all(any(f"{path}/".startswith(f"{one}/") for one in excluded) for path in ignored)


@pytest.mark.search
@settings(max_examples=EXAMPLES)
@given(
    st.sets(PATHS, max_size=8),
    st.lists(PATTERNS, max_size=4),
    st.dictionaries(st.just("") | PATHS, IGNORE_FILES, max_size=2),
)
@example({"#a", "a "}, ["#a", "a "], {})
def test_exclude_leaves_out_what_git_leaves_out(
    top: Path, paths: set[str], exclude: list[str], ignore_files: dict[str, bytes]
) -> None:
    _plant(top, paths, ignore_files)
    options = [f"--exclude={pattern}" for pattern in exclude]
    left = _git(top, "ls-files", "--others", "-z", f"--exclude-per-directory={IGNORE_FILE}", *options)
    assert _sent_and_excluded(top, exclude)[0] == left
