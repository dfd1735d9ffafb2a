"""`--report`, `--failed-to` and watching a job, with a kill and faults in between."""

from __future__ import annotations

import json
import os
import random
import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import Figup
from tests.support.invariants import files, items, md5_of
from tests.support.pages import parse
from tests.support.sandbox import Sandbox
from uploader.disk import Disk
from uploader.transfer.store import progress_file

Start = Callable[..., Sandbox]
CANARY = "c4nary-1a2b3c4d5e6f-t0ken"
NAME = '<b onclick="x">two & "q".bin'


@pytest.fixture
def faulty(bare_figup: Figup, start_sandbox: Start) -> Sandbox:
    """A sandbox with small parts, occasional failures, and a token that is easy to find in output."""
    sandbox = start_sandbox(
        "--part-size", "100KiB", "--fault", "put-part@2:..2=503", "--fault", "put-part@4=reset-mid-body", token=CANARY
    )
    bare_figup.env |= {"FIGSHARE_ENDPOINT": sandbox.url, "FIGSHARE_TOKEN": sandbox.token}
    return sandbox


def source(figup: Figup, name: str, size: int) -> Path:
    path = figup.cwd / name
    path.write_bytes(random.Random(name).randbytes(size))
    return path


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found


def test_the_report_covers_all_runs(faulty: Sandbox, bare_figup: Figup) -> None:
    paths = [source(bare_figup, NAME, 50_000), source(bare_figup, "big.bin", 1_500_000)]
    command = ["upload", *(path.name for path in paths), "--title", "Two <i>files</i>"]
    run = bare_figup.start(*command, "--json", "--limit-rate", "150k")
    job = run.wait_for_event("job")["job"]
    deadline = time.monotonic() + 60
    history = bare_figup.state_dir / "jobs" / job / "history.jsonl"
    while not (history.exists() and all(word in history.read_bytes() for word in (b'"e":"s"', b"503", b"reset"))):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    run.kill()
    done = bare_figup.run(*command, "--report", "r.html", "--report", "r.json").expect(0)
    assert f"figup: report: {bare_figup.cwd / 'r.html'}" in done.stderr
    report = read(bare_figup.cwd / "r.json")
    (item,) = items(faulty)
    assert (report["job"], report["state"], report["item_id"], report["title"]) == (
        job,
        "done",
        item["id"],
        item["title"],
    )
    stored = {file["name"]: file["id"] for file in files(faulty, item["id"])}
    assert [(f["path"], f["name"], f["size"], f["md5"], f["file_id"], f["status"]) for f in report["files"]] == [
        (str(path), path.name, path.stat().st_size, md5_of(path), stored[path.name], "verified") for path in paths
    ]
    assert all(f["verified_at"] for f in report["files"])
    assert [run["outcome"] for run in report["runs"]] == ["killed", "verified"]
    assert report["runs"][0]["sent"] > 0
    assert report["runs"][1]["sent"] >= 1_000_000 - report["runs"][0]["sent"]
    assert any("503" in fault["reason"] for fault in report["faults"])
    assert any("reset" in fault["reason"] for fault in report["faults"])
    text = (bare_figup.cwd / "r.html").read_text("utf-8")
    page = parse(text)
    for wanted in (
        NAME,
        "Two <i>files</i>",
        *(md5_of(path) for path in paths),
        str(stored["big.bin"]),
        "killed, or the machine crashed",
    ):
        assert wanted in page.text
    assert not list(page.all("b"))
    assert len(list(page.one("svg").all("path"))) == 2
    check_no_secrets(faulty, bare_figup, job)


def check_no_secrets(sandbox: Sandbox, figup: Figup, job: str) -> None:
    """Neither the token nor an upload address is in any output."""
    folder = figup.state_dir / "jobs" / job
    for path in (figup.cwd / "r.html", figup.cwd / "r.json", *folder.iterdir()):
        content = path.read_bytes()
        assert CANARY.encode() not in content, path
        assert sandbox.upload_url.encode() not in content, path
        assert b"/upload/" not in content, path
    assert not folder.joinpath("progress.json").exists()


