"""Look up the facts for a decision about a file: the source's MD5, other jobs' files, unfinished uploads."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

import anyio.to_thread

from uploader.errors import Conflict, Facts
from uploader.figshare.models import File, Upload
from uploader.figshare.outcomes import UploadGone
from uploader.text import printable
from uploader.transfer import notices as no
from uploader.transfer.compare import Expected, Match, classify, is_replaced, needs_md5
from uploader.transfer.destination.lookup import is_untouched
from uploader.transfer.files.content import SourceSession
from uploader.transfer.files.decide import (
    Decision,
    advise_replacing,
    decide,
    effective_policy,
    spelled_otherwise,
)
from uploader.transfer.journal import events as ev
from uploader.transfer.journal.lifecycle import Transfer
from uploader.transfer.journal.state import JobState
from uploader.transfer.options import OnConflict
from uploader.transfer.run.context import JobRun
from uploader.transfer.run.service import Service

Owners = Callable[[], Awaitable[Mapping[int, str]]]
"""Reads which remote files other jobs on this machine own, and which job that is."""


async def resolve(
    api: Service, source: Expected, existing: Sequence[File], owners: Owners, on_conflict: OnConflict
) -> Decision:
    """Decide what happens to a source; owners and uploads are looked up only where they matter."""
    decision = decide(source, existing, {}, on_conflict)
    unfinished = [file for file in existing if classify(file, source) is Match.UNFINISHED]
    undecided = decision.action == "replace" or (on_conflict == "skip" and decision.match is Match.UNFINISHED)
    if not unfinished or not undecided:
        return decision
    owned = await owners()
    uploads = {
        file.id: await _upload(api, file.upload_url)
        for file in unfinished
        if file.upload_url is not None and file.id not in owned
    }
    return decide(source, existing, owned, on_conflict, uploads)


def without_replaced(state: JobState, place: str, source: Expected, others: Sequence[File]) -> list[File]:
    """Leave out what the closing check removes from a place: what `is_replaced`, unless it is another transfer's."""
    on_record = state.own_at(place)
    return [file for file in others if not is_replaced(file, source, on_record) or state.owns(file.id)]


async def find_late(api: Service, item_id: int, transfer: Transfer, others: Sequence[File], owners: Owners) -> set[int]:
    """Return the ids of unfinished files that an abandoned initiation of this transfer may have created late.

    They were not there before it, no job here owns them, and they have no parts: see `destination.lookup.find_upload`.
    """
    if not transfer.unanswered:
        return set()
    unfinished = [file for file in others if classify(file, Expected()) is Match.UNFINISHED]
    sizes = {transfer.size, *transfer.earlier_sizes}
    new = [file for file in unfinished if file.size in sizes and file.id not in transfer.known]
    owned = await owners() if new else {}
    return {file.id for file in new if file.id not in owned and await is_untouched(api, item_id, file)}


async def _others(run: JobRun, transfer: Transfer, owners: Owners) -> Sequence[File]:
    """Return the item's files in the transfer's place that decide whether it is sent."""
    there = run.listing.foreign_files.get(transfer.remote_path, ())
    mine = transfer.owned_ids().union(run.listing.removed, transfer.lost)
    # A file of another transfer may have been moved here.
    others = [file for file in there if file.id not in mine and not run.state.owns_elsewhere(file.id, transfer.place)]
    if transfer.record_lost:
        return _without_unfinished(run, transfer, others)
    if run.options.on_conflict != "replace":
        late = await find_late(run.api, run.item_id, transfer, others, owners)
        others = [file for file in others if file.id not in late]
        if late:
            # It was not known before the next initiation; it is removed or reported once the file is verified.
            run.listing.foreign_files[transfer.remote_path] = others
    return others


async def identical_file(run: JobRun, transfer: Transfer, content: SourceSession) -> tuple[int, str] | None:
    """Id and MD5 of the item's file that is identical to the source; None if it must be sent.

    Journals which files to remove once it is verified. Raises Conflict if the user's choice forbids to send it.
    """

    async def owners() -> Mapping[int, str]:
        return await anyio.to_thread.run_sync(run.states.owners, run.job)

    others = await _others(run, transfer, owners)
    if not others:
        # No such file, or the item was not listed because an earlier run has decided: keep that decision.
        return None
    md5: str | None = None
    on_conflict = effective_policy(run.options.on_conflict, record_lost=transfer.record_lost)
    if on_conflict != "fail" and needs_md5(others, transfer.size):
        md5 = await content.md5()
        content.release()

    source = Expected(size=transfer.size, md5=md5)
    others = without_replaced(run.state, transfer.place, source, others)
    decision = await resolve(run.api, source, others, owners, on_conflict)
    if decision.action == "refuse":
        raise refused(transfer, advise_replacing(decision) if transfer.record_lost else decision)
    to_remove = (file for file in others if file.id in decision.replaces)
    unfinished = tuple(file.id for file in to_remove if classify(file, source) is Match.UNFINISHED)
    if (decision.replaces, set(unfinished)) != (transfer.replaces, set(transfer.replaces_unfinished)):
        # Also if an earlier run planned to remove files that are kept now, or that have been completed since.
        await run.commit(ev.ReplacementPlanned(transfer.index, decision.replaces, unfinished))
    if decision.remark and not transfer.record_lost:  # else the closing check decides about those others
        run.notify(no.Warned(message=f"{printable(transfer.remote_path)}: {decision.remark}"))
    if decision.action == "skip" and (spelling := run.listing.spellings.get(transfer.remote_path)) is not None:
        text = f"{printable(transfer.remote_path)}: {spelled_otherwise(spelling)}; it is not sent again"
        run.notify(no.Warned(message=text))
    if decision.action != "skip" or decision.file is None or md5 is None:
        return None
    return decision.file.id, md5


def refused(transfer: Transfer, decision: Decision) -> Conflict:
    """Make the error of a decision to refuse a transfer."""
    name = printable(transfer.remote_path)
    return Conflict(f"{name}: {decision.reason}", hint=decision.hint, path=transfer.path, facts=decision.facts)


def _without_unfinished(run: JobRun, transfer: Transfer, others: Sequence[File]) -> list[File]:
    """Leave out unfinished uploads if the record of this job's own uploads is lost; warn that they are kept in an item
    that the user named. In the job's own item they are looked at once more at the end.
    """
    for file in () if run.state.creates_item else others:
        if classify(file, Expected()) is Match.UNFINISHED:
            text = (
                f"the item holds an unfinished upload of that name (file {file.id}), which may belong "
                "to this job (its journal was damaged) or to another user; it is kept"
            )
            text = f"{printable(transfer.remote_path)}: {text}"
            run.notify(no.Warned(message=text, facts=Facts("unfinished-kept", item_id=run.item_id)))
    return [file for file in others if classify(file, Expected()) is not Match.UNFINISHED]


async def _upload(api: Service, upload_url: str) -> Upload | None:
    """Ask for the upload; None if it is gone."""
    try:
        return await api.upload(upload_url)
    except UploadGone:
        return None
