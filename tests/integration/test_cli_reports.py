"""`figup report` for administrators and authors: real commands against a sandbox, read back by other programs."""

from __future__ import annotations

import csv
import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import openpyxl
import pytest
import python_calamine

from tests.support.command import Figup
from tests.support.served import Served, served
from uploader import Client, errors
from uploader.figshare.settings import Settings
from uploader.sandbox.faults import read_rule

RATE = ("--api-rate", "10000", "--retry-timeout", "1s")


@pytest.fixture(scope="module")
def figshare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("reports") / "sandbox"
    with served(folder, institution=True, seed_items=200) as running:
        yield running


@pytest.fixture
def figup(bare_figup: Figup, figshare: Served) -> Figup:
    bare_figup.env |= {
        "FIGSHARE_ENDPOINT": figshare.url, "FIGSHARE_STATS_ENDPOINT": figshare.api.at.stats_url,
        "FIGSHARE_TOKEN": figshare.token,
    }  # fmt: skip
    return bare_figup


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_own_items_are_listed_by_the_state_of_each(figup: Figup, figshare: Served) -> None:
    def titles(*states: str) -> set[str]:
        listed = figup.run("item", "list", *states, *RATE, "--json").expect(0).events
        return {event["record"]["title"] for event in listed if event["event"] == "record"}

    published, rest = titles("--state", "published"), titles("--state", "draft,unpublished")
    assert {"Public without a date", "Embargoed wholly", "Embargoed files", "Catalogue record"} <= published
    assert {"Taken back", "Still a draft", "Before review"} <= rest
    assert titles("--state", "unpublished") & published == set()
    assert published | rest == titles()
    assert "unknown state 'nope'; known: public, embargoed-file," in figup.run("item", "list", "--state", "nope").stderr


def test_published_records_have_owners_and_groups(figup: Figup, figshare: Served, tmp_path: Path) -> None:
    output = tmp_path / "published.csv"
    made = figup.run("report", "published", "--output", output, *RATE, "--json").expect(0).summary["records"]
    found = rows(output)
    assert made["found"] == len(found) + sum(made["excluded"].values())
    assert set(made["excluded"]) == {"draft", "unpublished"}
    assert {"public", "embargoed-file", "embargoed-item", "metadata-only", "linked"} >= {one["state"] for one in found}
    assert any(one["state"] == "embargoed-item" for one in found)
    accounts = {str(one["id"]): one for one in figshare.get("/account/institution/accounts?page_size=1000")}
    for one in found:
        owner = accounts[one["owner_id"]]
        assert one["owner_name"] == f"{owner['first_name']} {owner['last_name']}".strip()
        assert one["owner_email"] == owner["email"]
    groups = {str(one["id"]): one["name"] for one in figshare.get("/account/institution/groups")}
    assert all(one["group"] == groups.get(one["group_id"], "") for one in found)
    assert made["unnamed"]["group"] == sum(one["group_id"] not in groups for one in found if one["group_id"]) > 0
    assert any(one["group_path"].endswith(f"{one['parent_group']} / {one['group']}") for one in found if one["group"])
    assert output.stat().st_mode & 0o777 == 0o600
    # What is under embargo comes from the same catalog.
    later = figup.run("report", "embargoes", "--output", tmp_path / "e.csv", *RATE, "--json").expect(0)
    assert later.summary["records"]["read"] == 0
    embargoed = {one["id"] for one in found if one["state"].startswith("embargoed")}
    assert {one["id"] for one in rows(tmp_path / "e.csv")} == embargoed
    notebook = figup.run("report", "published", "--output", tmp_path / "n.csv", "--columns", "notebook", *RATE).expect(
        0
    )
    assert "read in this run" in notebook.stdout
    header = list(rows(tmp_path / "n.csv")[0])
    assert header.index("author_readable") < header.index("record_owner_name") < header.index("posted")
    assert header[header.index("group_name") :][:2] == ["group_name", "parent_group_name"]


DATES = ("posted", "firstOnline", "publisherPublication", "publisherAcceptance", "revision", "submission")


def shown(value: object) -> str:
    """What a CSV has of a plain value."""
    return "" if value is None or value == [] else str(value).lower() if isinstance(value, bool) else str(value)


def total(address: str) -> int:
    """The answer of the statistics service, asked without a token."""
    with urllib.request.urlopen(address) as answer:
        number: int = json.load(answer)["totals"]
        return number


