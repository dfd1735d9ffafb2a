"""The lifecycle, exhaustively: every state with every event, exactly as in the table."""

from __future__ import annotations

import copy

import msgspec
import pytest
from hypothesis import given

from tests.support import diagram
from tests.support.walks import PLAN, lives, sample, transfer_in
from uploader.transfer.journal import events as ev
from uploader.transfer.journal.lifecycle import (
    OPEN,
    REENTRY,
    TABLE,
    IllegalEvent,
    Parts,
    State,
    Step,
    Transfer,
    next_step,
)
from uploader.transfer.journal.state import ItemState, JobState, StateLoader, state_after

FILE_EVENTS = sorted({k for _, k in TABLE}, key=lambda k: k.__name__)


def test_the_table_has_every_event_of_a_transfer() -> None:
    concrete = {k for k in ev.FileEvent.__subclasses__() if k is not ev.SourcePlanned}
    assert concrete | {ev.Resumed} == set(FILE_EVENTS)


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("kind", FILE_EVENTS, ids=lambda k: k.__name__)
def test_each_state_accepts_only_the_events_of_the_table(state: State, kind: type[ev.Event]) -> None:
    transfer = transfer_in(state)
    event = sample(kind)
    assert isinstance(event, ev.FileEvent | ev.Resumed)
    target = TABLE.get((state, kind))
    if target is None:
        before = _all_but_parts(transfer)
        with pytest.raises(IllegalEvent, match=kind.__name__):
            transfer.apply(event)
        assert _all_but_parts(transfer) == before
        return
    transfer.apply(event)
    if target == REENTRY:
        assert transfer.state in (State.PLANNED, State.INITIATING, State.INITIATED, State.VERIFIED)
    else:
        assert transfer.state is target


def _all_but_parts(transfer: Transfer) -> dict[str, object]:
    return {
        f.name: copy.deepcopy(getattr(transfer, f.name)) for f in msgspec.structs.fields(transfer) if f.name != "parts"
    }


def test_every_state_can_be_reached_and_left_towards_verified() -> None:
    edges = {(a, b) for (a, _), b in TABLE.items() if isinstance(b, State)}
    edges |= {(state, State.PLANNED) for state in (State.FAILED, State.CANCELLED)}

    def closure(start: State, forwards: bool) -> set[State]:
        seen, todo = {start}, [start]
        while todo:
            here = todo.pop()
            for a, b in edges:
                there, origin = (b, a) if forwards else (a, b)
                if origin is here and there not in seen:
                    seen.add(there)
                    todo.append(there)
        return seen

    assert closure(State.PLANNED, forwards=True) == set(State)
    assert closure(State.VERIFIED, forwards=False) == set(State)


@pytest.mark.parametrize(
    ("state", "step"),
    [
        (State.PLANNED, Step.INITIATE),
        (State.INITIATING, Step.LOOK_UP),
        (State.INITIATED, Step.INSPECT),
        (State.SENDING, Step.SEND),
        (State.SENT, Step.COMPLETE),
        (State.COMPLETING, Step.INSPECT),
        (State.COMPLETED, Step.AWAIT_MD5),
        (State.VERIFIED, Step.NOTHING),
        (State.FAILED, Step.NOTHING),
        (State.CANCELLED, Step.NOTHING),
    ],
)
def test_each_state_has_a_next_step(state: State, step: Step) -> None:
    assert next_step(transfer_in(state)) is step


@pytest.mark.parametrize("state", OPEN)
def test_an_upload_that_is_known_is_asked_about_before_anything_else_on_resume(state: State) -> None:
    transfer = transfer_in(state)
    transfer.apply(ev.Resumed("t"))
    assert (transfer.state, next_step(transfer)) == (State.INITIATED, Step.INSPECT)


def test_a_lost_answer_is_looked_up_on_resume_and_not_repeated() -> None:
    transfer = transfer_in(State.PLANNED)
    transfer.apply(ev.UploadIntended(0, at="t", known=(1, 2)))
    transfer.apply(ev.Failed(0, code="unreachable", message="no"))
    transfer.apply(ev.Resumed("t"))
    assert next_step(transfer) is Step.LOOK_UP
    assert transfer.known == (1, 2)


def test_an_initiation_that_may_be_lost_keeps_the_ids_on_record() -> None:
    transfer = transfer_in(State.PLANNED)
    transfer.apply(ev.UploadIntended(0, at="t", known=(1, 2)))
    transfer.apply(ev.NotInitiated(0))
    transfer.apply(ev.UploadIntended(0, at="t", known=None))
    assert (transfer.known, transfer.record_lost) == ((1, 2), True)


