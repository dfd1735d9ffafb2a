"""The events of a job, as stored in the journal. Values only, without behavior or I/O.

`file` is a transfer's index within its job, from 0. Times are ISO 8601 in UTC by the *server's* clock. Field names on
disk are short because a job may hold a million parts.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from uploader.items.payload import ItemPayload


class Event(msgspec.Struct, frozen=True, tag_field="e"):
    """Base of all events."""


class JobEvent(Event, frozen=True):
    """An event of the whole job."""


class FileEvent(Event, frozen=True):
    """An event of one transfer."""

    file: int = msgspec.field(name="f")


# --- the job ------------------------------------------------------------------------------------------------------


class JobPlanned(JobEvent, frozen=True, kw_only=True, tag="job"):
    """The job was planned with `files` transfers. One of `item` (an id) and `title` (of the item to create) is None.

    `created` is by this machine's clock, before any request; `version` is figup's. `root` is the folder that relative
    source paths start from, without a trailing slash. `project` is the project to create the item in, None for none;
    `account` the account to act for, None for the token's own. `named_known`: the sources' `named` is on record, which
    earlier journals lack.
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
    named_known: bool | msgspec.UnsetType = msgspec.UNSET


class JobGrown(JobEvent, frozen=True, tag="grown"):
    """The repeated command added sources: the job now has `files` transfers, all of them journaled before this."""

    files: int


class SourceSkipped(JobEvent, frozen=True, tag="skip"):
    """A path is skipped for this reason; "" if it is no longer skipped, since it no longer exists."""

    path: str
    reason: str


class Archive(msgspec.Struct, frozen=True, kw_only=True):
    """An archive that is generated from its members: `id` is that of its plan, `members` their number."""

    id: str
    format: str
    members: int


class SourcePlanned(FileEvent, frozen=True, kw_only=True, tag="source", omit_defaults=True):
    """A transfer belongs to the job: the source and its state when planned (sizes in bytes).

    `folder` is the remote one. For a path relative to the root, `name` "" means its last component, and `folder` None
    the components before it. `md5` is the MD5 that the user expects. `link`: the path is an address to refer to.
    `ctime_ns` is None in earlier journals. `archive`: the path is the folder that its members are in, and the state
    that of all of them: see `uploader.sources.archive.plan`. `named`: the user named the file, not its folder.
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
    archive: Archive | None = None
    named: bool = False


class SourceDropped(FileEvent, frozen=True, tag="source-"):
    """The repeated command no longer names this source: nothing more is sent of it."""


class SourceChosen(FileEvent, frozen=True, tag="source="):
    """The repeated command names this source (again), with this expected MD5 or None."""

    md5: str | None = None


class ItemIntended(JobEvent, frozen=True, tag="item?", omit_defaults=True):
    """An item is about to be created. `mark` is part of its title until the item is known to the job.

    It and `account`, the id of its creator, are None in earlier journals, and where they are lost. `unpublished`: a
    recovered intent whose item cannot have been published, since that takes an item on record.
    """

    at: str
    mark: str | None = None
    unpublished: bool = False
    account: int | None = None


class ItemNotCreated(JobEvent, frozen=True, tag="item-", omit_defaults=True):
    """The intended creation did not happen. `looked`: inferred from a search, not confirmed by a response."""

    looked: bool = False


class ItemCreated(JobEvent, frozen=True, tag="item+"):
    """The item was created, or found after a lost answer; or a damaged journal had lost the use of the given item."""

    id: int


class ItemReady(JobEvent, frozen=True, kw_only=True, tag="item"):
    """The item and its address are known; `found` after a lost answer, or given. `public`: it was published by then."""

    id: int
    url: str
    found: bool = False
    public: bool | msgspec.UnsetType = msgspec.UNSET


class ItemUnwanted(JobEvent, frozen=True, tag="item-?"):
    """The empty item that the job created is about to be removed."""

    id: int


class ItemRemoved(JobEvent, frozen=True, tag="item--"):
    """The item was removed; if the job continues, it creates another one."""

    id: int


class MetadataRequested(JobEvent, frozen=True, tag="say"):
    """New metadata was requested for the item. `mark` is its fingerprint."""

    mark: str
    payload: ItemPayload = msgspec.field(name="spec")


class MetadataApplied(JobEvent, frozen=True, tag="said"):
    """The metadata with this mark was applied to the item."""

    mark: str


class OptionsGiven(JobEvent, frozen=True, tag="how"):
    """Later runs use these options, by their names, unless the command gives others."""

    options: dict[str, Any]


class FinalStepsRequested(JobEvent, frozen=True, kw_only=True, tag="end?"):
    """Exactly these final steps are requested; replaces earlier requests."""

    reserve_doi: bool = False
    private_link: bool = False
    publish: bool = False

    @property
    def steps(self) -> tuple[str, ...]:
        """The requested steps, in order."""
        return tuple(step for step in self.__struct_fields__ if getattr(self, step))


class PublishIntended(JobEvent, frozen=True, tag="public?", omit_defaults=True):
    """The item, which has this version (0: never published) and curation status, is about to be published.

    `files` is `JobState.files_fingerprint` at that time. It and `at` are "", and `curation` None, in earlier journals.
    """

    version: int
    files: str = ""
    curation: str | None = None
    at: str = ""


class NotPublished(JobEvent, frozen=True, tag="public-", omit_defaults=True):
    """Figshare refused the last request to publish. `earlier` is when one was made that has no answer, "" for none."""

    earlier: str = ""


class FinalStepDone(JobEvent, frozen=True, kw_only=True, tag="end", omit_defaults=True):
    """A requested final step completed: `value` is the DOI, the private link, or the visibility.

    `at` is None in earlier journals. After publishing, `url` is the public page and `doi` the DOI, None if unknown.
    """

    step: str
    value: str
    at: str | None = None
    url: str | None = None
    doi: str | None = None


class Resumed(JobEvent, frozen=True, tag="run"):
    """A new run began: the server's state must be requested again."""

    at: str


