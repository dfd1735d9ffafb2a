"""The metadata report of the administration pages: cells, dates, encodings, and every kind of broken CSV."""

from __future__ import annotations

import csv
import io
import json
import tempfile
import tracemalloc
import zipfile
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO, cast

import pytest

from uploader.catalog.batch.additions import Additions
from uploader.catalog.batch.cells import Dates, flag, structure, whole_number
from uploader.catalog.batch.files import open_batch
from uploader.catalog.batch.records import Batch
from uploader.catalog.batch.summary import summarize
from uploader.catalog.failures import MAX_OUTAGE
from uploader.catalog.report.columns import Entry, Layout, parse_columns
from uploader.catalog.report.known_columns import RECORDS
from uploader.catalog.statistics.counting import Totals
from uploader.cli import batch as batch_command
from uploader.errors import FigupError, ResourcesExhausted, ServerFailing
from uploader.metadata.vocabulary import license_at

ROW: dict[str, str] = {
    "article_id": "123456", "account_id": "7", "group_id": "21", "status": "public", "title": "Dams, \"pönds\"",
    "authors": json.dumps([{"id": 5, "email": "a@b.org", "first_name": "Ann", "last_name": "Bée", "orcid_id": "0000-1"},
                           {"id": 6, "email": "", "first_name": "", "last_name": "Dee", "orcid_id": None}]),
    "categories": '["Zoology"]', "item_type": "dataset", "keywords": '["kinesin-1", "a \\u201cb\\u201d"]',
    "description": "<p>One</p>\n<p>Two</p>", "funding": '[{"id": 9, "title": "Rivers", "code": "R1"}]',
    "licence": "https://creativecommons.org/licenses/by/4.0/", "is_embargoed": "1", "embargo_type": "file",
    "embargo_date": "3/26/2017", "first_online_date": "2/3/2016", "resource_doi": "10.1/X", "metadata_record_only": "0",
    "linked_file": "https://example.org/f", "Site": '["North", "South"]', "Issue": "[7", "title ": "Other",
}  # fmt: skip


def table(*rows: Sequence[str], header: Sequence[str] = tuple(ROW)) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows([header, *rows])
    return text.getvalue()


WHOLE = table(list(ROW.values()))


def read(text: str | bytes) -> Batch:
    return Batch(io.BytesIO(text.encode() if isinstance(text, str) else text), "b.csv")


def content_of(path: Path) -> tuple[bytes, str]:
    content, remark = open_batch(path)
    with content:
        content.seek(0)
        return content.read(), remark


def cells(entry: Entry, names: str) -> list[Any]:
    return Layout.of(parse_columns(names, RECORDS), ()).cells(entry)


def test_a_row_becomes_a_record_in_the_form_of_the_api() -> None:
    batch = read(WHOLE)
    (entry,) = batch.entries()
    names = "id,state,title,authors,orcids,author_ids,categories,keywords,licence,description,grant_codes"
    assert cells(entry, names) == [
        123456, "embargoed-file", 'Dams, "pönds"', "Ann Bée (ORCID: 0000-1) | Dee", "0000-1", "5 | 6", "Zoology",
        "kinesin-1 | a “b”", "CC BY 4.0", "One\nTwo", "R1",
    ]  # fmt: skip
    names = "embargo_date,first_online,linked_file,custom:Site,custom:Issue,custom:title"
    assert cells(entry, names) == ["2017-03-26", "2016-02-03", True, "North | South", "[7", "Other"]
    assert batch.custom_names() == {"Site", "Issue", "title"}
    assert (entry.missing, batch.found.dates.rewritten) == ("", 2)


def test_an_object_where_a_list_belongs_is_reported() -> None:
    batch = read('article_id,funding,keywords\n5,"{""title"": ""R""}",[]\n')
    (entry,) = batch.entries()
    assert (entry.missing, cells(entry, "funding")) == ("funding: not a list", [None])
    assert batch.found.unread == {"funding": 1}


