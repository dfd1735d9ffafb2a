"""Records as values: read from a file, not yet resolved against Figshare."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from uploader.metadata.model import Metadata

ItemKey: TypeAlias = Literal["doi", "id"]
"""The key by which records refer to existing items: the DOI, or the id on Figshare."""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """An item to create: its metadata, and the address of its file."""

    key: str
    """Identifies the record in its file and in later runs: the normalized DOI, else the source's id."""
    source_id: str = ""
    """The source's id, which was the key if the record had no DOI in an earlier run, or had another one."""
    line: int
    """Where it begins in the file, from 1: a line, a row of a sheet, or the position in a JSON list."""
    metadata: Metadata
    link: str | None = None
    """Address of the file; None: metadata only."""
