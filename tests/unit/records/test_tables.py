"""Tables as spreadsheets and people write them: what is read, and what is reported with its place."""

from __future__ import annotations

import io
import zipfile
from datetime import date, datetime
from pathlib import Path

import openpyxl
import pytest
import xlsxwriter

from uploader.errors import FigupError, MetadataInvalid, UsageError
from uploader.records import extent
from uploader.records.formats import RecordFile, read_records
from uploader.sources.tables import MAX_COLUMNS

TODAY = date(2026, 1, 1)
TABLE = "title;id;link\r\nÄ dam;1;https://a.org/\r\n"


def read(folder: Path, content: bytes, name: str = "records.csv") -> RecordFile:
    (folder / name).write_bytes(content)
    return read_records(folder / name, today=TODAY)


def workbook(*rows: tuple[object, ...]) -> bytes:
    book, data = openpyxl.Workbook(), io.BytesIO()
    for row in rows:
        book.active.append(list(row))  # type: ignore[union-attr]
    book.save(data)
    return data.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        TABLE.encode(),
        TABLE.encode("utf-8-sig"),
        TABLE.encode("utf-16"),
        TABLE.replace(";", "\t").encode(),
        TABLE.replace(";", ",").replace("\r\n", "\n").encode(),
        f"sep=;\r\n{TABLE}".encode(),
        TABLE.replace("Ä dam", '"Ä dam"').encode(),
    ],
)
def test_a_table_in_any_spelling(tmp_path: Path, content: bytes) -> None:
    (record,) = read(tmp_path, content).records
    assert (record.metadata.title, record.key, record.link) == ("Ä dam", "1", "https://a.org/")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (TABLE.encode("windows-1252"), "is not UTF-8 (line 2); perhaps ANSI (Windows-1252)"),
        (TABLE.encode("utf-16-le"), "is either not text or UTF-16 without a byte order mark"),
        (b"title,id,Title\nA,1,B\n", "line 1: columns 1 and 3 are both called 'Title'"),
        (b'title,id,link\n"A dam,1,x\n', "line 2: a quoted cell of this row has no closing quote"),
        (b"name,id\nA dam,1\n", "has no column for the title"),
        (b"title,id\n", "contains no record"),
        (b"", "has no line with the names of columns"),
        (b"title" + b"," * 10**6, f"has 1000001 columns; at most {MAX_COLUMNS} are read"),
    ],
    ids=["ansi", "utf-16", "duplicate", "quote", "untitled", "empty", "nothing", "million-columns"],
)
def test_files_that_are_not_tables(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(FigupError) as caught:
        read(tmp_path, content)
    assert caught.value.message.endswith(message)
    assert caught.value.exit_status == 2


def test_rows_with_mistakes_have_their_line(tmp_path: Path) -> None:
    file = read(
        tmp_path,
        b'title,id,link,,keywords\n"A\ndam",1,https://a.org/,,\nB dam,2,https://a.org/,,a,b\n'
        b"C dam,1.2E+11,https://a.org/,x,\nD dam,4,#REF!,,\nE dam,5\n"
        b"F\0dam,6,https://a.org/\n",
    )
    assert [one.text for one in file.problems] == [
        "line 4: has 6 columns, but the header has 5",
        "line 5: column 4 has no name in the header, but contains 'x'",
        "line 5: column 'id': Excel shortened a number to 1.2E+11; format the column as text",
        "line 6: column 'link' contains Excel's error #REF!",
        "line 7: a record needs the address of its file (link), or the reason why it has none (metadata_only)",
        "line 8: column 'title' contains a NUL character",
    ]
    assert [(one.metadata.title, one.line) for one in file.records] == [("A dam", 2)]


def test_cells_that_excel_turned_into_numbers_and_dates(tmp_path: Path) -> None:
    content = workbook(
        ("title", "id", "link", "keywords", "first_online"),
        ("A dam", 12345.0, "https://a.org/", date(2024, 3, 1), datetime(2024, 5, 17)),  # noqa: DTZ001 - as Excel has it
        (),
        ("B dam", 12345678901234567, "https://a.org/", None, None),
    )
    file = read(tmp_path, content, "records.xlsx")
    assert (file.kind, file.unit, file.problems) == ("xlsx", "row", [])
    first, second = file.records
    assert (first.key, first.line, second.line) == ("12345", 2, 4)
    assert first.metadata.timeline is not None
    assert first.metadata.timeline.first_online == "2024-05-17"
    assert first.metadata.keywords == ("2024-03-01",)
    assert file.remarks == [
        "row 2: column 'keywords': a value is a date in Excel, and read as such: 2024-05-17",
        "row 2 and 1 more: authors: none; the item keeps the account's owner as its author",
        "row 4: column 'id': Excel keeps 15 digits of a number; the others are lost",
    ]


def test_columns_are_counted_from_the_first_one_of_the_sheet(tmp_path: Path) -> None:
    rows = ((), (None, None, "title", "id", "link"), (None, None, "A dam", 1, "https://a.org/", "x"))
    file = read(tmp_path, workbook(*rows), "records.xlsx")
    assert [one.text for one in file.problems] == ["row 3: column 6 has no name in the header, but contains 'x'"]


@pytest.mark.search
@pytest.mark.parametrize("value", [None, "x"])
def test_a_cell_far_from_the_others_does_not_take_all_memory(tmp_path: Path, value: str | None) -> None:
    """The library would take 550 GB, and end the process; an empty cell with a format does not matter."""
    content = io.BytesIO()
    with xlsxwriter.Workbook(content) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, ("title", "id", "link"))
        sheet.write_row(1, 0, ("A dam", "1", "https://a.org/"))
        sheet.write(1_048_575, 16_383, value, book.add_format({"bold": True}))
    if value is None:
        assert len(read(tmp_path, content.getvalue(), "records.xlsx").records) == 1
        return
    with pytest.raises(MetadataInvalid, match="a sheet extends to cell XFD1048576, which is too far to read"):
        read(tmp_path, content.getvalue(), "records.xlsx")


