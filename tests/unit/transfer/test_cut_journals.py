"""A journal cut off at any line or byte counts as damaged: the same command asks Figshare, and exits with 0."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.figshare import Fault
from tests.fakes.metadata import Metadata
from tests.fakes.world import KILLED, World, md5
from uploader.disk import Disk
from uploader.errors import Conflict, JournalDamaged
from uploader.figshare.models import Embargo
from uploader.figshare.outcomes import UploadGone
from uploader.sources.models import Sources
from uploader.transfer import notices as no
from uploader.transfer.destination.options import ItemOptions
from uploader.transfer.journal.log import damaged_path, read_synced, synced_path
from uploader.transfer.options import OnConflict, Options

pytestmark = pytest.mark.anyio

FILES = {"a": bytes(range(200)), "b": b"b" * 150}
STORED = [(f"set/{name}", md5(content)) for name, content in FILES.items()]
TITLE = "my data"


class Stored:
    """A job's folder and what Figshare holds, kept to be restored."""

    def __init__(self, world: World) -> None:
        self._world = world
        (self.job,) = (world.folder / "state" / "jobs").iterdir()
        self._copy = world.folder / "copy"
        shutil.copytree(self.job, self._copy)
        self.length = (self.job / "journal").stat().st_size
        self.lines = (self.job / "journal").read_bytes().splitlines(keepends=True)
        self._items = copy.deepcopy(world.figshare.stored_items)
        synced = read_synced(self.job / "journal", Disk())
        known = set(synced.kept.files) if synced is not None else set()
        there = (file for item in self._items.values() for file in item.files.values())
        self.unanswered = {file.id for file in there if file.status == "created" and file.id not in known}
        """Unfinished files whose ids the job never learned."""

    def journal_before(self, text: bytes) -> int:
        """Length of the journal before the first line that contains this."""
        data = (self._copy / "journal").read_bytes()
        return data.rindex(b"\n", 0, data.index(text)) + 1

    @property
    def cuts(self) -> list[int]:
        """Lengths: each whole number of lines but all of them."""
        return [sum(map(len, self.lines[:number])) for number in range(len(self.lines))]

    def contents(self, *, named: bool) -> list[tuple[str, str]]:
        """What the item holds; without `unanswered` if it is `named`: such files may be another's and are kept."""
        (item,) = self._world.figshare.stored_items.values()
        for file_id in self.unanswered if named else ():
            item.files.pop(file_id, None)
        return self._world.contents(item.id)

    def restore(self, length: int) -> None:
        """Restore everything, with this many bytes of the journal."""
        self.restore_journal(length)
        self._world.figshare.stored_items = copy.deepcopy(self._items)
        self._world.figshare.resent_parts.clear()

    def restore_journal(self, length: int) -> None:
        """Restore the job's folder, with this many bytes of the journal."""
        shutil.rmtree(self.job)
        shutil.copytree(self._copy, self.job)
        journal = self.job / "journal"
        journal.write_bytes(journal.read_bytes()[:length])


