"""Types of parameters: texts that a function parses, paths on this machine, and the ids of items and the like."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from uploader.figshare.ids import Kind, Reference, is_doi, parse_id, parse_reference, parse_version

T = TypeVar("T")


class ParsedParam(click.ParamType[Any]):
    """A parameter parsed by a function that raises ValueError if it is invalid."""

    def __init__(self, name: str, parse: Callable[[str], Any]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return self._parse(value) if isinstance(value, str) else value
        except ValueError as error:
            return self.fail(str(error), param, ctx)


def _check_path(value: object, param: click.Parameter | None, ctx: click.Context | None) -> None:
    """Raise BadParameter for an empty path, which would mean the current folder (a variable of a script that is not
    set), and for one that begins with a "~" that the shell should have replaced.
    """
    if value == "":
        raise click.BadParameter("the path is empty", ctx, param)
    text = os.fspath(value) if isinstance(value, str | os.PathLike) else ""
    first = text.partition("/")[0]
    if first.startswith("~") and (first == "~" or first != text) and not os.path.lexists(first):
        raise click.BadParameter(
            f"{text!r}: the shell replaces {first} by the home directory only without quotes and after a blank",
            ctx,
            param,
        )


class LocalPath(click.Path):
    """A path on this machine."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        _check_path(value, param, ctx)
        return super().convert(value, param, ctx)


class ParsedFile(ParsedParam):
    """A path on this machine, parsed by a function."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        _check_path(value, param, ctx)
        return super().convert(value, param, ctx)


def id_parser(kind: Kind, parse: Callable[[str, Kind], T]) -> Callable[[str], T]:
    """Return `parse` for this kind; a file or folder in its place is named as such. Both raise ValueError."""

    def parsed(text: str) -> T:
        try:
            return parse(text, kind)
        except ValueError:
            if os.path.lexists(text):
                known = f"the {kind}'s number, address or DOI"
                raise ValueError(f"{text!r} is a file or folder; {known} comes before any files") from None
            raise

    return parsed


def names_among(what: str, known: Sequence[str]) -> Callable[[str], tuple[str, ...]]:
    """Return a parser of names joined by commas, each once, which raises ValueError for one that is not `known`."""

    def parsed(text: str) -> tuple[str, ...]:
        names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
        if wrong := [name for name in names if name not in known]:
            raise ValueError(f"unknown {what} {wrong[0]!r}; known: {', '.join(known)}")
        return names

    return parsed


def _item_and_version(text: str, kind: Kind) -> tuple[Reference, int | None]:
    return parse_reference(text, kind), parse_version(text)


def _item_as_named(text: str, kind: Kind) -> tuple[Reference, int | None, bool]:
    return *_item_and_version(text, kind), is_doi(text)


ITEM_ID = ParsedParam("id", id_parser("item", parse_reference))
COLLECTION_ID = ParsedParam("id", id_parser("collection", parse_reference))
"""A number, an address or a DOI; the value is a `Reference`, which `uploader.items.identify` makes an id."""
PROJECT_ID = ParsedParam("id", id_parser("project", parse_id))
"""A number or an address."""
ITEM_VERSION = ParsedParam("id", id_parser("item", _item_and_version))
"""An item, with the version that its DOI or address may have."""
ITEM_AS_NAMED = ParsedParam("id", id_parser("item", _item_as_named))
"""The same, with whether it is named by a DOI."""
