"""Steps shared by files and links: create a remote file exactly once; remove leftovers."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from contextlib import suppress

import anyio
import anyio.to_thread

from uploader.errors import Facts, FigupError, ItemNotFound, RequestRejected, ServerFailing, UploadFailing
from uploader.figshare.models import File, Upload
from uploader.figshare.outcomes import NO_EFFECT, AmbiguousAnswer, FileGone, UploadGone
from uploader.figshare.ratelimit import OnTurn
from uploader.figshare.retry import Backoff, poll
from uploader.text import printable
from uploader.transfer import notices as no
from uploader.transfer.compare import reappeared
from uploader.transfer.destination.ensure import learn_address
from uploader.transfer.destination.lookup import MayHaveSent, find_begun, find_file, find_leftovers, is_being_sent
from uploader.transfer.files.decide import must_search
from uploader.transfer.files.turns import listed, turn_to_start
from uploader.transfer.journal import events as ev
from uploader.transfer.journal.lifecycle import State, Step, Transfer, next_step
from uploader.transfer.journal.recovery import possible_initiation
from uploader.transfer.journal.state import ItemState
from uploader.transfer.run.context import JobRun
from uploader.transfer.run.listing import visible_within
from uploader.transfer.store.late_notes import leave_note
from uploader.transfer.store.places import Start

Steps = Mapping[Step, Callable[[], Awaitable[None]]]
_DELETION_PAUSES = (0.0, 1.0, 4.0)
"""Seconds before each attempt to delete a remote file: a server may still show it, from an old copy of its data."""


async def run_steps(run: JobRun, transfer: Transfer, steps: Steps) -> None:
    """Run steps until none is left. Raises Stopped, and what a step raises."""
    while (step := next_step(transfer)) is not Step.NOTHING:
        run.stop.check()
        await steps[step]()


async def read_upload(run: JobRun, upload_url: str, *, fresh: bool) -> Upload:
    """Ask the upload service for an upload, more than once before it counts as gone. Raises UploadGone.

    `fresh`: it was just begun, and the upload service may learn of it later than the API.
    """

    async def check() -> Upload | None:
        with suppress(UploadGone):
            return await run.api.upload(upload_url)
        return None

    time_limit = run.options.settle_timeout if fresh else run.gone_after
    return await poll(check, time_limit, run.clock) or await run.api.upload(upload_url)


async def read_file(run: JobRun, file_id: int, *, fresh: bool = False, pending_bytes: int = 0) -> File:
    """Look up a file as `RemoteListing.file` does, more than once before it counts as gone. Raises FileGone."""

    async def check() -> File | None:
        with suppress(FileGone):
            return await run.listing.file(file_id, fresh=fresh, pending_bytes=pending_bytes)
        return None

    return await poll(check, run.gone_after, run.clock) or await run.listing.file(file_id)


async def initiate(
    run: JobRun,
    transfer: Transfer,
    ask: Callable[[OnTurn], Awaitable[int]],
    backoff: Backoff,
    known: Iterable[int],
    seen: frozenset[Start],
) -> bool:
    """Journal the intent and `ask` for the remote file; False if it needs another step: the outcome is unknown, or
    another job here started something in that place.

    `known` are ids that the new file cannot have, `seen` is `PlaceLog.seen` before the decision to start it. Raises
    what `ask` and `JobRun.wait_to_try_again` raise.
    """
    item_seen = run.state.item_state is ItemState.READY

    def intent() -> ev.UploadIntended:
        return ev.UploadIntended(transfer.index, at=run.api.server_now().isoformat(), known=tuple(sorted(known)))

    try:
        async with turn_to_start(run, transfer, seen) as decided:
            if not decided:
                return False
            try:
                file_id = await run.send_intended(intent, ask)
            except NO_EFFECT:
                if transfer.state is State.INITIATING:
                    await run.commit(ev.NotInitiated(transfer.index))
                raise
            try:
                await run.commit(ev.UploadInitiated(transfer.index, id=file_id))
            finally:
                if run.lock.lost:
                    await _leave_note(run, transfer, file_id)
    except AmbiguousAnswer as outcome:
        reason = f"{printable(transfer.path)}: {outcome.reason}; checking whether it took effect"
        await run.wait_to_try_again(backoff, reason)
        return False
    except ItemNotFound as error:
        if item_seen:
            await run.once_visible(lambda: run.api.item(run.item_id))
            if backoff.since is None and visible_within(run.api, run.state, run.options.settle_timeout):
                with suppress(ServerFailing):  # no retry is allowed
                    await run.wait_to_try_again(backoff, f"{printable(transfer.path)}: not accepted yet (404)")
                    return False
            rejected = f"Figshare has item {run.item_id}, but rejects files for it (404)"
            raise RequestRejected(
                ": ".join(filter(None, [printable(transfer.path), rejected, error.server_message])),
                hint="Try again later; if it happens again, report this message to the server's operator.",
                path=transfer.path,
                facts=Facts("refused-unexplained"),
                status=404,
            ) from None
        # Just created: it may not be visible everywhere yet.
        await learn_address(run)
        return False
    return True


async def _leave_note(run: JobRun, transfer: Transfer, file_id: int) -> None:
    """Leave a note about a remote file that was created after the job was lost, for its new holder."""
    folder = run.states.folder(run.job)
    with anyio.CancelScope(shield=True), suppress(FigupError):
        await anyio.to_thread.run_sync(leave_note, folder, run.states.disk, transfer.index, file_id)


async def look_up(run: JobRun, transfer: Transfer, may_have_sent: MayHaveSent | None = None) -> None:
    """Look up the effect of an intent. `may_have_sent`: see `find_upload`."""
    file_id = await find_file(run, transfer, may_have_sent)
    if file_id is None:
        await run.commit(ev.NotInitiated(transfer.index, looked=True))
    else:
        await run.commit(ev.UploadInitiated(transfer.index, id=file_id, found=True))


async def take_back(run: JobRun, transfer: Transfer) -> bool:
    """Continue with a file that this transfer may have already, instead of initiating one; False if there is none."""

    async def owners() -> Collection[int]:
        return (await anyio.to_thread.run_sync(run.states.foreign_ids, run.job))[1]

    there = [file for file in listed(run, transfer) if file.id not in run.listing.removed]
    if must_search(run.state, transfer, there):
        await run.commit(possible_initiation(run.state, transfer))
        return True
    back, restart = reappeared(transfer, there), run.options.restart_changed
    file_id = (
        back.id if back is not None else await find_begun(run.api, run.state, transfer, there, owners, restart=restart)
    )
    if file_id is None:
        return False
    await _adopt(run, transfer, file_id)
    return True


async def take_identical(
    run: JobRun, transfer: Transfer, file_id: int, md5: str, on_verified: Callable[[], None]
) -> None:
    """Take an identical file of the item instead of sending one. One on record is the job's, and is checked as such."""
    if file_id in run.state.own_at(transfer.place):
        await _adopt(run, transfer, file_id)
        return
    await run.commit(ev.FoundIdentical(transfer.index, id=file_id, md5=md5))
    on_verified()
    run.notify(no.FileVerified(path=transfer.path, file_id=file_id, md5=md5))


