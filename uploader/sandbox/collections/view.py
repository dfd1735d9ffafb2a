"""A collection as the API shows it. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from uploader.sandbox import categories, custom_fields
from uploader.sandbox.addresses import Addresses
from uploader.sandbox.answers import moment
from uploader.sandbox.collections.store import Collection, CollectionVersion
from uploader.sandbox.items.view import names_of, timeline


def row(collection: Collection, url: str) -> dict[str, Any]:
    """Return the row of a collection in a listing; `url` is its address."""
    meta = collection.metadata
    return {
        "id": collection.id,
        "title": meta["title"],
        "doi": meta["doi"],
        "handle": meta["handle"],
        "url": url,
        "timeline": timeline(meta["timeline"], collection.published),
        "published_date": None if collection.published is None else moment(collection.published),
    }


def full(
    collection: Collection, authors: Sequence[dict[str, Any]], count: int, institution: int, at: Addresses
) -> dict[str, Any]:
    """Return a collection as its owner sees it. `count` is the number of items in it."""
    url = at.collection(collection.id)
    return {"account_id": collection.account_id, **_complete(collection, authors, count, institution, url)}


def public_row(collection: Collection, version: CollectionVersion, at: Addresses) -> dict[str, Any]:
    """Return the row of a collection in a public listing."""
    return row(as_published(collection, version), public_url(collection.id, at))


def public(collection: Collection, version: CollectionVersion, institution: int, at: Addresses) -> dict[str, Any]:
    """Return a published version."""
    shown = as_published(collection, version)
    return _complete(shown, version.authors, len(version.items), institution, public_url(collection.id, at))


def public_url(collection_id: int, at: Addresses, version: int | None = None) -> str:
    """Return a published collection in the API, or one version of it."""
    return f"{at.api}/collections/{collection_id}" + ("" if version is None else f"/versions/{version}")


def as_published(collection: Collection, version: CollectionVersion) -> Collection:
    """Return the collection as it was when the version was made."""
    metadata = {**version.metadata, "doi": f"{version.metadata['doi']}.v{version.number}"}
    return dataclasses.replace(collection, metadata=metadata, modified=version.visible, version=version.number)


def _complete(
    collection: Collection, authors: Sequence[dict[str, Any]], count: int, institution: int, url: str
) -> dict[str, Any]:
    meta = collection.metadata
    return {
        **row(collection, url),
        "funding": meta["funding_list"],
        "resource_id": meta["resource_id"],
        "resource_doi": meta["resource_doi"],
        "resource_title": meta["resource_title"],
        "resource_link": meta["resource_link"],
        "resource_version": meta["resource_version"],
        "version": collection.version,
        "description": meta["description"],
        "categories": [categories.of_item(number) for number in meta["categories"]],
        "references": meta["references"],
        "related_materials": meta["related_materials"],
        "tags": meta["tags"],
        "keywords": meta["tags"],
        "authors": list(authors),
        "institution_id": institution,
        "group_id": meta["group_id"],
        "group_resource_id": "",
        "articles_count": count,
        "public": collection.published is not None,
        "citation": _citation(collection, authors),
        "custom_fields": custom_fields.given(meta["custom_fields"]),
        "modified_date": moment(collection.modified),
        "created_date": moment(collection.created),
    }


def _citation(collection: Collection, authors: Sequence[dict[str, Any]]) -> str:
    year = datetime.fromtimestamp(collection.published or collection.created, UTC).year
    return f"{names_of(authors)} ({year}). {collection.metadata['title']}. figshare. Collection."
