"""Remote files of which only the record of the last sync is left, or nothing, after the journal was cut off."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.fakes.figshare import Fault, StoredFile, StoredItem
from tests.fakes.metadata import Metadata
from tests.fakes.world import KILLED, World, md5
from tests.unit.transfer.test_cut_journals import FILES, STORED, TITLE, Stored, prepare, run_to_the_end
from uploader.disk import Disk
from uploader.errors import ItemNotFound, JournalDamaged
from uploader.sources.models import Sources
from uploader.transfer import notices as no
from uploader.transfer.destination.options import ItemOptions
from uploader.transfer.journal.log import encode_synced, read_synced
from uploader.transfer.journal.sync_facts import KeptFile, OnRecord, place_hash
from uploader.transfer.options import Options

pytestmark = [pytest.mark.anyio, pytest.mark.search]

LINK = "https://example.org/data.bin"
AT = ["send_part", *(pytest.param(at, marks=pytest.mark.exhaustive) for at in ("initiate", "complete", "delete_file"))]
"""Requests for a new version after which its job is killed."""


def place_of(target: dict[str, Any]) -> dict[str, Any]:
    """Where a command of `prepare` sends to."""
    return {key: value for key, value in target.items() if key in ("item", "title")}


async def kill(world: World, at: str, target: dict[str, Any], occurrence: int = 1) -> None:
    """Run the command until it is killed after this request."""
    world.figshare.fail(at, Fault.KILLED_AFTER, first=occurrence)
    assert await world.upload(str(world.folder / "set"), **target) == KILLED
    world.figshare.clear_faults()


async def restart_a(world: World, at: str, target: dict[str, Any]) -> None:
    """Change a source and run the command until it is killed after this request for its new version."""
    target["options"] = Options(restart_changed=True)
    world.source("set/a", b"!" * 290)
    await kill(world, at, target)


async def begin_c(world: World, at: str, target: dict[str, Any], content: bytes = b"c" * 300) -> Stored:
    """Add a source, kill the command after this request for it, and cut the journal off before its addition."""
    world.source("set/c", content)
    await kill(world, at, target)
    stored = Stored(world)
    stored.restore_journal(stored.journal_before(b'"set/c"'))
    return stored


def sources_for(world: World, named: bool) -> dict[str, Any]:
    """Make the sources; where they are sent to."""
    for name, content in FILES.items():
        world.source(f"set/{name}", content)
    return {"item": world.figshare.add_item(TITLE).id} if named else {"title": TITLE}


async def begin_elsewhere(world: World) -> StoredItem:
    """Begin another upload in the place of a verified file on another machine, and cut the journal here; the item."""
    (item,) = world.figshare.stored_items.values()
    world.source("set/a", b"other")
    world.figshare.fail("initiate", Fault.KILLED_AFTER)
    keep = Options(on_conflict="keep")
    assert await world.upload(str(world.folder / "set"), state="elsewhere", item=item.id, options=keep) == KILLED
    world.figshare.clear_faults()
    world.source("set/a", FILES["a"])
    cut_last_line(world)
    return item


def complete_file(file_id: int, name: str) -> StoredFile:
    return StoredFile(
        file_id,
        name,
        len(FILES[name]),
        folder="set",
        status="available",
        upload_status="completed",
        parts={1: FILES[name]},
    )


def cut_last_line(world: World) -> None:
    (job,) = world.jobs()
    lines = (job / "journal").read_bytes().splitlines(keepends=True)
    (job / "journal").write_bytes(b"".join(lines[:-1]))


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("interrupted", ["initiate 1", "send_part 3"])
async def test_a_source_that_changed_since_its_record_was_cut_off_is_sent_once(
    world: World, interrupted: str, named: bool
) -> None:
    """The unfinished file of its earlier size is removed, unless it may be another's."""
    target = await prepare(world, interrupted, named, "skip")
    target |= {"options": Options(restart_changed=True), "item_options": ItemOptions(metadata=Metadata(), publish=True)}
    world.source("set/a", b"a" * 90)
    stored = Stored(world)
    never_known = len(stored.unanswered)
    for length in stored.cuts:
        stored.restore(length)
        status = await world.upload(str(world.folder / "set"), **target)
        if named and never_known:
            assert (status, world.error and world.error.facts.situation) == (1, "unfinished-files"), length
        else:
            assert status == 0, (length, world.error)
        assert stored.contents(named=named) == [("set/a", md5(b"a" * 90)), STORED[1]], length


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("bad", [1, 2])
async def test_bad_copies_whose_record_was_cut_off_are_replaced(world: World, bad: int, named: bool) -> None:
    """What the record of the last sync has is the job's: nobody needs to say that it may be replaced."""

    def damage(_: str) -> None:
        (item,) = world.figshare.stored_items.values()
        for file in sorted((file for file in item.files.values() if file.name == "a"), key=lambda f: f.id)[:bad]:
            file.corrupt = True

    world.figshare.on_request["complete"] = damage
    target = sources_for(world, named)
    if bad == 2:
        assert await world.upload(str(world.folder / "set"), **target) == 1
    await kill(world, "send_part", target, 1 if bad == 2 else 8)
    world.figshare.on_request.clear()
    stored = Stored(world)
    (item,) = world.figshare.stored_items.values()
    assert sum(file.corrupt for file in item.files.values()) == bad
    for length in stored.cuts:
        stored.restore(length)
        await run_to_the_end(world, target)
        assert stored.contents(named=named) == STORED, length