def test_a_custom_field_may_have_the_name_of_another_column() -> None:
    (entry,) = read("article_id,title,title,status\n5,A,B,draft\n").entries()
    assert cells(entry, "title,custom:title,state") == ["A", "B", "draft"]


def test_python_literals_are_read_and_nothing_is_evaluated() -> None:
    text = table(
        [
            "0",
            "18.0",
            "T",
            "[{'id': 1, 'full_name': \"O'Neil\", 'orcid_id': None}]",
            "TRUE",
            "{'name': 'CC0'}",
            "x",
            "21.0",
        ],
        ["1", "19", "U", "__import__('os').system('touch evil')", "FALSE", "[].__class__", "[open('x')]", ""],
        header=["", "id", "title", "authors", "is_public", "license", "views_2020", "group_id"],
    )
    batch = read(text)
    first, second = batch.entries()
    names = "id,state,authors,licence,group_id,custom:views_2020"
    assert cells(first, names) == [18, "public", "O'Neil", "CC0", 21, "x"]
    assert second.missing == "authors: neither JSON nor a Python literal; license: neither JSON nor a Python literal"
    assert cells(second, "authors,custom:views_2020") == [None, "[open('x')]"]
    assert batch.found.unread == {"authors": 1, "license": 1}
    assert not Path("evil").exists()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[]", []), ("[1, 'a']", [1, "a"]), ("{'a': True}", {"a": True}), ('["\\u201c"]', ["“"]),
        *((bad, None) for bad in ("x", "[", "[1", "[f()]", "{1, 2}", "[" * 50_000 + "]" * 50_000, "[b'x']", "{(1,): 2}",
                                  "[1e999999, lambda: 0]", "[" + "-" * 90_000 + "1]")),
    ],
    ids=lambda value: str(value)[:12],
)  # fmt: skip
def test_structures(text: str, value: object) -> None:
    if value is not None:
        assert structure(text) == value
        return
    with pytest.raises(ValueError, match="JSON nor"):
        structure(text)


@pytest.mark.parametrize("text", [r'["\ud800 and \ud83d\ude00"]', r"['\ud800 and \U0001f600', ]"])
def test_half_of_a_character_can_be_written(text: str) -> None:
    assert structure(text) == ["\ufffd and \U0001f600"]


@pytest.mark.parametrize(("cell", "missing"), [("[1]", ""), ("x", "timeline: neither JSON nor a Python literal")])
def test_a_timeline_that_is_no_object_beside_columns_of_its_days(cell: str, missing: str) -> None:
    (entry,) = read(table(["1", "T", cell, "2016-02-03"], header=["id", "title", "timeline", "posted"])).entries()
    assert (entry.raw["timeline"], entry.missing) == ({"posted": "2016-02-03"}, missing)


def test_flags_and_numbers() -> None:
    assert [flag(one) for one in ("1", "TRUE", "False", "0", "0.0", "maybe")] == [
        True,
        True,
        False,
        False,
        False,
        "maybe",
    ]
    assert [whole_number(one) for one in ("7", "7.0", "1.2E+07", "", "-1", "7.5", "9" * 30, "٣")] == [7, 7, *[None] * 6]


