"""Folders, lists, manifests and links: what is sent, what is reported, and what a second run does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import Figup, Result
from tests.support.control import add_faults, drop_faults, times_met
from tests.support.invariants import ask, check_nothing_sent_twice, files, items, md5_of
from tests.support.sandbox import Sandbox
from tests.support.waiting import until

Start = Callable[..., Sandbox]
FAST = ("--api-rate", "1000")


def make(folder: Path, **contents: str) -> Path:
    """A folder with files: `sub__name="content"`."""
    for name, content in contents.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return folder


def upload(figup: Figup, *words: str | os.PathLike[str], status: int = 0, input: str | None = None) -> Result:
    return figup.run("upload", *words, *FAST, "--json", input=input).expect(status)


def warnings(result: Result) -> str:
    return "\n".join(event["message"] for event in result.events if event["event"] == "warning")


def held(sandbox: Sandbox, item: int) -> dict[str, str]:
    """Return an item's content: folder and name → MD5. Fails if two files are in one place."""
    folders: dict[str, str] = ask(sandbox, f"/account/articles/{item}").get("folder_structure") or {}
    rows = [(folders.get(str(f["id"]), "").strip("/"), f) for f in files(sandbox, item)]
    found = {f"{folder}/{f['name']}".strip("/"): f["computed_md5"] for folder, f in rows}
    assert len(found) == len(rows), rows
    return found


def tree_md5(top: Path, prefix: str = "") -> dict[str, str]:
    paths = (path for path in sorted(top.rglob("*")) if path.is_file())
    return {f"{prefix}{path.relative_to(top)}": md5_of(path) for path in paths}


def test_a_folder_keeps_its_structure_and_a_rerun_sends_nothing(figup: Figup, sandbox: Sandbox) -> None:
    top = make(figup.cwd / "survey", a="1", sub__a="2", sub__deep__b="3")
    (top / "empty").mkdir()
    done = upload(figup, "survey")
    (item,) = items(sandbox)
    assert item["title"] == "survey"
    assert held(sandbox, item["id"]) == tree_md5(top, "survey/")
    assert [(f["folder"], f["name"], f["status"]) for f in done.summary["files"]] == [
        ("survey", "a", "verified"),
        ("survey/sub", "a", "verified"),
        ("survey/sub/deep", "b", "verified"),
    ]
    assert done.summary["skipped"] == [{"path": f"{top}/empty/", "reason": "empty-folder"}]
    before = len(sandbox.requests())
    again = upload(figup, "survey/")
    assert [r["kind"] for r in sandbox.requests()[before:]] == ["list-files", "get-item"], "folders are in the item"
    assert (again.summary["bytes_sent"], again.summary["skipped"]) == (0, done.summary["skipped"])
    manifest = figup.state_dir / "jobs" / done.summary["job"] / "manifest.md5"
    subprocess.run(["md5sum", "--check", "--strict", "--quiet", manifest], check=True)


def test_a_tree_with_odd_names(figup: Figup, sandbox: Sandbox) -> None:
    top = figup.cwd / "odd tree"
    names = [
        " two words ",
        "new\nline",
        "-n",
        "--json",
        "Größe 数据",
        "q'\"`$x",
        "back\\slash",
        "*",
        "x" * 200,
        "tab\t\x1b[31m",
    ]
    for number, name in enumerate(names):
        folder = top / names[-1 - number]
        folder.mkdir(parents=True)
        (folder / name).write_text(name)
    (top / ".secret").write_text("no")
    (top / "link").symlink_to("nowhere")
    done = upload(figup, top)
    assert held(sandbox, done.summary["item_id"]) == {
        key: md5 for key, md5 in tree_md5(top, "odd tree/").items() if ".secret" not in key
    }
    assert {s["path"].rpartition("/")[2]: s["reason"] for s in done.summary["skipped"]} == {
        ".secret": "hidden",
        "link": "link",
    }
    result = figup.run("upload", top, *FAST).expect(0)
    assert "Skipped: 1 hidden (--hidden includes it):" in result.stdout
    assert "\x1b" not in result.stdout
    assert figup.run("verify", str(done.summary["item_id"]), top).expect(0).stdout.count(": the same") == len(names)


def test_all_unsendable_sources_are_reported_before_anything_is_sent(figup: Figup, sandbox: Sandbox) -> None:
    top = make(figup.cwd / "data", fine="x")
    os.mkfifo(top / "pipe")
    (top / os.fsdecode(b"bad\xff")).write_text("x")
    refused = upload(figup, "data", "missing", status=4)
    errors = [event for event in refused.events if event["event"] == "error"]
    assert [error["code"] for error in errors] == ["usage", "usage", "source-missing", "sources-unusable"]
    assert [error["path"] for error in errors[:3]] == [f"{top}/bad\udcff", f"{top}/pipe", f"{figup.cwd}/missing"]
    result = figup.run("upload", "data", "missing").expect(4)
    assert len(result.stderr.splitlines()) == 4
    assert sandbox.requests() == []
    assert not (figup.state_dir / "jobs").exists()
    upload(figup, "data", "--exclude", "pipe", "--exclude", "bad*")