@pytest.mark.parametrize("named", [False, True])
async def test_a_copy_is_continued_if_the_journal_was_cut_off_again_since_it_was_begun(
    world: World, named: bool
) -> None:
    def damage(_: str) -> None:
        (item,) = world.figshare.stored_items.values()
        item.files[min(item.files)].corrupt = True

    world.figshare.on_request["complete"] = damage
    target = sources_for(world, named)
    await kill(world, "complete", target)
    stored = Stored(world)
    stored.restore_journal(stored.journal_before(b'"e":"init"'))
    await kill(world, "send_part", target, 4)
    (journal,) = (job / "journal" for job in world.jobs())
    data = journal.read_bytes()
    journal.write_bytes(data[: data.rindex(b"\n", 0, data.index(b'"e":"bad"')) + 1])
    await run_to_the_end(world, target)
    assert stored.contents(named=named) == STORED
    assert world.figshare.log.count("initiate") == 3


@pytest.mark.parametrize("named", [False, True])
async def test_a_begun_file_is_removed_if_the_item_has_an_earlier_one(world: World, named: bool) -> None:
    """The damaged journal cannot tell who sent the other one, perhaps the job itself."""
    target = sources_for(world, named)
    await kill(world, "send_part", target)
    (item,) = world.figshare.stored_items.values()
    name = next(file.name for file in item.files.values() if file.parts)
    item.files[1] = complete_file(1, name)
    stored = Stored(world)
    for length in stored.cuts:
        stored.restore(length)
        await run_to_the_end(world, target)
        assert stored.contents(named=named) == STORED, length


@pytest.mark.parametrize("named", [False, True])
async def test_what_was_verified_since_a_cut_is_the_job_s_after_the_next_one(world: World, named: bool) -> None:
    """Not the file that was begun before, which is still on record."""
    target = await prepare(world, "send_part 2", named, "skip")
    stored = Stored(world)
    stored.restore_journal(stored.journal_before(b'"e":"init"'))
    (item,) = world.figshare.stored_items.values()
    verified = complete_file(next(world.figshare.ids), "a")
    item.files[verified.id] = verified
    synced = stored.job / "journal.synced"
    record = read_synced(stored.job / "journal", Disk())
    assert record is not None
    record.kept.files[verified.id] = KeptFile(OnRecord.VERIFIED, place_hash("set/a"))
    synced.write_bytes(encode_synced(record))
    await run_to_the_end(world, target)
    assert stored.contents(named=named) == STORED
    assert verified.id in item.files


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("at", AT)
async def test_a_verified_file_whose_new_version_was_cut_off_is_replaced(world: World, at: str, named: bool) -> None:
    target = await prepare(world, "never", named, "skip")
    await restart_a(world, at, target)
    stored = Stored(world)
    for length in stored.cuts:
        stored.restore(length)
        assert await world.upload(str(world.folder / "set"), **target) == 0, (length, world.error)
        assert stored.contents(named=named) == [("set/a", md5(b"!" * 290)), STORED[1]], length


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize(("at", "unanswered"), [("initiate", 1), ("send_part", 0)])
async def test_a_new_version_whose_record_was_cut_off_is_removed_once_the_source_is_the_earlier_one(
    world: World, at: str, unanswered: int, named: bool
) -> None:
    target = await prepare(world, "never", named, "skip")
    await restart_a(world, at, target)
    stored = Stored(world)
    assert len(stored.unanswered) == unanswered
    world.source("set/a", FILES["a"])
    stored.restore_journal(stored.journal_before(b'"e":"source+"'))
    await run_to_the_end(world, target)
    assert stored.contents(named=named) == STORED


