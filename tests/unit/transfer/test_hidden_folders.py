"""Files in folders, and files of the same names in none, while the item does not show yet which is where.

The listing of the item's files is up to date, but the item, which has their folders, is read from an old copy.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from tests.fakes.figshare import Fault, StoredFile, StoredItem
from tests.fakes.world import KILLED, World, md5
from tests.unit.transfer.test_cut_journals import Stored
from tests.unit.transfer.test_old_copies import CONTENT, TITLE, lag
from uploader.errors import RequestRejected
from uploader.sources.models import Sources
from uploader.transfer.notices import AnyNotice, Retrying, Warned
from uploader.transfer.options import OnConflict, Options

pytestmark = [pytest.mark.anyio, pytest.mark.search]

SHOWN = pytest.mark.parametrize("shown", [1000, 0], ids=["the item shows its files", "it shows none"])
ITEM = frozenset({"item"})
OTHER = CONTENT[::-1]
ADDRESS = "https://example.org/data"


async def sent_by_another_job(world: World) -> StoredItem:
    """Return an item to which another job has just sent `set/a`."""
    item = world.figshare.add_item(TITLE)
    world.figshare.behind = lambda _: 0.0
    source = str(Path(world.source("set/a", CONTENT)).parent)
    assert await world.upload(source, item=item.id, state="other") == 0
    return item


@SHOWN
@pytest.mark.parametrize("on_conflict", ["skip", "fail", "keep", "replace"])
@pytest.mark.parametrize("content", [CONTENT, OTHER, CONTENT[1:]], ids=["same", "different", "of another size"])
@pytest.mark.parametrize("seconds", [2.0, 20.0])
@pytest.mark.parametrize("every", [1, 2])
async def test_a_file_in_a_folder_that_is_not_shown_is_no_conflict(
    world: World, every: int, seconds: float, content: bytes, on_conflict: OnConflict, shown: int
) -> None:
    world.figshare.files_shown = shown
    item, options = await sent_by_another_job(world), Options(on_conflict=on_conflict)
    source = world.source("mine/a", content)
    lag(world, ITEM, seconds, every=every)
    told: list[AnyNotice] = []
    async with world.client(options) as client:
        plans = (await client.preview(source, item=item.id, on_event=told.append)).files
        assert [plan.action for plan in plans] == ["send"]
    assert any(isinstance(notice, Retrying) for notice in told) == (every == 1)
    assert await world.upload(source, item=item.id, options=options) == 0, world.error
    assert world.contents(item.id) == [("a", md5(content)), ("set/a", md5(CONTENT))]


@SHOWN
@pytest.mark.parametrize("named", [True, False], ids=["in the given item", "in the item of the job"])
@pytest.mark.parametrize("fault", [Fault.KILLED_AFTER, Fault.LOST_AFTER])
@pytest.mark.parametrize("begun", [1, 2])
@pytest.mark.parametrize("seconds", [2.0, 20.0])
async def test_an_unfinished_file_in_a_folder_that_is_not_shown_is_not_continued_elsewhere(
    world: World, seconds: float, begun: int, fault: Fault, shown: int, *, named: bool
) -> None:
    """The job's own file in the folder has the size of the one in none."""
    world.figshare.files_shown = shown
    sources = [world.source("a", CONTENT), str(Path(world.source("set/a", OTHER)).parent)]
    where: dict[str, Any] = {"item": world.figshare.add_item(TITLE).id} if named else {"title": TITLE}
    lag(world, ITEM, seconds, every=1)
    world.figshare.fail("initiate", fault, first=begun)
    await world.upload(sources, **where)
    world.figshare.clear_faults()
    assert await world.upload(sources, **where) == 0, world.error
    (item,) = world.figshare.stored_items.values()
    assert world.contents(item.id) == [("a", md5(CONTENT)), ("set/a", md5(OTHER))]
    assert world.figshare.log.count("initiate") == 2


async def test_files_in_no_folder_are_waited_for_once_if_the_item_shows_no_files(world: World) -> None:
    """They may be in folders until the settle time is over. That they were replaced takes no longer."""
    world.figshare.files_shown = 0
    item, names = world.figshare.add_item(TITLE), [str(number) for number in range(25)]
    sources = [world.source(name, CONTENT) for name in names]
    assert await world.upload(sources, item=item.id, state="other") == 0
    await world.clock.sleep(4000)
    for name in names:
        world.source(name, OTHER)
    began, options = world.clock.monotonic(), Options(on_conflict="replace")
    assert await world.upload(sources, item=item.id, options=options) == 0
    assert world.clock.monotonic() - began < options.settle_timeout + 10
    assert world.contents(item.id) == sorted((name, md5(OTHER)) for name in names)
    began = world.clock.monotonic()
    assert await world.upload(sources, item=item.id, options=options) == 0
    assert world.clock.monotonic() - began < 5


