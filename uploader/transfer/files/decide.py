"""Decide what to do with a file, given the item's files, and with a file that Figshare rejected. Pure.

Upload and dry run share these decisions. `conflicts` looks up the facts they depend on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Literal, TypeAlias

import msgspec

from uploader.errors import Facts, FigupError, RequestRejected, SourceUnreadable, StorageUnavailable
from uploader.figshare.models import File, Upload
from uploader.transfer.compare import Expected, Match, classify, rank_matches
from uploader.transfer.journal.lifecycle import Transfer
from uploader.transfer.journal.state import JobState
from uploader.transfer.options import OnConflict

_RefusalAdvice: TypeAlias = tuple[str, str, Facts]
"""Reason, hint and facts."""
_NAMED = 10
"""Files named in one message."""
_NO_UPLOADS: Mapping[int, Upload | None] = MappingProxyType({})

Action: TypeAlias = Literal["send", "skip", "replace", "refuse"]
"""`send`: as one more file; `skip`: the item has it; `replace`: send it, then remove others; `refuse`: send nothing."""


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """The decision about a file. `match` is how similar the most similar file of the item is, and `file` that file;
    MISSING and None without one. `replaces` are the ids of the files to remove once this one is verified. `reason` says
    why it is refused, without the file's name, and `hint` and `facts` what to do about it. `remark` is a note to show
    without an error; "" for none.
    """

    action: Action
    match: Match
    file: File | None = None
    replaces: tuple[int, ...] = ()
    reason: str = ""
    hint: str | None = None
    facts: Facts | None = None
    remark: str = ""


def decide(
    source: Expected,
    existing: Sequence[File],
    owners: Mapping[int, str],
    on_conflict: OnConflict,
    uploads: Mapping[int, Upload | None] = _NO_UPLOADS,
) -> Decision:
    """Decide what happens to a source if the item has these files at its path.

    `existing` must not contain the job's own files. `owners` are files of other jobs on this machine, with the name of
    the job. `uploads` are the uploads of unfinished files, as far as they were requested; None for one that is gone.
    """
    if not existing:
        return Decision(action="send", match=Match.MISSING)
    by_match = rank_matches(existing, source)
    match, file = by_match[0]
    if on_conflict == "fail":
        what = "already has this link" if source.link is not None else "holds a file of that name"
        return Decision(action="refuse", match=match, file=file, reason=f"the item {what} (file {existing[0].id})")
    if match is Match.SAME:
        rest = [other for other_match, other in by_match if other_match is not Match.SAME]
        return Decision(action="skip", match=match, file=file, remark=_replace_note(file, rest, on_conflict))
    if on_conflict == "keep":
        return Decision(action="send", match=match, file=file)
    refusal = _refusal(source, existing, owners, on_conflict, uploads)
    if refusal is not None:
        reason, hint, facts = refusal
        return Decision(action="refuse", match=match, file=file, reason=reason, hint=hint, facts=facts)
    return Decision(action="replace", match=match, file=file, replaces=tuple(sorted(other.id for other in existing)))


def effective_policy(on_conflict: OnConflict, *, record_lost: bool) -> OnConflict:
    """Return the policy for a transfer: if its record is lost, a file equal to its source may be its own upload."""
    return "skip" if on_conflict == "fail" and record_lost else on_conflict


def advise_replacing(decision: Decision) -> Decision:
    """Decide about a file whose record is lost: a file in its place may be an earlier upload of its job. Nothing proves
    that, so the user must confirm that it can be replaced.
    """
    if decision.facts is None or decision.facts.situation not in ("different", "replace-or-keep"):
        return decision
    return msgspec.structs.replace(
        decision,
        reason=f"{decision.reason}, which may be an earlier upload of this job (its journal was damaged)",
        hint="Replace it.",
        facts=Facts("perhaps-own"),
    )


def _refusal(
    source: Expected,
    existing: Sequence[File],
    owners: Mapping[int, str],
    on_conflict: OnConflict,
    uploads: Mapping[int, Upload | None],
) -> _RefusalAdvice | None:
    """Return why files that differ from the source may not be replaced, and what to do; None if they may."""
    unfinished = [file for file in existing if classify(file, source) is Match.UNFINISHED]
    whole = [file for file in existing if file not in unfinished]
    if len(whole) > 1:
        return (
            f"the item holds {len(whole)} different files of that name ({_list_files(whole)}): "
            "it is not clear which of them to replace",
            "Remove all others on the item's page and replace that one, or keep them all.",
            Facts("several-of-that-name"),
        )
    if on_conflict == "skip":
        return _exists(source, whole[0]) if whole else _started(unfinished[0], owners, uploads)
    for file in unfinished:
        if file.id in owners:
            return _started(file, owners, uploads)
        upload = uploads.get(file.id)
        if upload is not None and any(part.locked for part in upload.parts):
            return (
                f"another process is sending a file of that name to the item (file {file.id}); it is not replaced",
                "Wait until it ends.",
                Facts("being-sent"),
            )
    return None


def _exists(source: Expected, other: File) -> _RefusalAdvice:
    """Refuse because of an existing file."""
    match classify(other, source):
        case Match.LINK:
            return (
                f"the item holds a link of that name (file {other.id})",
                "Replace it, or keep both.",
                Facts("replace-or-keep"),
            )
        case Match.UNKNOWN:
            return (
                f"the item holds a file of that name and size (file {other.id}), but Figshare has not computed its "
                "MD5: it may be the same or not",
                "Try again later, or replace it, or keep both.",
                Facts("same-perhaps"),
            )
        case Match.FAILED:
            return (
                f"the item holds a file of that name that failed Figshare's integrity check (file {other.id})",
                "Replace it, or keep both.",
                Facts("replace-or-keep"),
            )
        case _:
            return (
                f"the item holds a different file of that name (file {other.id}, {other.size} bytes)",
                "Rename the source, or replace that file, or keep both.",
                Facts("different"),
            )


def _started(file: File, owners: Mapping[int, str], uploads: Mapping[int, Upload | None]) -> _RefusalAdvice:
    """Refuse because of an unfinished upload."""
    job = owners.get(file.id)
    if job is not None:
        return (
            f"the item holds an unfinished upload of that name (file {file.id}), started by job {job} on this machine",
            f"Continue job {job}, or cancel it.",
            Facts("started-here", job=job),
        )
    return (
        f"the item holds an unfinished upload of that name (file {file.id}{_progress(file, uploads)}), "
        "not started by any job on this machine",
        "Finish it where it was started, or delete it on Figshare, or replace it, or keep both.",
        Facts("started-elsewhere"),
    )


def _progress(file: File, uploads: Mapping[int, Upload | None]) -> str:
    """Describe the progress of an upload, for a message; "" if it was not looked up."""
    if file.id not in uploads:
        return ""
    upload = uploads[file.id]
    if upload is None:
        return ", whose upload is gone"
    return f", {sum(part.complete for part in upload.parts)} of {len(upload.parts)} parts sent"


def _replace_note(same: File, different: Sequence[File], on_conflict: OnConflict) -> str:
    """Explain that nothing is replaced although that was requested; "" if it was not."""
    if on_conflict != "replace" or not different:
        return ""
    return f"the item already holds this file (file {same.id}); others of that name are kept: {_list_files(different)}"


def _list_files(files: Sequence[File]) -> str:
    """List ids and sizes of files, for a message."""
    sizes = (
        "a link" if f.is_link_only else "unfinished" if f.status == "created" else f"{f.size} bytes" for f in files
    )
    named = [f"file {file.id}, {size}" for file, size in zip(files, sizes, strict=True)]
    return "; ".join([*named[:_NAMED], *(["..."] if len(named) > _NAMED else [])])


def spelled_otherwise(path: str) -> str:
    """Explain that the item has a file of that name in another Unicode composition; `path` is that file's."""
    return f"there under another spelling, {path!a}"


