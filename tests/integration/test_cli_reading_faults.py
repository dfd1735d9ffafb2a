"""Searches, reports and statistics under bad answers, capped and shifting lists, and full disks: real commands."""

from __future__ import annotations

import csv
import json
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import COMMAND, Figup
from tests.support.processes import Process
from tests.support.served import Served, served
from uploader.sandbox.seeds import FIRST_ITEM

SEEDED = 2000
RECORD = FIRST_ITEM + 120
REPORT = ("report", "public", "--institution", "2000", "--api-rate", "10000", "--retry-timeout", "1s")
SOFTWARE = (*REPORT, "--type", "software")
"""A tenth of the records."""
SEARCH = ("search", "--limit", "all", "--api-rate", "10000", "--retry-timeout", "1s")


@pytest.fixture(scope="module")
def figshare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A sandbox with seeded records and lists of a thousand."""
    folder = tmp_path_factory.mktemp("reading") / "sandbox"
    with served(folder, institution=True, seed_items=SEEDED, page_cap=1000, control=True) as running:
        yield running


@pytest.fixture
def figup(bare_figup: Figup, figshare: Served) -> Iterator[Figup]:
    bare_figup.env |= {"FIGSHARE_ENDPOINT": figshare.url, "FIGSHARE_STATS_ENDPOINT": figshare.api.at.stats_url}
    yield bare_figup
    faults(figshare)


def faults(figshare: Served, *rules: str) -> None:
    """Replace the faults of the sandbox."""
    address = f"{figshare.url.removesuffix('/v2')}/sandbox/faults"
    figshare.call("DELETE", address)
    for rule in rules:
        status, answer = figshare.call("POST", address, {"fault": rule})
        assert status < 300, answer


def ids(path: Path) -> list[int]:
    return sorted(json.loads(line)["id"] for line in path.read_text("utf-8").splitlines())


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        *((SEARCH, rule) for rule in ("error-object", "html", "truncated-json", "cut-answer")),
        *((REPORT, rule) for rule in ("html", "cut-answer")),
    ],
)
def test_an_answer_that_is_not_a_list_has_no_rows(
    figup: Figup, figshare: Served, words: tuple[str, ...], rule: str
) -> None:
    faults(figshare, f"search-public-items:2={rule}")
    if rule == "html":  # taken for throttling, which lasts longer than this command waits
        figup.run(*words, "--output", "t.jsonl").expect(75)
    figup.run(*words, "--output", "t.jsonl").expect(0)
    found = ids(figup.cwd / "t.jsonl")
    assert len(set(found)) == len(found) > 1000
    faults(figshare, f"search-public-items:2..={rule}")
    ended = figup.run(*words, "--output", "u.jsonl").expect(75)
    assert "Traceback" not in ended.stderr
    assert not (figup.cwd / "u.jsonl").exists()


def test_a_record_that_always_fails_is_named(figup: Figup, figshare: Served) -> None:
    record = figshare.get("/articles?institution=2000&item_type=9&page_size=10")[5]
    faults(figshare, f"get-public-item@{record['id']}:every=500")
    words = (*SOFTWARE, "--output", "t.csv", "--failed-to", "f.csv", "--force")
    ended = figup.run(*words).expect(1)
    assert f"item {record['id']} could not be read: " in ended.stderr
    with (figup.cwd / "f.csv").open(encoding="utf-8-sig", newline="") as file:
        assert [(row["id"], row["title"]) for row in csv.DictReader(file)] == [(str(record["id"]), record["title"])]
    with (figup.cwd / "t.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["title"] for row in rows if row["missing"]] == [record["title"]]
    faults(figshare)
    assert f"{len(rows)} of {len(rows)} records written to t.csv; 1 read" in figup.run(*words).expect(0).stdout


def test_the_same_command_completes_its_own_table(figup: Figup, figshare: Served) -> None:
    record = figshare.get("/articles?institution=2000&item_type=9&page_size=10")[5]
    faults(figshare, f"get-public-item@{record['id']}:every=422")
    words, path = (*SOFTWARE, "--output", "own.csv"), figup.cwd / "own.csv"
    for _ in range(2):
        figup.run(*words).expect(1)
    whole = path.read_bytes()
    path.write_bytes(whole + b"notes of a person\r\n")
    assert "own.csv exists" in figup.run(*words).expect(2).stderr
    figup.run(*words, "--force").expect(1)
    assert "own.csv exists" in figup.run(*words, "--columns", "id").expect(2).stderr
    faults(figshare)
    figup.run(*words).expect(0)
    assert "own.csv exists" in figup.run(*words).expect(2).stderr


KILLED_WHILE_NAMING = """
import os
from uploader.catalog.rows import NewFile
from uploader.cli.main import main
named, close = [], NewFile.close
def counted(self, *, keep):
    named.extend([self.path] * keep)
    if len(named) > 2:
        os._exit(9)
    close(self, keep=keep)