async def send_only(world: World, folder: str, sources: list[str], item: StoredItem) -> None:
    """Refuse the sources that are to be in another folder."""
    initiate = world.figshare.initiate

    async def refuse_others(item_id: int, **file: Any) -> int:
        if (file["folder"] or "").strip("/") != folder:
            raise RequestRejected("refused")
        return await initiate(item_id, **file)

    with patch.object(world.figshare, "initiate", refuse_others):
        assert await world.upload(sources, item=item.id) == 1


@SHOWN
@pytest.mark.parametrize("on_conflict", ["skip", "fail", "keep", "replace"])
@pytest.mark.parametrize("content", [CONTENT, OTHER], ids=["same", "different"])
@pytest.mark.parametrize("folder", ["set", ""], ids=["in the folder", "in none"])
async def test_a_file_of_the_job_itself_is_not_taken_for_another_one(
    world: World, folder: str, content: bytes, on_conflict: OnConflict, shown: int
) -> None:
    """The first run sends only the one in this folder."""
    world.figshare.files_shown = shown
    sources = [world.source("a", content), str(Path(world.source("set/a", CONTENT)).parent)]
    item, options = world.figshare.add_item(TITLE), Options(on_conflict=on_conflict)
    lag(world, ITEM, 20.0, every=1)
    await send_only(world, folder, sources, item)
    async with world.client(options) as client:
        plans = (await client.preview(sources, item=item.id)).files
    assert sorted(plan.action for plan in plans) == ["send", "skip"]
    assert await world.upload(sources, item=item.id, options=options) == 0, world.error
    assert world.contents(item.id) == [("a", md5(content)), ("set/a", md5(CONTENT))]
    assert not [n for n in world.notices if isinstance(n, Warned) and "kept" in n.message]


@pytest.mark.parametrize("found", [True, False], ids=["found", "sent"])
async def test_one_file_is_not_taken_for_two_sources(world: World, found: bool) -> None:
    """A person has moved it to the place of the other one, and the item has no folders any more."""
    item = world.figshare.add_item(TITLE)
    folder = str(Path(world.source("set/a", CONTENT)).parent)
    sources = [world.source("a", CONTENT), folder]
    if found:
        assert await world.upload(folder, item=item.id, state="other") == 0
    await send_only(world, "set", sources, item)
    await world.clock.sleep(4000)
    (file,) = item.files.values()
    file.folder = ""
    assert await world.upload(sources, item=item.id) == 0, world.error
    assert world.contents(item.id) == [("a", md5(CONTENT))] * 2


def begin_theirs(world: World, item: StoredItem) -> StoredFile:
    """Let somebody begin `set/a`, and answer from now on with an item from before."""
    figshare = world.figshare
    figshare.copies[:] = [(world.clock.monotonic(), copy.deepcopy(figshare.stored_items))]
    file = StoredFile(next(figshare.ids), "a", len(CONTENT), folder="set")
    item.files[file.id] = file
    figshare.behind = lambda request: 20.0 if request == "item" else 0.0
    return file


@SHOWN
async def test_an_unfinished_file_in_a_folder_that_is_not_shown_is_not_removed_as_late(
    world: World, shown: int
) -> None:
    figshare = world.figshare
    figshare.files_shown, figshare.behind = shown, lambda _: 0.0
    figshare.fail("initiate", Fault.LOST_BEFORE)
    theirs: list[StoredFile] = []

    def begin(_: str) -> None:
        if not theirs and "complete" in figshare.log:
            (item,) = figshare.stored_items.values()
            theirs.append(begin_theirs(world, item))

    figshare.on_request["files"] = begin
    assert await world.upload(world.source("a", CONTENT), title=TITLE) == 0
    (item,) = figshare.stored_items.values()
    assert theirs[0].id in item.files


