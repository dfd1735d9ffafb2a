"""The lifecycle of a transfer as data: states, transition table, next step. Pure: no clock, disk or socket.

The journal replays events; the engine applies new ones and asks `next_step`. The diagram in this folder's README and
the exhaustive tests are generated from `TABLE`.
"""

from __future__ import annotations

import enum
from array import array

import msgspec

from uploader.transfer.journal import events as ev


class State(enum.Enum):
    """State of a transfer."""

    PLANNED = "planned"
    INITIATING = "initiating"
    INITIATED = "initiated"
    SENDING = "sending"
    SENT = "sent"
    COMPLETING = "completing"
    COMPLETED = "completed"
    VERIFIED = "verified"
    FAILED = "failed"
    CANCELLED = "cancelled"

    __hash__ = object.__hash__
    """Hash by identity, which is faster: each event of a journal is looked up by a state."""


class Step(enum.Enum):
    """The next step of a transfer."""

    REMOVE_REMNANTS = "remove the remote file of a lost upload"
    INITIATE = "initiate the upload"
    LOOK_UP = "search for the effect of the initiation"
    INSPECT = "ask the server what it has"
    DISCARD = "remove the unfinished file of a dropped source"
    SEND = "send the missing parts"
    COMPLETE = "complete the upload"
    AWAIT_MD5 = "wait for Figshare's MD5 and compare"
    REMOVE_SUPERSEDED = "remove the files that the verified one replaces"
    REMOVE_LEFTOVERS = "search once more for late effects of earlier requests, and remove them"
    NOTHING = "nothing"


class IllegalEvent(Exception):
    """An event that is impossible in this state: a bug in figup, or a gap in the journal."""


S = State
OPEN = (S.INITIATED, S.SENDING, S.SENT, S.COMPLETING, S.COMPLETED)
"""States in which the remote file is known and not yet verified."""
UNFINISHED = (S.PLANNED, S.INITIATING, *OPEN)

REENTRY = "reentry"
"""Placeholder in `TABLE` for the state in which a transfer resumes: see `_resume_state`."""

TABLE: dict[tuple[State, type[ev.Event]], State | str] = {
    (S.PLANNED, ev.UploadIntended): S.INITIATING,
    (S.PLANNED, ev.UploadInitiated): S.INITIATED,  # in a journal that lost the intent
    (S.PLANNED, ev.FoundIdentical): S.VERIFIED,
    (S.PLANNED, ev.ReplacementPlanned): S.PLANNED,
    (S.PLANNED, ev.RemnantRemoved): S.PLANNED,
    (S.INITIATING, ev.UploadInitiated): S.INITIATED,
    (S.INITIATING, ev.NotInitiated): S.PLANNED,
    (S.INITIATED, ev.PartsMissing): S.SENDING,
    (S.INITIATED, ev.PartsComplete): S.SENT,
    (S.INITIATED, ev.PartReset): S.INITIATED,
    (S.INITIATED, ev.Completed): S.COMPLETED,
    (S.INITIATED, ev.LinkConfirmed): S.VERIFIED,
    (S.SENDING, ev.PartSent): S.SENDING,
    (S.SENDING, ev.PartsComplete): S.SENT,
    (S.SENT, ev.CompleteIntended): S.COMPLETING,
    (S.COMPLETING, ev.Completed): S.COMPLETED,
    (S.COMPLETING, ev.PartsComplete): S.SENT,
    (S.COMPLETING, ev.PartsMissing): S.SENDING,
    (S.COMPLETING, ev.PartReset): S.COMPLETING,
    (S.COMPLETED, ev.Verified): S.VERIFIED,
    (S.COMPLETED, ev.Mismatched): S.PLANNED,
    (S.VERIFIED, ev.ReplacementPlanned): S.VERIFIED,  # decided again after damage to the journal
    (S.VERIFIED, ev.RemnantRemoved): S.VERIFIED,
    (S.VERIFIED, ev.RemoteLost): S.PLANNED,
    (S.VERIFIED, ev.DuplicateFound): S.VERIFIED,
    (S.VERIFIED, ev.LeftoversRemoved): S.VERIFIED,
    (S.CANCELLED, ev.RemnantRemoved): S.CANCELLED,
    **{(state, ev.UploadLost): S.PLANNED for state in OPEN},
    **{(state, ev.SourceHashed): state for state in UNFINISHED},
    **{(state, ev.DigestKept): state for state in UNFINISHED},
    **{(state, ev.SourceReplaced): S.PLANNED for state in (*UNFINISHED, S.VERIFIED, S.FAILED, S.CANCELLED)},
    **{(state, ev.Failed): S.FAILED for state in UNFINISHED},
    **{(state, ev.Cancelled): S.CANCELLED for state in (*UNFINISHED, S.FAILED)},
    (S.FAILED, ev.Retried): REENTRY,
    **{(state, ev.SourceDropped): state for state in State},
    **{(state, ev.SourceChosen): state for state in State},
    **{(state, ev.Resumed): REENTRY for state in State},
}
"""(state, event) → next state. Any other pair is illegal."""


