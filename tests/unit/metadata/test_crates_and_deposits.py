"""RO-Crates and Zenodo's deposits beside the data."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from uploader.errors import MetadataInvalid
from uploader.metadata.load import Loaded, interpret, load
from uploader.metadata.model import Author, Embargo, Funding, Material
from uploader.metadata.parse import parse
from uploader.metadata.sidecars import load_sidecars

TODAY = date(2026, 1, 1)
ORCID = "0000-0002-1825-0097"
DESCRIPTOR = {
    "@id": "ro-crate-metadata.json",
    "@type": "CreativeWork",
    "conformsTo": {"@id": "https://w3id.org/ro/crate/1.1"},
    "about": {"@id": "./"},
}
ROOT = {
    "@id": "./",
    "@type": "Dataset",
    "name": "Beaver data",
    "description": "Positions of *beavers*.",
    "datePublished": "2024-05-17",
    "author": [{"@id": f"https://orcid.org/{ORCID}"}, {"@id": "#max"}, {"@id": "https://ror.org/1"}],
    "keywords": "beavers, telemetry",
    "license": {"@id": "https://creativecommons.org/licenses/by/4.0/"},
    "funding": {"@id": "#grant"},
    "identifier": {"@id": "#doi"},
    "citation": [{"@id": "https://doi.org/10.1234/paper"}],
    "isBasedOn": "https://example.org/older",
    "hasPart": [{"@id": "a.csv"}],
}
ENTITIES = [
    {"@id": f"https://orcid.org/{ORCID}", "@type": "Person", "name": "Jane Doe", "affiliation": {"@id": "#lab"}},
    {
        "@id": "#max",
        "@type": ["Person"],
        "givenName": "Max",
        "familyName": "Roe",
        "identifier": "orcid:0000-0001-5109-3700",
    },
    {"@id": "https://ror.org/1", "@type": "Organization", "name": "Beavers, Inc"},
    {"@id": "https://creativecommons.org/licenses/by/4.0/", "@type": "CreativeWork", "name": "Attribution 4.0"},
    {"@id": "#grant", "@type": "Grant", "identifier": "123", "name": "Dams", "funder": {"@id": "#dfg"}},
    {"@id": "#dfg", "@type": "Organization", "name": "DFG"},
    {"@id": "#doi", "@type": "PropertyValue", "propertyID": "doi", "value": "https://doi.org/10.5281/zenodo.1"},
    {"@id": "https://doi.org/10.1234/paper", "@type": "ScholarlyArticle", "name": "On beavers"},
    {"@id": "a.csv", "@type": "File", "name": "Not the dataset"},
]
DEPOSIT = {
    "title": "Beaver data",
    "description": "<p>Positions of <em>beavers</em>.</p>",
    "upload_type": "publication",
    "publication_type": "conferencepaper",
    "creators": [
        {"name": "Doe, Jane", "affiliation": "Beaver Lab", "orcid": ORCID},
        {"name": "The Beaver Group"},
    ],
    "keywords": ["beavers", "telemetry"],
    "license": {"id": "cc-by-4.0"},
    "access_right": "embargoed",
    "embargo_date": "2030-01-01",
    "related_identifiers": [
        {"identifier": "10.1234/paper", "relation": "isSupplementTo"},
        {"identifier": "https://github.com/a/b", "relation": "isTranslationOf", "scheme": "url"},
    ],
    "grants": [{"id": "10.13039/501100000780::283595"}, {"id": "654021"}, {"id": "10.13039/1::9"}],
    "references": ["https://doi.org/10.1234/other", "Doe J (2020). A book."],
    "contributors": [{"name": "Roe, Max", "type": "Editor"}],
}


def crate(*, descriptor: Any = DESCRIPTOR, root: Any = ROOT, context: str = "1.1") -> dict[str, Any]:
    graph = [*ENTITIES, root, descriptor]
    return {"@context": f"https://w3id.org/ro/crate/{context}/context", "@graph": graph}


def read(name: str, value: Any) -> Loaded:
    return interpret(parse(name, json.dumps(value).encode()), TODAY)


@pytest.mark.parametrize("context", ["1.0", "1.1", "1.2"])
def test_an_ro_crate(context: str) -> None:
    loaded = read("ro-crate-metadata.json", crate(context=context))
    values = loaded.metadata
    assert (loaded.kind, values.title, values.type, values.license) == (
        "RO-Crate",
        "Beaver data",
        "dataset",
        "CC BY 4.0",
    )
    assert values.description == "<p>Positions of <em>beavers</em>.</p>"
    assert values.authors == (
        Author(name="Jane Doe", orcid=ORCID),
        Author(first_name="Max", last_name="Roe", orcid="0000-0001-5109-3700"),
        Author(name="Beavers, Inc"),
    )
    assert values.keywords == ("beavers", "telemetry")
    assert values.funding == (Funding(title="DFG, 123, Dams"),)
    assert values.related_materials == (
        Material(identifier="10.5281/zenodo.1", identifier_type="DOI"),
        Material(identifier="10.1234/paper", identifier_type="DOI", title="On beavers"),
        Material(identifier="https://example.org/older", relation="IsDerivedFrom"),
    )
    assert loaded.remarks == (
        "ro-crate-metadata.json: authors: affiliations ignored; Figshare's authors have none",
        "ro-crate-metadata.json: not used: datePublished, hasPart",
    )


@pytest.mark.parametrize(
    "name", ["./ro-crate-metadata.json", "ro-crate-metadata.jsonld", "beavers-ro-crate-metadata.json"]
)
def test_the_descriptor_names_the_root_dataset(name: str) -> None:
    renamed = {**ROOT, "@id": "https://example.org/crate/", "keywords": ["a", {"@id": "#dfg"}], "license": "MIT"}
    about = {"@id": renamed["@id"]}
    loaded = read("x.json", crate(descriptor={**DESCRIPTOR, "@id": name, "about": about}, root=renamed))
    assert (loaded.metadata.title, loaded.metadata.keywords) == ("Beaver data", ("a", "DFG"))
    assert loaded.metadata.license == "MIT"


@pytest.mark.parametrize(
    ("descriptor", "root", "values"),
    [
        ({"@id": "other"}, ROOT, "@graph: has no entity ro-crate-metadata.json, so that the root dataset is unknown"),
        ({**DESCRIPTOR, "about": {"@id": "nowhere"}}, ROOT, "about: names no entity, so that the root dataset"),
    ],
)
def test_a_crate_without_a_root_is_an_error_that_names_the_key(
    descriptor: Any, root: Any, values: str, tmp_path: Path
) -> None:
    file = tmp_path / "ro-crate-metadata.json"
    file.write_text(json.dumps(crate(descriptor=descriptor, root=root)))
    with pytest.raises(MetadataInvalid) as caught:
        load(file, TODAY)
    assert f"ro-crate-metadata.json: {values}" in caught.value.message
    (found,) = load_sidecars([tmp_path], TODAY)
    assert values in found.remarks[0]


@pytest.mark.parametrize(("name", "wrapped"), [(".zenodo.json", False), ("deposit.json", False), ("d.json", True)])
def test_a_deposit_of_zenodo(name: str, wrapped: bool) -> None:
    loaded = read(name, {"metadata": DEPOSIT} if wrapped else DEPOSIT)
    values = loaded.metadata
    assert (loaded.kind, values.title, values.license) == (".zenodo.json", "Beaver data", "CC BY 4.0")
    assert values.type == "conference contribution"
    assert values.description == "<p>Positions of <em>beavers</em>.</p>"
    assert values.authors == (
        Author(first_name="Jane", last_name="Doe", orcid=ORCID), Author(name="The Beaver Group"),
    )  # fmt: skip
    assert values.keywords == ("beavers", "telemetry")
    assert values.embargo == Embargo(until="2030-01-01")
    assert values.related_materials == (
        Material(identifier="10.1234/paper", identifier_type="DOI", relation="IsSupplementTo"),
        Material(identifier="https://github.com/a/b"),
    )
    assert [grant.title for grant in values.funding] == [
        "European Commission, 283595", "European Commission, 654021", "10.13039/1, 9",
    ]  # fmt: skip
    assert values.references == ("https://doi.org/10.1234/other",)
    output = "\n".join(loaded.remarks)
    for part in ("references[2]", "affiliations", "isTranslationOf", "contributors: 1 ignored"):
        assert part in output


@pytest.mark.parametrize(
    ("access", "message"),
    [
        ({"access_right": "closed"}, "access_right is closed"),
        ({"access_right": "restricted", "access_conditions": "Ask."}, "access_right is restricted"),
        ({"access_right": "embargoed", "embargo_date": ""}, "access_right is embargoed"),
        ({"access_right": "members only"}, "access_right is membersonly"),
    ],
)
def test_a_deposit_that_is_not_open(access: dict[str, str], message: str) -> None:
    (rejected,) = read(".zenodo.json", {**DEPOSIT, **access}).rejected
    assert (rejected.field, rejected.message) == ("embargo", message)


@pytest.mark.parametrize("right", ["open", "Open Access", "info:eu-repo/semantics/openAccess", None])
def test_an_open_deposit(right: str | None) -> None:
    loaded = read(".zenodo.json", {**DEPOSIT, "access_right": right})
    assert loaded.metadata.embargo is None
    assert not loaded.rejected


@pytest.mark.parametrize("kind", ["patent", "other"])
def test_an_unknown_type_of_publication_is_named(kind: str) -> None:
    loaded = read(".zenodo.json", {**DEPOSIT, "publication_type": kind})
    assert loaded.metadata.type == "journal contribution"
    said = f"publication_type: Figshare has no type {kind!r}; 'journal contribution' is used"
    assert f".zenodo.json: {said}" in loaded.remarks


@pytest.mark.parametrize(
    ("access", "until", "reported"),
    [
        ({"record": "public", "files": "public", "embargo": {"active": False}}, None, ()),
        ({"record": "public", "files": "restricted"}, None, ("access_right is restricted",)),
        ({"files": "restricted", "embargo": {"active": True, "until": "2030-01-01"}}, "2030-01-01", ()),
        ({"files": "restricted", "embargo": {"active": True}}, None, ("access_right is embargoed",)),
        ({"record": "public", "files": "hidden"}, None, ("access_right is hidden",)),
        ("restricted", None, ("access_right is restricted",)),
    ],
)
def test_the_access_to_a_record_of_inveniordm(access: object, until: str | None, reported: tuple[str, ...]) -> None:
    loaded = read("record.json", {"metadata": {"title": "Beaver data", "creators": []}, "access": access})
    embargo = loaded.metadata.embargo
    assert (embargo.until if embargo else None) == until
    assert tuple(one.message for one in loaded.rejected) == reported


@pytest.mark.parametrize(
    ("right", "access", "until", "reported"),
    [
        ({"access_right": "closed"}, {"record": "public", "files": "public"}, None, "access_right is closed"),
        ({"access_right": "open"}, {"files": "restricted"}, None, "access_right is restricted"),
        (
            {"access_right": "closed"},
            {"embargo": {"active": True, "until": "2030-01-01"}},
            None,
            "access_right is closed",
        ),
        ({"access_right": "embargoed", "embargo_date": "2030-01-01"}, {"files": "public"}, "2030-01-01", ""),
        ({"access_right": "unknown"}, {"files": "public"}, None, "access_right is unknown"),
    ],
)
def test_the_stricter_of_two_statements_about_access_holds(
    right: dict[str, str], access: object, until: str | None, reported: str
) -> None:
    loaded = read("record.json", {"metadata": {"title": "Beaver data", "creators": [], **right}, "access": access})
    embargo = loaded.metadata.embargo
    assert (embargo.until if embargo else None) == until
    assert "".join(one.message for one in loaded.rejected) == reported


def test_a_workflow_s_authors_are_those_of_its_main_entity() -> None:
    root = {"@id": "./", "@type": "Dataset", "name": "A workflow", "mainEntity": {"@id": "main.nf"}}
    main = {"@id": "main.nf", "creator": {"@id": "#max"}, "keywords": ["a", "b"]}
    loaded = read("x.json", {**crate(root=root), "@graph": [*ENTITIES, root, main, DESCRIPTOR]})
    assert [author.display_name for author in loaded.metadata.authors] == ["Max Roe"]
    assert loaded.metadata.keywords == ("a", "b")
    assert loaded.remarks[0] == "x.json: creator: taken from the main entity, main.nf"


@pytest.mark.parametrize("name", ["ro-crate-metadata.json", "ro-crate-metadata.jsonld"])
def test_a_crate_is_found_under_either_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(json.dumps(crate()))
    (loaded,) = load_sidecars([tmp_path], TODAY)
    assert (loaded.kind, loaded.metadata.title) == ("RO-Crate", "Beaver data")


def test_a_crate_with_many_files_is_read(tmp_path: Path) -> None:
    files = [{"@id": f"data/{number}.csv", "@type": "File", "sha256": "0" * 64} for number in range(12_000)]
    whole = crate()
    (tmp_path / "ro-crate-metadata.json").write_text(json.dumps({**whole, "@graph": [*whole["@graph"], *files]}))
    assert (tmp_path / "ro-crate-metadata.json").stat().st_size > 1 << 20
    (loaded,) = load_sidecars([tmp_path], TODAY)
    assert loaded.metadata.title == "Beaver data"


def test_values_without_equivalent_are_reported() -> None:
    loaded = read(".zenodo.json", {**DEPOSIT, "upload_type": "other", "title": ["x"], "license": ["mit", {"x": 1}]})
    assert (loaded.metadata.title, loaded.metadata.type, loaded.metadata.license) == (None, None, "MIT")
    output = "\n".join(loaded.remarks)
    for part in (
        "upload_type: Figshare has no type 'other'",
        'title: ["x"] is not text',
        'license[2]: {"x": 1} is not',
    ):
        assert part in output


def test_a_deposit_with_creators_alone_is_one_by_its_name(tmp_path: Path) -> None:
    (tmp_path / ".zenodo.json").write_text(json.dumps({"creators": [{"name": "Jane Doe", "orcid": ORCID}]}))
    (tmp_path / "ro-crate-metadata.json").write_text(json.dumps(crate(root={**ROOT, "author": []})))
    found = load_sidecars([tmp_path], TODAY)
    assert [one.kind for one in found] == ["RO-Crate", ".zenodo.json"], "in order of precedence"
    assert found[1].metadata.authors == (Author(name="Jane Doe", orcid=ORCID),)


def test_creators_of_a_deposit_in_all_spellings() -> None:
    creators = [
        {"person_or_org": {"type": "personal", "given_name": "Jane", "family_name": "Doe",
                           "identifiers": [{"scheme": "orcid", "identifier": ORCID}]}},
        {"name": "Doe, Max and Roe, Éva"},
        {"name": "Doe, Jr., Jane"},
        {"name": "Ann Lee; The Beaver Group"},
    ]  # fmt: skip
    text = json.dumps({"title": "Beavers", "creators": creators})
    found = interpret(parse(".zenodo.json", text.encode()), TODAY)
    assert found.metadata.authors == (
        Author(first_name="Jane", last_name="Doe", orcid=ORCID),
        Author(first_name="Max", last_name="Doe"),
        Author(first_name="Éva", last_name="Roe"),
        Author(first_name="Jr., Jane", last_name="Doe"),
        Author(name="Ann Lee"),
        Author(name="The Beaver Group"),
    )
    assert any("authors[2]: read as 2 authors" in one for one in found.remarks)
