"""Filter and sort collections for searches and listings. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

from uploader.sandbox import categories
from uploader.sandbox.collections.store import Collection
from uploader.sandbox.filters import Traits, dois, matches
from uploader.sandbox.items.search import Document, query_of, searchable, values_of
from uploader.sandbox.listing import Order
from uploader.sandbox.reference_data import INSTITUTION

Candidate: TypeAlias = tuple[Collection, Sequence[dict[str, Any]]]
"""A collection as it is shown, and the objects of its authors."""


def found(candidates: Iterable[Candidate], criteria: dict[str, Any], order: Order) -> list[Collection]:
    """Return what matches, sorted. `criteria` is as uploader.sandbox.filters reads it."""
    query = query_of(criteria.get("search_for", ""))
    matching = [
        one
        for one, authors in candidates
        if matches(_traits(one), criteria) and ("search_for" not in criteria or query(_document(one, authors)))
    ]
    return order.sort(matching, rank)


def rank(collection: Collection, field: str) -> float | None:
    """Return the sort key of a collection for `field`."""
    if field in {"views", "shares", "cites"}:
        return 0.0
    known = {"published_date": collection.published, "created_date": collection.created}
    return known.get(field, collection.modified)


def _traits(collection: Collection) -> Traits:
    meta = collection.metadata
    same = {name: meta[name] for name in ("resource_id", "resource_doi", "handle")}
    return Traits(
        same={**same, "group": meta["group_id"], "institution": INSTITUTION["id"]},
        dois=dois(meta["doi"], collection.version),
        published=collection.published,
        modified=collection.modified,
    )


def _document(collection: Collection, authors: Sequence[dict[str, Any]]) -> Document:
    meta = collection.metadata
    fields: dict[str, Iterable[str]] = {
        "title": [meta["title"]],
        "description": [meta["description"]],
        "tag": meta["tags"],
        "category": [categories.title(number) for number in meta["categories"]],
        "author": [author["full_name"] for author in authors],
        "orcid": [author["orcid_id"] for author in authors],
        "references": meta["references"],
        "doi": dois(meta["doi"], collection.version),
        "resource_doi": [meta["resource_doi"]],
        "resource_title": [meta["resource_title"]],
        "resource_link": [meta["resource_link"]],
        "custom fields": values_of(meta["custom_fields"]),
    }
    return searchable(fields, collection.published)
