"""Lookups of the item's files: batched where that saves requests, single otherwise; and what loading the item finds."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from functools import partial
from types import SimpleNamespace
from typing import Any

import anyio
import msgspec
import pytest

from tests.support.walks import PLAN
from tests.unit.figshare.service import FakeClock
from uploader.errors import ItemNotFound
from uploader.figshare.models import PAGE, File
from uploader.figshare.outcomes import FileGone
from uploader.transfer.journal import events as ev
from uploader.transfer.journal.lifecycle import State, Transfer
from uploader.transfer.journal.state import ItemState, JobState
from uploader.transfer.run.listing import (
    BULK_FROM,
    RemoteListing,
    _Batch,
    is_listing_cheaper,
    visible_within,
)
from uploader.transfer.run.placement import Placement, files_by_path

pytestmark = pytest.mark.anyio


def file(number: int, *, status: str = "created", url: str | None = "https://up/1") -> File:
    return File(
        id=number, name=f"f{number}", size=1, status=status, computed_md5=None, supplied_md5=None,
        upload_url=url, is_link_only=False, download_url="",
    )  # fmt: skip


class Api:
    """An item with files; counts the requests."""

    def __init__(self, *existing: File) -> None:
        self.clock = FakeClock()
        self.existing = {f.id: f for f in existing}
        self.idle = True
        self.listings = 0
        self.looks: list[tuple[int, bool]] = []
        self.items = 0
        self.folders: dict[int, str] = {}

    def server_now(self) -> datetime:
        return self.clock.now()

    async def item(self, item_id: int) -> Any:
        self.items += 1
        await anyio.lowlevel.checkpoint()
        return SimpleNamespace(folders=dict(self.folders), file_ids=set(self.existing))

    async def files(self, item_id: int) -> AsyncIterator[File]:
        self.listings += 1
        for one in list(self.existing.values()):
            await anyio.lowlevel.checkpoint()
            yield one

    async def file(self, item_id: int, file_id: int, *, fresh: bool = False) -> File:
        self.looks.append((file_id, fresh))
        if file_id not in self.existing:
            raise FileGone("gone")
        return self.existing[file_id]


def remote(api: Any, files: int = 100, *, everything: bool = False) -> RemoteListing:
    state = JobState(
        plan=PLAN,
        item_id=7,
        transfers=[Transfer(index=i, source=f"/f{i}", name=f"f{i}", size=1, mtime_ns=1, inode=1) for i in range(files)],
    )
    return RemoteListing(api, state, FakeClock(), everything=everything)


async def looked(at: RemoteListing, *numbers: int, **how: Any) -> list[File]:
    """Look up all of them at the same time."""
    found: list[File] = []

    async def look(number: int) -> None:
        found.append(await at.file(number, **how))

    with anyio.fail_after(10):
        async with anyio.create_task_group() as serving:
            serving.start_soon(at.run_batches, lambda: True)
            await anyio.wait_all_tasks_blocked()
            async with anyio.create_task_group() as tasks:
                for number in numbers:
                    tasks.start_soon(look, number)
            serving.cancel_scope.cancel()
    return sorted(found, key=lambda f: f.id)


async def test_many_lookups_share_one_listing() -> None:
    api = Api(*(file(n) for n in range(50)))
    assert [f.id for f in await looked(remote(api), *range(50))] == list(range(50))
    assert (api.listings, api.looks) == (1, [])


async def test_a_single_lookup_is_not_batched() -> None:
    api = Api(file(1))
    await looked(remote(api), 1, fresh=True)
    assert (api.listings, api.looks) == (0, [(1, True)])


async def test_a_small_job_does_not_batch() -> None:
    api = Api(*(file(n) for n in range(BULK_FROM)))
    await looked(remote(api, BULK_FROM - 1), *range(BULK_FROM))
    assert (api.listings, len(api.looks)) == (0, BULK_FROM)


async def test_a_file_missing_from_listings_is_looked_up_again_and_then_individually() -> None:
    api = Api(*(file(n) for n in range(5)))
    with pytest.RaisesGroup(pytest.RaisesGroup(FileGone)):
        await looked(remote(api), *range(5), 99, fresh=True)
    assert api.looks == [(99, True)]


async def test_a_listed_file_without_upload_address_is_requested_individually() -> None:
    api = Api(*(file(n) for n in range(5)), file(5, url=None), file(6, status="available", url=None))
    await looked(remote(api), *range(7))
    assert [number for number, _ in api.looks] == [5]


async def test_a_batch_waits_while_other_requests_are_waiting_until_it_is_due() -> None:
    api = Api(*(file(n) for n in range(100)))
    api.idle = False
    at = remote(api)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(at.run_batches, lambda: True)
        for number in range(24):
            tasks.start_soon(at.file, number)
        for _ in range(50):
            await anyio.lowlevel.checkpoint()
        assert api.listings == 0
        await at.file(24)
        assert api.listings == 1
        for number in range(30, 33):
            tasks.start_soon(at.file, number)
        for _ in range(50):
            await anyio.lowlevel.checkpoint()
        assert api.listings == 1
        await at.file(40, pending_bytes=1 << 30)
        assert api.listings == 2
        tasks.cancel_scope.cancel()


async def test_what_loading_the_item_found_is_not_looked_up_again() -> None:
    api = Api(*(file(n) for n in range(20)))
    at = remote(api)
    for transfer in at._state.transfers[:20]:
        transfer.file_id, transfer.state = transfer.index, State.INITIATED
    await at.load()
    assert (await at.file(3)).id == 3
    assert (api.listings, api.looks) == (1, [])
    await at.file(3)
    assert api.looks == [(3, False)]
    assert at.foreign_files == {}, "the job's own files are no conflict"


async def test_a_name_is_looked_up_in_a_listing_that_begins_later() -> None:
    api = Api(file(1))
    at = remote(api)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(at.run_batches, lambda: True)
        await anyio.wait_all_tasks_blocked()
        assert [f.id for f in await at.at("", "f1")] == [1]
        assert await at.at("", "f2") == []
        api.existing[2] = file(2)
        assert [f.id for f in await at.at("", "f2")] == [2]
        tasks.cancel_scope.cancel()


async def test_files_of_one_name_are_distinguished_by_their_folders_with_one_request() -> None:
    api = Api(*(msgspec.structs.replace(file(number), name="data.csv") for number in range(20)))
    api.folders = {number: f"run{number}" for number in range(1, 20)}
    at = remote(api)
    found: dict[str, list[int]] = {}

    async def look(folder: str) -> None:
        found[folder] = [f.id for f in await at.at(folder, "data.csv")]

    async with anyio.create_task_group() as serving:
        serving.start_soon(at.run_batches, lambda: True)
        await anyio.wait_all_tasks_blocked()
        async with anyio.create_task_group() as tasks:
            for number in range(1, 20):
                tasks.start_soon(look, f"run{number}")
            tasks.start_soon(look, "")
            tasks.start_soon(look, "elsewhere")
        serving.cancel_scope.cancel()
    assert found == {"": [0], "elsewhere": [], **{f"run{number}": [number] for number in range(1, 20)}}
    assert (api.listings, api.items) == (1, 1)


async def test_loading_sorts_the_files_of_the_item() -> None:
    mine, foreign, other = file(1), msgspec.structs.replace(file(2), name="f5"), file(300)
    moved = msgspec.structs.replace(file(3), name="f6")
    link = msgspec.structs.replace(file(4), name="x", is_link_only=True, download_url="https://x")
    other_link = msgspec.structs.replace(link, id=5, download_url="https://y")
    api = Api(mine, foreign, other, moved, link, other_link)
    api.folders = {3: "elsewhere"}
    at = remote(api)
    at._state.transfers[1].file_id = 1
    at._state.transfers[1].state = State.INITIATED
    at._state.transfers.append(Transfer(index=100, source="https://x", name="", size=0, mtime_ns=0, inode=0, link=True))
    await at.load()
    assert at.foreign_files == {"f5": [foreign]}, "neither the job's own file nor one in another folder"
    assert at.links == {"https://x": [link]}
    assert (at.other_files, at.other_links, at.file_count) == (3, 1, 6)
    assert at.may_hold(at._state.transfers[5])
    assert not at.may_hold(at._state.transfers[6])


async def test_a_verified_file_counts_only_if_everything_is_loaded() -> None:
    for everything in (False, True):
        at = remote(Api(file(1)), everything=everything)
        at._state.transfers[1].state = State.VERIFIED
        for listed in (at.load, at.refresh):
            at.foreign_files = {}
            await listed()
            assert list(at.foreign_files) == (["f1"] if everything else [])


async def test_a_file_that_the_job_starts_while_the_item_is_listed_again_is_not_foreign() -> None:
    class Starting(Api):
        async def files(self, item_id: int) -> AsyncIterator[File]:
            at._state.transfers[1].file_id = 1
            async for one in super().files(item_id):
                yield one

    at = remote(Starting(file(1), file(2)))
    await at.refresh()
    assert list(at.foreign_files) == ["f2"]


async def test_files_are_grouped_by_remote_path() -> None:
    api: Any = Api(file(1), file(2), msgspec.structs.replace(file(3), name="f1"), file(4))
    api.folders = {2: "d", 4: "d/e"}
    _, found = await files_by_path(api, 7, Placement(partial(api.item, 7), FakeClock(), 0.0), lambda _: False)
    assert {path: [f.id for f in files] for path, files in found.items()} == {"f1": [1, 3], "d/f2": [2], "d/e/f4": [4]}


async def test_a_file_that_appears_while_the_item_is_listed_is_in_its_folder() -> None:
    class Growing(Api):
        async def files(self, item_id: int) -> AsyncIterator[File]:
            self.existing[2], self.folders[2] = file(2), "d"
            async for one in super().files(item_id):
                yield one

    api: Any = Growing(file(1))
    _, found = await files_by_path(api, 7, Placement(partial(api.item, 7), FakeClock(), 0.0), lambda _: False)
    assert list(found) == ["f1", "d/f2"]


def test_one_listing_is_cheaper_than_a_request_for_each_of_many_unfinished_files() -> None:
    state = JobState(
        plan=PLAN,
        item_id=7,
        transfers=[Transfer(index=i, source=f"/f{i}", name=f"f{i}", size=1, mtime_ns=1, inode=1) for i in range(5)],
    )
    assert not is_listing_cheaper(state)
    for transfer in state.transfers[:3]:
        transfer.file_id = transfer.index + 1
    assert is_listing_cheaper(state)
    state.transfers[0].state = State.VERIFIED
    assert not is_listing_cheaper(state)


async def test_an_item_whose_listing_breaks_off_is_not_listed_again() -> None:
    """Its files would be counted twice."""
    api = Api(file(1))
    files = api.files

    async def break_off(item_id: int) -> AsyncIterator[File]:
        async for one in files(item_id):
            yield one
        raise ItemNotFound("gone")

    api.files = break_off  # type: ignore[method-assign]
    at = remote(api)
    at._state.item_state, at._state.item_intent = ItemState.CREATED, created_at(api.clock.now())
    with pytest.raises(ItemNotFound):
        await at.load()
    assert api.listings == 1


def created_at(moment: datetime) -> ev.ItemIntended:
    return ev.ItemIntended(at=moment.isoformat())


@pytest.mark.parametrize(("state", "hours", "seconds"), [
    (ItemState.CREATED, 2, 15.0), (ItemState.CREATED, 25, 0.0), (ItemState.READY, 0, 15.0), (ItemState.READY, 2, 0.0),
])  # fmt: skip
def test_an_item_that_was_seen_once_is_visible_everywhere_sooner(state: ItemState, hours: int, seconds: float) -> None:
    api = Api()
    job = JobState(plan=PLAN, item_state=state, item_intent=created_at(api.clock.now() - timedelta(hours=hours)))
    assert visible_within(api, job, 15.0) == seconds  # type: ignore[arg-type]


@pytest.mark.parametrize(("files", "seconds"), [(10, 60.0), (9 * PAGE, 200.0)])
async def test_a_listing_counts_as_current_for_longer_if_it_costs_more(files: int, seconds: float) -> None:
    at = remote(Api(*(file(number) for number in range(files))))
    await at.load()
    clock = at._clock
    assert isinstance(clock, FakeClock)
    clock.time += seconds
    assert not at.is_old
    clock.time += 1
    assert at.is_old


def test_a_batch_with_much_to_send_is_due_only_while_no_part_waits() -> None:
    batch = _Batch()
    batch.ids, batch.pending_bytes = {1}, 1 << 30
    assert batch.is_due(1, idle=True)
    assert not batch.is_due(1, idle=False)
