"""Mutual exclusion for starting a remote file: two jobs on this machine never start the same one in the same item.

The decision to start a file is based on a listing of the item. Under the lock it is only checked that no other job has
started the same file since; otherwise the item is listed again. The lock is therefore held for one request, not while
sources are read or parts are sent.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager

import anyio
import anyio.to_thread

from uploader.errors import Conflict, Facts
from uploader.figshare.models import File
from uploader.figshare.outcomes import FileGone
from uploader.text import composed, printable
from uploader.transfer.compare import Expected, Match, classify
from uploader.transfer.journal.lifecycle import OPEN, State, Transfer
from uploader.transfer.run.context import JobRun, StartedElsewhere
from uploader.transfer.store.jobs import JobStore
from uploader.transfer.store.places import Refusal, Start

_FIRST_PAUSE, _FACTOR, _MAX_PAUSE = 0.05, 1.5, 1.0
"""Seconds between two attempts to take the lock: the first pause, its growth factor, the longest."""
_BEGUN = frozenset({*OPEN, State.INITIATING, State.FAILED})


@asynccontextmanager
async def turn_to_start(run: JobRun, transfer: Transfer, seen: frozenset[Start]) -> AsyncIterator[bool]:
    """Hold the lock for starting this remote file; wait for other processes. Raises Stopped.

    `seen` is `PlaceLog.seen` before the decision to start it. Yields False, without the lock, if another job has
    started the same file since: decide again.
    """
    with run.stop.interruptible():
        await run.turns.acquire()
    try:
        turn = await _take(run, transfer, seen)
        if isinstance(turn, Refusal):
            yield False
            return
        try:
            yield True
        finally:
            os.close(turn)
    finally:
        run.turns.release()


async def _take(run: JobRun, transfer: Transfer, seen: frozenset[Start]) -> int | Refusal:
    """Return the descriptor of the lock, or OUTDATED after the item was listed again. Raises Stopped."""
    pause = _FIRST_PAUSE
    with run.stop.interruptible():
        while True:
            # Shielded, so that no descriptor is lost.
            with anyio.CancelScope(shield=True):
                turn = await anyio.to_thread.run_sync(run.places.begin, place_of(transfer), seen)
            if turn is not Refusal.TAKEN:
                break
            await run.clock.sleep(pause)
            pause = min(pause * _FACTOR, _MAX_PAUSE)
        if isinstance(turn, Refusal):
            await _look_again(run, seen)
        return turn


async def list_again_if_old(run: JobRun) -> bool:
    """List the item again if the listing that the decision to start a file is based on is old: True if it was.

    Other users and machines may have put a file in its place since. Raises Stopped, ItemNotFound.
    """
    if run.options.on_conflict == "keep" or not run.listing.is_old:
        return False
    with run.stop.interruptible():
        async with run.looking_again:
            if run.listing.is_old:
                await run.listing.refresh()
    return True


async def add_unlisted(run: JobRun, transfer: Transfer) -> None:
    """Add files that other jobs here have started in this place to the listing, if they are missing there.

    Raises Conflict if Figshare does not show such a file yet.
    """
    place = place_of(transfer)
    if run.options.on_conflict == "keep" or place not in run.started_elsewhere:
        return
    # Removed before the requests: another task may add to them meanwhile.
    entries, of_others = _split(run, transfer, run.started_elsewhere.pop(place))
    _note(run, place, of_others)
    try:
        shown = [(entry, file) for entry in entries if (file := await _unlisted(run, transfer, entry)) is not None]
    except BaseException:
        _note(run, place, entries)
        raise
    existing = listed(run, transfer)
    if not existing and shown and all(entry.path != transfer.place for entry, _ in shown):
        run.listing.spellings[transfer.place] = shown[0][0].path
    existing += [file for _, file in shown if all(file.id != listed.id for listed in existing)]


def _split(
    run: JobRun, transfer: Transfer, entries: Sequence[StartedElsewhere]
) -> tuple[list[StartedElsewhere], list[StartedElsewhere]]:
    """Return the entries that concern the transfer, and those with the spelling of another file of the job."""
    path = transfer.place
    otherwise = {entry.path for entry in entries} - {path}
    of_others = otherwise.intersection(other.place for other in run.state.active) if otherwise else otherwise
    return [e for e in entries if e.path not in of_others], [e for e in entries if e.path in of_others]


def place_of(transfer: Transfer) -> str:
    """Return the key that is unique within an item: folder and name, or a link's address.

    Names that differ only in Unicode composition are one file (`compare.paths_in_item`), so they share a key.
    """
    return transfer.path if transfer.link else composed(transfer.remote_path)


def listed(run: JobRun, transfer: Transfer) -> list[File]:
    """Return the listing's files in the transfer's place that were not the job's, to be read or changed."""
    return (run.listing.links if transfer.link else run.listing.foreign_files).setdefault(transfer.place, [])


