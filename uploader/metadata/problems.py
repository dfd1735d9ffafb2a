"""Problems of a metadata file. Each has its location, and all are reported together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn, Self

import msgspec

from uploader.errors import Facts, MetadataInvalid

Location = tuple[str | int, ...]
"""Keys and indexes that lead to a value, from the top; () is the file itself."""
DUPLICATE = "duplicate field"
"""The beginning of the message about a repeated field name."""


class WrittenFloat(float):
    """A number with its text as written: 1.10 is the text "1.10"."""

    def __new__(cls, text: str) -> Self:
        number = super().__new__(cls, text)
        number._text = text
        return number

    def __str__(self) -> str:
        return self._text

    _text: str


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """A problem with one value. `line` counts from 1, None if unknown; `field` is "" for the whole file."""

    message: str
    field: str = ""
    line: int | None = None
    hint: str | None = None
    situation: str = ""
    """See `uploader.errors.Facts`."""
    unit: str = "line"
    """Unit of `line` for a file without lines: "row", "record"."""

    @property
    def text(self) -> str:
        """The problem in one line, without the name of its file."""
        where = ", ".join(part for part in (f"{self.unit} {self.line}" if self.line else "", self.field) if part)
        return f"{where}: {self.message}" if where else self.message


def field_name(place: Location) -> str:
    """Return a location as a person would write it, lists counted from 1: `authors[2].orcid`."""
    name = ""
    for step in place:
        name += f"[{step + 1}]" if isinstance(step, int) else f".{step}" if name else step
    return name


def invalid(source: str, problems: Sequence[Problem], situation: str = "metadata-format") -> MetadataInvalid:
    """Return the error for these problems; `source` is the file as the user named it, "" for the command line.

    `situation` is that of several problems: see `uploader.errors.Facts`.
    """
    prefix = f"{Path(source).name}: " if source else ""
    errors: list[MetadataInvalid] = []
    for problem in sorted(problems, key=lambda one: one.line or 0):
        message = f"{prefix}{problem.text}"
        errors.append(
            MetadataInvalid(
                message,
                hint=problem.hint,
                path=source or None,
                facts=Facts(problem.situation),
                field=problem.field,
                line=problem.line,
            )
        )
    if len(errors) == 1:
        return errors[0]
    message = f"{prefix}{len(errors)} problems; nothing was done"
    return MetadataInvalid(message, path=source or None, causes=errors, facts=Facts(situation))


def raise_problem(
    source: str, message: str, line: int | None = None, hint: str | None = None, situation: str = ""
) -> NoReturn:
    """Raise MetadataInvalid for one problem of the whole file or of one of its lines."""
    raise invalid(source, [Problem(message=message, line=line, hint=hint, situation=situation)]) from None
