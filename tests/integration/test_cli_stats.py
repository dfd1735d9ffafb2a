"""`figup stats`: real commands against a sandbox's statistics service, and what goes wrong."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator

import pytest

from tests.support.command import Figup
from tests.support.served import Served, served
from uploader.sandbox.seeds import FIRST_ITEM

ITEM, OTHER = str(FIRST_ITEM + 120), str(FIRST_ITEM + 121)
PASSWORD = "statistics"


@pytest.fixture(scope="module")
def figshare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A sandbox with seeded records, which no test changes."""
    folder = tmp_path_factory.mktemp("stats") / "sandbox"
    with served(folder, institution=True, seed_items=300, control=True) as running:
        yield running


@pytest.fixture
def figup(bare_figup: Figup, figshare: Served) -> Figup:
    bare_figup.env |= {
        "FIGSHARE_ENDPOINT": figshare.url, "FIGSHARE_STATS_ENDPOINT": figshare.api.at.stats_url,
        "FIGSHARE_TOKEN": "secret-token",
    }  # fmt: skip
    return bare_figup


def test_totals_of_records(figup: Figup, figshare: Served) -> None:
    figup.cwd.joinpath("ids.csv").write_text(f"title,id\na,{OTHER}\n")
    page = f"https://data.example.org/articles/dataset/x/{ITEM}"
    shown = figup.run("stats", "show", page, "--from-file", "ids.csv", "--output", "t.csv", "--json").expect(0)
    rows = [event for event in shown.events if event["event"] == "totals"]
    assert [row["id"] for row in rows] == [int(ITEM), int(OTHER)]
    assert all(row["views"] >= 0 and row["cites"] is not None for row in rows)
    table = list(csv.DictReader(figup.cwd.joinpath("t.csv").read_text("utf-8-sig").splitlines()))
    assert [int(row["views"]) for row in table] == [row["views"] for row in rows]
    assert "exists" in figup.run("stats", "show", ITEM, "--output", "t.csv").expect(2).stderr
    period = figup.run("stats", "show", ITEM, "--since", "2000-01-01", "--json").expect(0)
    [event] = [one for one in period.events if one["event"] == "totals"]
    assert (event["views"], event["cites"], event["since"]) == (rows[0]["views"], None, "2000-01-01")
    # The token is never sent to the statistics service, which refuses requests that have one.
    asked = [one for one in figshare.api.requests() if one["service"] == "statistics"]
    assert asked
    assert not any(one["authorization"] for one in asked)


def test_timelines_places_and_their_pictures(figup: Figup) -> None:
    total = figup.run("stats", "show", ITEM, "--json").expect(0).events[0]["views"]
    line = figup.run("stats", "timeline", ITEM, "--by", "year", "--plot", "t.svg", "--json").expect(0)
    assert sum(event["events"] for event in line.events if event["event"] == "timeline") == total
    assert figup.cwd.joinpath("t.svg").read_text().count("<polyline") == 1
    long = ("--since", "2000-01-01", "--output", "p.jsonl", "--plot", "p.html")
    figup.run("stats", "places", ITEM, *long).expect(0)
    rows = [json.loads(text) for text in figup.cwd.joinpath("p.jsonl").read_text().splitlines()]
    assert sum(row["events"] for row in rows if row["city"] is None) == total
    assert "Unkown" not in {row["city"] for row in rows}
    assert figup.cwd.joinpath("p.html").read_text().startswith("<!doctype html>")
    assert "exists" in figup.run("stats", "places", ITEM, "--plot", "p.html").expect(2).stderr


def test_rankings_and_counts_of_a_portal_need_its_password(figup: Figup, figshare: Served) -> None:
    top = ("stats", "top", "--scope", "sandbox", "--count", "2")
    refused = figup.run(*top).expect(3).stderr
    assert "figup stats login" in refused
    assert "need a name and a password" in refused
    assert "does not accept" in figup.run("stats", "login", "sandbox", input="wrong\n").expect(3).stderr
    stored = figup.run("stats", "login", "sandbox", input=f"{PASSWORD}\n").expect(0).stdout
    assert "are valid" in stored
    assert len(figup.run(*top).expect(0).stdout.splitlines()) == 3
    figup.run("stats", "status", "sandbox").expect(0)
    assert "does not know" in figup.run("stats", "top", "--scope", "nowhere").expect(4).stderr
    figup.run("stats", "logout", "sandbox").expect(0)
    figup.run(*top).expect(3)
    secret = figup.cwd / "password"
    secret.write_text(f"{PASSWORD}\n")
    secret.chmod(0o600)
    figup.env |= {"FIGSHARE_STATS_USER": "sandbox", "FIGSHARE_STATS_PASSWORD_FILE": str(secret)}
    figup.run(*top).expect(0)
    secret.chmod(0o644)
    assert "can read the password file" in figup.run(*top).expect(2).stderr
    assert not any(one["scheme"] == "basic" for one in figshare.api.requests() if one["service"] != "statistics")
    assert "2101: " in figup.run("stats", "count", "2101").expect(0).stdout


def test_records_by_doi_without_a_number(figup: Figup, figshare: Served) -> None:
    doi = "10.1371/journal.pone.0123456.s001"
    _, [record] = figshare.call("POST", "/articles/search", {"doi": doi})
    del figup.env["FIGSHARE_TOKEN"]
    assert figup.run("stats", "show", doi, ITEM).expect(0).stdout.startswith(f"{record['id']}: ")
    assert "has no item with the DOI" in figup.run("stats", "show", "10.26181/nothing").expect(4).stderr


