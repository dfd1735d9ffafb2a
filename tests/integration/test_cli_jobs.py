"""`figup jobs`, `status`, `resume` and `cancel`."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shlex
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.command import Figup, Running
from tests.support.invariants import ask, check_exactly_once, files, items, md5_of
from tests.support.sandbox import Sandbox
from tests.support.waiting import until
from tests.unit.transfer.journal.test_plan_and_jobs import make_job
from uploader.disk import Disk
from uploader.transfer.store.jobs import JobStore

Start = Callable[..., Sandbox]


@pytest.fixture
def parts(bare_figup: Figup, start_sandbox: Start) -> Sandbox:
    """A sandbox with small parts, which `bare_figup` uses."""
    sandbox = start_sandbox("--part-size", "100KiB")
    bare_figup.env |= {"FIGSHARE_ENDPOINT": sandbox.url, "FIGSHARE_TOKEN": sandbox.token}
    return sandbox


def source(figup: Figup, name: str = "data.bin", size: int = 1_000_000) -> Path:
    path = figup.cwd / name
    path.write_bytes(os.urandom(size))
    return path


def under_way(figup: Figup, name: str = "data.bin", *, size: int = 1_000_000) -> tuple[Running, Path, str]:
    """A running upload, its source and its job."""
    path = source(figup, name, size)
    run = figup.start("upload", name, "--json", "--limit-rate", "400k")
    job: str = run.wait_for_event("job")["job"]
    run.wait_for_event("file")
    return run, path, job


def test_no_jobs(bare_figup: Figup) -> None:
    done = bare_figup.run("jobs").expect(0)
    assert (done.stdout, done.stderr) == (f"No jobs in {bare_figup.state_dir}.\n", "")
    assert [event["event"] for event in bare_figup.run("jobs", "--json").expect(0).events] == ["summary"]
    bare_figup.run("status", "abc").expect(4)
    assert "no jobs in" in bare_figup.run("status").expect(4).stderr
    bare_figup.run("resume").expect(4)
    bare_figup.run("cancel", "abc").expect(4)
    assert not bare_figup.state_dir.exists()


def test_jobs_are_listed_latest_first_without_token_or_network(parts: Sandbox, bare_figup: Figup) -> None:
    source(bare_figup, "done\n.bin", 10_000)
    finished = bare_figup.run("upload", "done\n.bin", "--title", "Done", "--json").expect(0).summary
    run, _, job = under_way(bare_figup)
    run.kill()
    parts.kill()
    del bare_figup.env["FIGSHARE_TOKEN"], bare_figup.env["FIGSHARE_ENDPOINT"]
    heading, first, second = bare_figup.run("jobs").expect(0).stdout.splitlines()
    assert heading.split() == ["JOB", "STATE", "DONE", "SIZE", "CHANGED", "ITEM", "TITLE", "OR", "FILES"]
    assert first.split()[:2] == [job, "interrupted"]
    assert second.split()[:4] == [finished["job"], "done", "100", "%"]
    assert second.endswith("  Done")
    listed = bare_figup.run("jobs", "--json").expect(0).events
    assert [(event["event"], event.get("state")) for event in listed] == [
        ("job", "interrupted"),
        ("job", "done"),
        ("summary", None),
    ]


def test_a_job_that_cannot_be_read_is_listed_with_the_others(bare_figup: Figup) -> None:
    states = JobStore(bare_figup.state_dir, Disk())
    for job in ("k3", "k4", "k5"):
        make_job(states, job)
    (states.folder("k4") / "lease-1").symlink_to("nowhere")
    (states.folder("k5") / "journal").unlink()
    jobs = bare_figup.run("jobs", "--json").expect(0).events[:-1]
    assert {job["job"]: job["state"] for job in jobs} == {"k3": "interrupted", "k4": "damaged", "k5": "damaged"}
    assert "lease-1: it is a symbolic link" in next(job["problem"] for job in jobs if job["job"] == "k4")
    listed = bare_figup.run("jobs").expect(0).stdout
    assert re.search("^k3 +interrupted ", listed, re.MULTILINE)
    assert len(re.findall("^k[45] +damaged ", listed, re.MULTILINE)) == 2
    assert "damaged" in bare_figup.run("status", "k5").expect(0).stdout


def test_status_shows_the_working_process_and_how_to_continue(parts: Sandbox, bare_figup: Figup) -> None:
    run, _, job = under_way(bare_figup)
    now = bare_figup.run("status", job[:5]).expect(0).stdout
    assert f"Job {job}: running, " in now
    assert f"Running on process {run.process.pid} on " in now
    until(lambda: "Item " in (text := bare_figup.run("status", job).stdout) and "address is not known" not in text)
    run.kill()
    later = bare_figup.run("status", job).expect(0).stdout
    assert f"Job {job}: interrupted, " in later
    assert f"To continue: figup resume {job}" in later
    assert f"Item {items(parts)[0]['id']}: http://" in later
    assert bare_figup.run("status").expect(0).stdout == later
    result = bare_figup.run("status", job, "--json").expect(0)
    assert (result.events[0]["state"], result.events[0]["holder"]) == ("interrupted", None)
    assert (result.summary["job"], result.summary["files"][0]["name"]) == (job, "data.bin")


def test_watching_ends_with_the_job(parts: Sandbox, bare_figup: Figup) -> None:
    run, _, job = under_way(bare_figup, size=600_000)
    watched = bare_figup.run("status", job, "--watch", "--json").expect(0)
    run.wait().expect(0)
    assert [event["event"] for event in watched.events[-3:]] == ["progress", "job", "summary"]
    assert watched.events[-2]["state"] == "done"
    assert f"Job {job}: done" in bare_figup.run("status", job, "--watch").expect(0).stdout


def test_watching_ends_if_the_process_dies(parts: Sandbox, bare_figup: Figup) -> None:
    run, _, job = under_way(bare_figup)
    watching = bare_figup.start("status", job, "--watch")
    assert watching.process.stderr.wait_for(lambda line: " of 1.00 MB (" in line, 20)
    run.kill()
    done = watching.wait(20).expect(75)
    assert f"figup resume {job}" in done.stdout


def test_ctrl_c_ends_watching(parts: Sandbox, bare_figup: Figup) -> None:
    _, _, job = under_way(bare_figup)
    watching = bare_figup.start("status", job, "--watch")
    assert watching.process.stderr.wait_for(lambda line: " of 1.00 MB (" in line, 20)
    watching.send_signal(signal.SIGINT)
    watching.wait(5).expect(130)


# --- records that are no longer wanted -------------------------------------------------------------------------------


def test_records_of_ended_jobs_are_removed_and_no_others(parts: Sandbox, bare_figup: Figup) -> None:
    source(bare_figup, "old.bin", 1000)
    source(bare_figup, "new.bin", 1000)
    old = bare_figup.run("upload", "old.bin", "--json").expect(0).summary["job"]
    new = bare_figup.run("upload", "new.bin", "--json").expect(0).summary["job"]
    run, _, job = under_way(bare_figup)
    os.utime(bare_figup.state_dir / "jobs" / old / "journal", (1e9, 1e9))
    refused = bare_figup.run("jobs", "--prune").expect(2)
    assert "Remove the records of 2 jobs?" in refused.stderr
    assert "--yes" in refused.stderr
    pruned = bare_figup.run("jobs", "--prune", "--older-than", "30d", "--yes").expect(0).stdout
    assert pruned == f"Removed the record of job {old} (done, old.bin).\n"
    busy = bare_figup.run("jobs", "rm", job, "--yes").expect(8)
    assert "another process works on this job" in busy.stderr
    run.kill()
    removed = bare_figup.run("jobs", "rm", job, new[:6], "--yes", "--json").expect(0)
    assert [(event["event"], event.get("job")) for event in removed.events[:2]] == [("removed", job), ("removed", new)]
    assert bare_figup.run("jobs").expect(0).stdout == f"No jobs in {bare_figup.state_dir}.\n"
    assert len(items(parts)) == 3, "nothing on Figshare changes"


def test_interrupted_creations_are_named_and_removed_after_a_day(bare_figup: Figup) -> None:
    folder = bare_figup.state_dir / "creations"
    folder.mkdir(0o700, parents=True)
    (old, new, busy) = (folder / f"figup-abc-{name}" for name in ("old", "new", "busy"))
    for path in (old, new, busy):
        path.touch(0o600)
    for path in (old, busy):
        os.utime(path, (1e9, 1e9))
    listed = bare_figup.run("jobs").expect(0).stdout
    assert "delete the draft with its mark in the title.\nfigup-abc-busy\nfigup-abc-new\nfigup-abc-old\n" in listed
    refused = bare_figup.run("jobs", "--prune").expect(2).stderr
    assert "Remove the records of 2 interrupted creations? Drafts with the marks" in refused
    with busy.open("rb+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert busy.name not in bare_figup.run("jobs").expect(0).stdout, "it is running"
        pruned = bare_figup.run("jobs", "--prune", "--yes").expect(0).stdout
    assert pruned == "Removed the record of the creation figup-abc-old.\n"
    events = bare_figup.run("jobs", "--json").expect(0).events
    assert [event["mark"] for event in events if event["event"] == "creation"] == [busy.name, new.name]


def test_options_before_a_command_of_jobs_are_its_own(bare_figup: Figup) -> None:
    done = bare_figup.run("jobs", "--state-dir", "elsewhere", "rm", "abc").expect(4)
    assert "job 'abc' not found in elsewhere" in done.stderr
    assert "--older-than needs --prune" in bare_figup.run("jobs", "--older-than", "1d").expect(2).stderr


def test_the_list_fits_a_terminal(parts: Sandbox, bare_figup: Figup) -> None:
    source(bare_figup, size=1000)
    bare_figup.run("upload", "data.bin", "--title", "A title that is longer than the rest of the line").expect(0)
    job = bare_figup.run("jobs", "--json").events[0]["job"]
    heading, line, title = (text for text in bare_figup.run_on_terminal("jobs", columns=80).screen if text)
    assert heading.startswith("JOB ")
    assert line.startswith(job)
    assert title == "    A title that is longer than the rest of the line"
    *_, title = (text for text in bare_figup.run_on_terminal("jobs", columns=40).screen if text)
    assert re.fullmatch(r"    A title.*….*the line", title)
    heading, line = (text for text in bare_figup.run_on_terminal("jobs", columns=160).screen if text)
    assert heading.endswith("TITLE OR FILES")
    assert line.endswith("  A title that is longer than the rest of the line")
    piped = bare_figup.run("jobs").expect(0).stdout
    assert piped.endswith("  A title that is longer than the rest of the line\n")


# --- resume ---------------------------------------------------------------------------------------------------------


@pytest.mark.fast
def test_resume_continues_the_only_interrupted_job(parts: Sandbox, bare_figup: Figup) -> None:
    run, path, job = under_way(bare_figup)
    run.wait_for_event("progress")
    run.kill()
    done = bare_figup.run("resume").expect(0)
    assert f"figup: job {job}, resumed: 1 file, 1.00 MB" in done.stderr
    assert "data.bin: 1.00 MB (1000000 bytes)" in done.stdout
    check_exactly_once(parts, path)
    assert "no interrupted job" in bare_figup.run("resume").expect(4).stderr


def test_resume_names_the_jobs_when_there_are_several(parts: Sandbox, bare_figup: Figup) -> None:
    jobs = []
    for name in ("a.bin", "b.bin"):
        run, path, job = under_way(bare_figup, name)
        run.kill()
        jobs.append(job)
    done = bare_figup.run("resume").expect(2)
    assert all(job in done.stderr for job in jobs)
    assert "a.bin" in done.stderr
    summary = bare_figup.run("resume", jobs[1][:4], "--json").expect(0).summary
    assert (summary["job"], summary["files"][0]["path"]) == (jobs[1], str(path))


def test_a_printed_command_works_as_printed(parts: Sandbox, bare_figup: Figup) -> None:
    token = bare_figup.cwd / "my token"
    token.write_text(bare_figup.env.pop("FIGSHARE_TOKEN"))
    token.chmod(0o600)
    path = source(bare_figup)
    place = ("--state-dir", "other state", "--token-file", str(token))
    run = bare_figup.start("upload", "data.bin", "--limit-rate", "400k", *place)
    run.process.stderr.wait_for(lambda line: ": 1 file, " in line, 20)
    while not files_begun(parts):
        time.sleep(0.05)
    run.send_signal(signal.SIGINT)
    said = run.wait().expect(130).stderr
    (command,) = re.findall(r"`figup (resume [^`]+)`", said)
    assert "To continue: figup resume" in bare_figup.run("status", "--state-dir", "other state").expect(0).stdout
    bare_figup.run(*shlex.split(command)).expect(0)
    check_exactly_once(parts, path)


def files_begun(sandbox: Sandbox) -> bool:
    return bool(sandbox.requests(kind="put-part"))


def test_resume_ignores_running_jobs(parts: Sandbox, bare_figup: Figup) -> None:
    _, _, job = under_way(bare_figup)
    done = bare_figup.run("resume").expect(4)
    assert done.stderr.startswith(f"figup: no interrupted job; running: {job} (data.bin).")
    assert [event["state"] for event in bare_figup.run("jobs", "--json").expect(0).events[:-1]] == ["running"]
    other, _, second = under_way(bare_figup, "other.bin")
    other.kill()
    assert bare_figup.run("resume", "--json").expect(0).summary["job"] == second


def test_resume_uses_the_jobs_endpoint(parts: Sandbox, bare_figup: Figup, start_sandbox: Start) -> None:
    run, path, job = under_way(bare_figup)
    run.kill()
    other = start_sandbox()
    bare_figup.env["FIGSHARE_ENDPOINT"] = other.url
    refused = bare_figup.run("resume", job, "--endpoint", other.url).expect(2)
    assert f"belongs to {parts.url}" in refused.stderr
    bare_figup.run("resume", job).expect(0)
    check_exactly_once(parts, path)
    assert other.requests() == []


def test_resuming_a_finished_job_sends_nothing(parts: Sandbox, bare_figup: Figup) -> None:
    source(bare_figup, size=1000)
    job = bare_figup.run("upload", "data.bin", "--json").expect(0).summary["job"]
    assert "nothing was sent" in bare_figup.run("resume", job).expect(0).stdout


# --- cancel ---------------------------------------------------------------------------------------------------------


def test_cancel_removes_the_unfinished_file_and_nothing_else(parts: Sandbox, bare_figup: Figup) -> None:
    source(bare_figup, "kept.bin", 1000)
    item = bare_figup.run("upload", "kept.bin", "--json").expect(0).summary["item_id"]
    source(bare_figup, "half.bin")
    run = bare_figup.start("upload", "half.bin", "--item", str(item), "--json", "--limit-rate", "300k")
    job = run.wait_for_event("job")["job"]
    run.wait_for_event("file")
    assert "another process works on this job" in bare_figup.run("cancel", job).expect(8).stderr
    run.kill()
    del bare_figup.env["FIGSHARE_ENDPOINT"]
    done = bare_figup.run("cancel", job).expect(0)
    assert done.stdout.startswith(f"Job {job} is cancelled: removed 1 unfinished file from item {item}.\n")
    assert [file["name"] for file in files(parts, item)] == ["kept.bin"]
    assert (bare_figup.cwd / "half.bin").exists()
    assert [event["state"] for event in bare_figup.run("jobs", "--json").expect(0).events[:2]] == [
        "cancelled",
        "done",
    ]


def test_a_cancelled_job_is_not_resumed(parts: Sandbox, bare_figup: Figup) -> None:
    run, path, job = under_way(bare_figup)
    run.kill()
    (item,) = items(parts)
    done = bare_figup.run("cancel", job).expect(0).stdout
    assert done.startswith(f"Job {job} is cancelled: removed 1 unfinished file from item {item['id']}.\n")
    assert done.endswith(f"It has no files. To delete it: figup item delete {item['id']}\n")
    endpoint = bare_figup.env.pop("FIGSHARE_ENDPOINT")
    again = bare_figup.run("cancel", job).expect(0).stdout
    assert again.startswith(f"Job {job} was cancelled before; there is nothing left to remove.\n")
    assert again.endswith(f"To delete it: figup item delete {item['id']} --endpoint {endpoint}\n")
    bare_figup.env["FIGSHARE_ENDPOINT"] = endpoint
    refused = bare_figup.run("resume", job).expect(2)
    details = f"figup: job {job} was cancelled. To send its files after all, run its `figup upload` command again."
    assert refused.stderr.splitlines()[-1] == details
    assert files(parts, item["id"]) == []
    assert bare_figup.run("upload", "data.bin", "--json").expect(0).summary["job"] == job
    check_exactly_once(parts, path)


def test_a_finished_job_is_not_cancelled(parts: Sandbox, bare_figup: Figup) -> None:
    path = source(bare_figup, size=1000)
    job = bare_figup.run("upload", "data.bin", "--json").expect(0).summary["job"]
    done = bare_figup.run("cancel", job, "--json").expect(2)
    assert [event["event"] for event in done.events] == ["error", "summary"]
    check_exactly_once(parts, path)


def test_cancel_keeps_a_complete_file_whose_status_lags_behind(
    bare_figup: Figup, start_sandbox: Callable[..., Sandbox], tmp_path: Path
) -> None:
    sandbox = start_sandbox("--created-delay", "3600", "--md5-delay", "never")
    bare_figup.env |= {"FIGSHARE_ENDPOINT": sandbox.url, "FIGSHARE_TOKEN": sandbox.token}
    source = tmp_path / "whole.bin"
    source.write_bytes(b"x" * 5000)
    sent = bare_figup.run("upload", str(source), "--json", "--verify-timeout", "1s").expect(7)
    bare_figup.run("cancel", sent.summary["job"]).expect(0)
    assert sandbox.requests(kind="delete-file") == []


@pytest.mark.parametrize("conflict", ["replace", "keep"])
def test_resume_uses_the_options_of_the_command(parts: Sandbox, bare_figup: Figup, conflict: str) -> None:
    item = ask(parts, "/account/articles", {"title": "an item"})["entity_id"]
    paths = [source(bare_figup, name, 300_000) for name in ("a.bin", "b.bin")]
    names = [path.name for path in paths]
    bare_figup.run("upload", *names, "--item", str(item)).expect(0)
    for path in paths:
        path.write_bytes(os.urandom(300_000))
    run = bare_figup.start(
        *("upload", *names, "--item", str(item), "--new-job", "--json", "--on-conflict", conflict),
        *("--limit-rate", "200k", "--report", "lab.json"),
    )
    run.wait_for_event("file")
    run.kill()
    done = bare_figup.run("resume", "--limit-rate", "10M").expect(0)
    assert "using the job's --on-conflict, --report" in done.stderr
    assert json.loads((bare_figup.cwd / "lab.json").read_text())["files"]
    sums = sorted(file["computed_md5"] for file in files(parts, item))
    assert set(map(md5_of, paths)) <= set(sums)
    assert len(sums) == {"replace": 2, "keep": 4}[conflict]


def test_destructive_options_are_not_remembered(parts: Sandbox, bare_figup: Figup) -> None:
    path = source(bare_figup)
    run = bare_figup.start("upload", path.name, "--json", "--limit-rate", "400k", "--restart-changed")
    run.wait_for_event("file")
    run.kill()
    path.write_bytes(os.urandom(900_000))
    done = bare_figup.run("resume").expect(5)
    assert "using the job's --limit-rate\n" in done.stderr
    bare_figup.run("resume", "--restart-changed", "--limit-rate", "50M").expect(0)
    check_exactly_once(parts, path)