def test_a_report_has_metadata_and_final_steps(sandbox: Sandbox, figup: Figup) -> None:
    source(figup, "data.bin", 1000)
    (figup.cwd / "dataset.yaml").write_text("title: Beavers\ndescription: Dams & lodges\nkeywords: [rivers]\n")
    words = ("upload", "data.bin", "--metadata", "dataset.yaml", "--exclude", "*.tmp", "--reserve-doi")
    figup.run(*words).expect(0)
    done = figup.run("status", "--report", "r.json", "--report", "r.html").expect(0)
    assert f"figup: report: {figup.cwd / 'r.json'}\nfigup: report: {figup.cwd / 'r.html'}\n" in done.stderr
    report = read(figup.cwd / "r.json")
    assert report["description"]["values"]["keywords"] == ["rivers"]
    assert "Dams" in report["description"]["values"]["description"]
    assert report["options"] == {"metadata": "dataset.yaml", "exclude": ["*.tmp"]}
    assert report["final_steps"] == ["reserve_doi"]
    text = (figup.cwd / "r.html").read_text("utf-8")
    for words_in in ("Dams", "rivers", "reserve a DOI", "--exclude *.tmp", "--metadata dataset.yaml"):
        assert words_in in text, words_in


def test_a_report_can_be_made_later_and_of_a_job_that_failed(faulty: Sandbox, bare_figup: Figup) -> None:
    source(bare_figup, "a.bin", 1000)
    item = bare_figup.run("upload", "a.bin", "--json").expect(0).summary["item_id"]
    other, good = bare_figup.cwd / "other", source(bare_figup, "good.bin", 1000)
    other.mkdir()
    (other / "a.bin").write_bytes(b"different")
    command = ["upload", str(other / "a.bin"), str(good), "--item", str(item), "--failed-to", "failed.txt"]
    done = bare_figup.run(*command, "--report", "r.json").expect(1)
    failed = bare_figup.cwd / "failed.txt"
    _, comment, path = failed.read_text().splitlines()
    assert comment.startswith("# conflict: a.bin: the item holds a different file of that name")
    assert path == str(other / "a.bin")
    assert "Failed: a.bin: the item holds a different file of that name" in done.stdout
    assert "good.bin: 1.00 kB (1000 bytes)" in done.stdout
    assert read(bare_figup.cwd / "r.json")["counts"] == {"failed": 1, "verified": 1}
    (other / "a.bin").write_bytes((bare_figup.cwd / "a.bin").read_bytes())
    again = bare_figup.run(*command, "--restart-changed", "--json").expect(0)
    assert failed.read_bytes() == b""
    bare_figup.env.pop("FIGSHARE_TOKEN")
    faulty.kill()
    bare_figup.run("status", again.summary["job"], "--report", "later.html").expect(0)
    page = parse((bare_figup.cwd / "later.html").read_text("utf-8"))
    assert "All 2 files are on Figshare and verified" in page.text
    assert "1 of 2 files could not be sent (some-files-failed)" in page.text


def test_what_failed_in_a_folder_is_sent_from_its_list(sandbox: Sandbox, figup: Figup) -> None:
    folder = figup.cwd / "my set" / "a"
    folder.mkdir(parents=True)
    for name in ("good", "bad", "#bad"):
        (folder / name).write_bytes(b"one")
    (folder / ".hidden").write_bytes(b"hidden")
    item = figup.run("upload", "my set", "--json").expect(0).summary["item_id"]
    for name in ("bad", "#bad"):
        (folder / name).write_bytes(b"two")
    figup.run("upload", "my set", "--item", str(item), "--failed-to", "f.txt", "--report", "r.json").expect(1)
    report = read(figup.cwd / "r.json")
    assert report["counts"] == {"failed": 2, "verified": 1}
    assert report["skipped"] == [{"path": str(folder / ".hidden"), "reason": "hidden"}]
    command, *lines = (figup.cwd / "f.txt").read_text().splitlines()
    assert [line for line in lines if not line.startswith("# ")] == [str(folder / "#bad"), str(folder / "bad")]
    mark, name, *words = shlex.split(command)
    assert (mark, name) == ("#", "figup")
    again = figup.run(*words, "--on-conflict", "replace", "--json").expect(0)
    assert [(f["folder"], f["name"]) for f in again.summary["files"]] == [("my set/a", "#bad"), ("my set/a", "bad")]
    stored = {file["name"]: file["computed_md5"] for file in files(sandbox, item)}
    assert stored == {path.name: md5_of(path) for path in folder.iterdir() if path.name != ".hidden"}