def test_files_that_cannot_be_written_are_refused_before_the_first_request(figup: Figup, figshare: Served) -> None:
    figup.cwd.joinpath("a.csv").touch()
    figup.cwd.joinpath("a.svg").touch()
    before = len(figshare.api.requests())
    for words, message in (
        (["show", ITEM, "--output", "a.csv"], "a.csv exists"),
        (["show", ITEM, "--output", "a.xlsx"], "unknown format 'a.xlsx'"),
        (["top", "--output", "none/a.csv"], "cannot write none/a.csv"),
        (["places", ITEM, "--plot", "a.svg"], "a.svg exists"),
    ):
        assert message in figup.run("stats", *words).expect(2).stderr
    assert len(figshare.api.requests()) == before


def test_bad_input(figup: Figup) -> None:
    figup.cwd.joinpath("titles.csv").write_text("title,name\na,b\n")
    for words, message in (
        (["show"], "no ids were given"),
        (["show", "--from-file", "titles.csv"], "titles.csv has no column 'id'"),
        (["show", "x"], "is not an item"),
        (["show", ITEM, "--since", "2024-01-02", "--until", "2024-01-01"], "ends before it begins"),
        (["show", ITEM, "--since", "someday"], "someday"),
        (["timeline", ITEM, "--counter", "hugs"], "unknown counter 'hugs'"),
        (["timeline", ITEM, "--plot", "a.pdf"], "unknown format 'a.pdf'"),
        (["show", ITEM, "--collection", "--author"], "--author"),
        (["show", "--author", f"10.6084/m9.figshare.{ITEM}"], "invalid id of an author"),
        (["show", "--group", "1" * 21], "invalid id of a group"),
        (["show", ITEM, "--scope", "no way"], "invalid institution"),
        (["show", ITEM, "--output", "none/a.csv"], "none/a.csv"),
        (["show", ITEM, "--stats-endpoint", ""], "the endpoint is not an http(s) address"),
    ):
        assert message in figup.run("stats", *words).expect(2).stderr, words
    figup.run("stats", "show", "--from-file", "none.csv").expect(4)
    del figup.env["FIGSHARE_STATS_ENDPOINT"]
    assert "--stats-endpoint" in figup.run("stats", "show", ITEM).expect(2).stderr


@pytest.mark.parametrize(
    ("fault", "status", "message"),
    [
        ("stats-totals=503,retry-after=0", 0, "views"),
        ("stats-totals:2..=429,retry-after=9", 75, "429"),
        ("stats-totals:2=truncated-json", 0, "views"),
        ("stats-totals=html", 2, "--stats-endpoint"),
        ("stats-totals:every=400", 0, "views"),
        ("stats-total:every=422", 1, "answered 422"),
        (f"stats-totals@{ITEM}:every=422", 1, f"{OTHER}: "),
        (f"stats-totals@{ITEM}:every=422", 1, f"{ITEM} was not counted: "),
    ],
    ids=str,
)
def test_bad_answers(figup: Figup, figshare: Served, fault: str, status: int, message: str) -> None:
    faults = f"{figshare.url.removesuffix('/v2')}/sandbox/faults"
    figshare.call("POST", faults, {"fault": fault})
    try:
        result = figup.run("stats", "show", ITEM, OTHER, "--retry-timeout", "3s")
    finally:
        figshare.call("DELETE", faults)
    assert result.returncode == status, result.stderr
    assert message in result.stdout + result.stderr


@pytest.mark.parametrize(("words", "kind"), [("timeline", "stats-timeline"), ("places", "stats-breakdown")])
def test_a_record_that_cannot_be_counted_is_one_whatever_the_number_of_counters(
    figup: Figup, figshare: Served, words: str, kind: str
) -> None:
    asked = (words, ITEM, OTHER, "--counter", "views,downloads,shares", "--since", "2024-01-01")
    command = ("stats", *asked, "--output", "t.csv", "--plot", "p.svg", "--retry-timeout", "1s")
    faults = f"{figshare.url.removesuffix('/v2')}/sandbox/faults"
    figshare.call("POST", faults, {"fault": f"{kind}@{ITEM}:every=500"})
    ended = figup.run(*command).expect(75)
    assert f"{ITEM} was not counted: " in ended.stderr
    assert "in a row" not in ended.stderr
    assert not figup.cwd.joinpath("p.svg").exists()
    figshare.call("DELETE", faults)
    figshare.call("POST", faults, {"fault": f"{kind}@{ITEM}:2..=422"})
    ended = figup.run(*command, "--json").expect(1)
    figshare.call("DELETE", faults)
    assert [one["id"] for one in ended.summary["records"]["failed"]] == [int(ITEM)]
    with figup.cwd.joinpath("t.csv").open(encoding="utf-8-sig", newline="") as file:
        assert {row["id"] for row in csv.DictReader(file)} == {OTHER}
    assert figup.cwd.joinpath("p.svg").exists()
    assert "exists" in figup.run(*command).expect(2).stderr
    figup.run(*command, "--force").expect(0)


def test_a_sum_says_how_many_records_it_is_of(figup: Figup, figshare: Served) -> None:
    faults = f"{figshare.url.removesuffix('/v2')}/sandbox/faults"
    figshare.call("POST", faults, {"fault": f"stats-totals@{ITEM}:every=422"})
    ended = figup.run("stats", "show", ITEM, OTHER, str(FIRST_ITEM + 122)).expect(1)
    figshare.call("DELETE", faults)
    assert "\n2 of 3: " in ended.stdout
    assert "with --force if it writes files" in ended.stderr
