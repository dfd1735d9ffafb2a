"""`figup report`: real commands against a real sandbox, killed, throttled, answered badly, and run again."""

from __future__ import annotations

import csv
import json
import random
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import Figup
from tests.support.served import Served, served
from uploader import Client, errors
from uploader.catalog.report.collect import RunProgress
from uploader.catalog.report.phase import AT_ONCE, COMMIT_RECORDS
from uploader.figshare.settings import Settings
from uploader.sandbox.faults import read_rule

SEEDED = 500
PUBLIC = ("report", "public", "--institution", "2000", "--api-rate", "10000", "--retry-timeout", "1s")


@pytest.fixture
def figshare(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Served]:
    faults = tuple(read_rule(rule) for rule in getattr(request, "param", ()))
    with served(tmp_path / "sandbox", institution=True, seed_items=SEEDED, faults=faults) as running:
        yield running


@pytest.fixture
def figup(bare_figup: Figup, figshare: Served) -> Figup:
    bare_figup.env |= {"FIGSHARE_ENDPOINT": figshare.url}
    return bare_figup


def faulty(*rules: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("figshare", [rules], ids=[rules[0]], indirect=True)


def details(figshare: Served) -> int:
    """How often public items were read so far; the last line of the log may be half written."""
    return figshare.api.log_file.read_text("utf-8").count('"kind": "get-public-item"')


def catalog(figup: Figup) -> Path:
    (path,) = (figup.state_dir / "catalogs").glob("*.sqlite")
    return path


def listed(figshare: Served) -> list[int]:
    return [row["id"] for row in figshare.get("/articles?institution=2000&page_size=1000")]


def test_a_report_killed_at_random_ends_with_the_same_bytes(figup: Figup, figshare: Served, tmp_path: Path) -> None:
    output, again = tmp_path / "t.jsonl", tmp_path / "u.jsonl"
    figup.run(*PUBLIC, "--output", output).expect(0)
    records = details(figshare)
    assert records == len(listed(figshare)) > 250
    kills, chance = 4, random.Random(5)
    for _ in range(kills):
        begun, wanted = details(figshare), chance.randrange(1, records // kills)
        running = figup.start(*PUBLIC, "--state-dir", tmp_path / "other", "--output", again)
        deadline = time.monotonic() + 30
        while details(figshare) < begun + wanted and time.monotonic() < deadline:
            time.sleep(0.005)
        running.kill()
        assert not again.exists()
    figup.run(*PUBLIC, "--state-dir", tmp_path / "other", "--output", again).expect(0)
    assert again.read_bytes() == output.read_bytes()
    assert 0 <= details(figshare) - 2 * records <= kills * (COMMIT_RECORDS + AT_ONCE)
    ids = [json.loads(line)["id"] for line in again.read_text("utf-8").splitlines()]
    assert sorted(ids) == sorted(listed(figshare))


def test_a_finished_report_reads_what_changed(figup: Figup, figshare: Served, tmp_path: Path) -> None:
    output = tmp_path / "t.csv"
    dry = figup.run(*PUBLIC, "--output", output, "--dry-run", "--json").expect(0).summary["records"]
    first = figup.run(*PUBLIC, "--output", output, "--json").expect(0).summary["records"]
    assert (dry["found"], dry["record_requests"], dry["known"]) == (first["found"], first["found"], 0)
    assert (first["read"], first["written"], first["failed"]) == (first["found"], first["found"], [])
    assert "--force" in figup.run(*PUBLIC, "--output", output).expect(2).stderr
    with sqlite3.connect(catalog(figup)) as db:  # one was read before a change, one exists no more
        db.execute("UPDATE records SET mark = 'old' WHERE id = (SELECT min(id) FROM records)")
        db.execute("INSERT INTO rows SELECT kind, 99, published, mark, row, run, gone FROM rows LIMIT 1")
    before = details(figshare)
    figup.run(*PUBLIC, "--output", output, "--force", "--dry-run").expect(0)
    later = figup.run(*PUBLIC, "--output", output, "--force", "--columns", "id,title,custom").expect(0)
    assert f"{first['found']} of {first['found']} records written to {output}; 1 read in this run." in later.stdout
    assert "1 record no longer on Figshare left out" in later.stderr
    assert details(figshare) == before + 2
    with output.open(encoding="utf-8-sig", newline="") as file:
        header, *rows = csv.reader(file)
    assert header[:2] == ["id", "title"]
    assert "custom:Досвід" in header
    assert sorted(int(row[0]) for row in rows) == sorted(listed(figshare))


def test_own_records_have_drafts_and_are_private(figup: Figup, figshare: Served, tmp_path: Path) -> None:
    _, made = figshare.call("POST", "/account/articles", {"title": "A draft"})
    figup.env["FIGSHARE_TOKEN"] = figshare.token
    output = tmp_path / "own.csv"
    figup.run("report", "own", "--output", output, "--collections", "--projects", "--api-rate", "1000").expect(0)
    with output.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert next(row["state"] for row in rows if row["id"] == str(made["entity_id"])) == "draft"
    assert output.stat().st_mode & 0o777 == 0o600
    del figup.env["FIGSHARE_TOKEN"]
    figup.run("report", "own", "--output", output, "--force").expect(3)


@faulty("get-public-item:20=html", "get-public-item:21=truncated-json", "get-public-item:22..23=error-object")
def test_bad_answers_are_asked_for_once_more(figup: Figup, figshare: Served, tmp_path: Path) -> None:
    assert "Figshare throttles" in figup.run(*PUBLIC, "--output", tmp_path / "t.csv").expect(75).stderr
    figup.run(*PUBLIC, "--output", tmp_path / "t.csv").expect(0)
    assert len(listed(figshare)) < details(figshare) < len(listed(figshare)) + 15


@faulty("get-public-item:20..=500")
def test_an_outage_ends_a_report_and_is_continued(figup: Figup, figshare: Served, tmp_path: Path) -> None:
    stopped = figup.run(*PUBLIC, "--output", tmp_path / "t.csv", "--failed-to", tmp_path / "f.csv").expect(75)
    assert "Traceback" not in stopped.stderr
    assert not (tmp_path / "t.csv").exists()


@faulty("get-item:30=revoke-token")
def test_a_token_that_expires_keeps_what_was_read(figup: Figup, figshare: Served, tmp_path: Path) -> None:
    figup.env["FIGSHARE_TOKEN"] = figshare.token
    for number in range(40):
        figshare.call("POST", "/account/articles", {"title": f"Draft {number}"})
    ended = figup.run("report", "own", "--output", tmp_path / "t.csv", "--api-rate", "1000", "--retry-timeout", "1s")
    assert "figup auth login" in ended.expect(3).stderr
    assert not (tmp_path / "t.csv").exists()
    with sqlite3.connect(catalog(figup)) as db:
        assert db.execute("SELECT count(*) FROM records").fetchone()[0] >= 29 - AT_ONCE


def test_limits_and_signals_end_in_good_order(figup: Figup, figshare: Served, tmp_path: Path) -> None:
    output = tmp_path / "t.csv"
    few = figup.run(*PUBLIC, "--output", output, "--max-requests", "30", "--json").expect(75)
    assert "stopped after 30 requests: " in few.stderr
    assert sum(few.summary["records"]["requests_by_host"].values()) >= 30
    assert "Run the same command again to continue" in few.stderr
    slow = [*PUBLIC[:4], "--api-rate", "5", "--output", str(output)]
    running = figup.start(*slow)
    before = details(figshare)
    while details(figshare) == before:
        time.sleep(0.02)
    assert "another process is making this report" in figup.run(*slow).expect(8).stderr
    running.send_signal(15)
    stopped = running.wait()
    assert (stopped.returncode, output.exists()) == (75, False)
    assert "left to read" in stopped.stderr
    figup.run(*slow, "--deadline", "1s").expect(75)
    figup.run(*PUBLIC, "--output", output).expect(0)
    # Requests that a deadline has cut off are made again.
    assert 0 <= details(figshare) - len(listed(figshare)) <= AT_ONCE


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda path: path.write_bytes(b"not a database" * 100), "catalog is damaged"),
        (lambda path: sqlite3.connect(path).execute("PRAGMA user_version = 9").connection.close(), "newer figup"),
    ],
    ids=["damaged", "newer"],
)
def test_an_unusable_catalog_is_named(figup: Figup, tmp_path: Path, damage: Any, words: str) -> None:
    output = tmp_path / "t.csv"
    figup.run(*PUBLIC, "--output", output, "--max-requests", "3").expect(75)
    damage(catalog(figup))
    refused = figup.run(*PUBLIC, "--output", output).expect(2)
    assert words in refused.stderr
    assert str(catalog(figup)) in refused.stderr
    assert "--fresh" in refused.stderr
    figup.run(*PUBLIC, "--output", output, "--fresh", "--max-requests", "3").expect(75)


