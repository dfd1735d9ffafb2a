"""Tables: cells of records, read back from every format by other programs; what Excel cannot hold."""

from __future__ import annotations

import csv
import datetime as dt
import json
import os
import re
import resource
import subprocess
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import openpyxl
import pytest
import python_calamine
from hypothesis import given
from hypothesis import strategies as st

from tests.support.programs import require_program
from uploader.catalog.report import workbook
from uploader.catalog.report.columns import Entry, Layout, parse_columns
from uploader.catalog.report.known_columns import RECORDS
from uploader.catalog.report.sheets import output_files, write_table
from uploader.catalog.report.side_tables import SIDE_TABLES
from uploader.catalog.report.values import number, plain_text, state, used_percent
from uploader.errors import (
    CatalogDamaged,
    ExitStatus,
    FigupError,
    Interrupted,
    OutputExists,
    ResourcesExhausted,
    TargetFull,
    UsageError,
)

RECORD: dict[str, Any] = {
    "id": 123456, "version": 2, "title": "=HYPERLINK(\"x\")", "doi": "10.6084/m9.figshare.123456.v2", "handle": "",
    "published_date": "2021-02-10T02:31:29Z",
    "timeline": {"posted": "2021-02-10T02:31:29", "firstOnline": "1882-06-05"},
    "authors": [{"id": 1, "full_name": "Jane | Doe", "orcid_id": "0000-0002-1825-0097"}, {"id": 2, "full_name": "Bo"}],
    "categories": [{"title": "Zoology"}, {"title": "Dams; rivers, lakes"}], "tags": ["beaver", "+1"],
    "license": {"name": "CC BY 4.0", "url": "https://example.org/by"},
    "description": "<p>A <b>dam</b> &amp;\xa0pond.</p><p>See <a href=\"https://example.org\">here</a>.</p>",
    "funding_list": [{"title": "Rivers", "grant_code": "", "funder_name": None}],
    "files": [{"name": "a.csv", "size": 10}, {"name": "b.csv", "size": 32}], "is_public": True, "is_embargoed": 0,
    "custom_fields": [{"name": "Sex", "value": ["Male", "Female"]}, {"name": "sex", "value": "m"},
                      {"name": "title", "value": "other"}, {"name": "Empty", "value": []}],
}  # fmt: skip
ROW: dict[str, Any] = {"id": 7, "title": "Only a row", "published_date": "1899-01-01"}


def entry(full: dict[str, Any] | None = None, row: dict[str, Any] | None = None, missing: str = "") -> Entry:
    return Entry(kind="item", row=row or {"id": (full or {}).get("id", 1)}, full=full, missing=missing)


ENTRIES = [entry(RECORD), entry(row=ROW, missing="HTML instead of JSON")]


def write(path: Path, entries: Sequence[Entry] = ENTRIES, columns: str = "default", **more: Any) -> Counter[str]:
    names = {one["name"] for each in entries for one in (each.full or {}).get("custom_fields", [])}
    layout = Layout.of(parse_columns(columns, RECORDS), names)
    scratch = path.with_name("scratch")
    scratch.mkdir(exist_ok=True)
    more.setdefault("expected", len(entries))
    count, changes = write_table(path, layout, entries, lambda _: [("Records", len(entries))], scratch=scratch, **more)
    assert count == len(entries)
    assert not list(scratch.iterdir())
    return changes


def test_csv_has_one_row_a_record(tmp_path: Path) -> None:
    changes = write(tmp_path / "t.csv")
    data = (tmp_path / "t.csv").read_bytes()
    assert data.startswith(b"\xef\xbb\xbfrecord_type,id,")
    assert b"\r\n" in data
    with (tmp_path / "t.csv").open(encoding="utf-8-sig", newline="") as file:
        first, second = csv.DictReader(file)
    assert {name: value for name, value in first.items() if value} == {
        "record_type": "item", "id": "123456", "version": "2", "state": "public", "title": "'=HYPERLINK(\"x\")",
        "doi": "10.6084/m9.figshare.123456.v2", "published_date": "2021-02-10T02:31:29Z",
        "posted": "2021-02-10T02:31:29",
        "first_online": "1882-06-05", "authors": "Jane ¦ Doe (ORCID: 0000-0002-1825-0097) | Bo",
        "orcids": "0000-0002-1825-0097", "author_ids": "1 | 2", "categories": "Zoology | Dams; rivers, lakes",
        "keywords": "beaver | +1", "licence": "CC BY 4.0", "licence_url": "https://example.org/by",
        "description": "A dam & pond.\nSee here (https://example.org).", "funding": "Rivers", "files": "a.csv | b.csv",
        "size_bytes": "42", "custom:Sex": "Male | Female", "custom:sex": "m", "custom:title": "other",
    }  # fmt: skip
    assert {name for name in first if name.startswith("custom:")} == {
        "custom:Empty", "custom:Sex", "custom:sex", "custom:title"
    }  # fmt: skip
    assert {name: value for name, value in second.items() if value} == {
        "record_type": "item", "id": "7", "title": "Only a row", "published_date": "1899-01-01",
        "missing": "HTML instead of JSON",
    }  # fmt: skip
    assert list(first)[-1] == "missing"
    assert changes == {"guarded": 1, "replaced": 1}