def test_notebook_columns_have_the_values_of_notebooks(figup: Figup, figshare: Served, tmp_path: Path) -> None:
    """They are computed here as notebooks do it: rows of the list, dates as columns, two totals; names of owners."""
    output = tmp_path / "own.csv"
    figup.run("report", "own", "--stats", "--columns", "notebook", "--output", output, *RATE).expect(0)
    found = {int(one["id"]): one for one in rows(output)}
    items = figshare.get("/account/articles?page_size=1000")
    assert found.keys() == {one["id"] for one in items}
    for item in items:
        table = found[item["id"]]
        whole = figshare.get(f"/account/articles/{item['id']}")
        for name in table.keys() - {"views", "downloads", *DATES}:
            assert table[name].removeprefix("'") == shown({**item, **whole}.get(name)), name
        assert [table[name] for name in DATES] == [shown(item["timeline"].get(name)) for name in DATES]
        if item["published_date"] is not None:
            address = f"{figshare.api.at.stats_url}/total/{{}}/article/{item['id']}"
            totals = [total(address.format(name)) for name in ("views", "downloads")]
            assert [table["views"], table["downloads"]] == list(map(str, totals))

    output = tmp_path / "all.csv"
    figup.run("report", "published", "--columns", "notebook", "--output", output, *RATE).expect(0)
    accounts = {one["id"]: one for one in figshare.get("/account/institution/accounts?page_size=1000")}
    groups = {one["id"]: one for one in figshare.get("/account/institution/groups")}
    published = rows(output)
    assert len(published) > 100
    for table in published[::7]:
        record = figshare.get(f"/account/articles/{table['id']}")
        owner, group = accounts[record["account_id"]], groups.get(record["group_id"], {})
        above = groups.get(group.get("parent_id"), group)
        authors = [
            f"{one['full_name']} (ORCID: {one['orcid_id']})" if one["orcid_id"] else one["full_name"]
            for one in record["authors"]
        ]
        assert table["author_readable"] == " | ".join(authors)
        assert table["record_owner_name"] == f"{owner['first_name']} {owner['last_name']}".strip()
        assert table["owner_email"] == owner["email"]
        assert (table["group_name"], table["parent_group_name"]) == (group.get("name", ""), above.get("name", ""))
        for one in record["custom_fields"]:
            values = one["value"] if isinstance(one["value"], list) else [one["value"]]
            assert table[one["name"]] == " | ".join(map(str, values)), one
        for name in ("doi", "status", "is_public", "is_embargoed", "size", "version", "resource_doi"):
            assert table[name] == shown(record[name]), name


def test_accounts_quotas_and_reviews_are_complete(figup: Figup, figshare: Served, tmp_path: Path) -> None:
    known = figshare.get("/account/institution/accounts?page_size=1000")
    figup.run("report", "accounts", "--output", tmp_path / "a.csv", *RATE).expect(0)
    assert [int(one["id"]) for one in rows(tmp_path / "a.csv")] == [one["id"] for one in known]
    figup.run("report", "quotas", "--output", tmp_path / "q.csv", "--without-emails", *RATE).expect(0)
    used = rows(tmp_path / "q.csv")
    assert [int(one["id"]) for one in used] == [one["id"] for one in known]
    assert all(int(one["used_quota_private"]) >= 0 for one in used)
    assert {one["email"] for one in used} == {""}
    figup.run("report", "reviews", "--output", tmp_path / "r.csv", "--status", "pending", *RATE).expect(0)
    reviews = figshare.get("/account/institution/reviews?limit=1000")
    found = rows(tmp_path / "r.csv")
    assert [int(one["id"]) for one in found] == sorted(one["id"] for one in reviews)
    assert all(one["title"] and one["owner_name"] for one in found)


def test_an_author_is_distinguished_from_namesakes(figup: Figup, figshare: Served, tmp_path: Path) -> None:
    del figup.env["FIGSHARE_TOKEN"]
    output = tmp_path / "jane.csv"
    by_name = figup.run("report", "author", "Jane Doe", "--output", output, *RATE).expect(0)
    assert "authors have this name" in by_name.stderr
    everything = rows(output)
    assert {one["matched_by"] for one in everything} == {"name"}
    orcid = next(
        one["matched_author"].split("ORCID: ")[1][:19] for one in everything if "ORCID" in one["matched_author"]
    )
    made = figup.run(
        "report", "author", "Jane Doe", "--orcid", orcid, "--output", output, "--force", *RATE, "--json"
    ).expect(0)
    found = rows(output)
    assert {one["matched_by"] for one in found} == {"orcid", "name"}
    assert all((orcid in one["orcids"].split(" | ")) == (one["matched_by"] == "orcid") for one in found)
    assert made.summary["records"]["excluded"]["of a namesake with another ORCID iD"] > 0
    strict = figup.run(
        "report", "author", "Jane Doe", "--orcid", orcid, "--output", output, "--force", "--strict", *RATE
    ).expect(0)
    assert " left out: matched by name alone\n" in strict.stderr
    assert {one["matched_by"] for one in rows(output)} == {"orcid"}
    assert "wrong check digit" in figup.run(
        "report", "author", "--orcid", "0000-0002-1825-0098", "--output", output).expect(2).stderr  # fmt: skip
    unknown = figup.run("report", "author", "Nobody Atall", "--output", tmp_path / "n.csv", *RATE).expect(4)
    assert "no public records by Nobody Atall" in unknown.stderr
    assert not (tmp_path / "n.csv").exists()
    assert "a name or an ORCID iD" in figup.run("report", "author", "--output", output, "--force").expect(2).stderr


