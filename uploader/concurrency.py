"""Errors of task groups, isolated tasks, blocking calls and stopping."""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, Final, TypeVar

import anyio
import anyio.to_thread

from uploader.clock import Clock
from uploader.errors import FigupError, UsageError
from uploader.system import system_errors

T = TypeVar("T")


@contextmanager
def unwrap_group() -> Iterator[None]:
    """Raise one error instead of a task group's exception group: a bug first, then a FigupError, then Stopped."""
    try:
        yield
    except BaseExceptionGroup as group:
        leaf = _first(group)
        raise leaf from leaf.__cause__


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    leaves: list[BaseException] = []

    def gather(errors: BaseExceptionGroup[BaseException]) -> None:
        for error in errors.exceptions:
            if isinstance(error, BaseExceptionGroup):
                gather(error)
            else:
                leaves.append(error)

    gather(group)
    # A bug in figup is never hidden behind an external error.
    return min(leaves, key=lambda e: 2 if isinstance(e, Stopped) else 1 if isinstance(e, FigupError) else 0)


IN_A_THREAD: Final = "Call the blocking functions in a thread (trio.to_thread.run_sync), or use trio-asyncio."
"""Hint for event loops other than asyncio's."""


def running_loop() -> str | None:
    """Return the name of the library whose event loop runs in this thread, such as "asyncio"; None without a loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        # Other libraries announce their loops there; without them it is not installed.
        sniffio: Any = sys.modules.get("sniffio")
        if sniffio is None:
            return None
        try:
            return str(sniffio.current_async_library())
        except sniffio.AsyncLibraryNotFoundError:
            return None
    return "asyncio"


def require_asyncio() -> None:
    """Raise UsageError in an event loop other than asyncio's, such as trio's: aiohttp requires asyncio."""
    if running_loop() != "asyncio":
        raise UsageError("figup needs an asyncio event loop, and this is another one", hint=IN_A_THREAD)


async def run_isolated(work: Callable[[], Awaitable[T]]) -> T:
    """Run work in its own task; native cancellation of the caller becomes cooperative.

    When the caller is cancelled, the work is cancelled through an anyio scope and awaited before the cancellation
    continues.
    """
    scope = anyio.CancelScope()

    async def within() -> T:
        with scope:
            return await work()
        raise asyncio.CancelledError

    task = asyncio.create_task(within())
    try:
        await asyncio.wait([task])
    except asyncio.CancelledError:
        scope.cancel()
        with anyio.CancelScope(shield=True):
            while not task.done():
                with suppress(asyncio.CancelledError):
                    await asyncio.wait([task])
        if not task.cancelled():
            # The cancellation takes precedence over the result, which the journal has.
            task.exception()
        raise
    return task.result()


async def in_thread(call: Callable[..., T], *args: object) -> T:
    """Make a blocking call in a thread. Raises what it raises; system errors become errors of figup."""
    with system_errors():
        return await anyio.to_thread.run_sync(call, *args)


PATIENCE = 2.0
"""Seconds that storage may take to answer before others no longer wait for it."""


class StorageSlots:
    """Limits calls to storage: at most `count` at the same time, except those that hang.

    Each of these is in a thread, and there may be as many as there are callers.
    """

    def __init__(self, count: int, clock: Clock) -> None:
        self._limiter = anyio.CapacityLimiter(count)
        self._clock = clock

    @asynccontextmanager
    async def hold(self) -> AsyncIterator[None]:
        """Hold a slot, for at most `PATIENCE` seconds."""
        holder = object()
        await self._limiter.acquire_on_behalf_of(holder)
        cancel = self._clock.call_later(PATIENCE, lambda: self._limiter.release_on_behalf_of(holder))
        try:
            yield
        finally:
            cancel()
            with suppress(RuntimeError):  # it was given up
                self._limiter.release_on_behalf_of(holder)


async def in_own_thread(call: Callable[..., T], *args: object) -> T:
    """Make a call that may hang in a thread that nothing else waits for."""
    return await anyio.to_thread.run_sync(call, *args, limiter=anyio.CapacityLimiter(1))


async def until_cancelled(call: Callable[..., T], *args: object) -> T:
    """Make a call that only reads, and may hang, in a thread of its own. A cancelled caller does not wait for it."""
    return await anyio.to_thread.run_sync(call, *args, abandon_on_cancel=True, limiter=anyio.CapacityLimiter(1))


def close_in_background(descriptors: Sequence[int]) -> None:
    """Close files that were only read, in a thread that nothing waits for, since it may hang. Ignore errors."""

    def close() -> None:
        for fd in descriptors:
            with suppress(OSError):
                os.close(fd)

    if descriptors:
        try:
            threading.Thread(target=close, daemon=True).start()
        except RuntimeError:  # no more threads
            close()


async def in_batches(values: Iterable[T], size: int = 100) -> AsyncIterator[list[T]]:
    """Read a blocking iterator in a thread, and yield its values in batches of `size`."""
    rest = iter(values)
    while batch := await in_thread(lambda: list(itertools.islice(rest, size))):
        yield batch


class Stopped(Exception):
    """A wait was interrupted because the run stops. Never leaves the engine."""