async def test_a_job_is_cancelled_with_the_new_version_whose_record_was_cut_off(world: World) -> None:
    target = await prepare(world, "never", False, "skip")
    world.source("set/c", b"c")  # which is not sent yet
    await restart_a(world, "send_part", target)
    stored = Stored(world)
    stored.restore_journal(stored.journal_before(b'"e":"source+"'))
    assert await world.cancel() == 0
    assert stored.contents(named=False) == STORED


async def test_cancelling_names_what_may_be_a_new_version_without_an_answer(world: World) -> None:
    """Nothing has its id, and another machine may have begun it: it is kept."""
    await restart_a(world, "initiate", await prepare(world, "never", False, "skip"))
    stored = Stored(world)
    stored.restore_journal(stored.journal_before(b'"e":"source+"'))
    world.notices.clear()
    assert await world.cancel() == 0
    assert stored.contents(named=False) == [("set/a", "created"), *STORED]
    warned = [notice for notice in world.notices if isinstance(notice, no.Warned)]
    assert any("also holds an unfinished file" in notice.message for notice in warned)


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("gone", ["a", "b"])
@pytest.mark.parametrize("killed", ["send_part 2", "complete 2"])
async def test_a_begun_source_that_is_gone_with_the_whole_plan_must_be_put_back(
    world: World, killed: str, gone: str, named: bool
) -> None:
    """Without the plan, the record of the last sync and the item show that something was begun, and not verified."""
    world.figshare.md5_delay = 30.0
    target = await prepare(world, killed, named, "skip")
    target["item_options"] = ItemOptions(metadata=Metadata(), publish=True)
    stored = Stored(world)
    assert any(path == f"set/{gone}" for path, _ in stored.contents(named=named))
    (world.folder / "set" / gone).unlink()
    stored.restore_journal(0)
    for _ in range(3):
        assert await world.upload(str(world.folder / "set"), **target) == 2
        assert world.error is not None
        assert world.error.facts.situation == "begun-source-lost"
        assert world.error.message.startswith(f"set/{gone}: its upload was begun")
    async with world.client() as client:
        with pytest.raises(JournalDamaged):
            await client.preview(str(world.folder / "set"), **place_of(target))
    world.source(f"set/{gone}", FILES[gone])
    await run_to_the_end(world, target)
    assert stored.contents(named=named) == STORED


@pytest.mark.parametrize("named", [False, True])
async def test_a_begun_source_that_is_gone_with_the_whole_plan_may_be_forgotten(world: World, named: bool) -> None:
    target = await prepare(world, "send_part 2", named, "skip")
    stored = Stored(world)
    (world.folder / "set" / "a").unlink()
    stored.restore_journal(0)
    target["options"] = Options(forget_missing=True)
    await run_to_the_end(world, target)
    assert stored.contents(named=False) == [STORED[1]]


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("at", ["initiate", "send_part"])
async def test_a_source_whose_addition_was_cut_off_is_continued(world: World, at: str, named: bool) -> None:
    target = await prepare(world, "never", named, "skip")
    stored = await begin_c(world, at, target, b"c" * 150)
    job = stored.job.name
    assert await world.resume(job) == (2 if at == "send_part" else 0)
    stored.restore_journal(stored.journal_before(b'"set/c"'))
    async with world.client() as client:
        plan = await client.preview(str(world.folder / "set"), **place_of(target))
    assert plan.exit_status == 0
    await run_to_the_end(world, target)
    assert stored.contents(named=named) == [*STORED, ("set/c", md5(b"c" * 150))]


@pytest.mark.parametrize("named", [False, True])
async def test_a_job_is_cancelled_with_an_added_source_whose_addition_was_cut_off(world: World, named: bool) -> None:
    target = await prepare(world, "send_part 2", named, "skip")
    stored = await begin_c(world, "send_part", target)
    assert await world.cancel() == 0
    assert stored.contents(named=False) == []
    world.figshare.stored_items.clear()
    assert await world.cancel() == 0


