"""One job of records on this machine: its folder, lock and journal, as a job of transfers has them.

`<state-dir>/records/jobs/<job>/` holds `journal`, `journal.synced`, `lock` and a numbered `lease-…`.
"""

from __future__ import annotations

import base64
import hashlib
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import anyio
import msgspec

from uploader._version import __version__
from uploader.clock import Clock
from uploader.concurrency import in_thread
from uploader.disk import Disk
from uploader.errors import FigupError, JobBusy, JobNotFound, JournalDamaged
from uploader.records.journal import EVENTS, Action, AnyEvent, JobPlanned, JobState
from uploader.transfer.journal.log import Journal, Replay, read_synced, scan
from uploader.transfer.store.jobs import JobStore, has_journal
from uploader.transfer.store.lease import current_holder, current_holders
from uploader.transfer.store.lock import JobLock

_ID_LENGTH = 10


def job_store(state_dir: Path, disk: Disk | None = None) -> JobStore:
    """Return the store of these jobs, apart from the jobs of transfers."""
    return JobStore(state_dir / "records", disk or Disk(), inside=state_dir)


def plan(endpoint: str, account: int, action: Action, path: Path, clock: Clock) -> JobPlanned:
    """Return the plan of a job: the same command with the same file and account is the same job."""
    identity = msgspec.json.encode([endpoint, account, action, str(path)])
    name = base64.b32encode(hashlib.sha256(identity).digest()).decode("ascii").lower()[:_ID_LENGTH]
    return JobPlanned(
        job=name, endpoint=endpoint, account=account, action=action, path=str(path),
        created=clock.now().isoformat(timespec="seconds"), version=__version__,
    )  # fmt: skip


def read_state(states: JobStore, job: str) -> tuple[Replay[AnyEvent], JobState]:
    """Read a job's journal; a torn last line is ignored. Blocks. Raises JobNotFound, JournalDamaged, JournalNewer."""
    folder = states.folder(job)
    path = folder / "journal"
    if not has_journal(folder, states.disk):
        raise JobNotFound(f"job {job!r} not found in {states.path}")
    log: Replay[AnyEvent] = Replay(synced=read_synced(path, states.disk))
    state = JobState()

    scan(states.disk.lines(path), log, state.apply, EVENTS)
    if log.damaged or state.plan is None:
        raise JournalDamaged(
            f"the journal of job {job} is damaged: {folder}",
            hint="Move this folder away and repeat the command; only items with a DOI are not created twice.",
        )
    return log, state


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """A job of records for lists: its command and file, how many items it created or updates, how many are unfinished.

    `state`: running, interrupted (also if records failed), done, undone. `unfinished` counts records
    with an item that is not complete, or whose creation has an unknown outcome.
    """

    job: str
    state: str
    changed: datetime
    action: Action
    path: str
    items: int
    unfinished: int


def overviews(states: JobStore) -> list[Overview]:
    """Return the jobs of records on this machine, without those that cannot be read. Blocks."""
    found: list[Overview] = []
    for name in states.names():
        with suppress(FigupError):
            found.append(recorded(states, name))
    folders = [states.folder(seen.job) for seen in found]
    holders = current_holders(folders, states.disk)
    held = ((seen, holders[folder]) for seen, folder in zip(found, folders, strict=True))
    return [_with_holder(seen, holder) for seen, holder in held if not isinstance(holder, FigupError)]


def overview(states: JobStore, job: str) -> Overview:
    """Return one job of records. Blocks. Raises as `read_state` does."""
    return _with_holder(recorded(states, job), current_holder(states.folder(job), states.disk))


def _with_holder(seen: Overview, holder: str | None) -> Overview:
    """Add whether a process works on the job."""
    return seen if holder is None else msgspec.structs.replace(seen, state="running")


def recorded(states: JobStore, job: str) -> Overview:
    """Return one job of records, ignoring a process that works on it. Blocks. Raises as `read_state` does."""
    changed = states.last_change(job)
    _, state = read_state(states, job)
    if state.plan is None:
        raise JobNotFound(f"job {job!r} not found in {states.path}")
    known = [one for one in state.records.values() if one.item_id is not None or one.intent is not None]
    return Overview(
        job=job,
        state=state.ended or "interrupted",
        changed=changed,
        action=state.plan.action,
        path=state.plan.path,
        items=len(known),
        unfinished=sum(not one.done for one in known),
    )


class OpenJob:
    """A job that this process holds. An async context manager.

    Raises JobBusy if another process works on it, JobNotFound without a `plan` if it does not exist, StateUnusable if
    other users can write to where it is, and what `read_state` raises.
    """

    def __init__(self, states: JobStore, name: str, clock: Clock, plan: JobPlanned | None = None) -> None:
        self.name = name
        self.resumed = False
        self._states, self._plan = states, plan
        self._folder = states.folder(name)
        self.lock = JobLock(self._folder, states.disk, clock)
        self.state = JobState()
        self._journal: Journal

    async def __aenter__(self) -> Self:
        await in_thread(self._states.check_private)
        if self._plan is not None:
            await in_thread(self._states.disk.make_folder, self._folder)
        try:
            await self.lock.acquire()
        except JobBusy as busy:  # a front end's hint is about jobs of transfers
            raise busy.with_context(hint="Let it finish, or stop it where it runs.") from None
        try:
            await in_thread(self._open_journal)
        except BaseException:
            await self.lock.release()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._journal.close()
        with anyio.CancelScope(shield=True):
            await self.lock.release()

    def _open_journal(self) -> None:
        path, disk = self._folder / "journal", self._states.disk
        if self._plan is not None and not has_journal(self._folder, disk):
            self.lock.require()
            self._journal = Journal.create(path, [self._plan], disk)
            self.state.apply(self._plan)
            return
        log, self.state = read_state(self._states, self.name)
        self.resumed = True
        self.lock.require()  # reading it may have taken long, and another machine may have continued the job
        if log.torn or self.lock.took_over:
            # The previous holder may wake up: what it still writes then goes to an unlinked file.
            disk.replace(path, (disk.read(path) or b"")[: log.length])
            log.torn = False
        self._journal = Journal.reopen(path, log, disk)

    async def commit(self, event: AnyEvent) -> None:
        """Apply an event that must be on disk before anything else is done.

        Raises StateDiskFull, StateLost, and JobBusy if another machine has taken over the job.
        """
        await self.lock.check()
        self.state.apply(event)
        self._journal.record(event)
        await self._journal.commit()

    async def commit_intent(self, intent: AnyEvent) -> None:
        """Commit an intent, directly before its request. Raises as `commit` does."""
        await self.commit(intent)
        # The process may have been suspended while the intent was written.
        await self.lock.check()
