"""Lists of paths, one a line or separated by NUL, as `find` and `git` write them. Pure."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from uploader.errors import Facts, UsageError
from uploader.text import printable

COMMENT = b"#"
_BOM = b"\xef\xbb\xbf"


_PLAIN = re.compile(rb"(\\?)([0-9a-fA-F]{32}) [ *]?(.+)", re.DOTALL)
_TAGGED = re.compile(rb"(\\?)MD5 \((.+)\) = ([0-9a-fA-F]{32})", re.DOTALL)
_SHA = re.compile(rb"\\?(?:[0-9a-fA-F]{40}|[0-9a-fA-F]{64}) .+|\\?SHA[0-9]+ \(.+\) = [0-9a-fA-F]+", re.DOTALL)
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
_UNESCAPED = {b"n": b"\n", b"r": b"\r", b"\\": b"\\"}


def parse_list(data: bytes, origin: str, *, nul: bool = False) -> list[tuple[int, str]]:
    """Return the paths in a list with their line (with `nul`: entry) numbers from 1. `origin` names it in messages.

    Lines end with a newline, also with a carriage return before it; empty lines and those that begin with "#" say
    nothing (a file of such a name is written "./#name"). With `nul`, paths are whatever stands between NULs.
    Raises UsageError where the other kind of list is meant.
    """
    if nul:
        if b"\0" not in data and data.count(b"\n") > 1:
            raise UsageError(f"{origin}: expected paths separated by NUL, but found no NUL")
        pieces = enumerate(data.split(b"\0"), start=1)
        return [(number, os.fsdecode(piece)) for number, piece in pieces if piece.strip(b"\n")]
    if b"\0" in data:
        raise UsageError(
            f"{origin}: has NUL characters in it", hint="They may separate the paths.", facts=Facts("nul-separated")
        )
    lines = enumerate((line.removesuffix(b"\r") for line in data.removeprefix(_BOM).split(b"\n")), start=1)
    return [(number, os.fsdecode(line)) for number, line in lines if line and not line.startswith(COMMENT)]


@dataclass(frozen=True, kw_only=True, slots=True)
class ChecksumEntry:
    """A file that is somewhere else. `path` is as it stands in the list; `folder` and `name` are the remote ones."""

    path: str
    folder: str
    name: str
    md5: str


def parse_checksums(data: bytes, base: str, origin: str) -> list[ChecksumEntry]:
    """Return the files of a list, which keep their folders below `base` (absolute), as listed paths do.

    Raises UsageError naming `origin` and the line that is none of `md5sum`.
    """
    found = []
    for number, line in enumerate(data.split(b"\n"), start=1):
        line = line.removesuffix(b"\r")
        if not line or line.startswith(b"#"):
            continue
        escaped, path, md5 = _fields(line, f"{origin}: line {number}")
        if escaped:
            path = _ESCAPED.sub(lambda match: _UNESCAPED.get(match[1], match[0]), path)
        written = os.fsdecode(path)
        folder, name = remote_location(written, base)
        found.append(ChecksumEntry(path=printable(written), folder=folder, name=name, md5=md5.decode("ascii").lower()))
    if not found:
        raise UsageError(f"{origin}: has no checksums in it")
    return found


def _fields(line: bytes, where: str) -> tuple[bool, bytes, bytes]:
    if match := _PLAIN.fullmatch(line):
        return bool(match[1]), match[3], match[2]
    if match := _TAGGED.fullmatch(line):
        return bool(match[1]), match[2], match[3]
    if _SHA.fullmatch(line):
        raise UsageError(f"{where}: is a SHA sum, and Figshare knows MD5s alone", hint="Make the list with md5sum.")
    raise UsageError(f"{where}: not a line that md5sum writes", hint="Make the list with: md5sum FILE... > LIST")


def remote_location(path: str, base: str) -> tuple[str, str]:
    """Return the remote folder and name of a listed path, which keeps only its folders below `base`."""
    whole = os.path.normpath(os.path.join(base, path))
    inner = whole.removeprefix(base.rstrip("/") + "/")
    return (os.path.dirname(inner) if inner != whole else ""), os.path.basename(whole)