def cuts(journal: Path) -> list[int]:
    """Lengths: each whole number of lines, and in each line its middle or, of every other one, all but its newline."""
    lengths, at = [0], 0
    for number, line in enumerate(journal.read_bytes().splitlines(keepends=True)):
        lengths += [at + (len(line) - 1 if number % 2 else len(line) // 2), at + len(line)]
        at += len(line)
    return lengths[:-1]


async def run_to_the_end(world: World, target: dict[str, Any]) -> None:
    assert await world.upload(str(world.folder / "set"), **target) == 0, world.error


async def prepare(world: World, interrupted: str, named: bool, on_conflict: OnConflict) -> dict[str, Any]:
    """Run the command until it is killed after this request, or to its end; what it sends to."""
    options = Options(on_conflict=on_conflict)
    for name, content in FILES.items():
        world.source(f"set/{name}", content)
    target: dict[str, Any] = {"item": world.figshare.add_item(TITLE).id} if named else {"title": TITLE}
    target["options"] = options
    if interrupted != "never":
        request, number = interrupted.split()
        world.figshare.fail(request, Fault.KILLED_AFTER, first=int(number))
        assert await world.upload(str(world.folder / "set"), **target) == KILLED
        world.figshare.clear_faults()
    else:
        await run_to_the_end(world, target)
    return target


async def check_cut(world: World, stored: Stored, length: int, target: dict[str, Any], *, named: bool) -> None:
    """Truncate the journal to this many bytes; the same command ends with everything there exactly once."""
    stored.restore(length)
    await run_to_the_end(world, target)
    assert stored.contents(named=named) == STORED, length
    (item,) = world.figshare.stored_items.values()
    assert item.title == TITLE


@pytest.mark.parametrize("named", [False, True])
async def test_the_record_of_a_restarted_upload_is_cut_off(world: World, named: bool) -> None:
    world.figshare.fail("upload", UploadGone("aborted"), first=2, times=11)  # as often as it is looked at
    target = await prepare(world, "initiate 3", named, "skip")
    stored = Stored(world)
    lines = (stored.job / "journal").read_bytes().splitlines(keepends=True)
    lost = next(number for number, line in enumerate(lines) if b'"e":"lost"' in line)
    for number in range(lost - 1, len(lines)):
        await check_cut(world, stored, sum(map(len, lines[:number])), target, named=named)


@pytest.mark.parametrize("since", ["damaged", "verified since", "sent again since"])
async def test_a_file_that_another_put_in_the_place_of_a_lost_one_is_kept(world: World, since: str) -> None:
    target = await prepare(world, "never", False, "skip")
    (job,) = world.jobs()
    (item,) = world.figshare.stored_items.values()
    journal = job / "journal"
    journal.write_bytes(journal.read_bytes()[:-1])
    if since != "damaged":
        await run_to_the_end(world, target)
        assert not damaged_path(journal).exists()
    if since == "sent again since":
        item.files.clear()
        assert await world.upload(str(world.folder / "set"), **target) == 0
    item.files.clear()
    theirs = world.figshare.add_file(item, "set/a", b"!" * len(FILES["a"]))
    for _ in range(2):
        assert await world.upload(str(world.folder / "set"), **target) == 1
        assert world.contents(item.id) == [("set/a", md5(theirs.content)), STORED[1]]
    assert theirs.id in item.files


async def test_a_job_without_its_journal_keeps_a_file_that_differs_from_its_own(world: World) -> None:
    target = await prepare(world, "never", False, "skip")
    stored = Stored(world)
    (item,) = world.figshare.stored_items.values()
    item.files.clear()
    world.figshare.add_file(item, "set/a", b"!" * len(FILES["a"]))
    before = world.contents(item.id)
    stored.restore_journal(0)
    assert await world.upload(str(world.folder / "set"), **target) == 1
    assert world.contents(item.id) == [*before, STORED[1]]


@pytest.mark.parametrize(("interrupted", "named"), [("never", False), ("initiate 2", False), ("initiate 2", True)])
async def test_a_journal_that_is_gone_is_cut_off_at_its_beginning(world: World, interrupted: str, named: bool) -> None:
    target = await prepare(world, interrupted, named, "skip")
    stored = Stored(world)
    journal = stored.job / "journal"
    for interrupted_again in (False, True):
        stored.restore(0)
        journal.unlink()
        if interrupted_again:
            world.figshare.fail("files", Fault.KILLED_BEFORE)
            assert await world.upload(str(world.folder / "set"), **target) == KILLED
            world.figshare.clear_faults()
        await run_to_the_end(world, target)
        assert stored.contents(named=named) == STORED
        assert not damaged_path(journal).exists()


async def test_a_plan_that_was_cut_off_is_damaged_without_the_record_of_the_last_sync(world: World) -> None:
    target = await prepare(world, "initiate 2", False, "skip")
    stored = Stored(world)
    plan = stored.journal_before(b'"e":"run"')
    for length in [cut for cut in cuts(stored.job / "journal") if cut < plan]:
        stored.restore(length)
        synced_path(stored.job / "journal").unlink()
        await run_to_the_end(world, target)
        (item,) = world.figshare.stored_items
        assert world.contents(item) == STORED


async def test_a_folder_without_a_journal_and_its_record_is_no_job(world: World) -> None:
    target = await prepare(world, "create 1", False, "skip")
    (job,) = world.jobs()
    (job / "journal").unlink()
    synced_path(job / "journal").write_bytes(b"")
    await run_to_the_end(world, target)


@pytest.mark.parametrize("named", [False, True])
async def test_an_own_damaged_file_whose_record_is_lost_is_replaced_on_request(world: World, named: bool) -> None:
    """Nothing proves whose it is: the message says how to replace it, and that ends with everything there."""
    target = await prepare(world, "never", named, "skip")
    stored = Stored(world)
    (item,) = world.figshare.stored_items.values()
    next(file for file in item.files.values() if file.name == "a").corrupt = True
    stored.restore_journal(stored.journal_before(b'"e":"init"'))
    for _ in range(2):
        assert await world.upload(str(world.folder / "set"), **target) == 1
    assert world.report is not None
    (problem,) = [file.error for file in world.report.files if file.error is not None]
    assert problem.facts.situation == "perhaps-own"
    await run_to_the_end(world, target | {"options": Options(on_conflict="replace")})
    await run_to_the_end(world, target)
    assert world.contents(item.id) == STORED


async def test_a_published_item_is_not_made_twice(world: World) -> None:
    target = await prepare(world, "never", False, "skip")
    stored = Stored(world)
    (item,) = world.figshare.stored_items.values()
    item.version = 1
    for length in (0, 200, stored.length - 1):
        stored.restore_journal(length)
        await run_to_the_end(world, target)
        assert list(world.figshare.stored_items) == [item.id]


@pytest.mark.search
@pytest.mark.parametrize("named", [False, True])
async def test_what_is_public_already_is_not_published_again(world: World, named: bool) -> None:
    target = await prepare(world, "never", named, "skip")
    target["item_options"] = ItemOptions(metadata=Metadata(), publish=True)
    await run_to_the_end(world, target)
    stored = Stored(world)
    for length in cuts(stored.job / "journal"):
        await check_cut(world, stored, length, target, named=named)
        (item,) = world.figshare.stored_items.values()
        assert item.version == 1, length
        assert world.report is not None
        assert world.report.published == "public"
        await run_to_the_end(world, target)
        assert item.version == 1


async def test_without_any_record_of_the_item_a_published_one_is_named(world: World) -> None:
    target = await prepare(world, "never", False, "skip")
    stored = Stored(world)
    (item,) = world.figshare.stored_items.values()
    item.version = 1
    stored.restore_journal(0)
    synced_path(stored.job / "journal").unlink()
    for _ in range(2):
        assert await world.upload(str(world.folder / "set"), **target) == 1
        assert isinstance(world.error, Conflict)
        assert f"item {item.id}" in world.error.message
    assert list(world.figshare.stored_items) == [item.id]


@pytest.mark.search
async def test_somebody_s_published_item_of_the_title_does_not_hinder_a_job_without_one(world: World) -> None:
    """The record of the last sync says that the job had no item, and only an item on record is published."""
    for name, content in FILES.items():
        world.source(f"set/{name}", content)
    other = world.figshare.add_item(TITLE)
    other.version = 1
    world.figshare.fail("create", Fault.KILLED_BEFORE)
    assert await world.upload(str(world.folder / "set"), title=TITLE) == KILLED
    world.figshare.clear_faults()
    stored = Stored(world)
    for length in cuts(stored.job / "journal"):
        stored.restore(length)
        # A second damage, which leaves the intent of the first recovery.
        world.figshare.fail("own_items", Fault.KILLED_BEFORE)
        assert await world.upload(str(world.folder / "set"), title=TITLE) == KILLED
        world.figshare.clear_faults()
        with (stored.job / "journal").open("rb+") as journal:
            journal.truncate((stored.job / "journal").stat().st_size - 1)
        await run_to_the_end(world, {"title": TITLE})
        theirs, own = world.figshare.stored_items
        assert theirs == other.id
        assert world.contents(own) == STORED


@pytest.mark.search
@pytest.mark.parametrize("interrupted", ["never", "send_part 5", "initiate 2"])
@pytest.mark.parametrize("on_conflict", ["skip", "fail"])
async def test_the_dry_run_of_a_damaged_job_has_the_status_of_its_upload(
    world: World, interrupted: str, on_conflict: OnConflict
) -> None:
    target = await prepare(world, interrupted, True, on_conflict)
    stored = Stored(world)
    for length in stored.cuts:
        stored.restore(length)
        async with world.client(target["options"]) as client:
            preview = await client.preview(str(world.folder / "set"), item=target["item"])
        assert preview.exit_status == 0, length
        await run_to_the_end(world, target)


CASES: list[tuple[str, bool, OnConflict]] = [
    ("never", False, "skip"),
    ("never", False, "keep"),
    ("never", True, "skip"),
    ("create 1", False, "skip"),
    ("initiate 2", False, "skip"),
    ("initiate 2", True, "skip"),
    ("send_part 5", False, "keep"),
    ("send_part 5", True, "skip"),
    ("send_part 5", True, "fail"),
    ("send_part 5", True, "keep"),
    ("complete 1", True, "replace"),
    ("never", True, "fail"),
    ("never", True, "keep"),
    ("never", True, "replace"),
    ("complete 1", False, "replace"),
]


@pytest.mark.search
@pytest.mark.parametrize(("interrupted", "named", "on_conflict"), CASES)
async def test_the_same_command_ends_with_everything_there_exactly_once(
    world: World, interrupted: str, named: bool, on_conflict: OnConflict
) -> None:
    target = await prepare(world, interrupted, named, on_conflict)
    stored = Stored(world)
    for length in cuts(stored.job / "journal"):
        await check_cut(world, stored, length, target, named=named)


@pytest.mark.parametrize(
    ("interrupted", "named"), [("never", False), ("never", True), ("complete 1", False), ("complete 1", True)]
)
@pytest.mark.parametrize("lines_lost", [1, 2])
async def test_a_damaged_line_is_asked_for(world: World, interrupted: str, named: bool, lines_lost: int) -> None:
    """One is lost if it was removed, and the next one with it if its checksum cannot be read."""
    target = await prepare(world, interrupted, named, "skip")
    stored = Stored(world)
    journal = stored.job / "journal"
    lines = journal.read_bytes().splitlines(keepends=True)
    for number, line in enumerate(lines):
        stored.restore(0)
        left = [] if lines_lost == 1 else [line[:-2] + b"g\n"]
        journal.write_bytes(b"".join([*lines[:number], *left, *lines[number + 1 :]]))
        await run_to_the_end(world, target)
        assert stored.contents(named=named) == STORED, line


async def test_a_finished_job_that_lost_its_item_finds_it(world: World) -> None:
    target = await prepare(world, "never", False, "skip")
    (job,) = world.jobs()
    journal = job / "journal"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(line for line in lines if b'"e":"item' not in line))
    synced_path(journal).unlink()
    await run_to_the_end(world, target)
    (item,) = world.figshare.stored_items
    assert world.contents(item) == STORED


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("record", ["is left", "is lost"])
async def test_a_job_that_lost_its_item_ends_and_is_cancelled(world: World, named: bool, record: str) -> None:
    target = await prepare(world, "send_part 2", named, "skip")
    stored = Stored(world)
    journal = stored.job / "journal"
    lines = [line for line in journal.read_bytes().splitlines(keepends=True) if b'"e":"item' not in line]
    for end in (len(lines), lines.index(next(line for line in lines if b'"e":"init"' in line))):
        stored.restore(0)
        journal.write_bytes(b"".join(lines[:end]))
        if record == "is lost":
            synced_path(journal).unlink()
        await world.cancel()
        assert world.error is None
        if record == "is left" and end == len(lines):
            (item,) = world.figshare.stored_items
            assert "created" not in [status for _, status in world.contents(item)]
        await run_to_the_end(world, target)
        if record == "is left":
            (item,) = world.figshare.stored_items
            assert [held for held in world.contents(item) if held[1] != "created"] == STORED


@pytest.mark.exhaustive
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("interrupted", "named", "on_conflict"), [CASES[0], CASES[2], CASES[5], CASES[7], CASES[8]])
async def test_cut_at_every_byte(world: World, interrupted: str, named: bool, on_conflict: OnConflict) -> None:
    target = await prepare(world, interrupted, named, on_conflict)
    stored = Stored(world)
    for length in range((stored.job / "journal").stat().st_size):
        await check_cut(world, stored, length, target, named=named)


