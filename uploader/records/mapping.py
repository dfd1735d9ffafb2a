"""Maps: where to find the values of figup's fields in records of another format. A map is a metadata file with paths.

A path is a name, names joined by dots, `name[0]` for an element of a list or `name[]` for all. A text with paths in
braces is a template; of a list of paths the first that leads to a value counts; nothing means that a field is not taken
from the record. A list of objects is mapped with `each`, and paths within its elements.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from uploader.metadata.cursor import Context, Cursor
from uploader.metadata.load import read
from uploader.metadata.problems import invalid
from uploader.metadata.schema import ALIASES, FIELDS
from uploader.records.columns import parts_of
from uploader.text import did_you_mean, plain

EACH = "each"
RECORDS = "records"
_OWN = (*FIELDS, "id", "link")
_NAMES = {plain(name): name for name in (*_OWN, RECORDS)} | {plain(name): field for name, field in ALIASES.items()}
_STEP = re.compile(r"([^.\[\]]+)|\[(\d*)\]")
_BRACES = re.compile(r"\{([^{}]+)\}")


@dataclass(frozen=True, kw_only=True)
class Map:
    """`fields` are paths by figup's fields. `records` is the path of the list of records in a JSON file, else None."""

    fields: Mapping[str, Any]
    records: str | None = None

    def apply(self, record: dict[str, Any], fields: dict[str, Any], *, is_row: bool) -> dict[str, Any]:
        """Return the fields with those of the map in place of the others. `is_row`: cells may hold several values."""
        mapped = {name: _found(paths, record) for name, paths in self.fields.items()}
        if is_row:
            mapped = {name: parts_of(name, one) if isinstance(one, str) else one for name, one in mapped.items()}
        kept = {name: value for name, value in fields.items() if name not in mapped}
        return kept | {name: value for name, value in mapped.items() if value not in (None, "", [], {})}


def load_map(path: Path) -> Map:
    """Read a map. Raises SourceNotFound, SourceUnreadable, and MetadataInvalid with all its problems."""
    document = read(path)
    context = Context(document=document)
    fields: dict[str, Any] = {}
    for key, value in document.value.items():
        node = Cursor(value=value, location=(key,), context=context)
        name = _NAMES.get(plain(key))
        if name is None:
            node.problem("unknown field", did_you_mean(key, _OWN, f"Known fields: {', '.join(_OWN)}."))
        elif name in fields:
            node.problem("is already mapped")
        else:
            _check(node)
            fields[name] = value
    records = fields.pop(RECORDS, None)
    if records is not None and not isinstance(records, str):
        context.root().problem("records must be the path of a list")
    if not fields and not context.problems:
        context.root().problem("contains no fields")
    if context.problems:
        raise invalid(str(path), context.problems)
    return Map(fields=fields, records=records)


def _check(node: Cursor) -> None:
    """Record a problem for what is neither a path, nor a list of paths, nor fields with paths."""
    if isinstance(node.value, dict):
        for key, value in node.value.items():
            _check(Cursor(value=value, location=(*node.location, key), context=node.context))
    elif isinstance(node.value, list):
        for index, value in enumerate(node.value):
            if not isinstance(value, str):
                Cursor(value=value, location=(*node.location, index), context=node.context).problem("expected a path")
    elif node.value is not None and not isinstance(node.value, str):
        node.problem("expected a path; put a number in quotes")


def _found(paths: Any, record: Any) -> Any:
    """Return the value that paths lead to, None without one."""
    if isinstance(paths, dict) and EACH in paths:
        inner = {name: path for name, path in paths.items() if name != EACH}
        elements = _found(paths[EACH], record)
        return [_found(inner, one) for one in (elements if isinstance(elements, list) else [elements]) if one]
    if isinstance(paths, dict):
        values = ((name, _found(path, record)) for name, path in paths.items())
        return {name: value for name, value in values if value not in (None, "", [], {})}
    if isinstance(paths, list):
        return next((value for path in paths if (value := _found(path, record)) not in (None, "", [])), None)
    if paths is None:
        return None
    return _filled(paths, record) if "{" in paths else value_at(record, paths)


def _filled(template: str, record: Any) -> str | None:
    values = {path: value_at(record, path) for path in _BRACES.findall(template)}
    if any(value in (None, "") or isinstance(value, dict | list) for value in values.values()):
        return None
    return _BRACES.sub(lambda found: str(values[found[1]]), template)


def value_at(record: Any, path: str) -> Any:
    """Return the value at a path; None without one. A name may contain dots, as a column's may."""
    if isinstance(record, dict) and path in record:
        return record.get(path)
    return _walk(record, [(found[1], found[2]) for found in _STEP.finditer(path)])


def _walk(value: Any, steps: list[tuple[str | None, str | None]]) -> Any:
    for number, (name, index) in enumerate(steps):
        if name is not None:
            value = value.get(name) if isinstance(value, dict) else None
        elif index:
            value = value[int(index)] if isinstance(value, list) and int(index) < len(value) else None
        else:
            found = (_walk(one, steps[number + 1 :]) for one in (value if isinstance(value, list) else []))
            return [one for one in found if one not in (None, "")]
    return value
