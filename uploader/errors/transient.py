"""Errors that may pass: the same call continues."""

from __future__ import annotations

from uploader.errors.base import TransientError


class _RetriesExhausted(TransientError):
    """A request that was retried until the retry time was used up.

    `isolated` is True when other requests were answered meanwhile: the service as such works.
    """

    def __init__(
        self, message: str, *, hint: str | None = None, path: str | None = None, isolated: bool = False
    ) -> None:
        super().__init__(message, hint=hint, path=path)
        self.isolated = isolated


class Unreachable(_RetriesExhausted):
    """No connection, or none that lasts."""

    code = "unreachable"


class ServerFailing(_RetriesExhausted):
    """Figshare kept answering with transient errors until the retry time was used up."""

    code = "server-failing"


class UploadFailing(TransientError):
    """One file's upload was lost, or refused, again and again, while Figshare was there for others."""

    code = "upload-failing"


class StateDiskFull(TransientError):
    """The disk that holds the journal is full."""

    code = "state-full"
    default_hint = "Make room where the state directory is."


class TargetFull(TransientError):
    """The disk that a download is written to is full, or does not answer."""

    code = "target-full"
    default_hint = "Make room there; what was downloaded is kept."


class OutputLost(TransientError):
    """What the command says cannot be written: the disk that its stdout goes to is full."""

    code = "output-lost"


class StateLost(TransientError):
    """The state directory could be used when the run began, and cannot be written any more."""

    code = "state-lost"
    default_hint = "Make it writable again; what was sent is kept."


class StorageUnavailable(TransientError):
    """A source, or another file that is to be read, is on storage that does not answer: a dead mount, a lost device."""

    code = "storage-unavailable"
    default_hint = "Mount it again, or wait until it answers; what was sent is kept."


class ResourcesExhausted(TransientError):
    """The system gave this process no memory, thread or descriptor."""

    code = "out-of-resources"
    default_hint = "Repeat the call when the machine has more to give; what was sent is kept."


class Interrupted(TransientError):
    """A signal or a deadline ended the run; it can go on."""

    code = "interrupted"
