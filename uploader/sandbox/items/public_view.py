"""A published version of an item as the API shows it to everyone. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from uploader.sandbox.addresses import Addresses
from uploader.sandbox.file_view import mimetype_of
from uploader.sandbox.items import embargo, view
from uploader.sandbox.items.store import Item
from uploader.sandbox.items.versions import PublishedFile, Version


def row(item: Item, version: Version, at: Addresses, now: float) -> dict[str, Any]:
    """Return the row of an item in a public listing."""
    return view.row(as_published(item, version), at, now, version.thumb) | {"url": at.public_item(item.id)}


def complete(
    item: Item,
    version: Version,
    files: Sequence[PublishedFile],
    custom_fields: Sequence[dict[str, Any]],
    at: Addresses,
    now: float,
    most: int,
) -> dict[str, Any]:
    """Return a version in full. `files` are all its files, of which at most `most` are shown; an embargo hides them."""
    hidden = embargo.is_active(item.metadata["embargo"], now)
    contents = view.Contents(
        authors=version.authors,
        custom_fields=custom_fields,
        files=None if hidden else [file_object(file, at) for file in files[:most]],
        folders={} if hidden else {str(file.file_id): file.folder_path for file in files if file.folder_path},
        size=version.size,
        has_link=any(file.link is not None for file in files),
        thumb=version.thumb,
    )
    return {
        **view.complete(as_published(item, version), at, now, contents),
        "version": version.number,
        "status": "public",
        "is_public": True,
        **row(item, version, at, now),
    }


def file_object(file: PublishedFile, at: Addresses) -> dict[str, Any]:
    """Return a file of a version."""
    return {
        "id": file.file_id,
        "name": file.name,
        "size": file.size,
        "is_link_only": file.link is not None,
        "download_url": file.link or at.download(file.file_id),
        "supplied_md5": file.supplied_md5,
        "computed_md5": file.md5 or "",
        "mimetype": "" if file.link is not None else mimetype_of(file.name),
    }


def as_published(item: Item, version: Version) -> Item:
    """Return the item as it was when the version was made; its embargo is the present one."""
    metadata = {
        **version.metadata,
        "embargo": item.metadata["embargo"],
        "doi": _versioned(version.metadata["doi"], item.id, version.number),
    }
    return dataclasses.replace(item, metadata=metadata, modified=version.visible or item.modified)


def _versioned(doi: str, item_id: int, number: int) -> str:
    """Return the DOI of a version. A journal's DOI has none, and some items have no DOI at all, as observed."""
    return f"{doi}.v{number}" if doi.endswith(str(item_id)) else doi
