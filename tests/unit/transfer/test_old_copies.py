"""A server whose answers come from copies of its data that are behind: nothing is taken for lost, or sent twice."""

from __future__ import annotations

import copy
import shutil
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.figshare import READING, Fault, StoredFile
from tests.fakes.metadata import Metadata
from tests.fakes.world import ENDPOINT, KILLED, World, md5
from tests.unit.transfer.test_cut_journals import Stored
from uploader.errors import FigupError, ItemNotFound
from uploader.figshare.settings import RetryPolicy, Settings
from uploader.sources.models import Sources
from uploader.transfer.client import Client
from uploader.transfer.destination.options import ItemOptions
from uploader.transfer.options import OnConflict, Options

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


def corrupt(world: World, count: int) -> None:
    """Let Figshare damage the first files that are sent from now on."""
    before = {file_id for item in world.figshare.stored_items.values() for file_id in item.files}

    def damage(_: str) -> None:
        (item,) = world.figshare.stored_items.values()
        for file_id in sorted(item.files.keys() - before)[:count]:
            item.files[file_id].corrupt = True

    world.figshare.on_request["complete"] = damage


@pytest.mark.parametrize("named", [True, False], ids=["in the given item", "in the item of the job"])
@pytest.mark.parametrize("on_conflict", ["skip", "keep"])
@pytest.mark.parametrize("requests", [("item",), ("files",), ("files", "item")], ids=" and ".join)
async def test_a_bad_copy_of_a_cut_journal_is_removed(
    world: World, requests: tuple[str, ...], on_conflict: OnConflict, *, named: bool
) -> None:
    target: dict[str, Any] = {"item": world.figshare.add_item(TITLE).id} if named else {"title": TITLE}
    target["options"] = Options(on_conflict=on_conflict)
    source = str(Path(world.source("set/a", CONTENT)).parent)
    corrupt(world, 2)
    assert await world.upload(source, **target) == 5
    world.figshare.on_request.clear()
    Stored(world).restore_journal(0)
    for every in (2, 3):
        lag(world, frozenset(requests), 4.0, every=every)
        assert await world.upload(source, **target) == 0, world.error
        (item,) = world.figshare.stored_items.values()
        assert world.contents(item.id) == [("set/a", md5(CONTENT))]


@pytest.mark.parametrize("named", [True, False], ids=["in the given item", "in the item of the job"])
@pytest.mark.parametrize("seconds", [4.0, 20.0])
async def test_a_bad_copy_is_not_taken_for_moved(world: World, seconds: float, *, named: bool) -> None:
    """A copy of the item that is older than a file does not say in which folder it is."""
    target: dict[str, Any] = {"item": world.figshare.add_item(TITLE).id} if named else {"title": TITLE}
    source = str(Path(world.source("set/b", CONTENT[1:])).parent)
    assert await world.upload(source, **target) == 0
    await world.clock.sleep(4000)
    world.source("set/a", CONTENT)
    corrupt(world, 1)
    lag(world, frozenset({"item"}), seconds, every=1)
    assert await world.upload(source, **target) == 0, world.error
    (item,) = world.figshare.stored_items.values()
    assert world.contents(item.id) == [("set/a", md5(CONTENT)), ("set/b", md5(CONTENT[1:]))]
    assert "moved" not in str(world.notices)


@pytest.mark.parametrize("every", [2, 3])
async def test_the_later_of_two_identical_files_is_removed(world: World, every: int) -> None:
    source, item = str(Path(world.source("set/a", CONTENT)).parent), world.figshare.add_item(TITLE)

    def add_theirs(_: str) -> None:
        (stored,) = world.figshare.stored_items.values()
        stored.files[1] = StoredFile(
            1, "a", len(CONTENT), folder="set", status="available", upload_status="completed", parts={1: CONTENT}
        )

    world.figshare.on_request["send_part"] = add_theirs
    lag(world, frozenset({"file"}), 1.0, every=every)
    assert await world.upload(source, item=item.id) == 0, world.error
    assert world.contents(item.id) == [("set/a", md5(CONTENT))]


