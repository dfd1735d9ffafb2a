"""Read YAML, and JSON as a subset of it, as plain values with their lines, by the rules of YAML 1.2."""

from __future__ import annotations

import re
from typing import Any

import yaml

from uploader.metadata.problems import DUPLICATE, Location, WrittenFloat, raise_problem

_MAX_VALUES = 50_000
"""Values in one file; YAML's aliases can expand a few lines into billions."""
_MAX_DEPTH = 60


def read(source: str, text: str) -> tuple[Any, dict[Location, int]]:
    """Return the value of a document, and the line (from 1) of each location. Raises MetadataInvalid."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if node is None:
            return None, {}
        walk = _Walk(source)
        return walk.value(node, ()), walk.lines
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark is not None else None
        raise_problem(source, _explain(error), line)
    except yaml.YAMLError:
        raise_problem(source, "contains a character that YAML does not allow")
    except RecursionError:
        raise_problem(source, "is nested too deeply")


def _explain(error: yaml.MarkedYAMLError) -> str:
    """Explain an error of PyYAML to people who rarely write YAML."""
    message = error.problem or error.context or "unknown error"
    if "'\\t'" in message:
        return "contains a tab; indent YAML with spaces"
    if "mapping values are not allowed" in message:
        return 'quote a value that contains a colon: title: "A: B"'
    if "expected <block end>" in message:
        return "the indentation does not match the lines above"
    if "could not find expected ':'" in message:
        return "missing colon after a field name, or missing indentation"
    if "undefined alias" in message:
        return "quote a value that begins with *"
    return f"invalid YAML: {message}"


_PLAIN: tuple[tuple[re.Pattern[str], Any], ...] = (
    (re.compile(r"~|null|Null|NULL|"), lambda _: None),
    (re.compile(r"true|True|TRUE"), lambda _: True),
    (re.compile(r"false|False|FALSE"), lambda _: False),
    (re.compile(r"0|-?[1-9][0-9]{0,17}"), int),
    (re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})\.[0-9]{1,17}"), WrittenFloat),
)
"""Resolves plain scalars by YAML 1.2 without its surprises: `no`, 1e3, 0x1f, +49 and dates are texts."""


class _Walk:
    """Converts YAML nodes to values and records their lines."""

    def __init__(self, source: str) -> None:
        self.lines: dict[Location, int] = {}
        self._source = source
        self._count = 0

    def value(self, node: yaml.Node, place: Location) -> Any:
        self._count += 1
        line = node.start_mark.line + 1
        if self._count > _MAX_VALUES or len(place) > _MAX_DEPTH:
            raise_problem(self._source, "has too many or too deeply nested values", line)
        self.lines.setdefault(place, line)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, place)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(one, (*place, index)) for index, one in enumerate(node.value)]
        return _scalar(node)

    def _mapping(self, node: yaml.MappingNode, place: Location) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise_problem(self._source, "a field name must be a text", line)
            key = str(key_node.value)
            if key in values:
                raise_problem(self._source, f"{DUPLICATE} {key!r}", line)
            self.lines[*place, key] = line
            values[key] = self.value(value_node, (*place, key))
        return values


def _scalar(node: yaml.Node) -> Any:
    text = str(node.value)
    if getattr(node, "style", None) is None:
        for pattern, make in _PLAIN:
            if pattern.fullmatch(text):
                return make(text)
    return text
