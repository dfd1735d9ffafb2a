"""Stop requests, and the waits that they interrupt."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import anyio

from uploader.clock import Clock
from uploader.concurrency import Stopped


class Stop:
    """Requested: no new parts, those in flight may finish. Forced: everything ends now."""

    def __init__(self) -> None:
        self.requested = False
        self._waits: set[anyio.CancelScope] = set()
        self._asked = anyio.Event()
        self._forced = anyio.Event()

    def request(self) -> None:
        """Request a stop; a second call has no effect."""
        self.requested = True
        self._asked.set()
        for wait in tuple(self._waits):
            wait.cancel()

    def force(self) -> None:
        """Stop now."""
        self.request()
        self._forced.set()

    async def expired(self, grace: float, clock: Clock) -> None:
        """Return when a stop was requested and its grace period (seconds) is over, or when it was forced."""
        await self._asked.wait()
        await clock.wait_for(self._forced, grace)

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
                if self.requested:
                    raise Stopped
                self._waits.discard(wait)

            try:
                yield proceed
            finally:
                self._waits.discard(wait)
        if wait.cancelled_caught:
            raise Stopped
