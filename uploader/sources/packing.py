"""Pack a selection: most of its files become members of archives, the others are sent beside them.

Blocking calls. Members are kept in columns, never as objects: there may be a million.
"""

from __future__ import annotations

import os
import sys
from array import array
from collections import Counter
from collections.abc import Iterator

import xxhash

from uploader.errors import Facts, FigupError, UsageError
from uploader.sources.archive.layout import Layout
from uploader.sources.archive.manifest import NAME
from uploader.sources.archive.members import Kind, Member, Members, is_utf8
from uploader.sources.archive.plan import Plan
from uploader.sources.models import Packing, Selection, Skipped, SourceFile, Sources, remote_path
from uploader.sources.names import alike, alike_warnings
from uploader.sources.select import FilesBySource, clash, collect, find, is_text
from uploader.sources.source import remote_name
from uploader.sources.walk import check_folder
from uploader.system import PATH_FAULTS, path_error
from uploader.text import printable
from uploader.units import format_count, format_exact_bytes

_ENDINGS = frozenset({".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".zst", ".7z", ".rar"})
"""Endings of names by which programs choose how to unpack a file."""
_MAX_NAME = 4095
"""Bytes of a path on Linux. A longer one, which a list of files may ask for, could not be unpacked."""
_SHARES = 16
"""Shares in which names are compared."""
_ENTRY, _LINE, _ENDING = 128, 64, 4096
"""Upper limits in bytes: of a member's entries in the directory and the list of MD5s, without its name; of the rest."""


def pack(sources: Sources, packing: Packing) -> Selection:
    """Return the selection of `sources`, packed. Problems are recorded in it, as by `collect`."""
    return _Packer(sources, packing).run()


def collect_packed(sources: Sources, packing: Packing | None) -> Selection:
    """Return the selection of the sources, packed unless `packing` is None."""
    return collect(sources) if packing is None else pack(sources, packing)


class _Packer:
    def __init__(self, sources: Sources, packing: Packing) -> None:
        self._sources = sources
        self._packing = packing
        self._selection = Selection()
        self._members = Members()
        self._expected: dict[str, str] = {}
        self._files = 0
        """How many of the members are files; the others are empty folders."""

    def run(self) -> Selection:
        selection = self._selection
        beside = FilesBySource(selection)
        for found in find(self._sources, selection, any_name=True):
            if isinstance(found, FigupError):
                selection.problems.append(found)
            elif isinstance(found, Skipped):
                self._skip(found)
            elif found.link or not self._is_packed(found):
                self._add_beside(beside, found)
            else:
                self._add(found)
        if self._files:
            self._add_archives(beside)
        else:
            selection.skipped += map(_empty_folder, self._members)
        selection.job_key.append(self._packing.key)
        return selection

    def _is_packed(self, found: SourceFile) -> bool:
        return self._packing.below is None or found.size < self._packing.below

    def _skip(self, found: Skipped) -> None:
        if found.reason == "empty-folder" and found.remote_path.strip("/"):
            self._add_folder(found)
        else:
            self._selection.skipped.append(found)

    def _add_beside(self, beside: FilesBySource, found: SourceFile) -> None:
        if not found.link:
            try:
                remote_name(found.path)
                check_folder(found.path, found.folder)
            except UsageError as problem:
                self._selection.problems.append(problem)
                return
        beside.add(found)

    def _add(self, found: SourceFile) -> None:
        name = remote_path(found.folder, found.name)
        encoded = os.fsencode(name)
        if len(encoded) > _MAX_NAME:
            self._selection.problems.append(
                UsageError(
                    f"{printable(found.path)}: its path in the archive has {len(encoded)} bytes, more than {_MAX_NAME}",
                    hint="Shorten its folder.",
                    path=found.path,
                )
            )
            return
        md5 = found.md5.lower() if found.md5 is not None else None
        if md5 is not None and self._expected.setdefault(name, md5) != md5:
            self._selection.problems.append(clash(printable(name), found, found))
        self._files += 1
        self._members.append(
            Member(
                name=encoded,
                path=found.path,
                kind=Kind.EXECUTABLE if found.executable else Kind.FILE,
                size=found.size,
                mtime_ns=found.mtime_ns,
                ctime_ns=found.ctime_ns or 0,
                inode=found.inode,
            )
        )

    def _add_folder(self, skipped: Skipped) -> None:
        path = skipped.path.rstrip("/")
        try:
            status = os.stat(path)
        except PATH_FAULTS as error:
            self._selection.problems.append(path_error(error, path))
            return
        self._members.append(
            Member(
                name=os.fsencode(skipped.remote_path.strip("/")),
                path=path,
                kind=Kind.FOLDER,
                size=0,
                mtime_ns=status.st_mtime_ns,
                ctime_ns=status.st_ctime_ns,
                inode=status.st_ino,
            )
        )

    def _add_archives(self, beside: FilesBySource) -> None:
        self._members = self._without_duplicates(self._members.sorted())
        path = _folder_of(self._members)
        while not is_text(path):  # the journal cannot store it; a folder that was named is text
            path = os.path.dirname(path)
        self._selection.warnings += _alike_members(self._members)
        if self._packing.format == "zip":
            self._selection.warnings += _other_encodings(self._members)
        try:
            name = self._archive_name()
            for number, members in enumerate(self._divided(), start=1):
                self._add_archive(beside, path, _numbered(name, number) if self._packing.limit else name, members)
        except UsageError as problem:
            self._selection.problems.append(problem)

    def _add_archive(self, beside: FilesBySource, path: str, name: str, members: Members) -> None:
        plan = Plan.of(self._packing.format, members, manifest=self._packing.manifest, expected=self._expected)
        if self._packing.manifest and plan.has_manifest_name:
            raise UsageError(
                f"the archive would have two members {NAME.decode()}: one of the sources, and its list of MD5s",
                hint="Rename the source, or leave the list out.",
                facts=Facts("two-manifests"),
            )
        now = plan.stamp
        beside.add(
            SourceFile(
                source=path,
                folder="",
                name=name,
                size=now.size,
                mtime_ns=now.mtime_ns,
                inode=now.inode,
                ctime_ns=now.ctime_ns,
                archive=plan,
            )
        )

    def _without_duplicates(self, members: Members) -> Members:
        """Leave out sources that were named twice; two sources with one name are a problem."""
        twice = [index for index in range(1, len(members)) if members.name(index) == members.name(index - 1)]
        for index in twice:
            one, other = members.get(index - 1), members.get(index)
            if one.path != other.path:
                named = (SourceFile(source=member.path, folder="", name="") for member in (one, other))
                self._selection.problems.append(clash(printable(os.fsdecode(one.name)), *named))
        self._refuse_folders_of_files(members)
        left_out = frozenset(twice)
        return members.chosen(n for n in range(len(members)) if n not in left_out) if left_out else members

    def _refuse_folders_of_files(self, members: Members) -> None:
        """Record a problem for each file that has the name of a folder of others: it could not be unpacked beside them.

        The members of a folder come right behind a file of its name.
        """
        for index in range(1, len(members)):
            if members.kinds[index - 1] == Kind.FOLDER:
                continue
            if members.name(index).startswith(members.name(index - 1) + b"/"):
                one, other = members.get(index - 1), members.get(index)
                self._selection.problems.append(
                    UsageError(
                        f"the archive would have a file and a folder {printable(os.fsdecode(one.name))}: "
                        f"{printable(one.path)} and that of {printable(other.path)}",
                        hint="Rename one.",
                        path=one.path,
                    )
                )

    def _archive_name(self) -> str:
        """Return the name of the archive. Raises UsageError if there is none, or it is not one."""
        name = self._packing.name
        if name is None:
            title = (self._selection.title or "").strip("/").replace("/", "_")
            if not title:
                raise UsageError("the sources suggest no name for the archive", facts=Facts("no-pack-name"))
            name = f"{title}.{self._packing.format}"
        if not name.strip() or "/" in name or "\0" in name or name in (".", ".."):
            raise UsageError(f"invalid name of an archive: {printable(name)!r}")
        ending, form = os.path.splitext(name)[1].lower(), self._packing.format
        if ending in _ENDINGS and ending != f".{form}":
            self._selection.warnings.append(f"the archive {printable(name)} is a {form} file that is not compressed")
        return name

    def _divided(self) -> Iterator[Members]:
        """Yield the members of each archive. Raises UsageError if one member is too large for the limit."""
        limit, members = self._packing.limit, self._members
        if limit is None:
            yield members
            return
        layout = Plan(self._packing.format, members).layout
        first, size = 0, _ENDING
        for index in range(len(members)):
            needed = _counted(layout, members, index)
            if needed + _ENDING > limit:
                path = members.path(index)
                raise UsageError(
                    f"{printable(path)}: has {format_exact_bytes(members.sizes[index])}, too large for an archive of "
                    f"at most {format_exact_bytes(limit)}",
                    hint="Pack only smaller files.",
                    path=path,
                    facts=Facts("pack-limit"),
                )
            if size + needed > limit:
                yield members.chosen(range(first, index))
                first, size = index, _ENDING
            size += needed
        yield members.chosen(range(first, len(members)))


def _empty_folder(member: Member) -> Skipped:
    there = f"{os.fsdecode(member.name)}/"
    return Skipped(path=f"{member.path}/", reason="empty-folder", remote_path=there)


def _counted(layout: Layout, members: Members, index: int) -> int:
    """Return the bytes that a member counts for a limit: at least as many as it needs."""
    # A name is escaped in the list of MD5s: each character may become two.
    return layout.start_of(index + 1) - layout.start_of(index) + _ENTRY + _LINE + 3 * members.name_length(index)


def counted_size(plan: Plan) -> int:
    """Return the bytes that an archive counts for a limit: at least as many as it has."""
    return _ENDING + sum(_counted(plan.layout, plan.members, index) for index in range(plan.sources))


def _numbered(name: str, number: int) -> str:
    """Return "survey-001.zip" for "survey.zip"."""
    stem, ending = os.path.splitext(name)
    return f"{stem}-{number:03}{ending}"


def _folder_of(members: Members) -> str:
    """Return the folder that has all sources: it stands for them where a path is shown."""
    first, last = (os.path.dirname(members.path(index)) for index in (0, len(members) - 1))
    if len(members.roots) == 1:
        # They are sorted, so that what the first and the last have in common, all have.
        return os.path.commonpath((first, last))
    return os.path.commonpath(members.source_folders())


def _other_encodings(members: Members) -> list[str]:
    """Return a warning about names that are not UTF-8: Java's streaming reader refuses a zip file that has one."""
    count = sum(not is_utf8(members.name(index)) for index in range(len(members)))
    if not count:
        return []
    verb = "is" if count == 1 else "are"
    text = f"{format_count(count, 'name')} in the archive {verb} not UTF-8, and programs in Java refuse all of it; "
    return [f"{text}rename what has such a name (convmv can do it), or send a tar file"]


def _alike_members(members: Members) -> list[str]:
    """Return warnings about names that macOS and Windows take for one: all but one of them would be lost there."""
    keys = array("Q", (_alike_key(members.name(index)) for index in range(len(members))))
    twice: set[int] = set()
    for share in range(_SHARES):  # one after the other, so that few of them are objects at a time
        counts = Counter(key for key in keys if key % _SHARES == share)
        twice.update(key for key, count in counts.items() if count > 1)
    doubtful = (index for index, key in enumerate(keys) if key in twice) if twice else ()
    return alike_warnings(os.fsdecode(members.name(index)) for index in doubtful)


def _alike_key(name: bytes) -> int:
    text = os.fsdecode(name)
    return xxhash.xxh3_64_intdigest(alike(text).encode(sys.getfilesystemencoding(), "surrogateescape"))
