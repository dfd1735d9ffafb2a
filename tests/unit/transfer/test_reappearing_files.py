"""A remote file that was gone when it was looked for, and is shown again: it is still the job's own."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fakes.figshare import Fault, StoredFile, StoredItem
from tests.fakes.metadata import Metadata
from tests.fakes.world import KILLED, World, md5
from uploader.sources.models import Sources
from uploader.transfer.destination.options import ItemOptions
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


@pytest.mark.parametrize("policy", POLICIES)
async def test_an_old_version_that_appears_again_is_removed_before_the_new_one_is_published(
    world: World, policy: OnConflict
) -> None:
    options, item = Options(on_conflict=policy, restart_changed=True), world.figshare.add_item()
    item.fields.update(description="d", categories=[1], keywords=["k"])
    source = world.source("a", CONTENT)
    assert await world.upload(source, options=options, item=item.id) == 0
    file = hide(item)
    assert await world.upload(source, options=options, item=item.id) == 0
    item.files[file.id] = file
    world.source("a", CONTENT * 2)
    publish = ItemOptions(publish=True)
    published: list[list[tuple[str, str]]] = []
    world.figshare.on_request["publish"] = lambda _: published.append(world.contents(item.id))
    assert await world.upload(source, options=options, item=item.id, item_options=publish) == 0, world.error
    assert published == [[("a", md5(CONTENT * 2))]] == [world.contents(item.id)]


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("first", ["together", "one after the other"])
async def test_of_two_own_copies_that_appear_again_one_is_left(world: World, policy: OnConflict, first: str) -> None:
    options, source = Options(on_conflict=policy), world.source("a", CONTENT)
    assert await world.upload(source, options=options, title=TITLE) == 0
    item = only_item(world)
    hidden = [hide(item)]
    assert await world.upload(source, options=options, title=TITLE) == 0
    hidden.append(hide(item))
    if first == "together":
        assert await world.upload(source, options=options, title=TITLE) == 0
        item.files.update((file.id, file) for file in hidden)
    else:
        item.files[hidden[0].id] = hidden[0]
        assert await world.upload(source, options=options, title=TITLE) == 0
        item.files[hidden[1].id] = hidden[1]
    assert await world.upload(source, options=options, title=TITLE) == 0, world.error
    assert world.contents(item.id) == [("a", md5(CONTENT))]


@pytest.mark.parametrize("policy", ["skip", "replace"])
async def test_an_own_copy_beside_an_identical_file_of_another_is_removed(world: World, policy: OnConflict) -> None:
    options, source, item = Options(on_conflict=policy), world.source("a", CONTENT), world.figshare.add_item()
    assert await world.upload(source, options=options, item=item.id) == 0
    file = hide(item)
    other = world.figshare.add_file(item, "a", CONTENT)
    assert await world.upload(source, options=options, item=item.id) == 0
    item.files[file.id] = file
    assert await world.upload(source, options=options, item=item.id) == 0, world.error
    assert list(item.files) == [other.id]


@pytest.mark.parametrize("policy", POLICIES)
async def test_an_old_version_that_is_hidden_while_it_is_replaced_is_removed_later(
    world: World, policy: OnConflict
) -> None:
    options, source = Options(on_conflict=policy, restart_changed=True), world.source("a", CONTENT)
    assert await world.upload(source, options=options, title=TITLE) == 0
    item = only_item(world)
    file = hide(item)
    world.source("a", CONTENT * 2)
    assert await world.upload(source, options=options, title=TITLE) == 0
    item.files[file.id] = file
    assert await world.upload(source, options=options, title=TITLE) == 0, world.error
    assert world.contents(item.id) == [("a", md5(CONTENT * 2))]


@pytest.mark.parametrize("named", [True, False], ids=["in the given item", "in the item of the job"])
async def test_an_unfinished_file_with_parts_that_appears_again_is_removed(world: World, *, named: bool) -> None:
    where, source = await target(world, named=named), world.source("a", CONTENT)
    world.figshare.fail("complete", Fault.KILLED_BEFORE)
    assert await world.upload(source, **where) == KILLED
    world.figshare.clear_faults()
    item = only_item(world)
    file = hide(item)
    assert await world.upload(source, **where) == 0
    item.files[file.id] = file
    assert await world.upload(source, **where) == 0, world.error
    assert world.contents(item.id) == [("a", md5(CONTENT))]


async def test_a_late_file_of_a_source_that_was_excluded_since_is_removed(world: World) -> None:
    """Otherwise the item of the job could not be published."""
    sources = [world.source(f"set/{name}", CONTENT) for name in ("a", "b")]
    folder = sources[0].removesuffix("/a")
    world.figshare.fail("initiate", Fault.LOST_BEFORE)
    world.figshare.fail("initiate", Fault.KILLED_BEFORE, first=3)
    assert await world.upload(folder, title=TITLE) == KILLED
    chosen = Sources(paths=(folder,), exclude=("a",))
    assert await world.upload(chosen, title=TITLE) == 0
    item = only_item(world)
    late = world.figshare.add_file(item, "a", CONTENT, status="created")
    late.folder = "set"
    assert await world.upload(chosen, title=TITLE, item_options=ItemOptions(metadata=Metadata(), publish=True)) == 0
    assert (world.contents(item.id), item.version) == ([("set/b", md5(CONTENT))], 1)


@pytest.mark.parametrize("journal", ["intact", "cut off"])
async def test_a_late_link_is_removed(world: World, journal: str) -> None:
    links = Sources(links=("https://example.org/data",))
    world.figshare.fail("link", Fault.LOST_BEFORE)
    assert await world.upload(links, title=TITLE) == 0
    item = only_item(world)
    (own,) = item.files
    world.figshare.add_file(item, "data", b"").link = links.links[0]
    if journal == "cut off":
        (job,) = world.jobs()
        data = (job / "journal").read_bytes()
        (job / "journal").write_bytes(data[: data.index(b'"e":"init?"')])
    assert await world.upload(links, title=TITLE) == 0
    assert list(item.files) == [own]
