"""Errors of the server that neither the user nor waiting will correct."""

from __future__ import annotations

from uploader.errors.base import ExitStatus, Facts, ServerError


class NotFigshare(ServerError):
    """The endpoint responds, but not like Figshare."""

    code = "not-figshare"
    exit_status = ExitStatus.USAGE
    default_hint = "Check the endpoint (FIGSHARE_ENDPOINT); the public API is https://api.figshare.com/v2."


class ProtocolViolation(ServerError):
    """An invalid response from Figshare (parts with gaps, an invalid upload URL …)."""

    code = "protocol-violation"
    exit_status = ExitStatus.SOME_FAILED
    default_hint = "Try again later; if it happens again, report this message to the server's operator."


class RequestRejected(ServerError):
    """Figshare rejected a request; `message` contains the server's message.

    `permanent` is True if the same request would be rejected again because its content is at fault. `status` is the
    HTTP status, None where the refusal sums up several answers.
    """

    code = "refused"
    exit_status = ExitStatus.SOME_FAILED
    default_hint = "Fix what Figshare reports."

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        path: str | None = None,
        facts: Facts | None = None,
        permanent: bool = False,
        status: int | None = None,
    ) -> None:
        super().__init__(message, hint=hint, path=path, facts=facts)
        self.permanent = permanent
        self.status = status


class FilterIgnored(ServerError):
    """Figshare answered a search with records that do not fit one of its filters."""

    code = "filter-ignored"
    exit_status = ExitStatus.INTEGRITY
    default_hint = "Leave the filter out, or search for something narrower."


class Md5Mismatch(ServerError):
    """Figshare's MD5 differs from the source's."""

    code = "md5-mismatch"
    exit_status = ExitStatus.INTEGRITY


class Md5Pending(ServerError):
    """Everything was sent and completed, but Figshare has not computed the MD5 in time."""

    code = "md5-pending"
    exit_status = ExitStatus.PENDING
