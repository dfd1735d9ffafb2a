"""Rows of tables with figup's own columns, as fields of metadata files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from uploader.metadata.schema import ALIASES, FIELDS
from uploader.text import plain

_LISTS = frozenset({"authors", "categories", "keywords", "references", "related_materials", "funding"})
_INNER = {
    "first_online": ("timeline", "first_online"), "publisher_publication": ("timeline", "publisher_publication"),
    "publisher_acceptance": ("timeline", "publisher_acceptance"), "embargo_date": ("embargo", "until"),
    "embargo_type": ("embargo", "scope"), "embargo_title": ("embargo", "title"),
    "embargo_reason": ("embargo", "reason"),
}  # fmt: skip
_KNOWN = {plain(name): (name,) for name in (*FIELDS, "id", "link")} | {
    plain(name): (target,) for name, target in ALIASES.items()
} | {plain(name): place for name, place in _INNER.items()} | {"linkedfile": ("link",)}  # fmt: skip
CUSTOM = "custom:"
"""Prefix of a column with a custom field."""


def fields_of_row(header: Sequence[str], cells: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """Return the fields of a row, and the columns that are not used but have a value."""
    fields: dict[str, Any] = {}
    unused: list[str] = []
    for column, cell in zip(header, cells, strict=False):
        if not cell.strip():
            continue
        if column.lower().startswith(CUSTOM):
            fields.setdefault("custom_fields", {})[column[len(CUSTOM) :].strip()] = _value(cell)
        elif (place := _KNOWN.get(plain(column))) is None:
            unused.append(column)
        elif len(place) == 2:
            fields.setdefault(place[0], {})[place[1]] = cell
        else:
            fields[place[0]] = _list(cell) if place[0] in _LISTS else cell
    return fields, unused


def _list(cell: str) -> list[str]:
    separator = r"\s*\|\s*" if "|" in cell else r"\s*[;\n]\s*"
    cell = re.sub(r"\(ORCID:\s*", "(", cell)
    return [part for part in re.split(separator, cell.strip()) if part]


def _value(cell: str) -> str | list[str]:
    return [part.strip() for part in cell.split("|")] if "|" in cell else cell