async def test_a_job_is_cancelled_whose_journal_ends_before_the_named_item(world: World) -> None:
    await prepare(world, "send_part 2", True, "skip")
    stored = Stored(world)
    stored.restore_journal(stored.journal_before(b'"e":"item"'))
    assert await world.cancel() == 0
    assert stored.contents(named=False) == []


@pytest.mark.parametrize("named", [False, True])
async def test_a_complete_file_that_a_cancelled_job_left_is_the_user_s(world: World, named: bool) -> None:
    target = sources_for(world, named)
    await kill(world, "complete", target)
    assert await world.cancel() == 0
    stored = Stored(world)
    left = stored.contents(named=named)[0]
    world.source(left[0], b"!" * 90)
    cancelled = stored.journal_before(b'"e":"cancel"')
    for length in (*(length for length in stored.cuts if length <= cancelled), stored.length):
        stored.restore(length)
        await world.upload(str(world.folder / "set"), **target)
        assert left in stored.contents(named=named), length


async def test_cancelling_removes_each_file_once_though_the_listing_is_old(world: World) -> None:
    await prepare(world, "send_part 2", False, "skip")
    world.figshare.behind = lambda name: 20.0 if name == "files" else 0.0
    assert await world.cancel() == 0
    assert world.figshare.log.count("delete_file") == 2


@pytest.mark.parametrize("killed", ["delete_file", "file"])
async def test_what_is_left_of_a_new_version_is_removed_even_if_that_is_interrupted(world: World, killed: str) -> None:
    target = await prepare(world, "never", False, "skip")
    await restart_a(world, "initiate", target)
    stored = Stored(world)
    world.source("set/a", FILES["a"])
    stored.restore_journal(stored.journal_before(b'"e":"source+"'))
    world.figshare.fail(killed, Fault.KILLED_BEFORE)
    assert await world.upload(str(world.folder / "set"), **target) == KILLED
    world.figshare.clear_faults()
    await run_to_the_end(world, target)
    assert stored.contents(named=False) == STORED


@pytest.mark.parametrize("named", [False, True])
async def test_a_journal_that_is_cut_off_where_files_had_failed_is_continued(world: World, named: bool) -> None:
    target = sources_for(world, named)
    world.figshare.fail("initiate", Fault.REJECTED, times=4)
    assert await world.upload(str(world.folder / "set"), **target) == 1
    (job,) = world.jobs()
    length = (job / "journal").stat().st_size
    world.figshare.clear_faults()
    await kill(world, "send_part", target)
    stored = Stored(world)
    stored.restore_journal(length)
    await run_to_the_end(world, target)
    assert stored.contents(named=named) == STORED


async def test_somebody_s_link_in_the_job_s_item_is_kept(world: World) -> None:
    """Its address is that of the job's link, of which the damaged journal has the record."""
    sources = Sources(paths=(world.source("f", b"f" * 100),), links=(LINK,))
    assert await world.upload(sources, title=TITLE) == 0
    (item,) = world.figshare.stored_items.values()
    other = StoredFile(next(world.figshare.ids), "", 0, link=LINK, status="available")
    item.files[other.id] = other
    cut_last_line(world)
    assert await world.upload(sources, title=TITLE) == 0
    assert other.id in item.files


async def test_a_removed_earlier_upload_that_the_listing_still_shows_is_no_conflict(world: World) -> None:
    """Without any damage: a copy of the server's data is behind."""
    item = world.figshare.add_item(TITLE)
    options = Options(restart_changed=True)
    world.figshare.behind = lambda _: 0.0
    began = 0.0
    for size in (200, 210):
        began = world.clock.monotonic()
        await world.clock.sleep(1)
        world.figshare.fail("send_part", Fault.KILLED_BEFORE)
        assert await world.upload(world.source("a", b"a" * size), item=item.id, options=options) == KILLED
    world.figshare.clear_faults()
    world.figshare.behind = lambda name: world.clock.monotonic() - began if name == "files" else 0.0
    world.figshare.on_request["initiate"] = lambda _: setattr(world.figshare, "behind", None)
    assert await world.upload(world.source("a", b"a" * 220), item=item.id, options=options) == 0, world.error
    assert world.contents(item.id) == [("a", md5(b"a" * 220))]


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("at", ["initiate", "send_part"])
async def test_a_job_that_was_begun_again_after_it_was_cancelled_is_continued(
    world: World, at: str, named: bool
) -> None:
    target = sources_for(world, named)
    world.figshare.fail("initiate", Fault.KILLED_BEFORE)
    assert await world.upload(str(world.folder / "set"), **target) == KILLED
    world.figshare.clear_faults()
    assert await world.cancel() == 0
    (job,) = world.jobs()
    length = (job / "journal").stat().st_size
    await kill(world, at, target)
    stored = Stored(world)
    stored.restore_journal(length)
    await run_to_the_end(world, target)
    assert stored.contents(named=named) == STORED


