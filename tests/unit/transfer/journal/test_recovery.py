"""What a damaged journal may have lost becomes intents, which are checked with the server."""

from __future__ import annotations

import msgspec

from tests.support.walks import AT, PLAN
from uploader.transfer.journal import events as ev
from uploader.transfer.journal.recovery import recover
from uploader.transfer.journal.state import ItemState, JobState
from uploader.transfer.journal.sync_facts import SyncFacts

SOURCE = ev.SourcePlanned(0, path="/data/a", name="a", size=90, mtime_ns=1, inode=2)
CREATED = (ev.ItemIntended(at=AT, mark="m", account=3), ev.ItemCreated(7), ev.ItemReady(id=7, url="https://e/7"))


def recovered(
    *events: ev.AnyEvent, plan: ev.JobPlanned = PLAN, kept: SyncFacts | None = None, newer: bool = False
) -> tuple[list[ev.AnyEvent], JobState]:
    """The events that recovery adds to these, which follow the plan; and the state after them."""
    taken, state = recover([plan, SOURCE, *events], None, kept or SyncFacts(), newer=newer)
    assert state is not None
    return taken[2 + len(events) :], state


def test_a_job_that_lost_everything_may_have_created_its_item_and_begun_its_file() -> None:
    added, state = recovered(kept=SyncFacts(account=3))
    assert [type(event) for event in added] == [ev.ItemIntended, ev.UploadIntended]
    assert (state.item_state, state.creating_account) == (ItemState.INTENDED, 3)


def test_the_mark_of_an_intent_is_no_longer_the_only_evidence() -> None:
    added, state = recovered(CREATED[0])
    assert added[:1] == [ev.ItemNotCreated(looked=True)]
    assert [(intent.mark, intent.account) for intent in state.item_intents] == [("m", 3), (None, 3)]


def test_a_file_whose_initiation_was_intended_may_have_parts() -> None:
    intent = ev.UploadIntended(0, at=AT)
    added, state = recovered(*CREATED, intent)
    assert added[0] == ev.NotInitiated(0, looked=True)
    assert [event.known for event in added[1:] if isinstance(event, ev.UploadIntended)] == [None]
    assert state.transfers[0].unanswered


def test_a_transfer_with_a_file_to_remove_has_begun_no_other_one() -> None:
    lost = (
        *CREATED,
        ev.UploadIntended(0, at=AT),
        ev.UploadInitiated(0, id=9),
        ev.SourceReplaced(0, size=90, mtime_ns=2, inode=2, ctime_ns=2),
    )
    added, state = recovered(*lost)
    assert state.transfers[0].remnants == (9,)
    assert added == []


def test_the_item_of_a_newer_sync_replaces_that_of_the_journal() -> None:
    other = SyncFacts(item=8)
    added, state = recovered(*CREATED, kept=other, newer=True)
    assert added[:2] == [ev.ItemRemoved(7), ev.ItemCreated(8)]
    assert state.item_id == 8
    assert not any(isinstance(event, ev.ItemRemoved) for event in recovered(*CREATED, kept=other)[0])


def test_an_item_that_a_newer_sync_does_not_have_is_removed_only_if_no_file_is_in_it() -> None:
    assert recovered(*CREATED, newer=True)[0][0] == ev.ItemUnwanted(7)
    begun = (*CREATED, ev.UploadIntended(0, at=AT), ev.UploadInitiated(0, id=9))
    assert recovered(*begun, newer=True)[0] == []


def test_a_given_item_is_in_use_once_a_file_was_begun() -> None:
    plan = msgspec.structs.replace(PLAN, item=5, title=None)
    begun = (ev.UploadIntended(0, at=AT), ev.UploadInitiated(0, id=9))
    assert recovered(*begun, plan=plan)[0] == [ev.ItemCreated(5)]


def test_what_a_journal_has_left_belongs_to_the_same_sources_in_a_plan_with_more() -> None:
    def source(index: int, name: str) -> ev.SourcePlanned:
        return ev.SourcePlanned(index, path=f"/data/{name}", name=name, size=90, mtime_ns=1, inode=2)

    def begun(index: int) -> tuple[ev.AnyEvent, ...]:
        return ev.UploadIntended(index, at=AT), ev.UploadInitiated(index, id=10 + index)

    own = msgspec.structs.replace(PLAN, files=3)
    new: list[ev.AnyEvent] = [msgspec.structs.replace(PLAN, files=3), source(0, "0"), source(1, "a"), source(2, "c")]
    left: list[ev.AnyEvent] = [own, source(0, "a"), source(2, "b"), *CREATED, *begun(0), *begun(1), *begun(2)]
    _, state = recover(left, new, SyncFacts())
    assert state is not None
    assert [(t.name, t.file_id) for t in state.transfers] == [("0", None), ("a", 10), ("c", None), ("b", 12)]
    assert [t.record_lost for t in state.transfers] == [True, False, True, False]
    assert recover([msgspec.structs.replace(own, files=5), *left[1:]], new, SyncFacts())[1] is None


def test_an_archive_is_the_same_in_a_plan_with_another_folder_for_its_members() -> None:
    def archive(index: int, folder: str) -> ev.SourcePlanned:
        made = ev.Archive(id="0", format="zip", members=2)
        return ev.SourcePlanned(index, path=folder, name=f"a-{index}.zip", size=90, mtime_ns=1, archive=made)

    left: list[ev.AnyEvent] = [msgspec.structs.replace(PLAN, files=2), archive(0, "/data/set")]
    new: list[ev.AnyEvent] = [msgspec.structs.replace(PLAN, files=3), *(archive(index, "/data") for index in range(3))]
    _, state = recover(left, new, SyncFacts())
    assert state is not None
    assert [t.name for t in state.transfers] == ["a-0.zip", "a-1.zip", "a-2.zip"]
