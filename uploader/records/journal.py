"""The journal of a job that creates or updates items: its events, and the state that follows from them. Pure.

A record is named by its key. As in a job of transfers, an intent is journaled before each request that creates
something, and the id that it led to directly after; what is between the two in a crash is looked up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import msgspec

Action: TypeAlias = Literal["create", "update"]


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="e"):
    """Base of all events."""


class JobPlanned(Event, frozen=True, kw_only=True, tag="records"):
    """The job was begun. `account` is the id of the account, `path` that of the file; `created` by this clock."""

    job: str
    endpoint: str
    account: int
    action: Action
    path: str
    created: str
    version: str


class ReportWritten(Event, frozen=True, kw_only=True, tag="report"):
    """The job wrote a report to this path, which a later run may replace."""

    path: str


class JobEnded(Event, frozen=True, kw_only=True, tag="ended"):
    """Nothing is left to do for the records of the file as it was then, or everything created was removed."""

    state: Literal["done", "undone"]


class RecordEvent(Event, frozen=True, kw_only=True):
    """An event of one record."""

    key: str = msgspec.field(name="k")

    def changes(self) -> dict[str, Any]:
        """Return its changes to the record's state: attributes of `RecordState` and their values."""
        raise NotImplementedError


class CreateIntended(RecordEvent, frozen=True, kw_only=True, tag="intent"):
    """An item with this mark in its title is about to be created. `at` is by the server's clock.

    `fingerprint` is that of the record, "" if not recorded; `source` the source's id, "" without one.
    """

    at: str
    mark: str
    fingerprint: str = ""
    source: str = ""

    def changes(self) -> dict[str, Any]:
        return {"intent": self, "content": self.fingerprint, "source": self.source}


class NotCreated(RecordEvent, frozen=True, kw_only=True, tag="none"):
    """The request had no effect; `late`: none has been found, but it may appear."""

    late: bool = False

    def changes(self) -> dict[str, Any]:
        return {"intent": None}


class ItemCreated(RecordEvent, frozen=True, kw_only=True, tag="item"):
    """The item exists. `late`: a response was lost, so that a second one may appear."""

    id: int
    late: bool = False

    def changes(self) -> dict[str, Any]:
        return {"intent": None, "item_id": self.id, "created": True}


class ItemFound(RecordEvent, frozen=True, kw_only=True, tag="found"):
    """An item that the job did not create is updated. `source` is the source's id of the record, "" without one."""

    id: int
    source: str = ""

    def changes(self) -> dict[str, Any]:
        return {"item_id": self.id, "source": self.source}


class ExistingRead(RecordEvent, frozen=True, kw_only=True, tag="existing"):
    """An item with the record's DOI, which the job leaves as it is, was read. `modified` is that of its row in a list.

    `published` is public, embargoed, or "" for a draft.
    """

    id: int
    modified: str
    published: str

    def changes(self) -> dict[str, Any]:
        return {"existing": self}


class ChangeIntended(RecordEvent, frozen=True, kw_only=True, tag="changing"):
    """The item's metadata or link is about to be changed. `at` is by the server's clock.

    `fingerprint` is that of the record if the item was created with it and got no other one since, otherwise "".
    `describes`: the metadata may change, so that those of the last description are not known to be there.
    """

    at: str
    fingerprint: str = ""
    describes: bool = False

    def changes(self) -> dict[str, Any]:
        describing = {"describing": True} if self.describes else {}
        return {"changing": self.at, "content": self.fingerprint, **describing}


class Described(RecordEvent, frozen=True, kw_only=True, tag="described"):
    """The item has its title, without a mark, and the metadata of this fingerprint.

    `likeness` is what the record has in common with one whose DOI was corrected, "" if not recorded.
    """

    fingerprint: str
    likeness: str = ""

    def changes(self) -> dict[str, Any]:
        return {
            "described": self.fingerprint,
            "describing": False,
            "likeness": self.likeness,
            "done": False,
            "unpublished": True,
            "publishing": None,
        }


class LinkIntended(RecordEvent, frozen=True, kw_only=True, tag="linking"):
    """The item's link to an address is about to be created; then the links with the ids of `replaces` are removed."""

    link: str = ""
    replaces: tuple[int, ...] = ()

    def changes(self) -> dict[str, Any]:
        return {"linking": self, "done": False}


class Linked(RecordEvent, frozen=True, kw_only=True, tag="linked"):
    """The item refers to this address."""

    link: str

    def changes(self) -> dict[str, Any]:
        return {"linking": None, "link": self.link, "link_shown": False, "unpublished": True}


class PublishIntended(RecordEvent, frozen=True, kw_only=True, tag="publishing"):
    """The item, now of this version and curation status, is about to be published. `at` is "" in earlier journals."""

    version: int
    curation: str = ""
    at: str = ""

    def changes(self) -> dict[str, Any]:
        return {"publishing": self, "publish_unanswered": True, "publish_asked_at": self.at, "done": False}


class NotPublished(RecordEvent, frozen=True, kw_only=True, tag="refused"):
    """Figshare refused to publish the item. `earlier` is when a request was made that has no answer, "" for none."""

    earlier: str = ""

    def changes(self) -> dict[str, Any]:
        return {"publish_unanswered": bool(self.earlier), "publish_asked_at": self.earlier}


class Published(RecordEvent, frozen=True, kw_only=True, tag="published"):
    """The item was published: `public`, `embargoed` or `review`, as in `items.release.visibility`."""

    visibility: str

    def changes(self) -> dict[str, Any]:
        return {
            "publishing": None,
            "publish_unanswered": False,
            "published": self.visibility,
            "unpublished": False,
        }