@pytest.mark.parametrize("named", [False, True])
async def test_an_addition_that_was_written_in_part_is_continued(world: World, named: bool) -> None:
    """The machine dies while the recovered journal is extended by a source that was begun before the damage."""
    target = await prepare(world, "never", named, "skip")
    stored = await begin_c(world, "send_part", target)
    assert await world.resume(stored.job.name) == 2
    synced = (stored.job / "journal.synced").read_bytes()
    world.figshare.fail("account", Fault.KILLED_BEFORE)
    assert await world.upload(str(world.folder / "set"), **target) == KILLED
    world.figshare.clear_faults()
    journal = (stored.job / "journal").read_bytes()
    planned = journal.index(b"\n", journal.index(b'"set/c"')) + 1
    (stored.job / "journal").write_bytes(journal[: planned + 10])
    (stored.job / "journal.synced").write_bytes(synced)
    await run_to_the_end(world, target)
    assert stored.contents(named=named) == [*STORED, ("set/c", md5(b"c" * 300))]


async def test_a_job_is_cancelled_with_a_file_that_the_listing_does_not_show_yet(world: World) -> None:
    target = await prepare(world, "never", True, "skip")
    stored = await begin_c(world, "send_part", target)
    world.figshare.behind = lambda name: 60.0 if name == "files" else 0.0
    assert await world.cancel() == 0
    assert stored.contents(named=True) == STORED


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("removed", ["in this run", "in the next run"])
async def test_a_removed_upload_that_the_listing_still_shows_is_not_taken_for_the_new_one(
    world: World, removed: str, named: bool
) -> None:
    """Without any damage: the answer of the new initiation is lost, and for some time the listing is old."""
    target: dict[str, Any] = {"item": world.figshare.add_item(TITLE).id} if named else {"title": TITLE}
    target["options"] = Options(restart_changed=True)
    world.figshare.fail("complete", Fault.KILLED_BEFORE)
    assert await world.upload(world.source("a", b"a" * 200), **target) == KILLED
    world.figshare.clear_faults()
    source = world.source("a", b"b" * 200)
    if removed == "in the next run":
        world.figshare.fail("delete_file", Fault.KILLED_BEFORE)
        assert await world.upload(source, **target) == KILLED
        world.figshare.clear_faults()
    world.figshare.behind = lambda _: 0.0
    await world.clock.sleep(100)
    began = world.clock.monotonic()

    def behind(name: str) -> float:
        since = world.clock.monotonic() - began
        return since + 1 if name == "files" and since < 6 else 0.0

    world.figshare.behind = behind
    world.figshare.fail("initiate", Fault.LOST_AFTER)
    assert await world.upload(source, **target) == 0, world.error
    (item,) = world.figshare.stored_items
    assert world.contents(item) == [("a", md5(b"b" * 200))]


async def test_the_dry_run_finds_a_begun_file_in_another_spelling(world: World) -> None:
    world.source("set/\u00e9", b"e" * 300)
    world.figshare.fail("send_part", Fault.KILLED_AFTER)
    assert await world.upload(str(world.folder / "set"), title=TITLE) == KILLED
    world.figshare.clear_faults()
    (world.folder / "set" / "\u00e9").rename(world.folder / "set" / "e\u0301")
    stored = Stored(world)
    stored.restore_journal(0)
    async with world.client() as client:
        plan = await client.preview(str(world.folder / "set"), title=TITLE)
    assert plan.exit_status == await world.upload(str(world.folder / "set"), title=TITLE) == 0