def test_json_lines_have_what_was_received(tmp_path: Path) -> None:
    assert write(tmp_path / "t.jsonl") == {}
    first, second = [json.loads(line) for line in (tmp_path / "t.jsonl").read_text("utf-8").splitlines()]
    assert first == RECORD | {"_figup": {"record_type": "item"}}
    assert second == ROW | {"_figup": {"record_type": "item", "missing": "HTML instead of JSON"}}


def test_a_workbook_has_numbers_dates_and_text(tmp_path: Path) -> None:
    changes = write(tmp_path / "t.xlsx")
    book = openpyxl.load_workbook(tmp_path / "t.xlsx")
    assert book.sheetnames == ["Records", "About"]
    sheet = book["Records"]
    header, first, second = sheet.iter_rows(values_only=True)
    row = dict(zip(header, first, strict=True))
    assert (row["id"], row["title"], row["size_bytes"]) == (123456, '=HYPERLINK("x")', 42)
    assert sheet["E2"].data_type == "s"
    assert sheet.freeze_panes == "A2"
    assert row["published_date"] == dt.datetime(2021, 2, 10, 2, 31, 29)  # noqa: DTZ001 - Excel has no zones
    assert (row["posted"], row["first_online"]) == ("2021-02-10T02:31:29", "1882-06-05")
    assert dict(zip(header, second, strict=True))["published_date"] == "1899-01-01"
    assert changes == {"dates": 2, "replaced": 1}
    about = {row[0]: row[1] for row in book["About"].iter_rows(values_only=True, max_col=2)}
    assert about["Records"] == 2
    assert about["title"] == "title, as it was entered"


@pytest.mark.search
@given(text=st.text(max_size=300))
def test_any_text_is_read_back_from_a_workbook(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("book") / "t.xlsx"
    write(path, [entry({"id": 1, "title": text})], "id,title")
    rows = python_calamine.CalamineWorkbook.from_path(path).get_sheet_by_name("Records").to_python()
    assert rows[1][1] == workbook.fitting(text)[0]


NASTY = [
    *("=1+1", "+3 apples", "-", "@SUM(A1)", "\tx", "_x0041_", "http://example.org/a", "0012", "1E5", "true", "'quoted"),
    *("a\x00b\x0b\x1f", "\ufffe\uffff", "\ud800", "𝒳 🦫", "a\r\nb\rc", "\u2028\u2029\u0085", "<b>&amp;</b>", " x "),
    *("x" * 32_767, "x" * 32_768, "🦫" * 20_000, "\n" * 300, "é", "\u200f\u202e", '"', ",;|"),
]


def test_nasty_values_are_read_back_and_long_ones_are_beside(tmp_path: Path) -> None:
    path = tmp_path / "t.xlsx"
    changes = write(path, [entry({"id": at, "title": text}) for at, text in enumerate(NASTY)], "id,title")
    found = [row[1] for row in openpyxl.load_workbook(path)["Records"].iter_rows(values_only=True, min_row=2)]
    for text, cell in zip(NASTY, found, strict=True):
        expected, _ = workbook.fitting(text)
        # openpyxl does not undo the escape of what looks like one; LibreOffice and calamine do.
        assert str(cell or "").replace("_x005F_", "_") == expected
        assert len(expected.encode("utf-16-le")) <= 2 * 32_767
    beside = [json.loads(line) for line in (tmp_path / "t.long.jsonl").read_text("utf-8").splitlines()]
    assert [one["text"] for one in beside] == [
        text for text in NASTY if len(text) + (text[:1] == "🦫") * len(text) > 32_767
    ]
    assert changes == {"characters": 3, "lines": 1, "long": 2}


@pytest.mark.search
def test_libreoffice_opens_a_workbook(tmp_path: Path) -> None:
    soffice = require_program("soffice", "libreoffice-calc")
    texts = [text for text in NASTY if len(text) < 1000 and "\n" not in text and "\r" not in text]
    write(tmp_path / "t.xlsx", [entry({"id": at, "title": text}) for at, text in enumerate(texts)], "id,title")
    subprocess.run(
        [soffice, f"-env:UserInstallation=file://{tmp_path}/profile", "--headless", "--convert-to",
         "csv:Text - txt - csv (StarCalc):44,34,76", "--outdir", tmp_path / "out", tmp_path / "t.xlsx"],
        check=True, capture_output=True, timeout=100,
    )  # fmt: skip
    with (tmp_path / "out" / "t.csv").open(encoding="utf-8", newline="") as file:
        _, *rows = csv.reader(file)
    assert [row[1] for row in rows] == [workbook.fitting(text)[0] for text in texts]


def test_rows_beyond_a_sheet_go_to_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbook, "MAX_ROWS", 3)
    write(tmp_path / "t.xlsx", [entry({"id": at}) for at in range(5)], "id")
    book = openpyxl.load_workbook(tmp_path / "t.xlsx")
    assert book.sheetnames == ["Records", "Records 2", "Records 3", "About"]
    found = [row[0] for name in book.sheetnames[:3] for row in book[name].iter_rows(values_only=True, min_row=2)]
    assert found == list(range(5))


