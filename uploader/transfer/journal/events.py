"""What happened in a job, as the journal stores it. Values only: no behaviour, no clock, no disk, no socket.

`file` is a transfer's index within its job, from 0. Times are ISO 8601 in UTC by the *server's* clock.
Field names on disk are short because a job may hold a million parts.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from uploader.items.payload import ItemPayload


class Event(msgspec.Struct, frozen=True, tag_field="e"):
    """Base of all events."""


class JobEvent(Event, frozen=True):
    """Concerns the job as a whole."""


class FileEvent(Event, frozen=True):
    """Concerns one transfer."""

    file: int = msgspec.field(name="f")


# --- the job ------------------------------------------------------------------------------------------------------


class JobPlanned(JobEvent, frozen=True, tag="job"):
    """The job was laid out, to send so many `files`. One of `item` (an id) and `title` (of the item to create) is None.

    `created` is by this machine's clock, since no server was asked yet; `version` is figup's. `root` is the folder that
    the paths of sources are relative to, without a slash at its end; absolute ones stand for themselves.
    `project` is where the item is created, `account` for whom the job acts; None for none, and for oneself.
    """

    job: str
    endpoint: str
    item: int | None
    title: str | None
    created: str
    version: str
    files: int
    root: str = ""
    project: int | None = None
    account: int | None = None


class JobGrown(JobEvent, frozen=True, tag="grown"):
    """The same command found more: the job has so many `files` now, and the journal has told of all of them."""

    files: int


class SourceSkipped(JobEvent, frozen=True, tag="skip"):
    """Something that was found is not sent, for this reason; an empty one: it is not there to be skipped any more."""

    path: str
    reason: str


class SourcePlanned(FileEvent, frozen=True, tag="source", omit_defaults=True):
    """A transfer belongs to the job: the source and its state when planned (sizes in bytes).

    `folder` is the remote one. Of a path relative to the root, `name` "" is its last piece, and `folder` None what
    stands before it. `md5` is what the user says the source has. `link`: the path is an address, to be referenced.
    `ctime_ns` is None in journals of earlier versions.
    """

    path: str
    name: str = ""
    size: int = 0
    mtime_ns: int = 0
    inode: int = 0
    ctime_ns: int | None = None
    folder: str | None = None
    md5: str | None = None
    link: bool = False


class SourceDropped(FileEvent, frozen=True, tag="source-"):
    """The repeated command no longer names this source: no more of it is sent."""


class SourceChosen(FileEvent, frozen=True, tag="source="):
    """The same command names this source (again), and says that it has this MD5; None: it does not say."""

    md5: str | None = None


class ItemIntended(JobEvent, frozen=True, tag="item?", omit_defaults=True):
    """An item is about to be created. `mark` is part of its title until the item is known to the job.

    None in journals of earlier versions, and where the record of it is lost.
    """

    at: str
    mark: str | None = None


class ItemNotCreated(JobEvent, frozen=True, tag="item-", omit_defaults=True):
    """The intended creation did not happen. `looked`: nobody said so; it was looked for as long as is sensible."""

    looked: bool = False


class ItemCreated(JobEvent, frozen=True, tag="item+"):
    """The item exists, created or found to have been; nothing more is known of it yet."""

    id: int


class ItemReady(JobEvent, frozen=True, tag="item"):
    """The item is known. `found`: it was looked up after a lost answer, or was given."""

    id: int
    url: str
    found: bool = False


class ItemUnwanted(JobEvent, frozen=True, tag="item-?"):
    """The item, which the job created and which is empty, is about to be removed."""

    id: int


class ItemRemoved(JobEvent, frozen=True, tag="item--"):
    """The item is removed: if the job goes on, it creates another one."""

    id: int


class MetadataRequested(JobEvent, frozen=True, tag="say"):
    """New metadata was requested for the item. `mark` is its fingerprint."""

    mark: str
    spec: ItemPayload


class MetadataApplied(JobEvent, frozen=True, tag="said"):
    """The metadata with this mark was applied to the item."""

    mark: str


class OptionsGiven(JobEvent, frozen=True, tag="how"):
    """From now on the job is to be run with these options, by their names, unless others are said."""

    options: dict[str, Any]


class FinalStepsRequested(JobEvent, frozen=True, tag="end?"):
    """From now on this, and nothing else, is to be done once every file is verified."""

    reserve_doi: bool = False
    private_link: bool = False
    publish: bool = False

    @property
    def steps(self) -> tuple[str, ...]:
        """The requested steps, in order."""
        return tuple(step for step in self.__struct_fields__ if getattr(self, step))


class PublishIntended(JobEvent, frozen=True, tag="public?"):
    """The item, so far at this version (0: never published), is about to be published.

    `files` is the mark of what this job has in it: see `JobState.mark`; "" in journals of earlier versions.
    """

    version: int
    files: str = ""


class FinalStepDone(JobEvent, frozen=True, tag="end"):
    """A requested final step completed: `value` is the DOI, the private link, or the visibility.

    `at` is None in journals of earlier versions.
    """

    step: str
    value: str
    at: str | None = None


class Resumed(JobEvent, frozen=True, tag="run"):
    """A new run began: what was known of the server has to be asked again."""

    at: str


# --- one transfer -------------------------------------------------------------------------------------------------


class UploadIntended(FileEvent, frozen=True, tag="init?"):
    """An upload is about to be initiated. `known`: ids of the item's files of this name before that; None where the
    record of them is lost."""

    at: str
    known: tuple[int, ...] | None = ()


class NotInitiated(FileEvent, frozen=True, tag="init-"):
    """The intended initiation did not happen. `looked`: nobody said so; it was looked for as long as is sensible."""

    looked: bool = False


class UploadInitiated(FileEvent, frozen=True, tag="init"):
    """The remote file exists. `found`: it was looked up after a lost answer."""

    id: int
    found: bool = False


class PartsMissing(FileEvent, frozen=True, tag="parts"):
    """The server was asked: `done` of `total` parts are there."""

    done: int
    total: int


class PartSent(FileEvent, frozen=True, tag="p"):
    """The server took part `no`; `xxh3` is the 64-bit hash of the bytes sent."""

    no: int = msgspec.field(name="n")
    xxh3: int = msgspec.field(name="x")


class PartReset(FileEvent, frozen=True, tag="p-"):
    """The server does not have part `no`, against what was recorded."""

    no: int = msgspec.field(name="n")


class PartsComplete(FileEvent, frozen=True, tag="sent"):
    """The server has all `total` parts."""

    total: int


class SourceHashed(FileEvent, frozen=True, tag="md5"):
    """The source's MD5 (hex), of the bytes as they were in this run."""

    md5: str


