"""Check a finished job against its sources and its item, sending nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial

import anyio
import anyio.to_thread
import msgspec

from uploader.errors import Conflict, Facts, FigupError, JournalDamaged, SourceChanged
from uploader.figshare.models import File, Item
from uploader.figshare.outcomes import FileGone
from uploader.sources.source import FileStamp
from uploader.text import composed, printable
from uploader.transfer.compare import (
    Expected,
    Match,
    by_place,
    classify,
    different_files,
    expected_of,
    find_duplicate,
    forgotten_files,
    is_sent_again,
    late_files,
    md5_pending,
    no_longer_held,
    orphan_error,
    own_copies,
    paths_in_item,
    remote_match,
)
from uploader.transfer.doubts import MANY, Look, look_until_certain
from uploader.transfer.journal import events as ev
from uploader.transfer.journal.lifecycle import Transfer
from uploader.transfer.journal.state import FORGOTTEN, JobState
from uploader.transfer.journal.sync_facts import place_hash
from uploader.transfer.notices import Listener
from uploader.transfer.options import Options
from uploader.transfer.run.listing import list_item, read_item
from uploader.transfer.run.placement import Placement
from uploader.transfer.run.service import Service
from uploader.transfer.source_check import check_source, matches_record
from uploader.transfer.store.archives import Archives


class ItemCheck(msgspec.Struct, frozen=True, kw_only=True):
    """A job's verified files compared with a listing of the item. `lost` must be sent again; each has what happened to
    the remote file, and whether it still exists. `duplicates` gives an identical file in the same place: the earliest
    of this job's own earlier copies, or else of the others.
    """

    lost: tuple[tuple[Transfer, str, bool], ...] = ()
    duplicates: tuple[tuple[Transfer, int], ...] = ()
    different: tuple[tuple[Transfer, int], ...] = ()
    """Ids of complete files that appeared in the places of this job's files since it began to send them, and of its own
    earlier versions that reappeared (`Transfer.lost`) or are on record.
    """
    late: tuple[tuple[Transfer, File], ...] = ()
    """Unfinished files, and further links, in the places of transfers with a request whose effect was not found."""
    undecided: tuple[tuple[Transfer, tuple[File, ...]], ...] = ()
    """Other complete files with different content in the places of transfers of a recovered journal, which may have
    lost their planned replacement.
    """
    own: frozenset[int] = frozenset()
    """Of the duplicates and different files, those that are the job's own: see `own_copies`."""
    forgotten: tuple[Transfer, ...] = ()
    """Those that are gone here and there, and that the user does without."""
    unfinished: tuple[File, ...] = ()
    """All files of the item whose upload was not completed."""
    public: bool = False
    """True if the item has been published, by this job or otherwise."""
    unseen: frozenset[int] = frozenset()
    """Own files that only the record of a damaged journal knows, and that the item did not show: see `_unseen`."""


def forget_events(check: ItemCheck) -> list[ev.SourceSkipped]:
    """Return the events that record which files the user does without."""
    return [ev.SourceSkipped(printable(transfer.path), FORGOTTEN) for transfer in check.forgotten]


async def recheck_finished_job(
    api: Service, state: JobState, archives: Archives, notify: Listener, options: Options
) -> ItemCheck:
    """Check that the sources are what was sent and that the item still holds them, complete and verified.

    Raises SourceChanged, SourceNotFound, ChecksumWrong, and the errors of `check_item`.
    """
    changed, read = [], dict[int, FileStamp]()
    sources = [transfer for transfer in state.active if not transfer.link]
    for transfer in sources if options.reread else await anyio.to_thread.run_sync(_needs_rehash, sources, archives):
        try:
            read[transfer.index] = await check_source(transfer, archives, notify, reread=options.reread)
        except SourceChanged as error:
            changed.append(error)
    if changed:
        raise _all_of(changed)
    # Reading may have taken hours.
    for transfer in await anyio.to_thread.run_sync(_needs_rehash, sources, archives) if read else ():
        await check_source(transfer, archives, notify, read.get(transfer.index))
    return await check_item(api, state, options.settle_timeout, forget=options.forget_missing)


