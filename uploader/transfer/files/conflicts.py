"""What the item holds already under the name of a file that is to be sent, and what is to be done about it."""

from __future__ import annotations

from collections.abc import Sequence

import anyio.to_thread

from uploader.errors import Conflict
from uploader.figshare.outcomes import UploadGone
from uploader.figshare.wire import File
from uploader.transfer import events as ev
from uploader.transfer.files.content import Content
from uploader.transfer.lifecycle import Transfer
from uploader.transfer.run import JobRun
from uploader.transfer.source import shown


async def identical_file(run: JobRun, transfer: Transfer, content: Content) -> tuple[int, str] | None:
    """Id and MD5 of the item's file that is this very one; None when it is to be sent.

    What is to be removed once that is verified is journaled. Raises Conflict where the user's choice forbids to go on.
    """
    mine = transfer.owned_ids() | run.remote.removed
    others = [file for file in run.remote.others.get(transfer.remote_path, ()) if file.id not in mine]
    choice = run.options.on_conflict
    if not others:
        return None
    if choice == "fail":
        raise Conflict(
            f"{shown(transfer.remote_path)}: the item holds a file of that name (file {others[0].id})",
            path=transfer.path,
        )
    same, different = await _compared(others, transfer, content)
    if choice == "replace" and different:
        for file in different:
            await _see_that_nobody_sends(run, transfer, file)
        await run.commit(ev.ReplacementPlanned(transfer.index, tuple(sorted(file.id for file in different))))
    if same is not None:
        return same
    if choice == "skip":
        raise await _conflict(run, transfer, different[0])
    return None


async def _compared(
    others: Sequence[File], transfer: Transfer, content: Content
) -> tuple[tuple[int, str] | None, list[File]]:
    """The identical one, and those that are not. The source is read only where the size is the same."""
    same: tuple[int, str] | None = None
    different = []
    for file in others:
        if file.size == transfer.size and file.computed_md5 is not None and not file.is_link_only:
            md5 = await content.md5()
            content.rest()
            if md5 == file.computed_md5:
                same = same or (file.id, md5)
                continue
        different.append(file)
    return same, different


async def _see_that_nobody_sends(run: JobRun, transfer: Transfer, file: File) -> None:
    """Raise Conflict for an upload that is somebody's work: another job's here, or one with a part under way."""
    if file.status != "created" or file.upload_url is None:
        return
    if file.id in await _owners(run):
        raise await _conflict(run, transfer, file)
    try:
        upload = await run.api.upload(file.upload_url)
    except UploadGone:
        return
    if any(part.locked for part in upload.parts):
        raise Conflict(
            f"{shown(transfer.remote_path)}: somebody is sending a file of that name to the item right now "
            f"(file {file.id}); it is not replaced",
            hint="Run the same command again when that has ended.",
            path=transfer.path,
        )


async def _owners(run: JobRun) -> dict[int, str]:
    return await anyio.to_thread.run_sync(run.states.owners, run.job)


async def _conflict(run: JobRun, transfer: Transfer, other: File) -> Conflict:
    name, path = shown(transfer.remote_path), transfer.path
    if other.is_link_only:
        return Conflict(
            f"{name}: the item holds a link of that name (file {other.id})",
            hint="--on-conflict replace puts this file in its place, --on-conflict keep adds it.",
            path=path,
        )
    if other.status == "created":
        return await _unfinished(run, transfer, other)
    if other.size == transfer.size and other.computed_md5 is None:
        return Conflict(
            f"{name}: the item holds a file of that name and size (file {other.id}), of which Figshare has not "
            "computed the MD5: whether it is the same cannot be told",
            hint="Run the same command again later, or choose with --on-conflict.",
            path=path,
        )
    return Conflict(
        f"{name}: the item holds a different file of that name (file {other.id}, {other.size} bytes)",
        hint="Rename the source; or --on-conflict replace puts it in that one's place, --on-conflict keep adds it.",
        path=path,
    )


async def _unfinished(run: JobRun, transfer: Transfer, other: File) -> Conflict:
    name, path = shown(transfer.remote_path), transfer.path
    job = (await _owners(run)).get(other.id)
    if job is not None:
        return Conflict(
            f"{name}: the item holds an unfinished upload of that name (file {other.id}), which job {job} here began",
            hint=f"Go on with it: figup resume {job}. Or give it up: figup cancel {job}. Then run this command again.",
            path=path,
        )
    done = await _progress(run, other)
    return Conflict(
        f"{name}: the item holds an unfinished upload of that name (file {other.id}{done}) that no job here began",
        hint="Finish it where it was begun, or delete it on Figshare; or choose --on-conflict replace, which removes "
        "it once this file is verified, or --on-conflict keep.",
        path=path,
    )


async def _progress(run: JobRun, file: File) -> str:
    """How far an upload is, for a message; nothing where that is not told."""
    if file.upload_url is None:
        return ""
    try:
        upload = await run.api.upload(file.upload_url)
    except UploadGone:
        return ", whose upload is gone"
    return f", {sum(part.complete for part in upload.parts)} of {len(upload.parts)} parts sent"