# --- files that Figshare refused ----------------------------------------------------------------------------------


def is_retryable(error: FigupError, transfer: Transfer) -> bool:
    """Return True if a file that failed with this error may be retried in the same run."""
    if isinstance(error, RequestRejected):
        return not error.permanent and not _is_empty(transfer)
    return isinstance(error, SourceUnreadable | StorageUnavailable)


def refusal_advice(error: RequestRejected, transfer: Transfer, *, single_file: bool) -> tuple[str, str] | None:
    """Return the hint and the situation of a file that Figshare refused, None if the error has better ones.

    `single_file`: the job sends nothing else.
    """
    several = "" if single_file or transfer.link else "-of-many"
    if _is_empty(transfer):
        return "Figshare does not seem to accept empty files. Add content.", f"empty-file{several}"
    return ("Fix what Figshare reports.", f"refused{several}") if error.facts.situation == error.code else None


def _is_empty(transfer: Transfer) -> bool:
    """Figshare has been observed to reject empty files; the HTTP status is unknown."""
    return transfer.size == 0 and not transfer.link


def must_search(state: JobState, transfer: Transfer, others: Iterable[File]) -> bool:
    """Return True if a transfer of a damaged journal must be searched for as one whose initiation is lost.

    It was begun before, or there is a file in its place that is on record or, in the item that the user named, is
    unfinished. (In an item of the job, that one may be continued at once: see `destination.lookup.find_begun`.)
    """
    if not state.recovered or transfer.record_lost:
        return False
    mine = transfer.owned_ids().union(transfer.lost)
    others = [file for file in others if file.id not in mine] if not transfer.link else []
    unfinished = any(classify(file, Expected()) is Match.UNFINISHED for file in others)
    known = state.own_at(transfer.place) if others else {}
    on_record = any(file.id in known and not state.owns(file.id) for file in others)
    return transfer.abandoned or on_record or (not state.creates_item and unfinished)