def test_a_bad_copy_is_removed_only_after_a_good_one_is_verified() -> None:
    transfer = transfer_in(State.COMPLETED)
    transfer.apply(ev.Mismatched(0, local="a", remote="b"))
    assert transfer.superseded == (5,)
    assert next_step(transfer) is Step.INITIATE
    for event in (
        ev.UploadIntended(0, at="t"),
        ev.UploadInitiated(0, id=6),
        ev.PartsComplete(0, 1),
        ev.CompleteIntended(0),
    ):
        transfer.apply(event)
        assert next_step(transfer) is not Step.REMOVE_SUPERSEDED
    transfer.apply(ev.Completed(0))
    assert next_step(transfer) is Step.AWAIT_MD5
    transfer.apply(ev.Verified(0, "a"))
    assert next_step(transfer) is Step.REMOVE_SUPERSEDED
    transfer.apply(ev.RemnantRemoved(0, 5))
    assert next_step(transfer) is Step.NOTHING


@pytest.mark.parametrize("state", OPEN)
def test_a_dead_placeholder_is_removed_before_the_file_starts_again(state: State) -> None:
    transfer = transfer_in(state)
    transfer.apply(ev.UploadLost(0))
    assert (transfer.remnants, transfer.file_id) == ((5,), None)
    assert next_step(transfer) is Step.REMOVE_REMNANTS
    transfer.apply(ev.RemnantRemoved(0, 5))
    assert next_step(transfer) is Step.INITIATE


def test_parts_are_counted_once_and_forgotten_on_reset() -> None:
    parts = Parts()
    parts.sent(3, 33)
    parts.sent(3, 34)
    parts.sent(1000, 2**64 - 1)
    assert (parts.xxh3(3), parts.xxh3(1000), parts.xxh3(4), parts.xxh3(9999)) == (
        34,
        2**64 - 1,
        None,
        None,
    )
    parts.reset(3)
    parts.reset(9999)
    assert parts.xxh3(3) is None


@pytest.mark.search
@given(lives())
def test_no_history_forgets_a_remote_file_of_the_job(events: list[ev.AnyEvent]) -> None:
    loader = StateLoader()
    made: dict[int, set[int]] = {}
    for event in events:
        loader.apply(event)
        job = loader.state
        assert job is not None
        if isinstance(event, ev.UploadInitiated):
            made.setdefault(event.file, set()).add(event.id)
        if isinstance(event, ev.RemnantRemoved):
            made.get(event.file, set()).discard(event.id)
        for transfer in job.transfers:
            assert made.get(transfer.index, set()) <= transfer.owned_ids()


def test_a_new_version_never_removes_a_file_of_others() -> None:
    transfer = transfer_in(State.PLANNED)
    transfer.apply(ev.FoundIdentical(0, id=77, md5="m"))
    transfer.apply(ev.SourceReplaced(0, size=1, mtime_ns=2, inode=3))
    assert (transfer.state, transfer.owned_ids()) == (State.PLANNED, set())


def test_a_new_version_of_a_verified_file_keeps_the_earlier_one_until_it_is_verified_itself() -> None:
    transfer = transfer_in(State.VERIFIED)
    transfer.apply(ev.SourceReplaced(0, size=1, mtime_ns=2, inode=3))
    assert (transfer.remnants, transfer.superseded, next_step(transfer)) == ((), (5,), Step.INITIATE)


@pytest.mark.search
@given(lives())
def test_a_job_owns_the_remote_files_of_its_transfers_after_each_event(events: list[ev.AnyEvent]) -> None:
    loader = StateLoader()
    for event in events:
        loader.apply(event)
        job = loader.state
        assert job is not None
        owned = {file_id for transfer in job.transfers for file_id in transfer.owned_ids()}
        assert {file_id for file_id in range(100) if job.owns(file_id)} == owned


@pytest.mark.search
@given(lives())
def test_every_prefix_of_a_history_can_be_resumed(events: list[ev.AnyEvent]) -> None:
    loader = StateLoader()
    for event in events:
        loader.apply(event)
        job = loader.state
        assert job is not None
        taken_up = copy.deepcopy(job)
        taken_up.apply(ev.Resumed("t"))
        for before, after in zip(job.transfers, taken_up.transfers, strict=True):
            assert after.file_id == before.file_id
            if after.dropped:
                # An earlier version that is complete stays: nothing has taken its place.
                left = after.remnants or after.file_id is not None
                assert next_step(after) is not Step.NOTHING or not left or after.state is State.VERIFIED
                assert next_step(after) not in (Step.INITIATE, Step.INSPECT, Step.SEND, Step.COMPLETE)
            elif before.state is not State.VERIFIED:
                assert next_step(after) in (Step.REMOVE_REMNANTS, Step.INITIATE, Step.LOOK_UP, Step.INSPECT)