@pytest.mark.parametrize(
    ("texts", "dates", "unclear"),
    [
        (["3/26/2017", "1/2/2016"], ["2017-03-26", "2016-01-02"], 0),
        (["26/03/2017 14:05", "1/2/2016"], ["2017-03-26T14:05:00", "2016-02-01"], 0),
        (["26.3.2017"], ["2017-03-26"], 0),
        (["3/26/2017 2:05:06 PM"], ["2017-03-26T14:05:06"], 0),
        (["42820", "2017-03-26", "5/5/2017"], ["2017-03-26", "2017-03-26", "2017-05-05"], 0),
        (["1/2/2016", "3/4/2016", "soon", ""], ["1/2/2016", "3/4/2016", "soon", ""], 2),
        (["26/3/2016", "3/26/2016", "1/2/2016"], ["2016-03-26", "2016-03-26", "1/2/2016"], 1),
        (["1/2/2016", "26/13/2016", "3/26/2016"], ["2016-01-02", "26/13/2016", "2016-03-26"], 1),
        (["31/2/2016"], ["31/2/2016"], 1),
        (
            ["3/26/2017", "99/99/9999", "26.3.2017", "1/2/2016"],
            ["2017-03-26", "99/99/9999", "2017-03-26", "2016-01-02"],
            1,
        ),
    ],
    ids=str,
)
def test_dates_that_went_through_excel(texts: list[str], dates: list[str], unclear: int) -> None:
    known = Dates()
    for text in texts:
        known.learn(text)
    assert [known.iso(text) for text in texts] == dates
    assert known.unclear == unclear


@pytest.mark.parametrize(
    ("name", "data", "remark"),
    [
        ("b.csv", WHOLE.encode(), ""),
        ("b.csv", WHOLE.encode("utf-8-sig"), ""),
        ("b.csv", WHOLE.encode("cp1252"), "read as Windows-1252"),
        ("b.csv", WHOLE.encode("utf-16"), "read as UTF-16"),
        ("b.csv", WHOLE.replace("\r\n", "\n").encode(), ""),
        ("b.csv", b"\xef\xbb\xbfsep=;\r\n" + WHOLE.replace(",", ";").replace('""', '""').encode(), ""),
    ],
    ids=["utf-8", "bom", "windows", "utf-16", "lf", "semicolons"],
)
def test_encodings_and_line_ends(tmp_path: Path, name: str, data: bytes, remark: str) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    found = content_of(path)
    assert found[1] == remark
    if b";" not in data[:20]:
        assert [entry.raw["authors"][0]["full_name"] for entry in read(found[0]).entries()] == ["Ann Bée"]
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("__MACOSX/._b.csv", b"")
        archive.writestr("export/b.csv", data)
    assert content_of(tmp_path / "b.zip") == found


def test_semicolons_and_trailing_cells() -> None:
    (entry,) = read("article_id;title;status\r\n5;a, b;public;;\r\n\r\n").entries()
    assert cells(entry, "id,title,state") == [5, "a, b", "public"]


