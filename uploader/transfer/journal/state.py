"""The state of a job, built from its events: plan, item, transfers. Pure, like the lifecycle.

The journal replays events into a `JobState`; a running job applies new ones.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
import xxhash

from uploader.text import composed, printable
from uploader.transfer.journal import events as ev
from uploader.transfer.journal.lifecycle import IllegalEvent, State, Transfer
from uploader.transfer.journal.owners import Owners
from uploader.transfer.journal.sync_facts import KeptFile, OnRecord, SyncFacts, keep_on_record, place_hash

VANISHED, FORGOTTEN = "vanished", "forgotten"
"""Why a source is not sent: it no longer exists; and the user does without it."""
ABSENT = frozenset({VANISHED, "empty-folder", "link", "link-loop"})
"""Reasons that say only that a source is not there any more, not that the user left it out."""
COMPLETE = (State.VERIFIED, State.COMPLETED)
"""States in which the item holds the whole file."""


class ItemState(enum.Enum):
    """State of the job's item."""

    UNKNOWN = "unknown"
    INTENDED = "intended"
    CREATED = "created"
    READY = "ready"
    UNWANTED = "unwanted"


@dataclass(kw_only=True)
class JobState:
    """The state of a job after its events, the first of which is `plan`."""

    plan: ev.JobPlanned
    item_state: ItemState = ItemState.UNKNOWN
    item_id: int | None = None
    item_url: str | None = None
    item_intent: ev.ItemIntended | None = None
    unanswered_items: list[ev.ItemIntended] = field(default_factory=list)
    """Creations whose effect was not found: their items may still appear."""
    description: ev.MetadataRequested | None = None
    described: str | None = None
    """The mark of the metadata last applied to the item; None for none."""
    options: dict[str, Any] = field(default_factory=dict)
    """Options that the command stored for later runs; only the command interprets them."""
    final_steps: ev.FinalStepsRequested = field(default_factory=ev.FinalStepsRequested)
    publish_intent: ev.PublishIntended | None = None
    """Set while the outcome of a publish request is unknown."""
    last_publish_intent: ev.PublishIntended | None = None
    """The same, also when the outcome is known."""
    publish_unanswered: bool = False
    """True while the effect of that or an earlier request may still appear, since it has no answer."""
    publish_asked_at: str = ""
    """When that request was made (server's clock); "" if unknown."""
    published: str | None = None
    """`files_fingerprint` when this job last published the item; None if it has not."""
    done_steps: dict[str, str] = field(default_factory=dict)
    """Final steps that are done: step → result."""
    transfers: list[Transfer] = field(default_factory=list)
    files: int = field(init=False)
    """Minimum number of transfers in an intact journal."""
    skipped: dict[str, str] = field(default_factory=dict)
    """Sources that are not sent: path → reason."""
    published_at: str | None = None
    """When this job last published the item, and as which version; None if it did not, or unknown."""
    published_version: int | None = None
    item_was_public: bool = False
    """True if the item had been published before this job sent anything to it."""
    published_url: str | None = None
    published_doi: str | None = None
    recovered: bool = False
    """True if the journal was damaged and not everything has been verified since. Not in the journal: set when
    the job is opened."""
    files_on_record: Mapping[int, KeptFile] = field(default_factory=dict)
    """The job's remote files on record, as in `SyncFacts`: a damaged journal may have lost them. Not in the journal:
    set when the job is read, and updated with the record while it is open."""
    runs_without_parts: int = 0
    """Number of runs directly before the present one in which no part was finished."""
    _sent_parts: bool = True
    """True if the present run finished a part, and before the first run."""
    _version_intended: int | None = None
    _owners: Owners = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self.files = self.plan.files
        self._owners = Owners(self.transfers)

    def apply(self, event: ev.AnyEvent) -> None:  # noqa: C901 - one flat case per kind of event
        """Apply an event. Raises IllegalEvent if it is impossible in this state."""
        match event:
            case ev.FileEvent():
                self._apply_to_file(event)
            case ev.Resumed():
                self.runs_without_parts = 0 if self._sent_parts else self.runs_without_parts + 1
                self._sent_parts = False
                for transfer in self.transfers:
                    transfer.apply(event)
            case ev.JobPlanned():
                raise IllegalEvent("a second plan")
            case ev.JobGrown():
                self._grow(event)
            case ev.SourceSkipped(reason=""):
                self.skipped.pop(event.path, None)
            case ev.SourceSkipped():
                self.skipped[event.path] = event.reason
            case ev.ItemIntended():
                self._expect(event, self.item_state in (ItemState.UNKNOWN, ItemState.UNWANTED))
                self._forget_item()
                self.item_state, self.item_intent = ItemState.INTENDED, event
            case ev.ItemNotCreated():
                self._expect(event, self.item_state is ItemState.INTENDED)
                if event.looked and self.item_intent is not None:
                    self.unanswered_items.append(self.item_intent)
                self.item_state, self.item_intent = ItemState.UNKNOWN, None
            case ev.ItemCreated():
                self._expect(event, self.item_state in (ItemState.UNKNOWN, ItemState.INTENDED))
                self.item_state, self.item_id = ItemState.CREATED, event.id
            case ev.ItemReady():
                self._expect(event, self.item_state is not ItemState.READY and self.item_id in (None, event.id))
                self.item_state, self.item_id, self.item_url = ItemState.READY, event.id, event.url
                self.item_was_public = event.public is True
            case ev.ItemUnwanted():
                self._expect(event, self.item_state is not ItemState.UNWANTED and self.item_id == event.id)
                self.item_state = ItemState.UNWANTED
            case ev.ItemRemoved():
                self._expect(event, self.item_id == event.id)
                self._forget_item()
            case ev.MetadataRequested():
                self.description = event
            case ev.MetadataApplied():
                self.described = event.mark
            case ev.OptionsGiven():
                self.options = event.options
            case ev.FinalStepsRequested():
                self.final_steps = event
            case ev.PublishIntended():
                self._intend_publishing(event)
            case ev.NotPublished():
                self.publish_unanswered, self.publish_asked_at = bool(event.earlier), event.earlier
            case ev.FinalStepDone():
                self.done_steps[event.step] = event.value
                if event.step == "publish":
                    self._note_published(event)

    def _apply_to_file(self, event: ev.FileEvent) -> None:
        if type(event) is ev.SourcePlanned:
            self._add_transfer(event)
            return
        transfer = self._transfer(event.file)
        if type(event) is ev.PartSent:
            transfer.apply(event)
            self._sent_parts = True
        else:
            self._owners.apply(transfer, event)

    def _transfer(self, index: int) -> Transfer:
        if not 0 <= index < len(self.transfers):
            raise IllegalEvent(f"no source {index}")
        return self.transfers[index]

    def _add_transfer(self, event: ev.SourcePlanned) -> None:
        if event.file != len(self.transfers):
            raise IllegalEvent(f"source {event.file} follows source {len(self.transfers) - 1}")
        source: str | None = event.path
        name, folder = event.name, event.folder or ""
        if not event.link and not event.path.startswith("/"):
            inner, _, last = event.path.rpartition("/")
            source = f"{self.plan.root}/{event.path}" if name or event.folder is not None else None
            name = name or last
            folder = inner if event.folder is None else event.folder
        if self.transfers and self.transfers[-1].folder == folder:
            folder = self.transfers[-1].folder  # share one string instead of one per file
        self.transfers.append(
            Transfer(
                index=event.file,
                source=source,
                root=self.plan.root,
                name=name,
                size=event.size,
                mtime_ns=event.mtime_ns,
                inode=event.inode,
                ctime_ns=event.mtime_ns if event.ctime_ns == event.mtime_ns else event.ctime_ns,  # often the same
                folder=folder,
                expected=event.md5,
                link=event.link,
                archive=event.archive,
                named=event.named,
            )
        )

    def _grow(self, event: ev.JobGrown) -> None:
        if event.files < self.files:
            raise IllegalEvent(f"{event.files} files in a job of {self.files}")
        self.files = event.files

    def _intend_publishing(self, event: ev.PublishIntended) -> None:
        self._version_intended = event.version + 1
        self.publish_unanswered, self.publish_asked_at = True, event.at
        self.publish_intent = event if event.files else msgspec.structs.replace(event, files=self.files_fingerprint)
        self.last_publish_intent = self.publish_intent

    def _note_published(self, event: ev.FinalStepDone) -> None:
        intent, self.publish_intent, self.publish_unanswered = self.publish_intent, None, False
        self.published = intent.files if intent is not None else self.files_fingerprint
        self.published_at = event.at
        # Without an intent it was found published: its version is unknown.
        self.published_version = self._version_intended if event.value == "public" and intent is not None else None
        self.published_url, self.published_doi = event.url, event.doi or self.published_doi

    def _expect(self, event: ev.JobEvent, possible: bool) -> None:
        if not possible:
            raise IllegalEvent(f"{type(event).__name__} with the item {self.item_state.value}")

    @property
    def creates_item(self) -> bool:
        """True if the job creates its item; False if the user named it."""
        return self.plan.item is None

    @property
    def created_item(self) -> int | None:
        """The item that this job has created; None if it has not."""
        return self.item_id if self.creates_item else None

    @property
    def item_intents(self) -> list[ev.ItemIntended]:
        """The creations of items which may have had an effect."""
        return [*self.unanswered_items, *([self.item_intent] if self.item_intent is not None else [])]

    def item_marks(self, account: int | None) -> list[str]:
        """Return the marks that items which this job created as an account may have in their titles."""
        intents = (intent for intent in self.item_intents if intent.account in (None, account))
        return [intent.mark for intent in intents if intent.mark is not None]

    def _forget_item(self) -> None:
        self.item_state, self.item_intent = ItemState.UNKNOWN, None
        self.item_id = self.item_url = self.described = None

    @property
    def files_fingerprint(self) -> str:
        """Identifies the set of complete remote files; a replaced file has a new id."""
        there = (t.file_id for t in self.transfers if t.state in COMPLETE)
        ids = sorted(file_id for file_id in there if file_id is not None)
        return xxhash.xxh3_64_hexdigest(",".join(map(str, ids)).encode())

    @property
    def creating_account(self) -> int | None:
        """The account that may have created an item of this job which is not on record; None without one."""
        intents = self.item_intents if self.creates_item and self.item_id is None else []
        return intents[-1].account if intents else None

    def to_keep(self) -> SyncFacts:
        """Return the job's facts for the record of the next sync; for its files see `keep_on_record`."""
        files = dict(self.files_on_record)
        for transfer in self.transfers:
            keep_on_record(files, transfer, recovered=self.recovered)
        publishing = self.last_publish_intent
        return SyncFacts(item=self.created_item, account=self.creating_account, publishing=publishing, files=files)

    def is_done(self, step: str) -> bool:
        """Return True if a final step is done and need not be repeated: see `FinalStepsRequested`.

        Publishing is repeated if the job's files have changed since.
        """
        return step in self.done_steps and (step != "publish" or self.published == self.files_fingerprint)

    @property
    def publication(self) -> str | None:
        """The visibility that publishing led to; None if the job's present files are not published."""
        return self.done_steps["publish"] if self.finished and self.is_done("publish") else None

    @property
    def public_url(self) -> str | None:
        """The public page; None if the job's present files are not public, or it is not known."""
        return self.published_url if self.publication == "public" else None

    @property
    def doi(self) -> str | None:
        """The DOI that the job reserved, or that publishing led to; None if it is not known."""
        return self.published_doi or self.done_steps.get("reserve_doi")

    @property
    def active(self) -> list[Transfer]:
        """Transfers that have not been dropped."""
        return [transfer for transfer in self.transfers if not transfer.dropped]

    def own_at(self, place: str) -> Mapping[int, OnRecord]:
        """Return the files on record that the job had in a place (see `Transfer.place`), if the journal was damaged:
        the job's, with no other proof needed if they are still there. Otherwise nothing: the journal knows them.
        """
        if not (self.recovered and self.files_on_record):
            return {}
        wanted = place_hash(place)
        return {file_id: kept.kind for file_id, kept in self.files_on_record.items() if kept.place == wanted}

    def owners(self, file_id: int) -> list[Transfer]:
        """Return the transfers that own this remote file (see `Transfer.owned_ids`), also dropped ones."""
        return self._owners.of(file_id)

    def owns(self, file_id: int) -> bool:
        """Return True if a transfer owns this remote file."""
        return bool(self.owners(file_id))

    def owns_elsewhere(self, file_id: int, place: str) -> bool:
        """Return True if this remote file is that of a source in another place, in whatever spelling."""
        return any(composed(t.place) != composed(place) for t in self.owners(file_id) if not t.dropped)

    @property
    def lost_uploads(self) -> dict[int, int]:
        """The begun files on record that no transfer owns, with the hashes of their places: the damaged journal lost
        their start.
        """
        files = self.files_on_record if self.recovered else {}
        return {i: kept.place for i, kept in files.items() if kept.kind is OnRecord.BEGUN and not self.owns(i)}

    @property
    def orphaned(self) -> list[Transfer]:
        """Dropped transfers that were verified before their sources disappeared: the item must still hold them, unless
        the job has a source in the same place, in another spelling.
        """
        sent = (t for t in self.transfers if t.dropped and t.state is State.VERIFIED and self.may_vanish(t))
        absent = [transfer for transfer in sent if self._reason(transfer) in ABSENT]
        places = {composed(transfer.place) for transfer in self.active} if absent else set()
        return [transfer for transfer in absent if composed(transfer.place) not in places]

    def may_vanish(self, transfer: Transfer) -> bool:
        """Return True for a file that certainly was found in a folder: the user did not name it, so it may be missing
        later.
        """
        known = self.plan.named_known is True
        return known and not transfer.named and not transfer.link and transfer.archive is None

    @property
    def reported(self) -> list[Transfer]:
        """Transfers to show in reports: the active ones, and dropped ones that had become a complete file, unless the
        user does without them.
        """
        return [t for t in self.transfers if not t.dropped or (t.state in COMPLETE and self._reason(t) != FORGOTTEN)]

    def _reason(self, transfer: Transfer) -> str | None:
        return self.skipped.get(printable(transfer.path))

    @property
    def complete(self) -> bool:
        """True if the journal describes every source; False only for a damaged journal."""
        return bool(self.transfers) and len(self.transfers) >= self.files

    @property
    def finished(self) -> bool:
        """True if every transfer is verified or dropped, and nothing is left to remove."""
        return bool(self.transfers) and all(t.settled for t in self.transfers)

    @property
    def concluded(self) -> bool:
        """True if the job is finished, the metadata is applied, and the final steps are done."""
        described = self.description is None or self.described == self.description.mark
        return self.finished and described and all(self.is_done(step) for step in self.final_steps.steps)

    @property
    def cancelled(self) -> bool:
        """True if the user cancelled the job."""
        return any(t.state is State.CANCELLED for t in self.transfers)


class StateLoader:
    """Builds the state from a journal's events."""

    def __init__(self) -> None:
        self.state: JobState | None = None
        """None until the plan was applied, which a damaged journal may have lost."""

    def apply(self, event: ev.AnyEvent) -> None:
        """Apply the next event. Raises IllegalEvent if it is impossible in this state, or precedes the plan."""
        if self.state is not None:
            self.state.apply(event)
        elif isinstance(event, ev.JobPlanned):
            self.state = JobState(plan=event)
        else:
            raise IllegalEvent(f"{type(event).__name__} before the plan")


def state_after(events: Iterable[ev.AnyEvent]) -> JobState:
    """Return the state that these events of an intact journal lead to. Raises IllegalEvent."""
    loader = StateLoader()
    for event in events:
        loader.apply(event)
    if loader.state is None:
        raise IllegalEvent("no plan")
    return loader.state
