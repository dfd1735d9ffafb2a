"""Predict what an upload would do with one source. Reads sources and Figshare; writes nothing."""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping, Sequence

import msgspec

from uploader.concurrency import in_thread
from uploader.figshare.models import File
from uploader.sources.archive.reader import open_source
from uploader.sources.models import SourceFile, remote_path
from uploader.transfer.compare import (
    Expected,
    Match,
    classify,
    needs_md5,
    other_spelling,
    paths_in_item,
    reappeared,
)
from uploader.transfer.destination.lookup import find_begun, is_taken_back, is_untouched
from uploader.transfer.files.conflicts import find_late, resolve, without_replaced
from uploader.transfer.files.decide import decide, effective_policy, must_search, spelled_otherwise
from uploader.transfer.journal import events as ev
from uploader.transfer.journal.lifecycle import OPEN, State, Transfer
from uploader.transfer.journal.plan import key_of
from uploader.transfer.journal.recovery import possible_initiation
from uploader.transfer.journal.state import JobState
from uploader.transfer.options import OnConflict, Options
from uploader.transfer.run.service import Service
from uploader.transfer.source_check import has_changed, matches_record, source_md5, stamp_of
from uploader.transfer.store.jobs import JobStore

USUAL_PART = 10 << 20
"""Size in bytes of most parts seen (observed; the server chooses it when a file is initiated)."""

_STATUS: dict[Match, str] = {
    Match.SAME: "same",
    Match.UNKNOWN: "unknown",
    Match.DIFFERENT: "different",
    Match.LINK: "different",
    Match.FAILED: "different",
    Match.UNFINISHED: "unfinished",
}


class FilePlan(msgspec.Struct, frozen=True, kw_only=True):
    """One source.

    `status`: `new`; what the item holds in its place: `same`, `different`, `unfinished` or `unknown` (no MD5 yet);
    `unseen` (Figshare was not asked); `begun` or `done` by the same job, `changed` since, `missing` by now; of a
    finished job: `lost` (no longer held as it was verified: sent again if it is gone or useless, else refused) or
    `unverified` (Figshare no longer gives its MD5).
    `action`: `send`, `resume`, `skip`, `replace`, `refuse`, `link`; `reason` says why it is refused, or how the item
    spells the name of one that is skipped.
    `members` is the number of sources in an archive, None for a file. `parts` is an estimate; `bytes_left` are still
    to be sent. `replaces` are the ids of all files that would be removed once this one is verified.
    """

    path: str
    folder: str
    name: str
    size: int
    status: str
    action: str
    parts: int
    bytes_left: int
    file_id: int | None = None
    replaces: tuple[int, ...] = ()
    reason: str | None = None
    members: int | None = None

    @property
    def is_sent(self) -> bool:
        """True if the upload would send it, or the rest of it."""
        return self.action in ("send", "resume", "replace", "link")


