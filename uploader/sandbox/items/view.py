"""An item as the API shows it: the object of a single GET and the row of a listing. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from uploader.sandbox import categories
from uploader.sandbox.addresses import Addresses
from uploader.sandbox.answers import moment
from uploader.sandbox.items import embargo
from uploader.sandbox.items.store import Item
from uploader.sandbox.reference_data import ITEM_TYPES, licenses


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """Related data shown in an item's object. `authors` and `files` are objects as the API has them.

    `files` None: they are under an embargo. `folders` maps file ids to directories, `size` is bytes, `thumb` a file.
    `custom_fields` are objects, too.
    """

    authors: Sequence[dict[str, Any]]
    custom_fields: Sequence[dict[str, Any]]
    files: Sequence[dict[str, Any]] | None
    folders: dict[str, str]
    size: int
    has_link: bool
    thumb: int | None


def row(item: Item, at: Addresses, now: float, thumb: int | None = None) -> dict[str, Any]:
    """Return the row of an item in `GET /account/articles`."""
    meta = item.metadata
    public = f"{at.api}/articles/{item.id}"
    return {
        "id": item.id,
        "title": meta["title"],
        "doi": meta["doi"],
        "handle": meta["handle"],
        "url": at.item(item.id),
        "published_date": moment(item.published) if item.published and item.appeared(now) else None,
        "thumb": "" if thumb is None else at.thumb(thumb),
        "defined_type": ITEM_TYPES[meta["defined_type"]],
        "defined_type_name": meta["defined_type"],
        "group_id": meta["group_id"],
        "url_private_api": at.item(item.id),
        "url_public_api": public,
        "url_private_html": at.own_page(item.id),
        "url_public_html": at.page(item.id),
        "timeline": timeline(meta["timeline"], item.published if item.appeared(now) else None),
        "resource_title": meta["resource_title"],
        "resource_doi": meta["resource_doi"],
        "created_date": moment(item.created),
        "modified_date": moment(item.modified),
    }


def timeline(given: dict[str, str], published: float | None) -> dict[str, str]:
    """Return the dates of an item or collection as in every response; once public, also when it was posted."""
    if not published:
        return given
    posted = moment(published).removesuffix("Z")
    return {"posted": posted, "firstOnline": posted, **given}


def full(item: Item, at: Addresses, now: float, contents: Contents) -> dict[str, Any]:
    """Return the item itself, as its owner sees it."""
    public = item.is_public(now)
    return {
        "curation_status": None,
        "group_resource_id": None,
        "account_id": item.account_id,
        **complete(item, at, now, contents),
        "version": item.version if public else 0,
        "status": "public" if public else item.status,
        "is_public": public,
        **row(item, at, now, contents.thumb),
    }


def complete(item: Item, at: Addresses, now: float, contents: Contents) -> dict[str, Any]:
    """Return the fields that both a public version and the private copy show beyond the row."""
    meta = item.metadata
    confidential = embargo.confidentiality(meta["embargo"], now)
    return {
        "files": None if contents.files is None else list(contents.files),
        "folder_structure": contents.folders,
        "authors": list(contents.authors),
        "custom_fields": list(contents.custom_fields),
        "figshare_url": at.own_page(item.id),
        "download_disabled": meta["download_disabled"],
        "description": meta["description"],
        "funding": meta["funding"],
        "funding_list": meta["funding_list"],
        "size": contents.size,
        "is_metadata_record": meta["is_metadata_record"],
        "metadata_reason": meta["metadata_reason"],
        "license": licenses(institution=True)[meta["license"]],
        "tags": meta["tags"],
        "keywords": meta["tags"],
        "categories": [categories.of_item(number) for number in meta["categories"]],
        "references": meta["references"],
        "has_linked_file": contents.has_link,
        "citation": _citation(item, contents.authors),
        "related_materials": meta["related_materials"],
        **embargo.shown(meta["embargo"], now),
        "is_confidential": confidential["is_confidential"],
        "confidential_reason": confidential["reason"],
    }


def names_of(authors: Sequence[dict[str, Any]]) -> str:
    """Return the authors in the form used in citations."""
    return "; ".join(f"{author['last_name']}, {author['first_name']}".strip(", ") for author in authors)


def _citation(item: Item, authors: Sequence[dict[str, Any]]) -> str:
    names = names_of(authors)
    meta = item.metadata
    year = datetime.fromtimestamp(item.published or item.created, UTC).year
    doi = f" https://doi.org/{meta['doi']}" if meta["doi"] else ""
    return f"{names} ({year}). {meta['title']}. figshare. {meta['defined_type'].capitalize()}.{doi}"
