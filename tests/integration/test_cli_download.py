"""`figup download`: from upload to comparison, interrupted and resumed."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.support.command import Figup
from tests.support.sandbox import Sandbox
from tests.support.waiting import until


def uploaded(figup: Figup, size: int = 3_000_000) -> str:
    """Upload a folder; return the item's id."""
    folder = figup.cwd / "survey"
    (folder / "sub").mkdir(parents=True)
    (folder / "big.bin").write_bytes(os.urandom(size))
    (folder / "sub/readme.txt").write_text("hello")
    (folder / "sub/größe.csv").write_text("1,2")
    done = figup.run("upload", "survey", "--title", "A survey", "--json", "--api-rate", "1000").expect(0)
    return str(done.summary["item_id"])


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def downloads(sandbox: Sandbox) -> int:
    return len(sandbox.requests(operation="download"))


def test_an_uploaded_tree_is_downloaded_unchanged(figup: Figup, sandbox: Sandbox) -> None:
    item = uploaded(figup)
    done = figup.run("download", item, "-o", "copy", "--json").expect(0)
    assert tree(figup.cwd / "copy/survey") == tree(figup.cwd / "survey")
    assert [file["status"] for file in done.summary["files"]] == ["downloaded"] * 3
    assert {file["remote"] for file in done.summary["files"]} == {
        "survey/big.bin", "survey/sub/readme.txt", "survey/sub/größe.csv",
    }  # fmt: skip
    figup.run("verify", item, "copy/survey").expect(0)
    before = downloads(sandbox)
    again = figup.run("download", item, "-o", "copy").expect(0)
    assert again.stdout.count("already here") == 4
    assert downloads(sandbox) == before


def test_files_are_selected_by_name_and_pattern(figup: Figup) -> None:
    item = uploaded(figup)
    figup.run("download", item, "readme.txt", "-o", "one").expect(0)
    assert list(tree(figup.cwd / "one")) == ["survey/sub/readme.txt"]
    figup.run("download", item, "--include", "*.csv", "-o", "two").expect(0)
    assert list(tree(figup.cwd / "two")) == ["survey/sub/größe.csv"]
    missing = figup.run("download", item, "readme.md", "-o", "three").expect(4)
    assert missing.stderr.startswith(f"figup: item {item} has no file readme.md.")
    folder = figup.run("download", item, "elsewhere").expect(4)
    assert "--output is the folder to write to" in folder.stderr
    assert not (figup.cwd / "three").exists()


def test_a_different_local_file_is_kept_by_default(figup: Figup) -> None:
    item = uploaded(figup)
    mine = figup.cwd / "survey/sub/readme.txt"
    mine.write_text("my notes")
    refused = figup.run("download", item).expect(1)
    assert "survey/sub/readme.txt: a different file of this name exists" in refused.stderr
    assert "2 of 3 files verified, 1 failed\n" in refused.stderr
    assert mine.read_text() == "my notes"
    figup.run("download", item, "--on-conflict", "skip").expect(0)
    assert mine.read_text() == "my notes"
    figup.run("download", item, "--on-conflict", "replace").expect(0)
    assert mine.read_text() == "hello"


def test_a_killed_download_continues(figup: Figup) -> None:
    item = uploaded(figup, 40_000_000)
    running = figup.start("download", item, "-o", "copy", "--limit-rate", "8M")
    record = figup.cwd / "copy/survey"
    until(lambda: list(record.glob(".figup-*.json")))
    running.kill()
    figup.run("download", item, "-o", "copy").expect(0)
    assert tree(figup.cwd / "copy/survey") == tree(figup.cwd / "survey")


def test_an_interrupted_download_keeps_its_data(figup: Figup) -> None:
    item = uploaded(figup, 40_000_000)
    running = figup.start("download", item, "-o", "copy", "--limit-rate", "8M")
    record = figup.cwd / "copy/survey"
    until(lambda: list(record.glob(".figup-*.json")))
    running.send_signal(signal.SIGINT)
    done = running.wait(20).expect(130)
    assert "Run the same command again to continue." in done.stderr
    assert list(record.glob(".figup-*.json"))
    figup.run("download", item, "-o", "copy").expect(0)
    assert tree(record) == tree(figup.cwd / "survey")


