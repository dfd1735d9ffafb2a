"""Abort part uploads that make no progress."""

from __future__ import annotations

import asyncio
from typing import Protocol


class Watched(Protocol):
    """`measure` returns (acknowledged bytes, bytes in flight, whether all were written)."""

    def measure(self) -> tuple[int, int, bool]: ...

    def abort(self, reason: str) -> None: ...


class _Idle:
    """The last progress of one part, and the seconds since it changed."""

    def __init__(self) -> None:
        self.progress: tuple[int, bool] = (-1, False)
        self.seconds = 0.0


class StallDetector:
    """Samples every part each min(1 s, stall_timeout / 4), on the event loop's clock.

    Bytes in flight for `stall_timeout` without an acknowledgement are a stall. A part with nothing in flight waits for
    its source, which is not a stall; once all bytes are acknowledged, the response may take `answer_timeout`. Seconds.
    """

    def __init__(self, stall_timeout: float, answer_timeout: float) -> None:
        self._stall_timeout = stall_timeout
        self._answer_timeout = answer_timeout
        self._period = min(1.0, stall_timeout / 4)
        self._parts: dict[Watched, _Idle] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._last = 0.0

    def add(self, part: Watched) -> None:
        self._parts[part] = _Idle()
        if self._timer is None:
            self._arm()

    def remove(self, part: Watched) -> None:
        self._parts.pop(part, None)
        if not self._parts:
            self.close()

    def close(self) -> None:
        """Stop the timer; watched parts are not affected."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        loop = asyncio.get_running_loop()
        self._last = loop.time()
        self._timer = loop.call_later(self._period, self._tick)

    def _tick(self) -> None:
        # Do not count time in which the process was stopped or the machine slept.
        elapsed = min(asyncio.get_running_loop().time() - self._last, 2 * self._period)
        for part, idle in list(self._parts.items()):
            self._check(part, idle, elapsed)
        self._timer = None
        if self._parts:
            self._arm()

    def _check(self, part: Watched, idle: _Idle, elapsed: float) -> None:
        accepted, in_flight, all_written = part.measure()
        answering = all_written and in_flight == 0
        waiting_for_source = in_flight == 0 and not all_written
        if waiting_for_source or (accepted, answering) != idle.progress:
            idle.progress = (accepted, answering)
            idle.seconds = 0.0
            return
        idle.seconds += elapsed
        if answering and idle.seconds >= self._answer_timeout:
            part.abort(f"no response for {self._answer_timeout:g} s after the whole part was sent")
        elif not answering and idle.seconds >= self._stall_timeout:
            part.abort(f"the connection took no byte for {self._stall_timeout:g} s")
