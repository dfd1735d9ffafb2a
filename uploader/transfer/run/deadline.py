"""Decide which parts may still begin before a deadline. Pure: observations in, decisions out.

A part that cannot be finished in time is sent twice. So no part begins that would take longer than the time left, and
connections taper off: if they share the line, the others become faster as some end, and the last parts can begin later.
"""

from __future__ import annotations

from collections import deque

from uploader.errors import Facts, Interrupted
from uploader.transfer.journal.state import JobState
from uploader.transfer.run.progress import ProgressTracker
from uploader.units import format_bytes, format_count

_WINDOW = 5.0
"""Seconds over which rates are averaged: few, since they change as connections end."""
_SAFETY = 1.5
"""A part may take this many times longer than expected."""


class DeadlinePolicy:
    """Compares the time left until `end` (monotonic seconds; None: no deadline) with the time that a part takes."""

    def __init__(self, end: float | None) -> None:
        self.end = end
        self._samples: deque[tuple[float, int, float]] = deque()
        """Time, bytes accepted until then, and the seconds that all connections together had spent on them."""

    def observe(self, now: float, accepted: int, busy: int) -> None:
        """Observe the bytes `accepted` in this run, and the connections `busy` since the last call."""
        before = self._samples[-1] if self._samples else (now, accepted, 0.0)
        self._samples.append((now, accepted, before[2] + busy * (now - before[0])))
        while len(self._samples) > 2 and now - self._samples[0][0] > _WINDOW:
            self._samples.popleft()

    def part_seconds(self, size: int, busy: int) -> float | None:
        """Return how long a part of `size` bytes takes beside `busy` others; None if no rate is known.

        A connection will not be faster than the connections are now, nor get more than its share of the line.
        """
        if not self._samples:
            return None
        (begin, before, spent_before), (now, accepted, spent) = self._samples[0], self._samples[-1]
        if accepted <= before or spent <= spent_before or now <= begin:
            return None
        one = (accepted - before) / (spent - spent_before)
        share = (accepted - before) / (now - begin) / (busy + 1)
        return size / min(one, share)

    def may_begin(self, size: int, now: float, busy: int, *, idle: int = 0) -> bool:
        """Return True if a part of `size` bytes that begins now, beside `busy` others, will be finished in time.

        Of the others, `idle` ones wait for their sources.
        """
        if self.end is None:
            return True
        seconds = self.part_seconds(size, busy)
        if seconds is None:
            # One part shows how fast the line is; many at once could each be too slow.
            return busy <= idle and now < self.end
        # Alone on the line it is hardly slower than it would be beside others.
        return (_SAFETY if busy else 1.0) * seconds < self.end - now


def interruption(state: JobState, progress: ProgressTracker, *, at_deadline: bool) -> Interrupted:
    """Return the error of a run that was stopped: why, and what is left."""
    files = sum(not transfer.settled for transfer in state.active)
    size = format_bytes(progress.bytes_total - progress.bytes_done)
    left = f"{files} of {format_count(len(state.active), 'file')} left, {size} to send"
    if not at_deadline:
        return Interrupted(f"stopped before everything was sent and verified: {left}")
    if state.runs_without_parts and not progress.bytes_sent:
        text = f"no part was finished before the deadline, nor in the run before: {left}"
        return Interrupted(text, hint="Allow more time, or fewer connections.", facts=Facts("no-part-finished"))
    return Interrupted(f"stopped before the deadline: {left}")
