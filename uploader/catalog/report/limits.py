"""The limits that end a run of a report early: a deadline, a number of requests, or a signal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from uploader.catalog.reading import ListService
from uploader.clock import Clock
from uploader.errors import Interrupted
from uploader.figshare.models import PAGE
from uploader.figshare.records import Listing, Page
from uploader.units import format_count

CONTINUE: Final = "Run the same command again to continue; what was read is kept."
DEADLINE_MARGIN: Final = 5.0
"""Seconds before the deadline from which no response is awaited; of a short time to it, at most a quarter."""


class StopReading(Exception):
    """No further request may begin."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits that end a run early: a time (monotonic seconds), a number of requests without retries; None: no limit.

    After that number of requests, the list or record that was begun is read to its end: every run makes progress.
    """

    deadline: float | None = None
    max_requests: int | None = None

    @classmethod
    def of(cls, deadline: float | datetime | None, max_requests: int | None, clock: Clock) -> Limits:
        """Return the limits for a deadline in seconds from now, or as a time."""
        if isinstance(deadline, datetime):
            deadline = (deadline - clock.now()).total_seconds()
        end = None if deadline is None else clock.monotonic() + deadline
        return cls(deadline=end, max_requests=max_requests)


class Requests:
    """Counts the requests of one run, and says whether more may begin."""

    def __init__(self, limits: Limits, clock: Clock) -> None:
        self._max, self._clock = limits.max_requests, clock
        left = None if limits.deadline is None else max(0.0, limits.deadline - clock.monotonic())
        self._end = None if left is None else clock.monotonic() + left - min(DEADLINE_MARGIN, left / 4)
        self._stopped = False
        self.begun = 0
        """Requests begun, without retries."""
        self.ending = ""
        """Why the run ends early, "" while it does not."""

    def stop(self) -> None:
        """Begin no further request."""
        self._stopped = True
        self.ending = self.ending or "stopped before everything was read"

    def begin(self) -> None:
        """Raise StopReading if no further list or record may begin."""
        if not self.ending and self._max is not None and self.begun >= self._max:
            self.ending = f"stopped after {format_count(self.begun, 'request')}"
        if self.ending:
            raise StopReading

    def count(self) -> None:
        """Count a request for what has begun. Raises StopReading if the run was stopped."""
        if self._stopped:
            raise StopReading
        self.begun += 1

    def seconds_left(self) -> float | None:
        """Return how long responses may be awaited, None without a deadline."""
        return None if self._end is None else max(0.0, self._end - self._clock.monotonic())

    def check(self) -> None:
        """Raise Interrupted if the run was stopped, or its time is up, while its table is written."""
        late = self.seconds_left() == 0
        if self._stopped or late:
            raise Interrupted(f"stopped {'before the deadline' if late else 'early'}: the table is not written yet",
                              hint=CONTINUE)  # fmt: skip


class CountedPages:
    """Counts the pages of a list, which may end a run before its first page, and that of each of its slices."""

    def __init__(self, source: ListService, requests: Requests) -> None:
        self._source, self._requests = source, requests

    async def page(self, listing: Listing, criteria: Mapping[str, str | int], *, page: int, size: int = PAGE) -> Page:
        if page == 1:  # a later one may have shifted by the next run
            self._requests.begin()
        if listing.paging != "whole" or page == 1:
            self._requests.count()
        return await self._source.page(listing, criteria, page=page, size=size)