async def check_item(
    api: Service, state: JobState, settle: float, *, forget: bool = False, time_limit: float | None = None
) -> ItemCheck:
    """List the item and compare every verified file of the job with it: the last check before success is reported.

    A file that seems to be in no folder is looked at again for `time_limit` seconds (None: `settle`). Raises Conflict
    if a file was changed there, or it and its source are gone (unless they are to `forget`), ItemNotFound,
    JournalDamaged if it has lost a source that was begun, and Md5Pending if Figshare gives no MD5.
    """
    if state.item_id is None:
        raise RuntimeError("a finished job without an item")
    remote, item = await _look(api, state, state.item_id, settle, settle if time_limit is None else time_limit)
    others = list(remote.not_owned_by(state.transfers))
    folders, orphaned = await _with_folders_of_same(api, state, others, item, settle), state.orphaned
    by_path = by_place(others, folders)
    places = paths_in_item({transfer.place for transfer in state.transfers}, by_path) if by_path else {}
    errors = [(transfer, orphan_error(transfer, remote.of(transfer), folders, state.item_id)) for transfer in orphaned]
    forgotten = tuple(transfer for transfer, problem in errors if forget and isinstance(problem, Conflict))
    problems = (problem for _, problem in errors if problem and not (forget and isinstance(problem, Conflict)))
    error: FigupError | None = next(problems, None)
    lost, duplicates, different, undecided = [], [], [], []
    own_files = set[int]()
    for transfer in state.active:
        match, text = remote_match(transfer, remote.of(transfer), folders)
        if match is Match.UNKNOWN:
            error = error or md5_pending(transfer, state.item_id)
        elif is_sent_again(transfer, match):
            lost.append((transfer, text, match is not Match.MISSING and not transfer.foreign))
        elif match is not Match.SAME:
            raise no_longer_held(transfer, state.item_id, text)
        there = _others_at(transfer, places, by_path)
        on_record = state.own_at(transfer.place) if there else {}
        own = own_copies(transfer, there, on_record)
        own_files |= own
        if match is Match.SAME and (duplicate := find_duplicate(transfer, there, own)) is not None:
            duplicates.append((transfer, duplicate))
        different += [(transfer, file_id) for file_id in different_files(transfer, there, own)]
        foreign = [file for file in there if file.id not in own]
        if state.recovered and (replaceable := forgotten_files(transfer, foreign, on_record)):
            undecided.append((transfer, replaceable))
    if error is not None and not lost:
        raise error
    # Also of a dropped transfer: an empty file would prevent publishing.
    at = ((transfer, _others_at(transfer, places, by_path)) for transfer in state.transfers)
    recovered = state.recovered
    late = [(t, f) for t, there in at for f in late_files(t, there, state.files_on_record, recovered=recovered)]
    unfinished = [file for file in remote.others.values() if classify(file, Expected()) is Match.UNFINISHED]
    unplaced = [] if forget or lost else _elsewhere(remote.others.values(), places, by_path)
    check_none_lost(state, unplaced, folders)
    return ItemCheck(
        lost=tuple(lost),
        duplicates=tuple(duplicates),
        different=tuple(different),
        late=tuple(late),
        undecided=tuple(undecided),
        own=frozenset(own_files),
        forgotten=forgotten,
        unfinished=tuple(unfinished),
        public=item.is_public,
        unseen=_unseen(state, remote.others, folders),
    )


def _unseen(state: JobState, others: Mapping[int, File], folders: Mapping[int, str]) -> frozenset[int]:
    """Return the files on record of a damaged journal that no transfer owns, and that are not `others` of the item, or
    only without a folder: the server may have answered from a copy of its data that is older than they are.
    """
    if not state.recovered:
        return frozenset()

    def is_seen(file_id: int, place: int) -> bool:
        file = others.get(file_id)
        if file is None:
            return False
        path = file.download_url if file.is_link_only else file.path_among(folders)
        return file_id in folders or place_hash(path) == place

    kept = state.files_on_record.items()
    return frozenset(i for i, file in kept if not (state.owns(i) or is_seen(i, file.place)))


def check_none_lost(state: JobState, files: Iterable[File], folders: Mapping[int, str]) -> None:
    """Raise JournalDamaged if the upload of one of these files was begun, and a damaged journal has lost its source.

    `files` are in the place of no transfer. A complete one may be that of a transfer, and a person has renamed it.
    """
    lost = state.lost_uploads
    known = {place_hash(transfer.place) for transfer in state.transfers} if lost else set()
    for file in files:
        renamed = lost.get(file.id) in known and classify(file, Expected()) is not Match.UNFINISHED
        if file.id in lost and not renamed:
            path = printable(file.path_among(folders))
            raise JournalDamaged(
                f"{path}: its upload was begun (file {file.id} of item {state.item_id}), but the damaged journal has "
                "lost its source",
                hint="Upload all sources of the job again, or do without what is missing.",
                facts=Facts("begun-source-lost"),
            )


def _others_at(
    transfer: Transfer, places: Mapping[str, Sequence[str]], by_path: Mapping[str, Sequence[File]]
) -> list[File]:
    return [file for place in places.get(transfer.place, ()) for file in by_path[place]]


def _elsewhere(
    files: Iterable[File], places: Mapping[str, Sequence[str]], by_path: Mapping[str, Sequence[File]]
) -> list[File]:
    """Return the files that are in the place of no transfer."""
    placed = {file.id for paths in places.values() for path in paths for file in by_path[path]}
    return [file for file in files if file.id not in placed]


