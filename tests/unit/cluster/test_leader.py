"""A leader alone: whom it takes for alive, when it begins, and which reports it believes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import msgspec
import pytest

from tests.fakes.clock import VirtualClock
from uploader._version import __version__
from uploader.cluster.leader import LeaderRole
from uploader.cluster.messages import WORKER_LOST, End, Hello, LimitsApplied, OrderFailed, Orders, PartDone
from uploader.cluster.roster import SILENT, MemberView
from uploader.cluster.wire import SETTLE

pytestmark = pytest.mark.anyio
HELLO = Hello(host="n1", machine="m", pid=7, version=__version__)
TERM = 2


class Wire:
    """What members say, as a test sets it."""

    def __init__(self, **hellos: Hello) -> None:
        self.hellos = hellos
        self.given: dict[str, Orders] = {}
        self.read = 0
        self.is_first = True

    async def members(self) -> dict[str, Hello]:
        return dict(self.hellos)

    async def has_earlier_orders(self) -> bool:
        return not self.is_first

    async def give(self, member: str, orders: Orders) -> None:
        self.given[member] = orders

    async def reports(self) -> list[object]:
        return []

    def reported(self, member: str) -> int:
        return self.read


def leader(wire: Wire) -> tuple[LeaderRole, VirtualClock]:
    clock = VirtualClock()
    return LeaderRole(wire, TERM, clock), clock  # type: ignore[arg-type]


def run() -> Any:
    return SimpleNamespace(notify=lambda _: None, reported={})


async def test_a_member_from_before_the_leader_is_alive_once_it_changes() -> None:
    wire = Wire(old=HELLO)
    role, _ = leader(wire)
    await role._roster.look(run())
    assert role.members() == ()
    wire.hellos = {"old": HELLO, "new": msgspec.structs.replace(HELLO, pid=8)}
    await role._roster.look(run())
    assert [member.pid for member in role.members()] == [8]
    wire.hellos["old"] = msgspec.structs.replace(HELLO, beat=1)
    await role._roster.look(run())
    assert [member.pid for member in role.members()] == [7, 8]


@pytest.mark.parametrize("is_first", [True, False])
async def test_only_a_leader_after_another_one_waits_before_it_begins(is_first: bool) -> None:
    wire = Wire()
    wire.is_first = is_first
    role, clock = leader(wire)
    assert not role.is_settled()
    await role.begin()
    assert role.is_settled() == is_first
    await clock.sleep(SETTLE)
    assert role.is_settled()


async def test_members_learn_how_the_job_ended_also_if_its_final_steps_take_minutes() -> None:
    wire = Wire()
    role, clock = leader(wire)
    for beat in range(2):
        await role._roster.look(run())
        wire.hellos = {name: msgspec.structs.replace(HELLO, beat=beat) for name in ("alive", "dead")}
    await role._roster.look(run())
    clock.suspend(10 * SILENT)
    wire.hellos["alive"] = msgspec.structs.replace(HELLO, beat=60)
    end = End(exit_status=0)
    assert await role.end(end) == ["dead"]
    assert {name: orders.end for name, orders in wire.given.items()} == {"alive": end}


async def test_a_share_is_confirmed_by_the_orders_that_changed_it_last() -> None:
    role, _ = leader(Wire())
    role._roster.seen["a"] = MemberView(hello=HELLO, changed=0.0, alive=True, read=0.0, limits=5)
    role._limits = Mock()
    role._take(run(), "a", LimitsApplied(term=TERM, seq=4))
    role._limits.confirm.assert_not_called()
    role._take(run(), "a", LimitsApplied(term=TERM, seq=5))
    role._limits.confirm.assert_called_with("a")


async def test_of_a_part_of_another_term_only_the_hash_is_kept() -> None:
    role, _ = leader(Wire())
    given = Mock(parts={1: Mock(size=4)}, done=[])
    given.order.digest = False
    role._roster.seen["a"] = MemberView(hello=HELLO, changed=0.0, alive=True, read=0.0, given={1: given})
    journaled = {2: 66}
    transfer = Mock(file_id=9, settled=False, parts=Mock(xxh3=journaled.get))
    job = run()
    job.state = SimpleNamespace(active=[transfer, Mock(file_id=8, settled=True)])
    await role.collect_earlier(job)
    for file_id, no in ((9, 2), (8, 1)):
        role._take(job, "a", PartDone(term=TERM - 1, order=1, file_id=file_id, no=no, xxh3=55))
    assert (job.reported, role._roster.needed) == ({}, set())
    role._take(job, "a", PartDone(term=TERM - 1, order=1, file_id=9, no=1, xxh3=77))
    assert (list(given.parts), job.reported, role._roster.needed) == ([1], {9: {1: 77}}, {"a"})


@pytest.mark.parametrize(("code", "unable"), [(WORKER_LOST, set()), ("source-missing", {4})])
async def test_a_worker_gets_a_file_again_unless_it_could_not_send_it(code: str, unable: set[int]) -> None:
    role, _ = leader(Wire())
    given = Mock(parts={1: Mock(size=4)})
    given.sending.transfer = Mock(index=4, path="/a")
    seen = role._roster.seen["a"] = MemberView(hello=HELLO, changed=0.0, alive=True, read=0.0, given={1: given})
    role._take(run(), "a", OrderFailed(term=TERM, order=1, code=code, message="it ended"))
    assert seen.unable == unable
