"""Every error a user can meet: a stable code, an exit status, and what to do about it.

Errors are split by who must act: the user (`UserError`), the server's side (`ServerError`), or time
(`TransientError`: run the same command again). Code below the command line raises these and nothing else for
anything that a user can cause or see; the command line turns them into one line and an exit status.
"""

from __future__ import annotations

from typing import ClassVar


class FigupError(Exception):
    """Base of all errors of figup.

    `message` is one line: what happened, to which file. `hint` says what to do, None where there is nothing to add.
    `path` is the source concerned as the user gave it, None where no one file is concerned. `report` is the
    `uploader.Report` of the job's run that this error ended, None where there was none. `causes` are the errors that
    this one sums up.
    """

    code: ClassVar[str] = "error"
    exit_status: ClassVar[int] = 1
    default_hint: ClassVar[str | None] = None

    def __init__(self, message: str, *, hint: str | None = None, path: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint if hint is not None else self.default_hint
        self.path = path
        self.report: object | None = None
        self.causes: tuple[FigupError, ...] = ()

    def __str__(self) -> str:
        """The message as it is now: who passes an error on may have said more."""
        return self.message


class UserError(FigupError):
    """Something that the user can put right."""


class ServerError(FigupError):
    """The server did or said something that neither the user nor waiting will mend by itself."""


class TransientError(FigupError):
    """It may pass: the same command, run again, goes on."""

    exit_status = 75
    default_hint = "Run the same command again to go on; what was sent is kept."


# --- the user ---------------------------------------------------------------------------------------------------


class UsageError(UserError):
    """The command line, or a value given to the library, is wrong; nothing was sent."""

    code = "usage"
    exit_status = 2


class MetadataInvalid(UserError):
    """What an item is to say of itself is wrong; nothing was created.

    `field` is the one concerned, "" for the file as a whole or several (then `causes` has them); `line` is where it
    stands, from 1, None where that is not known.
    """

    code = "metadata"
    exit_status = 2
    field: str = ""
    line: int | None = None


class InsecureEndpoint(UserError):
    """Plain http to anything but loopback: the token would travel in the clear."""

    code = "insecure-endpoint"
    exit_status = 2


class TlsFailure(UserError):
    """The server's certificate does not check out, or there is no common TLS: nothing was sent to it."""

    code = "tls"
    exit_status = 2
    default_hint = "If your network or server has its own certificate authority, give its file with --ca-file."


class NoToken(UserError):
    """No token was found anywhere."""

    code = "no-token"
    exit_status = 3
    default_hint = "Set FIGSHARE_TOKEN, give --token-file, or run `figup auth login`."


class TokenFileExposed(UserError):
    """A token file that other people can read."""

    code = "token-file-exposed"
    exit_status = 3


class TokenRejected(UserError):
    """Figshare does not accept the token (wrong, expired, or its account is disabled)."""

    code = "token-refused"
    exit_status = 3
    default_hint = "Make a new token at figshare.com/account/applications and run `figup auth login`."


class PermissionDenied(UserError):
    """The token is good, but not for this."""

    code = "not-allowed"
    exit_status = 3
    default_hint = "`figup auth status` tells whose token this is; take one that may, then run the same command again."


class SourceNotFound(UserError):
    """A source does not exist (any more)."""

    code = "source-missing"
    exit_status = 4
    default_hint = "Check the path, or put the file back; then run the same command again."


class SourceUnreadable(UserError):
    """A source exists and cannot be read."""

    code = "source-unreadable"
    exit_status = 4
    default_hint = "Make it readable, then run the same command again."


class SourcesUnusable(UserError):
    """Several of the sources cannot be sent as they are, for the reasons that `causes` give; nothing was sent."""

    code = "sources-unusable"
    exit_status = 4
    default_hint = "Mend them, or leave them out with --exclude; nothing was sent."


class ItemNotFound(UserError):
    """The item does not exist, or this account may not see it."""

    code = "item-missing"
    exit_status = 4
    default_hint = (
        "Check the number; `figup auth status` tells whose token this is, and a draft is seen by its owner alone."
    )


class ProjectNotFound(UserError):
    """The project does not exist, or this account may not see it."""

    code = "project-missing"
    exit_status = 4
    default_hint = "Check the number; `figup auth status` tells whose token this is."


class AccountNotFound(UserError):
    """The account that is to be acted for does not exist, or is not one of the institution's."""

    code = "account-missing"
    exit_status = 4
    default_hint = (
        "Check the number: it is the id of an account in your institution, not that of an author. "
        "Without --impersonate you act for yourself."
    )


class JobNotFound(UserError):
    """No such job on this machine."""

    code = "job-missing"
    exit_status = 4
    default_hint = "`figup jobs` lists the jobs on this machine."


class SourceChanged(UserError):
    """The source is not what was sent, or what was planned."""

    code = "source-changed"
    exit_status = 5
    default_hint = "Put the old file back and run the same command again, or add --restart-changed to send the new one."


class ChecksumWrong(UserError):
    """The source does not have the MD5 that the user says it has; it was not completed."""

    code = "checksum-wrong"
    exit_status = 5
    default_hint = "Put the right file, or the right MD5, in its place; then run the same command again."


class QuotaExceeded(UserError):
    """The account has no room for this."""

    code = "quota-exceeded"
    exit_status = 6


class FileTooLarge(UserError):
    """The account takes no file of this size."""

    code = "file-too-large"
    exit_status = 6


class SomeFilesFailed(UserError):
    """Several files were to be sent, and not all of them could be; the report names them."""

    code = "some-files-failed"
    exit_status = 1
    default_hint = "Mend what the messages say and run the same command again; the other files are not sent again."


class Conflict(UserError):
    """The item already holds something else under this name; nothing was replaced."""

    code = "conflict"
    exit_status = 1


class NotPublishable(UserError):
    """The item lacks something without which it cannot, or should not, be published."""

    code = "not-publishable"
    exit_status = 1


class JobBusy(UserError):
    """Another process works on this job."""

    code = "job-busy"
    exit_status = 8
    default_hint = "Let it finish, or stop it where it runs."


class StateUnusable(UserError):
    """The state directory cannot be used (read-only, not a directory, no permission)."""

    code = "state-unusable"
    exit_status = 2
    default_hint = "Give another place with --state-dir or FIGUP_STATE_DIR."


class JournalNewer(UserError):
    """The journal was written by a newer figup."""

    code = "journal-newer"
    exit_status = 2
    default_hint = "Update figup, or start afresh with --new-job."


class JournalDamaged(UserError):
    """The journal is damaged beyond what the server can tell."""

    code = "journal-damaged"
    exit_status = 2
    default_hint = "Run the `figup upload` command of this job again: it asks Figshare for what is missing."


# --- the server -------------------------------------------------------------------------------------------------


class NotFigshare(ServerError):
    """The endpoint answers, but not as Figshare does."""

    code = "not-figshare"
    exit_status = 2
    default_hint = "Check --endpoint (FIGSHARE_ENDPOINT); the public API is https://api.figshare.com/v2."


class ProtocolViolation(ServerError):
    """An answer that no honest Figshare gives (parts with gaps, an upload address that is none …)."""

    code = "protocol-violation"
    exit_status = 1


class RequestRejected(ServerError):
    """Figshare refused a request for good; `message` carries its own words."""

    code = "refused"
    exit_status = 1
    default_hint = "Mend what Figshare says; then run the same command again."
    permanent = False
    """True when the same request would be refused again: it is what it asks for that will not do."""


class Md5Mismatch(ServerError):
    """Figshare's MD5 differs from the source's."""

    code = "md5-mismatch"
    exit_status = 5


class Md5Pending(ServerError):
    """All sent and completed, but Figshare has not computed the MD5 in time."""

    code = "md5-pending"
    exit_status = 7


# --- time -------------------------------------------------------------------------------------------------------


class Unreachable(TransientError):
    """No connection, or none that lasts."""

    code = "unreachable"
    isolated = False
    """True when other requests were answered while this one was tried: it is not that nothing works."""


class ServerFailing(TransientError):
    """Figshare kept answering with passing errors until the retry time was used up."""

    code = "server-failing"
    isolated = False
    """See Unreachable."""


class UploadFailing(TransientError):
    """One file's upload was lost, or refused, again and again, while Figshare was there for others."""

    code = "upload-failing"


class StateDiskFull(TransientError):
    """The disk that holds the journal is full."""

    code = "state-full"
    default_hint = "Make room where the state directory is, then run the same command again."


class OutputLost(TransientError):
    """What the command says cannot be written: the disk that its stdout goes to is full."""

    code = "output-lost"


class StateLost(TransientError):
    """The state directory could be used when the run began, and cannot be written any more."""

    code = "state-lost"
    default_hint = "Make it writable again, then run the same command again; what was sent is kept."


class Interrupted(TransientError):
    """A signal or a deadline ended the run; it can go on."""

    code = "interrupted"