_NO_HASHES: array[int] = array("Q")


class Parts:
    """Parts of an upload that the server is known to have, and the xxh3 of those sent; 9 bytes a part."""

    __slots__ = ("_flags", "_hashes")
    _ABSENT, _SENT = 0, 1

    def __init__(self) -> None:
        self._flags = bytearray()
        self._hashes: array[int] = _NO_HASHES

    def sent(self, no: int, xxh3: int) -> None:
        """Record that part `no` (from 1) was sent with this hash."""
        if no >= len(self._flags):
            grow = max(no + 1, 2 * len(self._flags)) - len(self._flags)
            self._flags.extend(bytes(grow))
            self._hashes = self._hashes + array("Q", bytes(8 * grow))
        self._flags[no] = self._SENT
        self._hashes[no] = xxh3

    def reset(self, no: int) -> None:
        """Forget part `no`."""
        if no < len(self._flags):
            self._flags[no] = self._ABSENT

    def xxh3(self, no: int) -> int | None:
        """Hash of the bytes sent as part `no`; None if no record of sending it remains."""
        return self._hashes[no] if no < len(self._flags) and self._flags[no] else None


_NO_PARTS = Parts()
"""Shared by all transfers without recorded parts: most files of a large job are planned or verified."""


class Transfer(msgspec.Struct, kw_only=True, gc=False):
    """One source being sent to one remote file: the state that its events lead to. The garbage collector can skip it.

    `source` is the source's path, with `link` an address to refer to; None if it is the remote path below the folder
    `root`, which many transfers share. `named`: the user named the file, not its folder; `expected`: gave its MD5.
    """

    index: int
    source: str | None = None
    root: str = ""
    name: str
    size: int
    mtime_ns: int
    inode: int
    ctime_ns: int | None = None
    folder: str = ""
    """The remote folder, "a/b"; "" for none."""
    expected: str | None = None
    link: bool = False
    archive: ev.Archive | None = None
    """The archive to make of the sources below `path`; None for a file."""
    named: bool = False
    dropped: bool = False
    """True if the source was dropped from the job: nothing more is sent, and it may be missing."""
    state: State = State.PLANNED
    file_id: int | None = None
    foreign: bool = False
    """True if the remote file existed before and was not created by this job: it must never be removed."""
    intended_at: str | None = None
    """Time of an initiation with an unknown outcome (server's clock); None without one."""
    known: tuple[int, ...] = ()
    """Ids of the item's files of this name from before the last initiation; some may be missing if `record_lost`."""
    record_lost: bool = False
    """True if a damaged journal may have lost an initiation since."""
    abandoned: bool = False
    """True if an earlier remote file of this transfer was given up or is gone."""
    unanswered: bool = False
    """True if the search for an initiation's effect found nothing: it may still appear."""
    earlier_sizes: tuple[int, ...] = ()
    """Bytes of earlier versions of the source for which an initiation may still have an effect."""
    late: bool = False
    """True if an effect was ever missing: it may appear even after this job is finished."""
    lost: tuple[int, ...] = ()
    """Ids of remote files of this transfer that were gone or removed: a server may show them again."""
    unseen: tuple[int, ...] = ()
    """Those of `lost` that were announced but never seen, until they were searched for once more."""
    parts: Parts = msgspec.field(default_factory=lambda: _NO_PARTS)
    """Empty once the file is verified."""
    parts_total: int | None = None
    parts_done: int = 0
    """Number of parts that the server is known to have: from its last answer and the parts sent since."""
    md5: str | None = None
    kept: ev.DigestKept | None = None
    """Where the newest digest of the source was."""
    remnants: tuple[int, ...] = ()
    """Useless remote files, to be removed before the file restarts."""
    superseded: tuple[int, ...] = ()
    """Complete remote files with the wrong content, to be removed after a good one is verified."""
    replaces: tuple[int, ...] = ()
    """Remote files of any origin that the user asked to replace: removed after this one is verified (`replaced`)."""
    replaces_unfinished: tuple[int, ...] = ()
    """Those of `replaces` that were unfinished when that was decided."""
    replaced: tuple[int, ...] = ()
    spared: tuple[int, ...] = ()
    """Those of `superseded` and `replaces` that were kept because others may need them."""
    error: ev.Failed | None = None

    @property
    def path(self) -> str:
        """The source's path, or a link's address."""
        return self.source if self.source is not None else f"{self.root}/{self.remote_path}"

    @property
    def remote_path(self) -> str:
        """Folder and name: identifies this remote file within the item."""
        return f"{self.folder}/{self.name}" if self.folder else self.name

    @property
    def place(self) -> str:
        """The remote path, or a link's address."""
        return self.path if self.link else self.remote_path

    @property
    def settled(self) -> bool:
        """True if no step is left: verified or dropped, and nothing to remove."""
        done = self.state is State.VERIFIED or (self.dropped and not self.remnants)
        return done and next_step(self) is Step.NOTHING

    def apply(self, event: ev.FileEvent | ev.Resumed) -> None:
        """Apply an event. Raises IllegalEvent if the table does not have the transition."""
        target = TABLE.get((self.state, type(event)))
        if target is None:
            raise IllegalEvent(f"{type(event).__name__} in state {self.state.value}")
        _record(self, event)
        self.state = _resume_state(self) if isinstance(target, str) else target

    @property
    def unfinished_id(self) -> int | None:
        """The remote file that this transfer created and has not verified, or else one that is to be removed first."""
        if self.file_id is not None and self.state is not State.VERIFIED:
            return self.file_id
        return self.remnants[-1] if self.remnants else None

    def owned_ids(self) -> set[int]:
        """Ids of all remote files that this transfer created or found identical, and that may still exist."""
        return {*self.remnants, *self.superseded} | ({self.file_id} if self.file_id is not None else set())