def test_an_item_is_created_once() -> None:
    job = JobState(plan=PLAN)
    job.apply(ev.ItemIntended("t"))
    with pytest.raises(IllegalEvent):
        job.apply(ev.ItemIntended("t"))
    job.apply(ev.ItemCreated(1))
    assert (job.item_state, job.item_id, job.item_url) == (ItemState.CREATED, 1, None)
    for other in (ev.ItemCreated(2), ev.ItemIntended("t"), ev.ItemNotCreated(), ev.ItemReady(id=2, url="u")):
        with pytest.raises(IllegalEvent):
            job.apply(other)
    job.apply(ev.ItemReady(id=1, url="u"))
    assert (job.item_state, job.item_id, job.item_url) == (ItemState.READY, 1, "u")
    with pytest.raises(IllegalEvent):
        job.apply(ev.ItemReady(id=1, url="u"))


def test_an_item_that_was_removed_again_is_forgotten_and_another_one_may_be_created() -> None:
    def begun() -> JobState:
        job = JobState(plan=PLAN)
        for event in (ev.ItemIntended("t"), ev.ItemCreated(1), ev.ItemReady(id=1, url="u"), ev.MetadataApplied("m")):
            job.apply(event)
        with pytest.raises(IllegalEvent):
            job.apply(ev.ItemUnwanted(2))
        job.apply(ev.ItemUnwanted(1))
        assert (job.item_state, job.item_id) == (ItemState.UNWANTED, 1)
        return job

    removed = begun()
    with pytest.raises(IllegalEvent):
        removed.apply(ev.ItemRemoved(2))
    removed.apply(ev.ItemRemoved(1))
    assert (removed.item_state, removed.item_id, removed.item_url, removed.described) == (
        ItemState.UNKNOWN,
        None,
        None,
        None,
    )
    # The record of its removal may be lost.
    for job in (removed, begun()):
        job.apply(ev.ItemIntended("t"))
        job.apply(ev.ItemCreated(2))
        assert (job.item_state, job.item_id) == (ItemState.CREATED, 2)
    kept = begun()
    kept.apply(ev.ItemReady(id=1, url="u", found=True))
    assert kept.item_state is ItemState.READY


def test_an_older_journal_with_id_and_address_in_one_event_is_still_read() -> None:
    job = JobState(plan=PLAN)
    job.apply(ev.ItemIntended("t"))
    job.apply(ev.ItemReady(id=1, url="u"))
    assert (job.item_state, job.item_id) == (ItemState.READY, 1)


def test_events_of_files_that_the_job_does_not_have_are_refused() -> None:
    job = JobState(plan=PLAN)
    for event in (
        ev.Completed(0),
        ev.Completed(-1),
        ev.SourcePlanned(1, path="/p", name="p", size=1, mtime_ns=1, inode=1),
    ):
        with pytest.raises(IllegalEvent):
            job.apply(event)


def test_a_journal_begins_with_its_plan_and_has_no_other() -> None:
    with pytest.raises(IllegalEvent):
        state_after([])
    with pytest.raises(IllegalEvent):
        state_after([ev.ItemCreated(1), PLAN])
    with pytest.raises(IllegalEvent):
        state_after([PLAN, PLAN])
    assert state_after([PLAN]).creates_item


def test_a_job_is_finished_when_every_file_is_verified_and_nothing_is_left_to_remove() -> None:
    one, other = transfer_in(State.VERIFIED), transfer_in(State.VERIFIED)
    left_over = transfer_in(State.VERIFIED)
    left_over.superseded += (9,)
    assert not JobState(plan=PLAN).finished
    assert JobState(plan=PLAN, transfers=[one, other]).finished
    assert not JobState(plan=PLAN, transfers=[one, left_over]).finished
    assert not JobState(plan=PLAN, transfers=[one, transfer_in(State.COMPLETED)]).finished


def test_owned_files_are_all_that_may_still_exist() -> None:
    transfer = Transfer(
        index=0, source="/a", name="a", size=1, mtime_ns=1, inode=1, file_id=1, remnants=(2,), superseded=(3,)
    )
    assert transfer.owned_ids() == {1, 2, 3}


def test_the_readme_draws_the_table_as_it_is() -> None:
    text = diagram.README.read_text("utf-8")
    assert diagram.draw() in text
    assert diagram.updated(text) == text


def test_replaced_files_are_distinguished_from_failed_ones() -> None:
    transfer = Transfer(index=0, source="/a", name="a", size=1, mtime_ns=2, inode=3)
    for event in (
        ev.ReplacementPlanned(0, (4, 5)),
        ev.UploadIntended(0, at="t"),
        ev.UploadInitiated(0, id=6),
        ev.Completed(0),
        ev.Mismatched(0, local="x", remote="y"),
        ev.UploadIntended(0, at="t"),
        ev.UploadInitiated(0, id=7),
        ev.Completed(0),
        ev.Verified(0, "x"),
        ev.RemnantRemoved(0, 6),
        ev.RemnantRemoved(0, 4),
    ):
        transfer.apply(event)
    assert (transfer.superseded, transfer.replaces, transfer.replaced) == ((), (5,), (4,))
    transfer.apply(ev.RemnantRemoved(0, 5))
    transfer.apply(ev.Resumed("t"))
    assert transfer.replaced == (4, 5)
