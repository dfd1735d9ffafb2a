"""What Figshare's answers mean: typed values out of JSON bodies, and nothing about how they were fetched.

Tolerant throughout: unknown fields are ignored, null, "" and an absent field are alike, unknown status words are kept.
A body that is no JSON raises NotJson; JSON of another shape raises ProtocolViolation.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar

import msgspec

from uploader.errors import ProtocolViolation

MAX_ID = 2**63 - 1
_LONGEST_TEXT = 64 * 1024

T = TypeVar("T")


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
    """GET /account/articles/{id}. `url` is the page for a person, "" where none is told."""

    id: int
    title: str = ""
    status: str = ""
    is_public: bool = False
    url: str = ""
    created: datetime | None = None


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
    row = _mapping(decode(body), "the account")
    return Account(
        id=_id(row, "id", "the account"),
        email=_text(row, "email"),
        first_name=_text(row, "first_name"),
        last_name=_text(row, "last_name"),
        quota=_count(row, "quota"),
        used_quota=_count(row, "used_quota"),
        maximum_file_size=_count(row, "maximum_file_size") or None,
    )


def parse_item(body: bytes) -> Item:
    row = _mapping(decode(body), "the item")
    pages = ("url_private_html", "figshare_url", "url_public_html")
    return Item(
        id=_id(row, "id", "the item"),
        title=_text(row, "title"),
        status=_text(row, "status"),
        is_public=_flag(row, "is_public"),
        url=next((page for key in pages if (page := _page(row, key))), ""),
        created=_moment(row, "created_date"),
    )


def parse_item_rows(body: bytes) -> list[ItemRow]:
    return _rows(body, "the list of items", _item_row)


def parse_file(body: bytes) -> File:
    return _file(_mapping(decode(body), "the file"))


def parse_files(body: bytes) -> list[File]:
    return _rows(body, "the list of files", _file)


def parse_entity_id(body: bytes) -> tuple[int | None, str]:
    """What a create answered: the id, None where it is not told, and the location, "" where there is none.

    Observed: items come with entity_id and location, files with only a location, both once as text/html.
    """
    try:
        value = decode(body)
    except NotJson:
        return None, ""
    if not isinstance(value, Mapping):
        return None, ""
    found = _whole(value.get("entity_id"))
    return (found if found is not None and 1 <= found <= MAX_ID else None), _text(value, "location")


def server_words(body: bytes) -> str:
    """The first line of the message of an error answer ({"message", "code"}), "" where there is none.

    OAuth-like bodies ({"error", "error_description"}) are read too. At most 300 characters, printable, and addresses
    in it have lost their secrets.
    """
    try:
        value = decode(body)
    except NotJson:
        return ""
    if isinstance(value, Mapping):
        for key in ("message", "error_description", "error", "code"):
            lines = _text(value, key).strip().splitlines()
            words = "".join(c if c.isprintable() else " " for c in lines[0]).strip() if lines else ""
            if words:
                return _without_secrets(words)[:300]
    return ""


def _without_secrets(words: str) -> str:
    """Words without the secret part of an upload address, and without what follows the path of any address."""
    words = re.sub(r"(/upload/)[^\s/?#\"']+", r"\1...", words)
    return re.sub(r"(https?://[^\s?#]*)[?#]\S*", r"\1?...", words)


def decode(body: bytes) -> Any:
    """The JSON value of a body; raises NotJson."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        pass
    raise NotJson("not JSON")


def _item_row(row: Mapping[str, Any]) -> ItemRow:
    return ItemRow(
        id=_id(row, "id", "an item of the list"),
        title=_text(row, "title"),
        created=_moment(row, "created_date"),
        published=bool(_text(row, "published_date")),
    )


def _file(row: Mapping[str, Any]) -> File:
    return File(
        id=_id(row, "id", "a file"),
        name=_text(row, "name"),
        size=_count(row, "size") or 0,
        status=_text(row, "status"),
        upload_url=_text(row, "upload_url") or None,
        computed_md5=_digest(row, "computed_md5"),
        supplied_md5=_digest(row, "supplied_md5"),
        is_link_only=_flag(row, "is_link_only"),
        download_url=_text(row, "download_url"),
    )


def _rows(body: bytes, what: str, read: Callable[[Mapping[str, Any]], T]) -> list[T]:
    value = decode(body)
    if not isinstance(value, list):
        raise ProtocolViolation(f"Figshare answered with something else than {what}")
    return [read(_mapping(row, what)) for row in value]


def _mapping(value: object, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ProtocolViolation(f"Figshare answered with something else than {what}")
    return value


def _id(row: Mapping[str, Any], key: str, what: str) -> int:
    found = _whole(row.get(key))
    if found is None or not 1 <= found <= MAX_ID:
        raise ProtocolViolation(f"Figshare told no usable id of {what}")
    return found


def _count(row: Mapping[str, Any], key: str) -> int | None:
    """A number of bytes; None where it is absent or no size can be that."""
    found = _whole(row.get(key))
    return found if found is not None and 0 <= found <= MAX_ID else None


def _whole(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) <= 2**53:
        return int(value)
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,19}", value):
        return int(value)
    return None


def _text(row: Mapping[str, Any], key: str) -> str:
    """A text that any stream can print (no lone surrogates), "" for null, absent or something else."""
    value = row.get(key)
    if not isinstance(value, str):
        return ""
    return value[:_LONGEST_TEXT].encode("utf-8", "replace").decode("utf-8")


def _page(row: Mapping[str, Any], key: str) -> str:
    """An address that can be shown to a person as it is, "" for anything else: a line end in it would forge a line."""
    text = _text(row, key)
    return text if text.isprintable() and text.lower().startswith(("https://", "http://")) else ""


def _flag(row: Mapping[str, Any], key: str) -> bool:
    """Observed: flags come as booleans or, in older records, as 0 and 1."""
    value = row.get(key)
    return value is True or (isinstance(value, int) and value == 1)


def _digest(row: Mapping[str, Any], key: str) -> str | None:
    return _text(row, key).strip().lower() or None


def _moment(row: Mapping[str, Any], key: str) -> datetime | None:
    """Aware, UTC; a time without a zone is UTC."""
    text = _text(row, key)
    try:
        moment = datetime.fromisoformat(text)
        return (moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
