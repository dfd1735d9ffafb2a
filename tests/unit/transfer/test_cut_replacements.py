"""A journal cut off after something was to be replaced or removed: it is decided again, never left beside the new."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

from tests.fakes.figshare import Fault
from tests.fakes.world import KILLED, World, md5
from tests.unit.transfer.test_cut_journals import TITLE, Stored
from uploader.errors import Conflict, SourceChanged
from uploader.transfer.options import OnConflict, Options

pytestmark = [pytest.mark.anyio, pytest.mark.search]

OLD, NEW = b"o" * 10, b"n" * 90


def whole(world: World, item: int) -> list[tuple[str, str]]:
    return [held for held in world.contents(item) if held[1] != "created"]


async def interrupt(world: World, interrupted: str, source: str, target: dict[str, Any]) -> None:
    """Run the command until it is killed after this request, or to its end."""
    if interrupted == "never":
        assert await world.upload(source, **target) == 0
        return
    request, number = interrupted.split()
    world.figshare.fail(request, Fault.KILLED_AFTER, first=int(number))
    assert await world.upload(source, **target) == KILLED
    world.figshare.clear_faults()


def check_refused(world: World) -> None:
    """The error says that the file may be the job's own, and how to replace it."""
    assert world.report is not None
    (file,) = world.report.files
    error = file.error
    assert error is not None
    assert error.facts.situation == "perhaps-own"


@pytest.mark.parametrize("new", [NEW, b"n" * len(OLD)], ids=["longer", "as long"])
@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("interrupted", ["never", "send_part 1", "complete 1"])
async def test_a_changed_source_replaces_what_was_sent(world: World, interrupted: str, named: bool, new: bytes) -> None:
    source = world.source("a", OLD)
    target: dict[str, Any] = {"item": world.figshare.add_item(TITLE).id} if named else {"title": TITLE}
    await interrupt(world, interrupted, source, target)
    stored = Stored(world)
    item = next(iter(world.figshare.stored_items))
    planned = stored.journal_before(b'"e":"run"')
    world.source("a", new)
    restart = Options(restart_changed=True)
    for length in stored.cuts:
        stored.restore(length)
        status = await world.upload(source, options=restart, **target)
        if status != 0:
            # Nothing proves that the complete file is the job's: the size that it had is lost, or the item is not its.
            assert named or length < planned, length
            check_refused(world)
            status = await world.upload(source, options=Options(restart_changed=True, on_conflict="replace"), **target)
        assert status == 0, length
        assert list(world.figshare.stored_items) == [item]
        assert whole(world, item) == [("a", md5(new))], length


def remove_lines(stored: Stored, first: int, *, with_next: bool) -> None:
    """Damage one line of the journal, or remove it, so that the next one cannot be read either."""
    lines = stored.lines
    left = [] if with_next else [lines[first][:1] + b"!" + lines[first][2:]]
    (stored.job / "journal").write_bytes(b"".join([*lines[:first], *left, *lines[first + 1 :]]))


@pytest.mark.parametrize("damage", ["cut off", "a line", "two lines"])
@pytest.mark.parametrize("killed", ["complete", "delete_file"])
async def test_what_the_user_wants_replaced_is_removed(world: World, killed: str, damage: str) -> None:
    source = world.source("a", NEW)
    item = world.figshare.add_item(TITLE)
    world.figshare.add_file(item, "a", OLD)
    target: dict[str, Any] = {"item": item.id, "options": Options(on_conflict="replace")}
    world.figshare.fail(killed, Fault.KILLED_AFTER if killed == "complete" else Fault.KILLED_BEFORE)
    assert await world.upload(source, **target) == KILLED
    stored = Stored(world)
    damages = stored.cuts if damage == "cut off" else list(range(len(stored.lines)))
    for where in damages:
        for killed_again in (False, True) if damage == "cut off" else (False,):
            world.figshare.clear_faults()
            stored.restore(where if damage == "cut off" else 0)
            if damage != "cut off":
                remove_lines(stored, where, with_next=damage == "two lines")
            if killed_again:
                world.figshare.fail("delete_file", Fault.KILLED_BEFORE)
                assert await world.upload(source, **target) == KILLED
                world.figshare.clear_faults()
            assert await world.upload(source, **target) == 0, world.error
            assert whole(world, item.id) == [("a", md5(NEW))], where