class Seen(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An item as Figshare described it. `modified` is ISO 8601, "" if not stated; `content` hashes its metadata.

    `published` is public, embargoed, or "" for a draft.
    """

    url: str = ""
    doi: str = ""
    modified: str = ""
    content: str = ""
    published: str = ""


class Observed(RecordEvent, frozen=True, kw_only=True, tag="seen"):
    """The item as Figshare shows it after the job's last change. `done`: nothing is left to do."""

    seen: Seen
    done: bool = False

    def changes(self) -> dict[str, Any]:
        shown = {"link_shown": True} if self.done else {}
        return {"seen": self.seen, "done": self.done, "changing": "", **shown}


class Touched(RecordEvent, frozen=True, kw_only=True, tag="touched"):
    """The item is not as the job left it: it may have been changed since."""

    def changes(self) -> dict[str, Any]:
        return {"touched": True}


class Failed(RecordEvent, frozen=True, kw_only=True, tag="failed"):
    """The record failed in this run; the others continue."""

    code: str
    message: str

    def changes(self) -> dict[str, Any]:
        return {"failure": (self.code, self.message)}


class Removed(RecordEvent, frozen=True, kw_only=True, tag="removed"):
    """The item no longer exists."""

    id: int

    def changes(self) -> dict[str, Any]:
        return {name: getattr(RecordState(), name) for name in RecordState.__struct_fields__}


AnyEvent = (
    JobPlanned | JobEnded | ReportWritten | CreateIntended | NotCreated | ItemCreated | ItemFound | ExistingRead
    | Described | ChangeIntended | LinkIntended | Linked | PublishIntended | NotPublished | Published | Observed
    | Touched | Failed | Removed
)  # fmt: skip
EVENTS = msgspec.json.Decoder(AnyEvent)


class RecordState(msgspec.Struct, array_like=True, kw_only=True):
    """The state of one record. `created`: the job created its item; otherwise it only updates it."""

    item_id: int | None = None
    created: bool = False
    intent: CreateIntended | None = None
    """A create request whose outcome is unknown."""
    changing: str = ""
    """When the job last began to change the item, if it has not read it since."""
    described: str | None = None
    likeness: str = ""
    source: str = ""
    """The source's id, by which a record is recognized whose DOI was corrected."""
    linking: LinkIntended | None = None
    """A request for a link whose outcome is unknown, or after which old links are to be removed."""
    link: str | None = None
    publishing: PublishIntended | None = None
    """The last request to publish the item as it is described now, unless it is known to have had its effect."""
    publish_unanswered: bool = False
    """The answer to the last request to publish, or to an earlier one, is unknown."""
    publish_asked_at: str = ""
    """When that request was made (server's clock); "" if unknown."""
    published: str = ""
    unpublished: bool = False
    """The job changed the item since it published it last, if it did."""
    seen: Seen | None = None
    touched: bool = False
    """The item was found changed by something else than the job, which concerns its removal."""
    done: bool = False
    existing: ExistingRead | None = None
    """The item with the record's DOI that the job leaves as it is."""
    failure: tuple[str, str] | None = None
    """Code and message of its last error; None after a success."""
    content: str = ""
    """The fingerprint of the only record whose metadata the job gave to the item; "" for several or if unknown."""
    link_shown: bool = False
    """The item has shown the link that the job set; until then, its absence from a list proves nothing."""
    describing: bool = False
    """A description that began is not known to be complete: the item may have other metadata than `described` says."""


class RecordStates(Mapping[str, RecordState]):
    """The states of many records by key, encoded, which takes two thirds of the memory. Each value is a copy."""

    def __init__(self) -> None:
        self._encoded: dict[str, bytes] = {}

    def __getitem__(self, key: str) -> RecordState:
        return _STATES.decode(self._encoded[key])

    def __contains__(self, key: object) -> bool:
        return key in self._encoded

    def __iter__(self) -> Iterator[str]:
        return iter(self._encoded)

    def __len__(self) -> int:
        return len(self._encoded)

    def set(self, key: str, state: RecordState) -> None:
        """Replace or add the state of a record."""
        self._encoded[key] = msgspec.msgpack.encode(state)


_STATES = msgspec.msgpack.Decoder(RecordState)


@dataclass(kw_only=True)
class JobState:
    """The state of a job. `marks` are of requests whose effect may appear late, by mark."""

    plan: JobPlanned | None = None
    records: RecordStates = field(default_factory=RecordStates)
    marks: dict[str, str] = field(default_factory=dict)
    reports: set[str] = field(default_factory=set)
    ended: Literal["", "done", "undone"] = ""
    """How the job ended, if nothing was done since."""

    def of(self, key: str) -> RecordState:
        """Return a copy of the state of a record, which may not have been begun."""
        return self.records[key] if key in self.records else RecordState()

    def apply(self, event: AnyEvent) -> None:
        """Apply one event."""
        if isinstance(event, JobPlanned):
            self.plan = event
            return
        if isinstance(event, ReportWritten):
            self.reports.add(event.path)
            return
        if isinstance(event, JobEnded):
            self.ended = event.state
            return
        self.ended = ""
        record = self.of(event.key)
        if isinstance(event, NotCreated | ItemCreated) and event.late and record.intent is not None:
            self.marks[record.intent.mark] = event.key
        record.failure = None
        for name, value in event.changes().items():
            setattr(record, name, value)
        self.records.set(event.key, record)
