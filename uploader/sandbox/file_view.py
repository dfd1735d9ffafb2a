"""A file and its upload as the two services show them. Pure."""

from __future__ import annotations

import mimetypes
import re
from typing import Any

from uploader.sandbox import file_status
from uploader.sandbox.addresses import Addresses
from uploader.sandbox.files_db import File, Part
from uploader.sandbox.settings import Delays

_TYPES = mimetypes.MimeTypes()
"""Only Python's own table, for the same responses on every machine."""
_UNSAFE = re.compile(r"[^\w.]")


def file_object(file: File, at: Addresses, now: float, delays: Delays) -> dict[str, Any]:
    """Return a file of an item. A linked one has no `upload_url` and no `upload_token`."""
    if file.link is not None:
        return _linked(file)
    status = file_status.status(file.progress, now, delays)
    done = status == "available"
    mimetype = mimetype_of(file.name)
    return {
        "upload_token": file.token,
        "upload_url": "" if file_status.accepted_at(file.progress, now, delays) else at.upload_of(file.token),
        "status": status,
        "preview_state": _preview(mimetype) if done else "preview_not_available",
        "viewer_type": _viewer(mimetype) if done else "",
        "is_attached_to_public_version": file.attached,
        "id": file.id,
        "name": file.name,
        "size": file.size,
        "is_link_only": False,
        "download_url": at.download(file.id),
        "supplied_md5": file.supplied_md5,
        "computed_md5": file_status.computed_md5(file.progress, now, delays),
        "mimetype": mimetype if done else "undefined",
    }


def upload_object(file: File, parts: list[Part], locked: frozenset[int], now: float, delays: Delays) -> dict[str, Any]:
    """Return an upload with its parts. `locked` holds part numbers."""
    return {
        "token": file.token,
        "md5": file.supplied_md5,
        "size": file.size,
        "name": f"{file.id}/{_UNSAFE.sub('', file.name)}",
        "status": upload_status(file, now, delays),
        "parts": [part_object(part, locked=part.number in locked) for part in parts],
    }


def upload_status(file: File, now: float, delays: Delays) -> str:
    """Return PENDING, COMPLETED or ABORTED."""
    if file.aborted:
        return "ABORTED"
    return "COMPLETED" if file_status.accepted_at(file.progress, now, delays) else "PENDING"


def part_object(part: Part, *, locked: bool) -> dict[str, Any]:
    """Return a part; both offsets are inclusive."""
    return {
        "partNo": part.number,
        "startOffset": part.start,
        "endOffset": part.end,
        "status": part_status(part),
        "locked": locked,
    }


def part_status(part: Part) -> str:
    """Return PENDING or COMPLETE (without a D, unlike the upload's)."""
    return "COMPLETE" if part.complete else "PENDING"


def mimetype_of(name: str) -> str:
    """Return the media type for a name's extension, by default application/octet-stream."""
    return _TYPES.guess_type(name.rpartition("/")[2])[0] or "application/octet-stream"


def _linked(file: File) -> dict[str, Any]:
    return {
        "status": "available",
        "preview_state": "preview_not_available",
        "viewer_type": "",
        "is_attached_to_public_version": file.attached,
        "id": file.id,
        "name": file.name,
        "size": file.size,
        "is_link_only": True,
        "download_url": file.link,
        "supplied_md5": "",
        "computed_md5": "",
        "mimetype": "undefined",
    }


def _viewer(mimetype: str) -> str:
    if mimetype in {"text/csv", "text/tab-separated-values"}:
        return "dataset"
    family = mimetype.partition("/")[0]
    return family if family in {"image", "video", "audio", "text"} else ""


def _preview(mimetype: str) -> str:
    return "preview_available" if _viewer(mimetype) else "preview_not_supported"
