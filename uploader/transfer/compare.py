"""Classification of a remote file against its source.

Pure. Upload, resume, verification, dry run and the check of a finished job all use it, so that they agree on which
remote file is "that source, complete and verified".
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import msgspec

from uploader.errors import Conflict, Facts, Md5Pending
from uploader.figshare.models import File
from uploader.sources.models import remote_path
from uploader.text import composed, printable
from uploader.transfer.journal.lifecycle import Transfer
from uploader.transfer.journal.sync_facts import OnRecord
from uploader.units import format_exact_bytes

FAILED_STATUSES = frozenset({"ic_failure"})
"""File statuses after which Figshare will not serve the file as it was sent (observed)."""


class Match(enum.Enum):
    """How a remote file compares with a source."""

    SAME = "same"
    """The source, complete and verified."""
    UNKNOWN = "unknown"
    """Possibly the source: nothing differs, but one side has no MD5."""
    DIFFERENT = "different"
    """The path, size or MD5 differs."""
    LINK = "link"
    """A link: it only refers to an address."""
    FAILED = "failed"
    """It failed Figshare's integrity check."""
    UNFINISHED = "unfinished"
    """Its upload was never completed."""
    MISSING = "missing"
    """The file does not exist."""


_RANK = {
    Match.SAME: 0,
    Match.UNKNOWN: 1,
    Match.DIFFERENT: 2,
    Match.LINK: 2,
    Match.FAILED: 2,
    Match.UNFINISHED: 3,
    Match.MISSING: 4,
}
_RESENDABLE = frozenset({Match.MISSING, Match.FAILED, Match.UNFINISHED})
"""Matches after which the file is sent again. Any other difference was made by a person and is reported as a conflict,
unless the file was never this job's: then it is sent.
"""


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """The expected remote file. A field that is None is not compared, but without an MD5 nothing is the same.

    `size` is bytes, `md5` lower-case hex, `folder` "a/b" or "" for none. `link` is the address of a file that is only
    linked: then nothing but the address and the id is compared.
    """

    size: int | None = None
    md5: str | None = None
    name: str | None = None
    folder: str | None = None
    file_id: int | None = None
    link: str | None = None


def expected_of(transfer: Transfer) -> Expected:
    """Return the expected remote file of a verified transfer."""
    if transfer.link:
        return Expected(file_id=transfer.file_id, link=transfer.path)
    return Expected(
        size=transfer.size,
        md5=transfer.md5,
        name=transfer.name,
        folder=transfer.folder,
        file_id=transfer.file_id,
    )


def folder_of(folders: Mapping[int, str], file_id: int) -> str | None:
    """Return the file's folder, "" for none; None if the item does not say where its files are (observed)."""
    return folders.get(file_id, "") if folders else None


def paths_in_item(wanted: Collection[str], existing: Iterable[str]) -> dict[str, list[str]]:
    """Map each wanted remote path to the item's paths that match it: itself, else other spellings.

    Spellings differ only in Unicode composition: macOS stores decomposed names. A path that is itself wanted matches no
    other. Wanted paths without a match are left out.
    """
    there = set(existing)
    spellings: dict[str, list[str]] = {}
    for path in sorted(there.difference(wanted)):
        spellings.setdefault(composed(path), []).append(path)
    found = {path: [path] if path in there else spellings.get(composed(path), []) for path in wanted}
    return {path: paths for path, paths in found.items() if paths}


def other_spelling(wanted: str, paths: Collection[str]) -> str | None:
    """Return the other spelling that matches a wanted path according to `paths_in_item`; None without one."""
    return next((path for path in paths if path != wanted), None)


def by_place(files: Iterable[File], folders: Mapping[int, str]) -> dict[str, list[File]]:
    """Return files by their places: folder and name, of links the address."""
    found: dict[str, list[File]] = {}
    for file in files:
        place = file.download_url if file.is_link_only else file.path_among(folders)
        found.setdefault(place, []).append(file)
    return found


def classify(file: File | None, expected: Expected, folder: str | None = None) -> Match:
    """Compare a remote file with what it must be. `folder` is the file's own; None: not known, not compared."""
    if file is None or expected.file_id not in (None, file.id):
        return Match.MISSING
    if expected.link is not None:
        return Match.SAME if file.is_link_only and file.download_url == expected.link else Match.DIFFERENT
    if file.is_link_only:
        return Match.LINK
    if file.status == "created":
        return Match.UNFINISHED
    if file.status in FAILED_STATUSES:
        return Match.FAILED
    if not is_in_place(file, expected, folder) or expected.size not in (None, file.size):
        return Match.DIFFERENT
    if expected.md5 is None or file.computed_md5 is None:
        return Match.UNKNOWN
    return Match.SAME if file.computed_md5.lower() == expected.md5 else Match.DIFFERENT