def test_a_rerun_adds_new_files_and_reports_missing_ones(figup: Figup, sandbox: Sandbox) -> None:
    top = make(figup.cwd / "data", a="1", b="2")
    first = upload(figup, "data").summary
    first_b = md5_of(top / "b")
    make(top, sub__c="3")
    (top / "b").unlink()
    grown = upload(figup, "data")
    assert next(e for e in grown.events if e["event"] == "renewed")["added"] == 1
    assert grown.summary["job"] == first["job"]
    assert grown.summary["skipped"] == [{"path": f"{top}/b", "reason": "vanished"}]
    assert sorted(held(sandbox, first["item_id"])) == ["data/a", "data/b", "data/sub/c"], "nothing is deleted"
    assert len(sandbox.requests(kind="initiate")) == 3
    make(top, a="changed", sub__c="too")
    refused = upload(figup, "data", status=5)
    errors = [event for event in refused.events if event["event"] == "error"]
    assert [error.get("path") for error in errors] == [f"{top}/a", f"{top}/sub/c", None]
    assert "2 files changed" in errors[-1]["message"]
    upload(figup, "data", "--restart-changed")
    assert held(sandbox, first["item_id"]) == {**tree_md5(top, "data/"), "data/b": first_b}
    manifest = figup.state_dir / "jobs" / first["job"] / "manifest.md5"
    subprocess.run(["md5sum", "--check", "--strict", "--quiet", manifest], check=True)


def test_later_excluded_files_are_not_sent_and_their_uploads_removed(bare_figup: Figup, start_sandbox: Start) -> None:
    sandbox = start_sandbox("--part-size", "100KiB", "--control")
    bare_figup.env |= {"FIGSHARE_ENDPOINT": sandbox.url, "FIGSHARE_TOKEN": sandbox.token}
    top = make(bare_figup.cwd / "data", good="1", junk="2" * 500_000)
    add_faults(sandbox, "put-part@2:every=403")
    failed = bare_figup.run("upload", "data", "--title", "one item", *FAST, "--json", "--retry-timeout", "0s")
    assert failed.returncode != 0
    drop_faults(sandbox)
    item = failed.summary["item_id"]
    assert sorted(held(sandbox, item)) == ["data/good", "data/junk"]
    done = upload(bare_figup, "data", "--title", "one item", "--exclude", "junk")
    assert done.summary["item_id"] == item
    assert held(sandbox, item) == {"data/good": md5_of(top / "good")}
    assert done.summary["skipped"] == [{"path": f"{top}/junk", "reason": "excluded"}]
    assert [file["name"] for file in done.summary["files"]] == ["good"]
    assert ": done, " in bare_figup.run("status", done.summary["job"]).expect(0).stdout


def test_lists_in_every_format(figup: Figup, sandbox: Sandbox) -> None:
    top = make(figup.cwd / "d", a="1", sub__b="2", sub__c="3")
    (figup.cwd / "list").write_text("# two of them\nd/a\nd/sub/b\n")
    first = upload(figup, "--from-file", "list").summary
    assert sorted(held(sandbox, first["item_id"])) == ["d/a", "d/sub/b"]
    assert items(sandbox)[0]["title"] == "list"
    more = upload(figup, "--from-file", "-", "-0", "--item", str(first["item_id"]), input=f"{top}/sub/c\0d/a\0").summary
    assert sorted(held(sandbox, first["item_id"])) == ["d/a", "d/sub/b", "d/sub/c"]
    assert len(sandbox.requests(kind="initiate")) == 3, "what the item holds is not sent again"
    assert [f["status"] for f in more["files"]] == ["verified", "verified"]
    assert "--title" in figup.run("upload", "--from-file", "-", input="d/a\n").expect(2).stderr
    assert "no files given" in figup.run("upload", "--title", "nothing").expect(2).stderr


def test_the_list_of_failed_files_can_be_used_as_input(bare_figup: Figup, start_sandbox: Start) -> None:
    sandbox = start_sandbox("--control")
    bare_figup.env |= {"FIGSHARE_ENDPOINT": sandbox.url, "FIGSHARE_TOKEN": sandbox.token}
    make(bare_figup.cwd / "d", a="1", sub__b="2")
    (bare_figup.cwd / "first").write_bytes(b"first")
    item = upload(bare_figup, "first", "--title", "one item").summary["item_id"]
    add_faults(sandbox, "initiate:every=422")
    upload(bare_figup, "d", "--item", str(item), "--failed-to", "failed.txt", status=1)
    drop_faults(sandbox)
    upload(bare_figup, "--from-file", "failed.txt", "--item", str(item))
    assert held(sandbox, item) == tree_md5(bare_figup.cwd / "d", "d/") | {"first": md5_of(bare_figup.cwd / "first")}


def test_errors_in_lists_and_manifests_are_reported_together(figup: Figup, sandbox: Sandbox) -> None:
    make(figup.cwd / "d", a="1")
    (figup.cwd / "table.csv").write_text("path,name,md5\nd/a,x/y,1\n,,\nd/a,,,\n")
    done = figup.run("upload", "--manifest", "table.csv").expect(2)
    assert done.stderr.splitlines() == [
        "figup: table.csv: line 2: invalid file name 'x/y'. Put the folder into the field `folder`.",
        "figup: table.csv: line 2: invalid MD5 '1'; use 32 hexadecimal digits",
        "figup: table.csv: line 4: has 4 columns, but the header has 3",
        "figup: 3 errors in the given sources; nothing was sent",
    ]
    (figup.cwd / "m.csv").write_text("path\nd/a,x\n")
    done = figup.run("upload", "--manifest", "m.csv").expect(2)
    assert done.stderr == "figup: m.csv: line 2: has 2 columns, but the header has 1\n", "not that m is no title"
    (figup.cwd / "list").write_text("d/a\n" + "".join(f"d/{number}\n" for number in range(100)))
    done = figup.run("upload", "--from-file", "list", "--json").expect(4)
    assert len(done.events) == 100 + 2
    lines = done.stderr.splitlines()
    assert lines[0].startswith(f"figup: list: line 2: {figup.cwd}/d/0: no such file")
    assert lines[-2] == "figup: and 70 more like these; --json has all"
    assert sandbox.requests() == []


