"""`figup item` and `figup collection`: real commands against a real sandbox, and their output."""

from __future__ import annotations

import os
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import Figup
from tests.support.control import add_faults, times_met
from tests.support.hurry import READ_AGAIN_SOON
from tests.support.invariants import ask
from tests.support.sandbox import Sandbox
from tests.support.waiting import until

ORCID = "0000-0002-1825-0097"
DESCRIPTION = f"""\
title: Beavers of the north
description: We *tracked* beavers.
authors: [Jane Doe, {{name: John Doe, orcid: {ORCID}, email: john@example.org}}]
categories: [animal behaviour, 24418]
keywords: beavers, telemetry
license: MIT
type: data
references: [10.1234/abcd]
funding: ["DFG, grant 1"]
timeline: {{first_online: 2024-01-02}}
"""


@pytest.fixture
def sandbox(start_sandbox: Callable[..., Sandbox]) -> Sandbox:
    """A sandbox in which a PUT replaces all fields of an item, as documented. Files are available at once."""
    return start_sandbox(
        "--control", "--put", "wipe", "--checking-delay", "0", "--success-delay", "0", "--moving-delay", "0"
    )


@pytest.fixture
def dataset(figup: Figup) -> Path:
    path = figup.cwd / "dataset.yaml"
    path.write_text(DESCRIPTION)
    return path


@pytest.fixture
def item(figup: Figup, dataset: Path) -> str:
    """The id of an item with a description."""
    return figup.run("item", "create", "--metadata", dataset.name).expect(0).stdout.split()[0]


def shown(figup: Figup, item: str) -> dict[str, Any]:
    event = figup.run("item", "show", item, "--json").expect(0).events[0]
    assert event["event"] == "item"
    return event


def names(event: dict[str, Any]) -> list[str]:
    return [author["full_name"] for author in event["authors"]]


@pytest.mark.fast
def test_an_item_gets_the_metadata_of_the_file(figup: Figup, item: str) -> None:
    said = shown(figup, item)
    assert said["title"] == "Beavers of the north"
    assert said["description"] == "<p>We <em>tracked</em> beavers.</p>"
    assert names(said) == ["Jane Doe", "John Doe"]
    assert said["authors"][1]["orcid"] == ORCID
    assert [one["title"] for one in said["categories"]] == ["Animal behaviour", "Animal physiological ecology"]
    assert (said["keywords"], said["license"], said["type"]) == (["beavers", "telemetry"], "MIT", "dataset")
    assert said["references"] == ["https://doi.org/10.1234/abcd"]
    assert said["funding"] == ["DFG, grant 1"]
    assert said["timeline"]["firstOnline"].startswith("2024-01-02")
    card = figup.run("item", "show", item).expect(0).stdout
    assert card.startswith(f"Beavers of the north\n  item        {item}  a private draft\n")
    assert "  description We tracked beavers.\n" in card
    assert "  timeline    first online 2024-01-02\n" in card


def test_an_invalid_file_creates_nothing(figup: Figup, sandbox: Sandbox, dataset: Path) -> None:
    dataset.write_text(DESCRIPTION.replace("animal behaviour", "animal behavior"))
    done = figup.run("item", "create", "--metadata", dataset.name).expect(2)
    assert done.stderr == (
        "figup: dataset.yaml: line 4, categories[1]: unknown category 'animal behavior'. "
        'Did you mean "Animal behaviour", "Organisational behaviour" or "Human information behaviour"?\n'
    )
    assert "create-item" not in {request["kind"] for request in sandbox.requests()}
    figup.run("item", "create").expect(2)