def remote_match(transfer: Transfer, file: File | None, folders: Mapping[int, str]) -> tuple[Match, str]:
    """Classify the remote file of a verified transfer, and say what differs; "" if nothing does.

    `file` is the item's file of its id, None if it has none; `folders` are the folders of the item's files that are in
    one, as the item gives them.
    """
    expected = expected_of(transfer)
    folder = folder_of(folders, file.id) if file is not None else None
    match = classify(file, expected, folder)
    return match, "" if match is Match.SAME else f"file {transfer.file_id} {_difference(match, file, expected, folder)}"


def is_sent_again(transfer: Transfer, match: Match) -> bool:
    """Return True if the source of a verified transfer must be sent again, by how its remote file compares."""
    return match in _RESENDABLE or (transfer.foreign and match not in (Match.SAME, Match.UNKNOWN))


def is_only_unplaced(transfer: Transfer, file: File | None, folders: Mapping[int, str]) -> bool:
    """Return True if the remote file of a verified transfer differs only in that the item gives no folder for it.

    It was moved out of its folder, or the item was read from a copy of the server's data that is older than the file.
    """
    if file is None or not folders or file.id in folders or transfer.link or not transfer.folder:
        return False
    return classify(file, expected_of(transfer), transfer.folder) in (Match.SAME, Match.UNKNOWN)


def _difference(match: Match, file: File | None, expected: Expected, folder: str | None) -> str:
    """Describe how a remote file differs, as a predicate."""
    if file is None or match is Match.MISSING:
        return "is gone"
    texts = {
        Match.UNKNOWN: "has no MD5",
        Match.LINK: "is a link",
        Match.FAILED: "failed Figshare's integrity check",
        Match.UNFINISHED: "is an unfinished upload",
    }
    if match in texts:
        return texts[match]
    if expected.link is not None:
        return "links to another address"
    expected_path = remote_path(expected.folder or "", expected.name or "")
    actual_path = file.path_in(folder if folder is not None else "" if "/" in file.name else expected.folder or "")
    if composed(actual_path.rpartition("/")[2]) != composed(expected.name or ""):
        return f"is named {printable(file.name)}"
    if composed(actual_path) != composed(expected_path):
        folder = actual_path.rpartition("/")[0]
        return f"is in folder {printable(folder)}" if folder else "is in no folder"
    if file.size != expected.size:
        return f"has {format_exact_bytes(file.size)}, not {format_exact_bytes(expected.size or 0)}"
    return f"has the MD5 {file.computed_md5}, not {expected.md5}"


def rank_matches(files: Iterable[File], expected: Expected) -> list[tuple[Match, File]]:
    """Classify files, the most similar first and otherwise in the given order."""
    return sorted(((classify(file, expected), file) for file in files), key=lambda pair: _RANK[pair[0]])


def needs_md5(files: Iterable[File], size: int) -> bool:
    """Return True if only the source's MD5 can tell whether one of the files is that source of `size` bytes."""
    return any(file.computed_md5 is not None and classify(file, Expected(size=size)) is Match.UNKNOWN for file in files)


def is_in_place(file: File, expected: Expected, folder: str | None) -> bool:
    """Return True if a file has the expected name and is in the expected folder. `folder`: see `classify`."""
    if expected.name is None:
        return True
    same_name = composed(file.name) == composed(expected.name)
    if expected.folder is None:
        return same_name
    place = composed(remote_path(expected.folder, expected.name))
    # Without the item's folders, a file that is known by its id may be in the right one.
    return composed(file.path_in(folder or "")) == place or (folder is None and same_name)


def is_replaced(file: File, source: Expected, on_record: Mapping[int, OnRecord]) -> bool:
    """Return True for a complete file that is not the source, but an earlier version or a bad copy of this job, which
    was to be replaced when the journal was damaged. `on_record`: see `JobState.own_at`.
    """
    kind, match = on_record.get(file.id), classify(file, source)
    return kind is not None and (match is Match.FAILED or (match is Match.DIFFERENT and kind is OnRecord.REPLACED))


def forgotten_files(transfer: Transfer, others: Sequence[File], on_record: Mapping[int, OnRecord]) -> tuple[File, ...]:
    """Find complete files with other content in a transfer's place which it may have to replace, if a recovered journal
    may have lost that. They existed before its upload, so their ids are smaller, or are on record (see
    `JobState.own_at`); if the record of those ids is lost, any file may be one.
    """
    if transfer.link:
        return ()
    expected = Expected(size=transfer.size, md5=transfer.md5)
    before = {
        f.id for f in others if f.id < (transfer.file_id or 0) and (transfer.record_lost or f.id in transfer.known)
    }
    forgotten = [f for f in others if (f.id in before or f.id in on_record) and f.id not in transfer.lost]
    return tuple(f for f in forgotten if classify(f, expected) not in (Match.SAME, Match.UNFINISHED))


def find_duplicate(transfer: Transfer, others: Sequence[File], own: Collection[int]) -> int | None:
    """Find the earliest identical file in a transfer's place that was not there before its upload; files of this job
    (see `own_copies`) come first. The spelling of its name does not matter: see `paths_in_item`.
    """
    same = [file.id for match, file in _new_files(transfer, others, own) if match is Match.SAME]
    return min([i for i in same if i in own] or same, default=None)