def test_a_manifest_sets_names_and_checksums_and_a_mismatch_is_never_completed(figup: Figup, sandbox: Sandbox) -> None:
    top = make(figup.cwd / "m", raw__a="1", b="2")
    entries: list[dict[str, Any]] = [
        {"path": "raw/a", "name": "one.dat", "folder": "x/y", "md5": md5_of(top / "raw" / "a")},
        {"path": "b", "md5": "0" * 32},
    ]
    (top / "table.json").write_text(json.dumps(entries))
    dry = figup.run("upload", "--manifest", "m/table.json", "--dry-run").expect(0).stdout.splitlines()
    assert dry[2:4] == [f"  {top}/raw/a as x/y/one.dat  1 byte", f"  {top}/b  1 byte"]
    result = upload(figup, "--manifest", "m/table.json", "--dry-run").summary["files"]
    assert [(f["folder"], f["name"]) for f in result] == [("x/y", "one.dat"), ("", "b")]
    refused = upload(figup, "--manifest", "m/table.json", status=1)
    error = next(event for event in refused.events if event["event"] == "error")
    assert (error["code"], error["path"]) == ("checksum-wrong", f"{top}/b")
    item = refused.summary["item_id"]
    by_name = {f["name"]: f["status"] for f in files(sandbox, item)}
    assert by_name["one.dat"] != "created"
    assert by_name["b"] == "created", "it was completed with the wrong content"
    entries[1]["md5"] = md5_of(top / "b")
    (top / "table.json").write_text(json.dumps(entries))
    upload(figup, "--manifest", "m/table.json")
    assert held(sandbox, item) == {"x/y/one.dat": md5_of(top / "raw" / "a"), "b": md5_of(top / "b")}
    check_nothing_sent_twice(sandbox)
    entries[1]["md5"] = "f" * 32
    (top / "table.json").write_text(json.dumps(entries))
    upload(figup, "--manifest", "m/table.json", status=5)


def test_a_link_is_created_once_and_shown_unchanged(figup: Figup, sandbox: Sandbox) -> None:
    link = "https://example.org/archive/big.tar?version=2"
    done = upload(figup, "--link", link, "--title", "elsewhere")
    assert [(f["path"], f["status"], f["md5"]) for f in done.summary["files"]] == [(link, "linked", None)]
    (file,) = files(sandbox, done.summary["item_id"])
    assert (file["is_link_only"], file["download_url"]) == (True, link)
    assert upload(figup, "--link", link, "--title", "elsewhere").summary["files"][0]["status"] == "linked"
    again = upload(figup, "--link", link, "--item", str(done.summary["item_id"]))
    assert again.summary["files"][0]["file_id"] == file["id"]
    assert len(files(sandbox, done.summary["item_id"])) == 1
    assert "linked" in figup.run("upload", "--link", link, "--title", "elsewhere").expect(0).stdout
    words = ("upload", "--link", link, "--link", "https://example.org/new", "--dry-run", "--json", "--item")
    dry = figup.run(*words, str(done.summary["item_id"])).expect(0)
    assert [(f["status"], f["action"]) for f in dry.summary["files"]] == [("same", "skip"), ("new", "link")]
    assert sandbox.requests(kind="put-part") == []


def test_a_link_alone_leaves_no_list_of_checksums(figup: Figup) -> None:
    done = upload(figup, "--link", "https://example.org/x", "--title", "linked")
    assert (done.summary["manifest"], done.summary["manifest_remote"]) == (None, None)
    assert not list(figup.state_dir.rglob("manifest*"))
    assert figup.run("status", "--json").expect(0).summary["manifest"] is None


@pytest.mark.parametrize(("fault", "status"), [("initiate:every=422", 1), ("initiate:every=403", 3)])
def test_an_item_is_not_left_empty_if_its_link_is_rejected(
    fault: str, status: int, bare_figup: Figup, start_sandbox: Start
) -> None:
    sandbox = start_sandbox("--control")
    bare_figup.env |= {"FIGSHARE_ENDPOINT": sandbox.url, "FIGSHARE_TOKEN": sandbox.token}
    add_faults(sandbox, fault)
    links = ("--link", "https://example.org/x", "--title", "linked")
    refused = upload(bare_figup, *links, status=status)
    assert items(sandbox) == []
    assert refused.summary["item_id"] is None
    assert "created by this job, was removed" in warnings(refused)
    add_faults(sandbox, "delete-item:1=403")
    assert "could not be removed" in warnings(upload(bare_figup, *links, status=status))
    assert len(items(sandbox)) == 1
    drop_faults(sandbox)
    done = upload(bare_figup, *links)
    (item,) = items(sandbox)
    assert (item["id"], len(files(sandbox, item["id"]))) == (done.summary["item_id"], 1)
    given = upload(bare_figup, "--link", "https://example.org/y", "--item", str(item["id"]))
    assert "Figshare's own page allows one link in an item" in warnings(given)
    add_faults(sandbox, fault)
    upload(bare_figup, "--link", "https://example.org/z", "--item", str(item["id"]), status=status)
    assert [row["id"] for row in items(sandbox)] == [item["id"]], "an item that was given is never removed"


