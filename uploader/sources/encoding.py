"""The encodings of lists and tables: UTF-8, and UTF-16 with a byte order mark, as Excel and PowerShell write it."""

from __future__ import annotations

import codecs

from uploader.errors import UsageError


def as_utf8(data: bytes, origin: str) -> bytes:
    """Return text in UTF-8 without a byte order mark; other bytes as they are. Raises UsageError for broken UTF-16."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        try:
            return data.decode("utf-16").encode("utf-8")
        except UnicodeError:
            raise UsageError(f"{origin}: is not text: begins like UTF-16 but is invalid", hint=_SAVE) from None
    return data.removeprefix(codecs.BOM_UTF8)


def decoded(data: bytes, where: str, hint: str) -> str:
    """Decode UTF-8. Raises UsageError naming `where`, and the line if there are several."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        place = f" (line {line})" if b"\n" in data else ""
        raise UsageError(f"{where}: is not UTF-8{place}; perhaps ANSI (Windows-1252)", hint=hint) from None


_SAVE = "Save it as UTF-8."
