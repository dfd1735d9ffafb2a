"""Every value of a foreign metadata file that does not reach Figshare is named, with its file and key."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
import yaml

from uploader.metadata.importers.tracking import mark_read, tracked, unread_keys
from uploader.metadata.load import interpret
from uploader.metadata.parse import parse

TODAY = date(2026, 1, 1)
CFF = """\
cff-version: 1.2.0
message: Please cite it.
title: Beaver tools
version: 2.1.0
date-released: 2024-05-01
commit: 1ff847d81f29c45a3a1a5ce73d38e45c2f319bba
authors:
  - {family-names: Doe, given-names: Jane, email: jane@example.org, website: https://example.org/jane}
contact:
  - {family-names: Doe, given-names: Jane}
identifiers:
  - {type: other, description: An entry without its value}
  - {type: doi, value: 10.5281/zenodo.1234, description: The concept}
references:
  - {type: article, title: On beavers, doi: 10.1234/paper}
preferred-citation: {type: article, title: On beavers, doi: 10.1234/paper, journal: Castor, year: 2024}
"""
CODEMETA = {
    "@context": "https://w3id.org/codemeta/3.0", "@type": "SoftwareSourceCodeX", "name": "Beaver tools",
    "author": [{"@type": "Person", "givenName": "Jane", "familyName": "Doe", "email": "jane@example.org"}],
    "version": "2.1.0", "programmingLanguage": ["Python", {"name": "R"}], "issueTracker": "https://example.org/issues",
    "softwareRequirements": [], "dateModified": None,
}  # fmt: skip
DATACITE: dict[str, Any] = {
    "data": {
        "id": "10.5072/a", "type": "dois",
        "attributes": {
            "titles": [{"title": "Beaver data", "lang": "en"}], "creators": [{"name": "Doe, Jane"}],
            "publisher": "University of Nowhere", "publicationYear": 2024, "version": "1.0",
            "relatedIdentifiers": [{"relatedIdentifierType": "DOI", "relationType": "Cites"}],
            "geoLocations": [{"geoLocationPlace": "Nowhere"}], "sizes": [],
        },
    }
}  # fmt: skip
ZENODO = {
    "title": "Beaver data", "creators": [{"name": "Doe, Jane", "gnd": "1234"}], "upload_type": "dataset",
    "communities": [{"identifier": "beavers"}], "version": "1.0", "language": "eng", "notes": "Handle with care.",
}  # fmt: skip
CRATE = {
    "@context": "https://w3id.org/ro/crate/1.1/context",
    "@graph": [
        {"@id": "ro-crate-metadata.json", "@type": "CreativeWork", "about": {"@id": "./"}},
        {
            "@id": "./", "@type": "Dataset", "name": "Beaver data", "author": {"@id": "#jane"},
            "temporalCoverage": "2024", "hasPart": [{"@id": "a.csv"}],
        },
        {"@id": "#jane", "@type": "Person", "name": "Jane Doe", "email": "jane@example.org"},
        {"@id": "a.csv", "@type": "File", "encodingFormat": "text/csv"},
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content", "keys"),
    [
        (
            "CITATION.cff",
            CFF,
            "message, version, date-released, commit, authors[].email, authors[].website, contact, "
            "identifiers[].description, references, preferred-citation.journal, preferred-citation.year",
        ),
        (
            "codemeta.json",
            CODEMETA,
            "author[].email, version, programmingLanguage, issueTracker",
        ),
        (
            "datacite.json",
            DATACITE,
            "data.id, data.attributes.titles[].lang, data.attributes.publisher, data.attributes.publicationYear, "
            "data.attributes.version, data.attributes.relatedIdentifiers[].relatedIdentifierType, "
            "data.attributes.relatedIdentifiers[].relationType, data.attributes.geoLocations",
        ),
        (".zenodo.json", ZENODO, "creators[].gnd, communities, version, language, notes"),
        ("ro-crate-metadata.json", CRATE, "temporalCoverage, hasPart, email"),
    ],
)
def test_values_without_a_place_on_figshare_are_named(name: str, content: object, keys: str) -> None:
    text = content if isinstance(content, str) else json.dumps(content)
    loaded = interpret(parse(name, text.encode()), TODAY)
    assert loaded.metadata.title is not None
    assert loaded.remarks[-1] == f"{name}: not used: {keys}"


def test_an_unknown_type_is_named() -> None:
    loaded = interpret(parse("codemeta.json", json.dumps(CODEMETA).encode()), TODAY)
    assert "codemeta.json: @type: Figshare has no type 'SoftwareSourceCodeX'; ignored" in loaded.remarks


@pytest.mark.parametrize(
    ("field", "value", "remark"),
    [
        ("titles", ["One", "Two", {"title": "Three"}], 'titles: "Two" ignored; Figshare takes one'),
        ("descriptions", ["One", "Two"], 'descriptions: "Two" ignored; Figshare takes one'),
        ("types", "Beaver", "types: Figshare has no type 'Beaver'; ignored"),
    ],
)
def test_a_text_where_datacite_has_an_object_is_used_or_named(field: str, value: object, remark: str) -> None:
    content = {"titles": [{"title": "Beaver data"}], "creators": [{"name": "Doe, Jane"}], field: value}
    assert f"datacite.json: {remark}" in interpret(parse("datacite.json", json.dumps(content).encode()), TODAY).remarks


def test_codemeta_s_agents_beside_its_authors_are_named() -> None:
    content = {**CODEMETA, "agents": ["Max Roe"]}
    loaded = interpret(parse("codemeta.json", json.dumps(content).encode()), TODAY)
    assert "agents" in loaded.remarks[-1].split(", ")


@pytest.mark.parametrize("empty", [None, "", [], {}], ids=["null", "text", "list", "object"])
def test_empty_values_are_not_a_loss(empty: object) -> None:
    assert unread_keys(tracked({"a": empty})) == []


def test_what_was_asked_for_or_remarked_upon_is_not_named() -> None:
    document: Any = tracked({"a": {"b": 1, "c": [{"d": 2}, {"d": 3}]}, "e": 4, "f": {"g": {"h": 5}}})
    document.get("a").get("b")
    mark_read([document["f"]])
    assert unread_keys(document) == ["a.c", "e"]
    document["a"]["c"][0]["d"]
    assert unread_keys(document) == ["a.c[].d", "e"]


DOCUMENTS: dict[str, Any] = {
    "CITATION.cff": {**yaml.safe_load(CFF), "license": "MIT", "abstract": "A tool", "keywords": ["beavers"]},
    "codemeta.json": {**CODEMETA, "keywords": ["a"], "license": "MIT", "description": "A tool", "funder": "NSF"},
    "datacite.json": {**DATACITE["data"]["attributes"], "subjects": [{"subject": "beavers"}], "rightsList": ["MIT"]},
    ".zenodo.json": {**ZENODO, "keywords": ["beavers"], "license": "MIT", "grants": [{"id": "777541"}]},
    "ro-crate-metadata.json": CRATE,
}

UNNAMED = ("cff-version", "type", "relatedIdentifierType", "relationType", "encodingFormat")
"""Keys whose values say how another is written, or are those of a file in a crate."""


def _paths(value: Any, place: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, inner in steps:
        yield (*place, step)
        yield from _paths(inner, (*place, step))


def _replaced(document: Any, place: tuple[str | int, ...], value: object) -> Any:
    if not place:
        return value
    changed = document.copy()
    changed[place[0]] = _replaced(document[place[0]], place[1:], value)
    return changed


@pytest.mark.parametrize("odd", ["Quagga", ["Quagga"], {"zebra": "Quagga"}, {"@value": "Quagga"}], ids=str)
@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_value_in_an_unexpected_form_is_used_or_named(name: str, odd: object) -> None:
    lost = []
    for place in _paths(DOCUMENTS[name]):
        key = next(step for step in reversed(place) if isinstance(step, str))
        nested = isinstance(odd, list) and not isinstance(place[-1], str)
        if nested or key.startswith("@") or key in UNNAMED:
            continue
        text = json.dumps(_replaced(DOCUMENTS[name], place, odd), default=str)
        loaded = interpret(parse(name, text.encode()), TODAY)
        reported = ", ".join((*loaded.remarks, *loaded.unverified, *(one.text for one in loaded.rejected)))
        key = "description" if key == "abstract" else key
        names = {re.sub(r"\W", "", one) for one in re.split(r", |: ", reported)}
        above = {re.sub(r"\W", "", ".".join(map(str, place[:length]))) for length in range(len(place))}
        if "Quagga" not in f"{loaded.metadata} {reported}" and key not in reported and not above & names:
            lost.append(place)
    assert lost == []
