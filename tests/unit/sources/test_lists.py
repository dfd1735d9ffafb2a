"""Lists and manifests: output of common programs is read, and errors have their line."""

from __future__ import annotations

import csv
import io
import json
import os

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from uploader.errors import UsageError
from uploader.sources.lists import may_be_path, parse_list
from uploader.sources.manifests import Row, kind_of, parse_manifest

MD5 = "0123456789abcdef0123456789abcdef"
RAW_PATHS = st.lists(st.binary(min_size=1, max_size=20).map(lambda b: b.replace(b"\0", b"x")), max_size=5)
PLAIN = st.text(st.characters(blacklist_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=12)


@given(RAW_PATHS)
def test_any_paths_come_back_from_a_list_with_nul(paths: list[bytes]) -> None:
    wanted = [path for path in paths if path.strip(b"\n")]
    data = b"".join(path + b"\0" for path in wanted)
    assert [os.fsencode(path) for _, path in parse_list(data, "list", nul=True)] == wanted


@given(RAW_PATHS)
def test_any_paths_without_line_ends_come_back_from_a_list_of_lines(paths: list[bytes]) -> None:
    wanted = [b"./" + path.translate(None, b"\n\r") for path in paths]
    for end in (b"\n", b"\r\n"):
        data = b"# a remark\n\n" + b"".join(path + end for path in wanted)
        assert [os.fsencode(path) for _, path in parse_list(data, "list")] == wanted
        assert [os.fsencode(path) for _, path in parse_list(data.rstrip(b"\r\n"), "list")] == wanted


def test_the_wrong_kind_of_list_is_detected() -> None:
    with pytest.raises(UsageError, match="NUL characters") as caught:
        parse_list(b"a\0b\0", "files.txt")
    assert caught.value.facts.situation == "nul-separated"
    with pytest.raises(UsageError, match="found no NUL"):
        parse_list(b"a\nb\nc\n", "files.txt", nul=True)
    assert parse_list(b"\xef\xbb\xbfa\n", "files.txt") == [(1, "a")]


def test_a_line_that_begins_like_a_comment_may_be_a_file() -> None:
    asked: list[tuple[int, str]] = []

    def is_file(line: int, path: str) -> bool:
        asked.append((line, path))
        return path == "#b.txt"

    data = b"a\n#b.txt\n# a remark\n#c.txt\n"
    assert parse_list(data, "list", is_file=is_file) == [(1, "a"), (2, "#b.txt")]
    assert asked == [(2, "#b.txt"), (3, "# a remark"), (4, "#c.txt")]
    assert [may_be_path(line) for _, line in asked] == [True, False, True]


def test_a_list_of_powershell_is_read() -> None:
    assert parse_list("a\r\nü\r\n".encode("utf-16"), "list") == [(1, "a"), (2, "ü")]


def test_a_path_has_its_line_number() -> None:
    assert parse_list(b"# a remark\n\na\r\n\nb", "list") == [(3, "a"), (5, "b")]
    assert parse_list(b"a\0\nb\0", "list", nul=True) == [(1, "a"), (2, "\nb")]


# --- manifests ------------------------------------------------------------------------------------------------------

ROWS = st.lists(
    st.builds(
        Row,
        path=PLAIN.filter(lambda t: bool(t.strip())),
        name=st.none() | PLAIN.filter(lambda t: "/" not in t and t not in (".", "..") and bool(t.strip())),
        folder=st.sampled_from(["", "a", "a/b c", "ü/x"]),
        md5=st.none() | st.just(MD5),
    ),
    min_size=1,
    max_size=4,
)


def parsed(data: bytes, kind: str) -> list[Row | UsageError]:
    return [found for _, found in parse_manifest(data, kind, "m")]


def fields(row: Row) -> dict[str, str]:
    given_ones = {"path": row.path, "name": row.name, "folder": row.folder, "md5": row.md5}
    return {key: value for key, value in given_ones.items() if value}


@pytest.mark.search
@given(ROWS)
def test_a_manifest_is_equal_in_every_format(rows: list[Row]) -> None:
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, ["path", "name", "folder", "md5"])
    writer.writeheader()
    writer.writerows(fields(row) for row in rows)
    entries = [fields(row) for row in rows]
    assert parsed(table.getvalue().encode(), "csv") == rows
    assert parsed(json.dumps(entries).encode(), "json") == rows
    assert parsed(json.dumps({"files": entries}).encode(), "json") == rows
    assert parsed(yaml.safe_dump({"files": entries}, allow_unicode=True).encode(), "yaml") == rows


def test_a_spreadsheet_in_another_country_is_read() -> None:
    assert parsed(b"\xef\xbb\xbfPath;MD5\r\na;\r\n", "csv") == [Row(path="a")]
    assert parsed(b"path\tname\na b\tc,d\n", "csv") == [Row(path="a b", name="c,d")]
    assert parsed(b'path\n"a\nb"\n', "csv") == [Row(path="a\nb")]
    assert parsed(b"- a\n- path: b\n", "yaml") == [Row(path="a"), Row(path="b")]


