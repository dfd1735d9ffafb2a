"""How `figup upload` describes its item, and the final steps: once, and only when everything is verified."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import Figup
from tests.support.control import add_faults, drop_faults
from tests.support.hurry import READ_AGAIN_SOON
from tests.support.invariants import ask, check_exactly_once, items, md5_of
from tests.support.sandbox import Sandbox

DESCRIPTION = """\
title: Beavers of the north
description: We *tracked* beavers.
authors: [Jane Doe]
categories: [animal behaviour]
keywords: [beavers]
license: MIT
"""
ENDS = ("--publish", "--reserve-doi", "--private-link")
CFF = "cff-version: 1.2.0\ntitle: Beaver tools\nauthors: [{name: A B}]\nkeywords: [c]\nlicense: Beerware\n"


@pytest.fixture
def sandbox(start_sandbox: Callable[..., Sandbox]) -> Sandbox:
    return start_sandbox("--control", "--put", "wipe", "--md5-delay", "0", "--checking-delay", "0")


@pytest.fixture
def data(figup: Figup) -> Path:
    """A folder with a source and its description in it."""
    (figup.cwd / "dataset.yaml").write_text(DESCRIPTION)
    path = figup.cwd / "data.bin"
    path.write_bytes(os.urandom(50_000))
    return path


def upload(figup: Figup, *args: str, status: int = 0) -> dict[str, Any]:
    """The summary of an upload of data.bin that ends with this status."""
    done = figup.run("upload", "data.bin", *args, "--json", "--api-rate", "1000", "--settle-timeout", "1s")
    return done.expect(status).summary


def the_item(sandbox: Sandbox) -> dict[str, Any]:
    (row,) = items(sandbox)
    item: dict[str, Any] = ask(sandbox, f"/account/articles/{row['id']}")
    return item


def kinds(sandbox: Sandbox, since: int = 0) -> list[str]:
    return [request["kind"] for request in sandbox.requests()[since:]]


def said(item: dict[str, Any]) -> tuple[Any, ...]:
    names = [author["full_name"] for author in item["authors"]]
    return item["title"], item["description"], names, item["tags"], item["license"]["name"]


AS_WRITTEN = ("Beavers of the north", "<p>We <em>tracked</em> beavers.</p>", ["Jane Doe"], ["beavers"], "MIT")


def test_the_item_is_created_with_its_metadata(figup: Figup, sandbox: Sandbox, data: Path) -> None:
    summary = upload(figup, "--metadata", "dataset.yaml")
    assert said(the_item(sandbox)) == AS_WRITTEN
    assert kinds(sandbox).count("update-item") == 1, "the mark in the title is removed, and nothing else is set"
    assert (summary["doi"], summary["private_link"], summary["published"]) == (None, None, None)
    check_exactly_once(sandbox, data)
    before = len(sandbox.requests())
    upload(figup, "--metadata", "dataset.yaml")
    assert kinds(sandbox, before) == ["list-files", "get-item"]


def test_the_title_option_takes_precedence(figup: Figup, sandbox: Sandbox, data: Path) -> None:
    upload(figup, "--metadata", "dataset.yaml", "--title", "Another title")
    assert said(the_item(sandbox)) == ("Another title", *AS_WRITTEN[1:])


def test_nothing_is_created_with_invalid_metadata(figup: Figup, sandbox: Sandbox, data: Path) -> None:
    (figup.cwd / "dataset.yaml").write_text(DESCRIPTION.replace("animal behaviour", "animal behavior"))
    done = figup.run("upload", "data.bin", "--metadata", "dataset.yaml").expect(2)
    assert "unknown category 'animal behavior'. Did you mean \"Animal behaviour\", " in done.stderr
    figup.run("upload", "data.bin", "--metadata", "dataset.yaml", "--dry-run").expect(2)
    assert {request["method"] for request in sandbox.requests()} == {"GET"}
    assert figup.run("jobs", "--json").expect(0).events[:-1] == []


def test_a_missing_project_is_found_first(figup: Figup, sandbox: Sandbox, data: Path) -> None:
    for more in ((), ("--dry-run",), ("--dry-run", "--json")):
        done = figup.run("upload", "data.bin", "--project", "77", *more).expect(4)
        assert "figup: Figshare has no project 77, or this account may not see it: Project not found." in done.stderr
    assert done.events[0]["code"] == "project-missing"
    assert {request["method"] for request in sandbox.requests()} == {"GET"}
    assert figup.run("jobs", "--json").expect(0).events[:-1] == []


def test_a_project_is_checked_once(figup: Figup, sandbox: Sandbox, data: Path) -> None:
    project = ask(sandbox, "/account/projects", {"title": "A project"})["entity_id"]
    figup.run("upload", "data.bin", "--project", str(project), "--dry-run").expect(0)
    before = len(sandbox.requests())
    upload(figup, "--project", str(project))
    assert kinds(sandbox, before).count("get-project") == 1
    before = len(sandbox.requests())
    upload(figup, "--project", str(project))
    assert kinds(sandbox, before) == ["list-files", "get-item"]


def test_a_missing_mandatory_custom_field_is_found_before_the_first_byte(
    bare_figup: Figup, start_sandbox: Callable[..., Sandbox]
) -> None:
    sandbox = start_sandbox("--institution")
    bare_figup.env |= {"FIGSHARE_ENDPOINT": sandbox.url, "FIGSHARE_TOKEN": sandbox.token}
    (bare_figup.cwd / "data.bin").write_bytes(b"data")
    (bare_figup.cwd / "dataset.yaml").write_text(DESCRIPTION + "group: Library\n")
    for more in ((), ("--dry-run",)):
        done = bare_figup.run("upload", "data.bin", "--metadata", "dataset.yaml", "--publish", *more).expect(2)
        assert "figup: Figshare does not publish an item without Shelfmark." in done.stderr
    assert {request["method"] for request in sandbox.requests()} == {"GET"}
    (bare_figup.cwd / "dataset.yaml").write_text(DESCRIPTION + "group: Library\ncustom_fields: {shelfmark: QL 737}\n")
    assert upload(bare_figup, "--metadata", "dataset.yaml", "--publish")["published"] == "public"


def test_changed_metadata_is_applied_by_the_same_job(figup: Figup, sandbox: Sandbox, data: Path) -> None:
    first = upload(figup, "--metadata", "dataset.yaml")
    (figup.cwd / "dataset.yaml").write_text(DESCRIPTION.replace("MIT", "CC0"))
    again = upload(figup, "--metadata", "dataset.yaml")
    assert (again["job"], again["item_id"], again["bytes_sent"]) == (first["job"], first["item_id"], 0)
    assert said(the_item(sandbox))[-1] == "CC0"


@pytest.mark.parametrize("fault", ["503", "lost-answer", "reset", "html", "429"])
def test_no_fault_creates_duplicates_or_omits_a_step(fault: str, figup: Figup, sandbox: Sandbox, data: Path) -> None:
    (figup.cwd / "dataset.yaml").write_text(DESCRIPTION + "embargo: {until: 2090-01-01}\n")
    requests = (
        "list-categories", "create-item", "list-item-authors", "replace-item-authors", "update-embargo",
        "reserve-item-doi", "list-item-links", "create-item-link", "publish-item",
    )  # fmt: skip
    # A web page as the first response is assumed to be from another server, and ends the command.
    met = [kind for kind in requests if fault != "html" or kind != "list-categories"]
    add_faults(sandbox, *(f"{kind}={fault}" for kind in met))
    summary = upload(figup, "--metadata", "dataset.yaml", *ENDS)
    item = the_item(sandbox)
    assert said(item) == AS_WRITTEN
    assert (item["version"], item["doi"], item["is_embargoed"]) == (1, summary["doi"], True)
    (link,) = ask(sandbox, f"/account/articles/{item['id']}/private_links")
    assert summary["private_link"] == link["html_location"]
    check_exactly_once(sandbox, data)
    assert set(requests) <= set(kinds(sandbox))


@pytest.mark.parametrize(
    "fault",
    ["create-item=lost-answer", "replace-item-authors=503", "replace-item-authors=lost-answer", "get-item=reset"],
)
def test_metadata_is_applied_under_faults(fault: str, figup: Figup, sandbox: Sandbox, data: Path) -> None:
    add_faults(sandbox, fault)
    upload(figup, "--metadata", "dataset.yaml")
    assert said(the_item(sandbox)) == AS_WRITTEN


def test_rejected_metadata_is_fixed_in_the_same_job(figup: Figup, sandbox: Sandbox, data: Path) -> None:
    add_faults(sandbox, "replace-item-authors:every=422")
    upload(figup, "--metadata", "dataset.yaml", status=1)
    drop_faults(sandbox)
    upload(figup, "--metadata", "dataset.yaml")
    assert said(the_item(sandbox)) == AS_WRITTEN
    check_exactly_once(sandbox, data)


# --- the end ------------------------------------------------------------------------------------------------------


def test_final_steps_are_done_once(figup: Figup, sandbox: Sandbox, data: Path) -> None:
    first = upload(figup, "--metadata", "dataset.yaml", *ENDS)
    item = the_item(sandbox)
    assert (item["is_public"], item["version"], first["published"]) == (True, 1, "public")
    assert first["doi"] == item["doi"]
    assert first["public_url"] == item["url_public_html"]
    assert first["private_link"].startswith("http")
    before = len(sandbox.requests())
    again = upload(figup, "--metadata", "dataset.yaml", *ENDS)
    assert {name: again[name] for name in ("doi", "public_url", "private_link", "published")} == {
        name: first[name] for name in ("doi", "public_url", "private_link", "published")
    }
    assert kinds(sandbox, before) == ["list-files", "get-item", "list-item-links"], "the link still works"
    assert the_item(sandbox)["version"] == 1


def test_the_summary_names_the_final_steps(figup: Figup, sandbox: Sandbox, data: Path) -> None:
    done = figup.run("upload", "data.bin", "--metadata", "dataset.yaml", *ENDS).expect(0)
    assert f"DOI: {the_item(sandbox)['doi']}\nPrivate link: http" in done.stdout
    assert f"\nPublished: {the_item(sandbox)['url_public_html']}\n" in done.stdout
    (figup.cwd / "dataset.yaml").write_text(DESCRIPTION.replace("MIT", "CC0"))
    done = figup.run("upload", "data.bin", "--metadata", "dataset.yaml", *ENDS).expect(0)
    assert "has been published; changes made since are only in its draft. `figup item publish" in done.stderr
    assert the_item(sandbox)["version"] == 1


def test_publishing_reports_the_doi_and_the_public_page(figup: Figup, sandbox: Sandbox, data: Path) -> None:
    figup.plug = READ_AGAIN_SOON
    done = figup.run("upload", "data.bin", "--metadata", "dataset.yaml", "--publish").expect(0)
    item = the_item(sandbox)
    assert item["doi"]
    assert f"DOI: {item['doi']}\nPublished: {item['url_public_html']}\n" in done.stdout
    summary = figup.run("status", "--json").expect(0).summary
    assert (summary["doi"], summary["public_url"]) == (item["doi"], item["url_public_html"])
    again = figup.run("item", "publish", str(item["id"]), "--yes", "--json").expect(0).summary
    assert (again["doi"], again["public_url"], again["published"]) == (item["doi"], item["url_public_html"], "public")


def test_a_job_whose_journal_was_cut_off_does_not_publish_again(figup: Figup, sandbox: Sandbox, data: Path) -> None:
    figup.plug = READ_AGAIN_SOON
    command = ("data.bin", "--metadata", "dataset.yaml", "--publish")
    figup.run("upload", *command).expect(0)
    (journal,) = figup.state_dir.glob("jobs/*/journal")
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[: len(lines) // 2]))
    done = figup.run("upload", *command, "--json").expect(0).summary
    assert (the_item(sandbox)["version"], done["published"]) == (1, "public")


def test_files_added_to_a_published_item_are_in_its_draft(figup: Figup, sandbox: Sandbox, data: Path) -> None:
    upload(figup, "--metadata", "dataset.yaml", "--publish")
    item = str(the_item(sandbox)["id"])
    (figup.cwd / "more.bin").write_bytes(b"more")
    sent = figup.run("upload", "more.bin", "--item", item).expect(0).stderr
    assert (
        f"item {item} has been published; changes made since are only in its draft. `figup item publish {item}`" in sent
    )
    again = figup.run("upload", "more.bin", "--item", item).expect(0).stderr
    assert "draft" not in again, "nothing was sent"


def public_files(sandbox: Sandbox) -> dict[str, str]:
    """Return the item's public files: name → MD5."""
    rows = ask(sandbox, f"/articles/{the_item(sandbox)['id']}/files?page_size=100")
    return {row["name"]: row["computed_md5"] for row in rows}