def test_custom_fields_are_checked_before_any_change(bare_figup: Figup, start_sandbox: Callable[..., Sandbox]) -> None:
    figup, sandbox = bare_figup, start_sandbox("--institution")
    figup.env |= {"FIGSHARE_ENDPOINT": sandbox.url, "FIGSHARE_TOKEN": sandbox.token}
    file = figup.cwd / "dataset.yaml"
    file.write_text(DESCRIPTION + "group: Library\ncustom_fields: {Shelfmark: QL, site: loch-ness}\n")
    item = figup.run("item", "create", "--metadata", "dataset.yaml").expect(0).stdout.split()[0]
    assert shown(figup, item)["custom_fields"] == {"Shelfmark": "QL", "Site": "Loch Ness"}
    file.write_text("custom_fields: {Shelfmark: QL 737, Site: West}\n")
    done = figup.run("item", "update", item, "--metadata", "dataset.yaml").expect(2)
    assert done.stderr == (
        "figup: dataset.yaml: line 1, custom_fields.Site: unknown value 'West'. "
        "Known values: North, South, Loch Ness.\n"
    )
    # Shelfmark is a field of the item's group, which the file does not name.
    file.write_text("custom_fields: {Shelfmark: QL 737}\n")
    figup.run("item", "update", item, "--metadata", "dataset.yaml").expect(0)
    assert shown(figup, item)["custom_fields"] == {"Shelfmark": "QL 737"}
    file.write_text("custom_fields: {Site: North}\n")
    figup.run("item", "update", item, "--metadata", "dataset.yaml").expect(0)
    done = figup.run("item", "publish", item, "--yes").expect(1)
    assert "cannot be published; missing: Shelfmark." in done.stderr


def test_a_project_is_checked_before_an_item_is_created_in_it(figup: Figup, sandbox: Sandbox) -> None:
    done = figup.run("item", "create", "--title", "Abc", "--project", "77").expect(4)
    assert done.stderr == (
        "figup: Figshare has no project 77, or this account may not see it: Project not found. Check the number; "
        "`figup auth status` shows whose token this is.\n"
    )
    assert {request["method"] for request in sandbox.requests()} == {"GET"}


def test_a_doi_without_the_number_names_the_item_everywhere(figup: Figup, sandbox: Sandbox, item: str) -> None:
    doi = "10.26181/60112d78eeffe"
    ask(sandbox, f"/account/articles/{item}", {"title": "Beavers", "doi": doi}, "PATCH")
    (figup.cwd / "a.csv").write_text("1,2")
    sent = figup.run("upload", "a.csv", "--item", f"https://doi.org/{doi}", "--json").expect(0)
    assert sent.summary["item_id"] == int(item)
    assert figup.run("upload", "a.csv", "--item", item, "--json").expect(0).summary["job"] == sent.summary["job"]
    assert "a.csv: the same" in figup.run("verify", doi.upper(), "a.csv").expect(0).stdout
    figup.run("download", doi, "-o", "copy").expect(0)
    assert (figup.cwd / "copy/a.csv").read_text() == "1,2"
    figup.run("item", "publish", doi, "--yes").expect(0)
    assert shown(figup, f"{doi}.v1")["item_id"] == int(item)
    collection = figup.run("collection", "create", "Mammals").expect(0).stdout.strip()
    assert "1 new item" in figup.run("collection", "add", collection, doi).expect(0).stdout
    missing = figup.run("item", "tags", "add", "10.1371/journal.pone.0123456", "beaver").expect(4)
    assert missing.stderr == (
        "figup: Figshare has no item with the DOI 10.1371/journal.pone.0123456. "
        "Check it, or give the number or the address of the page.\n"
    )


def test_updating_changes_only_the_given_fields(figup: Figup, item: str, dataset: Path) -> None:
    before = shown(figup, item)
    dataset.write_text("keywords: [other]\n")
    done = figup.run("item", "update", item, "--metadata", dataset.name, "--title", "Another title").expect(0)
    assert done.stdout == f"Updated item {item}: title, keywords.\n"
    after = shown(figup, item)
    assert (after["title"], after["keywords"]) == ("Another title", ["other"])
    same = ("description", "authors", "categories", "license", "references", "funding", "timeline")
    assert {name: after[name] for name in same} == {name: before[name] for name in same}
    figup.run("item", "update", item).expect(2)