class Planner:
    """Plans the sources of one command."""

    def __init__(
        self,
        api: Service | None,
        states: JobStore,
        job: str,
        state: JobState | None,
        remote: Mapping[str, Sequence[File]],
        options: Options,
        *,
        paths: Collection[str],
        unseen: bool,
    ) -> None:
        """`remote` are the item's files by path; `paths` are the remote paths of the sources.

        `unseen`: there is an item, but Figshare was not asked.
        """
        self._api = api
        self._states = states
        self._job = job
        self._options = options
        self._new = "unseen" if unseen else "new"
        self._state = state
        self._known = {key_of(transfer): transfer for transfer in state.transfers} if state is not None else {}
        self._places = paths_in_item(paths, remote)
        self._remote = {path: [f for place in places for f in remote[place]] for path, places in self._places.items()}
        self._by_id = {file.id: file for files in remote.values() for file in files}
        self._links: dict[str, list[File]] = {}
        for file in (file for file in self._by_id.values() if file.is_link_only):
            self._links.setdefault(file.download_url, []).append(file)
        self._owners: Mapping[int, str] | None = None

    async def plan(self, chosen: SourceFile) -> FilePlan:
        """Plan one source."""
        remote = remote_path(chosen.folder, chosen.name)
        transfer = self._known.get(key_of(chosen))
        if transfer is not None:
            self._lose_file(transfer)
        if transfer is not None and transfer.file_id is not None:
            return await self._plan_known(chosen, transfer, self._by_id.get(transfer.file_id))
        own = transfer.owned_ids().union(transfer.lost) if transfer is not None else set()
        remote_files = self._links.get(chosen.path, ()) if chosen.link else self._others_at(remote, transfer)
        if transfer is not None and (file := reappeared(transfer, remote_files)) is not None:
            return _plan(chosen, "begun", "resume", file.id, left=0)
        others: Sequence[File] = [file for file in remote_files if file.id not in own]
        if self._api is not None and transfer is not None:
            found = await self._plan_search(self._api, chosen, transfer, others)
            if found is not None:
                return found
        if transfer is not None:
            others = await self._without_unfinished(transfer, others, lost=transfer.record_lost)
        if not others or self._api is None:
            return _plan(chosen, self._new, "link" if chosen.link else "send", None)
        on_conflict = self._options.on_conflict
        if transfer is not None:
            on_conflict = effective_policy(on_conflict, record_lost=transfer.record_lost)
        return await self._plan_conflict(self._api, chosen, others, on_conflict)

    def _others_at(self, path: str, transfer: Transfer | None) -> list[File]:
        """Return the item's files at a path that no other transfer owns: one of another may have been moved there."""
        state, own = self._state, transfer.owned_ids() if transfer is not None else set()
        there = self._remote.get(path, ())
        return [file for file in there if state is None or file.id in own or not state.owns_elsewhere(file.id, path)]

    async def _plan_known(self, chosen: SourceFile, transfer: Transfer, remote_file: File | None) -> FilePlan:
        """Plan a source whose remote file is known."""
        changed = await has_changed(self._api, chosen, transfer, remote_file, reread=self._options.reread)
        plan = _plan_begun(chosen, transfer, self._options, changed=changed)
        there = self._others_at(remote_path(chosen.folder, chosen.name), transfer)
        if plan.action == "send":
            return await self._plan_restart(chosen, transfer, plan, there)
        return self._plan_others_on_record(plan, transfer.place, Expected(size=transfer.size, md5=transfer.md5), there)

    async def _plan_conflict(
        self, api: Service, chosen: SourceFile, others: Sequence[File], on_conflict: OnConflict
    ) -> FilePlan:
        """Decide like the upload."""
        if chosen.link:
            source = Expected(link=chosen.path)
        else:
            opened = functools.partial(open_source, chosen.path, chosen.archive)
            md5 = await source_md5(opened) if needs_md5(others, chosen.size) else None
            source = Expected(size=chosen.size, md5=md5)
        place = chosen.path if chosen.link else remote_path(chosen.folder, chosen.name)
        wanted = without_replaced(self._state, place, source, others) if self._state is not None else others
        replaced = [file.id for file in others if file not in wanted]
        decision = await resolve(api, source, wanted, self._read_owners, on_conflict)
        action = "link" if chosen.link and decision.action == "send" else decision.action
        file_id = decision.file.id if decision.file is not None else None
        reason = decision.reason or None
        path = remote_path(chosen.folder, chosen.name)
        if action == "skip" and (spelling := other_spelling(path, self._places.get(path, ()))) is not None:
            reason = spelled_otherwise(spelling)
        status = _STATUS[decision.match] if wanted else "different"
        plan = _plan(chosen, status, action if wanted else "replace", file_id, reason=reason)
        ids = (*decision.replaces, *replaced) if action != "refuse" else ()
        plan = msgspec.structs.replace(plan, replaces=tuple(sorted(ids)))
        return self._plan_others_on_record(plan, place, source, wanted)

    async def _plan_restart(
        self, chosen: SourceFile, transfer: Transfer, plan: FilePlan, there: Sequence[File]
    ) -> FilePlan:
        """Plan a changed source that is sent again beside the other files in its place."""
        own = transfer.owned_ids().union(transfer.lost)
        if transfer.foreign:
            own.discard(transfer.file_id)
        lost = transfer.record_lost
        if self._state is not None and self._state.recovered:
            own.update(self._state.own_at(transfer.place))
            lost = True
        there = [file for file in there if file.id not in own]
        others = await self._without_unfinished(transfer, there, lost=lost)
        if not others or self._api is None:
            return plan
        on_conflict = effective_policy(self._options.on_conflict, record_lost=lost)
        decided = await self._plan_conflict(self._api, chosen, others, on_conflict)
        if decided.action in ("refuse", "skip"):
            return decided
        return msgspec.structs.replace(plan, replaces=decided.replaces)

    def _plan_others_on_record(self, plan: FilePlan, place: str, source: Expected, there: Sequence[File]) -> FilePlan:
        """Decide about other versions on record beside a file that the item holds already, like the closing check."""
        state = self._state
        if state is None or plan.action not in ("skip", "resume"):
            return plan
        on_record = state.own_at(place)
        own = [file for file in there if file.id in on_record and not state.owns(file.id)]
        certain = {Match.SAME, Match.UNFINISHED, *([Match.UNKNOWN] if source.md5 is None else [])}
        versions = [file for file in own if classify(file, source) not in certain]
        undecided = [] if self._options.restart_changed else without_replaced(state, place, source, versions)
        decision = decide(source, undecided, {}, self._options.on_conflict)
        if decision.action == "refuse":
            return msgspec.structs.replace(plan, action="refuse", reason=decision.reason)
        removed = [file.id for file in versions if file not in undecided]
        return msgspec.structs.replace(plan, replaces=(*plan.replaces, *decision.replaces, *removed))

    async def _plan_search(
        self, api: Service, chosen: SourceFile, transfer: Transfer, others: Sequence[File]
    ) -> FilePlan | None:
        """Plan a transfer that may have been begun, whatever its id; None if it would be sent as a new one.

        It is brought to the state in which the upload looks at it.
        """
        if transfer.state is State.PLANNED and chosen.size != transfer.size and self._state is not None:
            # Nothing is begun, as far as is known: the upload takes the source as it is now.
            now = ev.SourceReplaced(
                transfer.index,
                size=chosen.size,
                mtime_ns=chosen.mtime_ns,
                inode=chosen.inode,
                ctime_ns=chosen.ctime_ns,
            )
            self._state.apply(now)
        own = await self._find_own(api, chosen, transfer, others)
        if own is None and not self._is_compared(transfer, others):
            return None
        if chosen.size != transfer.size and not self._options.restart_changed:
            return _plan_begun(chosen, transfer, self._options, changed=True)
        if own is None:
            return None
        if await self._is_replaced(api, chosen, transfer, own):
            plan = _plan(chosen, "changed", "send", own)  # also without --restart-changed: its record is lost
            return await self._plan_restart(chosen, transfer, plan, [f for f in others if f.id != own])
        return _plan(chosen, "begun", "resume", None, left=chosen.size)

    async def _is_replaced(self, api: Service, chosen: SourceFile, transfer: Transfer, own: int) -> bool:
        """Return True if the upload would give up its own file, since that is another version, or has parts of one.

        Parts whose sums the journal has lost cannot be compared.
        """
        file = self._by_id[own]
        if transfer.link or self._state is None or self._state.item_id is None:
            return False
        if chosen.size != transfer.size or chosen.size != file.size:
            return True
        return await has_changed(api, chosen, transfer, file)

    def _is_compared(self, transfer: Transfer, others: Sequence[File]) -> bool:
        """Return True if the upload would compare the source, as it was planned, with a complete file that it may have
        sent: see `destination.lookup.find_upload`.
        """
        state = self._state
        if state is None or transfer.intended_at is None or not transfer.record_lost:
            return False
        on_record = state.own_at(transfer.place)
        own = [file for file in others if state.creates_item or file.id in on_record]
        return needs_md5(own, transfer.size)

    async def _find_own(
        self, api: Service, chosen: SourceFile, transfer: Transfer, others: Sequence[File]
    ) -> int | None:
        """Return the id of the file that the upload would find to be the effect of a request whose response was lost,
        as in `destination.lookup`, or None.
        """
        state = self._state
        if state is None or state.item_id is None:
            return None
        if transfer.state is State.PLANNED and must_search(state, transfer, others):
            state.apply(possible_initiation(state, transfer))
        else:
            restart = self._options.restart_changed
            begun = await find_begun(api, state, transfer, others, self._read_owners, restart=restart)
            if begun is not None:
                return begun
        if transfer.intended_at is None:
            return None
        if transfer.link:
            return others[0].id if others else None
        if transfer.record_lost and (lost := self._find_lost(state, chosen, transfer, others)) is not None:
            return lost
        if transfer.record_lost and not state.creates_item:
            return None
        other_jobs = await self._read_owners()
        for file in others:
            if (
                classify(file, Expected()) is Match.UNFINISHED
                and file.size == transfer.size
                and file.id not in (*other_jobs, *transfer.known)
                and (transfer.record_lost or await is_untouched(api, state.item_id, file))
            ):
                return file.id
        return None

    def _find_lost(self, state: JobState, chosen: SourceFile, transfer: Transfer, others: Sequence[File]) -> int | None:
        """Return the id of a file on record, or of the complete earlier version, of a transfer without its record."""
        restart, kinds = self._options.restart_changed, state.own_at(transfer.place)
        for file in others:
            if not state.owns(file.id) and is_taken_back(file, transfer.size, kinds.get(file.id), restart=restart):
                return file.id
        if not (restart and state.creates_item) or matches_record(transfer, stamp_of(chosen)):
            return None
        return next((file.id for file in others if needs_md5([file], transfer.size)), None)

    def _lose_file(self, transfer: Transfer) -> None:
        """Give up a file of a damaged journal that the item has not, as the upload does: there may be a later one."""
        lost = transfer.state in OPEN and transfer.file_id not in self._by_id and not transfer.link
        if lost and self._api is not None and self._state is not None and self._state.recovered:
            self._state.apply(ev.UploadLost(transfer.index))

    async def _without_unfinished(self, transfer: Transfer, others: Sequence[File], *, lost: bool) -> Sequence[File]:
        """Leave out unfinished files that do not prevent sending: late ones (see `conflicts.find_late`), or all of them
        if the transfer's record may be lost.
        """
        if lost:
            return [file for file in others if classify(file, Expected()) is not Match.UNFINISHED]
        item_id = self._state.item_id if self._state is not None else None
        if self._api is None or item_id is None or self._options.on_conflict == "replace":
            return others
        late = await find_late(self._api, item_id, transfer, others, self._read_owners)
        return [file for file in others if file.id not in late]

    async def _read_owners(self) -> Mapping[int, str]:
        if self._owners is None:
            self._owners = await in_thread(self._states.owners, self._job)
        return self._owners


