"""Errors of task groups, isolated tasks and stopping."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

import anyio

from uploader.errors import FigupError

T = TypeVar("T")


@contextmanager
def unwrap_group() -> Iterator[None]:
    """Raise the first FigupError out of what a task group gathered, or what it is where there is none."""
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
    # A mistake in figup is never hidden behind an error of the outside world.
    return min(leaves, key=lambda e: 2 if isinstance(e, Stopped) else 1 if isinstance(e, FigupError) else 0)


async def run_isolated(work: Callable[[], Awaitable[T]]) -> T:
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


class Stopped(Exception):
    """A wait was ended because the run is to stop. Never leaves the engine."""
