"""Distinguish failures of one record, after which the others are still read, from those that end the run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from uploader.errors import (
    FigupError,
    NotFigshare,
    PermissionDenied,
    ProtocolViolation,
    RequestRejected,
    ServerFailing,
    Throttled,
    Unreachable,
)

_OUTAGE: Final = (ServerFailing, Unreachable, NotFigshare, Throttled)
OF_ONE_RECORD: Final = (ServerFailing, Unreachable, NotFigshare, PermissionDenied, ProtocolViolation, RequestRejected)
"""Errors that may concern one record alone; `Failures` decides."""
MAX_OUTAGE: Final = 10
"""Maximum number of records in a row that fail as if Figshare were down; then the run ends and can be continued."""


class Failures:
    """The failures of records that are read one after the other, or a few at a time."""

    def __init__(self, verify: Callable[[], Awaitable[object]] | None, most: int = MAX_OUTAGE) -> None:
        """`verify` raises TokenRejected if the token is no longer valid; None if none is used.

        `most` records in a row that fail as if Figshare were down are an outage.
        """
        self._verify, self._most = verify, most
        self._in_a_row = 0

    async def accept(self, error: FigupError) -> None:
        """Return if the error concerns one record only. Raises TokenRejected; raises the error after many in a row."""
        if isinstance(error, PermissionDenied) and self._verify is not None:
            # Figshare answers the same for an expired token as for another account's record.
            await self._verify()
        self._in_a_row = self._in_a_row + 1 if isinstance(error, _OUTAGE) else 0
        if self._in_a_row >= self._most:
            raise error.with_context(prefix=f"{self._most} records in a row could not be read") from error

    def reset(self) -> None:
        """Note that a record was read."""
        self._in_a_row = 0
