"""A job that another machine took over sends no request that creates or removes anything."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

import uploader
from tests.fakes import figshare as fake
from tests.fakes.figshare import Fault
from tests.fakes.metadata import Metadata
from tests.fakes.world import KILLED, World
from tests.support.interleaving import process
from uploader.errors import JobBusy
from uploader.items.payload import ItemPayload
from uploader.transfer.journal.log import Journal
from uploader.transfer.options import Options
from uploader.transfer.store import lock
from uploader.transfer.store.lock import JobLock

pytestmark = pytest.mark.anyio

CONTENT = bytes(range(200))
BUSY = 8


def take_over_after(tag: str, patch: pytest.MonkeyPatch) -> None:
    """Let another machine take over the job once an event with this tag is on disk; this one notices on checking."""
    committed = Journal.commit
    lost = False

    async def commit(journal: Journal) -> None:
        nonlocal lost
        await committed(journal)
        lost = lost or f'"e":"{tag}"'.encode() in journal._path.read_bytes()

    async def check(_: JobLock) -> None:
        if lost:
            raise JobBusy("another machine took over this job")

    patch.setattr(Journal, "commit", commit)
    patch.setattr(JobLock, "check", check)
    patch.setattr(JobLock, "confirm", check)


@pytest.mark.parametrize(
    ("tag", "request_name"),
    [("item?", "create"), ("init?", "initiate"), ("done?", "complete"), ("public?", "publish"), ("p", "complete")],
)
async def test_a_creating_request_is_not_sent_if_the_lease_was_lost_after_its_intent(
    tag: str, request_name: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_over_after(tag, monkeypatch)
    source = world.source("a", CONTENT)
    options = uploader.ItemOptions(metadata=Metadata(), publish=True)
    assert await world.upload(source, title="title", item_options=options) == BUSY
    assert request_name not in world.figshare.log


async def test_an_event_is_not_committed_if_the_lease_was_lost(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    take_over_after("item+", monkeypatch)
    assert await world.upload(world.source("a", CONTENT), title="title") == BUSY
    (job,) = world.jobs()
    assert b'"e":"init?"' not in (job / "journal").read_bytes()


async def test_a_doi_is_not_reserved_if_the_lease_was_lost_before(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_over_after("ok", monkeypatch)
    options = uploader.ItemOptions(metadata=Metadata(), reserve_doi=True)
    assert await world.upload(world.source("a", CONTENT), title="title", item_options=options) == BUSY
    assert "reserve_doi" not in world.figshare.log


@pytest.mark.parametrize(
    "request_name",
    ["create", "update", "set_authors", "initiate", "complete", "reserve_doi", "create_private_link", "publish"],
)
async def test_a_changing_request_is_not_repeated_if_the_lease_was_lost_meanwhile(
    request_name: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Figshare asked to wait; while this process was suspended, another machine took over the job."""
    figshare = world.figshare
    # At once: no other task of the run notices first.
    monkeypatch.setattr(fake, "THROTTLED_FOR", 0)
    figshare.fail(request_name, Fault.THROTTLED)

    async def check(_: JobLock) -> None:
        if request_name in figshare.log:
            raise JobBusy("another machine took over this job")

    monkeypatch.setattr(JobLock, "check", check)
    options = uploader.ItemOptions(metadata=Metadata(), reserve_doi=True, private_link=True, publish=True)
    assert await world.upload(world.source("a", CONTENT), title="title", item_options=options) == BUSY
    assert figshare.log.count(request_name) == 1


