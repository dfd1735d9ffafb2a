"""Outcomes of single requests that the layer above decides on.

They are for code, not for people: whoever talks to Figshare through this package catches every one of them.
"""

from __future__ import annotations

from uploader.errors import (
    AccountNotFound,
    ItemNotFound,
    PermissionDenied,
    RequestRejected,
    ServerFailing,
    TlsFailure,
    TokenRejected,
    Unreachable,
    UsageError,
)

NO_EFFECT = (
    *(RequestRejected, PermissionDenied, TokenRejected, ItemNotFound, AccountNotFound),
    *(ServerFailing, Unreachable, TlsFailure, UsageError),
)
"""What a creating request raises when it certainly did nothing: refused, never sent, or turned away unread each time.

Whatever else ends it (a success that cannot be read, a redirect, a cancellation, a mistake of ours) proves nothing.
"""


class Outcome(Exception):
    """Base of the outcomes; `reason` is one line without secrets, fit for a log or a progress line."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class AmbiguousAnswer(Outcome):
    """A creating request may have had its effect: look for it before asking again."""


class FileGone(Outcome):
    """The API knows no such file in this item (404)."""


class UploadGone(Outcome):
    """The upload service knows no such upload or part (404)."""


class PartLocked(Outcome):
    """409: somebody, often our own broken connection, holds the part's lock, or the upload is completed."""


class PartFailed(Outcome):
    """One attempt to send a part failed.

    `retry_after` is what the server asked for, in seconds, None where it asked for nothing. `passing` is True where
    another attempt is likely to fare better. `crowded`: fewer parts at the same time might (429, 503, a standstill).
    """

    def __init__(
        self, reason: str, retry_after: float | None = None, *, passing: bool = True, crowded: bool = False
    ) -> None:
        super().__init__(reason)
        self.retry_after = retry_after
        self.transient = passing
        self.congested = crowded
