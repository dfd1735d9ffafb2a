"""What Figshare's answers mean: typed values out of JSON bodies, and nothing about how they were fetched.

Tolerant throughout: unknown fields are ignored, null, "" and an absent field are alike, unknown status words are kept.
A body that is no JSON raises NotJson; JSON of another shape raises ProtocolViolation.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Literal, TypeVar

import msgspec

from uploader.errors import ProtocolViolation
from uploader.figshare import decode
from uploader.figshare.decode import MAX_ID

T = TypeVar("T")

PAGE = 1000
"""Rows of one page of a list; the documented maximum."""


class NotJson(ValueError):
    """The body is no JSON (HTML, cut off, empty …)."""


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """GET /account. Quotas and sizes are bytes, None where the account does not say.

    Observed: maximum_file_size 0 on an account that uploads happily, so 0 says nothing.
    """

    id: int
    email: str = ""
    first_name: str = ""
    last_name: str = ""
    quota: int | None = None
    used_quota: int | None = None
    maximum_file_size: int | None = None


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """GET /account/articles/{id}. `url` is the page for a person, "" where none is told.

    `folders` has the folder, "a/b", of each file that is in one, by the file's id; observed: the whole may be missing.
    """

    id: int
    title: str = ""
    status: str = ""
    is_public: bool = False
    url: str = ""
    created: datetime | None = None
    folders: Mapping[int, str] = {}


class ItemRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row of GET /account/articles; `published` is False for drafts (observed: published_date null)."""

    id: int
    title: str = ""
    created: datetime | None = None
    published: bool = False


class File(msgspec.Struct, frozen=True, kw_only=True):
    """A private file. Sizes are bytes.

    `upload_url` is a bearer secret, kept out of the repr; None once the file is completed (observed: "").
    `computed_md5` None means not known yet, never a mismatch.
    """

    id: int
    name: str = ""
    size: int = 0
    status: str = ""
    upload_url: str | None = None
    computed_md5: str | None = None
    supplied_md5: str | None = None
    is_link_only: bool = False
    download_url: str = ""

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

    `token` is the secret half of the upload URL, kept out of the repr.
    """

    token: str
    status: Literal["pending", "completed", "aborted"]
    size: int
    parts: tuple[Part, ...] = ()

    def __repr__(self) -> str:
        return f"Upload(status={self.status!r}, size={self.size}, parts={len(self.parts)})"


def parse_account(body: bytes) -> Account:
    row = decode.as_mapping(parse_json(body), "the account")
    return Account(
        id=decode.as_id(row, "id", "the account"),
        email=decode.as_text(row, "email"),
        first_name=decode.as_text(row, "first_name"),
        last_name=decode.as_text(row, "last_name"),
        quota=decode.as_count(row, "quota"),
        used_quota=decode.as_count(row, "used_quota"),
        maximum_file_size=decode.as_count(row, "maximum_file_size") or None,
    )


def parse_item(body: bytes) -> Item:
    row = decode.as_mapping(parse_json(body), "the item")
    pages = ("url_private_html", "figshare_url", "url_public_html")
    return Item(
        id=decode.as_id(row, "id", "the item"),
        title=decode.as_text(row, "title"),
        status=decode.as_text(row, "status"),
        is_public=decode.as_bool(row, "is_public"),
        url=next((page for key in pages if (page := decode.as_url(row, key))), ""),
        created=decode.as_datetime(row, "created_date"),
        folders=_folders(row.get("folder_structure")),
    )


def parse_item_rows(body: bytes) -> list[ItemRow]:
    return rows(body, "the list of items", _item_row)


def parse_file(body: bytes) -> File:
    return _file(decode.as_mapping(parse_json(body), "the file"))


def parse_files(body: bytes) -> list[File]:
    return rows(body, "the list of files", _file)


def parse_entity_id(body: bytes) -> tuple[int | None, str]:
    """What a create answered: the id, None where it is not told, and the location, "" where there is none.

    Observed: items come with entity_id and location, files with only a location, both once as text/html.
    """
    try:
        value = parse_json(body)
    except NotJson:
        return None, ""
    if not isinstance(value, Mapping):
        return None, ""
    found = decode.as_int(value.get("entity_id"))
    return (found if found is not None and 1 <= found <= MAX_ID else None), decode.as_text(value, "location")


def server_message(body: bytes) -> str:
    """The first line of the message of an error answer ({"message", "code"}), "" where there is none.

    OAuth-like bodies ({"error", "error_description"}) are read too. At most 300 characters, printable, and addresses
    in it have lost their secrets.
    """
    try:
        value = parse_json(body)
    except NotJson:
        return ""
    if isinstance(value, Mapping):
        for key in ("message", "error_description", "error", "code"):
            lines = decode.as_text(value, key).strip().splitlines()
            words = "".join(c if c.isprintable() else " " for c in lines[0]).strip() if lines else ""
            if words:
                return _without_secrets(words)[:300]
    return ""


def _without_secrets(words: str) -> str:
    """Words without the secret part of an upload address, and without what follows the path of any address."""
    words = re.sub(r"(/upload/)[^\s/?#\"']+", r"\1...", words)
    return re.sub(r"(https?://[^\s?#]*)[?#]\S*", r"\1?...", words)


def parse_json(body: bytes) -> Any:
    """The JSON value of a body; raises NotJson."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        pass
    raise NotJson("not JSON")


def _item_row(row: Mapping[str, Any]) -> ItemRow:
    return ItemRow(
        id=decode.as_id(row, "id", "an item of the list"),
        title=decode.as_text(row, "title"),
        created=decode.as_datetime(row, "created_date"),
        published=bool(decode.as_text(row, "published_date")),
    )


def _file(row: Mapping[str, Any]) -> File:
    return File(
        id=decode.as_id(row, "id", "a file"),
        name=decode.as_text(row, "name"),
        size=decode.as_count(row, "size") or 0,
        status=decode.as_text(row, "status"),
        upload_url=decode.as_text(row, "upload_url") or None,
        computed_md5=decode.as_md5(row, "computed_md5"),
        supplied_md5=decode.as_md5(row, "supplied_md5"),
        is_link_only=decode.as_bool(row, "is_link_only"),
        download_url=decode.as_text(row, "download_url"),
    )


def rows(body: bytes, what: str, read: Callable[[Mapping[str, Any]], T]) -> list[T]:
    """The objects of a list, each as `read` makes it; `what` names the list."""
    value = parse_json(body)
    if not isinstance(value, list):
        raise ProtocolViolation(f"Figshare answered with something else than {what}")
    return [read(decode.as_mapping(row, what)) for row in value]


def _folders(value: object) -> dict[int, str]:
    """File id → folder, without slashes at its ends (they are written with and without)."""
    found: dict[int, str] = {}
    rows: Mapping[str, Any] = value if isinstance(value, Mapping) else {}
    for key in rows:
        file_id, folder = decode.as_int(key), decode.as_text(rows, key).strip("/")
        if file_id is not None and folder:
            found[file_id] = folder
    return found