class _RemoteFiles:
    """The files of an item. Only the ids of unchanged ones are kept: there may be 100,000."""

    def __init__(self) -> None:
        self.as_sent: set[int] = set()
        """Files that match their transfers, except for the folder, which a listing does not have."""
        self.others: dict[int, File] = {}
        """All other files by id."""

    @classmethod
    async def listed(cls, api: Service, state: JobState, item_id: int, settle: float) -> _RemoteFiles:
        """List the item."""
        remote = cls()
        by_id = {transfer.file_id: transfer for transfer in (*state.active, *state.orphaned)}
        async for file in list_item(api, state, item_id, settle):
            transfer = by_id.get(file.id)
            if transfer is None or transfer.file_id is None or not _is_as_sent(file, transfer):
                remote.others[file.id] = file
            else:
                remote.as_sent.add(transfer.file_id)
        return remote

    async def read_again(self, api: Service, item_id: int, transfers: Sequence[Transfer]) -> None:
        """Read the files of these transfers one by one."""
        for file_id in [transfer.file_id for transfer in transfers if transfer.file_id is not None]:
            self.as_sent.discard(file_id)
            self.others.pop(file_id, None)
            with suppress(FileGone):
                self.others[file_id] = await api.file(item_id, file_id)

    def of(self, transfer: Transfer) -> File | None:
        """Return the file of a transfer; None if the item does not have it."""
        file_id = transfer.file_id or 0
        if file_id in self.others or file_id not in self.as_sent:
            return self.others.get(file_id)
        return File(id=file_id, name=transfer.name, size=transfer.size, status="available", computed_md5=transfer.md5)

    def not_owned_by(self, transfers: Iterable[Transfer]) -> Iterable[File]:
        """Return the files that none of these transfers created or found."""
        files = dict(self.others)
        for transfer in transfers:
            for file_id in transfer.owned_ids():
                files.pop(file_id, None)
        return files.values()


def _is_as_sent(file: File, transfer: Transfer) -> bool:
    same_name = file.name == transfer.name and not file.is_link_only
    return same_name and classify(file, expected_of(transfer)) is Match.SAME


async def _look(
    api: Service, state: JobState, item_id: int, settle: float, time_limit: float
) -> tuple[_RemoteFiles, Item]:
    """List the item's files and read the item; again what is in doubt: see `look_until_certain`."""
    remote = await _RemoteFiles.listed(api, state, item_id, settle)
    # The listing of files does not have the folders (official API description), and any file may have been moved.
    item = await read_item(api, state, item_id, settle)

    async def look_again(suspects: Sequence[Transfer]) -> Look:
        nonlocal remote, item
        if len(suspects) > MANY:
            remote = await _RemoteFiles.listed(api, state, item_id, settle)
        else:
            await remote.read_again(api, item_id, suspects)
        item = await read_item(api, state, item_id, settle)
        return Look(remote.of, item.folders)

    everyone = (*state.active, *state.orphaned)
    await look_until_certain(everyone, Look(remote.of, item.folders), look_again, api.clock, settle, time_limit)
    return remote, item


async def _with_folders_of_same(
    api: Service, state: JobState, others: Iterable[File], item: Item, settle: float
) -> Mapping[int, str]:
    """Return the item's folders, with those of files that others have just created and that equal the job's."""
    unplaced = [file for file in others if file.id not in item.folders]
    sent = {(composed(t.name), t.size, t.md5) for t in state.active if t.folder and not t.link} if unplaced else set()
    same = [file for file in unplaced if (composed(file.name), file.size, (file.computed_md5 or "").lower()) in sent]
    if not same:
        return item.folders
    placement = Placement(partial(read_item, api, state, item.id, settle), api.clock, settle)
    later = await placement.item_placing(same, listed_at=api.clock.monotonic())
    # Only these: the later answer may come from an older copy of the data.
    return {**item.folders, **{file.id: later.folders[file.id] for file in same if file.id in later.folders}}


def _all_of(changed: list[SourceChanged]) -> SourceChanged:
    """One error for all of them."""
    if len(changed) == 1:
        return changed[0]
    return SourceChanged(
        f"{len(changed)} files changed since they were sent and verified; the item holds the earlier versions",
        hint=changed[0].hint,
        facts=changed[0].facts,
        causes=changed,
    )


def _needs_rehash(transfers: list[Transfer], archives: Archives) -> list[Transfer]:
    """Return transfers whose sources' metadata has changed. Blocks; one call, since there may be a hundred thousand."""

    def is_unchanged(transfer: Transfer) -> bool:
        try:
            expected = transfer.expected in (None, transfer.md5) and archives.check_expected(transfer)
            return expected and matches_record(transfer, archives.stamp(transfer))
        except FigupError:
            return False

    return [transfer for transfer in transfers if not is_unchanged(transfer)]