@pytest.fixture
def folder(figup: Figup, data: Path) -> Path:
    """A folder with the source; its description is beside it."""
    path = figup.cwd / "data"
    path.mkdir()
    return data.rename(path / "data.bin").parent


def publish(figup: Figup, *args: str, status: int = 0) -> dict[str, Any]:
    """The summary of an upload of that folder with `--publish`."""
    words = ("upload", "data", "--metadata", "dataset.yaml", *args, "--api-rate", "1000", "--settle-timeout", "1s")
    return figup.run(*words, "--json").expect(status).summary


def test_later_changes_are_published_as_a_new_version(figup: Figup, sandbox: Sandbox, folder: Path) -> None:
    publish(figup, "--publish")
    (folder / "later.txt").write_text("later")
    assert publish(figup, "--publish")["published"] == "public"
    assert the_item(sandbox)["version"] == 2
    assert public_files(sandbox) == {path.name: md5_of(path) for path in folder.iterdir()}
    (folder / "later.txt").write_text("later still")
    publish(figup, "--publish", status=5)
    assert the_item(sandbox)["version"] == 2
    publish(figup, "--publish", "--restart-changed")
    assert public_files(sandbox) == {path.name: md5_of(path) for path in folder.iterdir()}
    before = len(sandbox.requests())
    assert publish(figup, "--publish")["published"] == "public"
    assert kinds(sandbox, before) == ["list-files", "get-item"]
    assert the_item(sandbox)["version"] == 3


