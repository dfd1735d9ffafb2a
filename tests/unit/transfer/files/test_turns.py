"""Two jobs on this machine that send the same file into one item make one remote file."""

from __future__ import annotations

import os
from contextvars import ContextVar
from pathlib import Path

import anyio
import pytest

from tests.fakes.figshare import Fault
from tests.fakes.world import World, md5
from uploader.disk import Disk
from uploader.sources.models import Sources
from uploader.transfer.store import places as places_module
from uploader.transfer.store.places import PlaceLog, Turn

pytestmark = pytest.mark.anyio

CONTENT = bytes(range(200))


async def both(world: World, item: int, *, links: bool = False) -> list[int]:
    """`upload a --item N` beside `upload a b --item N`; their exit statuses."""
    one = world.source("a", CONTENT)
    other = [one, world.source("b", b"b" * 100)]
    ended: list[int] = []

    async def run(what: object) -> None:
        ended.append(await world.upload(what, item=item))  # type: ignore[arg-type]

    async with anyio.create_task_group() as tasks:
        if links:
            tasks.start_soon(run, Sources(links=("https://x",)))
            tasks.start_soon(run, Sources(links=("https://x", "https://y")))
        else:
            tasks.start_soon(run, one)
            tasks.start_soon(run, other)
    return sorted(ended)


@pytest.mark.parametrize("lag", [0.0, 3.0])
async def test_at_the_same_moment(world: World, lag: float) -> None:
    item = world.figshare.add_item()
    world.figshare.files_lag = lag
    assert await both(world, item.id) in ([0, 0], [0, 1])
    assert world.figshare.log.count("initiate") == 2
    world.figshare.files_lag = 0.0
    assert await both(world, item.id) == [0, 0]
    assert world.contents(item.id) == [("a", md5(CONTENT)), ("b", md5(b"b" * 100))]


async def test_links(world: World) -> None:
    item = world.figshare.add_item()
    assert await both(world, item.id, links=True) == [0, 0]
    assert world.contents(item.id) == [("https://x", ""), ("https://y", "")]


async def test_one_after_the_other_needs_no_further_request(world: World) -> None:
    item = world.figshare.add_item()
    assert await world.upload(world.source("a", CONTENT), item=item.id) == 0
    world.figshare.log.clear()
    assert await world.upload(world.source("b", CONTENT), item=item.id) == 0
    assert world.figshare.log.count("files") == 2


async def test_the_turn_is_passed_on_after_a_lost_answer(world: World) -> None:
    item = world.figshare.add_item()
    world.figshare.fail("initiate", Fault.LOST_AFTER)
    assert await both(world, item.id) in ([0, 0], [0, 1])
    assert world.figshare.log.count("initiate") == 2
    assert await both(world, item.id) == [0, 0]
    assert world.contents(item.id) == [("a", md5(CONTENT)), ("b", md5(b"b" * 100))]


def test_the_log_is_bounded_and_forgets_no_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places_module, "_STRIPES", 2)

    def log(job: str, item: int = 1) -> PlaceLog:
        return PlaceLog(tmp_path / "places", Disk(), job, "https://x", item)

    def start(at: PlaceLog, place: str) -> None:
        turn = at.begin(place)
        assert isinstance(turn, int)
        assert log("another").begin(place) is Turn.TAKEN
        os.close(turn)

    first, second = log("first"), log("second")
    second.survey()
    places = [f"set/{number}" for number in range(600)]
    for place in places:
        start(first, place)
    for place in places[:: len(places) // 100]:
        assert second.begin(place) is Turn.OUTDATED
        start(log("second", item=2), place)
    assert sum(path.stat().st_size for path in (tmp_path / "places").iterdir()) < 2 * 128 * 64
    assert len(list((tmp_path / "places").iterdir())) == 4
    assert second.survey_all() == {"first"}
    assert second.survey_all() == set()
    start(second, places[0])


async def test_of_two_machines_the_one_that_began_later_removes_its_copy_when_it_runs_again(world: World) -> None:
    item = world.figshare.add_item()
    source = world.source("a", CONTENT)
    machine: ContextVar[str] = ContextVar("machine")
    begun, finished = anyio.Event(), anyio.Event()

    async def hold(request: str) -> None:
        """Let the first begin before the second, which has listed the item by then, and end after it."""
        if machine.get() == "second" and request == "initiate":
            await begun.wait()
        elif machine.get() == "first" and request == "upload":
            begun.set()
            await finished.wait()

    async def run(name: str) -> None:
        machine.set(name)
        assert await world.upload(source, item=item.id, state=name) == 0
        if name == "second":
            finished.set()

    world.figshare.gate = hold
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run, "second")
        await world.clock.sleep(1.0)
        tasks.start_soon(run, "first")
    assert len(world.contents(item.id)) == 2
    await run("second")
    assert world.contents(item.id) == [("a", md5(CONTENT))]
    for name in ("first", "second"):
        await run(name)
    assert world.contents(item.id) == [("a", md5(CONTENT))]
