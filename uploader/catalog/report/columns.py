"""Columns of a table, and the cells of each record. Pure; which columns there are is in `known_columns`.

A table has one row a record, or a version. Lists share a cell, joined by " | "; a "|" inside a value becomes "¦".
Columns of custom fields are called `custom:NAME`: names are free text, and some equal those of other columns.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, TypeAlias

from uploader.catalog.report import values as v
from uploader.catalog.report.values import Cell, Raw, Values
from uploader.errors import UsageError
from uploader.figshare.records import RowKind
from uploader.text import did_you_mean

ColumnKind: TypeAlias = Literal["text", "number", "time", "flag"]
CUSTOM = "custom:"
"""Prefix of the names of columns of custom fields."""
JOIN, PIPE = " | ", "¦"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One record of a report: its row in Figshare's list, and the record in full, None if it was not read.

    `missing` says what could not be read, "" if nothing. `numbers` are its events, `counted` when they were read
    (seconds of Unix time). `countries` are its views by country. `versions` are the other public versions, `items` the
    rows of a collection's items. `added` is what the report knows beyond the record, by the names of columns.
    """

    kind: RowKind
    row: Raw
    full: Raw | None
    missing: str = ""
    numbers: Raw | None = None
    counted: float | None = None
    countries: Mapping[str, int] = field(default_factory=dict)
    versions: tuple[Raw, ...] = ()
    items: tuple[Raw, ...] = ()
    added: Mapping[str, Cell] = field(default_factory=dict)

    @cached_property
    def raw(self) -> Raw:
        """Everything that is known of it."""
        return {**self.row, **self.full} if self.full is not None else self.row


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column. A "time" is ISO 8601 text as Figshare sent it; `meaning` is one line for people."""

    name: str
    meaning: str
    read: Callable[[Entry, Raw], Cell | Values]
    kind: ColumnKind = "text"


@dataclass(frozen=True, kw_only=True)
class Columns:
    """The columns that a report's table can have: those by default, further ones by name, and those of notebooks.

    `custom`: also custom fields, before the last column, called `custom:NAME`; in a notebook's table `NAME`.
    """

    default: tuple[Column, ...]
    further: tuple[Column, ...] = ()
    notebook: tuple[Column, ...] = ()
    notebook_custom: bool = False
    custom: bool = False

    @property
    def known(self) -> dict[str, Column]:
        """All columns but those of custom fields."""
        return {one.name: one for one in (*self.default, *self.further, MISSING)}


MISSING = Column(name="missing", meaning="what could not be read, and why", read=lambda e, _: e.missing or None)


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The columns of a table, in order; `all_custom`: also those of all custom fields, before the column "missing".

    `chosen`: they are others than those by default.
    """

    columns: tuple[Column, ...]
    all_custom: bool = False
    prefix: str = CUSTOM
    chosen: bool = True


def parse_columns(text: str, columns: Columns) -> Selection:
    """Parse "default", "notebook", or names joined by commas; "custom" is all custom fields. Raises ValueError."""
    if text == "default":
        return Selection(columns=(*columns.default, MISSING), all_custom=columns.custom, chosen=False)
    if text == "notebook":
        if not columns.notebook:
            raise ValueError("Figshare's notebooks have no such table")
        return Selection(columns=columns.notebook, all_custom=columns.notebook_custom, prefix="")
    names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    known = columns.known
    for name in names:
        if name not in known and not (columns.custom and (name == "custom" or name.startswith(CUSTOM))):
            hint = did_you_mean(name, [*known, "default", "notebook", "custom"])
            raise ValueError(f"unknown column {name!r}" + (f"; {hint[0].lower()}{hint[1:]}" if hint else ""))
    if not names:
        raise ValueError("no columns given")
    chosen = tuple(known.get(name) or custom_column(name.removeprefix(CUSTOM)) for name in names if name != "custom")
    return Selection(columns=chosen, all_custom="custom" in names)


def custom_column(name: str, prefix: str = CUSTOM) -> Column:
    """Return the column of the custom field of this name."""
    return Column(
        name=f"{prefix}{name}",
        meaning="a custom field of a group",
        read=lambda _, raw: v.custom_fields(raw).get(name, ()),
    )


@dataclass(kw_only=True)
class Layout:
    """The columns of one table with its custom fields. `replaced` counts the values in which a "|" was replaced."""

    columns: Sequence[Column]
    _custom: dict[str, int] = field(default_factory=dict)
    replaced: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._in_bulk = frozenset(self._custom.values())

    @classmethod
    def of(cls, selection: Selection, custom_names: Iterable[str]) -> Layout:
        """Return the layout for a selection; `custom_names` are all custom fields of the records, in any order."""
        chosen = {one.name for one in selection.columns} if selection.prefix else set()
        names = sorted(name for name in custom_names if f"{CUSTOM}{name}" not in chosen) if selection.all_custom else []
        if len(selection.columns) + len(names) > MAX_COLUMNS:
            raise UsageError(f"{len(names)} custom fields exceed the columns of a sheet; choose some columns")
        custom = [custom_column(name, selection.prefix) for name in names]
        at = len(selection.columns) - (selection.columns[-1:] == (MISSING,))
        columns = [*selection.columns[:at], *custom, *selection.columns[at:]]
        return cls(columns=columns, _custom={name: at + number for number, name in enumerate(names)})

    @property
    def header(self) -> list[str]:
        """The names of the columns."""
        return [one.name for one in self.columns]

    def cells(self, entry: Entry, part: Raw | None = None) -> list[Cell]:
        """Return the cells of one record, or of a part of it in a separate table."""
        raw = entry.raw if part is None else part
        found: list[Cell] = [
            None if at in self._in_bulk else self._cell(column.read(entry, raw), column)
            for at, column in enumerate(self.columns)
        ]
        for name, values in v.custom_fields(raw).items() if self._custom else ():
            if (at := self._custom.get(name)) is not None:
                found[at] = self._cell(values, self.columns[at])
        return found

    def _cell(self, value: Cell | Values, column: Column) -> Cell:
        if not isinstance(value, tuple):
            return value
        self.replaced[column.name] += sum("|" in one for one in value)
        return JOIN.join(one.replace("|", PIPE) for one in value) or None


MAX_COLUMNS = 16_384
"""Columns of a sheet (Excel's published limit)."""
