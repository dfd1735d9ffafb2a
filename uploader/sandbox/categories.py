"""Figshare's categories: the ANZSRC 2020 fields of research, with the ids that the real service gives them.

`categories.tsv` has code and title of the 23 divisions, 213 groups and 1,967 fields, made by scripts/categories.py.
Source: Australian Bureau of Statistics and Stats NZ, Australian and New Zealand Standard Research Classification 2020,
licensed under CC BY 4.0; divisions are written in sentence case here.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from uploader.sandbox.answers import encoded

_FIRST, _STEP = 23812, 3
"""Ids of the real service: the first one, and the step to the next one in the order of the codes."""
_FIELD = 6
"""Digits of the codes that may be selected; two are a division, four a group."""


@functools.cache
def categories() -> dict[int, dict[str, Any]]:
    """Return the categories by id, in their order, as a listing shows them."""
    found: dict[int, dict[str, Any]] = {}
    path: list[int] = []
    text = (Path(__file__).with_name("categories.tsv")).read_text(encoding="utf-8")
    for place, line in enumerate(text.splitlines()):
        source, _, title = line.partition("\t")
        number, level = _FIRST + _STEP * place, len(source) // 2
        path[level - 1 :] = [number]
        found[number] = {
            "id": number,
            "title": title,
            "parent_id": path[-2] if level > 1 else 0,
            "path": "".join(f"/{one}" for one in path),
            "source_id": source,
            "taxonomy_id": 100,
            "is_selectable": len(source) == _FIELD,
            "has_children": len(source) < _FIELD,
        }
    return found


@functools.cache
def by_source() -> dict[str, int]:
    """Return the ids by the codes of the classification."""
    return {category["source_id"]: number for number, category in categories().items()}


@functools.cache
def listing(*, public: bool) -> bytes:
    """Return the JSON of the whole list. The public one has no divisions (observed by two other clients)."""
    return encoded([one for one in categories().values() if not public or one["parent_id"]])


def of_item(number: int) -> dict[str, Any]:
    """Return a category as an item or collection shows it."""
    return {
        name: value for name, value in categories()[number].items() if name not in {"is_selectable", "has_children"}
    }


def title(number: int) -> str:
    """Return the title of a category."""
    return str(categories()[number]["title"])
