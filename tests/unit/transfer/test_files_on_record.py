"""What the record of the last sync proves, and what it does not: a file that somebody may need is never removed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.fakes.figshare import Fault, StoredFile, StoredItem
from tests.fakes.world import KILLED, World, md5
from tests.unit.transfer.test_cut_journals import FILES, STORED, TITLE, Stored, prepare, run_to_the_end
from tests.unit.transfer.test_lost_records import (
    AT,
    LINK,
    begin_elsewhere,
    complete_file,
    cut_last_line,
    kill,
    place_of,
    restart_a,
    sources_for,
)
from uploader.disk import Disk
from uploader.figshare.models import File
from uploader.sources.models import Sources
from uploader.transfer.destination.lookup import is_taken_back
from uploader.transfer.destination.options import ItemOptions
from uploader.transfer.journal.log import read_synced, synced_path
from uploader.transfer.journal.sync_facts import KeptFile, OnRecord, most_important
from uploader.transfer.options import OnConflict, Options

pytestmark = [pytest.mark.anyio, pytest.mark.search]


async def planned(world: World, what: str | Sources, target: dict[str, Any]) -> int:
    """The exit status that the dry run announces."""
    async with world.client(target.get("options")) as client:
        return (await client.preview(what, **place_of(target))).exit_status


def damage_the_first(world: World) -> None:
    """Damage the file with the smallest id whenever a file is completed."""

    def damage(_: str) -> None:
        (item,) = world.figshare.stored_items.values()
        item.files[min(item.files)].corrupt = True

    world.figshare.on_request["complete"] = damage


async def complete_without_md5(world: World, named: bool) -> tuple[str, dict[str, Any]]:
    """Kill a command once its only file is complete, without an MD5; its source, and what it is sent to."""
    source = world.source("a", b"a" * 200)
    target: dict[str, Any] = {"item": world.figshare.add_item(TITLE).id} if named else {"title": TITLE}
    world.figshare.md5_delay = 1e9
    world.figshare.fail("complete", Fault.KILLED_AFTER)
    assert await world.upload(source, **target) == KILLED
    world.figshare.clear_faults()
    return source, target


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("on_conflict", ["skip", "keep", "fail"])
async def test_a_file_without_an_md5_that_a_cancelled_job_kept_stays(
    world: World, on_conflict: OnConflict, named: bool
) -> None:
    source, target = await complete_without_md5(world, named)
    assert await world.cancel() == 0
    (item,) = world.figshare.stored_items.values()
    (file,) = item.files.values()
    world.figshare.md5_delay = file.md5_at = 0.0
    world.source("a", b"b" * 210)
    target["options"] = Options(on_conflict=on_conflict)
    status = await planned(world, source, target)
    assert await world.upload(source, **target) == status == (0 if on_conflict == "keep" else 1)
    assert file.id in item.files


@pytest.mark.parametrize("cut", ["last line", "whole plan"])
async def test_an_earlier_version_that_was_renamed_into_another_source_s_place_stays(world: World, cut: str) -> None:
    target = sources_for(world, True)
    (world.folder / "set" / "b").unlink()
    await run_to_the_end(world, target)
    (item,) = world.figshare.stored_items.values()
    (old,) = item.files.values()
    await restart_a(world, "send_part", target)
    old.name = "b"
    world.source("set/b", b"new" * 30)
    if cut == "whole plan":
        Stored(world).restore_journal(0)
    else:
        cut_last_line(world)
    for _ in range(3):
        await world.upload(str(world.folder / "set"), **target)
        assert old.id in item.files


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("cut", [False, True])
async def test_an_unverified_file_is_not_replaced_without_being_asked(world: World, cut: bool, named: bool) -> None:
    target = sources_for(world, named)
    (world.folder / "set" / "b").unlink()
    await kill(world, "complete", target)
    world.source("set/a", b"!" * 290)
    stored = Stored(world)
    if cut:
        stored.restore_journal(0)
    status = await planned(world, str(world.folder / "set"), target)
    assert await world.upload(str(world.folder / "set"), **target) == status != 0
    assert STORED[0] in stored.contents(named=named)


async def test_of_two_copies_by_two_machines_one_stays(world: World) -> None:
    """A's record is lost; B, on another machine, has the greater id, so that B removes its own."""
    item = world.figshare.add_item(TITLE)
    source = world.source("f", b"f" * 150)
    statuses: list[int] = []
    seen: set[str] = set()

    async def gate(name: str) -> None:
        if name not in ("initiate", "complete", "delete_file") or name in seen:
            return
        seen.add(name)
        if name == "initiate":
            world.figshare.fail("send_part", Fault.KILLED_AFTER)
        if name == "complete":
            (job,) = world.jobs()
            data = (job / "journal").read_bytes()
            (job / "journal").write_bytes(data[: data.rindex(b"\n", 0, data.index(b'"e":"init"')) + 1])
            world.figshare.fail("complete", Fault.KILLED_AFTER)
        statuses.append(await world.upload(source, item=item.id))
        world.figshare.clear_faults()

    world.figshare.gate = gate
    await world.upload(source, state="elsewhere", item=item.id)
    assert statuses == [KILLED, KILLED, 0]
    assert world.contents(item.id) == [("f", md5(b"f" * 150))]


