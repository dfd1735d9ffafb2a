"""Jobs of records that are run again: what is not visible yet, what changed meanwhile, what is to be published."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes.figshare import Fault
from tests.fakes.records import RecordWorld, record
from tests.fakes.world import KILLED
from uploader.errors import ItemNotFound, RequestRejected
from uploader.records.run import Wishes

pytestmark = pytest.mark.anyio

PUBLISHED, UPDATED = Wishes(publish=True), Wishes(on_duplicate="update")
BOTH = Wishes(publish=True, on_duplicate="update")


@pytest.fixture(autouse=True)
def threads_are_fakes(no_blocking_calls: object) -> None:
    """Blocking calls are not detected here."""
    no_blocking_calls.deactivate()  # type: ignore[attr-defined]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RecordWorld:
    return RecordWorld(tmp_path, monkeypatch)


# --- items that are not visible yet -----------------------------------------------------------------------------------


async def test_a_new_item_that_is_not_visible_yet_is_waited_for(world: RecordWorld) -> None:
    world.figshare.fail("update", RequestRejected("not found", status=404), times=3)
    world.figshare.fail("detail", ItemNotFound("gone"), times=3)
    assert await world.run([record(1)]) == 0
    assert [item.title for item in world.items()] == ["A dam 1"]


async def test_a_refused_value_is_not_waited_for(world: RecordWorld) -> None:
    world.figshare.fail("update", RequestRejected("no such category", status=404), times=3)
    assert await world.run([record(1)]) == 1
    assert world.outcomes[0].reason == "no such category"
    assert world.figshare.log.count("update") == 1


async def test_an_item_that_is_not_visible_yet_is_not_created_again(world: RecordWorld) -> None:
    world.figshare.fail("update", Fault.KILLED_BEFORE)
    assert await world.run([record(1)]) == KILLED
    world.items()[0].visible_at = world.clock.monotonic() + 5
    world.figshare.fail("detail", ItemNotFound("gone"), times=2)
    assert await world.run([record(1)]) == 0
    assert [item.title for item in world.items()] == ["A dam 1"]
    assert world.warnings == []