@pytest.mark.parametrize("value", ["r.pdf", "r", "nowhere/r.html", "folder.html", f"{'x' * 300}.html"])
def test_an_invalid_report_path_is_rejected_before_the_first_byte(
    value: str, faulty: Sandbox, bare_figup: Figup
) -> None:
    source(bare_figup, "a.bin", 1000)
    (bare_figup.cwd / "folder.html").mkdir()
    bare_figup.run("upload", "a.bin", "--report", value).expect(2)
    assert faulty.requests() == []


def test_a_job_that_has_begun_nothing_has_no_report(sandbox: Sandbox, figup: Figup) -> None:
    sent = source(figup, "a.bin", 10)
    done = figup.run("upload", "a.bin", "--item", "999", "--report", "r.json", "--failed-to", "failed").expect(4)
    assert "figup: no report: nothing was begun" in done.stderr.splitlines()
    assert "status" not in done.stderr.replace("auth status", "")
    assert not (figup.cwd / "r.json").exists()
    reason, path = (figup.cwd / "failed").read_text().splitlines()
    assert reason.startswith("# item-missing: Figshare has no item 999")
    assert path == str(sent)


def test_an_unwritable_report_does_not_fail_the_upload(faulty: Sandbox, bare_figup: Figup) -> None:
    source(bare_figup, "a.bin", 1000)
    done = bare_figup.run("upload", "a.bin", "--report", "/proc/r.html", "--json").expect(0)
    assert "cannot write" in done.stderr
    assert "figup status " in done.stderr
    assert done.summary["exit_status"] == 0
    job = done.summary["job"]
    bare_figup.run("status", job, "--report", "/proc/r.html").expect(2)


def test_watching_shows_the_working_processs_progress(faulty: Sandbox, bare_figup: Figup) -> None:
    source(bare_figup, "big.bin", 1_500_000)
    run = bare_figup.start("upload", "big.bin", "--json", "--limit-rate", "30k")
    job = run.wait_for_event("job")["job"]
    deadline = time.monotonic() + 30
    folder = bare_figup.state_dir / "jobs" / job
    while (now := progress_file.read(folder, Disk())) is None or not now.progress.bytes_sent:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    watching = bare_figup.start("status", job, "--watch", "--json")
    reported = watching.wait_for_event("progress")
    assert reported["bytes_sent"] > 0
    assert [file["name"] for file in reported["active"]] == ["big.bin"]
    assert (reported["files_done"], reported["files_total"]) == (0, 1)
    assert reported["connections"] >= 0
    run.kill()
    assert watching.wait(20).expect(75).summary["job"] == job


def test_a_job_of_many_files_is_summarized(sandbox: Sandbox, figup: Figup) -> None:
    for number in range(60):
        (figup.cwd / f"{number:02}.csv").write_bytes(os.urandom(10))
    done = figup.run("upload", *(f"{number:02}.csv" for number in range(60)), "--title", "Many", "--api-rate", "1000")
    done.expect(0)
    assert done.stdout.splitlines()[0] == "60 files, 600 bytes: 60 verified."
    assert len(done.stdout.splitlines()) == 4
    job = figup.run("jobs", "--json").expect(0).events[0]
    assert (job["files_total"], job["files_done"], job["first"]) == (60, 60, "00.csv")
    output = figup.run("status", job["job"]).expect(0).stdout
    assert "60 files: 60 verified" in output
    assert len(output.splitlines()) < 8
    assert len(figup.run("status", job["job"], "--json").expect(0).summary["files"]) == 60


def test_a_list_of_failed_files_does_not_create_an_item(figup: Figup, sandbox: Sandbox) -> None:
    folder = figup.cwd / "set"
    folder.mkdir()
    for name in ("good", "bad"):
        (folder / name).write_text(name)
    item = figup.run("upload", "set/good", "set/bad", "--title", "Set", "--json").expect(0).summary["item_id"]
    (folder / "bad").write_text("other")
    figup.run("upload", "set/bad", "set/good", "--item", str(item), "--failed-to", "failed.txt").expect(1)
    refused = figup.run("upload", "--from-file", "failed.txt").expect(2).stderr
    assert "is a list of failed files; on its own it would create a new item" in refused
    assert f"--item {item}" in refused
    figup.run("upload", "--from-file", "failed.txt", "--item", str(item), "--on-conflict", "keep").expect(0)
    assert len(items(sandbox)) == 1
