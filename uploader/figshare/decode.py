"""Reading loosely typed JSON objects: null, "" and an absent field are alike, numbers may come as texts, and nothing is
taken that no honest answer holds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from uploader.errors import ProtocolViolation

MAX_ID = 2**63 - 1
LONGEST_TEXT = 64 * 1024
"""Characters of one text."""


def as_mapping(value: object, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ProtocolViolation(f"Figshare answered with something else than {what}")
    return value


def as_id(row: Mapping[str, Any], key: str, what: str) -> int:
    found = as_int(row.get(key))
    if found is None or not 1 <= found <= MAX_ID:
        raise ProtocolViolation(f"Figshare told no usable id of {what}")
    return found


def as_count(row: Mapping[str, Any], key: str) -> int | None:
    """A number of bytes; None where it is absent or no size can be that."""
    found = as_int(row.get(key))
    return found if found is not None and 0 <= found <= MAX_ID else None


def as_int(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) <= 2**53:
        return int(value)
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,19}", value):
        return int(value)
    return None


def as_text(row: Mapping[str, Any], key: str) -> str:
    """A text that any stream can print (no lone surrogates), "" for null, absent or something else."""
    value = row.get(key)
    if not isinstance(value, str):
        return ""
    return value[:LONGEST_TEXT].encode("utf-8", "replace").decode("utf-8")


def as_url(row: Mapping[str, Any], key: str) -> str:
    """An address that can be shown to a person as it is, "" for anything else: a line end in it would forge a line."""
    address = as_text(row, key)
    return address if address.isprintable() and address.lower().startswith(("https://", "http://")) else ""


def as_bool(row: Mapping[str, Any], key: str) -> bool:
    """Observed: flags come as booleans or, in older records, as 0 and 1."""
    value = row.get(key)
    return value is True or (isinstance(value, int) and value == 1)


def as_md5(row: Mapping[str, Any], key: str) -> str | None:
    return as_text(row, key).strip().lower() or None


def as_datetime(row: Mapping[str, Any], key: str) -> datetime | None:
    """Aware, UTC; a time without a zone is UTC."""
    try:
        found = datetime.fromisoformat(as_text(row, key))
        return (found.replace(tzinfo=UTC) if found.tzinfo is None else found).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
