"""Columns of figup's own tables, as fields of metadata files. They include those of reports. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from typing import Any

from uploader.metadata.importers.extract import Extracted
from uploader.metadata.schema import ALIASES, FIELDS
from uploader.metadata.vocabulary import RELATIONS
from uploader.text import plain

CUSTOM = "custom:"
"""Prefix of a column with a custom field."""
COLUMNS = (
    "id", "doi", "title", "description", "authors", "categories", "keywords", "license", "type", "link",
    "metadata_only", "funding", "references", "related_materials", "group", "handle", "first_online",
    "publisher_publication", "publisher_acceptance", "embargo_date", "embargo_type", "embargo_title", "embargo_reason",
)  # fmt: skip
_INNER = {
    "embargo": ("embargo", "until"), "embargo_date": ("embargo", "until"), "embargo_type": ("embargo", "scope"),
    "embargo_title": ("embargo", "title"), "embargo_reason": ("embargo", "reason"),
    **{name: ("timeline", name) for name in ("first_online", "publisher_publication", "publisher_acceptance")},
}  # fmt: skip
_OUTER = {name: name for name in (*FIELDS, "id", "link")} | ALIASES | {"linked_file": "link"}
_PLACES: dict[str, tuple[str, ...]] = {plain(name): (field,) for name, field in _OUTER.items()} | {
    plain(name): place for name, place in _INNER.items()
}
_LISTS = frozenset({"authors", "categories", "keywords", "references", "related_materials", "funding"})
_RELATION = re.compile(rf"({'|'.join(RELATIONS)}):?\s+(\S.*)")


def has_title(header: Iterable[str]) -> bool:
    """Return True if one of these columns has the titles."""
    return any(_PLACES.get(plain(column)) == ("title",) for column in header)


def extract(row: dict[str, Any], _: date) -> Extracted:
    """Extract the fields of a row. Of two columns for one field, the second is left unread."""
    fields: dict[str, Any] = {}
    for column in row:
        if column.lower().startswith(CUSTOM):
            fields.setdefault("custom_fields", {})[column[len(CUSTOM) :].strip()] = _value(row.get(column, ""))
        elif place := _PLACES.get(plain(column), ()):
            *outer, name = place
            inside = fields.setdefault(outer[0], {}) if outer else fields
            if name not in inside:
                inside[name] = parts_of(name, row.get(column, ""))
    return Extracted(fields=fields)


def parts_of(field: str, cell: str) -> Any:
    """Return a cell's text, or for a list its parts: separated by "|", else by semicolons or line breaks."""
    if field not in _LISTS:
        return cell
    parts = [part.strip() for part in re.split(r"\|" if "|" in cell else r"[;\n]", cell)]
    if field == "authors":
        return [re.sub(r"\(ORCID:\s*", "(", part) for part in parts if part]
    if field == "related_materials":
        return [_material(part) for part in parts if part]
    return [part for part in parts if part]


def _material(part: str) -> dict[str, str] | str:
    found = _RELATION.fullmatch(part)
    return {"relation": found[1], "identifier": found[2]} if found is not None else part


def _value(cell: str) -> str | list[str]:
    return [part.strip() for part in cell.split("|")] if "|" in cell else cell
