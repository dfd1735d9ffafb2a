"""Select files: from the given sources to selected files, skipped paths and problems.

Blocking calls; callers run them in a thread.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Container, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import msgspec

from uploader.errors import Facts, FigupError, SourceNotFound, SourcesUnusable, StorageUnavailable, UsageError
from uploader.sources.filters import Filters, Glob
from uploader.sources.lists import may_be_path, parse_list, remote_location
from uploader.sources.models import STDIN, Reason, Selection, Skipped, SourceFile, Sources, remote_path
from uploader.sources.names import alike, alike_warnings, is_one_file
from uploader.sources.walk import Found, Rules, chosen_file, identity_of, outputs_of, walk
from uploader.system import PATH_FAULTS, absolute, path_error
from uploader.text import printable

if TYPE_CHECKING:
    from uploader.sources.checksums import ChecksumEntry
    from uploader.sources.manifests import Row

_SKIP_TEXTS: dict[Reason, str] = {
    "link": "a symbolic link",
    "link-loop": "a link to a folder that contains it",
    "excluded": "excluded by a pattern",
    "not-included": "not matched by an include pattern",
    "empty-folder": "an empty folder",
    "folder": "a folder in a list",
    "own-output": "written by this process",
}


_SCHEMES = ("http", "https", "ftp")


def select(sources: Sources, purpose: str = "send") -> Selection:
    """Return the files selected by `sources`. Raises as `raise_problems` does, and UsageError for invalid rules."""
    selection = collect(sources)
    raise_problems(selection, purpose=purpose)
    return selection


def raise_problems(selection: Selection, begun: Container[str] = (), purpose: str = "send") -> None:
    """Raise the only problem of a selection, or one error with all; UsageError if nothing is selected for the
    `purpose`.

    Missing sources that were `begun` (paths) are ignored here; the job reports them.
    """
    missing = [
        p for p in selection.problems if isinstance(p, SourceNotFound) and p.path is not None and p.path in begun
    ]
    problems = [problem for problem in selection.problems if problem not in missing]
    if len(problems) == 1:
        raise problems[0]
    if problems:
        raise _several(problems)
    if not selection.files and not missing:
        raise _nothing_selected(selection, purpose)


def _several(problems: list[FigupError]) -> FigupError:
    """Return one error for many: a usage error, or unavailable storage if all are such."""
    if all(isinstance(problem, UsageError) for problem in problems):
        return UsageError(f"{len(problems)} errors in the given sources; nothing was sent", causes=problems)
    if all(isinstance(problem, StorageUnavailable) for problem in problems):
        return StorageUnavailable(
            f"{len(problems)} of the sources are on storage that does not answer", causes=problems
        )
    return SourcesUnusable(f"{len(problems)} of the sources cannot be sent", causes=problems)


def _nothing_selected(selection: Selection, purpose: str) -> UsageError:
    reasons = list(dict.fromkeys(skip.reason for skip in selection.skipped))
    if not reasons:
        return UsageError(f"nothing to {purpose}: the given paths contain no file")
    kinds = ", ".join(printable(skip.path) for skip in selection.skipped[:3])
    why = ", or ".join(_SKIP_TEXTS.get(reason, reason) for reason in reasons)
    more = ", ..." if len(selection.skipped) > 3 else ""
    return UsageError(
        f"nothing to {purpose}: everything found is skipped ({kinds}{more}: {why})",
        facts=Facts("all-skipped", reasons=tuple(reasons)),
    )


def collect(sources: Sources) -> Selection:
    """Like `select`, but only record `problems`."""
    selection = Selection()
    files = FilesBySource(selection)
    for found in find(sources, selection):
        if isinstance(found, Skipped):
            selection.skipped.append(found)
        elif isinstance(found, FigupError):
            selection.problems.append(found)
        else:
            files.add(found)
    selection.warnings += alike_warnings(
        remote_path(chosen.folder, chosen.name) for chosen in selection.files if not chosen.link
    )
    return selection


def find(sources: Sources, selection: Selection, *, any_name: bool = False) -> Iterator[Found]:
    """Yield what the sources have, one by one; record everything else in the selection. `any_name`: see `Rules`."""
    return _Collector(sources, selection, any_name=any_name).all()


class FilesBySource:
    """Adds files to a selection: each of them once, and no two with one remote path."""

    def __init__(self, selection: Selection) -> None:
        self._selection = selection
        self._taken: dict[int, tuple[SourceFile, ...]] = {}
        """By the hash of a key that similar names share, which takes less memory than the text."""

    def add(self, found: SourceFile) -> None:
        """Add a file, or record the problem that another one has its remote path."""
        there = _there(found)
        key = hash(alike(there))
        others = self._taken.get(key, ())
        other = next((file for file in others if _there(file) == there), None)
        if other is not None:
            if (other.path, other.md5) != (found.path, found.md5):
                self._selection.problems.append(clash(there, other, found))
        elif not any(is_one_file(found.path, file.path) for file in others):
            self._taken[key] = (*others, found)
            self._selection.files.append(found)


def _there(file: SourceFile) -> str:
    """Return the place of a file in the item, or the address of a link."""
    return file.path if file.link else remote_path(file.folder, file.name)


def read_checksums(file: str, sources: Sources) -> list[ChecksumEntry]:
    """Return the files of a checksum list; "-" means `stdin`. Raises SourceNotFound, SourceUnreadable, UsageError."""
    from uploader.sources.checksums import parse_checksums

    data, origin = (sources.stdin, "stdin") if file == STDIN else (_content(file), printable(file))
    base = sources.base or ""
    return parse_checksums(data, absolute(base or "."), origin, given_base=base)  # as listed


def clash(remote_path: str, one: SourceFile, other: SourceFile) -> UsageError:
    """Return the problem of two sources with one remote path, or of one source with two MD5s."""
    names = [printable(file.path) + (f" ({file.where})" if file.where else "") for file in (one, other)]
    if one.path == other.path:
        hint = "Give one MD5."
        return UsageError(f"one source has two MD5s: {' and '.join(names)}", hint=hint, path=other.path)
    return UsageError(
        f"two sources have the same name on Figshare, {printable(remote_path)}: {' and '.join(names)}",
        hint="Rename one, or name the folder that holds both: files keep their folders below it.",
        path=other.path,
    )


class _Collector:
    """Collects files, and what identifies the job and its item, into a selection."""

    def __init__(self, sources: Sources, selection: Selection, *, any_name: bool) -> None:
        self._sources = sources
        self._selection = selection
        filters = Filters(sources.include, sources.exclude)
        self._rules = Rules(
            filters=filters,
            hidden=sources.hidden,
            follow_symlinks=sources.follow_symlinks,
            any_name=any_name,
            outputs=outputs_of(sources.outputs),
            on_malformed=self._warn_of_pattern,
        )
        for pattern in filters.malformed:
            self._warn_of_pattern(pattern)

    @functools.cached_property
    def _base(self) -> str:
        """The folder that listed paths are relative to; lexical: the folders as written."""
        return absolute(self._sources.base or ".")

    def _warn_of_pattern(self, pattern: str, file: str | None = None) -> None:
        where = f"{printable(file)}: " if file is not None else ""
        self._selection.warnings.append(f"{where}the pattern {pattern!r} is malformed and ignored, as by git")

    def all(self) -> Iterator[Found]:
        for path in self._sources.paths:
            yield from self._path(path)
        if self._sources.from_file is not None:
            yield from self._list(self._sources.from_file)
        if self._sources.manifest is not None:
            yield from self._manifest(self._sources.manifest)
        for link in self._sources.links:
            yield self._link(link)

    def _add_key(self, identity: str, title: str) -> None:
        self._selection.job_key.append(identity)
        if self._selection.title is None:
            self._selection.title = title

    def _path(self, path: str) -> Iterator[Found]:
        if not path:
            # Not the current folder: probably an unset variable in a script.
            yield UsageError("a path is empty")
            return
        if problem := _encodable(path):
            yield from problem
            return
        last = path.rstrip("/").rpartition("/")[2]
        if last in ("", ".", ".."):
            absolute(path)  # raises if there is no current folder
            whole = os.path.realpath(path)
            self._add_key(whole.rstrip("/") + "/", os.path.basename(whole) or whole)
            self._selection.roots.append("")
            yield from _encodable(whole) or walk(whole, "", self._rules)
            return
        whole = _absolute(path.rstrip("/") if os.path.isdir(path) else path)
        if not os.path.lexists(whole) and (parts := Glob.split(absolute(path))) is not None:
            top, glob = os.path.realpath(parts[0]), parts[1]
            self._add_key(f"glob {top}/{glob.pattern}", os.path.basename(top) or top)
            yield from _encodable(top) or self._glob(path, top, glob)
            return
        self._add_key(whole, os.path.basename(whole))
        yield from self._entry(whole, "")

    def _glob(self, path: str, top: str, glob: Glob) -> Iterator[Found]:
        matched = False
        for found in walk(top, "", msgspec.structs.replace(self._rules, glob=glob)):
            matched = True
            yield found
        if not matched:
            yield SourceNotFound(f"{printable(path)}: no such file, and no file matches it as a pattern", path=path)

    def _entry(self, path: str, folder: str) -> Iterator[Found]:
        """Add an explicitly named file or folder, by its absolute path: it may be hidden or a link."""
        name = os.path.basename(path)
        if problem := _encodable(path):
            yield from problem
        elif identity_of(path) in self._rules.outputs:
            end = "/" if os.path.isdir(path) else ""
            yield Skipped(path=path + end, reason="own-output", remote_path=remote_path(folder, name) + end)
        elif os.path.isdir(path):
            self._selection.roots.append(remote_path(folder, name))
            yield from walk(path, remote_path(folder, name), self._rules)
        else:
            there = remote_path(folder, name)
            reason = self._rules.filters.reason_alone(there)
            yield (
                Skipped(path=path, reason=reason, remote_path=there) if reason is not None else _chosen(path, folder)
            )

    def _list(self, file: str) -> Iterator[Found]:
        data = self._sources.stdin if file == STDIN else _content(file)
        origin = "stdin" if file == STDIN else printable(file)
        paths = parse_list(
            data, origin, nul=self._sources.nul, is_file=lambda line, path: self._is_listed_file(origin, line, path)
        )
        if file == STDIN:
            self._selection.job_key += [f"listed {_absolute(os.path.join(self._base, path))}" for _, path in paths]
        else:
            self._add_key(f"list {self._base} {_absolute(file)}", Path(file).stem)
        unit = "entry" if self._sources.nul else "line"
        for number, path in paths:
            if not is_text(path) and not os.path.lexists(os.path.join(self._base, path)):
                yield UsageError(
                    f"{origin}: {unit} {number}: is not UTF-8; perhaps ANSI (Windows-1252): {printable(path)}",
                    hint="Save the list as UTF-8.",
                )
                continue
            path = _as_it_exists(self._base, path)
            whole = _absolute(os.path.join(self._base, path))
            if os.path.isdir(whole):
                # The output of `find` includes folders; their contents are not implied.
                yield Skipped(path=f"{whole}/", reason="folder")
            else:
                for found in self._entry(whole, remote_location(path, self._base)[0]):
                    yield _located(found, f"{origin}: {unit} {number}")

    def _is_listed_file(self, origin: str, line: int, path: str) -> bool:
        """Return whether a line that looks like a comment is a file; warn if it is not but looks like a path."""
        if os.path.lexists(os.path.join(self._base, path)):
            return True
        if may_be_path(path):
            self._selection.warnings.append(
                f"{origin}: line {line}: treated as a comment; no such file: {printable(path)}"
            )
        return False

    def _manifest(self, file: str) -> Iterator[Found]:
        from uploader.sources.manifests import kind_of, parse_manifest

        rows = parse_manifest(_content(file), kind_of(printable(file)), printable(file))
        self._add_key(f"manifest {self._sources.base or ''} {_absolute(file)}", Path(file).stem)
        base = self._base if self._sources.base is not None else os.path.dirname(_absolute(file))
        for where, row in rows:
            yield row if isinstance(row, UsageError) else _located(self._row(row, base), where)

    def _row(self, row: Row, base: str) -> Found:
        path = _absolute(os.path.join(base, _as_it_exists(base, row.path)))
        if problem := _encodable(path):
            return problem[0]
        found = _chosen(path, row.folder, row.name, row.md5)
        inner = remote_path(found.folder, found.name) if isinstance(found, SourceFile) else ""
        reason = self._rules.filters.reason_alone(inner) if inner else None
        return found if reason is None else Skipped(path=path, reason=reason, remote_path=inner)

    def _link(self, link: str) -> Found:
        try:
            name = checked_link(link)
        except UsageError as problem:
            return problem
        self._add_key(f"link {link}", name)
        return SourceFile(source=link, folder="", name=name, link=True)


def _chosen(path: str, folder: str, name: str | None = None, md5: str | None = None) -> Found:
    try:
        return replace(chosen_file(path, folder, name=name, md5=md5), named=True)
    except FigupError as problem:
        return problem


def _located(found: Found, where: str) -> Found:
    """Return the file; problems state where the path was given."""
    if isinstance(found, FigupError):
        return found.with_context(prefix=where)
    return replace(found, where=where) if isinstance(found, SourceFile) else found


def _as_it_exists(base: str, path: str) -> str:
    r"""Return a listed path as it is or, if it does not exist, as Windows and spreadsheets mean it: a\b, " a"."""
    meant = path.strip().replace("\\", "/")
    if meant == path or os.path.lexists(os.path.join(base, path)) or not os.path.lexists(os.path.join(base, meant)):
        return path
    return meant


def is_text(path: str) -> bool:
    """Return False for a path that is not valid UTF-8."""
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _encodable(path: str) -> list[Found]:
    """Return the problem of a path that is not UTF-8, which the journal cannot store, or otherwise invalid."""
    if "\0" in path:
        return [UsageError(f"{printable(path)}: a path cannot contain NUL", path=path)]
    if not is_text(path):
        return [UsageError(f"{printable(path)}: is not valid UTF-8", hint="Rename it (convmv can do it).", path=path)]
    return []


def _content(file: str) -> bytes:
    """Read a list or a manifest. Raises what `path_error` returns."""
    try:
        return Path(file).read_bytes()
    except PATH_FAULTS as error:
        raise path_error(error, file) from error


@functools.lru_cache(maxsize=4096)
def _real_folder(folder: str) -> str:
    try:
        return os.path.realpath(folder)
    except ValueError:
        return folder  # an invalid path, which is reported when it is used


def _absolute(path: str) -> str:
    """Resolve links in the folders of a path; a link that is named itself keeps its name."""
    folder, name = os.path.split(absolute(path))  # cached: there may be a hundred thousand
    return os.path.join(_real_folder(folder), name)


def checked_link(link: str) -> str:
    """Return the name for a linked address. Raises UsageError if it is invalid or contains a password."""
    try:
        parts = urlsplit(link)
        host, secret = parts.hostname, parts.password
    except ValueError:
        host = secret = None
    if not host or parts.scheme not in _SCHEMES or not link.isprintable() or " " in link:
        raise UsageError(f"{ascii(link)[1:-1]}: not a valid web address", hint="Write https://host/path.")
    if secret is not None:
        raise UsageError("the address of a linked file contains a password, which would be public on Figshare")
    return unquote(parts.path.rstrip("/").rpartition("/")[2]) or host
