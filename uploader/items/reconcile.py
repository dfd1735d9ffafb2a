"""Creating requests outside a job: find out whether one had its effect after its response was lost."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TypeVar

from uploader.clock import Clock
from uploader.errors import ItemNotFound, ServerFailing
from uploader.figshare.outcomes import AmbiguousAnswer
from uploader.figshare.retry import poll
from uploader.items.service import ItemService

T = TypeVar("T")

TIME_LIMIT = 15.0
"""How long to look for the effect of a request, in seconds."""
SETTLE_TIMEOUT = 30.0
"""The same by default for jobs, and for publishing, which takes longer (`release.seconds_to_publish`)."""
GONE_AFTER = 3.0
"""Seconds for which a known object must be missing to count as gone: a server may answer from an old copy."""
VISIBLE_AFTER = timedelta(days=1)
"""Time after which the effect of a request is visible, if it has one."""
_ATTEMPTS = 3


def seconds_to_search(
    intended: str, now: datetime, time_limit: float, visible_after: timedelta = VISIBLE_AFTER
) -> float:
    """Return the seconds to keep searching for the effect of a request: `time_limit`, or 0 once it must be visible.

    `intended` is when the intent was recorded ("": unknown) and `now` the present time, both by the server's clock. The
    time of the last request is unknown: it may have been retried long after the intent.
    """
    if not intended:
        return time_limit
    return time_limit if now - datetime.fromisoformat(intended) < visible_after else 0.0


async def once_visible(ask: Callable[[], Awaitable[T]], time_limit: float, clock: Clock) -> T:
    """Ask for an item; again, for `time_limit` seconds, while it seems missing. Raises ItemNotFound.

    Some copies of the server's data may lack an item that was created a short time ago.
    """

    async def look() -> tuple[T] | None:
        with suppress(ItemNotFound):
            return (await ask(),)
        return None

    found = await poll(look, time_limit, clock) if time_limit > 0 else None
    return found[0] if found is not None else await ask()


async def confirm(
    api: ItemService,
    ask: Callable[[], Awaitable[T]],
    check: Callable[[], Awaitable[T | None]],
    action: str,
    *,
    time_limit: float = TIME_LIMIT,
) -> T:
    """Make a creating request and return its result.

    After a lost response `check` looks for the effect and returns None if it finds none; then the request is repeated.
    Raises ServerFailing if no attempt succeeds.
    """
    for _ in range(_ATTEMPTS):
        try:
            return await ask()
        except AmbiguousAnswer as lost:
            reason = lost.reason
        wait = functools.partial(api.wait, f"{action}: {reason}; checking whether it took effect")
        found = await poll(check, time_limit, api.clock, wait=wait)
        if found is not None:
            return found
    raise ServerFailing(f"{action}: {reason}; it took no effect")
