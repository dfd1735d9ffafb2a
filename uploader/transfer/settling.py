"""Settling: what became of a creating request whose answer was lost, for requests that no journal is needed for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from uploader.errors import ServerFailing
from uploader.figshare.outcomes import AmbiguousAnswer

T = TypeVar("T")

_LOOKS = (0.5, 1.0, 2.0, 4.0, 8.0, 14.0)
"""Seconds between looking for what a request with a lost answer may have done."""
_ATTEMPTS = 3


async def settled(ask: Callable[[], Awaitable[T]], look: Callable[[], Awaitable[T | None]], what: str) -> T:
    """What a creating request made. After a lost answer `look` finds it or, for a while, None; then it is asked again.

    Raises ServerFailing when that does not help.
    """
    for _ in range(_ATTEMPTS):
        try:
            return await ask()
        except AmbiguousAnswer as lost:
            reason = lost.reason
        for pause in _LOOKS:
            found = await look()
            if found is not None:
                return found
            await anyio.sleep(pause)
    raise ServerFailing(f"{what}: {reason}; nothing came of it")