@pytest.mark.parametrize("on_conflict", ["skip", "replace", "keep"])
async def test_an_earlier_version_whose_record_is_lost_is_not_left_without_a_word(
    world: World, on_conflict: OnConflict
) -> None:
    """Both versions are complete: the earlier one was to be removed when the process was killed."""
    source = world.source("a", OLD)
    assert await world.upload(source, title=TITLE) == 0
    world.source("a", NEW)
    world.figshare.fail("delete_file", Fault.KILLED_BEFORE)
    assert await world.upload(source, title=TITLE, options=Options(restart_changed=True)) == KILLED
    world.figshare.clear_faults()
    stored = Stored(world)
    (item,) = world.figshare.stored_items
    assert len(whole(world, item)) == 2
    for length in stored.cuts:
        stored.restore(length)
        options = Options(on_conflict=on_conflict)
        statuses = [await world.upload(source, title=TITLE, options=options) for _ in range(2)]
        if statuses[-1] == 0:
            assert on_conflict == "keep" or whole(world, item) == [("a", md5(NEW))], length
            continue
        assert isinstance(world.error, SourceChanged | Conflict)
        options = Options(on_conflict="replace", restart_changed=True)
        assert await world.upload(source, title=TITLE, options=options) == 0, (length, world.error)
        assert whole(world, item) == [("a", md5(NEW))], length


async def test_a_file_that_appears_while_a_damaged_job_is_continued_is_kept(world: World) -> None:
    source = world.source("a", NEW)
    item = world.figshare.add_item(TITLE)
    target: dict[str, Any] = {"item": item.id, "options": Options(on_conflict="replace")}
    assert await world.upload(source, **target) == 0
    stored = Stored(world)
    stored.restore_journal(stored.journal_before(b'"e":"init?"'))
    item = world.figshare.stored_items[item.id]
    added: list[int] = []

    def add(_: str) -> None:
        if world.figshare.log.count("files") == counted + 2 and not added:
            added.append(world.figshare.add_file(item, "a", OLD).id)

    counted = world.figshare.log.count("files")
    world.figshare.on_request["files"] = add
    assert await world.upload(source, **target) == 0, world.error
    assert added
    assert added[0] in item.files


async def test_an_item_that_was_removed_is_not_missed(world: World) -> None:
    """Figshare refused the files, so that the job removed its empty item again; then, perhaps, it made another one."""
    source = world.source("a", NEW)
    world.figshare.fail("initiate", Fault.REJECTED, times=9)
    assert await world.upload(source, title=TITLE) == 1
    world.figshare.clear_faults()
    assert not world.figshare.stored_items
    for _ in range(2):
        stored = Stored(world)
        for length in stored.cuts:
            stored.restore(length)
            assert await world.upload(source, title=TITLE) == 0, (length, world.error)
            (item,) = world.figshare.stored_items
            assert whole(world, item) == [("a", md5(NEW))]
        stored.restore(stored.length)
        shutil.rmtree(world.folder / "copy")
        assert await world.upload(source, title=TITLE) == 0


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("damage", ["cut off", "a line", "two lines"])
async def test_a_file_that_was_put_there_after_the_job_was_finished_is_kept(
    world: World, damage: str, *, named: bool
) -> None:
    source = world.source("a", NEW)
    target: dict[str, Any] = {"options": Options(on_conflict="replace")}
    if named:
        item = world.figshare.add_item(TITLE)
        world.figshare.add_file(item, "a", OLD)
        target["item"] = item.id
    else:
        target["title"] = TITLE
    assert await world.upload(source, **target) == 0
    (number,) = world.figshare.stored_items
    theirs = world.figshare.add_file(world.figshare.stored_items[number], "a", b"theirs").id
    stored = Stored(world)
    for where in stored.cuts if damage == "cut off" else list(range(len(stored.lines))):
        stored.restore(where if damage == "cut off" else stored.length)
        if damage != "cut off":
            remove_lines(stored, where, with_next=damage == "two lines")
        for _ in range(2):
            assert await world.upload(source, **target) == 0, (where, world.error)
        assert theirs in world.figshare.stored_items[number].files, where
        assert ("a", md5(NEW)) in world.contents(number)
