"""Work in a task of its own, which whoever cancels the caller can only ask to end.

A program may cancel our caller natively (`task.cancel()`, as asyncio's own time-outs do). That strikes the innermost
await, whatever cancel scope shields it: a thread that is just opening a file would then have nobody to hand it to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

import anyio

T = TypeVar("T")


async def apart(work: Callable[[], Awaitable[T]]) -> T:
    """Do it, and return or raise what it does. When the caller is cancelled, it is cancelled as anyio does, that is,
    in good order, and waited for before the cancellation goes on."""
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
            # The caller's wish counts for more than how it ended; the journal knows.
            task.exception()
        raise
    return task.result()
