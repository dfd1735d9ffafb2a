"""Records as services return them: what is kept, what is left out with a remark, what is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from uploader.errors import MetadataInvalid
from uploader.metadata.model import Timeline
from uploader.records.crossref import html_of_jats
from uploader.records.formats import RecordFile, read_records

TODAY = date(2026, 1, 1)
ORCID = "0000-0002-1825-0097"
Read = Callable[..., RecordFile]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def read(content: Any, mapped: str | None = None, name: str = "records.json") -> RecordFile:
        (tmp_path / name).write_text(content if isinstance(content, str) else json.dumps(content))
        if mapped is not None:
            (tmp_path / "map.yaml").write_text(mapped)
        map_file = tmp_path / "map.yaml" if mapped is not None else None
        return read_records(tmp_path / name, map_file=map_file, today=TODAY)

    return read


WORK = {
    "DOI": "10.1234/ABC", "type": "journal-article", "title": ["A <i>dam</i> &amp; more"], "subtitle": ["Castor"],
    "abstract": "<jats:title>Abstract</jats:title><jats:p>2*3*4 at p &lt; 0.05, <jats:italic>C.</jats:italic></jats:p>",
    "author": [
        {"given": "Jane", "family": "Doe", "ORCID": f"http://orcid.org/{ORCID}", "sequence": "first"},
        {"name": "The Group", "sequence": "additional"},
    ],
    "subject": ["Ecology"], "container-title": ["J"], "reference": [{"key": "1"}],
    "license": [
        {"URL": "https://www.example.org/tdm/1.0/", "content-version": "tdm"},
        {"URL": "http://creativecommons.org/licenses/by/4.0/", "content-version": "vor"},
    ],
    "funder": [{"name": "NSF", "award": ["1", "2"]}],
    "published-online": {"date-parts": [[2020, 5, 7]]}, "published-print": {"date-parts": [[2020]]},
}  # fmt: skip


@pytest.mark.parametrize("wrap", [lambda work: work, lambda work: [work], lambda work: {"message": work},
                                  lambda work: {"message": {"items": [work], "total-results": 1}}])  # fmt: skip
def test_a_work_of_crossref(read: Read, wrap: Callable[[Any], Any]) -> None:
    file = read(wrap(WORK))
    (record,) = file.records
    metadata = record.metadata
    assert (file.kind, file.problems, record.key, record.line) == ("crossref", [], "10.1234/abc", 1)
    assert (record.link, metadata.doi) == ("https://doi.org/10.1234/ABC", "10.1234/ABC")
    assert (metadata.title, metadata.type, metadata.license) == (
        "A dam & more: Castor",
        "journal contribution",
        "CC BY 4.0",
    )
    assert metadata.description == "<p>2*3*4 at p &lt; 0.05, <i>C.</i></p>", "an abstract is no Markdown"
    assert [(one.display_name, one.orcid) for one in metadata.authors] == [("Jane Doe", ORCID), ("The Group", None)]
    assert [one.title for one in metadata.funding] == ["NSF, 1", "NSF, 2"]
    assert metadata.keywords == ("Ecology",)
    assert metadata.timeline == Timeline(first_online="2020-05-07"), "a year is not made into the first of January"
    assert "record 1: published-print is only a year or a month, not a day; left out" in file.remarks
    assert file.unused.items() >= {("container-title", 1), ("reference", 1)}


def test_answers_about_one_work_each_as_json_lines(read: Read) -> None:
    answers = ({"status": "ok", "message-type": "work", "message": {**WORK, "DOI": f"10.1234/{n}"}} for n in range(2))
    file = read("\n".join(map(json.dumps, answers)), name="records.jsonl")
    assert (file.kind, file.problems, [record.key for record in file.records]) == (
        "crossref", [], ["10.1234/0", "10.1234/1"],
    )  # fmt: skip
    assert file.unused["message.reference"] == 2


def test_html_of_an_abstract_is_made_safe(read: Read) -> None:
    file = read([{**WORK, "abstract": "<p>a<script>alert(1)</script><b onclick='x'>b</b></p>"}])
    (record,) = file.records
    assert record.metadata.description == "<p>a<b>b</b></p>"
    assert html_of_jats("<jats:list><jats:list-item>a</jats:list-item></jats:list>") == "<ul><li>a</li></ul>"


def test_mistakes_in_works(read: Read) -> None:
    file = read([WORK, {**WORK, "DOI": "10.1234/abc", "title": []},
                 {"DOI": "doi", "title": ["Abc"], "author": [{"family": "X", "ORCID": "0000-0002-1825-0098"}]},
                 "text"])  # fmt: skip
    assert [one.text for one in file.problems] == [
        "record 2, title: a record needs a title",
        "record 2: 10.1234/abc is in record 1 already",
        "record 3, authors[1].orcid: invalid ORCID iD '0000-0002-1825-0098': wrong check digit",
        "record 3, doi: invalid DOI 'doi'; use e.g. 10.6084/m9.figshare.1407024",
        "record 4: is not an object with the fields of a record",
    ]


def test_publications_of_dimensions(read: Read) -> None:
    publication = {
        "id": "pub.1", "doi": "10.1234/x", "title": "A dam", "abstract": "Plain p < 0.05", "type": "article",
        "authors": [{"first_name": "Jane", "last_name": "Doe", "orcid": [ORCID], "affiliations": [{"id": "g"}]}],
        "date": "2020", "date_online": "2020-03-04", "category_for_2020": [{"id": "1", "name": "3109 Zoology"}],
        "mesh_terms": ["Rodentia"], "concepts": ["dam"], "funders": [{"name": "DFG"}], "journal": {"title": "J"},
    }  # fmt: skip
    file = read(
        {"_stats": {}, "publications": [publication, {"id": "pub.2", "title": "B dam", "linkout": "https://a.b"}]}
    )
    first, second = file.records
    assert (file.kind, file.problems) == ("dimensions", [])
    assert (first.key, second.key, second.link) == ("10.1234/x", "pub.2", "https://a.b")
    assert first.metadata.authors[0].orcid == ORCID
    assert first.metadata.description == "<p>Plain p &lt; 0.05</p>"
    assert (first.metadata.keywords, first.metadata.categories) == (("Rodentia",), (310999,))
    assert first.metadata.timeline == Timeline(first_online="2020-03-04")
    assert (file.unused["journal"], file.unused["concepts"]) == (1, 1)


def test_an_export_of_dimensions(read: Read) -> None:
    file = read(
        '"About the data: Exported on Nov 02, 2021. Criteria: x"\n'
        "Rank,Publication ID,DOI,Title,Publication Date,PubYear,Publication Type,Authors,Funder,Times cited\n"
        '1,pub.1,10.1234/x,A dam,2020-05-01,2020,Article,"Doe, Jane; Rossi, Mario",DFG; NSF,7\n',
        name="export.csv",
    )
    (record,) = file.records
    assert (file.kind, record.key, record.line) == ("dimensions", "10.1234/x", 3)
    assert [one.display_name for one in record.metadata.authors] == ["Jane Doe", "Mario Rossi"]
    assert [one.title for one in record.metadata.funding] == ["DFG", "NSF"]
    assert record.metadata.timeline == Timeline(publisher_publication="2020-05-01")
    assert file.unused == {"Rank": 1, "Times cited": 1}


ATTRIBUTES = {
    "doi": "10.1234/x", "titles": [{"title": "Data"}], "publicationYear": 2020,
    "creators": [{"name": "Doe, Jane", "givenName": "Jane", "familyName": "Doe", "nameIdentifiers": [
        {"nameIdentifier": f"https://orcid.org/{ORCID}", "nameIdentifierScheme": "ORCID"}
    ]}],
    "dates": [{"date": "2030-02-03", "dateType": "Available"}], "types": {"resourceTypeGeneral": "Dataset"},
    "rightsList": [{"rightsUri": "https://creativecommons.org/publicdomain/zero/1.0/legalcode"}],
    "subjects": [{"subject": "beavers"}], "state": "findable",
}  # fmt: skip


@pytest.mark.parametrize("content", [{"data": [{"id": "10.1234/x", "attributes": ATTRIBUTES}]}, [ATTRIBUTES],
                                     ATTRIBUTES,
                                     {"data": {"id": "10.1234/x", "attributes": ATTRIBUTES}}])  # fmt: skip
def test_records_of_datacite(read: Read, content: Any) -> None:
    file = read(content)
    (record,) = file.records
    metadata = record.metadata
    assert (file.kind, file.problems, record.key, record.link) == (
        "datacite",
        [],
        "10.1234/x",
        "https://doi.org/10.1234/x",
    )
    assert (metadata.title, metadata.type, metadata.license, metadata.keywords) == (
        "Data",
        "dataset",
        "CC0",
        ("beavers",),
    )
    assert metadata.authors[0].orcid == ORCID
    assert metadata.embargo is not None
    assert metadata.embargo.until == "2030-02-03"
    assert metadata.timeline is None
    assert any("publicationYear" in remark for remark in file.remarks)
    assert any(name.endswith("state") for name in file.unused)


def test_a_map_says_where_fields_are_in_another_shape(read: Read) -> None:
    mapped = """
