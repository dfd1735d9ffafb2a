"""Outcomes of single requests that the caller must handle; they are never shown to the user."""

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
from uploader.redaction import redact

NO_EFFECT = (
    *(RequestRejected, PermissionDenied, TokenRejected, ItemNotFound, AccountNotFound),
    *(ServerFailing, Unreachable, TlsFailure, UsageError),
)
"""Errors of a creating request that certainly had no effect: refused, never sent, or rejected unread each time. After
any other error (an unreadable success, a redirect, a cancellation, a bug) the effect is unknown.
"""


class Outcome(Exception):
    """Base of the outcomes; `reason` is one line without secrets."""

    def __init__(self, reason: str) -> None:
        super().__init__(redact(reason))
        self.reason = redact(reason)


class AmbiguousAnswer(Outcome):
    """A creating request may have had its effect: look it up before repeating."""


class FileGone(Outcome):
    """The file does not exist in this item (404)."""


class PageLimitReached(Outcome):
    """Figshare does not list this page: the rows so far are incomplete."""


class UploadGone(Outcome):
    """The upload or part does not exist (404)."""


class PartLocked(Outcome):
    """409: the part is locked, often by our own broken connection, or the upload is completed."""


class PartFailed(Outcome):
    """One attempt to send a part failed.

    `retry_after` is the delay the server asked for, in seconds, or None. `transient`: another attempt may succeed.
    `congested`: fewer parts at a time may help (429, 503, a stall). `advice`: hint and situation if the server's
    message does not say what to do, else None.
    """

    def __init__(
        self,
        reason: str,
        retry_after: float | None = None,
        *,
        transient: bool = True,
        congested: bool = False,
        advice: tuple[str, str] | None = None,
    ) -> None:
        super().__init__(reason)
        self.retry_after = retry_after
        self.transient = transient
        self.congested = congested
        self.advice = advice


class FetchFailed(Outcome):
    """One attempt to fetch bytes failed, and another may succeed; the bytes delivered before are valid.

    `retry_after` is the delay the server asked for, in seconds, or None. `network`: there was no usable answer.
    """

    def __init__(self, reason: str, retry_after: float | None = None, *, network: bool = False) -> None:
        super().__init__(reason)
        self.retry_after = retry_after
        self.network = network


class RangeIgnored(Outcome):
    """The server ignores ranges and returns the whole file."""