async def test_a_file_that_was_recovered_is_kept_beside_a_later_copy_of_another(world: World) -> None:
    target = await prepare(world, "send_part 2", True, "skip")
    stored = Stored(world)
    stored.restore_journal(stored.journal_before(b'"e":"init"'))
    await run_to_the_end(world, target)
    (item,) = world.figshare.stored_items.values()
    own = set(item.files)
    other = complete_file(next(world.figshare.ids), "a")
    item.files[other.id] = other
    await run_to_the_end(world, target)
    assert own < set(item.files)


async def test_cancelling_keeps_what_another_machine_has_begun(world: World) -> None:
    target = await prepare(world, "never", False, "skip")
    item = await begin_elsewhere(world)
    assert await world.cancel() == 0
    assert ("set/a", "created") in world.contents(item.id)
    assert target == {"title": TITLE, "options": Options(on_conflict="skip")}


async def test_cancelling_a_damaged_job_removes_each_file_once_though_all_listings_are_old(world: World) -> None:
    await prepare(world, "send_part 2", False, "skip")
    cut_last_line(world)
    world.figshare.behind = lambda name: 20.0 if name in ("files", "item") else 0.0
    assert await world.cancel() == 0
    assert world.figshare.log.count("delete_file") == 2


@pytest.mark.parametrize("named", [False, True])
async def test_a_bad_copy_is_replaced_though_files_must_not_exist(world: World, named: bool) -> None:
    target = sources_for(world, named)
    (world.folder / "set" / "b").unlink()
    target["options"] = Options(on_conflict="fail")
    world.figshare.fail("initiate", Fault.REJECTED, times=4)
    assert await world.upload(str(world.folder / "set"), **target) == 1
    (job,) = world.jobs()
    length = (job / "journal").stat().st_size
    world.figshare.clear_faults()
    damage_the_first(world)
    world.figshare.fail("initiate", Fault.KILLED_BEFORE, first=2)
    assert await world.upload(str(world.folder / "set"), **target) == KILLED
    world.figshare.clear_faults()
    world.figshare.on_request.clear()
    stored = Stored(world)
    stored.restore_journal(length)
    assert await planned(world, str(world.folder / "set"), target) == 0
    await run_to_the_end(world, target)
    assert stored.contents(named=named) == [STORED[0]]


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("at", AT)
async def test_the_dry_run_of_a_job_that_lost_a_new_version_agrees(
    world: World, at: str, restart: bool, named: bool
) -> None:
    target = await prepare(world, "never", named, "skip")
    await restart_a(world, at, target)
    stored = Stored(world)
    if not restart:
        del target["options"]
    for length in stored.cuts:
        stored.restore(length)
        status = await planned(world, str(world.folder / "set"), target)
        assert await world.upload(str(world.folder / "set"), **target) == status, (length, world.error)