def test_mistakes_are_named_before_anything_is_read(figup: Figup, figshare: Served, tmp_path: Path) -> None:
    closed = tmp_path / "none" / "t.csv"
    assert f"cannot write {closed}" in figup.run(*PUBLIC, "--output", closed).expect(2).stderr
    assert "must end in .csv, .xlsx or .jsonl" in figup.run(*PUBLIC, "--output", "t.ods").expect(2).stderr
    assert "unknown column 'x'" in figup.run(*PUBLIC, "--output", "t.csv", "--columns", "x").expect(2).stderr
    as_received = figup.run(*PUBLIC, "--output", "t.jsonl", "--columns", "id,title").expect(2)
    assert as_received.stderr == "figup: JSON Lines has records as received, without columns; write .xlsx or .csv\n"
    unknown = figup.run("report", "public", "--institution", "Nowhere", "--output", "t.csv").expect(4)
    assert "unknown institution 'Nowhere'" in unknown.stderr
    assert "search-public-items" not in figshare.kinds()
    for more in ((), ("--dry-run",)):
        wrong = figup.run("report", "public", "--institution", "99999", "--output", "t.csv", *more).expect(4)
        assert wrong.stderr == "figup: unknown institution 99999. `figup institution list WORD` searches them.\n"
    assert not (figup.cwd / "t.csv").exists()
    none = figup.run("report", "public", "--institution", "2500", "--type", "poster", "--output", "t.csv").expect(0)
    assert "0 of 0 records written" in none.stdout
    assert figup.run("report", "columns").expect(0).stdout.startswith("record_type  ")


