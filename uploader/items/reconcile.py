"""Settling: what became of a creating request whose answer was lost, for requests that no journal is needed for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from uploader.errors import ServerFailing
from uploader.figshare.outcomes import AmbiguousAnswer
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
        found = await _poll_until(api, look, f"{what}: {reason}; looking whether it arrived", patience)
        if found is not None:
            return found
    raise ServerFailing(f"{what}: {reason}; nothing came of it")


async def _poll_until(
    api: ItemService, look: Callable[[], Awaitable[T | None]], reason: str, patience: float
) -> T | None:
    """Look at once, and again with growing pauses that add up to `patience` seconds."""
    pause, waited = 0.5, 0.0
    while True:
        found = await look()
        if found is not None or waited >= patience:
            return found
        pause = min(pause, patience - waited)
        await api.wait(reason, pause)
        waited += pause
        pause *= 2
