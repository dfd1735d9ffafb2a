"""Metadata files as values with lines: the three formats, and what is wrong with broken ones."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from uploader.errors import MetadataInvalid
from uploader.metadata.parse import LARGEST, parse


def wrong(name: str, data: bytes) -> str:
    with pytest.raises(MetadataInvalid) as caught:
        parse(name, data)
    assert caught.value.exit_status == 2
    return caught.value.message


def test_the_three_formats_say_the_same_and_know_their_lines() -> None:
    yaml = parse("a.yml", b"title: x\nauthors:\n  - name: Jane\n  - name: John\n    id: 7\n")
    toml = parse("a.toml", b'title = "x"\n\n[[authors]]\nname = "Jane"\n[[authors]]\nname = "John"\nid = 7\n')
    plain = parse(
        "a.json", b'{"title": "x",\n\t"authors": [\n\t\t{"name": "Jane"},\n\t\t{"name": "John",\n\t\t"id": 7}]}'
    )
    assert yaml.value == toml.value == plain.value
    assert (yaml.line(("authors", 1, "id")), toml.line(("authors", 1, "id")), plain.line(("authors", 1, "id"))) == (
        5,
        7,
        5,
    )
    assert (yaml.line(("authors", 0)), toml.line(("authors", 0)), plain.line(("authors", 0))) == (3, 3, 3)
    assert yaml.line(("authors", 1, "unheard of")) == 4
    assert yaml.line(()) is None


def test_what_yaml_makes_of_words_surprises_nobody() -> None:
    value = parse(
        "a.yaml", b"a: no\nb: 2024-01-02\nc: 0123\nd: 1e3\ne: 12\nf: 1.50\ng: ~\nh: true\ni: '5'\nj: 0x1f\n"
    ).value
    assert value == {
        "a": "no", "b": "2024-01-02", "c": "0123", "d": "1e3", "e": 12, "f": 1.5, "g": None, "h": True, "i": "5",
        "j": "0x1f",
    }  # fmt: skip


def test_toml_dates_are_what_was_written() -> None:
    assert parse("a.toml", b"d = 2024-01-02\n").value == {"d": "2024-01-02"}


def test_toml_keys_inside_long_texts_are_no_keys() -> None:
    document = parse("a.toml", b'a = """\nb = 1\n"""\nc = 2\n[timeline]\nd.e = 3\n')
    assert [document.line((key,)) for key in ("a", "c", "timeline")] == [1, 4, 5]
    assert ("b",) not in document.lines
    assert document.line(("timeline", "d", "e")) == 6


def test_content_tells_the_format_where_the_name_does_not() -> None:
    assert parse("description", b' {"title": "x"}').value == parse("-", b"title: x").value == {"title": "x"}


def test_an_empty_file_says_nothing() -> None:
    assert parse("a.yaml", b"# only a note\n").value == parse("a.toml", b"").value == {}


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.yaml", b"a: 1\n\tb: 2\n", "a.yaml: line 2: there is a tab; in YAML lines are indented with blanks"),
        (
            "a.yaml",
            b"a: 1\nauthors:\n\t- b\n",
            "a.yaml: line 3: there is a tab; in YAML lines are indented with blanks",
        ),
        ("a.yaml", b"title: A: B\n", 'a.yaml: line 1: a value with a colon in it belongs in quotes: title: "A: B"'),
        ("a.yaml", b"a: 1\n b: 2\n", "a.yaml: line 2: "),
        ("a.yaml", b"a: 1\nb: 2\na: 3", "a.yaml: line 3: 'a' stands there twice"),
        ("a.yaml", b"a: 1\nkeywords: *star\n", "a.yaml: line 2: a value that begins with * belongs in quotes"),
        ("a.yaml", b"? [a]\n: 1\n", "a.yaml: line 1: the name of a field is a list or another mapping"),
        ("a.yaml", b"a: \x07\n", "a.yaml: holds a character that YAML does not allow"),
        ("a.yaml", b"title: caf\xe9\n", "a.yaml: line 1: is not in UTF-8"),
        ("a.yaml", b"- a\n- b\n", "a.yaml: line 1: has no fields in it; `title: ...` would be one"),
        ("a.json", b'{"a": 1,\n"a": 2}', "a.json: line 2: 'a' stands there twice"),
        ("a.json", b'{"a": 1,\n\t"b": {"c": 1,\n\t"c": 2}}', "a.json: line 3: 'c' stands there twice"),
        ("a.json", b'{"a": 1,\n"a": {"c": 1,\n"c": 2}}', "a.json: line 2: 'a' stands there twice"),
        ("a.json", b'{"\\ud83d\\ude00": 1,\n"\\ud83d\\ude00": 2}', "a.json: "),
        ("a.json", b'{"a": 1,\n}', "a.json: line 2: is no valid JSON: "),
        ("a.json", b'{"a": NaN}', "a.json: NaN is no number that JSON knows"),
        ("a.json", b"[" * 100_000, "a.json: is nested too deeply"),
        ("a.toml", b"a = 1\nb = \n", "a.toml: line 2: is no valid TOML: invalid value"),
        (
            "a.yaml",
            b"x" * (LARGEST + 1),
            "a.yaml: has 1048577 bytes; a description of more than 1048576 is most likely",
        ),
    ],
)
def test_what_is_broken_is_said_with_its_line(name: str, data: bytes, message: str) -> None:
    assert wrong(name, data).startswith(message)


def test_a_few_lines_do_not_become_billions() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    assert "too many values" in wrong("a.yaml", "\n".join(lines).encode())
    assert "too deeply" in wrong("a.yaml", b"a: &a [*a]")
    assert "too deeply" in wrong("a.yaml", b"[" * 3000)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@hypothesis.given(st.dictionaries(st.text(max_size=8), JSON, max_size=5))
def test_any_json_is_read_as_it_is(value: dict[str, Any]) -> None:
    document = parse("a.json", json.dumps(value, indent=1).encode())
    assert document.value == value


@hypothesis.given(st.binary(max_size=200), st.sampled_from(["a.yaml", "a.json", "a.toml", "a"]))
def test_whatever_is_in_a_file_it_is_read_or_refused(data: bytes, name: str) -> None:
    with contextlib.suppress(MetadataInvalid):
        assert isinstance(parse(name, data).value, dict)
