"""Validated metadata in Figshare's terms, but with names where the API wants ids. Values only.

None or an empty tuple means not given: the field is neither set nor cleared.
"""

from __future__ import annotations

import msgspec

from uploader.metadata.vocabulary import DEFAULT_RELATION


class Author(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An author: by `id`, or by `name`, or by `first_name` and `last_name`."""

    id: int | None = None
    name: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    email: str | None = None
    orcid: str | None = None

    @property
    def display_name(self) -> str:
        """The name to show to a person."""
        return self.name or f"{self.first_name or ''} {self.last_name or ''}".strip() or f"author {self.id}"


class Material(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A related material."""

    identifier: str | None = None
    identifier_type: str = "URL"
    relation: str = DEFAULT_RELATION
    title: str | None = None
    is_linkout: bool = False
    id: int | None = None


class Funding(msgspec.Struct, frozen=True, omit_defaults=True):
    """A grant: by its `id` in Figshare's search of grants, or by a free `title`."""

    id: int | None = None
    title: str | None = None


class Timeline(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """Days, each as 2024-05-17."""

    first_online: str | None = None
    publisher_publication: str | None = None
    publisher_acceptance: str | None = None


class EmbargoOption(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who may access an embargoed item: an option of the institution, restricted to some of its groups."""

    id: int
    group_ids: tuple[int, ...] = ()


class Embargo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`until` is a day, or "0" for a permanent one. `scope`: "file" hides the files, "article" the whole item."""

    until: str
    scope: str = "file"
    title: str | None = None
    reason: str | None = None
    options: tuple[EmbargoOption, ...] = ()


Value = str | list[str]
"""The value of a custom field."""


class Metadata(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The metadata of an item. `description` is HTML; `categories`, `license` and `group` are names or ids."""

    title: str | None = None
    description: str | None = None
    authors: tuple[Author, ...] = ()
    categories: tuple[str | int, ...] = ()
    keywords: tuple[str, ...] = ()
    license: str | int | None = None
    type: str | None = None
    references: tuple[str, ...] = ()
    related_materials: tuple[Material, ...] = ()
    funding: tuple[Funding, ...] = ()
    custom_fields: dict[str, Value] = {}
    group: str | int | None = None
    timeline: Timeline | None = None
    embargo: Embargo | None = None
    doi: str | None = None
    handle: str | None = None
    metadata_only: str | None = None
    """Why the item has no files, for a metadata-only item."""

    def present_fields(self) -> tuple[str, ...]:
        """Return the names of the fields that are set, in their order."""
        return tuple(name for name in self.__struct_fields__ if getattr(self, name) not in (None, (), {}))

    def overriding(self, other: Metadata) -> Metadata:
        """Return this, with the fields that are not set taken from `other`."""
        own = {name: getattr(self, name) for name in self.present_fields()}
        return msgspec.structs.replace(other, **own)
