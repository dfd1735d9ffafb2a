"""figup's own metadata files: accepted values of each field, and problems with their locations."""

from __future__ import annotations

import json
from datetime import date
from importlib import resources
from typing import Any

import pytest

from uploader.errors import MetadataInvalid
from uploader.metadata import vocabulary
from uploader.metadata.load import interpret
from uploader.metadata.markdown import to_html
from uploader.metadata.model import Author, Embargo, Funding, Material, Metadata, Timeline
from uploader.metadata.parse import parse
from uploader.metadata.schema import ALIASES, FIELDS

TODAY = date(2026, 1, 1)
ORCID = "0000-0002-1825-0097"


def read(text: str) -> Metadata:
    return interpret(parse("a.yaml", text.encode()), TODAY).metadata


def problems(text: str) -> list[tuple[str, int | None, str, str | None]]:
    """(field, line, message, hint) of each."""
    with pytest.raises(MetadataInvalid) as caught:
        read(text)
    errors = caught.value.causes or (caught.value,)
    found = [error for error in errors if isinstance(error, MetadataInvalid)]
    return [(error.field, error.line, error.message.split(": ", 2)[-1], error.hint) for error in found]


def one_problem(text: str) -> tuple[str, int | None, str, str | None]:
    (found,) = problems(text)
    return found


def test_every_field() -> None:
    assert read(f"""
title: Beavers
description: A *good* one.
authors: [Jane Doe, "Doe, John", {{name: Max, orcid: https://orcid.org/{ORCID}, email: m@example.org}}, 12, {{id: 13}}]
categories: [Zoology, 24418, "24419"]
keywords: [a, 2024, a]
licence: cc-by-4.0
item type: Journal Article
references: [https://example.org/a, doi:10.1234/b]
related_materials:
  - 10.1234/c
  - {{identifier: "978-3-16-148410-0", type: isbn, relation: ispartof, title: Book, linkout: true}}
funding: [Some fund, {{id: 3}}]
custom_fields: {{Site: [a, b], Year: 2024}}
group: Materials
timeline: {{first_online: 2024-05-17T10:00:00}}
embargo: {{until: 2026-01-02, scope: item, reason: Why, options: [{{id: 1, group_ids: [2]}}, 3]}}
doi: https://doi.org/10.1234/own
handle: 123/456
metadata_only: It lies elsewhere.
""").present_fields() == tuple(FIELDS)


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ("authors: Jane Doe", "authors", (Author(name="Jane Doe"),)),
        ("authors: ['Doe, Jane']", "authors", (Author(first_name="Jane", last_name="Doe"),)),
        (f"authors: [Jane Doe {ORCID}]", "authors", (Author(name="Jane Doe", orcid=ORCID),)),
        (f"authors: ['Jane Doe ({ORCID})']", "authors", (Author(name="Jane Doe", orcid=ORCID),)),
        ("authors: [{name: 'Rossi, Maria'}]", "authors", (Author(first_name="Maria", last_name="Rossi"),)),
        (f"authors: [{{name: Jane Doe {ORCID}}}]", "authors", (Author(name="Jane Doe", orcid=ORCID),)),
        (
            f"authors: [{{name: 'Doe, Jane', orcid: {ORCID}}}]",
            "authors",
            (Author(first_name="Jane", last_name="Doe", orcid=ORCID),),
        ),
        ("authors: [{last_name: 'Beaver Group, Inc'}]", "authors", (Author(last_name="Beaver Group, Inc"),)),
        ("authors: ['Doe,']", "authors", (Author(name="Doe,"),)),
        ("authors: [{given-names: A, family-names: B}]", "authors", (Author(first_name="A", last_name="B"),)),
        ("keywords: a b, c; d", "keywords", ("a b", "c", "d")),
        ("categories: Zoology", "categories", ("Zoology",)),
        ("license: 7", "license", 7),
        ("license: https://creativecommons.org/licenses/by/4.0/legalcode", "license", "CC BY 4.0"),
        ("license: https://spdx.org/licenses/GPL-3.0-or-later.html", "license", "GPL 3.0+"),
        ("type: SOFTWARE", "type", "software"),
        ("references: 10.1234/b", "references", ("https://doi.org/10.1234/b",)),
        (
            "related_materials: arXiv:2401.00001",
            "related_materials",
            (Material(identifier="2401.00001", identifier_type="arXiv"),),
        ),
        ("related_materials: [{id: 5, title: abc}]", "related_materials", (Material(id=5, title="abc"),)),
        (
            "related_materials: [{identifier: 30351857, type: pmid}]",
            "related_materials",
            (Material(identifier="30351857", identifier_type="PMID"),),
        ),
        (
            "related_materials: [{doi: 10.1234/b}]",
            "related_materials",
            (Material(identifier="10.1234/b", identifier_type="DOI"),),
        ),
        ("funding: A fund", "funding", (Funding(title="A fund"),)),
        ("embargo: forever", "embargo", Embargo(until="0")),
        ("embargo: 2026-01-02", "embargo", Embargo(until="2026-01-02")),
        ("timeline: {accepted: 2024-01-02}", "timeline", Timeline(publisher_acceptance="2024-01-02")),
        ("title: '  one \n two '", "title", "one two"),
        ("description: ''", "description", None),
    ],
)
def test_spellings_of_a_field(text: str, field: str, value: Any) -> None:
    assert getattr(read(text), field) == value


