"""Which remote file a job adopts when the outcome of its initiation is unknown: never one that may be another's."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.fakes.figshare import Fault, StoredFile
from tests.fakes.world import KILLED, World, md5
from uploader.errors import Conflict
from uploader.transfer.journal import events as ev
from uploader.transfer.journal.log import decode, encode

pytestmark = pytest.mark.anyio

CONTENT = bytes(range(200))
OTHER = b"!" * 200


async def killed_at_its_initiation(world: World, fault: Fault) -> tuple[str, dict[str, Any]]:
    """Kill an upload to an item that the user named while its file is initiated; return the command's arguments."""
    item = world.figshare.add_item()
    source = world.source("a", CONTENT)
    world.figshare.fail("initiate", fault)
    assert await world.upload(source, item=item.id) == KILLED
    return source, {"item": item.id}


def begun_by_another(world: World) -> StoredFile:
    """An upload that another process has initiated since: of the same name and size."""
    (item,) = world.figshare.stored_items.values()
    return world.figshare.add_file(item, "a", OTHER, status="created")


@pytest.mark.parametrize("begun", ["a part is stored", "a part is being stored", "all parts are stored"])
async def test_an_upload_of_another_process_is_neither_continued_nor_completed(world: World, begun: str) -> None:
    source, target = await killed_at_its_initiation(world, Fault.KILLED_BEFORE)
    theirs = begun_by_another(world)
    if begun == "a part is being stored":
        theirs.locked.add(2)
    else:
        theirs.parts = dict.fromkeys((2,) if begun == "a part is stored" else (1, 2, 3, 4), OTHER[:64])
    before = dict(theirs.parts)
    assert await world.upload(source, **target) == 1
    assert isinstance(world.error, Conflict)
    assert (theirs.status, theirs.parts) == ("created", before)


async def test_the_job_s_own_upload_is_continued(world: World) -> None:
    source, target = await killed_at_its_initiation(world, Fault.KILLED_AFTER)
    assert await world.upload(source, **target) == 0
    assert world.figshare.log.count("initiate") == 1
    assert world.contents(target["item"]) == [("a", md5(CONTENT))]


async def test_without_a_record_of_the_earlier_files_nothing_is_adopted_in_a_foreign_item(world: World) -> None:
    source, target = await killed_at_its_initiation(world, Fault.KILLED_BEFORE)
    theirs = begun_by_another(world)
    (job,) = world.jobs()
    journal = job / "journal"
    events = [
        msgspec.structs.replace(event, known=None) if isinstance(event, ev.UploadIntended) else event
        for event in decode(journal.read_bytes()).events
    ]
    journal.with_name("journal.synced").unlink()
    journal.write_bytes(encode(events)[0])
    await world.upload(source, **target)
    assert (theirs.status, theirs.parts) == ("created", {})


async def test_a_file_of_another_size_is_not_the_one(world: World) -> None:
    source, target = await killed_at_its_initiation(world, Fault.KILLED_BEFORE)
    theirs = begun_by_another(world)
    theirs.size = 100
    await world.upload(source, **target)
    assert (theirs.status, theirs.parts) == ("created", {})


@pytest.mark.parametrize("begun", [True, False], ids=["with a part", "empty"])
async def test_of_late_uploads_only_an_empty_one_is_removed(world: World, begun: bool) -> None:
    """The first initiation was looked for in vain; while the second file is completed, another one appears."""
    appeared: list[StoredFile] = []

    def appear(_: str) -> None:
        if not appeared:
            appeared.append(begun_by_another(world))
            appeared[0].parts = {1: OTHER[:64]} if begun else {}

    world.figshare.fail("initiate", Fault.LOST_BEFORE)
    world.figshare.on_request["complete"] = appear
    assert await world.upload(world.source("a", CONTENT), title="title") == 0
    (item,) = world.figshare.stored_items.values()
    assert (appeared[0].id in item.files) is begun


@pytest.mark.parametrize("request_name", ["create", "initiate"])
async def test_an_effect_that_shows_after_some_seconds_is_waited_for(world: World, request_name: str) -> None:
    world.figshare.items_lag = world.figshare.files_lag = 10.0
    world.figshare.fail(request_name, Fault.KILLED_AFTER)
    source = world.source("a", CONTENT)
    assert await world.upload(source, title="title") == KILLED
    assert await world.upload(source, title="title") == 0
    assert world.figshare.log.count(request_name) == 1


async def test_an_effect_of_the_day_before_is_not_waited_for(world: World) -> None:
    world.figshare.fail("create", Fault.KILLED_BEFORE)
    source = world.source("a", CONTENT)
    assert await world.upload(source, title="title") == KILLED
    await world.clock.sleep(24 * 3600)
    since = world.clock.monotonic()
    assert await world.upload(source, title="title") == 0
    assert world.clock.monotonic() - since < 10