def test_what_excel_writes_is_read() -> None:
    table = "path\tname\tfolder\r\ndata/ü.csv\ta.csv\t raw \r\n"
    rows = [Row(path="data/ü.csv", name="a.csv", folder="raw")]
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-16-be"):
        bom = "\ufeff" if encoding == "utf-16-be" else ""
        assert parsed((bom + table).encode(encoding), "csv") == rows
    named = "sep=;\r\npath;folder;;\r\na;raw\\x \\y;;\r\n;;;\r\n"
    assert parsed(named.encode("utf-8-sig"), "csv") == [Row(path="a", folder="raw/x/y")]
    ((where, mistake),) = parse_manifest(b"sep=;\npath;md5\na;1\n", "csv", "m")
    assert (where, isinstance(mistake, UsageError)) == ("m: line 3", True)


def test_values_of_a_yaml_manifest_are_texts() -> None:
    for text in ("010", "1.10", "no", "12:30", "2024-01-01", "0x1f", "1_000", "NaN", "1e3", "12345678901234567890123"):
        assert parsed(f"- path: {text}\n  name: ~\n".encode(), "yaml") == [Row(path=text)]
    assert parsed(b"- &a {path: a, folder: x}\n- {<<: *a, path: b}\n", "yaml")[1] == Row(path="b", folder="x")


@pytest.mark.parametrize(
    ("data", "kind", "said"),
    [
        (b"path,nmae\na,b\n", "csv", "line 1: unknown field 'nmae'"),
        (b"path\na,b\n", "csv", "line 2: has 2 columns"),
        (b"name\na\n", "csv", "line 1: has no column for the path"),
        (b"path,name\n,b\n", "csv", "line 2: path missing"),
        (b"path,md5\na,123\n", "csv", "invalid MD5 '123'"),
        (b"path,name,path\na,b,c\n", "csv", "line 1: columns 1 and 3 are both called 'path'"),
        (b"path,,\na,,b\n", "csv", "line 2: column 3 has no name in the header, but contains 'b'"),
        (b"path,name\na,b/c\n", "csv", "invalid file name 'b/c'"),
        (b"path,folder\na,b/../c\n", "csv", "invalid folder"),
        (b'path\n"a"b\n', "csv", "line 2: "),
        (b"[3]", "json", "entry 1: is neither"),
        (b"[{}]", "json", "entry 1: path missing"),
        (b'[{"path": true}]', "json", "must be a text"),
        (b'[{"path": "a", "nmae": "b"}]', "json", "entry 1: unknown field 'nmae'"),
    ],
)
def test_an_error_in_a_manifest_is_reported(data: bytes, kind: str, said: str) -> None:
    ((where, mistake),) = [found for found in parse_manifest(data, kind, "m.csv") if isinstance(found[1], UsageError)]
    assert isinstance(mistake, UsageError)
    assert said in mistake.message
    assert mistake.message.startswith(f"{where}: ")
    assert mistake.message.isprintable()


@pytest.mark.parametrize(
    ("data", "kind", "said"),
    [
        (b"path\n", "csv", "contains no file"),
        (b"", "csv", "contains no file"),
        (b"\xff\xfe", "csv", "contains no file"),
        (b"\xff\xfea", "csv", "begins like UTF-16"),
        (b"path\nb \xfc.csv\n", "csv", r"is not UTF-8 \(line 2\); perhaps ANSI"),
        (b'[{"path": "a", "path": "b"}]', "json", "'path' is given twice"),
        (b"- path: a\n  path: b\n", "yaml", "'path' is given twice"),
        (b"{", "json", "is not JSON"),
        (b"3", "json", "neither a list of files"),
        (b"a: [", "yaml", "is not YAML"),
        (b"- !!python/object/apply:os.system ['true']", "yaml", "is not YAML"),
        (b"[" * 100_000, "json", "is not JSON"),
        (b"- " * 100_000, "yaml", "is nested too deeply"),
        (b"{a: " * 100_000, "yaml", "is nested too deeply"),
    ],
)
def test_an_invalid_manifest_is_rejected(data: bytes, kind: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        list(parse_manifest(data, kind, "m.csv"))
    assert caught.value.message.startswith("m.csv: ")
    assert caught.value.message.isprintable()


def test_all_errors_in_a_manifest_are_reported() -> None:
    table = b"path,nmae,md5,folder\na,,1,b/../c\nb,,,\n,,,\nc,,,,x\n,n,,\n"
    found = list(parse_manifest(table, "csv", "m"))
    assert [
        (where, "a row" if isinstance(one, Row) else one.message.partition(f"{where}: ")[2]) for where, one in found
    ] == [
        ("m: line 1", "unknown field 'nmae'"),
        ("m: line 2", "invalid folder 'b/../c'"),
        ("m: line 2", "invalid MD5 '1'; use 32 hexadecimal digits"),
        ("m: line 3", "a row"),
        ("m: line 5", "has 5 columns, but the header has 4"),
        ("m: line 6", "path missing"),
    ]


def test_the_format_follows_from_the_name() -> None:
    assert [kind_of(f"x.{end}") for end in ("csv", "tsv", "JSON", "yml")] == ["csv", "csv", "json", "yaml"]
    with pytest.raises(UsageError, match=r"\.csv, \.tsv, \.json"):
        kind_of("manifest.txt")