@pytest.mark.parametrize("named", [False, True])
async def test_an_earlier_copy_stays_the_job_s_own(world: World, named: bool) -> None:
    """The next version replaces it."""
    target = sources_for(world, named)
    (world.folder / "set" / "b").unlink()
    target["options"] = Options(on_conflict="keep", restart_changed=True)
    world.figshare.fail("initiate", Fault.REJECTED, times=4)
    assert await world.upload(str(world.folder / "set"), **target) == 1
    (job,) = world.jobs()
    length = (job / "journal").stat().st_size
    world.figshare.clear_faults()
    world.figshare.md5_delay = 50.0
    await kill(world, "complete", target)
    stored = Stored(world)
    stored.restore_journal(length)
    await run_to_the_end(world, target)
    world.figshare.md5_delay = 0.0
    world.source("set/a", b"3" * 310)
    await run_to_the_end(world, target)
    assert stored.contents(named=named) == [("set/a", md5(b"3" * 310))]


def test_the_record_keeps_what_would_be_missed_most() -> None:
    kinds = [OnRecord.BEGUN, OnRecord.REPLACED, OnRecord.BEGUN, OnRecord.VERIFIED, OnRecord.VERIFIED]
    files = {number: KeptFile(kind, 0) for number, kind in enumerate(kinds, 1)}
    assert list(most_important(files, 5)) == [1, 2, 3, 4, 5]
    assert list(most_important(files, 4)) == [1, 2, 3, 5]
    assert list(most_important(files, 2)) == [1, 3]
    assert list(most_important(files, 1)) == [3]