def _plan_begun(chosen: SourceFile, transfer: Transfer, options: Options, *, changed: bool) -> FilePlan:
    """Plan a source that the job has begun."""
    if changed:
        restart = options.restart_changed
        reason = None if restart else "changed since this job began to send it"
        return _plan(chosen, "changed", "send" if restart else "refuse", transfer.file_id, reason=reason)
    if transfer.state is State.VERIFIED:
        return _plan(chosen, "done", "skip", transfer.file_id)
    done = chosen.size * transfer.parts_done // transfer.parts_total if transfer.parts_total else 0
    return _plan(chosen, "begun", "resume", transfer.file_id, left=chosen.size - done)


def _plan(
    chosen: SourceFile,
    status: str,
    action: str,
    file_id: int | None,
    *,
    left: int | None = None,
    reason: str | None = None,
) -> FilePlan:
    """`left`: bytes to send; None: all of them if the file is sent."""
    if left is None:
        left = chosen.size if action in ("send", "replace") else 0
    return FilePlan(
        path=chosen.path,
        folder=chosen.folder,
        name=chosen.name,
        size=chosen.size,
        status=status,
        action=action,
        parts=0 if chosen.link else max(1, -(-chosen.size // USUAL_PART)),
        bytes_left=left,
        file_id=file_id,
        reason=reason,
        members=chosen.archive.sources if chosen.archive is not None else None,
    )
