"""Sources that were moved: a link in their place, or in that of a folder above them, leads to them."""

from __future__ import annotations

import pytest

from tests.fakes.figshare import Fault
from tests.fakes.world import KILLED, World, md5

pytestmark = pytest.mark.anyio

TITLE = "my data"


def name_link(world: World, kind: str) -> tuple[list[str], list[tuple[str, str]]]:
    """Make a folder with a link to a file or folder; return both as sources, and what the item must hold."""
    world.source("tree/a", b"a" * 300)
    world.source("elsewhere/b", b"b" * 10)
    world.source("elsewhere/c", b"c" * 10)
    link = world.folder / "tree" / "link"
    link.symlink_to(world.folder / ("elsewhere" if kind == "folder" else "elsewhere/b"))
    linked = ["link/b", "link/c"] if kind == "folder" else ["link"]
    contents = [(path, md5((b"c" if path.endswith("c") else b"b") * 10)) for path in linked]
    return [str(link.parent), str(link)], [*contents, ("tree/a", md5(b"a" * 300))]


@pytest.mark.parametrize("kind", ["file", "folder"])
async def test_a_link_that_the_user_names_is_sent_once(world: World, kind: str) -> None:
    sources, expected = name_link(world, kind)
    for _ in range(3):
        assert await world.upload(sources, title=TITLE) == 0
        (item,) = world.figshare.stored_items.values()
        assert world.contents(item.id) == expected
        assert world.report is not None
        assert len(world.report.files) == len(expected)


@pytest.mark.parametrize("fault", [Fault.KILLED_BEFORE, Fault.KILLED_AFTER], ids=lambda fault: fault.value)
@pytest.mark.parametrize("request_name", ["create", "initiate", "send_part", "complete"])
async def test_a_link_that_the_user_names_is_sent_once_after_an_interruption(
    world: World, request_name: str, fault: Fault
) -> None:
    sources, expected = name_link(world, "folder")
    world.figshare.fail(request_name, fault, first=1 if request_name == "create" else 2)
    assert await world.upload(sources, title=TITLE) == KILLED
    world.figshare.clear_faults()
    assert await world.upload(sources, title=TITLE) == 0
    (item,) = world.figshare.stored_items.values()
    assert world.contents(item.id) == expected