def _resume_state(transfer: Transfer) -> State:
    """Return the state in which a new run resumes a transfer: the server is asked first."""
    if transfer.state is State.VERIFIED:
        return State.VERIFIED
    if transfer.file_id is not None:
        return State.INITIATED
    return State.PLANNED if transfer.intended_at is None else State.INITIATING


def _detach_remote(transfer: Transfer) -> tuple[int, ...]:
    """Reset the transfer for a restart; return the remote file that it made, to be removed later."""
    own = () if transfer.file_id is None or transfer.foreign else (transfer.file_id,)
    transfer.abandoned = transfer.abandoned or transfer.file_id is not None
    transfer.file_id = None
    transfer.foreign = False
    transfer.intended_at = None
    transfer.parts = _NO_PARTS
    transfer.parts_total, transfer.parts_done = None, 0
    return own


def _record(transfer: Transfer, event: ev.FileEvent | ev.Resumed) -> None:
    """Apply the events that every file has; a large job's journal has millions of them, and `match` is slower."""
    if type(event) is ev.PartSent:
        transfer.parts_done += transfer.parts.xxh3(event.no) is None
        if transfer.parts is _NO_PARTS:
            transfer.parts = Parts()
        transfer.parts.sent(event.no, event.xxh3)
    elif type(event) is ev.UploadIntended:
        transfer.intended_at = event.at
        transfer.record_lost = event.known is None
        transfer.known = transfer.known if event.known is None else event.known
    elif type(event) is ev.UploadInitiated:
        transfer.intended_at = None
        transfer.file_id = event.id
        transfer.lost = tuple(i for i in transfer.lost if i != event.id) if transfer.lost else ()
        transfer.record_lost |= transfer.state is State.PLANNED
    elif type(event) is ev.PartsMissing:
        transfer.parts_total, transfer.parts_done = event.total, event.done
    elif type(event) is ev.PartsComplete:
        transfer.parts_total = transfer.parts_done = event.total
    elif type(event) is ev.SourceHashed:
        transfer.md5 = event.md5
    elif type(event) is ev.Verified:
        transfer.md5, transfer.parts, transfer.kept = event.md5, _NO_PARTS, None
    elif type(event) is not ev.CompleteIntended and type(event) is not ev.Completed:
        _record_other(transfer, event)