@pytest.mark.parametrize(
    "words",
    [
        ("own", "--collections", "--projects", "--stats"),
        ("author", "Jane Doe", "--stats", "--stats-since", "2025-01-01", "--tables"),
        ("quotas",),
    ],
    ids=" ".join,
)
def test_a_dry_run_says_what_a_run_costs(figup: Figup, figshare: Served, words: tuple[str, ...]) -> None:
    """Also of a run that continues an early end, and of one that has only changes to read."""
    report = ("report", *words, "--output", "t.csv", "--force", *RATE)
    fresh = figup.run(*report, "--dry-run", "--json").expect(0).summary["records"]
    figup.run(*report, "--max-requests", "5").expect(75)
    assert figup.run(*report, "--dry-run", "--fresh", "--json").expect(0).summary["records"] == fresh
    for _ in range(2):
        price = figup.run(*report, "--dry-run", "--json").expect(0).summary["records"]
        costs = [price[f"{name}_requests"] for name in ("list", "record", "number")]
        before = len(figshare.kinds())
        figup.run(*report).expect(0)
        asked = len(figshare.kinds()) - before
        assert sum(costs) == asked or (words == ("quotas",) and 0 < sum(costs) < asked), costs


def test_numbers_versions_and_separate_tables(figup: Figup, figshare: Served, tmp_path: Path) -> None:
    output = tmp_path / "own.xlsx"
    options = ("--stats", "--versions", "--tables", "--collections", *RATE)
    dry = figup.run("report", "own", "--output", output, *options, "--dry-run", "--json").expect(0).summary["records"]
    with_few = [*options, "--max-requests", "30"]
    ends = [figup.run("report", "own", "--output", output, *with_few).returncode for _ in range(2)]
    assert ends == [75, 75]
    made = figup.run("report", "own", "--output", output, *options, "--json").expect(0).summary["records"]
    kinds, counters = 2, 3  # the first of each kind is also asked for in the documented way
    assert (dry["found"], dry["number_requests"]) == (
        made["found"],
        made["found"] - made["uncounted"] + kinds * counters,
    )
    book = openpyxl.load_workbook(output)
    names = {"Records", "authors", "categories", "tags", "files", "funding", "custom_fields", "About"}
    assert names <= {*book.sheetnames}
    header, *cells = python_calamine.CalamineWorkbook.from_path(output).get_sheet_by_name("Records").to_python()
    table = [dict(zip(header, row, strict=True)) for row in cells]
    assert len(table) == made["found"] + made["versions"] > made["found"]
    newest = [one for one in table if one["views"] != ""]
    assert sum(int(str(one["views"]).removesuffix(".0")) for one in newest) == made["sums"]["views"]
    assert len(newest) == made["found"] - made["uncounted"]
    one = next(one for one in newest if one["record_type"] == "collection")
    stats = figup.run("stats", "show", "--collection", f"{one['id']:.0f}", "--json").expect(0).events[0]
    assert stats["views"] == one["views"]
    ids = {(row["record_type"], row["id"], row["version"]) for row in table}
    assert len(ids) == len(table)
    columns, *authors = book["authors"].iter_rows(values_only=True)
    assert columns[:5] == ("record_type", "id", "version", "position", "author_id")
    assert len({row[:4] for row in authors}) == len(authors)
    assert {row[:2] for row in authors} <= {key[:2] for key in ids}
    again = figup.run("report", "own", "--output", output, "--force", *options, "--json").expect(0).summary["records"]
    assert (again["read"], again["sums"]) == (0, made["sums"])


def test_failures_are_listed_without_a_table(bare_figup: Figup, tmp_path: Path) -> None:
    faults = (read_rule("get-public-item:9=error-object"), read_rule("get-public-item:20..=500"))
    with served(tmp_path / "sandbox", institution=True, seed_items=100, faults=faults) as figshare:
        bare_figup.env["FIGSHARE_ENDPOINT"] = figshare.url
        public = ("report", "public", "--institution", "2000", "--output", tmp_path / "t.csv", *RATE)
        closed = tmp_path / "none" / "f.csv"
        assert f"cannot write {closed}" in bare_figup.run(*public, "--failed-to", closed).expect(2).stderr
        assert (
            "is also a file of the table" in bare_figup.run(*public, "--failed-to", tmp_path / "t.csv").expect(2).stderr
        )
        assert figshare.kinds() == []
        bare_figup.run(*public, "--failed-to", tmp_path / "f.csv").expect(75)
    assert not (tmp_path / "t.csv").exists()
    assert len(rows(tmp_path / "f.csv")) > 1


async def test_a_program_makes_every_report(figshare: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIGSHARE_STATS_ENDPOINT", figshare.api.at.stats_url or "")
    settings = Settings(figshare.url, api_rate=None)
    async with Client(figshare.token, state_dir=tmp_path / "state", settings=settings) as client:
        made = await client.report("author", tmp_path / "a.csv", author="Jane Doe", stats=True)
        assert made.sums["views"] > 0
        for name in ("published", "embargoes", "accounts", "quotas", "reviews"):
            made = await client.report(name, tmp_path / f"{name}.csv")
            assert (made.failed, made.written) == ([], made.listed - made.excluded.total())
        with pytest.raises(errors.UsageError, match="has no states"):
            await client.report("accounts", tmp_path / "x.csv", states=["public"])