@pytest.mark.parametrize("named", [False, True])
async def test_what_was_verified_since_a_cut_is_replaced_after_the_next_one(world: World, named: bool) -> None:
    """The source has changed, and the transfer had been searched for once before."""
    target = await prepare(world, "send_part 2", named, "skip")
    target["options"] = Options(restart_changed=True)
    cut_last_line(world)
    world.figshare.fail("complete", Fault.REJECTED, first=2, times=9)
    assert await world.upload(str(world.folder / "set"), **target) == 1
    world.figshare.clear_faults()
    stored = Stored(world)
    ((verified, name),) = [
        (file.id, file.name)
        for item in world.figshare.stored_items.values()
        for file in item.files.values()
        if file.status == "available"
    ]
    record = read_synced(stored.job / "journal", Disk())
    assert record is not None
    assert record.kept.files[verified].kind is OnRecord.VERIFIED
    world.source(f"set/{name}", b"!" * 290)
    for length in stored.cuts:
        stored.restore(length)
        await run_to_the_end(world, target)
        expected = {**FILES, name: b"!" * 290}
        assert stored.contents(named=named) == [(f"set/{n}", md5(content)) for n, content in expected.items()], length


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize(
    ("status", "size", "kind", "taken", "if_changed"),
    [
        ("created", 9, OnRecord.BEGUN, True, True),
        ("created", 7, OnRecord.VERIFIED, True, True),
        ("available", 9, OnRecord.BEGUN, True, True),
        ("available", 7, OnRecord.BEGUN, False, True),
        ("available", 9, OnRecord.VERIFIED, False, True),
        ("available", 9, OnRecord.REPLACED, False, False),
        ("ic_failure", 9, OnRecord.BEGUN, False, False),
        ("created", 9, None, False, False),
    ],
)
def test_which_file_on_record_a_transfer_of_9_bytes_continues(
    status: str, size: int, kind: OnRecord | None, *, taken: bool, if_changed: bool, restart: bool
) -> None:
    file = File(id=1, name="a", size=size, status=status)
    assert is_taken_back(file, 9, kind, restart=restart) == (if_changed if restart else taken)


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("size", [200, 290])
async def test_a_complete_file_that_nobody_owns_is_the_user_s_after_cancelling(
    world: World, size: int, named: bool
) -> None:
    target = await prepare(world, "never", named, "skip")
    target["options"] = Options(restart_changed=True)
    world.source("set/a", b"!" * size)
    await kill(world, "send_part", target)
    stored = Stored(world)
    stored.restore_journal(stored.journal_before(b'"e":"init"'))
    assert await world.cancel() == 0
    assert stored.contents(named=named) == STORED
    del target["options"]
    world.source("set/a", b"?" * 210)
    await world.upload(str(world.folder / "set"), **target)
    assert STORED[0] in stored.contents(named=named)


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("on_conflict", ["skip", "keep"])
async def test_a_verified_file_is_not_replaced_by_a_change_of_the_same_size(
    world: World, on_conflict: OnConflict, named: bool
) -> None:
    target = await prepare(world, "never", named, on_conflict)
    cut_last_line(world)
    await run_to_the_end(world, target)
    stored = Stored(world)
    stored.restore_journal(0)
    world.source("set/a", b"!" * 200)
    await world.upload(str(world.folder / "set"), **target)
    assert STORED[0] in stored.contents(named=named)


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("cut", ["whole plan", "start"])
async def test_an_earlier_version_that_was_renamed_is_kept(world: World, cut: str, named: bool) -> None:
    target = await prepare(world, "never", named, "skip")
    (item,) = world.figshare.stored_items.values()
    old = next(file for file in item.files.values() if file.name == "a")
    await restart_a(world, "send_part", target)
    old.name = "a-old"
    stored = Stored(world)
    stored.restore_journal(0 if cut == "whole plan" else stored.journal_before(b'"e":"init"'))
    for _ in range(2):
        await run_to_the_end(world, target)
        assert old.id in item.files


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("cut", ["job", "init", "source+"])
async def test_a_complete_new_version_does_not_stay_beside_the_earlier_one(
    world: World, cut: str, restart: bool, named: bool
) -> None:
    """The source is the earlier one again."""
    target = await prepare(world, "never", named, "skip")
    world.figshare.md5_delay = 30.0
    await restart_a(world, "complete", target)
    (item,) = world.figshare.stored_items.values()
    world.figshare.md5_delay = 0.0
    for file in item.files.values():
        file.md5_at = 0.0
    world.source("set/a", FILES["a"])
    stored = Stored(world)
    stored.restore_journal(stored.journal_before(f'"e":"{cut}"'.encode()))
    if not restart:
        del target["options"]
    status = await world.upload(str(world.folder / "set"), **target)
    assert (status == 0) == (stored.contents(named=named) == STORED)
    assert status == 0 or not restart


@pytest.mark.parametrize("named", [False, True])
async def test_the_dry_run_of_a_failed_source_that_was_changed_agrees(world: World, named: bool) -> None:
    target = sources_for(world, named)
    world.figshare.fail("initiate", Fault.REJECTED, times=4)
    assert await world.upload(str(world.folder / "set"), **target) == 1
    (job,) = world.jobs()
    length = (job / "journal").stat().st_size
    world.figshare.clear_faults()
    world.source("set/a", b"!" * 290)
    await kill(world, "send_part", target)
    Stored(world).restore_journal(length)
    status = await planned(world, str(world.folder / "set"), target)
    assert await world.upload(str(world.folder / "set"), **target) == status


@pytest.mark.parametrize("cut", ["", "bad", "job"])
async def test_a_bad_copy_is_removed_once_though_listings_are_old(world: World, cut: str) -> None:
    damage_the_first(world)
    target = sources_for(world, False)
    await kill(world, "send_part", target, 8)
    world.figshare.on_request.clear()
    stored = Stored(world)
    if cut:
        stored.restore_journal(stored.journal_before(f'"e":"{cut}"'.encode()))
    world.figshare.behind = lambda name: 20.0 if name in ("files", "item") else 0.0
    await run_to_the_end(world, target)
    assert world.figshare.log.count("delete_file") == 1


