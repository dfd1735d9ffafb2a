"""Files of records: what is read from each format, and every mistake with its place."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from uploader.errors import MetadataInvalid
from uploader.metadata.model import Metadata
from uploader.records.formats import RecordFile, read_records
from uploader.records.model import Record
from uploader.records.packed import Packed

TODAY = date(2026, 1, 1)
Read = Callable[..., RecordFile]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Write a file of records, and read it."""

    def read(name: str, content: str | bytes, **options: object) -> RecordFile:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_records(path, today=TODAY, **options)  # type: ignore[arg-type]

    return read


def messages(file: RecordFile) -> list[str]:
    return [one.text for one in file.problems]


def test_a_table_with_figups_own_columns(read: Read) -> None:
    file = read(
        "records.csv",
        "Title,DOI,Authors,Link,custom:Site,First online,note\n"
        'A dam,10.1234/A,"Doe, Jane (ORCID: 0000-0002-1825-0097) | Rossi",https://a.org/c,Ness,2020-01-01,x\n',
    )
    (record,) = file.records
    assert (file.kind, file.problems, file.unused) == ("csv", [], {"note": 1})
    assert (record.key, record.line, record.link) == ("10.1234/a", 2, "https://a.org/c")
    assert [one.display_name for one in record.metadata.authors] == ["Jane Doe", "Rossi"]
    assert record.metadata.authors[0].orcid == "0000-0002-1825-0097"
    assert record.metadata.custom_fields == {"Site": "Ness"}
    assert record.metadata.timeline is not None
    assert record.metadata.timeline.first_online == "2020-01-01"


def test_json_lines_are_metadata_files(read: Read) -> None:
    file = read("records.jsonl", '{"title": "A dam", "id": 7, "link": "doi:10.1234/a", "keywords": ["x", "y"]}\n\n')
    (record,) = file.records
    assert (record.key, record.line, record.link) == ("7", 1, "https://doi.org/10.1234/a")
    assert record.metadata.keywords == ("x", "y")


def test_every_mistake_has_its_line(read: Read) -> None:
    file = read(
        "records.csv",
        "title,doi,authors,link,first_online\n"
        "A dam,10.1234/a,,https://a.org/,\n"
        ",10.1234/b,,https://a.org/,\n"
        "A dam,ten,,nowhere,2020\n"
        "A dam,10.1234/A,Doe 0000-0002-1825-0098,https://a.org/,\n"
        "A dam,,,https://a.org/,\n"
        "A dam,10.1234/c,,,\n",
    )
    assert messages(file) == [
        "line 3, title: a record needs a title",
        "line 4, doi: invalid DOI 'ten'; use e.g. 10.6084/m9.figshare.1407024",
        "line 4, timeline.first_online: invalid date '2020'; use e.g. 2024-05-17",
        "line 4, link: invalid web address 'nowhere'; use e.g. https://example.org",
        "line 5, authors[1]: invalid ORCID iD '0000-0002-1825-0098': wrong check digit",
        "line 5: 10.1234/a is in line 2 already",
        "line 6: a record needs a doi or an id, by which it is found again",
        "line 7: a record needs the address of its file (link), or the reason why it has none (metadata_only)",
    ]
    assert [one.line for one in file.records] == [2]
    with pytest.raises(MetadataInvalid, match="8 problems"):
        file.raise_problems()


def test_an_id_or_a_link_is_one_text(read: Read) -> None:
    file = read(
        "records.jsonl",
        '{"title": "A dam", "id": {"doi": "10.1/a"}, "link": "https://a.org/"}\n'
        '{"title": "A dam", "id": 2, "link": ["https://a.org/"]}\n',
    )
    assert messages(file) == [
        "line 1, id: expected a text or a number, found an object",
        "line 1: a record needs a doi or an id, by which it is found again",
        "line 2, link: expected a text or a number, found a list",
    ]


def test_a_problem_of_all_records_is_reported_once(read: Read) -> None:
    file = read("records.csv", "title,link\nA dam,https://a.org/\n,https://a.org/\nA dam,https://a.org/\n")
    assert messages(file) == [
        "a record needs a doi or an id, by which it is found again (in all 3 records)",
        "line 3, title: a record needs a title",
    ]
    assert messages(read("records.csv", "title,link\nA dam,https://a.org/\n")) == [
        "line 2: a record needs a doi or an id, by which it is found again"
    ]


