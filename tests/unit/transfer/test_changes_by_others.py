"""What others do to the item, and what happens to sources, while a job is running or between two of its runs."""

from __future__ import annotations

import copy
import math
import unicodedata
from collections.abc import Callable
from pathlib import Path

import anyio
import msgspec
import pytest

from tests.fakes.figshare import PART_SIZE, Fault, StoredFile, StoredItem
from tests.fakes.metadata import Metadata
from tests.fakes.world import KILLED, World, md5
from uploader.figshare.models import File, Item, Upload
from uploader.figshare.outcomes import AmbiguousAnswer, UploadGone
from uploader.figshare.ratelimit import OnTurn
from uploader.sources.archive.layout import Format
from uploader.transfer import notices as no
from uploader.transfer.destination.options import ItemOptions
from uploader.transfer.options import OnConflict, Options

pytestmark = pytest.mark.anyio

CONTENT = bytes(range(200))
TITLE = "my data"
REPLACE = Options(on_conflict="replace")


def warnings(world: World) -> str:
    return "\n".join(notice.message for notice in world.notices if isinstance(notice, no.Warned))


# --- a file that is to be replaced --------------------------------------------------------------------------------


def rename(_: World, file: StoredFile) -> None:
    file.name = "old"


def move(_: World, file: StoredFile) -> None:
    file.folder = "old"


@pytest.mark.parametrize("change", [rename, move], ids=["renamed", "moved"])
async def test_a_replaced_file_that_was_put_elsewhere_meanwhile_is_kept(
    world: World, change: Callable[[World, StoredFile], None]
) -> None:
    item = world.figshare.add_item()
    old = world.figshare.add_file(item, "a", b"older")
    world.figshare.on_request["complete"] = lambda _: change(world, old)
    assert await world.upload(world.source("a", CONTENT), item=item.id, options=REPLACE) == 0
    assert sorted(content for _, content in world.contents(item.id)) == sorted([md5(b"older"), md5(CONTENT)])
    assert f"file {old.id} of item {item.id}, which was to be replaced, has been renamed or moved since" in warnings(
        world
    )
    assert await world.upload(world.source("a", CONTENT), item=item.id, options=REPLACE) == 0
    assert old.id in item.files


def forget(item: StoredItem, file_id: int) -> None:
    """Delete a file on the web."""
    item.files.pop(file_id, None)


async def test_a_replaced_file_that_is_gone_meanwhile_is_no_error(world: World) -> None:
    item = world.figshare.add_item()
    world.figshare.add_file(item, "a", b"older")
    first = min(item.files)
    world.figshare.on_request["complete"] = lambda _: forget(item, first)
    assert await world.upload(world.source("a", CONTENT), item=item.id, options=REPLACE) == 0
    assert world.contents(item.id) == [("a", md5(CONTENT))]


async def test_a_replaced_file_in_another_spelling_is_removed(world: World) -> None:
    item = world.figshare.add_item()
    world.figshare.add_file(item, unicodedata.normalize("NFD", "é"), b"older")
    assert await world.upload(world.source("é", CONTENT), item=item.id, options=REPLACE) == 0
    assert world.contents(item.id) == [("é", md5(CONTENT))]


async def test_an_unfinished_upload_that_its_owner_completes_is_not_replaced(world: World) -> None:
    def complete(_: str) -> None:
        theirs.parts, theirs.status, theirs.upload_status = {1: b"theirs"}, "available", "completed"

    item = world.figshare.add_item()
    theirs = world.figshare.add_file(item, "a", b"theirs", status="created")
    world.figshare.on_request["send_part"] = complete
    assert await world.upload(world.source("a", CONTENT), item=item.id, options=REPLACE) == 0
    assert world.contents(item.id) == sorted([("a", md5(b"theirs")), ("a", md5(CONTENT))])
    assert "has been completed since" in warnings(world)
    world.figshare.on_request.clear()
    assert await world.upload(world.source("a", CONTENT), item=item.id, options=REPLACE) == 0
    assert "also holds" not in warnings(world), "it was kept on purpose"