@SHOWN
async def test_an_unfinished_file_in_a_folder_that_is_not_shown_is_not_cancelled(world: World, shown: int) -> None:
    figshare = world.figshare
    figshare.files_shown, figshare.behind = shown, lambda _: 0.0
    figshare.fail("send_part", Fault.KILLED_AFTER)
    assert await world.upload(world.source("a", CONTENT), title=TITLE) == KILLED
    (job,) = world.jobs()
    (job / "journal").write_bytes((job / "journal").read_bytes()[:-30])
    await world.clock.sleep(100)
    (item,) = figshare.stored_items.values()
    theirs: list[StoredFile] = []

    def begin(_: str) -> None:
        figshare.on_request.clear()
        theirs.append(begin_theirs(world, item))

    figshare.on_request["files"] = begin
    assert await world.cancel() == 0
    assert list(item.files) == [theirs[0].id]


async def test_a_cancelled_job_waits_once_for_all_its_files(world: World) -> None:
    """Its journal was cut, and the item shows no files: its unfinished files may be in folders."""
    world.figshare.files_shown = 0
    sources = [world.source(str(number), CONTENT) for number in range(8)]
    world.figshare.fail("send_part", Fault.KILLED_AFTER)
    assert await world.upload(sources, title=TITLE) == KILLED
    stored = Stored(world)
    stored.restore_journal(stored.journal_before(b'"e":"init"'))
    await world.clock.sleep(4000)
    began = world.clock.monotonic()
    assert await world.cancel() == 0
    assert world.clock.monotonic() - began < Options().settle_timeout + 10
    (item,) = world.figshare.stored_items.values()
    assert not item.files


@SHOWN
@pytest.mark.parametrize("folder", ["", "set/"])
@pytest.mark.parametrize("in_names", [True, False], ids=["folders in names", "folders in the item"])
async def test_earlier_versions_of_the_job_itself_are_removed_at_once(
    world: World, folder: str, shown: int, *, in_names: bool
) -> None:
    world.figshare.files_shown, world.figshare.folders_in_names = shown, in_names
    item, names = world.figshare.add_item(TITLE), [f"{folder}{number}" for number in range(3)]
    sources = [world.source(name, CONTENT) for name in names]
    sources = sources if not folder else [str(world.folder / "set")]
    assert await world.upload(sources, item=item.id) == 0
    await world.clock.sleep(4000)
    for name in names:
        world.source(name, OTHER)
    began = world.clock.monotonic()
    assert await world.upload(sources, item=item.id, options=Options(restart_changed=True)) == 0
    assert world.clock.monotonic() - began < 5
    assert world.contents(item.id) == [(name, md5(OTHER)) for name in names]


async def test_a_wait_for_folders_is_reported_once(world: World) -> None:
    item = await sent_by_another_job(world)
    lag(world, ITEM, 20.0, every=1)
    assert await world.upload(world.source("mine/a", CONTENT), item=item.id) == 0
    (reported,) = [notice for notice in world.notices if isinstance(notice, Retrying)]
    assert reported.reason == f"item {item.id} does not show yet where its files are; looking for up to 28 s"


@SHOWN
@pytest.mark.parametrize("seconds", [2.0, 20.0])
@pytest.mark.parametrize("every", [1, 2, 3])
async def test_an_identical_file_in_a_folder_that_is_not_shown_is_not_taken(
    world: World, every: int, seconds: float, shown: int
) -> None:
    world.figshare.files_shown = shown
    item, source = await sent_by_another_job(world), world.source("mine/a", CONTENT)
    lag(world, ITEM, seconds, every=every)
    assert await world.upload(source, item=item.id) == 0, world.error
    assert world.contents(item.id) == [("a", md5(CONTENT)), ("set/a", md5(CONTENT))]


@SHOWN
@pytest.mark.parametrize("killed", ["files 2", "item 3", "item 4"])
async def test_a_run_after_a_crash_does_not_take_it_either(world: World, killed: str, shown: int) -> None:
    world.figshare.files_shown = shown
    item, source = await sent_by_another_job(world), world.source("mine/a", CONTENT)
    lag(world, ITEM, 20.0, every=1)
    request, number = killed.split()
    world.figshare.fail(request, Fault.KILLED_BEFORE, first=int(number))
    statuses = [await world.upload(source, item=item.id)]
    world.figshare.clear_faults()
    while statuses[-1] != 0 and len(statuses) < 4:
        statuses.append(await world.upload(source, item=item.id))
    assert statuses[-1] == 0
    assert world.contents(item.id) == [("a", md5(CONTENT)), ("set/a", md5(CONTENT))]


