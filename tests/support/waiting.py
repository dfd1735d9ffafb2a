"""Wait for events in another process."""

from __future__ import annotations

import time
from collections.abc import Callable


def until(holds: Callable[[], object], timeout: float = 30, *, every: float = 0.01) -> None:
    """Return once the condition holds, checked every `every` seconds. Raises TimeoutError after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {timeout} s")
        time.sleep(every)
