"""An item as the API shows it: the object of a single GET and the row of a listing. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from uploader.sandbox.addresses import Addresses
from uploader.sandbox.items_db import Author, Item
from uploader.sandbox.reference import ACCOUNT_ID, CATEGORIES, ITEM_TYPES, LICENSES


def moment(time: float) -> str:
    """Seconds since the epoch as Figshare writes them, to the second."""
    return datetime.fromtimestamp(int(time), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def row(item: Item, at: Addresses) -> dict[str, Any]:
    """What `GET /account/articles` lists of an item."""
    meta = item.metadata
    page = at.page(item.id)
    return {
        "id": item.id,
        "title": meta["title"],
        "doi": meta["doi"],
        "handle": meta["handle"],
        "url": at.item(item.id),
        "published_date": None,
        "thumb": "",
        "defined_type": ITEM_TYPES[meta["defined_type"]],
        "defined_type_name": meta["defined_type"],
        "group_id": meta["group_id"],
        "url_private_api": at.item(item.id),
        "url_public_api": f"{at.api}/articles/{item.id}",
        "url_private_html": page,
        "url_public_html": page,
        "timeline": meta["timeline"],
        "resource_title": meta["resource_title"],
        "resource_doi": meta["resource_doi"],
        "created_date": moment(item.created),
        "modified_date": moment(item.modified),
    }


def full(
    item: Item,
    at: Addresses,
    *,
    authors: list[Author],
    files: list[dict[str, Any]],
    folders: dict[str, str],
    size: int,
    has_link: bool,
) -> dict[str, Any]:
    """The item itself. `files` are as file_view makes them, `folders` maps file ids to directories, `size` is bytes."""
    meta = item.metadata
    return {
        "curation_status": None,
        "files": files,
        "group_resource_id": None,
        "account_id": ACCOUNT_ID,
        "folder_structure": folders,
        "authors": [_author(author) for author in authors],
        "custom_fields": _custom_fields(meta["custom_fields"]),
        "figshare_url": at.page(item.id),
        "download_disabled": meta["download_disabled"],
        "description": meta["description"],
        "funding": meta["funding"],
        "funding_list": [_funding(one) for one in meta["funding_list"]],
        "version": 0,
        "status": item.status,
        "size": size,
        "is_public": False,
        "is_confidential": False,
        "is_metadata_record": meta["is_metadata_record"],
        "confidential_reason": "",
        "metadata_reason": meta["metadata_reason"],
        "license": LICENSES[meta["license"]],
        "tags": meta["tags"],
        "keywords": meta["tags"],
        "categories": [_category(number) for number in meta["categories"]],
        "references": meta["references"],
        "has_linked_file": has_link,
        "citation": _citation(item, authors),
        "related_materials": meta["related_materials"],
        "is_embargoed": False,
        "embargo_date": None,
        "embargo_type": None,
        "embargo_title": "",
        "embargo_reason": "",
        "embargo_options": [],
        **row(item, at),
    }


def _author(author: Author) -> dict[str, Any]:
    return {
        "id": author.id,
        "full_name": author.full_name,
        "first_name": author.first_name,
        "last_name": author.last_name,
        "is_active": False,
        "url_name": author.full_name.replace(" ", "_") or "_",
        "orcid_id": author.orcid_id,
    }


def _category(number: int) -> dict[str, Any]:
    return {name: value for name, value in CATEGORIES[number].items() if name not in {"is_selectable", "has_children"}}


def _custom_fields(fields: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"name": name, "value": value, "field_type": "text", "settings": {}, "order": order, "is_mandatory": False}
        for order, (name, value) in enumerate(fields.items(), start=1)
    ]


def _funding(entry: dict[str, Any]) -> dict[str, Any]:
    title = entry.get("title", "")
    number = entry.get("id", 0)
    return {"id": number, "title": title, "grant_code": "", "funder_name": "", "is_user_defined": 1, "url": ""}


def _citation(item: Item, authors: list[Author]) -> str:
    names = ", ".join(f"{author.last_name}, {author.first_name}".strip(", ") for author in authors)
    year = datetime.fromtimestamp(item.created, UTC).year
    return f"{names} ({year}). {item.metadata['title']}. figshare. {item.metadata['defined_type'].capitalize()}."
