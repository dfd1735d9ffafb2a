"""An item is published once outside a job, too: whatever became of the request, the same command finds out."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from blockbuster import BlockBuster

from tests.fakes.clock import VirtualClock, run_inline
from tests.fakes.figshare import FakeFigshare, Fault, Killed, StoredItem
from uploader.disk import Disk, try_flock
from uploader.errors import RequestRejected, ResourcesExhausted
from uploader.figshare.models import Embargo, ItemDetail
from uploader.items.publishing import Intent, PublishIntents, publish_once

pytestmark = pytest.mark.anyio


class Machine:
    """Where an item is published from. `asked`: how often the user was, who agrees `agrees` times."""

    def __init__(self, folder: Path) -> None:
        self.figshare = FakeFigshare(VirtualClock())
        self.folder = folder / "publishing"
        self.asked = 0
        self.agrees = 100
        self.item = self.figshare.add_item("title")
        self.item.fields |= {"description": "d", "keywords": ["k"], "categories": [1]}
        self.figshare.add_file(self.item, "a", b"content")

    async def publish(self) -> bool | None:
        """Run `figup item publish`: whether it was published before, None if the user declined."""

        async def agree(_: ItemDetail) -> bool:
            self.asked += 1
            return self.asked <= self.agrees

        item = await self.figshare.items.detail(self.item.id)
        published = await publish_once(self.figshare, item, self.intents, agree)
        return published if published is None else published[1]

    async def interrupt(self, fault: Fault) -> None:
        """Kill the command at its request."""
        self.figshare.fail("publish", fault)
        with pytest.raises(Killed):
            await self.publish()

    @property
    def intents(self) -> PublishIntents:
        """The intents, as a new process knows them."""
        return PublishIntents(self.folder, Disk(), self.figshare.endpoint)

    @property
    def left(self) -> int:
        """The number of intents on record."""
        return len(list(self.folder.iterdir())) if self.folder.exists() else 0


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_blocking_calls: BlockBuster) -> Machine:
    """Its threads are fakes: with others, the clock would jump while one of them works."""
    no_blocking_calls.deactivate()
    monkeypatch.setattr(anyio.to_thread, "run_sync", run_inline)
    return Machine(tmp_path)


def under_embargo(item: StoredItem) -> None:
    item.embargo = Embargo(scope="file")


async def test_an_item_is_published_once(machine: Machine) -> None:
    assert [await machine.publish() for _ in range(2)] == [False, True]
    assert (machine.item.version, machine.asked, machine.left) == (1, 1, 0)


@pytest.mark.parametrize("lag", [0.0, 60.0])
@pytest.mark.parametrize("how", ["plain", "embargo", "review"])
async def test_a_request_that_was_interrupted_is_not_repeated(machine: Machine, how: str, lag: float) -> None:
    machine.figshare.publish_lag = lag
    machine.figshare.reviews = how == "review"
    if how == "embargo":
        under_embargo(machine.item)
    await machine.interrupt(Fault.KILLED_AFTER)
    assert await machine.publish() is True
    assert (machine.figshare.log.count("publish"), machine.asked, machine.left) == (1, 1, 0)
    assert machine.item.version == (how != "review")


async def test_a_request_that_was_never_sent_is_sent_by_the_next_run(machine: Machine) -> None:
    await machine.interrupt(Fault.KILLED_BEFORE)
    assert await machine.publish() is False
    assert (machine.item.version, machine.left) == (1, 0)


async def test_an_answer_that_is_lost_for_a_minute_is_waited_for(machine: Machine) -> None:
    machine.figshare.publish_lag = 60.0
    machine.figshare.fail("publish", Fault.LOST_AFTER)
    assert await machine.publish() is False
    assert (machine.item.version, machine.figshare.log.count("publish")) == (1, 1)


async def test_an_accepted_request_is_waited_for(machine: Machine) -> None:
    machine.figshare.publish_lag = 60.0
    assert [await machine.publish() for _ in range(2)] == [False, True]
    assert (machine.item.version, machine.figshare.log.count("publish"), machine.left) == (1, 1, 0)


async def test_an_accepted_request_stays_on_record_until_its_effect_shows(machine: Machine) -> None:
    machine.figshare.publish_lag = 120.0
    assert [await machine.publish() for _ in range(2)] == [False, True]
    assert (machine.item.version, machine.figshare.log.count("publish"), machine.left) == (1, 1, 0)


async def test_a_submission_that_was_rejected_since_is_made_again(machine: Machine) -> None:
    machine.figshare.reviews = True
    await machine.interrupt(Fault.KILLED_AFTER)
    machine.item.curation_status = "rejected"
    assert await machine.publish() is False
    assert (machine.item.curation_status, machine.left) == ("pending", 0)


@pytest.mark.parametrize("embargo", [False, True])
async def test_what_was_changed_since_the_interruption_is_published(machine: Machine, embargo: bool) -> None:
    if embargo:
        under_embargo(machine.item)
    await machine.interrupt(Fault.KILLED_AFTER)
    machine.item.fields["description"] = "other"
    assert await machine.publish() is False
    assert (machine.item.version, machine.left) == (2, 0)


async def test_an_old_copy_of_an_embargoed_draft_is_not_believed(machine: Machine) -> None:
    under_embargo(machine.item)
    await machine.interrupt(Fault.KILLED_AFTER)
    machine.figshare.behind = lambda request: 4.0 if request == "detail" else 0.0
    await machine.figshare.clock.sleep(10)
    await machine.figshare.items.update(machine.item.id, {"description": "other"})
    assert await machine.publish() is False
    assert machine.item.version == 2


async def test_an_interruption_long_ago_is_not_waited_for(machine: Machine) -> None:
    await machine.interrupt(Fault.KILLED_BEFORE)
    await machine.figshare.clock.sleep(timedelta(days=2).total_seconds())
    since = machine.figshare.clock.monotonic()
    assert await machine.publish() is False
    assert machine.figshare.clock.monotonic() - since < 10


async def test_a_refused_request_leaves_no_record(machine: Machine) -> None:
    machine.figshare.fail("publish", Fault.REJECTED)
    with pytest.raises(RequestRejected):
        await machine.publish()
    assert machine.left == 0


async def test_a_refusal_does_not_hide_an_earlier_request(machine: Machine) -> None:
    under_embargo(machine.item)
    await machine.interrupt(Fault.KILLED_BEFORE)
    machine.figshare.fail("publish", Fault.REJECTED)
    with pytest.raises(RequestRejected):
        await machine.publish()
    machine.figshare.publish(machine.item)
    assert await machine.publish() is True
    assert machine.item.version == 1


async def test_a_refusal_does_not_hide_an_earlier_attempt_whose_answer_was_lost(machine: Machine) -> None:
    machine.figshare.publish_lag = 120.0
    machine.figshare.fail("publish", Fault.LOST_AFTER)
    machine.figshare.fail("publish", Fault.REJECTED, first=2)
    with pytest.raises(RequestRejected):
        await machine.publish()
    assert await machine.publish() is True
    assert (machine.item.version, machine.figshare.log.count("publish"), machine.left) == (1, 2, 0)


async def test_a_refusal_to_show_the_item_is_no_refusal_to_publish_it(machine: Machine) -> None:
    machine.figshare.publish_lag = 60.0
    machine.figshare.fail("detail", RequestRejected("not now"), first=3)
    with pytest.raises(RequestRejected):
        await machine.publish()
    assert await machine.publish() is True
    assert (machine.item.version, machine.figshare.log.count("publish"), machine.left) == (1, 1, 0)


async def test_a_refusal_makes_an_earlier_request_no_younger(machine: Machine) -> None:
    await machine.interrupt(Fault.KILLED_BEFORE)
    await machine.figshare.clock.sleep(timedelta(hours=23).total_seconds())
    machine.figshare.fail("publish", Fault.REJECTED)
    with pytest.raises(RequestRejected):
        await machine.publish()
    await machine.figshare.clock.sleep(timedelta(hours=2).total_seconds())
    since = machine.figshare.clock.monotonic()
    assert await machine.publish() is False
    assert machine.figshare.clock.monotonic() - since < 10


async def test_the_item_is_read_once_more_after_the_user_agreed(machine: Machine) -> None:
    """It took long, and somebody else has published it meanwhile."""

    def publish(_: str) -> None:
        if machine.item.version == 0:
            machine.figshare.publish(machine.item)

    machine.figshare.on_request["files"] = publish
    assert await machine.publish() is True
    assert (machine.item.version, machine.figshare.log.count("publish"), machine.left) == (1, 0, 0)


@pytest.mark.parametrize("changed", [False, True])
async def test_the_user_is_asked_once_for_each_state_of_a_draft(machine: Machine, changed: bool) -> None:
    """Somebody publishes the item under embargo meanwhile: whether it is the same can only be told by the draft."""
    under_embargo(machine.item)

    def publish(_: str) -> None:
        if machine.item.version == 0 and machine.figshare.log.count("files") == 2:
            machine.figshare.publish(machine.item)
            machine.item.fields["description"] = "other" if changed else "d"

    machine.figshare.on_request["files"] = publish
    assert await machine.publish() is not changed
    assert (machine.item.version, machine.asked, machine.left) == (1 + changed, 1 + changed, 0)


async def test_the_user_is_not_asked_again_because_another_process_began(machine: Machine) -> None:
    """It is killed before its request."""

    def record(_: str) -> None:
        if machine.figshare.log.count("files") == 2:
            at = machine.figshare.server_now().isoformat()
            machine.intents.record(machine.item.id, Intent(at=at, version=0, curation="", draft=""), None)

    machine.figshare.on_request["files"] = record
    assert await machine.publish() is False
    assert (machine.item.version, machine.asked, machine.left) == (1, 1, 0)


async def test_two_commands_at_once_publish_one_version(machine: Machine) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(machine.publish)
        tasks.start_soon(machine.publish)
    assert (machine.item.version, machine.figshare.log.count("publish"), machine.left) == (1, 1, 0)
    assert machine.asked <= 2


@pytest.mark.parametrize("how", ["plain", "embargo"])
async def test_two_commands_after_an_interrupted_one_publish_one_version(machine: Machine, how: str) -> None:
    if how == "embargo":
        under_embargo(machine.item)
    await machine.interrupt(Fault.KILLED_BEFORE)
    machine.asked, machine.figshare.publish_lag = 0, 10.0
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(machine.publish)
        tasks.start_soon(machine.publish)
    assert (machine.item.version, machine.figshare.log.count("publish") - 1, machine.left) == (1, 1, 0)
    assert machine.asked <= 2


async def test_an_intent_is_replaced_by_one_process(machine: Machine) -> None:
    await machine.interrupt(Fault.KILLED_BEFORE)
    earlier = machine.intents.read(machine.item.id)
    assert earlier is not None
    mine = Intent(at=earlier.at, version=0, curation="", draft=earlier.draft)
    (path,) = machine.folder.iterdir()
    with path.open("rb") as record:
        assert try_flock(record.fileno())
        assert not machine.intents.record(machine.item.id, mine, earlier)
    assert machine.intents.record(machine.item.id, mine, earlier)
    assert not machine.intents.record(machine.item.id, earlier, earlier)
    assert machine.intents.read(machine.item.id) == mine


async def test_a_user_who_declines_leaves_nothing(machine: Machine) -> None:
    machine.agrees = 0
    assert await machine.publish() is None
    assert (machine.item.version, machine.left) == (0, 0)


async def test_a_user_who_agreed_and_declines_what_was_changed_since_leaves_nothing(machine: Machine) -> None:
    def publish(_: str) -> None:
        if machine.item.version == 0 and machine.figshare.log.count("files") == 2:
            machine.figshare.publish(machine.item)
            machine.item.fields["description"] = "other"

    machine.agrees = 1
    machine.figshare.on_request["files"] = publish
    assert await machine.publish() is None
    assert (machine.item.version, machine.asked, machine.left) == (1, 2, 0)


async def test_a_damaged_record_and_a_folder_without_room_are_no_obstacle(machine: Machine) -> None:
    await machine.interrupt(Fault.KILLED_BEFORE)
    (record,) = machine.folder.iterdir()
    record.write_bytes(b"{")
    assert await machine.publish() is False
    assert machine.left == 0
    machine.folder.rmdir()
    machine.folder.write_bytes(b"")
    machine.item.fields["description"] = "other"
    assert await machine.publish() is False


async def test_a_folder_that_others_may_write_to_is_not_used(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    await machine.interrupt(Fault.KILLED_AFTER)
    machine.folder.chmod(0o777)
    assert machine.intents.read(machine.item.id) is None
    caplog.clear()
    assert await machine.publish() is True
    machine.item.fields["description"] = "other"
    assert await machine.publish() is False
    assert machine.item.version == 2
    assert [line.split(":")[0] for line in caplog.messages] == ["cannot keep a record of what is being published"] * 2


async def test_a_fault_of_the_system_is_no_fault_of_the_program(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run_sync(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(anyio.to_thread, "run_sync", run_sync)
    with pytest.raises(ResourcesExhausted):
        await machine.publish()
