"""Settling: what became of a creating request whose answer was lost, for requests that no journal is needed for."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import TypeVar

from uploader.errors import ServerFailing
from uploader.figshare.outcomes import AmbiguousAnswer
from uploader.figshare.retry import poll
from uploader.items.service import ItemService

T = TypeVar("T")

PATIENCE = 15.0
"""Seconds for which the effect of a request is looked for."""
_ATTEMPTS = 3


async def confirm(
    api: ItemService,
    ask: Callable[[], Awaitable[T]],
    look: Callable[[], Awaitable[T | None]],
    what: str,
    *,
    patience: float = PATIENCE,
) -> T:
    """What a creating request made. After a lost answer `look` finds it or, for a while, None; then it is asked again.

    Raises ServerFailing when that does not help.
    """
    for _ in range(_ATTEMPTS):
        try:
            return await ask()
        except AmbiguousAnswer as lost:
            reason = lost.reason
        wait = functools.partial(api.wait, f"{what}: {reason}; looking whether it arrived")
        found = await poll(look, patience, api.clock, wait=wait)
        if found is not None:
            return found
    raise ServerFailing(f"{what}: {reason}; nothing came of it")