async def test_a_program_makes_the_same_table(figup: Figup, figshare: Served, tmp_path: Path) -> None:
    figup.run(*PUBLIC, "--output", tmp_path / "t.csv", "--type", "dataset").expect(0)
    settings = Settings(figshare.url, api_rate=None)
    seen: list[RunProgress] = []
    async with Client(figshare.token, state_dir=tmp_path / "program", settings=settings) as client:
        with pytest.raises(errors.Interrupted):
            await client.report("public", tmp_path / "u.csv", institution=2000, type="dataset", max_requests=9)
        made = await client.report(
            "public", tmp_path / "u.csv", institution=2000, type="dataset", on_progress=seen.append
        )
        with pytest.raises(errors.OutputExists):
            await client.report("public", tmp_path / "u.csv", institution=2000, type="dataset")
        own = await client.report("own", tmp_path / "own.jsonl", kinds=("item", "collection"))
        wrong: list[dict[str, Any]] = [
            *({"report": "public"}, {"report": "own", "institution": 1}, {"report": "all"}),
            *({"report": "own", "columns": "x"}, {"report": "own", "kinds": ["file"]}, {"report": "own", "type": "x"}),
        ]
        for values in wrong:
            with pytest.raises(errors.UsageError):
                await client.report(output=tmp_path / "v.csv", **values)
    assert (tmp_path / "u.csv").read_bytes() == (tmp_path / "t.csv").read_bytes()
    assert made.written == made.listed == seen[-1].done == seen[-1].total
    assert (own.failed, own.gaps, own.written) == ([], (), own.listed)
