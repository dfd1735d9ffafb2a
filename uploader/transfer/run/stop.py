"""Stop requests, and the waits that they interrupt."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import anyio

from uploader.clock import Clock
from uploader.concurrency import Stopped, unwrap_group

T = TypeVar("T")

_TO_COMMIT = 2.0
"""Seconds that a run has after the grace period to write its last state."""


class Stop:
    """Requested: no new parts, those in flight may finish. Forced: everything ends now.

    `at_deadline` is True if it was requested because of a deadline.
    """

    def __init__(self) -> None:
        self.requested = False
        self.at_deadline = False
        self._by_errors = False
        self._waits: set[anyio.CancelScope] = set()
        self._asked = anyio.Event()
        self._forced = anyio.Event()

    def request(self, *, at_deadline: bool = False) -> None:
        """Request a stop; a second call has no effect."""
        self.at_deadline = self.at_deadline or (at_deadline and not self.requested)
        self.requested = True
        self._by_errors = False
        self._asked.set()
        for wait in tuple(self._waits):
            wait.cancel()

    def abort(self) -> None:
        """Request a stop because too many files failed; `end_abort` withdraws it, unless another request came since."""
        self.request()
        self._by_errors = True

    def end_abort(self) -> None:
        """Withdraw the request of `abort`, since everything that it stopped has ended."""
        if self._by_errors:
            self.requested = self._by_errors = False
            self._asked = anyio.Event()

    def force(self) -> None:
        """Stop now."""
        self.request()
        self._forced.set()

    async def expired(self, grace: float, clock: Clock) -> None:
        """Return when a stop was requested and its grace period (seconds) is over, or when it was forced."""
        await self._asked.wait()
        await clock.wait_for(self._forced, grace)

    def check(self) -> None:
        """Raise Stopped if a stop was requested."""
        if self.requested:
            raise Stopped

    @contextmanager
    def interruptible(self) -> Iterator[Callable[[], None]]:
        """Run a wait that a stop interrupts. Raises Stopped, also if the stop was requested before.

        Yields a function that ends the wait early: what follows it inside is not interrupted. It raises Stopped, too.
        """
        with anyio.CancelScope() as wait:
            self._waits.add(wait)
            if self.requested:
                wait.cancel()

            def proceed() -> None:
                self.check()
                self._waits.discard(wait)

            try:
                yield proceed
            finally:
                self._waits.discard(wait)
        if wait.cancelled_caught:
            raise Stopped


async def run_until(
    end: float | None, work: Callable[[], Awaitable[T]], *, stop: Stop, grace: float, clock: Clock
) -> T:
    """Run work; request a stop at `end` (monotonic seconds; None: never), and cancel it after the grace period.

    Raises Stopped if the work was cancelled for that.
    """
    if end is None:
        return await work()

    async def watch() -> None:
        await clock.sleep(max(0.0, end - clock.monotonic()))
        stop.request(at_deadline=True)
        await clock.sleep(grace + _TO_COMMIT)
        tasks.cancel_scope.cancel()

    with unwrap_group():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch)
            result = await work()
            tasks.cancel_scope.cancel()
            return result
    raise Stopped
