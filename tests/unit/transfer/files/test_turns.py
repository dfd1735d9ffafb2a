"""Two jobs on this machine that send the same file into one item make one remote file."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from tests.fakes.figshare import Fault
from tests.fakes.world import World, md5
from tests.support.existing_files import complete_file
from uploader.disk import Disk
from uploader.errors import Conflict, ItemNotFound, RequestRejected, ServerFailing
from uploader.figshare.models import File
from uploader.figshare.outcomes import FileGone
from uploader.sources.models import Sources
from uploader.transfer.files import turns
from uploader.transfer.journal.lifecycle import State, Transfer
from uploader.transfer.options import Options
from uploader.transfer.run.context import StartedElsewhere
from uploader.transfer.run.stop import Stop
from uploader.transfer.store import places as places_module
from uploader.transfer.store.places import PlaceLog, Refusal

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


@pytest.mark.parametrize("fault", [Fault.TRANSIENT, ItemNotFound("gone")])
async def test_a_list_that_cannot_be_read_again_ends_the_run(
    world: World, monkeypatch: pytest.MonkeyPatch, fault: Fault | Exception
) -> None:
    item = world.figshare.add_item()
    begin = PlaceLog.begin

    def outdated(*_: object) -> Refusal:
        world.figshare.fail("files", fault, times=100)
        return Refusal.OUTDATED

    monkeypatch.setattr(PlaceLog, "begin", outdated)
    assert await world.upload(world.source("a", CONTENT), item=item.id) in (1, 75)
    assert world.error is None or isinstance(world.error, ServerFailing | RequestRejected)
    monkeypatch.setattr(PlaceLog, "begin", begin)
    world.figshare.clear_faults()
    assert await world.upload(world.source("a", CONTENT), item=item.id) == 0
    assert world.contents(item.id) == [("a", md5(CONTENT))]


@pytest.mark.search
def test_the_log_is_bounded_and_forgets_no_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places_module, "_STRIPES", 2)

    def log(job: str, item: int = 1) -> PlaceLog:
        return PlaceLog(tmp_path / "places", Disk(), job, "https://x", item)

    def start(at: PlaceLog, place: str) -> None:
        turn = at.begin(place, at.seen)
        assert isinstance(turn, int)
        assert log("another").begin(place, frozenset()) is Refusal.TAKEN
        os.close(turn)

    first, second = log("first"), log("second")
    second.survey()
    places = [f"set/{number}" for number in range(600)]
    for place in places:
        start(first, place)
    for place in places[:: len(places) // 100]:
        assert second.begin(place, second.seen) is Refusal.OUTDATED
        start(log("second", item=2), place)
    assert sum(path.stat().st_size for path in (tmp_path / "places").iterdir()) < 2 * 128 * 64
    assert len(list((tmp_path / "places").iterdir())) == 4
    earlier = second.seen
    found, jobs = second.survey_all()
    assert jobs == {"first"}
    assert second.survey_all() == (found, jobs), "nothing is seen by surveying alone"
    second.seen = found
    assert second.survey_all() == (found, frozenset())
    start(second, places[0])
    assert second.begin(places[1], earlier) is Refusal.OUTDATED, "decided before that"


@pytest.mark.parametrize("link", [False, True])
async def test_of_two_machines_the_one_that_began_later_removes_its_copy_when_it_runs_again(
    world: World, *, link: bool
) -> None:
    item = world.figshare.add_item()
    source = Sources(links=("https://x",)) if link else world.source("a", CONTENT)
    stored = ("https://x", "") if link else ("a", md5(CONTENT))
    creating, reading = ("link", "file") if link else ("initiate", "upload")
    machine: ContextVar[str] = ContextVar("machine")
    begun, finished = anyio.Event(), anyio.Event()

    async def hold(request: str) -> None:
        """Let the first start before the second, which has already listed the item, and end after it."""
        if machine.get() == "second" and request == creating:
            await begun.wait()
        elif machine.get() == "first" and request == reading:
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
    assert len(world.contents(item.id)) == (1 if link else 2)  # a link is complete at once
    await run("second")
    assert world.contents(item.id) == [stored]
    for name in ("first", "second"):
        await run(name)
    assert world.contents(item.id) == [stored]


def transfer(name: str, index: int = 0, **more: Any) -> Transfer:
    return Transfer(index=index, source=f"/x/{name}", name=name, size=3, mtime_ns=1, inode=1, **more)


class Rig:
    """A run of "mine" beside a job "other", of which the listing of the item shows nothing."""

    def __init__(self, world: World, *names: str) -> None:
        self.world = world
        self.transfers = [transfer(name, index) for index, name in enumerate(names)]
        self.shown: dict[int, File] = {}
        """What single lookups find, by id."""
        self.theirs: list[Transfer] = []
        """In the journal of the other job."""
        self.refreshed = 0
        self.on_refresh: list[Exception | anyio.Event] = []
        """What the next refreshes raise or wait for."""
        self.on_lookup: Callable[[], None] = lambda: None
        journal = SimpleNamespace(item_id=1, transfers=self.theirs)
        self.run: Any = SimpleNamespace(
            api=SimpleNamespace(file=self._file),
            clock=world.clock,
            item_id=1,
            listing=SimpleNamespace(foreign_files={}, links={}, spellings={}, refresh=self._refresh),
            looking_again=anyio.Lock(),
            options=Options(),
            places=self._log("mine"),
            started_elsewhere={},
            state=SimpleNamespace(active=self.transfers),
            states=SimpleNamespace(readable_state=lambda _: journal),
            stop=Stop(),
            turns=anyio.Semaphore(2),
        )
        self.run.places.survey()

    def _log(self, job: str) -> PlaceLog:
        return PlaceLog(self.world.folder / "places", Disk(), job, "https://x", 1)

    def start_elsewhere(self, name: str, file_id: int | None) -> None:
        """Let the other job start a file."""
        started = transfer(name, file_id=file_id, state=State.INITIATED, intended_at="2026-01-01")
        self.theirs.append(started)
        log = self._log("other")
        turn = log.begin(turns.place_of(started), log.seen)
        assert isinstance(turn, int)
        os.close(turn)

    async def start(self, index: int, seen: frozenset[places_module.Start]) -> bool:
        """Return whether a file that was decided on then may be started."""
        async with turns.turn_to_start(self.run, self.transfers[index], seen) as decided:
            return decided

    async def _refresh(self) -> None:
        self.refreshed += 1
        self.run.listing.foreign_files = {}
        match self.on_refresh.pop(0) if self.on_refresh else None:
            case Exception() as error:
                raise error
            case anyio.Event() as event:
                await event.wait()

    async def _file(self, _: int, file_id: int) -> File:
        await anyio.lowlevel.checkpoint()
        self.on_lookup()
        if file_id not in self.shown:
            raise FileGone(f"no file {file_id}")
        return self.shown[file_id]


async def test_what_was_decided_before_another_tasks_look_is_decided_again(world: World) -> None:
    rig = Rig(world, "a", "b", "c")
    seen = rig.run.places.seen
    for number, name in enumerate("abc"):
        rig.start_elsewhere(name, 10 + number)
    looked = anyio.Event()
    rig.on_refresh = [looked]
    may_start: dict[int, bool] = {}

    async def start(index: int) -> None:
        may_start[index] = await rig.start(index, seen)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(start, 0)
        await world.clock.sleep(1.0)
        assert rig.refreshed == 1
        assert rig.run.places.seen == seen, "not before it has looked"
        tasks.start_soon(start, 1)
        await world.clock.sleep(1.0)
        assert may_start == {}
        looked.set()
    await start(2)
    assert may_start == {0: False, 1: False, 2: False}
    assert rig.refreshed == 1, "one look serves all"
    assert set(rig.run.started_elsewhere) == {"a", "b", "c"}
    assert await rig.start(2, rig.run.places.seen)


async def test_after_a_look_that_failed_the_item_is_looked_at_again(world: World) -> None:
    rig = Rig(world, "a")
    rig.start_elsewhere("a", 10)
    rig.on_refresh = [ServerFailing("no", isolated=True)]
    with pytest.raises(ServerFailing):
        await rig.start(0, rig.run.places.seen)
    assert not await rig.start(0, rig.run.places.seen)
    assert rig.refreshed == 2
    assert set(rig.run.started_elsewhere) == {"a"}


async def test_no_more_locks_are_open_than_the_process_has_descriptors_for(world: World) -> None:
    rig = Rig(world, *(f"f{number}" for number in range(8)))
    stored: list[int] = []
    most = 0

    async def start(index: int) -> None:
        nonlocal most
        async with turns.turn_to_start(rig.run, rig.transfers[index], rig.run.places.seen):
            stored.append(index)
            most = max(most, len(stored))
            await anyio.sleep(0.001)
            stored.remove(index)

    async with anyio.create_task_group() as tasks:
        for index in range(8):
            tasks.start_soon(start, index)
    assert most == 2
    assert rig.run.turns.value == 2


async def test_two_spellings_of_a_name_are_one_place(world: World) -> None:
    mine, theirs = (unicodedata.normalize(form, "Größe.csv") for form in ("NFC", "NFD"))
    rig = Rig(world, mine)
    rig.start_elsewhere(theirs, 10)
    rig.shown[10] = complete_file(10)
    assert not await rig.start(0, rig.run.places.seen)
    await turns.add_unlisted(rig.run, rig.transfers[0])
    assert rig.run.listing.foreign_files == {mine: [rig.shown[10]]}
    assert rig.run.listing.spellings == {mine: theirs}


async def test_a_spelling_that_the_job_sends_itself_concerns_that_file(world: World) -> None:
    composed, decomposed = (unicodedata.normalize(form, "Größe.csv") for form in ("NFC", "NFD"))
    rig = Rig(world, composed, decomposed)
    rig.start_elsewhere(decomposed, 10)
    rig.shown[10] = complete_file(10)
    assert not await rig.start(0, rig.run.places.seen)
    for one in rig.transfers:
        await turns.add_unlisted(rig.run, one)
    assert rig.run.listing.foreign_files == {composed: [], decomposed: [rig.shown[10]]}
    assert rig.run.started_elsewhere == {}


@pytest.mark.parametrize("listed", [True, False])
async def test_what_another_task_found_meanwhile_is_kept(world: World, listed: bool) -> None:
    rig = Rig(world, "a")
    first = StartedElsewhere(job="one", path="a", file_id=10, unfinished=True)
    second = StartedElsewhere(job="two", path="a", file_id=11, unfinished=True)
    rig.run.started_elsewhere["a"] = [first]
    if listed:
        rig.shown[10] = complete_file(10)

    def look_again() -> None:
        rig.run.listing.foreign_files = {}
        rig.run.started_elsewhere.setdefault("a", []).append(second)

    rig.on_lookup = look_again
    if listed:
        await turns.add_unlisted(rig.run, rig.transfers[0])
        assert rig.run.started_elsewhere == {"a": [second]}
        assert rig.run.listing.foreign_files == {"a": [rig.shown[10]]}, "in the new listing"
    else:
        with pytest.raises(Conflict, match="job one on this machine"):
            await turns.add_unlisted(rig.run, rig.transfers[0])
        assert rig.run.started_elsewhere == {"a": [second, first]}