def test_an_item_without_files_has_the_reason(read: Read) -> None:
    lines = (
        '{"title": "A dam", "id": 1, "link": "https://a.org/"}\n{"title": "A dam", "id": 2, "metadata_only": "Lost"}\n'
    )
    plain, bare = read("a.jsonl", lines), read("a.jsonl", lines, metadata_only=True)
    assert [(one.link, one.metadata.metadata_only) for one in plain.records] == [
        ("https://a.org/", None),
        (None, "Lost"),
    ]
    assert [(one.link, one.metadata.metadata_only) for one in bare.records] == [
        (None, "Available at https://a.org/"),
        (None, "Lost"),
    ]


def test_a_record_without_authors_is_named(read: Read) -> None:
    """Its item keeps the account's owner, such as an administrator, as its author."""
    content = "title,id,link,authors\nA dam,1,https://a.org/,Doe\nB dam,2,https://a.org/,\n"
    assert read("records.csv", content).remarks == [
        "line 3: authors: none; the item keeps the account's owner as its author"
    ]


def test_defaults_fill_what_a_record_lacks(read: Read, tmp_path: Path) -> None:
    common = tmp_path / "defaults.yaml"
    common.write_text("license: CC0\ncategories: [Zoology]\ncustom_fields: {A: x, B: y}\nmetadata_only: Elsewhere\n")
    file = read(
        "records.csv",
        "title,id,link,license,custom:B\nA dam,1,https://a.org/,MIT,z\nA dam,2,,,\n",
        defaults=common,
    )
    assert file.problems == []
    first, second = (one.metadata for one in file.records)
    assert (first.license, first.categories, first.custom_fields) == ("MIT", ("Zoology",), {"A": "x", "B": "z"})
    assert (second.license, second.metadata_only, first.metadata_only) == ("CC0", "Elsewhere", None)


def test_records_about_existing_items_need_only_what_names_them(read: Read) -> None:
    table = (
        "id,doi,custom:Funder\n123,10.1234/A,WWF\nhttps://figshare.com/articles/dataset/A_dam/456,,RSPB\n"
        ",10.1234/c,\nno number,,\n"
    )
    by_id, by_doi = read("a.csv", table, key="id"), read("a.csv", table, key="doi")
    assert [one.key for one in by_id.records] == ["123", "456"]
    assert [one.key for one in by_doi.records] == ["10.1234/a", "10.1234/c"]
    assert messages(by_doi) == [f"line {line}, doi: a record needs the doi of its item" for line in (3, 5)]
    assert messages(by_id)[0] == (
        "line 4, id: a record needs the id of its item: its number on Figshare, or the address of its page"
    )


# --- many records -----------------------------------------------------------------------------------------------------


def _peak_of(path: Path, records: int) -> int:
    lines = (json.dumps({"id": number, "title": f"Dam {number}", "description": f"Part {number}. " + "A dam. " * 200,
                         "link": "https://a.org/"}) for number in range(records))  # fmt: skip
    path.write_text("\n".join(lines))
    tracemalloc.start()
    try:
        file = read_records(path, today=date(2026, 1, 1))
        assert (len(file.records), file.problems) == (records, [])
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.search
def test_memory_hardly_grows_with_the_file(tmp_path: Path) -> None:
    """Each of these records has 1,400 bytes; what is kept of one is its key and some compressed bytes."""
    path = tmp_path / "records.jsonl"
    _peak_of(path, 10)
    assert _peak_of(path, 1500) - _peak_of(path, 500) < 400 * 1000


def test_packed_values_are_those_that_were_added() -> None:
    packed = Packed(Record)
    added = [
        Record(key=str(number), line=number, metadata=Metadata(title=f"Dam {number}", custom_fields={"a": ["x", "y"]}))
        for number in range(250)
    ]
    for number, one in enumerate(added):
        assert len(packed) == number
        packed.append(one)
    assert list(packed) == list(packed) == added