async def test_an_unfinished_upload_that_was_completed_before_the_new_decision_is_replaced(world: World) -> None:
    item = world.figshare.add_item()
    theirs = world.figshare.add_file(item, "a", b"theirs", status="created")
    world.figshare.fail("initiate", Fault.KILLED_BEFORE)
    source = world.source("a", CONTENT)
    assert await world.upload(source, item=item.id, options=REPLACE) == KILLED
    theirs.parts, theirs.status, theirs.upload_status = {1: b"theirs"}, "available", "completed"
    assert await world.upload(source, item=item.id, options=REPLACE) == 0
    assert world.contents(item.id) == [("a", md5(CONTENT))]


@pytest.mark.parametrize("on_conflict", ["replace", "keep"])
async def test_of_two_identical_uploads_that_meet_the_later_one_goes(world: World, on_conflict: OnConflict) -> None:
    def complete(_: str) -> None:
        theirs.parts = {1: CONTENT}
        theirs.status, theirs.upload_status = "available", "completed"

    item = world.figshare.add_item()
    theirs = world.figshare.add_file(item, "a", CONTENT, status="created")
    world.figshare.on_request["send_part"] = complete
    options = Options(on_conflict=on_conflict)
    assert await world.upload(world.source("a", CONTENT), item=item.id, options=options) == 0
    assert list(item.files) == [theirs.id]


async def test_an_unfinished_upload_that_its_owner_continues_is_not_replaced(world: World) -> None:
    item = world.figshare.add_item()
    theirs = world.figshare.add_file(item, "a", b"theirs", status="created")
    world.figshare.on_request["send_part"] = lambda _: theirs.locked.add(1)
    assert await world.upload(world.source("a", CONTENT), item=item.id, options=REPLACE) == 0
    assert theirs.id in item.files
    assert "is being sent now" in warnings(world)


async def test_an_unfinished_upload_that_nobody_continues_is_replaced(world: World) -> None:
    item = world.figshare.add_item()
    world.figshare.add_file(item, "a", b"theirs", status="created")
    assert await world.upload(world.source("a", CONTENT), item=item.id, options=REPLACE) == 0
    assert world.contents(item.id) == [("a", md5(CONTENT))]


async def test_nothing_is_replaced_once_the_same_command_says_keep(world: World) -> None:
    item = world.figshare.add_item()
    world.figshare.add_file(item, "a", b"older")
    world.figshare.fail("send_part", Fault.KILLED_BEFORE, first=2)
    source = world.source("a", CONTENT)
    assert await world.upload(source, item=item.id, options=REPLACE) == KILLED
    assert await world.upload(source, item=item.id, options=Options(on_conflict="keep")) == 0
    assert world.contents(item.id) == sorted([("a", md5(b"older")), ("a", md5(CONTENT))])


async def test_an_earlier_version_that_was_renamed_is_kept(world: World) -> None:
    source = world.source("a", b"version 1")
    assert await world.upload(source, title=TITLE) == 0
    (item,) = world.figshare.stored_items.values()
    (first,) = item.files.values()
    first.name = "a-1"
    world.source("a", CONTENT)
    assert await world.upload(source, title=TITLE, options=Options(restart_changed=True)) == 0
    assert world.contents(item.id) == [("a", md5(CONTENT)), ("a-1", md5(b"version 1"))]
    assert f"{first.id} of item {item.id}, an earlier copy of this job, has been renamed or moved" in warnings(world)
    assert await world.upload(source, title=TITLE) == 0