@pytest.mark.search
@pytest.mark.parametrize(("row", "column"), [(1_048_575, 2), (999, 16_383)])
def test_a_far_cell_is_told_before_the_library_takes_memory_for_the_blanks(
    tmp_path: Path, row: int, column: int
) -> None:
    """A table of that many cells is read; one that has few of them is a mistake."""
    content = io.BytesIO()
    with xlsxwriter.Workbook(content) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, ("title", "id", "link"))
        sheet.write_row(1, 0, ("A dam", "1", "https://a.org/"))
        sheet.write(row, column, "x")
    with pytest.raises(MetadataInvalid, match=f"extends to cell [A-Z]+{row + 1}, which is too far to read"):
        read(tmp_path, content.getvalue(), "records.xlsx")


@pytest.mark.parametrize(
    "cell", [b"<c s='0' r='XFD1048576'>", b'<x:c s="0"\n r = "xfd1048576">', b'<c r="XFD1048576">']
)
@pytest.mark.parametrize("sheet", [0, 1])
def test_a_far_cell_is_found_however_it_is_written_and_only_in_the_sheet_that_is_read(
    tmp_path: Path, cell: bytes, sheet: int
) -> None:
    content, changed = io.BytesIO(), io.BytesIO()
    with xlsxwriter.Workbook(content) as book:
        for rows in [(("title", "id", "link"), ("A dam", "1", "https://a.org/"))] * 2:
            part = book.add_worksheet()
            for number, row in enumerate(rows):
                part.write_row(number, 0, row)
    far = b'<row r="1048576">' + cell + b"<v>1</v></" + cell.split()[0][1:] + b"></row></sheetData>"
    with zipfile.ZipFile(content) as old, zipfile.ZipFile(changed, "w") as new:
        for name in reversed(old.namelist()):
            data = old.read(name)
            new.writestr(name, data.replace(b"</sheetData>", far) if name.endswith(f"sheet{sheet + 1}.xml") else data)
    if sheet:
        assert len(read(tmp_path, changed.getvalue(), "records.xlsx").records) == 1
        return
    with pytest.raises(MetadataInvalid, match="a sheet extends to cell XFD1048576"):
        read(tmp_path, changed.getvalue(), "records.xlsx")


ODS = """<office:document-content xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0"><office:body><office:spreadsheet>
<table:table table:name="A">%s</table:table><table:table table:name="B">%s</table:table></office:spreadsheet></office:body></office:document-content>"""  # noqa: E501


def ods_row(*cells: str, repeated: int = 1) -> str:
    return f'<table:table-row table:number-rows-repeated="{repeated}">{"".join(cells)}</table:table-row>'


