"""The effect of a request after a lost response: found, repeated or given up, within the time limit."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.figshare.service import FakeClock
from uploader.errors import ServerFailing
from uploader.figshare.outcomes import AmbiguousAnswer
from uploader.items.reconcile import confirm


class Waits:
    """A fake session: waiting takes no time, and is recorded."""

    def __init__(self) -> None:
        self.waited: list[float] = []
        self.clock = FakeClock()

    async def wait(self, reason: str, delay: float) -> None:
        assert reason == "doing it: lost; checking whether it took effect"
        self.waited.append(delay)
        await self.clock.sleep(delay)


async def outcome(asks: list[object], looks: list[str | None], patience: float = 4.0) -> tuple[Any, Waits]:
    """Request and check, in turn, until the scripted results are used up."""
    session = Waits()

    async def ask() -> str:
        answer = asks.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return str(answer)

    async def look() -> str | None:
        return looks.pop(0) if looks else None

    return await confirm(session, ask, look, "doing it", time_limit=patience), session  # type: ignore[arg-type]


LOST = AmbiguousAnswer("lost")


async def test_a_response_is_returned() -> None:
    value, session = await outcome(["made"], [])
    assert (value, session.waited) == ("made", [])


async def test_a_found_effect_is_not_requested_again() -> None:
    value, session = await outcome([LOST], [None, None, "found"])
    assert (value, session.waited) == ("found", [0.5, 1.0])


async def test_a_missing_effect_is_requested_again() -> None:
    value, session = await outcome([LOST, "made"], [])
    assert (value, session.waited) == ("made", [0.5, 1.0, 2.0, 0.5])
    value, session = await outcome([LOST, "made"], [], patience=0)
    assert (value, session.waited) == ("made", [])


async def test_attempts_are_limited() -> None:
    with pytest.raises(ServerFailing, match="doing it: lost; it took no effect"):
        await outcome([LOST, LOST, LOST], [])