# --- one transfer -------------------------------------------------------------------------------------------------


class UploadIntended(FileEvent, frozen=True, kw_only=True, tag="init?"):
    """An upload is about to be initiated. `known`: ids of the item's files of this name by then; None if it is lost."""

    at: str
    known: tuple[int, ...] | None = ()


class NotInitiated(FileEvent, frozen=True, tag="init-"):
    """The intended initiation did not happen. `looked`: inferred from a search, not confirmed by a response."""

    looked: bool = False


class UploadInitiated(FileEvent, frozen=True, kw_only=True, tag="init"):
    """The remote file exists. `found`: it was found after a lost response."""

    id: int
    found: bool = False


class PartsMissing(FileEvent, frozen=True, kw_only=True, tag="parts"):
    """The server reported that it has `done` of `total` parts."""

    done: int
    total: int


class PartSent(FileEvent, frozen=True, kw_only=True, tag="p"):
    """The server accepted part `no`; `xxh3` is the 64-bit hash of the bytes sent."""

    no: int = msgspec.field(name="n")
    xxh3: int = msgspec.field(name="x")


class PartReset(FileEvent, frozen=True, tag="p-"):
    """The server does not have part `no`, contrary to the journal."""

    no: int = msgspec.field(name="n")


class PartsComplete(FileEvent, frozen=True, tag="sent"):
    """The server has all `total` parts."""

    total: int


class SourceHashed(FileEvent, frozen=True, tag="md5"):
    """The source's MD5 (hex), computed in this run."""

    md5: str


class DigestKept(FileEvent, frozen=True, kw_only=True, tag="md5~", omit_defaults=True):
    """The MD5 after the first `position` bytes of the source has this state (base64); the stamp is the source's at that
    time. `device` is valid only on `machine`. `reader` (base64) is the state of what reads an archive.
    """

    position: int = msgspec.field(name="n")
    state: str = msgspec.field(name="s")
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    device: int
    machine: str = ""
    reader: str = msgspec.field(default="", name="r")