def known_ids(run: JobRun, transfer: Transfer) -> set[int]:
    """Return the ids in the transfer's place that a new file cannot have, and that are no late effects of this job.

    If the record of an initiation may be lost, an unfinished file in an item that the job created may be its effect.
    """
    files: Iterable[File] = listed(run, transfer)
    if transfer.record_lost and run.state.creates_item:
        files = (file for file in files if classify(file, Expected()) is not Match.UNFINISHED)
    return ({file.id for file in files} | transfer.owned_ids()).difference(transfer.lost)


def _note(run: JobRun, place: str, entries: Iterable[StartedElsewhere]) -> None:
    """Add entries to the place, unless it has later ones of the same job and path."""
    there = run.started_elsewhere.setdefault(place, [])
    later = {(entry.job, entry.path) for entry in there}
    there += [entry for entry in entries if (entry.job, entry.path) not in later]
    if not there:
        del run.started_elsewhere[place]


async def _unlisted(run: JobRun, transfer: Transfer, entry: StartedElsewhere) -> File | None:
    """Return the file if the listing lacks it; None if it is not needed or gone. Raises Conflict."""
    if entry.file_id in transfer.owned_ids() or any(file.id == entry.file_id for file in listed(run, transfer)):
        return None
    found = await _shown(run, entry.file_id) if entry.file_id is not None else None
    if found is None and entry.unfinished:
        raise Conflict(
            f"{printable(transfer.remote_path)}: job {entry.job} on this machine has started a file of that name in "
            "the item",
            hint=f"Continue job {entry.job}, or cancel it.",
            path=transfer.path,
            facts=Facts("started-here", job=entry.job),
        )
    return found


async def _shown(run: JobRun, file_id: int) -> File | None:
    try:
        return await run.api.file(run.item_id, file_id)
    except FileGone:
        return None


async def _look_again(run: JobRun, seen: frozenset[Start]) -> None:
    """List the item again, and read what other jobs have started, unless another task did so since `seen`."""
    async with run.looking_again:
        if run.places.seen is not seen:
            return
        found, jobs = await anyio.to_thread.run_sync(run.places.survey_all)
        await run.listing.refresh()
        started = await anyio.to_thread.run_sync(_started_by, run.states, jobs, run.item_id)
        for place, entries in started.items():
            earlier = run.started_elsewhere.pop(place, [])
            _note(run, place, entries)
            _note(run, place, earlier)
        # Last: from now on decisions rely on this listing for these starts.
        run.places.seen = found


def _started_by(states: JobStore, jobs: frozenset[str], item_id: int) -> Mapping[str, list[StartedElsewhere]]:
    """Return the files that these jobs have started in the item, by place. Blocks."""
    found: dict[str, list[StartedElsewhere]] = {}
    for job in sorted(jobs):
        state = states.readable_state(job)
        if state is None or state.item_id != item_id:
            continue
        for transfer in state.transfers:
            if transfer.file_id is not None or transfer.intended_at is not None:
                entry = StartedElsewhere(
                    job=job, path=transfer.place, file_id=transfer.file_id, unfinished=transfer.state in _BEGUN
                )
                found.setdefault(place_of(transfer), []).append(entry)
    return found
