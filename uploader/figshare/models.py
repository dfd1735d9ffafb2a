"""Responses of Figshare's API as structs: one line per field, read by `decode`.

Tolerant throughout: unknown fields are ignored, null, "" and an absent field are alike, unknown status words are kept.
Sizes are bytes. Fields without default are required.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from uploader.errors import ProtocolViolation
from uploader.figshare.decode import MAX_ID, From, NotJson, as_datetime, as_md5, as_text, as_url, decode, parse_object

PAGE = 1000
"""Rows of one page of a list; the documented maximum."""
MAX_BATCH = 10
"""Items added to a collection in one request (observed: more can fail)."""

Id = Annotated[int, msgspec.Meta(ge=1, le=MAX_ID)]
Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_ID)]
Url = Annotated[str, as_url]
Time = Annotated[datetime | None, as_datetime]
Md5 = Annotated[str | None, as_md5]


def _named_values(value: Any) -> dict[str, Any] | None:
    """Return the custom fields that have a value, by name."""
    fields = ((decode(CustomField, one, "custom field").name, one.get("value")) for one in _objects(value))
    return {name: found for name, found in fields if found}


def _required_without_value(value: Any) -> tuple[str, ...]:
    """Return the names of the custom fields that are mandatory and have no value."""
    fields = ((decode(CustomField, one, "custom field"), one.get("value")) for one in _objects(value))
    return tuple(field.name for field, found in fields if field.is_mandatory and not found)


def _texts_of_objects(value: Any) -> tuple[str, ...] | None:
    """Return the texts of a list of texts, or of objects with a value, name or title."""
    return tuple(filter(None, map(_text_of_object, value if isinstance(value, list) else [value]))) or None


def _text_of_object(value: Any) -> str:
    keys = ("value", "name", "title")
    found = [value.get(key) for key in keys] if isinstance(value, Mapping) else [value]
    return next((text for one in found if (text := as_text(one))), "")


def _objects(value: Any) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def _folders(value: Any) -> dict[int, str] | None:
    """Return the folder by file id, without slashes at its ends (Figshare writes them with and without)."""
    if not isinstance(value, Mapping):
        return None
    named = ((int(key), (as_text(value[key]) or "").strip("/")) for key in value if _is_id(key))
    # A hundred thousand files may be in a few folders.
    return {file_id: sys.intern(folder) for file_id, folder in named if folder}


def _file_ids(value: Any) -> frozenset[int]:
    return frozenset(one["id"] for one in _objects(value) if isinstance(one.get("id"), int))


def _is_id(key: str) -> bool:
    return key.isascii() and key.isdigit() and len(key) <= 19


def _timeline(value: Any) -> dict[str, str] | None:
    days = {name: as_text(value[name]) for name in value} if isinstance(value, Mapping) else {}
    return {name: day for name, day in days.items() if day}


Timeline = Annotated[dict[str, str], _timeline]
"""Dates of an item by name (`posted`, `firstOnline` …), without a zone."""


def _embargo(row: Any) -> Embargo | None:
    """Read the embargo of an item, whose fields are among those of the item."""
    flag = decode(_EmbargoFlag, row, "item")
    return decode(Embargo, row, "item") if flag.is_embargoed else None


def _link_id(value: Any) -> str | None:
    return str(value) or None if isinstance(value, int | str) else None


def _is_text(value: Any) -> bool:
    return as_text(value) is not None


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """GET /account. Sizes are None if the account does not state them, `institution_id` if it has none.

    Observed: maximum_file_size 0 on an account that can upload, so 0 means unknown.
    """

    id: Id
    email: str = ""
    first_name: str = ""
    last_name: str = ""
    institution_id: Id | None = None
    quota: Count | None = None
    used_quota: Count | None = None
    maximum_file_size: Id | None = None


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """GET /account/articles/{id}. `url` is the page for its owner, "" if unknown.

    `folders` has the folder, "a/b", of each file that is in one, by file id; observed: it may be missing as a whole.
    `file_ids` are those of the files in the response: up to 10 (documented), or all (observed).
    """

    id: Id
    title: str = ""
    status: str = ""
    is_public: bool = False
    url: Annotated[Url, From("url_private_html", "figshare_url", "url_public_html")] = ""
    created: Annotated[Time, From("created_date")] = None
    folders: Annotated[Mapping[int, str], From("folder_structure"), _folders] = {}
    file_ids: Annotated[Collection[int], From("files"), _file_ids] = frozenset()


class ItemRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row of GET /account/articles; `published` is False for drafts (observed: published_date null)."""

    id: Id
    title: str = ""
    created: Annotated[Time, From("created_date")] = None
    published: Annotated[bool, From("published_date"), _is_text] = False


class DoiRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row of a search for items or collections by DOI; `doi` is that of the newest version."""

    id: Id
    doi: str = ""


class File(msgspec.Struct, frozen=True, kw_only=True):
    """A private file.

    `upload_url` is a bearer secret, kept out of the repr; None once the file is completed (observed: "").
    `computed_md5` None means not known yet, never a mismatch.
    """

    id: Id
    name: str = ""
    size: Count = 0
    status: str = ""
    upload_url: str | None = None
    computed_md5: Md5 = None
    supplied_md5: Md5 = None
    is_link_only: bool = False
    download_url: str = ""

    def path_in(self, folder: str) -> str:
        """Return folder and name as one path; the only rule for where a file is.

        `folder` is what the item's folder structure gives for the file, "" for none. Servers differ (both observed):
        one names it "a.bin" and has its folder in that structure; another names it "set/a.bin", with or without that.
        """
        return self.name if not folder or self.name.startswith(f"{folder}/") else f"{folder}/{self.name}"

    def path_among(self, folders: Mapping[int, str]) -> str:
        """Return folder and name as one path. `folders` are those of the item's files, by id: see `Item.folders`."""
        return self.path_in(folders.get(self.id, ""))

    def __repr__(self) -> str:
        return f"File(id={self.id}, name={self.name!r}, size={self.size}, status={self.status!r})"


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A byte range the server chose: zero-based, `end` inclusive; an empty part has end == start - 1."""

    no: int
    start: int
    end: int
    complete: bool = False
    locked: bool = False

    @property
    def size(self) -> int:
        """Bytes."""
        return self.end - self.start + 1


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """The server-side session of one file; `parts` are sorted and cover `size` bytes without gap or overlap.

    `token` is the secret part of the upload URL, kept out of the repr.
    """

    token: str
    status: Literal["pending", "completed", "aborted"]
    size: int
    parts: tuple[Part, ...] = ()

    def __repr__(self) -> str:
        return f"Upload(status={self.status!r}, size={self.size}, parts={len(self.parts)})"


class Created(msgspec.Struct, frozen=True, kw_only=True):
    """The response to a create; either field can be missing.

    Observed: items come with entity_id and location, files with only a location, both once as text/html.
    """

    entity_id: Id | None = None
    location: str = ""


def parse_created(body: bytes) -> Created:
    """Return the answer to a create, without any id for a body that is not a JSON object."""
    try:
        return parse_object(Created, body, "the new object")
    except (NotJson, ProtocolViolation):
        return Created()


class Category(msgspec.Struct, frozen=True, kw_only=True):
    """A subject category; only selectable ones can be assigned to an item."""

    id: Id
    title: str = ""
    parent_id: Id | None = None
    source_id: str = ""
    is_selectable: bool = True


class License(msgspec.Struct, frozen=True, kw_only=True):
    """A licence; the API calls its id value."""

    id: Annotated[Count, From("value")] = 0
    name: str = ""
    url: Url = ""


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """A group of an institution. `parent_id` is None for its top group."""

    id: Id
    name: str = ""
    parent_id: Id | None = None


class Author(msgspec.Struct, frozen=True, kw_only=True):
    """An author of an item."""

    id: Id
    full_name: str = ""
    orcid: Annotated[str, From("orcid_id")] = ""


class Embargo(msgspec.Struct, frozen=True, kw_only=True):
    """`until` is None for a permanent embargo. `scope`: "file" or "article"."""

    until: Annotated[str | None, From("embargo_date")] = None
    scope: Annotated[str, From("embargo_type")] = ""
    title: Annotated[str, From("embargo_title")] = ""
    reason: Annotated[str, From("embargo_reason")] = ""


class _EmbargoFlag(msgspec.Struct, frozen=True):
    is_embargoed: bool = False


class PrivateLink(msgspec.Struct, frozen=True, kw_only=True):
    """A link that grants read access to an item. `url` is None if the listing does not contain it."""

    id: Annotated[str, _link_id] = ""
    active: Annotated[bool, From("is_active")] = True
    expires: Annotated[str, From("expires_date")] = ""
    url: Annotated[Url | None, From("html_location")] = None


class NewPrivateLink(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to the creation of a private link."""

    url: Annotated[Url, From("html_location")]


