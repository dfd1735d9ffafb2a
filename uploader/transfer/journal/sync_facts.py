"""The job's facts in the record of the last sync: what a job still knows after its journal was cut off."""

from __future__ import annotations

import enum
from typing import NamedTuple

import msgspec
import xxhash

from uploader.text import composed
from uploader.transfer.journal import events as ev
from uploader.transfer.journal.lifecycle import Transfer

_MOST_VERIFIED = 1000
"""Number of files on record from which on verified ones take the place of the earliest ones."""


class OnRecord(enum.IntEnum):
    """Why a remote file of the job is on record, most important first."""

    BEGUN = 0
    """Created and not verified."""
    REPLACED = 1
    """An earlier version or a bad copy, to be removed once another file is verified."""
    VERIFIED = 2
    """Verified, in a job whose journal was damaged: a further cut must not make it another user's."""


class KeptFile(NamedTuple):
    """A remote file on record. `place`: see `place_hash`; a person may have renamed the file since."""

    kind: OnRecord
    place: int


class SyncFacts(msgspec.Struct, kw_only=True):
    """The job's facts in the record of each sync, in case its journal is truncated later.

    `item` is the item that the job has created; None if it has not, and in records of earlier versions. `account` is
    the one that may have created an item which is not on record; None without one. `publishing` is the last request to
    publish the item. `files` are remote files that the job has created, by id: see `keep_on_record`.
    """

    item: int | None = None
    account: int | None = None
    publishing: ev.PublishIntended | None = None
    files: dict[int, KeptFile] = {}


def place_hash(place: str) -> int:
    """Return 32 bits that identify a place in an item, in whatever spelling: see `Transfer.place`."""
    return xxhash.xxh3_64_intdigest(composed(place).encode(errors="surrogateescape")) & 0xFFFFFFFF


def keep_on_record(files: dict[int, KeptFile], transfer: Transfer, *, recovered: bool) -> None:
    """Update the files on record after an event of a transfer. `recovered`: see `JobState`.

    A file that a transfer has given up stays until it is removed (see `files.steps.remove`) or another one is verified:
    it is searched for, not trusted. One that is replaced stays until it is removed, or kept on purpose.
    """
    for replaced in transfer.superseded:
        files[replaced] = KeptFile(OnRecord.REPLACED, place_hash(transfer.place))
    if (file_id := transfer.unfinished_id) is not None:
        files.pop(file_id, None)  # the newest one is the last
        files[file_id] = KeptFile(OnRecord.BEGUN, place_hash(transfer.place))
    elif transfer.file_id is not None:  # verified
        for file_id in (transfer.file_id, *transfer.lost, *transfer.spared):
            files.pop(file_id, None)
        if recovered and not transfer.foreign:
            files[transfer.file_id] = KeptFile(OnRecord.VERIFIED, place_hash(transfer.place))
            if len(files) > _MOST_VERIFIED:
                del files[next(i for i, kept in files.items() if kept.kind is OnRecord.VERIFIED)]


def most_important(files: dict[int, KeptFile], most: int) -> dict[int, KeptFile]:
    """Return at most so many files: those that would be missed most, the newest of each kind, in the same order."""
    if len(files) <= most:
        return dict(files)
    by_importance = list(reversed(files))
    by_importance.sort(key=lambda file_id: files[file_id].kind)
    chosen = set(by_importance[:most])
    return {file_id: kept for file_id, kept in files.items() if file_id in chosen}
