"""Read what an institution's administrator uploads as a file: the form around it, an HR feed, a custom field's values.

Pure. The HR feed is the XML of Figshare's documentation, or a CSV whose header has the same names (*choice*).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email import message_from_bytes
from typing import Final
from xml.etree import ElementTree as ET

from uploader.sandbox.answers import ApiError

_MAX_VALUE: Final = 255
_MAX_QUOTA_DIGITS: Final = 15
"""Maximum digits of a number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A record of an HR feed. `quota` is bytes, None where none was given; `criteria` names the group."""

    unique_id: str
    email: str
    first_name: str
    last_name: str
    orcid: str
    active: bool
    quota: int | None
    criteria: str


def file_in(content_type: str, body: bytes, name: str) -> bytes:
    """Return the file in a multipart form's field. ApiError 400 without one."""
    head = b"Content-Type: " + content_type.encode("utf-8", "surrogateescape") + b"\r\n\r\n"
    for part in message_from_bytes(head + body).walk():
        if part.get_param("name", header="content-disposition") == name:
            content = part.get_payload(decode=True)
            return content if isinstance(content, bytes) else b""
    raise ApiError(400, "BadRequest", f"The form has no file {name}")


def people(data: bytes) -> list[Person]:
    """Return the records of an HR feed; one without id, address or last name is left out. ApiError 400."""
    text = _decoded(data)
    found = [_person(record) for record in (_xml_records(text) if text.startswith("<") else _csv_records(text))]
    return [one for one in found if one.unique_id and one.email and one.last_name]


def values(data: bytes) -> list[str]:
    """Return the values in a CSV: the first line is a header, the columns of each other line are joined by blanks.

    Values of more than 255 characters are left out, as documented. ApiError 400.
    """
    joined = (" ".join(row) for row in _rows(_decoded(data))[1:])
    return [one for one in dict.fromkeys(joined) if 0 < len(one) <= _MAX_VALUE]


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise ApiError(400, "BadRequest", "The file is not encoded as UTF-8") from error


def _xml_records(text: str) -> Iterator[dict[str, str]]:
    try:
        root = ET.fromstring(text)  # noqa: S314 - expat limits the expansion of entities
    except ET.ParseError as error:
        raise ApiError(400, "BadRequest", "The feed is not valid XML") from error
    for record in root.iter("Record"):
        yield {field.tag: field.text or "" for field in record}


def _csv_records(text: str) -> list[dict[str, str]]:
    header, *rows = _rows(text) or [[]]
    return [dict(zip(header, row, strict=False)) for row in rows]


def _rows(text: str) -> list[list[str]]:
    try:
        return list(csv.reader(io.StringIO(text)))
    except csv.Error as error:
        raise ApiError(400, "BadRequest", "The file is not a valid CSV") from error


def _person(record: Mapping[str, str]) -> Person:
    given = {name: record.get(name, "").strip() for name in _FIELDS}
    quota = given["UserQuota"]
    return Person(
        unique_id=given["UniqueID"][:50],
        email=given["Email"][:150],
        first_name=given["FirstName"][:100],
        last_name=given["LastName"][:150],
        orcid=given["Orcid"],
        active=given["IsActive"].upper() != "N",
        quota=int(quota) if quota.isascii() and quota.isdigit() and len(quota) <= _MAX_QUOTA_DIGITS else None,
        criteria=given["UserAssociationCriteria"],
    )


_FIELDS: Final = (
    "UniqueID", "Orcid", "FirstName", "LastName", "Email", "IsActive", "UserQuota", "UserAssociationCriteria",
)  # fmt: skip
