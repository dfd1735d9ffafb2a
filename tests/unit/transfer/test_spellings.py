"""One name, composed on one machine and decomposed on another: every command treats it as the same name."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.figshare import Fault
from tests.fakes.world import World
from tests.support.existing_files import CONTENT, ItemWithFiles, complete_file
from uploader.sources.models import Sources
from uploader.transfer import notices as no
from uploader.transfer.compare import Expected, Match, classify, other_spelling, paths_in_item
from uploader.transfer.files.planner import FilePlan
from uploader.transfer.options import Options
from uploader.transfer.verify import Comparison, verify

pytestmark = pytest.mark.anyio

COMPOSED, DECOMPOSED = "caf\u00e9.txt", "cafe\u0301.txt"


def warnings(world: World) -> str:
    return "\n".join(notice.message for notice in world.notices if isinstance(notice, no.Warned))


async def planned(world: World, path: str, item: int, options: Options | None = None) -> list[FilePlan]:
    async with world.client(options) as client:
        return list((await client.preview(path, item=item)).files)


def test_a_path_matches_itself_or_another_spelling_that_is_not_wanted_itself() -> None:
    assert paths_in_item({COMPOSED}, [COMPOSED, DECOMPOSED, "x"]) == {COMPOSED: [COMPOSED]}
    assert paths_in_item({COMPOSED, "y"}, [DECOMPOSED, "x"]) == {COMPOSED: [DECOMPOSED]}
    assert paths_in_item({COMPOSED, DECOMPOSED}, [DECOMPOSED]) == {DECOMPOSED: [DECOMPOSED]}
    assert paths_in_item({f"d/{COMPOSED}"}, [f"e/{DECOMPOSED}", COMPOSED]) == {}
    assert other_spelling(COMPOSED, [DECOMPOSED]) == DECOMPOSED
    assert other_spelling(COMPOSED, [COMPOSED]) is None


def test_a_file_that_is_known_by_its_id_may_be_spelled_otherwise() -> None:
    expected = Expected(size=7, md5="a" * 32, name=COMPOSED, folder="\u00e9", file_id=1)
    file = complete_file(name=DECOMPOSED, size=7, computed_md5="a" * 32)
    assert classify(file, expected, "e\u0301") is Match.SAME
    assert classify(file, expected, "e") is Match.DIFFERENT


async def test_what_the_item_holds_under_another_spelling_is_not_sent_again(world: World) -> None:
    item = world.figshare.add_item()
    world.figshare.add_file(item, DECOMPOSED, CONTENT)
    source = world.source(COMPOSED, CONTENT)
    (plan,) = await planned(world, source, item.id)
    assert (plan.status, plan.action) == ("same", "skip")
    assert plan.reason == r"there under another spelling, 'cafe\u0301.txt'"
    for _ in range(2):
        assert await world.upload(source, item=item.id) == 0
        assert [path for path, _ in world.contents(item.id)] == [DECOMPOSED]
    assert r"there under another spelling, 'cafe\u0301.txt'; it is not sent again" in warnings(world)


@pytest.mark.parametrize(("on_conflict", "status", "left"), [("skip", 1, [DECOMPOSED]), ("replace", 0, [COMPOSED])])
async def test_another_file_under_another_spelling_is_a_conflict(
    world: World, on_conflict: Any, status: int, left: list[str]
) -> None:
    item = world.figshare.add_item()
    world.figshare.add_file(item, DECOMPOSED, b"another content")
    source, options = world.source(COMPOSED, CONTENT), Options(on_conflict=on_conflict)
    (plan,) = await planned(world, source, item.id, options)
    assert plan.action == ("replace" if on_conflict == "replace" else "refuse")
    assert await world.upload(source, item=item.id, options=options) == status
    assert [path for path, _ in world.contents(item.id)] == left


async def test_two_files_whose_names_differ_only_in_composition_are_sent_with_a_warning(world: World) -> None:
    item = world.figshare.add_item()
    world.source(f"d/{COMPOSED}", b"one")
    assert await world.upload(str(world.folder / "d"), item=item.id) == 0
    world.source(f"d/{DECOMPOSED}", b"another")
    plans = await planned(world, str(world.folder / "d"), item.id)
    assert sorted(plan.action for plan in plans) == ["send", "skip"]
    for _ in range(2):
        assert await world.upload(str(world.folder / "d"), item=item.id) == 0
        assert [path for path, _ in world.contents(item.id)] == [f"d/{DECOMPOSED}", f"d/{COMPOSED}"]
    assert "differ only in Unicode composition" in warnings(world)


@pytest.mark.parametrize("lost", [False, True])
async def test_a_server_may_compose_the_names_that_it_is_given(
    world: World, lost: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    initiate = world.figshare.initiate

    async def composing(item_id: int, *, name: str, **how: Any) -> int:
        return await initiate(item_id, name=unicodedata.normalize("NFC", name), **how)

    monkeypatch.setattr(world.figshare, "initiate", composing)
    if lost:
        world.figshare.fail("initiate", Fault.LOST_AFTER)
    source = world.source(DECOMPOSED, CONTENT)
    for _ in range(2):
        assert await world.upload(source, title="Composed") == 0
        (item,) = world.figshare.stored_items
        assert [path for path, _ in world.contents(item)] == [COMPOSED]


async def test_verify_takes_two_spellings_for_one_name(tmp_path: Path) -> None:
    folder = tmp_path / "de\u0301"
    folder.mkdir()
    (folder / COMPOSED).write_bytes(CONTENT)
    (folder / "e\u0301.tmp").write_bytes(CONTENT)
    api: Any = ItemWithFiles(
        (complete_file(name=DECOMPOSED), complete_file(2, name="\u00e9.tmp")), {1: "d\u00e9", 2: "d\u00e9"}
    )
    reported: list[Comparison] = []
    await verify(
        api, 7, Sources(paths=(str(folder),), exclude=("*.tmp",)), [], reported.append, lambda _: None, settle=30.0
    )
    assert [(one.status, one.spelling) for one in reported] == [("same", f"d\u00e9/{DECOMPOSED}"), ("left-out", None)]


@pytest.mark.parametrize(
    ("content", "on_conflict", "action", "left"),
    [
        (CONTENT, "skip", "skip", [COMPOSED]),
        (CONTENT, "keep", "skip", [COMPOSED]),
        (CONTENT, "replace", "skip", [COMPOSED]),
        (b"another content", "skip", "refuse", [COMPOSED]),
        (b"another content", "keep", "send", [DECOMPOSED, COMPOSED]),
        (b"another content", "replace", "replace", [DECOMPOSED]),
    ],
)
async def test_a_source_that_is_spelled_otherwise_since_it_was_sent_is_not_sent_again(
    world: World, content: bytes, on_conflict: Any, action: str, left: list[str]
) -> None:
    """Such as after a copy through another operating system. If it has changed, too, the one sent may be in the way."""
    item, old = world.figshare.add_item(), Path(world.source(f"set/{COMPOSED}", CONTENT))
    world.source("set/z", CONTENT)
    folder, options = str(old.parent), Options(on_conflict=on_conflict)
    assert await world.upload(folder, item=item.id) == 0
    old.unlink()
    world.source(f"set/{DECOMPOSED}", content)
    first, *_ = await planned(world, folder, item.id, options)
    assert first.action == action
    for _ in range(2):
        assert await world.upload(folder, item=item.id, options=options) == int(action == "refuse"), world.error
        assert [path for path, _ in world.contents(item.id)] == [*(f"set/{name}" for name in left), "set/z"]