@pytest.mark.search
@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("now", [0, 1, 2])
async def test_a_source_that_was_restarted_twice_is_sent_once_wherever_the_journal_is_cut(
    world: World, now: int, named: bool
) -> None:
    """Also if it is one of its earlier versions again; the dry run agrees."""
    target = await prepare(world, "send_part 2", named, "skip")
    target["options"] = Options(restart_changed=True)
    versions = [FILES["a"], b"1" * 200, b"2" * 320]
    for content in versions[1:]:
        world.source("set/a", content)
        await kill(world, "send_part", target, 2)
    stored = Stored(world)
    world.source("set/a", versions[now])
    for length in stored.cuts:
        stored.restore(length)
        async with world.client(target["options"]) as client:
            plan = await client.preview(str(world.folder / "set"), **place_of(target))
        status = await world.upload(str(world.folder / "set"), **target)
        assert (plan.exit_status, status) == (0, 0), (length, world.error)
        assert stored.contents(named=named) == [("set/a", md5(versions[now])), STORED[1]], length


async def test_the_upload_of_another_machine_is_neither_continued_nor_removed(world: World) -> None:
    """It sends a file to the item of a job whose journal is damaged elsewhere, and which adds this file now."""
    target = await prepare(world, "never", False, "skip")
    (item,) = world.figshare.stored_items.values()
    world.source("theirs/set/c", b"x" * 300)
    theirs = str(world.folder / "theirs/set")
    world.figshare.fail("send_part", Fault.KILLED_AFTER, first=2)
    assert await world.upload(theirs, state="elsewhere", item=item.id) == KILLED
    world.figshare.clear_faults()
    world.source("set/c", b"c" * 300)
    cut_last_line(world)
    assert await world.upload(str(world.folder / "set"), **target) == 1
    assert await world.upload(theirs, state="elsewhere", item=item.id) == 0
    assert world.contents(item.id) == [*STORED, ("set/c", md5(b"x" * 300))]


async def test_the_new_upload_of_another_machine_beside_a_verified_file_is_kept(world: World) -> None:
    target = await prepare(world, "never", False, "skip")
    item = await begin_elsewhere(world)
    await run_to_the_end(world, target)
    assert ("set/a", "created") in world.contents(item.id)


@pytest.mark.search
@pytest.mark.parametrize("named", [False, True])
async def test_a_complete_file_on_record_is_replaced_wherever_the_journal_is_cut(world: World, named: bool) -> None:
    """The source has changed since; the dry run agrees."""
    world.source("set/a", FILES["a"])
    target: dict[str, Any] = {"item": world.figshare.add_item(TITLE).id} if named else {"title": TITLE}
    target["options"] = Options(restart_changed=True)
    await kill(world, "complete", target)
    world.source("set/a", b"!" * 290)
    stored = Stored(world)
    for length in stored.cuts:
        stored.restore(length)
        async with world.client(target["options"]) as client:
            plan = await client.preview(str(world.folder / "set"), **place_of(target))
        status = await world.upload(str(world.folder / "set"), **target)
        assert (plan.exit_status, status) == (0, 0), (length, world.error)
        assert stored.contents(named=named) == [("set/a", md5(b"!" * 290))], length


@pytest.mark.parametrize("request_name", ["files", "item", "detail"])
async def test_an_item_that_seems_missing_is_not_replaced_by_another_one(world: World, request_name: str) -> None:
    """Its mark is lost; somebody has made an empty item with its title since."""
    source = world.source("a", b"a" * 200)
    world.figshare.fail("complete", Fault.KILLED_BEFORE)
    assert await world.upload(source, title=TITLE) == KILLED
    (job,), (mine,) = world.jobs(), world.figshare.stored_items.values()
    lines = (job / "journal").read_bytes().splitlines(keepends=True)
    known = next(number for number, line in enumerate(lines) if b'"item?"' in line)
    (job / "journal").write_bytes(b"".join(lines[:known]) + b"garbage\n")
    (job / "journal.synced").unlink()
    other = world.figshare.add_item(TITLE)
    other.created = mine.created + timedelta(days=700)
    world.figshare.fail(request_name, ItemNotFound("not found"))
    assert await world.upload(source, title=TITLE) == 0, world.error
    assert world.contents(mine.id) == [("a", md5(b"a" * 200))]
    assert world.contents(other.id) == []
