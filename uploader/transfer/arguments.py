"""Check and convert the arguments of the public API.

A wrong type is a TypeError, an invalid value a UsageError; both name the argument and say what is expected.
"""

from __future__ import annotations

import dataclasses
import inspect
import io
import math
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import TypeAlias, TypeVar, get_args

from uploader.errors import UsageError
from uploader.figshare.ids import Kind, Reference, parse_id, parse_reference
from uploader.figshare.settings import RetryPolicy, Settings
from uploader.metadata.identifiers import date_of
from uploader.sources.archive.layout import Format
from uploader.sources.models import Packing, Sources
from uploader.text import is_unicode, printable, shorten

T = TypeVar("T")

AnyPath: TypeAlias = str | os.PathLike[str]
Paths: TypeAlias = AnyPath | Iterable[AnyPath]
"""A file, a folder or a glob, or several of them."""

MAX_NUMBER = 2**63 - 1
"""The largest number that Figshare, or a database, can hold."""
_PATHS = "a path (str or os.PathLike), several of them, or uploader.Sources"


def as_sources(paths: Paths | Sources, state_dir: Path) -> Sources:
    """Convert `paths` to sources, of which the state directory is none. Raises TypeError, UsageError."""
    if isinstance(paths, Sources):
        return dataclasses.replace(_checked(paths), outputs=(*paths.outputs, str(state_dir)))
    if isinstance(paths, str | os.PathLike):
        return Sources(paths=(_path(paths),), outputs=(str(state_dir),))
    # An open file is an iterable of its lines.
    if isinstance(paths, bytes | bytearray | memoryview | Mapping | io.IOBase) or not isinstance(paths, Iterable):
        raise wrong_type("paths", paths, _PATHS)
    return Sources(paths=tuple(_path(path) for path in paths), outputs=(str(state_dir),))


def _checked(sources: Sources) -> Sources:
    for name in ("nul", "hidden", "follow_symlinks"):
        check_flag(name, getattr(sources, name))
    for name in ("from_file", "base", "manifest"):
        as_path(name, getattr(sources, name))
    given: object = sources.paths
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        raise wrong_type("paths", given, "several paths, such as a tuple")
    return dataclasses.replace(
        sources,
        paths=tuple(_path(path) for path in given),
        links=as_strings("links", sources.links),
        include=as_strings("include", sources.include),
        exclude=as_strings("exclude", sources.exclude),
        outputs=as_strings("outputs", sources.outputs),
    )


def as_strings(name: str, values: object) -> tuple[str, ...]:
    """Return several strings. Raises TypeError, also for a single string: it would be taken for its characters."""
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise wrong_type(name, values, "several strings, such as a tuple")
    return tuple(_string(name, value) for value in values)


def _string(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name} must contain only strings, not {_type(value)}")
    return value


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


def as_reference(kind: Kind, value: int | str) -> Reference:
    """Parse a reference to a record: see `parse_reference`. Raises TypeError, UsageError."""
    return _parsed(kind, value, parse_reference)


def as_name(name: str, value: object) -> str | None:
    """Return the id or the name of something on Figshare as text, None for None.

    Raises TypeError, UsageError.
    """
    if isinstance(value, bool) or not isinstance(value, int | str | None):
        raise wrong_type(name, value, "an id (int), a name (str) or None")
    if isinstance(value, int):
        check_number(name, value, "an id")
        return str(value)
    check_text(name, value)
    return value


def as_project(value: int | str | None) -> int | None:
    """Parse a project's id, None for None: see `parse_id`. Raises TypeError, UsageError."""
    return None if value is None else _parsed("project", value, parse_id)


def _parsed(kind: Kind, value: int | str, parse: Callable[[str, Kind], T]) -> T:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise wrong_type(kind, value, "an id, an address or a DOI (int or str)")
    try:
        return parse(shown(value) if isinstance(value, int) else value, kind)
    except ValueError as error:
        raise UsageError(str(error)) from None


def shown(value: object) -> str:
    """Return a value as text for a message, shortened; of a number with too many digits only that it has them."""
    try:
        return shorten(repr(value), 100)
    except ValueError:  # Python converts at most 4300 digits
        return "a number with too many digits"


def check_text(name: str, value: object, *, optional: bool = True) -> None:
    """Raise TypeError unless `value` is a string, or with `optional` None; UsageError if it is not valid Unicode."""
    if not isinstance(value, str) and not (optional and value is None):
        raise wrong_type(name, value, f"a string{' or None' if optional else ''}")
    if value is not None and not is_unicode(value):
        raise UsageError(f"invalid {name}: it contains half of a character (an unpaired surrogate)")


