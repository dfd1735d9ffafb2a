"""A server whose answers come from copies of its data that are behind: nothing is taken for lost, or sent twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.figshare import READING, Fault
from tests.fakes.metadata import Metadata
from tests.fakes.world import KILLED, World, md5
from uploader.errors import ItemNotFound
from uploader.transfer.destination.options import ItemOptions
from uploader.transfer.options import Options

pytestmark = [pytest.mark.anyio, pytest.mark.search]

TITLE = "my data"
CONTENT = bytes(range(200))
SERVICES: dict[str, frozenset[str]] = {
    "all": READING,
    "listings": frozenset({"files"}),
    "items": frozenset({"item"}),
    "files": frozenset({"file", "files"}),
    "uploads": frozenset({"upload", "part"}),
}


def lag(world: World, requests: frozenset[str], seconds: float, *, every: int) -> None:
    """Answer every so-manieth of these requests from a copy that is so far behind."""
    counts: dict[str, int] = {}

    def behind(request: str) -> float:
        counts[request] = counts.get(request, 0) + 1
        return seconds if request in requests and counts[request] % every == 0 else 0.0

    world.figshare.behind = behind


@pytest.mark.parametrize("files", [1, 9])
@pytest.mark.parametrize("named", [True, False], ids=["in the given item", "in the item of the job"])
@pytest.mark.parametrize("every", [1, 2], ids=["always", "every other time"])
@pytest.mark.parametrize("seconds", [1.0, 4.0])
@pytest.mark.parametrize("service", SERVICES)
async def test_the_first_run_ends_with_every_file_there_once(
    world: World, service: str, seconds: float, every: int, files: int, *, named: bool
) -> None:
    names = [f"tree/{number}" for number in range(files)]
    for name in names:
        world.source(name, CONTENT)
    where: dict[str, Any] = {"item": world.figshare.add_item().id} if named else {"title": TITLE}
    lag(world, SERVICES[service], seconds, every=every)
    assert await world.upload(str(world.folder / "tree"), **where) == 0, world.error
    (item,) = world.figshare.stored_items.values()
    assert world.contents(item.id) == [(name, md5(CONTENT)) for name in names]
    assert world.figshare.log.count("initiate") == files
    assert not world.figshare.resent_parts


@pytest.mark.parametrize("killed", ["create", "initiate", "send_part", "complete"])
@pytest.mark.parametrize("service", SERVICES)
async def test_what_was_sent_before_a_crash_is_kept(world: World, service: str, killed: str) -> None:
    source = world.source("a", CONTENT)
    world.figshare.fail(killed, Fault.KILLED_AFTER)
    lag(world, SERVICES[service], 4.0, every=2)
    assert await world.upload(source, title=TITLE) == KILLED
    for _ in range(2):
        assert await world.upload(source, title=TITLE, options=Options(on_conflict="fail")) == 0, world.error
    (item,) = world.figshare.stored_items.values()
    assert world.contents(item.id) == [("a", md5(CONTENT))]
    assert (world.figshare.log.count("initiate"), world.figshare.resent_parts) == (1, [])


@pytest.mark.parametrize("named", [True, False], ids=["in the given item", "in the item of the job"])
async def test_a_finished_job_that_is_run_again_at_once_takes_nothing_for_lost(world: World, named: bool) -> None:
    """What is sent again has a new id, and may be published again."""
    source, options = world.source("a", CONTENT), ItemOptions(metadata=Metadata(), publish=True)
    target: dict[str, Any] = {"item": world.figshare.add_item(TITLE).id} if named else {"title": TITLE}
    world.figshare.behind = lambda _: 0.0
    assert await world.upload(source, item_options=options, **target) == 0
    (item,) = world.figshare.stored_items.values()
    sent = set(item.files)
    world.figshare.behind = lambda request: 2.0 if request in SERVICES["files"] else 0.0
    assert await world.upload(source, item_options=options, **target) == 0
    assert (set(item.files), item.version, world.figshare.log.count("initiate")) == (sent, 1, 1)


@pytest.mark.parametrize("seconds", [2.0, 10.0])
@pytest.mark.parametrize("cut", [False, True])
async def test_a_new_item_that_not_every_copy_has_is_not_called_missing(
    world: World, seconds: float, cut: bool
) -> None:
    """By no request about its metadata, nor after its journal lost when it was created."""
    source, options = world.source("a", CONTENT), ItemOptions(metadata=Metadata(), reserve_doi=True, publish=True)
    world.figshare.behind = lambda request: seconds if request in ("authors", "detail") else 0.0
    if cut:
        world.figshare.fail("authors", Fault.KILLED_BEFORE)
        assert await world.upload(source, title=TITLE, item_options=options) == KILLED
        (job,) = world.jobs()
        (job / "journal").write_bytes(b"")
    assert await world.upload(source, title=TITLE, item_options=options) == 0, world.error
    (item,) = world.figshare.stored_items.values()
    assert (item.title, item.version) == (TITLE, 1)
    assert [author.full_name for author in item.authors] == ["Jane Doe"]


async def refused(world: World) -> None:
    """Upload what Figshare refuses, so that the job's new item is removed; then upload it again."""
    world.figshare.fail("initiate", Fault.REJECTED)
    assert await world.upload(world.source("a", CONTENT), title=TITLE) == 1


async def killed_while_giving_up(world: World) -> None:
    """End after the item is unwanted, before it is removed."""
    world.figshare.fail("initiate", Fault.REJECTED)
    world.figshare.fail("delete_item", Fault.KILLED_BEFORE)
    assert await world.upload(world.source("a", CONTENT), title=TITLE) == KILLED


async def answered_late(world: World) -> None:
    """Let an item appear after the job has created another one in its place."""
    world.figshare.items_lag = 600.0
    world.figshare.fail("create", Fault.LOST_AFTER)
    assert await world.upload(world.source("a", CONTENT), title=TITLE) == 0
    world.figshare.items_lag = 0.0
    await world.clock.sleep(600.0)


async def answer_lost(world: World) -> None:
    """Never learn the item's id, nor the file's."""
    world.figshare.fail("create", Fault.KILLED_AFTER)
    assert await world.upload(world.source("a", CONTENT), title=TITLE) == KILLED


async def published(world: World) -> None:
    """End while the item is being published."""
    options = ItemOptions(metadata=Metadata(), publish=True)
    world.figshare.fail("publish", Fault.KILLED_AFTER)
    assert await world.upload(world.source("a", CONTENT), title=TITLE, item_options=options) == KILLED


STORIES = (refused, killed_while_giving_up, answered_late, answer_lost, published)


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
async def test_an_item_that_seems_missing_once_is_asked_for_again(
    story: Callable[[World], Awaitable[None]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy of the data that does not show the job's new item answers one reading request with 404."""

    async def run(request: str | None, occurrence: int) -> World:
        world = World(tmp_path / f"{request}-{occurrence}", monkeypatch)
        if request is not None:
            world.figshare.fail(request, ItemNotFound("not found"), first=occurrence)
        await story(world)
        assert await world.upload(world.source("a", CONTENT), title=TITLE) == 0, (request, occurrence, world.error)
        (item,) = world.figshare.stored_items.values()
        assert world.contents(item.id) == [("a", md5(CONTENT))], (request, occurrence)
        assert item.title == TITLE
        return world

    counts = Counter((await run(None, 0)).figshare.log)
    for request in sorted({"files", "item", "detail"}.intersection(counts)):
        for occurrence in range(1, counts[request] + 1):
            await run(request, occurrence)
