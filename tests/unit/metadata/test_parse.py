"""Metadata files as values with lines: the three formats, and errors of broken files."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from uploader.errors import MetadataInvalid
from uploader.metadata.parse import MAX_SIZE, parse


def wrong(name: str, data: bytes) -> str:
    with pytest.raises(MetadataInvalid) as caught:
        parse(name, data)
    assert caught.value.exit_status == 2
    return caught.value.message


def test_the_formats_give_the_same_values_and_all_but_toml_their_lines() -> None:
    yaml = parse("a.yml", b"title: x\nauthors:\n  - name: Jane\n  - name: John\n    id: 7\n")
    toml = parse("a.toml", b'title = "x"\n\n[[authors]]\nname = "Jane"\n[[authors]]\nname = "John"\nid = 7\n')
    json = parse(
        "a.json", b'{"title": "x",\n\t"authors": [\n\t\t{"name": "Jane"},\n\t\t{"name": "John",\n\t\t"id": 7}]}'
    )
    assert yaml.value == toml.value == json.value
    assert [one.line(("authors", 1, "id")) for one in (yaml, json, toml)] == [5, 5, None]
    assert [one.line(("authors", 0)) for one in (yaml, json, toml)] == [3, 3, None]
    assert yaml.line(("authors", 1, "unheard of")) == 4
    assert yaml.line(()) is None


def test_plain_yaml_values_follow_yaml_1_2() -> None:
    value = parse(
        "a.yaml", b"a: no\nb: 2024-01-02\nc: 0123\nd: 1e3\ne: 12\nf: 1.50\ng: ~\nh: true\ni: '5'\nj: 0x1f\n"
    ).value
    assert value == {
        "a": "no", "b": "2024-01-02", "c": "0123", "d": "1e3", "e": 12, "f": 1.5, "g": None, "h": True, "i": "5",
        "j": "0x1f",
    }  # fmt: skip


@pytest.mark.parametrize("text", ["1.10", "0.0", "12.500", "-0.50"])
def test_a_number_as_text_is_unchanged(text: str) -> None:
    for name, data in (("a.yaml", f"v: {text}"), ("a.json", f'{{"v": {text}}}'), ("a.toml", f"v = {text}")):
        value = parse(name, data.encode()).value["v"]
        assert (str(value), value) == (text, float(text))
    assert parse("a.yaml", b"v: +49").value == {"v": "+49"}


@pytest.mark.parametrize(
    "text", ["0x1F", "1_000", "+49", "0o17", "2024-05-17T10:00:00Z", "2024-05-17 10:00:00.5+02:00", "07:32:00.5", "-0"]
)
def test_a_toml_value_keeps_its_text_if_python_would_format_it_differently(text: str) -> None:
    data = f'1_000 = 7\n[[1_0]]\nk = [{text}, 5] # {text},\ns = "{text}, "\nt = {text}\nm = """\n{text},\n"""\n'
    value = parse("a.toml", data.encode()).value
    assert value["1_000"] == 7
    assert value["1_0"] == [{"k": [text, 5], "s": f"{text}, ", "t": text, "m": f"{text},\n"}]


def test_toml_dates_stay_text() -> None:
    assert parse("a.toml", b"d = 2024-01-02\n").value == {"d": "2024-01-02"}


def test_the_format_is_detected_from_the_content() -> None:
    assert parse("description", b' {"title": "x"}').value == parse("-", b"title: x").value == {"title": "x"}


def test_an_empty_file_has_no_fields() -> None:
    assert parse("a.yaml", b"# only a note\n").value == parse("a.toml", b"").value == {}


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.yaml", b"a: 1\n\tb: 2\n", "a.yaml: line 2: contains a tab; indent YAML with spaces"),
        (
            "a.yaml",
            b"a: 1\nauthors:\n\t- b\n",
            "a.yaml: line 3: contains a tab; indent YAML with spaces",
        ),
        ("a.yaml", b"title: A: B\n", 'a.yaml: line 1: quote a value that contains a colon: title: "A: B"'),
        ("a.yaml", b"a: 1\n b: 2\n", "a.yaml: line 2: "),
        ("a.yaml", b"a: 1\nb: 2\na: 3", "a.yaml: line 3: duplicate field 'a'"),
        ("a.yaml", b"a: 1\nkeywords: *star\n", "a.yaml: line 2: quote a value that begins with *"),
        ("a.yaml", b"? [a]\n: 1\n", "a.yaml: line 1: a field name must be a text"),
        ("a.yaml", b"a: \x07\n", "a.yaml: contains a character that YAML does not allow"),
        ("a.yaml", b"title: caf\xe9\n", "a.yaml: line 1: is not UTF-8"),
        ("a.yaml", b"- a\n- b\n", "a.yaml: line 1: contains no fields; write e.g. `title: ...`"),
        ("a.json", b'{"a": 1,\n"a": 2}', "a.json: line 2: duplicate field 'a'"),
        ("a.json", b'{"a": 1,\n\t"b": {"c": 1,\n\t"c": 2}}', "a.json: line 3: duplicate field 'c'"),
        ("a.json", b'{"a": 1,\n"a": {"c": 1,\n"c": 2}}', "a.json: line 2: duplicate field 'a'"),
        ("a.json", b'{"\\ud83d\\ude00": 1,\n"\\ud83d\\ude00": 2}', "a.json: "),
        ("a.json", b'{"a": 1,\n}', "a.json: line 2: invalid JSON: "),
        ("a.json", b'{"a": NaN}', "a.json: invalid number NaN in JSON"),
        ("a.json", b"[" * 100_000, "a.json: is nested too deeply"),
        ("a.json", b'{"a": ' + b"9" * 5000 + b"}", "a.json: a number has too many digits"),
        ("a.toml", b"a = " + b"9" * 5000, "a.toml: a number has too many digits"),
        ("a.toml", b"a = 1\nb = \n", "a.toml: line 2: invalid TOML: invalid value"),
        (
            "a.yaml",
            b"x" * (MAX_SIZE + 1),
            "a.yaml: is larger than a metadata file may be (1048576 bytes)",
        ),
    ],
)
def test_syntax_errors_are_reported_with_their_lines(name: str, data: bytes, message: str) -> None:
    assert wrong(name, data).startswith(message)


@pytest.mark.search
def test_yaml_aliases_cannot_expand_without_bound() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    assert "too many" in wrong("a.yaml", "\n".join(lines).encode())
    assert "too deeply" in wrong("a.yaml", b"a: &a [*a]")
    assert "too deeply" in wrong("a.yaml", b"[" * 3000)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.search
@hypothesis.given(st.dictionaries(st.text(max_size=8), JSON, max_size=5))
def test_any_json_is_read_unchanged(value: dict[str, Any]) -> None:
    document = parse("a.json", json.dumps(value, indent=1).encode())
    assert document.value == value


@hypothesis.given(st.binary(max_size=200), st.sampled_from(["a.yaml", "a.json", "a.toml", "a"]))
def test_any_bytes_are_parsed_or_rejected(data: bytes, name: str) -> None:
    with contextlib.suppress(MetadataInvalid):
        assert isinstance(parse(name, data).value, dict)
