"""CITATION.cff, DataCite JSON and codemeta.json: what is taken from them, and that nothing in them is in the way."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import hypothesis
from hypothesis import strategies as st

from uploader.catalog.metadata.description import gather
from uploader.catalog.metadata.document import Document, parse
from uploader.catalog.metadata.loading import Loaded, found_beside, interpret, kind_of
from uploader.catalog.metadata.model import Author, Funding, Material

TODAY = date(2026, 1, 1)
ORCID = "0000-0002-1825-0097"
CFF = f"""cff-version: 1.2.0
message: Please cite it.
type: software
title: Beaver tools
abstract: Counts *beavers*.
authors:
  - family-names: Rossi
    name-particle: de
    given-names: Maria
    orcid: https://orcid.org/{ORCID}
  - name: The Beaver Group
  - alias: bvr
keywords: [beavers, counting]
license: Apache-2.0
doi: 10.5281/zenodo.1234
repository-code: https://example.org/beavers
preferred-citation:
  type: article
  title: On beavers
  doi: 10.1234/paper
"""
DATACITE = {
    "titles": [{"title": "Biberdaten", "titleType": "TranslatedTitle"}, {"title": "Beaver data"}],
    "creators": [
        {
            "name": "Doe, Jane",
            "givenName": "Jane",
            "familyName": "Doe",
            "nameIdentifiers": [
                {"nameIdentifier": "https://ror.org/1", "nameIdentifierScheme": "ROR"},
                {"nameIdentifier": f"https://orcid.org/{ORCID}", "nameIdentifierScheme": "ORCID"},
            ],
        },
        {"name": "Beaver Group", "nameType": "Organizational"},
    ],
    "descriptions": [
        {"description": "How.", "descriptionType": "Methods"},
        {"description": "<p>What.</p>", "descriptionType": "Abstract"},
    ],
    "subjects": [{"subject": "beavers"}, {"subject": "telemetry"}],
    "rightsList": [{"rights": "Creative Commons", "rightsIdentifier": "cc-by-4.0"}],
    "types": {"resourceTypeGeneral": "Dataset"},
    "relatedIdentifiers": [
        {"relatedIdentifier": "10.1234/paper", "relatedIdentifierType": "DOI", "relationType": "IsSupplementTo"}
    ],
    "fundingReferences": [{"funderName": "DFG", "awardNumber": "123"}],
    "publicationYear": 2024,
}
CODEMETA = {
    "@context": "https://doi.org/10.5063/schema/codemeta-2.0",
    "@type": "SoftwareSourceCode",
    "name": "Beaver tools",
    "description": "Counts.",
    "author": [
        {"@type": "Person", "@id": f"https://orcid.org/{ORCID}", "givenName": "Jane", "familyName": "Doe"},
        {"@type": "Organization", "name": "Beaver Group"},
    ],
    "keywords": "beavers, counting",
    "license": "https://spdx.org/licenses/MIT",
    "codeRepository": "https://example.org/beavers",
    "funder": {"@type": "Organization", "name": "DFG"},
}


def read(name: str, value: Any) -> Loaded:
    data = value if isinstance(value, str) else json.dumps(value)
    return interpret(parse(name, data.encode()), TODAY)


def test_citation_cff() -> None:
    loaded = read("CITATION.cff", CFF)
    said = loaded.metadata
    assert (loaded.kind, said.title, said.type, said.license) == (
        "CITATION.cff",
        "Beaver tools",
        "software",
        "Apache 2.0",
    )
    assert said.description == "<p>Counts <em>beavers</em>.</p>"
    assert said.authors == (
        Author(first_name="Maria", last_name="de Rossi", orcid=ORCID),
        Author(name="The Beaver Group"),
        Author(name="bvr"),
    )
    assert said.keywords == ("beavers", "counting")
    assert said.related_materials == (
        Material("10.5281/zenodo.1234", "DOI"),
        Material("https://example.org/beavers"),
        Material("10.1234/paper", "DOI", title="On beavers"),
    )
    assert said.doi is None
    assert loaded.remarks == ()


def test_datacite_json() -> None:
    for value in (DATACITE, {"data": {"type": "dois", "attributes": DATACITE}}):
        loaded = read("datacite.json", value)
        said = loaded.metadata
        assert (loaded.kind, said.title, said.type, said.license) == (
            "DataCite JSON", "Beaver data", "dataset", "CC BY 4.0",
        )  # fmt: skip
        assert said.description == "<p>What.</p>"
        assert said.authors == (Author(first_name="Jane", last_name="Doe", orcid=ORCID), Author(name="Beaver Group"))
        assert said.keywords == ("beavers", "telemetry")
        assert said.related_materials == (Material("10.1234/paper", "DOI", "IsSupplementTo"),)
        assert said.funding == (Funding(title="DFG, 123"),)


def test_codemeta_json() -> None:
    loaded = read("codemeta.json", CODEMETA)
    said = loaded.metadata
    assert (loaded.kind, said.title, said.type, said.license) == ("codemeta.json", "Beaver tools", "software", "MIT")
    assert said.authors == (Author(first_name="Jane", last_name="Doe", orcid=ORCID), Author(name="Beaver Group"))
    assert said.keywords == ("beavers", "counting")
    assert said.related_materials == (Material("https://example.org/beavers"),)
    assert said.funding == (Funding(title="DFG"),)


def test_a_name_with_a_comma_in_it_is_a_persons_unless_it_is_said_otherwise() -> None:
    person, group = Author(first_name="Elizabeth", last_name="Miller"), Author(name="Beavers, Inc")
    creators = [{"name": "Miller, Elizabeth"}, {"name": "Beavers, Inc", "nameType": "Organizational"}]
    assert read("datacite.json", {**DATACITE, "creators": creators}).metadata.authors == (person, group)
    only_last = [{"name": "Miller, Elizabeth", "familyName": "Miller"}]
    assert read("datacite.json", {**DATACITE, "creators": only_last}).metadata.authors == (person,)
    people = [{"name": "Miller, Elizabeth"}, {"@type": "Organization", "name": "Beavers, Inc"}]
    assert read("codemeta.json", {**CODEMETA, "author": people}).metadata.authors == (person, group)
    assert read("codemeta.json", {**CODEMETA, "author": "Miller, Elizabeth"}).metadata.authors == (person,)
    assert read("CITATION.cff", CFF.replace("The Beaver Group", "Beavers, Inc")).metadata.authors[1] == group
    nicknamed = CFF.replace("  - alias: bvr", "  - alias: bvr\n    family-names: Miller")
    assert read("CITATION.cff", nicknamed).metadata.authors[2] == Author(name="Miller")


def test_what_is_wrong_in_them_is_left_out_and_said() -> None:
    loaded = read("CITATION.cff", CFF.replace(ORCID, ORCID[:-1] + "8").replace("title: Beaver tools", "title: ab"))
    assert loaded.metadata.authors[0] == Author(first_name="Maria", last_name="de Rossi")
    assert loaded.metadata.title is None
    assert [remark.split(":")[1] for remark in loaded.remarks] == [" title", " authors[1].orcid"]
    assert all(remark.endswith("; it is left out") for remark in loaded.remarks)


def test_what_figshare_would_refuse_as_related_is_left_out_and_said() -> None:
    found = "identifiers:\n  - {type: swh, value: 'swh:1:dir:d198bc9d7a6bcf6db04f476d29314f157507d505'}\n"
    loaded = read("CITATION.cff", CFF + found)
    assert [one.identifier for one in loaded.metadata.related_materials] == [
        "10.5281/zenodo.1234",
        "https://example.org/beavers",
        "10.1234/paper",
    ]
    (remark,) = loaded.remarks
    assert "'swh:1:dir:d198bc9d7a6bcf6db04f476d29314f157507d505' is neither a DOI nor a web address" in remark
    wrong = {"relatedIdentifier": "not a url", "relatedIdentifierType": "URL", "relationType": "Cites"}
    loaded = read("datacite.json", {**DATACITE, "relatedIdentifiers": [wrong]})
    assert loaded.metadata.related_materials == ()
    assert "'not a url' is no web address" in loaded.remarks[0]
    loaded = read("codemeta.json", {**CODEMETA, "identifier": "beavers"})
    assert loaded.metadata.related_materials == (Material("https://example.org/beavers"),)
    assert "'beavers' is neither a DOI" in loaded.remarks[0]


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "title", "@id", "value", "subject", "givenName"]), inner, max_size=3)
    ),
    max_leaves=8,
)
KEYS = st.sampled_from(
    [*DATACITE, *CODEMETA, "authors", "license", "keywords", "identifiers", "preferred-citation", "abstract", "title"]
)


@hypothesis.given(
    st.sampled_from([{"cff-version": "1"}, {"@context": "schema.org"}, {"titles": []}]),
    st.dictionaries(KEYS, JUNK, max_size=6),
)
def test_whatever_is_in_them_they_are_in_nobodys_way(mark: dict[str, Any], junk: dict[str, Any]) -> None:
    document = Document("x.json", {**junk, **mark})
    hypothesis.assume(kind_of(document) != "figup")
    assert isinstance(interpret(document, TODAY), Loaded)


def test_options_win_over_the_file_which_wins_over_what_lies_there(tmp_path: Path) -> None:
    (tmp_path / "CITATION.cff").write_text(CFF)
    (tmp_path / "codemeta.json").write_text(json.dumps(CODEMETA))
    mine = tmp_path / "mine.yaml"
    mine.write_text("title: From the file\nkeywords: [mine]\n")
    description = gather(given={"title": "From the option"}, file=mine, beside=[tmp_path], today=TODAY)
    said = description.metadata
    assert (said.title, said.keywords, said.license) == ("From the option", ("mine",), "Apache 2.0")
    assert description.taken() == [
        f"taken from {tmp_path}/CITATION.cff: description, authors, license, type, related materials",
        f"taken from {tmp_path}/codemeta.json: funding",
    ]


def test_beside_a_file_the_title_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "CITATION.cff").write_text(CFF)
    (tmp_path / "data.csv").write_text("x")
    (loaded,) = found_beside([tmp_path / "data.csv", tmp_path / "other.csv"], TODAY)
    assert "title" not in loaded.fields
    assert "authors" in loaded.fields
    (loaded,) = found_beside([tmp_path], TODAY)
    assert "title" in loaded.fields


def test_what_lies_there_and_is_unusable_says_so(tmp_path: Path) -> None:
    (tmp_path / "CITATION.cff").write_text("title: [")
    (tmp_path / "codemeta.json").write_text('{"name": "no context"}')
    broken, other = found_beside([tmp_path], TODAY)
    assert other.remarks == ("codemeta.json: is not in the format of that name; it is not used",)
    assert broken.fields == ()
    assert broken.remarks[0].startswith("CITATION.cff: line 1: is no valid YAML")
    assert broken.remarks[0].endswith("; it is not used")


def test_a_file_that_is_named_is_not_found_once_more(tmp_path: Path) -> None:
    (tmp_path / "CITATION.cff").write_text(CFF)
    description = gather(file=tmp_path / "CITATION.cff", beside=[tmp_path], today=TODAY)
    assert len(description.parts) == 1
    assert description.taken() == []
