"""Sources that disappear after their files were verified: the item must still hold these, since nothing else does."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from tests.fakes.figshare import Fault, StoredFile, StoredItem
from tests.fakes.metadata import Metadata
from tests.fakes.world import KILLED, World, md5
from uploader.sources.models import Sources
from uploader.transfer.destination.options import ItemOptions
from uploader.transfer.journal import events as ev
from uploader.transfer.journal.log import decode, encode, synced_path
from uploader.transfer.options import Options

pytestmark = pytest.mark.anyio

TITLE = "my data"
PUBLISH = ItemOptions(metadata=Metadata(), publish=True)
FORGET = Options(forget_missing=True)


def keep(_: StoredItem, __: StoredFile) -> None:
    pass


def remove(item: StoredItem, file: StoredFile) -> None:
    del item.files[file.id]


def fail(_: StoredItem, file: StoredFile) -> None:
    file.status = "ic_failure"


def rename(_: StoredItem, file: StoredFile) -> None:
    file.name = "other"


async def send_tree(world: World, *, finished: bool) -> tuple[str, StoredItem, StoredFile]:
    """Send a folder of two files, the second one only if `finished`; return the folder, its item and the first file."""
    tree = world.folder / "tree"
    world.source("tree/sub/a", b"a" * 300)
    world.source("tree/b", b"b" * 10)
    if not finished:
        world.figshare.fail("complete", Fault.KILLED_BEFORE, first=2)
    sent = await world.upload(str(tree), title=TITLE, options=Options(connections=1), item_options=PUBLISH)
    assert sent == (0 if finished else KILLED)
    world.figshare.clear_faults()
    (item,) = world.figshare.stored_items.values()
    verified = next(file for file in item.files.values() if file.status == "available" and file.name == "a")
    return str(tree), item, verified


@pytest.mark.parametrize("call", ["upload", "resume"])
@pytest.mark.parametrize("finished", [False, True], ids=["interrupted", "finished"])
@pytest.mark.parametrize("emptied", [False, True], ids=["folder removed", "folder emptied"])
@pytest.mark.parametrize("change", [keep, remove, fail, rename])
async def test_the_item_must_still_hold_a_file_whose_source_is_gone(
    world: World, change: Callable[[StoredItem, StoredFile], None], emptied: bool, finished: bool, call: str
) -> None:
    tree, item, verified = await send_tree(world, finished=finished)
    published = item.version
    (world.folder / "tree/sub/a").unlink()
    if not emptied:
        (world.folder / "tree/sub").rmdir()
    change(item, verified)
    async with world.client() as client:
        plan = await client.preview(tree, title=TITLE)
    (job,) = (path.name for path in world.jobs())

    async def again(options: Options | None = None) -> int:
        if call == "resume":
            return await world.resume(job, options=options)
        return await world.upload(tree, title=TITLE, options=options, item_options=PUBLISH)

    if change is keep:
        assert (await again(), plan.exit_status) == (0, 0), world.error
        assert ("tree/sub/a", md5(b"a" * 300)) in world.contents(item.id)
        assert item.version == 1
        return
    for _ in range(2):
        assert (await again(), plan.exit_status) == (1, 1)
        assert f"tree/sub/a: was sent and verified, but its source no longer exists here, and item {item.id}" in str(
            world.error
        )
        assert item.version == published, "nothing is published without it"
    assert await again(FORGET) == 0
    assert world.report is not None
    assert [file.name for file in world.report.files] == ["b"]
    assert [(skip.path, skip.reason) for skip in world.report.skipped if skip.path.endswith("a")] == [
        (f"{tree}/sub/a", "forgotten")
    ]
    assert await again() == 0, "once is enough"


@pytest.mark.parametrize("call", ["upload", "resume"])
async def test_a_file_that_is_gone_here_and_there_is_sent_again_once_it_is_back(world: World, call: str) -> None:
    tree, item, verified = await send_tree(world, finished=True)
    shutil.move(world.folder / "tree/sub", world.folder / "aside")
    remove(item, verified)
    assert (
        await (world.upload(tree, title=TITLE) if call == "upload" else world.resume(next(iter(world.jobs())).name))
        == 1
    )
    shutil.move(world.folder / "aside", world.folder / "tree/sub")
    assert await world.upload(tree, title=TITLE) == 0
    assert world.contents(item.id) == [("tree/b", md5(b"b" * 10)), ("tree/sub/a", md5(b"a" * 300))]


async def test_a_file_left_out_on_purpose_may_be_removed_from_the_item(world: World) -> None:
    tree, item, verified = await send_tree(world, finished=True)
    world.source("tree/.figupignore", b"a\n")
    remove(item, verified)
    assert await world.upload(tree, title=TITLE, item_options=PUBLISH) == 0
    (world.folder / "tree/sub/a").unlink()
    (job,) = (path.name for path in world.jobs())
    for _ in range(2):
        assert await world.upload(tree, title=TITLE, item_options=PUBLISH) == 0, "also once it is gone here"
        assert await world.resume(job) == 0


async def test_a_file_that_was_left_out_once_counts_again_once_it_was_sent_again(world: World) -> None:
    tree, item, verified = await send_tree(world, finished=True)
    world.source("tree/.figupignore", b"a\n")
    assert await world.upload(tree, title=TITLE) == 0
    (world.folder / "tree/.figupignore").unlink()
    assert await world.upload(tree, title=TITLE) == 0
    (world.folder / "tree/sub/a").unlink()
    assert await world.upload(tree, title=TITLE) == 0
    remove(item, verified)
    assert await world.upload(tree, title=TITLE) == 1


async def test_a_file_left_out_of_a_list_may_be_removed_from_the_item(world: World) -> None:
    names = [world.source("a", b"a"), world.source("b", b"b")]
    listed = world.source("list", "\n".join(names).encode())
    sources = Sources(from_file=listed, base=str(world.folder))
    assert await world.upload(sources, title=TITLE) == 0
    (item,) = world.figshare.stored_items.values()
    world.source("list", names[1].encode())
    remove(item, next(file for file in item.files.values() if file.name == "a"))
    assert await world.upload(sources, title=TITLE) == 0
    assert world.contents(item.id) == [("b", md5(b"b"))]


@pytest.mark.parametrize("finished", [False, True], ids=["interrupted", "finished"])
async def test_a_named_file_that_is_gone_is_an_error_of_the_command_and_of_resume(world: World, finished: bool) -> None:
    names = [world.source("a", b"a" * 300), world.source("b", b"b" * 10)]
    if not finished:
        world.figshare.fail("complete", Fault.KILLED_BEFORE, first=2)
    assert await world.upload(names, title=TITLE, options=Options(connections=1)) == (0 if finished else KILLED)
    world.figshare.clear_faults()
    (world.folder / "a").unlink()
    (job,) = (path.name for path in world.jobs())
    statuses = [await world.resume(job), await world.upload(names, title=TITLE), await world.resume(job)]
    assert statuses[0] != 0
    assert statuses[1:] == [4, 4]


def make_earlier(job: Path) -> None:
    """Make the journal one of an earlier version, which does not say which files the user named."""
    journal = job / "journal"
    plan, *events = decode(journal.read_bytes()).events
    sources = [msgspec.structs.replace(e, named=False) if isinstance(e, ev.SourcePlanned) else e for e in events]
    journal.write_bytes(encode([msgspec.structs.replace(plan, named_known=msgspec.UNSET), *sources])[0])
    synced_path(journal).unlink()


async def test_a_named_file_that_is_gone_is_an_error_also_if_an_earlier_version_began_the_job(world: World) -> None:
    names = [world.source("a", b"a" * 300), world.source("b", b"b" * 10)]
    assert await world.upload(names, title=TITLE) == 0
    (job,) = world.jobs()
    make_earlier(job)
    (world.folder / "a").unlink()
    assert [await world.upload(names, title=TITLE), await world.resume(job.name)] == [4, 4]
    assert await world.upload(names, title=TITLE) == 4, "resume does not drop it"


@pytest.mark.parametrize("left", ["nothing", "the folder"])
async def test_resume_does_not_succeed_without_any_source(world: World, left: str) -> None:
    tree, _, _ = await send_tree(world, finished=True)
    shutil.rmtree(tree)
    if left == "the folder":
        (world.folder / "tree").mkdir()
    (job,) = (path.name for path in world.jobs())
    assert await world.upload(tree, title=TITLE) in (2, 4)
    assert await world.resume(job) == 4


async def test_resume_drops_an_unsent_source_that_is_gone_only_on_request(world: World) -> None:
    _, item, _ = await send_tree(world, finished=False)
    (world.folder / "tree/b").unlink()
    (job,) = (path.name for path in world.jobs())
    assert await world.resume(job) == 1
    assert item.version == 0
    assert await world.resume(job, options=FORGET) == 0
    assert world.contents(item.id) == [("tree/sub/a", md5(b"a" * 300))]


@pytest.mark.parametrize("call", ["upload", "resume"])
async def test_a_file_that_the_item_holds_is_not_forgotten_until_it_is_gone_there_too(world: World, call: str) -> None:
    tree, item, verified = await send_tree(world, finished=True)
    shutil.rmtree(world.folder / "tree/sub")
    (job,) = (path.name for path in world.jobs())

    async def again() -> tuple[int, list[str], list[str]]:
        status = await (
            world.resume(job, options=FORGET) if call == "resume" else world.upload(tree, title=TITLE, options=FORGET)
        )
        assert world.report is not None
        reasons = [skip.reason for skip in world.report.skipped if skip.path.endswith("a")]
        return status, sorted(file.name for file in world.report.files), reasons

    for _ in range(2):
        assert await again() == (0, ["a", "b"], ["vanished"])
    assert world.report is not None
    assert "tree/sub/a" in Path(world.report.manifest_remote or "").read_text()
    remove(item, verified)
    for _ in range(2):
        assert await again() == (0, ["b"], ["forgotten"])
    async with world.client() as client:
        plan = await client.preview(tree, title=TITLE)
    assert plan.exit_status == 0