def test_an_existing_author_is_kept(figup: Figup, item: str, dataset: Path) -> None:
    before = shown(figup, item)["authors"]
    dataset.write_text(f"authors: [{{name: John Doe, orcid: {ORCID}}}, Jane Doe, Sandbox Owner]\n")
    figup.run("item", "update", item, "--metadata", dataset.name).expect(0)
    after = shown(figup, item)["authors"]
    assert [one["id"] for one in after[:2]] == [before[1]["id"], before[0]["id"]]


def test_an_orcid_identifies_its_owner(figup: Figup, item: str) -> None:
    before = shown(figup, item)["authors"]
    john = before[1]
    other = figup.run("item", "create", "--title", "Another one").expect(0).stdout.split()[0]
    for where in (item, other):
        refused = figup.run("item", "authors", "add", where, "Anna Bell", f"Max Power {ORCID}").expect(2).stderr
        assert f"Max Power: the ORCID iD {ORCID} belongs to John Doe, author {john['id']} on Figshare" in refused
        assert f"If it is the same person: figup item authors add {where} {john['id']}" in refused
    assert shown(figup, item)["authors"] == before
    assert names(shown(figup, other)) == ["Sandbox Owner"]
    done = figup.run("item", "authors", "add", other, f"Johnny Doe {ORCID}").expect(0)
    assert f"Johnny Doe is John Doe on Figshare (author {john['id']}), by the ORCID iD" in done.stderr
    assert f"John Doe ({john['id']})" in done.stdout
    again = figup.run("item", "authors", "add", other, f"Doe, J. {ORCID}", "--json").expect(0).events[0]
    assert again["recognized"] == [{"given": "J. Doe", "id": john["id"], "full_name": "John Doe"}]
    assert names(again) == ["Sandbox Owner", "John Doe"]
    fresh = "0000-0001-5109-3700"
    figup.run("item", "authors", "add", other, f"Anna Bell {fresh}", f"Max Power {fresh}").expect(2)
    assert names(shown(figup, other)) == ["Sandbox Owner", "John Doe"]
    figup.run("item", "authors", "add", other, f"John Doe {ORCID}").expect(0)


def test_authors_tags_and_categories(figup: Figup, item: str) -> None:
    figup.run("item", "authors", "add", item, f"Max Power {ORCID[:-4]}000X", "Jane Doe").expect(2)
    figup.run("item", "authors", "add", item, "Max Power", "Jane Doe").expect(0)
    forgot = figup.run("item", "authors", "add", item, "Lisa", "Simpson").expect(2).stderr
    assert 'Add 2 authors with names of one word, "Lisa" and "Simpson"?' in forgot
    assert "add --yes" in forgot
    assert figup.run_on_terminal("item", "authors", "add", item, "Lisa", "Simpson", typed="n\n").returncode == 1
    assert figup.run_on_terminal("item", "authors", "add", item, "Lisa", typed="y\n").returncode == 0
    figup.run("item", "authors", "add", item, "Bart", "--yes").expect(0)
    for name in ("Lisa", "Bart"):
        figup.run("item", "authors", "remove", item, name).expect(0)
    assert names(shown(figup, item)) == ["Jane Doe", "John Doe", "Max Power"]
    figup.run("item", "authors", "remove", item, ORCID, "max power").expect(0)
    assert names(shown(figup, item)) == ["Jane Doe"]
    done = figup.run("item", "authors", "remove", item, "Jane Dö").expect(2)
    assert 'Did you mean "Jane Doe"?' in done.stderr
    figup.run("item", "tags", "add", item, "a, b", "telemetry").expect(0)
    figup.run("item", "tags", "remove", item, "beavers").expect(0)
    assert shown(figup, item)["keywords"] == ["telemetry", "a", "b"]
    assert "Tags: telemetry, a, b." in figup.run("item", "tags", "remove", item, "x").expect(2).stderr
    for words in (["c", ""], ["c", " , "]):
        assert "a tag must not be empty" in figup.run("item", "tags", "add", item, *words).expect(2).stderr
    assert "an author needs a name" in figup.run("item", "authors", "add", item, "Ann Bee", " ").expect(2).stderr
    figup.run("item", "tags", "remove", item, "a, b").expect(0)
    assert shown(figup, item)["keywords"] == ["telemetry"]
    assert "Ann Bee" not in names(shown(figup, item))
    figup.run("item", "categories", "add", item, "Data quality", "24418").expect(0)
    figup.run("item", "categories", "remove", item, "animal behaviour").expect(0)
    assert [one["title"] for one in shown(figup, item)["categories"]] == [
        "Animal physiological ecology",
        "Data quality",
    ]
    assert (
        'Did you mean "Data quality"?' in figup.run("item", "categories", "add", item, "Data qualty").expect(2).stderr
    )