async def _adopt(run: JobRun, transfer: Transfer, file_id: int) -> None:
    at = run.api.server_now().isoformat()
    await run.commit(ev.UploadIntended(transfer.index, at=at, known=transfer.known))
    await run.commit(ev.UploadInitiated(transfer.index, id=file_id, found=True))


async def remove_remnants(run: JobRun, transfer: Transfer) -> None:
    """Remove remote files of abandoned uploads."""
    for file_id in transfer.remnants:
        await remove(run, transfer, file_id)
        await run.commit(ev.RemnantRemoved(transfer.index, file_id))


async def remove_superseded(run: JobRun, transfer: Transfer) -> None:
    """Remove what the verified file replaces: its earlier versions and bad copies, and what the user wants replaced.
    Hours may have passed since that was decided: a file that was renamed, moved or completed since is kept.
    """
    for file_id in (*transfer.superseded, *transfer.replaces):
        with run.stop.interruptible():
            reason = await _reason_to_keep(run, transfer, file_id)
        if reason is None:
            await remove(run, transfer, file_id)
        else:
            which = "which was to be replaced" if file_id in transfer.replaces else "an earlier copy of this job"
            text = f"file {file_id} of item {run.item_id}, {which}, {reason}; it is kept"
            run.notify(no.Warned(message=f"{printable(transfer.path)}: {text}"))
        await run.commit(ev.RemnantRemoved(transfer.index, file_id, kept=reason is not None))