def test_all_problems_are_reported_with_their_lines() -> None:
    found = problems(f"""title: ab
catgories: [x]
authors:
  - name: Jane
    orcid: {ORCID[:-1]}8
  - nam: John
type: datset
embargo:
  until: 2025-12-31
""")
    assert [(field, line) for field, line, _, _ in found] == [
        ("title", 1),
        ("catgories", 2),
        ("authors[1].orcid", 5),
        ("authors[2].nam", 6),
        ("type", 7),
        ("embargo.until", 9),
    ]
    assert [hint for _, _, _, hint in found] == [
        None,
        'Did you mean "categories"?',
        None,
        'Did you mean "name"?',
        'Did you mean "dataset"?',
        None,
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("title: ab", "has 2 characters; Figshare allows 3 to 1000"),
        ("title: a", "has 1 character; Figshare allows 3 to 1000"),
        ("title: [a]", "expected a text, found a list"),
        ("title: true", "expected a text, found true"),
        ("authors: [{orcid: 0000-0002-1825-0097}]", "an author needs a name, a last_name or an id"),
        ("authors: [{name: A, orcid: 12}]", "invalid ORCID iD '12'; use e.g. 0000-0002-1825-0097"),
        ("authors: [Jane 0000-0002-1825-0096]", "invalid ORCID iD '0000-0002-1825-0096': wrong check digit"),
        ("authors: [{name: A, email: b}]", "invalid email address 'b'"),
        ("authors: [A B, A B]", "duplicate author A B"),
        ("authors: [true]", "expected an author (a name, or fields such as name and orcid), found true"),
        ("categories: [{id: 3}]", "expected a text, found fields"),
        ("categories: [0]", "invalid id 0; use a whole number"),
        ("license: []", "expected a text, found a list"),
        ("type: nonsense", "unknown value 'nonsense'"),
        ("references: [foo]", "invalid web address 'foo'; use e.g. https://"),
        ("references: [https://x.org/a b]", "; write a space as %20"),
        ("references: ['javascript:alert(1)']", "invalid web address"),
        ("related_materials: [{title: x}]", "a related material needs an identifier, such as a DOI"),
        ("related_materials: [{doi: x, type: DOI}]", "invalid DOI 'x'"),
        ("related_materials: [{doi: x}]", "unknown kind of identifier 'x'"),
        ("related_materials: [foo]", "unknown kind of identifier 'foo'"),
        ("related_materials: [{identifier: not a url, type: URL}]", "invalid web address 'not a url'; use e.g."),
        ("related_materials: ['ISBN: abc']", "invalid ISBN 'ISBN: abc'; use e.g. 978-3-16-148410-0"),
        ("related_materials: [{doi: 10.1/x, relation: Xyz}]", "unknown value 'Xyz'"),
        (
            "related_materials: [{doi: 10.1234/x, identifier: 10.1234/y}]",
            "duplicates related_materials[1].doi",
        ),
        ("funding: [ab]", "has 2 characters; Figshare allows 3 to 2000"),
        ("funding: [{id: 1, title: abc}]", "a grant has either an id or a title"),
        ("custom_fields: [a]", "expected custom fields as names with values"),
        ("group: -3", "invalid id -3"),
        ("timeline: {first_online: yesterday}", "invalid date 'yesterday'; use e.g. 2024-05-17"),
        ("timeline: 2024-01-01", "expected days such as first_online, found"),
        ("embargo: {scope: files}", 'an embargo needs `until`: a day, or "permanent"'),
        ("embargo: 2026-01-01", "the embargo date 2026-01-01 is not in the future"),
        ("embargo: {until: 2030-01-01, options: [{x: 1}]}", "unknown field"),
        ("doi: x", "invalid DOI 'x'"),
        ("tags: [a]\nkeywords: [b]", "duplicates tags"),
    ],
)
def test_a_problem(text: str, message: str) -> None:
    assert any(message in found for _, _, found, _ in problems(text))


def test_several_authors_in_one_text_are_read_and_reported() -> None:
    loaded = interpret(parse("a.yaml", b"authors: Doe, Jane and Roe, Max and others\nkeywords: [null, a]\n"), TODAY)
    assert [author.display_name for author in loaded.metadata.authors] == ["Jane Doe", "Max Roe"]
    assert loaded.remarks == (
        "a.yaml: line 1, authors: does not name all authors; the others are missing",
        "a.yaml: line 1, authors: read as 2 authors: Doe, Jane; Roe, Max",
        "a.yaml: line 2, keywords[1]: is empty; put a text such as null in quotes",
    )
    assert read("keywords: [1.10, 2024-01-01, no]").keywords == ("1.10", "2024-01-01", "no")


