"""Lists of paths, one a line or separated by NUL, as `find` and `git` write them. Pure."""

from __future__ import annotations

import os

from uploader.errors import UsageError

COMMENT = b"#"
_BOM = b"\xef\xbb\xbf"


def parse_list(data: bytes, origin: str, *, nul: bool = False) -> list[tuple[int, str]]:
    """The paths in a list with their lines (with `nul`: entries), from 1, in its order. `origin` names it in messages.

    Lines end with a newline, also with a carriage return before it; empty lines and those that begin with "#" say
    nothing (a file of such a name is written "./#name"). With `nul`, paths are whatever stands between NULs.
    Raises UsageError where the other kind of list is meant.
    """
    if nul:
        if b"\0" not in data and data.count(b"\n") > 1:
            raise UsageError(f"{origin}: -0 is for paths separated by NUL, and there is none")
        pieces = enumerate(data.split(b"\0"), start=1)
        return [(number, os.fsdecode(piece)) for number, piece in pieces if piece.strip(b"\n")]
    if b"\0" in data:
        raise UsageError(f"{origin}: has NUL characters in it", hint="If they separate the paths, add -0.")
    lines = enumerate((line.removesuffix(b"\r") for line in data.removeprefix(_BOM).split(b"\n")), start=1)
    return [(number, os.fsdecode(line)) for number, line in lines if line and not line.startswith(COMMENT)]