def ods_cell(text: str, repeated: int = 1) -> str:
    value = f'office:value-type="string"><text:p>{text}</text:p></table:table-cell>' if text else "/>"
    return f'<table:table-cell table:number-columns-repeated="{repeated}" {value}'


def ods(*sheets: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr("META-INF/manifest.xml", "<manifest/>")
        archive.writestr("content.xml", ODS % sheets)
    return content.getvalue()


def test_a_cell_of_an_ods_file_far_from_the_others_does_not_take_all_memory(tmp_path: Path) -> None:
    """The library reads all sheets. Empty rows up to the last one, as LibreOffice writes them, do not matter."""
    header = ods_row(*map(ods_cell, ("title", "id", "link")))
    records = header + ods_row(*map(ods_cell, ("A dam", "1", "https://a.org/")), ods_cell("", 16_381))
    empty = ods_row(ods_cell("", 16_384), repeated=1_048_573)
    far = ods_row(ods_cell("", 16_383), ods_cell("x"))
    (found,) = read(tmp_path, ods(records + empty + ods_row(ods_cell("")), records), "records.ods").records
    assert (found.key, found.line) == ("1", 2)
    many = ods_row(ods_cell("x", 1_000), repeated=1_000_000)
    for sheets in ((records + empty + far, records), (records, records + many)):
        with pytest.raises(MetadataInvalid, match=r"a sheet extends to cell [A-Z]+1\d{6}, which"):
            read(tmp_path, ods(*sheets), "records.ods")


def test_workbooks_that_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("xl/workbook.bin", b"")
    with pytest.raises(MetadataInvalid, match="is a binary Excel workbook") as caught:
        read(tmp_path, content.getvalue(), "records.xlsb")
    assert caught.value.hint == "Save it as .xlsx, or as CSV UTF-8."
    old = bytes.fromhex("D0CF11E0A1B11AE1") + bytes(512)
    for name in ("records.xls", "records.xlsx"):
        with pytest.raises(MetadataInvalid, match="is an old Excel workbook"):
            read(tmp_path, old, name)
    monkeypatch.setattr(extent, "_MAX_UNPACKED", 1000)
    with pytest.raises(MetadataInvalid, match="is larger than 2 GiB when it is unpacked"):
        read(tmp_path, workbook(("title", "id", "link"), ("A dam", 1, "https://a.org/")), "records.xlsx")


def test_a_file_that_is_not_a_workbook(tmp_path: Path) -> None:
    with pytest.raises(FigupError, match="is not an Excel workbook"):
        read(tmp_path, b"title,id\n", "records.xlsx")
    with pytest.raises(FigupError, match="is not an Excel workbook"):
        read(tmp_path, b"PK\x03\x04 no zip", "records.csv")


@pytest.mark.parametrize("broken", ["</table:table-row>", "</office:document-content>"])
def test_a_damaged_ods_file_comes_to_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    monkeypatch.setattr(f"{__name__}.ODS", ODS.replace(broken, "", 1) if broken in ODS else ODS)
    rows = ods_row(ods_cell("title"), ods_cell("id")).replace(broken, "")
    with pytest.raises(MetadataInvalid, match="is damaged: "):
        read(tmp_path, ods(rows, rows), "records.ods")


def test_other_files(tmp_path: Path) -> None:
    with pytest.raises(FigupError, match="is neither CSV, XLSX, JSON nor JSON Lines"):
        read(tmp_path, b"@article{a}", "records.bib")
    with pytest.raises(FigupError, match=r"line 2: invalid JSON"):
        read(tmp_path, b'[{"title": "A"},\n nonsense]', "records.json")
    for text in (b"[" * 100_000, b'{"data":' * 100_000):
        with pytest.raises(MetadataInvalid, match=r"is nested too deeply|invalid JSON"):
            read(tmp_path, text, "records.json")
    file = read(tmp_path, b'{"title": "A dam", "id": 1, "titel": 2}\nnonsense\n', "records.jsonl")
    assert [one.text for one in file.problems] == [
        "line 1, titel: unknown field",
        "line 1: a record needs the address of its file (link), or the reason why it has none (metadata_only)",
        "line 2: invalid JSON: Expecting value: line 1 column 1 (char 0)",
    ]


def test_xlsx_needs_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "python_calamine", None)
    with pytest.raises(UsageError, match="needs the package python-calamine"):
        read(tmp_path, workbook(("title",)), "records.xlsx")