async def test_an_unreadable_or_older_record_of_the_last_sync_is_ignored(world: World) -> None:
    source = world.source("a", FILES["a"])
    assert await world.upload(source, title=TITLE) == 0
    (job,) = (world.folder / "state" / "jobs").iterdir()
    record = synced_path(job / "journal")
    newest = record.read_bytes()
    synced = read_synced(job / "journal", Disk())
    assert synced is not None
    assert synced.length == (job / "journal").stat().st_size
    for content in (b"", b"x", newest[:-1], newest[1:], b"9" + newest[1:], newest + b"\n"):
        record.write_bytes(content)
        assert read_synced(job / "journal", Disk()) is None
        assert await world.upload(source, title=TITLE) == 0
        assert not (job / "journal.damaged").exists()


@pytest.mark.parametrize("how", ["embargo", "review", "review of a public one"])
async def test_what_cannot_be_compared_is_published_once_wherever_the_journal_is_cut(world: World, how: str) -> None:
    item = world.figshare.add_item(TITLE)
    item.fields |= {"description": "d", "keywords": ["k"], "categories": [1]}
    if how == "embargo":
        item.embargo = Embargo(scope="file")
    elif how == "review of a public one":
        world.figshare.publish(item)
    world.figshare.reviews = how != "embargo"
    source, options = world.source("a", FILES["a"]), ItemOptions(publish=True)
    assert await world.upload(source, item=item.id, item_options=options) == 0
    stored, published = Stored(world), item.version
    for length in stored.cuts:
        stored.restore(length)
        assert await world.upload(source, item=item.id, item_options=options) == 0
        assert (world.figshare.log.count("publish"), world.figshare.stored_items[item.id].version) == (1, published)


