"""Problems of a metadata file: each names its place, and all of them are told, not only the first."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from uploader.errors import MetadataInvalid

Place = tuple[str | int, ...]
"""Where a value stands: keys and indexes from the top; () is the file itself."""


class Problem(msgspec.Struct, frozen=True):
    """What is wrong with one value. `line` counts from 1, None where it is not known; `field` is "" for the file."""

    message: str
    field: str = ""
    line: int | None = None
    hint: str | None = None

    @property
    def told(self) -> str:
        """The problem without the name of its file, in one line."""
        where = ", ".join(part for part in (f"line {self.line}" if self.line else "", self.field) if part)
        return f"{where}: {self.message}" if where else self.message


def field_name(place: Place) -> str:
    """A place as a person would write it, lists counted from 1: `authors[2].orcid`."""
    name = ""
    for step in place:
        name += f"[{step + 1}]" if isinstance(step, int) else f".{step}" if name else step
    return name


def invalid(source: str, problems: Sequence[Problem]) -> MetadataInvalid:
    """The error that tells of these problems; `source` is the file as the user named it, "" for the command line."""
    problems = sorted(problems, key=lambda problem: problem.line or 0)
    first = problems[0]
    shown = f"{Path(source).name}: " if source else ""
    message = f"{shown}{first.told}"
    if len(problems) > 1:
        message += f" (and {len(problems) - 1} more)"
    error = MetadataInvalid(message, hint=first.hint, path=source or None)
    error.problems = [
        {"message": f"{shown}{p.told}", "hint": p.hint, "field": p.field, "line": p.line} for p in problems
    ]
    return error
