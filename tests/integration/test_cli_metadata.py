"""`figup metadata`: a valid template, and every problem reported with its line, with or without an account."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.command import Figup
from tests.support.invariants import ask
from tests.support.sandbox import Sandbox

ORCID = "0000-0002-1825-0097"


def write(figup: Figup, text: str, name: str = "dataset.yaml") -> Path:
    path = figup.cwd / name
    path.write_text(text)
    return path


def test_the_template_is_valid_and_not_overwritten(bare_figup: Figup) -> None:
    printed = bare_figup.run("metadata", "template").expect(0).stdout
    bare_figup.run("metadata", "template", "--output", "dataset.yaml").expect(0)
    assert (bare_figup.cwd / "dataset.yaml").read_text() == printed
    again = bare_figup.run("metadata", "template", "--output", "dataset.yaml").expect(2)
    assert again.stderr == "figup: dataset.yaml already exists and is not overwritten\n"
    done = bare_figup.run("metadata", "check", "dataset.yaml").expect(0)
    assert done.stdout == (
        "dataset.yaml is valid. Fields: license, type.\n"
        "Required to publish: title, description, categories, keywords.\n"
    )
    events = bare_figup.run("metadata", "template", "--json").expect(0).events
    assert events[0]["text"].startswith("# The description of an item")


def test_every_problem_is_a_line_and_an_event(bare_figup: Figup) -> None:
    write(bare_figup, f"title: ab\ncatgories: [x]\nauthors:\n  - {{name: Jane, orcid: {ORCID[:-1]}8}}\n")
    done = bare_figup.run("metadata", "check", "dataset.yaml").expect(2)
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        "figup: dataset.yaml: line 1, title: has 2 characters; Figshare allows 3 to 1000",
        'figup: dataset.yaml: line 2, catgories: unknown field. Did you mean "categories"?',
        f"figup: dataset.yaml: line 4, authors[1].orcid: invalid ORCID iD '{ORCID[:-1]}8': wrong check digit",
        "figup: dataset.yaml: 3 problems; nothing was done. `figup metadata template` documents every field.",
    ]
    result = bare_figup.run("metadata", "check", "dataset.yaml", "--json").expect(2)
    assert [(e["event"], e["code"], e["field"], e["line"], e["path"]) for e in result.events[:-1]] == [
        ("error", "metadata", "title", 1, "dataset.yaml"),
        ("error", "metadata", "catgories", 2, "dataset.yaml"),
        ("error", "metadata", "authors[1].orcid", 4, "dataset.yaml"),
        ("error", "metadata", "", None, "dataset.yaml"),
    ]
    assert result.summary["exit_status"] == 2


def test_files_that_cannot_be_read(bare_figup: Figup) -> None:
    write(bare_figup, "title: A\n\tkeywords: b\n")
    done = bare_figup.run("metadata", "check", "dataset.yaml").expect(2)
    assert done.stderr == "figup: dataset.yaml: line 2: contains a tab; indent YAML with spaces\n"
    assert "metadata file not found" in bare_figup.run("metadata", "check", "absent.yaml").expect(4).stderr
    assert "is a folder, not a file" in bare_figup.run("metadata", "check", ".").expect(4).stderr


def test_a_descriptions_length_and_removed_elements_are_reported(bare_figup: Figup) -> None:
    write(bare_figup, "title: Abc\ndescription: |\n  A *map*.\n\n  ![map](map.png)\n")
    done = bare_figup.run("metadata", "check", "dataset.yaml").expect(0)
    assert "\nThe description has 29 characters as HTML; Figshare allows 20000.\n" in done.stdout
    assert done.stderr == (
        "figup: dataset.yaml: line 2, description: removed what a description cannot contain: 1 image\n"
    )
    checked = bare_figup.run("metadata", "check", "dataset.yaml", "--json").expect(0).events[0]
    assert (checked["description_length"], checked["description_limit"]) == (29, 20000)


@pytest.mark.parametrize("text", ["", "# only a note\n", "title:\nkeywords: []\ndescription: ''\n"])
def test_an_empty_metadata_file_is_invalid(bare_figup: Figup, text: str) -> None:
    write(bare_figup, text)
    done = bare_figup.run("metadata", "check", "dataset.yaml").expect(2)
    assert done.stdout == ""
    assert done.stderr == (
        "figup: dataset.yaml: contains no metadata. `figup metadata template` documents every field.\n"
    )


def test_other_formats_are_understood(bare_figup: Figup) -> None:
    write(bare_figup, "cff-version: 1.2.0\ntitle: Tools\nauthors: [{name: A}]\nkeywords: [x]\n", "CITATION.cff")
    done = bare_figup.run("metadata", "check", "CITATION.cff").expect(0)
    assert "CITATION.cff is valid. Fields: title, authors, keywords, type." in done.stdout


def test_names_are_looked_up_with_online(figup: Figup, sandbox: Sandbox) -> None:
    write(figup, "title: Abc\nlicence: Beerware\ncategories:\n  - Animal behaviour\n  - Data qualty\n")
    figup.run("metadata", "check", "dataset.yaml").expect(0)
    assert sandbox.requests() == []
    done = figup.run("metadata", "check", "dataset.yaml", "--online").expect(2)
    assert [line for line in done.stderr.splitlines() if "unknown" in line] == [
        "figup: dataset.yaml: line 2, licence: unknown licence 'Beerware'. Available: CC BY 4.0, CC0, MIT, GPL, "
        "GPL 2.0+, GPL 3.0+, Apache 2.0.",
        "figup: dataset.yaml: line 5, categories[2]: unknown category 'Data qualty'. Did you mean \"Data quality\"?",
    ]
    assert {request["method"] for request in sandbox.requests()} == {"GET"}


def test_custom_fields_authors_and_grants_are_looked_up(
    bare_figup: Figup, start_sandbox: Callable[..., Sandbox]
) -> None:
    figup, sandbox = bare_figup, start_sandbox("--institution")
    figup.env |= {"FIGSHARE_ENDPOINT": sandbox.url, "FIGSHARE_TOKEN": sandbox.token}
    text = (
        "title: Abc\ngroup: Library\nauthors:\n  - Jane Doe\n  - id: 99\ncustom_fields:\n  Sight: x\n"
        "  Site: [north, Loch Nes]\n  Recorded on: 17.5.2024\nfunding:\n  - Open data in the humanities\n  - id: 7\n"
    )
    write(figup, text)
    figup.run("metadata", "check", "dataset.yaml").expect(0)
    assert sandbox.requests() == []
    done = figup.run("metadata", "check", "dataset.yaml", "--online").expect(2)
    assert done.stderr.splitlines()[:-1] == [
        "figup: dataset.yaml: line 5, authors[2].id: unknown author 99. The id is in the address of the author's page.",
        "figup: dataset.yaml: line 7, custom_fields.Sight: unknown custom field 'Sight'. Did you mean \"Site\"?",
        "figup: dataset.yaml: line 8, custom_fields.Site[2]: unknown value 'Loch Nes'. Did you mean \"Loch Ness\"?",
        "figup: dataset.yaml: line 9, custom_fields.Recorded on: invalid date '17.5.2024'; use e.g. 2024-05-17",
    ]
    write(figup, text.replace("  - id: 99\n", "").replace("Sight: x", "shelf mark: ''").replace("Nes]", "Ness]")
          .replace("17.5.2024", "2024-05-17"))  # fmt: skip
    right = figup.run("metadata", "check", "dataset.yaml", "--online").expect(0)
    assert right.stdout.endswith("Required to publish: description, categories, keywords, Shelfmark.\n")
    assert right.stderr.splitlines() == [
        "figup: dataset.yaml: line 10, funding[1]: 'Open data in the humanities' is matched to grant 3000003",
        "figup: dataset.yaml: line 11, funding[2].id: grant 7 is not found by search; "
        "Figshare checks it when it is sent",
    ]
    assert "create-item" not in {request["kind"] for request in sandbox.requests()}


def test_an_account_without_institution_has_no_custom_fields(figup: Figup, sandbox: Sandbox) -> None:
    write(figup, "title: Abc\ncustom_fields:\n  Site: North\n")
    done = figup.run("metadata", "check", "dataset.yaml", "--online").expect(2)
    assert done.stderr == (
        "figup: dataset.yaml: line 3, custom_fields.Site: unknown custom field 'Site'; "
        "this account and group have none\n"
    )
    assert [request["kind"] for request in sandbox.requests()] == ["get-account"]


def test_categories_are_found_by_word(figup: Figup) -> None:
    done = figup.run("metadata", "categories", "quality").expect(0)
    path = "Information and computing sciences > Data management and data science > Data quality"
    (line,) = (line for line in done.stdout.splitlines() if line.endswith(path))
    assert line.split()[0] == "28939"
    found = figup.run("metadata", "categories", "--json").expect(0)
    assert all(event["is_selectable"] for event in found.events[:-1])
    assert len(found.events) > 1967
    assert "no category contains" in figup.run("metadata", "categories", "xyzzy").expect(0).stderr


def test_metadata_beside_the_data_describe_the_item(figup: Figup, sandbox: Sandbox) -> None:
    (figup.cwd / "set").mkdir()
    write(figup, "x", "set/a.csv")
    deposit = {"title": "From Zenodo", "creators": [{"name": "Doe, Jane", "affiliation": "Lab"}], "keywords": ["dams"]}
    root = {"@id": "./", "@type": "Dataset", "name": "From the crate", "keywords": "beavers; lakes"}
    about = {"@id": "ro-crate-metadata.json", "about": {"@id": "./"}}
    crate = {"@context": "https://w3id.org/ro/crate/1.1/context", "@graph": [about, root]}
    write(figup, json.dumps(deposit), "set/.zenodo.json")
    write(figup, json.dumps(crate), "set/ro-crate-metadata.json")
    done = figup.run("upload", "set", "--api-rate", "1000", "--json").expect(0)
    item = ask(sandbox, f"/account/articles/{done.summary['item_id']}")
    assert (item["title"], item["tags"], item["defined_type_name"]) == (
        "From the crate",
        ["beavers", "lakes"],
        "dataset",
    )
    assert [author["full_name"] for author in item["authors"]] == ["Jane Doe"]
    result = figup.run("metadata", "check", "set/.zenodo.json").expect(0)
    assert "affiliations ignored" in result.stdout + result.stderr
    write(figup, json.dumps({**crate, "@graph": [root]}), "set/ro-crate-metadata.json")
    wrong = figup.run("metadata", "check", "set/ro-crate-metadata.json").expect(2)
    assert "ro-crate-metadata.json: @graph: has no entity ro-crate-metadata.json" in wrong.stderr