async def test_an_upload_whose_intent_was_cut_off_is_named_with_what_removes_it(world: World) -> None:
    """In an item that the user named it may be another's: the file is sent beside it, and publishing names it, too."""
    item = world.figshare.add_item(TITLE)
    item.fields |= {"description": "d", "keywords": ["k"], "categories": [1]}
    source, options = world.source("a", FILES["a"]), ItemOptions(publish=True)
    world.figshare.fail("initiate", Fault.KILLED_AFTER)
    assert await world.upload(source, item=item.id, item_options=options) == KILLED
    (left,) = item.files
    stored = Stored(world)
    stored.restore_journal(stored.journal_before(b'"e":"init?"'))
    for _ in range(2):
        assert await world.upload(source, item=item.id, item_options=options) == 1
        assert world.error is not None
        assert (world.error.facts.situation, world.error.facts.item_id) == ("unfinished-files", item.id)
    named = [n for n in world.notices if isinstance(n, no.Warned) and f"(file {left})" in n.message]
    assert [(n.facts.situation, n.facts.item_id) for n in named] == [("unfinished-kept", item.id)]
    del item.files[left]
    assert await world.upload(source, item=item.id, item_options=options) == 0
    assert (world.contents(item.id), item.version) == ([("a", md5(FILES["a"]))], 1)