def check_texts(**values: object) -> None:
    """Check each value as `check_text` does."""
    for name, value in values.items():
        check_text(name, value)


def check_flags(**values: object) -> None:
    """Check each value as `check_flag` does."""
    for name, value in values.items():
        check_flag(name, value)


def check_flag(name: str, value: object) -> None:
    """Raise TypeError unless `value` is a bool."""
    if not isinstance(value, bool):
        raise wrong_type(name, value, "True or False")


def check_instance(name: str, value: object, kind: type) -> None:
    """Raise TypeError unless `value` is None or of this class."""
    if value is not None and not isinstance(value, kind):
        raise wrong_type(name, value, f"an uploader.{kind.__name__} or None")


def check_number(name: str, value: object, expected: str, *, least: int = 1, optional: bool = True) -> None:
    """Raise TypeError unless `value` is an int, or with `optional` None; UsageError unless it is from `least` to
    MAX_NUMBER.
    """
    if value is None and optional:
        return
    or_none = ", or None" if optional else ""
    if isinstance(value, bool) or not isinstance(value, int):
        raise wrong_type(name, value, f"{expected} (int){' or None' if optional else ''}")
    if not least <= value <= MAX_NUMBER:
        raise UsageError(f"invalid {name}={shown(value)}; expected {expected} from {least}{or_none}")


def check_real(name: str, value: object, expected: str, *, least: float = 0.0) -> float:
    """Return a number. Raises TypeError unless it is an int or a float, UsageError unless it is finite and at least
    `least`.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise wrong_type(name, value, expected)
    # Neither infinite, nor an int that no float can hold.
    if not least <= value <= sys.float_info.max:
        raise UsageError(f"invalid {name}={shown(value)}; expected {expected}")
    return value


def check_choice(name: str, value: object, choices: Sequence[str]) -> None:
    """Raise TypeError unless `value` is a string, UsageError unless it is one of the choices."""
    if not isinstance(value, str):
        raise wrong_type(name, value, f"one of {', '.join(map(repr, choices))}")
    if value not in choices:
        raise UsageError(f"invalid {name}={shown(value)}; expected one of {', '.join(map(repr, choices))}")


def as_day(name: str, value: date | str | None) -> date | None:
    """Return a day, None for None. Raises TypeError, UsageError."""
    if isinstance(value, datetime):
        return value.date()
    if value is None or isinstance(value, date):
        return value
    if not isinstance(value, str):
        raise wrong_type(name, value, "a date, or a string such as 2024-05-17")
    try:
        return date_of(value)
    except ValueError as error:
        raise UsageError(f"{name}: {error}") from None


def check_packing(packing: Packing | None) -> None:
    """Raise TypeError for a wrong type, UsageError for an invalid value; None is valid."""
    check_instance("packing", packing, Packing)
    if packing is None:
        return
    check_choice("format", packing.format, get_args(Format))
    check_text("name", packing.name)
    check_number("below", packing.below, "a number of bytes")
    check_number("limit", packing.limit, "a number of bytes")
    check_flag("manifest", packing.manifest)


def check_settings(settings: Settings | None) -> None:
    """Raise TypeError for a wrong type, UsageError for an invalid value; None is valid."""
    check_instance("settings", settings, Settings)
    if settings is None:
        return
    check_text("endpoint", settings.endpoint, optional=False)
    check_text("bind", settings.bind)
    check_flag("insecure_http", settings.insecure_http)
    as_path("ca_file", settings.ca_file)
    for name in ("connect_timeout", "answer_timeout", "stall_timeout", "visibility_timeout"):
        check_real(name, getattr(settings, name), "seconds (float)")
    if settings.api_rate is not None:
        check_real("api_rate", settings.api_rate, "requests per second (float), or None", least=math.ulp(0))
    check_number("api_burst", settings.api_burst, "a number of requests")
    check_number("impersonate", settings.impersonate, "the id of an account")
    for policy in ("retry", "throttled"):
        value = getattr(settings, policy)
        if not isinstance(value, RetryPolicy):
            raise wrong_type(policy, value, "an uploader.RetryPolicy")
        for name in ("first_delay", "max_delay", "factor", "elapsed_cap"):
            expected = "a factor (float)" if name == "factor" else "seconds (float)"
            check_real(f"{policy}.{name}", getattr(value, name), expected)
        check_number(f"{policy}.retries", value.retries, "a number of retries", least=0)


def check_callback(name: str, value: object) -> None:
    """Raise TypeError unless `value` is None or a plain function: nothing would await a coroutine."""
    if value is None:
        return
    if not callable(value):
        raise wrong_type(name, value, "a function or None")
    if inspect.iscoroutinefunction(value) or inspect.iscoroutinefunction(type(value).__call__):
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