async def test_cancelling_with_a_note_and_without_the_item(world: World) -> None:
    await prepare(world, "send_part 2", False, "skip")
    stored = Stored(world)
    stored.restore_journal(stored.journal_before(b'"e":"item+"'))
    synced_path(stored.job / "journal").unlink()
    (stored.job / "late-0-12345").write_bytes(b"")
    assert await world.cancel() == 0


@pytest.mark.parametrize("named", [False, True])
async def test_an_announced_file_that_appears_after_its_removal_is_removed_in_that_run(
    world: World, named: bool
) -> None:
    source = world.source("a", b"a" * 200)
    target: dict[str, Any] = {"item": world.figshare.add_item(TITLE).id} if named else {"title": TITLE}
    hidden: list[tuple[StoredItem, StoredFile]] = []

    def hide(_: str) -> None:
        if not hidden:
            (item,) = world.figshare.stored_items.values()
            (file,) = item.files.values()
            hidden.append((item, item.files.pop(file.id)))

    def show(_: str) -> None:
        item, file = hidden[0]
        item.files[file.id] = file

    world.figshare.on_request["initiate"] = hide
    assert await world.upload(source, **target) == 75  # announced, but not listed
    world.figshare.on_request["complete"] = show
    assert await world.upload(source, **target) == 0  # "removes" it (404), sends another
    assert world.contents(hidden[0][0].id) == [("a", md5(b"a" * 200))]


async def test_an_earlier_version_that_appears_after_its_removal_is_not_published(world: World) -> None:
    item = world.figshare.add_item()
    item.fields.update(description="d", categories=[1], keywords=["k"])
    source, options = world.source("a", b"a" * 200), Options(restart_changed=True)
    assert await world.upload(source, options=options, item=item.id) == 0
    hidden: list[StoredFile] = []
    shown: list[bool] = []

    async def gate(name: str) -> None:
        if name == "files" and hidden and not shown and "delete_file" in world.figshare.log:
            shown.append(True)
            item.files[hidden[0].id] = hidden[0]

    world.figshare.on_request["complete"] = lambda _: hidden.append(item.files.pop(min(item.files)))
    world.figshare.gate = gate
    world.source("a", b"!" * 300)
    published: list[list[tuple[str, str]]] = []
    world.figshare.on_request["publish"] = lambda _: published.append(world.contents(item.id))
    publish = ItemOptions(publish=True)
    assert await world.upload(source, options=options, item=item.id, item_options=publish) == 0
    assert published == [[("a", md5(b"!" * 300))]] == [world.contents(item.id)]


@pytest.mark.parametrize("named", [False, True])
async def test_cancelling_keeps_a_complete_file_of_which_there_is_a_note(world: World, named: bool) -> None:
    await complete_without_md5(world, named)
    (item,) = world.figshare.stored_items.values()
    (file,) = item.files.values()
    (job,) = world.jobs()
    (job / f"late-0-{file.id}").write_bytes(b"")  # of the process that began it; this one found it by a search
    assert await world.cancel() == 0
    assert file.id in item.files


@pytest.mark.parametrize("named", [False, True])
async def test_a_new_version_is_not_removed_without_being_asked(world: World, named: bool) -> None:
    target = await prepare(world, "never", named, "keep")
    await restart_a(world, "complete", target)
    (item,) = world.figshare.stored_items.values()
    new = max(item.files)
    world.source("set/a", FILES["a"])
    stored = Stored(world)
    stored.restore_journal(stored.journal_before(b'"e":"source+"'))
    target["options"] = Options(on_conflict="keep")
    await world.upload(str(world.folder / "set"), **target)
    assert new in item.files


@pytest.mark.parametrize("named", [False, True])
async def test_a_file_that_was_renamed_beside_a_verified_one_is_kept(world: World, named: bool) -> None:
    target = sources_for(world, named)
    target["options"] = Options(on_conflict="keep")
    (world.folder / "set" / "a").rename(world.folder / "a")
    await run_to_the_end(world, target)
    (world.folder / "a").rename(world.folder / "set" / "a")
    await kill(world, "complete", target)
    (item,) = world.figshare.stored_items.values()
    old = next(file for file in item.files.values() if file.name == "a")
    old.name = "b"
    stored = Stored(world)
    data = b"".join(stored.lines)
    stored.restore_journal(data.rindex(b"\n", 0, data.rindex(b'"e":"init?"')) + 1)
    await world.upload(str(world.folder / "set"), **target)
    assert old.id in item.files