class CompleteIntended(FileEvent, frozen=True, tag="done?"):
    """The upload is about to be completed."""


class Completed(FileEvent, frozen=True, tag="done"):
    """The server accepted the file as complete."""


class Verified(FileEvent, frozen=True, tag="ok"):
    """Figshare's MD5 equals the source's."""

    md5: str


class FoundIdentical(FileEvent, frozen=True, kw_only=True, tag="same"):
    """The item already held an identical file (size and MD5; "" for a link); nothing was sent."""

    id: int
    md5: str


class ReplacementPlanned(FileEvent, frozen=True, tag="old"):
    """The remote files `ids` of this name will be removed once the new one is verified, even if others created them.

    `unfinished` are those whose uploads were not complete when that was decided.
    """

    ids: tuple[int, ...]
    unfinished: tuple[int, ...] = ()


class LinkConfirmed(FileEvent, frozen=True, tag="linked"):
    """The item shows the link's address as given; a link has no content to compare."""


class Mismatched(FileEvent, frozen=True, kw_only=True, tag="bad"):
    """Figshare's MD5 differs: the file is sent again, and the bad one removed once the new one is verified."""

    local: str
    remote: str


class UploadLost(FileEvent, frozen=True, tag="lost"):
    """The server no longer knows the upload, or aborted it: the file starts again."""


class SourceReplaced(FileEvent, frozen=True, kw_only=True, tag="source+"):
    """The user asked to start again with the source as it is now; `archive` is None if it is none, or the same."""

    size: int
    mtime_ns: int
    inode: int
    ctime_ns: int | None = None
    archive: Archive | None = None


class RemoteLost(FileEvent, frozen=True, tag="gone"):
    """The verified remote file is gone or incomplete, or is another's and was changed: the source is sent.

    `exists`: this job's own file is still shown and is removed after the new one is verified.
    """

    exists: bool = False


class DuplicateFound(FileEvent, frozen=True, tag="twin"):
    """The item holds an identical file in the same place that was created earlier: it replaces this job's own."""

    id: int


class RemnantRemoved(FileEvent, frozen=True, tag="rm"):
    """A useless remote file of this transfer was deleted (or was gone), or `kept` because others may need it."""

    id: int
    kept: bool = False


class LeftoversRemoved(FileEvent, frozen=True, tag="swept"):
    """A last search for late effects of earlier requests for this file is done, and what it found removed."""


class Failed(FileEvent, frozen=True, kw_only=True, tag="fail"):
    """The transfer ended with an error that does not concern other files."""

    code: str
    message: str


class Retried(FileEvent, frozen=True, tag="again"):
    """A transfer that failed in this run is retried after the others."""


class Cancelled(FileEvent, frozen=True, tag="cancel"):
    """The user cancelled the job; the unfinished remote file is removed."""


AnyEvent: TypeAlias = (
    JobPlanned | JobGrown | SourceSkipped | SourcePlanned | SourceDropped | SourceChosen | ItemIntended | ItemNotCreated
    | ItemCreated | ItemReady | ItemUnwanted | ItemRemoved | MetadataRequested | MetadataApplied | OptionsGiven
    | FinalStepsRequested | PublishIntended | NotPublished | FinalStepDone | Resumed | UploadIntended | NotInitiated
    | UploadInitiated | PartsMissing | PartSent | PartReset | PartsComplete | SourceHashed | DigestKept
    | CompleteIntended | Completed | Verified | FoundIdentical | ReplacementPlanned | LinkConfirmed | Mismatched
    | UploadLost | SourceReplaced | RemoteLost | DuplicateFound | RemnantRemoved | LeftoversRemoved | Failed | Retried
    | Cancelled
)  # fmt: skip
