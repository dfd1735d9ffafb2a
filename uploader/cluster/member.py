"""A member: sends the parts that the leader wants, and reports. It makes no API request and needs no token.

It starts a part only while it knows the leader's current orders: after a suspension it reads them first, since others
may have its parts by then.
"""

from __future__ import annotations

import itertools
import logging
import math
from contextlib import suppress

import anyio
import msgspec
from anyio.abc import TaskGroup

from uploader.clock import Clock
from uploader.cluster.assignment import Assignment, MemberRun
from uploader.cluster.division import RateMeter
from uploader.cluster.messages import End, Entry, Hello, LimitsApplied, Orders, Speed
from uploader.cluster.wire import SETTLE, LeaderSign, MemberWire
from uploader.concurrency import Stopped, unwrap_group
from uploader.errors import FigupError
from uploader.figshare.models import Part
from uploader.figshare.settings import RetryPolicy
from uploader.transfer.notices import Listener
from uploader.transfer.parts.adaptive import AdaptiveConcurrency
from uploader.transfer.parts.queue import PartQueue
from uploader.transfer.parts.senders import TICK, PartSenders
from uploader.transfer.run.deadline import DeadlinePolicy
from uploader.transfer.run.progress import ProgressTracker
from uploader.transfer.run.service import PartService
from uploader.transfer.run.stop import Stop
from uploader.transfer.run.throttle import Throttle

log = logging.getLogger("uploader.cluster.member")

POLL = 2.0
"""Seconds between two reads of the orders."""
POLL_SOON, SOON = 0.25, 10.0
"""The same while more orders are needed, for at most this many seconds after several parts came at once."""
BEAT = 10.0
"""Seconds between two signs of life, and the longest that a report waits."""
_FIRST_BEATS = 5
"""Reads with a sign of life each, at first and when the leader changes: it soon knows that the member is alive."""
KNOWN = 15.0
"""Seconds for which orders that were read are assumed to be current."""
LEADERLESS = 30.0
"""Seconds without a sign of life from the leader after which a member tries to take its place, which waits as long
again.
"""
_ORPHANED = 4
"""Multiples of LEADERLESS after which a member does so even with unsent parts."""


