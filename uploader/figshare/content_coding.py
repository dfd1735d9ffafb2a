"""Decompress bodies: some proxies compress although "identity" was requested."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping

_WINDOWS = {"gzip": (31,), "x-gzip": (31,), "deflate": (15, -15)}
"""zlib's window sizes by coding. "deflate" is zlib's format (RFC 9110), for some servers the raw one."""
_MAX_CODINGS = 4
_BLOCK = 1 << 18
"""Bytes that are decompressed at a time: a small body may become a huge one."""


def content_codings(headers: Mapping[str, str]) -> list[str]:
    """Return the codings of a body, in the order in which they were applied."""
    names = (name.strip().lower() for name in headers.get("Content-Encoding", "").split(","))
    return [name for name in names if name not in ("", "identity")]


def decompress(body: bytes, codings: list[str], limit: int) -> bytes | None:
    """Return the body without its codings, cut after `limit` + 1 bytes; None if one is unknown or does not fit."""
    if len(codings) > _MAX_CODINGS:
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


class Decompressor:
    """Decompresses a body that comes in blocks. Raises ValueError for a coding that it does not know."""

    def __init__(self, codings: list[str]) -> None:
        if len(codings) != 1 or codings[0] not in _WINDOWS:
            raise ValueError(", ".join(codings))
        self._window = _WINDOWS[codings[0]][0]
        self._stream = zlib.decompressobj(self._window)

    def feed(self, block: bytes) -> Iterator[bytes]:
        """Yield the decompressed block. Raises ValueError if it is damaged."""
        try:
            while block:
                if self._stream.eof:  # several streams in a row are one body (RFC 1952)
                    self._stream = zlib.decompressobj(self._window)
                yield self._stream.decompress(block, _BLOCK)
                block = self._stream.unused_data if self._stream.eof else self._stream.unconsumed_tail
        except zlib.error:
            raise ValueError("damaged") from None
