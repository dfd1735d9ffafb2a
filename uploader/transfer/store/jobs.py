"""The state directory: folders, names and journals of the jobs on this machine.

`<state-dir>/jobs/<job>/` holds `journal` and `journal.synced`, `lock`, a numbered `lease-…` and, when the job is
finished, its manifests.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import islice, zip_longest
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import msgspec
import platformdirs

from uploader.disk import Disk, check_private, map_os_errors
from uploader.errors import Facts, FigupError, JobNotFound, JournalDamaged, UsageError
from uploader.sources.models import Packing, Selection
from uploader.transfer.journal import events as ev
from uploader.transfer.journal.lifecycle import IllegalEvent
from uploader.transfer.journal.log import EVENTS, Replay, damaged_path, decode, read_synced, recovered_path, scan
from uploader.transfer.journal.plan import Target, plan_events
from uploader.transfer.journal.recovery import is_whole, recover, replay
from uploader.transfer.journal.state import JobState, StateLoader
from uploader.transfer.journal.sync_facts import SyncFacts

if TYPE_CHECKING:
    from uploader.transfer.store.archives import Archives


class Manifests(msgspec.Struct, frozen=True):
    """Paths of a finished job's MD5 lists: by source path, for `md5sum -c`; by name in the item, for
    `figup verify ITEM --checksums`; and of the members of archives, by their names there. None for a list without
    entries, which is not written."""

    local: Path | None
    remote: Path | None
    members: Path | None


def default_state_dir() -> Path:
    """Return FIGUP_STATE_DIR, or the platform's state directory for figup."""
    return Path(os.environ.get("FIGUP_STATE_DIR") or platformdirs.user_state_dir("figup"))


_LINES = 10_000
"""Lines of a list of MD5s that are written at once."""


