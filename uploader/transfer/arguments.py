"""Check and convert the arguments of the public API.

A wrong type is a TypeError, an invalid value a UsageError; both name the argument and say what is expected.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeAlias, TypeVar

from uploader.errors import UsageError
from uploader.figshare.ids import Kind, Reference, parse_id, parse_reference
from uploader.sources.models import Sources
from uploader.text import is_unicode, printable, shorten

T = TypeVar("T")

AnyPath: TypeAlias = str | os.PathLike[str]
Paths: TypeAlias = AnyPath | Iterable[AnyPath]
"""A file, a folder or a glob, or several of them."""

_PATHS = "a path (str or os.PathLike), several of them, or uploader.Sources"


def as_sources(paths: Paths | Sources) -> Sources:
    """Convert `paths` to sources. Raises TypeError, UsageError."""
    if isinstance(paths, Sources):
        return paths
    if isinstance(paths, str | os.PathLike):
        return Sources(paths=(_path(paths),))
    if isinstance(paths, bytes | bytearray | memoryview | Mapping) or not isinstance(paths, Iterable):
        raise wrong_type("paths", paths, _PATHS)
    return Sources(paths=tuple(_path(path) for path in paths))


def as_path(name: str, value: AnyPath | None) -> Path | None:
    """Return a path, None for None. Raises TypeError, UsageError."""
    if value is None:
        return None
    if not isinstance(value, str | os.PathLike):
        raise wrong_type(name, value, "a path (str or os.PathLike) or None")
    try:
        possible = b"\0" not in os.fsencode(value)
    except UnicodeEncodeError:
        possible = False
    if not possible:
        raise UsageError(f"invalid {name}: not a possible path: {printable(os.fspath(value))}")
    return Path(value)


def as_item(value: int | str) -> Reference:
    """Return the item that `value` names: see `parse_reference`. Raises TypeError, UsageError."""
    return _parsed("item", value, parse_reference)


def as_project(value: int | str | None) -> int | None:
    """Return the project's id that `value` is, None for None: see `parse_id`. Raises TypeError, UsageError."""
    return None if value is None else _parsed("project", value, parse_id)


def _parsed(kind: Kind, value: int | str, parse: Callable[[str, Kind], T]) -> T:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise wrong_type(kind, value, "an id, an address or a DOI (int or str)")
    try:
        return parse(str(value), kind)
    except ValueError as error:
        raise UsageError(f"invalid {kind} {shorten(repr(value), 100)}: {error}") from None


def check_text(name: str, value: object) -> None:
    """Raise TypeError unless `value` is a string or None, UsageError if it cannot be written as UTF-8."""
    if value is not None and not isinstance(value, str):
        raise wrong_type(name, value, "a string or None")
    if value is not None and not is_unicode(value):
        raise UsageError(f"invalid {name}: it contains half of a character (an unpaired surrogate)")


def check_flag(name: str, value: object) -> None:
    """Raise TypeError unless `value` is a bool."""
    if not isinstance(value, bool):
        raise wrong_type(name, value, "True or False")


def check_instance(name: str, value: object, kind: type) -> None:
    """Raise TypeError unless `value` is None or of this class."""
    if value is not None and not isinstance(value, kind):
        raise wrong_type(name, value, f"an uploader.{kind.__name__} or None")


def check_callback(name: str, value: object) -> None:
    """Raise TypeError unless `value` is None or a plain function: nothing would await a coroutine."""
    if value is None:
        return
    if not callable(value):
        raise wrong_type(name, value, "a function or None")
    if inspect.iscoroutinefunction(value):
        raise TypeError(f"{name} must be a plain function, not a coroutine function")


def wrong_type(name: str, value: object, expected: str) -> TypeError:
    """Return the error for a value of a wrong type."""
    return TypeError(f"{name} must be {expected}, not {_type(value)}")


def _path(value: object) -> str:
    path = os.fspath(value) if isinstance(value, str | os.PathLike) else value
    if not isinstance(path, str):
        raise TypeError(f"paths must contain only str or os.PathLike, not {_type(value)}")
    return path


def _type(value: object) -> str:
    return "None" if value is None else type(value).__name__
