"""Looking and finding: real commands against a real sandbox, with and without a token, and what goes wrong."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import Figup
from tests.support.invariants import ask
from tests.support.sandbox import Sandbox
from tests.support.served import Served, served

ORCID = "0000-0002-1825-0097"
CATEGORY = 24418
ODD_TEXT = "Of a\u0085 \u202eriver \U000e0041."


@pytest.fixture
def figshare(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path / "sandbox", institution=True) as running:
        yield running


@pytest.fixture
def figup(bare_figup: Figup, figshare: Served) -> Figup:
    bare_figup.env |= {"FIGSHARE_ENDPOINT": figshare.url, "FIGSHARE_TOKEN": figshare.token}
    return bare_figup


def publish(figshare: Served, title: str, **fields: object) -> int:
    """Make a public item and return its id."""
    body = {"title": title, "description": ODD_TEXT, "categories": [CATEGORY], "tags": ["dam", "two words"],
            "authors": [{"name": "Jane Doe", "orcid_id": ORCID}], **fields}  # fmt: skip
    status, made = figshare.call("POST", "/account/articles", body)
    assert status == 201, made
    number: int = made["entity_id"]
    figshare.call("POST", f"/account/articles/{number}/files", {"link": "https://example.org/data"})
    status, answer = figshare.call("POST", f"/account/articles/{number}/publish")
    assert status == 201, answer
    return number


def test_public_items_are_found_and_shown_without_a_token(figup: Figup, figshare: Served) -> None:
    beavers = publish(figshare, "Beavers of the north")
    publish(figshare, "=Otters", defined_type="software")
    _, made = figshare.call("POST", "/account/articles", {"title": "A draft"})
    del figup.env["FIGSHARE_TOKEN"]
    conditions = ["--author", "Jane Doe", "--orcid", ORCID, "--tag", "two words", "--category", str(CATEGORY)]
    days = ["--type", "dataset", "--since", "2020-01-01", "--until", "2099-01-01", "--institution", "2000"]
    found = figup.run("search", "beavers", *conditions, *days, "--limit", "all", "--json").expect(0)
    assert [event["record"]["id"] for event in found.events if event["event"] == "record"] == [beavers]
    assert found.summary["records"] | {"requests": 0, "requests_by_host": {}} == {
        "found": 1, "written": 1, "output": None, "complete": True, "more": False, "gaps": [],
        "checked": ["type", "since", "until"], "left_out": 0, "requests": 0,
        "requests_by_host": {},
    }  # fmt: skip
    assert figup.run("search", "--count").expect(0).stdout == "2\n"
    more = figup.run("search", "--limit", "1").expect(0)
    assert "more than 1 record; --limit all lists them all" in more.stderr
    card = figup.run("item", "show", str(beavers)).expect(0).stdout
    assert card.startswith(f"Beavers of the north\n  item        {beavers}  public, version 1\n")
    shown = figup.run("item", "show", f"10.5072/FK2.figshare.{beavers}.v1", "--format", "json").expect(0).stdout
    assert (json.loads(shown)["version"], json.loads(shown)["description"]) == (1, ODD_TEXT)
    assert "Beavers of the north" in figup.run("item", "show", str(beavers), "--format", "citation").expect(0).stdout
    assert figup.run("item", "versions", str(beavers)).expect(0).stdout.split()[0] == "1"
    assert "a link" in figup.run("item", "files", str(beavers)).expect(0).stdout
    missing = figup.run("item", "show", str(made["entity_id"])).expect(4)
    assert f"Figshare has no public item {made['entity_id']}" in missing.stderr
    figup.run("search", "--own").expect(3)
    assert figup.run("institution", "list", "sandbox").expect(0).stdout.split()[0] == "2000"


def test_own_records_are_listed_with_drafts(figup: Figup, figshare: Served) -> None:
    beavers = publish(figshare, "Beavers")
    _, made = figshare.call("POST", "/account/articles", {"title": "A draft"})
    draft = str(made["entity_id"])
    assert {line.split()[0] for line in figup.run("item", "list").expect(0).stdout.splitlines()} == {
        draft,
        str(beavers),
    }
    assert figup.run("item", "list", "--state", "draft").expect(0).stdout.split()[0] == draft
    assert "has no ORCID iD" in figup.run("item", "list", "--as-author").expect(2).stderr
    _, made = figshare.call("POST", "/account/collections", {"title": "A set", "articles": [beavers]})
    collection = str(made["entity_id"])
    figshare.call("POST", "/account/projects", {"title": "A project"})
    assert figup.run("collection", "list").expect(0).stdout.split() == [collection, "-", "A", "set"]
    (project,) = figup.run("project", "list").expect(0).stdout.splitlines()
    shown = figup.run("collection", "show", collection, "--items").expect(0).stdout
    assert (shown.splitlines()[0], shown.splitlines()[-1].split()[0]) == ("A set", str(beavers))
    assert (
        figup.run("project", "show", project.split()[0], "--format", "yaml").expect(0).stdout.count("title: A project")
    )
    face = figup.run("item", "show", str(beavers), "--json").expect(0).events[0]["face"]
    public = figup.run("item", "show", str(beavers), "--json", "--public").expect(0).events[0]["face"]
    assert (face, public) == ("private", "public")


def test_a_file_of_rows_is_complete_or_not_there(figup: Figup, figshare: Served) -> None:
    publish(figshare, "=1+1 Beavers")
    publish(figshare, "Beavers, and\nmore")
    figup.run("search", "beavers", "--output", "rows.csv").expect(0)
    data = (figup.cwd / "rows.csv").read_bytes()
    assert data.startswith(b"\xef\xbb\xbfrecord_type,id,title,")
    rows = list(csv.DictReader(data.decode("utf-8-sig").splitlines(keepends=True)))
    assert sorted(row["title"] for row in rows) == ["'=1+1 Beavers", "Beavers, and\nmore"]
    refused = figup.run("search", "--output", "rows.csv").expect(2)
    assert refused.stderr == "figup: rows.csv exists. Choose another name, or replace it with --force.\n"
    assert (figup.cwd / "rows.csv").read_bytes() == data
    figup.run("search", "--output", "rows.csv", "--force").expect(0)
    figup.run("item", "list", "--output", "own.jsonl").expect(0)
    lines = (figup.cwd / "own.jsonl").read_text().splitlines()
    assert [json.loads(line)["defined_type"] for line in lines] == [3, 3]
    figup.run("search", "beavers", "--own", "--output", "rows.csv", "--force").expect(0)
    # Drafts are nobody else's business.
    assert {(figup.cwd / name).stat().st_mode & 0o077 for name in ("own.jsonl", "rows.csv")} == {0}
    assert "must end in .csv or .jsonl" in figup.run("search", "--output", "rows.txt").expect(2).stderr
    figup.run("search", "--output", "none/rows.csv").expect(2)
    figup.env["FIGSHARE_TOKEN"] = "wrong"
    figup.run("item", "list", "--output", "other.csv").expect(3)
    assert sorted(path.name for path in figup.cwd.iterdir() if path.name != "state") == ["own.jsonl", "rows.csv"]


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["--orcid", "0000-0002-1825-0098"], 2, "wrong check digit"),
        (["--since", "2024-02-30"], 2, "invalid date '2024-02-30'"),
        (["--since", "2024-02-03", "--until", "2024-01-01"], 2, "--since 2024-02-03 is after --until 2024-01-01"),
        (["--category", "Animal behavior"], 2, 'Did you mean "Animal behaviour"'),
        (["--type", "datset"], 2, 'Did you mean "dataset"?'),
        (["--licence", "CC BI 4.0"], 2, 'Did you mean "CC BY 4.0"'),
        (["--institution", "Sandbox Universty"], 4, 'Did you mean "Sandbox University"'),
        (["--group", "Libary"], 4, 'Did you mean "Library"?'),
        (["--group", "999", "--subgroups"], 4, "unknown group 999"),
        (["--subgroups"], 2, "--subgroups needs --group"),
        (["--collections", "--type", "dataset"], 2, "collections have no type to search for"),
        (["..."], 2, "nothing to search for in '...'"),
        (["--limit", "0"], 2, "invalid limit '0'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_mistakes_are_reported_before_any_search(
    figup: Figup, figshare: Served, words: list[str], status: int, message: str
) -> None:
    assert message in figup.run("search", *words).expect(status).stderr
    assert "search-public-items" not in figshare.kinds()


def test_a_query_can_be_seen_before_it_is_sent(figup: Figup, figshare: Served) -> None:
    done = figup.run("search", "river", "beaver dam", "--any", "--title", "AND", "--explain").expect(0)
    assert done.stdout.splitlines()[:2] == [
        "POST /articles/search",
        '  search_for: (river OR "beaver dam") AND :title: "AND"',
    ]
    assert figshare.kinds() == []


def test_authors_and_groups_are_found(figup: Figup, figshare: Served) -> None:
    publish(figshare, "Beavers")
    assert ORCID in figup.run("author", "search", "Jane Doe").expect(0).stdout
    assert figup.run("author", "search", "--orcid", ORCID).expect(0).stdout.split()[2:] == ["Jane", "Doe"]
    assert figup.run("author", "search", "Nobody").expect(4).stderr == "figup: no author 'Nobody' was found\n"
    tree = figup.run("group", "list", "--tree").expect(0).stdout.splitlines()
    assert [line[12:] for line in tree] == ["Sandbox University", "  Faculty of Science", "  Library"]


def test_a_table_of_accounts_is_checked_whole_and_none_is_created_twice(figup: Figup, figshare: Served) -> None:
    table = figup.cwd / "users.csv"
    table.write_text("email,last_name,group\na@b.org,Bee,Library\nc@d.org,Dee,Libary\nA@b.org,X,\nnone,Y,\n")
    refused = figup.run("account", "create", "--from", "users.csv").expect(2)
    assert refused.stderr.splitlines() == [
        "figup: users.csv: line 3: unknown group 'Libary'. Did you mean \"Library\"?",
        "figup: users.csv: line 4: A@b.org is already in line 2",
        "figup: users.csv: line 5: invalid email address 'none'",
        "figup: users.csv: 3 of its lines are invalid",
    ]
    assert "create-account" not in figshare.kinds()
    table.write_text("E-mail;Last name;Group\na@b.org;Bee;Library\nc@d.org;Dee;2101\n", encoding="utf-8-sig")
    made = figup.run("account", "create", "--from", "users.csv").expect(0).stdout
    assert [line.split()[1:] for line in made.splitlines()] == [["created", "a@b.org"], ["created", "c@d.org"]]
    again = figup.run("account", "create", "--from", "users.csv").expect(0).stdout
    assert [line.split()[1] for line in again.splitlines()] == ["exists", "exists"]
    assert figshare.kinds().count("create-account") == 2
    assert "  group       2102\n" in figup.run("account", "show", "a@b.org").expect(0).stdout
    figup.run("account", "roles", "a@b.org", "--add", "Curator", "--group", "Library").expect(0)
    assert "Library: Curator (1)" in figup.run("account", "roles", "a@b.org").expect(0).stdout
    figup.run("account", "roles", "a@b.org", "--remove", "curator", "--group", "2102").expect(0)
    assert "Curator" not in figup.run("account", "roles", "a@b.org").expect(0).stdout
    assert "Cannot ask for confirmation" in figup.run("account", "update", "a@b.org", "--deactivate").expect(2).stderr
    shown = figup.run("account", "update", "a@b.org", "--deactivate", "--yes").expect(0).stdout
    assert "inactive" in shown
    assert "  group       2102\n" in shown
    assert figup.run("account", "list", "--inactive").expect(0).stdout.count("a@b.org") == 1
    figup.run("account", "show", "x@y.org").expect(4)
    figup.run("account", "show", "1").expect(4)


def test_every_record_of_a_capped_list_is_found_once(bare_figup: Figup, start_sandbox: Callable[..., Sandbox]) -> None:
    seeded = ("--institution", "--seed-items", "2500", "--seed", "7")
    sandbox = start_sandbox(*seeded, "--page-cap", "none")
    every: list[dict[str, Any]] = []
    while len(every) % 1000 == 0:
        page = len(every) // 1000 + 1
        every += ask(sandbox, f"/articles?page={page}&page_size=1000")
    sandbox.restart("--institution", "--page-cap", "1000", "--search", "stems")
    bare_figup.env["FIGSHARE_ENDPOINT"] = sandbox.url
    whole = ("--limit", "all", "--api-rate", "1000", "--force", "--output", "rows.jsonl")

    def found(*words: str) -> list[int]:
        bare_figup.run("search", *words, *whole).expect(0)
        lines = (bare_figup.cwd / "rows.jsonl").read_text("utf-8").splitlines()
        return sorted(json.loads(line)["id"] for line in lines)

    assert found() == sorted(row["id"] for row in every)
    assert None in {row["published_date"] for row in every}
    conditions = ("--type", "dataset", "--since", "2012-01-01", "--until", "2014-12-31")
    assert found(*conditions) == sorted(
        row["id"]
        for row in every
        if row["defined_type"] == 3 and "2012-01-01" <= (row["published_date"] or "") < "2015-01-01"
    )
    group = next(row["group_id"] for row in every if row["group_id"])
    assert found("--group", str(group)) == sorted(row["id"] for row in every if row["group_id"] == group)


def test_an_account_whose_answer_was_lost_is_looked_up(
    bare_figup: Figup, start_sandbox: Callable[..., Sandbox]
) -> None:
    sandbox = start_sandbox("--institution", "--fault", "create-account:2=lost-answer")
    bare_figup.env |= {"FIGSHARE_ENDPOINT": sandbox.url, "FIGSHARE_TOKEN": sandbox.token}
    lines = [f"{name}@b.org,Bee" for name in "abc"]
    (bare_figup.cwd / "users.csv").write_text("\n".join(["email,last_name", *lines]))
    made = bare_figup.run("account", "create", "--from", "users.csv").expect(0).stdout
    assert [line.split()[1:] for line in made.splitlines()] == [["created", f"{name}@b.org"] for name in "abc"]
    emails = [one["email"] for one in ask(sandbox, "/account/institution/accounts?page_size=100")]
    assert sorted(email for email in emails if email.endswith("@b.org")) == ["a@b.org", "b@b.org", "c@b.org"]
