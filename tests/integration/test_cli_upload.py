"""`figup upload` as a user and as a script see it: output, requests, and files left behind."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import Figup
from tests.support.invariants import ask, check_exactly_once, files, items, md5_of
from tests.support.sandbox import Sandbox

Start = Callable[..., Sandbox]
SUMMARY = {
    "event", "time", "job", "item_id", "item_url", "doi", "public_url", "private_link", "published", "files", "skipped",
    "bytes_sent", "bytes_total", "seconds", "exit_status", "totals", "records", "manifest", "manifest_remote",
    "manifest_members",
}  # fmt: skip


def source(figup: Figup, name: str = "data.bin", content: bytes = b"0123456789" * 1000) -> Path:
    path = figup.cwd / name
    path.write_bytes(content)
    return path


def point(figup: Figup, sandbox: Sandbox) -> Figup:
    figup.env |= {"FIGSHARE_ENDPOINT": sandbox.url, "FIGSHARE_TOKEN": sandbox.token}
    return figup


def check_events(events: list[dict[str, Any]]) -> None:
    assert all({"event", "time"} <= event.keys() for event in events)
    assert [event["event"] for event in events].count("summary") == 1
    assert events[-1]["event"] == "summary"
    assert set(events[-1]) == SUMMARY


@pytest.mark.fast
def test_the_summary_for_a_user(figup: Figup, sandbox: Sandbox) -> None:
    path = source(figup)
    done = figup.run("upload", "data.bin").expect(0)
    (item,) = items(sandbox)
    assert item["title"] == "data.bin"
    assert done.stdout.splitlines()[:2] == [
        f"data.bin: 10.0 kB (10000 bytes), MD5 {md5_of(path)}, verified",
        f"Item {item['id']}: {item['url_private_html']}",
    ]
    assert "Parts: 0 already there, 1 sent. 10.0 kB sent in " in done.stdout
    title, first, *_, last = done.stderr.splitlines()
    assert first.endswith(": 1 file, 10.0 kB")
    assert title == 'figup: title of the new item: "data.bin"; change it with --title'
    assert last == "figup: 10.0 kB of 10.0 kB (100 %), 1 of 1 file verified"
    assert "\r" not in done.stderr
    check_exactly_once(sandbox, path)


def test_json_lines_are_the_only_output_for_a_program(figup: Figup, sandbox: Sandbox) -> None:
    path = source(figup)
    done = figup.run("upload", "data.bin", "--title", "My data", "--json").expect(0)
    check_events(done.events)
    assert done.stderr == ""
    names = [event["event"] for event in done.events if event["event"] != "progress"]
    # The item's address is only displayed, and is requested while the file is sent.
    names.remove("item")
    assert names == ["job", "file", "sent", "verified", "summary"]
    (item,) = items(sandbox)
    summary = done.summary
    assert (summary["item_id"], summary["exit_status"]) == (item["id"], 0)
    assert (summary["bytes_sent"], summary["bytes_total"]) == (10_000, 10_000)
    (file,) = summary["files"]
    assert (file["path"], file["name"], file["size"]) == (str(path), "data.bin", 10_000)
    assert (file["md5"], file["status"]) == (md5_of(path), "verified")
    assert file["file_id"] == files(sandbox, item["id"])[0]["id"]


def test_the_state_is_private_and_holds_a_manifest(figup: Figup) -> None:
    path = source(figup)
    job = figup.run("upload", "data.bin", "--json").expect(0).summary["job"]
    folder = figup.state_dir / "jobs" / job
    assert (folder / "manifest.md5").read_text() == f"{md5_of(path)}  {path}\n"
    assert stat.S_IMODE((folder / "journal").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_finished_job_rerun_sends_nothing(figup: Figup, sandbox: Sandbox) -> None:
    path = source(figup)
    figup.run("upload", "data.bin").expect(0)
    again = figup.run("upload", "data.bin").expect(0)
    assert "was already finished and its files are unchanged; nothing was sent." in again.stdout
    assert again.stderr == ""
    summary = figup.run("upload", str(path), "--json").expect(0).summary
    assert (summary["bytes_sent"], summary["files"][0]["status"]) == (0, "verified")
    assert len(sandbox.requests(kind="put-part")) == 1
    assert len(sandbox.requests(kind="create-item")) == 1
    check_exactly_once(sandbox, path)


def test_new_job_starts_over(figup: Figup, sandbox: Sandbox) -> None:
    source(figup)
    first = figup.run("upload", "data.bin", "--json").expect(0).summary
    second = figup.run("upload", "data.bin", "--json", "--new-job").expect(0).summary
    assert second["job"] == f"{first['job']}-2"
    assert len(items(sandbox)) == 2


def test_a_file_is_added_to_an_existing_item(figup: Figup, sandbox: Sandbox) -> None:
    source(figup)
    item = figup.run("upload", "data.bin", "--json").expect(0).summary["item_id"]
    source(figup, "more.bin", b"more")
    done = figup.run("upload", "more.bin", "--item", str(item)).expect(0)
    assert "new item" not in done.stderr
    assert sorted(file["name"] for file in files(sandbox, item)) == ["data.bin", "more.bin"]
    assert len(items(sandbox)) == 1


NAMES = [
    "two words.bin",
    "Größe – 数据 ☃.csv",
    "-leading-dash",
    "--json",
    "new\nline.bin",
    "tab\tand \x1b[31mred",
    "'quoted\" name",
    "ä" * 127 + "x",
]


def test_any_name_is_kept_and_shown_escaped(figup: Figup, sandbox: Sandbox) -> None:
    paths = [source(figup, name, name.encode()) for name in NAMES]
    done = figup.run("upload", "--title", "odd names", "--api-rate", "1000", "--", *NAMES).expect(0)
    check_exactly_once(sandbox, *paths)
    # One line a file, the item's, the manifest's and the parts'.
    assert len(done.stdout.splitlines()) == len(NAMES) + 3
    assert "new\\nline.bin: 12 bytes" in done.stdout
    assert "\x1b" not in done.stdout + done.stderr
    again = figup.run("upload", "--title", "odd names", "--api-rate", "1000", "--json", "--", *NAMES).expect(0)
    assert sorted(file["name"] for file in again.summary["files"]) == sorted(NAMES)


def test_several_files_share_an_item_and_a_job(figup: Figup, sandbox: Sandbox) -> None:
    paths = [source(figup, f"{n}.bin", bytes([n]) * (n * 1000)) for n in range(12) if n]
    summary = (
        figup.run("upload", *map(str, paths), "--title", "eleven", "--json", "--api-rate", "1000").expect(0).summary
    )
    assert len(summary["files"]) == 11
    check_exactly_once(sandbox, *paths)


def test_one_bad_file_does_not_stop_the_others(figup: Figup, sandbox: Sandbox) -> None:
    source(figup, "empty.bin", b"")
    source(figup)
    done = figup.run("upload", "empty.bin", "data.bin", "--title", "mixed", "--json").expect(1)
    check_events(done.events)
    errors = [event for event in done.events if event["event"] == "error"]
    assert [(error["code"], Path(error["path"] or "").name) for error in errors] == [
        ("refused", "empty.bin"),
        ("some-files-failed", ""),
    ]
    statuses = {file["name"]: file["status"] for file in done.summary["files"]}
    assert statuses == {"empty.bin": "failed", "data.bin": "verified"}
    assert done.summary["exit_status"] == 1
    assert [line.startswith("figup: ") for line in done.stderr.splitlines()] == [True, True]
    (item,) = items(sandbox)
    assert [f["name"] for f in files(sandbox, item["id"]) if f["status"] != "created"] == ["data.bin"]


def test_a_rejected_empty_file_has_figshares_message(figup: Figup, sandbox: Sandbox) -> None:
    source(figup, "empty.bin", b"")
    done = figup.run("upload", "empty.bin").expect(1)
    (line,) = (line for line in done.stderr.splitlines() if "/empty.bin: " in line)
    assert line.startswith("figup: ")
    assert "422" in line
    assert items(sandbox) == [], "no empty draft is left"
    assert re.search(r"the empty item \d+, created by this job, was removed", done.stderr)
    source(figup, "nothing.bin", b"")
    refused = figup.run("upload", "empty.bin", "nothing.bin", "--title", "Both", "--json").expect(1)
    assert (refused.summary["item_id"], items(sandbox)) == (None, [])
    dry = figup.run("upload", "empty.bin", "--dry-run").expect(0)
    assert "Note: Figshare does not seem to accept empty files: " in dry.stdout


def test_an_empty_file_is_sent_if_accepted(bare_figup: Figup, start_sandbox: Start) -> None:
    sandbox = start_sandbox("--empty-files", "accept")
    point(bare_figup, sandbox)
    path = source(bare_figup, "empty.bin", b"")
    done = bare_figup.run("upload", "empty.bin").expect(0)
    assert f"empty.bin: 0 bytes, MD5 {md5_of(path)}, verified" in done.stdout
    check_exactly_once(sandbox, path)


def test_hash_first_sends_the_md5_in_advance(figup: Figup, sandbox: Sandbox) -> None:
    path = source(figup)
    figup.run("upload", "data.bin", "--hash-first").expect(0)
    (item,) = items(sandbox)
    assert files(sandbox, item["id"])[0]["supplied_md5"] == md5_of(path)
    check_exactly_once(sandbox, path)


def test_the_rate_limit_is_kept(figup: Figup, sandbox: Sandbox) -> None:
    path = source(figup, "data.bin", os.urandom(1_500_000))
    seconds = figup.run("upload", "data.bin", "--limit-rate", "8mbit", "--json").expect(0).summary["seconds"]
    # A burst of a quarter of a second is allowed.
    assert 1.0 < seconds < 4
    check_exactly_once(sandbox, path)


# --- dry run --------------------------------------------------------------------------------------------------------


def test_a_dry_run_shows_the_plan_and_changes_nothing(figup: Figup, sandbox: Sandbox) -> None:
    path = source(figup)
    del figup.env["FIGSHARE_TOKEN"]
    done = figup.run("upload", "data.bin", "--dry-run").expect(0)
    assert "(new)" in done.stdout
    assert "To a new item 'data.bin'" in done.stdout
    assert f"{path}  10.0 kB" in done.stdout
    assert sandbox.requests() == []
    assert not figup.state_dir.exists()


def test_a_dry_run_knows_the_job_that_exists(figup: Figup, sandbox: Sandbox) -> None:
    source(figup)
    real = figup.run("upload", "data.bin", "--json").expect(0).summary
    before = len(sandbox.requests())
    dry = figup.run("upload", "data.bin", "--dry-run", "--json").expect(0)
    check_events(dry.events)
    assert [event["event"] for event in dry.events] == ["plan", "file", "summary"]
    assert (dry.summary["job"], dry.summary["item_id"]) == (real["job"], real["item_id"])
    assert dry.events[0]["state"] == "done"
    new = figup.run("upload", "data.bin", "--dry-run", "--json", "--new-job").expect(0)
    assert (new.summary["job"], new.events[0]["state"]) == (f"{real['job']}-2", "new")
    assert {request["method"] for request in sandbox.requests()[before:]} == {"GET"}


@pytest.mark.parametrize(
    ("words", "status"), [(["nope.bin"], 4), (["*.nope"], 4), (["a/x", "b/x"], 2), (["data.bin", "--title", "x"], 2)]
)
def test_a_dry_run_reports_errors_of_the_upload(bare_figup: Figup, words: list[str], status: int) -> None:
    source(bare_figup)
    for name in ("a", "b"):
        (bare_figup.cwd / name).mkdir()
        source(bare_figup, f"{name}/x")
    bare_figup.run("upload", *words, "--dry-run").expect(status)
    assert not bare_figup.state_dir.exists()


# --- the options' way to the engine ---------------------------------------------------------------------------------


def test_a_changed_source_is_resent_on_request(bare_figup: Figup, start_sandbox: Start) -> None:
    sandbox = start_sandbox("--part-size", "100KiB")
    point(bare_figup, sandbox)
    path = source(bare_figup, "data.bin", os.urandom(1_000_000))
    run = bare_figup.start("upload", "data.bin", "--json", "--limit-rate", "200k")
    run.wait_for_event("file")
    run.kill()
    path.write_bytes(os.urandom(700_000))
    refused = bare_figup.run("upload", "data.bin", "--json").expect(5)
    assert refused.events[-2]["code"] == "source-changed"
    assert "--restart-changed" in refused.events[-2]["hint"]
    bare_figup.run("upload", "data.bin", "--restart-changed").expect(0)
    check_exactly_once(sandbox, path)


def test_a_changed_finished_source_is_an_explained_error(figup: Figup, sandbox: Sandbox) -> None:
    path = source(figup)
    figup.run("upload", "data.bin").expect(0)
    path.write_bytes(b"other")
    done = figup.run("upload", "data.bin").expect(5)
    assert "--restart-changed" in done.stderr
    assert len(items(sandbox)) == 1


def test_another_file_of_that_name_is_not_replaced(figup: Figup, sandbox: Sandbox) -> None:
    source(figup)
    item = figup.run("upload", "data.bin", "--json").expect(0).summary["item_id"]
    source(figup, "data.bin", b"another")
    done = figup.run("upload", "data.bin", "--item", str(item), "--json").expect(1)
    assert done.events[-2]["code"] == "conflict"
    (stored,) = files(sandbox, item)
    assert stored["size"] == 10_000


def test_an_identical_file_in_the_item_is_not_resent(figup: Figup, sandbox: Sandbox) -> None:
    source(figup)
    item = figup.run("upload", "data.bin", "--json").expect(0).summary["item_id"]
    summary = figup.run("upload", "data.bin", "--item", str(item), "--json").expect(0).summary
    assert (summary["bytes_sent"], summary["files"][0]["status"]) == (0, "verified")
    assert len(sandbox.requests(kind="put-part")) == 1
    assert ask(sandbox, f"/account/articles/{item}")["id"] == item


def test_quiet_prints_nothing_on_success(figup: Figup) -> None:
    source(figup)
    done = figup.run("upload", "data.bin", "--quiet").expect(0)
    assert (done.stdout, done.stderr) == ("", "")


def test_no_progress_leaves_the_summary(figup: Figup) -> None:
    source(figup)
    done = figup.run("upload", "data.bin", "--no-progress", "--title", "Some data").expect(0)
    assert "verified" in done.stdout
    assert done.stderr == ""


def test_python_m_uploader_is_the_same_command_from_any_folder(figup: Figup, sandbox: Sandbox) -> None:
    trap = figup.cwd / "trap"
    trap.mkdir()
    for name in ("json.py", "click.py", "uploader.py"):
        (trap / name).write_text("raise SystemExit('imported what lay around')\n")
    path = source(figup, "trap/data.bin")
    figup.cwd = trap
    assert json.loads(figup.run("upload", "data.bin", "--json").expect(0).stdout.splitlines()[-1])["exit_status"] == 0
    check_exactly_once(sandbox, path)
