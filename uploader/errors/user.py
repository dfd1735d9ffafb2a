"""Errors that the user can correct."""

from __future__ import annotations

from collections.abc import Sequence

from uploader.errors.base import ExitStatus, Facts, FigupError, UserError


class UsageError(UserError):
    """The command line, or a value given to the library, is wrong; nothing was sent."""

    code = "usage"
    exit_status = ExitStatus.USAGE


class MetadataInvalid(UserError):
    """What an item is to say of itself is wrong; nothing was created.

    `field` is the one concerned, "" for the file as a whole or several (then `causes` has them); `line` is where it
    stands, from 1, None where that is not known.
    """

    code = "metadata"
    exit_status = ExitStatus.USAGE

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        path: str | None = None,
        causes: Sequence[FigupError] = (),
        facts: Facts | None = None,
        field: str = "",
        line: int | None = None,
    ) -> None:
        super().__init__(message, hint=hint, path=path, causes=causes, facts=facts)
        self.field = field
        self.line = line


class InsecureEndpoint(UserError):
    """Plain http to anything but loopback: the token would travel in the clear."""

    code = "insecure-endpoint"
    exit_status = ExitStatus.USAGE


class TlsFailure(UserError):
    """The server's certificate does not check out, or there is no common TLS: nothing was sent to it."""

    code = "tls"
    exit_status = ExitStatus.USAGE
    default_hint = "If the network or server has its own certificate authority, name its certificate file."


class NoToken(UserError):
    """No token was found anywhere."""

    code = "no-token"
    exit_status = ExitStatus.NOT_PERMITTED
    default_hint = "Set FIGSHARE_TOKEN, or name a token file."


class TokenFileExposed(UserError):
    """A token file that other people can read."""

    code = "token-file-exposed"
    exit_status = ExitStatus.NOT_PERMITTED


class TokenRejected(UserError):
    """Figshare does not accept the token (wrong, expired, or its account is disabled)."""

    code = "token-refused"
    exit_status = ExitStatus.NOT_PERMITTED
    default_hint = "Make a new token at figshare.com/account/applications."


class PermissionDenied(UserError):
    """The token is good, but not for this."""

    code = "not-allowed"
    exit_status = ExitStatus.NOT_PERMITTED
    default_hint = "Use the token of an account that may do this."


class SourceNotFound(UserError):
    """A source does not exist (any more)."""

    code = "source-missing"
    exit_status = ExitStatus.NOT_FOUND
    default_hint = "Check the path, or put the file back."


class SourceUnreadable(UserError):
    """A source exists and cannot be read."""

    code = "source-unreadable"
    exit_status = ExitStatus.NOT_FOUND
    default_hint = "Make it readable."


class SourcesUnusable(UserError):
    """Several of the sources cannot be sent as they are, for the reasons that `causes` give; nothing was sent."""

    code = "sources-unusable"
    exit_status = ExitStatus.NOT_FOUND
    default_hint = "Fix them, or leave them out; nothing was sent."


class ItemNotFound(UserError):
    """The item does not exist, or this account may not see it."""

    code = "item-missing"
    exit_status = ExitStatus.NOT_FOUND
    default_hint = "Check the number; a draft is visible only to its owner."


class ProjectNotFound(UserError):
    """The project does not exist, or this account may not see it."""

    code = "project-missing"
    exit_status = ExitStatus.NOT_FOUND
    default_hint = "Check the number, and whose token this is."


class AccountNotFound(UserError):
    """The account that is to be acted for does not exist, or is not one of the institution's."""

    code = "account-missing"
    exit_status = ExitStatus.NOT_FOUND
    default_hint = "Check the number: it is the id of an account in your institution, not that of an author."


class FileNotHeld(UserError):
    """The item has no such file, or none that can be downloaded."""

    code = "file-missing"
    exit_status = ExitStatus.NOT_FOUND
    default_hint = "Check its name on the item's page."


class TargetUnusable(UserError):
    """A file cannot be written to where a download would put it."""

    code = "target-unusable"
    exit_status = ExitStatus.USAGE
    default_hint = "Choose another folder, or remove what is in the way."


class TargetExists(UserError):
    """A different file is already where a download would put one; it was not replaced."""

    code = "target-exists"
    exit_status = ExitStatus.SOME_FAILED


class JobNotFound(UserError):
    """No such job on this machine."""

    code = "job-missing"
    exit_status = ExitStatus.NOT_FOUND


class SourceChanged(UserError):
    """The source is not what was sent, or what was planned."""

    code = "source-changed"
    exit_status = ExitStatus.INTEGRITY
    default_hint = "Put the old file back, or allow the new one to be sent."


class ChecksumWrong(UserError):
    """The source does not have the MD5 that the user says it has; it was not completed."""

    code = "checksum-wrong"
    exit_status = ExitStatus.INTEGRITY
    default_hint = "Put the right file, or the right MD5, in its place."


class QuotaExceeded(UserError):
    """The account has no room for this."""

    code = "quota-exceeded"
    exit_status = ExitStatus.LIMIT


class FileTooLarge(UserError):
    """The account takes no file of this size."""

    code = "file-too-large"
    exit_status = ExitStatus.LIMIT


class SomeFilesFailed(UserError):
    """Several files were to be sent, and not all of them could be; the report names them."""

    code = "some-files-failed"
    exit_status = ExitStatus.SOME_FAILED
    default_hint = "Fix what the messages report; the other files are not sent again."


class Conflict(UserError):
    """The item already holds something else under this name; nothing was replaced."""

    code = "conflict"
    exit_status = ExitStatus.SOME_FAILED


class NotPublishable(UserError):
    """The item lacks something without which it cannot, or should not, be published."""

    code = "not-publishable"
    exit_status = ExitStatus.SOME_FAILED


class JobBusy(UserError):
    """Another process works on this job."""

    code = "job-busy"
    exit_status = ExitStatus.BUSY
    default_hint = "Let it finish, or stop it where it runs."


class StateUnusable(UserError):
    """The state directory cannot be used (read-only, not a directory, no permission)."""

    code = "state-unusable"
    exit_status = ExitStatus.USAGE
    default_hint = "Use another state directory (FIGUP_STATE_DIR)."


class JournalNewer(UserError):
    """The journal was written by a newer figup."""

    code = "journal-newer"
    exit_status = ExitStatus.USAGE
    default_hint = "Update figup, or start a new job."


class JournalDamaged(UserError):
    """The journal is damaged beyond what the server can tell."""

    code = "journal-damaged"
    exit_status = ExitStatus.USAGE
    default_hint = "Upload the same sources again: Figshare is asked for what is missing."