def zipped(**members: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, data in members.items():
            archive.writestr(name.replace("__", "/").replace("_", "."), data)
    return packed.getvalue()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b" \r\n", "is empty"),
        (b"a,b\n1,2\n", "has no column 'article_id'"),
        (b"article_id,title\n", "has no records"),
        (b"\n" * 5000, "has no records"),
        (b"\xff\xfea", "begins like UTF-16 but is invalid"),
        (WHOLE.encode("utf-16-le"), "is either not text or UTF-16 without a byte order mark"),
        (b"article_id,title\n5,\x81\n", "line 2 is neither UTF-8 nor Windows-1252"),
        (zipped(xl__workbook_xml=b""), "is a workbook, not a CSV"),
        (zipped(a_csv=b"", b_csv=b""), "expected one CSV in the ZIP, found a.csv, b.csv"),
        (zipped(a_txt=b""), "expected one CSV in the ZIP, found no CSV"),
        (zipped(a_csv=b"x" * 99).replace(b"x" * 99, b"y" * 99), "the ZIP cannot be read: Bad CRC-32"),
        (b"PK\x03\x04 and no more", "the ZIP cannot be read"),
        (b"article_id," + b"," * 1_000_000 + b"\n", "has 1000002 columns; at most 16384 are read"),
        (b"article_id,title\n5,a\n6\n7,a,b\n8,c\n", "b.csv: line 3: 1 cells instead of 2|b.csv: line 4: 3 cells"),
        (b"article_id,title\n1.3E+07,a\n", "line 2, article_id: invalid number '1.3E+07'"),
        (b'article_id,title\n5,"a\n6,b\n', "line 2: a quoted cell of this row has no closing quote"),
        (b'article_id,title\n5,"a"b\n', "line 2: ',' expected after"),
        (b'article_id,title\n5,"' + b"a" * 2**24 + b'b"\n', "line 2: field larger than field limit"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_broken_files_are_reported_with_their_lines(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "b.csv"
    path.write_bytes(data)
    with pytest.raises(FigupError) as caught:
        Batch(io.BytesIO(content_of(path)[0]), path.name)
    output = "|".join(error.message for error in (caught.value, *caught.value.causes))
    assert all(part in output for part in message.split("|")), output
    assert caught.value.exit_status == 2


@pytest.mark.parametrize(
    ("data", "copies"),
    [(WHOLE.encode(), 0), (zipped(a_csv=WHOLE.encode()), 1), (WHOLE.encode("cp1252"), 1)],
    ids=["copy", "unzipped", "converted"],
)
def test_a_full_disk_of_temporary_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: bytes, copies: int
) -> None:
    made: list[BinaryIO] = []

    def temporary() -> BinaryIO:
        """Make a file; one after so many copies cannot be written."""
        made.append((tmp_path / "copy" if len(made) < copies else Path("/dev/full")).open("w+b"))
        return made[-1]

    monkeypatch.setattr(tempfile, "TemporaryFile", temporary)
    monkeypatch.setattr(tempfile, "tempdir", "/scratch")
    (tmp_path / "b.csv").write_bytes(data)
    with pytest.raises(ResourcesExhausted, match="temporary files in /scratch: No space left") as caught:
        open_batch(tmp_path / "b.csv")
    assert (caught.value.hint or "").startswith("Free space there, or set TMPDIR to another folder; then")
    assert all(one.closed for one in made)


def test_a_report_may_begin_with_any_number_of_blank_lines(tmp_path: Path) -> None:
    (tmp_path / "b.csv").write_bytes(b"\r\n" * 5000 + WHOLE.encode())
    assert Batch(io.BytesIO(content_of(tmp_path / "b.csv")[0]), "b.csv").found.records == 1


def test_a_missing_file_is_not_a_report(tmp_path: Path) -> None:
    with pytest.raises(FigupError, match="no such file"):
        open_batch(tmp_path / "none.csv")


def test_what_the_notebook_counts() -> None:
    row = ROW | {"is_embargoed": "0"}
    rows = [
        row, ROW,
        row | {"article_id": "2", "linked_file": "", "resource_doi": "10.1/x", "metadata_record_only": "1"},
        row | {"article_id": "2", "status": "draft", "resource_doi": "", "licence": "https://example.org/l"},
    ]  # fmt: skip
    batch = read(table(*(list(one.values()) for one in rows)))
    found = summarize(batch.entries())
    assert batch.found.repeated == 2
    assert dict(found.facts()) == {
        "Records": 4, "Status draft": 1, "Status public": 3, "Embargoed files": 1, "Embargoed wholly": 0,
        "Metadata only": 1, "Linked file": 3, "Linked to a publication (75%)": 3, "Different publications": 1,
    }  # fmt: skip
    assert found.ranked("licences") == [("CC BY 4.0", 3), ("example.org/l", 1)]
    assert found.ranked("states") == [("draft", 1), ("embargoed-file", 1), ("linked", 1), ("metadata-only", 1)]
    assert found.ranked("grants") == [("Rivers", 4)]
    assert found.events() == []


def test_values_are_ranked_by_the_views_of_a_record() -> None:
    def entry(funders: Sequence[str], views: int | None) -> Entry:
        raw = {"id": 1, "funding_list": [{"funder_name": name} for name in funders], "views": views}
        return Entry(kind="item", row=raw, full=raw)

    found = summarize([entry(["Many", "Few"], 90), entry(["Many"], 10), entry(["Many"], None), entry(["None"], 0)])
    assert [name for name, _ in found.most_viewed("funders", 2)] == ["Many", "Few"]
    assert found.most_viewed_each("funders", 2) == [("Few", 90.0), ("Many", 100 / 3)]
    shown: list[str] = []
    session: Any = SimpleNamespace(console=SimpleNamespace(result=shown.append))
    batch_command._show(session, found)
    assert "\nFunders with the most views a record\n     90.0  Few\n     33.3  Many\n      0.0  None" in shown[0]
    assert summarize([]).linked_share == 0.0


class _FailsFor:
    """Statistics, Figshare and kept answers, which fail for these records."""

    def __init__(self, numbers: Sequence[int]) -> None:
        self._numbers = numbers

    async def totals(self, _: str, number: int) -> Totals:
        if number in self._numbers:
            raise ServerFailing("it kept failing")
        return Totals(views=number)

    async def get(self, _: object, number: int) -> list[Any]:
        await self.totals("", number)
        return [{"funder_name": "DFG"}]


@pytest.mark.anyio
@pytest.mark.parametrize("what", ["numbers", "funding"])
async def test_one_record_for_which_figshare_fails_does_not_keep_the_others_back(what: str) -> None:
    async def added(failing: Sequence[int]) -> Additions:
        additions, fake = Additions(), cast("Any", _FailsFor(failing))
        for number in range(1, 3 * MAX_OUTAGE):
            await (additions.count(fake, number) if what == "numbers" else additions.find_funders(fake, fake, number))
        return additions

    failing = range(2, 3 * MAX_OUTAGE, 2)
    found = await added(failing)
    assert list(getattr(found, what)) == list(range(1, 3 * MAX_OUTAGE, 2))
    assert found.failures == dict.fromkeys(failing, "it kept failing")
    with pytest.raises(ServerFailing, match=f"{MAX_OUTAGE} records in a row"):
        await added(range(5, 5 + MAX_OUTAGE))


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("https://www.gnu.org/copyleft/gpl.html", "GPL"),
        ("https://www.gnu.org/licenses/gpl-2.0.html", "GPL 2.0+"),
        ("http://www.gnu.org/licenses/gpl-3.0.en.html", "GPL 3.0+"),
        ("https://www.apache.org/licenses/LICENSE-2.0.html", "Apache 2.0"),
        ("https://opensource.org/licenses/MIT", "MIT"),
        ("https://creativecommons.org/publicdomain/zero/1.0/", "CC0"),
        ("https://creativecommons.org/licenses/by-nc-nd/4.0/legalcode.de", "CC BY-NC-ND 4.0"),
        ("https://example.org/by", None),
    ],
)
def test_licences_are_shown_by_name(address: str, name: str | None) -> None:
    """All addresses that Figshare gives for its licences."""
    assert license_at(address) == name


