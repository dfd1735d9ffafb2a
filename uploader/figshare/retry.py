"""Retry decisions: which statuses are transient, how long to wait, when to give up. The caller provides the time."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TypeVar

from uploader.clock import Clock
from uploader.figshare.settings import RetryPolicy

T = TypeVar("T")

RETRY_AFTER_CAP = 86_400.0
"""Maximum Retry-After in seconds; any elapsed cap is shorter."""

_RETRYABLE = frozenset({408, 425, 429, 500, 502, 503, 504})


def is_retryable(status: int) -> bool:
    """Return whether a retry may succeed after this status."""
    return status in _RETRYABLE


class Backoff:
    """The delays of one call after its first failure."""

    def __init__(self, policy: RetryPolicy, random: Callable[[], float]) -> None:
        self._policy = policy
        self._random = random
        self._delay = policy.first_delay
        self._first_failure: float | None = None
        self._retries = 0

    @property
    def since(self) -> float | None:
        """When the first failure was (monotonic seconds); None before it."""
        return self._first_failure

    def next_delay(self, retry_after: float | None, now: float) -> float | None:
        """Seconds to wait after a failure at `now` (monotonic), never less than the server's `retry_after`.

        None: give up, since the elapsed cap or the number of retries would be exceeded.
        """
        if self._first_failure is None:
            self._first_failure = now
        ceiling = min(self._delay, self._policy.max_delay)
        self._delay = min(ceiling * self._policy.factor, self._policy.max_delay)
        delay = max(ceiling * (0.5 + 0.5 * self._random()), retry_after or 0.0)
        self._retries += 1
        too_many = self._policy.retries is not None and self._retries > self._policy.retries
        if too_many or now + delay - self._first_failure > self._policy.elapsed_cap:
            return None
        return delay


async def poll(
    check: Callable[[], Awaitable[T | None]],
    time_limit: float,
    clock: Clock,
    *,
    wait: Callable[[float], Awaitable[None]] | None = None,
    first_pause: float = 0.5,
    factor: float = 2.0,
    max_pause: float = 5.0,
) -> T | None:
    """Call `check` until it returns something; return None if it returned nothing for `time_limit` seconds.

    It is called at once, after pauses that grow by `factor` up to `max_pause`, and once more at the end: a slow call
    that began before the end may have seen what was true when it began. `wait` replaces the clock's sleep, for callers
    that report their pauses.
    """
    deadline = clock.monotonic() + time_limit
    pause = first_pause
    while True:
        began = clock.monotonic()
        result = await check()
        if result is not None or began >= deadline:
            return result
        if (remaining := deadline - clock.monotonic()) > 0:
            await (wait or clock.sleep)(min(pause, remaining))
        pause = min(pause * factor, max_pause)


def parse_retry_after(value: str | None, now: datetime) -> float | None:
    """Return the seconds requested by a Retry-After header: a number, or an HTTP date relative to `now` (server's
    clock).

    None without a valid header; 0 for a date in the past; at most RETRY_AFTER_CAP.
    """
    if value is None:
        return None
    text = value.strip()
    if re.fullmatch(r"[0-9]+(\.[0-9]*)?", text):
        return min(float(text), RETRY_AFTER_CAP) if len(text) < 300 else RETRY_AFTER_CAP
    when = parse_http_date(text)
    if when is None:
        return None
    return min(max((when - now).total_seconds(), 0.0), RETRY_AFTER_CAP)


def parse_http_date(value: str | None) -> datetime | None:
    """Parse an HTTP date as an aware time; None if it is invalid."""
    if not value:
        return None
    # Imported late: the module is slow to load.
    from email.utils import parsedate_to_datetime

    try:
        parsed = parsedate_to_datetime(value)
        aware = parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed
        return aware.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
