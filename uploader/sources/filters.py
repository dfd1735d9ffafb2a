"""Filters: patterns in gitignore's syntax, from the command line and from `.figupignore` files. Pure.

A path is relative to what the patterns belong to, with slashes; that of a folder is told by `folder`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Self

from uploader.errors import UsageError
from uploader.sources.models import Reason

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

IGNORE_FILE = ".figupignore"


def compile_patterns(lines: Iterable[str], origin: str) -> GitIgnoreSpec | None:
    """Patterns ready to be asked; None when there are none. Raises UsageError naming `origin` for a malformed one."""
    patterns = [line for line in lines if line.strip() and not line.startswith("#")]
    if not patterns:
        return None
    # Only here: most commands have no patterns, and start sooner without it.
    from pathspec import GitIgnoreSpec

    try:
        return GitIgnoreSpec.from_lines(patterns)
    except ValueError as error:
        raise UsageError(f"{origin}: {error}", hint="Patterns are written as in a .gitignore file.") from None


class Ignores:
    """The ignore files on the way to a folder, the nearest first: the first one that says something decides."""

    def __init__(self) -> None:
        self._specs: tuple[tuple[str, GitIgnoreSpec], ...] = ()

    def with_file(self, folder: str, spec: GitIgnoreSpec | None) -> Self:
        """Return these rules and the ignore file of `folder` ("" or "a/b")."""
        if spec is None:
            return self
        inner = type(self)()
        inner._specs = ((f"{folder}/" if folder else "", spec), *self._specs)
        return inner

    def decision(self, path: str) -> bool | None:
        """Return whether the path (of a folder: with a trailing slash) is ignored; None if no rule matches."""
        for prefix, spec in self._specs:
            said = spec.check_file(path[len(prefix) :]).include
            if said is not None:
                return said
        return None


class Filters:
    """What the command line includes and excludes; that comes before what ignore files say."""

    def __init__(self, include: Iterable[str], exclude: Iterable[str]) -> None:
        """Compile patterns. Raises UsageError for a malformed one."""
        self._include = compile_patterns(include, "include pattern")
        self._exclude = compile_patterns(exclude, "exclude pattern")

    def reason(self, path: str, ignores: Ignores, *, folder: bool = False) -> Reason | None:
        """Why a path is left out; None when it is not. A folder that is left out is so with all that is in it."""
        asked = f"{path}/" if folder else path
        decision = self._exclude.check_file(asked).include if self._exclude is not None else None
        if decision is None:
            decision = ignores.decision(asked)
        if decision:
            return "excluded"
        if self._include is not None and not folder and not self._include.check_file(asked).include:
            return "not-included"
        return None


class Glob:
    """A pattern such as `*.csv` or `**/run?`: what it matches below the folder that stands before its wildcards."""

    def __init__(self, pattern: str) -> None:
        """`pattern` is relative. Raises UsageError for a malformed one."""
        self.pattern = pattern
        # Anchored, and with the blanks at its end kept: gitignore would drop them.
        self._spec = compile_patterns(["/" + re.sub(r" (?= *$)", r"\\ ", pattern)], pattern)
        self._depth = None if "**" in pattern else pattern.count("/")

    @classmethod
    def split(cls, path: str) -> tuple[str, Self] | None:
        """Split an absolute path into the folder before its first wildcard and the pattern; None without wildcard."""
        pieces = path.split("/")
        for at, piece in enumerate(pieces):
            if re.search(r"[*?[]", piece):
                return "/".join(pieces[:at]) or "/", cls("/".join(pieces[at:]))
        return None

    def matches(self, path: str, *, folder: bool) -> bool:
        """Return whether the pattern matches the path or a folder above it."""
        return self._spec is not None and bool(self._spec.check_file(f"{path}/" if folder else path).include)

    def may_match_below(self, folder: str) -> bool:
        """Return whether something in this folder may match."""
        return self._depth is None or folder.count("/") < self._depth
