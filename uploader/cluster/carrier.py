"""The code that runs in a worker of a Dask pool: one event loop and one connection pool for each leader that uses it.

A task is one order. It returns what a member would report, and never raises: Dask's logs show a failed task with its
arguments, which have addresses of uploads in them.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import TypeVar

import anyio
import distributed

from uploader._version import __version__
from uploader.clock import Clock
from uploader.cluster.assignment import Assignment, MemberRun
from uploader.cluster.division import RateMeter
from uploader.cluster.messages import Entry, Hello, Limits, LimitsApplied, Order, OrderFailed, OrderOver, Speed
from uploader.cluster.scheduler import task_name
from uploader.figshare.client import Figshare
from uploader.figshare.models import Part
from uploader.figshare.settings import Settings
from uploader.transfer.parts.adaptive import AdaptiveConcurrency
from uploader.transfer.parts.queue import PartQueue
from uploader.transfer.parts.senders import TICK, PartSenders
from uploader.transfer.run.deadline import DeadlinePolicy
from uploader.transfer.run.progress import ProgressTracker
from uploader.transfer.run.stop import Stop
from uploader.transfer.run.throttle import Throttle

T = TypeVar("T")

_release_worker_thread: Callable[[], None] = distributed.secede
"""Let the worker run other tasks beside the present one, which mostly waits."""

_LIMIT_POLL = 0.25
"""Seconds between two checks whether a lowered limit is kept."""
_FAILED = "failed"
"""Code of an order that failed for a reason that no error of figup describes."""

_UNUSED = 600.0
"""Seconds after which a carrier without orders is ended if another run needs one: its leader must have ended."""

_lock = threading.Lock()
_carriers: dict[str, Carrier] = {}
"""The carriers of this process by the run that they work for."""


def describe() -> Hello:
    """Describe this worker, as a member does. Runs in the worker."""
    return Hello(
        host=socket.gethostname(), machine="", pid=os.getpid(), version=__version__, task=task_name(os.environ)
    )


def carry_out(run: str, settings: Settings, term: int, order: Order, limits: Limits) -> list[Entry]:
    """Carry out an order within these limits, and return its outcome. Runs in the worker; `run` names the leader's run.

    The limits come with each order, since a worker that restarts, or ends its carrier, forgets them.
    """
    _release_worker_thread()
    try:
        with _carrier(run, settings) as carrier:
            return carrier.call(carrier.carry_out(term, order, limits))
    except BaseException as error:  # noqa: BLE001 - see the top of this module
        failed = OrderFailed(term=term, order=order.id, code=_FAILED, message=type(error).__name__)
        return [failed, OrderOver(term=term, order=order.id)]


def withdraw(run: str, settings: Settings, numbers: list[int], abort: bool) -> list[Entry]:
    """Withdraw orders; return which parts are left: see `Assignment.withdraw`. Runs in the worker."""
    _release_worker_thread()
    with _carrier(run, settings) as carrier:
        return carrier.call(carrier.withdraw(frozenset(numbers), abort=abort))


def apply_limits(run: str, settings: Settings, term: int, seq: int, limits: Limits) -> list[Entry]:
    """Apply limits; return once no more connections are in use, or there are newer ones. Runs in the worker."""
    _release_worker_thread()
    with _carrier(run, settings) as carrier:
        carrier.call(carrier.limit(limits))
    return [LimitsApplied(term=term, seq=seq)]


@contextmanager
def _carrier(run: str, settings: Settings) -> Iterator[Carrier]:
    """Yield the carrier of a run, which does not end during the block. Other jobs may use the same worker meanwhile."""
    with _lock:
        if run not in _carriers:
            _close_unused()
            _carriers[run] = Carrier(settings)
        carrier = _carriers[run]
        carrier.calls += 1
    try:
        yield carrier
    finally:
        with _lock:
            carrier.calls -= 1
            carrier.used_at = time.monotonic()


def _close_unused() -> None:
    for run, carrier in tuple(_carriers.items()):
        if not carrier.calls and time.monotonic() - carrier.used_at > _UNUSED:
            _carriers.pop(run).close()


class Carrier:
    """Sends parts in a thread with its own event loop."""

    def __init__(self, settings: Settings) -> None:
        self.calls = 0
        """Calls in progress."""
        self.used_at = time.monotonic()
        """When the last call ended."""
        self._settings = settings
        self._limits = Limits()
        self._running: dict[int, Assignment] = {}
        self._entries: dict[int, list[Entry]] = {}
        self._numbers = itertools.count()
        self._meter = RateMeter()
        self._loop: asyncio.AbstractEventLoop
        self._ready = threading.Event()
        self._started = False
        self._end = anyio.Event()
        self.thread = threading.Thread(target=self._work, name="figup-carrier", daemon=True)
        self.thread.start()
        self._ready.wait()
        if not self._started:
            raise RuntimeError("the carrier has ended")

    def _work(self) -> None:
        try:
            # Cancels calls that are still in progress, so that no caller waits forever.
            with asyncio.Runner() as runner:
                self._loop = runner.get_loop()
                runner.run(self._live())
        finally:
            self._ready.set()

    async def _live(self) -> None:
        clock = Clock()
        async with Figshare(self._settings, None, clock=clock) as api, anyio.create_task_group() as tasks:
            self._run = MemberRun(
                api=api,
                stop=Stop(),
                clock=clock,
                retry=self._settings.retry,
                notify=lambda _: None,
                throttle=Throttle(None, clock),
                progress=ProgressTracker(()),
                on_part=self._note_part,
                deadline=DeadlinePolicy(None),
            )
            self._queue = PartQueue()
            self._senders = PartSenders(self._run, AdaptiveConcurrency(), self._queue)
            self._senders.start(tasks)
            tasks.start_soon(self._tick)
            self._started = True
            self._ready.set()
            await self._end.wait()
            tasks.cancel_scope.cancel()

    async def _tick(self) -> None:
        while True:
            await anyio.sleep(TICK)
            self._senders.tick()
            self._run.throttle.refresh()
            self._meter.observe(self._run.progress.accepted, self._run.clock.monotonic(), busy=bool(self._running))

    def call(self, work: Coroutine[None, None, T]) -> T:
        """Run this on the carrier's loop and wait for it. Raises what it raises."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def close(self) -> None:
        """End the thread; calls in progress are cancelled."""
        self._loop.call_soon_threadsafe(self._end.set)

    async def withdraw(self, numbers: frozenset[int], *, abort: bool) -> list[Entry]:
        """Withdraw these orders; return which parts are left."""
        withdrawn = (each for each in self._running.values() if each.order.id in numbers)
        return [entry for assignment in withdrawn for entry in assignment.withdraw(abort=abort)]

    async def limit(self, limits: Limits) -> None:
        """Apply limits, and wait until they are kept or there are newer ones."""
        self._apply(limits)
        while limits.number == self._limits.number and not self._senders.limit(limits.connections):
            await self._run.clock.sleep(_LIMIT_POLL)

    def _apply(self, limits: Limits) -> None:
        """Apply limits from now on, unless the present ones are newer: tasks may come late."""
        if limits.number > self._limits.number:
            self._limits = limits
            self._run.throttle.share = None if limits.rate is None else max(1.0, limits.rate)
            self._run.throttle.refresh()
            self._senders.limit(limits.connections)

    async def carry_out(self, term: int, order: Order, limits: Limits) -> list[Entry]:
        """Carry out an order within these limits; return its outcome."""
        self._apply(limits)
        index = next(self._numbers)
        entries = self._entries[index] = []
        assignment = self._running[index] = Assignment(order, term, index, self._run, self._queue)
        try:
            entries += await assignment.carry_out()
        finally:
            del self._running[index], self._entries[index]
        return [*entries, Speed(term=term, rate=self._meter.rate, in_flight=self._run.progress.in_flight)]

    def _note_part(self, index: int, part: Part, xxh3: int | None) -> None:
        self._entries[index].append(self._running[index].part_done(part, xxh3))
