"""Temporary errors: repeating the same call continues."""

from __future__ import annotations

from uploader.errors.base import TransientError


class _RetriesExhausted(TransientError):
    """A request that was retried until the retry time was used up.

    `isolated` is True if other requests succeeded meanwhile: the service itself works.
    """

    def __init__(
        self, message: str, *, hint: str | None = None, path: str | None = None, isolated: bool = False
    ) -> None:
        super().__init__(message, hint=hint, path=path)
        self.isolated = isolated


class Unreachable(_RetriesExhausted):
    """No connection could be established or kept."""

    code = "unreachable"


class ServerFailing(_RetriesExhausted):
    """Figshare kept answering with transient errors until the retry time was used up."""

    code = "server-failing"


class Throttled(_RetriesExhausted):
    """Figshare throttles this computer: it refused a public request again and again."""

    code = "throttled"
    default_hint = "Repeat the call in an hour; what was fetched is kept."


class UploadFailing(TransientError):
    """One file's upload was lost or rejected repeatedly while other requests succeeded."""

    code = "upload-failing"


class StateDiskFull(TransientError):
    """The disk that holds the journal is full."""

    code = "state-full"
    default_hint = "Free space on the disk of the state directory."


class TargetFull(TransientError):
    """The disk that a download is written to is full, or does not answer."""

    code = "target-full"
    default_hint = "Free space there; what was downloaded is kept."


class OutputLost(TransientError):
    """The output cannot be written: the disk that stdout goes to is full."""

    code = "output-lost"


class StateLost(TransientError):
    """The state directory became unwritable during the run."""

    code = "state-lost"
    default_hint = "Make it writable; what was sent is kept."


class StorageUnavailable(TransientError):
    """A source or another input file is on storage that does not respond: a dead mount, a lost device."""

    code = "storage-unavailable"
    default_hint = "Mount it again, or wait until it responds; what was sent is kept."


class ResourcesExhausted(TransientError):
    """The system gave this process no memory, thread, descriptor or space for temporary files."""

    code = "out-of-resources"
    default_hint = "Repeat the call when more resources are free; what was sent is kept."


class Interrupted(TransientError):
    """A signal or a deadline stopped the run; it can be resumed."""

    code = "interrupted"
