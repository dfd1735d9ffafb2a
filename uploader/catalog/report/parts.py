"""The parts of a record that are read separately, and the outcomes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from uploader.catalog.report.values import Raw
from uploader.figshare.records import RowKind

Part: TypeAlias = Literal["record", "numbers", "places", "versions", "items"]


@dataclass(frozen=True, kw_only=True)
class PartToRead:
    """A part of a record to read. `mark` is that of its row, of numbers which ones; `listed` False if Figshare no
    longer lists it.
    """

    kind: RowKind
    id: int
    mark: str
    listed: bool
    part: Part = "record"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The outcome of reading a record: `record`, or None and the reason; `gone`: it no longer exists."""

    wanted: PartToRead
    record: Raw | None = None
    failure: str = ""
    gone: bool = False


@dataclass(frozen=True, kw_only=True)
class Failed:
    """A record with an unreadable part, and the reason."""

    kind: RowKind
    id: int
    title: str
    message: str
