"""CITATION.cff, DataCite JSON and codemeta.json: what is imported, and that nothing in them prevents an upload."""

from __future__ import annotations

import json
import re
from datetime import date
from pathlib import Path
from typing import Any, cast

import anyio.to_thread
import hypothesis
import pytest
from hypothesis import strategies as st

from uploader.errors import MetadataInvalid
from uploader.items.service import Lookup
from uploader.metadata.description import load_description
from uploader.metadata.load import Loaded, interpret, kind_of
from uploader.metadata.model import Author, Embargo, Funding, Material
from uploader.metadata.parse import Document, parse
from uploader.metadata.sidecars import load_sidecars

TODAY = date(2026, 1, 1)
ORCID = "0000-0002-1825-0097"
TWO, JANE = "Research; Development Institute", "Jane and Roe, Richard"
WITHOUT_AUTHORS: dict[str, dict[str, Any]] = {
    "CITATION.cff": {"title": "Beavers", "cff-version": "1.2.0"},
    "datacite.json": {"titles": [{"title": "Beavers"}], "types": {"resourceTypeGeneral": "Dataset"}},
    "codemeta.json": {"@context": "https://w3id.org/codemeta/3.0", "@type": "SoftwareSourceCode", "name": "Beavers"},
    ".zenodo.json": {"title": "Beavers"},
}
DATACITE_UNUSED = (
    "datacite.json: not used: titles[].title, creators[].nameIdentifiers[].nameIdentifier, descriptions[].description, "
    "publicationYear"
)
CFF = f"""cff-version: 1.2.0
message: ""
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


@pytest.mark.parametrize(
    ("file", "organization", "person"),
    [
        ("CITATION.cff", {"authors": [{"name": TWO}]}, {"authors": [{"family-names": "Doe", "given-names": JANE}]}),
        (
            "datacite.json",
            {"creators": [{"name": TWO, "nameType": "Organizational"}]},
            {"creators": [{"name": f"Doe, {JANE}", "nameType": "Personal"}]},
        ),
        ("codemeta.json", {"author": [{"@type": "Organization", "name": TWO}]}, {"author": [{"name": f"Doe, {JANE}"}]}),
        (
            ".zenodo.json",
            {"creators": [{"person_or_org": {"type": "organizational", "name": TWO}}]},
            {"creators": [{"name": f"Doe, {JANE}"}]},
        ),
    ],
)
def test_an_organization_is_one_author_but_an_entry_may_have_several_people(
    file: str, organization: dict[str, Any], person: dict[str, Any]
) -> None:
    assert read(file, WITHOUT_AUTHORS[file] | organization).metadata.authors == (Author(name=TWO),)
    assert len(read(file, WITHOUT_AUTHORS[file] | person).metadata.authors) == 2


def test_an_author_with_an_orcid_keeps_it() -> None:
    creator = {"name": TWO, "orcid": ORCID}
    for file, fields in ((".zenodo.json", {"creators": [creator]}), ("CITATION.cff", {"authors": [creator]})):
        assert read(file, WITHOUT_AUTHORS[file] | fields).metadata.authors == (Author(name=TWO, orcid=ORCID),)


def test_the_first_description_of_datacite_with_a_text_is_read() -> None:
    empty = {"descriptionType": "Abstract", "description": " "}
    second = {"descriptionType": "Abstract", "description": "Counts *beavers*.\n\nAnd dams."}
    other = {"descriptionType": "Methods", "description": "Counted."}
    for described, expected in (([other, empty, second], "And dams"), ([empty, other], "Counted")):
        description = read("datacite.json", {**DATACITE, "descriptions": described}).metadata.description
        assert description is not None
        assert expected in description


def test_citation_cff() -> None:
    loaded = read("CITATION.cff", CFF)
    values = loaded.metadata
    assert (loaded.kind, values.title, values.type, values.license) == (
        "CITATION.cff",
        "Beaver tools",
        "software",
        "Apache 2.0",
    )
    assert values.description == "<p>Counts <em>beavers</em>.</p>"
    assert values.authors == (
        Author(first_name="Maria", last_name="de Rossi", orcid=ORCID),
        Author(name="The Beaver Group"),
        Author(name="bvr"),
    )
    assert values.keywords == ("beavers", "counting")
    assert values.related_materials == (
        Material(identifier="10.5281/zenodo.1234", identifier_type="DOI"),
        Material(identifier="https://example.org/beavers"),
        Material(identifier="10.1234/paper", identifier_type="DOI", title="On beavers"),
    )
    assert values.doi is None
    assert loaded.remarks == ()


def test_datacite_json() -> None:
    for value in (DATACITE, {"data": {"type": "dois", "attributes": DATACITE}}):
        loaded = read("datacite.json", value)
        values = loaded.metadata
        assert (loaded.kind, values.title, values.type, values.license) == (
            "DataCite JSON", "Beaver data", "dataset", "CC BY 4.0",
        )  # fmt: skip
        assert values.description == "<p>What.</p>"
        assert values.authors == (Author(first_name="Jane", last_name="Doe", orcid=ORCID), Author(name="Beaver Group"))
        assert values.keywords == ("beavers", "telemetry")
        assert values.related_materials == (
            Material(identifier="10.1234/paper", identifier_type="DOI", relation="IsSupplementTo"),
        )
        assert values.funding == (Funding(title="DFG, 123"),)


def test_codemeta_json() -> None:
    loaded = read("codemeta.json", CODEMETA)
    values = loaded.metadata
    assert (loaded.kind, values.title, values.type, values.license) == (
        "codemeta.json",
        "Beaver tools",
        "software",
        "MIT",
    )
    assert values.authors == (Author(first_name="Jane", last_name="Doe", orcid=ORCID), Author(name="Beaver Group"))
    assert values.keywords == ("beavers", "counting")
    assert values.related_materials == (Material(identifier="https://example.org/beavers"),)
    assert values.funding == (Funding(title="DFG"),)


def test_a_name_with_a_comma_is_split_unless_it_is_an_organizations() -> None:
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


def test_invalid_values_are_ignored_with_a_remark() -> None:
    loaded = read("CITATION.cff", CFF.replace(ORCID, ORCID[:-1] + "8").replace("title: Beaver tools", "title: ab"))
    assert loaded.metadata.authors[0] == Author(first_name="Maria", last_name="de Rossi")
    assert loaded.metadata.title is None
    assert [remark.split(":")[1] for remark in loaded.remarks] == [" title", " authors[1].orcid"]
    assert all(remark.endswith("; ignored") for remark in loaded.remarks)


def test_invalid_related_materials_are_ignored_with_a_remark() -> None:
    found = "identifiers:\n  - {type: swh, value: 'swh:1:dir:d198bc9d7a6bcf6db04f476d29314f157507d505'}\n"
    loaded = read("CITATION.cff", CFF + found)
    assert [one.identifier for one in loaded.metadata.related_materials] == [
        "10.5281/zenodo.1234",
        "https://example.org/beavers",
        "10.1234/paper",
    ]
    (remark,) = loaded.remarks
    assert "unknown kind of identifier 'swh:1:dir:d198bc9d7a6bcf6db04f476d29314f157507d505'" in remark
    wrong = {"relatedIdentifier": "not a url", "relatedIdentifierType": "URL", "relationType": "Cites"}
    loaded = read("datacite.json", {**DATACITE, "relatedIdentifiers": [wrong]})
    assert loaded.metadata.related_materials == ()
    assert "invalid web address 'not a url'" in loaded.remarks[0]
    loaded = read("codemeta.json", {**CODEMETA, "identifier": "beavers"})
    assert loaded.metadata.related_materials == (Material(identifier="https://example.org/beavers"),)
    assert "unknown kind of identifier 'beavers'" in loaded.remarks[0]


@pytest.mark.parametrize(
    ("opening", "until"),
    [
        ("2030-01-01", "2030-01-01"),
        ("2030-01-01T10:00:00Z", "2030-01-01"),
        ("2030-01-01/2031-01-01", "2030-01-01"),
        ("2026-01-01", None),
        ("2025-12", None),
        ("2020", None),
    ],
)
def test_a_future_availability_date_becomes_an_embargo(opening: str, until: str | None) -> None:
    dates = [{"date": "2029-01-01", "dateType": "Accepted"}, {"date": opening, "dateType": "Available"}]
    for loaded in (
        read("datacite.json", {**DATACITE, "dates": dates}),
        read("codemeta.json", {**CODEMETA, "embargoEndDate": opening}),
        read("codemeta.json", {**CODEMETA, "embargoDate": opening}),
    ):
        assert loaded.metadata.embargo == (Embargo(until=until) if until else None)
        assert loaded.rejected == ()
        assert [one for one in loaded.remarks if "not used" not in one] == []


def test_an_imported_embargo_is_reported(tmp_path: Path) -> None:
    (tmp_path / "codemeta.json").write_text(json.dumps({**CODEMETA, "embargoEndDate": "2030-01-01"}))
    (line,) = load_description(sidecars_of=[tmp_path], today=TODAY).provenance()
    assert line.endswith("funding, embargo (until 2030-01-01)")


def access(name: str) -> dict[str, str]:
    return {"rights": name, "rightsUri": f"info:eu-repo/semantics/{name}"}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"dates": [{"date": "2030", "dateType": "Available"}]}, "embargo.until: invalid date '2030'; use e.g."),
        ({"dates": [{"date": "2026-05", "dateType": "Available"}]}, "embargo.until: invalid date '2026-05'"),
        ({"rightsList": [access("embargoedAccess")]}, "embargo: its rights say that access is embargoed"),
        ({"rightsList": [access("closedAccess")]}, "embargo: its rights say that access is closed"),
        (
            {"rightsList": [{"rightsUri": "http://purl.org/coar/access_right/c_16ec"}]},
            "embargo: its rights say that access is restricted",
        ),
        (
            {"rightsList": [access("restrictedAccess")], "dates": [{"date": "2020", "dateType": "Available"}]},
            "embargo: its rights say that access is restricted",
        ),
    ],
)
async def test_restricted_access_without_an_embargo_is_not_published(
    values: dict[str, Any], message: str, tmp_path: Path
) -> None:
    (tmp_path / "datacite.json").write_text(json.dumps({**DATACITE, "fundingReferences": [], **values}))
    description = await anyio.to_thread.run_sync(lambda: load_description(sidecars_of=[tmp_path], today=TODAY))
    (line,) = (line for line in description.provenance() if "ignored" in line)
    assert line.startswith(f"datacite.json: {message}")
    assert line.endswith("; ignored: the files are open to everyone once the item is published")
    with pytest.raises(MetadataInvalid, match=re.escape(message)):
        await description.resolve(NO_LOOKUP, publish=True)
    await description.resolve(NO_LOOKUP, publish=False)
    mine = tmp_path / "mine.yaml"
    await anyio.to_thread.run_sync(mine.write_text, "embargo: 2031-01-01\n")
    decided = await anyio.to_thread.run_sync(lambda: load_description(file=mine, sidecars_of=[tmp_path], today=TODAY))
    assert not any("ignored" in line for line in decided.provenance())
    assert (await decided.resolve(NO_LOOKUP, publish=True)).embargo is not None


NO_LOOKUP = cast(Lookup, None)
"""These descriptions refer to nothing that has to be looked up."""


def test_access_rights_are_not_licences() -> None:
    rights = [access("openAccess"), {"rights": "Embargoed Access"}, {"rightsIdentifier": "cc0-1.0"}]
    dates = [{"date": "2020-01-01", "dateType": "Available"}]
    loaded = read("datacite.json", {**DATACITE, "rightsList": rights, "dates": dates})
    assert (loaded.metadata.license, loaded.rejected) == ("CC0", ())


def test_the_default_type_of_a_citation_is_reported(tmp_path: Path) -> None:
    untyped = CFF.replace("type: software\n", "", 1)
    (tmp_path / "CITATION.cff").write_text(untyped)
    (tmp_path / "data.csv").write_text("x")
    description = load_description(sidecars_of=[tmp_path], today=TODAY)
    assert description.metadata.type == "software"
    reported = "CITATION.cff: has no type; the default of its format is software"
    assert reported in description.provenance()
    assert reported in load_description(file=tmp_path / "CITATION.cff", today=TODAY).provenance()
    assert reported not in load_description(given={"type": "dataset"}, sidecars_of=[tmp_path], today=TODAY).provenance()
    beside = load_description(sidecars_of=[tmp_path / "data.csv"], today=TODAY)
    assert beside.metadata.type is None
    assert reported not in beside.provenance()


def test_an_unknown_relation_is_reported() -> None:
    one = {"relatedIdentifier": "10.1234/paper", "relatedIdentifierType": "DOI", "relationType": "IsTranslationOf"}
    loaded = read("datacite.json", {**DATACITE, "relatedIdentifiers": [one]})
    assert loaded.metadata.related_materials == (
        Material(identifier="10.1234/paper", identifier_type="DOI", relation="References"),
    )
    assert loaded.remarks == (
        "datacite.json: unknown relation 'IsTranslationOf': '10.1234/paper' is related by References instead",
        DATACITE_UNUSED,
    )


def test_an_invalid_licence_is_not_published_as_another(tmp_path: Path) -> None:
    (tmp_path / "codemeta.json").write_text(json.dumps({**CODEMETA, "license": "x" * 501}))
    (left_out,) = load_description(sidecars_of=[tmp_path], today=TODAY).rejected()
    assert left_out.text.startswith("codemeta.json: license: has 501 characters")


def test_alternative_forms_of_lists_are_read() -> None:
    cff = CFF.replace("[beavers, counting]", "[beavers; counting, dams]").replace("alias: bvr", "alias: Null")
    loaded = read("CITATION.cff", cff)
    assert loaded.metadata.keywords == ("beavers", "counting", "dams")
    codemeta = {**CODEMETA, "author": {"@list": ["Doe, Jane and Roe, Max"]}, "keywords": "a; b, c"}
    loaded = read("codemeta.json", {**codemeta, "codeRepository": "git+https://github.com/a/b.git"})
    assert [author.display_name for author in loaded.metadata.authors] == ["Jane Doe", "Max Roe"]
    assert loaded.metadata.keywords == ("a", "b, c")
    assert loaded.metadata.related_materials == (Material(identifier="https://github.com/a/b.git"),)
    loaded = read("codemeta.json", {**CODEMETA, "codeRepository": [], "identifier": "10.1234/a; RRID:SCR_1"})
    assert loaded.metadata.related_materials == (Material(identifier="10.1234/a", identifier_type="DOI"),)
    assert "unknown kind of identifier 'RRID:SCR_1'" in loaded.remarks[0]


def test_names_and_titles_in_the_forms_of_other_writers() -> None:
    author = {"@type": "Person", "givenName": ["Jane", "M."], "familyName": {"@value": "Doe"}}
    loaded = read("codemeta.json", {**CODEMETA, "author": [author]})
    assert [one.display_name for one in loaded.metadata.authors] == ["Jane M. Doe"]
    loaded = read("datacite.json", {**DATACITE, "titles": ["Beavers"], "descriptions": "Positions of beavers."})
    assert (loaded.metadata.title, loaded.metadata.description) == ("Beavers", "<p>Positions of beavers.</p>")


def test_unusable_values_are_reported() -> None:
    cff = CFF.replace("  - alias: bvr", "  - orcid: x").replace("[beavers, counting]", "[beavers, true, {a: b}]")
    loaded = read("CITATION.cff", cff.replace("license: Apache-2.0", "license: [MIT, Apache-2.0]"))
    assert loaded.metadata.license == "MIT"
    assert loaded.remarks == (
        'CITATION.cff: authors[3]: {"orcid": "x"} has no name; ignored',
        "CITATION.cff: keywords[2]: true is not text; ignored",
        'CITATION.cff: keywords[3]: {"a": "b"} is not text; ignored',
        "CITATION.cff: license: Figshare takes one; 'MIT' is used, not 'Apache-2.0'",
    )


def test_contributors_are_not_authors_and_reported() -> None:
    reported = "contributors: 1 ignored; Figshare has authors only"
    assert read("codemeta.json", {**CODEMETA, "contributor": {"name": "Max Roe"}}).remarks == (
        f"codemeta.json: {reported}",
    )
    assert read("datacite.json", {**DATACITE, "contributors": [{"name": "Roe"}]}).remarks == (
        f"datacite.json: {reported}",
        DATACITE_UNUSED,
    )


def test_codemeta_1() -> None:
    people = [
        {"@id": f"https://orcid.org/{ORCID}", "@type": "person", "name": "Jane Doe", "mustBeCited": True},
        {"@type": "organization", "name": "Beavers, Inc", "mustBeCited": True},
        {"@type": "person", "name": "A Helper", "mustBeCited": False},
    ]
    old = {
        "@context": "https://raw.githubusercontent.com/codemeta/codemeta/1.0/codemeta.jsonld",
        "@type": "Code",
        "agents": people,
        "title": "Beaver tools",
        "tags": ["beavers", "counting"],
        "licenseId": "Apache-2.0",
        "codeRepositoryLink": "https://example.org/beavers",
    }
    loaded = read("codemeta.json", old)
    values = loaded.metadata
    assert (loaded.kind, values.title, values.type, values.license) == (
        "codemeta.json", "Beaver tools", "software", "Apache 2.0",
    )  # fmt: skip
    assert values.authors == (Author(name="Jane Doe", orcid=ORCID), Author(name="Beavers, Inc"))
    assert values.keywords == ("beavers", "counting")
    assert values.related_materials == (Material(identifier="https://example.org/beavers"),)
    assert loaded.remarks == ("codemeta.json: not used: agents[].name",)


@pytest.mark.parametrize("authors", ["[{orcid: x}, {email: a@b.org}]", "[Null, '']", "[{given-names: Null}]"])
async def test_the_owner_is_not_published_as_the_author_because_the_others_were_lost(
    authors: str, tmp_path: Path
) -> None:
    (tmp_path / "CITATION.cff").write_text(f"cff-version: 1.2.0\ntitle: Beavers\nauthors: {authors}\n")
    description = await anyio.to_thread.run_sync(lambda: load_description(sidecars_of=[tmp_path], today=TODAY))
    (line,) = (line for line in description.provenance() if "account's owner" in line)
    assert "no author has a name; ignored: the account's owner is the only author of a new item" in line
    with pytest.raises(MetadataInvalid, match="only author of a new item"):
        await description.resolve(NO_LOOKUP, publish=True)
    given = await anyio.to_thread.run_sync(
        lambda: load_description(given={"authors": ["Jane Doe"]}, sidecars_of=[tmp_path], today=TODAY)
    )
    await given.resolve(NO_LOOKUP, publish=True)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("CITATION.cff", "cff-version: 1.2.0\ntitle: Beavers\nauthor: [{family-names: Doe}]\n"),
        ("codemeta.json", {"@context": "https://w3id.org/codemeta/3.0", "name": "Beavers", "authors": ["Jane Doe"]}),
        ("datacite.json", {"data": {"attributes": {"titles": [{"title": "Beavers"}], "creator": "Doe, Jane"}}}),
        (".zenodo.json", {"title": "Beavers", "creator": [{"name": "Doe, Jane"}]}),
    ],
)
def test_authors_under_another_key_are_lost_ones(name: str, content: Any) -> None:
    loaded = read(name, content)
    assert [one.field for one in loaded.rejected] == ["authors"]
    assert f"is not where {loaded.kind} has authors" in loaded.rejected[0].message


def test_authors_of_cited_works_are_no_lost_ones() -> None:
    cited = "{type: article, title: On beavers, authors: [{family-names: Doe}]}"
    cff = f"cff-version: 1.2.0\ntitle: Beavers\npreferred-citation: {cited}\nreferences: [{cited}]\n"
    assert read("CITATION.cff", cff).rejected == ()
    root = {"@id": "./", "@type": "Dataset", "name": "Beavers", "citation": {"@id": "#paper"}}
    paper = {"@id": "#paper", "@type": "Article", "name": "On beavers", "author": "Jane Doe"}
    about = {"@id": "ro-crate-metadata.json", "about": {"@id": "./"}}
    crate = {"@context": "https://w3id.org/ro/crate/1.1/context", "@graph": [about, root, paper]}
    assert read("ro-crate-metadata.json", crate).rejected == ()


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["name", "title", "@id", "value", "subject", "givenName", "about", "@list", "author"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)
KEYS = st.sampled_from(
    [
        *DATACITE,
        *CODEMETA,
        *("@graph", "agents", "tags", "access_right", "grants", "related_identifiers", "upload_type", "metadata"),
        "dates",
        "embargoEndDate",
        "type",
        "authors",
        "license",
        "keywords",
        "identifiers",
        "preferred-citation",
        "abstract",
        "title",
    ]
)


@pytest.mark.search
@hypothesis.given(
    st.sampled_from(
        [
            {"cff-version": "1"},
            {"@context": "schema.org"},
            {"titles": []},
            {"creators": [], "title": "x"},
            {"@context": "https://w3id.org/ro/crate/1.1/context"},
        ]
    ),
    st.dictionaries(KEYS, JUNK, max_size=6),
)
def test_any_content_of_foreign_files_is_tolerated(mark: dict[str, Any], junk: dict[str, Any]) -> None:
    document = Document(source="x.json", value={**junk, **mark})
    hypothesis.assume(kind_of(document) != "figup")
    assert isinstance(interpret(document, TODAY), Loaded)


def test_options_override_the_file_which_overrides_sidecars(tmp_path: Path) -> None:
    (tmp_path / "CITATION.cff").write_text(CFF)
    (tmp_path / "codemeta.json").write_text(json.dumps(CODEMETA))
    mine = tmp_path / "mine.yaml"
    mine.write_text("title: From the file\nkeywords: [mine]\n")
    description = load_description(given={"title": "From the option"}, file=mine, sidecars_of=[tmp_path], today=TODAY)
    values = description.metadata
    assert (values.title, values.keywords, values.license) == ("From the option", ("mine",), "Apache 2.0")
    assert description.provenance() == [
        f"taken from {tmp_path}/CITATION.cff: description, authors, license, type, related materials",
        f"taken from {tmp_path}/codemeta.json: funding",
    ]


def test_beside_a_single_file_the_title_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "CITATION.cff").write_text(CFF)
    (tmp_path / "data.csv").write_text("x")
    (loaded,) = load_sidecars([tmp_path / "data.csv", tmp_path / "other.csv"], TODAY)
    assert "title" not in loaded.fields
    assert "authors" in loaded.fields
    (loaded,) = load_sidecars([tmp_path], TODAY)
    assert "title" in loaded.fields


def test_an_unusable_sidecar_has_a_remark(tmp_path: Path) -> None:
    (tmp_path / "CITATION.cff").write_text("title: [")
    (tmp_path / "codemeta.json").write_text('{"name": "no context"}')
    broken, other = load_sidecars([tmp_path], TODAY)
    assert other.remarks == ("codemeta.json: is not in the format that its name suggests; file not used",)
    assert broken.fields == ()
    assert broken.remarks[0].startswith("CITATION.cff: line 1: invalid YAML")
    assert broken.remarks[0].endswith("; file not used")


def test_a_given_file_is_not_also_a_sidecar(tmp_path: Path) -> None:
    (tmp_path / "CITATION.cff").write_text(CFF)
    description = load_description(file=tmp_path / "CITATION.cff", sidecars_of=[tmp_path], today=TODAY)
    assert len(description.parts) == 1
    assert description.provenance() == []
