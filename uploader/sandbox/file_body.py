"""Parse the body of an initiate. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from uploader.sandbox.answers import invalid

_MD5 = re.compile(r"[0-9a-fA-F]{32}")
_MAX_SIZE = 2**62


@dataclass(frozen=True, kw_only=True, slots=True)
class Initiate:
    """A file to create. `md5` is lower-case hex or ""; `folder_path` has no leading or trailing slash."""

    name: str
    size: int
    md5: str
    folder_path: str
    link: str | None


def read_initiate(body: dict[str, Any], *, empty_accepted: bool, md5_required: bool) -> Initiate:
    """Check a body: a link, or else name and size, and md5 if required. ApiError 422 on anything else."""
    given = {name: value for name, value in body.items() if value is not None}
    folder = _text(given, "folder_path").strip("/")
    if "link" in given:
        link = _text(given, "link")
        if not re.fullmatch(r"(https?|ftp)://\S+", link):
            raise invalid("link must be an address", "link")
        if "size" in given or "md5" in given:
            raise invalid("Use either link, or name, size and md5", "link")
        return Initiate(
            name=_text(given, "name") or link.rstrip("/").rpartition("/")[2],
            size=0,
            md5="",
            folder_path=folder,
            link=link,
        )
    name = _text(given, "name")
    if not name:
        raise invalid("Missing mandatory field - name", "name")
    md5 = _text(given, "md5")
    if md5_required and not md5:
        raise invalid("Missing mandatory field - md5", "md5")
    if md5 and not _MD5.fullmatch(md5):
        raise invalid("md5 must be 32 hexadecimal digits", "md5")
    return Initiate(
        name=name, size=_size(given, empty_accepted=empty_accepted), md5=md5.lower(), folder_path=folder, link=None
    )


def _text(given: dict[str, Any], name: str) -> str:
    value = given.get(name, "")
    if not isinstance(value, str) or "\0" in value:
        raise invalid(f"{name} must be a string", name)
    return value


def _size(given: dict[str, Any], *, empty_accepted: bool) -> int:
    value = given.get("size")
    if value is None:
        raise invalid("Missing mandatory field - size", "size")
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _MAX_SIZE:
        raise invalid("size must be a number of bytes", "size")
    if value == 0 and not empty_accepted:
        raise invalid("Empty files are not allowed", "size")
    return value