@pytest.mark.search
@pytest.mark.parametrize("named", [False, True])
async def test_an_upload_that_appears_after_its_record_was_cut_off_is_removed(world: World, named: bool) -> None:
    """In an item that the user named it may be another's, and is only reported."""
    world.figshare.fail("initiate", Fault.LOST_BEFORE)
    target = await prepare(world, "never", named, "skip")
    target["item_options"] = ItemOptions(metadata=Metadata(), publish=True)
    (item,) = world.figshare.stored_items.values()
    late = world.figshare.add_file(item, "a", FILES["a"], status="created")
    late.folder = "set"
    stored = Stored(world)
    for length in stored.cuts:
        stored.restore(length)
        for _ in range(2):
            assert await world.upload(str(world.folder / "set"), **target) == int(named), length
        (item,) = world.figshare.stored_items.values()
        assert (late.id in item.files, item.version) == (named, 0 if named else 1)
        item.files.pop(late.id, None)
        assert world.contents(item.id) == STORED


@pytest.mark.search
@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("added", ["0", "b2"])
async def test_a_file_is_added_to_the_folder_of_a_job_whose_journal_was_cut_off(
    world: World, added: str, named: bool
) -> None:
    """Also where a part of the plan is left, and the sources have other numbers in the new one."""
    target = await prepare(world, "send_part 5", named, "skip")
    stored = Stored(world)
    world.source(f"set/{added}", b"+" * 100)
    for length in stored.cuts:
        stored.restore(length)
        await run_to_the_end(world, target)
        assert stored.contents(named=named) == sorted([*STORED, (f"set/{added}", md5(b"+" * 100))]), length


