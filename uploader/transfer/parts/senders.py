"""The connections of one process: workers that send parts, and how many of them send at the same time."""

from __future__ import annotations

import logging
import math

from anyio.abc import TaskGroup

from uploader.transfer.options import MAX_CONNECTIONS
from uploader.transfer.parts.adaptive import AdaptiveConcurrency
from uploader.transfer.parts.connections import Connections
from uploader.transfer.parts.queue import PartQueue
from uploader.transfer.parts.worker import WORKERS, PartWorker, SendingRun
from uploader.units import format_count, format_rate

log = logging.getLogger("uploader.transfer.senders")

TICK = 0.25
"""Seconds between two calls of `PartSenders.tick`."""
_PACE_TICKS = 2


class PartSenders:
    """The workers of one queue."""

    def __init__(self, run: SendingRun, pace: AdaptiveConcurrency, queue: PartQueue) -> None:
        self._most = MAX_CONNECTIONS
        self._run = run
        self._pace = pace
        self._queue = queue
        self._connections = Connections(pace.limit)
        self._worker = PartWorker(run, pace, queue, self._connections)
        self._ticks = 0
        self._limit = pace.limit
        self._accepted, self._at = run.progress.accepted, -math.inf
        queue.may_begin = self._may_begin

    def start(self, tasks: TaskGroup) -> None:
        """Start the workers; they end with the task group, or when the run stops."""
        for _ in range(WORKERS):
            tasks.start_soon(self._worker.work)

    def tick(self) -> None:
        """Adapt the number of connections to the throughput. Call it every TICK seconds."""
        meter, now = self._run.progress, self._run.clock.monotonic()
        self._ticks += 1
        self._connections.lend(now)
        if self._ticks % _PACE_TICKS == 0 and now > self._at:
            if self._at > -math.inf:
                # Parts that wait for their sources show nothing about the network.
                busy = min(meter.busy, self.in_use)
                self._pace.observe((meter.accepted - self._accepted) / (now - self._at), busy)
            self._at, self._accepted = now, meter.accepted
        if self._pace.limit != self._limit:
            self._limit = self._pace.limit
            rate = format_rate(meter.sample(now) or 0)
            log.info("up to %s now, at %s", format_count(self._limit, "connection"), rate)
        self._apply_limit()
        self._stop_before_deadline(now)
        # The queue may have been closed for a while.
        self._queue.wake(self._queue.left)

    def limit(self, most: int) -> bool:
        """Use at most this many connections from now on, at least one; True if no more than that are in use."""
        self._most = most
        self._apply_limit()
        return self.in_use <= most

    @property
    def in_use(self) -> int:
        """Connections that send a part, or are about to."""
        return self._connections.in_use

    def _apply_limit(self) -> None:
        self._connections.allow(max(1, min(self._most, self._pace.limit_for(self._queue.left))))

    def _may_begin(self, size: int) -> bool:
        """Return True if a part of this size can be finished before the deadline."""
        now, busy = self._run.clock.monotonic(), self._run.progress.busy
        return self._run.deadline.may_begin(size, now, busy, idle=self._connections.lent)

    def _stop_before_deadline(self, now: float) -> None:
        """Stop the run once all parts that can be finished in time are; until then, more of them may become so."""
        run, lent = self._run, self._connections.lent
        if self.in_use or not lent:
            # While all sources hang, the rate is not forgotten.
            run.deadline.observe(now, run.progress.accepted, run.progress.busy)
        if not (self.in_use or lent) and self._queue.is_out_of_time:
            run.stop.request(at_deadline=True)
