"""How long the item is read again until it says in which folders files are."""

from __future__ import annotations

from functools import partial

import anyio
import pytest

from tests.support.existing_files import complete_file
from tests.unit.figshare.service import FakeClock
from uploader.figshare.models import Item
from uploader.transfer.run.placement import Placement

pytestmark = pytest.mark.anyio

SETTLE = 30.0


class Server:
    """An item whose answers have files 1 and 2 in no folder, and 3 in one, from those seconds on."""

    def __init__(self, clock: FakeClock, *, files_from: float, folders_from: float = 1e9) -> None:
        self.clock, self.begun = clock, clock.monotonic()
        self.files_from, self.folders_from = files_from, folders_from
        self.reads = list[float]()

    async def item(self) -> Item:
        now = self.clock.monotonic() - self.begun
        self.reads.append(now)
        await anyio.lowlevel.checkpoint()
        ids = {1, 2} if now >= self.files_from else set()
        return Item(id=7, file_ids=ids, folders={3: "d"} if now >= self.folders_from else {9: "d"})


@pytest.mark.parametrize(
    ("files", "files_from", "folders_from", "reads"),
    [
        ([1, 2, 3], 0.0, 0.0, [0.0]),
        ([], 1e9, 1e9, [0.0]),
        ([1], 2.0, 1e9, [0.0, 0.5, 1.5, 3.5]),
        ([3], 1e9, 2.0, [0.0, 0.5, 1.5, 3.5]),
        ([1, 3], 0.0, 5.0, [0.0, 0.5, 1.5, 3.5, 7.5]),
        ([1], 1e9, 0.0, [0.0, 0.5, 1.5, 3.5, 7.5, 12.5, 17.5, 22.5, 27.5, 30.0]),
    ],
)
async def test_it_is_read_until_it_shows_every_file_or_the_settle_time_is_over(
    files: list[int], files_from: float, folders_from: float, reads: list[float]
) -> None:
    clock = FakeClock()
    server = Server(clock, files_from=files_from, folders_from=folders_from)
    placement = Placement(server.item, clock, SETTLE)
    await placement.item_placing([complete_file(i) for i in files], listed_at=clock.monotonic())
    assert server.reads == reads


async def test_the_settle_time_counts_from_when_a_file_was_first_listed() -> None:
    clock = FakeClock()
    server = Server(clock, files_from=1e9)
    placement = Placement(server.item, clock, SETTLE)
    first, second = complete_file(1), complete_file(2)
    await placement.item_placing([first], listed_at=clock.monotonic(), until=clock.monotonic())
    assert server.reads == [0.0]
    await clock.sleep(10)
    await placement.item_placing([first, second], listed_at=clock.monotonic(), until=clock.monotonic())
    await clock.sleep(10)
    await placement.item_placing([first], listed_at=clock.monotonic())
    assert server.reads[-1] == SETTLE
    await placement.item_placing([second], listed_at=clock.monotonic())
    assert server.reads[-1] == 10 + SETTLE


async def test_callers_with_one_listing_share_one_answer() -> None:
    clock = FakeClock()
    server = Server(clock, files_from=0.0)
    placement, listed_at = Placement(server.item, clock, SETTLE), clock.monotonic()
    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(partial(placement.item_placing, [complete_file(1)], listed_at=listed_at))
    assert len(server.reads) == 1
    await placement.item_placing([complete_file(1)], listed_at=listed_at)
    assert len(server.reads) == 2


async def test_an_answer_from_before_the_listing_is_not_shared() -> None:
    clock = FakeClock()
    server = Server(clock, files_from=0.0)
    placement = Placement(server.item, clock, SETTLE)
    async with anyio.create_task_group() as tasks:
        for seconds in (0.0, 1.0):
            listed_at = clock.monotonic() + seconds
            tasks.start_soon(partial(placement.item_placing, [complete_file(1)], listed_at=listed_at))
    assert len(server.reads) == 2