@pytest.mark.parametrize("on_conflict", ["skip", "keep", "replace"])
@pytest.mark.parametrize("named", [False, True])
async def test_a_complete_unverified_file_that_was_renamed_does_not_prevent_success(
    world: World, named: bool, on_conflict: OnConflict
) -> None:
    target = sources_for(world, named)
    (world.folder / "set" / "b").unlink()
    world.figshare.md5_delay = 30.0
    await kill(world, "complete", target)
    (item,) = world.figshare.stored_items.values()
    (old,) = item.files.values()
    old.name = "a-old"
    stored = Stored(world)
    stored.restore_journal(stored.journal_before(b'"e":"init"'))
    target["options"] = Options(on_conflict=on_conflict)
    statuses = [await world.upload(str(world.folder / "set"), **target) for _ in range(3)]
    assert old.id in item.files
    assert statuses[-1] == 0, world.error


@pytest.mark.parametrize("named", [False, True])
async def test_the_dry_run_of_a_job_that_lost_a_link_agrees(world: World, named: bool) -> None:
    sources = Sources(paths=(world.source("f", b"f" * 100),), links=(LINK,))
    target: dict[str, Any] = {"item": world.figshare.add_item(TITLE).id} if named else {"title": TITLE}
    world.figshare.fail("link", Fault.KILLED_AFTER)
    assert await world.upload(sources, **target) == KILLED
    world.figshare.clear_faults()
    world.figshare.fail("file", Fault.KILLED_AFTER)  # the link was found and is on record
    assert await world.upload(sources, **target) == KILLED
    world.figshare.clear_faults()
    stored = Stored(world)
    for length in stored.cuts:
        stored.restore(length)
        status = await planned(world, sources, target)  # raises JournalDamaged
        assert await world.upload(sources, **target) == status, length


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("cut", ["job", "init", "source+"])
async def test_the_dry_run_shows_the_conflict_with_a_new_version_on_record(world: World, cut: str, named: bool) -> None:
    target = await prepare(world, "never", named, "skip")
    await restart_a(world, "complete", target)
    world.source("set/a", FILES["a"])
    stored = Stored(world)
    stored.restore_journal(stored.journal_before(f'"e":"{cut}"'.encode()))
    del target["options"]
    status = await planned(world, str(world.folder / "set"), target)
    assert await world.upload(str(world.folder / "set"), **target) == status


@pytest.mark.parametrize("named", [False, True])
async def test_two_earlier_versions_on_record_are_no_damaged_copies(world: World, named: bool) -> None:
    target = sources_for(world, named)
    (world.folder / "set" / "b").unlink()
    target["options"] = Options(on_conflict="keep")
    world.figshare.md5_delay = 50.0
    world.figshare.fail("initiate", Fault.REJECTED, times=4)
    assert await world.upload(str(world.folder / "set"), **target) == 1
    world.figshare.clear_faults()
    (journal,) = (job / "journal" for job in world.jobs())
    length = journal.stat().st_size
    for content in (FILES["a"], b"2" * 290):
        world.source("set/a", content)
        await kill(world, "complete", target)
        journal.write_bytes(journal.read_bytes()[:length])
    world.source("set/a", b"3" * 310)
    target["options"] = Options(on_conflict="keep", restart_changed=True)
    assert await world.upload(str(world.folder / "set"), **target) == 0, world.error


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("named", [False, True])
async def test_a_new_version_whose_status_is_old_does_not_stay(world: World, named: bool, restart: bool) -> None:
    target = await prepare(world, "never", named, "skip")
    await restart_a(world, "complete", target)
    (item,) = world.figshare.stored_items.values()
    new = item.files[max(item.files)]
    new.status = "created"
    assert new.upload_status == "completed"
    world.source("set/a", FILES["a"])
    stored = Stored(world)
    stored.restore_journal(stored.journal_before(b'"e":"source+"'))
    if not restart:
        del target["options"]
    status = await world.upload(str(world.folder / "set"), **target)
    new.status = "available"
    assert (status == 0) == (world.contents(item.id) == STORED)


