"""Sources that were moved: a link in their place, or in that of a folder above them, leads to them."""

from __future__ import annotations

import pytest

from tests.fakes.figshare import Fault
from tests.fakes.world import KILLED, World, md5
from uploader.sources.models import Sources

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


async def moved_folder(world: World) -> str:
    """A folder whose subfolder was moved behind a link before anything was sent; return its path."""
    for name in ("raw/a", "raw/junk.tmp", "raw/old/b", "z"):
        world.source(f"tree/{name}", name.encode() * 10)
    world.figshare.fail("create", Fault.KILLED_BEFORE)
    tree = str(world.folder / "tree")
    assert await world.upload(tree, title=TITLE) == KILLED
    world.figshare.clear_faults()
    (world.folder / "tree" / "raw").rename(world.folder / "elsewhere")
    (world.folder / "tree" / "raw").symlink_to(world.folder / "elsewhere")
    return tree


@pytest.mark.parametrize(
    ("exclude", "ignore_file", "ignored", "left"),
    [
        (("*.tmp", "old/"), None, "", ["tree/raw/a", "tree/z"]),
        (("/raw/junk.tmp",), None, "", ["tree/raw/a", "tree/raw/old/b", "tree/z"]),
        (("/tree/raw/junk.tmp",), None, "", ["tree/raw/a", "tree/raw/junk.tmp", "tree/raw/old/b", "tree/z"]),
        ((), "tree/.figupignore", "*.tmp\n", ["tree/raw/a", "tree/raw/old/b", "tree/z"]),
        ((), "elsewhere/.figupignore", "/old\n", ["tree/raw/a", "tree/raw/junk.tmp", "tree/z"]),
    ],
    ids=["patterns", "below the folder", "not below the folder", "ignore file above", "ignore file in the folder"],
)
async def test_what_was_moved_and_is_excluded_now_is_not_sent(
    world: World, exclude: tuple[str, ...], ignore_file: str | None, ignored: str, left: list[str]
) -> None:
    tree = await moved_folder(world)
    if ignore_file is not None:
        world.source(ignore_file, ignored.encode())
    for _ in range(2):
        assert await world.upload(Sources(paths=(tree,), exclude=exclude), title=TITLE) == 0
        (item,) = world.figshare.stored_items.values()
        assert [path for path, _ in world.contents(item.id)] == left
        assert world.report is not None
        assert len(world.report.files) == len(left)
        reasons = {skip.path.removeprefix(f"{tree}/"): skip.reason for skip in world.report.skipped}
        assert reasons["raw/"] == "link"
        assert set(reasons.values()) <= {"link", "excluded", "hidden"}


async def test_what_was_sent_moved_and_excluded_need_not_be_in_the_item(world: World) -> None:
    world.source("tree/raw/a", b"a")
    world.source("tree/z", b"z")
    tree = str(world.folder / "tree")
    assert await world.upload(tree, title=TITLE) == 0
    (world.folder / "tree" / "raw").rename(world.folder / "elsewhere")
    (world.folder / "tree" / "raw").symlink_to(world.folder / "elsewhere")
    (item,) = world.figshare.stored_items.values()
    del item.files[next(file.id for file in item.files.values() if file.name == "a")]
    assert await world.upload(Sources(paths=(tree,), exclude=("a",)), title=TITLE) == 0
    assert world.contents(item.id) == [("tree/z", md5(b"z"))]


async def test_an_ignore_file_that_cannot_be_read_behind_a_link_is_an_error(world: World) -> None:
    tree = await moved_folder(world)
    (world.folder / "elsewhere" / ".figupignore").mkdir()
    assert await world.upload(tree, title=TITLE) == 2
    assert ".figupignore" in str(world.error)


async def test_what_is_new_behind_a_link_is_not_sent(world: World) -> None:
    tree = await moved_folder(world)
    world.source("elsewhere/new", b"new")
    (world.folder / "elsewhere" / "broken").symlink_to("nowhere")
    (world.folder / "elsewhere" / "loop").symlink_to(world.folder / "tree")
    assert await world.upload(tree, title=TITLE) == 0
    (item,) = world.figshare.stored_items.values()
    names = [path for path, _ in world.contents(item.id)]
    assert names == ["tree/raw/a", "tree/raw/junk.tmp", "tree/raw/old/b", "tree/z"]