def test_mixing_links_and_files_is_warned_about_and_files_are_sent_first(
    bare_figup: Figup, start_sandbox: Start
) -> None:
    sandbox = start_sandbox()
    bare_figup.env |= {"FIGSHARE_ENDPOINT": sandbox.url, "FIGSHARE_TOKEN": sandbox.token}
    top = make(bare_figup.cwd / "d", a="1", b="2")
    words = ("upload", "d", "--link", "https://example.org/x", "--title", "both", *FAST)
    doubt = "Figshare's own page allows one link in an item, and no files beside it"
    assert f"Note: {doubt}" in bare_figup.run(*words, "--dry-run").expect(0).stdout
    done = bare_figup.run(*words, "--json").expect(1)
    assert [e["event"] for e in done.events].index("warning") < [e["event"] for e in done.events].index("item")
    assert warnings(done).count(doubt) == 1
    assert [f["status"] for f in done.summary["files"]] == ["verified", "verified", "failed"]
    item = done.summary["item_id"]
    assert held(sandbox, item) == tree_md5(top, "d/")
    output = bare_figup.run("upload", "--link", "https://example.org/y", "--item", str(item), *FAST).expect(1).stderr
    assert doubt in output
    dry = ("upload", "--link", "https://example.org/y", "--item", str(item), "--dry-run")
    assert doubt in bare_figup.run(*dry, "--json").expect(0).events[0]["warnings"][0]
    sandbox.restart("--mixed-links", "accept")
    bare_figup.run(*words).expect(0)
    assert len(files(sandbox, item)) == 3
    make(bare_figup.cwd / "e", c="3")
    assert doubt in bare_figup.run("upload", "e", "--item", str(item), *FAST).expect(0).stderr


@pytest.mark.parametrize("fault", ["initiate=lost-answer", "initiate=hang,seconds=10"])
def test_a_link_with_a_lost_response_exists_once(fault: str, bare_figup: Figup, start_sandbox: Start) -> None:
    sandbox = start_sandbox("--control")
    bare_figup.env |= {"FIGSHARE_ENDPOINT": sandbox.url, "FIGSHARE_TOKEN": sandbox.token}
    add_faults(sandbox, fault)
    words = ("upload", "--link", "https://example.org/x", "--title", "linked", "--json", "--settle-timeout", "2", *FAST)
    run = bare_figup.start(*words)
    if "hang" in fault:
        until(lambda: times_met(sandbox, fault))
        run.kill()
    else:
        run.wait().expect(0)
    bare_figup.run(*words).expect(0)
    (item,) = items(sandbox)
    assert len(files(sandbox, item["id"])) == 1


# --- what is there already ------------------------------------------------------------------------------------------


def put(figup: Figup, sandbox: Sandbox, **contents: str) -> tuple[Path, int]:
    """An item with these files, in folders below `d`, and the folder `d` elsewhere, without local records of it."""
    top = make(figup.cwd / "first" / "d", **contents)
    item: int = upload(figup, top, "--title", "an item").summary["item_id"]
    other = figup.cwd / "d"
    subprocess.run(["cp", "-r", top, other], check=True)
    return other, item


def test_the_same_name_in_another_folder_is_another_file(figup: Figup, sandbox: Sandbox) -> None:
    _, item = put(figup, sandbox, sub__a="1")
    upload(figup, make(figup.cwd / "x", a="another") / "a", "--item", str(item))
    assert sorted(held(sandbox, item)) == ["a", "d/sub/a"]


@pytest.mark.parametrize("choice", ["skip", "fail", "keep", "replace"])
def test_each_on_conflict_choice_of_the_command(choice: str, figup: Figup, sandbox: Sandbox) -> None:
    other, item = put(figup, sandbox, same="1", sub__differs="old")
    make(other, sub__differs="new", fresh="2")
    before = {f["id"] for f in files(sandbox, item)}
    sent = len(sandbox.requests(kind="initiate"))
    done = upload(
        figup, "d", "--item", str(item), "--on-conflict", choice, status=1 if choice in ("skip", "fail") else 0
    )
    after = files(sandbox, item)
    status = {f["name"]: f["status"] for f in done.summary["files"]}
    assert status["fresh"] == "verified"
    assert status["same"] == ("failed" if choice == "fail" else "verified")
    assert status["differs"] == ("failed" if choice in ("skip", "fail") else "verified")
    assert len(sandbox.requests(kind="initiate")) - sent == (1 if choice in ("skip", "fail") else 2)
    assert sorted(f["name"] for f in after) == sorted(
        ["same", "differs", "fresh"] + (["differs"] if choice == "keep" else [])
    )
    assert before <= {f["id"] for f in after} if choice != "replace" else len(before - {f["id"] for f in after}) == 1
    if choice == "replace":
        assert held(sandbox, item) == tree_md5(other, "d/")
    upload(figup, "d", "--item", str(item), "--on-conflict", choice, status=1 if choice in ("skip", "fail") else 0)
    assert len(files(sandbox, item)) == len(after)


