"""What the item holds already under the name of a file that is to be sent, and what is to be done about it."""

from __future__ import annotations

from collections.abc import Sequence

import anyio.to_thread

from uploader.errors import Conflict
from uploader.figshare.models import File
from uploader.figshare.outcomes import UploadGone
from uploader.text import printable
from uploader.transfer import notices as no
from uploader.transfer.files.content import SourceSession
from uploader.transfer.journal import events as ev
from uploader.transfer.journal.lifecycle import Transfer
from uploader.transfer.run.context import JobRun

_NAMED = 10
"""Files that one message names."""


async def identical_file(run: JobRun, transfer: Transfer, content: SourceSession) -> tuple[int, str] | None:
    """Id and MD5 of the item's file that is this very one; None when it is to be sent.

    What is to be removed once that is verified is journaled. Raises Conflict where the user's choice forbids to go on.
    """
    mine = transfer.owned_ids() | run.listing.removed
    others = [file for file in run.listing.foreign_files.get(transfer.remote_path, ()) if file.id not in mine]
    if not others:
        # Nothing is there; or the item was not surveyed, since an earlier run had decided: what it planned stands.
        return None
    if run.options.on_conflict == "fail":
        raise Conflict(
            f"{printable(transfer.remote_path)}: the item holds a file of that name (file {others[0].id})",
            path=transfer.path,
        )
    same, different = await _compared(others, transfer, content)
    replaced = await _replaced(run, transfer, different) if same is None else ()
    if replaced != transfer.replaces:
        # Also where an earlier run planned to remove what is to stay by now.
        await run.commit(ev.ReplacementPlanned(transfer.index, replaced))
    if same is not None and different and run.options.on_conflict == "replace":
        text = f"the item holds this very file (file {same[0]}); others of that name stay: {_named(different)}"
        run.notify(no.Warned(f"{printable(transfer.remote_path)}: {text}"))
    return same


def finished(files: Sequence[File]) -> list[File]:
    """Those of the files that are more than the beginning of an upload."""
    return [file for file in files if file.status != "created" or file.is_link_only]


async def _replaced(run: JobRun, transfer: Transfer, different: Sequence[File]) -> tuple[int, ...]:
    """Ids of the files that the source is to take the place of; none where it is to be one more.

    Raises Conflict where it may be neither, and where there are several of which nobody said that all are to go.
    """
    if not different or run.options.on_conflict == "keep":
        return ()
    whole = finished(different)
    if len(whole) > 1:
        raise Conflict(
            f"{printable(transfer.remote_path)}: the item holds {len(whole)} different files of that name "
            f"({_named(whole)}): which of them it is to replace is not known",
            hint="Remove all but that one on the item's page, then run the same command again with --on-conflict "
            "replace; or --on-conflict keep adds this file to them.",
            path=transfer.path,
        )
    if run.options.on_conflict == "skip":
        raise await _conflict(run, transfer, (whole or different)[0])
    for file in different:
        await _see_that_nobody_sends(run, transfer, file)
    return tuple(sorted(file.id for file in different))


def _named(files: Sequence[File]) -> str:
    """Their ids and sizes, for a message."""
    sizes = (
        "a link" if f.is_link_only else "unfinished" if f.status == "created" else f"{f.size} bytes" for f in files
    )
    named = [f"file {file.id}, {size}" for file, size in zip(files, sizes, strict=True)]
    return "; ".join([*named[:_NAMED], *(["..."] if len(named) > _NAMED else [])])


async def _compared(
    others: Sequence[File], transfer: Transfer, content: SourceSession
) -> tuple[tuple[int, str] | None, list[File]]:
    """The identical one, and those that are not. The source is read only where the size is the same."""
    same: tuple[int, str] | None = None
    different = []
    for file in others:
        if file.size == transfer.size and file.computed_md5 is not None and not file.is_link_only:
            md5 = await content.md5()
            content.release()
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
            f"{printable(transfer.remote_path)}: somebody is sending a file of that name to the item right now "
            f"(file {file.id}); it is not replaced",
            hint="Run the same command again when that has ended.",
            path=transfer.path,
        )


async def _owners(run: JobRun) -> dict[int, str]:
    return await anyio.to_thread.run_sync(run.states.owners, run.job)


async def _conflict(run: JobRun, transfer: Transfer, other: File) -> Conflict:
    name, path = printable(transfer.remote_path), transfer.path
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
    name, path = printable(transfer.remote_path), transfer.path
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
