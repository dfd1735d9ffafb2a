"""Jobs of records that are run again: what is not visible yet, what changed meanwhile, what is to be published."""

from __future__ import annotations

import itertools
from pathlib import Path

import msgspec
import pytest

from tests.fakes import figshare as fake
from tests.fakes.figshare import Fault, StoredItem
from tests.fakes.records import RecordWorld, record
from tests.fakes.world import KILLED
from uploader.errors import Interrupted, ItemNotFound, JobBusy, RequestRejected
from uploader.figshare.outcomes import PageLimitReached
from uploader.items.payload import ItemPayload
from uploader.records.job import job_store, overview
from uploader.records.plan import Planned
from uploader.records.run import OnDuplicate, RunOptions
from uploader.transfer.store.lock import JobLock

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("threads_are_fakes")]

PUBLISHED, UPDATED = RunOptions(publish=True), RunOptions(on_duplicate="update")
BOTH = RunOptions(publish=True, on_duplicate="update")


# --- records whose DOI was corrected --------------------------------------------------------------------------------

WITH_TITLE_AND_AUTHORS = (
    "line 9, 10.1234/1x: has the title and authors of item {} (10.1234/1), whose record is no longer in the file; it "
    "gets an item of its own. If only the DOI was corrected, set it on item {} first"
)


def corrected(number: int, **changes: object) -> Planned:
    """The record as it is with another DOI."""
    one = record(number, doi=f"10.1234/{number}x")
    return msgspec.structs.replace(one, key=f"10.1234/{number}x", dois=(f"10.1234/{number}x",), line=9, **changes)


async def test_a_second_item_for_a_corrected_doi_is_announced(world: RecordWorld) -> None:
    await world.run([record(1), record(2)])
    item = world.items()[0].id
    await world.run([corrected(1, title="A  Dam 1"), record(2)])
    assert world.warnings == [WITH_TITLE_AND_AUTHORS.format(item, item)]
    await world.run([corrected(1, title="A  Dam 1"), record(2)])
    assert world.warnings == []
    assert len(world.items()) == 3


async def test_no_second_item_is_announced_for_another_record_or_once_the_item_has_the_doi(world: RecordWorld) -> None:
    await world.run([record(1), record(2)])
    await world.run([record(1), record(2), corrected(1)])
    await world.run([record(2), corrected(1), corrected(3, title="Another")])
    assert world.warnings == []
    world.items()[1].doi = "10.1234/2x"
    await world.run([corrected(2)])
    assert world.warnings == []
    assert [one.reason for one in world.outcomes] == ["an item of this account has the DOI"]


# --- records of the same publication ----------------------------------------------------------------------------------


def of_paper(number: int) -> Planned:
    """One of several records of a publication."""
    one = record(number, resource_doi="10.9/paper")
    return msgspec.structs.replace(one, dois=(*one.dois, "10.9/paper"))


@pytest.mark.parametrize("duplicates", ["skip", "update", "fail"])
@pytest.mark.parametrize("fault", [Fault.KILLED_BEFORE, Fault.KILLED_AFTER])
@pytest.mark.parametrize("backwards", [False, True])
async def test_records_of_one_publication_have_their_own_items_also_after_a_kill(
    world: RecordWorld, duplicates: OnDuplicate, fault: Fault, *, backwards: bool
) -> None:
    records, options = [of_paper(1), of_paper(2), of_paper(3)], RunOptions(on_duplicate=duplicates)
    world.figshare.fail("create", fault, first=2)
    assert await world.run(records, options) == KILLED
    assert await world.run(records[::-1] if backwards else records, options) == 0
    assert sorted(item.title for item in world.items()) == ["A dam 1", "A dam 2", "A dam 3"]
    assert {one.result for one in world.outcomes} == {"created"}


async def test_an_item_is_that_of_one_record(world: RecordWorld) -> None:
    world.figshare.add_item("theirs").fields["resource_doi"] = "10.9/paper"
    for _ in range(2):
        assert await world.run([of_paper(1), of_paper(2)], UPDATED) == 0
        assert [item.title for item in world.items()] == ["A dam 1", "A dam 2"]


async def test_no_draft_of_a_repeated_request_counts_as_that_of_another_record(world: RecordWorld) -> None:
    world.figshare.fail("create", Fault.KILLED_AFTER)
    assert await world.run([of_paper(1), of_paper(2)]) == KILLED
    (first,) = world.items()
    world.figshare.add_item(first.title).fields.update(first.fields)  # by the same request, which was repeated
    assert await world.run([of_paper(1), of_paper(2)]) == 0
    assert [item.title for item in world.items()] == ["A dam 1", "A dam 2"]
    assert world.results() == ["created", "created"]