def _record_other(transfer: Transfer, event: ev.FileEvent | ev.Resumed) -> None:  # noqa: C901 - one flat case per kind of event
    match event:
        case ev.NotInitiated():
            transfer.intended_at = None
            transfer.unanswered |= event.looked
            transfer.late |= event.looked
        case ev.FoundIdentical():
            transfer.file_id = event.id
            transfer.foreign = True
            transfer.md5 = event.md5 or None
        case ev.PartReset():
            transfer.parts.reset(event.no)
        case ev.DigestKept():
            transfer.kept = event
        case ev.ReplacementPlanned():
            transfer.replaces, transfer.replaces_unfinished = event.ids, event.unfinished
        case ev.SourceDropped():
            transfer.dropped = True
        case ev.SourceChosen():
            transfer.dropped, transfer.expected = False, event.md5
        case ev.Mismatched():
            transfer.superseded += _detach_remote(transfer)
            transfer.kept = None
        case ev.UploadLost():
            seen = transfer.parts_total is not None
            lost = _detach_remote(transfer)
            transfer.remnants += lost
            transfer.lost += lost
            transfer.unseen += () if seen else lost
        case ev.LeftoversRemoved():
            transfer.unanswered, transfer.unseen = False, ()
        case ev.SourceReplaced():
            if transfer.state in (State.COMPLETED, State.VERIFIED):
                transfer.superseded += _detach_remote(transfer)
            else:
                transfer.remnants += _detach_remote(transfer)
            transfer.earlier_sizes += (transfer.size,) if transfer.unanswered else ()
            transfer.size, transfer.mtime_ns, transfer.inode = event.size, event.mtime_ns, event.inode
            transfer.ctime_ns, transfer.archive = event.ctime_ns, event.archive or transfer.archive
            transfer.md5 = transfer.kept = transfer.error = None
        case ev.RemoteLost():
            lost = _detach_remote(transfer)
            if event.exists:
                transfer.superseded += lost
            else:
                transfer.lost += lost
            transfer.md5 = None
        case ev.DuplicateFound():
            transfer.superseded += () if transfer.foreign or transfer.file_id is None else (transfer.file_id,)
            transfer.file_id, transfer.foreign = event.id, event.id not in transfer.lost
            transfer.lost = tuple(i for i in transfer.lost if i != event.id)
        case ev.RemnantRemoved():
            if event.kept:  # it may be a copy of this one now
                transfer.known = tuple(i for i in transfer.known if i != event.id)
                transfer.spared += (event.id,)
            elif event.id in transfer.owned_ids().difference(transfer.lost) and transfer.state is not S.CANCELLED:
                transfer.lost += (event.id,)  # perhaps it was only hidden
            transfer.remnants = tuple(i for i in transfer.remnants if i != event.id)
            transfer.superseded = tuple(i for i in transfer.superseded if i != event.id)
            if event.id in transfer.replaces:
                transfer.replaces = tuple(i for i in transfer.replaces if i != event.id)
                transfer.replaced += () if event.kept else (event.id,)
        case ev.Failed():
            transfer.error = event
        case ev.Cancelled():
            transfer.remnants += _detach_remote(transfer)
        case ev.Resumed() | ev.Retried():
            transfer.error = None


_STEPS: dict[State, Step] = {
    S.PLANNED: Step.INITIATE,
    S.INITIATING: Step.LOOK_UP,
    S.INITIATED: Step.INSPECT,
    S.SENDING: Step.SEND,
    S.SENT: Step.COMPLETE,
    S.COMPLETING: Step.INSPECT,
    S.COMPLETED: Step.AWAIT_MD5,
    S.VERIFIED: Step.NOTHING,
    S.FAILED: Step.NOTHING,
    S.CANCELLED: Step.NOTHING,
}


def next_step(transfer: Transfer) -> Step:
    """Return the next step of this transfer."""
    if transfer.remnants and transfer.state in (State.PLANNED, State.CANCELLED):
        return Step.REMOVE_REMNANTS
    if (transfer.superseded or transfer.replaces) and transfer.state is State.VERIFIED:
        return Step.REMOVE_SUPERSEDED
    if (transfer.unanswered or transfer.unseen) and transfer.state is State.VERIFIED:
        return Step.REMOVE_LEFTOVERS
    if transfer.dropped:
        return _last_step(transfer)
    return _STEPS[transfer.state]


def _last_step(transfer: Transfer) -> Step:
    """Return the next step of a dropped transfer."""
    if transfer.intended_at is not None:
        return Step.LOOK_UP
    complete = transfer.state in (State.COMPLETED, State.VERIFIED)
    return Step.NOTHING if complete or transfer.file_id is None else Step.DISCARD