@pytest.mark.parametrize("request_name", ["files", "item", "initiate"])
async def test_a_new_item_that_seems_missing_once_is_not_given_up(world: World, request_name: str) -> None:
    source = world.source("a", CONTENT)
    world.figshare.fail("initiate", Fault.KILLED_BEFORE)
    assert await world.upload(source, title=TITLE) == KILLED
    world.figshare.fail(request_name, ItemNotFound("not found"))
    async with world.client() as client:
        assert (await client.preview(source, title=TITLE)).exit_status == 0
    world.figshare.clear_faults()
    world.figshare.fail(request_name, ItemNotFound("not found"))
    assert await world.upload(source, title=TITLE) == 0, world.error


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize("named", [True, False], ids=["in the given item", "in the item of the job"])
@pytest.mark.parametrize("old", [1, 2])
async def test_after_any_old_answers_the_bad_copy_of_a_cut_journal_is_removed(
    old: int, named: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are from before the copy. Later runs no longer know that it was the job's."""

    async def run(first: int) -> int:
        """Answer that request, counted from 0, from an old copy; return the number of requests."""
        world = World(tmp_path / str(first), monkeypatch)
        target: dict[str, Any] = {"item": world.figshare.add_item(TITLE).id} if named else {"title": TITLE}
        source = str(Path(world.source("set/a", CONTENT)).parent)
        corrupt(world, 2)
        world.figshare.behind = lambda _: 0.0
        assert await world.upload(source, **target) == 5
        world.figshare.on_request.clear()
        Stored(world).restore_journal(0)
        count = 0

        def behind(_: str) -> float:
            nonlocal count
            count += 1
            return 60.0 if first <= count - 1 < first + old else 0.0

        world.figshare.behind = behind
        statuses = [await world.upload(source, **target)]
        world.figshare.behind = lambda _: 0.0
        statuses.append(await world.upload(source, **target))
        (item,) = world.figshare.stored_items.values()
        assert statuses[-1] == 0, (first, statuses, world.error)
        assert world.contents(item.id) == [("set/a", md5(CONTENT))], (first, statuses)
        return count

    for first in range(await run(1000)):
        await run(first)


async def test_the_closing_check_waits_once_for_all_files(world: World) -> None:
    sources = [world.source(str(number), CONTENT) for number in range(5)]
    item, restart = world.figshare.add_item(TITLE), Options(restart_changed=True)
    assert await world.upload(sources, item=item.id) == 0
    await world.clock.sleep(4000)
    for number in range(5):
        world.source(str(number), CONTENT[1:])
    world.figshare.behind = lambda _: 0.0
    assert await world.upload(sources, item=item.id, options=restart) == 0
    lag(world, frozenset({"files"}), 6.0, every=1)
    began = world.clock.monotonic()
    assert await world.upload(sources, item=item.id, options=restart) == 0
    assert world.clock.monotonic() - began <= restart.settle_timeout + 1
    assert world.contents(item.id) == [(str(number), md5(CONTENT[1:])) for number in range(5)]


async def test_the_dry_run_looks_again_before_a_sent_file_counts_as_gone(world: World) -> None:
    source = str(Path(world.source("set/a", CONTENT)).parent)
    item = world.figshare.add_item(TITLE)
    world.figshare.behind = lambda _: 0.0
    assert await world.upload(source, item=item.id) == 0
    world.source("set/b", CONTENT)
    for request_name in ("files", "item"):
        asked: list[str] = []

        def behind(request: str, old: str = request_name, asked: list[str] = asked) -> float:
            asked.append(request)
            return 4.0 if request == old and asked.count(old) == 1 else 0.0

        world.figshare.behind = behind
        async with world.client() as client:
            plan = await client.preview(source, item=item.id)
        assert [(file.status, file.action) for file in plan.files] == [("done", "skip"), ("new", "send")]


async def check_next_run(world: World, sources: list[str]) -> None:
    """Without faults, the next run ends with 0, and one item with each source once."""
    world.figshare.on_request.clear()
    world.figshare.clear_faults()
    assert await world.upload(sources, title=TITLE) == 0
    (item,) = world.figshare.stored_items.values()
    assert world.contents(item.id) == [(Path(source).name, md5(Path(source).read_bytes())) for source in sources]


async def test_a_stop_ends_the_wait_for_an_unwanted_item(world: World) -> None:
    """The next run removes it."""
    source = world.source("a", CONTENT)
    world.figshare.fail("initiate", Fault.REJECTED)
    world.figshare.fail("detail", ItemNotFound("not found"), times=100)
    async with world.client() as client:

        def stop(_: str) -> None:
            client.stop()
            client.stop()

        world.figshare.on_request["files"] = stop
        began = world.clock.monotonic()
        with pytest.raises(FigupError):
            await client.upload(source, title=TITLE)
        assert world.clock.monotonic() - began < 5
    await check_next_run(world, [source])


@pytest.mark.parametrize(("retries", "status"), [(RetryPolicy(), 0), (RetryPolicy(elapsed_cap=0.0), 1)])
async def test_a_new_item_that_rejects_a_file_is_asked_again_if_retries_are_allowed(
    world: World, monkeypatch: pytest.MonkeyPatch, retries: RetryPolicy, status: int
) -> None:
    source = str(Path(world.source("set/a", CONTENT)).parent)
    assert await world.upload(source, title=TITLE) == 0
    world.source("set/b", CONTENT)
    # The second answer is to the request with an MD5.
    world.figshare.fail("initiate", ItemNotFound("not found"), times=2)
    settings = Settings(ENDPOINT, retry=retries)
    with monkeypatch.context() as patch:
        patch.setattr(world, "client", lambda *_: Client("t0ken", state_dir=world.folder / "state", settings=settings))
        assert await world.upload(source, title=TITLE) == status
    assert await world.upload(source, title=TITLE) == 0


@pytest.mark.parametrize(("files", "max_errors"), [(2, 1), (3, 2), (2, None)])
async def test_an_item_of_which_every_file_is_rejected_is_removed(
    world: World, files: int, max_errors: int | None
) -> None:
    sources = [world.source(str(number), CONTENT[number:]) for number in range(files)]
    world.figshare.fail("initiate", Fault.REJECTED, times=100)
    assert await world.upload(sources, title=TITLE, options=Options(max_errors=max_errors)) == 1
    assert not world.figshare.stored_items


async def test_a_file_on_record_that_a_person_removed_is_waited_for_once(world: World) -> None:
    source, item = str(Path(world.source("set/a", CONTENT)).parent), world.figshare.add_item(TITLE)
    corrupt(world, 4)
    for _ in range(2):
        assert await world.upload(source, item=item.id) == 5
    world.figshare.on_request.clear()
    Stored(world).restore(0)
    (stored,) = world.figshare.stored_items.values()
    del stored.files[min(stored.files)]
    for longest in (Options().settle_timeout + 1, 1.0):
        began = world.clock.monotonic()
        assert await world.upload(source, item=item.id) == 0, world.error
        assert world.clock.monotonic() - began <= longest
    assert world.contents(item.id) == [("set/a", md5(CONTENT))]


async def test_a_link_on_record_is_seen(world: World) -> None:
    item, address = world.figshare.add_item(TITLE), "https://example.org/data"
    what = Sources(paths=(world.source("a", CONTENT),), links=(address,))
    assert await world.upload(what, item=item.id) == 0
    Stored(world).restore_journal(0)
    shutil.rmtree(world.folder / "copy")
    assert await world.upload(what, item=item.id) == 0
    stored = Stored(world)
    for length in stored.cuts[:3]:
        stored.restore(length)
        (now,) = world.figshare.stored_items.values()
        now.files[1] = StoredFile(1, "x", 0, link=address, status="available")
        began = world.clock.monotonic()
        assert await world.upload(what, item=item.id) == 0, world.error
        assert world.clock.monotonic() - began < 5


async def test_the_dry_run_reads_what_a_person_changed_twice(world: World) -> None:
    sources, item = [world.source(str(number), CONTENT) for number in range(3)], world.figshare.add_item(TITLE)
    assert await world.upload(sources, item=item.id) == 0
    item.files[min(item.files)].name = "mine"
    world.figshare.log.clear()
    began = world.clock.monotonic()
    async with world.client() as client:
        assert (await client.preview(sources, item=item.id)).exit_status == 1
    assert world.figshare.log.count("files") == 2
    assert world.clock.monotonic() == began


async def test_a_look_that_began_before_its_time_limit_is_not_believed(world: World) -> None:
    """The first listing is from before both bad copies, and reading it takes longer than a file may be hidden."""
    item = world.figshare.add_item(TITLE)
    source = str(Path(world.source("set/a", CONTENT)).parent)
    world.figshare.behind = lambda _: 0.0
    corrupt(world, 2)
    assert await world.upload(source, item=item.id) == 5
    world.figshare.on_request.clear()
    Stored(world).restore_journal(0)
    listings = 0

    def behind(request: str) -> float:
        nonlocal listings
        if request != "files" or "delete_file" not in world.figshare.log:
            return 0.0
        listings += 1
        return 3600.0 if listings == 1 else 0.0

    async def wait(request: str) -> None:
        if (request, listings) == ("item", 1):
            await world.clock.sleep(Options().settle_timeout + 10)

    world.figshare.behind, world.figshare.gate = behind, wait
    assert await world.upload(source, item=item.id) == 0
    assert world.contents(item.id) == [("set/a", md5(CONTENT))]


@pytest.mark.parametrize("count", [2, 25])
@pytest.mark.parametrize("added", [True, False], ids=["with a new file", "unchanged"])
@pytest.mark.parametrize(("seconds", "status"), [(2.0, 0), (20.0, 0), (600.0, 1)])
async def test_a_file_is_in_no_folder_only_if_every_copy_says_so(
    world: World, count: int, seconds: float, status: int, *, added: bool
) -> None:
    """The listings of the item's files are up to date, but the item, which has their folders, is not."""
    item = world.figshare.add_item(TITLE)
    source = str(Path(world.source("set/first", CONTENT)).parent)
    world.figshare.behind = lambda _: 0.0
    assert await world.upload(source, item=item.id) == 0
    await world.clock.sleep(4000)
    for number in range(count):
        world.source(f"set/{number}", CONTENT)
    assert await world.upload(source, item=item.id) == 0
    if added:
        world.source("set/new", CONTENT)
    lag(world, frozenset({"item"}), seconds, every=1)
    async with world.client() as client:
        assert (await client.preview(source, item=item.id)).exit_status == status
    assert await world.upload(source, item=item.id) == status
    assert len(item.files) == 1 + count + added


async def test_an_older_second_answer_makes_no_other_file_wrong(world: World) -> None:
    """A file that a person has renamed is read again; now another one seems to be in no folder."""
    item = world.figshare.add_item(TITLE)
    source = str(Path(world.source("set/a", CONTENT)).parent)
    world.figshare.behind = lambda _: 0.0
    assert await world.upload(source, item=item.id) == 0
    await world.clock.sleep(4000)
    for name in ("b", "c"):
        world.source(f"set/{name}", CONTENT)
    assert await world.upload(source, item=item.id) == 0
    (renamed,) = [file for file in item.files.values() if file.name == "c"]
    renamed.name = "mine"
    items = 0

    def behind(request: str) -> float:
        nonlocal items
        items += request == "item"
        return 60.0 if request == "item" and items == 2 else 0.0

    world.figshare.behind = behind
    assert await world.upload(source, item=item.id) == 1
    assert world.error is not None
    assert "is named mine" in str(world.error)


@pytest.mark.parametrize("on_conflict", ["skip", "keep", "replace"])
async def test_a_file_of_somebody_else_is_not_sent_because_its_folder_is_not_shown(
    world: World, on_conflict: OnConflict
) -> None:
    """Another job has sent the identical file, which counts as this job's."""
    item, options = world.figshare.add_item(TITLE), Options(on_conflict=on_conflict)
    source = str(Path(world.source("set/first", CONTENT)).parent)
    world.figshare.behind = lambda _: 0.0
    assert await world.upload(source, item=item.id, state="other") == 0
    await world.clock.sleep(4000)
    world.source("set/a", CONTENT)
    assert await world.upload(source, item=item.id, state="other") == 0
    assert await world.upload(source, item=item.id, options=options) == 0
    before = set(item.files)
    lag(world, frozenset({"item"}), 20.0, every=1)
    world.figshare.log.clear()
    assert await world.upload(source, item=item.id, options=options) == 0
    assert item.files.keys() == before
    assert "initiate" not in world.figshare.log


@pytest.mark.parametrize("settle", [30.0, 600.0])
async def test_a_file_that_a_person_moves_during_the_run_is_waited_for_once(world: World, settle: float) -> None:
    item = world.figshare.add_item(TITLE)
    source = str(Path(world.source("set/first", CONTENT)).parent)
    assert await world.upload(source, item=item.id) == 0
    await world.clock.sleep(4000)
    world.source("set/new", CONTENT)

    async def move(request: str) -> None:
        if request == "files" and world.figshare.log.count("complete") == 2:
            for file in item.files.values():
                file.folder = "" if file.name == "new" else file.folder

    world.figshare.gate = move
    began = world.clock.monotonic()
    assert await world.upload(source, item=item.id, options=Options(settle_timeout=settle)) == 1
    assert "is in no folder" in str(world.error)
    assert settle <= world.clock.monotonic() - began < settle + 5


async def test_a_new_item_that_seems_missing_while_many_files_are_listed_again_is_not_given_up(world: World) -> None:
    sources = [world.source(f"set/{number}", CONTENT) for number in range(25)]
    source = str(Path(sources[0]).parent)
    world.figshare.behind = lambda _: 0.0
    assert await world.upload(source, title=TITLE) == 0
    (item,) = world.figshare.stored_items.values()
    without_files = copy.deepcopy(world.figshare.stored_items)
    without_files[item.id].files.clear()
    # The first listing is from before the files, the second from before the item.
    now = world.clock.monotonic()
    world.figshare.copies[:] = [(now - 200, {}), (now - 100, without_files), (now, world.figshare.stored_items)]
    ages = iter([150.0, 250.0])
    world.figshare.behind = lambda request: next(ages, 0.0) if request == "files" else 0.0
    world.figshare.log.clear()
    assert await world.upload(source, title=TITLE) == 0, world.error
    assert "initiate" not in world.figshare.log


@pytest.mark.parametrize("who", ["the engine", "the user"])
async def test_a_stop_ends_the_look_at_an_item_of_which_every_file_is_rejected(world: World, who: str) -> None:
    sources = [world.source(str(number), CONTENT[number:]) for number in range(2)]
    world.figshare.fail("initiate", Fault.REJECTED, times=100)
    world.figshare.fail("detail", ItemNotFound("not found"), times=1000)
    options = Options(max_errors=1 if who == "the engine" else None, settle_timeout=600.0)
    async with world.client(options) as client:

        async def stop(request: str) -> None:
            if (request, who) == ("initiate", "the user") and world.figshare.log.count("initiate") == 3:
                client.stop()

        world.figshare.gate = stop
        world.figshare.on_request["files"] = lambda _: client.stop()
        began = world.clock.monotonic()
        with pytest.raises(FigupError):
            await client.upload(sources, title=TITLE)
        assert world.clock.monotonic() - began < 5
    await check_next_run(world, sources)


async def test_a_finished_job_removes_the_late_file_that_its_first_look_saw(world: World) -> None:
    source = world.source("a", CONTENT)
    world.figshare.files_lag = 600.0
    world.figshare.fail("initiate", Fault.LOST_AFTER)

    async def show(request: str) -> None:
        if request == "initiate" and "initiate" in world.figshare.log:
            world.figshare.files_lag = 0.0

    world.figshare.gate = show
    assert await world.upload(source, title=TITLE) == 0
    (item,) = world.figshare.stored_items.values()
    late, own = sorted(item.files)
    assert item.files[late].status == "created"
    await world.clock.sleep(600.0)
    world.figshare.behind = lambda _: 0.0
    # Another job's, which is the earlier one, so that this job's is removed.
    item.files[1] = StoredFile(1, "a", len(CONTENT), status="available", parts={1: CONTENT})
    old = copy.deepcopy(world.figshare.stored_items)
    for file_id in (late, own):
        del old[item.id].files[file_id]
    world.figshare.copies.append((world.clock.monotonic(), old))
    listings = 0

    def behind(request: str) -> float:
        nonlocal listings
        listings += request == "files" and "delete_file" in world.figshare.log
        return 500.0 if request == "files" and listings == 1 else 0.0

    world.figshare.behind = behind
    world.figshare.log.clear()
    assert await world.upload(source, title=TITLE) == 0
    assert item.files.keys() == {1}