async def _reason_to_keep(run: JobRun, transfer: Transfer, file_id: int) -> str | None:
    """Return the reason, as a predicate, why a file must not be removed any longer; None if it may, or is gone."""
    if file_id in transfer.replaces and run.options.on_conflict == "keep":
        return "must be kept by the options of this run"
    # This job has put its own ones where they should be.
    until = math.inf if transfer.folder or file_id in transfer.replaces else -math.inf
    try:
        file = await run.listing.in_place(file_id, transfer.folder, transfer.name, until)
    except FileGone:
        return None
    if file is None:
        return "has been renamed or moved since"
    if file_id not in transfer.replaces_unfinished:
        return None
    if file.status != "created":
        return "has been completed since"
    return "is being sent now" if await is_being_sent(run.api, run.item_id, file) else None


async def remove_leftovers(run: JobRun, transfer: Transfer) -> None:
    """Search once more for late effects of earlier requests: remove them, or warn if they may be another's."""
    with run.stop.interruptible():
        ours, doubtful = await find_leftovers(run, transfer)
    for file_id in ours:
        await remove(run, transfer, file_id)
    for file_id in doubtful:
        name_doubtful(run, transfer, file_id)
    await run.commit(ev.LeftoversRemoved(transfer.index))


def name_doubtful(run: JobRun, transfer: Transfer, file_id: int) -> None:
    """Warn once per run about an unfinished file that may be this job's or someone else's."""
    if file_id in run.named_files:
        return
    run.named_files.add(file_id)
    run.notify(
        no.Warned(
            message=f"{printable(transfer.path)}: item {run.item_id} also holds an unfinished file {file_id} of "
            "this name, which may come from a request of this job whose response was lost, or from another user; "
            "it is kept",
            facts=Facts("unfinished-kept", item_id=run.item_id),
        )
    )


async def remove(run: JobRun, transfer: Transfer | None, file_id: int) -> None:
    """Delete a remote file, of a transfer or of none, and check that it is gone. Raises UploadFailing."""
    for pause in _DELETION_PAUSES:
        await run.clock.sleep(pause)
        await run.api.delete_file(run.item_id, file_id, on_turn=run.lock.confirm)
        try:
            await run.api.file(run.item_id, file_id)
        except FileGone:
            run.journal.kept.files.pop(file_id, None)
            run.listing.removed.add(file_id)
            return
    text = f"Figshare does not remove file {file_id} of item {run.item_id}"
    if transfer is None:
        raise UploadFailing(text)
    raise UploadFailing(f"{printable(transfer.path)}: {text}", path=transfer.path)


async def is_unfinished(run: JobRun, file_id: int, *, fresh: bool = False) -> bool:
    """Return False if Figshare has the complete file, with or without its MD5; True also if it is gone.

    `fresh`: the file was never seen yet, and may appear with a delay.
    """
    try:
        file = await run.api.file(run.item_id, file_id, fresh=fresh)
    except FileGone:
        return True
    return await awaits_parts(run, file)


async def awaits_parts(run: JobRun, file: File) -> bool:
    """Return True if a file is not complete, by its upload, too."""
    return file.status == "created" and file.upload_url is not None and not await _is_complete(run, file.upload_url)


async def _is_complete(run: JobRun, upload_url: str) -> bool:
    """Return True if the upload was completed, which the file's status may not show yet."""
    try:
        upload = await run.api.upload(upload_url)
    except UploadGone:
        return False
    return upload.status == "completed"
