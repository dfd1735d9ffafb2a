"""Parse the body of a create or an update of an item; unknown fields are ignored. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from uploader.sandbox import checks
from uploader.sandbox.answers import invalid
from uploader.sandbox.people import author_body
from uploader.sandbox.people.authors import NewAuthor

EMPTY: dict[str, Any] = {
    "title": "", "description": "", "tags": [], "references": [], "related_materials": [], "categories": [],
    "authors": [], "custom_fields": {}, "defined_type": "dataset", "funding": None, "funding_list": [], "license": 1,
    "doi": "", "handle": "", "resource_id": None, "resource_doi": None, "resource_title": None, "timeline": {},
    "group_id": None, "is_metadata_record": False, "metadata_reason": "", "download_disabled": False, "embargo": None,
}  # fmt: skip
"""An item's fields with their defaults. `authors` holds ids, `embargo` is that of items.embargo; `funding_list` and
`related_materials` hold whole objects.
"""


WIPED = {
    name: value
    for name, value in EMPTY.items()
    if name not in {"title", "authors", "doi", "handle", "embargo", "group_id"}
}
"""Values that a wiping PUT sets for fields that it does not name; others are kept."""


@dataclass(frozen=True, slots=True)
class ItemChanges:
    """The content of a body: `fields` as in EMPTY, except authors, fundings and materials, which are as the client
    named them.
    """

    fields: dict[str, Any]
    authors: list[int | NewAuthor] | None
    """None if not given."""


def read(body: dict[str, Any], *, creating: bool, institution: bool) -> ItemChanges:
    """Check a body. ApiError 422 or 404."""
    if creating and body.get("title") is None:
        raise invalid("Missing mandatory field - title", "title")
    # Generated clients send 0, the documented default or example, where nothing was chosen: counts as absent.
    zeros = [name for name in ("license", "group_id") if body.get(name) == 0 and body[name] is not False]
    body = body | dict.fromkeys(zeros)
    fields = checks.checked(body, _CHECKS | {"license": checks.license_of(institution=institution)})
    for name, preferred in _SAME.items():
        if preferred in fields:
            fields[name] = fields.pop(preferred)
    return ItemChanges(fields, fields.pop("authors", None))


_CHECKS: dict[str, checks.Check] = {
    "title": checks.text(3, 1000),
    "description": checks.text(0, 20000),
    "tags": checks.texts,
    "keywords": checks.texts,
    "references": checks.links,
    "related_materials": checks.related_materials,
    "categories": checks.categories,
    "categories_by_source_id": checks.source_ids,
    "authors": author_body.authors,
    "custom_fields": checks.custom_fields,
    "custom_fields_list": checks.custom_list,
    "defined_type": checks.item_type,
    "funding": checks.text(0, 2000),
    "funding_list": checks.funding_list,
    "doi": checks.text(0, 1000),
    "handle": checks.text(0, 1000),
    "resource_doi": checks.text(0, 1000),
    "resource_title": checks.text(0, 1000),
    "timeline": checks.timeline,
    "group_id": checks.integer,
    "is_metadata_record": checks.boolean,
    "metadata_reason": checks.text(0, 2000),
    "download_disabled": checks.boolean,
}

_SAME = {"tags": "keywords", "categories": "categories_by_source_id", "custom_fields": "custom_fields_list"}
"""Field → its alias, which takes precedence."""
