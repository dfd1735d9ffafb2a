"""Lists of paths, one per line or separated by NUL, as `find` and `git` write them, and the encodings of lists and
tables: UTF-8, and UTF-16 with a byte order mark, as Excel and PowerShell write it. Pure."""

from __future__ import annotations

import codecs
import os
import re
from collections.abc import Callable
from typing import BinaryIO

from uploader.errors import Facts, UsageError

_CHUNK = 1 << 20
_PROBED = 4096
"""Bytes at the beginning that show whether it is text."""
_MAY_BE_PATH = re.compile(r"#[^\s#!]")


def parse_list(
    data: bytes, origin: str, *, nul: bool = False, is_file: Callable[[int, str], bool] = lambda _line, _path: False
) -> list[tuple[int, str]]:
    """Return the paths in a list with their line (with `nul`: entry) numbers from 1. `origin` names it in messages.

    Lines end with LF or CRLF; empty lines are ignored. A line that begins with "#" is a comment, unless `is_file`
    returns True for its number and text. With `nul`, paths are separated by NUL. Raises UsageError if the list seems to
    be of the other kind.
    """
    if nul:
        if b"\0" not in data and data.count(b"\n") > 1:
            raise UsageError(f"{origin}: expected paths separated by NUL, but found no NUL")
        pieces = enumerate(data.split(b"\0"), start=1)
        return [(number, os.fsdecode(piece)) for number, piece in pieces if piece.strip(b"\n")]
    data = as_utf8(data, origin)
    if b"\0" in data:
        raise UsageError(
            f"{origin}: contains NUL characters", hint="They may separate the paths.", facts=Facts("nul-separated")
        )
    lines = enumerate((os.fsdecode(line.removesuffix(b"\r")) for line in data.split(b"\n")), start=1)
    return [(number, line) for number, line in lines if line and (not line.startswith("#") or is_file(number, line))]


def may_be_path(comment: str) -> bool:
    """Return True for a line that begins with "#" and may be meant as a path: no blank follows."""
    return _MAY_BE_PATH.match(comment) is not None


def remote_location(path: str, base: str) -> tuple[str, str]:
    """Return the remote folder and name of a listed path, which keeps only its folders below `base`."""
    whole = os.path.normpath(os.path.join(base, path))
    inner = whole.removeprefix(base.rstrip("/") + "/")
    return (os.path.dirname(inner) if inner != whole else ""), os.path.basename(whole)


def as_utf8(data: bytes, origin: str) -> bytes:
    """Return text in UTF-8 without a byte order mark; other bytes as they are. Raises UsageError for broken UTF-16."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        try:
            return data.decode("utf-16").encode("utf-8")
        except UnicodeError:
            raise _broken_utf16(origin) from None
    return data.removeprefix(codecs.BOM_UTF8)


def check_text(content: BinaryIO, where: str, hint: str) -> str:
    """Return the encoding of a text: UTF-8, with or without a byte order mark, or UTF-16 with one.

    Raises UsageError naming `where` and the line if it is neither. Reads it once, with little memory.
    """
    content.seek(0)
    encoding = "utf-16" if is_utf16(content.read(_PROBED), where, hint) else "utf-8-sig"
    content.seek(0)
    decoder, lines = codecs.getincrementaldecoder(encoding)(), 0
    try:
        while chunk := content.read(_CHUNK):
            decoder.decode(chunk)
            lines += chunk.count(b"\n")
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        if encoding == "utf-16":
            raise _broken_utf16(where) from None
        lines += error.object.count(b"\n", 0, error.start)
        raise _not_utf8(where, f" (line {lines + 1})", hint) from None
    return encoding


def is_utf16(begin: bytes, where: str, hint: str) -> bool:
    """Return whether a text that begins so is UTF-16. Raises UsageError naming `where` if NULs show that it is none."""
    if begin.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return True
    if begin[:_PROBED].count(0) > len(begin[:_PROBED]) // 10:
        raise UsageError(f"{where}: is either not text or UTF-16 without a byte order mark", hint=hint)
    return False


def decoded(data: bytes, where: str, hint: str) -> str:
    """Decode UTF-8. Raises UsageError naming `where`, and the line if there are several."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        place = f" (line {line})" if b"\n" in data else ""
        raise _not_utf8(where, place, hint) from None


def _not_utf8(where: str, place: str, hint: str) -> UsageError:
    return UsageError(f"{where}: is not UTF-8{place}; perhaps ANSI (Windows-1252)", hint=hint)


def _broken_utf16(where: str) -> UsageError:
    return UsageError(f"{where}: is not text: begins like UTF-16 but is invalid", hint="Save it as UTF-8.")