def test_a_tag_with_a_comma_in_it_can_be_removed(figup: Figup, item: str, dataset: Path) -> None:
    dataset.write_text("keywords: ['a, b', a]\n")
    figup.run("item", "update", item, "--metadata", dataset.name).expect(0)
    figup.run("item", "tags", "remove", item, "a, b").expect(0)
    assert shown(figup, item)["keywords"] == ["a"]


def test_a_private_link_works_on_its_last_day(sandbox: Sandbox, figup: Figup, item: str) -> None:
    figup.run("item", "private-link", item, "--expires", "2090-01-01").expect(0)
    (link,) = ask(sandbox, f"/account/articles/{item}/private_links")
    assert link["expires_date"] == "2090-01-01T23:59:59"
    refused = figup.run("item", "private-link", item, "--expires", "soon").expect(2).stderr
    assert "'--expires': invalid date 'soon'; use e.g. 2024-05-17" in refused


def test_doi_link_and_embargo_are_idempotent(figup: Figup, item: str) -> None:
    doi = figup.run("item", "reserve-doi", item).expect(0).stdout
    assert doi.startswith("10.")
    assert figup.run("item", "reserve-doi", item).expect(0).stdout == doi
    link = figup.run("item", "private-link", item).expect(0).stdout
    assert link.startswith("http")
    assert figup.run("item", "private-link", item).expect(0).stdout == link
    assert figup.run("item", "private-link", item, "--renew").expect(0).stdout != link
    figup.run("item", "private-link", item, "--remove").expect(0)
    figup.run("item", "embargo", item, "--until", "2090-01-01", "--reason", "Review").expect(0)
    embargo = shown(figup, item)["embargo"]
    assert (embargo["until"][:10], embargo["scope"], embargo["reason"]) == ("2090-01-01", "file", "Review")
    assert (
        "embargo.until: invalid date '2090'" in figup.run("item", "embargo", item, "--until", "2090").expect(2).stderr
    )
    figup.run("item", "embargo", item, "--lift").expect(0)
    assert shown(figup, item)["embargo"] is None
    figup.run("item", "embargo", item).expect(2)


def test_publishing_asks_and_checks_required_fields(figup: Figup, item: str) -> None:
    done = figup.run("item", "publish", item).expect(2)
    assert "Cannot ask for confirmation. In a script, add --yes." in done.stderr
    asked = figup.run_on_terminal("item", "publish", item, typed="n\n")
    assert asked.returncode == 1
    assert not shown(figup, item)["is_public"]
    bare = figup.run("item", "create", "--title", "Bare").expect(0).stdout.split()[0]
    done = figup.run("item", "publish", bare, "--yes").expect(1)
    assert done.stderr == (
        f"figup: item {bare} cannot be published; missing: description, categories, keywords. "
        f"`figup item update {bare} --metadata FILE` adds them.\n"
    )
    done = figup.run("item", "publish", item, "--yes").expect(0)
    assert f"Item {item} is public, version 1." in done.stdout
    assert shown(figup, item)["is_public"]


@pytest.fixture
def quick_reads(figup: Figup) -> None:
    """Let an unchanged item be read again soon."""
    figup.plug = READ_AGAIN_SOON