@pytest.mark.parametrize("named", [False, True])
async def test_a_file_that_fails_at_once_is_sent_twice_at_most(world: World, named: bool) -> None:
    target = sources_for(world, named)
    (world.folder / "set" / "b").unlink()

    def fail(_: str) -> None:
        (item,) = world.figshare.stored_items.values()
        assert len(item.files) < 5
        item.files[max(item.files)].status = "ic_failure"

    world.figshare.on_request["initiate"] = fail
    assert await world.upload(str(world.folder / "set"), **target) == 5


@pytest.mark.parametrize("named", [False, True])
async def test_the_dry_run_removes_a_bad_copy_beside_a_verified_file(world: World, named: bool) -> None:
    damage_the_first(world)
    target = sources_for(world, named)
    (world.folder / "set" / "b").unlink()
    await kill(world, "send_part", target, 6)
    world.figshare.on_request.clear()
    stored = Stored(world)
    stored.restore_journal(stored.journal_before(b'"e":"init"'))
    await kill(world, "complete", target)
    world.figshare.fail("files", Fault.KILLED_AFTER, first=2)
    assert await world.upload(str(world.folder / "set"), **target) == KILLED
    world.figshare.clear_faults()
    assert await planned(world, str(world.folder / "set"), target) == 0
    await run_to_the_end(world, target)


@pytest.mark.parametrize("named", [False, True])
async def test_the_dry_run_removes_two_versions_that_were_lost(world: World, named: bool) -> None:
    target = await prepare(world, "never", named, "skip")
    await restart_a(world, "complete", target)
    length = Stored(world).journal_before(b'"e":"source+"')
    (journal,) = (job / "journal" for job in world.jobs())
    journal.write_bytes(journal.read_bytes()[:length])
    world.source("set/a", b"3" * 310)
    await kill(world, "complete", target)
    journal.write_bytes(journal.read_bytes()[:length])
    world.source("set/a", FILES["a"])
    (item,) = world.figshare.stored_items.values()
    assert await planned(world, str(world.folder / "set"), target) == 0
    await run_to_the_end(world, target)
    assert world.contents(item.id) == STORED


@pytest.mark.parametrize("on_conflict", ["skip", "fail"])
@pytest.mark.parametrize("named", [False, True])
async def test_the_dry_run_of_an_open_file_shows_the_conflict_with_a_new_version(
    world: World, named: bool, on_conflict: OnConflict
) -> None:
    target = await prepare(world, "never", named, "skip")
    await restart_a(world, "complete", target)
    world.source("set/a", FILES["a"])
    stored = Stored(world)
    stored.restore_journal(stored.journal_before(b'"e":"done"'))
    target["options"] = Options(on_conflict=on_conflict)
    status = await planned(world, str(world.folder / "set"), target)
    assert await world.upload(str(world.folder / "set"), **target) == status


async def test_somebody_s_unfinished_upload_beside_a_changed_source_is_left_out_by_the_dry_run_too(
    world: World,
) -> None:
    target: dict[str, Any] = {"item": world.figshare.add_item(TITLE).id, "options": Options(restart_changed=True)}
    source = str(Path(world.source("set/a", b"a" * 200)).parent)
    await kill(world, "complete", target)
    stored = Stored(world)
    for length in stored.cuts:
        stored.restore(length)
        world.source("set/a", b"a" * 200)
        assert await world.upload(source, **target) == 0
        (item,) = world.figshare.stored_items.values()
        world.figshare.add_file(item, "a", b"b" * 90, status="created").folder = "set"
        world.source("set/a", b"b" * 210)
        status = await planned(world, source, target)
        assert await world.upload(source, **target) == status, length
