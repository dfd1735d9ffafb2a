"""Filters: patterns on the command line and in `.figupignore` files. Pure.

Paths are relative to the root of the patterns, with slashes; `folder` says whether a path is a folder.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Self

from uploader.sources.gitignore import Patterns, translate
from uploader.sources.models import Reason

IGNORE_FILE = ".figupignore"


class Ignores:
    """The ignore files of a folder and those above it, nearest first: the first one with a matching pattern decides."""

    def __init__(self) -> None:
        self._files: tuple[tuple[str, Patterns], ...] = ()

    def with_file(self, folder: str, patterns: Patterns) -> Self:
        """Return these rules and those of the ignore file in `folder` ("" or "a/b")."""
        if not patterns:
            return self
        inner = type(self)()
        inner._files = ((f"{folder}/" if folder else "", patterns), *self._files)
        return inner

    def decision(self, path: str, *, folder: bool) -> bool | None:
        """Return whether the path itself is ignored; None if no rule matches."""
        for prefix, patterns in self._files:
            decision = patterns.decision(path[len(prefix) :], folder=folder)
            if decision is not None:
                return decision
        return None


class Filters:
    """The inclusions and exclusions of the command line, which take precedence over ignore files."""

    def __init__(self, include: Iterable[str], exclude: Iterable[str]) -> None:
        self._include = Patterns(include)
        self._exclude = Patterns(exclude)
        self.malformed = [*self._include.malformed, *self._exclude.malformed]
        """Patterns that never match."""

    def reason(self, path: str, ignores: Ignores, *, folder: bool = False) -> Reason | None:
        """Return why a path in an included folder is excluded; None if it is not. An excluded folder excludes its
        contents.
        """
        decision = self._exclude.decision(path, folder=folder)
        if decision is None:
            decision = ignores.decision(path, folder=folder)
        if decision:
            return "excluded"
        return None if folder or self._included(path) else "not-included"

    def reason_alone(self, path: str) -> Reason | None:
        """Return why an explicitly named file is excluded, also by a folder above it; None if it is not."""
        if any(self._exclude.decision(above, folder=True) for above in _folders_above(path)):
            return "excluded"
        return self.reason(path, Ignores())

    def _included(self, path: str) -> bool:
        """Return whether the file is included: the nearest decides, itself or a folder above it."""
        if not self._include:
            return True
        decision = self._include.decision(path, folder=False)
        for above in _folders_above(path):
            if decision is not None:
                break
            decision = self._include.decision(above, folder=True)
        return bool(decision)


def _folders_above(path: str) -> Iterator[str]:
    """Return the folders that a path is in, the nearest first."""
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


class Glob:
    """A pattern such as `*.csv` or `**/run?`, relative to the folder before its wildcards."""

    def __init__(self, pattern: str) -> None:
        """`pattern` is relative. One that is malformed matches nothing."""
        self.pattern = pattern
        self._regex = re.compile(translate(pattern) or "(?!)", re.DOTALL)
        self._depth = None if "**" in pattern else pattern.count("/")

    @classmethod
    def split(cls, path: str) -> tuple[str, Self] | None:
        """Split an absolute path into the folder before its first wildcard and the pattern; None without wildcard."""
        pieces = path.split("/")
        for at, piece in enumerate(pieces):
            if re.search(r"[*?[]", piece):
                return "/".join(pieces[:at]) or "/", cls("/".join(pieces[at:]))
        return None

    def matches(self, path: str) -> bool:
        """Return whether the pattern matches the path or a folder above it."""
        return any(self._regex.fullmatch(one) for one in (path, *_folders_above(path)))

    def may_match_below(self, folder: str) -> bool:
        """Return whether something in this folder may match."""
        return self._depth is None or folder.count("/") < self._depth