@pytest.mark.parametrize(
    ("ending", "rows", "kind"),
    [
        (".csv", 99, TargetFull),
        (".jsonl", 99, TargetFull),
        (".xlsx", 3, TargetFull),  # of many sheets, each a temporary file
        (".xlsx", 99, ResourcesExhausted),
    ],
)
def test_a_full_disk_leaves_the_old_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str, rows: int, kind: type[FigupError]
) -> None:
    monkeypatch.setattr(workbook, "MAX_ROWS", rows)
    path = tmp_path / f"t{ending}"
    path.write_text("old")
    entries = [entry({"id": at, "title": os.urandom(5000).hex()}) for at in range(40)]
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, before[1]))
    try:
        with pytest.raises(kind, match=re.escape(f"{path if kind is TargetFull else tmp_path}: ")) as caught:
            write(path, entries, replace=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert caught.value.exit_status == ExitStatus.RESUMABLE
    assert (caught.value.hint or "").startswith("Free space there")
    assert path.read_text() == "old"
    assert [one.name for one in tmp_path.iterdir() if one.is_file()] == [path.name]


def test_a_workbook_is_stopped_while_it_is_put_together(tmp_path: Path) -> None:
    def check() -> None:
        raise Interrupted("stopped")

    with pytest.raises(Interrupted):
        write(tmp_path / "t.xlsx", check=check)
    assert not [one for one in tmp_path.iterdir() if one.is_file()]


def test_an_existing_table_is_replaced_only_on_request(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    write(path)
    with pytest.raises(OutputExists):
        write(path)
    with pytest.raises(CatalogDamaged, match="2 of 3 records"):
        write(path, replace=True, expected=3)
    write(path, replace=True, private=True)
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("replace", [False, True])
@pytest.mark.parametrize("name", ["t.csv", f"t.{SIDE_TABLES[0].name}.csv", "t.xlsx", "t.long.jsonl"])
def test_a_file_that_was_created_meanwhile_is_replaced_only_on_request(
    tmp_path: Path, name: str, *, replace: bool
) -> None:
    path, theirs = tmp_path / ("t.csv" if name.endswith(".csv") else "t.xlsx"), tmp_path / name
    entries, sides = [entry({"id": 1, "title": "x" * 40_000})], SIDE_TABLES[: path.suffix == ".csv"]

    def create(_: object) -> None:
        theirs.write_text("of a person")

    with nullcontext() if replace else pytest.raises(OutputExists, match=f"{name} exists: it was created meanwhile"):
        write(path, entries, sides=sides, replace=replace, on_complete=create)
    assert (theirs.read_text("latin-1") == "of a person") is not replace
    assert not list(tmp_path.glob(".*"))


def test_long_texts_belong_to_the_workbook_of_their_name(tmp_path: Path) -> None:
    beside = tmp_path / "t.long.jsonl"
    write(tmp_path / "t.xlsx", [entry({"id": 1, "title": "x" * 40_000})])
    whole = beside.read_bytes()
    for ending in (".csv", ".jsonl"):
        write(tmp_path / f"t{ending}", replace=True)
        assert beside.read_bytes() == whole
    write(tmp_path / "t.xlsx", replace=True)
    assert not beside.exists()
    assert beside in output_files(tmp_path / "t.xlsx", [])
    assert output_files(tmp_path / "t.csv", []) == [tmp_path / "t.csv"]


def test_columns_are_chosen_by_name() -> None:
    layout = Layout.of(parse_columns("title,custom:Sex,custom,id", RECORDS), {"Sex", "sex"})
    assert layout.header == ["title", "custom:Sex", "id", "custom:sex"]
    assert layout.cells(entry(RECORD)) == ['=HYPERLINK("x")', "Male | Female", 123456, "m"]
    assert Layout.of(parse_columns("notebook", RECORDS), ()).header == [
        *(
            "id",
            "title",
            "doi",
            "handle",
            "url",
            "published_date",
            "thumb",
            "defined_type",
            "defined_type_name",
            "group_id",
        ),
        *("url_private_api", "url_public_api", "url_private_html", "url_public_html", "resource_title", "resource_doi"),
        *("views", "downloads"),
        *("posted", "firstOnline", "publisherPublication", "publisherAcceptance", "revision", "submission"),
    ]
    with pytest.raises(ValueError, match="unknown column 'titel'; did you mean \"title\""):
        parse_columns("titel", RECORDS)
    with pytest.raises(UsageError):
        Layout.of(parse_columns("default", RECORDS), map(str, range(17_000)))


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"is_public": True}, "public"),
        ({"status": "draft"}, "draft"),
        ({"public": False}, "draft"),
        ({"is_public": False, "status": "private", "is_embargoed": True, "embargo_type": "article"}, "embargoed-item"),
        ({"is_public": False, "published_date": "2021-01-01T00:00:00Z"}, "unpublished"),
        ({"is_public": True, "is_embargoed": True, "embargo_type": "file"}, "embargoed-file"),
        ({"is_public": True, "is_embargoed": True, "embargo_type": "article"}, "embargoed-item"),
        ({"is_metadata_record": True}, "metadata-only"),
        ({"has_linked_file": 1}, "linked"),
        ({"role": "Owner", "published_date": None}, "draft"),
        ({"role": "Owner", "published_date": "2021-01-01T00:00:00Z"}, "public"),
    ],
    ids=[
        "public",
        "draft",
        "collection",
        "hidden",
        "unpublished",
        "embargoed-file",
        "embargoed-item",
        "metadata-only",
        "linked",
        "own project",
        "own public project",
    ],
)
def test_the_state_is_that_of_the_record(record: dict[str, Any], expected: str) -> None:
    assert state(record) == expected


