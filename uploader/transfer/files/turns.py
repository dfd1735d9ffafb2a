"""Mutual exclusion for starting a remote file: two jobs on this machine never start the same one in the same item.

The decision to start a file is based on a listing of the item. Under the lock it is only checked that no other job has
started the same file since; otherwise the item is listed again. So the lock is held for one request, not while sources
are read or parts are sent.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import anyio
import anyio.to_thread

from uploader.errors import Conflict, Facts
from uploader.figshare.models import File
from uploader.figshare.outcomes import FileGone
from uploader.text import printable
from uploader.transfer.journal.lifecycle import OPEN, State, Transfer
from uploader.transfer.run.context import JobRun
from uploader.transfer.store.jobs import JobStore
from uploader.transfer.store.places import Turn

_FIRST_PAUSE, _FACTOR, _LONGEST_PAUSE = 0.05, 1.5, 1.0
"""Seconds between two attempts to take the lock: the first pause, its growth factor, the longest."""
_BEGUN = frozenset({*OPEN, State.INITIATING, State.FAILED})


@asynccontextmanager
async def turn_to_start(run: JobRun, transfer: Transfer) -> AsyncIterator[bool]:
    """Hold the lock for starting this remote file; wait for other processes. Raises Stopped.

    Yields False, without the lock, if another job has started the same file: decide again.
    """
    pause = _FIRST_PAUSE
    with run.stop.interruptible():
        while True:
            # Shielded, so that no descriptor is lost.
            with anyio.CancelScope(shield=True):
                turn = await anyio.to_thread.run_sync(run.places.begin, place_of(transfer))
            if turn is not Turn.TAKEN:
                break
            await run.clock.sleep(pause)
            pause = min(pause * _FACTOR, _LONGEST_PAUSE)
        if isinstance(turn, Turn):
            await _look_again(run)
    if isinstance(turn, Turn):
        yield False
        return
    try:
        yield True
    finally:
        os.close(turn)


async def add_unlisted(run: JobRun, transfer: Transfer) -> None:
    """Add files that other jobs here have started in this place to the listing, if that lacks them.

    Raises Conflict if Figshare does not show such a file yet.
    """
    place = place_of(transfer)
    if run.options.on_conflict == "keep" or place not in run.started_elsewhere:
        return
    held = (run.listing.links if transfer.link else run.listing.foreign_files).setdefault(place, [])
    for job, file_id, unfinished in run.started_elsewhere[place]:
        if any(file.id == file_id for file in held) or file_id in transfer.owned_ids():
            continue
        found = await _shown(run, file_id) if file_id is not None else None
        if found is not None:
            held.append(found)
        elif unfinished:
            raise Conflict(
                f"{printable(transfer.remote_path)}: job {job} on this machine has started a file of that name in the "
                "item",
                hint=f"Continue job {job}, or cancel it.",
                path=transfer.path,
                facts=Facts("started-here", job=job),
            )
    del run.started_elsewhere[place]


def place_of(transfer: Transfer) -> str:
    """Return the key that is unique within an item: folder and name, or a link's address."""
    return transfer.path if transfer.link else transfer.remote_path


async def _shown(run: JobRun, file_id: int) -> File | None:
    try:
        return await run.api.file(run.item_id, file_id)
    except FileGone:
        return None


async def _look_again(run: JobRun) -> None:
    jobs = await anyio.to_thread.run_sync(run.places.survey_all)
    await run.listing.refresh()
    started = await anyio.to_thread.run_sync(_started_by, run.states, jobs, run.item_id)
    run.started_elsewhere.update(started)


def _started_by(
    states: JobStore, jobs: frozenset[str], item_id: int
) -> Mapping[str, list[tuple[str, int | None, bool]]]:
    """Return the files that these jobs have started in the item, by key. Blocks."""
    found: dict[str, list[tuple[str, int | None, bool]]] = {}
    for job in sorted(jobs):
        state = states.readable_state(job)
        if state is None or state.item_id != item_id:
            continue
        for transfer in state.transfers:
            if transfer.file_id is not None or transfer.intended_at is not None:
                entry = (job, transfer.file_id, transfer.state in _BEGUN)
                found.setdefault(place_of(transfer), []).append(entry)
    return found