def test_replaced_files_are_reported_over_all_runs(figup: Figup, sandbox: Sandbox) -> None:
    other, item = put(figup, sandbox, same="1", differs="old")
    make(other, differs="new")
    old = {f["name"]: f["id"] for f in files(sandbox, item)}["differs"]
    words = ("upload", "d", "--item", str(item), "--on-conflict", "replace", "--report", "r.json", "--report", "r.html")
    said = figup.run(*words, *FAST).expect(0).stdout
    assert "Replaced and removed from the item: 1 file" in said
    assert f"  d/differs: file {old}\n" in said
    again = figup.run(*words, "--json", *FAST).expect(0)
    reported = {f["name"]: f["replaced"] for f in again.summary["files"]}
    assert reported == {"same": [], "differs": [old]}
    assert {f["name"]: f["replaced"] for f in json.loads((figup.cwd / "r.json").read_text())["files"]} == reported
    page = (figup.cwd / "r.html").read_text()
    assert "Replaced files" in page
    assert f">{old}<" in page


def test_with_several_files_of_one_name_none_is_replaced(figup: Figup, sandbox: Sandbox) -> None:
    other, item = put(figup, sandbox, a="one")
    make(other, a="another")
    upload(figup, "d", "--item", str(item), "--on-conflict", "keep")
    make(other, a="a third")
    before = {f["id"]: f["size"] for f in files(sandbox, item)}
    named = "; ".join(f"file {number}, {size} bytes" for number, size in sorted(before.items()))
    for choice in ("replace", "skip"):
        words = ("d", "--item", str(item), "--on-conflict", choice, "--new-job")
        refused = upload(figup, *words, status=1)
        error = next(e for e in refused.events if e["event"] == "error")
        assert f"d/a: the item holds 2 different files of that name ({named})" in error["message"]
        dry = figup.run("upload", *words, "--dry-run", "--json").expect(1).summary["files"]
        assert [(f["status"], f["action"], f["replaces"]) for f in dry] == [("different", "refuse", [])]
    make(other, a="one")
    words = ("d", "--item", str(item), "--on-conflict", "replace", "--new-job")
    dry = figup.run("upload", *words, "--dry-run", "--json").expect(0).summary["files"]
    assert [(f["status"], f["action"]) for f in dry] == [("same", "skip")]
    result = upload(figup, *words)
    assert [e["message"] for e in result.events if e["event"] == "warning"] == [
        f"d/a: the item already holds this file (file {min(before)}); others of that name are kept: "
        f"file {max(before)}, {before[max(before)]} bytes"
    ]
    assert {f["id"]: f["size"] for f in files(sandbox, item)} == before


def test_a_file_to_replace_that_is_identical_by_now_is_kept(bare_figup: Figup, start_sandbox: Start) -> None:
    sandbox = start_sandbox("--control")
    bare_figup.env |= {"FIGSHARE_ENDPOINT": sandbox.url, "FIGSHARE_TOKEN": sandbox.token}
    other, item = put(bare_figup, sandbox, a="old")
    make(other, a="new")
    words = ("d", "--item", str(item), "--on-conflict", "replace")
    add_faults(sandbox, "initiate:every=400")
    upload(bare_figup, *words, status=1)
    drop_faults(sandbox)
    make(other, a="old")
    upload(bare_figup, *words)
    assert held(sandbox, item) == tree_md5(other, "d/")
    assert sandbox.requests(kind="delete-file") == []


def test_nothing_is_removed_before_its_replacement_is_verified(bare_figup: Figup, start_sandbox: Start) -> None:
    sandbox = start_sandbox("--control")
    bare_figup.env |= {"FIGSHARE_ENDPOINT": sandbox.url, "FIGSHARE_TOKEN": sandbox.token}
    other, item = put(bare_figup, sandbox, a="old")
    make(other, a="new")
    (old,) = files(sandbox, item)
    add_faults(sandbox, "complete=no-md5")
    words = ("d", "--item", str(item), "--on-conflict", "replace", "--verify-timeout", "0")
    upload(bare_figup, *words, status=7)
    assert old["id"] in {f["id"] for f in files(sandbox, item)}
    assert sandbox.requests(kind="delete-file") == []


def killed_upload(figup: Figup, *words: str) -> tuple[str, int]:
    """Start an upload and kill it while it sends. Returns the job and its item."""
    run = figup.start("upload", *words, "--json", "--limit-rate", "200k", *FAST)
    job = run.wait_for_event("job")["job"]
    item = run.wait_for_event("item")["item_id"]
    run.wait_for_event("file")
    run.kill()
    return job, item


