"""What Figshare's answers tell of what a description may name besides lists: custom fields, grants, and projects.
Tolerant as `wire` is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from uploader.figshare import decode, models


class CustomField(msgspec.Struct, frozen=True, kw_only=True):
    """A custom field of an institution's items. `kind` is what the API calls field_type, documented: text, textarea,
    dropdown, url, email, date, dropdown_large_list.

    `options` are what a dropdown may hold; none are told of a large list. Lengths are characters, None where not told.
    """

    name: str
    kind: str = ""
    options: tuple[str, ...] = ()
    min_length: int | None = None
    max_length: int | None = None
    is_mandatory: bool = False


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """Funding that Figshare knows. `is_made_up`: some user named it so, and no funder did."""

    id: int
    title: str = ""
    code: str = ""
    funder: str = ""
    is_user_defined: bool = False


class Project(msgspec.Struct, frozen=True, kw_only=True):
    """A project as one of its people sees it. `role`: Owner, Collaborator or Viewer; "" where it is not told."""

    id: int
    title: str = ""
    role: str = ""
    group_id: int | None = None


def parse_custom_fields(body: bytes) -> list[CustomField]:
    return models.rows(body, "the list of custom fields", custom_field)


def parse_grants(body: bytes) -> list[Grant]:
    return models.rows(body, "the list of grants", _grant)


def parse_project(body: bytes) -> Project:
    row = decode.as_mapping(models.parse_json(body), "the project")
    return Project(
        id=decode.as_id(row, "id", "the project"),
        title=decode.as_text(row, "title"),
        role=decode.as_text(row, "role"),
        group_id=decode.as_count(row, "group_id") or None,
    )


def parse_institution(body: bytes) -> int | None:
    """The institution's id out of the account; None for an account of none."""
    return decode.as_count(decode.as_mapping(models.parse_json(body), "the account"), "institution_id") or None


def custom_field(row: Mapping[str, Any]) -> CustomField:
    """Observed: `settings` have `validations` with both lengths, and for dropdowns `options` (texts, or objects)."""
    settings = row.get("settings")
    settings = settings if isinstance(settings, Mapping) else {}
    limits = settings.get("validations")
    limits = limits if isinstance(limits, Mapping) else {}
    options = settings.get("options")
    return CustomField(
        name=decode.as_text(row, "name"),
        kind=decode.as_text(row, "field_type"),
        options=tuple(text for one in options if (text := _option(one))) if isinstance(options, list) else (),
        min_length=decode.as_count(limits, "min_length"),
        max_length=decode.as_count(limits, "max_length") or None,
        is_mandatory=decode.as_bool(row, "is_mandatory"),
    )


def _option(one: object) -> str:
    row: Mapping[str, Any] = one if isinstance(one, Mapping) else {"value": one}
    return decode.as_text(row, "value") or decode.as_text(row, "name")


def _grant(row: Mapping[str, Any]) -> Grant:
    return Grant(
        id=decode.as_id(row, "id", "a grant"),
        title=decode.as_text(row, "title"),
        code=decode.as_text(row, "grant_code"),
        funder=decode.as_text(row, "funder_name"),
        is_user_defined=decode.as_bool(row, "is_user_defined"),
    )