def test_dropped_or_unfinished_files_create_no_version(figup: Figup, sandbox: Sandbox, folder: Path) -> None:
    (folder / "other.txt").write_text("other")
    publish(figup, "--publish")
    (folder / "other.txt").unlink()
    publish(figup, "--publish")
    (folder / "empty.txt").write_text("")
    assert publish(figup, "--publish", status=1)["published"] is None, "not with all its files"
    (folder / "empty.txt").unlink()
    assert publish(figup, "--publish", status=1)["published"] is None, "it was never sent, and is gone"
    assert publish(figup, "--publish", "--forget-missing")["published"] == "public"
    assert the_item(sandbox)["version"] == 1


def test_unpublished_additions_are_reported_as_draft_only(figup: Figup, sandbox: Sandbox, folder: Path) -> None:
    publish(figup, "--publish")
    (folder / "later.txt").write_text("later")
    done = figup.run("upload", "data", "--metadata", "dataset.yaml").expect(0)
    assert "has been published; changes made since are only in its draft. `figup item publish" in done.stderr
    assert "It is published" not in done.stdout
    assert publish(figup)["published"] is None
    assert the_item(sandbox)["version"] == 1
    assert publish(figup, "--publish")["published"] == "public"
    assert set(public_files(sandbox)) == {"data.bin", "later.txt"}