class MemberRole:
    """One membership: from joining until the job ends or has no leader."""

    def __init__(
        self,
        wire: MemberWire,
        hello: Hello,
        *,
        api: PartService,
        stop: Stop,
        clock: Clock,
        retry: RetryPolicy,
        notify: Listener,
        grace: float,
        patience: float | None = None,
        end: float | None = None,
    ) -> None:
        """`grace`: seconds for which parts in flight may continue when this process must stop. `patience`: seconds to
        wait for a leader; None: until this process can take its place. `end`: when the work must end (monotonic
        seconds); None for any time.
        """
        self.sent = 0
        """Bytes that it sent."""
        self._wire = wire
        self._hello = hello
        self._clock = clock
        self._stop = stop
        self._grace = grace
        self._patience = patience
        self._run = MemberRun(
            api=api,
            stop=stop,
            clock=clock,
            retry=retry,
            notify=notify,
            throttle=Throttle(None, clock),
            progress=ProgressTracker(()),
            on_part=self._note_part,
            deadline=DeadlinePolicy(end),
        )
        self._queue = PartQueue(may_take=self._knows_orders, must_ask=self._may_miss_a_leader)
        self._senders = PartSenders(self._run, AdaptiveConcurrency(), self._queue)
        self._reads = 0
        self._looked_at = -math.inf
        self._term = 0
        self._orders = Orders(seq=0)
        self._obeyed = True
        """True once no more connections are in use than the orders allow."""
        self._numbers = itertools.count()
        self._running: dict[int, Assignment] = {}
        """Assignments in progress, including withdrawn ones."""
        self._meter = RateMeter()
        self._entries: list[Entry] = []
        self._urgent = False
        """True if the leader should get the report soon."""
        self._reported_at = self._beaten_at = self._busy_at = clock.monotonic()
        self._leader: LeaderSign | None = None
        self._leader_at = clock.monotonic()

    @property
    def connections(self) -> int:
        """Connections that are sending a part."""
        return self._run.progress.busy

    async def work(self) -> End | None:
        """Send parts until the job ends, and return how; None if it has no leader, or this process must stop.

        Raises StateDiskFull, StateUnusable, StateLost.
        """
        await self._wire.hello(self._hello)
        end = None
        with unwrap_group():
            async with anyio.create_task_group() as tasks:
                self._senders.start(tasks)
                tasks.start_soon(self._tick)
                end = await self._follow_leader(tasks)
                if end is None:
                    await self._finish_parts()
                tasks.cancel_scope.cancel()
        if end is None:
            await self._report()
            await self._beat(ended=True)
        return end

    async def _follow_leader(self, tasks: TaskGroup) -> End | None:
        while True:
            end = await self._look(tasks)
            if end is not None or self._stop.requested or self._is_leaderless():
                return end
            if self._urgent or self._clock.monotonic() - self._reported_at >= BEAT:
                await self._report()
            if self._reads <= _FIRST_BEATS or self._clock.monotonic() - self._beaten_at >= BEAT:
                await self._beat()
            with suppress(Stopped), self._stop.interruptible():
                await self._clock.sleep(self._pause())

    def _pause(self) -> float:
        """Return the seconds until the next read of the orders."""
        now = self._clock.monotonic()
        if not self._is_nearly_idle():
            self._busy_at = now
            return POLL
        return POLL_SOON if now - self._busy_at < SOON else POLL

    def _is_nearly_idle(self) -> bool:
        """Return True if the leader should give more."""
        return self._queue.left <= 2 * self._orders.connections

    async def _tick(self) -> None:
        while True:
            await self._clock.sleep(TICK)
            self._senders.tick()
            self._run.throttle.refresh()
            self._meter.observe(self._run.progress.accepted, self._clock.monotonic(), busy=bool(self._running))

    def _knows_orders(self) -> bool:
        return self._clock.uptime() - self._looked_at < KNOWN

    def _may_miss_a_leader(self) -> bool:
        """Return True if there may be a new leader for so long that it has given parts of this member to others."""
        return self._clock.uptime() - self._looked_at > SETTLE

    # --- the leader -----------------------------------------------------------------------------------------------

    async def _look(self, tasks: TaskGroup) -> End | None:
        """Read the orders and the leader's state; return how the job ended, None if it has not."""
        self._reads += 1
        began = self._clock.uptime()
        try:
            found, leader = await self._wire.orders(), await self._wire.leader()
        except (FigupError, msgspec.MsgspecError) as error:
            log.info("cannot read the orders: %s", error)
            return None
        self._note_leader(leader)
        if found is not None:
            term, orders = found
            if orders.end is None:
                if (term, orders.seq) != (self._term, self._orders.seq):
                    self._follow(tasks, term, orders)
            elif leader is None or leader.term <= term:
                # Otherwise its author has been replaced, and the job goes on.
                return orders.end
        if self._senders.limit(self._orders.connections) and not self._obeyed:
            self._obeyed, self._urgent = True, True
            self._entries.append(LimitsApplied(term=self._term, seq=self._orders.seq))
        if not self._is_led(leader):
            # The next leader may give the same parts to others.
            for assignment in self._running.values():
                assignment.contest()
        self._looked_at = began
        self._queue.wake(self._queue.left)
        return None

    def _note_leader(self, leader: LeaderSign | None) -> None:
        if leader == self._leader:
            return
        if leader is not None and (self._leader is None or leader.term != self._leader.term):
            self._reads, self._busy_at = 0, self._clock.monotonic()
        self._leader, self._leader_at = leader, self._clock.monotonic()

    def _is_led(self, leader: LeaderSign | None) -> bool:
        """Return True if the author of the orders is still the leader."""
        alive = self._clock.monotonic() - self._leader_at < KNOWN
        return alive and leader is not None and leader.term == self._term and not leader.ended

    def _is_leaderless(self) -> bool:
        """Return True if the leader has ended or shows no sign of life, and this member has no parts to send."""
        still = self._clock.monotonic() - self._leader_at
        ended = self._leader is None or self._leader.ended
        if still < (self._patience or (POLL if ended else LEADERLESS)):
            return False
        return not self._running or still >= _ORPHANED * LEADERLESS

    def _follow(self, tasks: TaskGroup, term: int, orders: Orders) -> None:
        """Start new orders, and drop withdrawn ones after their parts in flight."""
        wanted = {order.id: order for order in orders.orders}
        for assignment in self._running.values():
            if assignment.term == term and assignment.order.id in wanted and not assignment.withdrawn:
                del wanted[assignment.order.id]
            else:
                self._entries += assignment.withdraw(abort=orders.abort and assignment.term == term)
                self._urgent = True
        if term == self._term:
            # Completed ones stay in the orders until the leader has read the report.
            known = {order.id for order in self._orders.orders}
            wanted = {number: order for number, order in wanted.items() if number not in known}
        self._term, self._orders = term, orders
        # Without a share of the rate there are no orders either.
        self._run.throttle.share = None if orders.rate is None else max(1.0, orders.rate)
        self._run.throttle.refresh()
        self._obeyed = False
        if sum(len(order.parts) for order in wanted.values()) > 1 or not all(order.digest for order in wanted.values()):
            # Not where API requests permit few small files: then each comes alone, and looking seldom suffices.
            self._busy_at = self._clock.monotonic()
        for order in wanted.values():
            index = next(self._numbers)
            self._running[index] = Assignment(order, term, index, self._run, self._queue)
            tasks.start_soon(self._carry_out, index)

    # --- orders ---------------------------------------------------------------------------------------------------

    async def _carry_out(self, index: int) -> None:
        """Carry out an order, and report that it is over."""
        try:
            ended = await self._running[index].carry_out()
        finally:
            del self._running[index]
        self._entries += ended
        self._urgent = True

    def _note_part(self, index: int, part: Part, xxh3: int | None) -> None:
        self.sent += part.size if xxh3 is not None else 0
        self._entries.append(self._running[index].part_done(part, xxh3))
        self._urgent |= self._is_nearly_idle()

    async def _finish_parts(self) -> None:
        """Let parts in flight finish, within the grace period."""
        running = tuple(self._running.values())
        for assignment in running:
            self._entries += assignment.withdraw()
        async with anyio.create_task_group() as tasks:

            async def limit() -> None:
                if self._stop.requested:
                    await self._stop.expired(self._grace, self._clock)
                else:
                    await self._clock.sleep(self._grace)
                tasks.cancel_scope.cancel()

            tasks.start_soon(limit)
            for assignment in running:
                await assignment.finished.wait()
            tasks.cancel_scope.cancel()

    # --- reports and signs of life ------------------------------------------------------------------------------------

    async def _report(self) -> None:
        entries, self._entries, self._urgent = self._entries, [], False
        self._reported_at = self._clock.monotonic()
        # The leader decides by the speed how long to wait for what is in flight of withdrawn orders.
        if entries or any(assignment.withdrawn for assignment in self._running.values()):
            speed = Speed(term=self._term, rate=self._meter.rate, in_flight=self._run.progress.in_flight)
            await self._wire.report([*entries, speed])

    async def _beat(self, *, ended: bool = False) -> None:
        self._beaten_at = self._clock.monotonic()
        self._hello = msgspec.structs.replace(
            self._hello, beat=self._hello.beat + 1, term=self._term, seq=self._orders.seq, ended=ended
        )
        await self._wire.hello(self._hello)