def test_numbers_that_no_table_can_hold_are_none() -> None:
    assert number(10**19 - 1) == number("9" * 19) == 10**19 - 1
    assert number(10**19) is number(-1e300) is number("9" * 20) is None
    assert used_percent({"used_quota": 10**400, "quota": 7}) is None


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        (None, ""),
        ("a < b\nc", "a < b\nc"),
        ("<ul><li>a</li><li>b &lt; c</li></ul>", "a\nb < c"),
        ('<a href="https://x.org">https://x.org</a><script>no</script>', "https://x.org"),
        ("one<br>two<br/>three", "one\ntwo\nthree"),
        ("<p>unclosed <i>text", "unclosed text"),
        ("<p>of Word<![endif]> a<![x]>b<![CDATA[c]]>", "of Word ab"),
        ("<p>a</p>1 &lt; 2 <i", "a\n1 < 2 <i"),
        ("<p>" * 40_000, "<p>" * 40_000),
    ],
    ids=["none", "plain", "list", "link", "breaks", "unclosed", "marked", "half", "long"],
)
def test_html_becomes_text(html: str | None, expected: str) -> None:
    assert plain_text(html) == expected


@given(text=st.text(st.sampled_from("<!?/>[]-'\"=& #x;aCD"), max_size=30))
def test_any_markup_becomes_text(text: str) -> None:
    assert isinstance(plain_text(f"<p>{text}"), str)