@SHOWN
async def test_a_file_is_not_removed_in_favor_of_one_in_a_folder_that_is_not_shown(world: World, shown: int) -> None:
    world.figshare.files_shown = shown
    item, source = world.figshare.add_item(TITLE), world.source("a", CONTENT)
    world.figshare.behind = lambda _: 0.0

    def add_theirs(_: str) -> None:
        """Before this job's own, by its id."""
        item.files.setdefault(1, StoredFile(1, "a", len(CONTENT), folder="set", status="available", parts={1: CONTENT}))

    world.figshare.on_request["complete"] = add_theirs
    old = 0

    def behind(request: str) -> float:
        nonlocal old
        old += request == "item" and 1 in item.files
        return 60.0 if request == "item" and 0 < old < 4 else 0.0

    world.figshare.behind = behind
    assert await world.upload(source, item=item.id) == 0, world.error
    assert world.contents(item.id) == [("a", md5(CONTENT)), ("set/a", md5(CONTENT))]


@SHOWN
@pytest.mark.parametrize("seconds", [2.0, 20.0])
@pytest.mark.parametrize("every", [1, 2])
async def test_a_file_in_a_folder_that_is_not_shown_is_compared_with_the_one_in_that_folder(
    world: World, every: int, seconds: float, shown: int
) -> None:
    world.figshare.files_shown = shown
    item = await sent_by_another_job(world)
    told: list[AnyNotice] = []
    lag(world, ITEM, seconds, every=every)
    async with world.client() as client:
        paths = [world.source("a", CONTENT), str(world.folder / "set")]
        compared = await client.verify(item.id, paths, on_event=told.append)
    assert [(one.folder, one.status) for one in compared] == [("", "missing"), ("set", "same")]
    assert any(isinstance(notice, Retrying) for notice in told) == (every == 1)


@SHOWN
@pytest.mark.parametrize("on_conflict", ["skip", "keep"])
@pytest.mark.parametrize("seconds", [2.0, 20.0])
async def test_an_identical_file_that_appears_in_a_folder_that_is_not_shown_is_named(
    world: World, seconds: float, on_conflict: OnConflict, shown: int
) -> None:
    """Another machine has begun it later and finished it earlier."""

    def appear(_: str) -> None:
        world.figshare.add_file(item, "a", CONTENT).folder = "set"

    world.figshare.files_shown, world.figshare.behind = shown, lambda _: 0.0
    item = world.figshare.add_item(TITLE)
    source = str(Path(world.source("set/a", CONTENT)).parent)
    world.figshare.fail("send_part", Fault.KILLED_BEFORE)
    assert await world.upload(source, item=item.id) == KILLED
    world.figshare.clear_faults()
    await world.clock.sleep(4000)
    world.figshare.on_request["complete"] = appear
    lag(world, ITEM, seconds, every=1)
    assert await world.upload(source, item=item.id, options=Options(on_conflict=on_conflict)) == 0, world.error
    assert any("created later" in notice.message for notice in world.notices if isinstance(notice, Warned))


@pytest.mark.parametrize("other_folder", [True, False])
async def test_a_file_that_was_moved_is_not_replaced_although_an_old_response_has_no_folders(
    world: World, *, other_folder: bool
) -> None:
    """It was in the first folder of the item, and a person moves it while the new one is sent."""

    def move(_: str) -> None:
        world.figshare.on_request.clear()
        theirs.folder = "keep"
        lag(world, ITEM, 20.0, every=1)

    item = await sent_by_another_job(world)
    (theirs,) = item.files.values()
    if other_folder:
        world.figshare.add_file(item, "z", OTHER).folder = "z"
    source = str(Path(world.source("set/a", OTHER)).parent)
    world.figshare.on_request["complete"] = move
    assert await world.upload(source, item=item.id, options=Options(on_conflict="replace")) == 0, world.error
    kept = [("keep/a", md5(CONTENT)), ("set/a", md5(OTHER))]
    assert world.contents(item.id) == (sorted([*kept, ("z/z", md5(OTHER))]) if other_folder else kept)


async def test_the_folder_of_a_link_is_not_waited_for(world: World) -> None:
    """Another machine has created a link to the same address earlier."""

    def appear(_: str) -> None:
        item.files.setdefault(50, StoredFile(50, "link", 0, link=ADDRESS))

    world.figshare.files_shown = 0
    item = world.figshare.add_item(TITLE)
    world.figshare.on_request["link"] = appear
    began = world.clock.monotonic()
    assert await world.upload(Sources(links=(ADDRESS,)), item=item.id) == 0
    assert list(item.files) == [50]
    assert world.clock.monotonic() - began < 2
