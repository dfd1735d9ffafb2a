"""Errors that the user can correct."""

from __future__ import annotations

from collections.abc import Sequence

from uploader.errors.base import ExitStatus, Facts, FigupError, UserError


class UsageError(UserError):
    """Invalid command line or argument; nothing was sent."""

    code = "usage"
    exit_status = ExitStatus.USAGE


class MetadataInvalid(UserError):
    """Invalid metadata; nothing was created.

    `field` is the field concerned, "" for the whole file or several fields (then see `causes`); `line` counts from 1,
    None if unknown.
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
    """Plain http to a host other than loopback: the token would be sent unencrypted."""

    code = "insecure-endpoint"
    exit_status = ExitStatus.USAGE


class TlsFailure(UserError):
    """The server's certificate is invalid, or no TLS version is shared; nothing was sent."""

    code = "tls"
    exit_status = ExitStatus.USAGE
    default_hint = "If the network or server has its own certificate authority, name its certificate file."


class NoToken(UserError):
    """No token was found."""

    code = "no-token"
    exit_status = ExitStatus.NOT_PERMITTED
    default_hint = "Set FIGSHARE_TOKEN, or name a token file."


class TokenFileExposed(UserError):
    """A token file that other people can read."""

    code = "token-file-exposed"
    exit_status = ExitStatus.NOT_PERMITTED


class TokenRejected(UserError):
    """Figshare rejected the token (invalid, expired, or its account is disabled)."""

    code = "token-refused"
    exit_status = ExitStatus.NOT_PERMITTED
    default_hint = "Make a new token at figshare.com/account/applications."


class SignInFailed(UserError):
    """Signing in with OAuth did not succeed; nothing was stored."""

    code = "sign-in-failed"
    exit_status = ExitStatus.NOT_PERMITTED
    default_hint = "Sign in once more; check the application's id, secret and redirect address."


class PermissionDenied(UserError):
    """The token is valid but lacks the permission."""

    code = "not-allowed"
    exit_status = ExitStatus.NOT_PERMITTED
    default_hint = "Use the token of an account that may do this."


class SourceNotFound(UserError):
    """A source does not exist, or no longer exists."""

    code = "source-missing"
    exit_status = ExitStatus.NOT_FOUND
    default_hint = "Check the path, or put the file back."


class SourceUnreadable(UserError):
    """A source exists but cannot be read."""

    code = "source-unreadable"
    exit_status = ExitStatus.NOT_FOUND
    default_hint = "Make it readable."


class SourcesUnusable(UserError):
    """Several sources cannot be sent, for the reasons in `causes`; nothing was sent."""

    code = "sources-unusable"
    exit_status = ExitStatus.NOT_FOUND
    default_hint = "Fix them, or leave them out; nothing was sent."


class ItemNotFound(UserError):
    """The item does not exist, or this account may not see it."""

    code = "item-missing"
    exit_status = ExitStatus.NOT_FOUND
    default_hint = "Check the number; a draft is visible only to its owner."
    server_message = ""
    """The server's message, with which `message` ends."""


class ProjectNotFound(UserError):
    """The project does not exist, or this account may not see it."""

    code = "project-missing"
    exit_status = ExitStatus.NOT_FOUND
    default_hint = "Check the number, and whose token this is."


class AccountNotFound(UserError):
    """The account to impersonate does not exist, or does not belong to the institution."""

    code = "account-missing"
    exit_status = ExitStatus.NOT_FOUND
    default_hint = "Check the number: it is the id of an account in your institution, not that of an author."


class NameNotFound(UserError):
    """Figshare has no institution, group, author or account of this name."""

    code = "name-missing"
    exit_status = ExitStatus.NOT_FOUND
    default_hint = "Check its spelling, or give its id."


class OutputExists(UserError):
    """A file that would be written exists; it was not replaced."""

    code = "output-exists"
    exit_status = ExitStatus.USAGE
    default_hint = "Choose another name, or allow it to be replaced."


class RecordsMissing(UserError):
    """A list is not complete; `message` says which records may be missing, and why."""

    code = "records-missing"
    exit_status = ExitStatus.SOME_FAILED
    default_hint = "Narrow the search, or split it."


class FileNotHeld(UserError):
    """The item does not have the file, or it cannot be downloaded."""

    code = "file-missing"
    exit_status = ExitStatus.NOT_FOUND
    default_hint = "Check its name on the item's page."


class TargetUnusable(UserError):
    """A download cannot write a file to its path."""

    code = "target-unusable"
    exit_status = ExitStatus.USAGE
    default_hint = "Choose another folder, or remove the obstacle."


class TargetExists(UserError):
    """A different file is already where a download would put one; it was not replaced."""

    code = "target-exists"
    exit_status = ExitStatus.SOME_FAILED


class JobNotFound(UserError):
    """The job does not exist on this machine."""

    code = "job-missing"
    exit_status = ExitStatus.NOT_FOUND


class SourceChanged(UserError):
    """The source is not the version that was sent or planned."""

    code = "source-changed"
    exit_status = ExitStatus.INTEGRITY
    default_hint = "Put the old file back, or allow the new one to be sent."


class ChecksumWrong(UserError):
    """The source does not have the MD5 given by the user; its upload was not completed."""

    code = "checksum-wrong"
    exit_status = ExitStatus.INTEGRITY
    default_hint = "Correct the file or its MD5."


class QuotaExceeded(UserError):
    """The upload exceeds the account's quota."""

    code = "quota-exceeded"
    exit_status = ExitStatus.LIMIT


class FileTooLarge(UserError):
    """The file exceeds the account's maximum file size."""

    code = "file-too-large"
    exit_status = ExitStatus.LIMIT


class SomeFilesFailed(UserError):
    """Some of several files could not be sent; the report names them."""

    code = "some-files-failed"
    exit_status = ExitStatus.SOME_FAILED
    default_hint = "Fix what the messages report; the other files are not sent again."


class SomeRecordsFailed(UserError):
    """Some of several records could not be created, updated or removed; the report names them."""

    code = "some-records-failed"
    exit_status = ExitStatus.SOME_FAILED
    default_hint = "Fix what the messages report, and repeat the call; completed work is not repeated."


class Conflict(UserError):
    """Something exists already, such as a file of this name or an item with this DOI; nothing was replaced."""

    code = "conflict"
    exit_status = ExitStatus.SOME_FAILED


class NotPublishable(UserError):
    """The item lacks metadata that are required to publish it."""

    code = "not-publishable"
    exit_status = ExitStatus.SOME_FAILED


class JobBusy(UserError):
    """Another process is working on this job."""

    code = "job-busy"
    exit_status = ExitStatus.BUSY
    default_hint = "Let it finish, or stop it where it runs."


class CatalogBusy(UserError):
    """Another process is making this report."""

    code = "catalog-busy"
    exit_status = ExitStatus.BUSY
    default_hint = "Let it finish, or stop it."


class CatalogNewer(UserError):
    """The catalog of a report was written by a newer figup."""

    code = "catalog-newer"
    exit_status = ExitStatus.USAGE
    default_hint = "Update figup, or have everything read again."


class CatalogDamaged(UserError):
    """The catalog of a report is damaged."""

    code = "catalog-damaged"
    exit_status = ExitStatus.USAGE
    default_hint = "Have everything read again."


class PoolUnusable(UserError):
    """The pool of workers cannot be used."""

    code = "pool-unusable"
    exit_status = ExitStatus.USAGE


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
    """The journal is damaged and cannot be recovered from the server."""

    code = "journal-damaged"
    exit_status = ExitStatus.USAGE
    default_hint = "Upload the same sources again: Figshare is asked for what is missing."