def test_republished_metadata_causes_no_warning(figup: Figup, sandbox: Sandbox, folder: Path) -> None:
    publish(figup, "--publish")
    (folder / "later.txt").write_text("later")
    (figup.cwd / "dataset.yaml").write_text(DESCRIPTION.replace("MIT", "CC0"))
    done = figup.run("upload", "data", "--metadata", "dataset.yaml", "--publish").expect(0)
    assert "was published before" not in done.stderr
    assert the_item(sandbox)["version"] == 2
    assert ask(sandbox, f"/articles/{the_item(sandbox)['id']}")["license"]["name"] == "CC0"


def test_nothing_is_published_without_a_current_request(figup: Figup, sandbox: Sandbox, data: Path) -> None:
    add_faults(sandbox, "publish-item:every=400")
    done = figup.run("upload", "data.bin", "--metadata", "dataset.yaml", "--publish").expect(1)
    assert (
        "every file is verified, but publishing the item failed: item 30000001: 127.0.0.1 answered 400" in done.stderr
    )
    assert figup.run("jobs", "--json").expect(0).events[0]["state"] == "interrupted"
    assert "publishing the item failed" in figup.run("resume").expect(1).stderr
    drop_faults(sandbox)
    upload(figup, "--metadata", "dataset.yaml")
    assert figup.run("jobs", "--json").expect(0).events[0]["state"] == "done"
    assert not the_item(sandbox)["is_public"]
    upload(figup, "--metadata", "dataset.yaml", "--publish")
    assert the_item(sandbox)["version"] == 1