async def test_a_lost_source_that_is_gone_must_be_put_back(world: World) -> None:
    """It may have been begun: without it, the command would end with 0 although not everything was sent."""
    target = await prepare(world, "send_part 7", False, "skip")
    stored = Stored(world)
    (world.folder / "set" / "b").unlink()
    stored.restore_journal(stored.journal_before(b'"set/b"'))
    assert await world.upload(str(world.folder / "set"), **target) == 2
    assert world.error is not None
    assert world.error.facts.situation == "sources-lost"
    assert world.error.message.endswith("not all of its lost sources are selected any longer")
    async with world.client() as client:
        with pytest.raises(JournalDamaged):
            await client.preview(str(world.folder / "set"), title=TITLE)
    world.source("set/b", FILES["b"])
    await run_to_the_end(world, target)
    assert stored.contents(named=False) == STORED


async def test_a_source_that_is_gone_stays_in_a_job_whose_plan_was_cut_off(world: World) -> None:
    """As long as the journal has a record of it: what was to be sent and is gone is never a success."""
    target = await prepare(world, "send_part 7", False, "skip")
    stored = Stored(world)
    world.source("set/c", b"+")
    (world.folder / "set" / "a").unlink()
    stored.restore_journal(stored.journal_before(b'"set/b"'))
    assert await world.upload(str(world.folder / "set"), **target) == 1
    assert world.report is not None
    assert [file.name for file in world.report.files if file.error is not None] == ["a"]
    world.source("set/a", FILES["a"])
    await run_to_the_end(world, target)
    assert stored.contents(named=False) == [*STORED, ("set/c", md5(b"+"))]


@pytest.mark.parametrize("lost", ["source", "plan"])
async def test_the_first_source_is_added_in_another_folder_to_a_job_whose_plan_was_damaged(
    world: World, lost: str
) -> None:
    """The paths of the new plan start from another folder than those of the damaged one."""
    (world.folder / "first/logs").mkdir(parents=True)
    for name, content in FILES.items():
        world.source(f"second/set/{name}", content)
    sources = Sources(paths=(str(world.folder / "first/logs"), str(world.folder / "second/set")))
    world.figshare.fail("complete", Fault.KILLED_BEFORE, first=2)
    assert await world.upload(sources, title=TITLE) == KILLED
    world.figshare.clear_faults()
    world.source("first/logs/1", b"+")
    (job,) = world.jobs()
    lines = (job / "journal").read_bytes().splitlines(keepends=True)
    kept = [lines[0], *lines[2:]] if lost == "plan" else lines[:3]
    (job / "journal").write_bytes(b"".join(kept))
    for _ in range(2):
        assert await world.upload(sources, title=TITLE) == 0, world.error
        (item,) = world.figshare.stored_items.values()
        assert world.contents(item.id) == [("logs/1", md5(b"+")), *STORED]
