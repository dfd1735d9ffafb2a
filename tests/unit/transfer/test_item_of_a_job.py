"""Which item a job takes for its own: by the mark of its request, not by title and time."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.fakes.figshare import Fault
from tests.fakes.world import KILLED, World, md5
from uploader.transfer import notices as no

pytestmark = pytest.mark.anyio

CONTENT = bytes(range(200))
TITLE = "my data"
MINUTES = 60.0


def held(world: World) -> list[tuple[str, list[tuple[str, str]]]]:
    """Title and files of each item, in the order of their creation."""
    items = world.figshare.items_held
    return [(items[item].title, world.contents(item)) for item in sorted(items)]


def warnings(world: World) -> str:
    return "\n".join(notice.message for notice in world.notices if isinstance(notice, no.Warned))


MINE = (TITLE, [("a", md5(CONTENT))])


@pytest.mark.parametrize("title", [TITLE, "x" * 1000])
async def test_the_title_has_a_mark_only_until_the_item_is_known(world: World, title: str) -> None:
    titles: list[str] = []

    def note(_: str) -> None:
        titles.extend(item.title for item in world.figshare.items_held.values())

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
    assert "was empty and is removed" in warnings(world)


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
    late = world.figshare.items_held[min(world.figshare.items_held)]
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
