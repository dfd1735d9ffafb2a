"""A clock that jumps to the next deadline as soon as no task has anything else to do."""

from __future__ import annotations

import asyncio
import functools
import heapq
import itertools
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

import anyio
import anyio.lowlevel

from uploader.clock import Clock

_IDLE_ROUNDS = 4
"""Rounds of a loop without a visible queue in which all tasks must wait: a callback may still wake one in the next."""
START = datetime(2026, 1, 1, tzinfo=UTC)
TIME_LIMIT = 2 * 86_400.0
"""Seconds after which waiting is taken for a loop without an end: no test is about so long a time."""


Sleeper: TypeAlias = tuple[float, int, Callable[[], object]]
"""When something is woken up, a number that keeps the order, and the call that does it."""


class VirtualClock(Clock):
    """Time passes only while every task waits. `random` is constant, so delays are reproducible."""

    def __init__(self) -> None:
        self._time = 0.0
        self._numbers = itertools.count()
        self._sleepers: list[Sleeper] = []
        self._watching = False
        self._idle_rounds = 0
        self.gate: Callable[[], Awaitable[None]] = _pass
        """Awaited after each sleep: a suspended process does not wake up."""

    def monotonic(self) -> float:
        return self._time

    def uptime(self) -> float:
        return self._time

    def now(self) -> datetime:
        return START + timedelta(seconds=self._time)

    def random(self) -> float:
        return 1.0

    def suspend(self, seconds: float) -> None:
        """Let time pass while no task runs, as in a process that is suspended."""
        self._time += seconds

    def call_later(self, seconds: float, call: Callable[[], object]) -> Callable[[], None]:
        return functools.partial(self._forget, self._wake_after(seconds, call))

    async def sleep(self, seconds: float) -> None:
        await anyio.lowlevel.checkpoint()
        if self._time > TIME_LIMIT:
            raise AssertionError("the code under test waits without an end")
        if seconds <= 0:
            return
        woken = anyio.Event()
        sleeper = self._wake_after(seconds, woken.set)
        try:
            await woken.wait()
        finally:
            self._forget(sleeper)
        await self.gate()

    def _wake_after(self, seconds: float, wake: Callable[[], object]) -> Sleeper:
        sleeper = (self._time + seconds, next(self._numbers), wake)
        heapq.heappush(self._sleepers, sleeper)
        if not self._watching:
            self._watching = True
            asyncio.get_running_loop().call_soon(self._advance_when_idle)
        return sleeper

    def _forget(self, sleeper: Sleeper) -> None:
        if sleeper in self._sleepers:
            self._sleepers.remove(sleeper)
            heapq.heapify(self._sleepers)

    def _advance_when_idle(self) -> None:
        loop = asyncio.get_running_loop()
        self._idle_rounds = self._idle_rounds + 1 if _is_idle(loop) else 0
        if self._idle_rounds >= (1 if hasattr(loop, "_ready") else _IDLE_ROUNDS) and self._sleepers:
            self._idle_rounds = 0
            deadline, _, wake = heapq.heappop(self._sleepers)
            self._time = max(self._time, deadline)
            wake()
        self._watching = bool(self._sleepers)
        if self._watching:
            loop.call_soon(self._advance_when_idle)


def _is_idle(loop: asyncio.AbstractEventLoop) -> bool:
    """Return True if no task could run. No public API tells, and uvloop does not show its queue."""
    if hasattr(loop, "_ready"):
        return not loop._ready
    waiters = (getattr(task, "_fut_waiter", None) for task in asyncio.all_tasks(loop))
    return all(waiter is not None and not waiter.done() for waiter in waiters)


async def _pass() -> None:
    """Let every task continue at once."""


async def run_inline(func: Callable[..., object], *args: object, **_: object) -> object:
    """Stand for `anyio.to_thread.run_sync`: the clock does not see that a thread is at work."""
    await anyio.lowlevel.checkpoint()
    return func(*args)
