"""A metadata file as plain values with the lines they stand on: YAML, JSON and TOML. Knows nothing of what they mean.

Values are None, bool, int, float, str, list and dict, whatever the format: a date stays the text that was written.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time
from pathlib import PurePath
from typing import Any, NoReturn

from uploader.errors import MetadataInvalid
from uploader.metadata.problems import TWICE, Location, wrong

LARGEST = 1024 * 1024
"""Bytes of a metadata file; whoever has more has named the wrong file."""
_ENDINGS = {".yaml": "YAML", ".yml": "YAML", ".cff": "YAML", ".json": "JSON", ".jsonld": "JSON", ".toml": "TOML"}


@dataclass(frozen=True)
class Document:
    """A file's values. `lines` says on which line (from 1) a place begins; `source` is the file as it was named."""

    source: str
    value: dict[str, Any]
    lines: dict[Location, int] = field(default_factory=dict)

    def line(self, place: Location) -> int | None:
        """The line of a place, or of the innermost place around it whose line is known."""
        for length in range(len(place), 0, -1):
            if place[:length] in self.lines:
                return self.lines[place[:length]]
        return None


def parse(source: str, data: bytes) -> Document:
    """The values of a file. The name's ending tells the format, else its content does. Raises MetadataInvalid."""
    if len(data) > LARGEST:
        wrong(source, f"has {len(data)} bytes; a description of more than {LARGEST} is most likely another file")
    text = _text(source, data)
    kind = _ENDINGS.get(PurePath(source).suffix.lower()) or ("JSON" if text.lstrip().startswith("{") else "YAML")
    value, lines = {"YAML": _yaml, "JSON": _json, "TOML": _toml}[kind](source, text)
    if value is None:
        value = {}
    if not isinstance(value, dict):
        wrong(source, "has no fields in it; `title: ...` would be one", 1)
    return Document(source, value, lines)


def _text(source: str, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        wrong(source, "is not in UTF-8", data.count(b"\n", 0, error.start) + 1, "Save it as UTF-8.")


def _yaml(source: str, text: str) -> tuple[Any, dict[Location, int]]:
    from uploader.metadata import yaml_nodes

    return yaml_nodes.read(source, text)


# --- JSON ---------------------------------------------------------------------------------------------------------


def _json(source: str, text: str) -> tuple[Any, dict[Location, int]]:
    try:
        value = json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        wrong(source, f"is no valid JSON: {error.msg[:1].lower()}{error.msg[1:]}", error.lineno)
    except _Twice as error:
        wrong(source, *_with_line(source, text, str(error)))
    except ValueError as error:
        wrong(source, str(error))
    except RecursionError:
        wrong(source, "is nested too deeply")
    return value, _json_lines(source, text)


class _Twice(ValueError):
    """A name that stands in one object twice."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise _Twice(f"{twice!r} {TWICE}")
    return values


def _with_line(source: str, text: str, message: str) -> tuple[str, int | None]:
    """The message about a name that stands there twice with its line, which Python's JSON does not tell."""
    from uploader.metadata import yaml_nodes

    try:
        yaml_nodes.read(source, text.replace("\t", " "))
    except MetadataInvalid as found:
        told = found.message.rpartition(f"line {found.line}: ")[2]
        if told.endswith(TWICE):
            return told, found.line
    return message, None


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number that JSON knows")


def _json_lines(source: str, text: str) -> dict[Location, int]:
    """Where the values of valid JSON stand. JSON is YAML too, but for tabs; what YAML cannot read has no lines."""
    from uploader.metadata import yaml_nodes

    try:
        return yaml_nodes.read(source, text.replace("\t", " "))[1]
    except MetadataInvalid:
        return {}


# --- TOML ---------------------------------------------------------------------------------------------------------


def _toml(source: str, text: str) -> tuple[Any, dict[Location, int]]:
    try:
        value = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        said = str(error)
        found = re.search(r"\(at line (\d+), column \d+\)", said)
        words = re.sub(r" ?\(at .*\)", "", said)
        wrong(source, f"is no valid TOML: {words[:1].lower()}{words[1:]}", int(found[1]) if found else None)
    except RecursionError:
        wrong(source, "is nested too deeply")
    return _plain(value), dict(_toml_lines(text))


def _plain(value: Any) -> Any:
    """TOML's dates as the text they are written as."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return value.isoformat() if isinstance(value, datetime | date | time) else value


_TABLE = re.compile(r"\s*(\[\[?)\s*([^\[\]]+?)\s*\]\]?\s*(?:#.*)?")
_KEY = re.compile(r"""\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*=""")
_STEP = re.compile(r"""[\w-]+|"[^"]*"|'[^']*'""")


def _toml_lines(text: str) -> Iterator[tuple[Location, int]]:
    """Where the keys of valid TOML stand, each on a line of its own; what is inside a value has the value's line."""
    table: Location = ()
    counts: dict[Location, int] = {}
    quotes = ""
    for number, line in enumerate(text.split("\n"), start=1):
        was_inside = bool(quotes)
        quotes = _open_quotes(line, quotes)
        if was_inside:
            continue
        if header := _TABLE.fullmatch(line):
            table = _absolute(_steps(header[2]), counts)
            if header[1] == "[[":
                counts[table] = counts.get(table, -1) + 1
                table = (*table, counts[table])
            yield table, number
        elif key := _KEY.match(line):
            yield (*table, *_steps(key[1])), number


def _steps(dotted: str) -> Location:
    return tuple(step.strip("\"'") for step in _STEP.findall(dotted))


def _absolute(steps: Location, counts: dict[Location, int]) -> Location:
    """A table's name with the indexes of the arrays that it stands in; its own is left out."""
    place: Location = ()
    for step in steps:
        if place in counts:
            place = (*place, counts[place])
        place = (*place, step)
    return place


def _open_quotes(line: str, quotes: str) -> str:
    """The kind of multi-line string that is open at the end of the line, "" for none."""
    at = 0
    while True:
        if quotes:
            end = line.find(quotes, at)
            if end < 0:
                return quotes
            at, quotes = end + 3, ""
        found = [(where, mark) for mark in ('"""', "'''") if (where := line.find(mark, at)) >= 0]
        if not found:
            return ""
        where, quotes = min(found)
        at = where + 3