async def test_an_earlier_version_is_removed_though_the_server_shows_no_folders(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def look(item_id: int) -> Item:
        return msgspec.structs.replace(await item_with_folders(item_id), folders={})

    item_with_folders = world.figshare.item
    monkeypatch.setattr(world.figshare, "item", look)
    world.source("set/a", b"version 1")
    assert await world.upload(str(world.folder / "set"), title=TITLE) == 0
    world.source("set/a", CONTENT)
    options = Options(restart_changed=True)
    assert await world.upload(str(world.folder / "set"), title=TITLE, options=options) == 0
    (item,) = world.figshare.stored_items.values()
    assert world.contents(item.id) == [("set/a", md5(CONTENT))]
    assert not warnings(world)


# --- servers that show a change late ------------------------------------------------------------------------------


@pytest.mark.parametrize("shown", [1000, 0], ids=["the item shows its files", "it shows none"])
async def test_a_bad_copy_that_the_listing_does_not_show_yet_is_removed(world: World, shown: int) -> None:
    figshare, source = world.figshare, str(Path(world.source("set/first", CONTENT)).parent)
    item = figshare.add_item(TITLE)
    figshare.behind, figshare.files_shown = lambda _: 0.0, shown
    assert await world.upload(source, item=item.id) == 0
    await world.clock.sleep(4000)

    def spoil(_: str) -> None:
        figshare.on_request.clear()
        item.files[max(item.files)].corrupt = True
        figshare.behind = lambda request: 20.0 if request in ("files", "item") else 0.0

    figshare.on_request["initiate"] = spoil
    world.source("set/a", CONTENT)
    assert await world.upload(source, item=item.id) == 0
    assert world.contents(item.id) == [("set/a", md5(CONTENT)), ("set/first", md5(CONTENT))]
    assert "renamed or moved" not in warnings(world)


@pytest.mark.parametrize("lag", [0.5, 4.0])
async def test_a_deleted_file_that_is_shown_a_little_longer_is_no_error(
    world: World, monkeypatch: pytest.MonkeyPatch, lag: float
) -> None:
    figshare = world.figshare
    item = figshare.add_item()
    old = figshare.add_file(item, "a", b"older")
    deleted: list[float] = []
    look = figshare.file

    async def look_at_a_replica(item_id: int, file_id: int, *, fresh: bool = False) -> File:
        if file_id == old.id and deleted and figshare.clock.monotonic() < deleted[0] + lag:
            return figshare.row(old)
        return await look(item_id, file_id, fresh=fresh)

    figshare.on_request["delete_file"] = lambda _: deleted.append(figshare.clock.monotonic())
    monkeypatch.setattr(figshare, "file", look_at_a_replica)
    assert await world.upload(world.source("a", CONTENT), item=item.id, options=REPLACE) == 0
    assert world.contents(item.id) == [("a", md5(CONTENT))]


@pytest.mark.parametrize("lag", [0.5, 20.0])
async def test_an_upload_service_that_learns_of_an_upload_late_is_waited_for(
    world: World, monkeypatch: pytest.MonkeyPatch, lag: float
) -> None:
    figshare = world.figshare
    begun: list[float] = []
    upload = figshare.upload

    async def look_at_a_replica(upload_url: str) -> Upload:
        if figshare.clock.monotonic() < begun[0] + lag:
            raise UploadGone("no such upload")
        return await upload(upload_url)

    figshare.on_request["initiate"] = lambda _: begun.append(figshare.clock.monotonic())
    monkeypatch.setattr(figshare, "upload", look_at_a_replica)
    assert await world.upload(world.source("a", CONTENT), title=TITLE) == 0
    assert figshare.log.count("initiate") == 1


async def test_a_completion_that_shows_late_is_not_a_refusal(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    figshare = world.figshare
    completed: list[tuple[float, StoredFile]] = []
    complete, look, upload = figshare.complete, figshare.file, figshare.upload

    def earlier() -> StoredFile | None:
        """The file before it was completed, as a replica shows it for 8 seconds."""
        return completed[0][1] if completed and figshare.clock.monotonic() < completed[0][0] + 8 else None

    async def complete_unanswered(item_id: int, file_id: int, *, on_turn: OnTurn | None = None) -> None:
        before = copy.deepcopy(figshare.find(file_id))
        await complete(item_id, file_id, on_turn=on_turn)
        completed.append((figshare.clock.monotonic(), before))
        raise AmbiguousAnswer("complete: no answer")

    async def look_at_a_replica(item_id: int, file_id: int, *, fresh: bool = False) -> File:
        found = earlier()
        return figshare.row(found) if found is not None else await look(item_id, file_id, fresh=fresh)

    async def upload_on_a_replica(upload_url: str) -> Upload:
        shown = await upload(upload_url)
        return msgspec.structs.replace(shown, status="pending") if earlier() is not None else shown

    monkeypatch.setattr(figshare, "complete", complete_unanswered)
    monkeypatch.setattr(figshare, "file", look_at_a_replica)
    monkeypatch.setattr(figshare, "upload", upload_on_a_replica)
    assert await world.upload(world.source("a", CONTENT), title=TITLE) == 0, world.error


# --- a file that appears ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("named", [True, False], ids=["in the given item", "in the item of the job"])
async def test_a_file_that_appeared_since_the_item_was_listed_is_a_conflict(world: World, *, named: bool) -> None:
    async def wait(function: str) -> None:
        if function.endswith("stamp") and not appeared:
            await world.clock.sleep(120)
            (item,) = world.figshare.stored_items.values()
            appeared.append(world.figshare.add_file(item, "a", b"a colleague's"))

    appeared: list[StoredFile] = []
    world.gate = wait
    target = {"item": world.figshare.add_item().id} if named else {"title": TITLE}
    assert await world.upload(world.source("a", CONTENT), **target) == 1
    (item,) = world.figshare.stored_items.values()
    assert world.contents(item.id) == [("a", md5(b"a colleague's"))]
    assert world.error is not None
    assert "holds a different file of that name" in world.error.message


async def test_two_spellings_of_one_file_from_two_machines_leave_one_copy(world: World) -> None:
    async def upload(name: str, state: str) -> None:
        source = world.source(f"{state}/{name}", CONTENT)
        statuses.append(await world.upload(source, item=item.id, state=state))

    item = world.figshare.add_item()
    statuses: list[int] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(upload, unicodedata.normalize("NFC", "é"), "one")
        tasks.start_soon(upload, unicodedata.normalize("NFD", "é"), "two")
    assert statuses == [0, 0]
    assert len(item.files) == 1


async def test_a_different_file_that_appears_while_the_own_one_is_sent_is_named(world: World) -> None:
    def appear(_: str) -> None:
        world.figshare.on_request.clear()
        world.figshare.add_file(item, "a", b"a colleague's")

    item = world.figshare.add_item()
    world.figshare.on_request["send_part"] = appear
    source = world.source("a", CONTENT)
    assert await world.upload(source, item=item.id) == 0
    assert "also holds a different file" in warnings(world)
    world.notices.clear()
    assert await world.upload(source, item=item.id, options=Options(on_conflict="keep")) == 0
    assert not warnings(world)


def appear_earlier(world: World, item: StoredItem) -> StoredFile:
    """An identical file with a smaller id."""
    file = world.figshare.add_file(item, "a", CONTENT)
    item.files[1] = item.files.pop(file.id)
    file.id = 1
    return file


@pytest.mark.parametrize("on_conflict", ["skip", "keep", "replace"])
async def test_the_own_copy_is_removed_if_an_identical_file_was_created_earlier_and_is_seen_later(
    world: World, on_conflict: OnConflict
) -> None:
    """Also with `keep`, which keeps different files."""
    item = world.figshare.add_item()

    def appear(_: str) -> None:
        appear_earlier(world, item)

    world.figshare.on_request["complete"] = appear
    options = Options(on_conflict=on_conflict)
    assert await world.upload(world.source("a", CONTENT), item=item.id, options=options) == 0
    assert list(item.files) == [1]


@pytest.mark.parametrize("request_name", ["files", "delete_file"])
async def test_an_identical_file_that_goes_while_the_own_copy_is_removed_is_not_counted_on(
    world: World, request_name: str
) -> None:
    item = world.figshare.add_item()
    source = world.source("a", CONTENT)

    def appear(_: str) -> None:
        appear_earlier(world, item)
        world.figshare.on_request = {request_name: lambda _: forget(item, 1)}

    world.figshare.on_request["complete"] = appear
    status = await world.upload(source, item=item.id)
    assert (status, world.contents(item.id)) in ((0, [("a", md5(CONTENT))]), (1, []))
    world.figshare.on_request.clear()
    assert await world.upload(source, item=item.id) == 0
    assert world.contents(item.id) == [("a", md5(CONTENT))]


@pytest.mark.parametrize("change", [rename, move], ids=["renamed", "moved"])
@pytest.mark.parametrize(("request_name", "statuses"), [("item", [0]), ("delete_file", [1, 0])])
async def test_an_identical_file_that_is_put_elsewhere_before_the_own_copy_is_removed_is_not_counted_on(
    world: World, request_name: str, statuses: list[int], change: Callable[[World, StoredFile], None]
) -> None:
    item = world.figshare.add_item()

    def appear(_: str) -> None:
        other = appear_earlier(world, item)
        away = {request_name: lambda _: change(world, other)}
        world.figshare.on_request = {"files": lambda _: setattr(world.figshare, "on_request", away)}

    world.figshare.on_request["complete"] = appear
    source = world.source("a", CONTENT)
    assert [await world.upload(source, item=item.id) for _ in statuses] == statuses
    place = "old" if change is rename else "old/a"
    assert world.contents(item.id) == [("a", md5(CONTENT)), (place, md5(CONTENT))]


async def test_the_dry_run_announces_that_a_renamed_file_of_somebody_else_is_sent(world: World) -> None:
    item = world.figshare.add_item()
    theirs = world.figshare.add_file(item, "a", CONTENT)
    source = world.source("a", CONTENT)
    assert await world.upload(source, item=item.id) == 0
    theirs.name = "old"
    async with world.client() as client:
        plan = await client.preview(source, item=item.id)
    assert [file.action for file in plan.files] == ["send"]
    assert await world.upload(source, item=item.id) == 0
    assert world.contents(item.id) == [("a", md5(CONTENT)), ("old", md5(CONTENT))]


async def preview(world: World, source: str, item: StoredItem, options: Options | None = None) -> int:
    """The exit status that the dry run announces."""
    async with world.client(options) as client:
        return (await client.preview(source, item=item.id)).exit_status


@pytest.mark.parametrize("content", [CONTENT, CONTENT[1:]], ids=["identical", "different"])
@pytest.mark.parametrize("foreign", [False, True])
async def test_the_dry_run_compares_a_changed_source_with_files_of_others(
    world: World, content: bytes, foreign: bool
) -> None:
    item, source, restart = world.figshare.add_item(), world.source("a", CONTENT), Options(restart_changed=True)
    if foreign:
        world.figshare.add_file(item, "a", CONTENT)
    assert await world.upload(source, item=item.id, options=restart) == 0
    world.figshare.add_file(item, "a", content)
    assert await world.upload(source, item=item.id, options=restart) == 0
    world.source("a", b"new" * 100)
    for options in (restart, Options(restart_changed=True, on_conflict="replace")):
        status = await preview(world, source, item, options)
        # Which of two files of others to replace is not clear.
        assert await world.upload(source, item=item.id, options=options) == status == (foreign or options is restart)
    assert foreign or world.contents(item.id) == [("a", md5(b"new" * 100))]


def lose(item: StoredItem, file: StoredFile) -> None:
    del item.files[file.id]


def damage(_: StoredItem, file: StoredFile) -> None:
    file.corrupt = True


def rename_in_item(_: StoredItem, file: StoredFile) -> None:
    file.name = "old"


@pytest.mark.parametrize("change", [lose, damage, rename_in_item])
async def test_the_dry_run_compares_sent_files_of_an_unfinished_job(
    world: World, change: Callable[[StoredItem, StoredFile], None]
) -> None:
    world.source("tree/a", CONTENT)
    item, tree = world.figshare.add_item(), str(world.folder / "tree")
    assert await world.upload(tree, item=item.id) == 0
    change(item, next(iter(item.files.values())))
    world.source("tree/b", CONTENT)
    status = await preview(world, tree, item)
    assert await world.upload(tree, item=item.id) == status == 1


# --- an item that is deleted --------------------------------------------------------------------------------------


@pytest.mark.parametrize("request_name", ["item", "update", "authors"])
async def test_an_item_that_is_deleted_before_it_is_described_is_missing(world: World, request_name: str) -> None:
    world.figshare.on_request[request_name] = lambda _: world.figshare.stored_items.clear()
    source, options = world.source("a", CONTENT), ItemOptions(metadata=Metadata())
    for _ in range(2):
        assert await world.upload(source, title=TITLE, item_options=options) == 4, world.error
        assert world.error is not None
        assert world.error.facts.situation == "item-of-job-missing"


# --- the late effect of a request that was given up ---------------------------------------------------------------


@pytest.mark.parametrize("policy", ["skip", "fail", "keep", "replace"])
@pytest.mark.parametrize("cancelled", [False, True], ids=["interrupted", "cancelled"])
@pytest.mark.parametrize("named", [True, False], ids=["in the given item", "in the item of the job"])
async def test_the_late_effect_of_an_initiation_does_not_block_the_next_run(
    world: World, policy: str, *, cancelled: bool, named: bool
) -> None:
    options = Options(on_conflict=policy)  # type: ignore[arg-type]
    target = {"item": world.figshare.add_item().id} if named else {"title": TITLE}
    source = world.source("a", CONTENT)
    world.figshare.files_lag = 100.0
    world.figshare.fail("initiate", Fault.KILLED_AFTER if cancelled else Fault.LOST_AFTER)
    world.figshare.fail("initiate", Fault.TRANSIENT, first=2)
    assert await world.upload(source, options=options, **target) == (KILLED if cancelled else 75)
    if cancelled:
        assert await world.cancel() == 0
    world.figshare.clear_faults()
    world.figshare.files_lag = 0.0
    await world.clock.sleep(200)
    async with world.client(options) as client:
        plan = await client.preview(source, **target)
    assert plan.exit_status == 0
    assert await world.upload(source, options=options, **target) == 0, world.error
    (item,) = world.figshare.stored_items.values()
    kept = [("a", "created")] if named and policy != "replace" else []
    assert world.contents(item.id) == sorted([*kept, ("a", md5(CONTENT))])
    assert ("may come from a request of this job" in warnings(world)) == bool(kept)


@pytest.mark.parametrize("pack", [None, "zip"])
async def test_the_late_effect_for_an_earlier_version_does_not_block_the_next_run(
    world: World, pack: Format | None
) -> None:
    options = Options(pack=pack)
    source = Path(world.source("set/a", CONTENT)).parent
    world.figshare.files_lag = 100.0
    world.figshare.fail("initiate", Fault.LOST_AFTER)
    world.figshare.fail("initiate", Fault.TRANSIENT, first=2)
    assert await world.upload(source, options=options, title=TITLE) == 75
    world.figshare.clear_faults()
    world.figshare.files_lag = 0.0
    await world.clock.sleep(200)
    world.source("set/a", CONTENT[:100])
    async with world.client(options) as client:
        assert (await client.preview(source, title=TITLE)).exit_status == 0
    assert await world.upload(source, options=options, title=TITLE) == 0, world.error
    (item,) = world.figshare.stored_items.values()
    assert len(item.files) == 1


async def test_somebody_s_upload_in_progress_still_blocks_the_next_run(world: World) -> None:
    item = world.figshare.add_item()
    world.figshare.fail("initiate", Fault.LOST_BEFORE)
    world.figshare.fail("initiate", Fault.TRANSIENT, first=2)
    source = world.source("a", CONTENT)
    assert await world.upload(source, item=item.id) == 75
    world.figshare.clear_faults()
    theirs = world.figshare.add_file(item, "a", CONTENT, status="created")
    theirs.parts[1] = CONTENT[:PART_SIZE]
    assert await world.upload(source, item=item.id) == 1
    assert list(item.files) == [theirs.id]


# --- a source that is replaced by something else ------------------------------------------------------------------


async def interrupted_folder(world: World) -> str:
    """A folder whose second file was begun."""
    world.source("tree/a", b"a")
    world.source("tree/b", CONTENT)
    world.figshare.fail("send_part", Fault.KILLED_BEFORE, first=3)
    assert await world.upload(str(world.folder / "tree"), title=TITLE) == KILLED
    return str(world.folder / "tree")


async def test_a_begun_source_that_was_moved_behind_a_link_is_finished(world: World) -> None:
    tree = await interrupted_folder(world)
    (world.folder / "tree" / "b").rename(world.folder / "elsewhere")
    (world.folder / "tree" / "b").symlink_to(world.folder / "elsewhere")
    async with world.client() as client:
        plan = await client.preview(tree, title=TITLE)
    assert [(file.name, file.action) for file in plan.files] == [("a", "resume"), ("b", "resume")]
    assert await world.upload(tree, title=TITLE) == 0
    (item,) = world.figshare.stored_items.values()
    assert world.contents(item.id) == [("tree/a", md5(b"a")), ("tree/b", md5(CONTENT))]
    assert world.report is not None
    assert world.report.skipped == ()


async def folder_behind_a_link(world: World, *, request: str, occurrence: int) -> str:
    """A folder whose subfolder was moved to other storage and replaced by a link, after the process was killed."""
    for name in ("a", "b", "c"):
        world.source(f"tree/raw/{name}", name.encode() * 100)
    world.source("tree/z", b"z")
    world.figshare.fail(request, Fault.KILLED_BEFORE, first=occurrence)
    options = Options(connections=1)
    assert await world.upload(str(world.folder / "tree"), title=TITLE, options=options) == KILLED
    (world.folder / "tree" / "raw").rename(world.folder / "elsewhere")
    (world.folder / "tree" / "raw").symlink_to(world.folder / "elsewhere")
    return str(world.folder / "tree")


@pytest.mark.parametrize(
    ("request_name", "occurrence"), [("create", 1), ("initiate", 2), ("send_part", 3), ("complete", 2)]
)
async def test_a_folder_that_was_moved_behind_a_link_is_sent(world: World, request_name: str, occurrence: int) -> None:
    tree = await folder_behind_a_link(world, request=request_name, occurrence=occurrence)
    async with world.client() as client:
        plan = await client.preview(tree, title=TITLE)
    assert sorted(file.name for file in plan.files) == ["a", "b", "c", "z"]
    publish = ItemOptions(metadata=Metadata(), publish=True)
    assert await world.upload(tree, title=TITLE, item_options=publish) == 0, world.error
    (item,) = world.figshare.stored_items.values()
    raw = [(f"tree/raw/{name}", md5(name.encode() * 100)) for name in ("a", "b", "c")]
    assert world.contents(item.id) == [*raw, ("tree/z", md5(b"z"))]
    assert item.version == 1
    assert world.report is not None
    assert len(world.report.files) == 4
    assert await world.upload(tree, title=TITLE, item_options=publish) == 0, world.error
    assert world.contents(item.id) == [*raw, ("tree/z", md5(b"z"))]


async def test_a_moved_folder_of_which_a_file_is_gone_is_not_a_success(world: World) -> None:
    tree = await folder_behind_a_link(world, request="complete", occurrence=2)
    (item,) = world.figshare.stored_items.values()
    begun = [file.name for file in item.files.values() if file.status == "created"]
    (world.folder / "elsewhere" / begun[0]).unlink()
    publish = ItemOptions(metadata=Metadata(), publish=True)
    assert await world.upload(tree, title=TITLE, item_options=publish) == 1
    assert item.version == 0


@pytest.mark.parametrize("changed", [False, True])
async def test_a_sent_source_that_was_moved_behind_a_link_stays_in_the_job_if_it_is_the_same(
    world: World, changed: bool
) -> None:
    world.source("tree/a", b"a")
    world.source("tree/b", CONTENT)
    tree = str(world.folder / "tree")
    assert await world.upload(tree, title=TITLE) == 0
    (world.folder / "tree" / "b").rename(world.folder / "elsewhere")
    (world.folder / "tree" / "b").symlink_to(world.folder / "elsewhere")
    if changed:
        (world.folder / "elsewhere").write_bytes(b"another")
    (item,) = world.figshare.stored_items.values()
    forget(item, next(file.id for file in item.files.values() if file.name == "b"))
    async with world.client() as client:
        plan = await client.preview(tree, title=TITLE)
    assert [(file.name, file.action) for file in plan.files] == [("a", "skip"), ("b", "refuse" if changed else "send")]
    assert await world.upload(tree, title=TITLE) == plan.exit_status == changed
    sent = [] if changed else [("tree/b", md5(CONTENT))]
    assert world.contents(item.id) == [("tree/a", md5(b"a")), *sent]
    assert await world.upload(tree, title=TITLE, options=Options(forget_missing=True)) == 0
    assert world.report is not None
    assert [skip.reason for skip in world.report.skipped] == (["forgotten"] if changed else [])


async def test_a_begun_source_that_is_a_folder_now_is_not_a_success(world: World) -> None:
    tree = await interrupted_folder(world)
    (world.folder / "tree" / "b").rename(world.folder / "elsewhere")
    world.source("tree/b/c", b"c")
    assert await world.upload(tree, title=TITLE, item_options=ItemOptions(reserve_doi=True)) == 1
    (item,) = world.figshare.stored_items.values()
    assert not item.doi
    assert await world.resume() == 1
    assert await world.upload(tree, title=TITLE, options=Options(forget_missing=True)) == 0
    assert world.contents(item.id) == [("tree/a", md5(b"a")), ("tree/b/c", md5(b"c"))]


async def test_a_change_of_an_earlier_file_is_reported_at_once(world: World) -> None:
    world.source("d/a", CONTENT)
    folder = str(world.folder / "d")
    assert await world.upload(folder, title="my data") == 0
    (item,) = world.figshare.stored_items.values()
    (file,) = item.files.values()
    file.name = "renamed"
    world.source("d/b", CONTENT)
    began = world.clock.monotonic()
    assert await world.upload(folder, title="my data") == 1
    assert "is named renamed" in str(world.error)
    assert world.clock.monotonic() == began
    assert len(item.files) == 2


@pytest.mark.parametrize(("change", "exit_status", "status"), [("renamed", 1, "failed"), ("without MD5", 7, "sent")])
async def test_a_file_that_fails_the_closing_check_is_not_reported_as_verified(
    world: World, change: str, exit_status: int, status: str
) -> None:
    world.source("d/a", CONTENT)
    folder = str(world.folder / "d")
    assert await world.upload(folder, title=TITLE) == 0
    (item,) = world.figshare.stored_items.values()
    (file,) = item.files.values()
    if change == "renamed":
        file.name = change
    else:
        file.md5_at = math.inf
    world.source("d/b", CONTENT)
    assert await world.upload(folder, title=TITLE) == exit_status
    assert world.report is not None
    a, b = world.report.files
    assert (a.status, a.remote_md5, a.error and a.error.exit_status) == (status, None, exit_status)
    assert (b.status, b.error) == ("verified", None)