@pytest.mark.usefixtures("quick_reads")
def test_only_what_changed_is_published_again(figup: Figup, item: str) -> None:
    figup.run("item", "publish", item, "--yes").expect(0)
    again = figup.run("item", "publish", item).expect(0)
    assert f"Item {item} is public, version 1; nothing has changed since." in again.stdout
    assert f"DOI: {shown(figup, item)['doi']}" in again.stdout
    figup.run("item", "update", item, "--title", "Another title").expect(0)
    assert f"Item {item} is public, version 2." in figup.run("item", "publish", item, "--yes").expect(0).stdout


@pytest.mark.usefixtures("quick_reads")
def test_a_killed_command_does_not_publish_an_item_under_embargo_twice(
    figup: Figup, sandbox: Sandbox, item: str
) -> None:
    """Its versions cannot be compared; the request takes effect after the command that sent it is gone."""
    figup.run("item", "embargo", item, "--until", "2090-01-01").expect(0)
    rule = "publish-item:1=late,seconds=2"
    add_faults(sandbox, rule)
    run = figup.start("item", "publish", item, "--yes")
    until(lambda: times_met(sandbox, rule))
    run.kill()
    figup.run("item", "publish", item, "--yes").expect(0)
    assert len(sandbox.requests(kind="publish-item")) == 1
    assert shown(figup, item)["version"] == 1
    assert list((figup.state_dir / "publishing").iterdir()) == []


def test_an_item_with_unfinished_files_is_not_published(figup: Figup, sandbox: Sandbox, item: str) -> None:
    (figup.cwd / "big.bin").write_bytes(os.urandom(3_000_000))
    run = figup.start("upload", "big.bin", "--item", item, "--limit-rate", "100k", "--json")
    run.wait_for_event("file")
    run.kill()
    done = figup.run("item", "publish", item, "--yes").expect(1)
    assert "has 1 unfinished file that would not be published: big.bin (file " in done.stderr
    assert sandbox.requests(kind="publish-item") == []


def test_deleting_asks(figup: Figup, item: str) -> None:
    figup.run("item", "delete", item).expect(2)
    assert figup.run_on_terminal("item", "delete", item, typed="\n").returncode == 1
    shown(figup, item)
    assert figup.run_on_terminal("item", "delete", item, typed="y\n").returncode == 0
    assert "has no item" in figup.run("item", "show", item).expect(4).stderr


def test_files_and_the_thumbnail(figup: Figup, item: str) -> None:
    for name in ("a.csv", "b.csv"):
        (figup.cwd / name).write_text(name)
    figup.run("upload", "a.csv", "b.csv", "--item", item).expect(0)
    listed = sorted(figup.run("item", "files", item, "--json").expect(0).events[:-1], key=lambda event: event["name"])
    assert [(e["name"], e["size"], e["status"]) for e in listed] == [
        ("a.csv", 5, "available"),
        ("b.csv", 5, "available"),
    ]
    assert "upload_url" not in str(listed)
    lines = figup.run("item", "files", item).expect(0).stdout.splitlines()
    assert sorted(line.split()[-1] for line in lines) == ["a.csv", "b.csv"]
    (figup.cwd / "raw").mkdir()
    (figup.cwd / "raw" / "c.csv").write_text("c.csv")
    figup.run("upload", "raw", "--item", item).expect(0)
    with_folder = figup.run("item", "files", item, "--json").expect(0).events[:-1]
    assert sorted((e["folder"], e["name"]) for e in with_folder) == [("", "a.csv"), ("", "b.csv"), ("raw", "c.csv")]
    lines = figup.run("item", "files", item).expect(0).stdout.splitlines()
    assert sorted(line.split()[-1] for line in lines) == ["a.csv", "b.csv", "raw/c.csv"]
    done = figup.run("item", "thumbnail", item, "b.cvs").expect(4)
    assert 'Did you mean "b.csv"?' in done.stderr
    assert f"run `figup item publish {item}` first" in figup.run("item", "thumbnail", item, "b.csv").expect(1).stderr
    figup.run("item", "publish", item, "--yes").expect(0)
    figup.run("item", "thumbnail", item, str(listed[1]["file_id"])).expect(0)
    assert "does not delete published items" in figup.run("item", "delete", item, "--yes").expect(2).stderr


