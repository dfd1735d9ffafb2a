"""Which item a job adopts: by the mark of its request, not by title and time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from tests.fakes.figshare import Fault
from tests.fakes.metadata import Metadata
from tests.fakes.world import KILLED, World, md5
from uploader.disk import Disk
from uploader.errors import ItemNotFound, Unreachable
from uploader.items.create import create_item
from uploader.items.creations import Creations
from uploader.items.payload import ItemPayload
from uploader.transfer import notices as no
from uploader.transfer.destination.options import ItemOptions
from uploader.transfer.journal import events as ev
from uploader.transfer.journal.log import decode, encode
from uploader.transfer.store.jobs import JobStore

pytestmark = pytest.mark.anyio

CONTENT = bytes(range(200))
TITLE = "my data"
MINUTES = 60.0


def held(world: World) -> list[tuple[str, list[tuple[str, str]]]]:
    """Title and files of each item, in the order of their creation."""
    items = world.figshare.stored_items
    return [(items[item].title, world.contents(item)) for item in sorted(items)]


def warnings(world: World) -> str:
    return "\n".join(notice.message for notice in world.notices if isinstance(notice, no.Warned))


def change_journal(
    job: Path, change: Callable[[ev.AnyEvent], ev.AnyEvent] = lambda event: event, more: Sequence[ev.AnyEvent] = ()
) -> None:
    """Rewrite a job's intact journal."""
    journal = job / "journal"
    events = decode(journal.read_bytes()).events
    journal.with_name("journal.synced").unlink()
    journal.write_bytes(encode([*map(change, events), *more])[0])


MINE = (TITLE, [("a", md5(CONTENT))])


@pytest.mark.parametrize("title", [TITLE, "x" * 1000])
async def test_the_title_has_a_mark_only_until_the_item_is_known(world: World, title: str) -> None:
    titles: list[str] = []

    def note(_: str) -> None:
        titles.extend(item.title for item in world.figshare.stored_items.values())

    for request in ("create", "update"):
        world.figshare.on_request[request] = note
    assert await world.upload(world.source("a", CONTENT), title=title) == 0
    assert titles[0] != title
    assert len(titles[0]) <= 1000
    assert titles[1:] == [title]
    assert held(world) == [(title, MINE[1])]


@pytest.mark.parametrize("fault", [Fault.LOST_BEFORE, Fault.KILLED_BEFORE])
async def test_a_request_without_effect_does_not_adopt_another_s_draft_of_the_title(world: World, fault: Fault) -> None:
    def create_another(_: str) -> None:
        world.figshare.on_request.clear()
        world.figshare.add_item(TITLE)

    source = world.source("a", CONTENT)
    world.figshare.fail("create", fault)
    world.figshare.on_request["own_items"] = create_another
    first = await world.upload(source, title=TITLE)
    assert first == (KILLED if fault is Fault.KILLED_BEFORE else 0)
    assert await world.upload(source, title=TITLE) == 0
    assert held(world) == [(TITLE, []), MINE]


@pytest.mark.parametrize("minutes", [-500.0, -3.0, 3.0, 500.0])
@pytest.mark.parametrize("fault", [Fault.LOST_AFTER, Fault.KILLED_AFTER])
async def test_a_draft_is_found_whatever_clock_stamps_it(world: World, fault: Fault, minutes: float) -> None:
    world.figshare.created_skew = timedelta(minutes=minutes)
    world.figshare.fail("create", fault)
    source = world.source("a", CONTENT)
    assert await world.upload(source, title=TITLE) in (0, KILLED)
    assert await world.upload(source, title=TITLE) == 0
    assert held(world) == [MINE]
    assert world.figshare.log.count("create") == 1


async def test_a_draft_that_appears_after_the_look_up_is_removed_by_the_next_run(world: World) -> None:
    world.figshare.items_lag = 10 * MINUTES
    world.figshare.fail("create", Fault.LOST_AFTER)
    source = world.source("a", CONTENT)
    assert await world.upload(source, title=TITLE) == 0
    assert len(held(world)) == 2
    await world.clock.sleep(10 * MINUTES)
    assert await world.upload(source, title=TITLE) == 0
    assert held(world) == [MINE]
    assert "was empty and has been removed" in warnings(world)


