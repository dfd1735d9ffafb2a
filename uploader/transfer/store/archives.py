"""The archives that a job sends: the plan of each is a file in the job's folder, named by its id in the journal.

A run reads the plan there, so that what it continues is the archive that was begun. The CRCs and MD5s of the members
are kept beside it as they become known, for runs that continue and for the job's lists of MD5s.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType

from uploader.disk import Disk
from uploader.errors import Facts, JournalDamaged, SourceChanged, SourceNotFound
from uploader.sources.archive.members import Kind, Member, Members, column_time, is_executable
from uploader.sources.archive.plan import MEMBER_GONE, Plan, difference
from uploader.sources.archive.reader import ArchiveSource, open_source, wrong_md5
from uploader.sources.archive.sums import SumsFile
from uploader.sources.models import Packing, Selection
from uploader.sources.packing import counted_size
from uploader.sources.source import FileStamp, Readable, stat_source
from uploader.text import printable
from uploader.transfer.journal import events as ev
from uploader.transfer.journal.lifecycle import State, Transfer
from uploader.transfer.journal.plan import archive_of, key_of
from uploader.transfer.journal.state import JobState

SEND_NEW_VERSION = "Send the new version in its place, or to another item to keep both."
"""Hint for a source that changed since it was sent and verified."""


def since_verified(error: SourceChanged) -> SourceChanged:
    """Return the error of a member of a verified archive: unless it is gone, its new version may be sent."""
    if error.facts.situation == "member-gone":
        return error
    return error.with_context(hint=SEND_NEW_VERSION, situation="changed-since-verified")


def source_replaced(transfer: Transfer, stamp: FileStamp, archive: ev.Archive | None = None) -> ev.SourceReplaced:
    """Make the event that restarts a transfer with this version of its source."""
    many_hosts = transfer.inode == 0
    return ev.SourceReplaced(
        transfer.index,
        size=stamp.size,
        mtime_ns=stamp.mtime_ns,
        inode=0 if many_hosts else stamp.inode,
        ctime_ns=None if many_hosts else stamp.ctime_ns,
        archive=archive,
    )


def _member_gone(path: str, transfer: Transfer) -> SourceNotFound:
    text = f"{printable(path)}: no longer exists, but is a member of the archive {printable(transfer.name)}"
    return SourceNotFound(text, hint=MEMBER_GONE, facts=Facts("member-gone"), path=path)


def _member_moved(path: str, transfer: Transfer) -> SourceNotFound:
    name = printable(transfer.name)
    text = f"{printable(path)}: was moved, with a link in its place, but is a member of the archive {name}"
    hint = "Move it back, follow links, or make the archive without it."
    return SourceNotFound(text, hint=hint, facts=Facts("member-moved"), path=path)


class _MovedMembers:
    """Tells which paths a selection does not have because a link is in their place, or in that of a folder above."""

    def __init__(self, selection: Selection) -> None:
        self._selection = selection
        self._links = {skip.path for skip in selection.skipped if skip.reason in ("link", "link-loop")}
        self._folders = tuple(path for path in self._links if path.endswith("/"))

    def __contains__(self, path: str) -> bool:
        return self._is_linked(path) and path not in self._selected

    def _is_linked(self, path: str) -> bool:
        return path in self._links or f"{path}/".startswith(self._folders)

    @functools.cached_property
    def _selected(self) -> set[str]:
        """Those that are selected by another of the given sources."""
        paths: set[str] = set()
        for chosen in self._selection.files:
            found = chosen.archive.source_paths() if chosen.archive is not None else [chosen.path]
            paths.update(filter(self._is_linked, found))
        return paths


def _lost_member(transfer: Transfer, paths: Iterable[str], moved: _MovedMembers) -> SourceNotFound | None:
    for path in paths:
        if not os.path.lexists(path):
            return _member_gone(path, transfer)
        if path in moved:
            return _member_moved(path, transfer)
    return None


def _divided_anew(path: str, text: str) -> SourceChanged:
    return SourceChanged(
        f"{printable(path)}: {text}", hint="Select the sources again.", facts=Facts("select-again"), path=path
    )


_UNBOUNDED = Packing(format="zip")


class Archives:
    """The archives of one job, in its `folder`. All calls block. `held` confirms that this process has the job."""

    def __init__(
        self,
        folder: Path,
        disk: Disk,
        held: Callable[[], bool] = lambda: True,
        wanted: Mapping[int, ev.Archive] = MappingProxyType({}),
        packing: Packing | None = None,
    ) -> None:
        """`wanted` is what `changes` found: the source of a transfer with another archive has changed.

        `packing` says which files an archive may have, None if that does not matter.
        """
        self._packing = packing or _UNBOUNDED
        self._folder = folder
        self._disk = disk
        self._held = held
        self.wanted = dict(wanted)
        """What a command selects now, by the index of a transfer of which it is not known yet whether it was begun."""

    def keep(self, selection: Selection) -> None:
        """Store the plans of a selection's archives. Raises StateDiskFull, StateUnusable."""
        for chosen in selection.files:
            if chosen.archive is not None:
                self._store(chosen.archive)

    def _store(self, plan: Plan) -> None:
        path, data = self._path(plan.id), plan.encoded()
        self._disk.make_folder(self._folder)
        if self._disk.read(path) != data:
            self._disk.replace(path, data)

    def _path(self, archive_id: str, ending: str = "plan") -> Path:
        return self._folder / f"archive-{archive_id}.{ending}"

    def plan(self, archive: ev.Archive) -> Plan:
        """Read the plan of an archive. Raises JournalDamaged if it is lost."""
        data = self._disk.read(self._path(archive.id))
        try:
            return Plan.decoded(data or b"", archive.id)
        except ValueError as error:
            raise JournalDamaged(f"the list of an archive's members in {self._folder} is lost: {error}") from error

    def open(self, transfer: Transfer) -> Readable:
        """Open the source of a transfer. Raises what `open_source` and `plan` raise."""
        if transfer.archive is None:
            return open_source(transfer.path)
        return ArchiveSource(self._current(transfer, transfer.archive), transfer.path, self._sums(transfer.archive))

    def stamp(self, transfer: Transfer) -> FileStamp:
        """Return the state of a transfer's source. Raises as `open` does."""
        if transfer.archive is None:
            return stat_source(transfer.path)
        return self._current(transfer, transfer.archive).examine()

    def _current(self, transfer: Transfer, archive: ev.Archive) -> Plan:
        """Read the plan of an archive. Raises SourceChanged if another one is wanted, else as `_supported`."""
        wanted = self.wanted.get(transfer.index, archive)
        if wanted.id != archive.id:
            raise self._changed(transfer, archive, self.plan(wanted))
        return self._supported(transfer, archive)

    def _supported(self, transfer: Transfer, archive: ev.Archive) -> Plan:
        """Read the plan of an archive. Raises SourceChanged if this version of figup would make another one of it."""
        plan = self.plan(archive)
        if plan.is_outdated:
            text = f"{printable(transfer.path)}: its archive has another layout in this version of figup"
            raise SourceChanged(text, path=transfer.path)
        return plan

    def renewed(self, transfer: Transfer) -> ev.SourceReplaced:
        """Plan a transfer's archive again, of the same sources as they are now; return the event that restarts it.

        If another archive is wanted, it is that one. Raises SourceChanged if one of them no longer exists, or if the
        files must be divided among archives anew. For a file it only reads its state.
        """
        if transfer.archive is None:
            return self.replaced(transfer, stat_source(transfer.path))
        wanted = self.wanted.get(transfer.index, transfer.archive)
        if wanted.id != transfer.archive.id:
            return source_replaced(transfer, self.plan(wanted).examine(), wanted)
        self.wanted.pop(transfer.index, None)  # it is planned again
        old, members = self.plan(transfer.archive), Members()
        for index in range(old.sources):
            members.append(self._renewed_member(old.members.get(index), old.source_status(index)))
        new = Plan.of(old.format, members, manifest=old.has_manifest, expected=old.expected)
        if self._packing.limit is not None and not counted_size(old) <= counted_size(new) <= self._packing.limit:
            raise _divided_anew(difference(old, new)[0], f"has changed, and {printable(transfer.name)} its size")
        self._store(new)
        return source_replaced(transfer, new.examine(), archive_of(new))

    def _renewed_member(self, was: Member, status: os.stat_result) -> Member:
        kind, size, below = was.kind, status.st_size, self._packing.below
        if kind == Kind.FOLDER:
            if column_time(status.st_mtime_ns) != was.mtime_ns:
                raise _divided_anew(was.path, "may not be an empty folder any more")
            size = 0
        elif below is not None and size >= below:
            raise _divided_anew(was.path, f"has {size} bytes now, too many to be packed")
        else:
            kind = Kind.EXECUTABLE if is_executable(status) else Kind.FILE
        mtime, ctime = status.st_mtime_ns, status.st_ctime_ns
        return was._replace(kind=kind, size=size, mtime_ns=mtime, ctime_ns=ctime, inode=status.st_ino)

    def replaced(self, transfer: Transfer, stamp: FileStamp) -> ev.SourceReplaced:
        """Return the event that restarts a transfer with this version of its source.

        Raises SourceChanged for a file beside the archives that would be packed now.
        """
        below = self._packing.below
        if transfer.archive is None and not transfer.link and below is not None and stamp.size < below:
            raise _divided_anew(transfer.path, f"has {stamp.size} bytes now, so few that it is packed")
        return source_replaced(transfer, stamp)

    def changes(self, state: JobState, selection: Selection, *, restart: bool) -> list[ev.SourceReplaced]:
        """Return the events that bring the archives of a job up to date with what a command selects now.

        An archive of which nothing was sent yet is planned again, any other only to `restart`. Raises SourceChanged
        otherwise, naming the first member that differs. One that may have been begun is `wanted` from now on.
        """
        known = {key_of(transfer): transfer for transfer in state.transfers if transfer.archive is not None}
        events = []
        for chosen in selection.files:
            plan = chosen.archive
            transfer = known.get(key_of(chosen)) if plan is not None else None
            if plan is None or transfer is None or transfer.archive is None or transfer.archive.id == plan.id:
                continue
            if transfer.intended_at is not None:
                self.wanted[transfer.index] = archive_of(plan)  # the run first finds out whether its upload was begun
                continue
            if transfer.file_id is not None and not restart:
                raise self._changed(transfer, transfer.archive, plan)
            events.append(source_replaced(transfer, plan.stamp, archive_of(plan)))
        return events

    def remove_others(self, state: JobState) -> None:
        """Remove what is stored of archives that the job no longer has, as far as possible: they were restarted."""
        known = {transfer.archive.id for transfer in state.transfers if transfer.archive is not None}
        for path in self._folder.glob("archive-*") if known else ():
            if path.suffix in (".plan", ".sums") and path.stem.removeprefix("archive-") not in known:
                with suppress(OSError):  # the next run tries again
                    path.unlink()

    def gone_members(self, state: JobState, selection: Selection) -> Iterator[tuple[Transfer, SourceNotFound]]:
        """Yield the archives that would be sent without a member that no longer exists or was moved, with the error
        that names it.

        A verified one that would not be sent anew keeps it. What is lost with the plan of an archive cannot be missed.
        """
        chosen = {key_of(source): source.archive for source in selection.files if source.archive is not None}
        moved = _MovedMembers(selection)
        for transfer in state.active:
            plan = chosen.get(key_of(transfer))
            if transfer.archive is None or (transfer.state is State.VERIFIED and plan is None):
                continue
            if plan is None or plan.id != transfer.archive.id:
                with suppress(JournalDamaged):
                    paths = self.plan(transfer.archive).source_paths()
                    if (error := _lost_member(transfer, paths, moved)) is not None:
                        yield transfer, error

    def _changed(self, transfer: Transfer, archive: ev.Archive, plan: Plan) -> SourceChanged:
        try:
            path, how = difference(self._supported(transfer, archive), plan)
        except JournalDamaged:
            path, how = "", "has changed"
        named = printable(path or transfer.path)
        if transfer.state is State.VERIFIED:
            return SourceChanged(
                f"{named}: {how} since {printable(transfer.name)} was sent and verified; the item holds the earlier "
                "version",
                hint=SEND_NEW_VERSION,
                facts=Facts("changed-since-verified"),
                path=path or transfer.path,
            )
        text = f"{named}: {how} since the upload of {printable(transfer.name)}, which contains it, began"
        return SourceChanged(text, path=path or transfer.path)

    def check_expected(self, transfer: Transfer) -> bool:
        """Return whether the members of a verified archive are known to have the MD5s that the user gave since.

        Raises ChecksumWrong.
        """
        if transfer.archive is None or not (expected := self.plan(transfer.archive).expected):
            return True
        known = False
        for path, name, md5 in self.md5s(transfer.archive):
            known, given = True, expected.get(os.fsdecode(name))
            if given is not None and given.encode() != md5:
                raise wrong_md5(path, md5.decode(), given)
        return known

    # --- the sums of members --------------------------------------------------------------------------------------

    def _sums(self, archive: ev.Archive) -> SumsFile:
        return SumsFile(self._disk, self._path(archive.id, "sums"), self._held)

    def keep_sums(self, source: Readable) -> None:
        """Keep the sums of the members of an archive that was read to its end. Raises StateDiskFull, StateUnusable."""
        if isinstance(source, ArchiveSource) and source.file is not None:
            source.file.complete(source.sums)

    def md5s(self, archive: ev.Archive) -> Iterator[tuple[str, bytes, bytes]]:
        """Yield path, name and MD5 (hex) of each file in an archive; nothing if they are not known."""
        plan = self.plan(archive)
        md5s = self._sums(archive).md5s(len(plan.members))
        for index, md5 in zip(range(plan.sources), md5s, strict=False):
            if plan.members.kinds[index] != Kind.FOLDER:
                yield plan.members.path(index), plan.members.name(index), md5.hex().encode()