def test_lists_have_their_limit() -> None:
    assert one_problem(f"keywords: [{', '.join(map(str, range(101)))}]")[2] == "has 101 entries; Figshare allows 100"


@pytest.mark.search
def test_a_huge_description_is_rejected_before_rendering() -> None:
    field, line, message, hint = one_problem(f"title: abc\ndescription: {'word ' * 4100}")
    assert (field, line) == ("description", 2)
    assert message == "has 20506 characters as HTML; Figshare allows 20000"
    assert hint == "Keep it short here, and upload the long text as a file."
    assert one_problem(f"description: {'w' * 900_000}")[2] == "has 900000 characters; Figshare allows 20000"


def test_a_non_standard_licence_is_unverified() -> None:
    loaded = interpret(parse("a.yaml", b"license: CC BY 4.1"), TODAY)
    assert loaded.metadata.license == "CC BY 4.1"
    assert loaded.remarks == ()
    (remark,) = loaded.unverified
    assert remark.startswith("a.yaml: line 1, license: 'CC BY 4.1' is not a standard licence")
    assert remark.endswith('Did you mean "CC BY 4.0"?')


def test_the_template_is_valid_and_has_every_field() -> None:
    text = resources.files("uploader.metadata").joinpath("template.yaml").read_text("utf-8")
    document = parse("template.yaml", text.encode())
    assert set(document.value) == set(FIELDS)
    assert interpret(document, TODAY).metadata == Metadata(license="CC BY 4.0", type="dataset")
    words = " ".join(text.replace("#", " ").split())
    assert ", ".join(vocabulary.ITEM_TYPES) in words
    assert ", ".join(vocabulary.LICENSES) in words


def test_the_template_is_valid_with_its_examples_enabled() -> None:
    text = resources.files("uploader.metadata").joinpath("template.yaml").read_text("utf-8")
    filled = "\n".join(line.replace("#", " ", 1) if line.startswith("#  ") else line for line in text.splitlines())
    metadata = interpret(parse("template.yaml", filled[filled.index("title:") :].encode()), TODAY).metadata
    assert len(metadata.authors) == 4
    assert metadata.embargo == Embargo(
        until="2030-01-01", scope="file", title="Under embargo", reason="The paper is under review."
    )
    assert set(metadata.present_fields()) == set(FIELDS) - {
        "title",
        "description",
        "group",
        "doi",
        "handle",
        "metadata_only",
    }


def test_aliases_refer_to_fields() -> None:
    assert set(ALIASES.values()) <= set(FIELDS)
    assert not set(ALIASES) & set(FIELDS)


def test_markdown_becomes_allowed_html() -> None:
    assert to_html("# A\n\nSome *b* & H<sub>2</sub>O\n\n- c\n- d").text == (
        "<h1>A</h1><p>Some <em>b</em> &amp; H<sub>2</sub>O</p><ul><li>c</li><li>d</li></ul>"
    )
    assert to_html("| a |\n|---|\n| 1 |").text == (
        "<table><thead><tr><th>a</th></tr></thead><tbody><tr><td>1</td></tr></tbody></table>"
    )
    assert to_html("<p>was <b>HTML</b> before</p>").text == "<p>was <b>HTML</b> before</p>"


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        '<p onclick="alert(1)">x</p>',
        "[x](javascript:alert(1))",
        '<a href="javascript:alert(1)">x</a>',
        "<a href='data:text/html,x'>x</a>",
        '<iframe src="https://example.org"></iframe>',
        "<svg onload=alert(1)></svg>",
        "<style>p{}</style>",
        "![x](https://example.org/tracker.png)",
    ],
)
def test_active_content_is_removed(text: str) -> None:
    html = to_html(f"before\n\n{text}\n\nafter").text.replace("(javascript:alert(1))", "")
    for word in ("script", "onclick", "onload", "iframe", "style", "svg", "data:", "img", "alert"):
        assert word not in html
    assert "before" in html
    assert "after" in html


def test_removed_elements_are_counted() -> None:
    html = to_html(
        "![a](a.png) ![b](https://example.org/b.png)\n\n<script>'<img>'</script><iframe src=x></iframe>\n\n"
        "[d](https://example.org)\n\n`<img>`\n\n<div>stays</div>\n"
    )
    assert html.dropped == ("2 images", "1 script", "1 frame")
    assert "stays" in html.text
    assert "&lt;img&gt;" in html.text
    assert to_html("*plain*").dropped == ()


@pytest.mark.parametrize("name", ["a.yaml", "codemeta.json"])
def test_removed_elements_are_reported(name: str) -> None:
    values = {"description": "See ![this](a.png).", "@context": "schema.org"}
    text = json.dumps(values if name.endswith("json") else {"description": values["description"]})
    (remark,) = interpret(parse(name, text.encode()), TODAY).remarks
    assert remark.startswith(f"{name}: ")
    assert remark.endswith("description: removed what a description cannot contain: 1 image")