async def test_a_draft_that_appears_before_the_end_of_the_run_is_removed_by_it(world: World) -> None:
    world.figshare.items_lag, world.figshare.md5_delay = 2 * MINUTES, 5 * MINUTES
    world.figshare.fail("create", Fault.LOST_AFTER)
    assert await world.upload(world.source("a", CONTENT), title=TITLE) == 0
    assert held(world) == [MINE]


async def test_a_late_draft_that_is_not_empty_is_named_and_kept(world: World) -> None:
    world.figshare.items_lag = 10 * MINUTES
    world.figshare.fail("create", Fault.LOST_AFTER)
    source = world.source("a", CONTENT)
    assert await world.upload(source, title=TITLE) == 0
    late = world.figshare.stored_items[min(world.figshare.stored_items)]
    world.figshare.add_file(late, "theirs", b"1")
    await world.clock.sleep(10 * MINUTES)
    assert await world.upload(source, title=TITLE) == 0
    assert len(held(world)) == 2
    assert f"item {late.id} was created by a request of this job" in warnings(world)


@pytest.mark.parametrize("fault", [Fault.LOST_AFTER, Fault.KILLED_AFTER])
async def test_two_machines_whose_answers_were_lost_find_their_own_drafts(world: World, fault: Fault) -> None:
    source = world.source("a", CONTENT)
    world.figshare.fail("create", fault, times=2)
    for state in ("one", "two", "one", "two"):
        assert await world.upload(source, title=TITLE, state=state) in (0, KILLED)
    assert held(world) == [MINE, MINE]


async def test_a_cancelled_job_leaves_its_item_without_the_mark(world: World) -> None:
    source = world.source("a", CONTENT)
    world.figshare.fail("initiate", Fault.KILLED_BEFORE)
    assert await world.upload(source, title=TITLE) == KILLED
    assert await world.cancel() == 0
    assert held(world) == [(TITLE, [])]