def test_resuming_performs_the_requested_final_steps(figup: Figup, sandbox: Sandbox, data: Path) -> None:
    add_faults(sandbox, "put-part:every=400")
    job = upload(figup, "--metadata", "dataset.yaml", "--publish", status=1)["job"]
    assert not the_item(sandbox)["is_public"]
    assert "publish-item" not in kinds(sandbox)
    drop_faults(sandbox)
    done = figup.run("resume", job, "--json").expect(0)
    assert done.summary["published"] == "public"
    assert said(the_item(sandbox)) == AS_WRITTEN


def test_nothing_unverified_is_published(figup: Figup, sandbox: Sandbox, data: Path) -> None:
    add_faults(sandbox, "complete:every=wrong-md5")
    summary = upload(figup, "--metadata", "dataset.yaml", "--publish", "--verify-timeout", "5s", status=5)
    assert summary["published"] is None
    assert "publish-item" not in kinds(sandbox)


def test_a_lost_publish_response_creates_no_second_version(figup: Figup, sandbox: Sandbox, data: Path) -> None:
    add_faults(sandbox, "publish-item=lost-answer")
    assert upload(figup, "--metadata", "dataset.yaml", "--publish")["published"] == "public"
    assert the_item(sandbox)["version"] == 1


def test_an_unpublishable_item_is_reported_before_the_first_byte(figup: Figup, sandbox: Sandbox, data: Path) -> None:
    done = figup.run("upload", "data.bin", "--publish").expect(2)
    assert "Figshare does not publish an item without description, categories, keywords" in done.stderr
    item = figup.run("item", "create", "--title", "Bare").expect(0).stdout.split()[0]
    done = figup.run("upload", "data.bin", "--item", item, "--publish").expect(2)
    assert "Figshare does not publish an item without description, categories, keywords" in done.stderr
    figup.run("upload", "data.bin", "--item", item, "--metadata", "dataset.yaml").expect(2)
    figup.run("upload", "data.bin", "--item", item, "--update-metadata").expect(2)
    assert "initiate" not in kinds(sandbox)
    figup.run("upload", "data.bin", "--publish", "--dry-run").expect(2)
    upload(figup, "--item", item, "--metadata", "dataset.yaml", "--update-metadata", "--publish")
    assert said(the_item(sandbox)) == AS_WRITTEN
    assert the_item(sandbox)["is_public"]


