"""A remote file that was gone when it was looked for, and is shown again: it is still the job's own."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fakes.figshare import Fault, StoredFile, StoredItem
from tests.fakes.world import World, md5
from uploader.sources.models import Sources
from uploader.transfer.options import OnConflict, Options

pytestmark = pytest.mark.anyio

CONTENT = bytes(range(200))
TITLE = "my data"
POLICIES = ["skip", "fail", "keep", "replace"]


def hide(item: StoredItem) -> StoredFile:
    """Let the item's only file be missing in every answer, as in an old copy of the server's data."""
    (file,) = item.files.values()
    del item.files[file.id]
    return file


async def target(world: World, *, named: bool) -> dict[str, Any]:
    return {"item": world.figshare.add_item().id} if named else {"title": TITLE}


def only_item(world: World) -> StoredItem:
    (item,) = world.figshare.stored_items.values()
    return item


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("named", [True, False], ids=["in the given item", "in the item of the job"])
async def test_a_verified_file_that_was_hidden_for_a_while_is_not_refused(
    world: World, policy: OnConflict, *, named: bool
) -> None:
    options, where, source = Options(on_conflict=policy), await target(world, named=named), world.source("a", CONTENT)
    assert await world.upload(source, options=options, **where) == 0
    item = only_item(world)
    file = hide(item)
    world.figshare.fail("initiate", Fault.TRANSIENT)
    assert await world.upload(source, options=options, **where) == 75  # it is gone: begins to send it again
    world.figshare.clear_faults()
    item.files[file.id] = file
    async with world.client(options) as client:
        plan = await client.preview(source, **where)
    assert plan.exit_status == 0
    assert [(one.action, one.bytes_left) for one in plan.files] == [("resume", 0)]
    assert await world.upload(source, options=options, **where) == 0, world.error
    assert list(item.files) == [file.id]
    assert await world.upload(source, options=options, **where) == 0
    # It is the job's own still: a new version replaces it.
    world.source("a", CONTENT[::-1])
    assert await world.upload(source, options=Options(restart_changed=True), **where) == 0
    assert world.contents(item.id) == [("a", md5(CONTENT[::-1]))]


@pytest.mark.parametrize("policy", POLICIES)
async def test_a_link_that_was_hidden_for_a_while_is_not_refused(world: World, policy: OnConflict) -> None:
    options, links = Options(on_conflict=policy), Sources(links=("https://example.org/data",))
    assert await world.upload(links, options=options, title=TITLE) == 0
    item = only_item(world)
    file = hide(item)
    world.figshare.fail("link", Fault.TRANSIENT)
    assert await world.upload(links, options=options, title=TITLE) == 75
    world.figshare.clear_faults()
    item.files[file.id] = file
    assert await world.upload(links, options=options, title=TITLE) == 0, world.error
    assert list(item.files) == [file.id]


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("named", [True, False], ids=["in the given item", "in the item of the job"])
@pytest.mark.parametrize("appears", ["before the next run", "after the job is finished"])
async def test_a_file_that_was_announced_and_appears_late_is_removed(
    world: World, policy: OnConflict, appears: str, *, named: bool
) -> None:
    options, where, source = Options(on_conflict=policy), await target(world, named=named), world.source("a", CONTENT)
    hidden: list[StoredFile] = []
    world.figshare.on_request["initiate"] = lambda _: hidden.append(hide(only_item(world)))
    assert await world.upload(source, options=options, **where) == 75  # announced, but not listed
    world.figshare.on_request.clear()
    item = only_item(world)
    world.figshare.fail("initiate", Fault.TRANSIENT)
    assert await world.upload(source, options=options, **where) == 75  # given up
    world.figshare.clear_faults()
    if appears == "after the job is finished":
        assert await world.upload(source, options=options, **where) == 0
    item.files[hidden[0].id] = hidden[0]
    assert await world.upload(source, options=options, **where) == 0, world.error
    assert world.contents(item.id) == [("a", md5(CONTENT))]


@pytest.mark.parametrize("policy", POLICIES)
async def test_a_file_that_appears_again_after_it_was_sent_again_leaves_one(world: World, policy: OnConflict) -> None:
    options, source = Options(on_conflict=policy), world.source("a", CONTENT)
    assert await world.upload(source, options=options, title=TITLE) == 0
    item = only_item(world)
    file = hide(item)
    assert await world.upload(source, options=options, title=TITLE) == 0
    item.files[file.id] = file
    assert await world.upload(source, options=options, title=TITLE) == 0
    assert world.contents(item.id) == [("a", md5(CONTENT))]
    world.source("a", CONTENT[::-1])
    assert await world.upload(source, options=Options(restart_changed=True), title=TITLE) == 0
    assert world.contents(item.id) == [("a", md5(CONTENT[::-1]))]
