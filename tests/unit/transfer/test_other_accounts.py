"""A command that is repeated with the token of another account: what one account began, another may not find."""

from __future__ import annotations

import pytest

from tests.fakes.figshare import Fault
from tests.fakes.world import KILLED, World, md5
from uploader.errors import Conflict
from uploader.transfer import notices as no

pytestmark = pytest.mark.anyio

CONTENT = bytes(range(200))
TITLE = "my data"
MINE, OTHER = 1, 2


async def interrupt(world: World, source: str, fault: Fault) -> None:
    """Run the command until the outcome of the item's creation is unknown."""
    world.figshare.shared = False
    world.figshare.fail("create", fault)
    if fault in (Fault.LOST_AFTER, Fault.LOST_BEFORE):
        world.figshare.items_lag = 1000.0
        world.figshare.fail("create", Fault.TRANSIENT, first=2)
        assert await world.upload(source, title=TITLE) == 75
    else:
        assert await world.upload(source, title=TITLE) == KILLED
    world.figshare.clear_faults()
    world.figshare.items_lag = 0.0


async def expect_refusal(world: World, source: str) -> None:
    """Upload with another account: the item may be the first one's."""
    assert await world.upload(source, title=TITLE) == 1
    assert isinstance(world.error, Conflict)
    assert (world.error.facts.situation, world.error.facts.account) == ("created-by-other-account", MINE)


async def expect_one_item(world: World, source: str) -> None:
    """Upload with the first account: it has the item, with the file."""
    world.figshare.account_id = MINE
    assert await world.upload(source, title=TITLE) == 0
    (item,) = world.figshare.stored_items.values()
    assert (item.owner, item.title, world.contents(item.id)) == (MINE, TITLE, [("a", md5(CONTENT))])


@pytest.mark.parametrize("fault", [Fault.KILLED_AFTER, Fault.KILLED_BEFORE, Fault.LOST_AFTER, Fault.LOST_BEFORE])
async def test_another_account_does_not_create_a_second_item(world: World, fault: Fault) -> None:
    source = world.source("a", CONTENT)
    await interrupt(world, source, fault)
    requests = world.figshare.log.count("create")
    world.figshare.account_id = OTHER
    with pytest.raises(Conflict):
        async with world.client() as client:
            await client.preview(source, title=TITLE)
    await expect_refusal(world, source)
    assert world.figshare.log.count("create") == requests
    await world.clock.sleep(2000)
    await expect_one_item(world, source)


async def test_what_the_first_account_looked_for_is_not_waited_for_for_ever(world: World) -> None:
    source = world.source("a", CONTENT)
    await interrupt(world, source, Fault.KILLED_BEFORE)
    world.figshare.fail("create", Fault.TRANSIENT)
    assert await world.upload(source, title=TITLE) == 75  # looked, and found nothing
    world.figshare.clear_faults()
    world.figshare.account_id = OTHER
    assert await world.upload(source, title=TITLE) == 1
    await world.clock.sleep(86_400)
    async with world.client() as client:
        assert (await client.preview(source, title=TITLE)).exit_status == 0
    assert await world.upload(source, title=TITLE) == 0, world.error
    (item,) = world.figshare.stored_items.values()
    assert (item.owner, world.contents(item.id)) == (OTHER, [("a", md5(CONTENT))])
    warned = [notice.message for notice in world.notices if isinstance(notice, no.Warned)]
    assert f"account {MINE} may have created another item for this job, which only that account can look for" in warned


async def test_another_account_can_start_over(world: World) -> None:
    source = world.source("a", CONTENT)
    await interrupt(world, source, Fault.KILLED_AFTER)
    world.figshare.account_id = OTHER
    assert await world.upload(source, title=TITLE, new_job=True) == 0
    assert sorted(item.owner for item in world.figshare.stored_items.values()) == [MINE, OTHER]


async def test_a_creation_that_was_refused_does_not_bind_the_job_to_its_account(world: World) -> None:
    source = world.source("a", CONTENT)
    world.figshare.fail("create", Fault.REJECTED)
    assert await world.upload(source, title=TITLE) == 1
    world.figshare.account_id = OTHER
    assert await world.upload(source, title=TITLE) == 0
    assert [item.owner for item in world.figshare.stored_items.values()] == [OTHER]


async def test_an_account_with_access_to_the_item_continues_the_job(world: World) -> None:
    """Such as a collaborator in the project, or an administrator."""
    source = world.source("a", CONTENT)
    world.figshare.fail("send_part", Fault.KILLED_AFTER, first=2)
    assert await world.upload(source, title=TITLE) == KILLED
    world.figshare.account_id = OTHER
    assert await world.upload(source, title=TITLE) == 0
    (item,) = world.figshare.stored_items.values()
    assert (item.owner, world.contents(item.id)) == (MINE, [("a", md5(CONTENT))])


async def test_an_item_that_the_account_cannot_see_is_not_taken_for_a_removed_one(world: World) -> None:
    source = world.source("a", CONTENT)
    world.figshare.shared = False
    world.figshare.fail("initiate", Fault.REJECTED, times=9)
    world.figshare.fail("delete_item", Fault.TRANSIENT)
    assert await world.upload(source, title=TITLE) == 1
    world.figshare.clear_faults()
    world.figshare.account_id = OTHER
    assert await world.upload(source, title=TITLE) == 1
    assert isinstance(world.error, Conflict)
    assert [item.owner for item in world.figshare.stored_items.values()] == [MINE]


async def test_a_draft_that_only_the_first_account_can_look_for_is_mentioned(world: World) -> None:
    source = world.source("a", CONTENT)
    world.figshare.items_lag = 1000.0
    world.figshare.fail("create", Fault.LOST_AFTER)
    world.figshare.fail("send_part", Fault.KILLED_BEFORE)
    assert await world.upload(source, title=TITLE) == KILLED
    world.figshare.account_id = OTHER
    assert await world.upload(source, title=TITLE) == 0
    warned = [notice.message for notice in world.notices if isinstance(notice, no.Warned)]
    assert f"account {MINE} may have created another item for this job, which only that account can look for" in warned
    await world.clock.sleep(2000)
    world.figshare.account_id = MINE
    assert await world.upload(source, title=TITLE) == 0
    assert [world.contents(item) for item in world.figshare.stored_items] == [[("a", md5(CONTENT))]]


@pytest.mark.parametrize("fault", [Fault.KILLED_AFTER, Fault.LOST_AFTER])
async def test_another_account_does_not_create_a_second_item_after_a_cut(world: World, fault: Fault) -> None:
    """At whatever line: the record of the last sync still says who may have created the item."""
    source = world.source("a", CONTENT)
    await interrupt(world, source, fault)
    (job,) = world.jobs()
    journal, requests = job / "journal", world.figshare.log.count("create")
    lines = journal.read_bytes().splitlines(keepends=True)
    kept = {path: path.read_bytes() for path in job.iterdir() if path.is_file()}
    for number in range(len(lines)):
        for path in job.iterdir():
            path.unlink()
        for path, content in kept.items():
            path.write_bytes(content)
        journal.write_bytes(b"".join(lines[:number]))
        world.figshare.account_id = OTHER
        for _ in range(2):
            await expect_refusal(world, source)
        assert world.figshare.log.count("create") == requests
        await world.clock.sleep(2000)
    await expect_one_item(world, source)