class JobStore:
    """The state directory."""

    def __init__(self, path: Path, disk: Disk, *, inside: Path | None = None) -> None:
        """`inside`: the state directory, if `path` is a folder in it."""
        self.path = path
        self._inside = inside
        self.disk = disk
        self.jobs = path / "jobs"
        self._owned: dict[str, tuple[tuple[int, int, int], frozenset[int], frozenset[int]]] = {}

    def folder(self, job: str) -> Path:
        """Return the folder of a job, whether it exists or not."""
        return self.jobs / job

    def latest(self, name: str) -> str | None:
        """Return the newest job of this name (later generations end with -2, -3 …), or None."""
        generations = {self._generation(name, job): job for job in self.names()}
        generations.pop(0, None)
        return generations[max(generations)] if generations else None

    def generation(self, name: str, *, new: bool = False) -> tuple[str, bool]:
        """Decide which job a command with this job name means, and whether it is new, by looking once.

        Without `new` that is the newest one, or the first: processes that look at the same moment mean the same job.
        """
        newest = self.latest(name)
        if newest is None:
            return name, True
        return (f"{name}-{self._generation(name, newest) + 1}", True) if new else (newest, False)

    @staticmethod
    def _generation(name: str, job: str) -> int:
        stem, _, number = job.partition("-")
        if stem != name:
            return 0
        return int(number) if number.isdecimal() else 1

    def names(self) -> list[str]:
        """All jobs, by name. Raises StateUnusable, also where other users could have written to them, and StateLost."""
        self.check_private()
        with map_os_errors(self.jobs):
            try:
                folders = list(self.jobs.iterdir())
            except (FileNotFoundError, NotADirectoryError):
                return []
        return sorted(folder.name for folder in folders if has_journal(folder, self.disk))

    def check_private(self) -> None:
        """Raise StateUnusable if other users can write to the folders that hold the jobs. Blocks."""
        check_private(self._inside or self.path, self.path, self.jobs)

    def find(self, text: str) -> str:
        """Find the one job whose name begins with `text`. Raises JobNotFound, or UsageError if there are several."""
        names = self.names()
        found = [n for n in names if n == text] or [n for n in names if text and n.startswith(text)]
        if not found:
            raise JobNotFound(f"job {text!r} not found in {self.path}")
        if len(found) > 1:
            raise UsageError(f"{text!r} is ambiguous: {', '.join(found)}")
        return found[0]

    def read(self, job: str) -> JobState:
        """Read the state of a job. Raises JobNotFound, JournalNewer, JournalDamaged (the plan is lost)."""
        return self._whole(job, self.load(job)[1])

    def recover(
        self, job: str, plan: Callable[[], Sequence[ev.AnyEvent]] | None
    ) -> tuple[Replay[ev.AnyEvent], JobState]:
        """Read a job to continue it. What a damaged journal lost becomes intents: see `journal.recovery`.

        `plan` makes the plan of the user's command; None if unknown. Raises as `read` does, and StateUnusable if other
        users can write to the job's folder.
        """
        check_private(self.folder(job))
        log, state = self.load(job)
        kept = log.synced.kept if log.synced is not None else SyncFacts()
        if not is_whole(state) and not log.damaged:
            # The plan is written as a whole: it was cut off, and the record of the last sync is lost, too.
            log.damaged.append(1)
        if log.damaged:
            newer = log.synced is not None and log.length <= log.synced.length
            events, without_item = plan() if plan is not None else None, self._had_no_item(job, log, state)
            salvaged = self.log(job).events
            log.events, state = recover(salvaged, events, kept, without_item=without_item, newer=newer)
            if events is not None and not is_whole(state):
                raise JournalDamaged(
                    f"the journal of job {job} is damaged, and not all of its lost sources are selected any longer",
                    hint="Put back what was removed or excluded since, or start over in a new job.",
                    facts=Facts("sources-lost"),
                )
        state = self._whole(job, state)
        state.files_on_record = kept.files
        state.recovered = bool(log.damaged) or damaged_path(self.folder(job) / "journal").exists()
        return log, state

    def _had_no_item(self, job: str, log: Replay[ev.AnyEvent], state: JobState | None) -> bool:
        """Return True if a damaged journal certainly had no item on record: then none is published.

        The record of the last sync proves nothing if it was written after earlier damage, or is older than the journal.
        """
        if log.synced is None or log.synced.kept.item is not None or log.length > log.synced.length:
            return False
        if state is not None and state.item_intent is not None and state.item_intent.unpublished:
            return True
        return not damaged_path(self.folder(job) / "journal").exists()

    def end_recovery(self, job: str, state: JobState) -> None:
        """Note that everything was verified since the journal was damaged, if it was. Blocks. Raises StateUnusable."""
        if state.recovered:
            journal = self.folder(job) / "journal"
            with map_os_errors(journal):
                damaged_path(journal).replace(recovered_path(journal))
            state.recovered = False

    @staticmethod
    def _whole(job: str, state: JobState | None) -> JobState:
        if not is_whole(state):
            raise JournalDamaged(f"the journal of job {job} is damaged and its plan is lost")
        return state

    def load(self, job: str) -> tuple[Replay[ev.AnyEvent], JobState | None]:
        """Read a job's journal, intact or not, and its state; the events only if it is not clean.

        The state lacks sources, or is None, if the plan is damaged. Events after a gap in a damaged journal that are
        impossible without it are left out; `damaged` of the replay is then not empty. Raises JobNotFound, JournalNewer,
        JournalDamaged.
        """
        journal = self.folder(job) / "journal"
        log: Replay[ev.AnyEvent] = Replay(synced=read_synced(journal, self.disk))
        loader = StateLoader()
        try:
            # A journal may have millions of lines: do not hold them all in memory.
            scan(self.disk.lines(journal), log, loader.apply, EVENTS)
        except IllegalEvent:
            pass
        else:
            if log.clean:
                return log, loader.state
        log = self.log(job)
        taken, state = replay(log.events)
        if len(taken) < len(log.events):
            log.damaged.append(len(taken) + 2)
        log.events = taken
        return log, state

    def readable_state(self, job: str) -> JobState | None:
        """Return the state of a job, None if its journal cannot be read."""
        try:
            return self.read(job)
        except FigupError:
            return None

    def log(self, job: str) -> Replay[ev.AnyEvent]:
        """Read a job's journal as it is. Raises JobNotFound, JournalNewer, JournalDamaged."""
        journal = self.folder(job) / "journal"
        synced, data = read_synced(journal, self.disk), self.disk.read(journal)
        if data is None and synced is None:
            raise JobNotFound(f"job {job!r} not found in {self.path}")
        return decode(data or b"", synced)

    def foreign_ids(self, job: str) -> tuple[set[int], set[int]]:
        """Ids of the items, and of the remote files, that other jobs on this machine own."""
        items: set[int] = set()
        files: set[int] = set()
        for other in self.names():
            if other != job:
                its_items, its_files = self._owned_by(other)
                items |= its_items
                files |= its_files
        return items, files

    def owners(self, job: str) -> dict[int, str]:
        """Remote files that other jobs on this machine own: file id → job."""
        return {file: other for other in self.names() if other != job for file in self._owned_by(other)[1]}

    def _owned_by(self, job: str) -> tuple[frozenset[int], frozenset[int]]:
        """Ids of the items, and of the remote files, of a job; read again only when its journal has changed."""
        try:
            status = (self.folder(job) / "journal").stat()
            stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
            if self._owned.get(job, (None,))[0] != stamp:
                state = self.load(job)[1]
                owned = _owned_by(state) if state is not None else _ever_owned_by(self.log(job).events)
                self._owned[job] = (stamp, *owned)
            return self._owned[job][1:]
        except (OSError, FigupError):
            return frozenset(), frozenset()

    def last_change(self, job: str) -> datetime:
        """When the job's journal was last written to; of one that is lost, when its folder was. Raises JobNotFound."""
        folder = self.folder(job)
        for path in (folder / "journal", folder):
            with suppress(OSError):
                if path != folder or has_journal(folder, self.disk):
                    return datetime.fromtimestamp(path.stat().st_mtime, UTC)
        raise JobNotFound(f"job {job!r} not found in {self.path}")

    def manifest_paths(self, job: str) -> tuple[Path, Path, Path]:
        """Paths of the job's lists of MD5s once it is finished: see `Manifests`."""
        folder = self.folder(job).absolute()
        return folder / "manifest.md5", folder / "manifest-remote.md5", folder / "manifest-members.md5"

    def write_manifests(self, job: str, state: JobState) -> Manifests:
        """Write the MD5s of a finished job. Raises StateDiskFull, StateUnusable."""
        from uploader.sources.archive.manifest import md5_line

        paths, archives = self.manifest_paths(job), self.archives(job)
        packed = [t.archive for t in state.active if t.archive is not None and t.md5 is not None]

        def line(md5: str, path: str) -> bytes:
            return md5_line(md5.encode(), path.encode("utf-8", "surrogateescape"))

        def by_source() -> Iterator[bytes]:
            for transfer in state.active:
                if transfer.md5 is not None and not transfer.link and transfer.archive is None:
                    yield line(transfer.md5, transfer.path)
            for archive in packed:
                yield from (md5_line(md5, os.fsencode(path)) for path, _, md5 in archives.md5s(archive))

        def by_name() -> Iterator[bytes]:
            return (line(md5, path) for path, md5 in _remote(state))

        def of_members() -> Iterator[bytes]:
            return (md5_line(md5, name) for archive in packed for _, name, md5 in archives.md5s(archive))

        lists = (by_source, by_name, of_members)
        return Manifests(*(self._write_list(path, lines) for path, lines in zip(paths, lists, strict=True)))

    def plan(self, target: Target, selection: Selection, job: str) -> list[ev.AnyEvent]:
        """Return the first events of a job, once the plans of its archives are stored. Blocks."""
        self.archives(job).keep(selection)
        return plan_events(target, selection, job)

    def archives(
        self,
        job: str,
        held: Callable[[], bool] = lambda: True,
        wanted: Mapping[int, ev.Archive] = MappingProxyType({}),
        packing: Packing | None = None,
    ) -> Archives:
        """Return the archives that a job sends: see `Archives`."""
        from uploader.transfer.store.archives import Archives

        return Archives(self.folder(job), self.disk, held, wanted, packing)

    def members(self, job: str) -> Iterator[str]:
        """Yield the paths of the sources of a job's archives. Blocks. Raises as `read` does, and JournalDamaged."""
        archives = self.archives(job)
        for transfer in self.read(job).active:
            if transfer.archive is not None:
                plan = archives.plan(transfer.archive)
                yield from map(plan.members.path, range(plan.sources))

    def _write_list(self, path: Path, lines: Callable[[], Iterator[bytes]]) -> Path | None:
        """Write a list line by line, since it may be large, unless the file has it. Return None if it is empty."""
        same = 0
        for there, line in zip_longest(self.disk.lines(path), lines()):
            if there != line:
                break
            same += 1
        else:
            return path if same else None
        if line is None and not same:
            with map_os_errors(path):
                path.unlink(missing_ok=True)
            return None
        self.disk.replace_in_pieces(path, _joined(lines()))
        return path