async def test_without_a_mark_the_draft_that_another_job_records_is_not_taken(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, theirs = world.source("a", CONTENT), world.source("b", CONTENT)
    world.figshare.fail("create", Fault.KILLED_BEFORE)
    assert await world.upload(mine, title=TITLE) == KILLED
    (my_job,) = world.jobs()
    change_journal(my_job, lambda e: ev.ItemIntended(e.at) if isinstance(e, ev.ItemIntended) else e)
    world.figshare.fail("create", Fault.KILLED_AFTER)
    assert await world.upload(theirs, title=TITLE) == KILLED
    (their_job,) = world.jobs() - {my_job}
    (draft,) = world.figshare.stored_items.values()

    foreign_ids = JobStore.foreign_ids

    def then_record(states: JobStore, job: str) -> tuple[set[int], set[int]]:
        found = foreign_ids(states, job)
        if draft.title != TITLE:
            change_journal(their_job, more=[ev.ItemCreated(draft.id)])
            draft.title = TITLE
        return found

    monkeypatch.setattr(JobStore, "foreign_ids", then_record)
    assert await world.upload(mine, title=TITLE) == 0
    assert await world.upload(theirs, title=TITLE) == 0
    assert held(world) == [(TITLE, [("b", md5(CONTENT))]), MINE]


@pytest.mark.parametrize(("hours", "taken"), [(-2.0, False), (-0.5, True), (2.0, True)])
async def test_without_a_mark_an_empty_draft_is_taken_unless_it_is_older_than_the_intent(
    world: World, hours: float, taken: bool
) -> None:
    source = world.source("a", CONTENT)
    world.figshare.fail("create", Fault.KILLED_BEFORE)
    assert await world.upload(source, title=TITLE) == KILLED
    (job,) = world.jobs()
    change_journal(job, lambda e: ev.ItemIntended(e.at) if isinstance(e, ev.ItemIntended) else e)
    draft = world.figshare.add_item(TITLE)
    draft.created += timedelta(hours=hours)
    assert await world.upload(source, title=TITLE) == 0
    assert held(world) == ([MINE] if taken else [(TITLE, []), MINE])


async def test_an_item_without_files_is_recognized_by_its_mark_too(world: World) -> None:
    world.figshare.fail("create", Fault.LOST_AFTER)

    def create_another(_: str) -> None:
        if "create" in world.figshare.log:
            world.figshare.add_item(TITLE)

    world.figshare.on_request["own_items"] = create_another
    item_id = await create(world, ItemPayload())
    assert item_id == min(world.figshare.stored_items)
    assert {title for title, _ in held(world)} == {TITLE}
    assert world.figshare.log.count("create") == 1


async def create(world: World, spec: ItemPayload) -> int:
    with Creations(world.folder / "creations", Disk()) as records:
        return await create_item(world.figshare, TITLE, spec, records=records, on_created=lambda *_: None)  # type: ignore[arg-type]


@pytest.mark.parametrize("used", [False, True])
async def test_an_item_that_an_interrupted_run_left_is_finished_if_it_is_empty(world: World, used: bool) -> None:
    world.figshare.fail("update", Unreachable("no network"))
    spec = ItemPayload(fields={"keywords": ["a"]})
    with pytest.raises(Unreachable):
        await create(world, spec)
    (left,) = world.figshare.stored_items.values()
    if used:
        world.figshare.add_file(left, "a", b"content")
    marked = left.title
    assert (await create(world, spec) == left.id) is not used
    assert left.title == (marked if used else TITLE)
    assert [item.fields["keywords"] for item in world.figshare.stored_items.values()] == [["a"]] * (1 + used)


async def publish(world: World) -> int:
    options = ItemOptions(metadata=Metadata(), publish=True)
    return await world.upload(world.source("a", CONTENT), title=TITLE, item_options=options)


async def test_a_publish_request_on_its_way_is_waited_for(world: World) -> None:
    """It was sent by a process that was killed, or that lost the job, and takes effect while the next run looks."""
    world.figshare.fail("publish", Fault.KILLED_BEFORE)
    assert await publish(world) == KILLED
    (item,) = world.figshare.stored_items.values()
    seen = world.figshare.log.count("detail")

    def take_effect(_: str) -> None:
        if world.figshare.log.count("detail") == seen + 3:
            world.figshare.publish(item)

    world.figshare.on_request["detail"] = take_effect
    assert await publish(world) == 0
    assert (item.version, world.figshare.log.count("publish")) == (1, 1)
    reported = [notice.reason for notice in world.notices if isinstance(notice, no.Retrying)]
    assert reported == [f"publishing item {item.id}: the outcome was not recorded; searching for up to 90 s"]


async def test_a_publish_request_without_effect_is_waited_for_once(world: World) -> None:
    world.figshare.fail("publish", Fault.KILLED_BEFORE)
    assert await publish(world) == KILLED
    since = world.clock.monotonic()
    assert await publish(world) == 0
    (item,) = world.figshare.stored_items.values()
    assert item.version == 1
    assert 90 <= world.clock.monotonic() - since < 100


@pytest.mark.parametrize("fault", [Fault.LOST_AFTER, Fault.KILLED_AFTER])
async def test_a_publish_request_that_takes_a_minute_is_not_repeated(world: World, fault: Fault) -> None:
    world.figshare.publish_lag = 60.0
    world.figshare.fail("publish", fault)
    assert await publish(world) == (KILLED if fault is Fault.KILLED_AFTER else 0)
    assert await publish(world) == 0
    (item,) = world.figshare.stored_items.values()
    assert (item.version, world.figshare.log.count("publish")) == (1, 1)


@pytest.mark.parametrize("public", [False, True])
@pytest.mark.parametrize("fault", [Fault.LOST_AFTER, Fault.KILLED_AFTER])
async def test_an_item_is_submitted_for_review_once(world: World, fault: Fault, public: bool) -> None:
    world.figshare.reviews, world.figshare.publish_lag = True, 20.0
    world.figshare.fail("publish", fault)
    item = world.figshare.add_item(TITLE)
    item.fields |= {"description": "d", "keywords": ["k"], "categories": [1]}
    if public:
        world.figshare.publish(item)
    source, options = world.source("a", CONTENT), ItemOptions(publish=True)
    for expected in (KILLED if fault is Fault.KILLED_AFTER else 0, 0):
        assert await world.upload(source, item=item.id, item_options=options) == expected
    assert (item.version, world.figshare.log.count("publish")) == (public, 1)


async def test_a_publish_request_that_is_accepted_is_waited_for(world: World) -> None:
    world.figshare.publish_lag = 60.0
    assert await publish(world) == 0
    done = [(notice.step, notice.value) for notice in world.notices if isinstance(notice, no.FinalStepCompleted)]
    assert done == [("publish", "public")]
    assert world.figshare.log.count("publish") == 1


async def test_an_accepted_publish_request_without_an_effect_is_told(world: World) -> None:
    world.figshare.publish_lag = 600.0
    assert await publish(world) == 0
    assert "accepted the request to publish" in warnings(world)
    world.notices.clear()
    world.figshare.publish_lag = 1.0
    options = ItemOptions(metadata=Metadata(), publish=True)
    assert await world.upload(world.source("b", CONTENT), title="others", item_options=options) == 0
    assert warnings(world) == ""


async def test_the_end_of_an_earlier_review_is_no_effect_of_a_refused_request(world: World) -> None:
    world.figshare.reviews = True
    item = world.figshare.add_item(TITLE)
    item.fields |= {"description": "d", "keywords": ["k"], "categories": [1]}
    item.curation_status = "pending"
    world.figshare.fail("publish", Fault.REJECTED)
    source, options = world.source("a", CONTENT), ItemOptions(publish=True)
    assert await world.upload(source, item=item.id, item_options=options) == 1
    item.curation_status = "rejected"
    assert await world.upload(source, item=item.id, item_options=options) == 0
    assert (item.curation_status, world.figshare.log.count("publish")) == ("pending", 2)


@pytest.mark.parametrize("first", [Fault.LOST_AFTER, Fault.KILLED_AFTER])
async def test_a_refused_publish_request_does_not_hide_an_earlier_one_without_an_answer(
    world: World, first: Fault
) -> None:
    world.figshare.publish_lag = 120.0
    world.figshare.fail("publish", first)
    world.figshare.fail("publish", Fault.REJECTED, first=2)
    if first is Fault.KILLED_AFTER:
        assert await publish(world) == KILLED
    assert await publish(world) == 1
    assert await publish(world) == 0
    (item,) = world.figshare.stored_items.values()
    assert (item.version, world.figshare.log.count("publish")) == (1, 2)


@pytest.mark.parametrize("change", ["nothing", "metadata", "a file"])
async def test_a_late_publish_request_is_repeated_only_for_what_changed_since(world: World, change: str) -> None:
    """It was sent by a process that was killed, and takes effect before the next run changes the item."""
    world.figshare.fail("publish", Fault.KILLED_AFTER)
    assert await publish(world) == KILLED
    (item,) = world.figshare.stored_items.values()
    if change == "metadata":
        item.fields["description"] = "other"
    elif change == "a file":
        world.figshare.add_file(item, "b", CONTENT)
    assert await publish(world) == 0
    assert item.version == 1 + (change != "nothing")
    assert await publish(world) == 0
    assert item.version == 1 + (change != "nothing")


@pytest.mark.parametrize("changed", [False, True])
async def test_a_refusal_does_not_hide_that_an_earlier_request_published(world: World, changed: bool) -> None:
    """The request of the first run has its effect late, after the second run repeated it in vain."""
    world.figshare.fail("publish", Fault.KILLED_BEFORE)
    assert await publish(world) == KILLED
    world.figshare.fail("publish", Fault.REJECTED)
    assert await publish(world) == 1
    (item,) = world.figshare.stored_items.values()
    world.figshare.publish(item)
    if changed:
        item.files.clear()
    assert await publish(world) == 0
    assert item.version == 1 + changed
    assert world.contents(item.id) == [("a", md5(CONTENT))]


async def test_where_versions_cannot_be_compared_a_later_one_than_the_intent_s_is_its_effect(world: World) -> None:
    world.figshare.fail("publish", Fault.KILLED_AFTER)
    assert await publish(world) == KILLED
    (item,) = world.figshare.stored_items.values()
    item.versions.clear()
    assert await publish(world) == 0
    assert item.version == 1


async def test_a_refused_publish_request_is_not_waited_for(world: World) -> None:
    world.figshare.fail("publish", Fault.REJECTED)
    assert await publish(world) == 1
    since = world.clock.monotonic()
    assert await publish(world) == 0
    (item,) = world.figshare.stored_items.values()
    assert (item.version, world.clock.monotonic() - since < 10) == (1, True)


@pytest.mark.parametrize("refused", [False, True])
async def test_an_earlier_publish_request_is_waited_for_until_its_effect_must_be_visible(
    world: World, refused: bool
) -> None:
    """A refusal makes it no younger."""
    world.figshare.fail("publish", Fault.KILLED_BEFORE)
    assert await publish(world) == KILLED
    world.figshare.clear_faults()
    (item,) = world.figshare.stored_items.values()
    if refused:
        await world.clock.sleep(timedelta(hours=23).total_seconds())
        world.figshare.fail("publish", Fault.REJECTED)
        since = world.clock.monotonic()
        assert await publish(world) == 1
        assert world.clock.monotonic() - since > 60
        world.figshare.clear_faults()
    await world.clock.sleep(timedelta(hours=2 if refused else 25).total_seconds())
    since = world.clock.monotonic()
    assert await publish(world) == 0
    assert (item.version, world.clock.monotonic() - since < 10) == (1, True)


@pytest.mark.parametrize("first", range(1, 13))
async def test_a_sent_file_is_published_whichever_listing_is_from_before(world: World, first: int) -> None:
    """Any listing may come from a replica whose copy is older than the file."""
    options = ItemOptions(metadata=Metadata(), publish=True)
    world.source("set/a", CONTENT)
    assert await world.upload(str(world.folder / "set"), title=TITLE, item_options=options) == 0
    (item,) = world.figshare.stored_items.values()
    world.source("set/b", CONTENT)
    world.figshare.age("files", 20, first=first)
    if await world.upload(str(world.folder / "set"), title=TITLE, item_options=options):
        assert await world.upload(str(world.folder / "set"), title=TITLE, item_options=options) == 0
    assert (item.version, len(item.versions[item.version].files)) == (2, 2)


async def test_an_item_whose_creation_took_long_is_not_listed_before_it_is_visible(world: World) -> None:
    created: list[float] = []

    async def serve(request: str) -> None:
        now = world.clock.monotonic()
        if request == "create":
            await world.clock.sleep(120)
        elif request in ("files", "item") and created and now < created[0] + 3:
            raise ItemNotFound("no such item")

    world.figshare.gate = serve
    world.figshare.on_request["create"] = lambda _: created.append(world.clock.monotonic())
    assert await world.upload(world.source("a", CONTENT), title=TITLE) == 0, world.error
    assert held(world) == [MINE]


@pytest.mark.parametrize(("hours", "waits"), [(0, True), (2, False)])
async def test_an_item_that_is_gone_hours_after_its_creation_is_not_waited_for(
    world: World, hours: int, *, waits: bool
) -> None:
    source = world.source("a", CONTENT)
    assert await world.upload(source, title=TITLE) == 0
    world.figshare.stored_items.clear()
    await world.clock.sleep(hours * 3600)
    began = world.clock.monotonic()
    assert await world.upload(source, title=TITLE) == 4
    assert (world.clock.monotonic() > began) == waits