async def test_an_item_is_not_published_if_the_lease_was_lost_while_its_files_were_checked(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check before a repeated request takes a listing, which may be long."""
    figshare = world.figshare
    figshare.fail("publish", Fault.LOST_BEFORE)

    async def check(_: JobLock) -> None:
        if "publish" in figshare.log and figshare.log[-1] == "item":
            raise JobBusy("another machine took over this job")

    monkeypatch.setattr(JobLock, "check", check)
    options = uploader.ItemOptions(metadata=Metadata(), publish=True)
    assert await world.upload(world.source("a", CONTENT), title="title", item_options=options) == BUSY
    assert figshare.log.count("publish") == 1


async def test_nothing_is_removed_if_the_lease_was_lost(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    item = world.figshare.add_item("title")
    world.figshare.add_file(item, "a", b"earlier")
    take_over_after("ok", monkeypatch)
    status = await world.upload(world.source("a", CONTENT), item=item.id, options=Options(on_conflict="replace"))
    assert status == BUSY
    assert "delete_file" not in world.figshare.log


async def test_after_a_suspension_no_part_is_begun_before_the_lease_is_confirmed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another machine has the job by then, and may have sent the parts that are waiting here."""
    figshare = world.figshare

    async def suspend(name: str) -> None:
        if name == "send_part":
            world.clock.suspend(100)
            monkeypatch.setattr(JobLock, "still_held", lose)

    def lose(lock: JobLock) -> bool:
        lock.lost = True
        return False

    figshare.gate = suspend
    options = Options(connections=1)
    assert await world.upload(world.source("a", CONTENT * 10), title="title", options=options) == BUSY
    assert figshare.log.count("send_part") == 1


# --- a long wait while a job is opened ------------------------------------------------------------------------------


class TwoHosts:
    """Two hosts with one state directory on which neither sees the other's locks; the first is slow once."""

    def __init__(self, world: World, patch: pytest.MonkeyPatch) -> None:
        self.world = world
        self.ended: dict[str, int] = {}
        self.slowed = False
        patch.setattr(lock, "try_flock", lambda _: True)
        patch.setattr(lock, "machine_id", lambda _: process.get())

    async def delay(self) -> None:
        """Let the first host wait longer than its lease lives, once."""
        if process.get() == "first" and not self.slowed:
            self.slowed = True
            await self.world.clock.sleep(60)

    async def run(self, call: Callable[[], Awaitable[int]]) -> dict[str, int]:
        """Make the call on the first host, and five seconds later on the second; return their exit statuses."""

        async def run_on(host: str, start: float) -> None:
            process.set(host)
            await self.world.clock.sleep(start)
            self.ended[host] = int(await call())

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run_on, "first", 0)
            tasks.start_soon(run_on, "second", 5)
        assert self.slowed
        return self.ended


class SlowMetadata(Metadata):
    """Metadata whose names take many requests to look up."""

    hosts: TwoHosts

    async def resolve(self, *arguments: Any, **named: Any) -> ItemPayload:
        await self.hosts.delay()
        return await super().resolve(*arguments, **named)


async def test_the_lease_is_renewed_while_names_of_metadata_are_looked_up(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    metadata = SlowMetadata()
    metadata.hosts = hosts = TwoHosts(world, monkeypatch)
    source = world.source("a", CONTENT)
    options = uploader.ItemOptions(metadata=metadata)
    ended = await hosts.run(lambda: world.upload(source, title="title", item_options=options))
    assert ended == {"first": 0, "second": BUSY}
    assert len(world.figshare.stored_items) == 1


@pytest.mark.parametrize(
    "slow", ["select_moved", "lost_sources", "Execution._changes", "_write_manifests", "absence_events"]
)
async def test_the_lease_is_renewed_while_the_sources_of_a_job_are_examined(
    slow: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    hosts = TwoHosts(world, monkeypatch)
    world.source("d/a", CONTENT)
    folder = str(world.folder / "d")
    process.set("first")
    world.figshare.fail("complete", Fault.KILLED_BEFORE)
    assert await world.upload(folder, title="title") == KILLED
    world.figshare.clear_faults()
    (job,) = (path.name for path in world.jobs())

    async def gate(name: str) -> None:
        if name == slow:
            await hosts.delay()

    world.gate = gate
    ended = await hosts.run(
        lambda: world.resume(job) if slow == "absence_events" else world.upload(folder, title="title")
    )
    assert ended == {"first": 0, "second": BUSY}


async def test_nothing_is_put_on_record_for_a_repeated_command_if_the_lease_was_lost(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = world.source("a", CONTENT)
    assert await world.upload(source, title="title") == 0
    (job,) = world.jobs()
    before = (job / "journal").read_bytes()

    async def check(_: JobLock) -> None:
        raise JobBusy("another machine took over this job")

    monkeypatch.setattr(JobLock, "check", check)
    options = uploader.ItemOptions(metadata=Metadata())
    assert await world.upload(source, title="title", item_options=options) == BUSY
    assert (job / "journal").read_bytes() == before
