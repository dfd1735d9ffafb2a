"""Walk a folder in a fixed order; yield files and skipped paths. Blocking calls.

Memory is proportional to the current path, not to the number of files.
"""

from __future__ import annotations

import functools
import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeAlias

import msgspec

from uploader.errors import FigupError, SourceNotFound, UsageError
from uploader.sources.filters import IGNORE_FILE, Filters, Glob, Ignores
from uploader.sources.gitignore import Patterns, pattern_lines
from uploader.sources.models import Reason, Skipped, SourceFile, remote_path
from uploader.sources.source import refuse_special, remote_name, stat_source
from uploader.system import PATH_FAULTS, path_error, transient_error
from uploader.text import printable

Found: TypeAlias = SourceFile | Skipped | FigupError
"""A selected file, a skipped path, or an error."""


_STANDARD_STREAMS = (1, 2)
"""Descriptors of stdout and stderr."""


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """How folders are walked. With a `glob`, paths that do not match are ignored silently.

    `any_name`: names need not be UTF-8, which Figshare requires of files but not of members of archives. `outputs` are
    files and folders to skip, by device and inode.
    `on_malformed` is called with a pattern that never matches, and the ignore file that has it.
    """

    filters: Filters
    hidden: bool = False
    follow_symlinks: bool = False
    glob: Glob | None = None
    any_name: bool = False
    outputs: frozenset[tuple[int, int]] = frozenset()
    on_malformed: Callable[[str, str], object] = lambda _pattern, _file: None


class _Folder(msgspec.Struct, frozen=True, kw_only=True):
    """A folder of the walk: `inner` is its path below the root, "" for the root itself."""

    inner: str
    ignores: Ignores
    above: frozenset[tuple[int, int]]
    """Device and inode of this folder and of those above it."""
    entries: Iterator[os.DirEntry[str]]
    """Entries not visited yet."""


def chosen_file(
    path: str, folder: str, *, name: str | None = None, md5: str | None = None, any_name: bool = False
) -> SourceFile:
    """Return a file's current state. Raises SourceNotFound, SourceUnreadable, and UsageError if it cannot be sent."""
    own = os.path.basename(path) if any_name else remote_name(path)
    if not any_name:
        check_folder(path, folder)
    now, end = stat_source(path), f"/{remote_path(folder, name or own)}"
    below = path.endswith(end)  # as a rule: then a hundred thousand files do not need their paths
    return SourceFile(
        source=None if below else path,
        root=sys.intern(path.removesuffix(end)) if below else "",
        folder=sys.intern(folder),
        name=name or own,
        size=now.size,
        mtime_ns=now.mtime_ns,
        inode=now.inode,
        ctime_ns=now.ctime_ns,
        executable=now.executable,
        md5=md5,
    )


def check_folder(path: str, folder: str) -> None:
    """Raise UsageError if the name of a remote folder is not UTF-8; `path` is a file in it."""
    try:
        folder.encode("utf-8")
    except UnicodeEncodeError:
        raise UsageError(
            f"{printable(path)}: is in a folder whose name is not valid UTF-8, which Figshare requires",
            hint="Rename the folder (convmv can do it).",
            path=path,
        ) from None


def outputs_of(paths: Iterable[str]) -> frozenset[tuple[int, int]]:
    """Return device and inode of what this process writes: these paths as far as they exist, stdout and stderr."""
    found = {*map(identity_of, paths), *map(identity_of, _STANDARD_STREAMS)}
    return frozenset(filter(None, found))


def identity_of(path: str | int) -> tuple[int, int] | None:
    """Return device and inode of a file, folder or descriptor; None if it cannot be examined, or is a device."""
    try:
        status = os.stat(path)
    except PATH_FAULTS:
        return None
    return (status.st_dev, status.st_ino) if stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode) else None


def walk(top: str, prefix: str, rules: Rules) -> Iterator[Found]:
    """Yield everything in the folder `root`; files are placed below `prefix`. Names are sorted within a folder."""
    try:
        root = [_enter(top, "", Ignores(), frozenset(), os.stat(top), rules)]
    except PATH_FAULTS as error:
        yield path_error(error, top)
        return
    except _Empty:
        yield Skipped(path=f"{top.rstrip('/')}/", reason="empty-folder", remote_path=f"{prefix}/")
        return
    except FigupError as error:
        yield error
        return
    yield from _walk(root, prefix, rules)


def _walk(folders: list[_Folder], prefix: str, rules: Rules) -> Iterator[Found]:
    """Visit all entries, the last folder's first; folders that are entered are added."""
    while folders:
        entry = next(folders[-1].entries, None)
        if entry is None:
            folders.pop()
            continue
        found = _visit(entry, folders[-1], prefix, rules)
        if isinstance(found, _Folder):
            folders.append(found)
        elif found is not None:
            yield found