async def test_two_records_do_not_update_the_same_item(world: RecordWorld) -> None:
    await world.run([of_paper(1)])
    same = msgspec.structs.replace(record(1), key="10.9/paper", dois=("10.9/paper",))
    assert await world.run([record(1), same], action="update") == 1
    reason = "the item with the DOI 10.9/paper is that of another record, 10.1234/1"
    assert world.outcomes[1].reason == reason


async def test_an_update_follows_its_doi_to_another_item(world: RecordWorld) -> None:
    first = world.figshare.add_item("first")
    first.doi = "10.1234/1"
    assert await world.run([record(1)], action="update") == 0
    second = world.figshare.add_item("second")
    first.doi, second.doi = "10.1234/old", "10.1234/1"
    assert await world.run([record(1)], action="update") == 0
    assert world.warnings == [f"the DOI 10.1234/1 is that of item {second.id} now, and not of {first.id}"]
    assert (second.title, world.outcomes[0].item_id) == ("A dam 1", second.id)
    del world.figshare.stored_items[second.id]
    first.doi, first.title = "10.1234/1", "first"
    assert await world.run([record(1)], action="update") == 1
    assert await world.run([record(1)], action="update") == 0
    assert first.title == "A dam 1"


HIGHER = [record(1, description="Higher 1"), record(2, description="Higher 2")]


async def with_dois(world: RecordWorld, *dois: str) -> list[StoredItem]:
    """Items whose DOIs were 10.1234/1 and 10.1234/2 when they were updated, and are these now."""
    items = [world.figshare.add_item(str(number)) for number in range(3)]
    items[0].doi, items[1].doi = "10.1234/1", "10.1234/2"
    assert await world.run([record(1), record(2)], action="update") == 0
    for item, doi in zip(items, dois, strict=True):
        item.doi = doi
    return items


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize(
    "dois",
    [
        ("10.1234/2", "10.1234/1", "10.1234/other"),
        ("10.1234/other", "10.1234/1", "10.1234/2"),
        ("10.1234/2", "10.1234/other", "10.1234/1"),
    ],
)
async def test_updates_follow_dois_that_changed_places(
    world: RecordWorld, dois: tuple[str, ...], *, backwards: bool
) -> None:
    items = await with_dois(world, *dois)
    for _ in range(2):
        assert await world.run(HIGHER[::-1] if backwards else HIGHER, action="update") == 0
        assert tuple(item.doi for item in items) == dois
        for number in (1, 2):
            item = items[dois.index(f"10.1234/{number}")]
            assert (item.title, item.fields["description"]) == (f"A dam {number}", f"Higher {number}")
            assert [author.full_name for author in item.authors] == [f"Author {number}"]


async def test_a_new_record_gets_the_item_from_which_another_one_moved(world: RecordWorld) -> None:
    first, second = world.figshare.add_item("first"), world.figshare.add_item("second")
    first.doi = "10.1234/1"
    assert await world.run([record(1)], action="update") == 0
    first.doi, second.doi = "10.1234/2", "10.1234/1"
    assert await world.run([record(2), record(1)], action="update") == 0
    assert (first.title, second.title) == ("A dam 2", "A dam 1")


async def test_an_update_does_not_move_to_the_item_of_another_record_of_the_publication(world: RecordWorld) -> None:
    first, second = world.figshare.add_item("first"), world.figshare.add_item("second")
    first.doi, second.doi = "10.1234/1", "10.1234/2"
    assert await world.run([of_paper(1), of_paper(2)], action="update") == 0
    first.doi, first.fields["resource_doi"] = "", ""
    changed = [msgspec.structs.replace(of_paper(number), title=f"A dyke {number}") for number in (1, 2)]
    assert await world.run(changed, action="update") == 0
    assert ((first.title, second.title), world.warnings) == (("A dyke 1", "A dyke 2"), [])


# --- items that are not visible yet -----------------------------------------------------------------------------------


async def test_a_new_item_that_is_not_visible_yet_is_waited_for(world: RecordWorld) -> None:
    world.figshare.fail("update", RequestRejected("not found", status=404), times=3)
    world.figshare.fail("detail", ItemNotFound("gone"), times=3)
    assert await world.run([record(1)]) == 0
    assert [item.title for item in world.items()] == ["A dam 1"]


async def test_a_link_that_is_not_visible_yet_is_waited_for(world: RecordWorld) -> None:
    world.figshare.files_lag = 5.0
    assert await world.run([record(1)]) == 0
    assert len(world.items()[0].files) == 1


async def test_a_refused_value_is_not_waited_for(world: RecordWorld) -> None:
    world.figshare.fail("update", RequestRejected("no such category", status=404), times=3)
    assert await world.run([record(1)]) == 1
    assert world.outcomes[0].reason == "no such category"
    assert world.figshare.log.count("update") == 1


