"""Lists of records in JSON files are read element by element, wherever the file's chunks end."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.memory import measured_memory
from uploader.records import entries as reading
from uploader.records import json_list
from uploader.records.entries import entries_of
from uploader.records.json_list import InvalidJson, elements

WORK = {"DOI": "10.1/a", "items": 3}
ODD = [{"a": [1, {"b": 'x]}\\"é\U0001f9ab'}], "n": -1.5e3}, {}, [], "text", 12, None, {"message": {"items": [1]}}]
SHAPES: dict[str, tuple[Any, str | None, list[Any]]] = {
    "a list": (ODD, None, ODD),
    "an empty list": ([], None, []),
    "publications": ({"_stats": {"total": 8}, "publications": ODD, "_notes": []}, None, ODD),
    "items in a message": ({"status": 1, "message": {"facets": {}, "items": ODD, "query": {}}, "more": 1}, None, ODD),
    "data beside others": ({"data": ODD, "included": [1], "meta": {}}, None, ODD),
    "the first of two lists": ({"items": ODD, "data": [1]}, None, ODD),
    "a list after an empty one": ({"message": {"items": []}, "results": [], "records": ODD}, None, ODD),
    "a list after an empty one inside": ({"response": {"data": [], "items": ODD}, "records": [1]}, None, ODD),
    "only empty lists": ({"message": {"status": 1, "items": []}, "data": [], "response": {"status": 0}}, None, []),
    "an empty list at a path": ({"a": {"b": []}, "data": [1]}, "a.b", []),
    "one work in a message": ({"status": "ok", "message": WORK}, None, [WORK]),
    "a list beside a message": ({"response": {"status": 0}, "results": ODD}, None, ODD),
    "one record": ({"title": "a", "b": {"c": []}}, None, [{"title": "a", "b": {"c": []}}]),
    "an empty object": ({}, None, [{}]),
    "a path": ({"x": 1, "a": {"y": [1], "b": ODD, "z": {}}, "data": [1]}, "a.b", ODD),
}  # fmt: skip


def read(text: str | bytes, path: str | None = None) -> list[Any]:
    content = io.BytesIO(text if isinstance(text, bytes) else text.encode())
    return [json.loads(one) for one in elements(content, tuple(path.split(".")) if path else None)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 2**20])
@pytest.mark.parametrize("indent", [None, 1])
def test_elements_of_every_shape(shape: str, chunk: int, indent: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    value, path, expected = SHAPES[shape]
    monkeypatch.setattr(json_list, "_CHUNK", chunk)
    for ascii_only in (True, False):
        text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
        assert read(f"\r\n {text} \n", path) == expected


@pytest.mark.parametrize("path", ["a.c", "a.b.c", "x", "a", "x.y"])
def test_a_path_without_a_list(path: str) -> None:
    with pytest.raises(LookupError):
        read('{"x": 1, "a": {"b": [1]}}', path)


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ('[{"a": 1},\n {"b": }]', "expecting value", 2),
        ('[{"a": 1}\n {"b": 2}]', "expecting ',' or ']'", 2),
        ('[{"a": 1},\n\n', "the file ends too early", 3),
        ('[{"a": 1},\n {"b": [1, 2', "the file ends too early", 2),
        ('[{"a": 1},\n {"b": "c', "the file ends in a text without a closing quote", 2),
        ('{"items": [{}],\n', "the file ends too early", 2),
        ('{"items": [{}]}\n]', "trailing characters", 2),
        ("{\n1: 2}", "expecting a name in double quotes", 2),
        ('{"a"\n, 1}', "expecting ':'", 2),
        ("[1,]", "expecting value", 1),
        ("[", "the file ends too early", 1),
        ('[{"a": 1},\n' + "  " * 100 + "{a: 1}, {}" + " " * 100 + "]", "expecting property name", 2),
    ],
)
@pytest.mark.parametrize("chunk", [1, 5, 2**20])
def test_what_is_no_json(text: str, message: str, line: int, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_list, "_CHUNK", chunk)
    with pytest.raises(InvalidJson, match=message) as caught:
        read(text)
    assert caught.value.line == line


def test_bytes_that_are_no_utf_8_concern_their_element_alone() -> None:
    found = list(elements(io.BytesIO(b'[{"a": "\xe9"}, {"b": "c"}]'), None))
    assert found == [b'{"a": "\xe9"}', b'{"b": "c"}']


def test_a_number_with_too_many_digits_concerns_its_element_alone(tmp_path: Path) -> None:
    path = tmp_path / "records.json"
    path.write_text(f'[{{"x": {"1" * 5000}}}, {{"title": "A"}}]')
    with path.open("rb") as content:
        unit, found = entries_of(path, content, None)
        assert [(unit, one.line, one.problems) for one in found] == [
            ("record", 1, ("invalid JSON: a number has too many digits",)),
            ("record", 2, ()),
        ]


LONG = '{"title": "A", "description": "' + "Higher. " * 20 + '"}'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{LONG} \n{LONG}", ("line", 2)),
        (f"\n{LONG}{' ' * 99}\r\n\n{{}}\n", ("line", 2)),
        (LONG, ("record", 1)),
        (f"{LONG}\n\n", ("record", 1)),
        (f'{{"items": [{LONG},\n{LONG}]}}', ("record", 2)),
        (f"[{LONG}\n,{LONG}]", ("record", 2)),
    ],
)
@pytest.mark.parametrize("most", [16, len(LONG) - 1, len(LONG), len(LONG) + 1])
def test_json_lines_are_recognized_by_a_long_first_line(
    text: str, expected: tuple[str, int], most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_MAX_LINE", most)
    unit, found = entries_of(tmp_path / "records.json", io.BytesIO(text.encode()), None)
    problems = [one.problems for one in found]
    assert (unit, len(problems), any(problems)) == (*expected, False)


def test_one_element_is_in_memory_and_not_the_list() -> None:
    one = json.dumps({"abstract": "What became of a dam. " * 1000})
    content = io.BytesIO(f'{{"message": {{"items": [{", ".join([one] * 1000)}]}}}}'.encode())
    with measured_memory() as memory:
        assert sum(1 for _ in elements(content, None)) == 1000
    assert memory.peak < len(content.getvalue()) / 3, memory.peak
