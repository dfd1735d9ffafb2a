"""A server whose answers come from copies of its data that are behind: nothing is taken for lost, or sent twice."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fakes.figshare import READING, Fault
from tests.fakes.world import KILLED, World, md5
from uploader.transfer.options import Options

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
