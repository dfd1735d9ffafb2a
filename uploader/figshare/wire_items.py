"""What Figshare's answers about an item's description mean, and about what may stand in one: categories, licences,
groups, links. Tolerant as `wire` is."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from uploader.errors import ProtocolViolation
from uploader.figshare import decode, models
from uploader.figshare.wire_lookups import custom_field


class Category(msgspec.Struct, frozen=True, kw_only=True):
    """A subject. `path` holds the ids of all above it; only some categories may be chosen."""

    id: int
    title: str = ""
    parent_id: int | None = None
    source_id: str = ""
    is_selectable: bool = True


class License(msgspec.Struct, frozen=True, kw_only=True):
    """A licence; `id` is what the API calls value."""

    id: int
    name: str = ""
    url: str = ""


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """A group of an institution."""

    id: int
    name: str = ""


class Author(msgspec.Struct, frozen=True, kw_only=True):
    """An author of an item."""

    id: int
    full_name: str = ""
    orcid: str = ""


class Embargo(msgspec.Struct, frozen=True, kw_only=True):
    """`until` is None for an embargo without an end. `scope`: "file" or "article"."""

    until: str | None = None
    scope: str = ""
    title: str = ""
    reason: str = ""


class PrivateLink(msgspec.Struct, frozen=True, kw_only=True):
    """A link that lets whoever has it read the item. `url` is None where the listing does not tell it."""

    id: str
    active: bool = True
    expires: str = ""
    url: str | None = None


class ItemDetail(msgspec.Struct, frozen=True, kw_only=True):
    """An item with its whole description. `version` is 0 before it was published; `published` None likewise.

    `url` is its page for its owner, `public_url` for everybody once it is published; "" where none is told. `folders`
    has the folder, "a/b", of each file that is in one, by the file's id.
    """

    id: int
    title: str = ""
    status: str = ""
    is_public: bool = False
    version: int = 0
    url: str = ""
    public_url: str = ""
    doi: str = ""
    handle: str = ""
    description: str = ""
    authors: tuple[Author, ...] = ()
    categories: tuple[Category, ...] = ()
    keywords: tuple[str, ...] = ()
    license: str = ""
    type: str = ""
    references: tuple[str, ...] = ()
    related_materials: tuple[dict[str, Any], ...] = ()
    funding: tuple[str, ...] = ()
    custom_fields: dict[str, Any] = {}
    """Those that say something."""
    lacking_fields: tuple[str, ...] = ()
    """Custom fields that are mandatory, and say nothing."""
    group_id: int | None = None
    project_id: int | None = None
    timeline: dict[str, str] = {}
    embargo: Embargo | None = None
    metadata_reason: str = ""
    created: datetime | None = None
    modified: datetime | None = None
    published: datetime | None = None
    size: int = 0
    thumb: str = ""
    curation_status: str = ""
    citation: str = ""
    folders: Mapping[int, str] = {}


def parse_item_detail(body: bytes) -> ItemDetail:
    row = decode.as_mapping(models.parse_json(body), "the item")
    item = models.parse_item(body)
    license_of = row.get("license")
    custom = [(custom_field(one), one.get("value")) for one in _objects(row, "custom_fields")]
    return ItemDetail(
        id=item.id,
        title=item.title,
        status=item.status,
        is_public=item.is_public,
        version=decode.as_count(row, "version") or 0,
        url=item.url,
        public_url=decode.as_url(row, "url_public_html") or decode.as_url(row, "figshare_url"),
        doi=decode.as_text(row, "doi"),
        handle=decode.as_text(row, "handle"),
        description=decode.as_text(row, "description"),
        authors=tuple(_author(one) for one in _objects(row, "authors")),
        categories=tuple(_category(one) for one in _objects(row, "categories")),
        keywords=_texts(row, "keywords") or _texts(row, "tags"),
        license=decode.as_text(license_of, "name") if isinstance(license_of, Mapping) else "",
        type=decode.as_text(row, "defined_type_name"),
        references=_texts(row, "references"),
        related_materials=tuple(dict(one) for one in _objects(row, "related_materials")),
        funding=tuple(decode.as_text(one, "title") for one in _objects(row, "funding_list")) or _texts(row, "funding"),
        custom_fields={field.name: value for field, value in custom if value},
        lacking_fields=tuple(field.name for field, value in custom if field.is_mandatory and not value),
        group_id=decode.as_count(row, "group_id") or None,
        project_id=decode.as_count(row, "project_id") or None,
        timeline=_timeline(row),
        embargo=_embargo(row),
        metadata_reason=decode.as_text(row, "metadata_reason"),
        created=item.created,
        modified=decode.as_datetime(row, "modified_date"),
        published=decode.as_datetime(row, "published_date"),
        size=decode.as_count(row, "size") or 0,
        thumb=decode.as_url(row, "thumb"),
        curation_status=decode.as_text(row, "curation_status"),
        citation=decode.as_text(row, "citation"),
        folders=item.folders,
    )


def parse_categories(body: bytes) -> list[Category]:
    return models.rows(body, "the list of categories", _category)


def parse_licenses(body: bytes) -> list[License]:
    return models.rows(body, "the list of licences", _license)


def parse_groups(body: bytes) -> list[Group]:
    return models.rows(body, "the list of groups", _group)


def parse_authors(body: bytes) -> list[Author]:
    return models.rows(body, "the list of authors", _author)


def parse_private_links(body: bytes) -> list[PrivateLink]:
    return models.rows(body, "the list of private links", _private_link)


def parse_new_private_link(body: bytes) -> str:
    """The address to hand out, out of the answer to its creation."""
    row = decode.as_mapping(models.parse_json(body), "the private link")
    page = decode.as_url(row, "html_location")
    if not page:
        raise ProtocolViolation("Figshare told no address of the private link")
    return page


def parse_doi(body: bytes) -> str:
    """The DOI out of the answer to its reservation."""
    doi = decode.as_text(decode.as_mapping(models.parse_json(body), "the DOI"), "doi")
    if not doi:
        raise ProtocolViolation("Figshare told no DOI")
    return doi


def _author(row: Mapping[str, Any]) -> Author:
    return Author(
        id=decode.as_id(row, "id", "an author"),
        full_name=decode.as_text(row, "full_name"),
        orcid=decode.as_text(row, "orcid_id"),
    )


def _category(row: Mapping[str, Any]) -> Category:
    return Category(
        id=decode.as_id(row, "id", "a category"),
        title=decode.as_text(row, "title"),
        parent_id=decode.as_count(row, "parent_id") or None,
        source_id=decode.as_text(row, "source_id"),
        is_selectable=row.get("is_selectable") is None or decode.as_bool(row, "is_selectable"),
    )


def _license(row: Mapping[str, Any]) -> License:
    return License(
        id=decode.as_count(row, "value") or 0, name=decode.as_text(row, "name"), url=decode.as_url(row, "url")
    )


def _group(row: Mapping[str, Any]) -> Group:
    return Group(id=decode.as_id(row, "id", "a group"), name=decode.as_text(row, "name"))


def _private_link(row: Mapping[str, Any]) -> PrivateLink:
    identity = row.get("id")
    return PrivateLink(
        id=str(identity) if isinstance(identity, int | str) else "",
        active=row.get("is_active") is None or decode.as_bool(row, "is_active"),
        expires=decode.as_text(row, "expires_date"),
        url=decode.as_url(row, "html_location") or None,
    )


def _timeline(row: Mapping[str, Any]) -> dict[str, str]:
    found = row.get("timeline")
    days = {name: decode.as_text(found, name) for name in found} if isinstance(found, Mapping) else {}
    return {name: day for name, day in days.items() if day}


def _embargo(row: Mapping[str, Any]) -> Embargo | None:
    if not decode.as_bool(row, "is_embargoed"):
        return None
    return Embargo(
        until=decode.as_text(row, "embargo_date") or None,
        scope=decode.as_text(row, "embargo_type"),
        title=decode.as_text(row, "embargo_title"),
        reason=decode.as_text(row, "embargo_reason"),
    )


def _objects(row: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    found = row.get(key)
    return [one for one in found if isinstance(one, Mapping)] if isinstance(found, list) else []


def _texts(row: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """A list of texts; a text alone is a list of one, and what is neither is left out."""
    found = row.get(key)
    values = found if isinstance(found, list) else [found]
    return tuple(text for one in values if (text := decode.as_text({"": one}, "")))
