"""Selection on a real disk: every kind of directory entry is sent, skipped and reported, or refused."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from uploader.errors import Facts, FigupError, SourceNotFound, SourcesUnusable, UsageError
from uploader.sources.models import Selection, Sources, remote_path
from uploader.sources.select import collect, raise_problems, select

MD5 = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make(folder: Path, *names: str) -> None:
    """Files of these names, each with its name in it; one that ends with a slash is an empty folder."""
    for name in names:
        path = folder / name
        if name.endswith("/"):
            path.mkdir(parents=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name)


def there(selection: Selection) -> list[str]:
    return [remote_path(chosen.folder, chosen.name) for chosen in selection.files]


def skipped(selection: Selection, top: Path) -> dict[str, str]:
    return {skip.path.removeprefix(f"{top}/"): skip.reason for skip in selection.skipped}


def test_a_folder_keeps_its_name_and_its_files_their_folders(here: Path) -> None:
    make(here, "data/b", "data/sub/deep/a", "data/a", "other")
    found = select(Sources(paths=("data", "other")))
    assert there(found) == ["data/a", "data/b", "data/sub/deep/a", "other"]
    assert found.job_key == [f"{here}/data", f"{here}/other"]
    assert (found.title, found.roots) == ("data", ["data"])
    assert (found.files[2].path, found.files[2].size) == (f"{here}/data/sub/deep/a", 15)


@pytest.mark.parametrize("path", [".", "./", "../data", "../data/.", "../data/sub/.."])
def test_a_folder_without_name_means_its_contents(here: Path, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make(here, "data/a", "data/sub/b")
    monkeypatch.chdir(here / "data")
    found = select(Sources(paths=(path,)))
    prefix = "data/" if path == "../data" else ""
    assert there(found) == [f"{prefix}a", f"{prefix}sub/b"]
    assert found.title == "data"
    assert found.job_key == [f"{here}/data" + ("" if prefix else "/")]


def test_skipped_paths_have_reasons_and_folders_appear_once(here: Path) -> None:
    make(here, "d/a", "d/.git/x", "d/.git/y", "d/.hidden", "d/empty/", "d/x.tmp", "d/old/p", "d/old/q")
    (here / "d" / ".figupignore").write_text("*.tmp\nold/\n")
    (here / "d" / "link").symlink_to("a")
    (here / "d" / "dangling").symlink_to("nowhere")
    (here / "d" / "round").symlink_to(".")
    found = select(Sources(paths=("d",)))
    assert there(found) == ["d/a"]
    assert skipped(found, here / "d") == {
        ".figupignore": "hidden",
        ".git/": "hidden",
        ".hidden": "hidden",
        "dangling": "link",
        "empty/": "empty-folder",
        "link": "link",
        "old/": "excluded",
        "round/": "link",
        "x.tmp": "excluded",
    }


def test_hidden_files_and_links_are_included_on_request_and_loops_detected(here: Path) -> None:
    make(here, "d/.git/x", "d/.hidden", "d/real/a", "elsewhere/b")
    (here / "d" / "link").symlink_to("real/a")
    (here / "d" / "out").symlink_to("../elsewhere")
    (here / "d" / "real" / "up").symlink_to("..")
    (here / "elsewhere" / "self").symlink_to(".")
    found = select(Sources(paths=("d",), hidden=True, follow_symlinks=True))
    assert there(found) == ["d/.git/x", "d/.hidden", "d/link", "d/out/b", "d/real/a"]
    assert skipped(found, here / "d") == {"out/self/": "link-loop", "real/up/": "link-loop"}


def test_an_explicitly_named_link_is_followed_and_keeps_its_name(here: Path) -> None:
    make(here, "real/a")
    (here / "latest").symlink_to("real")
    (here / "one").symlink_to("real/a")
    assert there(select(Sources(paths=("latest", "one")))) == ["latest/a", "one"]


def test_all_problems_are_found_at_once(here: Path) -> None:
    make(here, "d/fine", "x/same", "y/same")
    os.mkfifo(here / "d" / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(here / "d" / "socket"))
    (here / "d" / "dangling").symlink_to("nowhere")
    (here / "d" / "self").symlink_to("self")
    (here / os.fsdecode(b"d/bad\xff")).write_text("x")
    with pytest.raises(SourcesUnusable, match="7 of the sources") as caught:
        select(Sources(paths=("d", "missing", "x/same", "y/same"), follow_symlinks=True))
    said = [cause.message.removeprefix(f"{here}/") for cause in caught.value.causes]
    assert [message.partition(":")[0] for message in said] == [
        "d/bad\\udcff", "d/dangling", "d/pipe", "d/self", "d/socket", "missing",
        "two sources have the same name on Figshare, same",
    ]  # fmt: skip
    assert [cause.exit_status for cause in caught.value.causes] == [2, 4, 2, 4, 2, 4, 2]
    assert there(select(Sources(paths=("d",), exclude=("pipe", "socket", "bad*")))) == ["d/fine"]


@pytest.mark.parametrize(
    ("name", "said"), [("dangling", "is a broken link"), ("pipe", "not a regular file"), ("socket", "not a regular")]
)
def test_what_cannot_be_sent_is_called_the_same_alone_and_in_a_folder(here: Path, name: str, said: str) -> None:
    make(here, "d/fine")
    os.mkfifo(here / "d" / "pipe")
    (here / "d" / "dangling").symlink_to("nowhere")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(here / "d" / "socket"))
    others = tuple({"dangling", "pipe", "socket"} - {name})
    for sources in (Sources(paths=(f"d/{name}",)), Sources(paths=("d",), exclude=others, follow_symlinks=True)):
        with pytest.raises(FigupError, match=f"d/{name}: .*{said}"):
            select(sources)


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is unreadable to root")
def test_unreadable_files_are_found_before_anything_is_sent(here: Path) -> None:
    make(here, "d/a", "d/shut/b", "d/c")
    (here / "d" / "a").chmod(0)
    (here / "d" / "shut").chmod(0)
    with pytest.raises(SourcesUnusable) as caught:
        select(Sources(paths=("d",)))
    (here / "d" / "shut").chmod(0o700)
    assert [cause.path for cause in caught.value.causes] == [f"{here}/d/a", f"{here}/d/shut"]


def test_a_single_problem_is_raised_and_started_sources_may_be_missing(here: Path) -> None:
    with pytest.raises(SourceNotFound, match="gone: no such file"):
        select(Sources(paths=("gone",)))
    selection = collect(Sources(paths=("gone",)))
    assert selection.job_key == [f"{here}/gone"]
    raise_problems(selection, {f"{here}/gone"})
    with pytest.raises(SourceNotFound):
        raise_problems(selection, {f"{here}/other"})


def test_an_empty_selection_says_what_was_skipped(here: Path) -> None:
    make(here, "d/.a", "d/.b")
    with pytest.raises(UsageError, match=r"everything found is skipped .*d/\.a.*hidden") as caught:
        select(Sources(paths=("d",)))
    assert caught.value.facts == Facts("all-skipped", reasons=("hidden",))
    make(here, "e/")
    with pytest.raises(UsageError, match="an empty folder"):
        select(Sources(paths=("e",)))


def test_a_glob_keeps_the_folders_matched_by_wildcards(here: Path) -> None:
    make(here, "d/run1/a.csv", "d/run2/a.csv", "d/run2/deep/b.csv", "d/top.csv", "d/.x.csv", "d/[odd].csv")
    assert there(select(Sources(paths=("d/*/a.csv",)))) == ["run1/a.csv", "run2/a.csv"]
    found = select(Sources(paths=("d/**/*.csv",)))
    assert there(found) == ["[odd].csv", "run1/a.csv", "run2/a.csv", "run2/deep/b.csv", "top.csv"]
    assert (found.job_key, found.title) == ([f"glob {here}/d/**/*.csv"], "d")
    assert skipped(found, here) == {"d/.x.csv": "hidden"}
    assert there(select(Sources(paths=("d/run?",)))) == ["run1/a.csv", "run2/a.csv", "run2/deep/b.csv"]
    assert there(select(Sources(paths=("d/[odd].csv",)))) == ["[odd].csv"], "a file of that very name comes first"
    with pytest.raises(SourceNotFound, match=r"d/\*\.nope"):
        select(Sources(paths=("d/*.nope",)))


def test_listed_paths_keep_their_folders_below_the_base(here: Path) -> None:
    make(here, "d/a", "d/sub/b", "e/c")
    (here / "list.txt").write_text(f"# what is new\n.\nd/a\n./d/sub\nd/sub/b\n{here}/e/c\n")
    found = select(Sources(from_file="list.txt"))
    assert there(found) == ["d/a", "d/sub/b", "e/c"]
    assert skipped(found, here.parent) == {f"{here.name}/": "folder", f"{here.name}/d/sub/": "folder"}
    assert (found.job_key, found.title) == ([f"list {here} {here}/list.txt"], "list")
    (here / "list.txt").write_text("a\nsub/b\n../e/c\n")
    assert there(select(Sources(from_file="list.txt", base="d"))) == ["a", "sub/b", "c"]
    by_name = select(Sources(from_file="-", nul=True, stdin=b"d/a\0e/c\0"))
    assert (there(by_name), by_name.job_key) == (["d/a", "e/c"], [f"listed {here}/d/a", f"listed {here}/e/c"])
    assert by_name.title is None


def test_a_manifest_says_where_each_file_goes(here: Path) -> None:
    make(here, "m/raw/a", "m/b", "other/raw/a", "other/b")
    (here / "m" / "table.csv").write_text(f"path,name,folder,md5\nraw/a,one.dat,x/y,{MD5}\nb,,,\n")
    found = select(Sources(manifest="m/table.csv"))
    assert there(found) == ["x/y/one.dat", "b"]
    assert [chosen.md5 for chosen in found.files] == [MD5, None]
    assert [chosen.path for chosen in found.files] == [f"{here}/m/raw/a", f"{here}/m/b"]
    elsewhere = select(Sources(manifest="m/table.csv", base="other"))
    assert [chosen.path for chosen in elsewhere.files] == [f"{here}/other/raw/a", f"{here}/other/b"]


def test_all_errors_in_a_list_or_manifest_have_their_lines(here: Path) -> None:
    make(here, "a", "b")
    (here / "m.csv").write_text("path,md5\na,1\nnope,\nb,\ngone,\n")
    with pytest.raises(SourcesUnusable, match="3 of the sources") as caught:
        select(Sources(manifest="m.csv"))
    said = [cause.message.partition(f"{here}/")[0] for cause in caught.value.causes]
    assert said == ["m.csv: line 2: invalid MD5 '1'; use 32 hexadecimal digits", "m.csv: line 3: ", "m.csv: line 5: "]
    assert [str(cause) for cause in caught.value.causes] == [cause.message for cause in caught.value.causes]
    assert [cause.path for cause in caught.value.causes] == [None, f"{here}/nope", f"{here}/gone"]
    (here / "m.csv").write_text("path,md5\na,1\nb,2\n")
    with pytest.raises(UsageError, match="2 errors in the given sources") as wrong:
        select(Sources(manifest="m.csv"))
    assert len(wrong.value.causes) == 2
    (here / "list").write_text("# these\na\nnope\n\ngone\n")
    for listed, at in (
        (Sources(from_file="list"), ("list: line 3: ", "list: line 5: ")),
        (Sources(from_file="-", nul=True, stdin=b"nope\0a\0gone\0"), ("stdin: entry 1: ", "stdin: entry 3: ")),
    ):
        with pytest.raises(SourcesUnusable) as caught:
            select(listed)
        assert tuple(cause.message.partition(f"{here}/")[0] for cause in caught.value.causes) == at


@pytest.mark.parametrize("path", ["", "a\0b"])
def test_an_invalid_path_is_rejected(here: Path, path: str) -> None:
    make(here, "a")
    with pytest.raises(UsageError, match=r"path is empty|NUL"):
        select(Sources(paths=(path,)))
    (here / "m.json").write_bytes(b'[{"path": "a\\u0000b"}]')
    with pytest.raises(UsageError, match="NUL"):
        select(Sources(manifest="m.json"))


def test_a_duplicate_path_is_selected_once_and_a_duplicate_name_is_an_error(here: Path) -> None:
    make(here, "d/a", "e/a")
    assert there(select(Sources(paths=("d/a", "./d/a", "d/../d/a")))) == ["a"]
    assert there(select(Sources(paths=("d/*", "d/a")))) == ["a"]
    with pytest.raises(UsageError, match=r"same name on Figshare, a: .*d/a and .*e/a"):
        select(Sources(paths=("d/a", "e/a")))
    assert there(select(Sources(paths=("d", "e")))) == ["d/a", "e/a"]


@pytest.mark.parametrize("link", ["https://example.org/a/b.tar?x=1", "http://example.org", "ftp://example.org/c"])
def test_links_are_addresses(link: str) -> None:
    (chosen,) = select(Sources(links=(link, link))).files
    assert (chosen.path, chosen.link, chosen.folder) == (link, True, "")
    assert chosen.name in ("b.tar", "example.org", "c")


@pytest.mark.parametrize(
    "link", ["example.org/x", "file:///etc/passwd", "https://", "https://a b/c", "https://u:p@h/x"]
)
def test_an_invalid_link_is_rejected_without_showing_a_password(link: str) -> None:
    with pytest.raises(UsageError) as caught:
        select(Sources(links=(link,)))
    assert "u:p" not in caught.value.message


def test_a_deep_tree_and_very_long_names(here: Path) -> None:
    deep = here / "d"
    for _ in range(300):
        deep = deep / "x"
    deep.mkdir(parents=True)
    (deep / ("n" * 255)).write_text("x")
    (chosen,) = select(Sources(paths=("d",))).files
    assert chosen.folder == "d" + "/x" * 300
    assert chosen.name == "n" * 255


NAMES = st.text(st.characters(blacklist_characters="/\0", blacklist_categories=["Cs"]), min_size=1, max_size=8).filter(
    lambda name: not name.startswith(".") and len(name.encode()) < 200
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(tree=st.sets(st.tuples(NAMES, NAMES), min_size=1, max_size=6))
def test_every_file_of_any_tree_is_chosen_exactly_once(tree: set[tuple[str, str]], tmp_path: Path) -> None:
    top = tmp_path / f"{abs(hash(frozenset(tree)))}"
    for folder, name in tree:
        (top / folder).mkdir(parents=True, exist_ok=True)
        (top / folder / name).write_text("x")
    real = {str(path.relative_to(top)) for path in top.rglob("*") if path.is_file()}
    found = collect(Sources(paths=(f"{top}/.",)))
    assert found.problems == []
    assert sorted(there(found)) == sorted(real)


def test_an_unreadable_ignore_file_is_an_error(here: Path) -> None:
    make(here, "folder/key.pem", "folder/.figupignore/", "link/key.pem", "bytes/key.pem", "pipe/key.pem")
    (here / "link" / ".figupignore").symlink_to("nowhere")
    (here / "bytes" / ".figupignore").write_bytes(b"\xff\xfe*\0.\0p\0e\0m\0")
    os.mkfifo(here / "pipe" / ".figupignore")
    for name, why in {
        "folder": "not a file",
        "link": "broken link",
        "bytes": "not text",
        "pipe": "not a file",
    }.items():
        with pytest.raises(UsageError, match=rf"{name}/\.figupignore: .*{why}"):
            select(Sources(paths=(name,)))


def test_a_byte_order_mark_is_not_part_of_a_pattern(here: Path) -> None:
    make(here, "d/key.pem", "d/a.csv")
    (here / "d" / ".figupignore").write_bytes(b"\xef\xbb\xbf*.pem\r\n")
    assert there(select(Sources(paths=("d",)))) == ["d/a.csv"]


def test_a_list_in_another_encoding_is_reported(here: Path) -> None:
    (here / "list").write_bytes(b"b\xfc.csv\n")
    with pytest.raises(UsageError, match="list: line 1: is not UTF-8; perhaps ANSI") as caught:
        select(Sources(from_file="list"))
    assert caught.value.hint == "Save the list as UTF-8."
    Path(os.fsdecode(os.fsencode(here) + b"/b\xfc.csv")).touch()
    with pytest.raises(UsageError, match="is not valid UTF-8") as caught:
        select(Sources(from_file="list"))
    assert "convmv" in (caught.value.hint or "")


@pytest.mark.parametrize("top", ["folder", "link"])
def test_a_pattern_in_a_folder_that_is_not_utf8_is_reported(here: Path, top: str) -> None:
    folder = Path(os.fsdecode(os.fsencode(here) + b"/caf\xe9"))
    folder.mkdir()
    (folder / "a.csv").touch()
    (here / "link").symlink_to(folder)
    os.chdir(folder if top == "folder" else here)
    with pytest.raises(UsageError, match=r"caf\\udce9: is not valid UTF-8"):
        select(Sources(paths=("*.csv" if top == "folder" else "link/*.csv",)))


def test_listed_paths_are_found_as_windows_writes_them(here: Path) -> None:
    make(here, "d/a", "d\\b", "d/b")
    (here / "list").write_text("d\\a\r\nd\\b\r\n")
    found = select(Sources(from_file="list"))
    assert there(found) == ["d/a", "d\\b"], "what is there as it is written comes first"
