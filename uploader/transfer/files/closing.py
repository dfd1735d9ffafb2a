"""The closing check: before success is reported, every file of the job is compared with a new listing of the item."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import msgspec

from uploader.errors import Conflict, Facts, Md5Pending
from uploader.figshare.models import File
from uploader.figshare.outcomes import FileGone
from uploader.figshare.retry import poll
from uploader.items.reconcile import GONE_AFTER
from uploader.text import printable
from uploader.transfer import notices as no
from uploader.transfer.compare import Expected, Match, classify, expected_of
from uploader.transfer.files import steps
from uploader.transfer.files.conflicts import refused
from uploader.transfer.files.decide import advise_replacing, decide, effective_policy
from uploader.transfer.files.late import remove_late_files
from uploader.transfer.journal import events as ev
from uploader.transfer.journal.lifecycle import Transfer
from uploader.transfer.recheck import ItemCheck, check_item, forget_events
from uploader.transfer.run.context import JobRun


async def check_files(run: JobRun) -> ItemCheck:
    """Compare every file with a new listing: observations from hours or runs ago may be out of date.

    Raises Conflict if a file is gone, which the next run sends again, and what `check_item` raises.
    """
    settle, now = run.options.settle_timeout, run.clock.monotonic
    if run.unseen_until is None:
        run.unseen_until = now() + settle
    # A file sent in this run does not count as lost or changed until every copy of the server's data must show it, nor
    # does one on record count as removed by somebody.
    time_limit = settle if run.verified or run.state.recovered else 0.0
    unseen_until, end, last = run.unseen_until, now() + settle, now() + time_limit

    async def attempt() -> ItemCheck | None:
        began = now()
        left = max(min(GONE_AFTER, settle), end - began)  # all attempts have one time limit
        try:
            forget = run.options.forget_missing
            found = await check_item(run.api, run.state, settle, forget=forget, time_limit=left)
        except (Conflict, Md5Pending) as error:
            if began >= last or all(run.state.transfers[index].path != error.path for index in run.verified):
                raise
            return None
        is_lost = any(transfer.index in run.verified for transfer, _, _ in found.lost)
        may_be_old = is_lost or (found.unseen and began < unseen_until)
        return None if may_be_old and began < last else found

    with run.stop.interruptible():
        check = await poll(attempt, time_limit, run.clock)
    if check is None:
        raise RuntimeError("the last attempt gives a result")
    check = await _without_removed(run, check)
    for event in forget_events(check):
        await run.commit(event)
    for transfer, _, exists in check.lost:
        await run.commit(ev.RemoteLost(transfer.index, exists))
    if check.lost:
        transfer, text, _ = check.lost[0]
        more = f" (and {len(check.lost) - 1} more)" if len(check.lost) > 1 else ""
        raise Conflict(
            f"{printable(transfer.path)}: was sent and verified, but {text} now{more}",
            hint="The next run sends it again.",
            facts=Facts("lost-in-item"),
            path=transfer.path,
        )
    if await resolve_others(run, check):
        return await check_files(run)
    await remove_late_files(run, check.late)
    run.item_is_public = check.public
    return check


async def _without_removed(run: JobRun, check: ItemCheck) -> ItemCheck:
    """Leave out files that this run has removed: a listing from a copy of the server's data may still have them.

    One that was only hidden when it was removed is there again, and is not left out.
    """
    found = {file.id for _, file in check.late}.union(file.id for file in check.unfinished)
    found |= {file.id for _, files in check.undecided for file in files}
    found |= {file_id for _, file_id in (*check.duplicates, *check.different)}
    gone = {file_id for file_id in found & run.listing.removed if await _is_gone(run, file_id)}
    if not gone:
        return check
    others = ((t, tuple(file for file in files if file.id not in gone)) for t, files in check.undecided)
    return msgspec.structs.replace(
        check,
        duplicates=tuple((t, i) for t, i in check.duplicates if i not in gone),
        different=tuple((t, i) for t, i in check.different if i not in gone),
        late=tuple((t, file) for t, file in check.late if file.id not in gone),
        undecided=tuple((t, files) for t, files in others if files),
        unfinished=tuple(file for file in check.unfinished if file.id not in gone),
    )


async def _is_gone(run: JobRun, file_id: int) -> bool:
    try:
        await run.api.file(run.item_id, file_id)
    except FileGone:
        return True
    return False


async def resolve_others(run: JobRun, check: ItemCheck) -> bool:
    """Decide about the other files in the places of the job's files.

    Return True if one was removed: then the files must be checked again. Raises Conflict if the user must decide.
    """
    until = run.clock.monotonic() + run.options.settle_timeout
    replaced = [await _replace_forgotten(run, transfer, files, until) for transfer, files in check.undecided]
    found = (*check.different, *check.duplicates)
    own = [(transfer, file_id) for transfer, file_id in found if file_id in check.own]
    removed = [await _keep_one(run, transfer, file_id, until) for transfer, file_id in own]
    if any(replaced) or any(removed):
        return True
    for transfer, other in check.different if run.options.on_conflict != "keep" else ():
        if (transfer, other) not in own:
            _warn_of_different(run, transfer, other)
    return await _remove_duplicates(run, [duplicate for duplicate in check.duplicates if duplicate not in own], until)


async def _keep_one(run: JobRun, transfer: Transfer, lost: int, until: float) -> bool:
    """Remove this job's own copy that had counted as gone and has reappeared, or that a damaged journal lost. Of two
    identical copies of which the first had counted as gone, remove the later one.

    Returns True if one was removed. `until`: see `_still_exists`.
    """
    own = transfer.file_id
    if own is None or not await _still_exists(run, transfer, own, until):
        return False
    earlier = lost in transfer.lost and lost < own and not transfer.foreign
    if earlier and await _still_exists(run, transfer, lost, until):
        await _replace_by(run, transfer, own, lost)
        return True
    return await _remove_in_place(run, transfer, lost, until)


async def _remove_in_place(run: JobRun, transfer: Transfer, file_id: int, until: float) -> bool:
    """Remove a file of this job unless it is gone, or was renamed or moved; True if it was removed. `until`: see
    `_still_exists`.
    """

    async def look() -> bool | None:
        with suppress(FileGone):
            return await run.listing.in_place(file_id, transfer.folder, transfer.name, until) is not None
        return None

    if not transfer.link:
        with run.stop.interruptible():
            if not await poll(look, until - run.clock.monotonic(), run.clock):
                return False
    await steps.remove(run, transfer, file_id)
    return True


async def _replace_by(run: JobRun, transfer: Transfer, own: int, duplicate: int) -> None:
    """Remove this job's own file in favor of an identical one."""
    await run.commit(ev.DuplicateFound(transfer.index, duplicate))
    await steps.remove(run, transfer, own)
    await run.commit(ev.RemnantRemoved(transfer.index, own))