class CompleteIntended(FileEvent, frozen=True, tag="done?"):
    """The upload is about to be completed."""


class Completed(FileEvent, frozen=True, tag="done"):
    """The server takes the file as complete."""


class Verified(FileEvent, frozen=True, tag="ok"):
    """Figshare's MD5 equals the source's."""

    md5: str


class FoundIdentical(FileEvent, frozen=True, tag="same"):
    """The item already held this file, byte for byte (size and MD5; a link has none: ""); nothing was sent."""

    id: int
    md5: str


class ReplacementPlanned(FileEvent, frozen=True, tag="old"):
    """The remote files `ids` of this name, whoever made them, are to be removed once the new one is verified."""

    ids: tuple[int, ...]


class LinkConfirmed(FileEvent, frozen=True, tag="linked"):
    """The item shows the address as it was given; there is no content to compare."""


class Mismatched(FileEvent, frozen=True, tag="bad"):
    """Figshare's MD5 differs: the file has to be sent again, and the bad one removed once that is verified."""

    local: str
    remote: str


class UploadLost(FileEvent, frozen=True, tag="lost"):
    """The server no longer knows the upload, or aborted it: the file starts again."""


class SourceReplaced(FileEvent, frozen=True, tag="source+"):
    """The user asked to start again with the source as it is now."""

    size: int
    mtime_ns: int
    inode: int
    ctime_ns: int | None = None


class RemoteLost(FileEvent, frozen=True, tag="gone"):
    """The verified remote file is gone, or no longer complete: the source is sent again.

    `exists`: the file is still shown and is removed after the new one is verified.
    """

    exists: bool = False


class DuplicateFound(FileEvent, frozen=True, tag="twin"):
    """The item holds an identical file in the same place that was created earlier: it replaces this job's own."""

    id: int


class RemnantRemoved(FileEvent, frozen=True, tag="rm"):
    """A remote file of this transfer that is no longer needed was deleted (or was gone)."""

    id: int


class LeftoversRemoved(FileEvent, frozen=True, tag="swept"):
    """What earlier requests for this file may have led to unseen was looked for once more, and removed."""


class Failed(FileEvent, frozen=True, tag="fail"):
    """The transfer stopped with an error that concerns it alone."""

    code: str
    message: str


class Retried(FileEvent, frozen=True, tag="again"):
    """A transfer that failed in this run is tried once more, after the others."""


class Cancelled(FileEvent, frozen=True, tag="cancel"):
    """The user gave up; the unfinished remote file is removed."""


AnyEvent: TypeAlias = (
    JobPlanned
    | JobGrown
    | SourceSkipped
    | SourcePlanned
    | SourceDropped
    | SourceChosen
    | ItemIntended
    | ItemNotCreated
    | ItemCreated
    | ItemReady
    | ItemUnwanted
    | ItemRemoved
    | MetadataRequested
    | MetadataApplied
    | OptionsGiven
    | FinalStepsRequested
    | PublishIntended
    | FinalStepDone
    | Resumed
    | UploadIntended
    | NotInitiated
    | UploadInitiated
    | PartsMissing
    | PartSent
    | PartReset
    | PartsComplete
    | SourceHashed
    | CompleteIntended
    | Completed
    | Verified
    | FoundIdentical
    | ReplacementPlanned
    | LinkConfirmed
    | Mismatched
    | UploadLost
    | SourceReplaced
    | RemoteLost
    | DuplicateFound
    | RemnantRemoved
    | LeftoversRemoved
    | Failed
    | Retried
    | Cancelled
)
