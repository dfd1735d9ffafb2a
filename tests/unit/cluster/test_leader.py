"""A leader alone: whom it takes for alive, when it begins, and which reports it believes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import msgspec
import pytest

from tests.fakes.clock import VirtualClock
from uploader._version import __version__
from uploader.cluster.leader import SETTLE, SILENT, LeaderRole
from uploader.cluster.messages import Hello, LimitsApplied, PartDone
from uploader.cluster.roster import MemberView

pytestmark = pytest.mark.anyio
HELLO = Hello(host="n1", machine="m", pid=7, version=__version__)
TERM = 2


class Wire:
    """What members say, as a test sets it."""

    def __init__(self, **hellos: Hello) -> None:
        self.hellos = hellos
        self.read = 0
        self.is_first = True

    async def members(self) -> dict[str, Hello]:
        return dict(self.hellos)

    async def has_earlier_orders(self) -> bool:
        return not self.is_first

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
    await role._look(run())
    assert role.members() == ()
    wire.hellos = {"old": HELLO, "new": msgspec.structs.replace(HELLO, pid=8)}
    await role._look(run())
    assert [member.pid for member in role.members()] == [8]
    wire.hellos["old"] = msgspec.structs.replace(HELLO, beat=1)
    await role._look(run())
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


async def test_a_member_is_gone_once_its_report_was_read_to_the_end_or_it_is_silent() -> None:
    wire = Wire()
    role, clock = leader(wire)
    ended = msgspec.structs.replace(HELLO, ended=True, reported=10)
    for hello, read, gone in ((HELLO, 0, False), (ended, 9, False), (ended, 10, True)):
        wire.read = read
        assert role._is_gone("a", MemberView(hello=hello, changed=clock.monotonic(), alive=True)) == gone
    silent = MemberView(hello=HELLO, changed=clock.monotonic(), alive=True)
    await clock.sleep(SILENT + 1)
    assert role._is_gone("a", silent)


async def test_a_share_is_confirmed_by_the_orders_that_changed_it_last() -> None:
    role, clock = leader(Wire())
    role._seen["a"] = MemberView(hello=HELLO, changed=clock.monotonic(), alive=True, limits=5)
    role._limits = Mock()
    role._take(run(), "a", LimitsApplied(term=TERM, seq=4))
    role._limits.confirm.assert_not_called()
    role._take(run(), "a", LimitsApplied(term=TERM, seq=5))
    role._limits.confirm.assert_called_with("a")


async def test_of_a_part_of_another_term_only_the_hash_is_kept() -> None:
    role, clock = leader(Wire())
    given = Mock(parts={1: Mock(size=4)}, done=[])
    given.order.digest = False
    role._seen["a"] = MemberView(hello=HELLO, changed=clock.monotonic(), alive=True, given={1: given})
    job = run()
    role._take(job, "a", PartDone(term=TERM - 1, order=1, file_id=9, no=1, xxh3=77))
    assert (list(given.parts), job.reported) == ([1], {9: {1: 77}})