class ReservedDoi(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to the reservation of a DOI."""

    doi: str


class CustomField(msgspec.Struct, frozen=True, kw_only=True):
    """A custom field of an institution's items. `kind` (the API: field_type), documented: text, textarea, dropdown,
    url, email, date, dropdown_large_list.

    `options` are the values of a dropdown (observed: texts or objects), empty for a large list. Lengths are
    characters, None for no limit.
    """

    name: str = ""
    kind: Annotated[str, From("field_type")] = ""
    options: Annotated[tuple[str, ...], From("settings.options"), _texts_of_objects] = ()
    min_length: Annotated[Count | None, From("settings.validations.min_length")] = None
    max_length: Annotated[Id | None, From("settings.validations.max_length")] = None
    is_mandatory: bool = False


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """Funding known to Figshare. `is_user_defined`: entered by a user, not by a funder."""

    id: Id
    title: str = ""
    code: Annotated[str, From("grant_code")] = ""
    funder: Annotated[str, From("funder_name")] = ""
    is_user_defined: bool = False


class Project(msgspec.Struct, frozen=True, kw_only=True):
    """A project as seen by one of its members. `role`: Owner, Collaborator or Viewer; "" if unknown."""

    id: Id
    title: str = ""
    role: str = ""
    group_id: Id | None = None


class ContainerRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row of GET /account/projects or GET /account/collections."""

    id: Id
    title: str = ""


class ItemDetail(msgspec.Struct, frozen=True, kw_only=True):
    """An item with all its metadata. `version` is 0 and `published` None before it is published.

    `url` is the page for its owner, `public_url` the public one; "" if unknown. `folders`: see `Item`.
    """

    id: Id
    title: str = ""
    status: str = ""
    is_public: bool = False
    version: Count = 0
    url: Annotated[Url, From("url_private_html", "figshare_url", "url_public_html")] = ""
    public_url: Annotated[Url, From("url_public_html", "figshare_url")] = ""
    doi: str = ""
    handle: str = ""
    description: str = ""
    authors: tuple[Author, ...] = ()
    categories: tuple[Category, ...] = ()
    keywords: Annotated[tuple[str, ...], From("keywords", "tags")] = ()
    license: Annotated[str, From("license.name")] = ""
    type: Annotated[str, From("defined_type_name")] = ""
    references: tuple[str, ...] = ()
    resource_doi: str = ""
    resource_title: str = ""
    related_materials: tuple[dict[str, Any], ...] = ()
    funding: Annotated[tuple[str, ...], From("funding_list", "funding"), _texts_of_objects] = ()
    custom_fields: Annotated[dict[str, Any], _named_values] = {}
    """Custom fields with a value."""
    lacking_fields: Annotated[tuple[str, ...], From("custom_fields"), _required_without_value] = ()
    """Names of mandatory custom fields without value."""
    group_id: Id | None = None
    project_id: Id | None = None
    timeline: Timeline = {}
    embargo: Annotated[Embargo | None, From(""), _embargo] = None
    is_metadata_record: bool = False
    metadata_reason: str = ""
    download_disabled: bool = False
    created: Annotated[Time, From("created_date")] = None
    modified: Annotated[Time, From("modified_date")] = None
    published: Annotated[Time, From("published_date")] = None
    size: Count = 0
    thumb: Url = ""
    curation_status: str = ""
    citation: str = ""
    folders: Annotated[Mapping[int, str], From("folder_structure"), _folders] = {}
    files: tuple[File, ...] = ()
    """Documented: the first ten; observed: all."""