def _follow(link: os.DirEntry[str], inner: str, ignores: Ignores, prefix: str, rules: Rules) -> Iterator[Found]:
    """Walk what a skipped link leads to; `inner` and `ignores` are those of the folder that has it."""
    folder = _Folder(inner=inner, ignores=ignores, above=frozenset(), entries=iter((link,)))
    return _walk([folder], prefix, msgspec.structs.replace(rules, follow_symlinks=True))


class _Empty(Exception):
    """An empty folder."""


def _visit(entry: os.DirEntry[str], folder: _Folder, prefix: str, rules: Rules) -> Found | _Folder | None:
    """Classify a directory entry: return a folder to enter; None: ignore it silently."""
    inner = remote_path(folder.inner, entry.name)
    asked_for = rules.glob is None or rules.glob.matches(inner)
    if not asked_for and not _may_contain_matches(entry, inner, rules):
        return None
    skip: Reason | None = None
    try:
        found = _classify(entry, inner, folder, rules)
        if found is None:
            remote_folder = remote_path(prefix, folder.inner) if folder.inner else prefix
            return chosen_file(entry.path, remote_folder, any_name=rules.any_name)
        if isinstance(found, _Folder):
            return found
        skip = found
    except _Empty:
        skip = "empty-folder"
    except FigupError as error:
        return error
    except PATH_FAULTS as error:
        return path_error(error, entry.path)
    if not asked_for:
        return None
    end = "/" if _is_folder(entry) else ""
    follow = functools.partial(_follow, entry, folder.inner, folder.ignores, prefix, rules)
    return Skipped(
        path=entry.path + end,
        reason=skip,
        remote_path=remote_path(prefix, inner) + end,
        follow=follow if skip in ("link", "link-loop") else None,
    )


def _classify(entry: os.DirEntry[str], inner: str, folder: _Folder, rules: Rules) -> _Folder | Reason | None:
    """Return the folder to enter, the reason to skip the entry, or None for a file to send.

    Raises the error that prevents sending it, or OSError if it cannot be examined.
    """
    if entry.name.startswith(".") and not rules.hidden:
        return "hidden"
    left_out = rules.filters.reason(inner, folder.ignores, folder=_is_folder(entry))
    if left_out is not None:
        return left_out
    if entry.is_symlink() and not rules.follow_symlinks:
        return "link"
    try:
        status = entry.stat()
    except FileNotFoundError:
        raise SourceNotFound(f"{printable(entry.path)}: is a broken link", path=entry.path) from None
    if (status.st_dev, status.st_ino) in rules.outputs:
        return "own-output"
    if not stat.S_ISDIR(status.st_mode):
        refuse_special(status, entry.path)
        return None
    if (status.st_dev, status.st_ino) in folder.above:
        return "link-loop"
    return _enter(entry.path, inner, folder.ignores, folder.above, status, rules)


def _enter(
    path: str, inner: str, ignores: Ignores, above: frozenset[tuple[int, int]], status: os.stat_result, rules: Rules
) -> _Folder:
    """List a folder and read its ignore file. Raises OSError, UsageError, _Empty."""
    with os.scandir(path) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    if not found:
        raise _Empty
    if any(entry.name == IGNORE_FILE for entry in found):
        ignores = ignores.with_file(inner, _ignore_file(os.path.join(path, IGNORE_FILE), rules))
    return _Folder(inner=inner, ignores=ignores, above=above | {(status.st_dev, status.st_ino)}, entries=iter(found))


def _ignore_file(path: str, rules: Rules) -> Patterns:
    """Read an ignore file. Raises UsageError, since without it files could be sent that must not be."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # a pipe would block
            raise UsageError(f"{printable(path)}: is not a file", path=path)
        data = Path(path).read_bytes()
    except FileNotFoundError:
        raise UsageError(f"{printable(path)}: is a broken link", path=path) from None
    except OSError as error:
        text = f"{printable(path)}: cannot be read: {error.strerror or error}"
        raise transient_error(error, path) or UsageError(text, path=path) from error
    patterns = Patterns(pattern_lines(data, printable(path)))
    for pattern in patterns.malformed:
        rules.on_malformed(pattern, path)
    return patterns


def _may_contain_matches(entry: os.DirEntry[str], inner: str, rules: Rules) -> bool:
    """Return whether the glob, which does not match this path, may match its contents."""
    return rules.glob is not None and _is_folder(entry) and rules.glob.may_match_below(inner)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Return whether it is a folder or a link to one; False if it cannot be examined."""
    try:
        return entry.is_dir()
    except OSError:
        return False