def _joined(lines: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the lines, many at a time."""
    while piece := b"".join(islice(lines, _LINES)):
        yield piece


def has_journal(folder: Path, disk: Disk) -> bool:
    """Return whether a job's folder has a journal, or the record of one that is lost, or cannot be read. Blocks."""
    journal = folder / "journal"
    try:
        journal.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return read_synced(journal, disk) is not None
    except OSError:
        pass  # an unreadable job still exists
    return True


def _owned_by(state: JobState) -> tuple[frozenset[int], frozenset[int]]:
    items = frozenset({state.item_id} if state.creates_item and state.item_id is not None else ())
    return items, frozenset(file for transfer in state.transfers for file in transfer.owned_ids())


def _ever_owned_by(events: Iterable[ev.AnyEvent]) -> tuple[frozenset[int], frozenset[int]]:
    """Return the files that a job without a plan may own: all that it ever created."""
    items = frozenset(event.id for event in events if isinstance(event, ev.ItemCreated))
    return items, frozenset(event.id for event in events if isinstance(event, ev.UploadInitiated | ev.FoundIdentical))


def _remote(state: JobState) -> Iterator[tuple[str, str]]:
    """Yield paths and MD5s of the item's files, including dropped ones that were not sent again."""
    found = [t for t in state.reported if t.md5 is not None and not t.link]
    sent_again = {t.remote_path for t in found if not t.dropped} if any(t.dropped for t in found) else set()
    for transfer in found:
        if transfer.md5 is not None and not (transfer.dropped and transfer.remote_path in sent_again):
            yield transfer.remote_path, transfer.md5