@pytest.mark.parametrize("choice", ["skip", "replace", "keep", "fail"])
def test_a_dry_run_agrees_with_the_upload_about_the_unfinished_file_of_another_job(
    choice: str, bare_figup: Figup, start_sandbox: Start
) -> None:
    sandbox = start_sandbox("--part-size", "100KiB", "--lock-linger", "0.1")
    bare_figup.env |= {"FIGSHARE_ENDPOINT": sandbox.url, "FIGSHARE_TOKEN": sandbox.token}
    make(bare_figup.cwd / "a", **{"data.bin": "x" * 1_000_000})
    make(bare_figup.cwd / "b", **{"data.bin": "y" * 1_000_000})
    job, item = killed_upload(bare_figup, "a/data.bin", "--title", "an item")
    words = ("upload", "b/data.bin", "--item", str(item), "--on-conflict", choice, *FAST)
    status = 0 if choice == "keep" else 1
    dry = bare_figup.run(*words, "--dry-run", "--json").expect(status)
    (plan,) = dry.summary["files"]
    assert (plan["status"], plan["action"]) == ("unfinished", "send" if choice == "keep" else "refuse")
    assert plan["replaces"] == []
    done = bare_figup.run(*words, "--json").expect(status)
    if choice != "keep":
        error = next(e for e in done.events if e["event"] == "error")
        assert error["code"] == "conflict"
        assert error["message"] == f"data.bin: {plan['reason']}"
    if choice in ("skip", "replace"):
        assert f"started by job {job} on this machine" in plan["reason"]


@pytest.mark.parametrize("where", ["new", "given"])
def test_a_dry_run_recognizes_an_upload_with_a_lost_response(
    where: str, bare_figup: Figup, start_sandbox: Start
) -> None:
    sandbox = start_sandbox("--control")
    bare_figup.env |= {"FIGSHARE_ENDPOINT": sandbox.url, "FIGSHARE_TOKEN": sandbox.token}
    make(bare_figup.cwd / "a", **{"data.bin": "x", "other.bin": "y"})
    item = upload(bare_figup, "a/other.bin", "--title", "an item").summary["item_id"]
    words = ("a/data.bin", *(("--item", str(item)) if where == "given" else ("--title", "a new item")))
    add_faults(sandbox, "initiate=hang,seconds=10")
    run = bare_figup.start("upload", *words, "--json", *FAST)
    while not any(file["name"] == "data.bin" for row in items(sandbox) for file in files(sandbox, row["id"])):
        assert run.process.returncode is None
    run.kill()
    drop_faults(sandbox)
    dry = bare_figup.run("upload", *words, "--dry-run", "--json").expect(0)
    assert [(f["status"], f["action"], f["bytes_left"]) for f in dry.summary["files"]] == [("begun", "resume", 1)]
    done = upload(bare_figup, *words)
    assert len(files(sandbox, done.summary["item_id"])) == (2 if where == "given" else 1)


def test_an_unfinished_upload_is_recognized(bare_figup: Figup, start_sandbox: Start) -> None:
    sandbox = start_sandbox("--part-size", "100KiB", "--lock-linger", "0.1")
    bare_figup.env |= {"FIGSHARE_ENDPOINT": sandbox.url, "FIGSHARE_TOKEN": sandbox.token}
    top = make(bare_figup.cwd / "d", big="x" * 1_000_000)
    job, item = killed_upload(bare_figup, "d", "--title", "an item")
    ours = upload(bare_figup, "d", "--item", str(item), status=1)
    error = next(e for e in ours.events if e["event"] == "error")
    assert f"started by job {job} on this machine" in error["message"]
    assert f"figup resume {job}" in error["hint"]
    refused = upload(bare_figup, "d", "--item", str(item), "--on-conflict", "replace", status=1)
    assert f"job {job}" in next(e for e in refused.events if e["event"] == "error")["message"]
    bare_figup.env["FIGUP_STATE_DIR"] = str(bare_figup.cwd / "elsewhere")
    theirs = upload(bare_figup, "d", "--item", str(item), status=1)
    assert (
        "not started by any job on this machine" in next(e for e in theirs.events if e["event"] == "error")["message"]
    )
    dry = bare_figup.run("upload", "d", "--item", str(item), "--dry-run", "--json").expect(1)
    assert [e["status"] for e in dry.events if e["event"] == "file"] == ["unfinished"]
    upload(bare_figup, "d", "--item", str(item), "--on-conflict", "replace")
    assert held(sandbox, item) == tree_md5(top, "d/")


# --- looking, without sending ---------------------------------------------------------------------------------------


def test_a_whole_tree_is_compared_both_ways(figup: Figup, sandbox: Sandbox) -> None:
    other, item = put(figup, sandbox, same="1", differs="22", only__there="3")
    make(other, differs="33", only__here="4")
    (other / "only" / "there").unlink()
    top_level = make(figup.cwd / "x", alone="5") / "alone"
    upload(figup, top_level, "--item", str(item))
    before = len(sandbox.requests())
    done = figup.run("verify", str(item), "d", "--json").expect(5)
    assert {(f["folder"], f["name"]): f["status"] for f in done.summary["files"]} == {
        ("d", "same"): "same",
        ("d", "differs"): "different",
        ("d/only", "here"): "missing",
        ("d/only", "there"): "missing-here",
    }
    assert {request["method"] for request in sandbox.requests()[before:]} == {"GET"}
    result = figup.run("verify", str(item), "d/same").expect(1)
    assert "MISSING: the item has no file of this name, but d/same" in result.stdout
    figup.run("verify", str(item), "d/.", "--include", "nothing").expect(2)
    listing = subprocess.run(["md5sum", "d/same", "d/differs"], cwd=figup.cwd, capture_output=True, check=True).stdout
    (figup.cwd / "sums").write_bytes(listing)
    for path in other.rglob("*"):
        if path.is_file():
            path.unlink()
    by_sums = figup.run("verify", str(item), "--checksums", "sums", "--json").expect(5)
    assert [f["status"] for f in by_sums.summary["files"]] == ["same", "different", "missing-here", "missing-here"]
    assert by_sums.summary["totals"]["missing-here"] == {"files": 2, "bytes": 2}
    assert by_sums.summary["totals"]["same"] == {"files": 1, "bytes": 1}
    (figup.cwd / "sums").write_text(f"{'0' * 32}  gone\n")
    gone = figup.run("verify", str(item), "--checksums", "sums").expect(1).stdout
    assert "4 missing here (5 bytes)" in gone.splitlines()[-1]
    assert "1 missing on Figshare, " in gone.splitlines()[-1], (
        "a list of checksums does not say how large its files are"
    )


