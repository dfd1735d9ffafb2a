"""Parse the body of a create or an update of a collection. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from uploader.sandbox import checks
from uploader.sandbox.answers import invalid
from uploader.sandbox.people import author_body
from uploader.sandbox.people.authors import NewAuthor


@dataclass(frozen=True, kw_only=True, slots=True)
class CollectionChanges:
    """The content of a body: `fields` as stored, except authors, items etc., which are as the client named them."""

    fields: dict[str, Any]
    authors: list[int | NewAuthor] | None
    items: list[int] | None


def read(body: dict[str, Any], *, creating: bool) -> CollectionChanges:
    """Check a body. ApiError 422 or 404."""
    if creating and body.get("title") is None:
        raise invalid("Missing mandatory field - title", "title")
    fields = checks.checked(body, _CHECKS)
    for name, preferred in _SAME.items():
        if preferred in fields:
            fields[name] = fields.pop(preferred)
    return CollectionChanges(fields=fields, authors=fields.pop("authors", None), items=fields.pop("articles", None))


_CHECKS: dict[str, checks.Check] = {
    "title": checks.text(3, 1000),
    "description": checks.text(0, 20000),
    "articles": checks.integers,
    "authors": author_body.authors,
    "categories": checks.categories,
    "categories_by_source_id": checks.source_ids,
    "tags": checks.texts,
    "keywords": checks.texts,
    "references": checks.links,
    "related_materials": checks.related_materials,
    "custom_fields": checks.custom_fields,
    "custom_fields_list": checks.custom_list,
    "funding": checks.text(0, 2000),
    "funding_list": checks.funding_list,
    "doi": checks.text(0, 1000),
    "handle": checks.text(0, 1000),
    "resource_id": checks.text(0, 1000),
    "resource_doi": checks.text(0, 1000),
    "resource_link": checks.text(0, 1000),
    "resource_title": checks.text(0, 1000),
    "resource_version": checks.integer,
    "group_id": checks.integer,
    "timeline": checks.timeline,
}

_SAME = {"tags": "keywords", "categories": "categories_by_source_id", "custom_fields": "custom_fields_list"}
"""Field → its alias, which takes precedence."""
