"""Files created by a process after it lost the job: removed by the next run if they are empty."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes.world import World, md5
from uploader.disk import Disk
from uploader.transfer.store.late_notes import leave_note, read_notes

pytestmark = pytest.mark.anyio

CONTENT = bytes(range(200))


async def finished(world: World) -> tuple[int, Path]:
    """Send a file to an item that the user names; that item, and the job's folder."""
    item = world.figshare.add_item().id
    assert await world.upload(world.source("a", CONTENT), item=item) == 0
    (folder,) = (world.folder / "state" / "jobs").iterdir()
    return item, folder


@pytest.mark.parametrize(("parts", "kept"), [(0, False), (1, True)])
async def test_only_an_empty_file_is_removed(world: World, parts: int, kept: bool) -> None:
    item, folder = await finished(world)
    late = world.figshare.add_file(world.figshare.stored_items[item], "a", CONTENT, status="created")
    late.parts = dict.fromkeys(range(1, parts + 1), b"x")
    leave_note(folder, Disk(), 0, late.id)
    assert await world.upload(world.source("a", CONTENT), item=item) == 0
    assert world.contents(item) == [*([("a", "created")] if kept else []), ("a", md5(CONTENT))]
    assert read_notes(folder) == []


async def test_the_job_s_own_file_and_one_that_is_gone_are_left_alone(world: World) -> None:
    item, folder = await finished(world)
    (own,) = world.figshare.stored_items[item].files
    for index, file_id in ((0, own), (0, 9999), (7, own)):
        leave_note(folder, Disk(), index, file_id)
    (folder / "late-x-1").touch()
    assert await world.upload(world.source("a", CONTENT), item=item) == 0
    assert world.contents(item) == [("a", md5(CONTENT))]
    assert read_notes(folder) == []
    assert world.figshare.log.count("delete_file") == 0