def test_a_dry_run_reports_the_outcome_of_each_file(bare_figup: Figup, start_sandbox: Start) -> None:
    sandbox = start_sandbox("--quota", "1000000", "--max-file-size", "500000")
    bare_figup.env |= {"FIGSHARE_ENDPOINT": sandbox.url, "FIGSHARE_TOKEN": sandbox.token}
    other, item = put(bare_figup, sandbox, same="1", differs="old")
    make(other, differs="new", fresh="2" * 300_000, **{".hidden": "x"})
    before = len(sandbox.requests())
    dry = bare_figup.run("upload", "d", "--item", str(item), "--dry-run", "--json").expect(1)
    plan = dry.events[0]
    assert (plan["event"], plan["state"], plan["bytes_left"]) == ("plan", "new", 300_000)
    assert plan["counts"] == {"different": 1, "new": 1, "same": 1}
    assert plan["actions"] == {"refuse": 1, "send": 1, "skip": 1}
    assert plan["space"]["needed"] == 300_000
    assert plan["space"]["quota"] == 1_000_000
    assert set(plan["estimate"]["seconds"]) == {"100mbit", "1gbit"}
    assert [e["reason"] for e in dry.events if e["event"] == "skipped"] == ["hidden"]
    assert {f["name"]: (f["status"], f["action"], f["parts"]) for f in dry.summary["files"]} == {
        "same": ("same", "skip", 1),
        "differs": ("different", "refuse", 1),
        "fresh": ("new", "send", 1),
    }
    replacing = bare_figup.run("upload", "d", "--item", str(item), "--dry-run", "--on-conflict", "replace").expect(0)
    old = next(file["id"] for file in files(sandbox, item) if file["name"] == "differs")
    assert f"the item has a different file of that name: replace (file {old})\n" in replacing.stdout
    (found,) = [line for line in replacing.stdout.splitlines() if line.startswith("Found: ")]
    assert sorted(found.removeprefix("Found: ").split("; ")) == [
        "new: 1",
        "the item has a different file of that name: 1",
        "the item has the same file: 1",
    ]
    make(other, big="3" * 600_000, bulk="4" * 450_000)
    full = bare_figup.run("upload", "d", "--item", str(item), "--dry-run", "--on-conflict", "keep").expect(6)
    assert "NOT ENOUGH space" in full.stdout
    assert f"over this account's maximum file size of 500 kB: {other}/big" in full.stdout
    assert {request["method"] for request in sandbox.requests()[before:]} == {"GET"}
    assert not (bare_figup.state_dir / "jobs" / plan["job"]).exists()


def test_a_dry_run_of_many_files_stays_short(bare_figup: Figup) -> None:
    make(bare_figup.cwd / "set", **{f"f{number:04}": "x" for number in range(2000)})
    dry = bare_figup.run("upload", "set", "--dry-run").expect(0).stdout.splitlines()
    assert len(dry) < 30
    assert [line.partition("/set/")[2] for line in dry[2:22]] == [f"f{number:04}  1 byte" for number in range(20)]
    assert dry[22] == "  and 1980 more, new: send; --json has all"
    assert "2000 files, 2.00 kB, about 2000 parts: 2000 to send" in dry
    assert len(bare_figup.run("upload", "set", "--dry-run", "--json").expect(0).summary["files"]) == 2000


def test_a_dry_run_finds_a_changed_source_of_the_same_size(bare_figup: Figup, start_sandbox: Start) -> None:
    sandbox = start_sandbox("--part-size", "100KiB", "--control")
    bare_figup.env |= {"FIGSHARE_ENDPOINT": sandbox.url, "FIGSHARE_TOKEN": sandbox.token}
    top = make(bare_figup.cwd / "d", a="1" * 300_000)
    words = ("upload", "d", "--title", "one item", "--connections", "1")

    def dry(status: int, *more: str) -> tuple[str, str]:
        (file,) = bare_figup.run(*words, *more, "--dry-run", "--json").expect(status).summary["files"]
        return file["status"], file["action"]

    add_faults(sandbox, "put-part@3:every=403")
    bare_figup.run(*words).expect(1)
    drop_faults(sandbox)
    os.utime(top / "a", (1, 1))
    assert dry(0) == ("begun", "resume")
    (top / "a").write_text("1" * 250_000 + "2" * 50_000)
    assert dry(0) == ("begun", "resume"), "nothing was sent of what is different"
    (top / "a").write_text("2" * 300_000)
    assert dry(5) == ("changed", "refuse")
    assert dry(0, "--restart-changed") == ("changed", "send")
    bare_figup.run(*words, "--restart-changed").expect(0)
    os.utime(top / "a", (1, 1))
    assert dry(0) == ("done", "skip")
    (top / "a").write_text("3" * 300_000)
    assert dry(5) == ("changed", "refuse")
    bare_figup.run(*words).expect(5)