async def test_an_item_that_is_not_visible_yet_is_not_created_again(world: RecordWorld) -> None:
    world.figshare.fail("update", Fault.KILLED_BEFORE)
    assert await world.run([record(1)]) == KILLED
    world.items()[0].visible_at = world.clock.monotonic() + 5
    world.figshare.fail("detail", ItemNotFound("gone"), times=2)
    assert await world.run([record(1)]) == 0
    assert [item.title for item in world.items()] == ["A dam 1"]
    assert world.warnings == []


async def test_an_item_that_an_old_copy_of_the_data_lacks_is_not_created_again(world: RecordWorld) -> None:
    await world.run([record(1)])
    world.items()[0].visible_at = world.clock.monotonic() + 2
    world.figshare.fail("detail", ItemNotFound("gone"), times=2)
    assert await world.run([record(1)]) == 0
    assert (len(world.items()), world.warnings) == (1, [])


# --- undo of items that somebody changed ------------------------------------------------------------------------------


async def fates(world: RecordWorld) -> list[tuple[str, str]]:
    found = await world.undo()
    assert found is not None
    return [(one.outcome, one.reason) for one in found]


async def test_undo_keeps_what_was_changed_before_a_later_run(world: RecordWorld) -> None:
    await world.run([record(1), record(2)])
    world.items()[0].fields["keywords"] = ["by hand"]
    changed = [record(number, description="Higher", keywords=["dam"]) for number in (1, 2)]
    assert await world.run(changed, UPDATED) == 0
    assert [one.reason for one in world.outcomes] == [
        "the item had been changed on Figshare before this run", ""
    ]  # fmt: skip
    assert await world.run(changed, UPDATED) == 0
    assert await fates(world) == [("kept", "it was changed since"), ("removed", "")]


async def test_undo_keeps_what_was_changed_before_a_run_that_failed(world: RecordWorld) -> None:
    await world.run([record(1)])
    world.items()[0].fields["keywords"] = ["by hand"]
    changed = [record(1, description="Higher")]
    assert await world.run(changed, RunOptions(on_duplicate="fail")) == 1
    assert await fates(world) == [("kept", "it was changed since")]