def different_files(transfer: Transfer, others: Sequence[File], own: Collection[int]) -> list[int]:
    """Find complete files that others put in the transfer's place, and this job's `own_copies` that are useless.

    Files that it kept on purpose are excluded: a warning named them.
    """
    new = [(match, file.id) for match, file in _new_files(transfer, others, own) if file.id not in transfer.spared]
    useless = (Match.DIFFERENT, Match.FAILED, Match.UNKNOWN)
    return [i for match, i in new if match is Match.DIFFERENT or (i in own and match in useless)]


def own_copies(transfer: Transfer, others: Sequence[File], on_record: Mapping[int, OnRecord]) -> set[int]:
    """Return the ids of the complete files in a verified transfer's place that this job created and does not need:
    they counted as gone or, if the journal was damaged, are identical or were to be replaced.

    `on_record`: see `JobState.own_at`.
    """
    expected = Expected(size=transfer.size, md5=transfer.md5)
    own = (f for f in others if f.id in on_record)
    useless = (f for f in own if classify(f, expected) is Match.SAME or is_replaced(f, expected, on_record))
    return {file.id for file in useless}.union(file.id for file in others if file.id in transfer.lost)


def _new_files(transfer: Transfer, others: Sequence[File], own: Collection[int]) -> Iterator[tuple[Match, File]]:
    """Compare the source with the files in the transfer's place that were not there before its upload.

    These are also files of this job and, beside one that it has sent, identical ones: they were unfinished then, or had
    no MD5, since nothing is sent if the item has an identical file.
    """
    unclear = transfer.foreign or transfer.record_lost
    expected = Expected(size=transfer.size, md5=transfer.md5, link=transfer.path if transfer.link else None)
    for file in (file for file in others if file.id != transfer.file_id):
        match = classify(file, expected)
        is_new = not unclear and file.id not in transfer.known
        is_twin = match is Match.SAME and not (transfer.foreign or transfer.link)
        if is_new or is_twin or file.id in own:
            yield match, file


def late_files(
    transfer: Transfer, others: Sequence[File], on_record: Collection[int] = (), *, recovered: bool = False
) -> list[File]:
    """Find unfinished files in a transfer's place, and further links to its address, that may come from an abandoned
    request, also one whose record a damaged journal, which is `recovered`, may have lost.

    `on_record`: see `JobState.files_on_record`.
    """
    # Which links there were before is not recorded.
    late = transfer.late or transfer.record_lost or (recovered and not transfer.link)
    if not (late or transfer.lost or on_record):
        return []
    before = {*transfer.owned_ids(), *transfer.known}
    new = (f for f in others if f.id in transfer.lost or f.id in on_record or (late and f.id not in before))
    wanted = Match.LINK if transfer.link else Match.UNFINISHED
    return [f for f in new if classify(f, Expected()) is wanted]


def reappeared(transfer: Transfer, others: Iterable[File]) -> File | None:
    """Find a complete file of a transfer that counted as gone and has appeared in its place again."""
    if not transfer.lost:
        return None
    expected = Expected(size=transfer.size, link=transfer.path if transfer.link else None)
    found = (f for f in others if f.id in transfer.lost and classify(f, expected) in (Match.SAME, Match.UNKNOWN))
    return next(found, None)


def md5_pending(transfer: Transfer, item_id: int) -> Md5Pending:
    """Return the error of a verified file that now has no MD5."""
    return Md5Pending(
        f"{printable(transfer.name)}: was sent and verified, but Figshare no longer gives its MD5 "
        f"(file {transfer.file_id})",
        hint="Verify it later.",
        facts=Facts("verify-packed-later" if transfer.archive else "verify-later", item_id=item_id),
        path=transfer.path,
    )


def no_longer_held(transfer: Transfer, item_id: int, difference: str) -> Conflict:
    """Return the error of a verified file that somebody has changed in the item."""
    return Conflict(
        f"{printable(transfer.name)}: was sent and verified, but item {item_id} no longer holds it: {difference}",
        hint="Send it again in a new job.",
        facts=Facts("no-longer-held"),
        path=transfer.path,
    )


def orphan_error(
    transfer: Transfer, file: File | None, folders: Mapping[int, str], item_id: int
) -> Conflict | Md5Pending | None:
    """Return the error of a verified file whose source is gone, if the item does not hold it any more."""
    match, difference = remote_match(transfer, file, folders)
    if match is Match.SAME:
        return None
    if match is Match.UNKNOWN:
        return md5_pending(transfer, item_id)
    return Conflict(
        f"{printable(transfer.path)}: was sent and verified, but its source no longer exists here, and item {item_id} "
        f"no longer holds it: {difference}",
        hint="Put the source back to send it again, or do without it.",
        facts=Facts("put-back-or-forget"),
        path=transfer.path,
    )
