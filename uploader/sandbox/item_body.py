"""Reads the body of a create or an update of an item: every field checked, none stored that is not known. Pure.

Broken structure is answered 422, a category that may not be set 404, as the real service does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from uploader.sandbox.answers import ApiError, invalid
from uploader.sandbox.reference import CATEGORIES, ITEM_TYPES, LICENSES

EMPTY: dict[str, Any] = {
    "title": "", "description": "", "tags": [], "references": [], "related_materials": [], "categories": [],
    "authors": [], "custom_fields": {}, "defined_type": "dataset", "funding": None, "funding_list": [], "license": 1,
    "doi": "", "handle": "", "resource_doi": None, "resource_title": None, "timeline": {}, "group_id": None,
    "is_metadata_record": False, "metadata_reason": "", "download_disabled": False,
}  # fmt: skip
"""An item's fields and what they are where nothing was given. `authors` holds ids."""


@dataclass(frozen=True, slots=True)
class AuthorRef:
    """An author as named by a client: an existing one by `id`, else a new one by the rest."""

    id: int | None
    full_name: str
    first_name: str
    last_name: str
    orcid_id: str


@dataclass(frozen=True, slots=True)
class ItemChanges:
    """What a body asks for: `fields` as in EMPTY without the authors; `authors` is None where none were named."""

    fields: dict[str, Any]
    authors: list[AuthorRef] | None


def read(body: dict[str, Any], *, creating: bool) -> ItemChanges:
    """Check a body. ApiError 422 or 404; a field that is null counts as absent, an unknown one is passed over."""
    given = {name: value for name, value in body.items() if value is not None}
    if creating and "title" not in given:
        raise invalid("Missing mandatory field - title", "title")
    fields = {name: check(name, given[name]) for name, check in _CHECKS.items() if name in given}
    for name, preferred in _SAME.items():
        if preferred in fields:
            fields[name] = fields.pop(preferred)
    authors = _authors(given["authors"]) if "authors" in given else None
    return ItemChanges(fields, authors)


def _text(least: int, most: int) -> Callable[[str, Any], str]:
    def check(name: str, value: Any) -> str:
        if not isinstance(value, str) or not least <= len(value) <= most:
            raise invalid(f"{name} must be a string of {least} to {most} characters", name)
        return value

    return check


def _whole(name: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise invalid(f"{name} must be an integer", name)
    return value


def _truth(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise invalid(f"{name} must be a boolean", name)
    return value


def _texts(name: str, value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise invalid(f"{name} must be a list of strings", name)
    return value


def _objects(name: str, value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise invalid(f"{name} must be a list of objects", name)
    return value


def _object(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise invalid(f"{name} must be an object", name)
    return value


def _categories(name: str, value: Any) -> list[int]:
    if not isinstance(value, list):
        raise invalid(f"{name} must be a list of integers", name)
    ids = [_whole(name, one) for one in value]
    for one in ids:
        if one not in CATEGORIES or not CATEGORIES[one]["is_selectable"]:
            raise ApiError(404, "EntityNotFound", f"Not allowed to set category {one}")
    return ids


def _source_ids(name: str, value: Any) -> list[int]:
    by_source = {category["source_id"]: number for number, category in CATEGORIES.items()}
    return _categories(name, [by_source.get(one, 0) for one in _texts(name, value)])


def _custom_list(name: str, value: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for one in _objects(name, value):
        if not isinstance(one.get("name"), str) or "value" not in one:
            raise invalid(f"{name} must be a list of names and values", name)
        fields[one["name"]] = one["value"]
    return fields


def _item_type(name: str, value: Any) -> str:
    if not isinstance(value, str) or value not in ITEM_TYPES:
        raise invalid(f"Invalid value received for {name}", name)
    return value


def _license(name: str, value: Any) -> int:
    if _whole(name, value) not in LICENSES:
        raise invalid(f"Invalid value received for {name}", name)
    return int(value)


def _funding(name: str, value: Any) -> list[dict[str, Any]]:
    entries = _objects(name, value)
    for one in entries:
        if not isinstance(one.get("id"), int) and not isinstance(one.get("title"), str):
            raise invalid(f"{name} must be a list of ids or titles", name)
    return [{key: one[key] for key in ("id", "title") if key in one} for one in entries]


_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "title": _text(3, 1000),
    "description": _text(0, 20000),
    "tags": _texts,
    "keywords": _texts,
    "references": _texts,
    "related_materials": _objects,
    "categories": _categories,
    "categories_by_source_id": _source_ids,
    "custom_fields": _object,
    "custom_fields_list": _custom_list,
    "defined_type": _item_type,
    "funding": _text(0, 2000),
    "funding_list": _funding,
    "license": _license,
    "doi": _text(0, 1000),
    "handle": _text(0, 1000),
    "resource_doi": _text(0, 1000),
    "resource_title": _text(0, 1000),
    "timeline": _object,
    "group_id": _whole,
    "is_metadata_record": _truth,
    "metadata_reason": _text(0, 2000),
    "download_disabled": _truth,
}

_SAME = {"tags": "keywords", "categories": "categories_by_source_id", "custom_fields": "custom_fields_list"}
"""Field → another name of it, which wins."""


def _authors(value: Any) -> list[AuthorRef]:
    refs = []
    for one in _objects("authors", value):
        if isinstance(one.get("id"), int):
            refs.append(AuthorRef(one["id"], "", "", "", ""))
            continue
        parts = {key: one.get(key) or "" for key in ("name", "first_name", "last_name", "orcid_id")}
        if not all(isinstance(part, str) for part in parts.values()):
            raise invalid("An author's names must be strings", "authors")
        first, last = parts["first_name"], parts["last_name"]
        if parts["name"] and not (first or last):
            first, _, last = parts["name"].rpartition(" ")
        full = parts["name"] or f"{first} {last}".strip()
        if not full:
            raise invalid("An author needs an id or a name", "authors")
        refs.append(AuthorRef(None, full, first, last, parts["orcid_id"]))
    return refs
