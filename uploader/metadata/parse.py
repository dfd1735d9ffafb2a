"""Parse metadata files (YAML, JSON, TOML) into plain values. Knows no field.

Values are None, bool, int, float, str, list and dict in every format: a date stays the text that was written.
"""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass, field
from datetime import date, datetime, time
from pathlib import PurePath
from typing import Any, NoReturn

from uploader.errors import MetadataInvalid
from uploader.metadata.problems import DUPLICATE, Location, WrittenFloat, raise_problem

MAX_SIZE = 1024 * 1024
"""Maximum bytes of a metadata file; a larger one is most likely another kind of file."""
_MAX_CRATE = 32 * MAX_SIZE
"""Maximum bytes of an RO-Crate, which lists every file of the dataset."""
_MAX_WITH_LINES = 256 * 1024
"""Maximum characters of JSON for which lines are determined: it takes a second per quarter of a million."""
_TOML_TOKEN = re.compile(
    r'""".*?(?<!\\)"""|'
    r"'''.*?'''"
    r'|"(?:\\.|[^"\\\n])*"|'
    r"'[^'\n]*'|#[^\n]*"
    r"|(?<![\w.:+-])([+-]?0x[0-9A-Fa-f_]+|0o[0-7_]+|0b[01_]+|[+-]?\d+(?:_\d+)+|\+\d+|"
    r"-0|(?:\d{4}-\d\d-\d\d[Tt ])?\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)?)(?=\s*(?:[,\]}#]|$))",
    re.DOTALL | re.MULTILINE,
)
"""TOML's strings and comments; in group 1, numbers with a base, underscores or a sign, and times."""
_TOO_MANY_DIGITS = "a number has too many digits"
_FORMATS = {".yaml": "YAML", ".yml": "YAML", ".cff": "YAML", ".json": "JSON", ".jsonld": "JSON", ".toml": "TOML"}


@dataclass(frozen=True, kw_only=True)
class Document:
    """A file's values. `lines` has the line (from 1) of each location, where known; `source` is the name as given."""

    source: str
    value: dict[str, Any]
    lines: dict[Location, int] = field(default_factory=dict)

    def line(self, place: Location) -> int | None:
        """Return the line of a location, or of the innermost enclosing one with a known line."""
        for length in range(len(place), 0, -1):
            if place[:length] in self.lines:
                return self.lines[place[:length]]
        return None


def parse(source: str, data: bytes) -> Document:
    """Parse a file. The format follows from the name's extension, else from the content. Raises MetadataInvalid."""
    if len(data) > max_size(source):
        raise_problem(source, f"is larger than a metadata file may be ({max_size(source)} bytes)")
    text = _text(source, data)
    kind = _FORMATS.get(PurePath(source).suffix.lower()) or ("JSON" if text.lstrip().startswith("{") else "YAML")
    value, lines = {"YAML": _yaml, "JSON": _json, "TOML": _toml}[kind](source, text)
    if value is None:
        value = {}
    if not isinstance(value, dict):
        raise_problem(source, "contains no fields; write e.g. `title: ...`", 1)
    return Document(source=source, value=value, lines=lines)


def max_size(source: str) -> int:
    """Return the maximum bytes of a file of this name."""
    return _MAX_CRATE if re.search(r"ro-crate-metadata\.json(ld)?$", source) else MAX_SIZE


def _text(source: str, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise_problem(source, "is not UTF-8", data.count(b"\n", 0, error.start) + 1, "Save it as UTF-8.")


def _yaml(source: str, text: str) -> tuple[Any, dict[Location, int]]:
    from uploader.metadata import yaml_nodes

    return yaml_nodes.read(source, text)


# --- JSON ---------------------------------------------------------------------------------------------------------


def _json(source: str, text: str) -> tuple[Any, dict[Location, int]]:
    try:
        value = load_json(text)
    except json.JSONDecodeError as error:
        raise_problem(source, f"invalid JSON: {error.msg[:1].lower()}{error.msg[1:]}", error.lineno)
    except _Duplicate as error:
        raise_problem(source, *_with_line(source, text, str(error)))
    except ValueError as error:
        raise_problem(source, str(error))
    except RecursionError:
        raise_problem(source, "is nested too deeply")
    return value, _json_lines(source, text) if len(text) <= _MAX_WITH_LINES else {}


def load_json(text: str) -> Any:
    """Parse JSON. Numbers keep their text, and duplicate names are errors. Raises ValueError, RecursionError."""
    try:
        return json.loads(text, object_pairs_hook=_once, parse_constant=_no_number, parse_float=WrittenFloat)
    except ValueError as error:
        if type(error) is ValueError:  # of Python's int
            raise _NoNumber(_TOO_MANY_DIGITS) from None
        raise


class _Duplicate(ValueError):
    """A duplicate name in an object."""


class _NoNumber(ValueError):
    """A number that JSON does not have, or that is too long."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        seen: set[str] = set()
        name = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise _Duplicate(f"{DUPLICATE} {name!r}")
    return values


def _with_line(source: str, text: str, message: str) -> tuple[str, int | None]:
    """Return the message about a duplicate name with its line, which Python's JSON parser does not report."""
    from uploader.metadata import yaml_nodes

    try:
        yaml_nodes.read(source, text.replace("\t", " "))
    except MetadataInvalid as found:
        duplicate = found.message.rpartition(f"line {found.line}: ")[2]
        if duplicate.startswith(DUPLICATE):
            return duplicate, found.line
    return message, None


def _no_number(word: str) -> NoReturn:
    raise _NoNumber(f"invalid number {word} in JSON")


def _json_lines(source: str, text: str) -> dict[Location, int]:
    """Return the lines of valid JSON, which is YAML except for tabs; none if YAML cannot read it."""
    from uploader.metadata import yaml_nodes

    try:
        return yaml_nodes.read(source, text.replace("\t", " "))[1]
    except MetadataInvalid:
        return {}


# --- TOML ---------------------------------------------------------------------------------------------------------


def _toml(source: str, text: str) -> tuple[Any, dict[Location, int]]:
    try:
        value = tomllib.loads(_TOML_TOKEN.sub(_quoted, text), parse_float=WrittenFloat)
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        found = re.search(r"\(at line (\d+), column \d+\)", message)
        message = re.sub(r" ?\(at .*\)", "", message)
        raise_problem(source, f"invalid TOML: {message[:1].lower()}{message[1:]}", int(found[1]) if found else None)
    except RecursionError:
        raise_problem(source, "is nested too deeply")
    except ValueError:
        raise_problem(source, _TOO_MANY_DIGITS)
    return _plain(value), {}


def _quoted(token: re.Match[str]) -> str:
    """Quote a number or time that Python would format differently, to keep its text."""
    return f'"{token[1]}"' if token[1] else token[0]


def _plain(value: Any) -> Any:
    """Convert TOML's dates to text."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return value.isoformat() if isinstance(value, datetime | date | time) else value