def test_a_dry_run_lists_all_final_steps(figup: Figup, sandbox: Sandbox, data: Path) -> None:
    (figup.cwd / "dataset.yaml").write_text(DESCRIPTION + "embargo: {until: 2090-01-01}\n")
    project = str(ask(sandbox, "/account/projects", {"title": "A project"})["entity_id"])
    words = ("upload", "data.bin", "--metadata", "dataset.yaml", "--project", project)
    output = figup.run(*words, *ENDS, "--dry-run").expect(0).stdout
    assert f"a new item 'Beavers of the north' in project {project} at " in output
    assert (
        "Metadata that would be set: description, keywords, categories, license, authors, embargo\n"
        "Its files would be under embargo, until 2090-01-01.\n"
        "After verification, a DOI would be reserved and a private link would be created.\n"
        "After verification the item WOULD BE PUBLISHED; a public item cannot be deleted.\n"
        "Nothing was sent"
    ) in output
    plan = figup.run(*words, "--publish", "--dry-run", "--json").expect(0).events[0]
    assert plan["says"] == ["description", "keywords", "categories", "license", "authors", "embargo"]
    assert plan["embargo"] == {"until": "2090-01-01", "scope": "file"}
    ends = {name: plan[name] for name in ("project", "reserve_doi", "private_link", "publish", "published_before")}
    assert ends == {
        "project": int(project),
        "reserve_doi": False,
        "private_link": False,
        "publish": True,
        "published_before": False,
    }
    bare = figup.run("upload", "data.bin", "--dry-run").expect(0).stdout
    assert not any(word in bare for word in ("would be", "WOULD BE"))
    del figup.env["FIGSHARE_TOKEN"]
    blind = figup.run(*words, "--publish", "--dry-run").expect(0).stdout
    assert "Metadata would be applied; names in it cannot be resolved without a token." in blind
    assert "the item WOULD BE PUBLISHED" in blind
    assert items(sandbox) == []


def test_a_dry_run_omits_final_steps_already_done(figup: Figup, sandbox: Sandbox, folder: Path) -> None:
    publish(figup, *ENDS)
    words = ("upload", "data", "--metadata", "dataset.yaml", *ENDS, "--dry-run")
    output = figup.run(*words).expect(0).stdout
    assert "\nThis job has already published these files; there would be no new version.\n" in output
    assert "would be told" not in output
    assert "When all is verified" not in output
    (folder / "later.txt").write_text("later")
    output = figup.run(*words).expect(0).stdout
    assert "After verification the item WOULD BE PUBLISHED" in output
    assert "a DOI" not in output


