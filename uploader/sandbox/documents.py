"""A document: what filters and searches look at of a private copy or a published version. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from uploader.sandbox import categories
from uploader.sandbox.filters import dois
from uploader.sandbox.institutions import institution_of
from uploader.sandbox.reference_data import ITEM_TYPES, licenses

COLUMNS: Final = (
    "kind", "id", "number", "group_id", "institution_id", "project_id", "item_type", "resource_id", "handle",
    "institution", "dois", "tags", "orcids", "author_ids", "licence", "type", "authors", "categories", "links",
    "custom", "resource_doi", "resource_title", "resource_link", "title", "description", "words",
)  # fmt: skip
INSERT: Final = f"INSERT INTO documents ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"  # noqa: S608 - names from here
_UNSEARCHED: Final = frozenset({"institution", "author_ids"})


def document(
    kind: str,
    key: tuple[int, int],
    meta: Mapping[str, Any],
    people: Sequence[Mapping[str, Any]],
    *,
    versions: int,
    group: int | None = None,
    project_id: int | None = None,
) -> tuple[object, ...]:
    """Return the row of a record's document. `key` is its id and number, `people` are objects as the API shows them.

    `group` is the owner's; it decides the institution of a record without a group.
    """
    own_group = meta.get("group_id") or None
    institution = institution_of(own_group or group)
    texts = {
        "institution": _list([institution.string_id]),
        "dois": _list(dois(meta.get("doi", ""), versions)),
        "tags": _list(meta.get("tags", ())),
        "orcids": _list(one["orcid_id"] for one in people),
        "author_ids": _list(str(one["id"]) for one in people),
        "licence": _list([licenses(institution=True)[meta["license"]]["name"]] if "license" in meta else []),
        "type": _list([meta["defined_type"]] if "defined_type" in meta else []),
        "authors": _list(one["full_name"] for one in people),
        "categories": _list(categories.title(number) for number in meta.get("categories", ())),
        "links": _list(meta.get("references", ())),
        "custom": _list(_values_of(meta["custom_fields"])),
        **{name: (meta.get(name) or "").lower() for name in ("resource_doi", "resource_title", "resource_link")},
        "title": meta["title"].lower(),
        "description": meta["description"].lower(),
    }
    item_type = ITEM_TYPES[meta["defined_type"]] if "defined_type" in meta else None
    words = "\n".join(text for name, text in texts.items() if text and name not in _UNSEARCHED)
    return (
        kind, *key, own_group, institution.id, project_id, item_type, meta.get("resource_id"), meta.get("handle"),
        *texts.values(), words,
    )  # fmt: skip


def _list(texts: Iterable[str]) -> str:
    """Return texts as a list in a column: each between line breaks."""
    joined = "\n".join(text.lower() for text in texts if text)
    return f"\n{joined}\n" if joined else ""


def _values_of(custom: Mapping[str, Any]) -> list[str]:
    """Return the texts in the values of custom fields."""
    every = [one for value in custom.values() for one in (value if isinstance(value, list) else [value])]
    return [one for one in every if isinstance(one, str)]