def test_a_public_item_needs_no_token(figup: Figup, sandbox: Sandbox) -> None:
    (figup.cwd / "a.bin").write_bytes(b"public")
    (figup.cwd / "about.yaml").write_text(
        "title: A survey\ndescription: Of something.\ncategories: [animal behaviour]\nkeywords: [beaver]\n"
        "license: CC0\nauthors: [{name: Ann B}]\n"
    )
    done = figup.run("upload", "a.bin", "--metadata", "about.yaml", "--publish", "--json").expect(0)
    item = str(done.summary["item_id"])
    del figup.env["FIGSHARE_TOKEN"]
    figup.run("download", item, "-o", "copy").expect(0)
    assert (figup.cwd / "copy/a.bin").read_bytes() == b"public"
    draft = figup.run("download", "12345").expect(4)
    assert draft.stderr.startswith("figup: Figshare has no public item 12345")
    figup.env["FIGSHARE_TOKEN"] = "another"
    refused = figup.run("download", item, "-o", "other").expect(3)
    assert "Public records need no token: unset FIGSHARE_TOKEN" in refused.stderr


def test_an_address_with_a_version_means_that_version(figup: Figup, sandbox: Sandbox) -> None:
    (figup.cwd / "a.bin").write_bytes(b"first")
    (figup.cwd / "about.yaml").write_text(
        "title: A survey\ndescription: Of something.\ncategories: [animal behaviour]\nkeywords: [beaver]\n"
        "license: CC0\nauthors: [{name: Ann B}]\n"
    )
    done = figup.run("upload", "a.bin", "--metadata", "about.yaml", "--publish", "--json").expect(0)
    item = str(done.summary["item_id"])
    (figup.cwd / "a.bin").write_bytes(b"second")
    figup.run("upload", "a.bin", "--item", item, "--on-conflict", "replace", "--publish").expect(0)
    origin = sandbox.url.removesuffix("/v2")
    figup.run("download", f"{origin}/articles/dataset/A_survey/{item}/1", "-o", "one").expect(0)
    assert (figup.cwd / "one/a.bin").read_bytes() == b"first"
    figup.run("download", f"10.6084/m9.figshare.{item}.v2", "-o", "two").expect(0)
    assert (figup.cwd / "two/a.bin").read_bytes() == b"second"
    # A DOI without a version names what is published, the number the account's own copy with its changes.
    (figup.cwd / "draft.bin").write_bytes(b"draft")
    figup.run("upload", "draft.bin", "--item", item).expect(0)
    figup.run("download", f"https://doi.org/10.6084/m9.figshare.{item}", "-o", "three").expect(0)
    assert [path.name for path in (figup.cwd / "three").iterdir()] == ["a.bin"]
    figup.run("download", item, "-o", "four").expect(0)
    assert {path.name for path in (figup.cwd / "four").iterdir()} == {"a.bin", "draft.bin"}


def test_two_downloads_of_one_item_at_once(figup: Figup) -> None:
    item = uploaded(figup, 20_000_000)
    first = figup.start("download", item, "-o", "copy", "--limit-rate", "8M")
    record = figup.cwd / "copy/survey"
    until(lambda: list(record.glob(".figup-*.json")))
    second = figup.run("download", item, "big.bin", "-o", "copy").expect(8)
    assert "another process is downloading it" in second.stderr
    first.wait(30).expect(0)
    assert tree(record) == tree(figup.cwd / "survey")


def test_a_missing_item_is_an_error(figup: Figup) -> None:
    refused = figup.run("download", "12345").expect(4)
    assert refused.stderr.startswith("figup: Figshare has no item 12345")
    assert refused.stderr.count("\n") == 1


def test_a_link_in_the_target_is_not_followed(figup: Figup) -> None:
    item = uploaded(figup)
    outside = figup.cwd / "outside"
    outside.mkdir()
    (figup.cwd / "copy").mkdir()
    (figup.cwd / "copy/survey").symlink_to(outside)
    refused = figup.run("download", item, "-o", "copy").expect(1)
    assert "a link or a file is in the place of a folder" in refused.stderr
    assert list(outside.iterdir()) == []


def test_a_read_only_folder_is_an_error(figup: Figup) -> None:
    item = uploaded(figup)
    (figup.cwd / "file").write_text("")
    (error,) = figup.run("download", item, "-o", "file/below", "--no-progress").expect(2).stderr.splitlines()
    assert "file/below: cannot be written" in error
    assert "cannot be '-'" in figup.run("download", item, "-o", "-").expect(2).stderr