@pytest.mark.parametrize("request_name", ["update", "set_authors", "link", "delete_file"])
async def test_a_change_that_was_repeated_for_long_and_killed_is_the_job_s(
    world: RecordWorld, request_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.run([record(1)])
    changed = msgspec.structs.replace(linked(NEW), title="Another title")
    body = msgspec.structs.replace(changed.payload, authors=[{"name": "Another"}])
    monkeypatch.setattr(fake, "THROTTLED_FOR", 300)
    world.figshare.fail(request_name, Fault.THROTTLED)
    world.figshare.fail(request_name, Fault.KILLED_AFTER, first=2)
    assert await world.run([msgspec.structs.replace(changed, payload=body)], UPDATED) == KILLED
    world.items()[0].change(world.clock.now())
    assert await fates(world) == [("removed", "")]


@pytest.mark.parametrize("fault", [Fault.LOST_AFTER, Fault.THROTTLED])
async def test_what_figshare_did_shortly_before_its_answer_was_given_up_is_the_job_s(
    world: RecordWorld, fault: Fault
) -> None:
    """The answer is lost for good, or the request is repeated after it had its effect."""
    await world.run([record(1)])
    world.figshare.fail("update", fault)

    async def take_long(name: str) -> None:
        if name == "update" and world.figshare.log[-1:] != ["update"]:
            await world.clock.sleep(59)
            world.items()[0].change(world.clock.now())

    world.figshare.gate = take_long
    changed = [record(1, description="Higher")]
    assert await world.run(changed, UPDATED) == (75 if fault is Fault.LOST_AFTER else 0)
    assert [one.reason for one in world.outcomes] == [""]
    assert await fates(world) == [("removed", "")]


async def test_undo_keeps_what_was_changed_between_two_attempts_of_a_request(
    world: RecordWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Figshare asks to wait, and the second attempt would hide by its time that somebody else changed the item."""
    await world.run([record(1)])
    monkeypatch.setattr(fake, "THROTTLED_FOR", 300)
    world.figshare.fail("update", Fault.THROTTLED)

    async def edit_while_it_waits(name: str) -> None:
        if name == "update" and world.figshare.log[-1:] != ["update"]:
            await world.clock.sleep(90)
            world.items()[0].fields["keywords"] = ["by hand"]
            world.items()[0].change(world.clock.now())

    world.figshare.gate = edit_while_it_waits
    assert await world.run([record(1, description="Higher")], UPDATED) == 0
    assert await fates(world) == [("kept", "it was changed since")]


@pytest.mark.parametrize("killed", ["update", "set_authors", "link", "detail"])
@pytest.mark.parametrize("how", [Fault.KILLED_BEFORE, Fault.KILLED_AFTER])
@pytest.mark.parametrize("field", ["description", "handle", None])
async def test_undo_keeps_what_was_changed_at_once_after_a_kill(
    world: RecordWorld, killed: str, how: Fault, field: str | None
) -> None:
    """The time of the change does not tell whose it is; the next run may overwrite the description, not the handle."""
    world.figshare.fail(killed, how)
    assert await world.run([record(1)]) == KILLED
    if field is not None:
        world.items()[0].fields[field] = "by hand"
        world.items()[0].change(world.clock.now())
    assert await world.run([record(1)]) == 0
    assert await fates(world) == [("kept", "it was changed since") if field else ("removed", "")]


@pytest.mark.parametrize(
    "kills", [["create"], ["update"], ["set_authors"], ["link"], ["detail"], ["update", "update"], ["link", "update"]]
)
async def test_a_draft_whose_record_was_corrected_after_a_kill_remains_the_job_s(
    world: RecordWorld, kills: list[str]
) -> None:
    """The item has what it was created with, or a correction that was withdrawn, and not what the file says then."""
    versions = [record(1), record(1, description="Higher", keywords=["weir"]), record(1)]
    for name, version in zip(kills, versions, strict=False):
        world.figshare.fail(name, Fault.KILLED_AFTER)
        assert await world.run([version]) == KILLED
    assert await world.run([versions[len(kills)]]) == 0
    assert [one.reason for one in world.outcomes] == [""]
    assert await fates(world) == [("removed", "")]


@pytest.mark.parametrize("edited", [False, True])
@pytest.mark.parametrize("killed", [Fault.KILLED_BEFORE, Fault.KILLED_AFTER])
async def test_undo_keeps_a_new_item_that_was_changed_before_its_first_description(
    world: RecordWorld, killed: Fault, *, edited: bool
) -> None:
    world.figshare.fail("create", Fault.KILLED_AFTER)
    assert await world.run([record(1)]) == KILLED
    await world.clock.sleep(3600)
    if edited:
        world.items()[0].change(world.clock.now())
        await world.clock.sleep(60)
    world.figshare.fail("update", killed)
    assert await world.run([record(1)]) == KILLED
    assert await fates(world) == [("kept", "it was changed since") if edited else ("removed", "")]


async def test_undo_keeps_items_with_other_files_than_their_link(world: RecordWorld) -> None:
    records = [record(1), record(2, link=False)]
    world.figshare.fail("detail", Fault.KILLED_BEFORE, first=2)
    assert await world.run(records) == KILLED
    world.figshare.add_file(world.items()[1], "mine.csv", b"1,2")
    assert await world.run(records) == 0
    assert await fates(world) == [("removed", ""), ("kept", "it has files that the job did not add")]


async def test_the_runs_of_a_job_itself_do_not_count_as_changes(world: RecordWorld) -> None:
    world.figshare.fail("link", RequestRejected("no such address"))
    assert await world.run([record(1)]) == 1
    assert await world.run([record(1)]) == 0
    assert await world.run([record(1, description="Higher")], UPDATED) == 0
    assert await fates(world) == [("removed", "")]


@pytest.mark.parametrize(("killed", "how"), [("update", Fault.KILLED_BEFORE), ("create", Fault.KILLED_AFTER)])
async def test_an_unfinished_item_whose_record_left_the_file_is_named(
    world: RecordWorld, killed: str, how: Fault
) -> None:
    world.figshare.fail(killed, how)
    assert await world.run([record(1), record(2)]) == KILLED
    item = world.items()[0].id
    for _ in range(2):
        assert await world.run([record(2)]) == 0
        assert world.warnings == [f"unfinished items whose records are no longer in the file: {item} (10.1234/1)"]
        assert world.state().ended == ""
    assert await fates(world) == [("removed", ""), ("removed", "")]
    assert world.items() == []


async def test_a_creation_without_effect_whose_record_left_the_file_does_not_keep_the_job_unfinished(
    world: RecordWorld,
) -> None:
    world.figshare.fail("create", Fault.KILLED_BEFORE)
    assert await world.run([record(1), record(2), record(3)]) == KILLED
    assert world.state().of("10.1234/1").intent is not None
    assert await world.run([record(2), record(3)]) == 0
    assert world.warnings == []
    assert world.state().ended == "done"
    assert overview(job_store(world.folder / "state"), world.job).unfinished == 0
    assert [item.title for item in world.items()] == ["A dam 2", "A dam 3"]


async def test_a_draft_whose_record_left_the_file_and_that_appears_late_is_removed(world: RecordWorld) -> None:
    world.figshare.fail("create", Fault.KILLED_AFTER)
    assert await world.run([record(1), record(2)]) == KILLED
    world.items()[0].visible_at = world.clock.monotonic() + 1e4
    assert await world.run([record(2)]) == 0
    assert world.state().ended == "done"
    await world.clock.sleep(2e4)
    assert await world.run([record(2)]) == 0
    assert [item.title for item in world.items()] == ["A dam 2"]
    assert "whose response was lost; it was empty and has been removed" in world.warnings[0]


async def test_a_creation_that_an_incomplete_list_may_hide_is_named(world: RecordWorld) -> None:
    world.figshare.fail("create", Fault.KILLED_BEFORE)
    assert await world.run([record(1), record(2)]) == KILLED
    world.figshare.fail(OWN, PageLimitReached("no further"), times=100)
    assert await world.run([record(2)]) == 0
    assert any("may have been created for 10.1234/1" in one for one in world.warnings)
    assert world.state().ended == ""


def of_source(number: int, doi: str = "") -> Planned:
    """A record with the id pub.1 of its source."""
    one = record(number, doi=doi) if doi else record(number)
    return msgspec.structs.replace(one, key=doi or "pub.1", dois=(doi,) if doi else (), source_id="pub.1")


@pytest.mark.parametrize("found", [False, True])
async def test_a_record_whose_doi_was_corrected_twice_is_recognized_by_its_id(
    world: RecordWorld, *, found: bool
) -> None:
    if found:
        world.figshare.add_item("theirs").doi = "10.1234/1"
    for doi in ("10.1234/1", "10.1234/1x", "10.1234/1y"):
        assert await world.run([of_source(1, doi), record(2)], UPDATED) == 0
        assert (len(world.items()), world.items()[0].doi, world.warnings) == (2, doi, [])
    world.items()[0].doi = ""
    assert await world.run([of_source(1, "10.1234/1z"), of_source(1, "10.1234/1")]) == 0
    assert len(world.items()) == 3, "the record with the earlier DOI is another one now"


async def test_a_record_that_got_a_doi_since_is_recognized_by_its_id(world: RecordWorld) -> None:
    assert await world.run([of_source(1)]) == 0
    assert await world.run([of_source(1, "10.1234/1")], UPDATED) == 0
    assert (len(world.items()), world.outcomes[0].item_id) == (1, world.items()[0].id)
    assert await world.run([of_source(1, "10.1234/1"), of_source(2, "10.1234/2")]) == 0
    assert world.results() == ["existing", "created"], "it is unknown which of the two has the id"


async def test_updates_are_reported_and_not_undone(world: RecordWorld) -> None:
    world.figshare.add_item("theirs").doi = "10.1234/1"
    await world.run([record(1), record(2)], UPDATED)
    assert await fates(world) == [("removed", "")]
    assert world.warnings == ["1 item that the job updated but did not create: not reverted"]
    assert [item.title for item in world.items()] == ["A dam 1"]


# --- what changed in the file, and what is published ------------------------------------------------------------------


def linked(link: str) -> Planned:
    return msgspec.structs.replace(record(1), link=link)


def links(world: RecordWorld) -> list[str | None]:
    return [file.link for file in world.items()[0].files.values()]


OLD, NEW, NEWER = "https://doi.org/10.1234/1", "https://example.org/new", "https://example.org/newer"


async def test_a_changed_link_is_replaced_on_request(world: RecordWorld) -> None:
    await world.run([record(1)])
    assert await world.run([linked(NEW)]) == 0
    assert "changed in the file" in world.outcomes[0].reason
    assert links(world) == ["https://doi.org/10.1234/1"]
    assert await world.run([linked(NEW)], UPDATED) == 0
    assert links(world) == [NEW]
    assert world.figshare.log.index("link") < world.figshare.log.index("delete_file")
    assert await fates(world) == [("removed", "")]


@pytest.mark.parametrize("extra", ["replaced", "equal"])
async def test_a_link_is_not_removed_if_the_job_was_taken_over_meanwhile(
    world: RecordWorld, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Figshare asked to wait before it is removed; while this process was suspended, another machine took the job."""
    await world.run([record(1)])
    link = NEW if extra == "replaced" else "https://doi.org/10.1234/1"
    if extra == "equal":
        await world.figshare.link(world.items()[0].id, link)
    monkeypatch.setattr(fake, "THROTTLED_FOR", 0)
    world.figshare.fail("delete_file", Fault.THROTTLED)

    async def confirm(_: JobLock) -> None:
        if "delete_file" in world.figshare.log:
            raise JobBusy("another machine took over this job")

    monkeypatch.setattr(JobLock, "confirm", confirm)
    changed = msgspec.structs.replace(linked(link), title="Another title")
    assert await world.run([changed], UPDATED) == JobBusy.exit_status
    assert world.figshare.log.count("delete_file") == 1
    assert len(links(world)) == 2


async def test_the_link_of_an_item_that_existed_before_is_replaced(world: RecordWorld) -> None:
    item = world.figshare.add_item("theirs")
    item.doi = "10.1234/1"
    await world.figshare.link(item.id, NEW)
    assert await world.run([record(1)], UPDATED) == 0
    assert links(world) == ["https://doi.org/10.1234/1"]


@pytest.mark.parametrize("other", ["file", "links"])
async def test_other_files_than_one_link_are_kept(world: RecordWorld, other: str) -> None:
    await world.run([record(1)])
    item = world.items()[0]
    if other == "file":
        world.figshare.add_file(item, "mine.csv", b"1,2")
    else:
        await world.figshare.link(item.id, NEWER)
    before = links(world)
    assert await world.run([linked(NEW)], UPDATED) == 1
    assert "has other files, so that its link was not set; remove them" in world.outcomes[0].reason
    assert links(world) == before
    item.files.clear()
    assert await world.run([linked(NEW)], UPDATED) == 0
    assert links(world) == [NEW]


@pytest.mark.search
async def test_an_interrupted_replacement_of_a_link_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At any request, and with yet another link, or the first one again, in the file of the next run."""
    requests = [(name, fault) for name in ("files", "link", "delete_file", "detail")
                for fault in (Fault.KILLED_BEFORE, Fault.KILLED_AFTER)]  # fmt: skip
    for number, ((name, fault), then) in enumerate(itertools.product(requests, (NEW, NEWER, OLD))):
        world = RecordWorld(tmp_path / str(number), monkeypatch)
        await world.run([record(1)])
        world.figshare.fail(name, fault)
        assert await world.run([linked(NEW)], UPDATED) == KILLED, name
        assert await world.run([linked(then)], UPDATED) == 0, world.outcomes
        assert links(world) == [then], (name, fault)


def metadata_only() -> Planned:
    return record(1, link=False, is_metadata_record=True, metadata_reason="Kept elsewhere")


async def test_a_metadata_only_record_loses_its_link_also_after_a_killed_replacement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, killed in enumerate(["", "link", "delete_file"]):
        world = RecordWorld(tmp_path / str(number), monkeypatch)
        await world.run([record(1)])
        if killed:
            world.figshare.fail(killed, Fault.KILLED_BEFORE if killed == "delete_file" else Fault.KILLED_AFTER)
            assert await world.run([linked(NEW)], UPDATED) == KILLED
        assert await world.run([metadata_only()], UPDATED) == 0
        assert links(world) == [], killed
        assert await world.run([metadata_only()], UPDATED) == 0
        assert world.results() == ["created"]
        assert await world.run([linked(NEW)], UPDATED) == 0
        assert (links(world), world.items()[0].fields["is_metadata_record"]) == ([NEW], False)


async def test_only_the_link_of_the_job_is_removed_from_a_metadata_only_item(world: RecordWorld) -> None:
    await world.run([record(1)])
    await world.figshare.link(world.items()[0].id, NEWER)
    assert await world.run([metadata_only()], UPDATED) == 0
    assert links(world) == [NEWER]


@pytest.mark.parametrize("then", [NEW, None])
async def test_a_link_that_is_not_visible_yet_is_replaced_or_removed(world: RecordWorld, then: str | None) -> None:
    world.figshare.files_lag = 20.0
    world.figshare.fail("detail", Fault.KILLED_BEFORE)
    assert await world.run([record(1)]) == KILLED
    assert await world.run([linked(then) if then else metadata_only()], UPDATED) == 0
    assert links(world) == ([then] if then else [])


async def test_a_link_that_somebody_removed_is_not_waited_for(world: RecordWorld) -> None:
    await world.run([record(1)])
    world.items()[0].files.clear()
    before = world.clock.monotonic()
    assert await world.run([linked(NEW)], UPDATED) == 0
    assert links(world) == [NEW]
    assert world.clock.monotonic() - before < 1


@pytest.mark.parametrize("killed", ["link", "delete_file"])
async def test_an_update_without_a_link_finishes_the_replacement_that_was_killed(
    world: RecordWorld, killed: str
) -> None:
    item = world.figshare.add_item("theirs")
    item.doi = "10.1234/1"
    await world.figshare.link(item.id, OLD)
    world.figshare.fail(killed, Fault.KILLED_BEFORE)
    assert await world.run([linked(NEW)], action="update") == KILLED
    assert await world.run([record(1, link=False)], action="update") == 0
    assert links(world) == [OLD if killed == "link" else NEW]


async def test_an_update_of_a_published_item_is_published(world: RecordWorld) -> None:
    assert await world.run([record(1)], PUBLISHED) == 0
    for _ in range(2):
        assert await world.run([record(1, description="Higher")], BOTH) == 0
        assert world.items()[0].version == 2
    assert world.items()[0].fields["description"] == "Higher"


async def test_an_update_is_published_by_a_later_run(world: RecordWorld) -> None:
    await world.run([record(1)], PUBLISHED)
    for options, version in ((UPDATED, 1), (BOTH, 2), (PUBLISHED, 2)):
        assert await world.run([record(1, description="Higher")], options) == 0
        assert world.items()[0].version == version


async def test_a_changed_record_is_not_updated_because_it_is_to_be_published(world: RecordWorld) -> None:
    await world.run([record(1)])
    assert await world.run([record(1, description="Higher")], PUBLISHED) == 0
    assert world.outcomes[0].reason == "changed in the file since it was created; the item was not updated or published"
    assert (world.items()[0].version, world.items()[0].fields["description"]) == (0, "Dam 1")


@pytest.mark.parametrize("options", [UPDATED, RunOptions()])
@pytest.mark.parametrize("fault", [Fault.KILLED_BEFORE, Fault.KILLED_AFTER])
@pytest.mark.parametrize("request_name", ["update", "set_authors"])
async def test_an_update_that_was_killed_is_taken_back_with_its_record(
    world: RecordWorld, request_name: str, fault: Fault, options: RunOptions
) -> None:
    """The record is again as it was when it was last described; the item may have what the file had meanwhile."""
    await world.run([record(1)], PUBLISHED)
    body = ItemPayload(fields=record(1).payload.fields | {"description": "Higher"}, authors=[{"name": "Another"}])
    changed = msgspec.structs.replace(record(1), title="Another title", payload=body)
    world.figshare.fail(request_name, fault)
    assert await world.run([changed], UPDATED) == KILLED
    assert await world.run([record(1)], options) == 0
    item = world.items()[0]
    assert (item.title, item.fields["description"], world.results()) == ("A dam 1", "Dam 1", ["updated"])
    updates = world.figshare.log.count("update")
    assert await world.run([record(1)], options) == 0
    assert (world.figshare.log.count("update"), world.results()) == (updates, ["created"])


async def test_a_first_description_that_another_one_followed_is_taken_back(world: RecordWorld) -> None:
    world.figshare.fail("link", Fault.KILLED_BEFORE)
    assert await world.run([record(1)]) == KILLED
    world.figshare.fail("update", Fault.KILLED_AFTER)
    assert await world.run([record(1, description="Higher")]) == KILLED
    assert await world.run([record(1)]) == 0
    assert (world.items()[0].fields["description"], world.results()) == ("Dam 1", ["created"])


async def test_what_somebody_published_meanwhile_is_not_published_again(world: RecordWorld) -> None:
    await world.run([record(1)])
    await world.figshare.items.publish(world.items()[0].id)
    assert await world.run([record(1)], PUBLISHED) == 0
    assert world.items()[0].version == 1
    assert world.outcomes[0].published == "public"


# --- requests to publish whose answer was lost ------------------------------------------------------------------------


async def test_a_refusal_does_not_hide_that_an_earlier_request_published(world: RecordWorld) -> None:
    """The request of the first run has its effect late, after the second run repeated it in vain."""
    world.figshare.fail("publish", Fault.KILLED_BEFORE)
    assert await world.run([record(1)], PUBLISHED) == KILLED
    world.figshare.fail("publish", RequestRejected("it is being published"))
    assert await world.run([record(1)], PUBLISHED) == 1
    world.items()[0].version = 1
    assert await world.run([record(1)], PUBLISHED) == 0
    assert world.items()[0].version == 1
    assert world.outcomes[0].published == "public"


@pytest.mark.parametrize("fault", [Fault.LOST_AFTER, Fault.KILLED_AFTER])
async def test_a_request_to_publish_that_takes_a_minute_is_not_repeated(world: RecordWorld, fault: Fault) -> None:
    world.figshare.publish_lag = 60.0
    world.figshare.fail("publish", fault)
    await world.run([record(1)], PUBLISHED)
    assert await world.run([record(1)], PUBLISHED) == 0
    assert (world.items()[0].version, world.figshare.log.count("publish")) == (1, 1)


async def test_an_item_is_published_once_it_shows_its_link(world: RecordWorld) -> None:
    world.figshare.files_lag = 20.0
    shown: list[bool] = []
    world.figshare.on_request["publish"] = lambda _: shown.append(world.clock.monotonic() >= 20)
    assert await world.run([record(1)], PUBLISHED) == 0
    assert shown == [True]


async def test_an_item_that_does_not_show_its_link_is_not_published(world: RecordWorld) -> None:
    world.figshare.files_lag = 1000.0
    assert await world.run([record(1)], PUBLISHED) == 1
    assert "does not show its link" in world.outcomes[0].reason
    assert "publish" not in world.figshare.log
    await world.clock.sleep(1000)
    assert await world.run([record(1)], PUBLISHED) == 0
    assert world.items()[0].version == 1


async def test_a_stop_ends_the_wait_for_the_effect_of_publishing(world: RecordWorld) -> None:
    world.figshare.publish_lag = 60.0
    world.figshare.on_request["publish"] = lambda _: world.running.stop() if world.running is not None else None
    before = world.clock.monotonic()
    assert await world.run([record(1), record(2)], PUBLISHED) == Interrupted.exit_status
    assert world.clock.monotonic() - before < 1
    assert world.results() == ["left", "left"]
    world.figshare.on_request.clear()
    assert await world.run([record(1), record(2)], PUBLISHED) == 0
    assert [item.version for item in world.items()] == [1, 1]
    assert world.figshare.log.count("publish") == 2


async def test_the_end_of_an_earlier_review_is_no_effect_of_a_refused_request(world: RecordWorld) -> None:
    world.figshare.reviews = True
    await world.run([record(1)])
    world.items()[0].curation_status = "pending"
    world.figshare.fail("publish", RequestRejected("it is in review"))
    assert await world.run([record(1)], PUBLISHED) == 1
    world.items()[0].curation_status = "rejected"
    assert await world.run([record(1)], PUBLISHED) == 0
    assert (world.items()[0].curation_status, world.figshare.log.count("publish")) == ("pending", 2)


async def test_a_version_without_what_is_in_the_draft_is_not_the_last_one(world: RecordWorld) -> None:
    world.figshare.fail("publish", Fault.KILLED_AFTER)
    assert await world.run([record(1)], PUBLISHED) == KILLED
    world.figshare.add_file(world.items()[0], "b", b"more")
    assert await world.run([record(1)], PUBLISHED) == 0
    assert world.items()[0].version == 2


async def test_only_an_unanswered_request_to_publish_is_waited_for(world: RecordWorld) -> None:
    world.figshare.fail("publish", RequestRejected("no"))
    assert await world.run([record(1)], PUBLISHED) == 1
    before = world.clock.monotonic()
    assert await world.run([record(1)], PUBLISHED) == 0
    assert world.clock.monotonic() - before < 1
    assert world.items()[0].version == 1


async def test_undo_removes_what_was_refused_but_not_what_may_be_published(world: RecordWorld) -> None:
    world.figshare.fail("publish", RequestRejected("no"))
    world.figshare.fail("publish", Fault.KILLED_BEFORE, first=2)
    assert await world.run([record(1), record(2)], PUBLISHED) == KILLED
    assert await fates(world) == [("removed", ""), ("kept", "it was submitted for publishing")]


async def test_what_was_described_after_a_request_to_publish_is_published_itself(world: RecordWorld) -> None:
    world.figshare.fail("publish", Fault.KILLED_AFTER)
    assert await world.run([record(1)], PUBLISHED) == KILLED
    assert await world.run([record(1, description="Higher")], BOTH) == 0
    assert world.items()[0].version == 2


# --- lists that Figshare cuts off -------------------------------------------------------------------------------------

OWN = "list /account/articles"


async def test_an_item_that_may_be_in_the_rest_of_a_list_is_not_created_again(world: RecordWorld) -> None:
    world.figshare.fail("create", Fault.KILLED_AFTER)
    assert await world.run([record(1)]) == KILLED
    world.figshare.fail(OWN, PageLimitReached("no further"), times=100)
    assert await world.run([record(1), record(2)]) == 1
    assert "the list may not be complete" in world.outcomes[0].reason
    assert world.results() == ["failed", "created"]
    world.figshare.clear_faults()
    assert await world.run([record(1), record(2)]) == 0
    assert sorted(item.title for item in world.items()) == ["A dam 1", "A dam 2"]


async def test_late_drafts_that_may_be_in_the_rest_of_a_list_are_reported(world: RecordWorld) -> None:
    world.figshare.fail("create", Fault.LOST_BEFORE)
    assert await world.run([record(1)]) == 0
    world.figshare.fail(OWN, PageLimitReached("no further"), times=100)
    assert await world.run([record(1)]) == 0
    assert "drafts of requests whose response was lost may be left" in world.warnings[-1]


async def test_undo_continues_if_a_list_is_cut_off(world: RecordWorld) -> None:
    world.figshare.fail("create", Fault.KILLED_BEFORE, first=2)
    assert await world.run([record(1), record(2)]) == KILLED
    world.figshare.fail(OWN, PageLimitReached("no further"), times=100)
    assert await fates(world) == [("removed", "")]
    assert "items of requests whose response was lost may be left" in world.warnings[-1]
