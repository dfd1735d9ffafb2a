"""Locks of parts: in memory, so that a restart releases those of broken connections."""

from __future__ import annotations

import math
from collections.abc import Callable

Key = tuple[str, int]
"""Upload token and part number."""


class PartLocks:
    """Locks of parts, each held by one PUT or lingering after one that broke. For one event loop; never blocks.

    `clock` gives seconds and need not be related to the time of day.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._expiry: dict[Key, float] = {}

    def acquire(self, key: Key) -> bool:
        """Take the lock; False when it is held or lingers."""
        if self.locked(key):
            return False
        self._expiry[key] = math.inf
        return True

    def release(self, key: Key, linger: float = 0.0) -> None:
        """Release the lock `linger` seconds from now."""
        if linger > 0:
            self._expiry[key] = self._clock() + linger
        else:
            self._expiry.pop(key, None)

    def hold(self, key: Key, seconds: float) -> None:
        """Lock a part that is not being sent, or extend its lock."""
        self._expiry[key] = max(self._expiry.get(key, 0.0), self._clock() + seconds)

    def locked(self, key: Key) -> bool:
        """Return whether the part is locked now."""
        until = self._expiry.get(key)
        if until is None:
            return False
        if until <= self._clock():
            del self._expiry[key]
            return False
        return True

    def of_upload(self, token: str) -> frozenset[int]:
        """Return the numbers of the locked parts of one upload."""
        return frozenset(key[1] for key in list(self._expiry) if key[0] == token and self.locked(key))

    def forget(self, token: str) -> None:
        """Drop the locks of a deleted upload."""
        for key in [key for key in self._expiry if key[0] == token]:
            del self._expiry[key]