@pytest.mark.parametrize("folders", ["structure", "names"])
def test_files_of_equal_name_and_size_are_distinguished_by_folder_after_lost_responses(
    folders: str, bare_figup: Figup, start_sandbox: Start
) -> None:
    sandbox = start_sandbox("--control", "--folders", folders)
    bare_figup.env |= {"FIGSHARE_ENDPOINT": sandbox.url, "FIGSHARE_TOKEN": sandbox.token}
    top = make(bare_figup.cwd / "set", **{f"run{n}__data": f"{n}" * 1000 for n in range(4)})
    add_faults(sandbox, "initiate:..4=lost-answer")
    done = upload(bare_figup, "set")
    assert held(sandbox, done.summary["item_id"]) == tree_md5(top, "set/")
    assert len(sandbox.requests(kind="initiate")) == 4
    upload(bare_figup, "set")
    assert len(sandbox.requests(kind="initiate")) == 4


def test_gitignore_patterns_exclude_files(figup: Figup, sandbox: Sandbox) -> None:
    top = make(figup.cwd / "set", keep__secret__key="k", keep__a="1", b="2", c="3")
    (top / ".figupignore").write_text("secret\n!keep/\n")
    done = upload(figup, "set", "--exclude", "c")
    assert set(held(sandbox, done.summary["item_id"])) == {"set/keep/a", "set/b"}


@pytest.mark.parametrize("locale", [{"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"}, {"LC_ALL": "C.UTF-8"}])
def test_names_do_not_depend_on_the_locale(tmp_path: Path, locale: dict[str, str]) -> None:
    folder = make(tmp_path / "d\u00e9", **{"caf\u00e9.txt": "1"})
    done = subprocess.run(
        [sys.executable, "-m", "uploader", "upload", folder, "--title", "\u00c9t\u00e9", "--dry-run", "--json"],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONUTF8": "0", **locale},
        capture_output=True,
        check=True,
        timeout=60,
    )
    summary = json.loads(done.stdout.decode("utf-8").splitlines()[-1])
    assert [(file["folder"], file["name"]) for file in summary["files"]] == [("d\u00e9", "caf\u00e9.txt")]


def test_names_that_differ_in_unicode_composition_are_equal(figup: Figup, sandbox: Sandbox) -> None:
    mac, linux = make(figup.cwd / "mac", **{"cafe\u0301.txt": "1"}), make(figup.cwd / "linux", **{"caf\u00e9.txt": "1"})
    item = upload(figup, f"{mac}/.").summary["item_id"]
    verified = figup.run("verify", str(item), f"{linux}/.").expect(0)
    assert r"the same, there under another spelling, 'cafe\u0301.txt'" in verified.stdout
    upload(figup, f"{linux}/.", "--item", str(item))
    assert list(held(sandbox, item)) == ["cafe\u0301.txt"]


def test_a_manifest_saved_by_excel_is_read(figup: Figup, sandbox: Sandbox) -> None:
    make(figup.cwd, data__a="1", data__b="2")
    table = "sep=\t\r\npath\tname\tfolder\t\r\ndata\\a\tx.csv\t raw\\x \t\r\ndata/b\t\t\t\r\n"
    (figup.cwd / "files.csv").write_bytes(table.encode("utf-16"))
    done = upload(figup, "--manifest", "files.csv", "--title", "A table")
    assert set(held(sandbox, done.summary["item_id"])) == {"raw/x/x.csv", "b"}


def test_duplicate_rows_are_reported_with_their_lines(figup: Figup) -> None:
    make(figup.cwd, a="1", b="2")
    (figup.cwd / "files.csv").write_text("path,name\na,x\nb,x\n")
    done = figup.run("upload", "--manifest", "files.csv", "--title", "A table").expect(2)
    assert "a (files.csv: line 2) and " in done.stderr
    assert "b (files.csv: line 3)" in done.stderr


def test_a_listed_file_that_looks_like_a_comment_is_sent(figup: Figup, sandbox: Sandbox) -> None:
    make(figup.cwd, **{"a.txt": "1", "#b.txt": "2"})
    (figup.cwd / "list").write_text("a.txt\n#b.txt\n#c.txt\n# a remark\n")
    done = upload(figup, "--from-file", "list", "--title", "A list")
    assert set(held(sandbox, done.summary["item_id"])) == {"a.txt", "#b.txt"}
    assert warnings(done) == "list: line 3: treated as a comment; no such file: #c.txt"


def test_checksums_of_another_system_are_compared(figup: Figup) -> None:
    top = make(figup.cwd / "set", sub__a="1", b="2")
    item = str(upload(figup, f"{top}/.").summary["item_id"])
    rows = "".join(f'"MD5","{md5.upper()}","D:\\set\\{path}"\n' for path, md5 in tree_md5(top).items())
    (figup.cwd / "list.csv").write_bytes(f'"Algorithm","Hash","Path"\n{rows}'.replace("sub/", "sub\\").encode("utf-16"))
    done = figup.run("verify", item, "--checksums", "list.csv", "--base", "D:\\set").expect(0)
    assert "2 compared: 2 the same" in done.stdout