async def _replace_forgotten(run: JobRun, transfer: Transfer, files: Sequence[File], until: float) -> bool:
    """Decide again about files whose planned replacement the journal may have lost; True if they were replaced. Files
    that appeared in this run are kept, as with an intact journal. `until`: see `_still_exists`. Raises Conflict.
    """
    on_conflict = effective_policy(run.options.on_conflict, record_lost=transfer.record_lost)
    if run.listing.is_loaded:
        listed = run.listing.foreign_files.get(transfer.remote_path, ())
        before = {file.id for file in listed if file.status != "created"}
        for file in (file for file in files if file.id not in before and on_conflict != "keep"):
            _warn_of_different(run, transfer, file.id)
        files = [file for file in files if file.id in before]
    versions = [file.id for file in files if file.id in run.state.own_at(transfer.place)]
    if run.options.restart_changed:
        if any([await _remove_in_place(run, transfer, file_id, until) for file_id in versions]):
            return True
        files = [file for file in files if file.id not in versions]
    if not (transfer.record_lost or on_conflict == "replace" or versions):
        return False  # files from before are on record
    decision = decide(Expected(size=transfer.size, md5=transfer.md5), files, {}, on_conflict)
    if decision.action == "refuse":
        raise refused(transfer, advise_replacing(decision))
    if not decision.replaces:
        return False
    await run.commit(ev.ReplacementPlanned(transfer.index, decision.replaces))
    await steps.remove_superseded(run, transfer)
    return True


async def _remove_duplicates(run: JobRun, duplicates: Sequence[tuple[Transfer, int]], until: float) -> bool:
    """Remove this job's own file where the item holds an identical one that was created earlier; name later ones.

    Return True if one was removed: then the files must be checked again, since the other file's owner may remove it at
    the same time. `until`: see `_still_exists`.
    """
    removed = False
    for transfer, duplicate in duplicates:
        own = transfer.file_id
        if own is None or duplicate > own:
            text = f"item {run.item_id} holds an identical file {duplicate} of the same name that was created later"
            run.notify(no.Warned(message=f"{printable(transfer.path)}: {text}"))
        elif await _still_exists(run, transfer, duplicate, until):
            await _replace_by(run, transfer, own, duplicate)
            removed = True
    return removed


def _warn_of_different(run: JobRun, transfer: Transfer, file_id: int) -> None:
    text = f"item {run.item_id} also holds a different file {file_id} of the same name"
    run.notify(no.Warned(message=f"{printable(transfer.path)}: {text}"))


async def _still_exists(run: JobRun, transfer: Transfer, file_id: int, until: float) -> bool:
    """Read a copy once more before another one is removed; if it seems to be gone or different, again until that time
    (monotonic seconds), which all files of a check have in common.
    """
    expected = msgspec.structs.replace(expected_of(transfer), file_id=file_id)

    async def look() -> bool | None:
        with suppress(FileGone):
            file, now = await run.api.file(run.item_id, file_id), run.clock.monotonic()
            if transfer.link:
                return classify(file, expected) is Match.SAME or None
            item = await run.listing.placement.item_placing(
                [file], listed_at=now, until=until, in_folder=bool(expected.folder)
            )
            there = run.listing.placement.folder_of(file_id, item)
            return classify(file, expected, there) is Match.SAME or None
        return None

    with run.stop.interruptible():
        return await poll(look, until - run.clock.monotonic(), run.clock) is True