@pytest.mark.search
def test_a_large_report_is_read_as_a_stream(tmp_path: Path) -> None:
    """In Windows-1252 and in a ZIP, each of which is a copy."""
    path = tmp_path / "b.csv"

    def peak(rows: int) -> int:
        text = "article_id,title,description\n" + "".join(f"{n},D\xe4m {n},{'A dam. ' * 200}\n" for n in range(rows))
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("b.csv", text.encode("cp1252"))
        del text
        tracemalloc.start()
        try:
            content, remark = open_batch(path)
            with content:
                entries = Batch(content, "b.csv").entries()
                assert (sum(1 for _ in entries), remark) == (rows, "read as Windows-1252")
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(6000) < 1.3 * peak(2500), "8 MB and 3.5 MB"


@pytest.mark.parametrize("nothing", ["null", "None", "NaN", "nan"])
def test_an_absent_list_is_no_cell_that_cannot_be_read(nothing: str) -> None:
    absent = dict.fromkeys(("authors", "categories", "keywords", "funding"), nothing)
    batch = read(table(list((ROW | absent | {"title": nothing}).values())))
    (entry,) = batch.entries()
    assert (entry.missing, +batch.found.unread) == ("", {})
    assert cells(entry, "title,authors,categories,keywords") == [nothing, None, None, None]
