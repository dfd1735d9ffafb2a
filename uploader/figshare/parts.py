"""Parse and validate the upload service's JSON: an upload and its parts."""

from __future__ import annotations

from typing import Literal, TypeVar

import msgspec

from uploader.errors import ProtocolViolation
from uploader.figshare.decode import MAX_ID, parse_json
from uploader.figshare.models import Part, Upload

MAX_PARTS = 200_000
"""Limit per upload. Figshare stores parts in S3, which accepts 10,000; each costs memory."""
MAX_PART_NO = 1_000_000

T = TypeVar("T")

_Loose = int | float | str | bool | None


class _RawPart(msgspec.Struct, kw_only=True):
    partNo: int  # noqa: N815 - Figshare's spelling
    startOffset: int  # noqa: N815
    endOffset: int  # noqa: N815
    status: str | None = None
    locked: _Loose = None


class _RawUpload(msgspec.Struct, kw_only=True):
    token: str | None = None
    size: int | None = None
    status: str | None = None
    parts: list[_RawPart] | None = None


_PART = msgspec.json.Decoder(_RawPart)
_UPLOAD = msgspec.json.Decoder(_RawUpload)


def parse_upload(body: bytes) -> Upload:
    """Parse GET upload_url. Raises NotJson, or ProtocolViolation if the parts do not cover the file exactly."""
    raw = _decoded(_UPLOAD, body, "an upload")
    if len(raw.parts or ()) > MAX_PARTS:
        raise ProtocolViolation(f"the upload service lists more than {MAX_PARTS} parts")
    parts = sorted((_part(part) for part in raw.parts or ()), key=lambda part: part.start)
    size = raw.size if raw.size is not None else (parts[-1].end + 1 if parts else 0)
    if not 0 <= size <= MAX_ID:
        raise ProtocolViolation("the upload service sent an invalid size")
    status = _status(raw.status)
    if parts or status == "pending":
        _check_cover(parts, size)
    return Upload(token=raw.token or "", status=status, size=size, parts=tuple(parts))


def parse_part(body: bytes) -> Part:
    """Parse GET upload_url/{partNo}. Raises NotJson or ProtocolViolation."""
    return _part(_decoded(_PART, body, "a part"))


def _part(raw: _RawPart) -> Part:
    if not 0 <= raw.partNo <= MAX_PART_NO or raw.startOffset < 0 or max(raw.startOffset, raw.endOffset) > MAX_ID:
        raise ProtocolViolation("the upload service sent an invalid part")
    if raw.endOffset < raw.startOffset - 1:
        raise ProtocolViolation(f"part {raw.partNo} ends before it starts")
    # Documented: COMPLETE for a part, COMPLETED for an upload; both are accepted for either.
    return Part(
        no=raw.partNo,
        start=raw.startOffset,
        end=raw.endOffset,
        complete=(raw.status or "").upper() in ("COMPLETE", "COMPLETED"),
        locked=raw.locked in (True, "true", "True"),
    )


def _check_cover(parts: list[Part], size: int) -> None:
    if len({part.no for part in parts}) != len(parts):
        raise ProtocolViolation("the upload service lists a part number twice")
    expected = 0
    for part in parts:
        if part.size == 0 and size > 0:
            raise ProtocolViolation(f"part {part.no} is empty")
        if part.start != expected:
            fault = "a gap" if part.start > expected else "an overlap"
            raise ProtocolViolation(f"the parts have {fault} before part {part.no}")
        expected = part.end + 1
    if expected != size:
        raise ProtocolViolation(f"the parts cover {expected} bytes of an upload of {size}")


def _status(word: str | None) -> Literal["pending", "completed", "aborted"]:
    """Return the status; an unknown word means pending, so that the parts decide and nothing is skipped."""
    match (word or "").upper():
        case "COMPLETED" | "COMPLETE":
            return "completed"
        case "ABORTED":
            return "aborted"
        case _:
            return "pending"


def _decoded(decoder: msgspec.json.Decoder[T], body: bytes, what: str) -> T:
    """Decode a body. Errors are raised outside of handlers, so that no exception context holds or shows the body."""
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        pass
    parse_json(body)
    raise ProtocolViolation(f"the upload service's response is not {what}")
