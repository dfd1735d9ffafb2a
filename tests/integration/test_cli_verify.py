"""`figup verify`: every difference between a local file and the item's, and its exit status."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.support.command import Figup
from tests.support.invariants import md5_of
from tests.support.sandbox import Sandbox


def source(figup: Figup, name: str, content: bytes = b"content") -> Path:
    path = figup.cwd / name
    path.write_bytes(content)
    return path


def uploaded(figup: Figup, *names: str) -> str:
    for name in names:
        source(figup, name)
    done = figup.run("upload", *names, "--title", "some files", "--json", "--api-rate", "1000").expect(0)
    return str(done.summary["item_id"])


def test_identical_files_compare_equal(figup: Figup, sandbox: Sandbox) -> None:
    item = uploaded(figup, "a", "b")
    before = len(sandbox.requests())
    done = figup.run("verify", item, "a", "b").expect(0)
    first, second, total = done.stdout.splitlines()
    assert first == f"{figup.cwd}/a: the same (7 bytes, MD5 {md5_of(figup.cwd / 'a')})"
    assert second.startswith(f"{figup.cwd}/b: the same")
    none = "0 different (0 bytes), 0 missing on Figshare (0 bytes), 0 missing here (0 bytes)"
    assert total == f"2 compared: 2 the same (14 bytes), {none}"
    assert {request["method"] for request in sandbox.requests()[before:]} == {"GET"}


def test_every_difference_is_listed_and_the_worst_sets_the_status(figup: Figup) -> None:
    item = uploaded(figup, "a", "b")
    source(figup, "b", b"CONTENT")
    source(figup, "c")
    done = figup.run("verify", item, "a", "b", "c", "--json").expect(5)
    assert [(e["name"], e["status"]) for e in done.events[:-1]] == [("a", "same"), ("b", "different"), ("c", "missing")]
    assert all(e["event"] == "compared" for e in done.events[:-1])
    assert [file["status"] for file in done.summary["files"]] == ["same", "different", "missing"]
    assert (done.summary["item_id"], done.summary["exit_status"]) == (int(item), 5)
    found = {status: (total["files"], total["bytes"]) for status, total in done.summary["totals"].items()}
    assert found == {
        "same": (1, 7),
        "different": (1, 7),
        "failed": (0, 0),
        "missing": (1, 7),
        "missing-here": (0, 0),
        "extra-copy": (0, 0),
        "left-out": (0, 0),
        "unfinished": (0, 0),
        "unknown": (0, 0),
    }
    assert "MISSING" in figup.run("verify", item, "c").expect(1).stdout
    assert "DIFFERENT" in figup.run("verify", item, "b").expect(5).stdout


def test_a_duplicate_is_listed_next_to_an_identical_file(figup: Figup) -> None:
    item = uploaded(figup, "a")
    source(figup, "a", b"other")
    figup.run("upload", "a", "--item", item, "--on-conflict", "keep").expect(0)
    done = figup.run("verify", item, "a", "--json").expect(1)
    same, more = done.summary["files"]
    assert (same["status"], more["status"], more["path"]) == ("same", "extra-copy", same["path"])
    assert more["file_id"] != same["file_id"]
    assert done.summary["totals"]["extra-copy"] == {"files": 1, "bytes": 7}
    output = figup.run("verify", item, "--checksums", "-", input=f"{same['md5']}  a\n").expect(1).stdout
    assert f"a: EXTRA COPY: another file of the same name in the item (file {more['file_id']}, 7 bytes, MD5 " in output
    assert "1 duplicate (7 bytes)" in output


def test_excluded_local_files_are_not_reported_missing(figup: Figup) -> None:
    top = figup.cwd / "d"
    (top / "old").mkdir(parents=True)
    (top / "empty").mkdir()
    for name in ("a", "b.tmp", ".hid", "old/x", "empty/e"):
        (top / name).write_text(name)
    done = figup.run("upload", "d", "--title", "all of it", "--hidden", "--json", "--api-rate", "1000").expect(0)
    item, url = str(done.summary["item_id"]), done.summary["item_url"]
    (top / "empty" / "e").unlink()
    rules = ("--exclude", "*.tmp", "--exclude", "old/")
    found = figup.run("verify", item, "d", *rules, "--json").expect(1).summary
    assert {f"{f['folder']}/{f['name']}": (f["status"], f["reason"]) for f in found["files"]} == {
        "d/a": ("same", None),
        "d/.hid": ("left-out", "hidden"),
        "d/b.tmp": ("left-out", "excluded"),
        "d/old/x": ("left-out", "excluded"),
        "d/empty/e": ("missing-here", None),
    }
    assert found["item_url"] == url
    assert {(skip["path"], skip["reason"]) for skip in found["skipped"]} == {
        (f"{top}/.hid", "hidden"),
        (f"{top}/b.tmp", "excluded"),
        (f"{top}/old/", "excluded"),
        (f"{top}/empty/", "empty-folder"),
    }
    (top / "empty" / "e").write_text("empty/e")
    output = figup.run("verify", item, "d", *rules).expect(0).stdout
    assert "d/.hid: LEFT OUT: in the item, but excluded here: hidden (--hidden includes it)" in output
    assert "Skipped: 2 excluded by --exclude or .figupignore:" in output
    assert output.splitlines()[-1].endswith("3 left out (14 bytes)")


def test_checksum_lists_of_a_job_work_with_md5sum_and_verify(figup: Figup) -> None:
    source(figup, "back\\slash")
    source(figup, " two ", b"other")
    (figup.cwd / "table.json").write_text(
        '[{"path": "back\\\\slash", "name": "new name", "folder": "a/b"}, {"path": " two "}]'
    )
    done = figup.run("upload", "--manifest", "table.json", "--json").expect(0).summary
    folder = figup.state_dir / "jobs" / str(done["job"])
    assert (done["manifest"], done["manifest_remote"]) == (f"{folder}/manifest.md5", f"{folder}/manifest-remote.md5")
    subprocess.run(["md5sum", "--check", "--strict", "--quiet", done["manifest"]], check=True)
    again = figup.run("upload", "--manifest", "table.json").expect(0).stdout.splitlines()
    for reported in (again, figup.run("status").expect(0).stdout.splitlines()):
        assert f"MD5s, for md5sum -c: {done['manifest']}" in reported
    assert figup.run("status", "--json").expect(0).summary["manifest_remote"] == done["manifest_remote"]
    (figup.cwd / "back\\slash").unlink()
    found = figup.run("verify", str(done["item_id"]), "--checksums", done["manifest_remote"], "--json").expect(0)
    assert [file["path"] for file in found.summary["files"]] == ["a/b/new name", " two "]


def test_an_unfinished_upload_is_not_the_file(bare_figup: Figup, start_sandbox: Callable[..., Sandbox]) -> None:
    sandbox = start_sandbox("--part-size", "100KiB")
    bare_figup.env |= {"FIGSHARE_ENDPOINT": sandbox.url, "FIGSHARE_TOKEN": sandbox.token}
    source(bare_figup, "half", b"x" * 1_000_000)
    run = bare_figup.start("upload", "half", "--json", "--limit-rate", "200k")
    item = str(run.wait_for_event("item")["item_id"])
    run.wait_for_event("file")
    run.kill()
    assert "UNFINISHED" in bare_figup.run("verify", item, "half").expect(1).stdout


def test_a_differently_named_folder_is_suggested(figup: Figup) -> None:
    (figup.cwd / "set" / "in").mkdir(parents=True)
    for name in ("a", "in/a"):
        (figup.cwd / "set" / name).write_text(name)
    item = str(figup.run("upload", "set", "--json").expect(0).summary["item_id"])
    hint = "figup: the missing files are in the item's folder set: name the folder itself, not its contents"
    assert figup.run("verify", item, "set/.").expect(1).stderr.splitlines() == [hint]
    assert figup.run("verify", item, "set").expect(0).stderr == ""
    (figup.cwd / "set" / "in" / "a").rename(figup.cwd / "set" / "b")
    assert figup.run("verify", item, "set/.").expect(1).stderr == "", "one of two is no reason"
    (figup.cwd / "empty").mkdir()
    refused = figup.run("verify", item, "empty").expect(2).stderr
    path = figup.cwd / "empty"
    assert refused == f"figup: nothing to compare: everything found is skipped ({path}/: an empty folder)\n"


def test_the_contents_of_a_folder_that_is_not_in_the_item_are_suggested(figup: Figup) -> None:
    path = source(figup, "data.bin")
    item = str(figup.run("upload", "data.bin", "--json").expect(0).summary["item_id"])
    (figup.cwd / "copy").mkdir()
    path.rename(figup.cwd / "copy" / "data.bin")
    hint = "the missing files are in the item, but not in a folder 'copy'; compare its contents: copy/."
    assert figup.run("verify", item, "copy").expect(1).stderr == f"figup: {hint}\n"
    assert figup.run("verify", item, "copy/.").expect(0).stderr == ""


def test_what_cannot_be_compared(figup: Figup) -> None:
    source(figup, "a")
    assert "no item 999" in figup.run("verify", "999", "a").expect(4).stderr
    assert "no such file" in figup.run("verify", "999", "nope").expect(4).stderr