# --- files and pages ------------------------------------------------------------------------------------------------


def test_files_are_removed_by_path_or_id(figup: Figup, item: str) -> None:
    for name in ("a/x.csv", "b/x.csv", "b/z.csv", "y.csv", "z.csv"):
        (figup.cwd / name).parent.mkdir(exist_ok=True)
        (figup.cwd / name).write_text(name)
    figup.run("upload", "a", "b", "y.csv", "z.csv", "--item", item).expect(0)
    stored = {f"{e['folder']}/{e['name']}".lstrip("/"): str(e["file_id"]) for e in listed(figup, item)}
    assert set(stored) == {"a/x.csv", "b/x.csv", "b/z.csv", "y.csv", "z.csv"}
    for name in ("x.csv", "z.csv"):  # run again after the path z.csv is removed, it would remove b/z.csv
        several = figup.run("item", "files", "rm", item, name, "--yes").expect(2).stderr
        assert f"has several files named '{name}'" in several
    assert "Did you mean" in figup.run("item", "files", "rm", item, "y.cvs", "--yes").expect(4).stderr
    asked = figup.run("item", "files", "rm", item, "a/x.csv", stored["y.csv"]).expect(2).stderr
    assert f"Remove 2 files (12 bytes) from item {item}: a/x.csv, y.csv?" in asked
    assert len(listed(figup, item)) == 5
    done = figup.run("item", "files", "rm", item, "a/x.csv", stored["y.csv"], "--yes").expect(0)
    assert done.stdout == f"Removed a/x.csv (file {stored['a/x.csv']}).\nRemoved y.csv (file {stored['y.csv']}).\n"
    assert sorted(event["name"] for event in listed(figup, item)) == ["x.csv", "z.csv", "z.csv"]


def listed(figup: Figup, item: str) -> list[dict[str, Any]]:
    return figup.run("item", "files", item, "--json").expect(0).events[:-1]


def test_the_page_is_opened_in_the_browser(figup: Figup, sandbox: Sandbox, item: str) -> None:
    browser = figup.cwd / "browser"
    browser.write_text('#!/bin/sh\necho "$1" > opened\n')
    browser.chmod(0o755)
    figup.env["BROWSER"] = f"{browser} %s"
    page = ask(sandbox, f"/account/articles/{item}")["figshare_url"]
    assert figup.run("item", "open", item).expect(0).stdout == f"{page}\n"
    assert (figup.cwd / "opened").read_text() == f"{page}\n"
    with urllib.request.urlopen(page) as shown:
        assert b"<title>" in shown.read()
    figup.env["BROWSER"] = "/nowhere %s"
    without = figup.run("item", "open", item).expect(0)
    assert (without.stdout, "no browser was found" in without.stderr) == (f"{page}\n", True)


# --- projects and collections ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["project", "collection"])
def test_one_is_created_also_when_the_answer_is_lost(
    kind: str, bare_figup: Figup, start_sandbox: Callable[..., Sandbox]
) -> None:
    sandbox = start_sandbox("--fault", f"create-{kind}:2=lost-answer")
    bare_figup.env |= {"FIGSHARE_ENDPOINT": sandbox.url, "FIGSHARE_TOKEN": sandbox.token}
    command = (kind, "create", "Beavers", "--description", "All of them")
    made = bare_figup.run(*command).expect(0)
    first, second = made.stdout.strip(), bare_figup.run(*command).expect(0).stdout.strip()
    assert f'created {kind} {first}, "Beavers": http' in made.stderr
    rows = {str(row["id"]): row["title"] for row in ask(sandbox, f"/account/{kind}s?page_size=100")}
    assert rows == {first: "Beavers", second: "Beavers"}
    assert ask(sandbox, f"/account/{kind}s/{first}")["description"] == "All of them"
    assert "3 to 1000 characters" in bare_figup.run(kind, "create", "x").expect(2).stderr
    if kind == "project":
        (bare_figup.cwd / "data.bin").write_bytes(b"data")
        bare_figup.run("upload", "data.bin", "--project", first).expect(0)
