"""Possible histories of jobs: sequences of events that the lifecycle's table allows."""

from __future__ import annotations

import msgspec
from hypothesis import strategies as st

from uploader.items.payload import ItemPayload
from uploader.transfer.journal import events as ev
from uploader.transfer.journal.lifecycle import TABLE, State, Transfer
from uploader.transfer.journal.state import ItemState, JobState

AT = "2026-01-02T03:04:05+00:00"
MD5 = "0123456789abcdef0123456789abcdef"


def sample(kind: type[ev.Event], file: int = 0, number: int = 7) -> ev.AnyEvent:
    """Some event of this kind."""
    samples: dict[type[ev.Event], ev.AnyEvent] = {
        ev.UploadIntended: ev.UploadIntended(file, at=AT, known=(number,)),
        ev.NotInitiated: ev.NotInitiated(file),
        ev.UploadInitiated: ev.UploadInitiated(file, id=number),
        ev.PartsMissing: ev.PartsMissing(file, done=1, total=9),
        ev.PartSent: ev.PartSent(file, no=number % 9 + 1, xxh3=2**64 - 1 - number),
        ev.PartReset: ev.PartReset(file, number % 9 + 1),
        ev.PartsComplete: ev.PartsComplete(file, 9),
        ev.SourceHashed: ev.SourceHashed(file, MD5),
        ev.DigestKept: ev.DigestKept(
            file, position=number, state="AA==", size=90, mtime_ns=1, ctime_ns=2, inode=3, device=4
        ),
        ev.CompleteIntended: ev.CompleteIntended(file),
        ev.Completed: ev.Completed(file),
        ev.Verified: ev.Verified(file, MD5),
        ev.FoundIdentical: ev.FoundIdentical(file, id=number, md5=MD5),
        ev.Mismatched: ev.Mismatched(file, local=MD5, remote=MD5[::-1]),
        ev.UploadLost: ev.UploadLost(file),
        ev.SourceReplaced: ev.SourceReplaced(file, size=11, mtime_ns=12, inode=13),
        ev.RemoteLost: ev.RemoteLost(file, exists=True),
        ev.DuplicateFound: ev.DuplicateFound(file, 77),
        ev.RemnantRemoved: ev.RemnantRemoved(file, number),
        ev.LeftoversRemoved: ev.LeftoversRemoved(file),
        ev.Failed: ev.Failed(file, code="refused", message='it said "no"\n'),
        ev.Retried: ev.Retried(file),
        ev.Cancelled: ev.Cancelled(file),
        ev.SourceDropped: ev.SourceDropped(file),
        ev.SourceChosen: ev.SourceChosen(file, MD5),
        ev.ReplacementPlanned: ev.ReplacementPlanned(file, (number,)),
        ev.LinkConfirmed: ev.LinkConfirmed(file),
        ev.Resumed: ev.Resumed(AT),
    }
    return samples[kind]


def transfer_in(state: State) -> Transfer:
    """A transfer in this state, with the data that it would have."""
    transfer = Transfer(index=0, source="/data/a", name="a", size=90, mtime_ns=1, inode=2, state=state)
    if state not in (State.PLANNED, State.INITIATING, State.FAILED, State.CANCELLED):
        transfer.file_id = 5
    if state is State.INITIATING:
        transfer.intended_at = AT
    return transfer


_ITEM_STEPS: dict[ItemState, list[ev.AnyEvent]] = {
    ItemState.UNKNOWN: [ev.ItemIntended(AT), ev.ItemReady(id=3, url="https://example.org/3", found=True)],
    ItemState.INTENDED: [ev.ItemNotCreated(), ev.ItemCreated(3), ev.ItemReady(id=3, url="https://example.org/3")],
    ItemState.CREATED: [ev.ItemReady(id=3, url="https://example.org/3"), ev.ItemUnwanted(3)],
    ItemState.READY: [ev.ItemUnwanted(3)],
    ItemState.UNWANTED: [ev.ItemRemoved(3), ev.ItemReady(id=3, url="https://example.org/3", found=True)],
}
_ORDERS: list[ev.AnyEvent] = [
    ev.MetadataRequested(
        "m", ItemPayload(fields={"keywords": ["a"]}, authors=[{"id": 1}], embargo={"is_embargoed": True})
    ),
    ev.MetadataApplied("m"),
    ev.OptionsGiven({"on_conflict": "replace", "limit_rate": 1e6}),
    ev.FinalStepsRequested(publish=True),
    ev.PublishIntended(0),
    ev.NotPublished(),
    ev.FinalStepDone(step="publish", value="public"),
]


_KINDS = {
    state: sorted((k for s, k in TABLE if s is state and k is not ev.Resumed), key=lambda k: k.__name__)
    for state in State
}
"""The events of a transfer in this state."""

PLAN = ev.JobPlanned(
    job="abc", endpoint="https://example.org/v2", item=None, title="Tïtle\u2028", created=AT, version="0.1.0", files=1
)


@st.composite
def lives(draw: st.DrawFn, longest: int = 40) -> list[ev.AnyEvent]:
    """The events of one job with one to three files, in a possible order."""
    files = draw(st.integers(1, 3))
    plan = msgspec.structs.replace(PLAN, files=files)
    job = JobState(plan=plan)
    events: list[ev.AnyEvent] = [plan]

    def happen(event: ev.AnyEvent) -> None:
        job.apply(event)
        events.append(event)

    for index in range(files):
        happen(
            ev.SourcePlanned(index, path=f"/data/{draw(st.text(max_size=8))}", name="n", size=90, mtime_ns=1, inode=2)
        )
    for _ in range(draw(st.integers(0, longest))):
        moves: list[ev.AnyEvent | tuple[type[ev.Event], int]] = [ev.Resumed(AT), *_ITEM_STEPS[job.item_state], *_ORDERS]
        for transfer in job.transfers:
            moves += [(kind, transfer.index) for kind in _KINDS[transfer.state]]
        move = draw(st.sampled_from(moves))
        happen(sample(*move, draw(st.integers(1, 50))) if isinstance(move, tuple) else move)
    return events