records: a.list
title: t
id: n
authors:
  each: people
  first_name: g
  last_name: f
  orcid: ids[0].v
keywords: words[].w
timeline:
  first_online: "{year}-01-01"
link: [url, other]
custom_fields:
  Site: place.name
"""
    entry = {
        "t": "A *dam*", "n": 5, "year": 2020, "other": "https://a.b", "place": {"name": "Ness"}, "x": 1,
        "people": [{"g": "J", "f": "D", "ids": [{"v": ORCID}], "z": 1}], "words": [{"w": "a"}, {"w": "b"}],
    }  # fmt: skip
    file = read({"a": {"list": [entry]}}, mapped)
    (record,) = file.records
    assert (record.key, record.link, file.problems) == ("5", "https://a.b", [])
    assert record.metadata.authors[0].orcid == ORCID
    assert record.metadata.keywords == ("a", "b")
    assert record.metadata.custom_fields == {"Site": "Ness"}
    assert record.metadata.timeline == Timeline(first_online="2020-01-01")
    assert file.unused == {"people[].z": 1, "x": 1}


def test_a_map_replaces_and_removes_fields_of_a_known_format(read: Read) -> None:
    (record,) = read([WORK], "keywords: container-title\nlicense:\n").records
    assert (record.metadata.keywords, record.metadata.license, record.metadata.title) == (
        ("J",),
        None,
        "A dam & more: Castor",
    )


def test_a_map_of_columns(read: Read) -> None:
    (record,) = read(
        'Name,No.,People\nA dam,7,"Doe, Jane; Rossi, Mario"\n',
        "title: Name\nid: No.\nauthors: People\nmetadata_only: '{Name} is on tape'\n",
        "records.csv",
    ).records
    assert (record.key, len(record.metadata.authors), record.metadata.metadata_only) == ("7", 2, "A dam is on tape")


def test_an_invalid_map_has_all_its_problems(read: Read) -> None:
    with pytest.raises(MetadataInvalid) as caught:
        read([WORK], "titel: a\nkeywords: 3\ntags: b\n")
    assert [one.message for one in caught.value.causes] == [
        "map.yaml: line 1, titel: unknown field",
        "map.yaml: line 2, keywords: expected a path; put a number in quotes",
        "map.yaml: line 3, tags: is already mapped",
    ]


def test_no_list_where_the_map_says(read: Read) -> None:
    with pytest.raises(MetadataInvalid, match=r"no list of records at 'a\.b'"):
        read({"a": {}}, "records: a.b\ntitle: t\n")


@pytest.mark.parametrize(
    ("abstract", "expected"),
    [
        ("<jats:sec><jats:title>Aims</jats:title><jats:p>A dam.</jats:p></jats:sec>", "<h4>Aims</h4><p>A dam.</p>"),
        ("<p>A <math><mrow><mi>b</mi><mo>=</mo><mn>2</mn></mrow></math> c</p>", "<p>A b=2 c</p>"),
        ("&lt;jats:p&gt;Dams &amp;amp; &lt;jats:italic&gt;lodges&lt;/jats:italic&gt;&lt;/jats:p&gt;",
         "<p>Dams &amp; <i>lodges</i></p>"),
        ("where &lt;p&gt; is the mean", "<p>where &lt;p&gt; is the mean</p>"),
        (["<p>One.</p>", "<p>Two.</p>"], "<p>One.</p><p>Two.</p>"),
        ([{"text": "no text"}], None),
        (3, None),
    ],
)  # fmt: skip
def test_abstracts_keep_their_text(read: Read, abstract: object, expected: str | None) -> None:
    """Also of elements that HTML does not have, and whose tags were escaped."""
    (found,) = read([{**WORK, "abstract": abstract}]).records
    assert found.metadata.description == expected


def test_titles_without_markup_however_it_is_written(read: Read) -> None:
    titles = [
        "The <i>Castor</i> &amp; p &lt; 0.05",
        "&lt;i&gt;Castor&lt;/i&gt; &amp;amp; sons",
        "Bea\0ver\x07s\u2028<b>x",
    ]
    file = read([{"DOI": f"10.1234/{number}", "title": [title]} for number, title in enumerate(titles)])
    found = [one.metadata.title for one in file.records]
    assert found == ["The Castor & p < 0.05", "Castor & sons", "Beavers x"]


@pytest.mark.search
def test_authors_of_the_same_name_and_many_of_them(read: Read) -> None:
    iri = f"https://orcid.org/{ORCID}"
    wang, carl, ada = ({"given": one, "family": "Wang"} for one in ("Y.", "Carl", "Ada"))
    several = [wang, wang, {**carl, "ORCID": iri}, {**carl, "ORCID": iri}, {**ada, "ORCID": iri}]
    many = [{"given": f"{number}.", "family": "Doe"} for number in range(3000)]
    file = read([{**WORK, "author": several}, {**WORK, "DOI": "10.1234/many", "author": many}])
    assert file.problems == []
    first, second = ([(one.first_name, one.orcid) for one in found.metadata.authors or ()] for found in file.records)
    assert first == [("Y.", None), ("Y.", None), ("Carl", ORCID), ("Ada", None)]
    assert len(second) == 3000
    assert [one for one in file.remarks if "authors" in one] == [
        "record 1: authors: Y. Wang is named twice; both are kept",
        "record 1: authors: Carl Wang is named twice; one is left out",
        "record 1: authors: Ada Wang has the ORCID iD of Carl Wang; left out",
    ]


def test_days_in_parts_may_be_texts_and_a_remark_names_the_field(read: Read) -> None:
    parts = {"published-print": {"date-parts": [["2020", "5", "7"]]}, "accepted": {"date-parts": [[2020, None, "x"]]}}
    subjects = [f"k{number}" for number in range(150)]
    file = read([{**WORK, **parts, "subject": subjects}])
    (found,) = file.records
    assert found.metadata.timeline is not None
    assert found.metadata.timeline.publisher_publication == "2020-05-07"
    assert found.metadata.keywords == tuple(subjects[:100])
    assert file.remarks == [
        "record 1: accepted is only a year or a month, not a day; left out",
        "record 1: keywords: has 150 entries; Figshare allows 100; left out",
    ]
