"""Conditions in SQL, with the values of their parameters. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple


class Sql(NamedTuple):
    """An expression that is true or false, and the values of its question marks."""

    text: str
    values: tuple[object, ...] = ()


NEVER: Final = Sql("0")


def all_of(parts: Sequence[Sql]) -> Sql:
    """Return the conjunction; true without parts."""
    return _joined(parts, " AND ", "1")


def any_of(parts: Sequence[Sql]) -> Sql:
    """Return the disjunction; false without parts."""
    return _joined(parts, " OR ", "0")


def _joined(parts: Sequence[Sql], operator: str, empty: str) -> Sql:
    if not parts:
        return Sql(empty)
    if len(parts) == 1:
        return parts[0]
    # In halves: SQLite limits the depth of an expression, not its length.
    first, second = (_joined(half, operator, empty) for half in (parts[: len(parts) // 2], parts[len(parts) // 2 :]))
    return Sql(f"({first.text}{operator}{second.text})", first.values + second.values)
