"""A member alone: when it looks for orders."""

from __future__ import annotations

from unittest.mock import Mock

import anyio
import pytest

from tests.fakes.clock import VirtualClock
from uploader.cluster.assignment import Assignment
from uploader.cluster.member import POLL, POLL_SOON, SOON, MemberRole
from uploader.cluster.messages import Entry, Hello, Order, Orders, Secret
from uploader.figshare.settings import RetryPolicy
from uploader.transfer.run.stop import Stop

pytestmark = pytest.mark.anyio


def order(number: int, *, digest: bool = True) -> Order:
    parts = ((1, 0, 0),)
    return Order(
        id=number, file_id=number, path="f", size=1, mtime_ns=1, upload=Secret("u"), parts=parts, digest=digest
    )


async def test_orders_are_looked_for_often_only_where_more_parts_may_come_soon(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def carry_out(_: Assignment) -> list[Entry]:
        return []

    monkeypatch.setattr(Assignment, "carry_out", carry_out)
    clock = VirtualClock()
    role = MemberRole(
        Mock(),
        Hello(host="n1", machine="m", pid=7, version="1"),
        api=Mock(),
        stop=Stop(),
        clock=clock,
        retry=RetryPolicy(),
        notify=lambda _: None,
        grace=1.0,
    )
    async with anyio.create_task_group() as tasks:
        assert role._pause() == POLL_SOON
        await clock.sleep(SOON)
        assert role._pause() == POLL
        role._follow(tasks, 1, Orders(seq=1, orders=(order(1),)))
        assert role._pause() == POLL
        role._follow(tasks, 1, Orders(seq=2, orders=(order(1), order(2), order(3))))
        assert role._pause() == POLL_SOON
        await clock.sleep(SOON)
        assert role._pause() == POLL
        role._follow(tasks, 1, Orders(seq=3, orders=(order(4, digest=False),)))
        assert role._pause() == POLL_SOON, "one part of a big file"