def test_the_library_performs_the_same_final_steps(figup: Figup, sandbox: Sandbox, data: Path) -> None:
    program = figup.cwd / "program.py"
    program.write_text(
        "import uploader\n"
        'wanted = uploader.ItemOptions(metadata=uploader.describe("dataset.yaml"), publish=True)\n'
        'print(uploader.upload("data.bin", title="From a program", item_options=wanted).published)\n'
    )
    env = {**figup.env, "PYTHONPATH": str(Path(__file__).parents[2])}
    run = [sys.executable, "-W", "error", str(program)]
    done = subprocess.run(run, env=env, cwd=figup.cwd, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("public\n", "")
    assert said(the_item(sandbox)) == ("From a program", *AS_WRITTEN[1:])


# --- where it goes, and for whom ----------------------------------------------------------------------------------


def test_an_item_in_a_project(figup: Figup, sandbox: Sandbox, data: Path) -> None:
    project = int(ask(sandbox, "/account/projects", {"title": "A project"})["entity_id"])
    add_faults(sandbox, "create-project-item=lost-answer")
    upload(figup, "--metadata", "dataset.yaml", "--project", str(project))
    assert said(the_item(sandbox)) == AS_WRITTEN
    assert [one["id"] for one in ask(sandbox, f"/account/projects/{project}/articles")] == [the_item(sandbox)["id"]]
    figup.run("upload", "data.bin", "--item", "5", "--project", str(project)).expect(2)


def test_items_in_a_collection(figup: Figup, sandbox: Sandbox, data: Path) -> None:
    collection = str(ask(sandbox, "/account/collections", {"title": "A collection"})["entity_id"])
    ids = [figup.run("item", "create", "--title", f"Item {n}").expect(0).stdout.split()[0] for n in range(2)]
    add_faults(sandbox, "add-collection-items=lost-answer")
    done = figup.run("collection", "add", collection, *ids).expect(0)
    assert done.stdout == f"Collection {collection} has 2 new items.\n"
    done = figup.run("collection", "add", collection, *ids).expect(0)
    assert done.stdout == f"Collection {collection} has 0 new items; 2 items were already in it.\n"
    figup.run("collection", "remove", collection, ids[0], "5").expect(0)
    assert [str(one["id"]) for one in ask(sandbox, f"/account/collections/{collection}/articles")] == ids[1:]
    assert "no collection 999" in figup.run("collection", "add", "999", ids[0]).expect(4).stderr


def test_an_item_that_a_collection_cannot_have_is_named(figup: Figup, sandbox: Sandbox) -> None:
    collection = str(ask(sandbox, "/account/collections", {"title": "A collection"})["entity_id"])
    mine = figup.run("item", "create", "--title", "Mine").expect(0).stdout.split()[0]
    done = figup.run("collection", "add", collection, mine, "9999").expect(4)
    assert done.stderr.startswith(
        f"figup: item 9999 for collection {collection} not found, or not visible to this account. "
    )
    done = figup.run("collection", "add", collection, "9998", mine, "9999").expect(4)
    assert f"items 9998, 9999 for collection {collection} not found, or not visible to this account" in done.stderr
    figup.run("collection", "add", collection, mine).expect(0)


@pytest.mark.parametrize(
    ("more", "status", "words"),
    [
        (["--institution"], 4, "Figshare has no account 77777 that this token can impersonate"),
        (["--control"], 3, "this token may not impersonate account 77777"),
    ],
)
def test_impersonating_a_missing_or_foreign_account(
    more: list[str], status: int, words: str, figup: Figup, sandbox: Sandbox, data: Path
) -> None:
    sandbox.restart(*more)
    for command in (
        "upload data.bin",
        "upload data.bin --dry-run",
        "item show 30000001",
        "item create --title Title",
        "verify 30000001 data.bin",
        "auth status",
    ):
        said = figup.run(*command.split(), "--impersonate", "77777").expect(status).stderr
        assert words in said
        assert "Without --impersonate you act for yourself." in said
        assert not any(wrong in said for wrong in ("new token", "--endpoint", "no item"))


def test_impersonation(figup: Figup, sandbox: Sandbox, data: Path) -> None:
    sandbox.restart("--institution")
    accounts = ask(sandbox, "/account/institution/accounts")
    mine = ask(sandbox, "/account")["id"]
    other = next(account["id"] for account in accounts if account["id"] != mine)
    done = figup.run("upload", "data.bin", "--impersonate", str(other), "--json").expect(0)
    assert items(sandbox) == []
    theirs = ask(sandbox, f"/account/articles?impersonate={other}")
    assert [one["id"] for one in theirs] == [done.summary["item_id"]]
    refused = figup.run("resume", done.summary["job"]).expect(2)
    assert f"acts for account {other}. Add --impersonate {other}." in refused.stderr
    figup.run("upload", "data.bin", "--impersonate", str(other)).expect(0)
    assert len(ask(sandbox, f"/account/articles?impersonate={other}")) == 1


# --- what lies with the data --------------------------------------------------------------------------------------


def test_sidecar_files_are_used_and_reported(figup: Figup, sandbox: Sandbox, data: Path) -> None:
    folder = figup.cwd / "repo"
    folder.mkdir()
    data.rename(folder / "data.bin")
    (folder / "CITATION.cff").write_text(CFF)
    done = figup.run("upload", "repo").expect(0)
    assert "figup: taken from repo/CITATION.cff: title, authors, keywords, type\n" in done.stderr
    assert "figup: CITATION.cff: has no type; the default of its format is software\n" in done.stderr
    assert "figup: CITATION.cff: license: unknown licence 'Beerware'. Available: CC BY 4.0, " in done.stderr
    assert ". Ignored: a new item gets Figshare's default licence, CC BY 4.0\n" in done.stderr
    item = the_item(sandbox)
    assert said(item)[0::2] == ("Beaver tools", ["A B"], "CC BY 4.0")
    figup.run("upload", "repo", "--no-found-metadata").expect(0)
    assert {row["title"] for row in items(sandbox)} == {"Beaver tools", "repo"}


def publishable_repo(figup: Figup, data: Path, license: str) -> None:
    """A folder whose metadata files have everything required for publishing except categories."""
    folder = figup.cwd / "repo"
    folder.mkdir()
    data.rename(folder / "data.bin")
    (folder / "CITATION.cff").write_text(CFF.replace("Beerware", license) + "abstract: Tools for beavers.\n")
    (figup.cwd / "mine.yaml").write_text("categories: [animal behaviour]\n")


def test_nothing_is_published_under_another_licence_than_the_data_has(
    figup: Figup, sandbox: Sandbox, data: Path
) -> None:
    publishable_repo(figup, data, "CC-BY-NC-4.0")
    command = ("upload", "repo", "--metadata", "mine.yaml", "--api-rate", "1000", "--settle-timeout", "1s")
    for more in ((), ("--dry-run",)):
        done = figup.run(*command, "--publish", *more).expect(2)
        assert "CITATION.cff: license: unknown licence 'CC-BY-NC-4.0'; without it, a new item gets" in done.stderr
        assert 'Did you mean "CC BY 4.0"' in done.stderr
    assert items(sandbox) == []
    drafted = figup.run(*command, "--json").expect(0).events
    left_out = next(event for event in drafted if event["event"] == "left-out")
    assert (left_out["path"], left_out["field"]) == ("repo/CITATION.cff", "license")
    # Metadata that is sufficient for a draft is checked again before publishing.
    figup.run(*command, "--publish").expect(2)
    assert not the_item(sandbox)["is_public"]
    (figup.cwd / "mine.yaml").write_text("categories: [animal behaviour]\nlicense: MIT\n")
    figup.run(*command, "--publish").expect(0)
    item = the_item(sandbox)
    assert (item["is_public"], item["license"]["name"]) == (True, "MIT")


def test_an_embargo_in_a_sidecar_file_is_kept(figup: Figup, sandbox: Sandbox, data: Path) -> None:
    publishable_repo(figup, data, "MIT")
    available = {"titles": [{"title": "Beaver tools"}], "dates": [{"date": "2090-01-01", "dateType": "Available"}]}
    (figup.cwd / "repo/datacite.json").write_text(json.dumps(available))
    done = figup.run("upload", "repo", "--metadata", "mine.yaml", "--publish", "--settle-timeout", "1s").expect(0)
    assert "figup: taken from repo/datacite.json: title, embargo (until 2090-01-01)\n" in done.stderr
    item = the_item(sandbox)
    assert (item["is_embargoed"], item["embargo_date"][:10], item["embargo_type"]) == (True, "2090-01-01", "file")


def test_a_sidecar_file_does_not_rename_a_single_file(figup: Figup, sandbox: Sandbox, data: Path) -> None:
    (figup.cwd / "CITATION.cff").write_text(CFF)
    events = figup.run("upload", "data.bin", "--json").expect(0).events
    found = next(event for event in events if event["event"] == "described")
    assert (found["format"], found["fields"]) == ("CITATION.cff", ["authors", "keywords", "license"])
    assert said(the_item(sandbox))[0::2] == ("data.bin", ["A B"], "CC BY 4.0")


def test_printed_addresses_and_dois_are_accepted_as_ids(figup: Figup, data: Path) -> None:
    made = upload(figup, "data.bin", "--title", "Described", "--reserve-doi")
    assert made["doi"]
    (data.parent / "more.bin").write_bytes(b"more")
    for address in (made["item_url"], made["doi"], f"https://doi.org/{made['doi']}"):
        assert figup.run("item", "show", address, "--json").expect(0).summary["item_id"] == made["item_id"]
        figup.run("verify", address, "data.bin").expect(0)
    jobs = {upload(figup, "more.bin", "--item", one)["job"] for one in (str(made["item_id"]), made["item_url"])}
    assert len(jobs) == 1, "the same command"
