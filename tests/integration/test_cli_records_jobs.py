"""`figup records create`, `update` and `undo`: the real command on a real sandbox, killed and continued."""

from __future__ import annotations

import csv
import json
import time
from pathlib import Path

from tests.support.command import Figup
from tests.support.invariants import items
from tests.support.sandbox import Sandbox

COUNT = 5
FAST = ("--api-rate", "200")
CATEGORY = "Animal physiological ecology"


def table(figup: Figup, name: str = "works.csv") -> Path:
    path = figup.cwd / name
    rows = [
        f"Dam {n},10.1234/d{n},Jane Doe | Anna Rossi,https://doi.org/10.1234/d{n},dam,{CATEGORY},About"
        for n in range(COUNT)
    ]
    path.write_text("title,doi,authors,link,keywords,categories,description\n" + "\n".join(rows) + "\n")
    return path


def own(sandbox: Sandbox, title: str = "Dam ") -> list[str]:
    return sorted(item["title"] for item in items(sandbox) if item["title"].startswith(title))


def test_killed_and_continued_each_record_is_there_once_and_undone(figup: Figup, sandbox: Sandbox) -> None:
    table(figup)
    command = ["records", "create", "works.csv", "--api-rate", "30", "--report", "r.csv", "--no-progress"]
    for size in (1200, 3000):
        run = figup.start(*command)
        deadline = time.monotonic() + 60
        while not any(path.stat().st_size > size for path in (figup.state_dir / "records" / "jobs").glob("*/journal")):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        run.kill()
    done = figup.run("records", "create", *FAST, "works.csv", "--report", "r.csv", "--json").expect(0)
    assert own(sandbox) == sorted(f"Dam {n}" for n in range(COUNT))
    job = done.events[-1]["records"]["job"]
    with (figup.cwd / "r.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["result"] for row in rows} == {"created"}
    assert sorted(int(row["item_id"]) for row in rows) == sorted(
        item["id"] for item in items(sandbox) if item["title"].startswith("Dam ")
    )
    again = figup.run("records", "create", *FAST, "works.csv", "--report", "r.csv").expect(0)
    assert f"{COUNT} records: {COUNT} created (0 in this run). Job {job}." in again.stdout
    assert len(own(sandbox)) == COUNT
    path = figup.cwd / "works.csv"
    assert f"{job}  done  create {path}: {COUNT} items\n" in figup.run("jobs").expect(0).stdout
    output = figup.run("resume", job).expect(4).stderr
    assert f"It is a job of records: run the same `figup records create` command with {path} again" in output
    changed = int(rows[0]["item_id"])
    figup.run("item", "update", str(changed), "--title", "Dam mended").expect(0)
    kept = figup.run("records", "undo", job, "--yes", "--json", *FAST).expect(1)
    assert f"item {changed} (10.1234/d0) is kept: it was changed since" in kept.stderr
    undone = {event["item_id"]: event for event in kept.events if event["event"] == "undone"}
    assert [event["outcome"] for event in undone.values()].count("removed") == COUNT - 1
    assert (undone[changed]["key"], undone[changed]["outcome"]) == ("10.1234/d0", "kept")
    assert undone[changed]["reason"].startswith("it was changed since")
    assert own(sandbox) == ["Dam mended"]
    assert figup.run("jobs", "--prune", "--yes").expect(0).stdout == "There is nothing to remove.\n"
    refused = figup.run("jobs", "rm", job).expect(2)
    assert f"Remove the record of job {job} (interrupted, create {path})?" in refused.stderr
    assert "`figup records undo` would not find the drafts" in refused.stderr
    figup.run("jobs", "rm", job[:6], "--yes").expect(0)
    assert not list((figup.state_dir / "records" / "jobs").iterdir())


def test_duplicates_are_reported_and_dois_update_in_bulk(figup: Figup, sandbox: Sandbox) -> None:
    table(figup, "first.csv")
    figup.run("records", "create", *FAST, "first.csv").expect(0)
    table(figup, "second.csv")
    planned = figup.run("records", "create", *FAST, "second.csv", "--dry-run").expect(0)
    assert f"{COUNT} existing" in planned.stdout
    result = figup.run("records", "create", *FAST, "second.csv").expect(0)
    assert "an item of this account has the DOI" in result.stderr
    assert len(own(sandbox)) == COUNT
    (figup.cwd / "words.csv").write_text("doi,keywords\n10.1234/d1,beaver\n10.1234/nowhere,x\n")
    some = figup.run("records", "update", *FAST, "words.csv", "--key", "doi", "--report", "u.jsonl").expect(1)
    assert "no item of this account has the DOI 10.1234/nowhere" in some.stderr
    rows = [json.loads(line) for line in (figup.cwd / "u.jsonl").read_text().splitlines()]
    assert [row["result"] for row in rows] == ["updated", "failed"]
    job = next(event["job"] for event in figup.run("jobs", "--json").events if event.get("action") == "update")
    undone = figup.run("records", "undo", job, "--yes").expect(2).stderr
    assert f"job {job} updates items and created none; updates cannot be undone" in undone
    found = next(item for item in items(sandbox) if item["id"] == rows[0]["item_id"])
    assert found["title"] == "Dam 1"
    listed = figup.run("jobs", "--json").expect(0).events[:-1]
    assert sorted((event["event"], Path(event["path"]).name, event["state"]) for event in listed) == [
        ("records-job", "first.csv", "done"), ("records-job", "second.csv", "done"),
        ("records-job", "words.csv", "interrupted"),
    ]  # fmt: skip
    assert "Remove the records of 2 jobs? `figup records create` would" in figup.run("jobs", "--prune").expect(2).stderr
    assert "nothing to remove" in figup.run("jobs", "--prune", "--older-than", "1d", "--yes").expect(0).stdout
    pruned = figup.run("jobs", "--prune", "--yes", "--json").expect(0).events
    assert [(event["event"], event["state"]) for event in pruned[:-1]] == [("removed", "done")] * 2
    assert [event["state"] for event in figup.run("jobs", "--json").events[:-1]] == ["interrupted"]


def test_a_pipe_is_refused_as_its_job_could_not_be_continued(figup: Figup, sandbox: Sandbox) -> None:
    text = '{"title": "Dam", "id": 1, "link": "https://example.org/"}\n'
    done = figup.run("records", "create", *FAST, "/dev/stdin", input=text).expect(2)
    assert "/dev/stdin is a pipe, from which a job cannot be continued; use a file" in done.stderr
    assert own(sandbox, "Dam") == []


def test_an_invalid_record_stops_all_before_anything_is_created(figup: Figup, sandbox: Sandbox) -> None:
    path = table(figup)
    path.write_text(path.read_text().replace("Animal physiological ecology,About", "Beavers,About", 1))
    failed = figup.run("records", "create", *FAST, "works.csv").expect(2)
    assert "line 2" in failed.stderr
    assert own(sandbox) == []
    unknown = figup.run("records", "undo", "nothing", "--yes").expect(4)
    assert "Jobs of records: none" in unknown.stderr