NewFile.close = counted
main()
"""


def test_a_table_killed_while_its_files_get_their_names_is_completed(figup: Figup) -> None:
    words = (*SOFTWARE, "--output", "n.csv", "--tables")
    process = Process([sys.executable, "-c", KILLED_WHILE_NAMING, *words], env=figup.env, cwd=figup.cwd)
    assert process.wait() == 9
    assert sorted(path.name for path in figup.cwd.glob("n.*")) == ["n.authors.csv", "n.categories.csv"]
    figup.run(*words).expect(0)
    assert "n.csv exists" in figup.run(*words).expect(2).stderr


def test_the_incomplete_table_of_another_account_or_server_is_kept(figup: Figup, figshare: Served) -> None:
    figup.env["FIGSHARE_TOKEN"] = figshare.token
    own = figshare.get("/account")["id"]
    other = next(one["id"] for one in figshare.get("/account/institution/accounts?page_size=9") if one["id"] != own)
    faults(figshare, f"get-item@{figshare.get('/account/articles?page_size=9')[0]['id']}:every=422")
    words = ("report", "own", "--output", "mine.csv", *REPORT[4:])
    figup.run(*words).expect(1)
    refused = figup.run(*words, "--impersonate", str(other)).expect(2)
    assert "mine.csv exists, and has records of another account" in refused.stderr
    elsewhere = figup.run(*words, "--endpoint", figshare.url.replace("127.0.0.1", "localhost")).expect(2)
    assert "mine.csv exists. " in elsewhere.stderr
    figup.run(*words).expect(1)


def test_lists_that_shift_and_end_at_a_cap_are_whole(figup: Figup, figshare: Served) -> None:
    faults(figshare, "search-public-items:2=insert-record", "search-public-items:3=remove-record")
    figup.run(*REPORT, "--output", "t.jsonl").expect(1)
    figup.run(*REPORT, "--output", "t.jsonl", "--force").expect(0)
    parts = ("order_direction=asc", "published_since=2018-01-01&order_direction=asc", "order_direction=desc")
    address = "/articles?institution=2000&page_size=1000&"
    assert ids(figup.cwd / "t.jsonl") == sorted({row["id"] for part in parts for row in figshare.get(address + part)})
    ordered = figup.run(*SEARCH, "--order", "views", "--output", "v.jsonl").expect(1)
    assert "Figshare lists only the first 1000 records this way" in ordered.stderr


def test_a_full_disk_leaves_the_old_table(figup: Figup) -> None:
    table = figup.cwd / "t.jsonl"
    figup.run(*REPORT, "--output", table).expect(0)
    (catalog,) = (figup.state_dir / "catalogs").glob("*.sqlite")
    before, room = table.read_bytes(), table.stat().st_size // 1024 - 100
    assert catalog.stat().st_size // 1024 < room
    command = shlex.join([*COMMAND, *REPORT, "--output", str(table), "--force"])
    process = Process(["bash", "-c", f"ulimit -f {room}; exec {command}"], env=figup.env, cwd=figup.cwd)
    assert process.wait() == 75
    assert f"cannot write {table}" in process.stderr.text
    assert table.read_bytes() == before
    assert [path.name for path in figup.cwd.iterdir() if "t.jsonl" in path.name] == ["t.jsonl"]


def test_a_folder_that_cannot_be_written_is_named_first(figup: Figup, figshare: Served) -> None:
    before = len(figshare.kinds())
    for words in (REPORT, SEARCH):
        assert "cannot write /proc/t.csv" in figup.run(*words, "--output", "/proc/t.csv").expect(2).stderr
    assert len(figshare.kinds()) == before


def test_statistics_continue_after_an_interruption(figup: Figup, figshare: Served) -> None:
    (figup.cwd / "ids.txt").write_text("\n".join(str(RECORD + number) for number in range(12)))
    words = ("stats", "show", "--from-file", "ids.txt", "--retry-timeout", "1s")
    whole = figup.run(*words, "--output", "whole.csv").expect(0)
    faults(figshare, "stats-totals:8..=429,retry-after=9")
    stopped = figup.run(*words, "--output", "t.csv").expect(75)
    assert "Run the same command again to continue" in stopped.stderr
    assert not (figup.cwd / "t.csv").exists()
    faults(figshare)
    before = figshare.kinds().count("stats-totals")
    continued = figup.run(*words, "--output", "t.csv").expect(0)
    assert continued.stdout.replace("t.csv", "whole.csv") == whole.stdout
    assert (figup.cwd / "t.csv").read_bytes() == (figup.cwd / "whole.csv").read_bytes()
    assert figshare.kinds().count("stats-totals") - before == 12 - 7
    assert not list((figup.state_dir / "catalogs").iterdir())
