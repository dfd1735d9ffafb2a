"""Decompress bodies: some proxies compress although "identity" was requested."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

_WINDOWS = {"gzip": (31,), "x-gzip": (31,), "deflate": (15, -15)}
"""zlib's window sizes by coding. "deflate" is zlib's format (RFC 9110), for some servers the raw one."""
_MOST_CODINGS = 4


def content_codings(headers: Mapping[str, str]) -> list[str]:
    """Return the codings of a body, in the order in which they were applied."""
    names = (name.strip().lower() for name in headers.get("Content-Encoding", "").split(","))
    return [name for name in names if name not in ("", "identity")]


def decompress(body: bytes, codings: list[str], limit: int) -> bytes | None:
    """Return the body without its codings, cut after `limit` + 1 bytes; None if one is unknown or does not fit."""
    if len(codings) > _MOST_CODINGS:
        return None
    for coding in reversed(codings):
        # An empty body (204, or none at all) stays empty, whatever its header says.
        inner = next((one for window in _WINDOWS.get(coding, ()) if (one := _inflate(body, window, limit))), None)
        if body and inner is None:
            return None
        body = inner or b""
    return body


def _inflate(body: bytes, window: int, limit: int) -> bytes | None:
    """Return at most `limit` + 1 bytes; None if the stream is damaged, cut off or empty."""
    found = bytearray()
    try:
        while body and len(found) <= limit:
            stream = zlib.decompressobj(window)
            found += stream.decompress(body, limit + 1 - len(found))
            if not stream.eof and len(found) <= limit:
                return None
            # Several streams in a row are one body (RFC 1952).
            body = stream.unused_data if window > 15 else b""
    except zlib.error:
        return None
    return bytes(found)
